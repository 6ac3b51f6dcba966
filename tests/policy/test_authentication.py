"""
Tests of L{socks6.policy.authentication}.
"""

from __future__ import annotations

import hmac
from ipaddress import IPv4Address, IPv6Address
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
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.policy.authentication import ANONYMOUS, Authenticator, Identity
from socks6.policy.failures import FIRST_DELAY, FailedLogins
from socks6.policy.verifier import TooBusy
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


class FailureTests(SynchronousTestCase):
    """
    What becomes of those who guess.
    """

    HERE = IPv4Address("192.0.2.1")

    def setUp(self) -> None:
        self.clock = Clock()
        self.checker = FunctionChecker(knowing(ada=b"s3cret").requestAvatarId)
        self.authenticator = self.guarded(self.checker)

    def guarded(self, *checkers: Any) -> Authenticator:
        """
        Make an authenticator that bars who has failed three times in a minute.
        """
        return Authenticator(checkers, FailedLogins(self.clock, 3, 60.0))

    def login(self, given: UsernamePassword = ADA, address: Any = HERE) -> Deferred[Any]:
        """
        Log in.
        """
        return Deferred.fromCoroutine(self.authenticator.login(given, address))

    def guess(self, address: Any = HERE) -> None:
        """
        Fail to log in, and wait for the answer.
        """
        result = self.login(EVE, address)
        self.clock.advance(5)
        self.assertIsNone(self.successResultOf(result))

    def test_slowed(self) -> None:
        """
        What is wrong is answered later each time; what is right, at once.
        """
        for delay in (FIRST_DELAY, 2 * FIRST_DELAY):
            result = self.login(EVE)
            self.clock.advance(delay * 0.99)
            self.assertNoResult(result)
            self.clock.advance(delay * 0.02)
            self.assertIsNone(self.successResultOf(result))
            self.assertEqual(self.successResultOf(self.login()), identity(b"ada"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_barred(self) -> None:
        """
        After too many the address is refused at once, without a look, whatever it
        sends; others are not, and later it is not, either.
        """
        for _ in range(3):
            self.guess()
        asked = len(self.checker.asked)
        for given in (ADA, EVE):
            self.assertIsNone(self.successResultOf(self.login(given)))
        self.assertEqual(len(self.checker.asked), asked)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        other = self.login(ADA, IPv4Address("192.0.2.2"))
        self.assertEqual(self.successResultOf(other), identity(b"ada"))
        self.clock.advance(60)
        self.assertEqual(self.successResultOf(self.login()), identity(b"ada"))
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (3, 2))

    def test_networks(self) -> None:
        """
        Of IPv6, the network counts.
        """
        for number in range(3):
            self.guess(IPv6Address(f"2001:db8::{number}"))
        self.assertIsNone(self.successResultOf(self.login(ADA, IPv6Address("2001:db8::9"))))
        other = self.login(ADA, IPv6Address("2001:db8:0:1::9"))
        self.assertEqual(self.successResultOf(other), identity(b"ada"))

    def test_manyAtATime(self) -> None:
        """
        Guesses at the same time tell no more than those one after the other: no more
        are checked at a time than may fail, and what comes of those that are left then
        is not told, even if it is right.
        """
        answers: list[Deferred[bytes]] = []

        def wait(credentials: object) -> Deferred[bytes]:
            answers.append(Deferred())
            return answers[-1]

        self.authenticator = self.guarded(FunctionChecker(wait))
        results = [self.login() for _ in range(9)]
        self.assertEqual(len(answers), 3)
        for number in range(3):
            answers[number].errback(UnauthorizedLogin())
            self.clock.advance(0)
        # Two have had their turn before the last failure, and then nobody.
        self.assertEqual(len(answers), 5)
        answers[3].callback(b"ada")
        answers[4].errback(UnauthorizedLogin())
        self.clock.advance(0)
        self.assertEqual([self.successResultOf(each) for each in results[3:]], [None] * 6)
        for each in results[:3]:
            self.assertNoResult(each)
        self.clock.advance(5)
        self.assertEqual([self.successResultOf(each) for each in results[:3]], [None] * 3)
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (4, 6))

    def test_crowd(self) -> None:
        """
        Any number may log in at the same time, if they are right.
        """
        results = [self.login() for _ in range(20)]
        self.assertEqual([self.successResultOf(each) for each in results], [identity(b"ada")] * 20)

    def test_crowdOfGuesses(self) -> None:
        """
        Nor do so many who wait break anything when all of them are refused.
        """
        answers: list[Deferred[bytes]] = []

        def wait(credentials: object) -> Deferred[bytes]:
            answers.append(Deferred())
            return answers[-1]

        self.authenticator = self.guarded(FunctionChecker(wait))
        results = [self.login() for _ in range(2000)]
        while answers:
            answers.pop().errback(UnauthorizedLogin())
            self.clock.advance(0)
        self.clock.advance(5)
        self.assertEqual([self.successResultOf(each) for each in results], [None] * 2000)

    def test_cancelCheck(self) -> None:
        """
        Who leaves while he is checked, or waits for that, gives his turn to others.
        """
        answers: list[Deferred[bytes]] = []

        def wait(credentials: object) -> Deferred[bytes]:
            answers.append(Deferred())
            return answers[-1]

        self.authenticator = self.guarded(FunctionChecker(wait))
        results = [self.login() for _ in range(5)]
        for each in (results[3], results[0]):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.clock.advance(0)
        self.assertEqual(len(answers), 4)
        answers[3].callback(b"ada")
        self.assertEqual(self.successResultOf(results[4]), identity(b"ada"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelDelay(self) -> None:
        """
        A client that leaves before it learns of its failure has failed nevertheless.
        """
        for _ in range(3):
            result = self.login(EVE)
            result.cancel()
            self.failureResultOf(result, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.successResultOf(self.login()))

    def test_elsewhere(self) -> None:
        """
        Who has no address is neither slowed nor barred, as all others would be with
        him.
        """
        for _ in range(5):
            self.assertIsNone(self.successResultOf(self.login(EVE, None)))
        self.assertEqual(self.successResultOf(self.login(ADA, None)), identity(b"ada"))
        self.assertEqual(self.authenticator.failed, 5)

    def test_unguarded(self) -> None:
        """
        Without anything that counts, everybody may guess.
        """
        self.authenticator = Authenticator([self.checker])
        for _ in range(20):
            self.assertIsNone(self.successResultOf(self.login(EVE)))
        self.assertEqual(self.successResultOf(self.login()), identity(b"ada"))
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (20, 0))

    def test_ourFailures(self) -> None:
        """
        What a checker could not find out is not held against the client.
        """
        broken, busy = raising(ZeroDivisionError()), failing(TooBusy())
        for checkers in ([broken], [busy], [self.checker, busy], [busy, self.checker]):
            self.authenticator = self.guarded(*checkers)
            for _ in range(5):
                self.assertIsNone(self.successResultOf(self.login(EVE)))
            self.assertEqual(self.authenticator.failed, 0)
        self.assertEqual(self.successResultOf(self.login()), identity(b"ada"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 5)


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
