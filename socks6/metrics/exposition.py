"""
Metrics as Prometheus reads them.

This module alone needs C{prometheus_client}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from twisted.web.resource import Resource
from twisted.web.server import Request

from socks6.measurements import Histogram
from socks6.metrics.families import FAMILIES, Family, Kind
from socks6.metrics.sample import Sample, Values


class ProxyCollector(Collector):
    """
    Looks at proxies when somebody asks for the metrics.
    """

    def __init__(self, sample: Callable[[], Sample]) -> None:
        """
        @param sample: Gives the metrics.
        """
        self._sample = sample

    def collect(self) -> Iterator[Metric]:
        """
        Give all metrics.
        """
        values = self._sample()
        for name, family in FAMILIES.items():
            value = values[name]
            if isinstance(value, Histogram):
                yield _histogram(name, family, value)
            else:
                yield _numbers(name, family, value)


def _histogram(name: str, family: Family, histogram: Histogram) -> Metric:
    """
    Write a histogram, each of whose classes contains those below it.
    """
    metric = HistogramMetricFamily(name, family.words)
    bounds = [*map(str, histogram.bounds), "+Inf"]
    counts = accumulate(histogram.counts)
    metric.add_metric([], list(zip(bounds, counts, strict=True)), histogram.total)
    return metric


def _numbers(name: str, family: Family, values: Values) -> Metric:
    """
    Write a counter or a gauge.
    """
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = kind(name, family.words, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def makeRegistry(sample: Callable[[], Sample]) -> CollectorRegistry:
    """
    Make a registry of the metrics of some proxies, and of the process.

    @param sample: Gives the former.
    """
    registry = CollectorRegistry()
    registry.register(ProxyCollector(sample))
    ProcessCollector(registry=registry)
    return registry


class MetricsResource(Resource):
    """
    The page that Prometheus reads.  It is made in the reactor's own thread, where nothing
    changes meanwhile.
    """

    isLeaf = True

    def __init__(self, registry: CollectorRegistry) -> None:
        """
        @param registry: Has the metrics.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._registry = registry

    def render_GET(self, request: Request) -> bytes:
        """
        Write the page in the form that the reader likes.
        """
        encode, contentType = choose_encoder(request.getHeader("accept") or "")
        request.setHeader("content-type", contentType)
        return encode(self._registry)
