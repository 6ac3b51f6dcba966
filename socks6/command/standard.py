"""
Standard input, output and error.
"""

from __future__ import annotations

import os
import stat
import sys

from socks6.text import errorWords


def openDescriptors() -> None:
    """
    Open those that are closed, to nothing: whatever is opened next would be taken for
    them.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def letBlock() -> None:
    """
    Leave them as whoever has the terminal next expects them to be.
    """
    for descriptor in range(3):
        os.set_blocking(descriptor, True)


def endOutput() -> None:
    """
    Let whoever reads standard output know that this was all.
    """
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)


def hasReader(descriptor: int) -> bool:
    """
    Tell whether it is another process that takes what is written, or no longer does.
    """
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def complain(error: Exception) -> None:
    """
    Tell what went wrong, in one line on standard error; but not that whoever read
    standard output is gone, which ends other programs without a word.
    """
    if not isinstance(error, BrokenPipeError | ConnectionResetError):
        print(f"socks6: {errorWords(error)}", file=sys.stderr)  # noqa: T201
