"""
Sessions with one proxy, a separate one for each purpose.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from socks6.client.session import SOCKS6Session

#: Seconds without a request after which a session is ended; proxies forget one after
#: about as long.
IDLE_TIMEOUT = 600.0

#: Sessions that there may be.
MAX_SESSIONS = 1_000


class SessionPool:
    """
    Opens a session for each key that is asked for, and ends those that are no longer
    in use.
    """

    def __init__(
        self,
        clock: IReactorTime,
        makeSession: Callable[[], SOCKS6Session],
        *,
        idleTimeout: float = IDLE_TIMEOUT,
        maxSessions: int = MAX_SESSIONS,
    ) -> None:
        """
        @param makeSession: Makes one, which has not been opened.
        @param idleTimeout: Seconds for which nobody has asked for a session, before it
            is ended.
        @param maxSessions: How many there may be, at least 1; of more, those are ended
            that nobody has asked for the longest time.
        """
        self._clock = clock
        self._makeSession = makeSession
        self._idleTimeout = idleTimeout
        self._maxSessions = maxSessions
        #: By key, with the time of the last request; the one that has not been asked
        #: for the longest time comes first.
        self._sessions: OrderedDict[bytes, tuple[SOCKS6Session, float]] = OrderedDict()
        #: What is being ended.
        self._closing: set[Deferred[None]] = set()

    def __len__(self) -> int:
        """
        Count the sessions.
        """
        return len(self._sessions)

    def session(self, key: bytes) -> SOCKS6Session:
        """
        Give the session of a key.
        """
        now = self._clock.seconds()
        while self._sessions:
            session, since = next(iter(self._sessions.values()))
            if now - since < self._idleTimeout:
                break
            self._end(*self._sessions.popitem(last=False))
        found = self._sessions.pop(key, None)
        session = self._makeSession() if found is None else found[0]
        if len(self._sessions) >= self._maxSessions:
            self._end(*self._sessions.popitem(last=False))
        self._sessions[key] = session, now
        return session

    def close(self) -> Deferred[None]:
        """
        End all sessions.

        @return: Fires when the proxy has heard of it, or could not be told; never
            fails.
        """
        while self._sessions:
            self._end(*self._sessions.popitem())
        done: Deferred[None] = DeferredList(list(self._closing)).addCallback(lambda _: None)
        return done

    def _end(self, key: bytes, entry: tuple[SOCKS6Session, float]) -> None:
        """
        End a session.
        """
        closing = entry[0].close()
        if not closing.called:
            self._closing.add(closing)
            # It may have been cancelled by who waits for all of them.
            closing.addBoth(lambda _: self._closing.discard(closing))
