"""
Tests of L{socks6.wire.password}.

That those of SOCKS 6 arrive whole, and that nothing may lack or follow, is tested
with its other messages in L{tests.wire.draft06.test_framing} and
L{tests.wire.draft06.test_messages}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.messages import UsernamePasswordReply
from socks6.values.options import UsernamePassword
from socks6.wire.errors import MalformedMessage, PeerError
from socks6.wire.password import (
    ProgramCredentials,
    decodeProgramCredentials,
    decodeUsernamePassword,
    decodeUsernamePasswordReply,
    encodeUsernamePassword,
    encodeUsernamePasswordReply,
    programCredentialsLength,
    usernamePasswordLength,
)
from tests.raising import errorOf
from tests.strategies import PROGRAM_CREDENTIALS, damaged
from tests.wire.spelling import Spelling, golden
from tests.wire.suite import GoldenSuite, LengthSuite, RulesSuite


def encoded(credentials: ProgramCredentials) -> bytes:
    """
    Write a program's user name and password, as programs do.
    """
    return b"".join(
        b"%c%b" % (len(text), text) for text in (credentials.username, credentials.password)
    ).join((b"\1", b""))


PROGRAM_CREDENTIALS_SPELLING = Spelling(
    "program's credentials", programCredentialsLength, decodeProgramCredentials, encoded
)


class UsernamePasswordTests(SynchronousTestCase):
    """
    A user name and password, as RFC 1929 spells them.
    """

    def test_sizes(self) -> None:
        """
        The shortest and the longest names and passwords, each with its length
        in front.
        """
        short, long = b"x", b"y" * 255
        for username in (short, long):
            for password in (short, long):
                credentials = UsernamePassword(username, password)
                octets = b"".join(
                    [b"\1", bytes([len(username)]), username, bytes([len(password)]), password]
                )
                self.assertEqual(encodeUsernamePassword(credentials), octets)
                self.assertEqual(decodeUsernamePassword(octets), credentials)

    def test_anyOctets(self) -> None:
        """
        Name and password may hold any octets, NUL and those of no encoding.
        """
        credentials = UsernamePassword(bytes(range(255)), bytes(range(255, 0, -1)))
        octets = encodeUsernamePassword(credentials)
        self.assertEqual(decodeUsernamePassword(octets), credentials)

    def test_broken(self) -> None:
        """
        Another version, an empty name or password, and octets that lack or are
        too many, are malformed; the error quotes no octets.
        """
        for what, octets in (
            ("version 0", b"\0\1s\6s3cret"),
            ("version 5", b"\5\1s\6s3cret"),
            ("empty name", b"\1\0\6s3cret"),
            ("empty password", b"\1\6s3cret\0"),
            ("password cut", b"\1\1s\7s3cret"),
            ("name cut", b"\1\7s3cret"),
            ("octets behind", b"\1\1s\5s3cret"),
        ):
            error = errorOf(PeerError, decodeUsernamePassword, octets)
            self.assertIs(type(error), MalformedMessage, what)
            self.assertNotIn("3cre", f"{error!r}", what)


class UsernamePasswordReplyTests(SynchronousTestCase):
    """
    The answer to them.
    """

    def test_everyStatus(self) -> None:
        """
        Any status can be written and read.
        """
        for status in range(256):
            reply, octets = UsernamePasswordReply(status), bytes([1, status])
            self.assertEqual(encodeUsernamePasswordReply(reply), octets)
            self.assertEqual(decodeUsernamePasswordReply(octets), reply)

    def test_broken(self) -> None:
        """
        Another version and another size are malformed.
        """
        for octets in (b"\0\0", b"\5\0", b"\2", b"", b"\1", b"\1\0\0"):
            error = errorOf(PeerError, decodeUsernamePasswordReply, octets)
            self.assertIs(type(error), MalformedMessage, f"{octets!r}")


class ProgramCredentialsTests(LengthSuite, GoldenSuite, RulesSuite, SynchronousTestCase):
    """
    A program's user name and password, which may be empty.
    """

    GOLDENS = (
        golden(
            "both",
            PROGRAM_CREDENTIALS_SPELLING,
            "01 03 616461 06 733363726574",
            [2, 6, 12],
            ProgramCredentials(b"ada", b"s3cret"),
        ),
        golden(
            "no password",
            PROGRAM_CREDENTIALS_SPELLING,
            "01 03 616461 00",
            [2, 6],
            ProgramCredentials(b"ada", b""),
        ),
        golden(
            "no name",
            PROGRAM_CREDENTIALS_SPELLING,
            "01 00 03 616461",
            [2, 3, 6],
            ProgramCredentials(b"", b"ada"),
        ),
        golden(
            "neither",
            PROGRAM_CREDENTIALS_SPELLING,
            "01 00 00",
            [2, 3],
            ProgramCredentials(b"", b""),
        ),
        golden(
            "all that fits",
            PROGRAM_CREDENTIALS_SPELLING,
            "01 ff" + "75" * 255 + "ff" + "70" * 255,
            [2, 258, 513],
            ProgramCredentials(b"u" * 255, b"p" * 255),
        ),
    )
    RULES = (
        ("version 0", programCredentialsLength, "00", MalformedMessage),
        ("version 2", programCredentialsLength, "02", MalformedMessage),
        ("version 5", programCredentialsLength, "05", MalformedMessage),
    )

    def test_secret(self) -> None:
        """
        The password is not shown.
        """
        self.assertNotIn("s3cret", f"{ProgramCredentials(b'ada', b's3cret')!r}")

    def test_frozen(self) -> None:
        """
        Credentials cannot be changed.
        """
        credentials = ProgramCredentials(b"ada", b"")
        self.assertIsNotNone(errorOf(FrozenInstanceError, setattr, credentials, "username", b""))

    @given(PROGRAM_CREDENTIALS)
    def test_roundTrip(self, credentials: ProgramCredentials) -> None:
        """
        Any credentials are read back.
        """
        octets = encoded(credentials)
        self.assertEqual(programCredentialsLength(octets), len(octets))
        self.assertEqual(decodeProgramCredentials(octets), credentials)

    @given(st.one_of(damaged(PROGRAM_CREDENTIALS.map(encoded)), st.binary(max_size=20)))
    def test_stricter(self, octets: bytes) -> None:
        """
        Whatever SOCKS 6 takes for a user name and password, this does too, and as
        the same.
        """
        if errorOf(PeerError, usernamePasswordLength, octets) is None:
            self.assertEqual(programCredentialsLength(octets), usernamePasswordLength(octets))
        if errorOf(PeerError, decodeUsernamePassword, octets) is None:
            strict, given = decodeUsernamePassword(octets), decodeProgramCredentials(octets)
            self.assertEqual((given.username, given.password), (strict.username, strict.password))
