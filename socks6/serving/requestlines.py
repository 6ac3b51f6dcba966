"""
Access logs with a line for each request elsewhere than in Twisted's log, or in another
form.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from twisted.internet.interfaces import IReactorTime

from socks6.linefile import LineFile
from socks6.serving.accesslog import AccessLog, LineFormat, RequestRecord, textLine
from socks6.text import escaped, words


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """
    Write a time of day, which many lines have in common.
    """
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def timestamp(now: float) -> str:
    """
    Write a time as RFC 3339 wants it, in milliseconds of UTC.
    """
    seconds = int(now)
    return f"{_second(seconds)}.{int((now - seconds) * 1000):03d}Z"


def timedLine(record: RequestRecord, seconds: float, now: float) -> str:
    """
    Write a request's line for people, with the time.
    """
    return f"{timestamp(now)} {textLine(record, seconds, now)}"


def jsonLine(record: RequestRecord, seconds: float, now: float) -> str:
    """
    Write a request's line for programs: a JSON object in ASCII.
    """
    # The module json takes three times as long.
    return (
        f'{{"time": "{timestamp(now)}", "peer": {quoted(record.peer)},'
        f' "user": {quoted(record.user)}, "command": {quoted(words(record.command))},'
        f' "destination": {quoted(str(record.destination))}, "result": {quoted(record.result)},'
        f' "to_remote": {record.toRemote}, "to_client": {record.toClient},'
        f' "seconds": {seconds:.6f}, "tls": {"true" if record.isEncrypted else "false"},'
        f' "session": {"true" if record.isInSession else "false"}}}'
    )


class FileAccessLog(AccessLog):
    """
    An access log whose lines go to a file of their own.  What is no request stays in
    Twisted's log.
    """

    def __init__(
        self,
        clock: IReactorTime,
        file: LineFile,
        lineFormat: LineFormat = timedLine,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param file: Where lines go.
        @param now: Tells the time of day.
        """
        super().__init__(clock, lineFormat)
        self.file = file
        self._now = now

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Write the line of a request.

        @see: L{AccessLog.requestFinished}
        """
        self._rubbish.renewIfDue()
        line = self._format(record, self._clock.seconds() - record.began, self._now())
        # Whoever made the words: a line stays one.
        self.file.write(escaped(line))

    def open(self) -> None:
        """
        Open the file.

        @see: L{AccessLog.open}
        """
        self.file.open()

    def close(self) -> None:
        """
        Close the file.

        @see: L{AccessLog.close}
        """
        self.file.close()


class NoAccessLog(AccessLog):
    """
    An access log without requests.  What is no request stays in Twisted's log.
    """

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Write nothing.

        @see: L{AccessLog.requestFinished}
        """
