"""
Tests of L{socks6.policy.authentication}.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ANONYMOUS as ANONYMOUS_AVATAR
from twisted.cred.checkers import (
    AllowAnonymousAccess,
    FilePasswordDB,
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.policy.authentication import ANONYMOUS, Authenticator, Identity
from socks6.values.address import Address
from socks6.values.codes import AuthenticationMethod, Command
from socks6.values.messages import Request
from socks6.values.options import (
    AuthenticationData,
    AuthenticationMethods,
    Option,
    OptionList,
    UsernamePassword,
)

ADA = UsernamePassword(b"ada", b"s3cret")
EVE = UsernamePassword(b"eve", b"gu3ss")


def identity(name: bytes) -> Identity:
    """
    Make the identity of somebody with a password.
    """
    return Identity(AuthenticationMethod.USERNAME_PASSWORD, name)


@implementer(ICredentialsChecker)
class FunctionChecker:
    """
    A checker that does what a function does.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, function: Any) -> None:
        self.function = function
        self.asked: list[Any] = []

    def requestAvatarId(self, credentials: Any) -> Any:
        """
        Call the function.
        """
        self.asked.append(credentials)
        return self.function(credentials)


def knowing(**users: bytes) -> InMemoryUsernamePasswordDatabaseDontUse:
    """
    Make a checker that knows users.
    """
    return InMemoryUsernamePasswordDatabaseDontUse(**users)


def answering(answer: Any) -> FunctionChecker:
    """
    Make a checker that returns something.
    """
    return FunctionChecker(lambda credentials: answer)


def raising(error: Exception) -> FunctionChecker:
    """
    Make a checker that raises something.
    """

    def check(credentials: object) -> None:
        raise error

    return FunctionChecker(check)


def failing(error: Exception) -> FunctionChecker:
    """
    Make a checker whose Deferred fails.
    """
    return FunctionChecker(lambda credentials: fail(error))


class IdentityTests(SynchronousTestCase):
    """
    Who somebody is.
    """

    def test_text(self) -> None:
        """
        For people, a name is one line of printable ASCII.
        """
        for name, text in (
            (b"", "-"),
            (b"ada", "ada"),
            (b"o'brien", "o'brien"),
            ("zo\xeb".encode(), r"zo\xeb"),
            (b"\xff\n", r"\\xff\n"),
        ):
            self.assertEqual(str(identity(name)), text)

    def test_anonymous(self) -> None:
        """
        Who has shown nothing has no name.
        """
        self.assertEqual(ANONYMOUS.method, AuthenticationMethod.NONE_REQUIRED)
        self.assertEqual(str(ANONYMOUS), "-")


