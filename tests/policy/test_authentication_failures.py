"""
Tests of L{socks6.policy.authentication}: logins that fail.
"""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.authentication import Authenticator
from socks6.policy.failures import FIRST_DELAY, LONGEST_DELAY, FailedLogins
from socks6.policy.verifier import TooBusy
from socks6.values.options import UsernamePassword
from tests.policy.test_authentication import (
    ADA,
    EVE,
    FunctionChecker,
    failing,
    identity,
    knowing,
    raising,
)


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

    def test_cancelChecks(self) -> None:
        """
        Who leaves while he is checked by a checker that does not tell what it would have
        found has failed, and is barred if he does so too often; one who has waited for long
        has not.
        """
        self.authenticator = self.guarded(FunctionChecker(lambda _: Deferred()))
        for seconds, isBarred in ((LONGEST_DELAY, False), (LONGEST_DELAY * 0.9, True)):
            for _ in range(3):
                result = self.login()
                self.clock.advance(seconds)
                result.cancel()
                self.failureResultOf(result, CancelledError)
            result = self.login()
            self.assertEqual(result.called, isBarred)
            result.addErrback(lambda failure: failure.trap(CancelledError))
            self.clock.advance(LONGEST_DELAY)
            result.cancel()
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (0, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def telling(self) -> tuple[list[Deferred[bytes]], FunctionChecker]:
        """
        Make a checker that tells what it finds though nobody waits for it.

        @return: Where the answers go, and the checker.
        """
        answers: list[Deferred[bytes]] = []

        async def find(answer: Deferred[bytes]) -> bytes:
            with contextlib.suppress(CancelledError):
                await Deferred()
            return await answer

        def ask(credentials: object) -> Deferred[bytes]:
            answers.append(Deferred())
            return Deferred.fromCoroutine(find(answers[-1]))

        return answers, FunctionChecker(ask)

    def leave(self) -> None:
        """
        Leave while a login is checked.
        """
        result = self.login()
        result.cancel()
        self.failureResultOf(result, CancelledError)

    def test_leaveRight(self) -> None:
        """
        Who leaves while his right password is checked has not failed, however often.
        """
        answers, checker = self.telling()
        self.authenticator = self.guarded(checker)
        for _ in range(9):
            self.leave()
            answers[-1].callback(b"ada")
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (0, 0))
        self.leave()
        self.assertEqual(len(answers), 10)

    def test_leaveWrong(self) -> None:
        """
        Who leaves while a wrong one is checked has failed as others have, once it is known.
        """
        answers, checker = self.telling()
        self.authenticator = self.guarded(checker)
        for _ in range(3):
            self.leave()
            answers[-1].errback(UnauthorizedLogin())
        self.assertIsNone(self.successResultOf(self.login()))
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (3, 1))
        self.assertEqual(len(answers), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_leaveUnknown(self) -> None:
        """
        Who leaves before anybody has looked has not failed.
        """
        checker = FunctionChecker(lambda _: Deferred(lambda deferred: deferred.errback(TooBusy())))
        self.authenticator = self.guarded(checker)
        for _ in range(9):
            self.leave()
        self.assertEqual((self.authenticator.failed, self.authenticator.barred), (0, 0))

    def test_leaveTurn(self) -> None:
        """
        Who leaves keeps his turn until it is known: no more are checked at a time than may
        fail.
        """
        answers, checker = self.telling()
        self.authenticator = self.guarded(checker)
        for _ in range(3):
            self.leave()
        waiting = self.login()
        self.assertEqual(len(answers), 3)
        answers[2].errback(UnauthorizedLogin())
        self.clock.advance(0)
        self.assertEqual(len(answers), 4)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_leaveUnguarded(self) -> None:
        """
        Without anything that counts, who leaves need not wait for what is found, either.
        """
        answers, checker = self.telling()
        self.authenticator = Authenticator([checker])
        self.leave()
        answers[0].errback(UnauthorizedLogin())
        self.assertEqual(self.authenticator.failed, 1)

    def test_owner(self) -> None:
        """
        A checker can tell whom a login counts against: the network.
        """
        owners: list[object] = []

        def note(credentials: Any) -> Deferred[bytes]:
            owners.append(credentials.owner)
            return succeed(b"ada")

        self.authenticator = self.guarded(FunctionChecker(note))
        for address in (self.HERE, IPv6Address("2001:db8::9"), None):
            self.successResultOf(self.login(ADA, address))
        self.assertEqual(owners, [self.HERE, IPv6Network("2001:db8::/64"), None])

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
