"""
Text and octets.
"""

from __future__ import annotations

import re
from enum import IntEnum

#: How OpenSSL's errors are written: each has a library, a function and a reason.
_TLS_ERRORS = re.compile(r"\[(?:\('[^']*', '[^']*', '(?P<last>[^']*)'\)(?:, )?)+\]")


def octets(text: str | bytes) -> bytes:
    """
    Write text as octets: UTF-8, as nobody says otherwise; octets stay as they are.
    """
    return text.encode("utf-8") if isinstance(text, str) else text


def printable(name: bytes) -> str:
    """
    Write a name of somebody else's choice for people: what could break a line, or do
    something to a terminal, is escaped.
    """
    return ascii(name.decode("utf-8", "backslashreplace"))[1:-1]


def escaped(text: str) -> str:
    """
    Write text, some of which may be somebody else's, as one line of printable ASCII.
    """
    if text.isascii() and text.isprintable():
        return text
    return printable(text.encode("utf-8", "backslashreplace"))


def words(number: int) -> str:
    """
    Write one of the protocol's numbers for people: its name if it has one.
    """
    if isinstance(number, IntEnum):
        return number.name.lower().replace("_", " ")
    return str(number)


def errorWords(error: BaseException | None) -> str:
    """
    Write what went wrong for people: in one line, without a full stop.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = _TLS_ERRORS.sub(lambda match: f"TLS: {match['last']}", text)
    return " ".join(text.split()).rstrip(".") or type(error).__name__
