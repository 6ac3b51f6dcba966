"""
Tests for sessions: how they begin, who waits for what, and how they end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    NoAnswer,
    NotASOCKS6Proxy,
    RequestRefused,
    SessionClosed,
)
from socks6.client.session import DECLINED_PERIOD, SOCKS6Session
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command
from socks6.values.options import (
    OptionList,
    SessionID,
    SessionRequest,
    SessionUntrusted,
    TokenRequest,
)
from tests.client.doubles import (
    REQUEST,
    SUCCESS,
    Application,
    ApplicationFactory,
    ImmediateEndpoint,
    OddEndpoint,
    ProxyTransport,
    operationReply,
    refusal,
)
from tests.client.sessions import (
    ADA,
    CONNECTED,
    FAILED,
    FAREWELL,
    ID,
    INVALID,
    OTHER_ID,
    WITHIN,
    Call,
    SessionTestCase,
    admitted,
    naming,
    opened,
    opening,
    spent,
    window,
)

#: Ways for a request to fail once it is out, and what it fails with.
LOSSES: dict[str, tuple[Callable[[SessionTestCase, ProxyTransport], object], type[Exception]]] = {
    "refused": (lambda test, transport: transport.receive(refusal()), AuthenticationRefused),
    "no proxy": (lambda test, transport: transport.receive(b"\x05"), NotASOCKS6Proxy),
    "timed out": (lambda test, transport: test.reactor.advance(60), TimeoutError),
    "lost": (lambda test, transport: transport.lose(ConnectionLost()), EndedEarly),
}


class FickleEndpoint(ImmediateEndpoint):
    """
    A way to the proxy that does not connect each time.

    @ivar refuses: Whether it does not the next time.
    """

    refuses = False

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        Connect, or fail before this returns.
        """
        if self.refuses:
            self.refuses = False
            return fail(ConnectionRefusedError())
        return super().connect(protocolFactory)


class ArgumentsTests(SynchronousTestCase):
    """
    What a session can be made from.
    """

    def test_impossible(self) -> None:
        """
        What cannot be is an error before anybody connects.
        """
        reactor = MemoryReactorClock()
        for arguments in (
            {"username": "ada"},
            {"password": "s3cret"},
            {"username": "ada", "password": "s" * 256},
            {"tokens": -1},
            {"tokens": 65537},
            {"timeout": 0},
            {"timeout": float("inf")},
            {"timeout": float("nan")},
        ):
            made: Any = arguments
            error = self.assertRaises(ValueError, SOCKS6Session, reactor, OddEndpoint(), **made)
            self.assertNotIn("s3cret", str(error))


