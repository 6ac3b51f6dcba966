"""
Sockets that listen, and let in whom a gate lets in.

Twisted writes a line for each connection that it cannot accept, and calls again at
once where the system has run out of anything but this process's descriptors.  Here
what cannot be served is closed, or left to wait in the kernel, with few lines.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from socks6.memory import RESERVE
from socks6.serving.gate import Gate

#: Connections that are closed in one turn of the reactor.
_CLOSED_AT_ONCE = 64

#: Seconds without accepting where we can do nothing else: the port stays readable all
#: the while, so that the reactor would call us again at once.
PAUSE = 0.5

#: What a system says that has run out of something.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class GatedSocket(socket.socket):
    """
    Takes the place of the socket of one of Twisted's ports.
    """

    def __init__(self, port: Any, gate: Gate, clock: IReactorTime) -> None:
        """
        Take it.

        @param port: Listens already.
        """
        handle: socket.socket = port.socket
        super().__init__(handle.family, handle.type, handle.proto, fileno=handle.detach())
        self.setblocking(False)
        self._port = port
        self._gate = gate
        self._clock = clock
        self._isBalanced = isinstance(port.factory, HAProxyWrappingFactory)
        #: When we begin to accept again, if we have paused.
        self._resumption: IDelayedCall | None = None
        #: A descriptor to give up when there is none left to accept a connection with.
        self._reserve: int | None = None
        self._keepReserve()
        port.socket = self
        port.fileno = self.fileno

    def accept(self) -> tuple[socket.socket, Any]:
        """
        Accept the next connection that is let in.

        @raise BlockingIOError: There is none, or it is others' turn.
        """
        for _ in range(_CLOSED_AT_ONCE):
            try:
                handle, address = super().accept()
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._exhausted(error.errno)
                break
            except MemoryError:
                RESERVE.ranOut()
                self._exhausted(errno.ENOMEM)
                break
            if self._gate.admits(address, self._isBalanced):
                return handle, address
            handle.close()
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def close(self) -> None:
        """
        Listen no more.
        """
        resumption, self._resumption = self._resumption, None
        if resumption is not None:
            resumption.cancel()
        self._giveReserve()
        super().close()

    def _exhausted(self, code: int) -> None:
        """
        Close what waits, if a descriptor is all that is missing, or let it wait.
        """
        self._gate.exhausted(code)
        if code != errno.EMFILE or not self._giveReserve() or not self._closeWaiting():
            self._pause()
        self._keepReserve()

    def _closeWaiting(self) -> bool:
        """
        Close connections that wait.

        @return: Whether that was possible.
        """
        for _ in range(_CLOSED_AT_ONCE):
            try:
                handle, _ = super().accept()
            except BlockingIOError:
                break
            except ConnectionAbortedError:
                continue
            except OSError:
                # Somebody else has taken the descriptor.
                return False
            handle.close()
        return True

    def _pause(self) -> None:
        """
        Accept nothing for a moment.
        """
        if self._resumption is None:
            self._port.stopReading()
            self._resumption = self._clock.callLater(PAUSE, self._resume)

    def _resume(self) -> None:
        """
        Accept again.
        """
        self._resumption = None
        self._keepReserve()
        self._port.startReading()

    def _keepReserve(self) -> None:
        """
        Get the descriptor to give up, if there is one.
        """
        if self._reserve is None:
            try:
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                # Once more when we run out again.
                self._reserve = None

    def _giveReserve(self) -> bool:
        """
        Give that descriptor up.

        @return: Whether there was one.
        """
        reserve, self._reserve = self._reserve, None
        if reserve is None:
            return False
        os.close(reserve)
        return True
