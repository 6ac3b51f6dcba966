"""
Tests for sessions that many requests share, with a proxy that treats each of them in
another way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.python.failure import Failure

import tests.strategies  # noqa: F401  sets hypothesis up
from socks6.machine.tokens import TokenWindow
from socks6.values.codes import TokenOutcome
from socks6.values.messages import Request
from socks6.values.options import (
    Option,
    OptionList,
    SessionID,
    SessionOK,
    SessionRequest,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
)
from tests.client.doubles import PORT, ProxyTransport, operationReply, refusal
from tests.client.sessions import (
    CONNECTED,
    FAILED,
    INVALID,
    SessionTestCase,
    admitted,
)

#: Seconds that the proxy may take.
TIMEOUT = 4

#: What a proxy may do about a connection: what takes its time, and what comes at once.
#: It answers at once or never, so that what is measured is how long we wait in vain.
FATES = (
    # It cannot be reached; it is never heard of; it breaks off.
    *("unreachable", "silent", "lost"),
    # It refuses, or does not know the session.
    *("refused", "invalid"),
    # It opens no session; or it does with its last reply.
    *("declined", "late"),
    # It serves the request as it should, or says nothing more once we are let in.
    *("served", "failed", "half"),
    # It gives few tokens, or none.
    *("stingy", "mean"),
)


@dataclass(frozen=True)
class Fate:
    """
    What becomes of a connection.

    @ivar kind: See L{FATES}.
    @ivar after: Seconds until it does, or until the Operation Reply comes.
    """

    kind: str
    after: int


@dataclass(frozen=True)
class Visit:
    """
    One request.

    @ivar gap: Seconds since the one before.
    @ivar patience: Seconds until it is cancelled, if it is.
    """

    gap: int
    patience: int | None


VISITS = st.lists(
    st.builds(
        Visit, st.sampled_from([0, 0, 0, 1, 3]), st.sampled_from([None, None, None, 0, 1, 5])
    ),
    min_size=1,
    max_size=25,
)


def fates(*kinds: str) -> st.SearchStrategy[list[Fate]]:
    """
    Make what becomes of each connection; it begins anew behind the last one.
    """
    return st.lists(
        st.builds(Fate, st.sampled_from(kinds), st.integers(0, TIMEOUT)), min_size=1, max_size=25
    )


class MoodyProxy:
    """
    A proxy that keeps sessions and tokens as it should, but not its temper.

    @ivar spent: The tokens that requests have come with, with their sessions.
    """

    def __init__(self) -> None:
        self.spent: list[tuple[bytes, int]] = []
        self._windows: dict[bytes, TokenWindow | None] = {}
        self._opened = 0

    def hear(self, request: Request) -> None:
        """
        Take note of the token.
        """
        named = request.options.first(SessionID)
        token = request.options.first(TokenExpenditure)
        if named is not None and token is not None:
            self.spent.append((named.identifier, token.token))

    def reply(self, request: Request, most: int) -> tuple[bytes, bool]:
        """
        Do what is asked of a session.

        @param most: The most tokens of a window; 0: there is none.
        @return: The Authentication Reply, and whether something is done for the request.
        """
        named = request.options.first(SessionID)
        if named is None:
            if request.options.first(SessionRequest) is None:
                return admitted(), True
            return admitted(*self.open(request, most)), True
        if named.identifier not in self._windows:
            return INVALID, False
        window = self._windows[named.identifier]
        said: list[Option] = [SessionOK()]
        token = request.options.first(TokenExpenditure)
        if token is not None:
            outcome = TokenOutcome.NO_WINDOW if window is None else window.spend(token.token)
            said.append(TokenExpenditureReply(outcome))
            if window is not None and outcome is not TokenOutcome.DUPLICATE:
                said.append(window.advertisement)
            if outcome is not TokenOutcome.SUCCESS:
                return admitted(*said), False
        wish = request.options.first(TokenRequest)
        if wish is not None and most:
            base = 0 if window is None else window.end
            fresh = self._windows[named.identifier] = TokenWindow(base, min(most, wish.windowSize))
            said = [*said[: 1 if token is None else 2], fresh.advertisement]
        return admitted(*said), True

    def open(self, request: Request, most: int) -> list[Option]:
        """
        Open a session.

        @return: What is said of it.
        """
        self._opened += 1
        identifier = b"session %d" % self._opened
        wish = request.options.first(TokenRequest)
        window = None
        if wish is not None and most:
            window = TokenWindow(0, min(most, wish.windowSize))
        self._windows[identifier] = window
        told: list[Option] = [] if window is None else [window.advertisement]
        return [SessionID(identifier), *told]

    def forget(self, request: Request) -> None:
        """
        Forget the session that a request names.
        """
        named = request.options.first(SessionID)
        if named is not None:
            self._windows.pop(named.identifier, None)


class CrowdTests(SessionTestCase):
    """
    Whatever the proxy does, all requests come to an end, and soon.
    """

    def play(self, visits: Sequence[Visit], fates: Sequence[Fate], **arguments: Any) -> None:
        """
        Let requests come, until all have ended, and check how they did.

        @param fates: Of the connections, in their order.
        @param arguments: Of the session.
        """
        self.setUp()
        self.renew(**arguments)
        self.proxy = MoodyProxy()
        self.fates = fates
        self.transports: list[ProxyTransport] = []
        #: By the port that a request is for, which tells it from the others: when it
        #: began; when it ended, each time, and how; and how many connections it took.
        self.began: dict[int, float] = {}
        self.ends: dict[int, list[tuple[float, object]]] = {}
        self.tries: Counter[int] = Counter()
        arrival = 0
        for number, visit in enumerate(visits):
            arrival += visit.gap
            self.ends[PORT + number] = []
            self.reactor.callLater(arrival, self.begin, PORT + number, visit)
        self.reactor.advance(0)
        self.serve()
        while not all(self.ends.values()) and self.reactor.getDelayedCalls():
            due = min(call.getTime() for call in self.reactor.getDelayedCalls())
            self.reactor.advance(max(0, due - self.reactor.seconds()))
            self.serve()
        self.check(visits)

    def begin(self, port: int, visit: Visit) -> None:
        """
        Make a request.
        """
        self.began[port] = self.reactor.seconds()
        call = self.call(port=port, timeout=TIMEOUT)
        call.result.addBoth(lambda result: self.ends[port].append((self.reactor.seconds(), result)))
        if visit.patience is not None:
            self.reactor.callLater(visit.patience, call.result.cancel)

    def serve(self) -> None:
        """
        Accept all connections, and close those that are to be closed, until nothing more
        happens at this time.
        """
        while True:
            if self.unaccepted:
                self.decide()
                continue
            self.reactor.advance(0)
            ended = [
                transport
                for transport in self.transports
                if transport.connected and (transport.disconnecting or transport.disconnected)
            ]
            for transport in ended:
                transport.lose(ConnectionAborted())
            if not ended and not self.unaccepted:
                return

    def decide(self) -> None:
        """
        Decide on a connection.
        """
        number = self._answered
        connector: Any = self.reactor.connectors[number]
        if connector.stoppedConnecting:
            self._answered += 1
            return
        fate = self.fates[number % len(self.fates)]
        if fate.kind == "unreachable":
            factory = self._nextFactory()
            self.reactor.callLater(fate.after, self.refuse, connector, factory)
            return
        transport = self.acceptNext()
        self.transports.append(transport)
        request = transport.request
        self.tries[request.address.port] += 1
        self.proxy.hear(request)
        self.treat(transport, request, fate)

    def refuse(self, connector: Any, factory: Any) -> None:
        """
        Let a connection fail, if it is still wanted.
        """
        if not connector.stoppedConnecting:
            factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def treat(self, transport: ProxyTransport, request: Request, fate: Fate) -> None:
        """
        Do to a request what is to be done to it.
        """
        last = CONNECTED
        if fate.kind == "silent":
            return
        if fate.kind == "lost":
            self.reactor.callLater(fate.after, self.later, transport, None)
            return
        if fate.kind == "refused":
            transport.receive(refusal())
            return
        if fate.kind == "invalid" and request.options.first(SessionID) is not None:
            self.proxy.forget(request)
            transport.receive(INVALID)
            return
        isOpening = request.options.first(SessionRequest) is not None
        if fate.kind in ("declined", "late") and isOpening:
            if fate.kind == "late":
                last = operationReply(options=OptionList(self.proxy.open(request, 64)))
            transport.receive(admitted())
        else:
            most = {"stingy": 1, "mean": 0}.get(fate.kind, 2**16)
            reply, isDone = self.proxy.reply(request, most)
            if not isDone or fate.kind == "failed":
                last = FAILED
            transport.receive(reply)
            if reply == INVALID or fate.kind == "half":
                return
        self.reactor.callLater(fate.after, self.later, transport, last)

    def later(self, transport: ProxyTransport, octets: bytes | None) -> None:
        """
        Say something, or break off, on a connection that is still there.
        """
        if not transport.connected or transport.disconnecting or transport.disconnected:
            return
        if octets is None:
            transport.lose(ConnectionLost())
        else:
            transport.receive(octets)

    def check(self, visits: Sequence[Visit]) -> None:
        """
        Check that every request has ended once, within two time-outs for each try, that no
        token was spent twice, and that nothing is left.
        """
        for number, visit in enumerate(visits):
            name = f"request {number}"
            self.assertEqual(len(self.ends[PORT + number]), 1, name)
            [(end, result)] = self.ends[PORT + number]
            waited = end - self.began[PORT + number]
            self.assertLessEqual(waited, 2 * TIMEOUT * max(1, self.tries[PORT + number]), name)
            if visit.patience is not None:
                self.assertLessEqual(waited, visit.patience, name)
            if isinstance(result, Failure):
                result.trap(ConnectError, CancelledError)
        self.assertEqual(len(set(self.proxy.spent)), len(self.proxy.spent), "each token once")
        for transport in self.transports:
            if transport.connected:
                transport.lose(ConnectionLost())
        self.reactor.advance(1000)
        self.assertNothingLeft()
        self.assertEqual(self.flushLoggedErrors(), [])

    @given(VISITS, fates(*FATES), st.sampled_from([0, 1, 5, 64]), st.booleans(), st.booleans())
    def test_anyMood(
        self, visits: list[Visit], fates: list[Fate], tokens: int, patient: bool, named: bool
    ) -> None:
        """
        With a proxy that does whatever it likes, every request ends once, none waits for
        longer than two time-outs for each of its tries, and no token is spent twice.
        """
        who = {} if named else {"username": None, "password": None}
        self.play(visits, fates, tokens=tokens, patient=patient, **who)

    @given(
        VISITS,
        fates("unreachable", "silent", "lost", "declined", "late", "served", "failed", "half"),
        st.sampled_from([0, 64]),
    )
    def test_noRemedies(self, visits: list[Visit], fates: list[Fate], tokens: int) -> None:
        """
        Where nothing needs to be made again, no request takes more than one connection,
        so that none waits for longer than two time-outs in all.
        """
        self.play(visits, fates, tokens=tokens)
        self.assertLessEqual(set(self.tries.values()), {1})
