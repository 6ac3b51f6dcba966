"""
Files with users and hashes of their passwords, as C{htpasswd} writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from socks6.policy.hashes import PasswordHash, readHash
from socks6.wire.errors import UsageError

#: Octets that a user name has at most, on the wire.
_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Passwords:
    """
    What is in a password file.

    @ivar users: Names and hashes.
    @ivar decoy: A hash that takes as long as most of them do, for users that do not
        exist; L{None}: there are none that do.
    """

    users: Mapping[bytes, PasswordHash] = field(repr=False)
    decoy: PasswordHash | None = field(repr=False)


def readPasswords(path: Path) -> Passwords:
    """
    Read a password file: lines of the form C{name:hash}.  Empty lines, and those that
    begin with C{#}, are skipped, as C{htpasswd} does.

    @raise UsageError: It cannot be read, or a line is wrong; in one line, which names
        the file and the line but nothing of what is in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the password file {path} cannot be read: {error.strerror}") from error
    users: dict[bytes, PasswordHash] = {}
    lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(b"#"):
            try:
                name, hashed = _readLine(line)
                if name in users:
                    raise UsageError("the user is in the file already")
            except UsageError as error:
                raise UsageError(f"{path}: line {number}: {error}") from None
            users[name] = hashed
    return Passwords(users, _decoyOf(users))


def _readLine(line: bytes) -> tuple[bytes, PasswordHash]:
    """
    Read one line.

    @raise UsageError: It is wrong.
    """
    name, colon, hashed = line.partition(b":")
    if not colon:
        raise UsageError("no colon behind a user name")
    if not 0 < len(name) <= _MAX_NAME:
        raise UsageError(f"a user name has 1 to {_MAX_NAME} octets")
    return name, readHash(hashed)


def _decoyOf(users: Mapping[bytes, PasswordHash]) -> PasswordHash | None:
    """
    Choose a hash that takes as long as most of them do.
    """
    commonest = Counter(each.cost for each in users.values()).most_common(1)
    return next((each for each in users.values() if each.cost == commonest[0][0]), None)
