"""
Tests of L{socks6.wire.draft06.framing}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.options import UsernamePassword
from socks6.wire import draft06
from socks6.wire.errors import (
    MalformedMessage,
    NotSOCKS6,
    PeerError,
    UnknownAddressType,
    VersionMismatch,
)
from tests.raising import errorOf
from tests.strategies import damaged, pieces
from tests.wire.draft06.golden import GOLDENS, HEADS, REQUEST, USERNAME_PASSWORD
from tests.wire.spelling import CountedOctets, Golden, Rule, Spelling, received
from tests.wire.suite import LengthSuite, RulesSuite

#: How requests and Operation Replies begin, up to the address type.
REQUEST_START = "0600 01 01bb "
REPLY_START = "00 9c40 "

RULES: Sequence[Rule] = (
    ("request of SOCKS 5", draft06.requestLength, "05", VersionMismatch),
    ("request of SOCKS 6.1", draft06.requestLength, "06 01", VersionMismatch),
    *(
        (f"{what} with {problem}", length, start + rest, error)
        for what, length, start in (
            ("request", draft06.requestLength, REQUEST_START),
            ("Operation Reply", draft06.operationReplyLength, REPLY_START),
        )
        for problem, rest, error in (
            ("address type 0", "00", UnknownAddressType),
            ("address type 2", "02", UnknownAddressType),
            ("address type 5", "05", UnknownAddressType),
            ("address type 255", "ff", UnknownAddressType),
            ("an empty name", "03 00", MalformedMessage),
            ("options too long behind IPv4", "01 7f000001 4001", MalformedMessage),
            ("options too long behind a name", "03 01 78 4001", MalformedMessage),
            ("options too long behind IPv6", "04" + "00" * 16 + "ffff", MalformedMessage),
        )
    ),
    ("reply of SOCKS 4", draft06.authenticationReplyLength, "00", NotSOCKS6),
    ("reply of SOCKS 5", draft06.authenticationReplyLength, "05", NotSOCKS6),
    ("reply of SOCKS 6.1", draft06.authenticationReplyLength, "06 01", VersionMismatch),
    ("reply of type 2", draft06.authenticationReplyLength, "0600 02", MalformedMessage),
    ("reply of type 255", draft06.authenticationReplyLength, "0600 ff", MalformedMessage),
    (
        "Authentication Reply with options too long",
        draft06.authenticationReplyLength,
        "0600 00 00 4001",
        MalformedMessage,
    ),
    ("user name, version 0", draft06.usernamePasswordLength, "00", MalformedMessage),
    ("user name, version 5", draft06.usernamePasswordLength, "05", MalformedMessage),
    ("empty user name", draft06.usernamePasswordLength, "01 00", MalformedMessage),
    ("empty password", draft06.usernamePasswordLength, "01 01 75 00", MalformedMessage),
    ("answer, version 0", draft06.usernamePasswordReplyLength, "00", MalformedMessage),
    ("answer, version 5", draft06.usernamePasswordReplyLength, "05", MalformedMessage),
    ("confirmation 1", draft06.associationConfirmationLength, "01", MalformedMessage),
)

#: Octets that are, or almost are, or are not at all, a message of some kind.
ANY_OCTETS = st.sampled_from(GOLDENS).flatmap(
    lambda golden: st.tuples(
        st.just(golden.spelling), st.one_of(damaged(st.just(golden.octets)), st.binary())
    )
)


class LengthTests(LengthSuite, SynchronousTestCase):
    """
    Each length function finds the end of its message, however it arrives.
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

    def test_limits(self) -> None:
        """
        Messages as long as they may be are accepted.
        """
        options = 2 + 16384
        for what, length, start, expected in (
            ("request", draft06.requestLength, "0600 01 01bb 03 ff", 7 + 255 + options),
            ("Operation Reply", draft06.operationReplyLength, "00 9c40 03 ff", 5 + 255 + options),
        ):
            octets = bytes.fromhex(start) + b"x" * 255 + bytes.fromhex("4000")
            self.assertEqual(length(octets), expected, what)
        for spelling, head in HEADS.items():
            octets = head + bytes.fromhex("4000")
            self.assertEqual(spelling.length(octets), len(head) + options, spelling.name)
        octets = b"\1\xff" + b"u" * 255 + b"\xff"
        self.assertEqual(draft06.usernamePasswordLength(octets), 513)

    def test_associationConfirmation(self) -> None:
        """
        An Association Confirmation is one octet, zero.
        """
        for octets in (b"", b"\0", b"\0\xff"):
            self.assertEqual(draft06.associationConfirmationLength(octets), 1, f"{octets!r}")

    def test_constantTime(self) -> None:
        """
        However much of a message is there, and whatever follows, a length
        function looks at a few octets.
        """
        large = [(spelling, head + b"\x40\0" + bytes(16384)) for spelling, head in HEADS.items()]
        large.append((REQUEST, bytes.fromhex("0600010000 03ff") + b"x" * 255 + b"\0\0"))
        credentials = UsernamePassword(b"u" * 255, b"p" * 255)
        large.append((USERNAME_PASSWORD, draft06.encodeUsernamePassword(credentials)))
        large.extend((golden.spelling, golden.octets + bytes(10000)) for golden in GOLDENS)
        for spelling, octets in large:
            for size in {*range(600), *range(600, len(octets), 97), len(octets)}:
                counted = CountedOctets(octets[:size])
                spelling.length(cast(bytes, counted))
                self.assertLessEqual(counted.seen, 8, f"{spelling.name}, {size} octets")


class RulesTests(RulesSuite, SynchronousTestCase):
    """
    What is wrong is found as soon as it is there.
    """

    RULES = RULES

    def test_unknownAddressType(self) -> None:
        """
        An unknown address type is told from what else is malformed, by those
        who care.
        """
        octets = bytes.fromhex(REQUEST_START + "02")
        self.assertIsNotNone(errorOf(MalformedMessage, draft06.requestLength, octets))

    @settings(max_examples=500)
    @given(ANY_OCTETS, st.integers(0, 30))
    def test_anyOctets(self, case: tuple[Spelling, bytes], cut: int) -> None:
        """
        Any octets have a length or raise a L{PeerError}; and what was said of
        their beginning still holds of the whole.
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


class VersionMismatchReplyTests(SynchronousTestCase):
    """
    Two octets and nothing more are a Version Mismatch Reply.
    """

    def test_reply(self) -> None:
        """
        C{06 00} is one, as C{bytes} or not.
        """
        for octets in (b"\6\0", bytearray(b"\6\0")):
            self.assertIs(draft06.isVersionMismatchReply(octets), True, f"{octets!r}")

    def test_others(self) -> None:
        """
        Less, more, and other octets are none.
        """
        for octets in (b"", b"\6", b"\6\1", b"\5\0", b"\6\0\0", bytearray(b"\6\0\1")):
            self.assertIs(draft06.isVersionMismatchReply(octets), False, f"{octets!r}")
