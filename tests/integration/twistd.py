"""
C{twistd socks6} and C{twistd socks6-local}, each in a process of its own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO
from unittest import TestCase

from tests.integration.peers import DEADLINE, Place

CHECKOUT = Path(__file__).resolve().parents[2]

#: Runs the script of that name, wherever pip has put it.
TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
TWISTD += ["-n", "--pidfile="]

#: The younger runner.
TWIST = [sys.executable, "-m", "twisted"]

_STARTING = re.compile(r"starting on (?:(\d+)|b?'([^']+)')")


#: Options of each of which there is a port.
_PORT_OPTIONS = ("--port", "--tls-port", "--transparent", "--admin=", "--metrics")


def environment(**more: str) -> dict[str, str]:
    """
    Make the environment in which Python finds this checkout, nothing measures
    coverage or writes into it, and no proxy is named but what the test says.

    @param more: What else is in it.
    """
    ours = {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SOCKS6_") and not name.lower().endswith("_proxy")
    }
    return kept | ours | more


def listeningOf(pid: int) -> set[str | int]:
    """
    Ask the system for the TCP ports and UNIX sockets that are listened on in a
    process's network namespace.

    @raise FileNotFoundError: There is no such process.
    """
    folder = Path(f"/proc/{pid}/net")
    listening: set[str | int] = set()
    for name in "tcp", "tcp6":
        for line in (folder / name).read_text("ascii").splitlines()[1:]:
            # number: address:port peer:port state, and so on
            _, local, _, state = line.split()[:4]
            if state == "0A":
                listening.add(int(local.rpartition(":")[2], 16))
    for line in (folder / "unix").read_text("utf-8").splitlines()[1:]:
        # number: references protocol flags type state inode path
        fields = line.split()
        if int(fields[3], 16) & 0x10000 and len(fields) == 8:
            listening.add(fields[7])
    return listening


class Twistd:
    """
    A proxy in a process of its own, which ends with the test.

    @cvar command: The name behind C{twistd}.
    @cvar defaults: Options that a test may override.
    @ivar process: The process.
    """

    command = "socks6"
    # Tests leave tunnels open.
    defaults: Sequence[str] = ("--drain-timeout=0",)

    def __init__(
        self,
        testCase: TestCase,
        *arguments: str,
        runner: Sequence[str] = TWISTD,
        prefix: Sequence[str] = (),
    ) -> None:
        """
        Start it; see L{places} for when it is there.

        @param arguments: What follows the command.
        @param prefix: A program that runs it, and that program's arguments.
        """
        folder = tempfile.TemporaryDirectory(prefix="socks6-")
        testCase.addCleanup(folder.cleanup)
        self._output: IO[bytes] = (Path(folder.name) / "output").open("w+b")
        testCase.addCleanup(self._output.close)
        self._expected = sum(each.startswith(_PORT_OPTIONS) for each in arguments) or 1
        self.process = subprocess.Popen(
            [*prefix, *runner, self.command, *self.defaults, *arguments],
            cwd=folder.name,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        testCase.addCleanup(self.kill)

    def output(self) -> str:
        """
        Read all that it has written so far.
        """
        return Path(self._output.name).read_text("utf-8")

    def lines(self) -> list[str]:
        """
        Read its log, without the times.
        """
        return [line.split(" ", 1)[-1] for line in self.output().splitlines()]

    def waitFor(self, happened: Callable[[], bool], what: str) -> None:
        """
        Wait for something.

        @raise TimeoutError: It does not happen, or the process ends.
        """
        deadline = time.monotonic() + DEADLINE
        while True:
            # Before we look, as it may happen just before the end.
            hasEnded = self.process.poll() is not None
            if happened():
                return
            if hasEnded or time.monotonic() > deadline:
                raise TimeoutError(f"{what}:\n{self.output()}")
            time.sleep(0.01)

    def places(self) -> list[Place]:
        """
        Wait until it listens.

        @return: Where, in the order of the arguments; on the loopback address.
        """
        self.waitFor(self._listens, "it does not listen")
        return self._found()

    def _listens(self) -> bool:
        """
        Tell whether it listens on all its ports: of each, it says so in the log
        a moment before.
        """
        found = self._found()
        try:
            listening = listeningOf(self.process.pid)
        except FileNotFoundError:
            # It has ended.
            return False
        return len(found) >= self._expected and all(
            (place if isinstance(place, str) else place[1]) in listening for place in found
        )

    def _found(self) -> list[Place]:
        """
        Find in the log where it listens.
        """
        return [
            ("127.0.0.1", int(port)) if port else path
            for port, path in _STARTING.findall(self.output())
        ]

    def waitForLine(self, text: str) -> str:
        """
        Wait until the log has a line with some text in it.

        @return: The line.
        """
        self.waitFor(lambda: text in self.output(), f"no {text!r} in the log")
        return next(line for line in self.lines() if text in line)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """
        Ask it to stop.

        @return: The exit status.
        """
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """
        Wait until it has ended.

        @return: The exit status.
        """
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """
        End it.
        """
        self.process.kill()
        self.process.wait(DEADLINE)

    def memory(self) -> int:
        """
        Tell how much memory it has, in octets.
        """
        pages = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """
        Count its open descriptors.
        """
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Local(Twistd):
    """
    The local proxifier.
    """

    command = "socks6-local"
    defaults = ()
