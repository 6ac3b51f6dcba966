"""
Tests for destinations, as users write them and as transports show them.
"""

from ipaddress import IPv4Address, IPv6Address

from twisted.internet import address
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.destination import addressShown, destinationAddress, shownAddress
from socks6.values.address import Address, DomainName, Host


class DestinationAddressTests(SynchronousTestCase):
    """
    L{destinationAddress}.
    """

    def test_literals(self) -> None:
        """
        IP addresses are sent as such, in text or octets, with or without brackets.
        """
        cases: list[tuple[str | bytes, Host]] = [
            ("192.0.2.7", IPv4Address("192.0.2.7")),
            (b"192.0.2.7", IPv4Address("192.0.2.7")),
            ("2001:db8::7", IPv6Address("2001:db8::7")),
            (b"2001:db8::7", IPv6Address("2001:db8::7")),
            ("[2001:db8::7]", IPv6Address("2001:db8::7")),
            ("::ffff:192.0.2.7", IPv6Address("::ffff:192.0.2.7")),
        ]
        for host, ip in cases:
            self.assertEqual(destinationAddress(host, 80), Address(ip, 80))

    def test_names(self) -> None:
        """
        ASCII names are sent as they are, even those that IDNA frowns upon.
        """
        for host in ("example.org", "Example.ORG.", "my_service", "127.1", "a" * 255):
            expected = Address(DomainName(host.encode()), 80)
            self.assertEqual(destinationAddress(host, 80), expected)
            self.assertEqual(destinationAddress(host.encode(), 80), expected)

    def test_international(self) -> None:
        """
        Other names become A-labels, however their letters are composed.
        """
        expected = Address(DomainName(b"xn--bcher-kva.example"), 80)
        self.assertEqual(destinationAddress("b\u00fccher.example", 80), expected)
        self.assertEqual(destinationAddress("bu\u0308cher.example", 80), expected)

    def test_impossible(self) -> None:
        """
        What cannot be a host is an error at once.
        """
        for host in (
            "",
            b"",
            "a" * 256,
            "a\0b",
            "b\u00fc" + "c" * 70 + ".example",
            "\u2603\u2603 .example",
            b"b\xfccher.example",
            "[192.0.2.7]",
            "[example.org]",
            "[]",
            "fe80::1%eth0",
            "[fe80::1%eth0]",
        ):
            self.assertRaises(ValueError, destinationAddress, host, 80)

    def test_ports(self) -> None:
        """
        Ports are those that can be connected to.
        """
        for port in (1, 65535):
            self.assertEqual(destinationAddress("example.org", port).port, port)
        for port in (-1, 0, 65536):
            error = self.assertRaises(ValueError, destinationAddress, "example.org", port)
            self.assertIn("port", str(error))


class ShownAddressTests(SynchronousTestCase):
    """
    L{shownAddress}.
    """

    def test_kinds(self) -> None:
        """
        Each kind of host has Twisted's kind of address.
        """
        cases: list[tuple[Host, IAddress]] = [
            (IPv4Address("192.0.2.7"), address.IPv4Address("TCP", "192.0.2.7", 80)),
            (IPv6Address("2001:db8::7"), address.IPv6Address("TCP", "2001:db8::7", 80)),
            (DomainName(b"example.org"), address.HostnameAddress(b"example.org", 80)),
        ]
        for host, shown in cases:
            self.assertEqual(shownAddress(Address(host, 80)), shown)


class AddressShownTests(SynchronousTestCase):
    """
    L{addressShown}.
    """

    def test_thereAndBack(self) -> None:
        """
        What L{shownAddress} makes is read as the same.
        """
        for host in (
            IPv4Address("192.0.2.7"),
            IPv6Address("2001:db8::7"),
            DomainName(b"example.org"),
            DomainName(b"\xff\x01"),
        ):
            where = Address(host, 80)
            self.assertEqual(addressShown(shownAddress(where)), where)

    def test_zone(self) -> None:
        """
        The protocol has no place for the zone of an address.
        """
        shown = address.IPv6Address("TCP", "fe80::1%eth0", 80)
        self.assertEqual(addressShown(shown), Address(IPv6Address("fe80::1"), 80))

    def test_none(self) -> None:
        """
        Of some addresses it can say nothing.
        """
        for shown in (address.UNIXAddress("/run/proxy"), address._ProcessAddress()):
            self.assertIsNone(addressShown(shown))
