"""
The base of tests that have the proxy open a port for datagrams.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import address
from twisted.internet.defer import Deferred

from socks6.client import association
from socks6.client.datagramport import DatagramPort
from socks6.client.datagrams import SOCKS6DatagramEndpoint
from tests.client.datagrams import (
    INITIALIZATION,
    Listener,
    MemoryWay,
)
from tests.client.doubles import (
    SUCCESS,
    ProxyTransport,
)
from tests.client.sessions import (
    SessionTestCase,
)

PROXY_PEER = address.IPv4Address("TCP", "198.51.100.7", 1080)


class AssociationTestCase(SessionTestCase):
    """
    A test that has the proxy open a port, and plays the proxy.

    @ivar way: The way of datagrams to the proxy, which comes up when the test says so.
    @ivar places: Where the proxy takes datagrams, for each way that was opened.
    @ivar result: What C{listen} has returned.
    """

    result: Deferred[Any]

    def setUp(self) -> None:
        """
        Have a protocol.
        """
        super().setUp()
        self.listener = Listener()
        self.way = MemoryWay()
        self.places: list[tuple[str, int]] = []

        def openWay(reactor: Any, host: str, port: int) -> MemoryWay:
            self.places.append((host, port))
            return self.way

        self.patch(association, "openPlainWay", openWay)

    def listen(self, proxy: Any = None, port: int = 0, **arguments: Any) -> None:
        """
        Call C{listen}.
        """
        way = self.proxyEndpoint if proxy is None else proxy
        endpoint = SOCKS6DatagramEndpoint(self.reactor, way, port, **arguments)
        self.result = endpoint.listen(self.listener)

    def acceptNext(self, transport: Any = None) -> ProxyTransport:
        """
        Let the proxy accept a connection, at an address of its own.
        """
        if transport is None:
            transport = ProxyTransport()
            transport.peerAddr = PROXY_PEER
        return super().acceptNext(transport)

    def negotiate(self, **arguments: Any) -> None:
        """
        Connect as far as the proxy's replies.
        """
        self.listen(**arguments)
        self.acceptNext()

    def establish(self, **arguments: Any) -> None:
        """
        Have the proxy open a port.
        """
        self.negotiate(**arguments)
        self.transport.receive(SUCCESS + INITIALIZATION)
        self.way.started.callback(None)
        self.port: DatagramPort = self.successResultOf(self.result)
        self.assertIs(self.listener.transport, self.port)

    def assertFailed(self, kind: type[Exception]) -> Any:
        """
        Check that there is no association, and that nothing of it is left once the
        proxy has closed.

        @return: Why.
        """
        error = self.failureResultOf(self.result, kind).value
        self.assertEqual(self.listener.events, [])
        if self.transport.connected:
            self.assertTrue(self.transport.disconnecting or self.transport.disconnected)
            self.transport.lose()
        self.assertNothingLeft()
        return error
