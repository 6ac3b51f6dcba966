"""
Lines that are appended to a file, and never make anybody wait.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: Seconds that a line waits for others at most.
GATHER = 0.1

#: Octets that wait at most; lines beyond them are lost.
MAX_WAITING = 1024 * 1024

#: Seconds until we try again where lines could not be written.
RETRY = 1.0

#: Seconds between two looks whether the file is still the one that has its name.
LOOK = 1.0

#: Octets that a pipe takes without making us wait, if it takes anything.
_PIPE_TAKES = 4096


class LineFile:
    """
    A file that lines are appended to: those of a moment together, as whole lines, so that
    several processes can share it.

    What cannot be written waits, within limits.  What is beyond them is lost, which the
    log is told as soon as lines can be written again.  If the file has been renamed or
    removed, another one takes its name within about a second.

    @ivar lost: How many lines have been lost so far.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, path: Path | None) -> None:
        """
        @param path: Where it is; L{None}: it is standard output.
        """
        self.lost = 0
        self._clock = clock
        self._path = path
        self._descriptor: int | None = None
        self._isRegular = True
        #: Device and number of the file that is open.
        self._identity: tuple[int, int] | None = None
        self._looked = 0.0
        self._waiting: deque[bytes] = deque()
        self._length = 0
        self._timer: IDelayedCall | None = None
        #: Whether the file ends in the middle of a line.
        self._isTorn = False
        #: Why lines cannot be written at the moment.
        self._trouble = ""
        self._unreported = 0
        #: Whether nobody will come back for what waits.
        self._isClosed = False

    def open(self) -> None:
        """
        Open the file.

        @raise OSError: It cannot be.
        """
        self._isClosed = False
        if self._descriptor is None:
            self._open()

    def write(self, line: str) -> None:
        """
        Append a line, in a moment.

        @param line: Without its end.
        """
        octets = f"{line}\n".encode("utf-8", "backslashreplace")
        if self._length + len(octets) > MAX_WAITING:
            self.lost += 1
            self._unreported += 1
            return
        self._waiting.append(octets)
        self._length += len(octets)
        if self._isClosed:
            self.close()
        elif self._timer is None:
            self._timer = self._clock.callLater(GATHER, self._due)

    def close(self) -> None:
        """
        Write what waits, and close the file.  Lines that come later are written at once.
        """
        self._isClosed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()
        self._release()

    def flush(self) -> None:
        """
        Write what waits, if that is possible without waiting.
        """
        if not self._waiting:
            return
        try:
            self._look()
            while self._waiting and self._takes():
                self._writeSome()
        except OSError as error:
            self._failed(error.strerror or str(error))
        else:
            if not self._waiting:
                self._works()

    def _due(self) -> None:
        """
        Write what waits, and try again later if some is left.
        """
        self._timer = None
        self.flush()
        if self._waiting:
            self._timer = self._clock.callLater(RETRY, self._due)

    def _open(self) -> None:
        """
        Open the file, and close the one that was open.

        @raise OSError: It cannot be opened; the other one stays open.
        """
        if self._path is None:
            descriptor = os.dup(1)
        else:
            # A named pipe that nobody reads would make us wait.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(self._path, flags, 0o640)
        self._release()
        self._descriptor = descriptor
        state = os.fstat(descriptor)
        self._isRegular = stat.S_ISREG(state.st_mode)
        self._identity = (state.st_dev, state.st_ino)
        self._looked = self._clock.seconds()
        self._isTorn = False

    def _release(self) -> None:
        """
        Close the file.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # It may hear only now of what went wrong before.
            with suppress(OSError):
                os.close(descriptor)

    def _look(self) -> None:
        """
        Open the file, or the one that has its name now, if that was not done just now.

        @raise OSError: It cannot be opened, and none is open.
        """
        if self._descriptor is None:
            self._open()
        elif self._path is not None and self._clock.seconds() - self._looked >= LOOK:
            self._looked = self._clock.seconds()
            if self._identityOfName() != self._identity:
                try:
                    self._open()
                except OSError as error:
                    # The lines go where they went before, rather than nowhere.
                    self._failed(error.strerror or str(error))

    def _identityOfName(self) -> tuple[int, int] | None:
        """
        Find out which file has the name.

        @return: L{None}: none.
        """
        assert self._path is not None
        try:
            state = os.stat(self._path)
        except OSError:
            return None
        return state.st_dev, state.st_ino

    def _takes(self) -> bool:
        """
        Tell whether the file takes something without making us wait.
        """
        if self._isRegular:
            return True
        assert self._descriptor is not None
        readiness = select.poll()
        readiness.register(self._descriptor, select.POLLOUT)
        if readiness.poll(0):
            return True
        self._failed("nobody reads it")
        return False

    def _writeSome(self) -> None:
        """
        Write lines: all that wait or, into a pipe, as many as it takes.

        @raise OSError: Nothing was written.
        """
        assert self._descriptor is not None
        most = MAX_WAITING if self._isRegular else _PIPE_TAKES
        lines = [self._waiting[0]]
        length = len(lines[0])
        for line in islice(self._waiting, 1, None):
            length += len(line)
            if length > most:
                break
            lines.append(line)
        # What was torn is not lost: the line that it was the beginning of follows whole.
        start = b"\n" if self._isTorn else b""
        written = os.write(self._descriptor, start + b"".join(lines))
        if not written:
            raise OSError(errno.EIO, "it takes nothing")
        left = written - len(start)
        self._isTorn = False
        for line in lines:
            if left < len(line):
                self._isTorn = left > 0
                return
            left -= len(line)
            self._length -= len(line)
            self._waiting.popleft()

    def _failed(self, reason: str) -> None:
        """
        Say, once, that lines cannot be written.
        """
        if not self._trouble:
            self._trouble = reason
            self._log.error("{file} cannot be written: {reason}", file=str(self), reason=reason)

    def _works(self) -> None:
        """
        Say how many lines were lost, now that it works again.
        """
        if self._unreported:
            count, self._unreported = self._unreported, 0
            self._log.warn("{count} lines of {file} were lost", count=count, file=str(self))
        if self._trouble and (self._path is None or self._identityOfName() == self._identity):
            self._trouble = ""
            self._log.info("{file} can be written again", file=str(self))

    def __str__(self) -> str:
        """
        Name the file for people.
        """
        return "standard output" if self._path is None else str(self._path)
