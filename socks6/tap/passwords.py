"""
The options of C{twistd socks6} that are about passwords.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError

from socks6.policy import failures
from socks6.policy.failures import FailedLogins
from socks6.policy.htpasswd import HtpasswdChecker
from socks6.tap.readings import number, seconds
from socks6.wire import errors

#: The most failed logins that anybody may allow.
_MANY = 1_000_000

_NAME = "auth-failures"

#: The option as its default is written.
_DEFAULT = f"{failures.LIMIT}/{failures.PERIOD:g}"


def _limit(text: str) -> str:
    """
    Check how many failed logins there may be in how many seconds.

    @raise ValueError: That cannot be read.
    """
    _read(text)
    return text


def _read(text: str) -> tuple[int, float] | None:
    """
    Read it.

    @return: L{None}: as many as anybody likes.
    @raise ValueError: It cannot be read.
    """
    if text == "0":
        return None
    limit, slash, period = text.partition("/")
    if not slash:
        raise ValueError(f"--{_NAME} {text!r} is neither NUMBER/SECONDS nor 0")
    return number(_NAME, 1, _MANY, limit), seconds(_NAME, period)


def checkerOf(path: Path) -> HtpasswdChecker:
    """
    Make a checker that knows the users of a file.

    @raise UsageError: The file cannot be used.
    """

    def findReactor() -> Any:
        from twisted.internet import reactor

        return reactor

    return HtpasswdChecker(path, findReactor)


class PasswordOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    parameters: Sequence[Sequence[Any]] = [
        [
            _NAME,
            None,
            _DEFAULT,
            "Failed logins of an address, NUMBER/SECONDS, that bar it for so long; 0: any.",
            _limit,
        ],
    ]

    def htpasswdChecker(self, path: Path) -> HtpasswdChecker:
        """
        Make what C{--auth htpasswd:FILE} wants.

        @raise UsageError: The file cannot be used.
        """
        try:
            return checkerOf(path)
        except errors.UsageError as error:
            raise UsageError(f"--auth: {error}") from error

    def failures(self, reactor: Any) -> FailedLogins | None:
        """
        Make what counts the failed logins.
        """
        rate = _read(self[_NAME])
        return None if rate is None else FailedLogins(reactor, *rate)
