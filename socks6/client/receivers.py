"""
Who takes what comes from the proxy while the user's protocol does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from socks6.client.line import Line
    from socks6.client.tunnel import Tunnel

#: Seconds that the proxy may take to close a connection that we have closed.
CLOSE_TIMEOUT = 5.0


class Receiver(Protocol):
    """
    Takes everything, and does nothing about it.
    """

    transport: Any

    def readConnectionLost(self) -> None:
        """
        The proxy sends no more.
        """

    def writeConnectionLost(self) -> None:
        """
        All that was written has left, and the proxy has been told that it was all.
        """


#: Receives what nobody wants any more.
NOBODY = Receiver()


class Closing(Receiver):
    """
    Receives for a connection that is being closed in good manners, and loses them
    when the proxy does not close.
    """

    def __init__(self, clock: IReactorTime, line: Line) -> None:
        """
        @param clock: Measures how long the proxy takes.
        """
        self._timer = clock.callLater(CLOSE_TIMEOUT, line.abort)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is closed.
        """
        if self._timer.active():
            self._timer.cancel()


class Doomed(Receiver):
    """
    Receives for a connection that failed when the user's protocol had it already,
    and tells it why as soon as the connection is closed.
    """

    def __init__(self, tunnel: Tunnel, failure: Failure) -> None:
        """
        @param failure: What the user's protocol gets to hear.
        """
        self._tunnel = tunnel
        self._failure = failure

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        It is closed.
        """
        self._tunnel.loseUser(self._failure)


class Held(Receiver):
    """
    Keeps the data that came together with the proxy's replies, until the user's
    protocol wants to read.

    That is at most what one read brought, and what TLS had decrypted already.
    """

    def __init__(self, clock: IReactorTime, tunnel: Tunnel, octets: bytes) -> None:
        """
        @param octets: What came first.
        """
        self._clock = clock
        self._tunnel = tunnel
        self._octets = bytearray(octets)
        self._call: IDelayedCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """
        Keep the order.
        """
        self._octets += data

    def release(self) -> None:
        """
        Hand over what is kept, soon: who resumes a producer does not expect to be
        called back before that call returns.
        """
        if self._call is None:
            self._call = self._clock.callLater(0, self._released)

    def _released(self) -> None:
        """
        Hand over what is kept, if it is still wanted, and read on.
        """
        self._call = None
        if not self._tunnel.paused:
            self._handOver()
            self._tunnel.readOn()

    def _handOver(self) -> None:
        """
        Hand over what is kept, and step aside.
        """
        if self._call is not None:
            self._call.cancel()
        self._tunnel.receiveDirectly()
        if not self._tunnel.disconnecting:
            self._tunnel.user.dataReceived(bytes(self._octets))

    def readConnectionLost(self) -> None:
        """
        Nothing is lost because the end came while the user did not read.
        """
        self._handOver()
        self._tunnel.inputEnded()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Nothing is lost because the end came while the user did not read.
        """
        self._handOver()
        self._tunnel.user.connectionLost(reason)
