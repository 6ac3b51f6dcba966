"""
Servers that have a process for each connection.
"""

from __future__ import annotations

import socket
import subprocess
from contextlib import nullcontext, suppress
from pathlib import Path
from unittest import TestCase

from tests.integration.peers import DEADLINE, listen, placeOf
from tests.integration.threads import ThreadedServer
from tests.integration.twistd import environment


class ProcessServer(ThreadedServer):
    """
    Starts a program for each connection, which is its standard input and output.

    @ivar place: Where it listens.
    """

    def __init__(
        self,
        testCase: TestCase,
        command: list[str],
        host: str = "127.0.0.1",
        log: Path | None = None,
    ) -> None:
        """
        @param command: The program and its arguments.
        @param log: Where its standard error goes; L{None}: into the connection as well.
        """
        self._command = command
        self._log = log
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
        with nullcontext(sock) if self._log is None else self._log.open("ab") as errors:
            process = subprocess.Popen(
                self._command,
                stdin=sock.fileno(),
                stdout=sock.fileno(),
                stderr=errors.fileno(),
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
