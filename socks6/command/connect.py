"""
C{socks6 connect}: standard input and output through a proxy.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import RequestRefused
from socks6.command.options import ConnectOptions
from socks6.sockets import canHalfClose

#: Exit statuses: the proxy said no; there was no connection, or it broke.
REFUSED = 2
BROKEN = 3


async def connect(reactor: Any, options: ConnectOptions) -> int:
    """
    Connect standard input and output with a host.

    @return: The exit status: 0 when both sides have ended in order, L{REFUSED}, or
        L{BROKEN}.
    """
    credentials = options.url.credentials
    remote = _Remote(reactor)
    try:
        endpoint = SOCKS6ClientEndpoint(
            reactor,
            options.url.endpoint(reactor),
            options.host,
            options.port,
            username=None if credentials is None else credentials.username,
            password=None if credentials is None else credentials.password,
            optimistic=bool(options["optimistic"]),
        )
        await connectProtocol(endpoint, remote)
        await remote.untilOver()
    except Exception as error:  # noqa: BLE001  connections fail in many ways
        _complain(error)
        return REFUSED if isinstance(error, RequestRefused) else BROKEN
    return 0


def _complain(error: Exception) -> None:
    """
    Tell what went wrong, in one line.
    """
    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    print(f"socks6: {words}", file=sys.stderr)  # noqa: T201


@implementer(IHalfCloseableProtocol)
class _Remote(Protocol):
    """
    The host's side.
    """

    transport: Any
    _terminal: _Terminal

    def __init__(self, reactor: Any) -> None:
        #: Fires when the connection is gone; fails if it broke.
        self._gone: Deferred[None] = Deferred()
        self._reactor = reactor

    async def untilOver(self) -> None:
        """
        Wait until both sides have ended, and all is written.

        @raise Exception: The connection broke.
        """
        try:
            await self._gone
        finally:
            await self._terminal.closed
            # Whoever has the terminal next does not expect it to be otherwise.
            for descriptor in (0, 1):
                os.set_blocking(descriptor, True)

    def connectionMade(self) -> None:
        """
        Pass octets both ways.
        """
        self._terminal = _Terminal(self.transport)
        standard: Any = StandardIO(self._terminal, reactor=self._reactor)
        standard.registerProducer(self.transport, True)
        self.transport.registerProducer(standard, True)

    def dataReceived(self, data: bytes) -> None:
        """
        Write what came.
        """
        self._terminal.transport.write(data)

    def readConnectionLost(self) -> None:
        """
        End standard output; what is read may still be sent.
        """
        self._terminal.remoteEnded()

    def writeConnectionLost(self) -> None:
        """
        All has been sent.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        End, when all that came has been written.
        """
        self._terminal.end()
        self._gone.callback(None if reason.check(ConnectionDone) else reason)


@implementer(IHalfCloseableProtocol)
class _Terminal(Protocol):
    """
    Our own side.

    @ivar closed: Fires when standard output is closed.
    """

    transport: Any

    def __init__(self, remote: Any) -> None:
        """
        @param remote: The transport to the host.
        """
        self.closed: Deferred[None] = Deferred()
        self._remote = remote
        self._hasEnded = False
        self._hasRemoteEnded = False

    def dataReceived(self, data: bytes) -> None:
        """
        Send what was read.
        """
        self._remote.write(data)

    def readConnectionLost(self) -> None:
        """
        There is nothing more to send.
        """
        self._hasEnded = True
        self._remote.unregisterProducer()
        if self._hasRemoteEnded:
            self._remote.loseConnection()
        elif canHalfClose(self._remote):
            self._remote.loseWriteConnection()

    def remoteEnded(self) -> None:
        """
        There is nothing more to write.
        """
        self._hasRemoteEnded = True
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        if self._hasEnded:
            self._remote.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Nobody reads standard output any more, unless we have ended it.
        """
        if self._hasRemoteEnded:
            self._close()
        else:
            self._remote.abortConnection()

    def end(self) -> None:
        """
        Close when all has been written.
        """
        self._hasRemoteEnded = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Both are closed.
        """
        self._close()

    def _close(self) -> None:
        """
        Standard output is closed.
        """
        if not self.closed.called:
            self.closed.callback(None)
