"""
C{tor} in a process of its own, without any network: it takes streams, tells of them at
its control port, and never has a circuit for them.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.peers import DEADLINE, refusingPlace

#: Whatever it does for itself goes to a proxy that refuses it.
CONFIGURATION = """
DataDirectory {folder}/data
SocksPort unix:{folder}/socks
ControlSocket {folder}/control
Socks5Proxy {nowhere}
GeoIPFile
GeoIPv6File
"""


@dataclass(frozen=True)
class Stream:
    """
    A stream that wants a circuit.

    @ivar target: Where it wants to go.
    @ivar who: The user name and password that came with it.
    @ivar isolatedBy: What must be the same for streams that share a circuit.
    """

    target: str
    who: tuple[str, str] | None
    isolatedBy: frozenset[str]


_NEW_STREAM = re.compile(r"650 STREAM \d+ NEW 0 (?P<target>\S+) (?P<rest>.* PURPOSE=USER .*)")


class TorProcess:
    """
    The process, which ends with the test.

    @ivar socks: The path of its UNIX socket for SOCKS 5.
    """

    def __init__(self, testCase: TestCase) -> None:
        """
        Start it, and listen to its control port.
        """
        program = requireProgram(testCase, "tor")
        folder = TemporaryDirectory(prefix="socks6-")
        testCase.addCleanup(folder.cleanup)
        self._folder = Path(folder.name)
        self._log = self._folder / "log"
        self.socks = self._folder / "socks"
        nobody, (host, port) = refusingPlace()
        testCase.addCleanup(nobody.close)
        configuration = self._folder / "configuration"
        text = CONFIGURATION.format(folder=folder.name, nowhere=f"{host}:{port}")
        configuration.write_text(text, "ascii")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-f", str(configuration), "--defaults-torrc", "/dev/null"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        testCase.addCleanup(self._process.wait, DEADLINE)
        testCase.addCleanup(self._process.kill)
        self._control = self._connect()
        testCase.addCleanup(self._control.close)
        self._lines = self._control.makefile("r", encoding="ascii", newline="\r\n")
        testCase.addCleanup(self._lines.close)
        for command in ("AUTHENTICATE", "SETEVENTS STREAM"):
            self._control.sendall(f"{command}\r\n".encode("ascii"))
            answer = self._lines.readline()
            if answer != "250 OK\r\n":
                raise AssertionError(f"{command}: {answer}")

    def _connect(self) -> socket.socket:
        """
        Connect to the control port as soon as it is there.
        """
        deadline = time.monotonic() + DEADLINE
        while True:
            control = socket.socket(socket.AF_UNIX)
            control.settimeout(DEADLINE)
            try:
                control.connect(str(self._folder / "control"))
            except OSError:
                control.close()
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(self._log.read_text("utf-8")) from None
                time.sleep(0.01)
            else:
                return control

    def nextStream(self) -> Stream:
        """
        Wait for the next stream of a client.
        """
        while True:
            line = self._lines.readline()
            if not line:
                raise EOFError("the control port is closed")
            match = _NEW_STREAM.match(line)
            if match is not None:
                fields = dict(
                    part.partition("=")[::2] for part in shlex.split(match["rest"].strip())
                )
                who = None
                if "SOCKS_USERNAME" in fields:
                    who = fields["SOCKS_USERNAME"], fields["SOCKS_PASSWORD"]
                isolatedBy = frozenset(fields["ISO_FIELDS"].split(","))
                return Stream(match["target"], who, isolatedBy)
