"""
Tests for one try to connect, from C{connect} to its result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet import address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import ClientFactory, Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.client.access import Access
from socks6.client.attempt import TOKEN_TRIES, ConnectionAttempt
from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    NotASOCKS6Proxy,
    SessionClosed,
    TokenRefused,
)
from socks6.client.negotiation import Terms
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command, ReplyCode, TokenOutcome
from socks6.values.options import (
    Option,
    SessionID,
    SessionRequest,
    SessionUntrusted,
    TokenExpenditure,
    TokenRequest,
)
from socks6.wire import DRAFT_06
from tests.client.doubles import (
    HOST,
    PORT,
    SUCCESS,
    Application,
    ApplicationFactory,
    ClientTestCase,
    HalfCloseableApplication,
    ImmediateEndpoint,
    OddEndpoint,
    ProxyTransport,
    refusal,
)
from tests.client.sessions import (
    ADA,
    CONNECTED,
    FAILED,
    ID,
    INVALID,
    OTHER_ID,
    Call,
    SessionTestCase,
    admitted,
    naming,
    opened,
    opening,
    spent,
    unspent,
    window,
)

#: Where to.
WHERE = Address(DomainName(b"example.org"), 443)


class FactoryTests(ClientTestCase):
    """
    What becomes of the user's factory.
    """

    def test_interface(self) -> None:
        """
        The proxy's endpoint gets a factory.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.connect()
        self.assertIsInstance(endpoint.factory, ConnectionAttempt)
        verifyObject(IProtocolFactory, endpoint.factory)

    def test_address(self) -> None:
        """
        A protocol is built for the destination, not for the proxy; and once.
        """
        self.establish()
        self.assertEqual(self.factory.addresses, [address.HostnameAddress(HOST.encode(), PORT)])

    def test_startAndStop(self) -> None:
        """
        The factory is told when it is in use, by the proxy's endpoint.
        """
        told: list[str] = []
        self.connect()
        self.patch(self.factory, "doStart", lambda: told.append("start"))
        self.patch(self.factory, "doStop", lambda: told.append("stop"))
        factory: ClientFactory[Any] = self.reactor.tcpClients[-1][2]
        factory.doStart()
        factory.doStop()
        self.assertEqual(told, ["start", "stop"])

    def test_noProtocol(self) -> None:
        """
        A factory that builds no protocol fails the attempt before anything is sent.
        """
        for optimistic in (False, True):
            self.connect(optimistic=optimistic)
            self.factory.application = None
            # The reactor closes a connection without a protocol.
            self.assertIsNone(self.build())
            self.failureResultOf(self.result, NoProtocol)
            self.assertNothingLeft()

    def test_raises(self) -> None:
        """
        So does one that raises, and its exception is told.
        """

        def fail(addr: object) -> None:
            raise ZeroDivisionError

        self.connect()
        self.patch(self.factory, "buildProtocol", fail)
        self.assertIsNone(self.build())
        self.failureResultOf(self.result, ZeroDivisionError)

    def test_oneAttemptEach(self) -> None:
        """
        One endpoint can be used for many attempts at once; they share nothing.
        """
        endpoint = SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, HOST, PORT)
        factory = Factory.forProtocol(type(self.application))
        factory.noisy = False
        results = [endpoint.connect(factory) for _ in range(2)]
        transports = []
        for _, _, connecting, _, _ in self.reactor.tcpClients:
            transport = ProxyTransport()
            transport.protocol = connecting.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            transports.append(transport)
        transports[1].receive(SUCCESS)
        self.assertNoResult(results[0])
        second = self.successResultOf(results[1])
        transports[0].receive(SUCCESS)
        self.assertIsNot(self.successResultOf(results[0]), second)


