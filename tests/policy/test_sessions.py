"""
Tests of L{socks6.policy.sessions}.
"""

from __future__ import annotations

import hmac
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionStoreFailed,
    SessionTrust,
    SessionUse,
)
from socks6.policy.authentication import ANONYMOUS, Identity
from socks6.policy.sessions import (
    DECLINED_PERIOD,
    DEFAULT_TIMEOUT,
    ID_LENGTH,
    MAX_SESSIONS,
    MAX_SESSIONS_PER_CLIENT,
    MAX_TOKEN_WINDOW,
    Client,
    Membership,
    SessionService,
    sameIdentity,
)
from socks6.policy.stores.memory import MemorySessionStore
from socks6.values.address import Address
from socks6.values.codes import MAX_TOKEN_WINDOW_SIZE, AuthenticationMethod, Command, TokenOutcome
from socks6.values.messages import Request
from socks6.values.options import (
    NO_OPTIONS,
    Option,
    OptionList,
    SessionID,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
)
from tests.raising import errorOf

NOWHERE, OVER_TLS, EVERYWHERE = SessionTrust


def identity(
    name: bytes, method: AuthenticationMethod = AuthenticationMethod.USERNAME_PASSWORD
) -> Identity:
    """
    Make the identity of somebody who has shown who he is.
    """
    return Identity(method, name)


ADA, EVE = identity(b"ada"), identity(b"eve")


def client(address: str | None = "192.0.2.2", encrypted: bool = False) -> Client:
    """
    Make a client.
    """
    return Client(None if address is None else ip_address(address), encrypted)


PLAIN, TLS = client(), client(encrypted=True)


def request(*options: Option) -> Request:
    """
    Make a request.
    """
    return Request(Command.CONNECT, Address(IPv4Address("203.0.113.1"), 443), OptionList(options))


@dataclass(frozen=True)
class Opening:
    """
    The arguments of a call.
    """

    key: bytes
    record: SessionRecord
    windowSize: int | None
    limits: SessionLimits


@dataclass(frozen=True)
class Using:
    """
    The arguments of a call.
    """

    key: bytes
    demand: SessionDemand
    trusts: Collection[SessionTrust]
    timeout: float


@implementer(ISessionStore)
class PlayedStore:
    """
    A store that answers as the test wants it to.

    @ivar calls: What it was asked.
    @ivar happened: What else has been done to it.
    @ivar answer: What it answers: a value, an exception, or a Deferred.
    """

    def __init__(self, answer: object = None) -> None:
        self.calls: list[Any] = []
        self.happened: list[str] = []
        self.answer = answer

    def open(
        self, key: bytes, record: SessionRecord, windowSize: int | None, limits: SessionLimits
    ) -> Deferred[Any]:
        """
        Take note, and answer.
        """
        self.calls.append(Opening(key, record, windowSize, limits))
        return self._answer()

    def use(
        self, key: bytes, demand: SessionDemand, trusts: Collection[SessionTrust], timeout: float
    ) -> Deferred[Any]:
        """
        Take note, and answer.
        """
        self.calls.append(Using(key, demand, trusts, timeout))
        return self._answer()

    def start(self) -> None:
        """
        Take note, or raise the answer.
        """
        self.happened.append("started")
        if isinstance(self.answer, Exception):
            raise self.answer

    def close(self) -> Deferred[None]:
        """
        Take note, and answer.
        """
        self.happened.append("closed")
        return self._answer()

    def _answer(self) -> Deferred[Any]:
        """
        Answer.
        """
        if isinstance(self.answer, Deferred):
            return self.answer
        if isinstance(self.answer, Exception):
            return fail(self.answer)
        return succeed(self.answer)


