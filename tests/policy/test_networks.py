"""
Tests of L{socks6.policy.networks}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.networks import networkOf


class NetworkTests(SynchronousTestCase):
    """
    What counts as one client.
    """

    def test_ipv4(self) -> None:
        """
        An IPv4 address, also where it is written as an IPv6 address.
        """
        expected = IPv4Address("192.0.2.1")
        self.assertEqual(networkOf(expected), expected)
        self.assertEqual(networkOf(ip_address("::ffff:192.0.2.1")), expected)

    def test_ipv6(self) -> None:
        """
        Of IPv6, 64 bits.
        """
        for text, network in (
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ):
            self.assertEqual(str(networkOf(ip_address(text))), network)

    def test_none(self) -> None:
        """
        Who has no address has no network.
        """
        self.assertIsNone(networkOf(None))