class ProxyEndpointTests(ClientTestCase):
    """
    What the proxy's endpoint can do to the attempt.
    """

    def test_notConnected(self) -> None:
        """
        Where the proxy cannot be reached, the attempt fails in the endpoint's words.
        """
        self.connect()
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.failureResultOf(self.result, ConnectionRefusedError)
        self.assertNothingLeft()

    def test_raises(self) -> None:
        """
        An endpoint that raises fails the attempt as well.
        """

        class Raising(OddEndpoint):
            """
            Such an endpoint.
            """

            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                """
                Raise.
                """
                raise ZeroDivisionError

        self.proxyEndpoint = Raising()  # type: ignore[assignment]
        self.connect()
        self.failureResultOf(self.result, ZeroDivisionError)

    def test_immediately(self) -> None:
        """
        An endpoint may connect before it returns.
        """
        transport = ProxyTransport()

        class Immediate(OddEndpoint):
            """
            One through which even the proxy's replies come at once.
            """

            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                """
                Connect.
                """
                transport.protocol = protocolFactory.buildProtocol(None)
                transport.protocol.makeConnection(transport)
                transport.receive(SUCCESS)
                return succeed(transport.protocol)

        self.proxyEndpoint = Immediate()  # type: ignore[assignment]
        self.connect()
        self.assertIdentical(self.successResultOf(self.result), self.application)

    def test_failsAfterwards(self) -> None:
        """
        An endpoint that fails although it has connected us fails the attempt; the
        connection is closed.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.connect()
        transport = ProxyTransport()
        transport.protocol = endpoint.factory.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        endpoint.connected.errback(Failure(ZeroDivisionError()))
        self.failureResultOf(self.result, ZeroDivisionError)
        self.assertTrue(transport.disconnected)
        transport.receive(SUCCESS)
        transport.lose(ConnectionAborted())
        self.assertEqual(self.application.events, [])
        self.assertNothingLeft()

    def test_failsTooLate(self) -> None:
        """
        Once the attempt is decided, it does not matter what the endpoint says.
        """
        for octets, closing in [(SUCCESS, False), (b"\x05", True)]:
            endpoint = OddEndpoint()
            self.proxyEndpoint = endpoint  # type: ignore[assignment]
            self.connect()
            transport = ProxyTransport()
            transport.protocol = endpoint.factory.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            transport.receive(octets)
            endpoint.connected.errback(Failure(ZeroDivisionError()))
            self.assertEqual(transport.disconnecting, closing)
            self.assertFalse(transport.disconnected)
            if closing:
                self.failureResultOf(self.result, NotASOCKS6Proxy)
            else:
                self.successResultOf(self.result)
                self.assertEqual(self.application.events, ["made"])
            transport.lose()
            self.assertNothingLeft()


class HurryTests(SynchronousTestCase):
    """
    What may leave in the first packet, and arrive twice then.
    """

    def ask(
        self,
        *options: Option,
        optimistic: bool = True,
        isEncrypted: bool = False,
        **terms: bool,
    ) -> bool:
        """
        Make an attempt.

        @param options: What the request says of who makes it.
        @return: What it says to the proxy's endpoint.
        """
        endpoint = OddEndpoint()
        attempt = ConnectionAttempt(
            Access(endpoint, options),
            Terms(Clock(), Command.CONNECT, WHERE, optimistic, 60.0, DRAFT_06, **terms),  # type: ignore[arg-type]
            Factory(),
        )
        attempt.start()
        may: bool = endpoint.factory.mayHurry(isEncrypted)
        return may

    def test_noData(self) -> None:
        """
        The request may if no application data is behind it.
        """
        self.assertTrue(self.ask(optimistic=False))
        self.assertTrue(self.ask(SessionRequest(), ADA, optimistic=False))

    def test_data(self) -> None:
        """
        With application data it may if a token is spent, with TLS, or if the user does
        not mind; else not.
        """
        self.assertFalse(self.ask())
        self.assertFalse(self.ask(SessionID(ID), ADA, TokenRequest(64)))
        self.assertTrue(self.ask(SessionID(ID), TokenExpenditure(3)))
        self.assertTrue(self.ask(isEncrypted=True))
        self.assertTrue(self.ask(replayable=True))

    def test_otherReasons(self) -> None:
        """
        Nothing may if there are other reasons against it.
        """
        for arguments in (
            {"optimistic": False},
            {"isEncrypted": True},
            {"replayable": True},
        ):
            self.assertFalse(self.ask(TokenExpenditure(3), mayHurry=False, **arguments))


class CancelTests(ClientTestCase):
    """
    Cancelling ends the attempt in every phase.
    """

    def test_connecting(self) -> None:
        """
        While the proxy is being connected, that ends.
        """
        self.connect()
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        connector: Any = self.reactor.connectors[-1]
        self.assertTrue(connector.stoppedConnecting)
        self.assertNothingLeft()

    def test_connectedAllTheSame(self) -> None:
        """
        If it is connected after all, nothing is sent.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.connect()
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.assertRaises(CancelledError, endpoint.factory.buildProtocol, None)
        self.assertEqual(self.factory.addresses, [])

    def test_negotiating(self) -> None:
        """
        While the replies are waited for, the connection is aborted.
        """
        for octets in (b"", SUCCESS[:3], SUCCESS[:-1]):
            self.setUp()
            self.negotiate()
            if octets:
                self.transport.receive(octets)
            self.result.cancel()
            self.failureResultOf(self.result, CancelledError)
            self.assertTrue(self.transport.disconnected)
            # It takes the reactor a turn to be rid of it.
            self.transport.receive(SUCCESS)
            self.transport.lose(ConnectionAborted())
            self.assertEqual(self.application.events, [])
            self.assertNothingLeft()

    def test_whileConnecting(self) -> None:
        """
        If the protocol cancels its own connection while it is told of it, it hears
        that it is lost, and gets no data.
        """
        for optimistic in (False, True):
            self.setUp()
            self.application.whenMade = lambda application: self.result.cancel()
            self.negotiate(optimistic=optimistic)
            self.transport.receive(SUCCESS + b"hello")
            self.failureResultOf(self.result, CancelledError)
            self.assertTrue(self.transport.disconnected)
            self.transport.lose(ConnectionAborted())
            self.assertEqual(self.application.events[:1], ["made"])
            self.assertIsInstance(self.application.events[1], CancelledError)
            self.assertEqual(len(self.application.events), 2)
            self.assertNothingLeft()

    def test_connected(self) -> None:
        """
        Afterwards there is nothing to cancel.
        """
        self.negotiate()
        self.transport.receive(SUCCESS)
        self.result.cancel()
        self.assertIdentical(self.successResultOf(self.result), self.application)
        self.assertFalse(self.transport.disconnecting)

    def test_failed(self) -> None:
        """
        Nor is there after a failure.
        """
        self.negotiate()
        self.transport.receive(b"\x05")
        self.result.cancel()
        self.failureResultOf(self.result)
        self.assertFalse(self.transport.disconnected)
        self.transport.lose()


