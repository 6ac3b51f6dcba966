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
from socks6.quietsite import MAX_CONNECTIONS, TIMEOUT
from tests.doubles import CLIENT_ADDRESS
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
        endpoint = serverFromString(self.network, "tcp:9106:interface=127.0.0.1")
        service = readersService(self.network, endpoint, dict)
        service.startService()
        ((port, _, _, interface),) = self.network.tcpServers
        self.assertEqual((port, interface), (9106, "127.0.0.1"))
        self.successResultOf(service.stopService())


class ReaderTests(ProxyTestCase):
    """
    Those who read the page.
    """

    def listen(self, **options: Any) -> Any:
        """
        Begin to serve.

        @return: What makes protocols of connections.
        """
        factories = [self.makeFactory()]
        _, sample = measure(self.network, factories)
        endpoint = serverFromString(self.network, "tcp:9106:interface=127.0.0.1")
        service = readersService(self.network, endpoint, sample, **options)
        service.startService()
        self.addCleanup(service.stopService)
        return self.network.tcpServers[-1][1]

    def read(self, site: Any, *headers: bytes) -> bytes:
        """
        Ask for the page.

        @return: The first line of the answer.
        """
        reader = self.network.accept(site)
        reader.send(b"\r\n".join([b"GET /metrics HTTP/1.1", *headers, b"", b""]))
        self.network.spin()
        answer: bytes = reader.take()
        reader.end()
        self.network.spin()
        self.assertIs(b"socks6_build_info" in answer, b" 200 " in answer)
        return answer.partition(b"\r\n")[0]

    def test_names(self) -> None:
        """
        Here nobody may ask for them by a stranger's name, as a page in a browser would;
        where everybody may read them, it does not matter.
        """
        site, openSite = self.listen(), self.listen(isOpen=True)
        for host in (b"localhost:9106", b"127.0.0.1:9106", b"[::1]"):
            for each in (site, openSite):
                self.assertEqual(self.read(each, b"Host: " + host), b"HTTP/1.1 200 OK")
        stranger = b"Host: evil.example:9106"
        self.assertEqual(self.read(site, stranger), b"HTTP/1.1 403 Forbidden")
        self.assertEqual(self.read(openSite, stranger), b"HTTP/1.1 200 OK")

    def test_quiet(self) -> None:
        """
        Nothing is logged of those who read.
        """
        site = self.listen()
        self.events.clear()
        self.read(site, b"Host: localhost")
        self.assertEqual(self.events, [])

    def test_connections(self) -> None:
        """
        There are only so many at a time, and none for long that says nothing.
        """
        site = self.listen()
        readers = [self.network.accept(site) for _ in range(MAX_CONNECTIONS)]
        self.assertIsNone(site.buildProtocol(CLIENT_ADDRESS))
        self.network.elapse(2 * TIMEOUT)
        for reader in readers:
            self.assertTrue(reader.ended or reader.wasReset)
            reader.end()
        self.network.spin()
        self.assertEqual(self.read(site, b"Host: localhost"), b"HTTP/1.1 200 OK")
