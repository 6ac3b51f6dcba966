"""
Tests of L{socks6.tap.metrics}.
"""

from __future__ import annotations

from typing import Any

from socks6.metrics.crew import REPORT_INTERVAL, read
from socks6.tap import local, metrics
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse


class OptionsTests(OptionsTestCase):
    """
    Metrics on the command line.
    """

    def test_port(self) -> None:
        """
        A number is a port of this machine only.
        """
        self.assertIsNone(parse()["metrics"])
        self.assertTrue(parse("--metrics=9106")["metrics"].startswith("tcp:9106:interface=127."))

    def test_openness(self) -> None:
        """
        Other machines may read the metrics only if that is wished.
        """
        complaint = self.complaint("--metrics=tcp:9106")
        self.assertIn("add --open-metrics", complaint)
        self.assertEqual(parse("--metrics=tcp:9106", "--open-metrics")["metrics"], "tcp:9106")
        self.assertEqual(self.complaint("--open-metrics"), "--open-metrics needs --metrics")

    def test_mistakes(self) -> None:
        """
        What is no port is a mistake.
        """
        self.assertIn("no port has the number", self.complaint("--metrics=65536"))
        self.assertIn("is no port", self.complaint("--metrics=nonsense:1"))

    def test_missing(self) -> None:
        """
        Where C{prometheus_client} is missing, one line says so.
        """
        self.patch(metrics, "find_spec", lambda name: None)
        self.assertEqual(
            self.complaint("--metrics=9106"),
            "--metrics needs prometheus_client: pip install 'socks6[metrics]'",
        )
        parse()

    def test_local(self) -> None:
        """
        The local proxifier has the same options.
        """
        options = local.Options()
        options.parseOptions(["--proxy=socks6://localhost", "--metrics=9106"])
        self.assertTrue(options["metrics"].startswith("tcp:9106:"))


class ServingTests(ServiceTestCase):
    """
    A proxy with metrics.
    """

    def test_listens(self) -> None:
        """
        It listens for readers, too, and measures.
        """
        proxy = self.start("--port=1080", "--metrics=9106")
        self.assertEqual({port for port, *_ in self.network.tcpServers}, {1080, 9106})
        self.assertIsNotNone(proxy.factory.measurements)

    def test_names(self) -> None:
        """
        Whom it answers depends on whether everybody may read.
        """
        for port, options in ((9106, []), (9107, ["--open-metrics"])):
            self.start("--port=1080", f"--metrics={port}", *options)
            factories: dict[int, Any] = {at: each for at, each, *_ in self.network.tcpServers}
            site = factories[port].wrappedFactory
            self.assertEqual(site.names, None if options else ())

    def test_worker(self) -> None:
        """
        A process that another one looks after reports to that, and does not listen.
        """
        reports: list[str] = []
        options = parse("--port=1080", "--metrics=9106")
        options.report = reports.append
        proxy = self.startWith(options)
        self.assertEqual([port for port, *_ in self.network.tcpServers], [1080])
        self.assertIsNotNone(proxy.factory.measurements)
        self.network.accept(proxy.factory)
        self.network.advance(REPORT_INTERVAL)
        self.assertEqual(
            [read(each)["socks6_connections_open"] for each in reports], [{(): 0}, {(): 1}]
        )

    def test_off(self) -> None:
        """
        Otherwise it does neither.
        """
        proxy = self.start("--port=1080")
        self.assertEqual([port for port, *_ in self.network.tcpServers], [1080])
        self.assertIsNone(proxy.factory.measurements)
