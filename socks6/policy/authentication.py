"""
Who is it?  User names and passwords, checked by twisted.cred.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.policy.failures import LONGEST_DELAY, FailedLogins
from socks6.policy.verifier import TooBusy
from socks6.text import printable
from socks6.values.address import ClientNetwork, networkOf
from socks6.values.codes import AuthenticationMethod
from socks6.values.messages import Request
from socks6.values.options import AuthenticationMethods, UsernamePassword

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Who a client has shown to be.

    @ivar method: How.
    @ivar name: The avatar ID that the checker gave; empty for the anonymous.
    """

    method: AuthenticationMethod
    name: bytes

    def __str__(self) -> str:
        """
        Write the name for people, C{-} for the anonymous.
        """
        return printable(self.name) or "-"


#: Who has shown nothing.
ANONYMOUS = Identity(AuthenticationMethod.NONE_REQUIRED, b"")


@implementer(IUsernamePassword)
class _Credentials:
    """
    A user name and password as the checkers want them, compared in constant
    time.

    @ivar owner: Whom it counts against where those who check are busy; L{None}: nobody in
        particular.
    """

    def __init__(self, given: UsernamePassword, owner: ClientNetwork | None) -> None:
        """
        @param given: What the client sent.
        """
        self.owner = owner
        self.username = given.username
        self.password = given.password

    def checkPassword(self, password: bytes | str) -> bool:
        """
        Compare with the right password.
        """
        expected = password.encode("utf-8") if isinstance(password, str) else password
        return hmac.compare_digest(self.password, expected)


class Authenticator:
    """
    The proxy's policy on authentication.

    @ivar required: Whether a request must authenticate at all.
    @ivar failed: How many logins were wrong so far.
    @ivar barred: How many were refused without a look, or in spite of it, because of
        where they came from.
    """

    _log = Logger()

    def __init__(
        self,
        checkers: Sequence[ICredentialsChecker] = (),
        failures: FailedLogins | None = None,
    ) -> None:
        """
        @param checkers: Who knows the passwords: a user whom one of them knows
            is let in.  Each must take L{IUsernamePassword}.  None: no
            authentication is required.
        @param failures: Slows those who guess, and bars them; L{None}: nobody does.
        @raise ValueError: A checker does not take user names and passwords.
        """
        for checker in checkers:
            if IUsernamePassword not in checker.credentialInterfaces:
                raise ValueError(f"{checker!r} does not check user names and passwords")
        self._checkers: tuple[Any, ...] = tuple(checkers)
        self._failures = failures
        self.required = bool(checkers)
        self.failed = 0
        self.barred = 0

    def credentialsIn(self, request: Request) -> UsernamePassword | None:
        """
        Find the credentials that a request carries and that we can check.
        """
        return request.options.first(UsernamePassword)

    def mayDemand(self, request: Request) -> bool:
        """
        Tell whether the client is ready to be asked for a user name and
        password.
        """
        offered = request.options.first(AuthenticationMethods)
        return offered is not None and AuthenticationMethod.USERNAME_PASSWORD in offered.methods

    async def login(
        self, given: UsernamePassword, address: IPv4Address | IPv6Address | None = None
    ) -> Identity | None:
        """
        Check a user name and password.

        What is wrong is answered later and later, without a thread or anything else
        that others need.  If the client leaves, a checker that has begun and can tell
        nevertheless goes on, and what it finds counts; what has not begun does not.  If
        there is a checker that does not tell, the client has failed, as a crowd that leaves
        could keep it busy otherwise, unless it has lasted longer than any answer is kept
        back.

        @param address: Where the client is; L{None}: it has no address, and then its
            failures are not held against anybody.
        @return: Who it is, or L{None} if nobody: unknown user, wrong password,
            a checker that failed (that is logged), or too many failures before.
        """
        network = None if address is None else networkOf(address)
        credentials = _Credentials(given, network)
        failures = self._failures
        if failures is None or network is None:
            identity, _ = await _onItsOwn(self._check(credentials))
            return identity
        release = await failures.turn(network)
        if failures.isBarred(network):
            release()
            self.barred += 1
            return None
        guarded = self._checkGuarded(credentials, failures, network, release)
        identity, delay = await _onItsOwn(guarded)
        if delay is not None:
            await deferLater(failures.clock, delay)
        return identity

    async def _checkGuarded(
        self,
        credentials: _Credentials,
        failures: FailedLogins,
        network: ClientNetwork,
        release: Callable[[], None],
    ) -> tuple[Identity | None, float | None]:
        """
        Ask the checkers, and hold against a network what comes of it.

        @param release: Ends its turn.
        @return: Who it is, and the seconds until that is to be told, if it is wrong.
        """
        began = failures.clock.seconds()
        try:
            identity, isWrong = await self._check(credentials)
        except CancelledError:
            if failures.clock.seconds() - began < LONGEST_DELAY:
                failures.count(network)
            raise
        else:
            if failures.isBarred(network):
                # Guesses at the same time tell no more than one after the other.
                self.barred += 1
                return None, None
            # Before the next one's turn comes.
            return identity, failures.count(network) if isWrong else None
        finally:
            release()

    async def _check(self, credentials: _Credentials) -> tuple[Identity | None, bool]:
        """
        Ask the checkers, and count those who are wrong.

        @return: Who it is, and whether it is nobody for sure, as all checkers say so.
        """
        isWrong = True
        for checker in self._checkers:
            try:
                name = _nameOf(await maybeDeferred(checker.requestAvatarId, credentials))
            except TooBusy:
                isWrong = False
                continue
            except (LoginFailed, ValueError):
                # ValueError: a name that this checker cannot even look up, as
                # it is no text or contains a NUL.
                continue
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001  a checker of the user's may fail in any way
                self._log.failure("A credentials checker failed")
                isWrong = False
                continue
            return Identity(AuthenticationMethod.USERNAME_PASSWORD, name), False
        self.failed += isWrong
        return None, isWrong


def _onItsOwn(work: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
    """
    Wait for work that may go on when nobody waits for it any more.

    @return: Fires with what comes of it.  Cancelling waits no more, and cancels what the
        work waits for, which may fire later nevertheless.
    """
    going = Deferred.fromCoroutine(work)

    def cancel(waiting: Deferred[_T]) -> None:
        waiting.errback(CancelledError())
        going.cancel()

    def over(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure):
            result.trap(CancelledError)

    waiting: Deferred[_T] = Deferred(cancel)
    going.addBoth(over)
    return waiting


def _nameOf(avatarID: bytes | str | tuple[()]) -> bytes:
    """
    Write an avatar ID as octets; some of Twisted's own checkers give text.

    @raise TypeError: It is something else.
    """
    if isinstance(avatarID, str):
        return avatarID.encode("utf-8")
    if not isinstance(avatarID, bytes | tuple):
        raise TypeError(f"an avatar ID consists of octets, not of {type(avatarID).__name__}")
    return bytes(avatarID)
