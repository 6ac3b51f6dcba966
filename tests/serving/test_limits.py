"""
Tests of L{socks6.serving.limits}.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from socks6.serving.limits import NO_LIMITS, Limits, peerNetwork


class LimitsTests(SynchronousTestCase):
    """
    L{Limits}.
    """

    def test_wrong(self) -> None:
        """
        A limit of nothing is none, and times are finite.
        """
        wrong: list[dict[str, Any]] = [
            {name: value}
            for name in (
                "connections",
                "perClient",
                "handshakes",
                "bandwidth",
                "bandwidthPerClient",
                "keepAlive",
            )
            for value in (0, -1)
        ]
        wrong += [{"drainTimeout": value} for value in (-0.5, math.inf, math.nan)]
        for arguments in wrong:
            self.assertRaises(ValueError, Limits, **arguments)

    def test_none(self) -> None:
        """
        By default nothing is limited, and nothing waited for.
        """
        self.assertEqual(NO_LIMITS, Limits(None, None, None, None, None, None, 0.0))


class NetworkTests(SynchronousTestCase):
    """
    L{peerNetwork}.
    """

    def test_IPv4(self) -> None:
        """
        Each address counts for itself, however it is written.
        """
        one = peerNetwork(("192.0.2.1", 4711))
        self.assertEqual(str(one), "192.0.2.1")
        for same in (
            ("192.0.2.1", 4712),
            ("::ffff:192.0.2.1", 4711, 0, 0),
            IPv4Address("TCP", "192.0.2.1", 99),
            IPv6Address("TCP", "::ffff:192.0.2.1", 99),
        ):
            self.assertEqual(peerNetwork(same), one)
        self.assertNotEqual(peerNetwork(("192.0.2.2", 4711)), one)

    def test_IPv6(self) -> None:
        """
        A network of 64 bits counts as one.
        """
        one = peerNetwork(("2001:db8:1:2:3:4:5:6", 4711, 0, 0))
        self.assertEqual(peerNetwork(("2001:db8:1:2::9", 4711, 0, 0)), one)
        self.assertNotEqual(peerNetwork(("2001:db8:1:3:3:4:5:6", 4711, 0, 0)), one)
        link = peerNetwork(("fe80::1%eth0", 4711, 0, 2))
        self.assertEqual(link, peerNetwork(IPv6Address("TCP", "fe80::2", 99)))

    def test_nobody(self) -> None:
        """
        Where there is no such address, nobody is counted.
        """
        for address in ("", b"", "/run/socks6", UNIXAddress("/run/socks6"), ("no address", 1)):
            self.assertIsNone(peerNetwork(address))
