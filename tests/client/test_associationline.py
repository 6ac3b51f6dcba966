"""
Tests of L{socks6.client.associationline}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)

from socks6.client import association
from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    MalformedAnswer,
    NoAnswer,
    NotASOCKS6Proxy,
    RequestRefused,
)
from socks6.client.receivers import CLOSE_TIMEOUT
from socks6.values.codes import ReplyCode
from tests.client.associations import PROXY_PEER, AssociationTestCase
from tests.client.datagrams import (
    CONFIRMATION,
    INITIALIZATION,
    Listener,
)
from tests.client.doubles import (
    SUCCESS,
    OddEndpoint,
    ProxyTransport,
    authenticationReply,
    operationReply,
    refusal,
)
from tests.raising import errorOf


class RefusedTests(AssociationTestCase):
    """
    The proxy opens no port, for one reason or another.
    """

    def test_refused(self) -> None:
        """
        What it says is what C{listen} fails with.
        """
        for octets, kind in [
            (refusal(), AuthenticationRefused),
            (authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED), RequestRefused),
            (authenticationReply() + operationReply(99), RequestRefused),
            (b"\5\0", NotASOCKS6Proxy),
            (b"\6\0\7", MalformedAnswer),
        ]:
            self.setUp()
            self.negotiate()
            self.transport.receive(octets)
            self.transport.receive(SUCCESS + INITIALIZATION)
            self.assertFailed(kind)
        self.assertEqual(self.places, [])

    def test_code(self) -> None:
        """
        The reply code is kept.
        """
        self.negotiate()
        self.transport.receive(
            authenticationReply() + operationReply(ReplyCode.COMMAND_NOT_SUPPORTED)
        )
        self.assertEqual(self.assertFailed(RequestRefused).code, ReplyCode.COMMAND_NOT_SUPPORTED)

    def test_badManners(self) -> None:
        """
        A proxy that does not close a connection that we have closed is not waited for
        for ever.
        """
        self.negotiate()
        self.transport.receive(refusal())
        self.reactor.advance(CLOSE_TIMEOUT)
        self.assertTrue(self.transport.disconnected)
        self.assertNothingLeft()
        self.failureResultOf(self.result, AuthenticationRefused)

    def test_lost(self) -> None:
        """
        So it does if the connection ends before the association has a name.
        """
        for octets in (b"", authenticationReply(), SUCCESS, SUCCESS + INITIALIZATION[:3]):
            for reason in (ConnectionDone(), ConnectionLost()):
                self.setUp()
                self.negotiate()
                self.transport.receive(octets)
                self.transport.lose(reason)
                self.assertFailed(EndedEarly)

    def test_lostTLS(self) -> None:
        """
        If TLS with the proxy fails, that is told in the words of endpoints.
        """
        self.negotiate()
        reason = RuntimeError("no certificate")
        self.transport.lose(reason)
        error = self.assertFailed(ConnectError)
        self.assertIn("no certificate", str(error))
        self.assertIs(error.__cause__, reason)

    def test_silent(self) -> None:
        """
        A proxy that takes too long, for whatever, is given up.
        """
        for octets in (b"", authenticationReply(), SUCCESS, SUCCESS + INITIALIZATION):
            self.setUp()
            self.negotiate(timeout=5.0)
            self.transport.receive(octets)
            self.reactor.advance(4.9)
            self.assertNoResult(self.result)
            self.reactor.advance(0.1)
            self.assertIn("5 s", str(self.assertFailed(NoAnswer)))
        self.assertTrue(self.way.isClosed)

    def test_unreachable(self) -> None:
        """
        If the proxy cannot be reached, C{listen} fails as its endpoint does.
        """
        self.listen()
        self.refuseNext()
        self.failureResultOf(self.result, ConnectionRefusedError)
        self.assertNothingLeft()

    def test_noWay(self) -> None:
        """
        If there is no way for datagrams, the connection is closed.
        """
        self.negotiate()
        self.transport.receive(SUCCESS + INITIALIZATION)
        self.way.started.errback(ConnectError(string="no DTLS"))
        self.assertIn("no DTLS", str(self.assertFailed(ConnectError)))
        self.assertTrue(self.way.isClosed)

    def test_noSocket(self) -> None:
        """
        So it is if there cannot even be a socket.
        """

        def fail(reactor: Any, host: str, port: int) -> None:
            raise OSError(24, "too many open files")

        self.patch(association, "openPlainWay", fail)
        self.negotiate()
        self.transport.receive(SUCCESS + INITIALIZATION + CONFIRMATION)
        self.assertFailed(ConnectError)

    def test_brokenProtocol(self) -> None:
        """
        A protocol that fails as it is started has no transport.
        """

        def fail(listener: Listener) -> None:
            raise RuntimeError("as the test wants it")

        self.listener.whenStarted = fail
        self.negotiate()
        self.transport.receive(SUCCESS + INITIALIZATION)
        self.way.started.callback(None)
        self.failureResultOf(self.result, RuntimeError)
        self.assertEqual(self.listener.events, ["started"])
        self.assertTrue(self.transport.disconnecting)
        self.assertTrue(self.way.isClosed)
        self.transport.lose()
        self.assertNothingLeft()

    def test_oddEndpoint(self) -> None:
        """
        An endpoint that fails although it has connected us has failed.
        """
        proxy = OddEndpoint()
        self.listen(proxy)
        self.transport = ProxyTransport()
        self.transport.peerAddr = PROXY_PEER
        self.transport.protocol = proxy.factory.buildProtocol(None)
        self.transport.protocol.makeConnection(self.transport)
        self.assertIsNotNone(errorOf(CancelledError, proxy.factory.buildProtocol, None))
        proxy.connected.errback(RuntimeError("as the test wants it"))
        self.assertFailed(RuntimeError)
