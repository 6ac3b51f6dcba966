"""
The transport of a protocol that sends and receives datagrams through a proxy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet import address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IUDPTransport
from twisted.internet.protocol import AbstractDatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from socks6.client.datagramways import Way
from socks6.client.destination import addressShown, destinationAddress
from socks6.client.errors import NoAnswer
from socks6.client.negotiation import Terms
from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.messages import DatagramHeader
from socks6.wire.errors import PeerError, UsageError

#: Seconds until the empty datagram is sent again for the first time; each time it takes
#: twice as long.
FIRST_REPETITION = 0.25

#: Seconds that it takes at most.
LAST_REPETITION = 10.0

#: Hosts, each way, whose headers are remembered.
MAX_HEADERS = 1024

#: Where a datagram goes or comes from: a host and a port.
Place = tuple[str, int]


@implementer(IListeningPort, IUDPTransport)
class DatagramPort:
    """
    A UDP port at the proxy.

    @ivar protocol: The user's.
    @ivar confirmed: Fires with whether the proxy has had a datagram of ours, when it
        says so, or when the association has ended before.
    @ivar lost: Fires when the association has ended: with the exception that says why,
        or with L{None} if that is because of L{stopListening}.
    @ivar dropped: How many datagrams were dropped, by reason.
    """

    _log = Logger()

    def __init__(
        self,
        terms: Terms,
        protocol: AbstractDatagramProtocol,
        way: Way,
        association: tuple[int, Address],
        hangUp: Callable[[], None],
    ) -> None:
        """
        @param way: Takes datagrams to the proxy.
        @param association: The association's ID, and the address that the proxy has
            bound.
        @param hangUp: Closes the TCP connection with the proxy; L{hungUp} is called
            when that has been done.
        """
        self.protocol = protocol
        self.confirmed: Deferred[bool] = Deferred()
        self.lost: Deferred[Exception | None] = Deferred()
        self.dropped: Counter[str] = way.dropped
        self._clock = terms.clock
        self._codec = terms.codec
        self._timeout = terms.timeout
        self._way = way
        self._identifier, self._bound = association
        self._hangUp = hangUp
        self._peer: Place | None = None
        #: Host and port -> header, and the other way round.
        self._headers: dict[object, bytes] = {}
        self._sources: dict[bytes, Place] = {}
        self._isConfirmed = False
        self._isStarted = False
        self._isClosed = False
        self._isOver = False
        self._repetition: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._stopped: list[Deferred[None]] = []

    def __repr__(self) -> str:
        """
        Tell where it is.
        """
        return f"<{type(self).__name__} {self._bound}>"

    # For the user's protocol.

    def getHost(self) -> Any:
        """
        Tell which address the proxy has bound: it is what remote hosts see.
        """
        return _datagramAddress(self._bound)

    def startListening(self) -> None:
        """
        It listens from the beginning.
        """

    def write(self, packet: bytes, addr: Any = None) -> None:
        """
        Send a datagram, or drop it if it cannot be sent at the moment.

        @param addr: Where to: a host, which is an IP address in text form or a name
            that the proxy resolves, and a port; or one of Twisted's addresses; not
            needed after L{connect}.
        @raise ValueError: It cannot be.
        @raise MessageLengthError: The datagram is too large.
        """
        header = self._headers.get(addr)
        if header is None:
            header = self._newHeader(addr)
        self._way.send(header, packet)

    def connect(self, host: str, port: int) -> None:
        """
        Send to one host only, and receive from no other.

        @param host: An IP address.
        @raise ValueError: It is none, or the port is out of range.
        @raise UsageError: That has been said.
        """
        if self._peer is not None:
            raise UsageError("already connected")
        where = destinationAddress(host, port)
        if isinstance(where.host, DomainName):
            raise ValueError(f"no IP address: {host!r}")
        self._headers.clear()
        self._sources.clear()
        self._peer = str(where.host), port

    def stopListening(self) -> Deferred[None]:
        """
        End the association.

        Nothing is sent or received any more; the protocol is stopped as soon as the
        connection with the proxy is closed, never before this returns.

        @return: Fires then; never fails.
        """
        if self._isOver:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        if not self._isClosed:
            self._close()
            self._hangUp()
        return stopped

    def getBroadcastAllowed(self) -> bool:
        """
        Tell that the proxy broadcasts nothing.
        """
        return False

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        Not through a proxy.

        @raise UsageError: It was to be allowed.
        """
        if enabled:
            raise UsageError("nothing is broadcast through a proxy")

    # For the association.

    def start(self) -> None:
        """
        Give the protocol its transport, and let the proxy know where we are.
        """
        if not self._isConfirmed:
            self._deadline = self._clock.callLater(self._timeout, self._unconfirmed)
            self._trigger(FIRST_REPETITION)
        self.protocol.makeConnection(self)
        self._isStarted = True
        if self._isOver:
            # It has ended itself.
            self._stopProtocol()

    def confirm(self) -> None:
        """
        Learn that the proxy has had a datagram of ours.
        """
        self._isConfirmed = True
        self._stopTimers()
        self.confirmed.callback(True)

    def received(self, datagram: bytes) -> None:
        """
        Take a datagram of the proxy.
        """
        try:
            end = self._codec.datagramHeaderLength(datagram)
            source = self._sources.get(datagram[:end])
            if source is None:
                source = self._newSource(datagram, end)
        except PeerError as error:
            self.dropped[type(error).__name__] += 1
            return
        if source is None:
            return
        try:
            self.protocol.datagramReceived(datagram[end:], source)
        except Exception:  # noqa: BLE001  so do Twisted's own ports
            self._log.failure("{protocol} has failed", protocol=type(self.protocol).__name__)

    def fail(self, reason: Exception) -> None:
        """
        End the association, as something is wrong with it.
        """
        if not self._isClosed:
            self._close()
            self._hangUp()
        self.end(reason)

    def hungUp(self, reason: Exception) -> None:
        """
        Learn that the connection with the proxy is closed.
        """
        # Whoever stops does not mind how the connection goes.
        self.end(None if self._stopped else reason)

    def end(self, reason: Exception | None) -> None:
        """
        Tell everybody that the association has ended.
        """
        if self._isOver:
            return
        self._isOver = True
        self._close()
        if self._isStarted:
            self._stopProtocol()
        if not self._isConfirmed:
            self.confirmed.callback(False)
        self.lost.callback(reason)
        stopped, self._stopped = self._stopped, []
        for each in stopped:
            each.callback(None)

    # How it is done.

    def _stopProtocol(self) -> None:
        """
        Take the protocol's transport away.
        """
        try:
            self.protocol.doStop()
        except Exception:  # noqa: BLE001  so do Twisted's own ports
            self._log.failure("{protocol} has failed", protocol=type(self.protocol).__name__)

    def _newHeader(self, addr: Any) -> bytes:
        """
        Make the header of datagrams that go to a host.
        """
        place: Any = self._peer if addr is None else addr
        where = destinationAddress(*place[:2]) if isinstance(place, tuple) else addressShown(place)
        if where is None or not where.port:
            raise ValueError(f"not the address of a host: {place!r}")
        if self._peer is not None and (str(where.host), where.port) != self._peer:
            raise UsageError("connected to another host")
        header = self._codec.encodeDatagramHeader(DatagramHeader(self._identifier, where))
        if len(self._headers) >= MAX_HEADERS:
            self._headers.clear()
        self._headers[addr] = header
        return header

    def _newSource(self, datagram: bytes, end: int) -> Place | None:
        """
        Find out where datagrams with a header come from.

        @return: L{None}: nobody is to hear of them.
        @raise PeerError: There is no such header.
        """
        header, _ = self._codec.decodeDatagramHeader(datagram)
        host = header.address.host
        source = str(host), header.address.port
        if header.associationID != self._identifier:
            self.dropped["unknown association"] += 1
            return None
        if isinstance(host, DomainName):
            # No host sends from a name, and whoever answered would name it again.
            self.dropped["no address"] += 1
            return None
        if self._peer is not None and source != self._peer:
            self.dropped["another host"] += 1
            return None
        if len(self._sources) >= MAX_HEADERS:
            self._sources.clear()
        self._sources[datagram[:end]] = source
        return source

    def _trigger(self, delay: float) -> None:
        """
        Send the empty datagram, and again later.

        @param delay: When, in seconds.
        """
        self._repetition = self._clock.callLater(
            delay, self._trigger, min(2 * delay, LAST_REPETITION)
        )
        nowhere = DatagramHeader(self._identifier, UNSPECIFIED_IPV4)
        self._way.send(self._codec.encodeDatagramHeader(nowhere), b"")

    def _unconfirmed(self) -> None:
        """
        Give up on a proxy that gets no datagrams.
        """
        self.fail(NoAnswer(self._timeout))

    def _close(self) -> None:
        """
        Send and receive nothing more.
        """
        self._isClosed = True
        self._stopTimers()
        self._way.close()

    def _stopTimers(self) -> None:
        """
        Send nothing again.
        """
        for timer in (self._repetition, self._deadline):
            if timer is not None and timer.active():
                timer.cancel()


def _datagramAddress(where: Address) -> IAddress:
    """
    Make the address that a transport for datagrams shows.
    """
    if isinstance(where.host, IPv4Address):
        return address.IPv4Address("UDP", str(where.host), where.port)
    if isinstance(where.host, IPv6Address):
        return address.IPv6Address("UDP", str(where.host), where.port)
    return address.HostnameAddress(where.host.octets, where.port)
