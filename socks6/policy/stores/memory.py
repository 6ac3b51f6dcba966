"""
Sessions in the memory of this process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from itertools import count, islice

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from socks6.interfaces import (
    IListingSessionStore,
    ListedSession,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionTrust,
    SessionUse,
)
from socks6.machine.tokens import TokenWindow
from socks6.policy.stores.state import SessionState, endsSession
from socks6.values.options import TokenWindowAdvertisement

#: Expired sessions that are forgotten in one call, so that nobody waits for all
#: of them.
EXPIRED_AT_ONCE = 1000


class _Kept(SessionState):
    """
    A session, and what the operator calls it.

    @ivar number: That.
    @ivar opened: When it was opened, in seconds of the store's clock.
    """

    __slots__ = ("number", "opened")

    def __init__(
        self,
        record: SessionRecord,
        window: TokenWindow | None,
        expires: float,
        number: int,
        opened: float,
    ) -> None:
        super().__init__(record, window, expires)
        self.number = number
        self.opened = opened


@implementer(IListingSessionStore)
class MemorySessionStore:
    """
    Forgets all sessions when the process ends.
    """

    def __init__(self, clock: IReactorTime) -> None:
        """
        @param clock: Tells when sessions have expired.
        """
        self._clock = clock
        #: By key; the one that has not been used for the longest time comes first.
        self._sessions: OrderedDict[bytes, _Kept] = OrderedDict()
        #: How many there are of each owner that has any.
        self._owned: dict[bytes, int] = {}
        #: Their keys, by number.
        self._keys: dict[int, bytes] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        """
        Count the sessions that are kept at the moment.
        """
        return len(self._sessions)

    def open(
        self, key: bytes, record: SessionRecord, windowSize: int | None, limits: SessionLimits
    ) -> Deferred[TokenWindowAdvertisement | None]:
        """
        Begin a session.

        @see: L{ISessionStore.open}
        """
        now = self._clock.seconds()
        self._expire(now, EXPIRED_AT_ONCE)
        if not self._hasRoom(record.owner, limits):
            self._expire(now, len(self._sessions))
            if not self._hasRoom(record.owner, limits):
                return fail(SessionsExhausted())
        self._owned[record.owner] = self._owned.get(record.owner, 0) + 1
        window = None if windowSize is None else TokenWindow(0, windowSize)
        number = next(self._numbers)
        self._keys[number] = key
        self._sessions[key] = _Kept(record, window, now + limits.timeout, number, now)
        return succeed(None if window is None else window.advertisement)

    def use(
        self,
        key: bytes,
        demand: SessionDemand,
        trusts: Collection[SessionTrust],
        timeout: float,
    ) -> Deferred[SessionUse | None]:
        """
        Carry out what a request wants of its session.

        @see: L{ISessionStore.use}
        """
        now = self._clock.seconds()
        self._expire(now, EXPIRED_AT_ONCE)
        session = self._sessions.get(key)
        if session is None or session.expires <= now:
            return succeed(None)
        use = session.use(demand, trusts, now + timeout)
        if endsSession(demand, use):
            self._forget(key)
        elif use.admitted:
            self._sessions.move_to_end(key)
        return succeed(use)

    def latest(self, start: int, most: int) -> Sequence[ListedSession]:
        """
        List sessions.

        @see: L{IListingSessionStore.latest}
        """
        now = self._clock.seconds()
        self._expire(now, EXPIRED_AT_ONCE)
        return [
            ListedSession(
                each.number,
                each.record,
                None if each.window is None else each.window.size,
                now - each.opened,
                each.expires - now,
            )
            for each in islice(reversed(self._sessions.values()), start, start + most)
            if each.expires > now
        ]

    def end(self, number: int) -> bool:
        """
        End a session.

        @see: L{IListingSessionStore.end}
        """
        key = self._keys.get(number)
        if key is None:
            return False
        self._forget(key)
        return True

    def start(self) -> None:
        """
        Do nothing: there is nothing that could fail.
        """

    def close(self) -> Deferred[None]:
        """
        Do nothing: there is nothing to let go of.
        """
        return succeed(None)

    def _hasRoom(self, owner: bytes, limits: SessionLimits) -> bool:
        """
        Tell whether an owner may have one more session.
        """
        return (
            len(self._sessions) < limits.sessions
            and self._owned.get(owner, 0) < limits.sessionsPerOwner
        )

    def _expire(self, now: float, most: int) -> None:
        """
        Forget sessions that have expired.

        Where not all have the same timeout, some stay until the one before them
        has expired.

        @param most: How many to forget.
        """
        sessions = self._sessions
        for _ in range(min(most, len(sessions))):
            key = next(iter(sessions))
            if sessions[key].expires > now:
                return
            self._forget(key)

    def _forget(self, key: bytes) -> None:
        """
        Forget a session.
        """
        session = self._sessions.pop(key)
        del self._keys[session.number]
        owner = session.record.owner
        self._owned[owner] -= 1
        if not self._owned[owner]:
            del self._owned[owner]
