"""
Tests of L{socks6.values.address}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import (
    UNSPECIFIED_IPV4,
    UNSPECIFIED_IPV6,
    Address,
    DomainName,
    addressFromText,
    ipAddress,
    isUnspecified,
    networkOf,
    unmapped,
    unspecifiedLike,
)
from tests.raising import errorOf
from tests.strategies import DOMAIN_NAMES

IPV4 = IPv4Address("192.0.2.1")
IPV6 = IPv6Address("2001:db8::1")


class DomainNameTests(SynchronousTestCase):
    """
    A domain name is 1 to 255 octets without NUL.
    """

    def test_limits(self) -> None:
        """
        The shortest and the longest name can be made.
        """
        for name in (b"x", b"x" * 255):
            self.assertEqual(DomainName(name).octets, name)

    def test_impossible(self) -> None:
        """
        Empty and longer names, and names with a NUL, cannot.
        """
        for name in (b"", b"x" * 256, b"\0", b"www.exam\0ple", b"x\0"):
            self.assertIsNotNone(errorOf(ValueError, DomainName, name), f"{name!r}")

    def test_text(self) -> None:
        """
        Text for people holds printable ASCII only: all else, and the
        backslash, is escaped.
        """
        for octets, text in (
            (b"www.Example.com", "www.Example.com"),
            (b"!~", "!~"),
            (b"a b", "a\\x20b"),
            (b"a\r\nb", "a\\x0d\\x0ab"),
            (b"a\\x20b", "a\\x5cx20b"),
            (b"\x7f\x80\xff", "\\x7f\\x80\\xff"),
            ("bücher".encode(), "b\\xc3\\xbccher"),
        ):
            self.assertEqual(str(DomainName(octets)), text)

    @given(DOMAIN_NAMES)
    def test_textIsUnambiguous(self, name: DomainName) -> None:
        """
        Two names never look the same: a name's text gives its octets back.
        """
        text = str(name)
        self.assertTrue(text.isascii() and text.isprintable() and " " not in text, text)
        self.assertEqual(text.encode().decode("unicode_escape").encode("latin-1"), name.octets)


class AddressTests(SynchronousTestCase):
    """
    An address is a host and a port.
    """

    def test_ports(self) -> None:
        """
        A port has two octets.
        """
        for port in (0, 65535):
            self.assertEqual(Address(IPV4, port).port, port)
        for port in (-1, 65536):
            self.assertIsNotNone(errorOf(ValueError, Address, IPV4, port), f"{port}")

    def test_text(self) -> None:
        """
        The text is C{host:port}; an IPv6 address stands in brackets.
        """
        for address, text in (
            (Address(IPV4, 80), "192.0.2.1:80"),
            (Address(IPV6, 443), "[2001:db8::1]:443"),
            (Address(DomainName(b"example.com"), 0), "example.com:0"),
            (Address(DomainName(b"x\ny"), 65535), "x\\x0ay:65535"),
        ):
            self.assertEqual(str(address), text)

    def test_immutable(self) -> None:
        """
        Nothing of an address can be changed or added, so it can be a key.
        """
        name = DomainName(b"example.com")
        for value, field in ((name, "octets"), (Address(name, 80), "host")):
            error = errorOf(FrozenInstanceError, setattr, value, field, getattr(value, field))
            self.assertIsNotNone(error, f"{value}")
            self.assertFalse(hasattr(value, "__dict__"), value)
        self.assertEqual({Address(name, 80)}, {Address(DomainName(b"example.com"), 80)})

    def test_unspecified(self) -> None:
        """
        The unspecified addresses are all zeroes.
        """
        self.assertEqual(UNSPECIFIED_IPV4, Address(IPv4Address("0.0.0.0"), 0))
        self.assertEqual(UNSPECIFIED_IPV6, Address(IPv6Address("::"), 0))

    def test_unspecifiedLike(self) -> None:
        """
        The unspecified address of a host's kind is of that kind; a name has
        none, so it gets IPv4's.
        """
        for host, expected in (
            (IPV4, UNSPECIFIED_IPV4),
            (IPV6, UNSPECIFIED_IPV6),
            (DomainName(b"example.com"), UNSPECIFIED_IPV4),
        ):
            self.assertEqual(unspecifiedLike(host), expected, f"{host}")


class AddressFromTextTests(SynchronousTestCase):
    """
    L{addressFromText} understands what people and sockets write.
    """

    def test_hosts(self) -> None:
        """
        IP addresses become such, with no scope ID; what is none is a name.
        """
        for text, host in (
            ("192.0.2.1", IPV4),
            ("2001:db8::1", IPV6),
            ("2001:DB8:0::1", IPV6),
            ("fe80::1%eth0", IPv6Address("fe80::1")),
            ("fe80::1%2", IPv6Address("fe80::1")),
            ("example.com", DomainName(b"example.com")),
            ("192.0.2", DomainName(b"192.0.2")),
            ("a%b", DomainName(b"a%b")),
        ):
            self.assertEqual(addressFromText(text, 80), Address(host, 80), text)

    def test_impossible(self) -> None:
        """
        What is no name in ASCII of 1 to 255 characters, or no port, is
        refused.
        """
        for text, port in (
            ("", 80),
            ("x" * 256, 80),
            ("x\0y", 80),
            ("bücher.example", 80),
            ("example.com", 65536),
            ("192.0.2.1", -1),
        ):
            self.assertIsNotNone(errorOf(ValueError, addressFromText, text, port), f"{text} {port}")


class UnmappedTests(SynchronousTestCase):
    """
    IPv4 as sockets of IPv6 see it.
    """

    def test_unmapped(self) -> None:
        """
        It is taken out of such an address; all others stay as they are.
        """
        for text, host in (
            ("::ffff:192.0.2.1", IPV4),
            ("::ffff:0.0.0.0", IPv4Address(0)),
            ("192.0.2.1", IPV4),
            ("0.0.0.0", IPv4Address(0)),
            ("2001:db8::1", IPV6),
            ("::", IPv6Address(0)),
        ):
            self.assertEqual(unmapped(ipAddress(text)), host, text)


class IsUnspecifiedTests(SynchronousTestCase):
    """
    L{isUnspecified} knows what is no host.
    """

    def test_hosts(self) -> None:
        """
        Both zeroes are none, as is the one in the other; names may be anything.
        """
        for text, expected in (
            ("0.0.0.0", True),
            ("::", True),
            ("::ffff:0.0.0.0", True),
            ("192.0.2.1", False),
            ("2001:db8::1", False),
        ):
            self.assertIs(isUnspecified(ipAddress(text)), expected, text)
        self.assertFalse(isUnspecified(DomainName(b"0.0.0.0")))


class NetworkOfTests(SynchronousTestCase):
    """
    L{networkOf} tells what counts as one client.
    """

    def test_networks(self) -> None:
        """
        An IPv4 address, also where it is written as an IPv6 address; of IPv6, 64 bits.
        """
        for text, network in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ):
            self.assertEqual(str(networkOf(ipAddress(text))), network, text)
