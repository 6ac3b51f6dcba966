"""
C{socks6 connect}: standard input and output through a proxy.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import RequestRefused
from socks6.command.options import ConnectOptions
from socks6.command.standard import complain, endOutput, hasReader
from socks6.sockets import canHalfClose

#: Exit statuses: the proxy said no; there was no connection, or it broke.
REFUSED = 2
BROKEN = 3


async def connect(reactor: Any, options: ConnectOptions) -> int:
    """
    Connect standard input and output with a host.  Cancelling breaks it off.

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
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  connections fail in many ways
        complain(error)
        return REFUSED if isinstance(error, RequestRefused) else BROKEN
    return 0


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Remote(Protocol):
    """
    The host's side, and the producer of ours.
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

        @raise Exception: The connection broke, or something cannot be written.
        """
        try:
            await self._gone
        except CancelledError:
            self.transport.abortConnection()
            raise
        except Exception:
            await self._terminal.untilWritten()
            raise
        await self._terminal.untilWritten()

    def connectionMade(self) -> None:
        """
        Pass octets both ways.
        """
        self._terminal = _Terminal(self.transport)
        standard: Any
        standard = _Standard(self._terminal, reactor=self._reactor)  # type: ignore[no-untyped-call]
        standard.registerProducer(self, True)
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

    def pauseProducing(self) -> None:
        """
        Read no more until what has come is written.
        """
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Read on.
        """
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        Break off: standard output takes no more.
        """
        self.transport.abortConnection()


@implementer(IHalfCloseableProtocol)
class _Terminal(Protocol):
    """
    Our own side.

    """

    transport: Any

    def __init__(self, remote: Any) -> None:
        """
        @param remote: The transport to the host.
        """
        self._remote = remote
        #: Fires when standard output is closed.
        self._closed: Deferred[None] = Deferred()
        #: Why not all can be written.
        self._fault: OSError | None = None
        self._hasEnded = False
        self._hasRemoteEnded = False

    async def untilWritten(self) -> None:
        """
        Wait until all is written.

        @raise BrokenPipeError: Nobody reads any more.
        @raise OSError: Not all could be.
        """
        await self._closed
        if self._fault is not None:
            raise self._fault

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

    def outputLost(self, reason: Failure, descriptor: int) -> None:
        """
        Learn why standard output is about to be closed.

        @param descriptor: Where it is.
        """
        if not (self._hasRemoteEnded and reason.check(ConnectionDone)):
            # Twisted does not tell the system's reason.
            kind = BrokenPipeError if hasReader(descriptor) else OSError
            self._fault = kind("standard output takes no more")

    def writeConnectionLost(self) -> None:
        """
        Standard output is closed.
        """
        self._close()

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
        # Twisted leaves it open.
        endOutput()
        self._closed.callback(None)


class _Standard(StandardIO):
    """
    Standard input and output; it tells why output has ended, which a protocol does not
    get to hear.
    """

    protocol: Any
    _writer: Any

    def childConnectionLost(self, fd: str, reason: Failure) -> None:
        """
        One of the two has ended.
        """
        if fd == "write" and not self.disconnected:
            self.protocol.outputLost(reason, self._writer.fileno())
        super().childConnectionLost(fd, reason)  # type: ignore[misc]  # that of POSIX has it
