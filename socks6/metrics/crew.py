"""
The metrics of several processes as those of one proxy.

Each process reports its own now and then, as JSON::

    {"socks6_tunnels_open": [[[], 3]], "socks6_requests_total": [[["connect", "success"], 7]],
     "socks6_connect_seconds": {"counts": [0, 1], "total": 0.5}}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from socks6.measurements import Histogram
from socks6.metrics.families import FAMILIES, Kind
from socks6.metrics.sample import Sample

#: Seconds between two reports of a process.
REPORT_INTERVAL = 1.0

#: What is the same in all processes.
_SHARED = "socks6_build_info"


def written(sample: Sample) -> str:
    """
    Write a sample as JSON.
    """
    return json.dumps(
        {
            name: (
                {"counts": value.counts, "total": value.total}
                if isinstance(value, Histogram)
                else list(value.items())
            )
            for name, value in sample.items()
        }
    )


def read(text: str) -> Sample:
    """
    Read what L{written} has written.
    """
    sample: Sample = {}
    for name, value in json.loads(text).items():
        if isinstance(value, dict):
            histogram = Histogram()
            histogram.counts, histogram.total = value["counts"], value["total"]
            sample[name] = histogram
        else:
            sample[name] = {tuple(labels): number for labels, number in value}
    return sample


def added(samples: Iterable[Sample]) -> Sample:
    """
    Add samples.
    """
    total: Sample = {}
    for name, family in FAMILIES.items():
        if family.kind is Kind.HISTOGRAM:
            total[name] = Histogram()
        elif not family.labels:
            total[name] = {(): 0}
        else:
            total[name] = {}
    for sample in samples:
        for name, value in sample.items():
            before = total[name]
            if isinstance(value, Histogram):
                assert isinstance(before, Histogram)
                total[name] = _addedHistograms(before, value)
            elif name == _SHARED:
                total[name] = value
            else:
                assert not isinstance(before, Histogram)
                total[name] = {
                    labels: before.get(labels, 0) + value.get(labels, 0)
                    for labels in {**before, **value}
                }
    return total


def _addedHistograms(one: Histogram, other: Histogram) -> Histogram:
    """
    Add histograms.
    """
    total = Histogram()
    total.counts = [left + right for left, right in zip(one.counts, other.counts, strict=True)]
    total.total = one.total + other.total
    return total


class CrewMetrics:
    """
    What the processes have reported.
    """

    def __init__(self) -> None:
        """
        Begin with nothing.
        """
        self._last: dict[int, Sample] = {}
        #: What those had counted that have ended.
        self._ended: Sample = {}

    def reported(self, number: int, text: str | None) -> None:
        """
        Take a report.

        @param number: Whose.
        @param text: What it says; L{None}: the process has ended, and another one that
            takes its number counts from nothing.
        """
        if text is not None:
            self._last[number] = read(text)
            return
        counted: Sample = {
            name: value
            for name, value in self._last.pop(number, {}).items()
            if FAMILIES[name].kind is not Kind.GAUGE
        }
        self._ended = added([self._ended, counted])

    def sample(self) -> Sample:
        """
        Give the metrics of all.
        """
        return added([self._ended, *self._last.values()])


class ReportService(Service):
    """
    Reports the metrics of this process, as long as it runs.
    """

    def __init__(
        self, clock: IReactorTime, sample: Callable[[], Sample], report: Callable[[str], None]
    ) -> None:
        """
        @param sample: Gives the metrics.
        @param report: Is called with what L{CrewMetrics} reads.
        """
        self._clock = clock
        self._sample = sample
        self._report = report
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """
        Begin to report.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._next()

    def stopService(self) -> None:
        """
        Report once more, and then no more.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._report(written(self._sample()))

    def _next(self) -> None:
        """
        Report, and again in a while.
        """
        self._report(written(self._sample()))
        self._timer = self._clock.callLater(REPORT_INTERVAL, self._next)