class OpeningTests(SessionTestCase):
    """
    The first request opens the session.
    """

    def test_oneRequest(self) -> None:
        """
        One and the same request connects, says who we are, and asks for a session
        and for tokens.
        """
        self.call()
        options = (
            b"\x04\x00\x04\x01"
            # kind:1 length:2 method:1, then RFC 1929's version:1 and both strings.
            + (b"\x03\x00\x10\x02" + b"\x01\x03ada\x06s3cret")
            + b"\x05\x00\x08\x01\x00\x00\x00\x40"
        )
        self.assertEqual(self.acceptNext().value(), REQUEST[:-2] + b"\x00\x1c" + options)

    def test_laterRequests(self) -> None:
        """
        Those after it name the session, and spend its tokens, the smallest first;
        they need no credentials.
        """
        self.open()
        self.assertTrue(self.session.isTrusted)
        for token in range(5):
            call = self.call()
            transport = self.acceptNext()
            self.assertSays(transport, naming(token))
            transport.receive(spent() + CONNECTED)
            self.assertConnected(call)
        options = (
            b"\x04\x00\x13\x02a secret of two"
            # kind:1 length:2 type:1 token:4
            b"\x05\x00\x08\x03\x00\x00\x00\x05"
        )
        self.call()
        self.assertEqual(self.acceptNext().value(), REQUEST[:-2] + b"\x00\x1b" + options)

    def test_anonymous(self) -> None:
        """
        Who has no name can have a session all the same.
        """
        self.session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        self.call()
        self.assertSays(self.acceptNext(), [SessionRequest(), TokenRequest(64)])

    def test_tokens(self) -> None:
        """
        How many tokens to ask for can be chosen.
        """
        for size in (1, 65536):
            self.renew(tokens=size)
            self.call()
            self.assertSays(self.acceptNext(), opening(size))

    def test_noTokens(self) -> None:
        """
        Who wants no tokens neither asks for any nor spends one that is offered.
        """
        self.renew(tokens=0)
        call, waiting = self.calls(2)
        transport = self.acceptNext()
        self.assertSays(transport, opening(0))
        transport.receive(opened())
        # There is no window to wait for.
        self.assertSays(self.acceptNext(), naming())
        self.assertNoResult(waiting.result)
        transport.receive(CONNECTED)
        self.assertConnected(call)
        self.call()
        self.assertSays(self.acceptNext(), naming())

    def test_untrusted(self) -> None:
        """
        In an untrusted session each request brings the credentials.
        """
        self.open(opened(64, ID, SessionUntrusted()))
        self.assertTrue(self.session.isOpen)
        self.assertFalse(self.session.isTrusted)
        for token in range(3):
            self.call()
            self.assertSays(self.acceptNext(), naming(token, ADA))

    def test_lateID(self) -> None:
        """
        The draft says once that the ID stands in the Operation Reply; it counts
        there, too, with all that belongs to it.  Until then requests go out without
        the session, those that have waited and those that come, and none opens
        another one.
        """
        call, _ = self.calls(2)
        transport = self.acceptNext()
        transport.receive(admitted())
        self.call()
        for other in self.acceptAll():
            self.assertSays(other, [ADA])
        self.assertEqual(len(self.reactor.tcpClients), 3)
        self.assertFalse(self.session.isOpen)
        options = OptionList([SessionID(ID), SessionUntrusted(), window(7)])
        transport.receive(operationReply(options=options))
        self.assertConnected(call)
        self.assertTrue(self.session.isOpen)
        self.assertEqual(self.session.tokensLeft, 64)
        self.call()
        self.assertSays(self.acceptNext(), naming(7, ADA))

    def test_failedOperation(self) -> None:
        """
        A session is open even if the operation has failed that was asked for
        together with it.
        """
        call = self.call()
        self.acceptNext().receive(opened() + FAILED)
        self.failureResultOf(call.result, RequestRefused)
        self.call()
        self.assertSays(self.acceptNext(), naming(0))

    def test_sharedByEndpoints(self) -> None:
        """
        Any number of endpoints are in the same session.
        """
        self.open()
        for token, host in enumerate(("a.example", "b.example")):
            endpoint = SOCKS6ClientEndpoint(self.reactor, self.session, host, 80)
            endpoint.connect(ApplicationFactory(Application()))
            transport = self.acceptNext()
            self.assertEqual(str(transport.request.address), f"{host}:80")
            self.assertSays(transport, naming(token))

    def test_unasked(self) -> None:
        """
        An ID that nobody has asked for opens nothing.
        """
        self.open()
        call = self.call()
        self.acceptNext().receive(opened(64, OTHER_ID) + CONNECTED)
        self.assertConnected(call)
        self.call()
        self.assertSays(self.acceptNext(), naming(1))


