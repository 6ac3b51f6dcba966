"""
C{redis-server} in a process of its own.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.peers import DEADLINE, dial, listen, placeOf

#: Makes everything in the database a number of milliseconds older.
AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
    if redis.call('TYPE', key).ok == 'zset' then
        for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
            redis.call('ZINCRBY', key, -ARGV[1], member)
        end
    end
    local left = redis.call('PTTL', key)
    if left >= 0 then
        redis.call('PEXPIRE', key, left - ARGV[1])
    end
end
"""


class RedisProcess:
    """
    A server on a port of this machine, which ends with the test.

    @ivar folder: Where its files are.
    @ivar port: Where it listens, without TLS.
    """

    def __init__(self, testCase: TestCase, *arguments: str) -> None:
        """
        Start it, and wait until it is there.

        @param arguments: Of the program, beside those that say where.
        """
        self._program = requireProgram(testCase, "redis-server")
        folder = TemporaryDirectory(prefix="socks6-")
        testCase.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self._arguments = arguments
        testCase.addCleanup(self.kill)
        for _ in range(5):
            with listen() as listener:
                _, self.port = placeOf(listener)
            if self.start():
                return
        raise AssertionError("redis-server does not start")

    @property
    def url(self) -> str:
        """
        Tell where it is, for C{--sessions}.
        """
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> bool:
        """
        Start it where it was.

        @return: Whether its port was still free.
        """
        self.process = subprocess.Popen(
            [
                self._program,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self.folder), "--save", ""),
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.ask("PING")
            except (OSError, EOFError):
                time.sleep(0.01)
            except RedisError as error:
                if not str(error).startswith("LOADING"):
                    return True
            else:
                return True
        return False

    def kill(self) -> None:
        """
        End it, whatever gets lost.
        """
        self.process.kill()
        self.process.wait(DEADLINE)

    def freeze(self) -> None:
        """
        Keep it from doing anything.
        """
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """
        Let it go on.
        """
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: str | int, database: int = 0) -> Any:
        """
        Carry out a command on a connection of its own.

        @return: The answer: C{bytes}, a number, a list of such, or L{None}.
        @raise RedisError: It is an error.
        """
        with dial(("127.0.0.1", self.port)) as sock, sock.makefile("rwb") as file:
            for each in (("SELECT", database), command) if database else (command,):
                file.write(b"*%d\r\n" % len(each))
                for part in each:
                    octets = str(part).encode()
                    file.write(b"$%d\r\n%b\r\n" % (len(octets), octets))
                file.flush()
                answer = _read(file)
            return answer

    def age(self, seconds: float) -> None:
        """
        Make everything in it older.
        """
        self.ask("EVAL", AGE, 0, int(seconds * 1000))


class RedisError(Exception):
    """
    The server says no.
    """


def _read(file: Any) -> Any:
    """
    Read an answer.

    @raise RedisError: It is an error.
    @raise EOFError: There is none.
    """
    line: bytes = file.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError
    kind, text = line[:1], line[1:-2]
    if kind == b"-":
        raise RedisError(text.decode())
    if kind == b"+":
        return text
    number = int(text)
    if kind == b"$":
        return None if number < 0 else file.read(number + 2)[:-2]
    return [_read(file) for _ in range(number)] if kind == b"*" else number
