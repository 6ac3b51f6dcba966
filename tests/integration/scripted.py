"""
What the client's tests over real sockets talk to and with: destinations, users'
protocols, and a proxy that follows a script.

That proxy knows enough of the protocol to find the end of a request.  What it
answers is fixed, and the destination is a protocol in its own process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.wire import DRAFT_06


class Destination(Protocol):
    """
    Remembers what it is sent.

    @ivar received: All of it, so far.
    @ivar lost: Fires with why the connection is gone.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[Any] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """
        Remember.
        """
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The client is gone.
        """
        self.lost.callback(reason.value)


@implementer(IHalfCloseableProtocol)
class HalfCloseableDestination(Destination):
    """
    One that can send when the client does not any more.

    @ivar inputEnded: Fires when that is so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inputEnded: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        """
        No more comes; more may be sent.
        """
        self.inputEnded.callback(None)

    def writeConnectionLost(self) -> None:
        """
        Nobody waits for this.
        """


@implementer(IHalfCloseableProtocol)
class Client(Protocol):
    """
    A user's protocol.

    @ivar received: What came so far.
    @ivar readLost: Fires when no more comes.
    @ivar lost: Fires with why the connection is gone.
    """

    transport: Any

    def __init__(self, first: bytes = b"") -> None:
        """
        @param first: What to write when connected.
        """
        self.first = first
        self.received = bytearray()
        self.readLost: Deferred[None] = Deferred()
        self.lost: Deferred[Any] = Deferred()
        self._wanted: list[tuple[int, Deferred[bytes]]] = []

    def connectionMade(self) -> None:
        """
        Speak first.
        """
        if self.first:
            self.transport.write(self.first)

    def receive(self, length: int) -> Deferred[bytes]:
        """
        Wait for so many octets in all.
        """
        wanted: Deferred[bytes] = Deferred()
        self._wanted.append((length, wanted))
        self.dataReceived(b"")
        return wanted

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it, and see who waits for it.
        """
        self.received += data
        for length, wanted in self._wanted[:]:
            if len(self.received) >= length:
                self._wanted.remove((length, wanted))
                wanted.callback(bytes(self.received))

    def readConnectionLost(self) -> None:
        """
        No more comes.
        """
        self.readLost.callback(None)

    def writeConnectionLost(self) -> None:
        """
        Nobody waits for this.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone.
        """
        self.lost.callback(reason.value)


class Echo(Protocol):
    """
    Sends back what it is sent.
    """

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """
        Send it back.
        """
        self.transport.write(data)


@implementer(IHalfCloseableProtocol)
class ScriptedConnection(Protocol):
    """
    One client's connection.
    """

    transport: Any

    def __init__(self, proxy: ScriptedProxy) -> None:
        self._proxy = proxy
        self._buffer = b""
        self._destination: Any = None

    def dataReceived(self, data: bytes) -> None:
        """
        Read the request, answer it, and connect the destination.
        """
        self._proxy.chunks.append(data)
        if self._destination is not None:
            self._destination.dataReceived(data)
            return
        self._buffer += data
        end = DRAFT_06.requestLength(self._buffer)
        if end > len(self._buffer):
            return
        self._destination = self._proxy.destination()
        if self._proxy.replies:
            self.transport.write(self._proxy.replies)
        self._destination.makeConnection(self.transport)
        if self._buffer[end:]:
            self._destination.dataReceived(self._buffer[end:])

    def readConnectionLost(self) -> None:
        """
        Pass it on to a destination that wants to know.
        """
        if IHalfCloseableProtocol.providedBy(self._destination):
            self._destination.readConnectionLost()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Nobody waits for this.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Pass it on.
        """
        if self._destination is not None:
            self._destination.connectionLost(reason)


class ScriptedProxy(Factory):
    """
    The proxy.

    @ivar chunks: What was read, each time; the requests included.
    """

    noisy = False

    def __init__(self, replies: bytes, destination: Callable[[], IProtocol]) -> None:
        """
        @param replies: What it answers.
        @param destination: Makes what it connects its clients with.
        """
        self.replies = replies
        self.destination = destination
        self.chunks: list[bytes] = []

    def buildProtocol(self, addr: Any) -> Any:
        """
        Accept a client.
        """
        return ScriptedConnection(self)
