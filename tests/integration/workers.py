"""
C{twistd socks6} with several workers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.integration.peers import Place
from tests.integration.sharing import SessionCase
from tests.integration.twistd import Twistd


def isRunning(pid: int) -> bool:
    """
    Tell whether there is a process that has not ended, whether or not anybody has taken
    note of its end.
    """
    try:
        # number (name) state, and so on
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Crew(Twistd):
    """
    A proxy of several processes.
    """

    def _found(self) -> list[Place]:
        """
        Find where it listens; each process says so.
        """
        return list(dict.fromkeys(super()._found()))

    def pids(self) -> dict[int, int]:
        """
        Find the workers' processes, by their numbers.
        """
        pid = self.process.pid
        found = {}
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                *_, number, _ = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                found[int(number)] = child
        return found

    def waitUntilServing(self, times: Sequence[int] = (1, 1)) -> dict[int, int]:
        """
        Wait until all workers serve.

        @param times: How often each has begun to.
        @return: Their processes, by their numbers.
        """

        def serve() -> bool:
            output = self.output()
            return all(
                output.count(f"worker {number} serves\n") >= count
                for number, count in enumerate(times, 1)
            )

        self.waitFor(serve, "the workers do not serve")
        return self.pids()

    @contextmanager
    def only(self, number: int) -> Iterator[None]:
        """
        Let all workers but one stand still meanwhile.
        """
        others = [pid for each, pid in self.pids().items() if each != number]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)


class CrewCase(SessionCase):
    """
    A test with proxies of several processes.
    """

    def crew(self, *arguments: str, prefix: Sequence[str] = (), runner: Sequence[str] = ()) -> Crew:
        """
        Start a proxy with two workers.

        @param arguments: Besides.
        """
        more = {"runner": runner} if runner else {}
        # twistd begins in a folder beside this one.
        store = f"--sessions=sqlite:../{self.folder().name}/sessions"
        return Crew(self, "--workers=2", store, *arguments, prefix=prefix, **more)

    def assertEnds(self, crew: Crew, pids: dict[int, int]) -> None:
        """
        Check that all workers have ended.
        """
        self.assertEqual([pid for pid in pids.values() if isRunning(pid)], [], crew.output())
