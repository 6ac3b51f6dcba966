"""
Tests for C{socks6 connect}: who it says we are, and where it finds that.
"""

from __future__ import annotations

from pathlib import Path
from threading import Thread

from tests.integration.certificates import Authority
from tests.integration.chain import portOf
from tests.integration.commands import BROKEN, REFUSED, SIZE, CommandTestCase
from tests.integration.peers import DEADLINE, accept, pattern, placeOf, receive
from tests.integration.programs import SOCKS6, run, running
from tests.integration.twistd import Twistd, environment


class IdentityTests(CommandTestCase):
    """
    Who we are, and how the proxy is found.
    """

    def setUp(self) -> None:
        super().setUp()
        self.users = self.folder() / "users"
        self.users.write_text("ada:s3cret\n", "ascii")
        self.proxy = Twistd(self, "--port=0", f"--auth=file:{self.users}")
        self.url = f"socks6://ada@127.0.0.1:{portOf(self.proxy)}"

    def check(self, command: list[str], **variables: str) -> None:
        """
        See that we are let in, and that no command line shows the password.
        """
        with running(*command, env=environment(**variables)) as process:
            server = accept(self.listener)
            shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            self.assertNotIn(b"s3cret", shown)
            server.close()
            self.endInput(process)

    def test_file(self) -> None:
        """
        The password is in a file.
        """
        password = self.folder() / "password"
        password.write_text("s3cret\n", "ascii")
        self.check(self.command("--password-file", str(password)))
        self.url += f"?passwordfile={password}"
        self.check(self.command())

    def test_environment(self) -> None:
        """
        The password, and the proxy itself, are in the environment; what is on the
        command line counts more.
        """
        self.check(self.command(), SOCKS6_PASSWORD="s3cret")
        host, port = placeOf(self.listener)
        command = [*SOCKS6, "connect", host, str(port)]
        self.check(command, SOCKS6_PROXY=self.url, SOCKS6_PASSWORD="s3cret")
        self.check(command, SOCKS6_PROXY=self.url.replace("ada@", "ada:s3cret@"))
        self.check(self.command(), SOCKS6_PROXY="socks6://localhost:1", SOCKS6_PASSWORD="s3cret")

    def test_wrong(self) -> None:
        """
        A wrong password is a refusal, which does not repeat it; so is none.
        """
        for variables in ({"SOCKS6_PASSWORD": "guess"}, {}):
            if not variables:
                self.url = self.url.replace("ada@", "")
            done = run(*self.command(), variables=variables)
            self.assertEqual(done.returncode, REFUSED)
            self.assertEqual(done.stderr.count(b"\n"), 1)
            self.assertNotIn(b"guess", done.stderr)

    def test_tls(self) -> None:
        """
        With TLS, the proxy may want a certificate.
        """
        folder = self.folder()
        authority = Authority(folder)
        proxy = Twistd(
            self,
            "--tls-port=0",
            f"--certificate={authority.server().path}",
            f"--client-ca={authority.path}",
        )
        where = f"socks6s://localhost:{portOf(proxy)}?ca={authority.path}"
        data = pattern(SIZE)
        self.url = f"{where}&certificate={authority.client().path}"
        with running(*self.command()) as process:
            assert process.stdin is not None and process.stdout is not None
            server = accept(self.listener)
            sender = Thread(target=server.sendall, args=(data,), daemon=True)
            sender.start()
            self.assertTrue(process.stdout.read(SIZE) == data)
            sender.join(DEADLINE)
            process.stdin.write(data[:1000])
            process.stdin.flush()
            self.assertEqual(receive(server, 1000), data[:1000])
            server.close()
            self.assertEqual(process.stdout.read(), b"")
            self.endInput(process)
        self.url = where
        with running(*self.command()) as process:
            self.complaint(process, BROKEN)
