"""
A session with a proxy, which any number of requests share.

@see: draft 06, "Sessions"; "Idempotence".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.client.access import Access, Passage, Remedy, SessionPassage, authenticationData
from socks6.client.attempt import ConnectionAttempt
from socks6.client.errors import SessionClosed
from socks6.client.negotiation import DEFAULT_TIMEOUT, Terms
from socks6.machine.tokens import TokenSupply
from socks6.text import errorWords
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command, TokenOutcome
from socks6.values.options import (
    Option,
    OptionList,
    SessionID,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
)
from socks6.wire import DEFAULT_CODEC
from socks6.wire.codec import Codec

#: Tokens that are asked for at first.
DEFAULT_TOKENS = 64

#: The most tokens that are asked for, however fast they are spent.
MAX_TOKENS = 65536

#: Seconds after which a proxy that would not open a session is asked again.
DECLINED_PERIOD = 60.0


class SOCKS6Session(Access):
    """
    A session with a proxy, shared by any number of endpoints.

    The first request opens it, and those after it name it, spend tokens of its
    window, and need no credentials.  A session that the proxy has forgotten is
    replaced.  If the proxy opens none, requests go out without.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        proxyEndpoint: IStreamClientEndpoint,
        *,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        tokens: int = DEFAULT_TOKENS,
        patient: bool = True,
        timeout: float = DEFAULT_TIMEOUT,
        codec: Codec = DEFAULT_CODEC,
    ) -> None:
        """
        @param reactor: Measures how long the proxy takes.
        @param proxyEndpoint: The way to the proxy.
        @param username: Who we are, 1 to 255 octets; text is written in UTF-8.
        @param password: What proves it; with C{username} only.
        @param tokens: How many tokens to ask for at first, up to 65,536; 0: spend
            none.  A window that turns out to be small is replaced by a larger one.
        @param patient: Whether a request waits while another one opens the session,
            or asks for tokens.  If not, it goes out without the session, or without
            a token.
        @param timeout: Seconds that the proxy may take to answer L{open} and
            L{close} once it is connected.
        @param codec: The draft to speak.
        @raise ValueError: One of the arguments cannot be.
        """
        super().__init__(proxyEndpoint, authenticationData(username, password))
        if not 0 <= tokens <= MAX_TOKENS:
            raise ValueError(f"tokens not within 0 to {MAX_TOKENS}: {tokens}")
        self._clock = reactor
        self._patient = patient
        self._terms = Terms(reactor, Command.NOOP, UNSPECIFIED_IPV4, False, timeout, codec)
        #: The size of the window that was asked for last, or will be at first; and
        #: whether to ask, and to spend any, in this session.
        self._windowSize = tokens
        self._wantsTokens = bool(tokens)
        self._tokens = TokenSupply()
        self._identifier: bytes | None = None
        self._trusted = False
        #: The request that is opening the session, and the one that has asked for
        #: tokens, as long as it is not known what came of it.
        self._opening: SessionPassage | None = None
        self._refilling: SessionPassage | None = None
        #: When the proxy would not open a session.
        self._declinedAt: float | None = None
        self._waiting: deque[Deferred[Passage]] = deque()
        self._releasing = False
        self._releaseAnyway = 0
        self._closing: Deferred[None] | None = None

    def __repr__(self) -> str:
        """
        Tell the way, and no secrets.
        """
        return f"<{type(self).__name__} with {self.proxyEndpoint!r}>"

    @property
    def isOpen(self) -> bool:
        """
        Whether there is a session, as far as we know.
        """
        return self._identifier is not None

    @property
    def isTrusted(self) -> bool:
        """
        Whether there is a session, and its requests need no credentials.
        """
        return self.isOpen and self._trusted

    @property
    def tokensLeft(self) -> int:
        """
        How many tokens there are to spend.
        """
        return self._tokens.left if self.isOpen else 0

    @property
    def isClosed(self) -> bool:
        """
        Whether L{close} has been called.
        """
        return self._closing is not None

    def open(self) -> Deferred[bool]:
        """
        Open the session ahead of time, if it is not open.

        @return: Fires with whether it is open: the proxy may have declined, or another
            request may still be opening it.  Fails as C{connect} of an endpoint does.
            Cancelling gives up.
        """
        if self.isOpen:
            return succeed(True)
        return self._ask(self).addCallback(lambda _: self.isOpen)

    def close(self) -> Deferred[None]:
        """
        End the session at the proxy.  Requests that wait or come later fail with
        L{SessionClosed<socks6.client.errors.SessionClosed>}; tunnels live on.

        @return: Fires when the proxy has heard of it, or could not be told; never
            fails.
        """
        closed: Deferred[None] = Deferred()
        if self._closing is not None:
            self._closing.addBoth(lambda _: closed.callback(None))
            return closed
        self._closing = Deferred()
        while self._waiting:
            self._waiting.popleft().errback(SessionClosed())
        self._closing.addBoth(lambda _: closed.callback(None))
        if self._opening is None:
            self._tearDown()
        return closed

    def _tearDown(self) -> None:
        """
        End the session at the proxy, if there is one.
        """
        identifier, self._identifier = self._identifier, None
        closing = self._closing
        assert closing is not None
        if identifier is None:
            closing.callback(None)
            return
        farewell = [SessionID(identifier), SessionTeardown(), *self._credentialsNeeded()]
        self._ask(Access(self.proxyEndpoint, farewell)).addErrback(self._notTold).chainDeferred(
            closing
        )

    def _notTold(self, failure: Failure) -> None:
        """
        The proxy will forget the session by itself some day.
        """
        self._log.info(
            "The proxy was not told that a session ended: {error}",
            error=errorWords(failure.value),
        )

    def _ask(self, access: Access) -> Deferred[None]:
        """
        Make a request that does nothing.
        """
        factory = Factory.forProtocol(_Leaver)
        factory.noisy = False
        return ConnectionAttempt(access, self._terms, factory).start().addCallback(lambda _: None)

    # Requests on their way.

    def enter(self) -> Deferred[Passage]:
        """
        Let a request go out.

        @return: Fires when it may, with what it is to say.  Fails with
            L{SessionClosed<socks6.client.errors.SessionClosed>}.  Cancelling waits
            no more.
        """
        if self.isClosed:
            return fail(SessionClosed())
        # Who goes on may call back: others have come first.
        if self._waiting or self._mustWait():
            waiting: Deferred[Passage] = Deferred(self._waitNoMore)
            self._waiting.append(waiting)
            return waiting
        return succeed(self._passage())

    def _waitNoMore(self, waiting: Deferred[Passage]) -> None:
        """
        Forget a request that has been cancelled.
        """
        if self._waiting.index(waiting) < self._releaseAnyway:
            # Else one that has come later would go on in its place.
            self._releaseAnyway -= 1
        self._waiting.remove(waiting)

    def _mustWait(self) -> bool:
        """
        Tell whether it is better to wait for what another request brings.
        """
        if not self._patient:
            return False
        if self._identifier is not None:
            return self._refilling is not None
        # One that has been let in without an ID may still get it with the last reply,
        # but that can take as long as it takes to connect somewhere.
        return self._opening is not None and not self._opening.isAdmitted

    def _passage(self) -> Passage:
        """
        Decide what a request says of the session.
        """
        if self._identifier is not None:
            return self._passageWithin(self._identifier)
        if self._opening is not None or self._wasDeclined():
            return Passage(self.options)
        options: list[Option] = [SessionRequest(), *self.options]
        if self._windowSize:
            options.append(TokenRequest(self._windowSize))
        self._opening = SessionPassage(self, options)
        if self._windowSize:
            self._refilling = self._opening
        return self._opening

    def _passageWithin(self, identifier: bytes) -> Passage:
        """
        Decide what a request says that names the session.
        """
        options: list[Option] = [SessionID(identifier), *self._credentialsNeeded()]
        refills = False
        if self._wantsTokens and self._refilling is None:
            token = self._tokens.take()
            if token is not None:
                options.append(TokenExpenditure(token))
            # "Before they run out": a request that asks costs nothing.
            refills = self._tokens.left <= self._tokens.size // 4
        if refills:
            self._windowSize = min(2 * self._windowSize, MAX_TOKENS)
            options.append(TokenRequest(self._windowSize))
        passage = SessionPassage(self, options)
        if refills:
            self._refilling = passage
        return passage

    def _credentialsNeeded(self) -> Sequence[Option]:
        """
        Give the credentials, unless the session makes up for them.
        """
        return () if self._trusted else self.options

    def _wasDeclined(self) -> bool:
        """
        Tell whether it is too early to ask for a session again.
        """
        declinedAt = self._declinedAt
        return declinedAt is not None and self._clock.seconds() < declinedAt + DECLINED_PERIOD

    # What came of them.

    def learn(self, passage: SessionPassage, options: OptionList) -> None:
        """
        Read what the proxy says of the session.

        @param passage: That of the request which it answers.
        @param options: Those of its reply.
        """
        given = options.first(SessionID)
        asked = passage is self._refilling
        if passage is self._opening and given is not None and given.identifier:
            passage.identifier = self._identifier = given.identifier
            self._trusted = options.first(SessionUntrusted) is None
            self._tokens = TokenSupply()
            # It has asked for tokens, too, if any are wanted.
            self._wantsTokens = asked = bool(self._windowSize)
        # What is said of a session that is no longer ours is of no use.
        if passage.identifier is not None and passage.identifier == self._identifier:
            self._learnTokens(passage, options)
        if self._identifier is not None:
            self._openingOver(passage)
        if asked:
            # Windows stand in the Authentication Reply, so none is to come.  Where the
            # token was refused, nothing else was looked at.
            reply = options.first(TokenExpenditureReply)
            if reply is None or reply.outcome is TokenOutcome.SUCCESS:
                self._wantsTokens = bool(self._tokens.size)
            self._refilling = None
        self._release()

    def _learnTokens(self, passage: SessionPassage, options: OptionList) -> None:
        """
        Read what the proxy says of tokens.
        """
        reply = options.first(TokenExpenditureReply)
        if reply is not None and reply.outcome is TokenOutcome.NO_WINDOW:
            self._tokens.lose()
        window = options.first(TokenWindowAdvertisement)
        if window is not None:
            self._tokens.learn(window, passage is self._refilling)

    def distrust(self) -> None:
        """
        Learn that the session's requests need credentials.
        """
        self._trusted = False

    def forget(self, identifier: bytes) -> None:
        """
        Learn that the proxy does not know a session.
        """
        if identifier == self._identifier:
            self._identifier = None

    def ended(self, passage: SessionPassage, remedy: Remedy | None = None) -> None:
        """
        Learn that nothing more will be said in answer to a request.  To hear that
        again changes nothing.

        @param remedy: Why the request will be made again, if it will.
        """
        if passage.isAdmitted and passage is self._opening:
            self._declinedAt = self._clock.seconds()
        # Those who have waited in vain do not wait for the next one, too: if the proxy
        # does not answer, they would fail one after the other.
        isVain = remedy is None and passage in (self._opening, self._refilling)
        if passage is self._refilling:
            self._refilling = None
        self._openingOver(passage)
        self._release(len(self._waiting) if isVain else 0)

    def _openingOver(self, passage: SessionPassage) -> None:
        """
        Do not wait for a request's session any more.
        """
        if passage is self._opening:
            self._opening = None
            if self._closing is not None:
                self._tearDown()

    def _release(self, inVain: int = 0) -> None:
        """
        Let those go on who need not wait any more.

        @param inVain: How many of the first ones go on in any case.
        """
        self._releaseAnyway = max(self._releaseAnyway, inVain)
        # Whoever goes on may fail at once, and bring us here again.
        if self._releasing:
            return
        self._releasing = True
        while self._waiting and (self._releaseAnyway > 0 or not self._mustWait()):
            self._releaseAnyway -= 1
            self._waiting.popleft().callback(self._passage())
        self._releaseAnyway = 0
        self._releasing = False


class _Leaver(Protocol):
    """
    Closes its connection: all has been said in the request.
    """

    def connectionMade(self) -> None:
        """
        Close.
        """
        assert self.transport is not None
        self.transport.loseConnection()
