"""
Tests of L{socks6.wire.address}.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import DomainName, Host
from socks6.wire.address import addressEnd, decodeHost, encodeHost
from socks6.wire.errors import MalformedMessage, PeerError, UnknownAddressType
from tests.raising import errorOf
from tests.strategies import HOSTS

#: type, address
GOLDENS: Mapping[str, Host] = {
    "01 c0000201": IPv4Address("192.0.2.1"),
    "01 00000000": IPv4Address("0.0.0.0"),
    "03 0b 6578616d706c652e636f6d": DomainName(b"example.com"),
    "03 01 ff": DomainName(b"\xff"),
    "03 ff" + "78" * 255: DomainName(b"x" * 255),
    "04 20010db8000000000000000000000001": IPv6Address("2001:db8::1"),
    "04 00000000000000000000000000000000": IPv6Address("::"),
}


class AddressTests(SynchronousTestCase):
    """
    Addresses are spelled as in RFC 1928, section 5.
    """

    def test_encode(self) -> None:
        """
        Each host becomes its octets.
        """
        for digits, host in GOLDENS.items():
            self.assertEqual(encodeHost(host), bytes.fromhex(digits), digits)

    def test_decode(self) -> None:
        """
        The octets become the host, wherever they stand.
        """
        for digits, host in GOLDENS.items():
            octets = bytes.fromhex(digits)
            for before, behind in ((b"", b""), (b"\3\1", b"\0"), (bytes(5), octets)):
                start = len(before)
                end = start + len(octets)
                self.assertEqual(decodeHost(before + octets + behind, start, end), host, digits)

    def test_end(self) -> None:
        """
        The end is found, whatever stands before and behind, as soon as the address
        tells it.
        """
        for digits in GOLDENS:
            octets = bytes.fromhex(digits)
            for before, behind in ((b"", b""), (b"\4" * 3, b"\0"), (bytes(5), bytes(300))):
                start = len(before)
                end = start + len(octets)
                whole = before + octets + behind
                self.assertEqual(addressEnd(whole, start), end, digits)
                for cut in range(start + 1, end):
                    named = octets[0] == 3 and cut == start + 1
                    expected = start + 2 if named else end
                    self.assertEqual(addressEnd(whole[:cut], start), expected, f"{digits}, {cut}")

    def test_unknownType(self) -> None:
        """
        A type that is none of the three is told from what else is malformed.
        """
        for addressType in set(range(256)) - {1, 3, 4}:
            octets = bytes([addressType])
            for more in (b"", bytes(300)):
                error = errorOf(PeerError, addressEnd, octets + more, 0)
                self.assertIs(type(error), UnknownAddressType, f"{addressType}")

    def test_emptyName(self) -> None:
        """
        A name has an octet at least.
        """
        error = errorOf(PeerError, addressEnd, b"\3\0", 0)
        self.assertIs(type(error), MalformedMessage)

    def test_nul(self) -> None:
        """
        A name has no NUL; the error quotes no octets.
        """
        for octets in (b"\3\1\0", b"\3\7s3cret\0", b"\3\7\0s3cret", b"\3\6s3\0ret"):
            error = errorOf(PeerError, decodeHost, octets, 0, len(octets))
            self.assertIs(type(error), MalformedMessage, f"{octets!r}")
            self.assertNotIn("ret", f"{error!r}")

    @given(HOSTS, st.binary(max_size=4), st.binary(max_size=4))
    def test_roundTrip(self, host: Host, before: bytes, behind: bytes) -> None:
        """
        Any host that is written has its end found, and reads back.
        """
        octets = before + encodeHost(host) + behind
        end = addressEnd(octets, len(before))
        self.assertEqual(end, len(octets) - len(behind))
        self.assertEqual(decodeHost(octets, len(before), end), host)
