"""
Tests of L{socks6.wire.socks5}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv6Address
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import AuthenticationMethod, Command
from socks6.wire import socks5
from socks6.wire.errors import (
    AnotherProtocol,
    MalformedMessage,
    PeerError,
    UnknownAddressType,
)
from socks6.wire.replycodes import SOCKS5ReplyCode
from socks6.wire.socks5 import SOCKS5DatagramHeader, SOCKS5Reply, SOCKS5Request
from tests.raising import errorOf
from tests.strategies import (
    METHOD_OFFERS,
    METHODS,
    SOCKS5_DATAGRAM_HEADERS,
    SOCKS5_REPLIES,
    SOCKS5_REQUESTS,
    damaged,
    pieces,
)
from tests.wire.spelling import CountedOctets, Golden, Rule, Spelling, golden, received
from tests.wire.suite import GoldenSuite, LengthSuite, RulesSuite

METHOD_OFFER = Spelling(
    "method offer", socks5.methodOfferLength, socks5.decodeMethodOffer, socks5.encodeMethodOffer
)
METHOD_CHOICE = Spelling(
    "method choice",
    socks5.methodChoiceLength,
    socks5.decodeMethodChoice,
    socks5.encodeMethodChoice,
)
REQUEST = Spelling("request", socks5.requestLength, socks5.decodeRequest, socks5.encodeRequest)
REPLY = Spelling("reply", socks5.replyLength, socks5.decodeReply, socks5.encodeReply)

EXAMPLE = DomainName(b"example.com")

GOLDENS = (
    golden(
        "no authentication",
        METHOD_OFFER,
        "05 01 00",
        [2, 3],
        (AuthenticationMethod.NONE_REQUIRED,),
    ),
    golden(
        "three methods, one that nobody knows",
        METHOD_OFFER,
        "05 03 02 80 00",
        [2, 5],
        (AuthenticationMethod.USERNAME_PASSWORD, 0x80, AuthenticationMethod.NONE_REQUIRED),
    ),
    golden(
        "all that fits",
        METHOD_OFFER,
        "05 ff" + "01" * 255,
        [2, 257],
        (AuthenticationMethod.GSSAPI,) * 255,
    ),
    golden(
        "username and password", METHOD_CHOICE, "05 02", [2], AuthenticationMethod.USERNAME_PASSWORD
    ),
    golden("none", METHOD_CHOICE, "05 ff", [2], AuthenticationMethod.NONE_ACCEPTABLE),
    golden(
        "CONNECT to an IPv4 address",
        REQUEST,
        "05 01 00 01 c0000201 01bb",
        [4, 10],
        SOCKS5Request(Command.CONNECT, Address(IPv4Address("192.0.2.1"), 443)),
    ),
    golden(
        "CONNECT to a name",
        REQUEST,
        "05 01 00 03 0b 6578616d706c652e636f6d 0050",
        # With the name's length at the latest, so with as much as the shortest has.
        [4, 7, 18],
        SOCKS5Request(Command.CONNECT, Address(EXAMPLE, 80)),
    ),
    golden(
        "BIND for an IPv6 address",
        REQUEST,
        "05 02 00 04 20010db8000000000000000000000001 0000",
        [4, 22],
        SOCKS5Request(Command.BIND, Address(IPv6Address("2001:db8::1"), 0)),
    ),
    golden(
        "UDP ASSOCIATE from anywhere",
        REQUEST,
        "05 03 00 01 00000000 0000",
        [4, 10],
        SOCKS5Request(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4),
    ),
    golden(
        "success at an IPv4 address",
        REPLY,
        "05 00 00 01 cb007105 9c40",
        [4, 10],
        SOCKS5Reply(SOCKS5ReplyCode.SUCCESS, Address(IPv4Address("203.0.113.5"), 40000)),
    ),
    golden(
        "failure at an IPv6 address",
        REPLY,
        "05 05 00 04 00000000000000000000000000000000 0000",
        [4, 22],
        SOCKS5Reply(SOCKS5ReplyCode.CONNECTION_REFUSED, Address(IPv6Address(0), 0)),
    ),
    golden(
        "Tor's failure at a name",
        REPLY,
        "05 f0 00 03 01 78 ffff",
        [4, 7, 8],
        SOCKS5Reply(SOCKS5ReplyCode.ONION_SERVICE_NOT_FOUND, Address(DomainName(b"x"), 65535)),
    ),
)

RULES: Sequence[Rule] = (
    ("offer of SOCKS 4", socks5.methodOfferLength, "04", AnotherProtocol),
    ("offer of SOCKS 6", socks5.methodOfferLength, "06", AnotherProtocol),
    ("offer of HTTP", socks5.methodOfferLength, "47", AnotherProtocol),
    ("no methods", socks5.methodOfferLength, "05 00", MalformedMessage),
    ("choice of SOCKS 4", socks5.methodChoiceLength, "00", AnotherProtocol),
    ("choice of HTTP", socks5.methodChoiceLength, "48", AnotherProtocol),
    *(
        (f"{what} with {problem}", length, digits, error)
        for what, length in (("request", socks5.requestLength), ("reply", socks5.replyLength))
        for problem, digits, error in (
            ("version 0", "00", MalformedMessage),
            ("version 1", "01", MalformedMessage),
            ("version 6", "06", MalformedMessage),
            ("address type 0", "05 00 00 00", UnknownAddressType),
            ("address type 2", "05 00 00 02", UnknownAddressType),
            ("address type 255", "05 00 00 ff", UnknownAddressType),
            ("an empty name", "05 00 00 03 00", MalformedMessage),
        )
    ),
)

#: Any message, with what spells it.
MESSAGES = st.one_of(
    [
        st.tuples(st.just(METHOD_OFFER), METHOD_OFFERS),
        st.tuples(st.just(METHOD_CHOICE), METHODS),
        st.tuples(st.just(REQUEST), SOCKS5_REQUESTS),
        st.tuples(st.just(REPLY), SOCKS5_REPLIES),
    ]
)

#: Octets that are, or almost are, or are not at all, a message of some kind.
ANY_OCTETS = MESSAGES.flatmap(
    lambda message: st.tuples(
        st.just(message[0]),
        st.one_of(damaged(st.just(message[0].encode(message[1]))), st.binary()),
    )
)


class LengthTests(LengthSuite, SynchronousTestCase):
    """
    The ends of messages are found.
    """

    GOLDENS = GOLDENS

    @given(st.data(), st.sampled_from(GOLDENS))
    def test_anyPieces(self, data: st.DataObject, golden: Golden) -> None:
        """
        Messages cut anywhere are received, and what is left is left.
        """
        parts = data.draw(pieces(golden.octets * 2 + golden.octets[:-1]))
        self.assertEqual(
            received(golden.spelling, parts), [golden.value, golden.value, golden.octets[:-1]]
        )

    def test_longest(self) -> None:
        """
        Requests and replies may have names of 255 octets.
        """
        address = Address(DomainName(b"x" * 255), 80)
        for octets, length in (
            (socks5.encodeRequest(SOCKS5Request(1, address)), socks5.requestLength),
            (socks5.encodeReply(SOCKS5Reply(1, address)), socks5.replyLength),
        ):
            self.assertEqual(len(octets), 262)
            self.assertEqual(length(octets), 262)

    def test_constantTime(self) -> None:
        """
        However much of a message is there, and whatever follows, a length function
        looks at a few octets.
        """
        longName = bytes.fromhex("05 01 00 03 ff") + b"x" * 255
        large = [(METHOD_OFFER, b"\5\xff" + bytes(255)), (REQUEST, longName), (REPLY, longName)]
        large.extend((golden.spelling, golden.octets + bytes(10000)) for golden in GOLDENS)
        for spelling, octets in large:
            for size in {*range(600), *range(600, len(octets), 97), len(octets)}:
                counted = CountedOctets(octets[:size])
                spelling.length(cast(bytes, counted))
                self.assertLessEqual(counted.seen, 8, f"{spelling.name}, {size} octets")


class GoldenTests(GoldenSuite, SynchronousTestCase):
    """
    Messages are spelled as RFC 1928 says.
    """

    GOLDENS = GOLDENS

    def test_reserved(self) -> None:
        """
        Whatever stands in the reserved field means nothing; we write 0.
        """
        for case in GOLDENS:
            if case.spelling in (REQUEST, REPLY):
                for reserved in (b"\1", b"\xff"):
                    octets = case.octets[:2] + reserved + case.octets[3:]
                    self.assertEqual(case.spelling.length(octets), len(octets), case.name)
                    self.assertEqual(case.spelling.decode(octets), case.value, case.name)

    def test_offers(self) -> None:
        """
        No methods, more than 255, and what is no octet cannot be offered.
        """
        for methods in ((), (0,) * 256, (256,), (-1,)):
            error = errorOf(ValueError, socks5.encodeMethodOffer, methods)
            self.assertIsNotNone(error, f"{methods}")
        for method in (-1, 256):
            self.assertIsNotNone(errorOf(ValueError, socks5.encodeMethodChoice, method))


class NumbersTests(SynchronousTestCase):
    """
    Numbers that we know have a name when they come out; others are as they were.
    """

    def test_methods(self) -> None:
        """
        Methods, offered and chosen.
        """
        for number in range(256):
            known = number in (0, 1, 2, 255)
            for method in (
                *socks5.decodeMethodOffer(bytes([5, 1, number])),
                socks5.decodeMethodChoice(bytes([5, number])),
            ):
                self.assertEqual(method, number)
                self.assertEqual(isinstance(method, AuthenticationMethod), known, f"{number}")

    def test_commands(self) -> None:
        """
        A request's command; 0 is none of SOCKS 5.
        """
        for number in range(256):
            octets = bytes([5, number]) + bytes.fromhex("00 01 00000000 0000")
            request = socks5.decodeRequest(octets)
            self.assertEqual(request, SOCKS5Request(number, UNSPECIFIED_IPV4))
            self.assertEqual(isinstance(request.command, Command), 1 <= number <= 3, f"{number}")
            self.assertEqual(socks5.encodeRequest(request), octets)

    def test_replyCodes(self) -> None:
        """
        A reply's code.
        """
        for number in range(256):
            octets = bytes([5, number]) + bytes.fromhex("00 01 00000000 0000")
            reply = socks5.decodeReply(octets)
            self.assertEqual(reply, SOCKS5Reply(number, UNSPECIFIED_IPV4))
            known = number <= 8 or 0xF0 <= number <= 0xF7
            self.assertEqual(isinstance(reply.code, SOCKS5ReplyCode), known, f"{number}")
            self.assertEqual(socks5.encodeReply(reply), octets)

    def test_octets(self) -> None:
        """
        A value that exists can be written: its numbers are octets.
        """
        for build in (SOCKS5Request, SOCKS5Reply, SOCKS5DatagramHeader):
            for number in (-1, 256):
                error = errorOf(ValueError, build, number, UNSPECIFIED_IPV4)
                self.assertIsNotNone(error, f"{build.__name__}, {number}")
            for number in (0, 255):
                self.assertIsNone(errorOf(ValueError, build, number, UNSPECIFIED_IPV4))

    def test_frozen(self) -> None:
        """
        A value cannot be changed.
        """
        for build in (SOCKS5Request, SOCKS5Reply, SOCKS5DatagramHeader):
            value = build(1, UNSPECIFIED_IPV4)
            error = errorOf(FrozenInstanceError, setattr, value, "address", None)
            self.assertIsNotNone(error, build.__name__)


class RulesTests(RulesSuite, SynchronousTestCase):
    """
    What is wrong is found as soon as it is there.
    """

    RULES = RULES

    def test_decoders(self) -> None:
        """
        Decoders find it themselves; and the NUL in a name, which the length
        functions do not look for.
        """
        for what, spelling, digits, expected in (
            ("SOCKS 4", METHOD_OFFER, "04 01 00", AnotherProtocol),
            ("no methods", METHOD_OFFER, "05 00", MalformedMessage),
            ("SOCKS 4", METHOD_CHOICE, "00 5a", AnotherProtocol),
            ("version 4", REQUEST, "04 01 00 01 7f000001 0050", MalformedMessage),
            ("address type 2", REQUEST, "05 01 00 02 7f000001 0050", UnknownAddressType),
            ("empty name", REQUEST, "05 01 00 03 00 0050", MalformedMessage),
            ("NUL", REQUEST, "05 01 00 03 01 00 0050", MalformedMessage),
            ("NUL behind", REQUEST, "05 01 00 03 03 787900 0050", MalformedMessage),
            ("version 0", REPLY, "00 00 00 01 7f000001 0050", MalformedMessage),
            ("address type 0", REPLY, "05 00 00 00 7f000001 0050", UnknownAddressType),
            ("NUL between", REPLY, "05 00 00 03 03 780079 0050", MalformedMessage),
        ):
            error = errorOf(PeerError, spelling.decode, bytes.fromhex(digits))
            self.assertIs(type(error), expected, f"{spelling.name}: {what}")

    def test_nothingIsQuoted(self) -> None:
        """
        What is wrong is told without the octets that came.
        """
        octets = b"\5\1\0\3\7s3cret\0\0\x50"
        for wrong in (octets, octets + b"s3cret", octets[:-3]):
            error = errorOf(PeerError, socks5.decodeRequest, wrong)
            self.assertIsNotNone(error)
            self.assertNotIn("s3cret", f"{error!r} {error and error.__context__!r}")


class AnyMessageTests(SynchronousTestCase):
    """
    What holds for messages and octets that nobody thought of.
    """

    @settings(max_examples=200)
    @given(MESSAGES)
    def test_roundTrip(self, case: tuple[Spelling, object]) -> None:
        """
        Any message that is written, and has its end found, reads back.
        """
        spelling, message = case
        octets = spelling.encode(message)
        self.assertEqual(spelling.length(octets), len(octets))
        self.assertEqual(spelling.decode(octets), message)

    @settings(max_examples=200)
    @given(ANY_OCTETS)
    def test_anyOctets(self, case: tuple[Spelling, bytes]) -> None:
        """
        Any octets raise a L{PeerError} or are a message: one that is written with
        the same octets, but for what is reserved.
        """
        spelling, octets = case
        if errorOf(PeerError, spelling.decode, octets) is None:
            written = bytearray(spelling.encode(spelling.decode(octets)))
            if spelling in (REQUEST, REPLY):
                written[2] = octets[2]
            self.assertEqual(written, octets)

    @settings(max_examples=200)
    @given(ANY_OCTETS, st.integers(0, 30))
    def test_anyStart(self, case: tuple[Spelling, bytes], cut: int) -> None:
        """
        What is said of the beginning of any octets still holds of the whole.
        """
        spelling, octets = case
        error = errorOf(PeerError, spelling.length, octets)
        start = octets[:cut]
        startError = errorOf(PeerError, spelling.length, start)
        if startError is not None:
            self.assertIs(type(error), type(startError))
        elif spelling.length(start) <= len(start):
            self.assertEqual(spelling.length(octets), spelling.length(start))
        elif error is None:
            self.assertGreaterEqual(spelling.length(octets), spelling.length(start))


#: reserved, fragment, address
DATAGRAMS: Mapping[str, SOCKS5DatagramHeader] = {
    "0000 00 01 c0000201 0035": SOCKS5DatagramHeader(0, Address(IPv4Address("192.0.2.1"), 53)),
    "0000 81 03 0b 6578616d706c652e636f6d 0050": SOCKS5DatagramHeader(0x81, Address(EXAMPLE, 80)),
    "0000 ff 04 20010db8000000000000000000000001 ffff": SOCKS5DatagramHeader(
        255, Address(IPv6Address("2001:db8::1"), 65535)
    ),
    "0000 00 03 ff" + "78" * 255 + "0000": SOCKS5DatagramHeader(
        0, Address(DomainName(b"x" * 255), 0)
    ),
}

#: Octets that begin no datagram, and why.
BROKEN_DATAGRAMS: Mapping[str, tuple[type[PeerError], str]] = {
    "0000 00 00 c0000201 0035": (UnknownAddressType, "address type 0"),
    "0000 00 ff": (UnknownAddressType, "address type 255, cut"),
    "0000 00 03 00 0035": (MalformedMessage, "empty name"),
    "0000 00 03 01 00 0035": (MalformedMessage, "NUL as a name"),
    "0000 00 03 03 780079 0035": (MalformedMessage, "NUL in a name"),
}


class DatagramTests(SynchronousTestCase):
    """
    Datagrams begin with a header, and the payload follows.
    """

    def test_encode(self) -> None:
        """
        Each header becomes its octets.
        """
        for digits, header in DATAGRAMS.items():
            self.assertEqual(
                socks5.encodeDatagramHeader(header), bytes.fromhex(digits), f"{header}"
            )

    def test_decode(self) -> None:
        """
        The octets become the header, and its end is told, whatever the payload is,
        and whatever stands in the reserved field.
        """
        for digits, header in DATAGRAMS.items():
            octets = bytes.fromhex(digits)
            for start in (octets, b"\xff\xff" + octets[2:]):
                for payload in (b"", b"\0", b"\5\0", bytes(65000)):
                    self.assertEqual(
                        socks5.decodeDatagramHeader(start + payload), (header, len(octets)), digits
                    )
                    self.assertEqual(
                        socks5.datagramHeaderLength(start + payload), len(octets), digits
                    )

    def test_everyTruncation(self) -> None:
        """
        A datagram that ends within its header is malformed.
        """
        for digits in DATAGRAMS:
            octets = bytes.fromhex(digits)
            for cut in range(len(octets)):
                for read in (socks5.decodeDatagramHeader, socks5.datagramHeaderLength):
                    error = errorOf(PeerError, read, octets[:cut])
                    self.assertIs(type(error), MalformedMessage, f"{digits}, cut at {cut}")

    def test_broken(self) -> None:
        """
        An address that cannot be read is refused, with a payload or without.
        """
        for digits, (expected, what) in BROKEN_DATAGRAMS.items():
            for payload in (b"", bytes(300)):
                octets = bytes.fromhex(digits) + payload
                error = errorOf(PeerError, socks5.decodeDatagramHeader, octets)
                self.assertIs(type(error), expected, f"{what}, {len(payload)} octets behind")

    @given(SOCKS5_DATAGRAM_HEADERS, st.binary())
    def test_roundTrip(self, header: SOCKS5DatagramHeader, payload: bytes) -> None:
        """
        Any header that is written reads back, and its payload is found.
        """
        datagram = socks5.encodeDatagramHeader(header) + payload
        found, end = socks5.decodeDatagramHeader(datagram)
        self.assertEqual((found, datagram[end:]), (header, payload))

    @given(
        st.one_of(damaged(SOCKS5_DATAGRAM_HEADERS.map(socks5.encodeDatagramHeader)), st.binary())
    )
    def test_anyOctets(self, datagram: bytes) -> None:
        """
        Any octets raise a L{PeerError} or begin with a header: one that is written
        with the same octets, but for what is reserved.
        """
        if errorOf(PeerError, socks5.decodeDatagramHeader, datagram) is None:
            header, end = socks5.decodeDatagramHeader(datagram)
            self.assertEqual(socks5.encodeDatagramHeader(header)[2:], datagram[2:end])
