"""
Reading datagrams in batches.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

#: Datagrams that are read from a socket in one turn of the reactor.
BATCH = 64

#: Octets of the largest datagram.
MAX_DATAGRAM = 65535

#: Octets that the kernel may keep for us, if it lets us have so much.
RECEIVE_BUFFER = 4 * 2**20

#: A socket address as the socket module has it.
SocketAddress = Any


def boundSocket(host: str, port: int, *more: int) -> socket.socket:
    """
    Bind a UDP socket that does not block.

    @param host: An IP address.
    @param more: Flow and scope, of IPv6.
    @raise OSError: It cannot be.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_DGRAM)
    try:
        handle.setblocking(False)
        handle.bind((host, port, *more))
    except BaseException:
        handle.close()
        raise
    return handle


@implementer(IReadDescriptor)
class DatagramReader:
    """
    Reads the datagrams of a socket, several in each turn of the reactor.

    What comes is passed on at once: nothing is kept here.

    @ivar handle: The socket.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        handle: socket.socket,
        received: Callable[[bytes, SocketAddress], None],
    ) -> None:
        """
        Begin to read.

        @param handle: A socket that does not block; it is ours from now on.
        @param received: Is called with each datagram, and where it came from.
        """
        self.handle = handle
        self._reactor = reactor
        self._received = received
        with suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        reactor.addReader(self)

    def close(self) -> None:
        """
        Read no more, and close the socket.
        """
        if self.fileno() != -1:
            self._reactor.removeReader(self)
            self.handle.close()

    # What the reactor wants of a descriptor.

    def fileno(self) -> int:
        """
        Name the descriptor to the reactor.
        """
        return self.handle.fileno()

    def logPrefix(self) -> str:
        """
        Name the reader in the log.
        """
        return type(self).__name__

    def doRead(self) -> None:
        """
        Read what is there, but not for too long.
        """
        receive, received = self._receive, self._received
        for _ in range(BATCH):
            try:
                datagram, source = receive()
            except OSError:
                # There is nothing more, an ICMP error has come for something that was
                # sent before, or we are closed.
                return
            try:
                received(datagram, source)
            except Exception:  # noqa: BLE001  or the reactor would close the socket
                self._log.failure("A datagram could not be passed on")

    def doWrite(self) -> None:
        """
        Do nothing: the reactor means a connection that was closed in this turn, and
        whose descriptor is ours now.
        """

    def _receive(self) -> tuple[bytes, SocketAddress]:
        """
        Read a datagram.

        @return: It, and where it came from.
        @raise OSError: There is none.
        """
        return self.handle.recvfrom(MAX_DATAGRAM)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor is going down.
        """
        self.close()
