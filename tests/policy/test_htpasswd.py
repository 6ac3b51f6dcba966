"""
Tests of L{socks6.policy.htpasswd}.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
from twisted.application.service import IService
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.policy import htpasswd
from socks6.policy.htpasswd import LINES_PERIOD, HtpasswdChecker
from socks6.policy.remembered import LIFETIME
from socks6.policy.verifier import MAX_WAITING, TooBusy, Verifier
from socks6.wire.errors import UsageError
from tests.policy.passwords import FakeThreads, bcryptOf, writePasswords


class HtpasswdCheckerTests(SynchronousTestCase):
    """
    The users of a file are known.
    """

    def setUp(self) -> None:
        self.threads = FakeThreads()
        self.patch(htpasswd, "Verifier", partial(Verifier, threads=1, start=self.threads.start))
        self.path = writePasswords(Path(self.mktemp()), ada=b"s3cret", eve=b"gu3ss")
        self.checker = HtpasswdChecker(self.path, lambda: self.threads)
        self.events: list[Any] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    @property
    def lines(self) -> list[str]:
        """
        What we have logged.
        """
        return [
            formatEvent(event)
            for event in self.events
            if str(event.get("log_namespace")).startswith("socks6.")
        ]

    def ask(self, name: Any = b"ada", password: Any = b"s3cret") -> Deferred[Any]:
        """
        Ask the checker.
        """
        credentials: Any = UsernamePassword(name, password)
        return self.checker.requestAvatarId(credentials)

    def login(self, name: Any = b"ada", password: Any = b"s3cret") -> tuple[Any, int]:
        """
        Log in.

        @return: Who it is, L{None} for nobody; and how many passwords were verified.
        """
        result = self.ask(name, password)
        verified = self.threads.runAll()
        answers: list[Any] = []
        result.addCallbacks(answers.append, lambda failure: failure.trap(UnauthorizedLogin))
        self.successResultOf(result)
        return (answers or [None])[0], verified

    def test_interfaces(self) -> None:
        """
        It is a checker of user names and passwords, and a service.
        """
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))
        self.assertTrue(verifyObject(IService, self.checker))
        self.assertEqual(self.checker.credentialInterfaces, (IUsernamePassword,))

    def test_passwords(self) -> None:
        """
        Who has the right password gets in, under his name.
        """
        for name, password, known in (
            (b"ada", b"s3cret", b"ada"),
            (b"eve", b"gu3ss", b"eve"),
            ("ada", "s3cret", b"ada"),
            (b"ada", b"gu3ss", None),
            (b"ada", b"S3cret", None),
            (b"Ada", b"s3cret", None),
            (b"zoe", b"s3cret", None),
            (b"", b"", None),
        ):
            self.assertEqual(self.login(name, password)[0], known, repr((name, password)))

    def test_unknownUser(self) -> None:
        """
        A user who does not exist costs the same as a wrong password, each time.
        """
        asked: list[bytes] = []
        check = bcrypt.checkpw

        def checkpw(password: bytes, hashed: bytes) -> bool:
            asked.append(hashed[:7])
            return check(password, hashed)

        self.patch(bcrypt, "checkpw", checkpw)
        for name in (b"ada", b"zoe", b"ada", b"zoe"):
            self.assertEqual(self.login(name, b"wrong"), (None, 1))
        self.assertEqual(asked, [b"$2b$04$"] * 4)
        # Even if he happens to have the password of the one whose hash is verified.
        decoy = self.checker._passwords.decoy
        assert decoy is not None
        (right,) = [word for word in (b"s3cret", b"gu3ss") if decoy.matches(word)]
        for _ in range(2):
            self.assertEqual(self.login(b"zoe", right), (None, 1))

    def test_nobody(self) -> None:
        """
        Where there are no users, nobody gets in.
        """
        self.path.write_bytes(b"")
        self.checker.prepare()()
        self.assertEqual(self.login(), (None, 0))

    def test_remembered(self) -> None:
        """
        A right login is not verified again for a while; a wrong one always is.
        """
        self.assertEqual(self.login(), (b"ada", 1))
        self.assertEqual(self.login(), (b"ada", 0))
        for _ in range(2):
            self.assertEqual(self.login(b"ada", b"wrong"), (None, 1))
            self.assertEqual(self.login(b"eve", b"s3cret"), (None, 1))
        self.threads.advance(LIFETIME)
        self.assertEqual(self.login(), (b"ada", 1))

    def test_sameTime(self) -> None:
        """
        The same login at the same time is verified once.
        """
        results = [self.ask() for _ in range(3)]
        self.assertEqual(self.threads.runAll(), 1)
        for result in results:
            self.assertEqual(self.successResultOf(result), b"ada")

    def test_neverThePassword(self) -> None:
        """
        What is remembered does not hold the password, nor what could be verified
        without our key.
        """
        self.login()
        (digest,) = self.checker._remembered._until
        self.assertEqual(len(digest), 32)
        other = HtpasswdChecker(self.path, lambda: self.threads)
        hashed = other._passwords.users[b"ada"].octets
        self.assertNotEqual(other._remembered.digest(b"ada", hashed, b"s3cret"), digest)

    def test_reload(self) -> None:
        """
        What the file says is in force when it is put in force, and not before; nothing
        is remembered then.
        """
        self.login()
        self.login(b"eve", b"gu3ss")
        content = self.path.read_bytes()
        self.path.write_bytes(content.splitlines(True)[1] + b"ada:" + bcryptOf(b"n3w"))
        adopt = self.checker.prepare()
        self.assertEqual(self.login(), (b"ada", 0))
        adopt()
        self.assertEqual(self.login(), (None, 1))
        self.assertEqual(self.login(b"ada", b"n3w"), (b"ada", 1))
        self.assertEqual(self.login(b"eve", b"gu3ss"), (b"eve", 1))

    def test_badReload(self) -> None:
        """
        A file that is wrong changes nothing.
        """
        self.path.write_bytes(b"ada:s3cret\n")
        error = self.assertRaises(UsageError, self.checker.prepare)
        self.assertEqual(str(error), f"{self.path}: line 1: neither a bcrypt nor an argon2 hash")
        self.assertEqual(self.login(), (b"ada", 1))
        self.path.unlink()
        self.assertRaises(UsageError, self.checker.prepare)
        self.assertEqual(self.login(), (b"ada", 0))

    def test_changedMeanwhile(self) -> None:
        """
        Who is taken out of the file while his password is verified does not get in.
        """
        for content in (b"", b"ada:" + bcryptOf(b"s3cret")):
            before = self.path.read_bytes()
            result = self.ask()
            self.path.write_bytes(content)
            self.checker.prepare()()
            self.threads.runAll()
            self.failureResultOf(result, UnauthorizedLogin)
            self.path.write_bytes(before)
            self.checker.prepare()()

    def test_unchangedMeanwhile(self) -> None:
        """
        Who is still there with the same hash gets in.
        """
        result = self.ask()
        self.checker.prepare()()
        self.threads.runAll()
        self.assertEqual(self.successResultOf(result), b"ada")

    def test_cancel(self) -> None:
        """
        What nobody waits for is not verified, and neither right nor wrong; that is no
        failure of ours.
        """
        first, second = self.ask(), self.ask(b"eve")
        second.cancel()
        self.failureResultOf(second, TooBusy)
        self.assertEqual(self.threads.runAll(), 1)
        self.successResultOf(first)
        self.assertEqual(self.lines, [])

    def test_cancelBegun(self) -> None:
        """
        What has been begun comes to its end, and is remembered.
        """
        right = self.ask()
        right.cancel()
        self.assertNoResult(right)
        self.threads.runAll()
        self.assertEqual(self.successResultOf(right), b"ada")
        self.assertEqual(self.login(), (b"ada", 0))
        wrong = self.ask(b"ada", b"wrong")
        wrong.cancel()
        self.threads.runAll()
        self.failureResultOf(wrong, UnauthorizedLogin)

    def test_cancelTwice(self) -> None:
        """
        Whoever insists waits no more.
        """
        result = self.ask()
        result.cancel()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(self.threads.runAll(), 1)
        self.assertEqual(self.lines, [])

    def test_turns(self) -> None:
        """
        Those whom credentials count against take turns.
        """
        order: list[bytes] = []
        for password, owner in ((b"1", "eve"), (b"2", "eve"), (b"3", "eve"), (b"4", "ada")):
            credentials: Any = UsernamePassword(b"ada", password)
            credentials.owner = owner
            result = self.checker.requestAvatarId(credentials)
            result.addErrback(lambda _, word: order.append(word), password)
        self.threads.runAll()
        self.assertEqual(order, [b"1", b"4", b"2", b"3"])

    def test_busy(self) -> None:
        """
        Too many at a time are refused; the lines about it are few.
        """
        for number in range(MAX_WAITING + 1):
            self.ask(b"ada", b"%d" % number).addErrback(lambda failure: None)
        for _ in range(3):
            self.failureResultOf(self.ask(), TooBusy)
        line = f"{self.path}: a password could not be verified: too many passwords to verify"
        self.assertEqual(self.lines, [line])
        self.threads.advance(LINES_PERIOD)
        self.failureResultOf(self.ask(), TooBusy)
        more = f"{self.path}: 2 more passwords could not be verified"
        self.assertEqual(self.lines[1:], [more, line])
        self.threads.runAll()
        self.assertEqual(self.login(), (b"ada", 1))

    def test_libraryFails(self) -> None:
        """
        If the library cannot tell, nobody gets in, and it is logged, without the
        password; it is not verified any less the next time.
        """

        def fail(password: bytes, hashed: bytes) -> bool:
            raise MemoryError

        self.patch(bcrypt, "checkpw", fail)
        self.checker.prepare()()
        result = self.ask()
        self.threads.runAll()
        self.failureResultOf(result, TooBusy)
        self.assertEqual(
            self.lines, [f"{self.path}: a password could not be verified: MemoryError"]
        )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_stop(self) -> None:
        """
        When the service has stopped, its threads have ended, and it has said what it
        had to say.
        """
        self.checker.startService()
        first, second, third = self.ask(), self.ask(b"eve"), self.ask(b"zoe")
        stopped = self.checker.stopService()
        self.failureResultOf(second, TooBusy)
        self.failureResultOf(third, TooBusy)
        self.assertNoResult(stopped)
        self.threads.runAll()
        self.successResultOf(stopped)
        self.assertEqual(self.successResultOf(first), b"ada")
        self.assertEqual(
            self.lines,
            [
                f"{self.path}: a password could not be verified: no more passwords are verified",
                f"{self.path}: 1 more passwords could not be verified",
            ],
        )

    def test_stopUnused(self) -> None:
        """
        A service that had nothing to do stops at once.
        """
        self.checker.startService()
        self.successResultOf(self.checker.stopService())
