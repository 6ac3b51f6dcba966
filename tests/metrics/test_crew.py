"""
Tests of L{socks6.metrics.crew}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.measurements import Histogram, Measurements
from socks6.metrics.crew import (
    REPORT_INTERVAL,
    CrewMetrics,
    ReportService,
    added,
    read,
    written,
)
from socks6.metrics.families import FAMILIES
from socks6.metrics.sample import Sample, sample
from socks6.workers.records import MAX_TEXT


def example(requests: int, tunnels: int, *lags: float) -> Sample:
    """
    Make the metrics of a process.
    """
    measurements = Measurements()
    for lag in lags:
        measurements.lags.observe(lag)
    return {
        **sample([], measurements),
        "socks6_requests_total": {("connect", "success"): requests},
        "socks6_tunnels_open": {(): tunnels},
    }


class AddingTests(SynchronousTestCase):
    """
    Metrics of several processes.
    """

    def assertCounted(self, total: Any, requests: int, tunnels: int, lags: int) -> None:
        """
        Check the metrics of L{example}.
        """
        self.assertEqual(total.keys(), FAMILIES.keys())
        counted = total["socks6_requests_total"].get(("connect", "success"), 0)
        histogram = total["socks6_loop_lag_seconds"]
        self.assertEqual(
            (counted, total["socks6_tunnels_open"][()], sum(histogram.counts)),
            (requests, tunnels, lags),
        )

    def test_written(self) -> None:
        """
        What is read is what was written, and fits where it is sent.
        """
        before: dict[str, Any] = example(3, 4, 0.1, 99.0)
        text = written(before)
        self.assertLess(len(text), MAX_TEXT / 4)
        after: dict[str, Any] = read(text)
        self.assertEqual(after.keys(), before.keys())
        for name, value in before.items():
            if isinstance(value, Histogram):
                self.assertEqual(after[name].counts, value.counts)
                self.assertEqual(after[name].total, value.total)
            else:
                self.assertEqual(after[name], value)

    def test_added(self) -> None:
        """
        Numbers are added, and what is the same everywhere is not.
        """
        total: dict[str, Any] = added([example(1, 2, 0.5), example(10, 20, 0.25, 7.0)])
        self.assertCounted(total, 11, 22, 3)
        self.assertEqual(total["socks6_loop_lag_seconds"].total, 7.75)
        self.assertEqual(list(total["socks6_build_info"].values()), [1])

    def test_nothing(self) -> None:
        """
        All metrics are there although nobody has reported.
        """
        self.assertCounted(CrewMetrics().sample(), 0, 0, 0)

    def test_reports(self) -> None:
        """
        The last report of each process counts.
        """
        crew = CrewMetrics()
        for number, requests in ((1, 1), (2, 10), (1, 2)):
            crew.reported(number, written(example(requests, requests, 0.5)))
        self.assertCounted(crew.sample(), 12, 12, 2)

    def test_ended(self) -> None:
        """
        What a process has counted stays when it ends, but it has no tunnels any more;
        another one that takes its number begins at nothing.
        """
        crew = CrewMetrics()
        crew.reported(1, written(example(5, 5, 0.5)))
        crew.reported(1, None)
        self.assertCounted(crew.sample(), 5, 0, 1)
        crew.reported(1, written(example(2, 1)))
        self.assertCounted(crew.sample(), 7, 1, 1)
        crew.reported(1, None)
        crew.reported(1, None)
        self.assertCounted(crew.sample(), 7, 0, 1)


class ReportTests(SynchronousTestCase):
    """
    What reports.
    """

    def test_reports(self) -> None:
        """
        It reports at once, again and again, and once more when it stops.
        """
        clock, reports = Clock(), list[str]()
        service = ReportService(clock, lambda: example(len(reports), 0), reports.append)
        service.startService()
        self.assertEqual(len(reports), 1)
        clock.advance(REPORT_INTERVAL)
        self.assertEqual(len(reports), 2)
        service.stopService()
        self.assertEqual(len(reports), 3)
        self.assertEqual(read(reports[-1])["socks6_requests_total"], {("connect", "success"): 2})
        self.assertEqual(clock.getDelayedCalls(), [])
        service.stopService()
        self.assertEqual(len(reports), 3)
