"""
Tests of L{socks6.server.negotiation}.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure

from socks6.interfaces import OutboundFailed, OutboundRequest
from socks6.server.admission import LOGIN_TIMEOUT
from socks6.server.negotiation import Negotiation
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.serving.conversation import EARLY_DATA_LIMIT
from socks6.serving.limits import Limits
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from socks6.values.messages import Request
from tests.doubles import MemoryOutbound, PatientChecker, Peer
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    CONNECT,
    CONNECTED,
    DEMAND,
    DONE,
    EVE,
    NOOP,
    REFUSED,
    RIGHT,
    SESSION_ID,
    SESSION_INVALID,
    VERSION_MISMATCH,
    WELCOME,
    WRONG,
    ProxyTestCase,
    authenticationData,
    credentials,
    failure,
    methods,
    passwords,
    request,
)

ADA_DATA = authenticationData(ADA)
EVE_DATA = authenticationData(EVE)


@dataclass(frozen=True)
class Conversation:
    """
    What a client sends to a proxy that knows ada, what it gets to hear until
    the remote host is connected, and what that host then gets.

    @ivar name: In words.
    @ivar arrives: L{None}: the proxy does not even try to connect.
    """

    name: str
    sent: bytes
    heard: bytes
    arrives: bytes | None = None


#: "Authentication", for a policy that needs none.
ANONYMOUS = (
    Conversation("nothing offered", CONNECT, WELCOME, b""),
    Conversation("data behind the request", CONNECT + b"GET", WELCOME, b"GET"),
    Conversation("methods offered", request(methods()), WELCOME, b""),
    Conversation(
        "initial data, and what follows it",
        request(methods(3)) + b"GET / HTTP",
        WELCOME,
        b"GET / HTTP",
    ),
    Conversation("wrong credentials are not checked", request(EVE_DATA), WELCOME, b""),
    Conversation("a session ID", request(SESSION_ID), SESSION_INVALID),
    Conversation("a session ID behind others", request(methods() + SESSION_ID), SESSION_INVALID),
    Conversation("an empty session ID", request(bytes.fromhex("04 0004 02")), SESSION_INVALID),
    Conversation("a teardown without an ID", request(bytes.fromhex("04 0004 03")), WELCOME, b""),
    Conversation(
        "a token outside of a session", request(bytes.fromhex("05 0008 03 00000000")), WELCOME, b""
    ),
)

#: "Authentication", for a policy that needs a user name and password.
AUTHENTICATING = (
    Conversation("nothing offered", CONNECT, REFUSED),
    Conversation("another method offered", request(methods(0, 1, 3)), REFUSED),
    Conversation("no method offered", request(bytes.fromhex("02 0005 0000")), REFUSED),
    Conversation("data of another method", request(authenticationData(ADA, method=1)), REFUSED),
    # With Authentication Data there is no round trip.
    Conversation("right data", request(ADA_DATA), AUTHENTICATED, b""),
    Conversation("right data, application data", request(ADA_DATA) + b"GET", AUTHENTICATED, b"GET"),
    Conversation("wrong data", request(EVE_DATA), REFUSED),
    Conversation("wrong data, another method", request(EVE_DATA + methods(0, 1)), REFUSED),
    Conversation("of two data the right first", request(ADA_DATA + EVE_DATA), AUTHENTICATED, b""),
    Conversation("of two data the wrong first", request(EVE_DATA + ADA_DATA), REFUSED),
    Conversation(
        "data of another method first",
        request(authenticationData(b"", method=1) + ADA_DATA),
        AUTHENTICATED,
        b"",
    ),
    Conversation(
        "broken data are as if absent",
        request(authenticationData(b"\1\3ada") + ADA_DATA),
        AUTHENTICATED,
        b"",
    ),
    Conversation("right data, methods", request(ADA_DATA + methods()), AUTHENTICATED, b""),
    Conversation(
        "right data, methods, initial data and more",
        request(ADA_DATA + methods(3)) + b"GET / HTTP",
        AUTHENTICATED,
        b"GET / HTTP",
    ),
    # The exchange.
    Conversation("demand", request(methods()), DEMAND),
    Conversation("demand of the second method", request(methods(0, 1, 2)), DEMAND),
    Conversation("wrong data, then demand", request(EVE_DATA + methods()), DEMAND),
    Conversation("exchange", request(methods()) + ADA, DEMAND + RIGHT + AUTHENTICATED, b""),
    Conversation(
        "exchange after wrong data",
        request(EVE_DATA + methods()) + ADA,
        DEMAND + RIGHT + AUTHENTICATED,
        b"",
    ),
    Conversation("exchange, wrong", request(methods()) + EVE, DEMAND + WRONG + REFUSED),
    Conversation(
        "exchange, wrong, there is no second",
        request(methods()) + EVE + ADA,
        DEMAND + WRONG + REFUSED,
    ),
    Conversation(
        "exchange between initial data and more",
        request(methods(3)) + b"GET" + ADA + b" / HTTP",
        DEMAND + RIGHT + AUTHENTICATED,
        b"GET / HTTP",
    ),
    Conversation(
        "exchange, all initial data that can be",
        request(methods(16384)) + b"x" * 16384 + ADA + b"y",
        DEMAND + RIGHT + AUTHENTICATED,
        b"x" * 16384 + b"y",
    ),
    Conversation("initial data that lack", request(methods(4)) + b"GET", DEMAND),
    Conversation(
        "only CONNECT has initial data",
        request(methods(3), command=0) + ADA,
        DEMAND + RIGHT + AUTHENTICATED + DONE,
    ),
    Conversation("a session ID", request(SESSION_ID + ADA_DATA), SESSION_INVALID),
)


class AuthenticationTests(ProxyTestCase):
    """
    The first Authentication Reply, and the exchange and second one where they
    follow.
    """

    def converse(self, factory: SOCKS6ServerFactory, case: Conversation, size: int) -> None:
        """
        Play a conversation, with some octets at a time.
        """
        name = f"{case.name}, {size} at a time"
        self.outbound.attempts.clear()
        client = self.network.accept(factory)
        for place in range(0, len(case.sent), size):
            client.send(case.sent[place : place + size])
        self.assertEqual(client.received.hex(), case.heard.hex(), name)
        if case.arrives is not None:
            client.take()
            remote = self.attempt.succeed()
            self.assertEqual(client.received.hex(), CONNECTED.hex(), name)
            self.assertEqual(remote.received, case.arrives, name)
            remote.end()
        else:
            self.assertEqual(self.outbound.attempts, [], name)
        client.end()
        self.assertOver(name)

    def test_noneRequired(self) -> None:
        """
        Without checkers everybody is let in, but not with the ID of a session
        that does not exist.
        """
        factory = self.makeFactory()
        for case in ANONYMOUS:
            for size in (1, 20000):
                self.converse(factory, case, size)

    def test_usernamePassword(self) -> None:
        """
        With checkers, the octets of each way to authenticate, in one piece and
        octet by octet.
        """
        factory = self.makeFactory(passwords())
        for case in AUTHENTICATING:
            for size in (1, 20000):
                self.converse(factory, case, size)

    def test_refusalEnds(self) -> None:
        """
        Who was refused hears no more, and his connection ends; what he goes on
        to send does no harm.
        """
        for sent, heard in (
            (CONNECT, REFUSED),
            (request(methods()) + EVE, DEMAND + WRONG + REFUSED),
            (request(SESSION_ID), SESSION_INVALID),
        ):
            client = self.dial(passwords())
            client.send(sent)
            self.assertTrue(client.ended, heard.hex())
            client.send(ADA + CONNECT)
            client.end()
            self.assertEqual(client.received.hex(), heard.hex())
            self.assertFalse(client.wasReset, heard.hex())
            self.assertOver(heard.hex())

    def test_refusalIsLogged(self) -> None:
        """
        A refusal is one line, without what was tried.
        """
        client = self.dial(passwords())
        client.send(request(EVE_DATA))
        client.end()
        self.assertEqual(
            self.lines,
            [
                (
                    "192.0.2.2:40000 - connect 203.0.113.1:443: authentication failed,"
                    " 0 octets to the remote host, 0 to the client, 0.000 s"
                )
            ],
        )

    def test_nameIsLogged(self) -> None:
        """
        The line of a request names the user.
        """
        client = self.dial(passwords())
        client.send(request(ADA_DATA, command=0))
        client.end()
        self.assertEqual(len(self.lines), 1)
        self.assertIn(" ada noop ", self.lines[0])

    def test_noSecretsInLog(self) -> None:
        """
        Neither passwords nor session IDs nor application data come into the
        log, whatever happens.
        """
        secrets = ("s3cret", "gu3ss", "0badcafe", "PAYLOAD")
        factory = self.makeFactory(passwords())
        for options in (ADA_DATA, EVE_DATA, EVE_DATA + methods(7), SESSION_ID):
            client = self.network.accept(factory)
            client.send(request(options) + b"PAYLOAD" + EVE)
            client.reset()
        self.assertEqual(len(self.lines), 4)
        for event in self.events:
            for secret in secrets:
                self.assertNotIn(secret, repr(event))


class SlowCheckerTests(ProxyTestCase):
    """
    Checkers that take their time.
    """

    def setUp(self) -> None:
        super().setUp()
        self.checker = PatientChecker(self.network)

    def test_right(self) -> None:
        """
        Until the checker has answered nothing is said or done; the data that
        came meanwhile are delivered.
        """
        client = self.dial(self.checker)
        client.send(request(ADA_DATA) + b"GET")
        client.send(b" / HTTP")
        self.assertEqual(client.received, b"")
        self.assertEqual(self.outbound.attempts, [])
        self.checker.accept(b"ada")
        self.assertEqual(client.take(), AUTHENTICATED)
        self.assertEqual(self.attempt.succeed().received, b"GET / HTTP")

    def test_rightInExchange(self) -> None:
        """
        The same within the exchange.
        """
        client = self.dial(self.checker)
        client.send(request(methods(3)) + b"GET" + ADA)
        self.assertEqual(client.take(), DEMAND)
        client.send(b" / HTTP")
        self.assertEqual(client.take(), b"")
        self.checker.accept(b"ada")
        self.assertEqual(client.take(), RIGHT + AUTHENTICATED)
        self.assertEqual(self.attempt.succeed().received, b"GET / HTTP")

    def test_twice(self) -> None:
        """
        Wrong data lead to the exchange when the checker has said so; the
        credentials that came meanwhile are read then.
        """
        client = self.dial(self.checker)
        client.send(request(EVE_DATA + methods(3)) + b"GET" + ADA + b" / HTTP")
        self.assertEqual(client.take(), b"")
        self.checker.deny()
        self.assertEqual(client.take(), DEMAND)
        self.assertEqual(
            [(each.username, each.password) for each in self.checker.asked],
            [(b"eve", b"gu3ss"), (b"ada", b"s3cret")],
        )
        self.checker.accept(b"ada")
        self.assertEqual(client.take(), RIGHT + AUTHENTICATED)
        self.assertEqual(self.attempt.succeed().received, b"GET / HTTP")

    def test_malformedMeanwhile(self) -> None:
        """
        What came meanwhile may turn out to be no credentials.
        """
        client = self.dial(self.checker)
        client.send(request(EVE_DATA + methods()) + b"\5\1\0")
        self.checker.deny()
        self.assertEqual(client.received, DEMAND + WRONG + REFUSED)
        self.leave(client)
        self.assertOver()

    def test_endedMeanwhile(self) -> None:
        """
        A client that ended its direction meanwhile, and so cannot answer the
        demand, is not waited for.
        """
        client = self.dial(self.checker)
        client.send(request(EVE_DATA + methods()))
        client.end()
        self.checker.deny()
        self.assertOver()

    def test_endedMeanwhileButComplete(self) -> None:
        """
        A client may end its direction when it has sent all it has to say.
        """
        client = self.dial(self.checker)
        client.send(request(EVE_DATA + methods(), command=0) + ADA)
        client.end()
        self.checker.deny()
        self.checker.accept(b"ada")
        self.assertEqual(client.received, DEMAND + RIGHT + AUTHENTICATED + DONE)
        self.assertOver()

    def test_lostMeanwhile(self) -> None:
        """
        When the client goes away, the checker is told that nobody waits, and
        one line is written.
        """
        for sent in (request(ADA_DATA), request(methods()) + ADA):
            client = self.dial(self.checker)
            client.send(sent)
            client.reset()
            self.assertOver()
        self.assertEqual(self.checker.cancelled, 2)
        self.assertEqual(len(self.lines), 2)
        for line in self.lines:
            self.assertIn(": client lost, ", line)

    def test_stubbornWhenCancelled(self) -> None:
        """
        Whatever a checker makes of being cancelled, nothing more is said or
        done for a client that is gone.
        """

        def succeed(answer: Deferred[bytes]) -> None:
            answer.callback(b"ada")

        def deny(answer: Deferred[bytes]) -> None:
            answer.errback(UnauthorizedLogin())

        for react in (succeed, deny):
            for sent in (
                request(ADA_DATA),
                request(ADA_DATA + methods()),
                request(methods()) + ADA,
            ):
                case = f"{react.__name__} {sent!r}"
                answer: Deferred[bytes] = Deferred(react)
                self.patch(self.checker, "requestAvatarId", lambda given, answer=answer: answer)
                self.events.clear()
                client = self.dial(self.checker)
                client.send(sent)
                client.reset()
                self.assertOver(case)
                self.assertEqual(len(self.lines), 1, case)
                self.assertEqual(self.outbound.attempts, [], case)

    def test_stubbornWhenTooLate(self) -> None:
        """
        The same for a checker that took too long: the client is refused, whatever it
        makes of that.
        """

        def deny(answer: Deferred[bytes]) -> None:
            answer.errback(UnauthorizedLogin())

        answer: Deferred[bytes] = Deferred(deny)
        self.patch(self.checker, "requestAvatarId", lambda given: answer)
        client = self.dial(self.checker)
        client.send(request(ADA_DATA))
        self.network.elapse(LOGIN_TIMEOUT)
        self.assertEqual(client.received, REFUSED)
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.lines), 1)

    def test_tooLate(self) -> None:
        """
        The checker's time is not the client's, and has a limit of its own.
        """
        for sent, refusal in (
            (request(ADA_DATA), REFUSED),
            (request(methods()) + ADA, WRONG + REFUSED),
        ):
            client = self.dial(self.checker, requestTimeout=7.0)
            client.send(sent)
            client.take()
            self.network.elapse(LOGIN_TIMEOUT - 0.1)
            self.assertFalse(client.ended)
            self.network.elapse(0.1)
            self.assertEqual(client.take(), refusal)
            self.leave(client)
            self.assertOver()
        self.assertEqual(self.checker.cancelled, 2)
        self.assertEqual(len(self.lines), 2)
        for line in self.lines:
            self.assertIn(" - connect 203.0.113.1:443: authentication failed", line)

    def test_timeAfterwards(self) -> None:
        """
        After the checker has taken its time, the client has as much left as before.
        """
        client = self.dial(self.checker, requestTimeout=7.0)
        self.network.elapse(3)
        client.send(request(EVE_DATA + methods()))
        self.network.elapse(20)
        self.checker.deny()
        self.assertEqual(client.take(), DEMAND)
        self.network.elapse(3.9)
        self.assertFalse(client.ended)
        self.network.elapse(0.1)
        self.leave(client)
        self.assertOver()

    def test_boundedMeanwhile(self) -> None:
        """
        A client that floods the proxy while its checker thinks is read no
        further, and again when it has been let in.
        """
        client = self.dial(self.checker)
        client.send(request(ADA_DATA))
        flood = bytes(range(256)) * 1024
        client.send(flood)
        self.assertFalse(client.isRead)
        self.assertGreater(len(client.socket.input), len(flood) - EARLY_DATA_LIMIT - 65537)
        self.checker.accept(b"ada")
        self.assertEqual(self.attempt.succeed().received, flood)

    def test_boundIsLiftedInTheEnd(self) -> None:
        """
        A client that is not read hears the refusal, and its connection ends
        when it goes.
        """
        client = self.dial(self.checker)
        client.send(request(ADA_DATA) + bytes(3 * EARLY_DATA_LIMIT))
        self.assertFalse(client.isRead)
        self.checker.deny()
        self.assertEqual(client.received, REFUSED)
        self.leave(client)
        self.assertFalse(client.wasReset)
        self.assertOver()


class FloodTests(ProxyTestCase):
    """
    Clients that send more than they should.
    """

    def test_refusedAmidTheFlood(self) -> None:
        """
        The octets with which the limit is passed may be those for which the
        client is refused; it is heard to the end nevertheless.
        """
        client = self.dial(passwords())
        client.send(request(methods(16384)) + bytes(16384) + EVE[:5])
        client.send(EVE[5:] + bytes(65536 - len(EVE[5:])))
        self.assertEqual(client.received, DEMAND + WRONG + REFUSED)
        self.assertTrue(client.isRead)
        self.leave(client)
        self.assertFalse(client.wasReset)
        self.assertOver()

    def test_silentUsers(self) -> None:
        """
        Who has asked for something, but has not shown who it is, is no better than who
        has said nothing when there are too many; who is let in stays.
        """
        factory = self.makeFactory(passwords(), limits=Limits(handshakes=3))
        user, first, second = (self.network.accept(factory) for _ in range(3))
        user.send(request(ADA_DATA))
        for client in (first, second):
            client.send(request(methods()))
            self.assertEqual(client.take(), DEMAND)
        for dropped in (first, second):
            self.assertTrue(factory.gate.admits(("198.51.100.7", 4711)))
            self.network.spin()
            self.assertTrue(dropped.wasReset)
            newcomer = self.network.accept(factory)
            newcomer.send(request(methods()))
        self.assertFalse(user.isClosed)
        self.assertEqual(factory.gate.refused, {"silent": 2})
        self.attempt.succeed()
        self.assertEqual(user.received, AUTHENTICATED + CONNECTED)
        self.assertIn(": dropped for a new one, ", self.lines[-1])

    def test_boundWhileConnecting(self) -> None:
        """
        While the remote host is connected to, a client may send so much ahead
        and is then read no further; nothing gets lost.
        """
        client = self.dial()
        client.send(CONNECT)
        client.send(b"x" * EARLY_DATA_LIMIT)
        self.assertTrue(client.isRead)
        client.send(b"y")
        self.assertFalse(client.isRead)
        client.send(b"z" * 10)
        self.assertEqual(len(client.socket.input), 10)
        remote = self.attempt.succeed()
        self.assertEqual(remote.received, b"x" * EARLY_DATA_LIMIT + b"y" + b"z" * 10)
        self.assertTrue(client.isRead)


#: Name, what the client sends; what it hears from a proxy that needs no
#: authentication, and from one that does.  The section's other rows, where the
#: request is served, stand in L{ANONYMOUS} and L{tests.server.test_connect}.
MALFORMED = (
    ("SOCKS 5", b"\5", VERSION_MISMATCH, VERSION_MISMATCH),
    ("HTTP", b"GET / HTTP/1.1", VERSION_MISMATCH, VERSION_MISMATCH),
    ("version 6.1", b"\6\1", VERSION_MISMATCH, VERSION_MISMATCH),
    (
        "unknown address type",
        bytes.fromhex("0600 01 01bb 02"),
        WELCOME + failure(8),
        REFUSED,
    ),
    (
        "address type 0, NOOP",
        bytes.fromhex("0600 00 0000 00"),
        WELCOME + failure(8),
        REFUSED,
    ),
    ("options length 16385", CONNECT[:-2] + b"\x40\x01", REFUSED, REFUSED),
    ("option length 2", request(bytes.fromhex("e0 0002")), REFUSED, REFUSED),
    ("option length 0", request(bytes.fromhex("e0 0000")), REFUSED, REFUSED),
    ("option past the end", request(bytes.fromhex("e0 0005 00")), REFUSED, REFUSED),
    ("stray octets", request(bytes.fromhex("e0 0003 e0 00")), REFUSED, REFUSED),
    ("empty name", bytes.fromhex("0600 01 01bb 03 00"), REFUSED, REFUSED),
    (
        "NUL in a name",
        request(address=bytes.fromhex("01bb 03 03 610062")),
        REFUSED,
        REFUSED,
    ),
    ("16385 octets of initial data", request(methods(16385)), REFUSED, REFUSED),
)


class MalformedTests(ProxyTestCase):
    """
    Malformed input.
    """

    def misbehave(self, factory: SOCKS6ServerFactory, name: str, sent: bytes, heard: bytes) -> None:
        """
        Send what is malformed, octet by octet, and see that the last one is
        answered at once.
        """
        self.events.clear()
        counted = factory.accessLog.malformed.total()
        client = self.network.accept(factory)
        for octet in sent:
            self.assertEqual(client.received.hex(), "", f"{name}: too early")
            client.send(bytes([octet]))
            if client.received:
                break
        self.assertEqual(client.received.hex(), heard.hex(), name)
        self.assertTrue(client.ended, name)
        client.send(b"more of it")
        client.end()
        self.assertFalse(client.wasReset, name)
        self.assertOver(name)
        self.assertEqual(len(self.lines), 1, f"{name}: {self.lines}")
        self.assertEqual(factory.accessLog.malformed.total(), counted + 1, name)

    def test_answers(self) -> None:
        """
        Each mistake is answered as soon as it is there, the connection ends, one
        line is written, and the next client is served.
        """
        for name, sent, *answers in MALFORMED:
            for checkers, heard in zip(((), (passwords(),)), answers, strict=True):
                factory = self.makeFactory(*checkers)
                self.misbehave(factory, name, sent, heard)
                client = self.network.accept(factory)
                client.send(request(ADA_DATA, command=0))
                self.assertEqual(client.received[-len(DONE) :], DONE, name)
                client.end()

    def test_malformedCredentials(self) -> None:
        """
        What is no RFC 1929 message is answered with its refusal and ours.
        """
        for sent in (b"\5", b"\1\0", b"\1\3ada\0"):
            client = self.dial(passwords())
            client.send(request(methods()))
            self.assertEqual(client.take(), DEMAND)
            client.send(sent)
            self.assertEqual(client.received.hex(), (WRONG + REFUSED).hex(), repr(sent))
            self.leave(client)
            self.assertOver(repr(sent))
            self.assertNobodyWaits(client)

    def test_malformedCredentialsAtOnce(self) -> None:
        """
        They may come together with the request.
        """
        client = self.dial(passwords())
        client.send(request(methods()) + b"\5")
        self.assertEqual(client.received, DEMAND + WRONG + REFUSED)
        self.leave(client)
        self.assertOver()
        self.assertNobodyWaits(client)

    def test_endInTheMiddle(self) -> None:
        """
        When the client's direction ends within its request or credentials,
        nothing is sent, and the connection ends.
        """
        for name, sent, heard in (
            ("nothing at all", b"", b""),
            ("half a request", CONNECT[:7], b""),
            ("all but an octet", request(methods())[:-1], b""),
            ("no credentials", request(methods()), DEMAND),
            ("half of the credentials", request(methods()) + ADA[:6], DEMAND),
            ("half of the initial data", request(methods(9)) + b"GET", DEMAND),
        ):
            self.events.clear()
            client = self.dial(passwords())
            client.send(sent)
            client.end()
            self.assertEqual(client.received.hex(), heard.hex(), name)
            self.assertFalse(client.wasReset, name)
            self.assertOver(name)
            self.assertEqual(len(self.lines), 1, name)
            subject = "192.0.2.2:40000"
            if heard:
                subject += " - connect 203.0.113.1:443"
            complaint = f"{subject}: the connection ended before the client's message did"
            self.assertTrue(self.lines[0].startswith(complaint), name)
            self.assertEqual(self.factories[-1].accessLog.malformed, {"UnexpectedEnd": 1}, name)

    def test_lostInTheMiddle(self) -> None:
        """
        A connection that breaks within a request is one line, too.
        """
        client = self.dial()
        client.send(CONNECT[:7])
        client.reset()
        self.assertOver()
        self.assertEqual(len(self.lines), 1)
        self.assertTrue(
            self.lines[0].startswith("192.0.2.2:40000: the client went away: "), self.lines
        )

    def test_lostStrangely(self) -> None:
        """
        Words that are not Twisted's or OpenSSL's own could quote the client,
        so they stay out of the log.
        """
        client = self.dial()
        client.connection.connectionLost(Failure(ValueError("PAYLOAD")))
        self.network.spin()
        self.assertOver()
        self.assertEqual(self.lines, ["192.0.2.2:40000: the client went away: ValueError"])

    def test_timeLimit(self) -> None:
        """
        A client that has not said all in time, however busy it is, hears
        nothing; the connection ends.
        """
        for name, sent, heard in (
            ("nothing at all", b"", b""),
            ("half a request", CONNECT[:7], b""),
            ("no credentials", request(methods()), DEMAND),
        ):
            self.events.clear()
            client = self.dial(passwords(), requestTimeout=5.0)
            for octet in sent:
                client.send(bytes([octet]))
                self.network.elapse(0.25)
            self.network.elapse(4.75 - 0.25 * len(sent))
            self.assertFalse(client.ended, name)
            self.network.elapse(0.25)
            self.assertEqual(client.received.hex(), heard.hex(), name)
            self.leave(client)
            self.assertOver(name)
            self.assertEqual(len(self.lines), 1, name)
            subject = "192.0.2.2:40000"
            if heard:
                subject += " - connect 203.0.113.1:443"
            complaint = f"{subject}: no authenticated request within 5 s"
            self.assertTrue(self.lines[0].startswith(complaint), name)

    def test_timeLimitEnds(self) -> None:
        """
        The time limit is for the request, not for what it asks for.
        """
        client, remote = self.tunnel(requestTimeout=5.0)
        self.network.elapse(1000)
        client.send(b"still there?")
        self.assertEqual(remote.received, b"still there?")

    def test_largestRequest(self) -> None:
        """
        A request with as many options as there may be is served.
        """
        client = self.dial()
        client.send(request(bytes.fromhex("e0 4000") + bytes(16381), command=0))
        self.assertEqual(client.received, WELCOME + DONE)
        self.leave(client)


class FailureTests(ProxyTestCase):
    """
    Failures that are not the client's.
    """

    def operate(self, operation: object, sent: bytes = CONNECT) -> Peer:
        """
        Let a proxy do something else for CONNECT.
        """
        client = self.dial(operations={1: operation})
        client.send(sent)
        return client

    def test_operationFails(self) -> None:
        """
        An operation that fails in an unforeseen way is logged once, and the
        client hears "general failure".
        """

        async def operation(negotiation: Negotiation, request: Request) -> None:
            raise ZeroDivisionError

        client = self.operate(operation)
        self.assertEqual(client.received, WELCOME + failure(1))
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.lines), 2)
        self.assertIn(": general failure, ", self.lines[1])

    def test_operationIsCancelledByOthers(self) -> None:
        """
        That an operation's own Deferred was cancelled is such a failure, too.
        """

        async def operation(negotiation: Negotiation, request: Request) -> None:
            await fail(CancelledError())

        client = self.operate(operation)
        self.assertEqual(client.received, WELCOME + failure(1))
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_operationFailsLate(self) -> None:
        """
        Where an operation fails after its reply, the connection just ends.
        """

        async def operation(negotiation: Negotiation, request: Request) -> None:
            negotiation.reply(ReplyCode.SUCCESS)
            raise ZeroDivisionError

        client = self.operate(operation)
        self.assertEqual(client.received, WELCOME + DONE)
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_operationFailsWhenCancelled(self) -> None:
        """
        Where an operation fails because the client is gone, nobody hears of it
        but the operator.
        """
        waiting: Deferred[None] = Deferred(lambda done: done.errback(ZeroDivisionError()))

        async def operation(negotiation: Negotiation, request: Request) -> None:
            await waiting

        client = self.operate(operation)
        client.reset()
        self.assertOver()
        self.assertNobodyWaits(client)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_operationAnswersWhenCancelled(self) -> None:
        """
        An operation that answers although the client is gone ends there.
        """
        waiting: Deferred[None] = Deferred(
            lambda done: done.errback(OutboundFailed(ReplyCode.TIMED_OUT, "gave up"))
        )
        after: list[str] = []

        async def operation(negotiation: Negotiation, request: Request) -> None:
            try:
                await waiting
            except OutboundFailed as failed:
                negotiation.reply(failed.replyCode)
            after.append("more")

        client = self.operate(operation)
        client.reset()
        self.assertOver()
        self.assertEqual(after, [])
        self.assertEqual(len(self.lines), 1)

    def test_checkerFails(self) -> None:
        """
        A failing checker is logged once, with each request, and lets nobody in.
        """

        class Broken(PatientChecker):
            def requestAvatarId(self, given: object) -> Deferred[object]:
                raise ZeroDivisionError

        client = self.dial(Broken(self.network))
        client.send(request(ADA_DATA))
        self.assertEqual(client.received, REFUSED)
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_checkerGivesUp(self) -> None:
        """
        Where a checker itself was cancelled, we have failed, too.
        """
        checker = PatientChecker(self.network)
        client = self.dial(checker)
        client.send(request(ADA_DATA))
        checker.answers[0].errback(CancelledError())
        self.network.spin()
        self.assertEqual(client.received, b"")
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_strangeAvatar(self) -> None:
        """
        A checker that names users by what is no name lets nobody in.
        """
        checker = PatientChecker(self.network)
        client = self.dial(checker)
        client.send(request(ADA_DATA))
        checker.accept(object())
        self.assertEqual(client.received, REFUSED)
        self.leave(client)
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_authenticatorFails(self) -> None:
        """
        Where we fail before the client is authenticated, it hears nothing, and
        the connection ends.
        """
        factory = self.makeFactory(passwords())
        self.patch(factory.authenticator, "credentialsIn", lambda request: request.nothing)
        client = self.network.accept(factory)
        client.send(request(ADA_DATA))
        self.assertEqual(client.received, b"")
        self.leave(client)
        self.assertOver()
        self.network.elapse(20)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.assertEqual(len(self.lines), 2)

    def test_cut(self) -> None:
        """
        Cutting a connection before there is a tunnel is an abort.
        """
        for sent in (b"", CONNECT[:5], CONNECT):
            self.outbound.attempts.clear()
            factory = self.makeFactory()
            client = self.network.accept(factory)
            client.send(sent)
            cut = factory.cutAll()
            self.network.spin()
            self.successResultOf(cut)
            self.assertTrue(client.wasReset)
            self.assertEqual(
                [each.cancelled for each in self.outbound.attempts], [True] * (sent == CONNECT)
            )
            self.assertOver(repr(sent))

    def test_longName(self) -> None:
        """
        Names and passwords of 255 octets work in data and exchange.
        """
        given = credentials(b"n" * 255, b"p" * 255)
        checker = passwords(**{"n" * 255: b"p" * 255})
        for sent, heard in (
            (request(authenticationData(given), command=0), AUTHENTICATED + DONE),
            (request(methods(), command=0) + given, DEMAND + RIGHT + AUTHENTICATED + DONE),
        ):
            client = self.dial(checker)
            client.send(sent)
            self.assertEqual(client.received.hex(), heard.hex())
            self.leave(client)
            self.assertOver()
        self.assertEqual(NOOP[2], 0)


class NearOutbound(MemoryOutbound):
    """
    Remote hosts that answer as soon as they are asked.

    @ivar remote: The last one.
    """

    remote: Peer

    def connect(self, request: OutboundRequest, protocol: IProtocol) -> Deferred[Address | None]:
        """
        Connect.
        """
        done = super().connect(request, protocol)
        self.remote = self.attempts[-1].succeed()
        return done


class SegmentTests(ProxyTestCase):
    """
    What leaves together.
    """

    def test_replies(self) -> None:
        """
        Replies to what has come at a time leave together, at once.
        """
        for sent, replies in (
            (NOOP, WELCOME + DONE),
            (request(command=9), WELCOME + failure(7)),
            (b"\5\1\0", VERSION_MISMATCH),
        ):
            client = self.network.accept(self.makeFactory(), early=sent)
            self.network.spin()
            self.assertEqual(client.socket.segments, [replies])

    def test_near(self) -> None:
        """
        So do those to a request whose remote host answers at once; data follows both
        ways.
        """
        outbound = NearOutbound(self.network)
        client = self.network.accept(self.makeFactory(outbound=outbound), early=CONNECT + b"data")
        self.network.spin()
        self.assertEqual(client.socket.segments, [WELCOME + CONNECTED])
        self.network.spin()
        self.assertEqual(outbound.remote.socket.segments, [b"data"])
        outbound.remote.send(b"answer")
        self.assertEqual(client.socket.segments, [WELCOME + CONNECTED, b"answer"])

    def test_far(self) -> None:
        """
        What the client is to know at once does not wait for its remote host.
        """
        client = self.network.accept(self.makeFactory(), early=CONNECT)
        self.network.spin()
        self.assertEqual(client.socket.segments, [WELCOME])
        self.attempt.succeed()
        self.assertEqual(client.socket.segments, [WELCOME, CONNECTED])

    def test_credentials(self) -> None:
        """
        Nor does a question that the client is asked; what its answer is answered with
        leaves together.
        """
        client = self.network.accept(self.makeFactory(passwords()), early=request(methods()))
        self.network.spin()
        self.assertEqual(client.socket.segments, [DEMAND])
        client.send(ADA)
        self.assertEqual(client.socket.segments, [DEMAND, RIGHT + AUTHENTICATED])
