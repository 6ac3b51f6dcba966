"""
Pipes, through which Linux moves octets from one socket to another.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

try:
    from fcntl import F_GETPIPE_SZ, F_SETPIPE_SZ
except ImportError:
    #: Whether the system can do that.
    CAN_SPLICE = False
else:
    CAN_SPLICE = hasattr(os, "splice")

#: Octets that a pipe is asked to hold.  Without privileges a user gets a few dozen of
#: these; the kernel makes the others smaller.
SIZE = 2**20

#: Pipes that there can be at a time: up to 128 MiB of the kernel's memory.
LIMIT = 128

#: Pipes that are kept though nobody uses them.
_SPARE = 16


class Pipe:
    """
    One pipe.

    @ivar held: How many octets are in it.
    """

    __slots__ = ("_reading", "_size", "_writing", "held")

    def __init__(self) -> None:
        """
        Open it.

        @raise OSError: There are too few descriptors.
        """
        self.held = 0
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        from fcntl import fcntl

        # There may be no more memory for pipes.
        with suppress(OSError):
            fcntl(self._writing, F_SETPIPE_SZ, SIZE)
        self._size = fcntl(self._writing, F_GETPIPE_SZ)

    def fill(self, handle: socket.socket) -> int:
        """
        Take in what has come in at a socket.

        @return: How many octets; 0: no more will come.
        @raise BlockingIOError: Nothing has come, or the pipe is full.
        @raise OSError: The connection is broken.
        """
        count = os.splice(handle.fileno(), self._writing, self._size, flags=os.SPLICE_F_NONBLOCK)
        self.held += count
        return count

    def drain(self, handle: socket.socket) -> None:
        """
        Send what is in here, as far as the socket takes it at the moment.

        @raise OSError: The connection is broken; what was not sent is still in here.
        """
        with suppress(BlockingIOError):
            while self.held:
                self.held -= os.splice(
                    self._reading, handle.fileno(), self.held, flags=os.SPLICE_F_NONBLOCK
                )

    def takeAll(self) -> bytes:
        """
        Take out what is in here.
        """
        octets = b""
        while self.held > len(octets):
            octets += os.read(self._reading, self.held - len(octets))
        self.held = 0
        return octets

    def close(self) -> None:
        """
        Close it.
        """
        os.close(self._reading)
        os.close(self._writing)


class PipePool:
    """
    Lends pipes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """
        @param limit: How many are lent at a time.
        """
        self._limit = limit
        self._lent = 0
        self._spare: list[Pipe] = []

    def take(self) -> Pipe | None:
        """
        Lend an empty one.

        @return: L{None}: there is none at the moment.
        """
        if self._lent >= self._limit:
            return None
        if self._spare:
            pipe = self._spare.pop()
        else:
            try:
                pipe = Pipe()
            except OSError:
                return None
        self._lent += 1
        return pipe

    def give(self, pipe: Pipe) -> None:
        """
        Take an empty one back.
        """
        self._lent -= 1
        if len(self._spare) < _SPARE:
            self._spare.append(pipe)
        else:
            pipe.close()

    def discard(self, pipe: Pipe) -> None:
        """
        Take one back with all that is in it.
        """
        self._lent -= 1
        pipe.close()

    def close(self) -> None:
        """
        Close those that nobody uses.
        """
        while self._spare:
            self._spare.pop().close()


#: For those who are to use none.
NO_PIPES = PipePool(0)
