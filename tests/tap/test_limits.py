"""
Tests of L{socks6.tap.limits}.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from socks6.serving.factory import ServingFactory
from socks6.serving.limits import Limits
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse


class LimitTests(OptionsTestCase):
    """
    Limits on the command line.
    """

    def test_defaults(self) -> None:
        """
        By default, silent peers are found and tunnels may end; the rest is free.
        """
        self.assertEqual(parse().limits(), Limits(keepAlive=120, drainTimeout=30.0))

    def test_values(self) -> None:
        """
        All can be set.
        """
        options = parse(
            "--max-connections=1000",
            "--max-connections-per-client=20",
            "--max-handshakes=100",
            "--bandwidth=10M",
            "--bandwidth-per-client=500k",
            "--keepalive=60",
            "--drain-timeout=0",
        )
        self.assertEqual(options.limits(), Limits(1000, 20, 100, 10**7, 500_000, 60, 0.0))

    def test_rates(self) -> None:
        """
        Rates are octets per second, or thousands, millions or milliards of them.
        """
        for text, rate in (("1024", 1024), ("2k", 2000), ("3M", 3 * 10**6), ("1G", 10**9)):
            self.assertEqual(parse(f"--bandwidth={text}").limits().bandwidth, rate)

    def test_memory(self) -> None:
        """
        Memory is told in octets, or thousands, millions or milliards of them; each of several
        processes has its share.
        """
        self.assertIs(parse()["max-memory"], None)
        for text, size in (("100M", 10**8), ("2G", 2 * 10**9), ("123456789", 123456789)):
            self.assertEqual(parse(f"--max-memory={text}")["max-memory"], size)
        options = parse("--workers=4", "--sessions=sqlite:sessions", "--max-memory=1G")
        service = options.memoryService(Clock(), ServingFactory(Clock(), 1.0, None))
        service.startService()
        self.addCleanup(service.stopService)
        bounds = {bound.name: bound.most for bound in service.bounds}
        self.assertEqual(bounds["--max-memory"], 250_000_000)
        for text in "", "0", "99M", "1.5G", "2g", "much":
            self.assertEqual(
                self.complaint(f"--max-memory={text}"),
                f"--max-memory {text!r} is not a number of octets from 100M on, like 2G",
            )

    def test_shares(self) -> None:
        """
        Each of several processes has its share of what is for all, and no less than
        that.
        """
        options = parse(
            "--workers=3",
            "--sessions=sqlite:sessions",
            "--max-connections=10",
            "--max-connections-per-client=10",
            "--max-handshakes=3",
            "--bandwidth=9k",
            "--bandwidth-per-client=9k",
        )
        limits = options.limits()
        self.assertEqual((limits.connections, limits.perClient, limits.handshakes), (4, 10, 1))
        self.assertEqual((limits.bandwidth, limits.bandwidthPerClient), (3000, 9000))

    def test_mistakes(self) -> None:
        """
        What is no such number is a mistake.
        """
        for option in "max-connections", "max-connections-per-client", "max-handshakes":
            for text in "0", "-1", "many", "2147483648":
                self.assertEqual(
                    self.complaint(f"--{option}={text}"),
                    f"--{option} '{text}' is not a number from 1 to 2147483647",
                )
        self.assertEqual(
            self.complaint("--keepalive=32768"),
            "--keepalive '32768' is not a number from 1 to 32767",
        )
        for option in "bandwidth", "bandwidth-per-client":
            for text in "0", "1023", "1.5M", "5 M", "5m", "fast", "", "9999999999999999":
                self.assertEqual(
                    self.complaint(f"--{option}={text}"),
                    f"--{option} '{text}' is not a number of octets per second from 1024 on,"
                    " like 500k or 10M",
                )
        for text in "-1", "inf", "nan", "soon":
            self.assertEqual(
                self.complaint(f"--drain-timeout={text}"),
                f"--drain-timeout '{text}' is not a number of seconds from 0 on",
            )


class ServiceTests(ServiceTestCase):
    """
    What comes of it.
    """

    def test_inForce(self) -> None:
        """
        The proxy has the limits.
        """
        proxy = self.start("--port=1080", "--max-connections=7", "--drain-timeout=4")
        self.assertEqual(proxy.factory.limits.connections, 7)
        self.assertEqual(proxy.factory.limits.drainTimeout, 4)
