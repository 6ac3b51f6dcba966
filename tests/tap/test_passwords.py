"""
Tests of L{socks6.tap.passwords}.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from socks6.policy import htpasswd
from socks6.policy.failures import FailedLogins
from socks6.policy.htpasswd import HtpasswdChecker
from socks6.policy.verifier import Verifier
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.server.service import ProxyService
from socks6.tap import makeService
from tests.doubles import Peer
from tests.policy.passwords import FakeThreads, writePasswords
from tests.server.harness import (
    AUTHENTICATED,
    DONE,
    REFUSED,
    authenticationData,
    credentials,
    request,
)
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse


def noop(name: bytes, password: bytes) -> bytes:
    """
    Write a NOOP request with a user name and password.
    """
    return request(authenticationData(credentials(name, password)), command=0)


class PasswordOptionsTests(OptionsTestCase):
    """
    What can be said about passwords.
    """

    def test_htpasswd(self) -> None:
        """
        Of a file of htpasswd there is a checker; its name is meant from where we are.
        """
        path = writePasswords(self.folder / "users", ada=b"s3cret")
        relative = os.path.relpath(path)
        options = parse("--auth", f"htpasswd:{relative}", "--auth", "memory:eve:gu3ss")
        checker, _ = options.checkers
        assert isinstance(checker, HtpasswdChecker)
        self.assertEqual(checker.path, path.absolute())
        self.assertEqual(list(checker._passwords.users), [b"ada"])
        self.assertEqual(options.passwordFiles, [path.absolute()])

    def test_rate(self) -> None:
        """
        How many logins may fail is a number and seconds, or 0.
        """
        for text, expected in (("3/2.5", (3, 2.5)), ("1000000/1e6", (1_000_000, 1e6))):
            failures = parse(f"--auth-failures={text}").failures(self.network)
            assert failures is not None
            self.assertEqual((failures._limit, failures._period), expected)
        default = parse().failures(self.network)
        assert isinstance(default, FailedLogins)
        self.assertEqual((default._limit, default._period), (10, 60.0))
        self.assertIsNone(parse("--auth-failures=0").failures(self.network))

    def test_mistakes(self) -> None:
        """
        What cannot be is said in one line.
        """
        missing = self.folder / "missing"
        plain = self.file("plain", b"ada:s3cret\n")
        for arguments, complaint in (
            (
                ("--auth", f"htpasswd:{plain}"),
                f"--auth: {Path(plain).absolute()}: line 1: neither a bcrypt nor an argon2 hash",
            ),
            (
                ("--auth", f"htpasswd:{missing}"),
                f"--auth: the password file {missing} cannot be read: No such file or directory",
            ),
            (("--auth", "htpasswd:"), "Unexpected error: 'htpasswd' requires a filename"),
            (("--auth-failures=10",), "--auth-failures '10' is neither NUMBER/SECONDS nor 0"),
            (("--auth-failures=",), "--auth-failures '' is neither NUMBER/SECONDS nor 0"),
            (
                ("--auth-failures=0/60",),
                "--auth-failures '0' is not a number from 1 to 1000000",
            ),
            (
                ("--auth-failures=x/60",),
                "--auth-failures 'x' is not a number from 1 to 1000000",
            ),
            (
                ("--auth-failures=10/0",),
                "--auth-failures '0' is not a number of seconds above 0",
            ),
            (
                ("--auth-failures=10/60/2",),
                "--auth-failures '60/2' is not a number of seconds above 0",
            ),
        ):
            self.assertEqual(self.complaint(*arguments), complaint)


class PasswordServiceTests(ServiceTestCase):
    """
    Passwords are checked as the command line wants it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.threads = FakeThreads()
        ours = Verifier(self.threads, 1, start=self.threads.start)
        self.patch(htpasswd, "Verifier", lambda reactor: ours)

    def connect(self, factory: SOCKS6ServerFactory, sent: bytes) -> Peer:
        """
        Connect and say something.
        """
        client = self.network.accept(factory)
        client.send(sent)
        client.end()
        return client

    def test_htpasswd(self) -> None:
        """
        The users of the file get in, once a thread has verified their passwords.
        """
        path = writePasswords(self.folder / "users", ada=b"s3cret")
        factory = self.start(f"--auth=htpasswd:{path}").factory
        for name, password, expected in (
            (b"ada", b"s3cret", AUTHENTICATED + DONE),
            (b"ada", b"gu3ss", REFUSED),
            (b"eve", b"s3cret", REFUSED),
        ):
            client = self.connect(factory, noop(name, password))
            self.assertEqual(client.received, b"")
            self.assertEqual(self.threads.runAll(), 1)
            self.network.elapse(5)
            self.assertEqual(client.received, expected)

    def test_stop(self) -> None:
        """
        When the service stops, it waits for the threads.
        """
        path = writePasswords(self.folder / "users", ada=b"s3cret")
        service: Any = makeService(parse(f"--auth=htpasswd:{path}"))
        service.privilegedStartService()
        service.startService()
        (proxy,) = (each for each in service if isinstance(each, ProxyService))
        self.connect(proxy.factory, noop(b"ada", b"s3cret"))
        stopped = service.stopService()
        self.network.spin()
        self.assertNoResult(stopped)
        self.threads.run()
        self.successResultOf(stopped)

    def test_failures(self) -> None:
        """
        Who has failed too often is not even asked, whatever knows the passwords; unless
        as many may fail as like to.
        """
        for limit, expected in (("2/60", REFUSED), ("3/60", AUTHENTICATED + DONE)):
            for checker in ("memory:ada:s3cret", f"file:{self.file('users', b'ada:s3cret')}"):
                factory = self.start(f"--auth-failures={limit}", f"--auth={checker}").factory
                for _ in range(2):
                    client = self.connect(factory, noop(b"eve", b"gu3ss"))
                    self.assertEqual(client.received, b"")
                    self.network.elapse(5)
                    self.assertEqual(client.received, REFUSED)
                client = self.connect(factory, noop(b"ada", b"s3cret"))
                self.assertEqual(client.received, expected)
        factory = self.start("--auth-failures=0", "--auth=memory:ada:s3cret").factory
        for _ in range(20):
            self.assertEqual(self.connect(factory, noop(b"eve", b"gu3ss")).received, REFUSED)