class RemedyTests(SessionTestCase):
    """
    A request for which nothing has been done is made once more, if that may help.
    """

    def assertLeft(self, transport: ProxyTransport) -> None:
        """
        Check that a connection is closed in good manners, and concerns nobody.
        """
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.disconnected)
        transport.receive(CONNECTED + b"from beyond")
        transport.lose()

    def test_newSession(self) -> None:
        """
        In a new session, if the proxy does not know the old one; nobody notices.
        """
        self.open()
        application = HalfCloseableApplication()
        call = self.call(application)
        first = self.acceptNext()
        first.receive(INVALID)
        self.assertNoResult(call.result)
        second = self.acceptNext()
        self.assertSays(second, opening())
        first.endInput()
        self.assertLeft(first)
        second.receive(opened(64, OTHER_ID) + CONNECTED + b"hello")
        self.assertConnected(call)
        self.assertEqual(application.events, ["made", b"hello"])
        self.assertNothingLeft()

    def test_everySplit(self) -> None:
        """
        The refusal may be cut at any octet.
        """
        for cut in range(1, len(INVALID)):
            self.setUp()
            self.open()
            call = self.call()
            transport = self.acceptNext()
            transport.receive(INVALID[:cut])
            self.assertEqual(self.unaccepted, 0)
            transport.receive(INVALID[cut:])
            self.acceptNext().receive(opened() + CONNECTED)
            self.assertConnected(call)

    def test_oneProtocol(self) -> None:
        """
        The protocol is built once.
        """
        self.open()
        endpoint = SOCKS6ClientEndpoint(self.reactor, self.session, HOST, PORT)
        factory = ApplicationFactory(self.application)
        connected = endpoint.connect(factory)
        self.acceptNext().receive(INVALID)
        self.acceptNext().receive(opened() + CONNECTED)
        self.assertIdentical(self.successResultOf(connected), self.application)
        self.assertEqual(len(factory.addresses), 1)

    def test_invalidAgain(self) -> None:
        """
        A session that is invalid as soon as it is open is not replaced for the same
        request; the next one opens another.
        """
        self.open()
        first, second = self.calls(2)
        self.acceptNext().receive(INVALID)
        transport = self.acceptNext()
        transport.receive(INVALID)
        # That one opens it.
        opener = self.acceptNext()
        self.assertSays(opener, opening())
        opener.receive(opened(64, OTHER_ID))
        transport = self.acceptNext()
        self.assertSays(transport, naming(0, identifier=OTHER_ID))
        transport.receive(INVALID)
        failure = self.failureResultOf(second.result, AuthenticationRefused)
        self.assertTrue(failure.value.sessionInvalid)
        self.assertEqual(self.unaccepted, 0)
        opener.receive(CONNECTED)
        self.assertConnected(first)
        self.call()
        self.assertSays(self.acceptNext(), opening())

    def test_oneNewSession(self) -> None:
        """
        Of several requests on their way, the first that is refused opens another
        session, and the others wait for that.
        """
        self.open()
        calls = self.calls(5)
        transports = self.acceptAll()
        for transport in transports[:3]:
            transport.receive(INVALID)
        opener = self.acceptNext()
        self.assertSays(opener, opening())
        self.assertWaiting(*calls)
        opener.receive(opened(64, OTHER_ID))
        # Some hear of it when it has been replaced.
        for transport in transports[3:]:
            transport.receive(INVALID)
        for token in range(4):
            transport = self.acceptNext()
            self.assertSays(transport, naming(token, identifier=OTHER_ID))
            transport.receive(spent() + CONNECTED)
        opener.receive(CONNECTED)
        for call in calls:
            self.assertConnected(call)
        self.assertEqual(self.unaccepted, 0)

    def test_credentials(self) -> None:
        """
        With the credentials, if the session was trusted and the proxy does not let
        us in without; and so are all requests from then on.
        """
        self.open()
        call = self.call()
        first = self.acceptNext()
        first.receive(refusal())
        self.assertLeft(first)
        second = self.acceptNext()
        self.assertSays(second, naming(1, ADA))
        second.receive(spent() + CONNECTED)
        self.assertConnected(call)
        self.assertTrue(self.session.isOpen)
        self.assertFalse(self.session.isTrusted)
        self.call()
        self.assertSays(self.acceptNext(), naming(2, ADA))

    def test_credentialsRefused(self) -> None:
        """
        They are shown once.
        """
        self.open()
        call = self.call()
        self.acceptNext().receive(refusal())
        self.acceptNext().receive(refusal())
        failure = self.failureResultOf(call.result, AuthenticationRefused)
        self.assertFalse(failure.value.sessionInvalid)
        self.assertEqual(self.unaccepted, 0)

    def test_untrusted(self) -> None:
        """
        Not if the request had them already.
        """
        self.open(opened(64, ID, SessionUntrusted()))
        call = self.call()
        self.acceptNext().receive(refusal())
        self.failureResultOf(call.result, AuthenticationRefused)
        self.assertEqual(self.unaccepted, 0)

    def test_raises(self) -> None:
        """
        Nothing is done for a protocol that raises when it is connected.
        """

        def fail(application: Any) -> None:
            raise ZeroDivisionError

        self.open()
        call = self.call(Application(fail), optimistic=True)
        self.assertRaises(ZeroDivisionError, self.acceptNext)
        self.failureResultOf(call.result, ZeroDivisionError)
        # Before the reactor comes to close the connection.
        self.transport.receive(INVALID)
        self.assertEqual(self.unaccepted, 0)

    def test_noCredentials(self) -> None:
        """
        If there are none there is no remedy.
        """
        self.session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        self.open()
        call = self.call()
        self.acceptNext().receive(refusal())
        self.failureResultOf(call.result, AuthenticationRefused)
        self.assertEqual(self.unaccepted, 0)

    def test_opener(self) -> None:
        """
        Nor is there for a request that names no session.
        """
        for reply, invalid in ((refusal(), False), (INVALID, True)):
            call = self.call()
            self.acceptNext().receive(reply)
            failure = self.failureResultOf(call.result, AuthenticationRefused)
            self.assertIs(failure.value.sessionInvalid, invalid)
            self.assertEqual(self.unaccepted, 0)

    def test_oneAfterTheOther(self) -> None:
        """
        A request may need several remedies.
        """
        self.open()
        call, opener = self.calls(2)
        first, second = self.acceptAll()
        first.receive(refusal())
        self.acceptNext().receive(unspent(TokenOutcome.OUT_OF_WINDOW, window(9)))
        transport = self.acceptNext()
        self.assertSays(transport, naming(9, ADA))
        second.receive(INVALID)
        transport.receive(INVALID)
        self.acceptNext().receive(opened(64, OTHER_ID) + CONNECTED)
        transport = self.acceptNext()
        self.assertSays(transport, naming(0, identifier=OTHER_ID))
        transport.receive(spent() + CONNECTED)
        self.assertConnected(call)
        self.assertConnected(opener)

    def test_newToken(self) -> None:
        """
        With another token, if the one that it had was not in its window; the
        Operation Reply is not waited for.
        """
        for size in (1, 1000):
            self.setUp()
            self.open()
            call = self.call()
            first = self.acceptNext()
            octets = unspent(TokenOutcome.OUT_OF_WINDOW, window(100))
            for start in range(0, len(octets), size):
                first.receive(octets[start : start + size])
            self.assertLeft(first)
            second = self.acceptNext()
            self.assertSays(second, naming(100))
            second.receive(spent() + CONNECTED)
            self.assertConnected(call)
            self.assertNothingLeft()

    def test_burst(self) -> None:
        """
        That happens to all requests that are overtaken by one which asks for a fresh
        window, and to some of them more than once, before the window is as large as
        is needed.  None fails.
        """
        self.open(opened(4))
        calls = [self.call(port=port) for port in range(1, 21)]
        base = 0
        refused: Counter[int] = Counter()
        while transports := self.acceptAll():
            *late, asking = transports
            if asking.request.options.first(TokenRequest) is None:
                break
            # It arrives before the others, and those arrive too late.
            base += 4
            asking.receive(spent(window(base, 4)) + CONNECTED)
            for transport in late:
                refused[transport.request.address.port] += 1
                transport.receive(unspent(TokenOutcome.OUT_OF_WINDOW, window(base, 4)))
        for transport in transports:
            transport.receive(spent() + CONNECTED)
        self.assertGreater(max(refused.values()), 3)
        for call in calls:
            self.assertConnected(call)

    def test_tokenTries(self) -> None:
        """
        A proxy that has the same to say of every token is not tried for ever.
        """
        self.open()
        call = self.call()
        for count in range(TOKEN_TRIES + 1):
            self.assertNoResult(call.result)
            news = window(100 * count)
            self.acceptNext().receive(unspent(TokenOutcome.OUT_OF_WINDOW, news))
        failure = self.failureResultOf(call.result, TokenRefused)
        self.assertIs(failure.value.outcome, TokenOutcome.OUT_OF_WINDOW)
        self.assertEqual(failure.value.code, ReplyCode.GENERAL_FAILURE)
        self.assertEqual(self.unaccepted, 0)

    def test_duplicate(self) -> None:
        """
        If the token has been spent, the request may have been carried out: it is
        never made again.
        """
        octets = unspent(TokenOutcome.DUPLICATE)
        for optimistic in (False, True):
            for size in (1, 1000):
                self.setUp()
                self.open()
                call = self.call(optimistic=optimistic)
                transport = self.acceptNext()
                for start in range(0, len(octets), size):
                    transport.receive(octets[start : start + size])
                self.assertEqual(self.unaccepted, 0)
                if optimistic:
                    self.assertTrue(transport.disconnected)
                    transport.lose(ConnectionAborted())
                    self.assertEqual(call.application.events[0], "made")
                    error = call.application.events[1]
                else:
                    self.assertLeft(transport)
                    error = self.failureResultOf(call.result).value
                    self.assertEqual(call.application.events, [])
                self.assertIsInstance(error, TokenRefused)
                self.assertIs(error.outcome, TokenOutcome.DUPLICATE)
                self.assertNothingLeft()

    def test_noSession(self) -> None:
        """
        Without a session nothing is made again.
        """
        for octets, kind in (
            (INVALID, AuthenticationRefused),
            (unspent(TokenOutcome.OUT_OF_WINDOW, window(0)), TokenRefused),
        ):
            self.negotiate()
            self.transport.receive(octets)
            self.failureResultOf(self.result, kind)
            self.transport.lose()
        self.assertEqual(len(self.reactor.tcpClients), 2)


