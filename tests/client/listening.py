"""
What a proxy that listens says, and the base of tests with ports at it.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from twisted.internet import address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from socks6.client.listening import SOCKS6ServerEndpoint
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from socks6.values.options import ListenBacklog, OptionList
from tests.client.doubles import (
    BOUND,
    Application,
    ClientTestCase,
    ProxyTransport,
    authenticationReply,
    operationReply,
)
from tests.client.sessions import WITHIN, opened

#: A host that connects.
HOST = Address(IPv4Address("198.51.100.7"), 50000)

SHOWN_BOUND = address.IPv4Address("TCP", "192.0.2.1", 4000)
SHOWN_HOST = address.IPv4Address("TCP", "198.51.100.7", 50000)

#: What a proxy says that listens for one host, and what it says when that has come.
LISTENS = authenticationReply() + operationReply()
HOST_CAME = operationReply(bound=HOST)
NOBODY_CAME = operationReply(ReplyCode.TIMED_OUT)

#: The same to a request in a session.
CLAIMED = WITHIN + operationReply()


def keeps(backlog: int = 16, reply: bytes | None = None) -> bytes:
    """
    Write what a proxy says that listens for many.

    @param reply: The Authentication Reply; by default, it opens a session.
    """
    options = OptionList([ListenBacklog(backlog)])
    return (opened() if reply is None else reply) + operationReply(options=options)


class ServerFactory(Factory):
    """
    Builds users' protocols, and remembers what happens to it.

    @ivar built: The protocols, and for which addresses.
    @ivar events: C{"start"} and C{"stop"}.
    @ivar build: Makes the protocols.
    """

    noisy = False

    def __init__(self, build: Callable[[], Any] = Application) -> None:
        self.build = build
        self.built: list[tuple[Any, Any]] = []
        self.events: list[str] = []

    def startFactory(self) -> None:
        """
        Take note.
        """
        self.events.append("start")

    def stopFactory(self) -> None:
        """
        Take note.
        """
        self.events.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        """
        Build one.
        """
        protocol = self.build()
        self.built.append((protocol, addr))
        return protocol


class ListeningTestCase(ClientTestCase):
    """
    Listens at a proxy that the test plays.

    @ivar served: The user's factory.
    @ivar listening: What C{listen} has returned.
    """

    listening: Deferred[IListeningPort]

    def setUp(self) -> None:
        """
        Have a factory.
        """
        super().setUp()
        # Time did not begin with us.
        self.reactor.rightNow = 1000.0
        self.served = ServerFactory()

    def listen(self, port: int = 4000, proxy: Any = None, **arguments: Any) -> None:
        """
        Begin to listen.

        @param proxy: A session, if there is one.
        @param arguments: Of the endpoint.
        """
        endpoint = SOCKS6ServerEndpoint(
            self.reactor, proxy or self.proxyEndpoint, port, **arguments
        )
        self.listening = endpoint.listen(self.served)

    def listenForOne(self, **arguments: Any) -> Any:
        """
        Listen without a backlog.

        @return: The port.
        """
        self.listen(**arguments)
        self.acceptNext().receive(LISTENS)
        return self.successResultOf(self.listening)

    def listenForMany(self, backlog: int = 16, granted: int | None = None, **arguments: Any) -> Any:
        """
        Listen with a backlog; C{transport} keeps the port open.

        @param granted: By the proxy, if not the same.
        @return: The port.
        """
        self.listen(backlog=backlog, **arguments)
        self.acceptNext().receive(keeps(granted or backlog))
        return self.successResultOf(self.listening)

    def claims(self) -> list[ProxyTransport]:
        """
        Let the proxy accept what has not been accepted, and say that it waits for
        hosts.
        """
        keeper = self.transport
        transports = [self.acceptNext() for _ in range(self.unaccepted)]
        for transport in transports:
            transport.receive(CLAIMED)
        self.transport = keeper
        return transports

    def assertOpen(self, *transports: ProxyTransport) -> None:
        """
        Check that nobody has closed connections.
        """
        for transport in transports:
            self.assertFalse(transport.disconnected or transport.disconnecting)

    def assertClosed(self, *transports: ProxyTransport) -> None:
        """
        Check that connections have been closed at once, and lose them.
        """
        for transport in transports:
            self.assertTrue(transport.disconnected)
            transport.lose(ConnectionAborted())

    def assertBound(self, transport: ProxyTransport, where: Address = BOUND) -> None:
        """
        Check that a request asks for a port.
        """
        self.assertEqual((transport.request.command, transport.request.address), (2, where))
