"""
Tests of L{socks6.measurements}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.measurements import BOUNDS, Histogram


class HistogramTests(SynchronousTestCase):
    """
    Times in classes.
    """

    def test_classes(self) -> None:
        """
        A time belongs into the first class that it is not above; there is one above all
        bounds.
        """
        histogram = Histogram((1.0, 2.0))
        for seconds in (0.0, 1.0, 1.5, 2.0, 2.5, 99.0):
            histogram.observe(seconds)
        self.assertEqual(histogram.counts, [2, 2, 2])
        self.assertEqual(histogram.total, 106.0)

    def test_default(self) -> None:
        """
        The usual classes rise.
        """
        self.assertEqual(sorted(set(BOUNDS)), list(BOUNDS))
        self.assertEqual(len(Histogram().counts), len(BOUNDS) + 1)
