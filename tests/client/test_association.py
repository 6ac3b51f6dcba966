"""
Tests of L{socks6.client.association}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport

from socks6.client import association
from socks6.client.attempt import TOKEN_TRIES
from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    MalformedAnswer,
    NoAnswer,
    SessionClosed,
    TokenRefused,
)
from socks6.client.receivers import CLOSE_TIMEOUT
from socks6.values.codes import TokenOutcome
from socks6.values.options import OptionList, SessionID
from socks6.wire.errors import UsageError
from tests.client.associations import PROXY_PEER, AssociationTestCase
from tests.client.datagrams import (
    CONFIRMATION,
    HEADER,
    INITIALIZATION,
    REMOTE,
    TRIGGER,
    MemoryWay,
)
from tests.client.doubles import (
    BOUND,
    SUCCESS,
    ImmediateEndpoint,
    OddEndpoint,
    ProxyTransport,
    authenticationReply,
    operationReply,
)
from tests.client.sessions import (
    CONNECTED,
    ID,
    INVALID,
    OTHER_ID,
    naming,
    opened,
    opening,
    spent,
    unspent,
    window,
)
from tests.raising import errorOf


class ListenTests(AssociationTestCase):
    """
    The proxy opens a port.
    """

    def test_listening(self) -> None:
        """
        When the association has a name and there is a way, the protocol gets its
        transport, which tells where the proxy has bound the port.
        """
        self.negotiate()
        self.transport.receive(SUCCESS)
        self.assertEqual(self.places, [])
        self.transport.receive(INITIALIZATION)
        self.assertNoResult(self.result)
        self.assertEqual(self.listener.events, [])
        self.way.started.callback(None)
        port = self.successResultOf(self.result)
        self.assertIs(self.listener.transport, port)
        self.assertEqual(self.listener.events, ["started"])
        self.assertEqual(port.getHost(), address.IPv4Address("UDP", str(BOUND.host), BOUND.port))
        self.assertEqual(self.places, [("198.51.100.7", 1080)])
        port.write(b"x", REMOTE)
        self.assertEqual(self.way.takeSent(), [TRIGGER, HEADER + b"x"])
        self.way.received(HEADER + b"y")
        self.assertEqual(self.listener.events[1:], [(b"y", REMOTE)])
        self.transport.receive(CONFIRMATION)
        self.assertTrue(self.successResultOf(port.confirmed))
        self.assertNothingLeft()

    def test_encrypted(self) -> None:
        """
        With DTLS, the plain way is that of DTLS.
        """
        options: Any = object()
        encrypted = MemoryWay()
        made: list[Any] = []

        def dtlsWay(*arguments: Any) -> MemoryWay:
            made.append(arguments)
            return encrypted

        self.patch(association, "DTLSWay", dtlsWay)
        self.negotiate(dtls=options)
        self.transport.receive(SUCCESS + INITIALIZATION)
        self.assertEqual(made, [(self.reactor, options, self.way)])
        encrypted.started.callback(None)
        self.successResultOf(self.result).write(b"x", REMOTE)
        self.assertEqual(encrypted.sent, [TRIGGER, HEADER + b"x"])
        self.assertEqual(self.way.sent, [])

    def test_octetwise(self) -> None:
        """
        What the proxy says may come in pieces, and all of it at once.
        """
        everything = SUCCESS + INITIALIZATION + CONFIRMATION
        for pieces in [[everything], [bytes([octet]) for octet in everything]]:
            self.setUp()
            self.way.started.callback(None)
            self.negotiate()
            for piece in pieces:
                self.transport.receive(piece)
            port = self.successResultOf(self.result)
            self.assertTrue(self.successResultOf(port.confirmed))

    def test_confirmedEarly(self) -> None:
        """
        A proxy that confirms before there is a way is believed.
        """
        self.negotiate()
        self.transport.receive(SUCCESS + INITIALIZATION + CONFIRMATION)
        self.way.started.callback(None)
        self.assertTrue(self.successResultOf(self.successResultOf(self.result).confirmed))
        self.assertEqual(self.way.sent, [])

    def test_nothingKept(self) -> None:
        """
        What the proxy says after that means nothing, and is not kept.
        """
        self.establish()
        self.transport.receive(CONFIRMATION)
        for _ in range(100):
            self.transport.receive(bytes(1000))
        self.assertNoResult(self.port.lost)
        self.assertEqual(self.transport.protocol._wrappedProtocol._machine.takeData(), b"")

    def test_keepAlive(self) -> None:
        """
        The kernel is asked to find out if the proxy is gone; not all transports can.
        """
        self.establish()
        self.assertTrue(self.transport.keepAlive)
        self.listen(datagrams=("192.0.2.5", 1082))
        plain: Any = StringTransport(peerAddress=PROXY_PEER)
        self.acceptNext(plain)
        self.assertTrue(plain.value())

    def test_place(self) -> None:
        """
        Where the proxy takes datagrams is said, or where it takes TCP.
        """
        zoned = address.IPv6Address("TCP", "fe80::1", 1080, 0, 2)
        for datagrams, peer, place in [
            (None, PROXY_PEER, ("198.51.100.7", 1080)),
            ((None, 1082), PROXY_PEER, ("198.51.100.7", 1082)),
            (("192.0.2.5", 1082), PROXY_PEER, ("192.0.2.5", 1082)),
            (("192.0.2.5", 1082), address.UNIXAddress("/proxy"), ("192.0.2.5", 1082)),
            (None, address.IPv6Address("TCP", "2001:db8::1", 1080), ("2001:db8::1", 1080)),
            (None, zoned, ("fe80::1%2", 1080)),
        ]:
            self.setUp()
            self.listen(datagrams=datagrams)
            self.acceptAt(peer)
            self.transport.receive(SUCCESS + INITIALIZATION)
            self.assertEqual(self.places, [place])

    def acceptAt(self, peer: Any) -> None:
        """
        Let the proxy accept a connection at some address.
        """
        transport = ProxyTransport()
        transport.peerAddr = peer
        self.acceptNext(transport)

    def test_noPlace(self) -> None:
        """
        If nobody says, nothing is asked for.
        """
        for datagrams, peer in [
            (None, address.UNIXAddress("/proxy")),
            ((None, 1082), address.HostnameAddress(b"proxy.example", 1080)),
        ]:
            self.setUp()
            self.listen(datagrams=datagrams)
            self.acceptAt(peer)
            self.assertEqual(self.transport.value(), b"")
            self.assertFailed(UsageError)

    def test_immediate(self) -> None:
        """
        The way to the proxy may connect at once.
        """
        proxy = ImmediateEndpoint()
        self.listen(proxy, datagrams=("192.0.2.5", 1082))
        proxy.transports[0].receive(SUCCESS + INITIALIZATION)
        self.way.started.callback(None)
        self.successResultOf(self.result)


class CancelTests(AssociationTestCase):
    """
    C{listen} can be cancelled in every phase.
    """

    def test_waiting(self) -> None:
        """
        While it waits for the session.
        """
        self.call()
        self.listen(self.session)
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.acceptNext().receive(opened() + CONNECTED)
        self.assertEqual(self.unaccepted, 0)

    def test_connecting(self) -> None:
        """
        While the proxy is being connected; a connection that comes nevertheless is not
        used.
        """
        proxy = OddEndpoint()
        cancelled: list[object] = []
        proxy.connected = Deferred(cancelled.append)
        self.listen(proxy)
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.assertEqual(cancelled, [proxy.connected])
        self.assertIsNotNone(errorOf(CancelledError, proxy.factory.buildProtocol, None))

    def test_negotiating(self) -> None:
        """
        While the proxy is to reply, or to name the association, and while there is no
        way.
        """
        for octets in (b"", authenticationReply(), SUCCESS, SUCCESS + INITIALIZATION):
            self.setUp()
            self.negotiate()
            self.transport.receive(octets)
            self.result.cancel()
            self.failureResultOf(self.result, CancelledError)
            self.assertTrue(self.transport.disconnected)
            self.transport.receive(SUCCESS + INITIALIZATION)
            self.transport.lose(ConnectionLost())
            self.assertNothingLeft()
            self.assertEqual(self.listener.events, [])
        self.assertTrue(self.way.isClosed)

    def test_starting(self) -> None:
        """
        By the protocol itself, as it is started.
        """
        self.listener.whenStarted = lambda listener: self.result.cancel()
        self.negotiate()
        self.transport.receive(SUCCESS + INITIALIZATION)
        self.way.started.callback(None)
        self.failureResultOf(self.result, CancelledError)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.listener.events, ["started", "stopped"])
        self.assertIsNone(self.successResultOf(self.way.started))
        self.transport.lose(ConnectionLost())
        self.assertNothingLeft()


class EndTests(AssociationTestCase):
    """
    The association lasts as long as the connection.
    """

    def assertLost(self, kind: type[object]) -> None:
        """
        Check that it has been lost, and that nothing is left.
        """
        self.assertIsInstance(self.successResultOf(self.port.lost), kind)
        self.assertEqual(self.listener.events, ["started", "stopped"])
        self.assertTrue(self.way.isClosed)
        if self.transport.connected:
            self.transport.lose()
        self.assertNothingLeft()

    def test_lost(self) -> None:
        """
        When that is lost, so is the association.
        """
        for reason in (ConnectionDone(), ConnectionLost()):
            self.setUp()
            self.establish()
            self.transport.receive(CONFIRMATION)
            self.transport.lose(reason)
            self.assertLost(type(reason))

    def test_lostUnconfirmed(self) -> None:
        """
        If that comes before the confirmation, the proxy has ended early.
        """
        self.establish()
        self.transport.lose()
        self.assertLost(EndedEarly)

    def test_lostTLS(self) -> None:
        """
        What goes wrong with TLS is told as it is.
        """
        self.establish()
        self.transport.lose(RuntimeError("as the test wants it"))
        self.assertLost(RuntimeError)

    def test_malformedConfirmation(self) -> None:
        """
        A proxy that breaks the protocol is left.
        """
        self.establish()
        self.transport.receive(b"\1")
        self.assertTrue(self.transport.disconnecting)
        self.assertLost(MalformedAnswer)

    def test_unconfirmed(self) -> None:
        """
        So is one that gets no datagrams.
        """
        self.establish(timeout=5.0)
        self.reactor.advance(5.0)
        self.assertTrue(self.transport.disconnecting)
        self.assertLost(NoAnswer)

    def test_wayLost(self) -> None:
        """
        And one to which there is no way any more.
        """
        self.establish()
        self.way.lost(ConnectionLost())
        self.assertTrue(self.transport.disconnecting)
        self.assertLost(ConnectionLost)

    def test_stopListening(self) -> None:
        """
        The user ends it: the connection is closed, then all is over.
        """
        self.establish()
        stopped = self.port.stopListening()
        self.assertTrue(self.transport.disconnecting)
        self.assertNoResult(stopped)
        # What comes meanwhile means nothing.
        self.transport.receive(b"\1")
        self.transport.lose()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertLost(type(None))

    def test_stoppedWithBadManners(self) -> None:
        """
        A proxy that does not close in return is not waited for for ever.
        """
        self.establish()
        stopped = self.port.stopListening()
        self.reactor.advance(CLOSE_TIMEOUT)
        self.assertTrue(self.transport.disconnected)
        self.transport.lose(ConnectionLost())
        self.successResultOf(stopped)
        self.assertLost(type(None))

    def test_stoppedAtOnce(self) -> None:
        """
        A protocol may stop as it is started; C{listen} has succeeded then.
        """
        self.listener.whenStarted = lambda listener: listener.transport.stopListening()
        self.establish()
        self.transport.lose()
        self.assertLost(type(None))


class SessionTests(AssociationTestCase):
    """
    An association can be in a session.
    """

    def test_opens(self) -> None:
        """
        Its request may open the session.
        """
        self.establishWith(opened(), opening())
        self.assertTrue(self.session.isOpen)

    def test_within(self) -> None:
        """
        It names a session that is open, and spends a token.
        """
        self.open()
        self.establishWith(spent(), naming(0))

    def establishWith(self, reply: bytes, options: list[Any]) -> None:
        """
        Have the proxy open a port in the session.

        @param reply: The Authentication Reply.
        @param options: Those that are expected in the request.
        """
        self.listen(self.session)
        self.acceptNext()
        self.assertSays(self.transport, options)
        self.finish(reply)

    def finish(self, reply: bytes) -> None:
        """
        Let the latest request succeed.
        """
        self.transport.receive(reply + operationReply() + INITIALIZATION)
        self.way.started.callback(None)
        port = self.successResultOf(self.result)
        self.transport.receive(CONFIRMATION)
        self.assertTrue(self.successResultOf(port.confirmed))

    def test_invalid(self) -> None:
        """
        If the session is not known any more, the request is made once more, in
        another one, and only once.
        """
        self.open()
        self.listen(self.session)
        first = self.acceptNext()
        first.receive(INVALID)
        self.assertTrue(first.disconnecting)
        self.acceptNext()
        first.lose()
        self.assertNoResult(self.result)
        self.finish(opened(identifier=OTHER_ID))
        self.assertNothingLeft()

    def test_invalidTwice(self) -> None:
        """
        A proxy that refuses the other one, too, is not asked a third time.
        """
        self.open()
        self.listen(self.session)
        self.acceptNext().receive(INVALID)
        self.acceptNext().receive(INVALID)
        self.assertEqual(self.unaccepted, 0)
        self.assertTrue(
            self.failureResultOf(self.result, AuthenticationRefused).value.sessionInvalid
        )

    def test_token(self) -> None:
        """
        If the token is out of the window, the request is made with another one.
        """
        self.open()
        self.listen(self.session)
        self.acceptNext().receive(unspent(TokenOutcome.OUT_OF_WINDOW, window(100)))
        self.acceptNext()
        self.assertSays(self.transport, naming(100))
        self.finish(spent())

    def test_manyTokens(self) -> None:
        """
        But not for ever.
        """
        self.open()
        self.listen(self.session)
        for attempt in range(TOKEN_TRIES + 1):
            news = window(100 * (attempt + 1))
            self.acceptNext().receive(unspent(TokenOutcome.OUT_OF_WINDOW, news))
        self.assertEqual(self.unaccepted, 0)
        self.failureResultOf(self.result, TokenRefused)

    def test_late(self) -> None:
        """
        The session's ID may stand in the Operation Reply.
        """
        self.listen(self.session)
        self.acceptNext()
        news = OptionList([SessionID(ID)])
        self.transport.receive(authenticationReply() + operationReply(options=news))
        self.assertTrue(self.session.isOpen)

    def test_duplicate(self) -> None:
        """
        If it has been spent, the proxy may have opened the port: that is told.
        """
        self.open()
        self.listen(self.session)
        self.acceptNext().receive(unspent(TokenOutcome.DUPLICATE))
        error = self.assertFailed(TokenRefused)
        self.assertIs(error.outcome, TokenOutcome.DUPLICATE)

    def test_closed(self) -> None:
        """
        In a closed session nothing goes out.
        """
        self.session.close()
        self.listen(self.session)
        self.failureResultOf(self.result, SessionClosed)
        self.assertEqual(self.unaccepted, 0)

    def test_othersGoOn(self) -> None:
        """
        Whatever becomes of the request that opens the session, others do not wait for
        it for ever.
        """
        for end in ("cancel", "cancel early", "lose", "refuse"):
            self.setUp()
            self.listen(self.session)
            self.result.addErrback(lambda failure: None)
            other = self.call()
            if end == "refuse":
                self.refuseNext()
            elif end == "cancel early":
                self.result.cancel()
                self._answered += 1
            else:
                transport = self.acceptNext()
                self.assertEqual(self.unaccepted, 0)
                if end == "cancel":
                    self.result.cancel()
                else:
                    transport.lose()
            self.acceptNext().receive(opened(identifier=ID) + CONNECTED)
            self.assertConnected(other)
