"""
C{vsftpd}, for whoever comes.
"""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.peers import DEADLINE, listen, placeOf
from tests.integration.threads import ThreadedServer
from tests.integration.twistd import environment

#: Active mode only, to whichever port above 1023 of the client's own host.
CONFIGURATION = """
listen=NO
run_as_launching_user=YES
anonymous_enable=YES
no_anon_password=YES
anon_root={folder}/files
write_enable=YES
anon_upload_enable=YES
anon_umask=022
anon_world_readable_only=NO
pasv_enable=NO
port_enable=YES
connect_from_port_20=NO
seccomp_sandbox=NO
"""


class FTPServer(ThreadedServer):
    """
    The server, with a process for each connection.

    @ivar files: The folder that it serves; C{incoming} can be written to.
    @ivar place: Where it listens.
    """

    def __init__(self, testCase: TestCase, host: str = "127.0.0.1") -> None:
        self._program = requireProgram(testCase, "vsftpd")
        folder = TemporaryDirectory(prefix="socks6-")
        testCase.addCleanup(folder.cleanup)
        self.files = Path(folder.name) / "files"
        (self.files / "incoming").mkdir(parents=True)
        # It refuses to serve a folder that its users could replace.
        self.files.chmod(0o555)
        testCase.addCleanup(self.files.chmod, 0o755)
        self._configuration = Path(folder.name) / "configuration"
        self._configuration.write_text(CONFIGURATION.format(folder=folder.name), "ascii")
        self._processes: list[subprocess.Popen[bytes]] = []
        testCase.addCleanup(self.killAll)
        listener = listen(host)
        self.place = placeOf(listener)
        super().__init__(testCase, listener)

    def serve(self, sock: socket.socket) -> None:
        """
        Let a process of its own talk with a client.
        """
        sock.settimeout(None)
        process = subprocess.Popen(
            [self._program, str(self._configuration)],
            stdin=sock.fileno(),
            stdout=sock.fileno(),
            stderr=sock.fileno(),
            env=environment(),
        )
        self._processes.append(process)
        sock.close()
        process.wait()

    def killAll(self) -> None:
        """
        End all that is left.
        """
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(DEADLINE)
