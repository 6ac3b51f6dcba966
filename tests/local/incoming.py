"""
Ways on which something comes in, too: hosts that connect, and datagrams.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from zope.interface import implementer

from socks6.datagramreader import DatagramReader
from socks6.interfaces import (
    IAssociatingOutbound,
    IAssociation,
    IBindingOutbound,
    OutboundRequest,
    Place,
)
from socks6.local import conversation
from socks6.values.address import Address
from tests.doubles import BOUND_ADDRESS, REMOTE_ADDRESS, MemoryOutbound, Network, Peer
from tests.local.harness import LocalTestCase


class Wait:
    """
    One request to wait for a host.

    @ivar listening: Is to be told where the host can connect to.
    @ivar arrived: Fires when it does.
    @ivar cancelled: Whether it was given up.
    """

    def __init__(
        self,
        network: Network,
        request: OutboundRequest,
        protocol: IProtocol,
        listening: Callable[[Address], object],
    ) -> None:
        self._network = network
        self.request = request
        self.protocol = protocol
        self.listening = listening
        self.cancelled = False
        self.arrived: Deferred[Address] = Deferred(self._cancel)

    def _cancel(self, arrived: Deferred[Address]) -> None:
        """
        Take note.
        """
        self.cancelled = True

    def come(self, host: Address) -> Peer:
        """
        Let a host connect.
        """
        remote = self._network.attach(self.protocol, BOUND_ADDRESS, REMOTE_ADDRESS)
        self.arrived.callback(host)
        self._network.spin()
        return remote

    def fail(self, error: Exception) -> None:
        """
        Let no host connect.
        """
        self.arrived.errback(error)
        self._network.spin()


@implementer(IAssociation)
class MemoryAssociation:
    """
    One request for a way for datagrams, and the way.

    @ivar sent: What was sent, and where to.
    @ivar impossible: Hosts that no datagram can go to.
    @ivar isClosed: Whether it is closed.
    @ivar cancelled: Whether it was given up before it was there.
    """

    def __init__(
        self,
        network: Network,
        request: OutboundRequest,
        received: Callable[[bytes, Place], object],
        lost: Callable[[str], object],
    ) -> None:
        self._network = network
        self.request = request
        self.received = received
        self.lost = lost
        self.sent: list[tuple[bytes, Place]] = []
        self.impossible: set[str] = set()
        self.isClosed = False
        self.cancelled = False
        self.found: Deferred[IAssociation] = Deferred(self._cancel)

    def _cancel(self, found: Deferred[IAssociation]) -> None:
        """
        Take note.
        """
        self.cancelled = True

    def succeed(self) -> None:
        """
        Be there.
        """
        self.found.callback(self)
        self._network.spin()

    def fail(self, error: Exception) -> None:
        """
        Never be there.
        """
        self.found.errback(error)
        self._network.spin()

    def write(self, payload: bytes, place: Place) -> None:
        """
        Take note.

        @see: L{IAssociation.write}
        """
        if place[0] in self.impossible:
            raise ValueError("as the test wants it")
        self.sent.append((payload, place))

    def close(self) -> None:
        """
        Take note.

        @see: L{IAssociation.close}
        """
        self.isClosed = True


@implementer(IBindingOutbound, IAssociatingOutbound)
class WelcomingOutbound(MemoryOutbound):
    """
    Remote hosts that come, too.

    @ivar waits: All requests to wait for one.
    @ivar associations: All requests for a way for datagrams.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.waits: list[Wait] = []
        self.associations: list[MemoryAssociation] = []

    def bind(
        self,
        request: OutboundRequest,
        protocol: IProtocol,
        listening: Callable[[Address], object],
    ) -> Deferred[Address]:
        """
        Wait for the test to decide.

        @see: L{IBindingOutbound.bind}
        """
        wait = Wait(self._network, request, protocol, listening)
        self.waits.append(wait)
        return wait.arrived

    def associate(
        self,
        request: OutboundRequest,
        received: Callable[[bytes, Place], object],
        lost: Callable[[str], object],
    ) -> Deferred[IAssociation]:
        """
        Wait for the test to decide.

        @see: L{IAssociatingOutbound.associate}
        """
        association = MemoryAssociation(self._network, request, received, lost)
        self.associations.append(association)
        return association.found


class MemoryDatagramSocket:
    """
    A socket for datagrams, whose other end is the test.

    @ivar sent: What was sent, and where to.
    @ivar broken: Whether nothing can be sent.
    @ivar isClosed: Whether it is closed.
    """

    def __init__(self, network: Network, bound: tuple[Any, ...]) -> None:
        self._network = network
        self._bound = bound
        self._inbox: deque[tuple[bytes, Any]] = deque()
        self.sent: list[tuple[bytes, Any]] = []
        self.broken = False
        self.isClosed = False

    def getsockname(self) -> tuple[Any, ...]:
        """
        Tell where it is.
        """
        return self._bound

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """
        Nothing can be set.

        @raise OSError: Always.
        """
        raise OSError

    def fileno(self) -> int:
        """
        Tell whether it is open.
        """
        return -1 if self.isClosed else 1000

    def close(self) -> None:
        """
        Close it.
        """
        self.isClosed = True

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        """
        Read.
        """
        if not self._inbox:
            raise BlockingIOError
        return self._inbox.popleft()

    def sendto(self, datagram: bytes, address: Any) -> None:
        """
        Write.
        """
        if self.broken:
            raise OSError
        self.sent.append((datagram, address))

    def bring(self, datagram: bytes, source: Any) -> None:
        """
        Let a datagram come.

        @param source: Where from.
        """
        self._inbox.append((datagram, source))
        readers: list[Any] = list(self._network.readers)
        for reader in readers:
            if isinstance(reader, DatagramReader) and cast("object", reader.handle) is self:
                reader.doRead()
        self._network.spin()


class IncomingTestCase(LocalTestCase):
    """
    A test of a local proxifier whose way out lets things in.

    @ivar sockets: The sockets for datagrams that it has opened, and for whom.
    """

    outbound: WelcomingOutbound

    def setUp(self) -> None:
        super().setUp()
        self.outbound = WelcomingOutbound(self.network)
        self.sockets: list[MemoryDatagramSocket] = []
        self.opened: list[tuple[Any, ...]] = []
        self.patch(conversation, "openSocket", self._openSocket)

    def _openSocket(self, where: tuple[Any, ...]) -> socket.socket:
        """
        Open a socket in memory.
        """
        self.opened.append(where)
        made = MemoryDatagramSocket(self.network, (where[0], 5000, *where[2:]))
        self.sockets.append(made)
        return cast("socket.socket", made)

    def assertOver(self, case: str = "") -> None:
        """
        Check, besides, that all sockets are closed.
        """
        super().assertOver(case)
        self.assertTrue(all(each.isClosed for each in self.sockets), case)
