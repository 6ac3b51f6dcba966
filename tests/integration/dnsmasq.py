"""
C{dnsmasq}, a name server, in a process of its own.
"""

from __future__ import annotations

import subprocess
import time
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.peers import DEADLINE, dial, listen, placeOf

#: What it knows.
ADDRESSES = {"one.example": "203.0.113.1", "six.example": "2001:db8::6"}

#: A name whose text takes more room than a small datagram has.
LONG_NAME = "long.example"
LONG_TEXT = "x" * 200


class Dnsmasq:
    """
    A server on a port of the loopback address, which ends with the test.

    @ivar port: The port, for UDP and TCP.
    """

    def __init__(self, testCase: TestCase) -> None:
        """
        Start it, and wait until it is there.
        """
        program = requireProgram(testCase, "dnsmasq")
        for _ in range(5):
            with listen() as listener:
                _, self.port = placeOf(listener)
            self._process = subprocess.Popen(
                [
                    *(program, "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="),
                    *("--no-resolv", "--no-hosts", "--user=", "--group="),
                    *("--listen-address=127.0.0.1", "--bind-interfaces", f"--port={self.port}"),
                    *(f"--address=/{name}/{address}" for name, address in ADDRESSES.items()),
                    *(f"--txt-record={LONG_NAME},{LONG_TEXT}{number}" for number in range(5)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            testCase.addCleanup(self._process.wait, DEADLINE)
            testCase.addCleanup(self._process.kill)
            if self._answers():
                return
        raise AssertionError("dnsmasq does not start")

    def _answers(self) -> bool:
        """
        Wait until it is there.

        @return: C{False}: it has ended, perhaps because the port was taken meanwhile.
        """
        deadline = time.monotonic() + DEADLINE
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                dial(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return self._process.poll() is None
        return False
