"""
Tests of L{socks6.wire.draft06.datagram}.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import Address, DomainName
from socks6.values.messages import DatagramHeader
from socks6.wire.draft06.datagram import (
    datagramHeaderLength,
    decodeDatagramHeader,
    encodeDatagramHeader,
)
from socks6.wire.errors import MalformedMessage, PeerError, UnknownAddressType, VersionMismatch
from tests.raising import errorOf
from tests.strategies import DATAGRAM_HEADERS, damaged

#: version, association ID, port, address
GOLDENS: Mapping[str, DatagramHeader] = {
    "0600 01020304 0035 01 c0000201": DatagramHeader(
        0x01020304, Address(IPv4Address("192.0.2.1"), 53)
    ),
    "0600 00000000 0000 01 00000000": DatagramHeader(0, Address(IPv4Address("0.0.0.0"), 0)),
    "0600 ffffffff ffff 04 20010db8000000000000000000000001": DatagramHeader(
        2**32 - 1, Address(IPv6Address("2001:db8::1"), 65535)
    ),
    "0600 deadbeef 0050 03 0b 6578616d706c652e636f6d": DatagramHeader(
        0xDEADBEEF, Address(DomainName(b"example.com"), 80)
    ),
    "0600 deadbeef 0050 03 01 78": DatagramHeader(0xDEADBEEF, Address(DomainName(b"x"), 80)),
    "0600 deadbeef 0050 03 ff" + "78" * 255: DatagramHeader(
        0xDEADBEEF, Address(DomainName(b"x" * 255), 80)
    ),
}

#: Octets that begin no datagram, and why.
BROKEN: Mapping[str, tuple[type[PeerError], str]] = {
    "05": (VersionMismatch, "SOCKS 5"),
    "0000 01020304": (VersionMismatch, "SOCKS 5's own UDP header"),
    "0601": (VersionMismatch, "SOCKS 6.1"),
    "0601 01020304 0035 01 c0000201": (VersionMismatch, "SOCKS 6.1, whole"),
    "0600 01020304 0035 00 c0000201": (UnknownAddressType, "address type 0"),
    "0600 01020304 0035 02 c0000201": (UnknownAddressType, "address type 2"),
    "0600 01020304 0035 ff": (UnknownAddressType, "address type 255, cut"),
    "0600 01020304 0035 03 00": (MalformedMessage, "empty name"),
    "0600 01020304 0035 03 01 00": (MalformedMessage, "NUL as a name"),
    "0600 01020304 0035 03 03 780079": (MalformedMessage, "NUL in a name"),
}


class DatagramTests(SynchronousTestCase):
    """
    Datagrams begin with a header, and the payload follows.
    """

    def test_encode(self) -> None:
        """
        Each header becomes its octets.
        """
        for digits, header in GOLDENS.items():
            self.assertEqual(encodeDatagramHeader(header), bytes.fromhex(digits), f"{header}")

    def test_decode(self) -> None:
        """
        The octets become the header, and its end is told, whatever the payload
        is.
        """
        for digits, header in GOLDENS.items():
            octets = bytes.fromhex(digits)
            for payload in (b"", b"\0", b"\6\0", bytes(65000)):
                self.assertEqual(
                    decodeDatagramHeader(octets + payload), (header, len(octets)), digits
                )

    def test_everyTruncation(self) -> None:
        """
        A datagram that ends within its header is malformed.
        """
        for digits in GOLDENS:
            octets = bytes.fromhex(digits)
            for cut in range(len(octets)):
                error = errorOf(PeerError, decodeDatagramHeader, octets[:cut])
                self.assertIs(type(error), MalformedMessage, f"{digits}, cut at {cut}")

    def test_broken(self) -> None:
        """
        Another version, and an address that cannot be read, are refused, with
        a payload or without.
        """
        for digits, (expected, what) in BROKEN.items():
            for payload in (b"", bytes(300)):
                error = errorOf(PeerError, decodeDatagramHeader, bytes.fromhex(digits) + payload)
                self.assertIs(type(error), expected, f"{what}, {len(payload)} octets behind")

    def test_length(self) -> None:
        """
        The end of a header can be told without reading it, whatever the payload is; what
        is in a name does not matter then.
        """
        for digits in (*GOLDENS, "0600 01020304 0035 03 03 780079"):
            octets = bytes.fromhex(digits)
            for payload in (b"", b"\0", b"\6\0", bytes(65000)):
                self.assertEqual(datagramHeaderLength(octets + payload), len(octets), digits)

    @given(st.one_of(damaged(DATAGRAM_HEADERS.map(encodeDatagramHeader)), st.binary()))
    def test_lengthOfAnyOctets(self, datagram: bytes) -> None:
        """
        Where a header can be read, its end is the same; where none can be told, it cannot
        be read either, for the same reason.
        """
        error = errorOf(PeerError, datagramHeaderLength, datagram)
        if error is not None:
            other = errorOf(PeerError, decodeDatagramHeader, datagram)
            self.assertEqual((type(other), str(other)), (type(error), str(error)))
        elif errorOf(PeerError, decodeDatagramHeader, datagram) is None:
            self.assertEqual(datagramHeaderLength(datagram), decodeDatagramHeader(datagram)[1])

    @given(DATAGRAM_HEADERS, st.binary())
    def test_roundTrip(self, header: DatagramHeader, payload: bytes) -> None:
        """
        Any header that is written reads back, and its payload is found.
        """
        datagram = encodeDatagramHeader(header) + payload
        found, end = decodeDatagramHeader(datagram)
        self.assertEqual((found, datagram[end:]), (header, payload))

    @given(st.one_of(damaged(DATAGRAM_HEADERS.map(encodeDatagramHeader)), st.binary()))
    def test_anyOctets(self, datagram: bytes) -> None:
        """
        Any octets raise a L{PeerError} or begin with a header: one that is
        written with the same octets.
        """
        if errorOf(PeerError, decodeDatagramHeader, datagram) is None:
            header, end = decodeDatagramHeader(datagram)
            self.assertEqual(encodeDatagramHeader(header), datagram[:end])
