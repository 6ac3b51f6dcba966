"""
Tests of L{socks6.tap.stack}.
"""

from __future__ import annotations

from pathlib import Path

from socks6 import fastopen
from socks6.multipath import MultipathReactor
from socks6.tap import stack
from tests.tap.harness import OptionsTestCase, parse


class StackTests(OptionsTestCase):
    """
    Fast Open and Multipath TCP on the command line.
    """

    def kernel(self, setting: str) -> None:
        """
        Let the kernel be set up in a way.
        """
        path = Path(self.mktemp())
        path.write_text(setting, "ascii")
        self.patch(fastopen, "_SETTING", path)

    def test_fastOpen(self) -> None:
        """
        It is on, unless it is turned off; who insists hears if the kernel does not allow
        it.
        """
        self.kernel("1\n")
        self.assertFalse(parse()["no-fast-open"])
        self.assertTrue(parse("--no-fast-open")["no-fast-open"])
        self.assertEqual(
            self.complaint("--fast-open"),
            "--fast-open: the kernel does not allow it; sysctl -w net.ipv4.tcp_fastopen=3"
            " changes that",
        )
        self.kernel("3\n")
        self.assertTrue(parse("--fast-open")["fast-open"])

    def test_contradiction(self) -> None:
        """
        It cannot be both.
        """
        self.assertEqual(
            self.complaint("--fast-open", "--no-fast-open"),
            "--fast-open and --no-fast-open contradict each other",
        )

    def test_multipath(self) -> None:
        """
        With Multipath TCP, another reactor opens the ports, and clients may bind ports
        that speak it.
        """
        self.patch(stack, "whyNoMultipath", lambda: None)
        reactor = object()
        self.assertIs(parse().listener(reactor), reactor)
        self.assertFalse(parse().binder(reactor).policy.multipath)
        options = parse("--mptcp")
        self.assertIsInstance(options.listener(reactor), MultipathReactor)
        self.assertTrue(options.binder(reactor).policy.multipath)

    def test_noMultipath(self) -> None:
        """
        Where the kernel has none, one line says so; who does not want it does not care.
        """
        self.patch(stack, "whyNoMultipath", lambda: "Protocol not available")
        self.assertEqual(
            self.complaint("--mptcp"),
            "--mptcp: the kernel has no Multipath TCP: Protocol not available",
        )
        parse()
