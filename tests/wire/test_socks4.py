"""
Tests of L{socks6.wire.socks4}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import Address, DomainName, Host
from socks6.values.codes import Command
from socks6.wire import socks4
from socks6.wire.errors import AnotherProtocol, MalformedMessage, PeerError
from socks6.wire.replycodes import SOCKS4ReplyCode
from socks6.wire.socks4 import SOCKS4Reply, SOCKS4Request
from tests.raising import errorOf
from tests.strategies import SOCKS4_REPLIES, SOCKS4_REQUESTS, damaged
from tests.wire.spelling import Rule, Spelling, golden
from tests.wire.suite import GoldenSuite, LengthSuite, RulesSuite

REQUEST = Spelling("request", socks4.requestLength, socks4.decodeRequest, socks4.encodeRequest)
REPLY = Spelling("reply", socks4.replyLength, socks4.decodeReply, socks4.encodeReply)

HOST = IPv4Address("192.0.2.1")
NAME = DomainName(b"example.com")

# Two fields tell no length: where one should end, one octet more is asked for.
GOLDENS = (
    golden(
        "CONNECT",
        REQUEST,
        "04 01 0050 c0000201 616461 00",
        [9, 10, 11, 12],
        SOCKS4Request(Command.CONNECT, Address(HOST, 80), b"ada"),
    ),
    golden(
        "BIND of nobody",
        REQUEST,
        "04 02 ffff c0000201 00",
        [9],
        SOCKS4Request(Command.BIND, Address(HOST, 65535)),
    ),
    golden(
        "the unspecified address is no name",
        REQUEST,
        "04 01 0000 00000000 00",
        [9],
        SOCKS4Request(Command.CONNECT, Address(IPv4Address(0), 0)),
    ),
    golden(
        "0.0.1.1 is no name",
        REQUEST,
        "04 01 0050 00000101 00",
        [9],
        SOCKS4Request(Command.CONNECT, Address(IPv4Address("0.0.1.1"), 80)),
    ),
    golden(
        "CONNECT to a name",
        REQUEST,
        "04 01 01bb 00000001 616461 00 6578616d706c652e636f6d 00",
        list(range(9, 25)),
        SOCKS4Request(Command.CONNECT, Address(NAME, 443), b"ada"),
    ),
    golden(
        "unknown command, to a name",
        REQUEST,
        "04 09 01bb 00000001 00 78 00",
        [9, 10, 11],
        SOCKS4Request(9, Address(DomainName(b"x"), 443)),
    ),
    golden("granted", REPLY, "00 5a 0000 00000000", [8], SOCKS4Reply(SOCKS4ReplyCode.GRANTED)),
    golden(
        "granted, with an address",
        REPLY,
        "00 5a 9c40 c0000201",
        [8],
        SOCKS4Reply(SOCKS4ReplyCode.GRANTED, HOST, 40000),
    ),
    golden("rejected", REPLY, "00 5b 0000 00000000", [8], SOCKS4Reply(SOCKS4ReplyCode.REJECTED)),
    golden("unknown code", REPLY, "00 ff 0000 00000000", [8], SOCKS4Reply(255)),
)

#: A request up to its user ID, to an address and to a name.
TO_ADDRESS = "04 01 0050 c0000201"
TO_NAME = "04 01 0050 00000001"

RULES: Sequence[Rule] = (
    ("request of SOCKS 5", socks4.requestLength, "05", AnotherProtocol),
    ("request of HTTP", socks4.requestLength, "47", AnotherProtocol),
    ("user ID too long", socks4.requestLength, TO_ADDRESS + "61" * 256, MalformedMessage),
    ("user ID too long, to a name", socks4.requestLength, TO_NAME + "61" * 256, MalformedMessage),
    ("name too long", socks4.requestLength, TO_NAME + "00" + "61" * 256, MalformedMessage),
    ("empty name", socks4.requestLength, TO_NAME + "00 00", MalformedMessage),
    ("empty name of a user", socks4.requestLength, TO_NAME + "61 00 00", MalformedMessage),
    ("reply of SOCKS 5", socks4.replyLength, "05", AnotherProtocol),
    ("reply with the version of requests", socks4.replyLength, "04", AnotherProtocol),
)

#: Octets that are, or almost are, or are not at all, a message of some kind.
MESSAGES = st.one_of(
    st.tuples(st.just(REQUEST), SOCKS4_REQUESTS), st.tuples(st.just(REPLY), SOCKS4_REPLIES)
)
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

    def test_longest(self) -> None:
        """
        A user ID and a name may have 255 octets each.
        """
        octets = bytes.fromhex(TO_NAME + "61" * 255 + "00" + "62" * 255 + "00")
        self.assertEqual(len(octets), 520)
        for cut in range(len(octets)):
            self.assertTrue(cut < socks4.requestLength(octets[:cut]) <= 520, f"cut at {cut}")
        self.assertEqual(socks4.requestLength(octets + b"\4"), 520)
        request = socks4.decodeRequest(octets)
        self.assertEqual(request.userID, b"a" * 255)
        self.assertEqual(request.address, Address(DomainName(b"b" * 255), 80))
        self.assertEqual(socks4.encodeRequest(request), octets)

    def test_limits(self) -> None:
        """
        However much is there, no more is asked for than the longest request has.
        """
        for start in (TO_ADDRESS, TO_NAME, TO_NAME + "00", TO_NAME + "61 00"):
            for size in range(600):
                octets = bytes.fromhex(start) + b"a" * size
                if errorOf(MalformedMessage, socks4.requestLength, octets) is None:
                    self.assertLessEqual(socks4.requestLength(octets), 520, f"{start}, {size}")


class GoldenTests(GoldenSuite, SynchronousTestCase):
    """
    Messages are spelled as the memos say.
    """

    GOLDENS = GOLDENS

    def test_names(self) -> None:
        """
        Any address 0.0.0.x says that a name follows, but for 0.0.0.0.
        """
        for last in range(1, 256):
            octets = b"\4\1\0\x50\0\0\0%c\0x\0" % last
            request = socks4.decodeRequest(octets)
            self.assertEqual(request.address, Address(DomainName(b"x"), 80), f"{last}")

    def test_numbers(self) -> None:
        """
        Commands and codes that we know have a name when they come out.
        """
        for number in range(256):
            request = socks4.decodeRequest(b"\4%c\0\0\x7f\0\0\1\0" % number)
            self.assertEqual(request.command, number)
            self.assertEqual(isinstance(request.command, Command), number in (1, 2), f"{number}")
            reply = socks4.decodeReply(b"\0%c\0\0\0\0\0\0" % number)
            self.assertEqual(reply.code, number)
            self.assertEqual(
                isinstance(reply.code, SOCKS4ReplyCode), 90 <= number <= 93, f"{number}"
            )


class RulesTests(RulesSuite, SynchronousTestCase):
    """
    What is wrong is found as soon as it is there.
    """

    RULES = RULES

    def test_decoders(self) -> None:
        """
        Decoders find it themselves.
        """
        for what, spelling, digits, expected in (
            ("request of SOCKS 5", REQUEST, "05 01 0050 c0000201 00", AnotherProtocol),
            ("empty name", REQUEST, TO_NAME + "00 00", MalformedMessage),
            ("long name", REQUEST, TO_NAME + "00" + "61" * 256 + "00", MalformedMessage),
            ("reply of SOCKS 5", REPLY, "05 5a 0000 00000000", AnotherProtocol),
        ):
            error = errorOf(PeerError, spelling.decode, bytes.fromhex(digits))
            self.assertIs(type(error), expected, what)

    def test_nothingIsQuoted(self) -> None:
        """
        What is wrong is told without the octets that came.
        """
        for octets in (
            bytes.fromhex(TO_ADDRESS) + b"s3cret" * 50,
            bytes.fromhex(TO_ADDRESS) + b"s3cret\0s3cret",
        ):
            error = errorOf(PeerError, socks4.decodeRequest, octets)
            self.assertIsNotNone(error)
            self.assertNotIn("s3cret", f"{error!r}")


class ValueTests(SynchronousTestCase):
    """
    Values that exist can be written.
    """

    def test_requests(self) -> None:
        """
        What a request cannot carry is refused when it is built.
        """
        cases: Sequence[tuple[str, int, Host, bytes]] = (
            ("command below", -1, HOST, b""),
            ("command above", 256, HOST, b""),
            ("IPv6", 1, IPv6Address("::1"), b""),
            ("0.0.0.1", 1, IPv4Address("0.0.0.1"), b""),
            ("0.0.0.255", 1, IPv4Address("0.0.0.255"), b""),
            ("user ID too long", 1, HOST, b"x" * 256),
            ("NUL in the user ID", 1, HOST, b"a\0b"),
        )
        for what, command, host, userID in cases:
            build = (SOCKS4Request, command, Address(host, 80), userID)
            self.assertIsNotNone(errorOf(ValueError, *build), what)
        for command in (0, 255):
            self.assertEqual(SOCKS4Request(command, Address(HOST, 80)).command, command)

    def test_replies(self) -> None:
        """
        So is what a reply cannot carry.
        """
        for code, port in ((-1, 0), (256, 0), (90, -1), (90, 65536)):
            self.assertIsNotNone(errorOf(ValueError, SOCKS4Reply, code, HOST, port), f"{code}")
        for code, port in ((0, 0), (255, 65535)):
            self.assertEqual(SOCKS4Reply(code, HOST, port).port, port)

    def test_frozen(self) -> None:
        """
        Values cannot be changed.
        """
        for value, name in (
            (SOCKS4Request(1, Address(HOST, 80)), "command"),
            (SOCKS4Reply(90), "code"),
        ):
            self.assertIsNotNone(errorOf(FrozenInstanceError, setattr, value, name, 0), name)


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
        the same octets, but for the number that says that a name follows.
        """
        spelling, octets = case
        if errorOf(PeerError, spelling.decode, octets) is None:
            value = spelling.decode(octets)
            self.assertEqual(spelling.decode(spelling.encode(value)), value)
            self.assertEqual(spelling.encode(value)[:7], octets[:7])
            self.assertEqual(spelling.encode(value)[8:], octets[8:])

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
