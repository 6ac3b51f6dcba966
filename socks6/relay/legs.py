"""
The connections of a tunnel.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from typing import Protocol as Structure

from OpenSSL import SSL
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.relay.buffers import forgetUnsent
from socks6.sockets import hearHalfClose, prepareForRelay
from socks6.text import errorWords


class Receiver(Structure):
    """
    Who acts on what happens to a connection at the moment.
    """

    def dataReceived(self, octets: bytes) -> None:
        """
        Octets came.
        """

    def inputEnded(self) -> None:
        """
        The peer sends no more; it may still read.
        """

    def outputEnded(self) -> None:
        """
        All that was written has left, and the peer has been told that it was all.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone.
        """


class _Nobody:
    """
    Receives for connections that are gone.
    """

    def dataReceived(self, octets: bytes) -> None:
        """
        TLS may deliver what it had already decrypted.
        """

    def inputEnded(self) -> None:
        """
        Nothing is left to end.
        """

    def outputEnded(self) -> None:
        """
        Nothing is left to end.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        Nothing is left to lose.
        """


NOBODY = _Nobody()


@implementer(IHalfCloseableProtocol)
class LegProtocol(Protocol):
    """
    One connection of a tunnel: the client's or the remote host's.

    What is done with it changes (a request is read, octets are relayed, a
    farewell is said); the connection does not.

    @ivar receiver: Who acts on what happens to it.
    @ivar lost: Whether it is gone.
    """

    receiver: Receiver = NOBODY
    lost = False

    def connectionMade(self) -> None:
        """
        Get the socket ready.
        """
        assert self.transport is not None
        prepareForRelay(self.transport)
        hearHalfClose(self.transport, self)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what came.
        """
        self.receiver.dataReceived(data)

    def readConnectionLost(self) -> None:
        """
        Pass on that no more will come.
        """
        self.receiver.inputEnded()

    def writeConnectionLost(self) -> None:
        """
        Pass on that all has left.
        """
        self.receiver.outputEnded()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Pass on that the connection is gone; it has no receiver any more.
        """
        self.lost = True
        receiver, self.receiver = self.receiver, NOBODY
        if self.transport is not None:
            forgetUnsent(self.transport)
        receiver.connectionLost(reason)

    def abort(self) -> None:
        """
        Close the connection at once, whatever gets lost; if there is one, still.
        """
        transport: Any = self.transport
        if transport is not None and not self.lost:
            transport.abortConnection()


def describe(address: IAddress) -> str:
    """
    Write a peer's address for people.
    """
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return type(address).__name__.removesuffix("Address").lower()
    return f"{_shown(host)}:{port}"


@lru_cache(maxsize=1024)
def _shown(host: str) -> str:
    """
    Write a peer's host for people.

    Few come often.
    """
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        # A PROXY header may claim anything.
        return f"{host[:64]!a}"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        # Ports for both see IPv4 like that.
        return str(found.ipv4_mapped)
    return f"[{host}]" if ":" in host else host


def lossWords(reason: Failure) -> str:
    """
    Say why a connection was lost, or there was none, without quoting what the peer sent: the
    words of errors that we do not know could do that.
    """
    known = reason.check(ConnectError, ConnectionClosed, SSL.Error)
    return errorWords(reason.value) if known else type(reason.value).__name__
