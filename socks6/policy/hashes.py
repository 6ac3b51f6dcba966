"""
Hashes of passwords that are hard to guess: bcrypt and argon2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from socks6.wire.errors import UsageError

#: Octets of a password that bcrypt takes into account.
_BCRYPT_MAX = 72

#: C{$2b$}, cost, C{$}, 16 octets of salt and 23 of the hash, in an alphabet of its own.
#: Two bits of the salt's last letter count, and the others must be zero.
_BCRYPT = re.compile(
    rb"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)

#: C{$argon2id$}, version, costs, 8 octets of salt or more, and 16 of the hash or more.
_ARGON2 = re.compile(
    rb"\$argon2(id|i|d)\$(?:v=(?:16|19)\$)?m=([0-9]{1,8}),t=([0-9]{1,8}),p=([0-9]{1,3})"
    rb"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,171}"
)

#: What else such files hold, and none is hard enough to guess.
_WEAK = re.compile(rb"\{SHA\}|\{SSHA\}|\$(?:apr1|1|5|6|y|2x)\$")

#: Takes a password and a hash.
_Verify = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """
    A hash of a password.

    @ivar octets: As it stands in a file.
    @ivar cost: What is the same for hashes that take the same time.
    """

    octets: bytes = field(repr=False)
    cost: Hashable
    _verify: _Verify = field(repr=False, compare=False)

    def matches(self, password: bytes) -> bool:
        """
        Tell whether it is this password's; that takes a tenth of a second or so, and
        other threads run meanwhile.

        @raise Exception: The library cannot tell.
        """
        return self._verify(password, self.octets)


def readHash(octets: bytes) -> PasswordHash:
    """
    Understand a hash.

    @raise UsageError: It is none, is not safe, or its library is missing.  The words
        hold nothing of it.
    """
    found = _BCRYPT.fullmatch(octets)
    if found:
        return PasswordHash(octets, ("bcrypt", found[1]), _bcryptVerify())
    found = _ARGON2.fullmatch(octets)
    if found:
        kind, memory, time, lanes = found[1], int(found[2]), int(found[3]), int(found[4])
        if not (lanes and time and memory >= 8 * lanes):
            raise UsageError("an argon2 hash with costs that cannot be")
        return PasswordHash(octets, ("argon2", kind, memory, time, lanes), _argon2Verify())
    weak = _WEAK.match(octets)
    if weak:
        raise UsageError(f"{weak[0].decode('ascii')} is not safe: only bcrypt and argon2 are")
    if octets.startswith((b"$2", b"$argon2")):
        raise UsageError("a hash that is damaged")
    raise UsageError("neither a bcrypt nor an argon2 hash")


def _bcryptVerify() -> _Verify:
    """
    Load the library for bcrypt.

    @raise UsageError: It is missing.
    """
    try:
        import bcrypt
    except ImportError:
        raise _missing("bcrypt") from None

    def verify(password: bytes, hashed: bytes) -> bool:
        # The library refuses longer ones at once, by which one could tell from outside
        # whose hash is of which kind.
        return bcrypt.checkpw(password[:_BCRYPT_MAX], hashed) and len(password) <= _BCRYPT_MAX

    return verify


def _argon2Verify() -> _Verify:
    """
    Load the library for argon2.

    @raise UsageError: It is missing.
    """
    try:
        from argon2 import PasswordHasher
        from argon2.exceptions import VerifyMismatchError
    except ImportError:
        raise _missing("argon2-cffi") from None

    def verify(password: bytes, hashed: bytes) -> bool:
        try:
            return PasswordHasher().verify(hashed, password)
        except VerifyMismatchError:
            return False

    return verify


def _missing(library: str) -> UsageError:
    """
    Say which library is missing, and how to get it.
    """
    return UsageError(f"{library} is missing: pip install 'socks6[htpasswd]'")
