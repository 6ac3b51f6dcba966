"""
What a worker tells the process that looks after it: what it logs, and that it serves.

A record ends with a NUL::

    level:* 20 text:* 00

The level is a name such as C{info}, or C{report} for what is not logged, and the text
has as many lines as it needs.  A record without text and level means that the worker
serves now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock
from typing import Any

from twisted.logger import ILogObserver, InvalidLogLevelError, LogEvent, LogLevel, eventAsText
from zope.interface import implementer

#: Octets of a text; the rest is left out.
MAX_TEXT = 16384

#: Octets that are kept until their record has ended.
MAX_RECORD = MAX_TEXT + 64

#: The level of what is not logged.
REPORT = "report"

_END = b"\0"


@implementer(ILogObserver)
class RecordWriter:
    """
    Writes records into a pipe; as an observer of L{twisted.logger}, those of events.
    """

    def __init__(self, descriptor: int) -> None:
        """
        @param descriptor: That of the pipe, which is full now and then: we wait, as
            another program's log would make us do.
        """
        self._descriptor = descriptor
        # Some threads log as well, and a pipe takes only small records whole.
        self._lock = Lock()

    def serving(self) -> None:
        """
        Tell that the worker serves.
        """
        self._write(b"")

    def report(self, text: str) -> None:
        """
        Tell something else, which is nobody's business here.
        """
        self._write(f"{REPORT} {text}".encode("ascii"))

    def __call__(self, event: LogEvent) -> None:
        """
        Tell what is logged.
        """
        text = eventAsText(event, includeTimestamp=False)
        if text:
            level = event.get("log_level", LogLevel.info).name
            octets = f"{level} {text}".encode("utf-8", "replace")[:MAX_TEXT]
            self._write(octets.replace(_END, b"\\0"))

    def _write(self, octets: bytes) -> None:
        """
        Write a record.
        """
        rest = octets + _END
        # Nobody is there to hear it; that is noticed elsewhere.
        with self._lock, suppress(OSError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


class RecordReader:
    """
    Reads records as they come.
    """

    def __init__(self) -> None:
        """
        Begin with nothing.
        """
        self._rest = b""

    def receive(self, octets: bytes) -> Iterator[tuple[Any, str] | None]:
        """
        Read what comes.

        @return: Levels and texts, or L{REPORT} and a text; L{None}: the worker serves.
        """
        *records, rest = (self._rest + octets).split(_END)
        self._rest = rest[:MAX_RECORD]
        return map(_record, records)


def _record(octets: bytes) -> tuple[Any, str] | None:
    """
    Read a record.
    """
    if not octets:
        return None
    level, _, text = octets.decode("utf-8", "replace").partition(" ")
    if level == REPORT:
        return level, text
    try:
        return LogLevel.levelWithName(level), text
    except InvalidLogLevelError:
        return LogLevel.error, f"{level} {text}"
