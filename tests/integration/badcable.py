"""
A cable that loses packets, holds them up and lets them overtake one another, or is cut.

It is a pair of TUN devices with this process between them, as not every kernel has
C{netem}.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import time
from threading import Event, Thread
from unittest import TestCase

from tests.integration.namespaces import Namespace
from tests.integration.peers import DEADLINE

#: What asks for a TUN device, and what it is to be: packets of IP without more.
_TUNSETIFF = 0x400454CA
_TUN = 0x0001 | 0x1000

#: Octets of the largest packet.
_MTU = 1500


def _open(name: str) -> int:
    """
    Make a TUN device in the namespace of this thread.

    @return: Its descriptor.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class BadCable:
    """
    A cable between two namespaces, which ends with the test.

    @ivar lost: How many packets it has lost.
    @ivar overtaken: How many have overtaken others.
    """

    def __init__(
        self,
        testCase: TestCase,
        ends: tuple[Namespace, Namespace],
        network: str = "198.51.100.",
        *,
        loss: float = 0.0,
        delay: float = 0.0,
        jitter: float = 0.0,
    ) -> None:
        """
        Lay it, or skip the test: without TUN devices there is none.

        @param network: How addresses begin; the first end has number 1, the other 2.
        @param loss: The part of the packets that is lost.
        @param delay: Seconds that each takes at least.
        @param jitter: Seconds that it may take beyond that.
        """
        if not os.path.exists("/dev/net/tun"):
            testCase.skipTest("no TUN devices")
        self._loss, self._delay, self._jitter = loss, delay, jitter
        self._dice = random.Random(7)
        self._over, self._cut = Event(), Event()
        self.lost = self.overtaken = 0
        self._descriptors = []
        name = f"bad{network.split('.')[2]}"
        for number, end in enumerate(ends, 1):
            descriptor = end.inside(lambda: _open(name))
            testCase.addCleanup(os.close, descriptor)
            self._descriptors.append(descriptor)
            end.ip(f"addr add {network}{number}/24 dev {name}")
            end.ip(f"link set {name} up mtu {_MTU}")
        self._thread = Thread(target=self._carry)
        self._thread.start()
        testCase.addCleanup(self._end)

    def cut(self) -> None:
        """
        Let nothing through any more.
        """
        self._cut.set()

    def _end(self) -> None:
        """
        Stop the thread.
        """
        self._over.set()
        self._thread.join(DEADLINE)

    def _carry(self) -> None:
        """
        Carry packets from end to end.
        """
        here, there = self._descriptors
        others = {here: there, there: here}
        under: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._over.is_set():
            now = time.monotonic()
            while under and under[0][0] <= now:
                _, _, end, packet = heapq.heappop(under)
                self._deliver(end, packet)
            wait = min(0.05, under[0][0] - now) if under else 0.05
            for descriptor in select.select(self._descriptors, [], [], wait)[0]:
                packet = os.read(descriptor, 65536)
                if self._cut.is_set() or self._dice.random() < self._loss:
                    self.lost += 1
                    continue
                count += 1
                due = time.monotonic() + self._delay + self._jitter * self._dice.random()
                end = others[descriptor]
                self.overtaken += any(due < each[0] and each[2] == end for each in under)
                heapq.heappush(under, (due, count, end, packet))

    def _deliver(self, end: int, packet: bytes) -> None:
        """
        Hand a packet over, if there is room.
        """
        try:
            os.write(end, packet)
        except OSError:
            self.lost += 1
