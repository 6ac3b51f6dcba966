"""
Tests of L{socks6.wire.draft06.password}.

That the messages arrive whole, and that nothing may lack or follow, is tested
for all messages in L{tests.wire.draft06.test_framing} and
L{tests.wire.draft06.test_messages}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.values.messages import UsernamePasswordReply
from socks6.values.options import UsernamePassword
from socks6.wire.draft06.password import (
    decodeUsernamePassword,
    decodeUsernamePasswordReply,
    encodeUsernamePassword,
    encodeUsernamePasswordReply,
)
from socks6.wire.errors import MalformedMessage, PeerError
from tests.raising import errorOf


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
