"""
Who may see the page, and who may do something.

A port of the loopback address can be reached by every page in the operator's browser.
Such a page must not learn what we show, nor make the browser end anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.guard import BasicCredentialFactory, HTTPAuthSessionWrapper
from twisted.web.resource import IResource
from zope.interface import Interface, implementer

#: The only user.
USER = b"admin"

#: Seconds until a wrong password is answered.
WRONG_PASSWORD_DELAY = 1.0

#: The most octets of a password file that are read.
_LONG = 4096

#: What a browser says of a request that one of our own pages makes, or the user.
_OUR_SITES = (None, b"same-origin", b"none")


def isOfOurOwn(request: Any) -> bool:
    """
    Tell whether a request comes from our own page, or from no page at all.
    """
    if request.getHeader(b"sec-fetch-site") not in _OUR_SITES:
        return False
    origin = request.getHeader(b"origin")
    return origin is None or bool(origin.partition(b"://")[2] == request.getHeader(b"host"))


def mayChange(request: Any) -> bool:
    """
    Tell whether a request may change something: no page but ours can make a browser
    send JSON to us without asking us first, which we do not allow.
    """
    kind = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
    return isOfOurOwn(request) and kind == b"application/json"


def passwordIn(path: Path) -> bytes:
    """
    Read a password file: its first line is the password.

    @raise OSError: It cannot be read.
    @raise ValueError: There is none in it.
    """
    with path.open("rb") as file:
        password = file.readline(_LONG).rstrip(b"\r\n")
    if not password:
        raise ValueError("its first line is empty")
    return password


@implementer(ICredentialsChecker)
class AdminPassword:
    """
    Knows the operator's password.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, clock: IReactorTime, path: Path, password: bytes) -> None:
        """
        @param clock: Delays the answer to a wrong password.
        @param path: The file that has it.
        @param password: What was read from there.
        """
        self._clock = clock
        self._path = path
        self._password = sha256(password).digest()

    def prepare(self) -> Callable[[], None]:
        """
        Read the file anew.

        @return: Puts the new password in force.
        @raise OSError: It cannot be read.
        @raise ValueError: There is no password in it.
        """
        return partial(setattr, self, "_password", sha256(passwordIn(self._path)).digest())

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """
        Compare a password, in a time that does not depend on where it differs.

        @return: Fires with L{USER}; fails with L{UnauthorizedLogin}, after a while.
        """
        given = sha256(credentials.password).digest()
        isRight = hmac.compare_digest(given, self._password)
        if isRight and credentials.username == USER:
            return succeed(USER)
        return deferLater(self._clock, WRONG_PASSWORD_DELAY, _refuse)


def _refuse() -> bytes | tuple[()]:
    """
    Let nobody in.

    @raise UnauthorizedLogin: Always.
    """
    raise UnauthorizedLogin("wrong password")


@implementer(IRealm)
class _Realm:
    """
    Has one thing to show.
    """

    def __init__(self, resource: IResource) -> None:
        self._resource = resource

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """
        Give it.
        """
        return IResource, self._resource, lambda: None


def guarded(resource: IResource, password: AdminPassword) -> IResource:
    """
    Show something only to who has the password.
    """
    portal = Portal(_Realm(resource), [password])
    guard: IResource = HTTPAuthSessionWrapper(portal, [BasicCredentialFactory(b"socks6")])
    return guard
