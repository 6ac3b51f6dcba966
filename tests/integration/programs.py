"""
Programs that talk through proxies, run to their end.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import Any
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.peers import DEADLINE
from tests.integration.twistd import environment

#: Our own program, wherever pip has put it.
SOCKS6 = [sys.executable, "-c", "from socks6.command.main import main; main()"]

#: Seconds that a program may take, which may have much to do.
PATIENCE = 2 * DEADLINE


def run(
    *command: str,
    input: bytes = b"",  # noqa: A002  as subprocess has it
    prefix: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """
    Run a program, and keep what it writes.

    @param prefix: A program that runs it, and that program's arguments.
    @param variables: What its environment has besides.
    """
    return subprocess.run(
        [*prefix, *command],
        input=input,
        capture_output=True,
        timeout=PATIENCE,
        env=environment(**(variables or {})),
        check=False,
    )


@contextmanager
def running(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """
    Run a program meanwhile, but not for ever, whoever may wait for it.

    @param options: For C{Popen}; what is not said is a pipe.
    """
    for name in ("stdin", "stdout", "stderr"):
        options.setdefault(name, subprocess.PIPE)
    options.setdefault("env", environment())
    process: subprocess.Popen[bytes]
    with subprocess.Popen(command, **options) as process:
        timer = Timer(PATIENCE, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


@dataclass(frozen=True)
class Fetched:
    """
    What curl has to say.

    @ivar status: Its exit status.
    @ivar code: The status of the last HTTP response; 0: there was none.
    @ivar connectCode: The same for the response to a CONNECT request.
    @ivar body: All responses' bodies.
    @ivar errors: What it wrote for people.
    """

    status: int
    code: int
    connectCode: int
    body: bytes
    errors: str


#: What it writes behind each transfer.
_CODES = re.compile(r"\((\d{3}) (\d{3})\)\n")

#: Exit statuses of curl.
OPERATION_TIMED_OUT = 28
TLS_FAILED = 35
RECEIVING_FAILED = 56
PROXY_FAILED = 97

#: Those of a connection that was cut: while curl found out that it stood, waited for a
#: response, sent, or received.
CUT = frozenset((7, 52, 55, RECEIVING_FAILED))


def curl(
    testCase: TestCase,
    *arguments: str,
    input: bytes = b"",  # noqa: A002  as subprocess has it
    prefix: Sequence[str] = (),
) -> Fetched:
    """
    Run curl.
    """
    done = run(
        requireProgram(testCase, "curl"),
        # First, so that nobody's own settings count.
        "--disable",
        *("--silent", "--show-error", "--max-time", f"{DEADLINE:g}"),
        *("--write-out", "%{stderr}(%{http_code} %{http_connect})\\n"),
        *arguments,
        input=input,
        prefix=prefix,
    )
    errors = done.stderr.decode("utf-8", "replace")
    code, connectCode = map(int, _CODES.findall(errors)[-1])
    return Fetched(done.returncode, code, connectCode, done.stdout, _CODES.sub("", errors))
