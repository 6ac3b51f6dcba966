"""
The header of the datagrams between client and proxy.
"""

from __future__ import annotations

from struct import Struct

from socks6.values.address import Address
from socks6.values.messages import DatagramHeader
from socks6.wire.address import addressEnd, decodeHost, encodeHost
from socks6.wire.draft06.framing import checkVersion
from socks6.wire.draft06.numbers import VERSION
from socks6.wire.errors import MalformedMessage

_HEAD = Struct("!2sIH")


def encodeDatagramHeader(header: DatagramHeader) -> bytes:
    """
    Write the header of a datagram; the payload follows it.

    @return: 13 to 265 octets::

        version:2=0x0600 associationID:4 port:2 address

    @see: draft 06, "Datagrams".
    """
    head = _HEAD.pack(VERSION, header.associationID, header.address.port)
    return head + encodeHost(header.address.host)


def datagramHeaderLength(datagram: bytes) -> int:
    """
    Find the end of a datagram's header: the payload follows.

    @raise VersionMismatch: It begins with another version.
    @raise MalformedMessage: The datagram ends within its header, or the address cannot
        be read.
    @see: L{encodeDatagramHeader}
    """
    checkVersion(datagram)
    if len(datagram) <= _HEAD.size:
        raise MalformedMessage("a datagram ends within its header")
    end = addressEnd(datagram, _HEAD.size)
    if len(datagram) < end:
        raise MalformedMessage("a datagram ends within its address")
    return end


def decodeDatagramHeader(datagram: bytes) -> tuple[DatagramHeader, int]:
    """
    Read the header of a datagram.

    @return: The header, and how many octets it takes: the payload follows.
    @raise VersionMismatch: It begins with another version.
    @raise MalformedMessage: The datagram ends within its header, or the
        address cannot be read.
    @see: L{encodeDatagramHeader}
    """
    end = datagramHeaderLength(datagram)
    _, associationID, port = _HEAD.unpack_from(datagram)
    host = decodeHost(datagram, _HEAD.size, end)
    return DatagramHeader(associationID, Address(host, port)), end
