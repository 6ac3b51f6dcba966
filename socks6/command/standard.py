"""
Standard input, output and error.
"""

from __future__ import annotations

import os
import re
import sys

#: How OpenSSL's errors are written: each has a library, a function and a reason.
_TLS_ERRORS = re.compile(r"\[(?:\('[^']*', '[^']*', '(?P<last>[^']*)'\)(?:, )?)+\]")


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


def complain(error: Exception) -> None:
    """
    Tell what went wrong, in one line on standard error.
    """
    print(f"socks6: {inWords(error)}", file=sys.stderr)  # noqa: T201


def inWords(error: BaseException) -> str:
    """
    Write what went wrong in one line, without a full stop.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = _TLS_ERRORS.sub(lambda match: f"TLS: {match['last']}", text)
    return " ".join(text.split()).rstrip(".") or type(error).__name__