class WaitingTests(SessionTestCase):
    """
    Requests wait while the first one opens the session.
    """

    def test_manyAtOnce(self) -> None:
        """
        All but the first wait for its Authentication Reply, not for its Operation
        Reply; then they go out in their order.
        """
        first, *others = self.calls(6)
        self.assertEqual(self.unaccepted, 1)
        transport = self.acceptNext()
        self.assertWaiting(*others)
        transport.receive(opened())
        self.assertEqual(self.unaccepted, 5)
        self.assertNoResult(first.result)
        for token, call in enumerate(others):
            other = self.acceptNext()
            self.assertSays(other, naming(token))
            other.receive(spent() + CONNECTED)
            self.assertConnected(call)
        transport.receive(CONNECTED)
        self.assertConnected(first)
        self.assertNothingLeft()

    def test_everyOctet(self) -> None:
        """
        Nobody goes on before the last octet of the Authentication Reply.
        """
        self.calls(2)
        transport = self.acceptNext()
        for octet in opened():
            self.assertEqual(self.unaccepted, 0)
            transport.receive(bytes([octet]))
        self.assertEqual(self.unaccepted, 1)

    def test_notConnected(self) -> None:
        """
        If the proxy cannot be reached, all that have waited try it at once, the first
        of them with the session; one that comes later waits for that one.
        """
        calls = self.calls(4)
        self.assertEqual(self.unaccepted, 1)
        self.refuseNext()
        self.failureResultOf(calls[0].result, ConnectionRefusedError)
        self.assertEqual(self.unaccepted, 3)
        later = self.call()
        self.assertEqual(self.unaccepted, 3)
        self.refuseNext()
        self.failureResultOf(calls[1].result, ConnectionRefusedError)
        self.assertEqual(self.unaccepted, 3)
        for call in calls[2:]:
            self.assertSays(self.acceptNext(), [ADA])
            self.assertNoResult(call.result)
        self.assertSays(self.acceptNext(), opening())
        self.assertNoResult(later.result)

    def test_openerFails(self) -> None:
        """
        However the first one fails, the next one opens the session, and the others
        that have waited go out without it at the same time.  One that comes later
        waits for the session.
        """
        for name, (lose, error) in LOSSES.items():
            self.setUp()
            first, second, *others = self.calls(4)
            lose(self, self.acceptNext())
            self.failureResultOf(first.result, error)
            self.assertEqual(self.unaccepted, 3, name)
            transport = self.acceptNext()
            self.assertSays(transport, opening(), name)
            for call in others:
                other = self.acceptNext()
                self.assertSays(other, [ADA], name)
                other.receive(SUCCESS)
                self.assertConnected(call)
            later = self.call()
            self.assertWaiting(second, later)
            transport.receive(opened() + CONNECTED)
            self.assertConnected(second)
            self.assertSays(self.acceptNext(), naming(0), name)

    def test_silentProxy(self) -> None:
        """
        However many wait for a proxy that does not answer, they fail together, one
        time-out after the first one.
        """
        first, *others = self.calls(9)
        self.acceptNext()
        self.reactor.advance(59.75)
        self.assertWaiting(first, *others)
        self.reactor.advance(0.25)
        self.failureResultOf(first.result, NoAnswer)
        self.assertEqual(self.unaccepted, 8)
        opener, *without = self.acceptAll()
        self.assertSays(opener, opening())
        for transport in without:
            self.assertSays(transport, [ADA])
        self.reactor.advance(30)
        later = self.call()
        self.reactor.advance(29.75)
        self.assertWaiting(*others, later)
        self.reactor.advance(0.25)
        for call in others:
            self.failureResultOf(call.result, NoAnswer)
        self.assertSays(self.acceptNext(), opening())
        self.reactor.advance(60)
        self.failureResultOf(later.result, NoAnswer)
        for call in (first, *others, later):
            self.assertEqual(call.application.events, [])
        self.assertNothingLeft()

    def test_openerLost(self) -> None:
        """
        Wherever in the replies the connection ends, the session is open if the
        Authentication Reply was whole, and otherwise the next one opens it.
        """
        reply = opened()
        for cut in range(len(reply + CONNECTED)):
            self.setUp()
            first, second = self.calls(2)
            transport = self.acceptNext()
            if cut:
                transport.receive((reply + CONNECTED)[:cut])
            transport.lose(ConnectionLost())
            self.failureResultOf(first.result, ConnectError)
            self.assertEqual(self.unaccepted, 1, f"cut at {cut}")
            isOpen = cut >= len(reply)
            self.assertEqual(self.session.isOpen, isOpen)
            transport = self.acceptNext()
            self.assertSays(transport, naming(0) if isOpen else opening(), f"cut at {cut}")
            transport.receive((WITHIN if isOpen else reply) + CONNECTED)
            self.assertConnected(second)
            self.assertNothingLeft()

    def test_openerCancelled(self) -> None:
        """
        The same goes for one that is cancelled, in every phase.
        """
        for accepted in (False, True):
            self.setUp()
            first, second, _ = self.calls(3)
            if accepted:
                self.acceptNext().receive(opened()[:-1])
            first.result.cancel()
            self.failureResultOf(first.result, CancelledError)
            if not accepted:
                connector: Any = self.reactor.connectors[0]
                self.assertTrue(connector.stoppedConnecting)
                self._answered += 1
            self.assertEqual(self.unaccepted, 2)
            transport = self.acceptNext()
            self.assertSays(transport, opening())
            self.assertSays(self.acceptNext(), [ADA])
            transport.receive(opened() + CONNECTED)
            self.assertConnected(second)

    def test_waitingCancelled(self) -> None:
        """
        One that waits and is cancelled never goes out; the others keep their order.
        """
        calls = self.calls(4)
        calls[2].result.cancel()
        self.failureResultOf(calls[2].result, CancelledError)
        self.acceptNext().receive(opened() + CONNECTED)
        self.assertEqual(self.unaccepted, 2)
        for token, call in ((0, calls[1]), (1, calls[3])):
            transport = self.acceptNext()
            self.assertSays(transport, naming(token))
            transport.receive(spent() + CONNECTED)
            self.assertConnected(call)
        self.assertNothingLeft()

    def test_noFactoryIsAsked(self) -> None:
        """
        No protocol is built for a request that waits.
        """
        first, second = self.calls(2, optimistic=True)
        self.assertEqual(second.application.events, [])
        self.acceptNext()
        self.assertConnected(first)
        self.assertNoResult(second.result)
        self.assertEqual(second.application.events, [])

    def test_allAtOnce(self) -> None:
        """
        There may be any number of them, and all of them may fail at once.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.renew()
        calls = self.calls(5000)
        self.patch(endpoint, "connect", lambda factory: fail(ConnectionRefusedError()))
        endpoint.connected.errback(ConnectionRefusedError())
        for call in calls:
            self.failureResultOf(call.result, ConnectionRefusedError)

    def test_callingBack(self) -> None:
        """
        A request that is made while those that wait are let go on does not come
        before them.
        """
        endpoint = ImmediateEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.renew()
        order: list[str] = []

        def call(name: str) -> Call:
            application = Application(lambda application: order.append(name))
            return self.call(application, optimistic=True)

        _, second, _ = map(call, ("first", "second", "third"))
        second.result.addCallback(lambda _: call("fourth"))
        endpoint.transports[0].receive(opened())
        self.assertEqual(order, ["first", "second", "third", "fourth"])
        for token, transport in enumerate(endpoint.transports[1:]):
            self.assertSays(transport, naming(token))

    def test_callingBackInVain(self) -> None:
        """
        When those go on that have waited in vain, what is requested by them waits for
        the new opener; if one of them cancels others, nobody goes in their place.
        """
        endpoint = ImmediateEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.renew()
        first = self.call()
        calls: list[Call] = []

        def react(application: Application) -> None:
            # There are two more that have waited, and two that come now.
            later = [self.call(Application(), optimistic=True) for _ in range(2)]
            for call in (later[0], calls[1]):
                call.result.cancel()
                self.failureResultOf(call.result, CancelledError)
            calls.append(later[1])

        calls.append(self.call(Application(react), optimistic=True))
        calls += [self.call(Application(), optimistic=True) for _ in range(2)]
        endpoint.transports[0].lose(ConnectionLost())
        self.failureResultOf(first.result, EndedEarly)
        second, fourth = endpoint.transports[1:]
        self.assertSays(second, opening())
        self.assertSays(fourth, [ADA])
        self.assertConnected(calls[0])
        self.assertConnected(calls[2])
        self.assertNoResult(calls[3].result)
        second.receive(opened())
        self.assertSays(endpoint.transports[3], naming(0))
        self.assertConnected(calls[3])

    def test_failingInVain(self) -> None:
        """
        If the new opener fails at once, too, the next one takes over before the others
        go on.
        """
        endpoint = FickleEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.renew()
        calls = self.calls(4)
        endpoint.refuses = True
        endpoint.transports[0].lose(ConnectionLost())
        self.failureResultOf(calls[0].result, EndedEarly)
        self.failureResultOf(calls[1].result, ConnectionRefusedError)
        third, fourth = endpoint.transports[1:]
        self.assertSays(third, opening())
        self.assertSays(fourth, [ADA])


class ImpatientTests(SessionTestCase):
    """
    Whoever does not want to wait goes without.
    """

    def setUp(self) -> None:
        """
        Have such a session.
        """
        super().setUp()
        self.renew(patient=False)

    def test_session(self) -> None:
        """
        As long as the session is being opened requests go out without it, with the
        credentials; they do not open others.
        """
        opener, *others = self.calls(3)
        transport = self.acceptNext()
        self.assertSays(transport, opening())
        for call in others:
            other = self.acceptNext()
            self.assertSays(other, [ADA])
            other.receive(SUCCESS)
            self.assertConnected(call)
        self.assertFalse(self.session.isOpen)
        transport.receive(opened() + CONNECTED)
        self.assertConnected(opener)
        self.call()
        self.assertSays(self.acceptNext(), naming(0))

    def test_refused(self) -> None:
        """
        There is no remedy for those.
        """
        _, call = self.calls(2)
        self.acceptNext()
        self.acceptNext().receive(INVALID)
        self.failureResultOf(call.result, AuthenticationRefused)
        self.assertEqual(self.unaccepted, 0)

    def test_token(self) -> None:
        """
        As long as tokens are being asked for requests go out without one.
        """
        self.open(opened(4))
        self.calls(5)
        transports = self.acceptAll()
        for token in range(2):
            self.assertSays(transports[token], naming(token))
        self.assertSays(transports[2], [*naming(2), TokenRequest(128)])
        for transport in transports[3:]:
            self.assertSays(transport, naming())
        transports[2].receive(spent(window(4, 128)))
        self.call()
        self.assertSays(self.acceptNext(), naming(4))


class DeclinedTests(SessionTestCase):
    """
    A proxy need not open a session.
    """

    def assertGoesWithout(self) -> None:
        """
        Check that the next request has nothing to do with sessions, and let it
        succeed.
        """
        transport = self.acceptNext()
        self.assertSays(transport, [ADA])
        # Nobody may open a session for us now.
        transport.receive(opened() + CONNECTED)
        self.assertFalse(self.session.isOpen or self.session.isTrusted)

    def test_declined(self) -> None:
        """
        Then all requests go out without, as soon as its Authentication Reply is there,
        those that waited first; after a while the proxy is asked again.
        """
        for reply in (admitted(), admitted(SessionUntrusted()), opened(64, b"")):
            for operation in (CONNECTED, FAILED):
                self.setUp()
                first, second = self.calls(2)
                transport = self.acceptNext()
                transport.receive(reply)
                self.assertGoesWithout()
                self.assertConnected(second)
                # The ID could still stand in the Operation Reply.
                self.reactor.advance(59)
                third = self.call()
                self.assertGoesWithout()
                self.assertConnected(third)
                self.assertNoResult(first.result)
                transport.receive(operation)
                if operation is CONNECTED:
                    self.assertConnected(first)
                else:
                    self.failureResultOf(first.result, RequestRefused)
                    transport.lose()
                self.reactor.advance(DECLINED_PERIOD - 0.25)
                fourth = self.call()
                self.assertGoesWithout()
                self.assertConnected(fourth)
                self.reactor.advance(0.25)
                self.open()

    def test_noOperationReply(self) -> None:
        """
        A proxy that has let a request in without giving an ID has declined, even if
        its Operation Reply never comes.
        """
        ways: list[Callable[[Call, ProxyTransport], object]] = [
            lambda call, transport: transport.lose(ConnectionLost()),
            lambda call, transport: self.reactor.advance(60),
            lambda call, transport: call.result.cancel(),
        ]
        for way, error in zip(ways, (EndedEarly, NoAnswer, CancelledError), strict=True):
            self.setUp()
            first = self.call()
            transport = self.acceptNext()
            transport.receive(admitted())
            way(first, transport)
            self.failureResultOf(first.result, error)
            second = self.call()
            self.assertGoesWithout()
            self.assertConnected(second)
            self.reactor.advance(DECLINED_PERIOD)
            self.open()

    def test_noReply(self) -> None:
        """
        One that has not let it in has not declined.
        """
        first, _ = self.calls(2)
        transport = self.acceptNext()
        transport.receive(admitted()[:-1])
        transport.lose()
        self.failureResultOf(first.result, EndedEarly)
        self.assertSays(self.acceptNext(), opening())


class OpenTests(SessionTestCase):
    """
    L{SOCKS6Session.open}
    """

    def test_open(self) -> None:
        """
        The session can be opened ahead of time, by a request that does nothing; its
        connection is closed then.
        """
        isOpen = self.session.open()
        transport = self.acceptNext()
        request = transport.request
        self.assertEqual((request.command, request.address), (Command.NOOP, UNSPECIFIED_IPV4))
        self.assertSays(transport, opening())
        transport.receive(opened())
        self.assertNoResult(isOpen)
        self.assertTrue(self.session.isOpen)
        transport.receive(CONNECTED)
        self.assertIs(self.successResultOf(isOpen), True)
        self.assertTrue(transport.disconnecting)
        transport.lose()
        self.assertNothingLeft()
        self.call()
        self.assertSays(self.acceptNext(), naming(0))

    def test_isOpen(self) -> None:
        """
        If it is open, nothing is done.
        """
        self.open()
        self.assertIs(self.successResultOf(self.session.open()), True)
        self.assertEqual(self.unaccepted, 0)

    def test_declined(self) -> None:
        """
        If the proxy opens none, that is no failure.
        """
        isOpen = self.session.open()
        self.acceptNext().receive(admitted() + CONNECTED)
        self.assertIs(self.successResultOf(isOpen), False)

    def test_othersWait(self) -> None:
        """
        Requests wait for it as for any other request.
        """
        self.session.open()
        self.call()
        transport = self.acceptNext()
        self.assertEqual(self.unaccepted, 0)
        transport.receive(opened())
        self.assertSays(self.acceptNext(), naming(0))

    def test_waits(self) -> None:
        """
        While a request opens the session, this waits.
        """
        self.call()
        isOpen = self.session.open()
        self.acceptNext().receive(opened())
        self.acceptNext().receive(spent() + CONNECTED)
        self.assertIs(self.successResultOf(isOpen), True)

    def test_waitsInVain(self) -> None:
        """
        If that request fails, the first one that has waited opens the session; others
        tell how things are when the proxy has answered them.
        """
        self.call().result.addErrback(lambda _: None)
        first, second = self.session.open(), self.session.open()
        self.acceptNext().lose(ConnectionLost())
        opener, other = self.acceptAll()
        self.assertSays(opener, opening())
        self.assertSays(other, [ADA])
        other.receive(SUCCESS)
        self.assertIs(self.successResultOf(second), False)
        opener.receive(opened() + CONNECTED)
        self.assertIs(self.successResultOf(first), True)

    def test_fails(self) -> None:
        """
        It fails as a connection through the proxy does, and another one can be
        tried.
        """
        for name, (lose, error) in LOSSES.items():
            self.setUp()
            isOpen = self.session.open()
            lose(self, self.acceptNext())
            self.failureResultOf(isOpen, error)
            isOpen = self.session.open()
            self.acceptNext().receive(opened() + CONNECTED)
            self.assertIs(self.successResultOf(isOpen), True, name)
        self.setUp()
        isOpen = self.session.open()
        self.refuseNext()
        self.failureResultOf(isOpen, ConnectionRefusedError)

    def test_timeout(self) -> None:
        """
        How long the proxy may take is up to the session.
        """
        self.renew(timeout=2.5)
        isOpen = self.session.open()
        self.acceptNext()
        self.reactor.advance(2.4)
        self.assertNoResult(isOpen)
        self.reactor.advance(0.1)
        self.failureResultOf(isOpen, TimeoutError)

    def test_cancel(self) -> None:
        """
        Cancelling gives up, whether it waits for others or for the proxy.
        """
        isOpen = self.session.open()
        waiting = self.session.open()
        transport = self.acceptNext()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        isOpen.cancel()
        self.failureResultOf(isOpen, CancelledError)
        self.assertTrue(transport.disconnected)
        transport.lose(ConnectionAborted())
        self.assertEqual(self.unaccepted, 0)
        self.assertNothingLeft()


class CloseTests(SessionTestCase):
    """
    L{SOCKS6Session.close}
    """

    def assertClosed(self, closed: Deferred[None]) -> None:
        """
        Check that the session is closed, and nothing goes out any more.
        """
        self.assertIsNone(self.successResultOf(closed))
        self.assertTrue(self.session.isClosed)
        self.assertFalse(self.session.isOpen or self.session.isTrusted)
        self.failureResultOf(self.call().result, SessionClosed)
        self.failureResultOf(self.session.open(), SessionClosed)
        self.assertEqual(self.unaccepted, 0)
        self.assertNothingLeft()

    def test_close(self) -> None:
        """
        The proxy is told that the session ends, by a request that does nothing.
        """
        self.open()
        self.assertFalse(self.session.isClosed)
        closed = self.session.close()
        transport = self.acceptNext()
        self.assertEqual(transport.request.command, Command.NOOP)
        self.assertSays(transport, FAREWELL)
        self.assertNoResult(closed)
        transport.receive(WITHIN + CONNECTED)
        self.assertTrue(transport.disconnecting)
        transport.lose()
        self.assertClosed(closed)

    def test_untrusted(self) -> None:
        """
        In an untrusted session, with the credentials.
        """
        self.open(opened(64, ID, SessionUntrusted()))
        closed = self.session.close()
        transport = self.acceptNext()
        self.assertSays(transport, [*FAREWELL, ADA])
        transport.receive(WITHIN + CONNECTED)
        transport.lose()
        self.assertClosed(closed)

    def test_notOpen(self) -> None:
        """
        If there is no session nobody is told, also if the proxy has declined.
        """
        self.assertClosed(self.session.close())
        self.setUp()
        self.call()
        self.acceptNext().receive(admitted() + CONNECTED)
        self.assertClosed(self.session.close())

    def test_twice(self) -> None:
        """
        It can be closed any number of times; each fires when the proxy has been told.
        """
        self.open()
        closed = [self.session.close(), self.session.close()]
        transport = self.acceptNext()
        self.assertEqual(self.unaccepted, 0)
        for each in closed:
            self.assertNoResult(each)
        transport.receive(WITHIN + CONNECTED)
        transport.lose()
        for each in [*closed, self.session.close()]:
            self.assertClosed(each)

    def test_notTold(self) -> None:
        """
        It never fails: if the proxy cannot be told it will forget the session by
        itself.  There is a line in the log.
        """

        ways: list[Callable[[], object]] = [self.refuseNext]
        ways += [
            lambda lose=lose: lose(self, self.acceptNext())  # type: ignore[misc]
            for lose, _ in LOSSES.values()
        ]
        ways += [
            lambda: self.acceptNext().receive(INVALID),
            lambda: self.acceptNext().receive(WITHIN + FAILED),
        ]
        for way in ways:
            self.setUp()
            self.open()
            closed = self.session.close()
            with capturedLogs() as events:
                way()
            self.assertIsNone(self.successResultOf(closed))
            [line] = [eventAsText(event) for event in events if "error" in event]
            self.assertIn("not told that a session ended: ", line)

    def test_waiting(self) -> None:
        """
        Requests that wait fail, in their order.
        """
        calls = self.calls(4)
        order: list[int] = []

        def note(failure: Failure, number: int) -> Failure:
            order.append(number)
            return failure

        for number, call in enumerate(calls):
            call.result.addErrback(note, number)
        closed = self.session.close()
        for call in calls[1:]:
            self.failureResultOf(call.result, SessionClosed)
        self.assertEqual(order, [1, 2, 3])
        self.assertNoResult(calls[0].result)
        self.assertNoResult(closed)

    def test_whileOpening(self) -> None:
        """
        If a request is opening the session, that is waited for, and it is closed as
        soon as it is open; the request itself goes on.
        """
        call = self.call()
        closed = self.session.close()
        transport = self.acceptNext()
        self.assertSays(transport, opening())
        transport.receive(opened())
        farewell = self.acceptNext()
        self.assertSays(farewell, FAREWELL)
        self.assertNoResult(closed)
        transport.receive(CONNECTED + b"hello")
        self.assertConnected(call)
        self.assertEqual(call.application.events, ["made", b"hello"])
        farewell.receive(WITHIN + CONNECTED)
        farewell.lose()
        self.assertClosed(closed)

    def test_neverOpened(self) -> None:
        """
        If that request does not open it, there is nothing to close.
        """
        ways: list[Callable[[], object]] = [
            self.refuseNext,
            lambda: self.acceptNext().lose(),
            lambda: self.acceptNext().receive(admitted() + CONNECTED),
        ]
        for way in ways:
            self.setUp()
            call = self.call()
            closed = self.session.close()
            self.assertNoResult(closed)
            way()
            self.assertClosed(closed)
            call.result.addErrback(lambda _: None)

    def test_whileRefilling(self) -> None:
        """
        Nobody waits for tokens of a session that has ended.
        """
        self.open(opened(1))
        _, waiting = self.calls(2)
        transport = self.acceptNext()
        self.assertWaiting(waiting)
        closed = self.session.close()
        self.failureResultOf(waiting.result, SessionClosed)
        self.assertEqual(self.session.tokensLeft, 0)
        farewell = self.acceptNext()
        transport.receive(spent(window(1, 128)) + CONNECTED)
        self.assertEqual(self.session.tokensLeft, 0)
        farewell.receive(WITHIN + CONNECTED)
        farewell.lose()
        self.assertClosed(closed)

    def test_notReplaced(self) -> None:
        """
        A request that is refused because the session has ended does not open
        another one.
        """
        self.open()
        call = self.call()
        transport = self.acceptNext()
        self.session.close()
        self.acceptNext()
        transport.receive(INVALID)
        self.failureResultOf(call.result, SessionClosed)
        self.assertEqual(self.unaccepted, 0)

    def test_tunnels(self) -> None:
        """
        Tunnels live on.
        """
        call = self.call()
        transport = self.acceptNext()
        transport.receive(opened() + CONNECTED)
        self.session.close()
        self.acceptNext().receive(WITHIN + CONNECTED)
        transport.receive(b"hello")
        self.assertEqual(call.application.events, ["made", b"hello"])
        self.assertFalse(transport.disconnecting)

    def test_callingBack(self) -> None:
        """
        Who hears of it may close the session, too, or make other requests.
        """
        opener, waiting = self.calls(2)
        heard: list[Any] = []

        def again(failure: Failure) -> None:
            self.session.close().addCallback(heard.append)
            heard.append(self.failureResultOf(self.call().result).type)

        waiting.result.addErrback(again)
        closed = self.session.close()
        self.assertEqual(heard, [SessionClosed])
        self.refuseNext()
        self.failureResultOf(opener.result, ConnectionRefusedError)
        self.successResultOf(closed)
        self.assertEqual(heard, [SessionClosed, None])

    def test_cancel(self) -> None:
        """
        Who gives up waiting for it changes nothing.
        """
        self.open()
        impatient, closed = self.session.close(), self.session.close()
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        transport = self.acceptNext()
        transport.receive(WITHIN + CONNECTED)
        transport.lose()
        self.assertClosed(closed)


class SecretsTests(SessionTestCase):
    """
    The session's ID and the password are nobody's business.
    """

    def assertDiscreet(self, *texts: str) -> None:
        """
        Check that there are no secrets in it.
        """
        for text in texts:
            for secret in (ID, OTHER_ID, ADA.password):
                self.assertNotIn(secret.decode(), text)
                self.assertNotIn(secret.hex(), text)

    def test_repr(self) -> None:
        """
        The session tells the way to the proxy.
        """
        self.patch(type(self.proxyEndpoint), "__repr__", lambda endpoint: "<the proxy>")
        self.assertEqual(repr(self.session), "<SOCKS6Session with <the proxy>>")
        self.open()
        passage = self.successResultOf(self.session.enter())
        self.assertDiscreet(repr(self.session), repr(passage), repr(passage.options))

    def test_logsAndErrors(self) -> None:
        """
        Whatever happens to requests, what is logged and what they fail with has no
        secrets.
        """
        failures: list[Failure] = []
        with capturedLogs() as events:
            for name, (lose, _) in LOSSES.items():
                self.setUp()
                self.open(opened(64, ID, SessionUntrusted()))
                for optimistic in (False, True):
                    call = self.call(optimistic=optimistic)
                    lose(self, self.acceptNext())
                    call.result.addErrback(failures.append)
                    failures += [
                        Failure(each)
                        for each in call.application.events
                        if isinstance(each, Exception)
                    ]
                self.session.close()
                lose(self, self.acceptNext())
                self.assertGreater(len(failures), 0, name)
        self.assertGreater(len(events), 0)
        self.assertDiscreet(*map(_asText, events))
        for failure in failures:
            self.assertDiscreet(
                str(failure.value), repr(failure.value), failure.getTraceback(detail="default")
            )


def _asText(event: LogEvent) -> str:
    """
    Write a line of the log, with all that it was made from.
    """
    return eventAsText(event) + repr(event)
