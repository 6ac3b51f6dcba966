"""
Tests of L{socks6.server.admission}: how sessions are opened, used and ended.

What is done with tokens is in L{tests.server.test_admission_tokens}, and what becomes
of requests whose sessions are out of order, in L{tests.server.test_admission_stores}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from socks6.interfaces import (
    SessionTrust,
)
from socks6.policy.authentication import ANONYMOUS
from socks6.policy.sessions import DECLINED_PERIOD, DEFAULT_TIMEOUT, SessionService
from socks6.server.admission import Admission
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.values.codes import ReplyCode
from tests.doubles import CLIENT_ADDRESS, PatientChecker
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    CONNECTED,
    DEMAND,
    DONE,
    EVE,
    REFUSED,
    RIGHT,
    SESSION_ID,
    SESSION_INVALID,
    WELCOME,
    WRONG,
    TLSServer,
    authenticationData,
    failure,
    methods,
    request,
)
from tests.server.sessions import (
    ID,
    MALLORY,
    MALLORY_DATA,
    OPENED,
    SESSION_OK,
    SESSION_REQUEST,
    SESSION_UNTRUSTED,
    TEARDOWN,
    WITHIN,
    PatientStore,
    SessionTestCase,
    admitted,
    expenditure,
    identifierIn,
    noop,
    outcome,
    sessionID,
    tokenRequest,
    unknown,
    window,
)
from tests.server.test_negotiation import ADA_DATA, EVE_DATA, Conversation

#: Options of replies, which mean nothing in a request.
STRAYS = SESSION_OK + bytes.fromhex("04 0004 05") + SESSION_UNTRUSTED + window(7, 7) + outcome(1)

#: Options of types that nobody knows.
UNKNOWN_TYPES = bytes.fromhex("04 0004 07  05 0004 05  04 0003  05 0003")

#: Opened by ada, in a strict proxy.
OPENED_BY_ADA = admitted(ID, method=2)

#: Requests that open a session where nobody needs credentials.
OPENING = (
    Conversation("just so", noop(SESSION_REQUEST), OPENED + DONE),
    Conversation("CONNECT", request(SESSION_REQUEST), OPENED, b""),
    Conversation("CONNECT with data", request(SESSION_REQUEST) + b"GET", OPENED, b"GET"),
    Conversation("an unknown command", unknown(SESSION_REQUEST), OPENED + failure(7)),
    Conversation(
        "port 0",
        request(SESSION_REQUEST, address=bytes.fromhex("0000 01 cb007101")),
        OPENED + failure(1),
    ),
    Conversation("asked for twice", noop(SESSION_REQUEST * 2), OPENED + DONE),
    Conversation("teardown is ignored", noop(SESSION_REQUEST + TEARDOWN), OPENED + DONE),
    Conversation("teardown before it", noop(TEARDOWN + SESSION_REQUEST), OPENED + DONE),
    Conversation("wrong credentials", noop(MALLORY_DATA + SESSION_REQUEST), OPENED + DONE),
    Conversation("strays", noop(STRAYS + SESSION_REQUEST), OPENED + DONE),
    Conversation("unknown types", noop(UNKNOWN_TYPES + SESSION_REQUEST), OPENED + DONE),
)

#: The same where a user name and password are needed.
OPENING_WITH_PASSWORD = (
    Conversation("data", noop(SESSION_REQUEST + ADA_DATA), OPENED_BY_ADA + DONE),
    Conversation("data first", noop(ADA_DATA + SESSION_REQUEST), OPENED_BY_ADA + DONE),
    Conversation(
        "data, methods, CONNECT",
        request(SESSION_REQUEST + ADA_DATA + methods(3)) + b"GET / HTTP",
        OPENED_BY_ADA,
        b"GET / HTTP",
    ),
    # "the second one where there are two"
    Conversation(
        "exchange", noop(SESSION_REQUEST + methods()) + ADA, DEMAND + RIGHT + OPENED_BY_ADA + DONE
    ),
    Conversation(
        "exchange, CONNECT",
        request(SESSION_REQUEST + methods(3)) + b"GET" + ADA + b" / HTTP",
        DEMAND + RIGHT + OPENED_BY_ADA,
        b"GET / HTTP",
    ),
    Conversation(
        "exchange after wrong data",
        noop(MALLORY_DATA + SESSION_REQUEST + methods()) + ADA,
        DEMAND + RIGHT + OPENED_BY_ADA + DONE,
    ),
)

#: Requests that open none, without credentials and with wrong ones.
SERVED_WITHOUT = (
    Conversation("nothing", noop(), WELCOME + DONE),
    Conversation("teardown without an ID", noop(TEARDOWN), WELCOME + DONE),
    Conversation("a broken request", noop(bytes.fromhex("04 0005 01 00")), WELCOME + DONE),
    Conversation("strays", noop(STRAYS), WELCOME + DONE),
    Conversation("unknown types", noop(UNKNOWN_TYPES), WELCOME + DONE),
)
REFUSED_WITHOUT = (
    Conversation("no credentials", noop(SESSION_REQUEST), REFUSED),
    Conversation("wrong data", noop(SESSION_REQUEST + MALLORY_DATA), REFUSED),
    Conversation("another method", noop(SESSION_REQUEST + methods(0, 1)), REFUSED),
    Conversation(
        "wrong exchange", noop(SESSION_REQUEST + methods()) + MALLORY, DEMAND + WRONG + REFUSED
    ),
)


class OpeningTests(SessionTestCase):
    """
    Session Request.
    """

    def test_anonymous(self) -> None:
        """
        Where nobody needs credentials, everybody may open a session.
        """
        factory = self.proxy()
        for case in OPENING:
            for size in (1, 20000):
                count = len(self.store)
                identifier = self.converse(factory, case, size=size)
                self.assertEqual(len(self.store), count + 1, case.name)
                self.assertAlive(factory, identifier, case.name)

    def test_password(self) -> None:
        """
        Where credentials are needed, they open it, whichever way they come.
        """
        factory = self.strictProxy()
        for case in OPENING_WITH_PASSWORD:
            for size in (1, 20000):
                count = len(self.store)
                identifier = self.converse(factory, case, size=size)
                self.assertEqual(len(self.store), count + 1, case.name)
                self.assertAlive(factory, identifier, case.name)

    def test_none(self) -> None:
        """
        Who does not ask opens no session, and nor does who is refused.
        """
        for factory, cases in (
            (self.proxy(), SERVED_WITHOUT),
            (self.strictProxy(), REFUSED_WITHOUT),
        ):
            for case in cases:
                for size in (1, 20000):
                    self.converse(factory, case, size=size)
                    self.assertEqual(len(self.store), 0, case.name)

    def test_identifiers(self) -> None:
        """
        No two sessions have the same ID.
        """
        factory = self.proxy()
        self.assertEqual(len({self.open(factory) for _ in range(100)}), 100)

    def test_operationFails(self) -> None:
        """
        The session stays if the request that opened it comes to nothing.
        """
        factory = self.proxy()
        client = self.network.accept(factory)
        client.send(request(SESSION_REQUEST))
        identifier = identifierIn(client.take())
        self.attempt.refuse(ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(client.received, failure(5))
        self.leave(client)
        self.assertAlive(factory, identifier)

    def test_ownService(self) -> None:
        """
        A proxy that was given no sessions has its own.
        """
        factory, other = self.makeFactory(), self.makeFactory()
        identifier = self.open(factory)
        self.assertAlive(factory, identifier)
        self.assertGone(other, identifier)


class DecliningTests(SessionTestCase):
    """
    Sessions that may not be opened.
    """

    def assertDeclined(
        self,
        factory: IProtocolFactory,
        options: bytes = b"",
        peer: IAddress = CLIENT_ADDRESS,
        reply: bytes = WELCOME,
    ) -> None:
        """
        Check that a request is served without the session that it asks for, and
        its other wishes are those of one outside of a session.
        """
        for wish in (b"", tokenRequest(5), expenditure(0), TEARDOWN):
            heard = self.hear(factory, noop(options + SESSION_REQUEST + wish), str(peer), peer)
            self.assertEqual(heard.hex(), (reply + DONE).hex(), str(peer))

    def test_all(self) -> None:
        """
        There is a limit for all sessions together.  When one has ended there is
        room again.
        """
        factory = self.proxy(maxSessions=2)
        self.open(factory)
        identifier = self.open(factory, peer=IPv4Address("TCP", "192.0.2.77", 1))
        self.assertDeclined(factory)
        self.assertEqual(len(self.store), 2)
        self.tearDownSession(factory, identifier)
        self.open(factory)
        self.assertDeclined(factory)

    def test_none(self) -> None:
        """
        There may be no sessions at all.
        """
        self.assertDeclined(self.proxy(maxSessions=0))
        self.assertDeclined(self.proxy(maxSessionsPerClient=0))
        self.assertDeclined(self.strictProxy(maxSessions=0), ADA_DATA, reply=AUTHENTICATED)

    def test_exchange(self) -> None:
        """
        After an exchange, the second Authentication Reply says as little.
        """
        heard = self.hear(self.strictProxy(maxSessions=0), noop(SESSION_REQUEST + methods()) + ADA)
        self.assertEqual(heard, DEMAND + RIGHT + AUTHENTICATED + DONE)

    def test_expiry(self) -> None:
        """
        Sessions that have expired do not count.
        """
        factory = self.proxy(maxSessions=1)
        self.open(factory)
        self.network.elapse(DEFAULT_TIMEOUT - 1)
        self.assertDeclined(factory)
        self.network.elapse(1)
        self.open(factory)

    def test_user(self) -> None:
        """
        There is a limit for each user, wherever he is.
        """
        factory = self.strictProxy(maxSessionsPerClient=1)
        self.open(factory, ADA_DATA)
        elsewhere = IPv4Address("TCP", "192.0.2.77", 1)
        self.assertDeclined(factory, ADA_DATA, elsewhere, AUTHENTICATED)
        self.open(factory, EVE_DATA)
        self.assertDeclined(factory, EVE_DATA, reply=AUTHENTICATED)

    def test_address(self) -> None:
        """
        Who has no user name counts by his address, or its network of 64 bits; all
        who come over UNIX sockets count as one.
        """
        factory = self.proxy(maxSessionsPerClient=1)
        for first, second in (
            (CLIENT_ADDRESS, IPv4Address("TCP", CLIENT_ADDRESS.host, 1)),
            (IPv4Address("TCP", "192.0.2.3", 1), IPv6Address("TCP", "::ffff:192.0.2.3", 1)),
            (IPv6Address("TCP", "2001:db8::1", 1), IPv6Address("TCP", "2001:db8::2:3:4:5", 1)),
            (IPv6Address("TCP", "2001:db8:0:1::1", 1), IPv6Address("TCP", "2001:db8:0:1::2", 1)),
            (IPv6Address("TCP", "fe80::1%eth0", 1), IPv6Address("TCP", "fe80::2%eth1", 1)),
            (UNIXAddress(b"/run/client"), UNIXAddress(None)),
        ):
            self.open(factory, peer=first)
            self.assertDeclined(factory, peer=second)

    def test_addressBehindPROXYProtocol(self) -> None:
        """
        Behind a load balancer that speaks the PROXY protocol, the address that it
        names counts, though it may be none.
        """
        factory = HAProxyWrappingFactory(self.proxy(maxSessionsPerClient=1))
        for source in (b"192.0.2.98", b"192.0.2.99", b"nowhere"):
            sent = b"PROXY TCP4 %s 192.0.2.1 4711 1080\r\n" % source + noop(SESSION_REQUEST)
            identifierIn(self.hear(factory, sent))
            self.assertEqual(self.hear(factory, sent), WELCOME + DONE, source.decode())

    def test_anonymous(self) -> None:
        """
        Those without a user name may be excluded; the others are not then.
        """
        self.assertDeclined(self.proxy(anonymous=False))
        factory = self.strictProxy(anonymous=False)
        self.assertAlive(factory, self.open(factory, ADA_DATA))

    def test_silence(self) -> None:
        """
        The client hears nothing of it; the operator reads one line a minute.
        """
        factory = self.proxy(maxSessions=0)
        for _ in range(3):
            self.hear(factory, noop(SESSION_REQUEST))
        line = "A session for - from 192.0.2.2 was declined: there are too many"
        self.assertEqual(self.lines[0], line)
        self.assertEqual([" noop " in each for each in self.lines[1:]], [True] * 3)
        self.events.clear()
        self.network.elapse(DECLINED_PERIOD)
        self.hear(factory, noop(SESSION_REQUEST))
        self.assertEqual(self.lines[:2], ["2 more sessions were declined", line])

    def test_whereFrom(self) -> None:
        """
        The line names user and address, as far as there are any.
        """
        for factory, options, peer, words in (
            (
                self.proxy(maxSessions=0),
                b"",
                IPv6Address("TCP", "fe80::1%eth0", 1),
                "- from fe80::1",
            ),
            (self.proxy(maxSessions=0), b"", UNIXAddress(None), "- from elsewhere"),
            (self.strictProxy(maxSessions=0), ADA_DATA, CLIENT_ADDRESS, "ada from 192.0.2.2"),
        ):
            self.events.clear()
            self.hear(factory, noop(SESSION_REQUEST + options), peer=peer)
            line = f"A session for {words} was declined: there are too many"
            self.assertEqual(self.lines[0], line)


#: Requests within a trusted session, on connections of their own.
TRUSTED = (
    Conversation("just so", noop(ID), WITHIN + DONE),
    Conversation("CONNECT", request(ID), WITHIN, b""),
    Conversation("data behind the request", request(ID) + b"GET", WITHIN, b"GET"),
    Conversation("an unknown command", unknown(ID), WITHIN + failure(7)),
    # "authentication data in the request is ignored"
    Conversation("wrong credentials", noop(ID + MALLORY_DATA), WITHIN + DONE),
    Conversation("another user's credentials", noop(EVE_DATA + ID), WITHIN + DONE),
    Conversation("right credentials", noop(ADA_DATA + ID), WITHIN + DONE),
    Conversation("broken credentials", noop(authenticationData(b"\1\3") + ID), WITHIN + DONE),
    # "no authentication is asked for"
    Conversation("methods", noop(ID + methods()), WITHIN + DONE),
    Conversation(
        "no exchange, so what follows is application data",
        request(ID + methods(3)) + b"GET" + ADA,
        WITHIN,
        b"GET" + ADA,
    ),
    Conversation(
        "wrong credentials and methods",
        request(MALLORY_DATA + methods() + ID) + ADA,
        WITHIN,
        ADA,
    ),
    # "honours the ID and ignores the request"
    Conversation("a session request", noop(ID + SESSION_REQUEST), WITHIN + DONE),
    Conversation("a session request first", noop(SESSION_REQUEST + ID), WITHIN + DONE),
    # "the first counts"
    Conversation("a wrong ID behind it", noop(ID + SESSION_ID), WITHIN + DONE),
    Conversation("a wrong ID first", noop(SESSION_ID + ID), SESSION_INVALID),
    Conversation("an empty ID first", noop(sessionID(b"") + ID), SESSION_INVALID),
    Conversation("strays", noop(STRAYS + ID), WITHIN + DONE),
    Conversation("unknown types", noop(UNKNOWN_TYPES + ID), WITHIN + DONE),
    Conversation("a broken teardown", noop(ID + bytes.fromhex("04 0005 03 00")), WITHIN + DONE),
)

#: Requests with an ID that is none, whatever else they hold.
INVALID = (
    Conversation("just so", noop(ID), SESSION_INVALID),
    Conversation("CONNECT", request(ID) + b"GET", SESSION_INVALID),
    Conversation("an unknown command", unknown(ID), SESSION_INVALID),
    Conversation("right credentials", request(ID + ADA_DATA), SESSION_INVALID),
    Conversation("methods", request(ID + methods()) + ADA, SESSION_INVALID),
    Conversation("a session request", request(ID + SESSION_REQUEST + ADA_DATA), SESSION_INVALID),
    Conversation("a session request first", request(SESSION_REQUEST + ID), SESSION_INVALID),
    Conversation("teardown", request(ID + TEARDOWN), SESSION_INVALID),
    Conversation("tokens", request(ID + tokenRequest(5)), SESSION_INVALID),
    Conversation("a token", request(ID + expenditure(0)), SESSION_INVALID),
)


class TrustedTests(SessionTestCase):
    """
    Requests in sessions whose ID is enough, and with IDs that are none.
    """

    def both(self) -> tuple[tuple[SOCKS6ServerFactory, bytes], ...]:
        """
        Make both kinds of proxy, each with a session of ada's.
        """
        anonymous, strict = self.proxy(), self.strictProxy()
        return (anonymous, self.open(anonymous)), (strict, self.open(strict, ADA_DATA))

    def test_trusted(self) -> None:
        """
        The ID is enough, and credentials beside it are not looked at.  No request
        opens another session.
        """
        for factory, identifier in self.both():
            for case in TRUSTED:
                for size in (1, 20000):
                    self.converse(factory, case, identifier, size)
                    self.assertEqual(len(self.store), 2, case.name)

    def test_key(self) -> None:
        """
        The way to remote hosts gets to know which requests are in the same session, and
        nothing shows how.
        """
        for factory, identifier in self.both():
            self.outbound.attempts.clear()
            other = self.open(factory, ADA_DATA)
            for options in (sessionID(identifier), sessionID(identifier), sessionID(other)):
                self.network.accept(factory).send(request(options))
            self.network.accept(factory).send(request(SESSION_REQUEST + ADA_DATA))
            self.network.accept(factory).send(request(ADA_DATA))
            first, again, another, opener, stranger = [
                attempt.request.session for attempt in self.outbound.attempts
            ]
            self.assertEqual(first, again)
            self.assertEqual(len({first, another, opener, stranger}), 4)
            self.assertIsNone(stranger)
            for attempt in self.outbound.attempts:
                self.assertNotIn(repr(first), repr(attempt.request))
            self.assertNotIn(repr(first), repr(Admission(ANONYMOUS, session=first)))

    def test_anywhere(self) -> None:
        """
        It may be used from another address than that which opened it.
        """
        for factory, identifier in self.both():
            elsewhere = IPv6Address("TCP", "2001:db8::1", 1)
            heard = self.hear(factory, noop(sessionID(identifier)), peer=elsewhere)
            self.assertEqual(heard, WITHIN + DONE)

    def test_wrong(self) -> None:
        """
        An ID that was never given out is refused, even where nobody needs
        credentials.
        """
        for factory, identifier in self.both():
            for case in INVALID:
                for size in (1, 20000):
                    self.converse(factory, case, b"an ID of nothing", size)
            for wrong in (
                b"",
                identifier[:-1],
                identifier[1:],
                identifier[::-1],
                identifier + b"\0",
                identifier * 2,
                bytes(16000),
            ):
                self.assertGone(factory, wrong, f"{len(wrong)} octets")
            self.assertAlive(factory, identifier)
            self.assertEqual(len(self.store), 2)

    def test_tornDown(self) -> None:
        """
        So is one that has been torn down.
        """
        for factory, identifier in self.both():
            self.tearDownSession(factory, identifier)
            for case in INVALID:
                for size in (1, 20000):
                    self.converse(factory, case, identifier, size)

    def test_expired(self) -> None:
        """
        So is one that has not been used for too long.
        """
        sessions = self.both()
        self.network.elapse(DEFAULT_TIMEOUT)
        for factory, identifier in sessions:
            for case in INVALID:
                for size in (1, 20000):
                    self.converse(factory, case, identifier, size)
        self.assertEqual(len(self.store), 0)

    def test_use(self) -> None:
        """
        With each use the session's time begins anew.
        """
        factory = self.proxy(timeout=7.0)
        identifier = self.open(factory)
        for _ in range(3):
            self.network.elapse(6.75)
            self.assertAlive(factory, identifier)
        self.network.elapse(7)
        self.assertGone(factory, identifier)

    def test_endOfConnection(self) -> None:
        """
        Who is told that there is no such session hears no more; what he goes on to
        send does no harm.
        """
        client = self.network.accept(self.proxy())
        client.send(noop(SESSION_ID))
        self.assertTrue(client.ended)
        client.send(noop(SESSION_REQUEST))
        self.leave(client)
        self.assertEqual(client.received, SESSION_INVALID)
        self.assertFalse(client.wasReset)
        self.assertOver()

    def test_otherPolicy(self) -> None:
        """
        Proxies of both kinds may share their sessions; an ID that was had without
        credentials lets nobody in where they are needed, and the other way round.
        """
        (anonymous, first), (strict, second) = self.both()
        self.assertGone(strict, first)
        self.assertGone(anonymous, second)

    def test_sharedService(self) -> None:
        """
        Proxies may share one service: what one does the other one knows.
        """
        sessions = SessionService(self.network, self.store)
        left, right = (self.makeFactory(sessions=sessions) for _ in range(2))
        identifier = self.open(left, tokenRequest(8))
        spend = noop(sessionID(identifier) + expenditure(3))
        self.assertEqual(self.hear(right, spend), admitted(SESSION_OK, outcome(1)) + DONE)
        self.assertEqual(self.hear(left, spend), admitted(SESSION_OK, outcome(4)) + failure(1))
        self.tearDownSession(right, identifier)
        self.assertGone(left, identifier)


#: Used by ada, who has shown that it is she.
WITHIN_BY_ADA = admitted(SESSION_OK, method=2)

#: Requests within an untrusted session of ada's; the proxy knows eve as well.
UNTRUSTED = (
    Conversation("no credentials", request(ID), REFUSED),
    Conversation("another method", request(ID + methods(0, 1)), REFUSED),
    Conversation("wrong data", request(ID + MALLORY_DATA), REFUSED),
    Conversation("another user's right data", request(ID + EVE_DATA), REFUSED),
    Conversation("data of another method", request(ID + authenticationData(ADA, 1)), REFUSED),
    Conversation("a session request", request(ID + SESSION_REQUEST), REFUSED),
    Conversation("teardown", noop(ID + TEARDOWN), REFUSED),
    Conversation("another user's teardown", noop(ID + TEARDOWN + EVE_DATA), REFUSED),
    Conversation("right data", request(ID + ADA_DATA), WITHIN_BY_ADA, b""),
    Conversation("right data first", noop(ADA_DATA + ID), WITHIN_BY_ADA + DONE),
    Conversation("an unknown command", unknown(ADA_DATA + ID), WITHIN_BY_ADA + failure(7)),
    Conversation(
        "right data and a session request",
        noop(ADA_DATA + SESSION_REQUEST + ID),
        WITHIN_BY_ADA + DONE,
    ),
    Conversation(
        "right data and methods", request(ID + methods() + ADA_DATA) + b"GET", WITHIN_BY_ADA, b"GET"
    ),
    Conversation(
        "a wrong ID, right data", request(sessionID(bytes(16)) + ADA_DATA), SESSION_INVALID
    ),
    Conversation(
        "a wrong ID, methods", request(sessionID(bytes(16)) + methods()) + ADA, SESSION_INVALID
    ),
    # The exchange.
    Conversation(
        "exchange",
        request(ID + methods(3)) + b"GET" + ADA + b" / HTTP",
        DEMAND + RIGHT + WITHIN_BY_ADA,
        b"GET / HTTP",
    ),
    Conversation(
        "exchange, NOOP", noop(ID + methods()) + ADA, DEMAND + RIGHT + WITHIN_BY_ADA + DONE
    ),
    Conversation(
        "exchange after wrong data",
        noop(ID + MALLORY_DATA + methods()) + ADA,
        DEMAND + RIGHT + WITHIN_BY_ADA + DONE,
    ),
    Conversation(
        "exchange after another user's right data",
        noop(ID + EVE_DATA + methods()) + ADA,
        DEMAND + RIGHT + WITHIN_BY_ADA + DONE,
    ),
    Conversation("wrong exchange", request(ID + methods()) + MALLORY, DEMAND + WRONG + REFUSED),
    Conversation(
        "another user's exchange", request(ID + methods()) + EVE, DEMAND + WRONG + REFUSED
    ),
    Conversation(
        "there is no third",
        request(ID + EVE_DATA + methods()) + EVE + ADA,
        DEMAND + WRONG + REFUSED,
    ),
)


class UntrustedTests(SessionTestCase):
    """
    Requests in sessions whose ID is not enough.
    """

    def setUp(self) -> None:
        super().setUp()
        self.strict = self.strictProxy(trust=SessionTrust.NOWHERE)

    def test_opening(self) -> None:
        """
        Who opens one is told that it is untrusted, before he is told of his tokens.
        """
        opened = (ID, SESSION_UNTRUSTED, window(0, 5))
        for case in (
            Conversation(
                "data",
                noop(SESSION_REQUEST + ADA_DATA + tokenRequest(5)),
                admitted(*opened, method=2) + DONE,
            ),
            Conversation(
                "exchange",
                noop(SESSION_REQUEST + methods() + tokenRequest(5)) + ADA,
                DEMAND + RIGHT + admitted(*opened, method=2) + DONE,
            ),
        ):
            self.assertAlive(self.strict, self.converse(self.strict, case), case.name)
        anonymous = self.proxy(trust=SessionTrust.NOWHERE)
        heard = self.hear(anonymous, noop(SESSION_REQUEST + tokenRequest(5)))
        expected = admitted(sessionID(identifierIn(heard)), *opened[1:]) + DONE
        self.assertEqual(heard.hex(), expected.hex())

    def test_use(self) -> None:
        """
        The client must show each time that it is who opened the session, in either
        way.
        """
        identifier = self.open(self.strict, ADA_DATA)
        for case in UNTRUSTED:
            for size in (1, 20000):
                self.converse(self.strict, case, identifier, size)
                self.assertEqual(len(self.store), 1, case.name)
        self.assertAlive(self.strict, identifier)

    def test_anonymous(self) -> None:
        """
        Where there is nothing to show, nothing is asked for.
        """
        factory = self.proxy(trust=SessionTrust.NOWHERE)
        identifier = self.open(factory)
        for options in (b"", methods(), MALLORY_DATA):
            heard = self.hear(factory, noop(sessionID(identifier) + options))
            self.assertEqual(heard, WITHIN + DONE, options.hex())

    def test_teardown(self) -> None:
        """
        Who opened it may end it.
        """
        for sent, heard in (
            (noop(ID + TEARDOWN + ADA_DATA), WITHIN_BY_ADA + DONE),
            (noop(ID + TEARDOWN + methods()) + ADA, DEMAND + RIGHT + WITHIN_BY_ADA + DONE),
        ):
            identifier = self.open(self.strict, ADA_DATA)
            self.converse(self.strict, Conversation("teardown", sent, heard), identifier)
            self.assertGone(self.strict, identifier)

    def test_strangersDoNotProlong(self) -> None:
        """
        Who cannot use it does not keep it alive.
        """
        identifier = self.open(self.strict, ADA_DATA)
        self.network.elapse(DEFAULT_TIMEOUT - 1)
        self.assertEqual(self.hear(self.strict, noop(sessionID(identifier))), REFUSED)
        self.network.elapse(1)
        self.assertGone(self.strict, identifier)

    def test_goneMeanwhile(self) -> None:
        """
        The session may end while the client shows who it is.
        """
        checker = PatientChecker(self.network)
        factory = self.proxy(checker, trust=SessionTrust.NOWHERE)
        for options, rest, heard in (
            (ADA_DATA, b"", b""),
            (methods(), ADA, DEMAND + RIGHT),
        ):
            opening = self.network.accept(factory)
            opening.send(noop(SESSION_REQUEST + ADA_DATA))
            checker.accept(b"ada")
            identifier = identifierIn(opening.received)
            self.leave(opening)
            client = self.network.accept(factory)
            client.send(request(sessionID(identifier) + options) + rest)
            waiting = checker.answers[-1]
            ending = self.network.accept(factory)
            ending.send(noop(sessionID(identifier) + TEARDOWN + ADA_DATA))
            checker.accept(b"ada")
            self.assertEqual(ending.received, WITHIN_BY_ADA + DONE)
            self.leave(ending)
            waiting.callback(b"ada")
            self.network.spin()
            self.assertEqual(client.received.hex(), (heard + SESSION_INVALID).hex())
            self.leave(client)
            self.assertOver()
        self.assertEqual(self.outbound.attempts, [])

    def test_trustOverTLS(self) -> None:
        """
        IDs may be enough where they are used over TLS, in sessions that were opened
        over TLS.
        """
        factory = self.strictProxy(trust=SessionTrust.OVER_TLS)
        folder = Path(self.mktemp())
        folder.mkdir()
        server = TLSServer(folder, self.network)

        def hearPlain(sent: bytes) -> bytes:
            return self.hear(factory, sent)

        def hearTLS(sent: bytes) -> bytes:
            client = server.accept(factory)
            client.send(sent)
            received = client.received
            client.end()
            return received

        for opening, untrusted in ((hearPlain, SESSION_UNTRUSTED), (hearTLS, b"")):
            opened = opening(noop(SESSION_REQUEST + ADA_DATA))
            named = sessionID(identifierIn(opened))
            expected = admitted(named, untrusted, method=2) + DONE
            self.assertEqual(opened.hex(), expected.hex(), opening.__name__)
            for using in (hearPlain, hearTLS):
                case = f"{opening.__name__}, {using.__name__}"
                trusted = opening is hearTLS and using is hearTLS
                self.assertEqual(
                    using(noop(named)).hex(), (WITHIN + DONE if trusted else REFUSED).hex(), case
                )
                self.assertEqual(
                    using(noop(named + ADA_DATA)).hex(),
                    ((WITHIN if trusted else WITHIN_BY_ADA) + DONE).hex(),
                    case,
                )

    def test_trustEverywhereOverTLS(self) -> None:
        """
        An ID that is enough everywhere is so over TLS, too.
        """
        factory = self.strictProxy()
        named = sessionID(self.open(factory, ADA_DATA))
        folder = Path(self.mktemp())
        folder.mkdir()
        client = TLSServer(folder, self.network).accept(factory)
        client.send(noop(named))
        self.assertEqual(client.received, WITHIN + DONE)

    def test_trustChanges(self) -> None:
        """
        Where a proxy that shares its sessions, or the same one after a restart, is
        more careful than the one that opened them, the more careful one has its
        way.
        """
        trustful, careful = self.strictProxy(), self.strict
        identifier = self.open(trustful, ADA_DATA)
        self.assertEqual(self.hear(careful, noop(sessionID(identifier))), REFUSED)
        self.assertEqual(self.hear(trustful, noop(sessionID(identifier))), WITHIN + DONE)
        identifier = self.open(careful, ADA_DATA)
        self.assertEqual(self.hear(trustful, noop(sessionID(identifier))), REFUSED)


class TeardownTests(SessionTestCase):
    """
    Session Teardown.
    """

    def test_teardown(self) -> None:
        """
        The request is served within the session, which is gone then.
        """
        factory = self.proxy()
        for case in (
            Conversation("NOOP", noop(ID + TEARDOWN), WITHIN + DONE),
            Conversation("teardown first", noop(TEARDOWN + ID), WITHIN + DONE),
            Conversation("CONNECT", request(ID + TEARDOWN) + b"GET", WITHIN, b"GET"),
            Conversation("an unknown command", unknown(ID + TEARDOWN), WITHIN + failure(7)),
            Conversation("a request", noop(ID + SESSION_REQUEST + TEARDOWN), WITHIN + DONE),
            Conversation("twice", noop(ID + TEARDOWN + TEARDOWN), WITHIN + DONE),
        ):
            for size in (1, 20000):
                identifier = self.open(factory)
                self.converse(factory, case, identifier, size)
                self.assertGone(factory, identifier, case.name)
                self.assertEqual(len(self.store), 0, case.name)

    def test_others(self) -> None:
        """
        Other sessions of the same user live on.
        """
        factory = self.strictProxy()
        first, second = self.open(factory, ADA_DATA), self.open(factory, ADA_DATA)
        self.tearDownSession(factory, first)
        self.assertAlive(factory, second)

    def test_tunnelsLiveOn(self) -> None:
        """
        Tunnels are not cut when the session ends in which they were asked for,
        however it ends.
        """
        factory = self.proxy()
        identifier = self.open(factory)
        tunnels = []
        for _ in range(2):
            client = self.network.accept(factory)
            client.send(request(sessionID(identifier)))
            tunnels.append((client, self.outbound.attempts[-1].succeed()))
            self.assertEqual(client.take(), WITHIN + CONNECTED)
        self.tearDownSession(factory, identifier)
        identifier = self.open(factory)
        client = self.network.accept(factory)
        client.send(request(sessionID(identifier)))
        tunnels.append((client, self.outbound.attempts[-1].succeed()))
        self.assertEqual(client.take(), WITHIN + CONNECTED)
        self.network.elapse(10 * DEFAULT_TIMEOUT)
        self.assertGone(factory, identifier)
        for client, remote in tunnels:
            client.send(b"still there?")
            self.assertEqual(remote.received, b"still there?")
            remote.send(b"yes")
            self.assertEqual(client.take(), b"yes")

    def test_whileConnecting(self) -> None:
        """
        A request is served though its session ends meanwhile.
        """
        factory = self.proxy()
        identifier = self.open(factory)
        client = self.network.accept(factory)
        client.send(request(sessionID(identifier)))
        self.tearDownSession(factory, identifier)
        self.attempt.succeed()
        self.assertEqual(client.received, WITHIN + CONNECTED)


class LoggingTests(SessionTestCase):
    """
    What the operator reads of sessions.
    """

    def test_lines(self) -> None:
        """
        Each request is one line, with the user's name also where the session alone
        let it in.
        """
        factory = self.strictProxy(maxSessionsPerClient=1)
        named = sessionID(self.open(factory, ADA_DATA + tokenRequest(8)))
        for options, line in (
            (named, "ada noop 0.0.0.0:0: success"),
            (named + EVE_DATA, "ada noop 0.0.0.0:0: success"),
            (named + expenditure(3), "ada noop 0.0.0.0:0: success"),
            (
                named + expenditure(3),
                "ada noop 0.0.0.0:0: general failure (token not eligible: duplicate)",
            ),
            (
                named + expenditure(8),
                "ada noop 0.0.0.0:0: general failure (token not eligible: out of window)",
            ),
            (
                SESSION_REQUEST + EVE_DATA + expenditure(0),
                "eve noop 0.0.0.0:0: general failure (token not eligible: no window)",
            ),
            (named + TEARDOWN, "ada noop 0.0.0.0:0: success"),
            (named, "- noop 0.0.0.0:0: invalid session"),
            (SESSION_ID + ADA_DATA, "- noop 0.0.0.0:0: invalid session"),
            (SESSION_REQUEST, "- noop 0.0.0.0:0: authentication failed"),
        ):
            self.events.clear()
            self.hear(factory, noop(options))
            rest = ", 0 octets to the remote host, 0 to the client, 0.000 s"
            self.assertEqual(self.lines, [f"192.0.2.2:40000 {line}{rest}"])

    def test_untrusted(self) -> None:
        """
        In untrusted sessions, those who could not show who they are have no name.
        """
        factory = self.strictProxy(trust=SessionTrust.NOWHERE)
        named = sessionID(self.open(factory, ADA_DATA))
        for sent, line in (
            (noop(named), "- noop 0.0.0.0:0: authentication failed, "),
            (noop(named + EVE_DATA), "- noop 0.0.0.0:0: authentication failed, "),
            (noop(named + methods()) + EVE, "- noop 0.0.0.0:0: authentication failed, "),
            (noop(named + methods()) + ADA, "ada noop 0.0.0.0:0: success, "),
        ):
            self.events.clear()
            self.hear(factory, sent)
            self.assertEqual(len(self.lines), 1)
            self.assertIn(line, self.lines[0])

    def test_tunnel(self) -> None:
        """
        The line of a tunnel has the name, too.
        """
        factory = self.strictProxy()
        identifier = self.open(factory, ADA_DATA)
        self.events.clear()
        self.converse(
            factory, Conversation("tunnel", request(ID) + b"GET", WITHIN, b"GET"), identifier
        )
        self.assertEqual(len(self.lines), 1)
        self.assertIn(" ada connect 203.0.113.1:443: closed, 3 octets to ", self.lines[0])

    def test_secrets(self) -> None:
        """
        Neither IDs nor passwords come into the log, whatever happens.
        """
        for trust in SessionTrust:
            factory = self.strictProxy(trust=trust, maxSessionsPerClient=1)
            identifier = self.open(factory, ADA_DATA)
            named = sessionID(identifier)
            for options in (
                named,
                named + ADA_DATA + expenditure(0),
                named + EVE_DATA,
                named + MALLORY_DATA,
                SESSION_REQUEST + ADA_DATA,
                named + ADA_DATA + TEARDOWN,
                named,
            ):
                self.hear(factory, noop(options))
            broken = self.strictProxy(store=PatientStore(self.network))
            client = self.network.accept(broken)
            client.send(request(named))
            client.reset()
            secrets = ["s3cret", "gu3ss", "hunter2", identifier.hex(), repr(identifier)[2:-1]]
            self.assertGreater(len(self.events), 7)
            for event in self.events:
                for secret in secrets:
                    self.assertNotIn(secret, repr(event))
