"""
Sockets for the datagrams of clients.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from socks6.datagramreader import MAX_DATAGRAM, DatagramReader, SocketAddress

#: The name that the socket module lacks, and what it brings: interface:4 address of
#: ours:4 destination:4
_IP_PKTINFO = 8

#: Octets that have room for that, or for what IPv6 brings: address of ours:16 interface:4
_ANCILLARY = 64


class ClientSocket(DatagramReader):
    """
    Reads the datagrams of clients, and answers from where they have sent them to, which
    many of them insist on.

    A socket that is bound to an address needs nothing for that.  With others, where a
    datagram came from has that address besides, as L{send} wants it.
    """

    def __init__(
        self,
        reactor: Any,
        handle: socket.socket,
        received: Callable[[bytes, SocketAddress], None],
    ) -> None:
        """
        Begin to read.

        @see: L{DatagramReader}
        """
        host = handle.getsockname()[0]
        self._isWildcard = sys.platform == "linux" and ip_address(host).is_unspecified
        if self._isWildcard:
            if handle.family == socket.AF_INET6:
                handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                handle.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        super().__init__(reactor, handle, received)

    def send(self, parts: Iterable[bytes], source: SocketAddress) -> bool:
        """
        Answer.

        @param parts: The datagram, in pieces.
        @param source: Where the client's own came from.
        @return: Whether it was not dropped.
        """
        address, ancillary = source if self._isWildcard else (source, ())
        try:
            self.handle.sendmsg(parts, ancillary, 0, address)
        except OSError:
            return False
        return True

    def addressIn(self, source: SocketAddress) -> SocketAddress:
        """
        Tell the client's socket address.

        @param source: Where a datagram of its came from.
        """
        return source[0] if self._isWildcard else source

    def _receive(self) -> tuple[bytes, SocketAddress]:
        """
        Read a datagram, and find out where it came from and to.

        @see: L{DatagramReader._receive}
        """
        if not self._isWildcard:
            return super()._receive()
        datagram, ancillary, _, address = self.handle.recvmsg(MAX_DATAGRAM, _ANCILLARY)
        own = tuple(
            (level, kind, _withoutInterface(level, data)) for level, kind, data in ancillary
        )
        return datagram, (address, own)


def _withoutInterface(level: int, information: bytes) -> bytes:
    """
    Turn where a datagram came to into where an answer comes from, by whatever interface.
    """
    if level == socket.IPPROTO_IPV6:
        return information[:16] + bytes(4)
    return bytes(4) + information[4:8] + bytes(4)
