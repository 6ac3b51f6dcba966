"""
Tests of L{socks6.policy.stores.memory}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import (
    IListingSessionStore,
    ListedSession,
    SessionDemand,
    SessionsExhausted,
)
from socks6.policy.stores import memory
from socks6.policy.stores.memory import MemorySessionStore
from tests.policy.stores.calls import ALL, LIMITS, newKey, record
from tests.policy.stores.suite import StoreTests


class MemoryStoreTests(StoreTests, TestCase):
    """
    What every store does.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemorySessionStore(self.clock)

    def makeStore(self) -> MemorySessionStore:
        """
        Give the only handle there is.
        """
        return self.store

    async def elapse(self, seconds: float) -> None:
        """
        Advance the clock.
        """
        self.clock.advance(seconds)


class MemoryTests(SynchronousTestCase):
    """
    What is kept in memory.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemorySessionStore(self.clock)

    def open(self, owner: bytes = b"user", timeout: float = LIMITS.timeout) -> bytes:
        """
        Open a session.

        @return: Its key.
        """
        key = newKey()
        limits = replace(LIMITS, timeout=timeout)
        self.assertIsNone(self.successResultOf(self.store.open(key, record(owner), None, limits)))
        return key

    def use(self, key: bytes, teardown: bool = False) -> bool:
        """
        Use a session.

        @return: Whether it was there.
        """
        demand = SessionDemand(teardown=teardown)
        return self.successResultOf(self.store.use(key, demand, ALL, LIMITS.timeout)) is not None

    def test_atOnce(self) -> None:
        """
        All is answered at once, and there is nothing to wait for in the end, nor is
        anything forgotten then.
        """
        key = self.open()
        self.assertIsNone(self.successResultOf(self.store.close()))
        self.assertTrue(self.use(key))

    def test_forgets(self) -> None:
        """
        Sessions that have ended take no memory: those that were torn down at once,
        those that have expired as soon as anything happens.
        """
        keys = [self.open(b"user %d" % number) for number in range(4)]
        self.assertEqual(len(self.store), 4)
        self.use(keys[1], teardown=True)
        self.assertEqual(len(self.store), 3)
        self.clock.advance(LIMITS.timeout - 1)
        self.assertTrue(self.use(keys[2]))
        self.clock.advance(1)
        self.assertFalse(self.use(newKey()))
        self.assertEqual(len(self.store), 1)
        self.clock.advance(LIMITS.timeout)
        self.open()
        self.assertEqual(len(self.store), 1)

    def test_owners(self) -> None:
        """
        Nothing is kept of an owner without sessions, however they have ended.
        """
        owned = self.store._owned
        keys = [self.open(owner) for owner in (b"a", b"a", b"b", b"c")]
        self.assertEqual(owned, {b"a": 2, b"b": 1, b"c": 1})
        self.use(keys[0], teardown=True)
        self.use(keys[2], teardown=True)
        self.assertEqual(owned, {b"a": 1, b"c": 1})
        self.failureResultOf(
            self.store.open(newKey(), record(b"d"), None, replace(LIMITS, sessions=0)),
            SessionsExhausted,
        )
        self.assertEqual(owned, {b"a": 1, b"c": 1})
        self.clock.advance(LIMITS.timeout)
        self.open(b"e")
        self.assertEqual(owned, {b"e": 1})

    def test_fewAtOnce(self) -> None:
        """
        Where many sessions have expired, each call forgets some of them, so that it
        takes no longer than others.
        """
        self.patch(memory, "EXPIRED_AT_ONCE", 3)
        keys = [self.open() for _ in range(10)]
        self.clock.advance(LIMITS.timeout)
        for left in (7, 4):
            self.assertFalse(self.use(keys[-1]), "has expired, though it is kept")
            self.assertEqual(len(self.store), left)
        self.open()
        self.assertEqual(len(self.store), 2)
        self.assertFalse(self.use(keys[-1]))
        self.assertEqual(len(self.store), 1)

    def test_allForRoom(self) -> None:
        """
        Before a session is declined, all are forgotten that have expired.
        """
        self.patch(memory, "EXPIRED_AT_ONCE", 1)
        for owner in (b"a", b"a", b"b", b"b", b"b"):
            self.open(owner)
        self.clock.advance(LIMITS.timeout)
        limits = replace(LIMITS, sessionsPerOwner=2)
        for room in (True, True, False):
            result = self.store.open(newKey(), record(b"b"), None, limits)
            if room:
                self.successResultOf(result)
            else:
                self.failureResultOf(result, SessionsExhausted)
        self.assertEqual(self.store._owned, {b"b": 2})

    def test_order(self) -> None:
        """
        What was used last is forgotten last; to try without being admitted is no use.
        """
        keys = [self.open() for _ in range(3)]
        self.clock.advance(1)
        self.use(keys[0])
        self.successResultOf(self.store.use(keys[1], SessionDemand(), (), LIMITS.timeout))
        self.clock.advance(LIMITS.timeout - 1)
        self.assertFalse(self.use(keys[1]))
        self.assertEqual(list(self.store._sessions), [keys[0]])

    def test_timeouts(self) -> None:
        """
        A session that lives longer keeps those behind it in memory, but not alive.
        """
        longer = self.open(timeout=1000.0)
        shorter = self.open(timeout=10.0)
        self.clock.advance(10)
        self.assertFalse(self.use(shorter))
        self.assertEqual(len(self.store), 2)
        self.assertTrue(self.use(longer))
        self.assertFalse(self.use(shorter))
        self.assertEqual(len(self.store), 1)


class ListingTests(SynchronousTestCase):
    """
    What the operator may know.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemorySessionStore(self.clock)

    def open(self, windowSize: int | None = None) -> bytes:
        """
        Open a session.

        @return: Its key.
        """
        key = newKey()
        self.successResultOf(self.store.open(key, record(), windowSize, LIMITS))
        return key

    def numbers(self, start: int = 0, most: int = 100) -> list[int]:
        """
        List some.
        """
        return [each.number for each in self.store.latest(start, most)]

    def test_interface(self) -> None:
        """
        The store is one that lists.
        """
        self.assertTrue(verifyObject(IListingSessionStore, self.store))

    def test_listed(self) -> None:
        """
        Each has its number, its window, and its times.
        """
        self.open(16)
        self.clock.advance(2.0)
        (listed,) = self.store.latest(0, 9)
        self.assertEqual(listed, ListedSession(1, record(), 16, 2.0, LIMITS.timeout - 2.0))

    def test_order(self) -> None:
        """
        The one that was used last comes first, so many at a time.
        """
        first, *_ = self.open(), self.open(), self.open()
        self.successResultOf(self.store.use(first, SessionDemand(), ALL, LIMITS.timeout))
        self.assertEqual(self.numbers(), [1, 3, 2])
        self.assertEqual(self.numbers(1, 1), [3])
        self.assertEqual(self.numbers(3), [])

    def test_expired(self) -> None:
        """
        Those that have expired are not listed, nor is any number used again.
        """
        self.open()
        self.clock.advance(LIMITS.timeout)
        self.open()
        self.assertEqual(self.numbers(), [2])
        self.assertFalse(self.store.end(1))

    def test_end(self) -> None:
        """
        One that is ended is no more, and others are.
        """
        first, second = self.open(), self.open()
        self.assertTrue(self.store.end(1))
        self.assertFalse(self.store.end(1))
        self.assertEqual(len(self.store), 1)
        use = self.store.use(first, SessionDemand(), ALL, LIMITS.timeout)
        self.assertIsNone(self.successResultOf(use))
        use = self.store.use(second, SessionDemand(), ALL, LIMITS.timeout)
        self.assertIsNotNone(self.successResultOf(use))