class OnceMoreTests(SessionTestCase):
    """
    What can happen to a request that is made again.
    """

    def refuse(self, **arguments: Any) -> Call:
        """
        Let a request be refused, while another one opens the next session.

        @return: The call; it waits for that other one.
        """
        self.open()
        opener = self.call()
        call = self.call(**arguments)
        first, second = self.acceptAll()
        first.receive(INVALID)
        self.opener = self.acceptNext()
        second.receive(INVALID)
        for transport in (first, second):
            transport.lose()
        self.assertWaiting(opener)
        opener.result.addErrback(lambda _: None)
        return call

    def test_notConnected(self) -> None:
        """
        If the proxy has gone away the request fails in the endpoint's words.
        """
        call = self.refuse()
        self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
        self.refuseNext()
        self.failureResultOf(call.result, ConnectionRefusedError)
        self.assertEqual(call.application.events, [])

    def test_lost(self) -> None:
        """
        If the connection is lost, or the proxy takes too long, it fails; the time
        begins anew.
        """
        for lost in (True, False):
            self.setUp()
            call = self.refuse()
            self.reactor.advance(59)
            self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
            transport = self.acceptNext()
            self.reactor.advance(59)
            self.assertNoResult(call.result)
            if lost:
                transport.lose()
                self.failureResultOf(call.result, EndedEarly)
            else:
                self.reactor.advance(1)
                self.failureResultOf(call.result, TimeoutError)
            self.assertEqual(self.unaccepted, 0)

    def test_closed(self) -> None:
        """
        If the session is closed meanwhile, it fails.
        """
        call = self.refuse()
        self.session.close()
        self.failureResultOf(call.result, SessionClosed)

    def test_cancelled(self) -> None:
        """
        It can be cancelled in every phase.
        """
        for phase in ("waiting", "connecting", "negotiating"):
            self.setUp()
            call = self.refuse()
            if phase != "waiting":
                self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
            if phase == "negotiating":
                self.acceptNext()
            call.result.cancel()
            self.failureResultOf(call.result, CancelledError)
            if phase == "waiting":
                self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
                self.assertEqual(self.unaccepted, 0)
            elif phase == "connecting":
                connector: Any = self.reactor.connectors[-1]
                self.assertTrue(connector.stoppedConnecting)
            else:
                self.assertTrue(self.transport.disconnected)
                self.transport.lose(ConnectionAborted())
            self.assertEqual(call.application.events, [])
            self.assertNothingLeft()

    def test_optimisticFails(self) -> None:
        """
        A protocol that is connected already hears why there is no other connection,
        once.
        """
        ways: list[tuple[Callable[[], object], type[Exception]]] = [
            (self.refuseNext, ConnectionRefusedError),
            (lambda: self.acceptNext().lose(), EndedEarly),
        ]
        for way, kind in ways:
            self.setUp()
            call = self.refuse(optimistic=True)
            self.assertEqual(call.application.events, ["made"])
            self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
            way()
            self.assertEqual(len(call.application.events), 2)
            self.assertIsInstance(call.application.events[1], kind)
            self.assertFalse(call.application.transport.connected)
        self.setUp()
        call = self.refuse(optimistic=True)
        self.session.close()
        self.assertIsInstance(call.application.events[1], SessionClosed)

    def test_optimisticCancelTooLate(self) -> None:
        """
        Its connector cannot cancel any more.
        """
        call = self.refuse(optimistic=True)
        call.result.cancel()
        self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
        self.acceptNext().receive(spent() + CONNECTED)
        self.assertConnected(call)

    def test_abort(self) -> None:
        """
        A protocol that aborts while there is no connection hears of just that, but
        not within that call; what was under way is given up.
        """
        for connecting in (False, True):
            self.setUp()
            call = self.refuse(optimistic=True)
            if connecting:
                self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
            tunnel = call.application.transport
            tunnel.abortConnection()
            tunnel.abortConnection()
            self.assertTrue(tunnel.disconnecting)
            self.assertEqual(call.application.events, ["made"])
            self.reactor.advance(0)
            self.assertEqual(call.application.events[0], "made")
            self.assertIsInstance(call.application.events[1], ConnectionAborted)
            self.assertEqual(len(call.application.events), 2)
            if connecting:
                connector: Any = self.reactor.connectors[-1]
                self.assertTrue(connector.stoppedConnecting)
            else:
                self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
                self.assertEqual(self.unaccepted, 0)
            tunnel.abortConnection()
            self.reactor.advance(0)
            self.assertEqual(len(call.application.events), 2)
            self.assertNothingLeft()

    def test_abortAndConnect(self) -> None:
        """
        It makes no difference if there is a connection again in the same turn.
        """
        call = self.refuse(optimistic=True)
        self.opener.receive(opened(64, OTHER_ID) + CONNECTED)
        call.application.transport.abortConnection()
        transport = self.acceptNext()
        self.reactor.advance(0)
        self.assertTrue(transport.disconnected)
        self.assertEqual(call.application.events, ["made"])
        transport.lose(ConnectionAborted())
        self.assertIsInstance(call.application.events[1], ConnectionAborted)
        self.assertNothingLeft()


