"""
The options that are about the access log.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.usage import UsageError

from socks6.linefile import LineFile
from socks6.serving.accesslog import AccessLog, textLine
from socks6.serving.requestlines import FileAccessLog, NoAccessLog, jsonLine, timedLine

#: What C{--access-log} names besides files.
_STANDARD_OUTPUT = "-"
_OFF = "off"


class AccessLogOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    parameters: Sequence[Sequence[Any]] = [
        [
            "access-log",
            None,
            None,
            "File for a line on each request; -: standard output; off [default: twistd's log].",
        ],
        ["log-format", None, "text", "How these lines are written: text or json."],
    ]

    def __init__(self) -> None:
        """
        Begin with no log.
        """
        super().__init__()
        self._log: AccessLog | None = None
        self._path: Path | None = None

    def checkAccessLog(self, areMany: bool = False) -> None:
        """
        Check what the options say.

        @param areMany: Whether several processes serve.
        @raise UsageError: It makes no sense.
        """
        if self["log-format"] not in ("text", "json"):
            raise UsageError(f"--log-format {self['log-format']!r} is neither text nor json")
        where = self["access-log"]
        if where == _STANDARD_OUTPUT:
            if areMany:
                raise UsageError("--access-log -: workers have no standard output; name a file")
        elif where is not None and where != _OFF:
            # twistd goes elsewhere before the file is opened.
            self._path = Path(where).absolute()
            if not where or self._path.is_dir() or not self._path.parent.is_dir():
                raise UsageError(f"--access-log {where!r} can be no file")

    def accessLog(self, clock: IReactorTime) -> AccessLog:
        """
        Make the access log, once.
        """
        if self._log is None:
            self._log = self._makeLog(clock)
        return self._log

    def _makeLog(self, clock: IReactorTime) -> AccessLog:
        """
        Make the access log.
        """
        where, isJSON = self["access-log"], self["log-format"] == "json"
        if where == _OFF:
            return NoAccessLog(clock)
        if where is None:
            return AccessLog(clock, jsonLine if isJSON else textLine)
        file = LineFile(clock, self._path)
        # Even if nobody stops the service.
        atexit.register(file.close)
        return FileAccessLog(clock, file, jsonLine if isJSON else timedLine)

    def openAccessLog(self) -> None:
        """
        Open the file, as who the process is now: so it belongs to who writes it, and may
        make another one when this one is renamed.

        @raise UsageError: It cannot be opened.
        """
        if self._log is not None:
            try:
                self._log.open()
            except OSError as error:
                raise UsageError(
                    f"--access-log: {self['access-log']} cannot be opened: {error.strerror}"
                ) from error
