"""
Which session is it?  State that clients' requests share.

@see: draft 06, "Sessions"; "Idempotence".
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from socks6.interfaces import (
    IListingSessionStore,
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionStoreFailed,
    SessionTrust,
)
from socks6.policy.authentication import Identity
from socks6.policy.stores.memory import MemorySessionStore
from socks6.quota import LineQuota
from socks6.values.address import networkOf
from socks6.values.codes import MAX_TOKEN_WINDOW_SIZE, AuthenticationMethod, TokenOutcome
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

#: Octets of a session ID.
ID_LENGTH = 16

#: Seconds between two lines on sessions that could not be opened.
DECLINED_PERIOD = 60.0

#: Seconds without a request after which a session ends.
DEFAULT_TIMEOUT = 600.0

#: Sessions that there may be in all, and of one client.
MAX_SESSIONS = 100_000
MAX_SESSIONS_PER_CLIENT = 1_024

#: Tokens of a window.
MAX_TOKEN_WINDOW = 65_536


@dataclass(frozen=True, slots=True)
class Client:
    """
    A client as its connection shows it.

    @ivar address: Where it is; L{None} if it is not reached by IP.
    @ivar encrypted: Whether it speaks TLS.
    """

    address: IPv4Address | IPv6Address | None
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """
    What a request has of its session, or of none.

    @ivar identity: Whose session it is.
    @ivar admitted: Whether that is enough to be let in; if not, nothing has been
        done yet.
    @ivar options: What is to be said about it in the Authentication Reply.
    @ivar outcome: What became of the token that the request spends, if it does.
    @ivar session: The session's key, which tells nobody its ID; L{None}: there is
        none.
    """

    identity: Identity
    admitted: bool = True
    options: OptionList = NO_OPTIONS
    outcome: TokenOutcome | None = None
    session: bytes | None = field(default=None, repr=False, compare=False)


class SessionService(Service):
    """
    Knows the sessions of one proxy's clients, or of several proxies'.

    It works from construction; as a service it only makes sure that its store can
    work when it starts, and closes it when it stops.

    @ivar events: How many sessions were opened and declined; and how many requests named
        one that there was (C{resumed}), one that there was not (C{invalid}), or one of
        which that could not be found out (C{failed}).
    @ivar outcomes: What became of the tokens that requests spent.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        store: ISessionStore | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        trust: SessionTrust = SessionTrust.EVERYWHERE,
        maxSessions: int = MAX_SESSIONS,
        maxSessionsPerClient: int = MAX_SESSIONS_PER_CLIENT,
        anonymous: bool = True,
        maxTokenWindow: int = MAX_TOKEN_WINDOW,
    ) -> None:
        """
        @param store: Where the sessions are; by default, in memory.
        @param timeout: Seconds without a request after which a session ends.
        @param trust: Where authentication is waived: everywhere; only in sessions
            that were opened over TLS, where they are used over TLS; or nowhere.
        @param maxSessions: How many there may be in the store.
        @param maxSessionsPerClient: How many there may be of one identity or, if a
            client has none, of one IPv4 address or IPv6 network of 64 bits.
        @param anonymous: Whether clients without an identity may have sessions.
        @param maxTokenWindow: The most tokens that a window has, 1 to 2**31 - 1.
        @raise ValueError: One of the numbers is out of range.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"not a number of seconds above 0: {timeout}")
        if maxSessions < 0 or maxSessionsPerClient < 0:
            raise ValueError("there cannot be less than no sessions")
        if not 0 < maxTokenWindow <= MAX_TOKEN_WINDOW_SIZE:
            raise ValueError(f"not within 1 to {MAX_TOKEN_WINDOW_SIZE}: {maxTokenWindow}")
        self._store = MemorySessionStore(clock) if store is None else store
        self._limits = SessionLimits(timeout, maxSessions, maxSessionsPerClient)
        self._trust = trust
        self._anonymous = anonymous
        self._maxTokenWindow = maxTokenWindow
        self.events: Counter[str] = Counter()
        self.outcomes: Counter[TokenOutcome] = Counter()
        self._lines = LineQuota(clock, 1, DECLINED_PERIOD, self._moreDeclined)

    def startService(self) -> None:
        """
        Make sure that the store can work.

        @raise SessionStoreFailed: It cannot.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._store.start()

    def stopService(self) -> Deferred[None]:
        """
        Close the store.

        @return: Fires when it is closed; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._lines.renew()
        closed: Deferred[None] = self._store.close()
        return closed

    @property
    def listing(self) -> IListingSessionStore | None:
        """
        Give the store, if it can tell which sessions it has.
        """
        store: IListingSessionStore | None = IListingSessionStore(self._store, None)
        return store

    async def open(self, request: Request, identity: Identity, client: Client) -> Membership:
        """
        Open a session, if a request without one asks for that and may have it.

        @param identity: Who the client has shown to be.
        @return: Has no options where there is no session.
        """
        stranger = Membership(identity)
        isAnonymous = identity.method is AuthenticationMethod.NONE_REQUIRED
        if request.options.first(SessionRequest) is None or (isAnonymous and not self._anonymous):
            return stranger
        identifier = os.urandom(ID_LENGTH)
        trust = self._trust
        if trust is SessionTrust.OVER_TLS and not client.encrypted:
            trust = SessionTrust.NOWHERE
        address = "" if client.address is None else str(client.address)
        record = SessionRecord(
            identity.method, identity.name, address, trust, ownerOf(identity, client)
        )
        demand = self._demandOf(request)
        # It cannot have a token yet; then nothing is granted either.
        outcome = None if demand.token is None else TokenOutcome.NO_WINDOW
        windowSize = demand.windowSize if outcome is None else None
        try:
            key = _key(identifier, isAnonymous)
            window = await self._store.open(key, record, windowSize, self._limits)
        except (SessionsExhausted, SessionStoreFailed) as error:
            self.events["declined"] += 1
            if self._lines.take():
                self._log.warn(
                    "A session for {user} from {address} was declined: {error}",
                    user=str(identity),
                    address=address or "elsewhere",
                    error=str(error),
                )
            return stranger
        self._count("opened", outcome)
        options: list[Option] = [SessionID(identifier)]
        if trust is SessionTrust.NOWHERE:
            options.append(SessionUntrusted())
        options += _idempotenceOptions(outcome, window)
        return Membership(identity, options=OptionList(options), outcome=outcome, session=key)

    async def use(
        self,
        identifier: bytes,
        request: Request,
        client: Client,
        *,
        anonymous: bool,
        authenticated: bool = False,
    ) -> Membership | None:
        """
        Find the session that a request names and, if its ID is enough for the
        client to be let in, do what the request wants of it.

        @param identifier: The session's ID.
        @param anonymous: Whether the proxy asks nobody for credentials.  The
            sessions of proxies that do and of those that don't know nothing of each
            other: with the ID of one that needed no credentials nobody gets into a
            proxy that wants them.
        @param authenticated: Whether the client has shown that it is the session's
            initiator, so that the ID is enough in any case.
        @return: L{None} if there is no such session.
        @raise SessionStoreFailed: That cannot be found out.
        """
        trusts = tuple(SessionTrust) if authenticated else self._trustsOf(client)
        key = _key(identifier, anonymous)
        try:
            use = await self._store.use(key, self._demandOf(request), trusts, self._limits.timeout)
        except SessionStoreFailed:
            self.events["failed"] += 1
            raise
        if use is None:
            self.events["invalid"] += 1
            return None
        identity = Identity(AuthenticationMethod(use.record.method), use.record.name)
        if not use.admitted:
            return Membership(identity, admitted=False)
        self._count("resumed", use.outcome)
        options = OptionList([SessionOK(), *_idempotenceOptions(use.outcome, use.window)])
        return Membership(identity, options=options, outcome=use.outcome, session=key)

    def _count(self, event: str, outcome: TokenOutcome | None) -> None:
        """
        Count a request in a session.

        @param outcome: What became of its token, if it spent one.
        """
        self.events[event] += 1
        if outcome is not None:
            self.outcomes[outcome] += 1

    def _trustsOf(self, client: Client) -> tuple[SessionTrust, ...]:
        """
        Tell which sessions' IDs are enough on a connection.
        """
        enough = []
        if self._trust is SessionTrust.EVERYWHERE:
            enough.append(SessionTrust.EVERYWHERE)
        if self._trust is not SessionTrust.NOWHERE and client.encrypted:
            enough.append(SessionTrust.OVER_TLS)
        return tuple(enough)

    def _demandOf(self, request: Request) -> SessionDemand:
        """
        Read what a request wants of its session.
        """
        options = request.options
        expenditure = options.first(TokenExpenditure)
        wish = options.first(TokenRequest)
        return SessionDemand(
            token=None if expenditure is None else expenditure.token,
            windowSize=None if wish is None else min(wish.windowSize, self._maxTokenWindow),
            teardown=options.first(SessionTeardown) is not None,
        )

    def _moreDeclined(self, count: int) -> None:
        """
        Write how many sessions were declined without a line.
        """
        self._log.warn("{count} more sessions were declined", count=count)


def sameIdentity(left: Identity, right: Identity) -> bool:
    """
    Compare identities in a time that does not depend on the names' octets.
    """
    return left.method == right.method and hmac.compare_digest(left.name, right.name)


def _key(identifier: bytes, anonymous: bool) -> bytes:
    """
    Hash a session's ID, so that who reads the store learns none.

    No secret goes into it: an ID cannot be guessed.
    """
    return hashlib.sha256((b"anonymous " if anonymous else b"user ") + identifier).digest()


def ownerOf(identity: Identity, client: Client) -> bytes:
    """
    Tell whom a session, or something else that there is a limit to, counts against.
    """
    if identity.method is not AuthenticationMethod.NONE_REQUIRED:
        return b"user " + identity.name
    if client.address is None:
        return b"elsewhere"
    network = networkOf(client.address)
    if isinstance(network, IPv6Network):
        return b"ipv6 " + network.network_address.packed[:8]
    return b"ipv4 " + network.packed


def _idempotenceOptions(
    outcome: TokenOutcome | None, window: TokenWindowAdvertisement | None
) -> Iterator[Option]:
    """
    Write what a client is to know about its tokens.
    """
    if outcome is not None:
        yield TokenExpenditureReply(outcome)
    if window is not None:
        yield window
