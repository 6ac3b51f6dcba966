"""
Tests for what a proxy leaves behind: nothing.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass

from twisted.internet.utils import getProcessOutputAndValue

from socks6.outbound.attempt import ConnectAttempt
from socks6.outbound.direct import _Race
from socks6.relay.direction import Direction
from socks6.relay.farewell import _Farewell
from socks6.relay.legs import LegProtocol
from socks6.relay.relay import Relay
from socks6.server.negotiation import Negotiation
from tests.integration.certificates import Authority
from tests.integration.crowd import raiseDescriptorLimit
from tests.integration.peers import (
    Place,
    accept,
    dial,
    listen,
    openTunnel,
    pattern,
    placeOf,
    stuff,
)
from tests.integration.proxies import ProxyTestCase, RunningProxy, inThread, reactor, together
from tests.integration.twistd import CHECKOUT, Twistd, environment

#: What is made for one connection.
PASSING = (ConnectAttempt, LegProtocol, Negotiation, Relay, Direction, _Farewell, _Race)

MEGA = 2**20


@dataclass
class Inventory:
    """
    What there is in this process.
    """

    descriptors: int
    delayedCalls: int
    objects: Counter[str]


def takeInventory() -> Inventory:
    """
    Look at what there is.
    """
    gc.collect()
    objects = Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, PASSING))
    return Inventory(
        len(os.listdir("/proc/self/fd")),
        len(reactor.getDelayedCalls()),
        objects,
    )


class LeftoverTests(ProxyTestCase):
    """
    After many connections, all is as before.
    """

    timeout = 180.0

    def setUp(self) -> None:
        """
        Look at what other tests have left to the collector.
        """
        super().setUp()
        self.others = takeInventory().objects

    async def _visit(self, kind: str, place: Place, count: int, atOnce: int) -> None:
        """
        Let a crowd come and go.
        """
        assert isinstance(place, tuple)
        arguments = ["-m", "tests.integration.crowd", kind, str(place[1]), str(count), str(atOnce)]
        output, errors, status = await getProcessOutputAndValue(
            sys.executable, arguments, environment(), str(CHECKOUT)
        )
        self.assertEqual(status, 0, (output + errors).decode("utf-8", "replace"))

    async def _crowd(self, kind: str, proxy: RunningProxy, count: int, atOnce: int) -> None:
        """
        Let a crowd come to a proxy of this process, and go.
        """
        await self._visit(kind, proxy.place, count, atOnce)
        await self.untilForgotten(proxy)
        # This test's own list.
        self.lines.clear()

    async def _check(self, kind: str, count: int, atOnce: int) -> None:
        """
        Take the inventory before and after a crowd.
        """
        proxy = self.startProxy()
        # What is made once, and the interpreter's own memory.
        await self._crowd(kind, proxy, 4 * atOnce, atOnce)
        before = takeInventory()
        began = time.monotonic()
        await self._crowd(kind, proxy, count, atOnce)
        seconds = time.monotonic() - began
        after = takeInventory()
        self._report(f"{count} {kind} in {seconds:.1f} s")
        self.assertEqual(after.descriptors, before.descriptors)
        self.assertEqual(after.delayedCalls, before.delayedCalls)
        self.assertEqual(after.objects - self.others, Counter())

    def _report(self, figure: str) -> None:
        """
        Write a figure where it can be read after the test: C{build/figures}.
        """
        folder = CHECKOUT / "build"
        folder.mkdir(exist_ok=True)
        with (folder / "figures").open("a", encoding="utf-8") as figures:
            figures.write(f"{self.id()}: {figure}\n")

    async def test_tunnels(self) -> None:
        """
        2,000 tunnels, which end in all the ways there are.
        """
        await self._check("tunnels", 2000, 50)

    async def test_memory(self) -> None:
        """
        10,000 of them leave a process of its own no larger.
        """
        twistd = Twistd(self, "--port=0")
        (place,) = await inThread(twistd.places)
        # What is made once, and the interpreter's own memory.
        await self._visit("tunnels", place, 500, 50)
        before = twistd.memory()
        await self._visit("tunnels", place, 10_000, 50)
        grown = twistd.memory() - before
        self._report(f"10,000 tunnels, memory grew by {grown / MEGA:.1f} MiB")
        self.assertLess(grown, 8 * MEGA)

    async def test_rubbish(self) -> None:
        """
        2,000 clients that send rubbish.
        """
        await self._check("rubbish", 2000, 50)

    async def test_refusals(self) -> None:
        """
        500 requests that fail.
        """
        await self._check("refusals", 500, 50)

    async def test_concurrentTunnels(self) -> None:
        """
        1,000 tunnels at the same time.
        """
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        raiseDescriptorLimit()
        proxy = self.startProxy("tcp:0:interface=127.0.0.1:backlog=1000")
        began = time.monotonic()
        await self._crowd("rounds", proxy, 1000, 1000)
        self._report(f"1,000 tunnels at once echoed in {time.monotonic() - began:.1f} s")
        self.assertEqual(takeInventory().objects - self.others, Counter())

    async def test_stoppedReaders(self) -> None:
        """
        Remote hosts send without pause to clients that have stopped reading,
        over TCP and over TLS: the process does not grow by 1 MiB for each.
        """
        authority = Authority(self.folder())
        certificate = f"--certificate={authority.server().path}"
        twistd = Twistd(self, "--port=0", "--tls-port=0", certificate)
        plain, encrypted = await inThread(twistd.places)
        context = authority.clientContext()
        data = pattern(65536)

        def connect(overTLS: bool) -> tuple[socket.socket, socket.socket]:
            client = dial(encrypted if overTLS else plain)
            if overTLS:
                client = context.wrap_socket(client, server_hostname="localhost")
            with listen() as listener:
                openTunnel(client, placeOf(listener))
                return self.keep(client), self.keep(accept(listener))

        tunnels = [await inThread(connect, number % 2 == 0) for number in range(16)]
        before = twistd.memory()
        began = time.monotonic()
        lengths = await together(*(inThread(stuff, server, data) for _, server in tunnels))
        seconds = time.monotonic() - began
        grown = twistd.memory() - before
        self._report(
            f"{len(tunnels)} stopped readers, {sum(lengths) / MEGA:.0f} MiB sent"
            f" in {seconds:.1f} s, memory grew by {grown / MEGA:.1f} MiB"
        )
        self.assertLess(grown, len(tunnels) * MEGA)
