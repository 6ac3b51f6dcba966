"""
Tests for how long to wait after a failure.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.backoff import MAX_DELAY, MIN_DELAY, BackOff


class BackOffTests(SynchronousTestCase):
    """
    L{BackOff}.
    """

    def setUp(self) -> None:
        """
        Have one.
        """
        self.clock = Clock()
        self.tries: list[float] = []
        self.backOff = BackOff(self.clock, lambda: self.tries.append(self.clock.seconds()))

    def test_once(self) -> None:
        """
        After a failure it waits, and tries again once.
        """
        self.assertFalse(self.backOff.isWaiting)
        self.assertEqual(self.backOff.failed(), MIN_DELAY)
        self.assertTrue(self.backOff.isWaiting)
        self.clock.advance(MIN_DELAY - 0.01)
        self.assertEqual(self.tries, [])
        self.clock.advance(0.01)
        self.assertEqual(self.tries, [MIN_DELAY])
        self.assertFalse(self.backOff.isWaiting)
        self.clock.advance(10 * MAX_DELAY)
        self.assertEqual(len(self.tries), 1)

    def test_growing(self) -> None:
        """
        Each failure in a row doubles the time, up to a limit.
        """
        delays = []
        for _ in range(9):
            delays.append(self.backOff.failed())
            self.clock.advance(delays[-1])
        self.assertEqual(delays, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
        self.assertEqual(len(self.tries), 9)

    def test_reset(self) -> None:
        """
        A success ends the wait, without a try, and the next one begins with little.
        """
        self.backOff.reset()
        self.backOff.failed()
        self.clock.advance(MIN_DELAY)
        self.backOff.failed()
        self.backOff.reset()
        self.assertFalse(self.backOff.isWaiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.backOff.failed(), MIN_DELAY)
        self.assertEqual(len(self.tries), 1)