class CallingBackTests(SessionTestCase):
    """
    A request's answer lets others go on, and one of those may give the request up.
    """

    def setUp(self) -> None:
        """
        Have a way to the proxy that connects at once, a request that opens the
        session, and another one that waits and will then cancel the first.
        """
        super().setUp()
        endpoint = ImmediateEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.renew()
        self.transports = endpoint.transports

    def begin(self, optimistic: bool) -> tuple[Call, Call]:
        """
        Make both requests.
        """
        first = self.call(optimistic=optimistic)

        def giveUp(application: Any) -> None:
            if optimistic:
                first.application.transport.abortConnection()
            else:
                first.result.cancel()

        return first, self.call(Application(giveUp), optimistic=True)

    def assertGivenUp(self, call: Call, optimistic: bool, kind: type[Exception]) -> None:
        """
        Check that the first request has failed, and nothing else has happened.
        """
        transport = self.transports[0]
        self.assertTrue(transport.disconnected)
        transport.lose(ConnectionAborted())
        if optimistic:
            self.assertIsInstance(call.application.events[1], kind)
            self.assertEqual(len(call.application.events), 2)
        else:
            self.failureResultOf(call.result, CancelledError)
            self.assertEqual(call.application.events, [])

    def test_built(self) -> None:
        """
        It may even be given up when its own protocol is built.
        """
        self.call()
        endpoint = SOCKS6ClientEndpoint(self.reactor, self.session, HOST, PORT, optimistic=True)
        factory = ApplicationFactory(self.application)
        result = endpoint.connect(factory)

        def cancel(addr: object) -> Application:
            result.cancel()
            return self.application

        self.patch(factory, "buildProtocol", cancel)
        self.transports[0].receive(opened())
        self.failureResultOf(result, CancelledError)
        self.assertEqual(self.transports[1].value(), b"")
        self.assertEqual(self.application.events, [])

    def test_authenticated(self) -> None:
        """
        When the session is open.
        """
        for optimistic in (False, True):
            self.setUp()
            first, second = self.begin(optimistic)
            self.transports[0].receive(opened() + (b"" if optimistic else CONNECTED))
            self.assertGivenUp(first, optimistic, ConnectionAborted)
            self.transports[1].receive(spent() + CONNECTED)
            self.assertConnected(second)
            self.assertNothingLeft()

    def test_admitted(self) -> None:
        """
        When it is known that there may be none.
        """
        for optimistic in (False, True):
            self.setUp()
            first, second = self.begin(optimistic)
            self.transports[0].receive(admitted() + (b"" if optimistic else CONNECTED))
            self.assertGivenUp(first, optimistic, ConnectionAborted)
            self.transports[1].receive(SUCCESS)
            self.assertConnected(second)
            self.assertNothingLeft()

    def test_replied(self) -> None:
        """
        When the Operation Reply is there, by who has waited for that to close the
        session.
        """

        def giveUp(_: None, call: Call) -> None:
            call.result.cancel()

        for operation in (CONNECTED, FAILED):
            self.setUp()
            first = self.call()
            closed = self.session.close().addCallback(giveUp, first)
            self.transports[0].receive(admitted())
            self.assertNoResult(closed)
            self.transports[0].receive(operation)
            self.successResultOf(closed)
            self.assertGivenUp(first, False, CancelledError)
            self.assertEqual(len(self.transports), 1)
            self.assertNothingLeft()

    def test_refused(self) -> None:
        """
        When it is refused.
        """
        first, _ = self.begin(False)
        self.transports[0].receive(refusal())
        self.assertGivenUp(first, False, CancelledError)

    def test_lost(self) -> None:
        """
        When its connection is lost.
        """
        for optimistic in (False, True):
            self.setUp()
            first, _ = self.begin(optimistic)
            self.transports[0].lose()
            self.assertTrue(self.transports[0].disconnected)
            if optimistic:
                self.assertEqual(len(first.application.events), 2)
            else:
                self.failureResultOf(first.result, CancelledError)
                self.assertEqual(first.application.events, [])
