"""
Tests of L{socks6.measurements}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.measurements import BOUNDS, Histogram, Measurements


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


class MeasurementsTests(SynchronousTestCase):
    """
    Requests.
    """

    def test_requests(self) -> None:
        """
        Requests are counted by what they want and get, and their octets are added.
        """
        measurements = Measurements()
        measurements.requestFinished(1, 0, 3, 40)
        measurements.requestFinished(1, 0, 2, 10)
        measurements.requestFinished(0, None, 0, 0)
        self.assertEqual(measurements.requests, {(1, 0): 2, (0, None): 1})
        self.assertEqual((measurements.toRemote, measurements.toClient), (5, 50))
