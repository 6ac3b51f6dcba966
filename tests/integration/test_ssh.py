"""
Tests for C{socks6 connect} under ssh and sftp.
"""

from __future__ import annotations

import hashlib

from tests.integration import requireProgram
from tests.integration.commands import SIZE, CommandTestCase
from tests.integration.peers import DEADLINE, pattern
from tests.integration.programs import SOCKS6, running
from tests.integration.sshserver import SSHServer


class SSHTests(CommandTestCase):
    """
    Under ssh and sftp.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ssh = requireProgram(self, "ssh")
        self.sftp = requireProgram(self, "sftp")
        self.server = SSHServer(self)
        self.data = pattern(SIZE)
        self.digest = hashlib.sha256(self.data).hexdigest()

    def options(self, *more: str) -> list[str]:
        """
        Give options of ssh and sftp.
        """
        command = [*SOCKS6, "connect", "%h", "%p", "--proxy", self.url, *more]
        return self.server.options(command)

    def test_ssh(self) -> None:
        """
        A file goes to the server and comes back, also if data leaves early.
        """
        for more in ([], ["--optimistic"]):
            command = [self.ssh, *self.options(*more), "127.0.0.1"]
            digest = self.server.run(*command, "sha256sum", input=self.data)
            self.assertEqual(digest.split()[0].decode(), self.digest)
            self.assertTrue(self.server.run(*command, "cat", input=self.data) == self.data)
        # Sometimes ssh ends our program before it has ended.
        line = f" connect 127.0.0.1:{self.server.place[1]}: "
        self.proxy.waitFor(lambda: self.proxy.output().count(line) == 4, "not through the proxy")

    def test_sftp(self) -> None:
        """
        The same by sftp.
        """
        folder = self.folder()
        (folder / "here").write_bytes(self.data)
        batch = f"put {folder}/here {folder}/there\nget {folder}/there {folder}/back\n"
        command = [self.sftp, "-b", "-", *self.options(), "127.0.0.1"]
        self.server.run(*command, input=batch.encode())
        self.assertTrue((folder / "there").read_bytes() == self.data)
        self.assertTrue((folder / "back").read_bytes() == self.data)

    def test_gone(self) -> None:
        """
        When the server's machine dies, ssh hears of it at once.
        """
        command = [self.ssh, *self.options(), "127.0.0.1", "echo ready; cat"]
        with running(*command) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"ready\n")
            self.server.killAll()
            self.assertEqual(process.wait(DEADLINE), 255)
