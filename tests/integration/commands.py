"""
C{socks6 connect}, with a proxy and a host to connect to.
"""

from __future__ import annotations

import subprocess
from threading import Thread

from tests.integration.chain import ChainTestCase, portOf
from tests.integration.peers import DEADLINE, listen, placeOf
from tests.integration.programs import SOCKS6
from tests.integration.twistd import Twistd

#: Octets of what is big.
SIZE = 8_000_000

#: Exit statuses.
USAGE, REFUSED, BROKEN, STOPPED = 1, 2, 3, 130


class CommandTestCase(ChainTestCase):
    """
    A test with a proxy.
    """

    def setUp(self) -> None:
        super().setUp()
        self.proxy = Twistd(self, "--port=0")
        self.url = f"socks6://127.0.0.1:{portOf(self.proxy)}"
        self.listener = listen()
        self.addCleanup(self.listener.close)

    def command(self, *arguments: str) -> list[str]:
        """
        Write a command that connects to where we listen.
        """
        host, port = placeOf(self.listener)
        return [*SOCKS6, "connect", host, str(port), "--proxy", self.url, *arguments]

    def ended(self, process: subprocess.Popen[bytes], status: int = 0) -> str:
        """
        Wait until the program has ended.

        @return: What it has written on standard error.
        """
        self.assertEqual(process.wait(DEADLINE), status)
        if process.stderr is None:
            return ""
        return process.stderr.read().decode()

    def complaint(self, process: subprocess.Popen[bytes], status: int) -> str:
        """
        Wait until the program has ended, with one line.
        """
        line = self.ended(process, status)
        self.assertTrue(line.startswith("socks6: "), line)
        self.assertEqual(line.count("\n"), 1, line)
        return line

    def endInput(self, process: subprocess.Popen[bytes]) -> None:
        """
        End standard input, and with it the program.
        """
        assert process.stdin is not None
        process.stdin.close()
        self.assertEqual(self.ended(process), "")

    def feed(self, process: subprocess.Popen[bytes], octets: bytes) -> Thread:
        """
        Write to standard input, and end it, in a thread.
        """

        def write() -> None:
            assert process.stdin is not None
            with process.stdin:
                process.stdin.write(octets)

        thread = Thread(target=write, daemon=True)
        thread.start()
        return thread
