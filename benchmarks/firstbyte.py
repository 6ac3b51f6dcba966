#!/usr/bin/env python3
"""
When the first octet of an answer comes, with distances between client, proxy and server.

The client is 25 ms from the proxy, and that 10 ms from the server, one way.  The client
sends one octet, and the server returns it; time runs from the client's C{connect} on.
SOCKS 6 sends that octet along with its request.  Needs what L{laboratory} needs, and
C{/dev/net/tun}::

    python benchmarks/firstbyte.py --count 8
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ends import PASSWORD, PROXY, SERVER, TARGET, USER
from laboratory import WORK, Namespace, Program, about, command, prepare, save
from peers import PEERS, PORT

#: Seconds from the client to the proxy, and from there to the server.
NEAR, FAR = 0.025, 0.010

CLIENT, PROXY_FAR = "10.1.0.1", "10.2.0.1"
NETWORK_NEAR, NETWORK_FAR = "10.1.0.0/24", "10.2.0.0/24"

#: Measurements before the ones that count: they fetch the Fast Open cookies.
PRACTICE = 2


@dataclass(frozen=True)
class Case:
    """
    A way to the server.

    @ivar title: What people call it.
    @ivar peer: The proxy.
    @ivar way: How the client goes; see L{ends}.
    @ivar words: What is added to the proxy's command line.
    """

    title: str
    peer: str
    way: str
    words: tuple[str, ...] = ()


_USERS = (f"--auth=memory:{USER.decode()}:{PASSWORD.decode()}",)
_USER = ("-u", USER.decode(), "-P", PASSWORD.decode())

CASES: Mapping[str, Case] = {
    "direct": Case("no proxy", "direct", "direct"),
    "dante": Case("dante, SOCKS 5", "dante", "socks5"),
    "microsocks": Case("microsocks, SOCKS 5", "microsocks", "socks5"),
    "socks5-password": Case(
        "microsocks, SOCKS 5 with password", "microsocks", "socks5-password", _USER
    ),
    "socks6-password": Case("socks6, with password", "socks6", "socks6-password", _USERS),
    "socks6-session": Case("socks6, session and token", "socks6", "socks6-session", _USERS),
}

#: Which legs are with Fast Open: what the kernel may do (3: connect and accept with it),
#: and whether the client does.
LEGS: Mapping[str, tuple[int, bool]] = {
    "none": (0, False),
    "remote": (3, False),
    "both": (3, True),
}


def scriptLine(name: str, *arguments: str) -> list[str]:
    """
    Give the command line of a script beside this one.
    """
    return [sys.executable, str(Path(__file__).with_name(name)), *arguments]


@contextmanager
def wire(
    left: Namespace, leftAddress: str, right: Namespace, rightAddress: str, delay: float
) -> Iterator[None]:
    """
    Have a wire with a delay.
    """
    ends = (left.name, f"{leftAddress}/24", right.name, f"{rightAddress}/24")
    words = scriptLine("delay.py", *ends, str(delay))
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()


class Landscape:
    """
    Three namespaces, with wires between them.
    """

    def __init__(self, stack: ExitStack) -> None:
        """
        Make them.

        @param stack: Gives them up.
        """
        self.client, self.proxy, self.server = (Namespace(name) for name in "cps")
        for each in (self.client, self.proxy, self.server):
            stack.callback(each.close)
            each.set("net.ipv4.tcp_fastopen_blackhole_timeout_sec=0")
        stack.enter_context(wire(self.client, CLIENT, self.proxy, PROXY, NEAR))
        stack.enter_context(wire(self.proxy, PROXY_FAR, self.server, SERVER, FAR))
        self.proxy.set("net.ipv4.ip_forward=1")
        for each, network, via in (
            (self.client, NETWORK_FAR, PROXY),
            (self.server, NETWORK_NEAR, PROXY_FAR),
        ):
            command("ip", "-n", each.name, "route", "add", network, "via", via)

    def setFastOpen(self, setting: int) -> None:
        """
        Set what the kernel does about Fast Open.
        """
        for each in (self.client, self.proxy, self.server):
            each.set(f"net.ipv4.tcp_fastopen={setting}")

    def measure(self, case: Case, count: int, isFast: bool) -> list[float]:
        """
        Measure a way, with its proxy.

        @return: Milliseconds.
        """
        with ExitStack() as stack:
            peer = PEERS[case.peer]
            if peer.words:
                stack.enter_context(closing(self._proxy(case)))
            words = scriptLine(
                "ends.py", case.way, str(PRACTICE + count), "yes" if isFast else "no"
            )
            times: list[float] = json.loads(command(*self.client.inside(*words)))
        return times[PRACTICE:]

    def _proxy(self, case: Case) -> Program:
        """
        Start the proxy of a way, at home here.
        """
        peer = PEERS[case.peer]
        here = peer.configuration.replace("127.0.0.1", PROXY).replace("lo\n", f"{PROXY_FAR}\n")
        # Whoever knows users lets nobody else in.
        words = [
            word.replace("127.0.0.1", PROXY)
            for word in replace(peer, configuration=here).commandLine("firstbyte")
            if not (case.words and word == "--anonymous")
        ]
        return Program(self.proxy, [*words, *case.words], [PORT], peer.output("firstbyte"))


def measure(count: int) -> None:
    """
    Measure everything, and write C{results/firstbyte.json}.
    """
    prepare()
    rows = []
    with ExitStack() as stack:
        landscape = Landscape(stack)
        for legs, (setting, isFast) in LEGS.items():
            landscape.setFastOpen(setting)
            serving = scriptLine("ends.py", "serve")
            output = WORK / "server.log"
            with closing(Program(landscape.server, serving, [TARGET], output)):
                for name, case in CASES.items():
                    if not PEERS[case.peer].isInstalled():
                        continue
                    times = landscape.measure(case, count, isFast)
                    row = {"case": name, "legs": legs, "median": statistics.median(times)}
                    rows.append({**row, "times": times})
                    print(row, flush=True)
    save("firstbyte", about(near=NEAR * 1000, far=FAR * 1000), rows)


def main() -> None:
    """
    Read the command line, and measure.
    """
    parser = ArgumentParser(description="Measure when the first octet comes.")
    parser.add_argument("--count", type=int, default=8)
    measure(parser.parse_args().count)


if __name__ == "__main__":
    main()
