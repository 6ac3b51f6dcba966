"""
Proxies under test: in this process, and as C{twistd socks6} in one of their own.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from socks6.relay.relay import Relay
from socks6.server.service import ProxyService, proxyService
from socks6.server.tls import TLSServerEndpoint, serverContext
from socks6.serving.factory import ClientProtocol
from socks6.sockets import _lowest
from tests.integration.certificates import Authority
from tests.integration.peers import DEADLINE, Place, listen

CHECKOUT = Path(__file__).resolve().parents[2]

#: The real one.
reactor: Any = _reactor

T = TypeVar("T")

LOOPBACK = "tcp:0:interface=127.0.0.1"


class RunningProxy:
    """
    A proxy in this process.
    """

    def __init__(self, service: ProxyService) -> None:
        self.service = service
        address: Any = service.ports[0].getHost()
        name = getattr(address, "name", None)
        #: Where it listens.
        self.place: Place = (address.host, address.port) if name is None else os.fsdecode(name)

    @property
    def clients(self) -> set[ClientProtocol]:
        """
        The connections that the proxy has not forgotten.
        """
        return set(self.service.factory.connections())

    def relays(self) -> list[Relay]:
        """
        The tunnels at work.
        """
        found = [client._conversation._relay for client in self.clients]
        return [relay for relay in found if relay is not None]


def bufferedIn(transport: Any) -> int:
    """
    Count the octets that a transport keeps, its TLS layer's included.
    """
    aggregator = getattr(transport, "_aggregator", None)
    held = sum(map(len, getattr(aggregator, "_buffer", ())))
    held += sum(map(len, getattr(transport, "_appSendBuffer", ())))
    lowest: Any = _lowest(transport)
    return int(held + len(lowest.dataBuffer) - lowest.offset + lowest._tempDataLen)


def bufferedFor(relay: Relay) -> int:
    """
    Count the octets that a tunnel keeps.
    """
    directions = (relay._up, relay._down)
    inPipes = sum(each.shortcut.held for each in directions if each.shortcut is not None)
    return inPipes + sum(bufferedIn(each.source.transport) for each in directions)


class ProxyTestCase(TestCase):
    """
    A test with proxies in this process, and with peers that block, each in a
    thread of its own.
    """

    timeout = 90.0

    def setUp(self) -> None:
        #: What the proxies have logged.
        self.lines: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            if str(event.get("log_namespace", "")).startswith("socks6."):
                self.lines.append(formatEvent(event))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def startProxy(
        self, *endpoints: str, authority: Authority | None = None, **options: Any
    ) -> RunningProxy:
        """
        Start a proxy that ends with the test.

        @param endpoints: Endpoint strings; by default, a port of the loopback
            address.
        @param authority: Who issues the certificate, if there is to be TLS.
        """
        listening = [serverFromString(reactor, each) for each in endpoints or [LOOPBACK]]
        if authority is not None:
            context = serverContext(authority.server().path)
            listening = [TLSServerEndpoint(reactor, each, context) for each in listening]
        service = proxyService(reactor, listening, **options)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return RunningProxy(service)

    def requireIPv6(self) -> None:
        """
        Skip the test where the loopback interface has no IPv6.
        """
        try:
            listen("::1").close()
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")

    def folder(self) -> Path:
        """
        Make a folder that ends with the test, with a path short enough for a
        UNIX socket.
        """
        folder = tempfile.TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def keep(self, sock: socket.socket) -> socket.socket:
        """
        Close a socket with the test, if it is not closed before.
        """
        self.addCleanup(sock.close)
        return sock

    def spend(self, seconds: float) -> Deferred[None]:
        """
        Let time pass.
        """
        done: Deferred[None] = deferLater(reactor, seconds, lambda: None)
        return done

    async def until(
        self, happened: Callable[[], bool], what: str, seconds: float = DEADLINE
    ) -> None:
        """
        Wait for something.
        """
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                self.fail(f"not within {seconds:g} s: {what}")
            await self.spend(0.01)

    async def untilForgotten(self, proxy: RunningProxy, seconds: float = DEADLINE) -> None:
        """
        Wait until a proxy has no connections.
        """
        await self.until(lambda: not proxy.clients, "the proxy forgets the connection", seconds)


def inThread(function: Callable[..., T], *arguments: Any) -> Deferred[T]:
    """
    Run a peer.
    """
    return cast("Deferred[T]", deferToThread(function, *arguments))


def together(*peers: Deferred[Any]) -> Deferred[list[Any]]:
    """
    Wait for several peers; the first that fails fails all.
    """
    return gatherResults(peers, consumeErrors=True)
