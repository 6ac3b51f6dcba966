"""
Tests of L{socks6.policy.passwordfile}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.passwordfile import readPasswords
from socks6.wire.errors import UsageError
from tests.policy.passwords import bcryptOf
from tests.raising import errorOf

CHEAP, DEAR = bcryptOf(b"cheap"), bcryptOf(b"dear", 5)


class PasswordFileTests(SynchronousTestCase):
    """
    Password files are read.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def users(self, content: bytes) -> dict[bytes, bytes]:
        """
        Read a file.
        """
        self.path.write_bytes(content)
        users = readPasswords(self.path).users
        return {name: hashed.octets for name, hashed in users.items()}

    def complaint(self, content: bytes) -> str:
        """
        Read a file that is wrong.
        """
        self.path.write_bytes(content)
        words = str(errorOf(UsageError, readPasswords, self.path))
        self.assertTrue(words.startswith(f"{self.path}: "), words)
        return words.removeprefix(f"{self.path}: ")

    def test_lines(self) -> None:
        """
        A line has a user's name, which are any octets, and a hash.
        """
        content = b"ada:%s\nzo\xeb :%s\n\xff\0:%s" % (CHEAP, DEAR, CHEAP)
        expected = {b"ada": CHEAP, b"zo\xeb ": DEAR, b"\xff\0": CHEAP}
        self.assertEqual(self.users(content), expected)
        self.assertEqual(self.users(content.replace(b"\n", b"\r\n")), expected)
        name = b"a" * 255
        self.assertEqual(self.users(name + b":" + CHEAP), {name: CHEAP})

    def test_skipped(self) -> None:
        """
        Empty lines and comments count for nothing.
        """
        self.assertEqual(self.users(b""), {})
        self.assertEqual(self.users(b"\n# ada:x\n \t\n\nada:%s\n\n" % CHEAP), {b"ada": CHEAP})

    def test_wrong(self) -> None:
        """
        The complaint names the line, and nothing that is in it.
        """
        good = b"ada:%s\n" % CHEAP
        for line, words in (
            (b"s3cret", "no colon behind a user name"),
            (b":" + CHEAP, "a user name has 1 to 255 octets"),
            (b"a" * 256 + b":" + CHEAP, "a user name has 1 to 255 octets"),
            (b"eve:s3cret", "neither a bcrypt nor an argon2 hash"),
            (b"eve:{SHA}s3cret", "{SHA} is not safe: only bcrypt and argon2 are"),
            (b"eve:" + CHEAP + b":Eve", "a hash that is damaged"),
            (b"ada:" + DEAR, "the user is in the file already"),
        ):
            self.assertEqual(self.complaint(good + b"\n" + line + b"\n" + good), f"line 3: {words}")

    def test_unreadable(self) -> None:
        """
        A file that cannot be read is complained about in the same way.
        """
        self.assertEqual(
            str(errorOf(UsageError, readPasswords, self.path)),
            f"the password file {self.path} cannot be read: No such file or directory",
        )

    def test_decoy(self) -> None:
        """
        What is verified for those who do not exist costs as much as most hashes.
        """
        for content, expected in (
            (b"ada:%s\neve:%s\nzoe:%s\n" % (CHEAP, DEAR, DEAR), DEAR),
            (b"ada:%s\neve:%s\nzoe:%s\n" % (DEAR, CHEAP, CHEAP), CHEAP),
        ):
            self.path.write_bytes(content)
            decoy = readPasswords(self.path).decoy
            assert decoy is not None
            self.assertEqual(decoy.octets, expected)
        self.path.write_bytes(b"")
        self.assertIsNone(readPasswords(self.path).decoy)

    def test_secrecy(self) -> None:
        """
        What was read does not show itself.
        """
        self.path.write_bytes(b"ada:" + CHEAP)
        self.assertNotIn("ada", repr(readPasswords(self.path)))
