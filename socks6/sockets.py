"""
What transports do not tell of themselves: the sockets under them.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from struct import unpack, unpack_from
from typing import Any, NamedTuple

from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ISSLTransport,
    ITransport,
)
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import alsoProvides

from socks6.values.address import Address, ipAddress, unmapped

#: The state of a Linux TCP socket that has no connection any more.
_TCP_CLOSE = 7

#: Asks the packet filter for the destination before it was translated, for IPv4 and
#: for IPv6; the name that the socket module lacks.
_SO_ORIGINAL_DST = 80

#: Where in Linux's C{struct tcp_info} the count of acknowledged octets stands.
_TCP_BYTES_ACKED = 120

#: And how many milliseconds ago data came.
_TCP_LAST_DATA_RECEIVED = 52

#: Linux's names for Multipath TCP that the socket module lacks.
_TCP_IS_MPTCP = 43
_SOL_MPTCP, _MPTCP_INFO = 284, 1

#: Where in Linux's C{struct mptcp_info} the number of the next octet stands that the peer
#: has to acknowledge.
_MPTCP_UNACKNOWLEDGED = 24


class TransportWrapper:
    """
    A transport that stands on another one and is no protocol.

    @ivar transport: The other one.
    """

    transport: Any


def layers(transport: ITransport) -> Iterator[ITransport]:
    """
    Walk from a transport through its wrappers (TLS, PROXY protocol, a tunnel) down
    to the one under them all.
    """
    wrappers = ProtocolWrapper | TransportWrapper
    while isinstance(transport, wrappers) and transport.transport is not None:
        yield transport
        transport = transport.transport
    yield transport


def _lowest(transport: ITransport) -> ITransport:
    """
    Find the transport under all wrappers.
    """
    if isinstance(transport, Connection):
        # As it is most often.
        return transport
    *_, lowest = layers(transport)
    return lowest


def socketOf(transport: ITransport) -> socket.socket | None:
    """
    Find the socket under a transport.

    @return: L{None} if there is none, or no longer.
    """
    handle = getattr(_lowest(transport), "socket", None)
    return handle if isinstance(handle, socket.socket) else None


def localAddress(transport: ITransport) -> IAddress:
    """
    Tell where a connection has come to, whatever a PROXY header says.
    """
    return _lowest(transport).getHost()


def isEncrypted(transport: ITransport) -> bool:
    """
    Tell whether TLS is spoken on a transport.
    """
    if isinstance(transport, Connection):
        # startTLS and connectSSL hide it within.
        return ISSLTransport.providedBy(transport)
    *wrappers, lowest = layers(transport)
    return ISSLTransport.providedBy(lowest) or any(
        isinstance(wrapper, TLSMemoryBIOProtocol) for wrapper in wrappers
    )


def hasLayer(transport: ITransport, kind: type[object]) -> bool:
    """
    Tell whether a wrapper of some kind is between a transport and its socket.
    """
    return any(isinstance(layer, kind) for layer in layers(transport))


def canHalfClose(transport: ITransport) -> bool:
    """
    Tell whether one direction of a transport can end before the other.

    A TLS transport claims that it can, but would end the TCP connection under
    the encrypted stream.
    """
    return not isEncrypted(transport) and IHalfCloseableDescriptor.providedBy(_lowest(transport))


def hearHalfClose(transport: ITransport, protocol: IHalfCloseableProtocol) -> None:
    """
    Let a protocol hear when one direction of its transport ends, whatever
    wrappers are between the two.

    Twisted's wrapper for the PROXY protocol does not pass that on, so the end
    of one direction would be the end of the connection.
    """
    if isinstance(transport, Connection) or not canHalfClose(transport):
        return
    found: list[Any] = list(layers(transport))
    for wrapper in found[:-1]:
        wrapper.readConnectionLost = protocol.readConnectionLost
        wrapper.writeConnectionLost = protocol.writeConnectionLost
        alsoProvides(wrapper, IHalfCloseableProtocol)


def isClosing(transport: ITransport) -> bool:
    """
    Tell whether a transport is being closed, by whomever.

    When the peer ends a TLS connection, the transport closes by itself and
    says so nowhere but on the transport under it.
    """
    return bool(getattr(_lowest(transport), "disconnecting", False))


def readAtMost(transport: ITransport, count: int) -> None:
    """
    Let a transport read less at once than it would.
    """
    lowest: Any = _lowest(transport)
    if isinstance(lowest, Connection):
        lowest.bufferSize = min(count, Connection.bufferSize)


def isPlain(transport: object) -> bool:
    """
    Tell whether a transport is one of Twisted's own, and speaks no TLS.
    """
    return isinstance(transport, Connection) and not transport.TLS


def hasUnsent(transport: Any) -> bool:
    """
    Tell whether something waits in the buffers of one of Twisted's own transports.
    """
    return bool(transport.dataBuffer or transport._tempDataBuffer)


def closeSocketUnder(transport: ITransport) -> None:
    """
    Close the socket under a transport when all has been written, without a
    reset; TLS itself would wait for the peer's close alert.
    """
    _lowest(transport).loseConnection()


def deliverRest(transport: ITransport) -> None:
    """
    Deliver what has arrived for a transport and was not read yet, while it is
    losing its connection.

    When a peer that has closed is sent something, it answers with a reset.
    Twisted notices that when it writes, and closes the socket with all that
    the peer had sent before.
    """
    lowest: Any = _lowest(transport)
    handle = socketOf(transport)
    if handle is None:
        return
    # More cannot be waiting, whatever the peer does meanwhile.
    rest = handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    while rest > 0:
        try:
            octets = handle.recv(lowest.bufferSize)
        except (OSError, MemoryError):
            # Without memory it is lost, but the connection must still end.
            return
        if not octets:
            return
        rest -= len(octets)
        lowest.protocol.dataReceived(octets)


def isMultipath(handle: socket.socket) -> bool:
    """
    Tell whether a connection really is Multipath TCP: both peers speak it.
    """
    if sys.platform != "linux" or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        return bool(handle.getsockopt(socket.IPPROTO_TCP, _TCP_IS_MPTCP))
    except OSError:
        return False


def _acknowledgedUpTo(handle: socket.socket) -> int:
    """
    Tell how far the peer of a Multipath TCP connection has acknowledged what it was sent.

    @return: The number of an octet, which begins anywhere; 0: the system does not tell.
    """
    try:
        info = handle.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _MPTCP_UNACKNOWLEDGED + 8)
    except OSError:
        return 0
    (number,) = unpack_from("=Q", info, _MPTCP_UNACKNOWLEDGED)
    return int(number)


class Delivery(NamedTuple):
    """
    How far a peer has got with what was written to it.

    @ivar outstanding: Octets that the kernel has been given and the peer's
        kernel has not acknowledged, the end of the stream counting as one.
    @ivar acknowledged: Octets that it has acknowledged so far, counted from anywhere; 0
        on a UNIX socket, which does not count them.
    """

    outstanding: int
    acknowledged: int


def delivery(transport: ITransport) -> Delivery | None:
    """
    Ask how far the peer has got.

    @return: L{None} where the system does not tell.
    """
    handle = socketOf(transport)
    if handle is None or sys.platform != "linux":
        return None
    from fcntl import ioctl
    from termios import TIOCOUTQ

    (outstanding,) = unpack("=i", ioctl(handle.fileno(), TIOCOUTQ, bytes(4)))
    acknowledged = 0
    if isMultipath(handle):
        acknowledged = _acknowledgedUpTo(handle)
    elif handle.family != socket.AF_UNIX:
        info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_BYTES_ACKED + 8)
        (acknowledged,) = unpack_from("=Q", info, _TCP_BYTES_ACKED)
    return Delivery(outstanding, acknowledged)


def silence(transport: ITransport) -> float | None:
    """
    Ask for how many seconds no data has come from the peer.

    @return: L{None} where the system does not tell.
    """
    handle = socketOf(transport)
    isTold = isinstance(handle, socket.socket) and sys.platform == "linux"
    if not isTold or handle is None or handle.family == socket.AF_UNIX or isMultipath(handle):
        return None
    info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_LAST_DATA_RECEIVED + 4)
    (milliseconds,) = unpack_from("=I", info, _TCP_LAST_DATA_RECEIVED)
    return float(milliseconds / 1000)


def isReset(transport: ITransport) -> bool:
    """
    Tell whether the connection of a socket that nobody reads or writes is gone.

    Twisted does not watch a socket whose input has ended and that has nothing
    to write.

    @return: C{False} also where the system does not tell.
    """
    handle = socketOf(transport)
    if handle is None or handle.family == socket.AF_UNIX or sys.platform != "linux":
        return False
    if isMultipath(handle):
        # Its state would be that of the first path, which may end before the others.
        poll = select.poll()
        poll.register(handle, 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    state = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == _TCP_CLOSE


def prepareForRelay(transport: ITransport) -> None:
    """
    Let small messages leave at once, and let the kernel find out when the peer
    is gone, if there is a TCP socket.
    """
    handle = socketOf(transport)
    if handle is not None:
        # Others than TCP sockets refuse it, and so do some systems for a connection that
        # is gone already.
        with suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def setTypeOfService(handle: socket.socket, typeOfService: int) -> int | None:
    """
    Set the IP type of service, or IPv6 traffic class, of the packets that a
    socket sends.

    @param typeOfService: The octet.
    @return: The octet now in force, which may differ: the kernel keeps the two
        bits of ECN to itself.  L{None} if the socket has none or the system
        does not let us.
    """
    levels = []
    if handle.family == socket.AF_INET6:
        levels.append((socket.IPPROTO_IPV6, socket.IPV6_TCLASS))
    if handle.family in (socket.AF_INET, socket.AF_INET6):
        # An IPv6 socket may carry IPv4, to an address like ::ffff:192.0.2.1.
        levels.append((socket.IPPROTO_IP, socket.IP_TOS))
    inForce = None
    for level, option in levels:
        try:
            handle.setsockopt(level, option, typeOfService)
            inForce = inForce or handle.getsockopt(level, option)
        except OSError:
            continue
    return inForce


def originalDestination(transport: ITransport) -> Address | None:
    """
    Tell where a connection was to go that the packet filter has redirected to us.

    @return: L{None} if it was to go where it has come, or the system does not tell.
    """
    handle = socketOf(transport)
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    name, number = handle.getsockname()[:2]
    # An IPv6 socket may carry IPv4.
    own = Address(unmapped(ipAddress(name)), number)
    if isinstance(own.host, IPv6Address):
        level, layout, size = socket.IPPROTO_IPV6, "!2xH4x16s", 28
    else:
        level, layout, size = socket.IPPROTO_IP, "!2xH4s", 16
    try:
        found = handle.getsockopt(level, _SO_ORIGINAL_DST, size)
    except OSError:
        return None
    port, host = unpack_from(layout, found)
    destination = Address(ip_address(host), port)
    return None if destination == own else destination
