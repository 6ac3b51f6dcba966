"""
The short way through a tunnel, where both connections are plain sockets.

Octets go from socket to socket in the turn of the reactor in which they come, and
inside the kernel when there are many.  Where the short way ends (the reader is slow,
one connection breaks, there are no pipes), they take the ordinary way through
the transports' buffers; which one an octet takes is nobody else's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import main, unix
from twisted.internet.tcp import Connection

from socks6.memory import RESERVE
from socks6.relay.atonce import write, writeIdle
from socks6.relay.pipes import SIZE, Pipe, PipePool
from socks6.sockets import hasUnsent, isPlain

if TYPE_CHECKING:
    from socks6.relay.direction import Direction

#: How often a pipe is filled in one turn of the reactor.
_ROUNDS = 4

#: Octets that may pass in one turn of the reactor through a pipe.
AT_ONCE = _ROUNDS * SIZE

#: Full reads in a row after which it is worth while to use a pipe.
_FULL_READS = 2

#: How those transports read that we can read for.
_KNOWN = (Connection.doRead, unix.Server.doRead)


def canShorten(transport: Any) -> bool:
    """
    Tell whether a transport is a plain socket, which is read as we would.
    """
    return isPlain(transport) and type(transport).doRead in _KNOWN


class Shortcut:
    """
    The short way in one direction: takes the place of what the source does when it can
    be read, and for a while of what the destination does when it can be written.
    """

    __slots__ = (
        "_destination",
        "_direction",
        "_doRead",
        "_doWrite",
        "_fullReads",
        "_isBroken",
        "_pipe",
        "_pool",
        "_source",
    )

    def __init__(self, direction: Direction, pool: PipePool) -> None:
        """
        @param direction: Both of its transports can be shortened.
        """
        self._direction = direction
        self._source: Any = direction.sourceTransport
        self._destination: Any = direction.destination
        self._pool = pool
        #: What is held up on its way.
        self._pipe: Pipe | None = None
        self._fullReads = 0
        #: Whether the source is broken, which it has not been told.
        self._isBroken = False
        # An object of its own each time, unless it is kept.
        self._doRead = self._read
        self._doWrite = self._write
        self._source.doRead = self._doRead

    @property
    def held(self) -> int:
        """
        Count the octets that are held up on their way.
        """
        return 0 if self._pipe is None else self._pipe.held

    def send(self, octets: bytes) -> None:
        """
        Pass on what somebody else has read.
        """
        self.settle()
        write(self._destination, octets)

    def leave(self) -> None:
        """
        Take the ordinary way from now on.
        """
        self.settle()
        if self._source.__dict__.get("doRead") is self._doRead:
            del self._source.doRead

    def settle(self) -> None:
        """
        Take the ordinary way for what is held up.
        """
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        if self._destination.__dict__.get("doWrite") is not self._doWrite:
            # Whoever has aborted the destination has replaced it, and nothing leaves any more.
            self._pool.discard(pipe)
            return
        del self._destination.doWrite
        try:
            octets = pipe.takeAll()
        except MemoryError:
            # There is no way for it, and nothing may follow what is lost.
            RESERVE.ranOut()
            self._pool.discard(pipe)
            self._destination.abortConnection()
            return
        self._destination.write(octets)
        self._pool.give(pipe)
        if not hasUnsent(self._destination):
            # It takes nothing any more, and is not to ask for it either.
            self._destination.stopWriting()
        # Its buffer says from now on when to read on.
        if not self._destination.producerPaused:
            self._direction.resumeProducing()

    def _read(self) -> Any:
        """
        Pass on what has come.

        @see: L{twisted.internet.interfaces.IReadDescriptor.doRead}
        """
        if self._isBroken:
            return main.CONNECTION_LOST
        destination = self._destination
        if hasUnsent(destination) or "doWrite" in destination.__dict__:
            return type(self._source).doRead(self._source)
        if self._fullReads >= _FULL_READS:
            pipe = self._pool.take()
            if pipe is not None:
                return self._splice(pipe)
        return self._copy()

    def _copy(self) -> Any:
        """
        Pass on a little, to a destination that has nothing else to write.
        """
        source = self._source
        try:
            octets = source.socket.recv(source.bufferSize)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        except MemoryError:
            # Nothing is lost so far.
            return None if RESERVE.ranOut() else main.CONNECTION_LOST
        if not octets:
            # What the reactor would do, which would look for it first.
            source.stopReading()
            self._direction.inputEnded()
            return None
        count = len(octets)
        self._fullReads = self._fullReads + 1 if count == source.bufferSize else 0
        self._direction.passed(count)
        writeIdle(self._destination, octets)
        return None

    def _splice(self, pipe: Pipe) -> Any:
        """
        Pass on a lot.

        @param pipe: An empty one.
        """
        result = self._move(pipe)
        if pipe.held:
            self._pipe = pipe
            self._direction.pauseProducing()
            self._destination.doWrite = self._doWrite
            self._destination.startWriting()
        else:
            self._pool.give(pipe)
        return result

    def _move(self, pipe: Pipe) -> Any:
        """
        Move octets through an empty pipe.

        @return: What has become of the source, as C{doRead} says it.  If the pipe is not
            empty then, it is the destination that takes no more.
        """
        source, destination = self._source.socket, self._destination.socket
        passed = 0
        result: Any = None
        try:
            for _ in range(_ROUNDS):
                count = pipe.fill(source)
                if not count:
                    result = main.CONNECTION_DONE
                    break
                passed += count
                pipe.drain(destination)
                if pipe.held:
                    break
        except BlockingIOError:
            # That was all, for now.
            pass
        except OSError:
            # If it is the destination that is broken, what is held finds out.
            if not pipe.held:
                result = main.CONNECTION_LOST
        if passed < self._source.bufferSize:
            self._fullReads = 0
        self._direction.passed(passed)
        return result

    def _write(self) -> Any:
        """
        Pass on what was held up, and what has come meanwhile.

        @see: L{twisted.internet.interfaces.IWriteDescriptor.doWrite}
        """
        pipe = self._pipe
        assert pipe is not None
        try:
            pipe.drain(self._destination.socket)
        except OSError:
            return main.CONNECTION_LOST
        if not pipe.held:
            # An error is told only once; an end is told again.
            self._isBroken = self._move(pipe) is main.CONNECTION_LOST
        if not pipe.held:
            self._pipe = None
            del self._destination.doWrite
            self._destination.stopWriting()
            self._pool.give(pipe)
            self._direction.resumeProducing()
        return None
