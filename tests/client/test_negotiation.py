"""
Tests for the way from a connection to the proxy to a tunnel.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Error as SSLError
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.access import Passage
from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    MalformedAnswer,
    NotASOCKS6Proxy,
    ProxyFault,
    RequestRefused,
    TokenRefused,
    UnreadableAddress,
    VersionNotSpoken,
)
from socks6.client.negotiation import Terms
from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import AuthenticationResult, Command, Leg, ReplyCode, TokenOutcome
from socks6.values.messages import Request
from socks6.values.options import (
    IPTypeOfService,
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    TokenExpenditureReply,
    UsernamePassword,
)
from socks6.wire import DRAFT_06
from tests.client.doubles import (
    REQUEST,
    SUCCESS,
    ClientTestCase,
    HalfCloseableApplication,
    ProxyTransport,
    authenticationReply,
    operationReply,
    refusal,
)

ACCEPTED = authenticationReply()

#: What a proxy may not answer -> what that is.
MALFORMED: dict[bytes, type[ProxyFault]] = {
    # Of SOCKS 5 and 4, and of web servers.
    b"\x05": NotASOCKS6Proxy,
    b"\x00\x5a": NotASOCKS6Proxy,
    b"HTTP/1.1 400 Bad Request\r\n\r\n": NotASOCKS6Proxy,
    b"\x06\x01": VersionNotSpoken,
    # An Authentication Reply of an unknown type.
    b"\x06\x00\x02": MalformedAnswer,
    # It demands what we have not offered: RFC 1929, GSSAPI.
    authenticationReply(AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED, 2): MalformedAnswer,
    authenticationReply(AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED, 1): MalformedAnswer,
    # Options: too many, too short, reaching too far, stray octets.
    b"\x06\x00\x00\x00\x40\x01": MalformedAnswer,
    b"\x06\x00\x00\x00\x00\x03\xe0\x00\x02": MalformedAnswer,
    b"\x06\x00\x00\x00\x00\x03\xe0\x00\x04": MalformedAnswer,
    b"\x06\x00\x00\x00\x00\x02\xe0\x00": MalformedAnswer,
    # An Operation Reply with an address of an unknown type, with an empty name.
    ACCEPTED + b"\x00\x00\x00\x02": UnreadableAddress,
    ACCEPTED + b"\x00\x00\x00\x03\x00": MalformedAnswer,
    ACCEPTED + operationReply()[:-2] + b"\x40\x01": MalformedAnswer,
}


class TermsTests(SynchronousTestCase):
    """
    L{Terms}
    """

    def make(self, timeout: float = 60.0) -> Terms:
        """
        Make terms.
        """
        return Terms(Clock(), Command.NOOP, UNSPECIFIED_IPV4, False, timeout, DRAFT_06)

    def test_request(self) -> None:
        """
        A request says of who makes it what its passage says, and no more.
        """
        options: list[Option] = [SessionID(b"secret"), UsernamePassword(b"ada", b"s3cret")]
        self.assertEqual(
            self.make().request(Passage(options)),
            Request(Command.NOOP, UNSPECIFIED_IPV4, OptionList(options)),
        )

    def test_options(self) -> None:
        """
        What is to be said of the operation itself stands behind that, with whatever
        passage.
        """
        about = IPTypeOfService(Leg.BOTH, 0x28)
        where = Address(DomainName(b"example.org"), 443)
        terms = Terms(Clock(), Command.CONNECT, where, True, 60.0, DRAFT_06, [about])
        passages: list[list[Option]] = [[], [SessionID(b"secret")]]
        for options in passages:
            self.assertEqual(
                terms.request(Passage(options)),
                Request(Command.CONNECT, where, OptionList([*options, about])),
            )

    def test_timeout(self) -> None:
        """
        The proxy must have some time, but not for ever.
        """
        self.make(0.001)
        for timeout in (0, -1.0, float("inf"), float("nan")):
            self.assertRaises(ValueError, self.make, timeout)


class SuccessTests(ClientTestCase):
    """
    The proxy connects.
    """

    def test_request(self) -> None:
        """
        The request is all that is written before the replies.
        """
        self.negotiate()
        self.assertEqual(self.transport.value(), REQUEST)
        self.assertNoResult(self.result)
        self.assertEqual(self.application.events, [])

    def test_success(self) -> None:
        """
        Success connects the protocol, and nothing is left to happen.
        """
        self.establish()
        self.assertEqual(self.application.events, ["made"])
        self.assertNothingLeft()

    def test_everySplit(self) -> None:
        """
        Replies and data cut at any octet give the same: no octet of a reply is
        data, none of the data is lost.
        """
        stream = SUCCESS + b"hello"
        for cut in range(len(stream) + 1):
            self.setUp()
            self.negotiate()
            for part in (stream[:cut], stream[cut:]):
                if part:
                    self.transport.receive(part)
            self.successResultOf(self.result)
            made, *data = self.application.events
            self.assertEqual((made, b"".join(data)), ("made", b"hello"), f"cut at {cut}")

    def test_octetByOctet(self) -> None:
        """
        Replies and data may come one octet at a time.
        """
        self.negotiate()
        for octet in SUCCESS:
            self.assertNoResult(self.result)
            self.transport.receive(bytes([octet]))
        self.successResultOf(self.result)
        self.transport.receive(b"h")
        self.transport.receive(b"i")
        self.assertEqual(self.application.events, ["made", b"h", b"i"])

    def test_order(self) -> None:
        """
        The protocol is connected, then its connector hears of it, then data comes.
        """
        self.negotiate()
        self.result.addCallback(lambda protocol: protocol.events.append("told"))
        self.transport.receive(SUCCESS + b"hello")
        self.assertEqual(self.application.events, ["made", "told", b"hello"])

    def test_connectionMadeRaises(self) -> None:
        """
        A protocol that raises when it is connected fails the connector, whose
        transport hears of the exception, as with any endpoint.
        """

        def fail(application: Any) -> None:
            raise ZeroDivisionError

        for optimistic in (False, True):
            self.setUp()
            self.application.whenMade = fail
            self.connect(optimistic=optimistic)
            if optimistic:
                self.assertRaises(ZeroDivisionError, self.accept)
            else:
                self.accept()
                self.assertRaises(ZeroDivisionError, self.transport.receive, SUCCESS)
            self.failureResultOf(self.result, ZeroDivisionError)
            # What the reactor does about it.
            self.transport.lose(ZeroDivisionError())
            self.assertIsInstance(self.application.events[-1], ZeroDivisionError)
            self.assertNothingLeft()


class RefusalTests(ClientTestCase):
    """
    The proxy says no.
    """

    def assertClosing(self) -> None:
        """
        Check that the connection is closed in good manners.
        """
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)
        # What still comes concerns nobody.
        self.transport.receive(SUCCESS)
        self.transport.lose()
        self.assertEqual(self.application.events, [])
        self.assertNothingLeft()

    def test_everyCode(self) -> None:
        """
        Every reply code but success, known or not, is a refusal that carries it.
        """
        for code in range(1, 256):
            self.setUp()
            self.negotiate()
            self.transport.receive(ACCEPTED + operationReply(code))
            failure = self.failureResultOf(self.result, RequestRefused)
            self.assertEqual(failure.value.code, code)
            self.assertEqual(isinstance(failure.value.code, ReplyCode), code < 10)
            self.assertClosing()

    def test_authentication(self) -> None:
        """
        Who is not let in hears that, and whether the session is to blame.
        """
        for options, invalid in [([], False), ([SessionInvalid()], True)]:
            self.setUp()
            self.negotiate()
            self.transport.receive(refusal(OptionList(options)))
            failure = self.failureResultOf(self.result, AuthenticationRefused)
            self.assertIsNone(failure.value.code)
            self.assertIs(failure.value.sessionInvalid, invalid)
            self.assertClosing()

    def test_token(self) -> None:
        """
        Who hears that a token was not spent hears that nothing is done for it; the
        Operation Reply is not waited for.
        """
        for outcome in TokenOutcome:
            self.setUp()
            self.negotiate()
            reply = authenticationReply(options=OptionList([TokenExpenditureReply(outcome)]))
            self.transport.receive(reply)
            if outcome is TokenOutcome.SUCCESS:
                self.assertNoResult(self.result)
                continue
            failure = self.failureResultOf(self.result, TokenRefused)
            self.assertIs(failure.value.outcome, outcome)
            self.assertClosing()

    def test_malformed(self) -> None:
        """
        Every malformed answer is an error of its own class, at whatever octet it
        shows.
        """
        for octets, kind in MALFORMED.items():
            for step in (len(octets), 1):
                self.setUp()
                self.negotiate()
                for start in range(0, len(octets), step):
                    self.transport.receive(octets[start : start + step])
                failure = self.failureResultOf(self.result)
                self.assertIs(failure.type, kind, octets)
                self.assertIsInstance(failure.value, ConnectError)
                self.assertClosing()

    def test_closesAtOnce(self) -> None:
        """
        A transport may be gone before C{loseConnection} returns.
        """
        self.negotiate()
        self.patch(self.transport, "loseConnection", self.transport.lose)
        self.transport.receive(refusal())
        self.failureResultOf(self.result, AuthenticationRefused)
        self.assertNothingLeft()


class LossTests(ClientTestCase):
    """
    The connection ends before the replies do.
    """

    def test_everyCut(self) -> None:
        """
        Wherever in the replies the connection ends, or is reset, it ended early;
        right behind the version, the proxy has told that it speaks another one.
        """
        for error in (ConnectionDone(), ConnectionLost()):
            for cut in range(len(SUCCESS)):
                self.setUp()
                self.negotiate()
                if cut:
                    self.transport.receive(SUCCESS[:cut])
                self.transport.lose(error)
                failure = self.failureResultOf(self.result)
                self.assertIs(failure.type, VersionNotSpoken if cut == 2 else EndedEarly)
                self.assertEqual(self.application.events, [])
                self.assertNothingLeft()

    def test_halfClose(self) -> None:
        """
        It is no better if the proxy only ends its direction.
        """
        for octets, kind in [(b"\x06\x00", VersionNotSpoken), (ACCEPTED, EndedEarly)]:
            self.setUp()
            self.application = HalfCloseableApplication()
            self.negotiate()
            self.transport.receive(octets)
            self.transport.endInput()
            self.assertIs(self.failureResultOf(self.result).type, kind)
            self.assertTrue(self.transport.disconnecting)
            self.transport.endInput()
            self.transport.lose()
            self.assertEqual(self.application.events, [])
            self.assertNothingLeft()

    def test_tls(self) -> None:
        """
        Where TLS with the proxy fails, the error says why.
        """
        self.negotiate()
        error = SSLError([("SSL routines", "", "certificate verify failed")])
        self.transport.lose(error)
        failure = self.failureResultOf(self.result, ConnectError)
        self.assertIn("certificate verify failed", str(failure.value))
        self.assertIs(failure.value.__cause__, error)
        self.assertNothingLeft()


class TimeoutTests(ClientTestCase):
    """
    The proxy takes its time.
    """

    def test_notMade(self) -> None:
        """
        A connection that counted as made before it was, and could not be, fails in the
        words of whoever tried.
        """
        for error in (ConnectionRefusedError(), TimeoutError()):
            self.negotiate()
            self.transport.lose(error)
            self.assertIs(self.failureResultOf(self.result).value, error)
            self.assertNothingLeft()

    def test_timeout(self) -> None:
        """
        A proxy whose replies are not complete in time loses the connection.
        """
        for timeout, arguments in [(60, {}), (2.5, {"timeout": 2.5})]:
            self.setUp()
            self.negotiate(**arguments)
            self.transport.receive(ACCEPTED)
            self.reactor.advance(timeout - 0.1)
            self.assertNoResult(self.result)
            self.reactor.advance(0.1)
            failure = self.failureResultOf(self.result, TimeoutError)
            self.assertIn(f"within {timeout} s", str(failure.value))
            self.assertTrue(self.transport.disconnected)
            self.transport.receive(operationReply())
            self.transport.lose(ConnectionAborted())
            self.assertEqual(self.application.events, [])
            self.assertNothingLeft()

    def test_noAbort(self) -> None:
        """
        A transport that cannot be aborted is closed.
        """

        class Pipe(ProxyTransport):
            """
            Such a transport, as that of C{ProcessEndpoint}.
            """

            @property
            def abortConnection(self) -> Any:
                """
                Be without.
                """
                raise AttributeError("abortConnection")

        self.negotiate()
        self.transport.__class__ = Pipe
        self.reactor.advance(60)
        self.failureResultOf(self.result, TimeoutError)
        self.assertTrue(self.transport.disconnecting)


class OptimisticTests(ClientTestCase):
    """
    The protocol is connected before the proxy has replied.
    """

    def setUp(self) -> None:
        """
        Have a protocol that speaks first.
        """
        super().setUp()
        self.application.whenMade = lambda application: application.transport.write(b"first")

    def test_oneTurn(self) -> None:
        """
        The protocol is connected in the same turn in which the request is written,
        and its connector is told; what both write follows at once.
        """
        self.connect(optimistic=True)
        self.result.addCallback(lambda protocol: protocol.transport.write(b" second"))
        self.accept()
        self.assertEqual(self.transport.writes, [REQUEST, b"first", b" second"])

    def test_repliesAreNoData(self) -> None:
        """
        The protocol sees nothing of the replies, however they are cut, and all of
        what follows them.
        """
        stream = SUCCESS + b"hello"
        for cut in range(1, len(stream)):
            self.setUp()
            self.negotiate(optimistic=True)
            self.assertIdentical(self.successResultOf(self.result), self.application)
            self.transport.receive(stream[:cut])
            self.transport.receive(stream[cut:])
            made, *data = self.application.events
            self.assertEqual((made, b"".join(data)), ("made", b"hello"))
            self.assertNothingLeft()

    def test_refusal(self) -> None:
        """
        A refusal is the reason why the connection is lost, as soon as it is closed.
        """
        for octets, kind in [
            (ACCEPTED + operationReply(ReplyCode.CONNECTION_REFUSED), RequestRefused),
            (refusal(), AuthenticationRefused),
            *MALFORMED.items(),
        ]:
            self.setUp()
            self.negotiate(optimistic=True)
            self.transport.receive(octets)
            self.assertTrue(self.transport.disconnected)
            self.assertEqual(self.application.events, ["made"])
            self.transport.receive(b"hello")
            self.transport.lose(ConnectionAborted())
            self.assertEqual(self.application.events[0], "made")
            self.assertIs(type(self.application.events[1]), kind)
            self.assertEqual(len(self.application.events), 2)
            self.assertNothingLeft()

    def test_refusalWhileWriting(self) -> None:
        """
        A producer that could not write on does not keep a refused connection.
        """
        self.negotiate(optimistic=True)
        stopped: list[bool] = []

        class Producer:
            """
            What would have more to write.
            """

            def stopProducing(self) -> None:
                """
                Take note.
                """
                stopped.append(True)

        self.application.transport.registerProducer(Producer(), True)
        self.transport.receive(refusal())
        self.assertTrue(self.transport.disconnected)
        self.transport.lose(ConnectionAborted())
        self.assertEqual(stopped, [True])
        self.assertIsInstance(self.application.events[-1], AuthenticationRefused)

    def test_loss(self) -> None:
        """
        So is the end of the connection before the replies were complete.
        """
        self.negotiate(optimistic=True)
        self.transport.receive(b"\x06\x00")
        self.transport.lose(ConnectionLost())
        self.assertIs(type(self.application.events[-1]), VersionNotSpoken)
        self.assertNothingLeft()

    def test_tls(self) -> None:
        """
        Why TLS with the proxy failed arrives as it is.
        """
        self.negotiate(optimistic=True)
        error = SSLError([])
        self.transport.lose(error)
        self.assertEqual(self.application.events, ["made", error])
        self.assertNothingLeft()

    def test_timeout(self) -> None:
        """
        So is a proxy that takes too long.
        """
        self.negotiate(optimistic=True)
        self.reactor.advance(60)
        self.assertTrue(self.transport.disconnected)
        self.transport.lose(ConnectionAborted())
        self.assertIsInstance(self.application.events[-1], TimeoutError)
        self.assertNothingLeft()

    def test_cancelIsTooLate(self) -> None:
        """
        Once the connector has been told, there is nothing to cancel.
        """
        self.negotiate(optimistic=True)
        self.result.cancel()
        self.successResultOf(self.result)
        self.assertFalse(self.transport.disconnecting)

    def test_closedEarly(self) -> None:
        """
        A protocol that closes at once has its data delivered: the connection is
        closed when the proxy has replied, and no data comes any more.
        """
        self.application.whenMade = lambda application: (
            application.transport.write(b"all"),
            application.transport.loseConnection(),
        )
        self.negotiate(optimistic=True)
        self.assertEqual(self.transport.value(), REQUEST + b"all")
        self.assertTrue(self.application.transport.disconnecting)
        self.assertFalse(self.transport.disconnecting)
        self.transport.receive(SUCCESS + b"too late")
        self.assertTrue(self.transport.disconnecting)
        self.transport.lose()
        self.assertEqual(self.application.events[:1], ["made"])
        self.assertIsInstance(self.application.events[1], ConnectionDone)
        self.assertNothingLeft()

    def test_closedEarlyRefused(self) -> None:
        """
        A protocol that closed at once still hears of a refusal.
        """
        self.negotiate(optimistic=True)
        self.application.transport.loseConnection()
        self.transport.receive(refusal())
        self.transport.lose(ConnectionAborted())
        self.assertIsInstance(self.application.events[-1], AuthenticationRefused)

    def test_abortedEarly(self) -> None:
        """
        A protocol that aborts hears of just that, as far as the transport knows: the
        proxy is not to blame.
        """
        for error in (ConnectionAborted(), ConnectionLost()):
            self.negotiate(optimistic=True)
            self.application.transport.abortConnection()
            self.assertTrue(self.transport.disconnected)
            self.transport.lose(error)
            self.assertIs(self.application.events[-1], error)
            self.assertNothingLeft()

    def test_halfClosedEarly(self) -> None:
        """
        A protocol may end its direction at once, and read what is answered.
        """
        self.application = HalfCloseableApplication()
        self.negotiate(optimistic=True)
        self.application.transport.loseWriteConnection()
        self.assertTrue(self.transport.halfClosed)
        self.transport.protocol.writeConnectionLost()
        self.transport.receive(SUCCESS + b"answer")
        self.transport.endInput()
        self.assertEqual(self.application.events, ["made", "write lost", b"answer", "read lost"])

    def test_pausedEarly(self) -> None:
        """
        A protocol that pauses at once does not keep us from reading the replies.
        """
        self.application.whenMade = lambda application: application.transport.pauseProducing()
        self.negotiate(optimistic=True)
        self.assertEqual(self.transport.producerState, "producing")
        self.transport.receive(SUCCESS)
        self.assertEqual(self.transport.producerState, "paused")
        self.application.transport.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_pausedAndResumedEarly(self) -> None:
        """
        One that has changed its mind by then is not paused.
        """
        self.negotiate(optimistic=True)
        self.application.transport.pauseProducing()
        self.application.transport.resumeProducing()
        self.transport.receive(SUCCESS + b"hello")
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.application.events, ["made", b"hello"])
