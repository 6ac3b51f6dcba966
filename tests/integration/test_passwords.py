"""
Tests for C{twistd socks6 --auth htpasswd:}, and for those who guess.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from argon2 import PasswordHasher

from tests.integration import requireProgram
from tests.integration.peers import (
    NOOP,
    REFUSED,
    Place,
    dial,
    encodePassword,
    encodeRequest,
    receiveAll,
)
from tests.integration.test_twistd import TwistdTestCase
from tests.integration.twistd import Twistd
from tests.integration.workers import Crew
from tests.policy.passwords import bcryptOf, writePasswords

#: Authentication and Operation Reply of who is let in.
WELCOME = bytes.fromhex("0600 00 02 0000" + "00 0000 01 00000000 0000")


def login(place: Place, name: bytes, password: bytes) -> bytes:
    """
    Make a NOOP request with a user name and password.

    @return: All that the proxy says.
    """
    with dial(place) as client:
        client.sendall(encodeRequest("0.0.0.0", 0, encodePassword(name, password), NOOP))
        return receiveAll(client)


def threadsOf(twistd: Twistd) -> int:
    """
    Count a process's threads.
    """
    return len(os.listdir(f"/proc/{twistd.process.pid}/task"))


class HtpasswdTests(TwistdTestCase):
    """
    Passwords that are hashed.
    """

    def test_users(self) -> None:
        """
        The users of the file get in, whichever kind of hash they have, and nobody else;
        no thread is left, and no password is in the log.
        """
        users = writePasswords(self.folder() / "users", ada=b"s3cret")
        with users.open("a") as file:
            file.write(f"\n# and one more\neve:{PasswordHasher().hash(b'gu3ss')}\n")
        twistd = Twistd(self, "--port=0", f"--auth=htpasswd:{users}")
        (place,) = twistd.places()
        threads = threadsOf(twistd)
        for name, password, expected in (
            (b"ada", b"s3cret", WELCOME),
            (b"ada", b"s3cret", WELCOME),
            (b"eve", b"gu3ss", WELCOME),
            (b"ada", b"gu3ss", REFUSED),
            (b"eve", b"s3cret", REFUSED),
            (b"zoe", b"s3cret", REFUSED),
        ):
            self.assertEqual(login(place, name, password), expected, repr((name, password)))
        twistd.waitFor(lambda: threadsOf(twistd) == threads, "threads are left")
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        for word in ("s3cret", "gu3ss", "$2b$", "Traceback"):
            self.assertNotIn(word, twistd.output())

    def test_program(self) -> None:
        """
        What C{htpasswd -B} writes is understood, and what else it writes is refused, with
        one line that names the file and the line and nothing that is in it.
        """
        program = requireProgram(self, "htpasswd")
        users = self.folder() / "users"
        for options in (["-cbB"], ["-bB", "-C", "6"]):
            name = ["ada", "eve"][len(options) > 1]
            command = [program, *options, str(users), name, "s3cret"]
            subprocess.run(command, check=True, capture_output=True)
        twistd = Twistd(self, "--port=0", f"--auth=htpasswd:{users}")
        (place,) = twistd.places()
        self.assertEqual(login(place, b"ada", b"s3cret"), WELCOME)
        self.assertEqual(login(place, b"eve", b"s3cret"), WELCOME)
        self.assertEqual(login(place, b"eve", b"S3cret"), REFUSED)
        twistd.stop()
        good = users.read_bytes()
        for option in ("-m", "-s", "-d", "-p", "-5"):
            users.write_bytes(good)
            command = [program, "-b", option, str(users), "zoe", "s3cret"]
            subprocess.run(command, check=True, capture_output=True)
            weak = users.read_text("ascii").splitlines()[2].partition(":")[2]
            twistd = Twistd(self, "--port=0", f"--auth=htpasswd:{users}")
            self.assertEqual(twistd.wait(), 1)
            output = twistd.output()
            self.assertEqual(output.count("\n"), 1, output)
            self.assertTrue(output.startswith(f"twistd socks6: --auth: {users}: line 3: "), output)
            self.assertNotIn(weak, output)

    def test_othersMeanwhile(self) -> None:
        """
        While a password is verified, which takes ten seconds and more here, others are
        served; and who has logged in before need not wait for it.
        """
        users = self.folder() / "users"
        writePasswords(users, ada=b"s3cret")
        slow = bcryptOf(b"gu3ss").replace(b"$04$", b"$17$").decode("ascii")
        with users.open("a") as file:
            file.write(f"eve:{slow}\n")
        twistd = Twistd(self, "--port=0", f"--auth=htpasswd:{users}")
        (place,) = twistd.places()
        threads = threadsOf(twistd)
        self.assertEqual(login(place, b"ada", b"s3cret"), WELCOME)
        twistd.waitFor(lambda: threadsOf(twistd) == threads, "threads are left")
        with dial(place) as client:
            client.sendall(encodeRequest("0.0.0.0", 0, encodePassword(b"eve", b"gu3ss"), NOOP))
            twistd.waitFor(lambda: threadsOf(twistd) > threads, "nothing is verified")
            self.assertEqual(login(place, b"ada", b"s3cret"), WELCOME)
            self.assertGreater(threadsOf(twistd), threads)

    def test_stop(self) -> None:
        """
        The proxy stops in order while a password is verified.
        """
        users = self.folder() / "users"
        users.write_bytes(b"ada:" + bcryptOf(b"gu3ss").replace(b"$04$", b"$15$"))
        twistd = Twistd(self, "--port=0", f"--auth=htpasswd:{users}")
        (place,) = twistd.places()
        threads = threadsOf(twistd)
        with dial(place) as client:
            client.sendall(encodeRequest("0.0.0.0", 0, encodePassword(b"ada", b"s3cret"), NOOP))
            twistd.waitFor(lambda: threadsOf(twistd) > threads, "nothing is verified")
            self.assertEqual(twistd.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", twistd.output())

    def test_workers(self) -> None:
        """
        Several processes know the users as well.
        """
        folder = self.folder()
        users = writePasswords(folder / "users", ada=b"s3cret")
        crew = Crew(
            self,
            "--port=0",
            "--workers=2",
            f"--sessions=sqlite:{folder / 'sessions'}",
            f"--auth=htpasswd:{users}",
        )
        (place,) = crew.places()
        crew.waitUntilServing()
        for _ in range(8):
            self.assertEqual(login(place, b"ada", b"s3cret"), WELCOME)
        self.assertEqual(login(place, b"ada", b"gu3ss"), REFUSED)


class GuessTests(TwistdTestCase):
    """
    Those who guess.
    """

    def check(self, auth: str, users: Path) -> None:
        """
        Guess until we are barred.
        """
        twistd = Twistd(self, "--port=0", "--auth-failures=2/600", f"--auth={auth}:{users}")
        (place,) = twistd.places()
        self.assertEqual(login(place, b"ada", b"s3cret"), WELCOME)
        for _ in range(2):
            self.assertEqual(login(place, b"ada", b"gu3ss"), REFUSED)
        self.assertEqual(login(place, b"ada", b"s3cret"), REFUSED)
        twistd.waitForLine("127.0.0.1 is barred for 600 s: 2 failed logins")

    def test_barred(self) -> None:
        """
        Who has guessed too often is not let in even with the right password, whatever
        knows it.
        """
        users = self.folder() / "users"
        self.check("htpasswd", writePasswords(users, ada=b"s3cret"))
        users.write_bytes(b"ada:s3cret\n")
        self.check("file", users)
