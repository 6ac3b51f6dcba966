"""
Where a program sends its datagrams, each with a header of SOCKS 5, and where what comes
back to it comes from.

@see: RFC 1928, section 7.
"""

from __future__ import annotations

import socket
from collections import Counter
from ipaddress import IPv4Address
from typing import Any, cast

from twisted.internet import address as addresses
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall

from socks6.datagramreader import DatagramReader, boundSocket
from socks6.interfaces import IAssociation, Place
from socks6.values.address import (
    Address,
    DomainName,
    addressFromText,
    ipAddress,
    unmapped,
)
from socks6.wire.errors import PeerError
from socks6.wire.socks5 import (
    SOCKS5DatagramHeader,
    datagramHeaderLength,
    decodeDatagramHeader,
    encodeDatagramHeader,
)

#: Destinations, and sources, of one program that are remembered.
MAX_ROUTES = 1024

#: A socket address as the socket module has it: host, port and, of IPv6, flow and scope.
_SocketAddress = tuple[Any, ...]


def _socketAddress(host: str, port: int, scope: int = 0) -> _SocketAddress:
    """
    Write an address as sockets do: one of IPv4 as such, even if it comes from a socket
    of IPv6.
    """
    ip = unmapped(ipAddress(host))
    return (str(ip), port) if isinstance(ip, IPv4Address) else (str(ip), port, 0, scope)


def socketAddressOf(address: IAddress) -> _SocketAddress | None:
    """
    Tell where one end of a connection is.

    @return: L{None}: not on an IP network.
    """
    if isinstance(address, addresses.IPv4Address):
        return _socketAddress(address.host, address.port)
    if isinstance(address, addresses.IPv6Address):
        # Twisted's type says that it can be a name.
        return _socketAddress(address.host, address.port, cast("int", address.scopeID))
    return None


def openSocket(where: _SocketAddress) -> socket.socket:
    """
    Bind a socket for a program's datagrams.

    @param where: Where the program has connected to; its port means nothing.
    @raise OSError: It cannot be.
    """
    return boundSocket(where[0], 0, *where[2:])


class ProgramPort:
    """
    A port for the datagrams of one program.

    @ivar bound: Where it is.
    @ivar toRemote: Octets of payload sent to remote hosts.
    @ivar toProgram: Octets of payload sent to the program.
    """

    def __init__(
        self,
        reactor: Any,
        handle: socket.socket,
        program: _SocketAddress,
        dropped: Counter[str],
        idleTimeout: float | None = None,
    ) -> None:
        """
        @param handle: A bound socket; it is ours from now on.
        @param program: Where the program sends from; port 0: it is that of the first
            good datagram from there.
        @param dropped: Counts datagrams that were dropped, by reason.
        @param idleTimeout: Seconds without a datagram either way after which this is
            over; L{None}: never.
        """
        self.bound: Address = addressFromText(*handle.getsockname()[:2])
        self.toRemote = 0
        self.toProgram = 0
        self._reactor = reactor
        self._handle = handle
        self._program = program
        #: Where it is; L{None}: that is not known yet.
        self._address = program if program[1] else None
        self._dropped = dropped
        self._association: IAssociation | None = None
        #: By the header of what the program sends; L{None}: nothing can go there.
        self._places: dict[bytes, Place | None] = {}
        #: What is put in front of what came from somewhere.
        self._headers: dict[Place, bytes] = {}
        self._ended: Deferred[str] = Deferred()
        self._reader = DatagramReader(reactor, handle, self._fromProgram)
        self._idleTimeout = idleTimeout
        self._idleTimer: IDelayedCall | None = None
        self._lastUsed = 0.0

    async def serve(self, association: IAssociation) -> str:
        """
        Pass datagrams until that is over.

        @return: How it ended, for the log.
        """
        self._association = association
        if self._idleTimeout is not None:
            self._used()
            self._look()
        return await self._ended

    @property
    def passed(self) -> tuple[int, int]:
        """
        Count the octets so far: for remote hosts, and for the program.
        """
        return self.toRemote, self.toProgram

    def end(self, result: str) -> None:
        """
        Let it be over.
        """
        if not self._ended.called:
            self._ended.callback(result)

    def close(self) -> None:
        """
        Let no more pass, and close the port.
        """
        if self._idleTimer is not None and self._idleTimer.active():
            self._idleTimer.cancel()
        self._reader.close()

    def _used(self) -> None:
        """
        Take note that the port is in use.
        """
        if self._idleTimeout is not None:
            self._lastUsed = self._reactor.seconds()

    def _look(self) -> None:
        """
        See whether the port has been idle for too long.
        """
        assert self._idleTimeout is not None
        rest = self._lastUsed + self._idleTimeout - self._reactor.seconds()
        if rest <= 0:
            self.end("idle")
        else:
            self._idleTimer = self._reactor.callLater(rest, self._look)

    # From the program.

    def _fromProgram(self, datagram: bytes, source: _SocketAddress) -> None:
        """
        Pass on a datagram, if it is the program's and there is a way.
        """
        if source != self._address and not self._mayBeProgram(source):
            self._dropped["another program"] += 1
            return
        try:
            end = datagramHeaderLength(datagram)
            header = datagram[:end]
            place = self._places[header] if header in self._places else self._route(header)
        except PeerError as error:
            self._dropped[type(error).__name__] += 1
            return
        self._address = source
        self._used()
        if place is None or self._association is None:
            self._dropped["fragment" if datagram[2] else "nowhere to go"] += 1
            return
        try:
            self._association.write(datagram[end:], place)
        except ValueError:
            self._dropped["nowhere to go"] += 1
        else:
            self.toRemote += len(datagram) - end

    def _mayBeProgram(self, source: _SocketAddress) -> bool:
        """
        Tell whether somebody can be the program: of its port we know nothing yet.
        """
        if self._address is not None:
            return False
        return source[0] == self._program[0] and source[2:] == self._program[2:]

    def _route(self, header: bytes) -> Place | None:
        """
        Find out where datagrams with a header go.

        Who puts no fragments together "MUST drop any datagram whose FRAG field is other
        than X'00'".

        @raise PeerError: There is no such header.
        """
        found, _ = decodeDatagramHeader(header)
        place = None if found.fragment else _placeOf(found.address)
        if len(self._places) < MAX_ROUTES:
            self._places[header] = place
        return place

    # To the program.

    def toProgramFrom(self, payload: bytes, place: Place) -> None:
        """
        Pass a datagram on to the program, if it is known where that is.

        @param place: Where it comes from.
        """
        if self._address is None:
            self._dropped["no program yet"] += 1
            return
        header = self._headers.get(place)
        if header is None:
            try:
                source = addressFromText(*place)
            except ValueError:
                # The proxy may call hosts what it likes, and not all of it fits.
                self._dropped["impossible source"] += 1
                return
            header = encodeDatagramHeader(SOCKS5DatagramHeader(0, source))
            if len(self._headers) < MAX_ROUTES:
                self._headers[place] = header
        self._used()
        try:
            self._handle.sendto(header + payload, self._address)
        except OSError:
            # It is too large together with its header, or the program does not take it.
            self._dropped["not sent"] += 1
        else:
            self.toProgram += len(payload)


def _placeOf(address: Address) -> Place | None:
    """
    Write an address as an association knows it.

    @return: L{None}: no datagram can go there.
    """
    host = address.host
    if not address.port:
        return None
    if not isinstance(host, DomainName):
        return None if host.is_unspecified else (str(host), address.port)
    try:
        return host.octets.decode("ascii"), address.port
    except UnicodeDecodeError:
        return None
