"""
Tests of L{socks6.quota}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.quota import LineQuota

LINES, PERIOD = 3, 60.0


class LineQuotaTests(SynchronousTestCase):
    """
    How many lines there may be.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.reports: list[int] = []
        self.quota = LineQuota(self.clock, LINES, PERIOD, self.reports.append)

    def take(self, times: int) -> list[bool]:
        """
        Ask for lines.
        """
        return [self.quota.take() for _ in range(times)]

    def test_few(self) -> None:
        """
        As many lines as there may be in each period are written, and nothing is
        reported.
        """
        for _ in range(3):
            self.assertEqual(self.take(LINES), [True] * LINES)
            self.clock.advance(PERIOD)
        self.assertEqual(self.reports, [])

    def test_many(self) -> None:
        """
        Those beyond that are not written; the first one of the next period is, and
        how many were not is told before.
        """
        self.assertEqual(self.take(LINES + 2), [True] * LINES + [False] * 2)
        self.clock.advance(PERIOD - 0.5)
        self.assertEqual(self.take(1), [False])
        self.assertEqual(self.reports, [])
        self.clock.advance(0.5)
        self.assertEqual(self.take(LINES + 1), [True] * LINES + [False])
        self.assertEqual(self.reports, [3])
        self.clock.advance(PERIOD)
        self.assertEqual(self.take(1), [True])
        self.assertEqual(self.reports, [3, 1])

    def test_period(self) -> None:
        """
        A period begins with the first question after the end of the one before, and
        not earlier.
        """
        self.clock.advance(PERIOD * 10 - 1)
        self.assertEqual(self.take(LINES + 1), [True] * LINES + [False])
        self.clock.advance(PERIOD - 1)
        self.assertEqual(self.take(1), [False])
        self.clock.advance(1)
        self.assertEqual(self.take(1), [True])
        self.assertEqual(self.reports, [2])

    def test_none(self) -> None:
        """
        There may be none at all.
        """
        quota = LineQuota(self.clock, 0, PERIOD, self.reports.append)
        self.assertEqual([quota.take(), quota.take()], [False, False])
        quota.renew()
        self.assertEqual(self.reports, [2])

    def test_renewIfDue(self) -> None:
        """
        What was not written can be told without a new line, but not before the
        period is over.
        """
        self.take(LINES + 2)
        self.quota.renewIfDue()
        self.assertEqual(self.reports, [])
        self.assertEqual(self.take(1), [False])
        self.clock.advance(PERIOD)
        self.quota.renewIfDue()
        self.quota.renewIfDue()
        self.assertEqual(self.reports, [3])
        self.assertEqual(self.take(LINES + 1), [True] * LINES + [False])

    def test_renew(self) -> None:
        """
        A period can be ended at any time; what was not written in it is told once.
        """
        self.take(LINES + 1)
        self.clock.advance(PERIOD / 2)
        self.quota.renew()
        self.quota.renew()
        self.assertEqual(self.reports, [1])
        self.clock.advance(PERIOD - 1)
        self.assertEqual(self.take(LINES + 1), [True] * LINES + [False])
        self.clock.advance(1)
        self.assertEqual(self.take(1), [True])
        self.assertEqual(self.reports, [1, 1])