class SessionsTestCase(SynchronousTestCase):
    """
    A test of a service, with its clock and the log.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.store = MemorySessionStore(self.clock)
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    @property
    def lines(self) -> list[str]:
        """
        What we have logged, as the operator reads it.
        """
        return [formatEvent(event) for event in self.events]

    def service(self, store: ISessionStore | None = None, **options: Any) -> SessionService:
        """
        Make a service, by default with the test's store.
        """
        return SessionService(self.clock, store or self.store, **options)

    def begin(
        self,
        service: SessionService,
        *options: Option,
        who: Identity = ADA,
        where: Client = PLAIN,
    ) -> Membership:
        """
        Send a request that names no session.
        """
        return self.successResultOf(
            Deferred.fromCoroutine(service.open(request(*options), who, where))
        )

    def open(self, service: SessionService, *options: Option, **more: Any) -> bytes:
        """
        Open a session.

        @return: Its ID.
        """
        membership = self.begin(service, SessionRequest(), *options, **more)
        option = membership.options.first(SessionID)
        assert option is not None, "the session was declined"
        return option.identifier

    def resume(
        self,
        service: SessionService,
        identifier: bytes,
        *options: Option,
        where: Client = PLAIN,
        anonymous: bool = False,
        authenticated: bool = False,
    ) -> Membership | None:
        """
        Send a request that names a session.
        """
        coroutine = service.use(
            identifier,
            request(SessionID(identifier), *options),
            where,
            anonymous=anonymous,
            authenticated=authenticated,
        )
        return self.successResultOf(Deferred.fromCoroutine(coroutine))


class ServiceTests(SessionsTestCase):
    """
    Beginning and end.
    """

    def test_doubles(self) -> None:
        """
        It is a service, and the store of our own tests is one.
        """
        self.assertTrue(verifyObject(IService, self.service()))
        self.assertTrue(verifyObject(ISessionStore, PlayedStore()))

    def test_beforeStart(self) -> None:
        """
        It works from construction, without having been started, and after it was
        stopped.
        """
        service = self.service()
        identifier = self.open(service)
        service.startService()
        self.assertIsNotNone(self.resume(service, identifier))
        self.successResultOf(service.stopService())
        self.assertIsNotNone(self.resume(service, identifier))

    def test_start(self) -> None:
        """
        As it starts it makes sure that the store can work.
        """
        store = PlayedStore()
        service = self.service(store)
        self.assertEqual(store.happened, [])
        service.startService()
        self.assertEqual(store.happened, ["started"])
        self.assertTrue(service.running)

    def test_startFails(self) -> None:
        """
        If the store cannot work, it does not start.
        """
        service = self.service(PlayedStore(SessionStoreFailed("read-only")))
        error = self.assertRaises(SessionStoreFailed, service.startService)
        self.assertEqual(str(error), "read-only")

    def test_stop(self) -> None:
        """
        It is stopped when the store is closed.
        """
        closed: Deferred[None] = Deferred()
        store = PlayedStore(closed)
        service = self.service(store)
        service.startService()
        stopped = service.stopService()
        self.assertNoResult(stopped)
        self.assertFalse(service.running)
        self.assertEqual(store.happened, ["started", "closed"])
        closed.callback(None)
        self.assertIsNone(self.successResultOf(stopped))

    def test_defaults(self) -> None:
        """
        By default sessions are kept in memory, and live for ten minutes; windows have
        no more than 65536 tokens.
        """
        service = SessionService(self.clock)
        membership = self.begin(service, SessionRequest(), TokenRequest(MAX_TOKEN_WINDOW_SIZE))
        named, window = membership.options
        self.assertEqual(window, TokenWindowAdvertisement(0, 65536))
        assert isinstance(named, SessionID)
        identifier = named.identifier
        self.clock.advance(DEFAULT_TIMEOUT - 1)
        self.assertIsNotNone(self.resume(service, identifier))
        self.clock.advance(DEFAULT_TIMEOUT - 1)
        self.assertIsNotNone(self.resume(service, identifier))
        self.clock.advance(DEFAULT_TIMEOUT)
        self.assertIsNone(self.resume(service, identifier))

    def test_limits(self) -> None:
        """
        The store gets to know the limits, with each session that is opened, and the
        timeout with each use.
        """
        for options, limits in (
            ({}, SessionLimits(DEFAULT_TIMEOUT, MAX_SESSIONS, MAX_SESSIONS_PER_CLIENT)),
            (
                {"timeout": 5.0, "maxSessions": 7, "maxSessionsPerClient": 3},
                SessionLimits(5.0, 7, 3),
            ),
        ):
            store = PlayedStore()
            service = self.service(store, **options)
            self.begin(service, SessionRequest())
            self.resume(service, b"any")
            opening, using = store.calls
            self.assertEqual(opening.limits, limits)
            self.assertEqual(using.timeout, limits.timeout)

    def test_wrongNumbers(self) -> None:
        """
        Numbers that cannot be are an error at once, which says what is wrong.
        """
        seconds = "not a number of seconds above 0: "
        fewer = "there cannot be less than no sessions"
        tokens = "not within 1 to 2147483647: "
        for options, message in (
            ({"timeout": 0.0}, seconds + "0.0"),
            ({"timeout": -0.25}, seconds + "-0.25"),
            ({"timeout": math.inf}, seconds + "inf"),
            ({"timeout": math.nan}, seconds + "nan"),
            ({"maxSessions": -1}, fewer),
            ({"maxSessionsPerClient": -1}, fewer),
            ({"maxTokenWindow": 0}, tokens + "0"),
            ({"maxTokenWindow": -1}, tokens + "-1"),
            ({"maxTokenWindow": 2**31}, tokens + "2147483648"),
        ):
            error = errorOf(ValueError, partial(self.service, **options))
            self.assertEqual(str(error), message, str(options))

    def test_extremeNumbers(self) -> None:
        """
        Those at the limits are all right.
        """
        service = self.service(timeout=0.25, maxSessions=1, maxSessionsPerClient=1)
        identifier = self.open(service)
        self.assertEqual(self.begin(service, SessionRequest(), who=EVE), Membership(EVE))
        self.clock.advance(0.25)
        self.assertIsNone(self.resume(service, identifier))
        for service in (self.service(maxSessions=0), self.service(maxSessionsPerClient=0)):
            self.assertEqual(self.begin(service, SessionRequest()), Membership(ADA))
        for most in (1, 2**31 - 1):
            service = self.service(maxTokenWindow=most)
            membership = self.begin(service, SessionRequest(), TokenRequest(2**31 - 1))
            self.assertEqual(membership.options[1:], (TokenWindowAdvertisement(0, most),))


class OpenTests(SessionsTestCase):
    """
    Requests that name no session.
    """

    def test_notAsked(self) -> None:
        """
        Who does not ask for a session gets none, whatever else is asked for.
        """
        store = PlayedStore()
        service = self.service(store)
        for options in (
            (),
            (TokenRequest(64),),
            (TokenExpenditure(0),),
            (SessionTeardown(),),
            (SessionOK(), TokenRequest(64), SessionTeardown()),
        ):
            membership = self.begin(service, *options)
            self.assertEqual(membership, Membership(ADA), repr(options))
        self.assertEqual(store.calls, [])

    def test_opens(self) -> None:
        """
        Who asks for one gets its ID.
        """
        for who in (ADA, ANONYMOUS):
            membership = self.begin(self.service(), SessionRequest(), who=who)
            (option,) = membership.options
            self.assertIsInstance(option, SessionID)
            self.assertEqual(membership, Membership(who, True, membership.options, None))
        self.assertEqual(len(self.store), 2)

    def test_identifiers(self) -> None:
        """
        An ID is at least 16 octets of the system's random source, other ones each
        time.
        """
        self.assertGreaterEqual(ID_LENGTH, 16)
        random: list[bytes] = []
        urandom = os.urandom

        def record(size: int) -> bytes:
            random.append(urandom(size))
            return random[-1]

        self.patch(os, "urandom", record)
        service = self.service()
        identifiers = [self.open(service) for _ in range(100)]
        self.assertEqual(identifiers, random)
        self.assertEqual({len(identifier) for identifier in identifiers}, {ID_LENGTH})
        self.assertEqual(len(set(identifiers)), 100)

    def test_key(self) -> None:
        """
        The store sees a hash of the ID, which is the same each time.
        """
        store = PlayedStore()
        service = self.service(store)
        identifier = self.open(service)
        self.resume(service, identifier)
        self.resume(service, b"")
        opening, using, other = store.calls
        self.assertEqual(len(opening.key), 32)
        self.assertNotIn(identifier, opening.key)
        self.assertEqual(using.key, opening.key)
        self.assertEqual(len(other.key), 32)
        self.assertNotEqual(other.key, opening.key)

    def test_membership(self) -> None:
        """
        Those who are in a session get to know this key, and nobody else does.
        """
        service = self.service(trust=NOWHERE)
        membership = self.begin(service, SessionRequest())
        option = membership.options.first(SessionID)
        assert option is not None
        key = membership.session
        assert key is not None
        self.assertEqual(len(key), 32)
        self.assertNotIn(key.hex(), repr(membership))
        self.assertNotIn(repr(key), repr(membership))
        use = self.resume(service, option.identifier, authenticated=True)
        assert use is not None
        self.assertEqual(use.session, key)
        other = self.begin(service, SessionRequest()).session
        self.assertNotIn(other, (None, key))
        refused = self.resume(service, option.identifier)
        assert refused is not None
        self.assertIsNone(refused.session)
        self.assertIsNone(self.begin(service).session)

    def test_record(self) -> None:
        """
        The record says who has opened it, how, and where from.
        """
        for who, where, address in (
            (ADA, client("192.0.2.7"), "192.0.2.7"),
            (ADA, client("2001:db8::7"), "2001:db8::7"),
            (ADA, client(None), ""),
            (ANONYMOUS, PLAIN, "192.0.2.2"),
            (identity(b"\0\xff", AuthenticationMethod.GSSAPI), PLAIN, "192.0.2.2"),
        ):
            store = PlayedStore()
            self.open(self.service(store), who=who, where=where)
            record = store.calls[0].record
            self.assertEqual((record.method, record.name), (who.method, who.name))
            self.assertEqual(record.address, address)

    def test_trust(self) -> None:
        """
        The client is told if later requests must authenticate, and the record says
        where they need not.
        """
        for policy, where, trust in (
            (EVERYWHERE, PLAIN, EVERYWHERE),
            (EVERYWHERE, TLS, EVERYWHERE),
            (OVER_TLS, PLAIN, NOWHERE),
            (OVER_TLS, TLS, OVER_TLS),
            (NOWHERE, PLAIN, NOWHERE),
            (NOWHERE, TLS, NOWHERE),
        ):
            store = PlayedStore()
            service = self.service(store, trust=policy)
            membership = self.begin(service, SessionRequest(), where=where)
            self.assertIs(store.calls[0].record.trust, trust, f"{policy!r} {where}")
            told = [type(option) for option in membership.options]
            expected = [SessionID, SessionUntrusted] if trust is NOWHERE else [SessionID]
            self.assertEqual(told, expected, f"{policy!r} {where}")

    def test_window(self) -> None:
        """
        A window that is asked for is granted, up to a limit.
        """
        for limit, asked, granted in (
            (MAX_TOKEN_WINDOW, 64, 64),
            (MAX_TOKEN_WINDOW, MAX_TOKEN_WINDOW, MAX_TOKEN_WINDOW),
            (MAX_TOKEN_WINDOW, MAX_TOKEN_WINDOW + 1, MAX_TOKEN_WINDOW),
            (MAX_TOKEN_WINDOW, MAX_TOKEN_WINDOW_SIZE, MAX_TOKEN_WINDOW),
            (1, 64, 1),
            (MAX_TOKEN_WINDOW_SIZE, MAX_TOKEN_WINDOW_SIZE, MAX_TOKEN_WINDOW_SIZE),
        ):
            service = self.service(maxTokenWindow=limit)
            membership = self.begin(service, SessionRequest(), TokenRequest(asked))
            self.assertEqual(membership.options[1:], (TokenWindowAdvertisement(0, granted),))

    def test_token(self) -> None:
        """
        A session that is just being opened has no token to spend; then no window is
        granted, but the session is there.
        """
        for options in (
            (TokenExpenditure(0),),
            (TokenExpenditure(5), TokenRequest(64)),
            (TokenRequest(64), TokenExpenditure(0)),
        ):
            service = self.service()
            membership = self.begin(service, SessionRequest(), *options)
            self.assertIs(membership.outcome, TokenOutcome.NO_WINDOW)
            self.assertTrue(membership.admitted)
            named, *others = membership.options
            self.assertEqual(others, [TokenExpenditureReply(TokenOutcome.NO_WINDOW)])
            assert isinstance(named, SessionID)
            use = self.resume(service, named.identifier, TokenExpenditure(0))
            assert use is not None
            self.assertIs(use.outcome, TokenOutcome.NO_WINDOW, "no window was granted")

    def test_everything(self) -> None:
        """
        The ID comes first, then what there is to know about the session and its
        tokens; a teardown is ignored.
        """
        service = self.service(trust=NOWHERE)
        membership = self.begin(
            service, SessionTeardown(), TokenRequest(8), SessionRequest(), TokenRequest(9)
        )
        named, *others = membership.options
        self.assertEqual(others, [SessionUntrusted(), TokenWindowAdvertisement(0, 8)])
        assert isinstance(named, SessionID)
        self.assertIsNotNone(self.resume(service, named.identifier))

    def test_anonymous(self) -> None:
        """
        Where anonymous clients may have no sessions they are not even asked for.
        """
        store = PlayedStore()
        service = self.service(store, anonymous=False)
        for _ in range(3):
            membership = self.begin(service, SessionRequest(), TokenRequest(8), who=ANONYMOUS)
            self.assertEqual(membership, Membership(ANONYMOUS))
        self.assertEqual((store.calls, self.lines), ([], []))
        self.open(service)

    def test_declined(self) -> None:
        """
        Who gets no session is served without one.  That is a warning, once a
        minute; the next one says how many more there were.
        """
        service = self.service(maxSessions=1)
        self.open(service)
        for _ in range(4):
            self.clock.advance(DECLINED_PERIOD / 5)
            membership = self.begin(
                service, SessionRequest(), TokenRequest(8), TokenExpenditure(0), who=EVE
            )
            self.assertEqual(membership, Membership(EVE))
        line = "A session for eve from 192.0.2.2 was declined: there are too many"
        self.assertEqual(self.lines, [line])
        self.clock.advance(DECLINED_PERIOD)
        self.begin(service, SessionRequest(), who=ANONYMOUS, where=client(None))
        self.assertEqual(
            self.lines[1:],
            [
                "3 more sessions were declined",
                "A session for - from elsewhere was declined: there are too many",
            ],
        )
        self.assertEqual({event["log_level"] for event in self.events}, {LogLevel.warn})

    def test_declinedUntilTheEnd(self) -> None:
        """
        What was not said is said when the service stops.
        """
        service = self.service(maxSessions=0)
        service.startService()
        for _ in range(3):
            self.begin(service, SessionRequest())
        self.assertEqual(len(self.lines), 1)
        self.successResultOf(service.stopService())
        self.assertEqual(self.lines[1:], ["2 more sessions were declined"])

    def test_strangeNames(self) -> None:
        """
        What a client makes up cannot break the line.
        """
        service = self.service(maxSessions=0)
        for name in (b"a\nb", b"{address}", b"\x1b[2J", b"\xff"):
            self.events.clear()
            self.begin(service, SessionRequest(), who=identity(name))
            (line,) = self.lines
            self.assertTrue(line.isprintable() and line.isascii(), repr(line))
            self.assertTrue(line.endswith("was declined: there are too many"), repr(line))
            self.clock.advance(DECLINED_PERIOD)

    def test_storeFails(self) -> None:
        """
        If the store is out of order nobody gets a session; as soon as it is not,
        all do.
        """
        store = PlayedStore(SessionStoreFailed("disk full"))
        service = self.service(store)
        for _ in range(3):
            self.assertEqual(self.begin(service, SessionRequest()), Membership(ADA))
        self.assertEqual(self.lines, ["A session for ada from 192.0.2.2 was declined: disk full"])
        store.answer = None
        self.open(service)

    def test_storeBroken(self) -> None:
        """
        A store that fails in any other way is a mistake, which is not hidden.
        """
        service = self.service(PlayedStore(ZeroDivisionError()))
        result = Deferred.fromCoroutine(service.open(request(SessionRequest()), ADA, PLAIN))
        self.failureResultOf(result, ZeroDivisionError)

    def test_storeHangs(self) -> None:
        """
        While the store does not answer the request waits; giving up is passed to
        the store.
        """
        cancelled: list[object] = []
        answer: Deferred[None] = Deferred(cancelled.append)
        service = self.service(PlayedStore(answer))
        result = Deferred.fromCoroutine(service.open(request(SessionRequest()), ADA, PLAIN))
        self.assertNoResult(result)
        result.cancel()
        self.assertEqual(cancelled, [answer])
        self.failureResultOf(result, CancelledError)
        self.assertEqual(self.lines, [])


class UseTests(SessionsTestCase):
    """
    Requests that name a session.
    """

    def test_unknown(self) -> None:
        """
        An ID that we have not given, or that is not one any more, is unknown.
        """
        service = self.service()
        identifier = self.open(service)
        for other in (b"", identifier[:-1], identifier + b"\0", bytes(ID_LENGTH), bytes(16380)):
            for authenticated in (False, True):
                self.assertIsNone(self.resume(service, other, authenticated=authenticated))
        self.resume(service, identifier, SessionTeardown())
        self.assertIsNone(self.resume(service, identifier))

    def test_known(self) -> None:
        """
        A session is that of its initiator, whoever uses it, from wherever.
        """
        service = self.service()
        for who in (ADA, ANONYMOUS, identity(b"\xff\0", AuthenticationMethod.GSSAPI)):
            identifier = self.open(service, who=who)
            anonymous = who is ANONYMOUS
            for where in (PLAIN, client("2001:db8::1"), client(None, True)):
                use = self.resume(service, identifier, where=where, anonymous=anonymous)
                self.assertEqual(use, Membership(who, options=OptionList([SessionOK()])))
                assert use is not None
                self.assertIsInstance(use.identity.method, AuthenticationMethod)

    def test_tokens(self) -> None:
        """
        The client is told what became of its token, and of the window where that is
        due.
        """
        service = self.service(maxTokenWindow=16)
        identifier = self.open(service, TokenRequest(8))
        ok = SessionOK()
        window = TokenWindowAdvertisement
        for options, outcome, told in (
            ((), None, (ok,)),
            (
                (TokenExpenditure(1),),
                TokenOutcome.SUCCESS,
                (ok, TokenExpenditureReply(TokenOutcome.SUCCESS)),
            ),
            (
                (TokenExpenditure(1), TokenRequest(8), SessionTeardown()),
                TokenOutcome.DUPLICATE,
                (ok, TokenExpenditureReply(TokenOutcome.DUPLICATE)),
            ),
            (
                (TokenExpenditure(8),),
                TokenOutcome.OUT_OF_WINDOW,
                (ok, TokenExpenditureReply(TokenOutcome.OUT_OF_WINDOW), window(0, 8)),
            ),
            (
                (TokenExpenditure(0), TokenExpenditure(3)),
                TokenOutcome.SUCCESS,
                (ok, TokenExpenditureReply(TokenOutcome.SUCCESS), window(2, 8)),
            ),
            ((TokenRequest(17), TokenRequest(1)), None, (ok, window(10, 16))),
            (
                (TokenRequest(4), TokenExpenditure(10)),
                TokenOutcome.SUCCESS,
                (ok, TokenExpenditureReply(TokenOutcome.SUCCESS), window(27, 4)),
            ),
        ):
            use = self.resume(service, identifier, *options)
            expected = Membership(ADA, True, OptionList(told), outcome)
            self.assertEqual(use, expected, repr(options))

    def test_demand(self) -> None:
        """
        The store is asked for what the request says, and for nothing else.
        """
        store = PlayedStore()
        service = self.service(store)
        for options, demand in (
            ((), SessionDemand()),
            ((SessionRequest(),), SessionDemand()),
            ((TokenExpenditure(2**32 - 1),), SessionDemand(token=2**32 - 1)),
            ((TokenRequest(5),), SessionDemand(windowSize=5)),
            ((SessionTeardown(),), SessionDemand(teardown=True)),
            (
                (SessionTeardown(), TokenRequest(70000), TokenExpenditure(0)),
                SessionDemand(0, MAX_TOKEN_WINDOW, True),
            ),
        ):
            self.resume(service, b"any", *options)
            self.assertEqual(store.calls[-1].demand, demand, repr(options))

    def test_admitted(self) -> None:
        """
        The ID is enough where the session's trust and the policy of the proxy say
        so; those who have shown to be the initiator are admitted in any case.
        """
        for policy, where, trusted in (
            (EVERYWHERE, PLAIN, {EVERYWHERE}),
            (EVERYWHERE, TLS, {EVERYWHERE, OVER_TLS}),
            (OVER_TLS, PLAIN, set()),
            (OVER_TLS, TLS, {OVER_TLS}),
            (NOWHERE, PLAIN, set()),
            (NOWHERE, TLS, set()),
        ):
            service = self.service(trust=policy)
            for trust in SessionTrust:
                identifier = self.open(self.service(trust=trust), where=TLS)
                case = f"{policy!r} {where} {trust!r}"
                use = self.resume(service, identifier, where=where)
                assert use is not None
                self.assertIs(use.admitted, trust in trusted, case)
                use = self.resume(service, identifier, where=where, authenticated=True)
                self.assertEqual(use, Membership(ADA, True, OptionList([SessionOK()])), case)

    def test_notAdmitted(self) -> None:
        """
        For those who are not admitted nothing is done: they get to know whose
        session it is, and nothing else.
        """
        service = self.service(trust=NOWHERE)
        identifier = self.open(service, TokenRequest(8))
        for options in (
            (TokenExpenditure(0),),
            (TokenExpenditure(9),),
            (TokenRequest(16),),
            (SessionTeardown(),),
        ):
            use = self.resume(service, identifier, *options)
            self.assertEqual(use, Membership(ADA, admitted=False, options=NO_OPTIONS))
        use = self.resume(service, identifier, TokenExpenditure(0), authenticated=True)
        assert use is not None
        self.assertEqual(use.options[2:], (TokenWindowAdvertisement(1, 8),))

    def test_openedInTheClear(self) -> None:
        """
        A session that was opened without TLS is not trusted over TLS, where only
        those are that were opened over TLS.
        """
        service = self.service(trust=OVER_TLS)
        identifier = self.open(service)
        use = self.resume(service, identifier, where=TLS)
        assert use is not None
        self.assertFalse(use.admitted)

    def test_anonymous(self) -> None:
        """
        Proxies that ask for credentials and proxies that don't know nothing of each
        other's sessions.
        """
        service = self.service()
        ours = self.open(service, who=ADA)
        everybodys = self.open(service, who=ANONYMOUS)
        for identifier, anonymous in ((ours, True), (everybodys, False)):
            for authenticated in (False, True):
                use = self.resume(
                    service, identifier, anonymous=anonymous, authenticated=authenticated
                )
                self.assertIsNone(use)
            self.assertIsNotNone(self.resume(service, identifier, anonymous=not anonymous))

    def test_timeout(self) -> None:
        """
        A session ends if it is not used for a while; to try without being admitted
        is no use.
        """
        service = self.service(timeout=10.0)
        strict = self.service(timeout=10.0, trust=NOWHERE)
        used, tried = self.open(service), self.open(service)
        self.clock.advance(6)
        self.assertIsNotNone(self.resume(service, used))
        self.assertIsNotNone(self.resume(strict, tried))
        self.clock.advance(6)
        self.assertIsNotNone(self.resume(service, used))
        self.assertIsNone(self.resume(service, tried))
        self.clock.advance(10)
        self.assertIsNone(self.resume(service, used))

    def test_sharedStore(self) -> None:
        """
        What one service has opened the others know that have the same store, with
        the limits of each.
        """
        one, other = self.service(), self.service(maxSessionsPerClient=1, maxTokenWindow=4)
        identifier = self.open(one, TokenRequest(8))
        use = self.resume(other, identifier, TokenExpenditure(0), TokenRequest(8))
        assert use is not None
        self.assertEqual(use.options[2:], (TokenWindowAdvertisement(9, 4),))
        self.assertEqual(self.begin(other, SessionRequest()), Membership(ADA))
        self.open(one)

    def test_storeFails(self) -> None:
        """
        If the store is out of order that is not to say that there is no session.
        """
        for error in (SessionStoreFailed("disk full"), ZeroDivisionError()):
            service = self.service(PlayedStore(error))
            coroutine = service.use(b"any", request(), PLAIN, anonymous=False)
            self.failureResultOf(Deferred.fromCoroutine(coroutine), type(error))
        self.assertEqual(self.lines, [])

    def test_storeHangs(self) -> None:
        """
        While the store does not answer the request waits; giving up is passed to
        the store.
        """
        cancelled: list[object] = []
        answer: Deferred[SessionUse | None] = Deferred(cancelled.append)
        coroutine = self.service(PlayedStore(answer)).use(b"any", request(), PLAIN, anonymous=False)
        result = Deferred.fromCoroutine(coroutine)
        self.assertNoResult(result)
        result.cancel()
        self.assertEqual(cancelled, [answer])
        self.failureResultOf(result, CancelledError)

    def test_storeIsSlow(self) -> None:
        """
        When it does answer, that is the answer.
        """
        answer: Deferred[SessionUse | None] = Deferred()
        coroutine = self.service(PlayedStore(answer)).use(b"any", request(), PLAIN, anonymous=False)
        result = Deferred.fromCoroutine(coroutine)
        record = SessionRecord(2, b"ada", "192.0.2.2", EVERYWHERE, b"user ada")
        answer.callback(SessionUse(record, True, TokenOutcome.DUPLICATE))
        told: list[Option] = [SessionOK(), TokenExpenditureReply(TokenOutcome.DUPLICATE)]
        self.assertEqual(
            self.successResultOf(result),
            Membership(ADA, True, OptionList(told), TokenOutcome.DUPLICATE),
        )


class SecrecyTests(SessionsTestCase):
    """
    A session's ID is a secret.
    """

    def assertSecret(self, secrets: Sequence[bytes], texts: Sequence[str]) -> None:
        """
        Check that secrets stand in no text, in whatever form.
        """
        for secret in secrets:
            for form in (secret.hex(), repr(secret)[2:-1], str(secret), str(list(secret))):
                for text in texts:
                    self.assertNotIn(form, text)

    def test_secrets(self) -> None:
        """
        Neither IDs nor what the store has of them stand in a log line or its event,
        nor in the representation of anything that comes with them.
        """
        store = PlayedStore()
        service = self.service(store)
        identifier = self.open(service)
        shown = [repr(self.begin(service, SessionRequest())) for _ in range(20)]
        shown += [repr(self.resume(service, identifier)), repr(service)]
        for answer in (SessionsExhausted(), SessionStoreFailed("broken")):
            store.answer = answer
            for _ in range(20):
                self.clock.advance(DECLINED_PERIOD)
                shown.append(repr(self.begin(service, SessionRequest())))
        self.assertEqual(len(self.events), 40)
        shown += [*self.lines, *map(repr, self.events)]
        keys = [call.key for call in store.calls]
        self.assertSecret([identifier, *keys], shown)

    def test_form(self) -> None:
        """
        That would be seen.
        """
        secret = b"0123456789abcdef"
        for text in (f"<{secret!r}>", f"ID {secret.hex()}", str([list(secret)])):
            self.assertRaises(self.failureException, self.assertSecret, [secret], [text])


class OwnerTests(SessionsTestCase):
    """
    Whom a session counts against.
    """

    def owner(self, who: Identity, where: Client) -> bytes:
        """
        Tell whom a session would count against.
        """
        store = PlayedStore()
        self.open(self.service(store), who=who, where=where)
        owner: bytes = store.calls[0].record.owner
        return owner

    def test_groups(self) -> None:
        """
        Sessions count together of one user, whatever the address; without one, of
        one IPv4 address, of one IPv6 network of 64 bits, and of all that are not
        reached by IP.
        """
        groups: list[list[tuple[Identity, str | None]]] = [
            [(ADA, "192.0.2.2"), (ADA, "2001:db8::1"), (ADA, None)],
            [(EVE, "192.0.2.2")],
            [(identity(b""), "192.0.2.2")],
            [(identity(b"192.0.2.2"), "192.0.2.2")],
            [(identity(IPv4Address("192.0.2.2").packed), None)],
            [(identity(b"ipv4 " + IPv4Address("192.0.2.2").packed), None)],
            [(identity(b"elsewhere"), None)],
            [(ANONYMOUS, "192.0.2.2"), (ANONYMOUS, "::ffff:192.0.2.2")],
            [(ANONYMOUS, "192.0.2.3"), (ANONYMOUS, "::ffff:192.0.2.3")],
            [(ANONYMOUS, "32.1.13.184")],
            [
                (ANONYMOUS, "2001:db8::"),
                (ANONYMOUS, "2001:db8::1"),
                (ANONYMOUS, "2001:db8::ffff:ffff:ffff:ffff"),
            ],
            [(ANONYMOUS, "2001:db8:0:1::1"), (ANONYMOUS, "2001:db8:0:1:8000::")],
            [(ANONYMOUS, "::192.0.2.2"), (ANONYMOUS, "::1")],
            [(ANONYMOUS, None)],
        ]
        owners: dict[bytes, int] = {}
        for number, group in enumerate(groups):
            for who, address in group:
                for encrypted in (False, True):
                    owner = self.owner(who, client(address, encrypted))
                    self.assertEqual(owners.setdefault(owner, number), number, f"{who} {address}")
        self.assertEqual(len(owners), len(groups))

    def test_methods(self) -> None:
        """
        It does not matter how a user has shown who it is.
        """
        other = identity(b"ada", AuthenticationMethod.GSSAPI)
        self.assertEqual(self.owner(other, PLAIN), self.owner(ADA, PLAIN))

    def test_limit(self) -> None:
        """
        Nobody has more sessions than allowed, and nobody has fewer because of
        others.
        """
        service = self.service(maxSessionsPerClient=2)
        clients: list[tuple[Identity, Client]] = [
            (ADA, PLAIN),
            (EVE, PLAIN),
            (ANONYMOUS, PLAIN),
            (ANONYMOUS, client("2001:db8::1")),
            (ANONYMOUS, client(None)),
        ]
        for who, where in clients:
            first = self.open(service, who=who, where=where)
            self.open(service, who=who, where=where)
            more = self.begin(service, SessionRequest(), who=who, where=where)
            self.assertEqual(more, Membership(who), f"{who} {where}")
            self.resume(service, first, SessionTeardown(), anonymous=who is ANONYMOUS)
            self.open(service, who=who, where=where)

    def test_scopes(self) -> None:
        """
        An address with a scope is like one without.
        """
        scoped = Client(IPv6Address("fe80::1%eth0"), False)
        self.assertEqual(self.owner(ANONYMOUS, scoped), self.owner(ANONYMOUS, client("fe80::1")))


class SameIdentityTests(SynchronousTestCase):
    """
    Whether it is the same who comes again.
    """

    def test_table(self) -> None:
        """
        The method and the name must both be the same, to the octet.
        """
        for left, right, same in (
            (ADA, identity(b"ada"), True),
            (ADA, EVE, False),
            (ADA, identity(b"Ada"), False),
            (ADA, identity(b"ada\0"), False),
            (ADA, identity(b""), False),
            (ADA, identity(b"ada", AuthenticationMethod.GSSAPI), False),
            (ANONYMOUS, ANONYMOUS, True),
            (ANONYMOUS, identity(b""), False),
        ):
            self.assertIs(sameIdentity(left, right), same, f"{left!r} {right!r}")
            self.assertIs(sameIdentity(right, left), same, f"{right!r} {left!r}")

    def test_constantTime(self) -> None:
        """
        Names are compared in constant time.
        """
        compared: list[tuple[bytes, bytes]] = []

        def compare(left: bytes, right: bytes) -> bool:
            compared.append((left, right))
            return True

        self.patch(hmac, "compare_digest", compare)
        self.assertTrue(sameIdentity(ADA, EVE))
        self.assertEqual(compared, [(b"ada", b"eve")])
