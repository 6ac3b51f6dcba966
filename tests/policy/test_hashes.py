"""
Tests of L{socks6.policy.hashes}.
"""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

import bcrypt
from argon2 import PasswordHasher, Type
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.hashes import readHash
from socks6.wire.errors import UsageError
from tests.raising import errorOf

#: Written by C{htpasswd -nbB -C 4 ada s3cret}.
HTPASSWD = b"$2y$04$GvJyi9iHtUFuKtpnuoUxMeHZlJGx6ewQP/40ECVLPtW3QbGFzwMJ6"

BCRYPT = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4))


def argon2(kind: Type = Type.ID, password: bytes = b"s3cret", memory: int = 8) -> bytes:
    """
    Make a cheap hash.
    """
    return PasswordHasher(1, memory, 1, type=kind).hash(password).encode("ascii")


class HashTests(SynchronousTestCase):
    """
    Hashes are understood, and passwords compared with them.
    """

    def test_kinds(self) -> None:
        """
        There are all kinds of bcrypt and argon2.
        """
        old = PasswordHasher(1, 8, 1).hash("s3cret").replace("v=19", "v=16").encode("ascii")
        for octets in (
            HTPASSWD,
            BCRYPT,
            BCRYPT.replace(b"$2b$", b"$2a$"),
            BCRYPT.replace(b"$2b$", b"$2y$"),
            argon2(Type.ID),
            argon2(Type.I),
            argon2(Type.D),
        ):
            hashed = readHash(octets)
            self.assertTrue(hashed.matches(b"s3cret"), octets)
            self.assertFalse(hashed.matches(b"s3creT"), octets)
            self.assertFalse(hashed.matches(b""), octets)
            self.assertEqual(hashed.octets, octets)
        # Of the first version, which the library does not write.
        for octets in (old, old.replace(b"v=16$", b"")):
            self.assertFalse(readHash(octets).matches(b"s3cret"))

    def test_costs(self) -> None:
        """
        What takes the same time has the same cost, and nothing else has.
        """
        same = [BCRYPT, bcrypt.hashpw(b"x", bcrypt.gensalt(4)), BCRYPT.replace(b"$2b$", b"$2y$")]
        self.assertEqual(len({readHash(octets).cost for octets in same}), 1)
        other = [
            BCRYPT,
            BCRYPT.replace(b"$04$", b"$05$"),
            argon2(),
            argon2(Type.I),
            argon2(memory=16),
            argon2().replace(b"t=1", b"t=2"),
            argon2(memory=16).replace(b"p=1", b"p=2"),
        ]
        self.assertEqual(len({readHash(octets).cost for octets in other}), len(other))

    def test_octets(self) -> None:
        """
        Passwords are octets, all of which count.
        """
        for password in (b"a\0b", b"\xff\xfe", b"x" * 72):
            for octets in (bcrypt.hashpw(password, bcrypt.gensalt(4)), argon2(password=password)):
                self.assertTrue(readHash(octets).matches(password), password)
                self.assertFalse(readHash(octets).matches(password[:-1]), password)

    def test_tooLong(self) -> None:
        """
        For bcrypt, a password of more than 72 octets is wrong; that costs as much as
        any other.
        """
        asked: list[bytes] = []
        check = bcrypt.checkpw

        def checkpw(password: bytes, hashed: bytes) -> bool:
            asked.append(password)
            return check(password, hashed)

        self.patch(bcrypt, "checkpw", checkpw)
        hashed = readHash(bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)))
        self.assertFalse(hashed.matches(b"x" * 73))
        self.assertEqual(asked, [b"x" * 72])
        self.assertTrue(readHash(argon2(password=b"x" * 255)).matches(b"x" * 255))

    def test_libraryFails(self) -> None:
        """
        If the library cannot tell, it raises.
        """
        hashed = readHash(argon2())
        self.patch(PasswordHasher, "verify", lambda *arguments: 1 / 0)
        self.assertRaises(ZeroDivisionError, hashed.matches, b"s3cret")

    def test_refused(self) -> None:
        """
        What is not safe, or damaged, is refused with words that hold nothing of it.
        """
        unsafe = "{} is not safe: only bcrypt and argon2 are"
        damaged = "a hash that is damaged"
        unknown = "neither a bcrypt nor an argon2 hash"
        good = argon2()
        for octets, words in (
            (b"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", unsafe.format("{SHA}")),
            (b"{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", unsafe.format("{SSHA}")),
            (b"$apr1$7gVMlL3T$w6Yy3nlT5bHrVx9aYbVvz0", unsafe.format("$apr1$")),
            (b"$1$7gVMlL3T$w6Yy3nlT5bHrVx9aYbVvz0", unsafe.format("$1$")),
            (b"$5$salt$hash", unsafe.format("$5$")),
            (b"$6$salt$hash", unsafe.format("$6$")),
            (b"$y$j9T$salt$hash", unsafe.format("$y$")),
            (BCRYPT.replace(b"$2b$", b"$2x$"), unsafe.format("$2x$")),
            (b"s3cret", unknown),
            (b"rqXexS6ZhobKA", unknown),
            (b"", unknown),
            (b" " + BCRYPT, unknown),
            (b"$2c$" + BCRYPT[4:], damaged),
            (BCRYPT[:-1], damaged),
            (BCRYPT + b"x", damaged),
            (BCRYPT + b":comment", damaged),
            (BCRYPT + b"\n", damaged),
            (BCRYPT.replace(b"$04$", b"$03$"), damaged),
            (BCRYPT.replace(b"$04$", b"$32$"), damaged),
            (BCRYPT[:28] + b"z" + BCRYPT[29:], damaged),
            (BCRYPT[:40] + b"!" + BCRYPT[41:], damaged),
            (good.replace(b"argon2id", b"argon2x"), damaged),
            (good.replace(b"v=19", b"v=20"), damaged),
            (good[:-22], damaged),
            (good + b"=", damaged),
            (good.replace(b"m=8", b"m=7"), "an argon2 hash with costs that cannot be"),
            (good.replace(b"t=1", b"t=0"), "an argon2 hash with costs that cannot be"),
            (good.replace(b"p=1", b"p=0"), "an argon2 hash with costs that cannot be"),
        ):
            self.assertEqual(str(errorOf(UsageError, readHash, octets)), words, repr(octets))

    def test_missingLibraries(self) -> None:
        """
        If the library for a hash is missing, it is said how to get it.
        """
        for module, library, octets in (
            ("bcrypt", "bcrypt", BCRYPT),
            ("argon2", "argon2-cffi", argon2()),
        ):
            # With which Python refuses to import it.
            modules: dict[str, Any] = {module: None}
            with patch.dict(sys.modules, modules):
                self.assertEqual(
                    str(errorOf(UsageError, readHash, octets)),
                    f"{library} is missing: pip install 'socks6[htpasswd]'",
                )

    def test_secrecy(self) -> None:
        """
        A hash does not show itself.
        """
        self.assertNotIn(BCRYPT[10:20].decode("ascii"), repr(readHash(BCRYPT)))
