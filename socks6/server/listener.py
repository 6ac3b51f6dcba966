"""
Ports that the proxy opens for its clients.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.server.bindpolicy import refusalFor
from socks6.values.address import Address, addressFromText
from socks6.wire.errors import SOCKS6Error

#: Connections that are accepted in one turn of the reactor.
_ACCEPTED_AT_ONCE = 32

#: Hosts that may wait at all ports of one owner together, or as many as one backlog has,
#: if that is more: each takes a descriptor, even when it has ended.
MAX_WAITING = 1024

#: Seconds without accepting when we cannot: the port stays readable all the while, so
#: that the reactor would call us again at once, and do nothing else.
_PAUSE = 0.5

#: What C{SO_LINGER} is set to for a reset.
_RESET = struct.pack("ii", 1, 0)


class ListenerClosed(SOCKS6Error):
    """
    The port has been closed, so nobody can connect any more.
    """


def noObjection(host: Address, port: int) -> str | None:
    """
    Let every host come.
    """
    return None


@implementer(IReadDescriptor)
class Listener:
    """
    A port that waits for connections.

    @ivar address: Where it is, as remote hosts reach it.
    @ivar session: Whose session may claim connections.
    @ivar refused: How many hosts were not to come.
    """

    def __init__(
        self,
        reactor: Any,
        handle: socket.socket,
        address: Address,
        backlog: int = 0,
        session: bytes | None = None,
        owner: bytes = b"",
        hosts: Counter[bytes] | None = None,
        objection: Callable[[Address, int], str | None] = noObjection,
    ) -> None:
        """
        Begin to listen.

        @param handle: A bound socket.
        @param backlog: Connections that may wait to be claimed; 0: one is accepted, and
            then no more.
        @param owner: Whom hosts that wait count against.
        @param hosts: How many wait, by owner, at this port and others.
        @param objection: Is asked about each host that comes, with the number of the port,
            and says why it is refused; L{None}: it is not.
        @raise BindRefused: Somebody else listens there.
        """
        self.address = address
        self.session = session
        self.refused = 0
        self._objection = objection
        self._reactor = reactor
        self._handle: socket.socket | None = handle
        self._backlog = backlog
        self._owner = owner
        self._hosts: Counter[bytes] = Counter() if hosts is None else hosts
        #: Connections that wait for somebody, and those who wait for one.
        self._accepted: deque[socket.socket] = deque()
        self._waiting: deque[Deferred[socket.socket]] = deque()
        #: When we begin to accept again, if we have paused.
        self._resumption: IDelayedCall | None = None
        try:
            handle.listen(max(backlog, 1))
        except OSError as error:
            handle.close()
            raise refusalFor(error) from None
        reactor.addReader(self)

    def accept(self) -> Deferred[socket.socket]:
        """
        Take the next connection.

        @return: Fires with its socket.  Fails with L{ListenerClosed}.  Cancelling waits
            no more.
        """
        while self._accepted:
            handle = self._takeWaiting()
            if not _isGone(handle):
                return succeed(handle)
            handle.close()
        if self._handle is None:
            return fail(ListenerClosed("the port is closed"))
        waiting: Deferred[socket.socket] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def giveUp(self) -> None:
        """
        Wait no more, if it is one host that was waited for.
        """
        if not self._backlog:
            self.close()

    def close(self) -> None:
        """
        Listen no more; whoever has connected and was not accepted is refused.
        """
        self._stopListening()
        while self._accepted:
            _reset(self._takeWaiting())
        while self._waiting:
            self._waiting.popleft().errback(ListenerClosed("the port is closed"))

    def _takeWaiting(self) -> socket.socket:
        """
        Take the first host that waits.
        """
        self._hosts[self._owner] -= 1
        if not self._hosts[self._owner]:
            del self._hosts[self._owner]
        return self._accepted.popleft()

    def _mayWait(self) -> bool:
        """
        Tell whether one more host may wait.
        """
        isRoom = self._hosts[self._owner] < max(MAX_WAITING, self._backlog)
        return isRoom and len(self._accepted) < max(self._backlog, 1)

    def _stopListening(self) -> None:
        """
        Close the port.
        """
        if self._handle is None:
            return
        if self._resumption is None:
            self._reactor.removeReader(self)
        else:
            self._resumption.cancel()
            self._resumption = None
        self._handle.close()
        self._handle = None

    def _pause(self) -> None:
        """
        Accept nothing for a moment.
        """
        self._reactor.removeReader(self)
        self._resumption = self._reactor.callLater(_PAUSE, self._resume)

    def _resume(self) -> None:
        """
        Accept again.
        """
        self._resumption = None
        self._reactor.addReader(self)

    # What the reactor wants of a descriptor.

    def fileno(self) -> int:
        """
        Name the descriptor to the reactor.
        """
        return -1 if self._handle is None else self._handle.fileno()

    def logPrefix(self) -> str:
        """
        Name the listener in the log.
        """
        return type(self).__name__

    def doRead(self) -> None:
        """
        Accept connections.
        """
        for _ in range(_ACCEPTED_AT_ONCE):
            if self._handle is None:
                return
            try:
                handle, _ = self._handle.accept()
            except (BlockingIOError, ConnectionAbortedError):
                # There are no more, or one has gone again.
                return
            except OSError:
                # There are too few descriptors, or whatever else would be so again.
                self._pause()
                return
            # Neither who is gone nor who is refused is the one host that is waited for.
            try:
                host = peerOf(handle)
            except OSError:
                handle.close()
                continue
            if self._objection(host, self.address.port) is not None:
                self.refused += 1
                _reset(handle)
                continue
            handle.setblocking(False)
            if not self._backlog:
                self._stopListening()
            if self._waiting:
                self._waiting.popleft().callback(handle)
            elif self._mayWait():
                self._accepted.append(handle)
                self._hosts[self._owner] += 1
            else:
                _reset(handle)

    def doWrite(self) -> None:
        """
        Do nothing: the reactor means a connection that was closed in this turn, and
        whose descriptor is ours now.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor is going down.
        """
        self.close()


def _reset(handle: socket.socket) -> None:
    """
    Refuse a connection that the kernel has accepted.
    """
    with handle, suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _isGone(handle: socket.socket) -> bool:
    """
    Tell whether a connection has been reset.
    """
    try:
        handle.getpeername()
    except OSError:
        return True
    return False


def peerOf(handle: socket.socket) -> Address:
    """
    Tell who has connected.

    @raise OSError: It has gone already.
    """
    return addressFromText(*handle.getpeername()[:2])
