"""
Addresses on the wire.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from socks6.values.address import DomainName, Host
from socks6.wire.draft06.numbers import AddressType
from socks6.wire.errors import MalformedMessage


def encodeHost(host: Host) -> bytes:
    """
    Write an address, with its type.

    @return: 5 to 257 octets::

        type:1=0x01 address:4
        type:1=0x03 length:1 name:length
        type:1=0x04 address:16

    @see: draft 06, "Requests".
    """
    if isinstance(host, IPv4Address):
        return bytes([AddressType.IPV4]) + host.packed
    if isinstance(host, IPv6Address):
        return bytes([AddressType.IPV6]) + host.packed
    return bytes([AddressType.DOMAIN_NAME, len(host.octets)]) + host.octets


def decodeHost(octets: bytes, start: int, end: int) -> Host:
    """
    Read an address whose size has been found and checked.

    @param start: Where its type stands.
    @param end: The offset behind it.
    @raise MalformedMessage: It is a name with a NUL.
    @see: L{encodeHost}
    """
    addressType = octets[start]
    if addressType == AddressType.IPV4:
        return IPv4Address(octets[start + 1 : end])
    if addressType == AddressType.IPV6:
        return IPv6Address(octets[start + 1 : end])
    try:
        return DomainName(octets[start + 2 : end])
    except ValueError as error:
        raise MalformedMessage(str(error)) from None
