"""
C{sshd}, for one user: whoever runs the tests.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.inetd import ProcessServer
from tests.integration.peers import DEADLINE
from tests.integration.programs import PATIENCE
from tests.integration.twistd import environment

#: Where sshd, if root runs it, wants an empty folder; the system's own service makes it.
_EMPTY_FOLDER = Path("/run/sshd")

CONFIGURATION = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class SSHServer(ProcessServer):
    """
    The server, with a process for each connection.

    @ivar folder: Where its files are.
    """

    def __init__(self, testCase: TestCase) -> None:
        program = requireProgram(testCase, "sshd")
        keygen = requireProgram(testCase, "ssh-keygen")
        folder = TemporaryDirectory(prefix="socks6-")
        testCase.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("host", "user"):
            command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True, timeout=DEADLINE)
        self._write("configuration", CONFIGURATION.format(folder=self.folder))
        self._errors = self.folder / "log"
        self._errors.touch()
        if os.geteuid() == 0:
            _EMPTY_FOLDER.mkdir(mode=0o755, exist_ok=True)
        command = [program, "-i", "-e", "-f", str(self.folder / "configuration")]
        super().__init__(testCase, command, log=self._errors)
        hostKey = (self.folder / "host.pub").read_text("ascii")
        self._write("known", f"[127.0.0.1]:{self.place[1]} {hostKey}")

    def _write(self, name: str, text: str) -> None:
        """
        Write a file.
        """
        (self.folder / name).write_text(text, "ascii")

    def options(self, proxyCommand: list[str] | None = None) -> list[str]:
        """
        Give the options with which a client reaches us and nobody else.

        @param proxyCommand: What it is to run instead of connecting by itself; of its
            arguments, C{%h} and C{%p} become our host and port.
        """
        settings = {
            "BatchMode": "yes",
            "GlobalKnownHostsFile": "none",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(self.folder / "user"),
            "Port": str(self.place[1]),
            "StrictHostKeyChecking": "yes",
            "User": pwd.getpwuid(os.geteuid()).pw_name,
            "UserKnownHostsFile": str(self.folder / "known"),
        }
        if proxyCommand is not None:
            settings["ProxyCommand"] = shlex.join(proxyCommand)
        return ["-F", "none", *[f"-o{name}={value}" for name, value in settings.items()]]

    def run(
        self,
        *command: str,
        input: bytes = b"",  # noqa: A002  as subprocess has it
    ) -> bytes:
        """
        Run a client to its good end.

        @return: What it writes.
        @raise AssertionError: It was no good end.
        """
        done = subprocess.run(
            command,
            input=input,
            capture_output=True,
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
        if done.returncode:
            log = self._errors.read_text("utf-8", "replace")
            raise AssertionError(f"{command}: {done.stderr.decode()}\n{log}")
        return done.stdout
