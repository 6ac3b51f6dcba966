"""
Tests for sessions with one proxy, a separate one for each purpose.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.pool import IDLE_TIMEOUT, MAX_SESSIONS, SessionPool


class Session:
    """
    A session of which it only matters when it is closed.

    @ivar closing: What L{close} has returned, each time.
    """

    def __init__(self, isQuick: bool) -> None:
        """
        @param isQuick: Whether it takes no time to end it.
        """
        self._isQuick = isQuick
        self.closing: list[Deferred[None]] = []

    def close(self) -> Deferred[None]:
        """
        End it.
        """
        closing: Deferred[None] = Deferred()
        self.closing.append(closing)
        if self._isQuick:
            closing.callback(None)
        return closing


class SessionPoolTests(SynchronousTestCase):
    """
    L{SessionPool}.
    """

    def setUp(self) -> None:
        """
        Make a pool of sessions that take their time to end.
        """
        self.clock = Clock()
        # Time did not begin with us.
        self.clock.advance(1000)
        self.made: list[Session] = []
        self.isQuick = False
        self.pool = self.makePool()

    def makePool(self, **options: Any) -> SessionPool:
        """
        Make a pool.
        """

        def make() -> Any:
            self.made.append(Session(self.isQuick))
            return self.made[-1]

        return SessionPool(self.clock, make, **options)

    def closed(self) -> list[int]:
        """
        Tell which sessions were closed, by the order in which they were made.
        """
        for session in self.made:
            self.assertLessEqual(len(session.closing), 1, "closed more than once")
        return [number for number, session in enumerate(self.made) if session.closing]

    def test_eachItsOwn(self) -> None:
        """
        Each key has a session, the same one each time, and nobody else's.
        """
        keys = [b"", b"a", b"b", b"a\0"]
        sessions = [self.pool.session(key) for key in keys]
        self.assertEqual(len(set(sessions)), len(keys))
        self.assertEqual(len(self.pool), len(keys))
        for _ in range(2):
            self.assertEqual([self.pool.session(key) for key in keys], sessions)
        self.assertEqual(len(self.made), len(keys))
        self.assertEqual(self.closed(), [])

    def test_idle(self) -> None:
        """
        A session that nobody has asked for in a while is ended when the next one is
        asked for, and replaced; whoever asks in time keeps it.
        """
        for key in (b"a", b"b", b"c"):
            self.pool.session(key)
        self.clock.advance(IDLE_TIMEOUT - 1)
        self.pool.session(b"b")
        self.assertEqual(self.closed(), [])
        self.clock.advance(1)
        self.pool.session(b"b")
        self.assertEqual(self.closed(), [0, 2])
        self.assertEqual(len(self.pool), 1)
        self.assertIs(self.pool.session(b"a"), self.made[3])
        self.clock.advance(IDLE_TIMEOUT)
        self.assertIs(self.pool.session(b"b"), self.made[4], "its own time is over, too")
        self.assertEqual(self.closed(), [0, 1, 2, 3])

    def test_idleTimeout(self) -> None:
        """
        The time can be another one.
        """
        pool = self.makePool(idleTimeout=5.0)
        pool.session(b"a")
        self.clock.advance(4.75)
        pool.session(b"a")
        self.clock.advance(5)
        pool.session(b"a")
        self.assertEqual(self.closed(), [0])

    def test_noTimers(self) -> None:
        """
        Idle sessions keep no clock busy.
        """
        self.pool.session(b"a")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tooMany(self) -> None:
        """
        Of too many, the one is ended that nobody has asked for the longest time.
        """
        pool = self.makePool(maxSessions=3)
        for key in (b"a", b"b", b"c", b"a", b"d"):
            pool.session(key)
        self.assertEqual(self.closed(), [1])
        pool.session(b"c")
        self.assertEqual(self.closed(), [1], "there are not more than before")
        pool.session(b"e")
        self.assertEqual(self.closed(), [0, 1])
        self.assertEqual(len(pool), 3)

    def test_onlyOne(self) -> None:
        """
        There may be but one at a time.
        """
        pool = self.makePool(maxSessions=1)
        for key in (b"a", b"a", b"b", b"b", b"a"):
            pool.session(key)
        self.assertEqual(len(pool), 1)
        self.assertEqual(self.closed(), [0, 1])

    def test_limit(self) -> None:
        """
        By default there are a thousand.
        """
        self.assertEqual(MAX_SESSIONS, 1000)
        for number in range(MAX_SESSIONS):
            self.pool.session(b"%d" % number)
        self.assertEqual(self.closed(), [])
        self.pool.session(b"one more")
        self.assertEqual(self.closed(), [0])

    def test_closeNone(self) -> None:
        """
        Where there are none, all are ended at once.
        """
        self.assertIsNone(self.successResultOf(self.pool.close()))

    def test_close(self) -> None:
        """
        All are ended, and those that were being ended are waited for, too.
        """
        pool = self.makePool(maxSessions=2)
        for key in (b"a", b"b", b"c"):
            pool.session(key)
        self.assertEqual(self.closed(), [0])
        closed = pool.close()
        self.assertEqual(self.closed(), [0, 1, 2])
        self.assertEqual(len(pool), 0)
        for session in self.made:
            self.assertNoResult(closed)
            session.closing[0].callback(None)
        self.assertIsNone(self.successResultOf(closed))

    def test_closeQuick(self) -> None:
        """
        Those that end at once are not waited for.
        """
        self.isQuick = True
        self.pool.session(b"a")
        self.assertIsNone(self.successResultOf(self.pool.close()))

    def test_endedMeanwhile(self) -> None:
        """
        Those that have been ended before are not waited for, and not remembered.
        """
        pool = self.makePool(maxSessions=1)
        for key in (b"a", b"b"):
            pool.session(key)
        self.made[0].closing[0].callback(None)
        self.assertEqual(pool._closing, set())
        self.made[1]._isQuick = True
        self.successResultOf(pool.close())

    def test_closeTwice(self) -> None:
        """
        Whoever closes it again waits for the same.
        """
        self.pool.session(b"a")
        closings = [self.pool.close() for _ in range(2)]
        self.assertEqual(self.closed(), [0])
        self.made[0].closing[0].callback(None)
        for closed in closings:
            self.successResultOf(closed)

    def test_cancelClose(self) -> None:
        """
        Whoever waits may give up, and nothing is left of that.
        """
        for key in (b"a", b"b"):
            self.pool.session(key)
        closed = self.pool.close()
        closed.cancel()
        self.successResultOf(closed)
        self.assertEqual(self.pool._closing, set())
        for session in self.made:
            session.closing[0].callback(None)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_useAfterwards(self) -> None:
        """
        It can be used again.
        """
        self.pool.session(b"a")
        self.pool.close()
        self.assertIs(self.pool.session(b"a"), self.made[1])
