"""
Users and passwords that C{htpasswd} has written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from zope.interface import implementer

from socks6.policy.passwordfile import readPasswords
from socks6.policy.remembered import RememberedLogins
from socks6.policy.verifier import TooBusy, Verifier
from socks6.quota import LineQuota
from socks6.text import errorWords, octets

#: Seconds between two lines on passwords that could not be verified.
LINES_PERIOD = 60.0


@implementer(ICredentialsChecker)
class HtpasswdChecker(Service):
    """
    Knows the users of a file, whose passwords are hashed by bcrypt or argon2.

    It works from construction; as a service it only ends its threads when it stops.
    """

    credentialInterfaces = (IUsernamePassword,)

    _log = Logger()

    def __init__(self, path: Path, findReactor: Callable[[], Any]) -> None:
        """
        Read the file.

        @param path: The file.
        @param findReactor: Gives the reactor, once it is needed: whoever reads a
            command line must not import it yet.
        @raise UsageError: It cannot be used.
        """
        self.path = path
        self._findReactor = findReactor
        self._passwords = readPasswords(path)

    @cached_property
    def _remembered(self) -> RememberedLogins:
        """
        Logins that were right a moment ago.
        """
        return RememberedLogins(self._findReactor())

    @cached_property
    def _verifier(self) -> Verifier:
        """
        Who verifies.
        """
        return Verifier(self._findReactor())

    @cached_property
    def _lines(self) -> LineQuota:
        """
        How much is logged.
        """
        return LineQuota(self._findReactor(), 1, LINES_PERIOD, self._moreUnverified)

    def prepare(self) -> Callable[[], None]:
        """
        Read the file anew.

        @return: Puts its content in force.
        @raise UsageError: It cannot be used; then what was in it stays in force.
        """
        passwords = readPasswords(self.path)

        def adopt() -> None:
            self._passwords = passwords
            self._remembered.forgetAll()

        return adopt

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """
        Find out whether a password is right.

        A user who does not exist costs as much as a password that is wrong.

        @param credentials: May have an C{owner}: those who ask take turns.
        @return: Fires with the user's name, or fails with L{UnauthorizedLogin} or
            L{TooBusy}.  Cancelled, it verifies nothing that has not been begun, and fails
            with L{TooBusy}; what has been begun cannot be ended, and comes to its end.
        """
        name, password = octets(credentials.username), octets(credentials.password)
        owner = getattr(credentials, "owner", None)
        return Deferred.fromCoroutine(self._check(name, password, owner))

    async def _check(self, name: bytes, password: bytes, owner: Hashable) -> bytes | tuple[()]:
        """
        Find out whether a password is right.

        @param owner: Whose turn it takes.
        @raise UnauthorizedLogin: It is not.
        @raise TooBusy: Nobody knows.
        """
        known = self._passwords.users.get(name)
        hashed = known or self._passwords.decoy
        if hashed is None:
            raise UnauthorizedLogin
        # With the hash in it, a digest is of no use once the user has another password.
        digest = self._remembered.digest(name, hashed.octets, password)
        if self._remembered.knows(digest):
            return name
        try:
            isRight = await self._verify(digest, lambda: hashed.matches(password), owner)
        except CancelledError:
            raise
        except Exception as error:
            self._logUnverified(error)
            raise TooBusy from error
        if isRight is None:
            raise TooBusy("nobody waits for that any more")
        # The file may have changed meanwhile.
        if known is None or not isRight or self._passwords.users.get(name) != known:
            raise UnauthorizedLogin
        self._remembered.remember(digest)
        return name

    async def _verify(
        self, digest: bytes, work: Callable[[], bool], owner: Hashable
    ) -> bool | None:
        """
        Verify a password when it is its turn.

        @return: Whether it is right; L{None}: nobody waited for that any more.
        """
        try:
            return await self._verifier.verify(digest, work, owner)
        except CancelledError:
            begun = self._verifier.underWay(digest)
            # The thread is busy in any case, so what it finds may as well count.
            return None if begun is None else await begun

    def stopService(self) -> Deferred[None]:
        """
        Verify nothing more.

        @return: Fires when all threads have ended; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        stopped = self._verifier.stop()
        self._lines.renew()
        return stopped

    def _logUnverified(self, error: Exception) -> None:
        """
        Write that a password could not be verified, within the quota.
        """
        if self._lines.take():
            self._log.warn(
                "{path}: a password could not be verified: {error}",
                path=str(self.path),
                error=errorWords(error),
            )

    def _moreUnverified(self, count: int) -> None:
        """
        Write how many passwords could not be verified without a line.
        """
        self._log.warn(
            "{path}: {count} more passwords could not be verified",
            path=str(self.path),
            count=count,
        )
