"""
Addresses as SOCKS 5 spells them, and SOCKS 6 after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from socks6.values.address import DomainName, Host
from socks6.wire.codec import Octets
from socks6.wire.errors import MalformedMessage, UnknownAddressType


class AddressType(IntEnum):
    """
    What kind of address follows.

    @see: RFC 1928, section 4.
    """

    IPV4 = 1
    DOMAIN_NAME = 3
    IPV6 = 4


#: Octets of the addresses that have a fixed size.
_ADDRESS_LENGTHS: Mapping[int, int] = {AddressType.IPV4: 4, AddressType.IPV6: 16}


def addressEnd(octets: Octets, typeOffset: int) -> int:
    """
    Find the end of an address.

    @param typeOffset: Where the address type stands; it must be there.
    @return: The offset behind the address, or a number above C{len(octets)} if
        more must be there to tell::

            type:1=0x01 address:4
            type:1=0x03 length:1 name:length
            type:1=0x04 address:16

    @raise UnknownAddressType: The type is none of these.
    @raise MalformedMessage: The name is empty.
    """
    addressType = octets[typeOffset]
    if addressType == AddressType.DOMAIN_NAME:
        if len(octets) == typeOffset + 1:
            return typeOffset + 2
        length = octets[typeOffset + 1]
        if not length:
            raise MalformedMessage("empty domain name")
        return typeOffset + 2 + length
    length = _ADDRESS_LENGTHS.get(addressType, 0)
    if not length:
        raise UnknownAddressType(f"unknown address type {addressType}")
    return typeOffset + 1 + length


def encodeHost(host: Host) -> bytes:
    """
    Write an address, with its type.

    @return: 5 to 257 octets::

        type:1=0x01 address:4
        type:1=0x03 length:1 name:length
        type:1=0x04 address:16

    @see: RFC 1928, section 5.
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
