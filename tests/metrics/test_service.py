"""
Tests of L{socks6.metrics.service} and L{socks6.metrics.exposition}.
"""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from socks6.measurements import Histogram, Measurements
from socks6.metrics.exposition import MetricsResource, makeRegistry
from socks6.metrics.families import FAMILIES
from socks6.metrics.sample import sample
from socks6.metrics.service import LAG_INTERVAL, LagService, measure, readersService
from tests.server.harness import NOOP, ProxyTestCase


class LagTests(SynchronousTestCase):
    """
    How much too late the reactor is.
    """

    def test_late(self) -> None:
        """
        It is measured again and again, until the service stops.
        """
        clock, lags = Clock(), Histogram()
        service = LagService(clock, lags)
        service.startService()
        clock.advance(LAG_INTERVAL)
        self.assertEqual((sum(lags.counts), lags.total), (1, 0.0))
        clock.advance(LAG_INTERVAL + 2)
        self.assertEqual((sum(lags.counts), lags.total), (2, 2.0))
        service.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])
        service.stopService()


class ExpositionTests(ProxyTestCase):
    """
    The page.
    """

    def page(self, accept: bytes = b"") -> tuple[str, bytes]:
        """
        Read the page of a proxy that did something.

        @return: Its type and text.
        """
        factory, measurements = self.makeFactory(), Measurements()
        factory.measurements = measurements
        self.network.accept(factory).send(NOOP)
        measurements.lags.observe(0.003)
        resource = MetricsResource(makeRegistry(lambda: sample([factory], measurements)))
        request: Any = DummyRequest([b"metrics"])
        request.requestHeaders.setRawHeaders(b"accept", [accept])
        text = resource.render_GET(request)
        return request.responseHeaders.getRawHeaders("content-type")[0], text

    def test_text(self) -> None:
        """
        It has all metrics, and those of the process, as Prometheus reads them.
        """
        kind, text = self.page()
        self.assertTrue(kind.startswith("text/plain"), kind)
        found = {each.name: each for each in text_string_to_metric_families(text.decode("utf-8"))}
        self.assertEqual(
            {name for name in found if not name.startswith("process_")},
            {name.removesuffix("_total") for name in FAMILIES},
        )
        self.assertIn("process_open_fds", found)
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for metric in found.values()
            for sample in metric.samples
        }
        self.assertEqual(values["socks6_requests_total", "noop", "success"], 1)
        self.assertEqual(values["socks6_loop_lag_seconds_bucket", "0.0025"], 0)
        self.assertEqual(values["socks6_loop_lag_seconds_bucket", "0.005"], 1)
        self.assertEqual(values["socks6_loop_lag_seconds_bucket", "+Inf"], 1)
        self.assertEqual(values["socks6_loop_lag_seconds_count",], 1)
        self.assertEqual(values["socks6_loop_lag_seconds_sum",], 0.003)

    def test_openMetrics(self) -> None:
        """
        Who wants OpenMetrics gets it.
        """
        kind, text = self.page(b"application/openmetrics-text; version=1.0.0")
        self.assertTrue(kind.startswith("application/openmetrics-text"), kind)
        self.assertTrue(text.endswith(b"# EOF\n"))


class ServiceTests(ProxyTestCase):
    """
    The service.
    """

    def test_measures(self) -> None:
        """
        Several proxies are measured by one, and so is the reactor while the service runs.
        """
        factories = [self.makeFactory(), self.makeFactory()]
        service, sample = measure(self.network, factories)
        self.assertIsNotNone(factories[0].measurements)
        self.assertIs(factories[0].measurements, factories[1].measurements)
        service.startService()
        self.network.advance(LAG_INTERVAL)
        service.stopService()
        for factory in factories:
            self.network.accept(factory)
        values: dict[str, Any] = sample()
        self.assertEqual(sum(values["socks6_loop_lag_seconds"].counts), 1)
        self.assertEqual(values["socks6_connections_open"], {(): 2})

    def test_listens(self) -> None:
        """
        It listens where it should.
        """
        service = readersService(
            serverFromString(self.network, "tcp:9106:interface=127.0.0.1"), dict
        )
        service.startService()
        ((port, _, _, interface),) = self.network.tcpServers
        self.assertEqual((port, interface), (9106, "127.0.0.1"))
        self.successResultOf(service.stopService())