class LoginTests(SynchronousTestCase):
    """
    Checking user names and passwords.
    """

    def login(self, *checkers: Any, given: UsernamePassword = ADA) -> Deferred[Identity | None]:
        """
        Log in, by default as ada.
        """
        return Deferred.fromCoroutine(Authenticator(checkers).login(given))

    def assertLogin(self, name: bytes | None, *checkers: Any, case: str = "") -> None:
        """
        Check who ada is to some checkers.
        """
        expected = None if name is None else identity(name)
        self.assertEqual(self.successResultOf(self.login(*checkers)), expected, case)

    def test_passwords(self) -> None:
        """
        Name and password must both be right, to the octet.
        """
        checker = knowing(ada=b"s3cret")
        for name, password, known in (
            (b"ada", b"s3cret", True),
            (b"ada", b"S3cret", False),
            (b"ada", b"s3cre", False),
            (b"ada", b"s3crets", False),
            (b"Ada", b"s3cret", False),
            (b"eve", b"s3cret", False),
            (b"ada\0", b"s3cret", False),
            (b"\xff", b"\xfe", False),
        ):
            result = self.login(checker, given=UsernamePassword(name, password))
            self.assertEqual(
                self.successResultOf(result),
                identity(b"ada") if known else None,
                repr((name, password)),
            )

    def test_textPasswords(self) -> None:
        """
        A checker may know its passwords as text; they are compared as UTF-8.
        """
        checker = knowing()
        checker.users = {b"ada": "s\xe9cret"}  # type: ignore[dict-item]
        for password, known in (("s\xe9cret".encode(), True), (b"s\xe9cret", False)):
            result = self.login(checker, given=UsernamePassword(b"ada", password))
            self.assertEqual(self.successResultOf(result) is not None, known, repr(password))

    def test_constantTime(self) -> None:
        """
        Passwords are compared in constant time.
        """
        compared: list[tuple[bytes, bytes]] = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return False

        self.patch(hmac, "compare_digest", compare)
        self.assertLogin(None, knowing(ada=b"s3cret"))
        self.assertEqual(compared, [(b"s3cret", b"s3cret")])

    def test_credentials(self) -> None:
        """
        Checkers get what cred calls a user name and password, with which they
        can do as they like.
        """
        checker = FunctionChecker(lambda credentials: credentials.username)
        self.assertLogin(b"ada", checker)
        (credentials,) = checker.asked
        self.assertTrue(verifyObject(IUsernamePassword, credentials))
        self.assertEqual((credentials.username, credentials.password), (b"ada", b"s3cret"))
        self.assertNotIn("s3cret", repr(credentials))

    def test_avatars(self) -> None:
        """
        The name is what the checker says, as octets.
        """
        for avatarID, name in (
            (b"lovelace", b"lovelace"),
            ("zo\xeb", "zo\xeb".encode()),
            (ANONYMOUS_AVATAR, b""),
        ):
            self.assertLogin(name, answering(avatarID), case=repr(avatarID))
            self.assertLogin(name, answering(succeed(avatarID)), case=repr(avatarID))

    def test_strangeAvatars(self) -> None:
        """
        A checker that gives anything else has failed.
        """
        for avatarID in (None, 5, object()):
            self.assertLogin(None, answering(succeed(avatarID)), case=repr(avatarID))
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1, repr(avatarID))

    def test_coroutine(self) -> None:
        """
        A checker may be written as a coroutine.
        """

        async def check(credentials: Any) -> bytes:
            await succeed(None)
            return b"ada"

        self.assertLogin(b"ada", FunctionChecker(check))

    def test_several(self) -> None:
        """
        Of several checkers one must know the user; the first one that does
        says who it is.
        """
        nobody, other = knowing(eve=b"gu3ss"), knowing(ada=b"0ther")
        right, alias = knowing(ada=b"s3cret"), answering(b"alias")
        for case, name, checkers in (
            ("the third", b"ada", (nobody, other, right)),
            ("the first of two", b"ada", (right, alias)),
            ("the other way round", b"alias", (alias, right)),
            ("none", None, (nobody, other)),
        ):
            self.assertLogin(name, *checkers, case=case)

    def test_refusals(self) -> None:
        """
        That a user is not known, or cannot even be looked up, goes without
        saying; the next checker is asked.
        """
        for error in (
            UnauthorizedLogin(),
            LoginDenied(),
            ValueError("embedded null byte"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ):
            for checker in (raising(error), failing(error)):
                self.assertLogin(None, checker, case=repr(error))
                self.assertLogin(b"ada", checker, knowing(ada=b"s3cret"), case=repr(error))

    def test_failures(self) -> None:
        """
        A checker that fails is logged once; the next checker is asked.
        """
        for make in (raising, failing):
            checker = make(ZeroDivisionError())
            self.assertLogin(None, checker, case=make.__name__)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, make.__name__)
            self.assertLogin(b"ada", checker, knowing(ada=b"s3cret"), case=make.__name__)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, make.__name__)

    def test_slow(self) -> None:
        """
        Checkers may take their time; they are asked one after the other.
        """
        first: Deferred[bytes] = Deferred()
        second: Deferred[bytes] = Deferred()
        later = answering(second)
        result = self.login(answering(first), later)
        self.assertNoResult(result)
        self.assertEqual(later.asked, [])
        first.errback(UnauthorizedLogin())
        self.assertNoResult(result)
        second.callback(b"ada")
        self.assertEqual(self.successResultOf(result), identity(b"ada"))

    def test_cancel(self) -> None:
        """
        Giving up is passed to the checker that is being asked, and no other one
        is asked.
        """
        cancelled: list[object] = []
        answer: Deferred[bytes] = Deferred(cancelled.append)
        later = answering(b"ada")
        result = self.login(answering(answer), later)
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(cancelled, [answer])
        self.assertEqual(later.asked, [])

    def test_file(self) -> None:
        """
        Twisted's password files work, and are read anew each time.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"eve:gu3ss\nada:s3cret\n")
        checker = FilePasswordDB(str(path))
        self.assertLogin(b"ada", checker)
        path.write_bytes(b"ada:changed\n")
        self.assertLogin(None, checker)


class PolicyTests(SynchronousTestCase):
    """
    What is asked of clients.
    """

    def request(self, *options: Option) -> Request:
        """
        Make a request.
        """
        address = Address(IPv4Address("192.0.2.1"), 80)
        return Request(Command.CONNECT, address, OptionList(options))

    def test_required(self) -> None:
        """
        Where there are checkers, everybody must show who he is.
        """
        self.assertFalse(Authenticator().required)
        self.assertFalse(Authenticator([]).required)
        self.assertTrue(Authenticator([knowing()]).required)

    def test_uselessChecker(self) -> None:
        """
        A checker that does not take user names and passwords is a mistake, even
        beside one that does.
        """
        for checkers in ([AllowAnonymousAccess()], [knowing(), AllowAnonymousAccess()]):
            error = self.assertRaises(ValueError, Authenticator, checkers)
            self.assertIn("does not check user names and passwords", str(error))

    def test_credentials(self) -> None:
        """
        Of several user names and passwords in a request the first counts; data
        of other methods do not.
        """
        other = AuthenticationData(AuthenticationMethod.GSSAPI, b"token")
        authenticator = Authenticator([knowing()])
        for options, expected in (
            ((), None),
            ((other,), None),
            ((ADA,), ADA),
            ((other, EVE, ADA), EVE),
        ):
            found = authenticator.credentialsIn(self.request(*options))
            self.assertEqual(found, expected, repr(options))

    def test_mayDemand(self) -> None:
        """
        Clients are asked for user name and password only if they have offered
        that; of several offers the first counts.
        """
        password = AuthenticationMethods(0, (AuthenticationMethod.USERNAME_PASSWORD,))
        other = AuthenticationMethods(0, (AuthenticationMethod.GSSAPI, 0x80))
        both = AuthenticationMethods(0, (0x80, AuthenticationMethod.USERNAME_PASSWORD))
        authenticator = Authenticator([knowing()])
        for options, may in (
            ((), False),
            ((ADA,), False),
            ((AuthenticationMethods(0, ()),), False),
            ((other,), False),
            ((both,), True),
            ((other, password), False),
            ((password, other), True),
        ):
            self.assertIs(authenticator.mayDemand(self.request(*options)), may, repr(options))
