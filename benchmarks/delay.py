"""
A wire that takes its time, between two network namespaces.

Packets are copied between two TUN devices, one in each namespace, some time after they
came.  It stands in for C{netem}, which not every kernel has::

    python benchmarks/delay.py NAMESPACE ADDRESS/LENGTH NAMESPACE ADDRESS/LENGTH SECONDS
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from collections import deque
from fcntl import ioctl

from laboratory import command

# Names that Python lacks: C{TUNSETIFF} of <linux/if_tun.h>, and its flags for whole IP
# packets without anything before them.
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001

#: No packet is longer.
_LONGEST = 65536


def device(name: str, namespace: str, address: str) -> int:
    """
    Make a TUN device, and put it into a namespace.

    @return: Its descriptor, which stays here.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    command("ip", "link", "set", name, "netns", namespace)
    command("ip", "-n", namespace, "addr", "add", address, "dev", name)
    command("ip", "-n", namespace, "link", "set", name, "up")
    return descriptor


def carry(left: int, right: int, delay: float) -> None:
    """
    Copy packets for ever.

    @param left: The descriptor of one device.
    @param right: That of the other one.
    @param delay: Seconds.
    """
    other = {left: right, right: left}
    # When each packet is due, where it goes, and what it is.  As all take equally
    # long, they are in order.
    waiting: deque[tuple[float, int, bytes]] = deque()
    while True:
        rest = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        readable, _, _ = select.select([left, right], [], [], rest)
        for descriptor in readable:
            packet = os.read(descriptor, _LONGEST)
            waiting.append((time.monotonic() + delay, other[descriptor], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, descriptor, packet = waiting.popleft()
            os.write(descriptor, packet)


def main() -> None:
    """
    Read the command line, say that the wire is there, and carry packets.
    """
    left, leftAddress, right, rightAddress, delay = sys.argv[1:]
    name = f"s6t{os.getpid()}"
    ends = device(f"{name}a", left, leftAddress), device(f"{name}b", right, rightAddress)
    print("READY", flush=True)
    carry(*ends, float(delay))


if __name__ == "__main__":
    main()
