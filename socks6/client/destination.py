"""
Where a tunnel leads: from what users write to what the protocol carries, and to
what Twisted shows.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from unicodedata import normalize

import idna
from twisted.internet import address
from twisted.internet.interfaces import IAddress

from socks6.values.address import Address, DomainName, Host, addressFromText
from socks6.values.codes import MAX_PORT


def destinationAddress(host: str | bytes, port: int) -> Address:
    """
    Make the address of a request from what a user calls it.

    @param host: A domain name, which the proxy will resolve, or an IP address in
        text form, an IPv6 one with or without brackets.
    @param port: 1 to 65535.
    @raise ValueError: Nothing can be called so, or the port is out of range.
    """
    if not 0 < port <= MAX_PORT:
        raise ValueError(f"port not within 1 to {MAX_PORT}: {port}")
    if isinstance(host, bytes):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            raise ValueError(f"host is not ASCII: {host!r}") from None
    return Address(_literal(host) or _name(host), port)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """
    Read an IP address.

    @return: L{None} if it is none.
    @raise ValueError: It has a zone, such as C{%eth0}, which means nothing to the
        proxy, or there is something else between brackets.
    """
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        ip = None
    if bracketed and not isinstance(ip, IPv6Address):
        raise ValueError(f"no IPv6 address: {host!r}")
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        raise ValueError(f"an address for the proxy cannot have a zone: {host!r}")
    return ip


def _name(host: str) -> Host:
    """
    Read a domain name.

    An ASCII one is left alone, whatever it contains: it is the proxy that has to
    know who is called so.

    @raise ValueError: It is empty, too long, or has characters that names cannot
        have.
    """
    if host.isascii():
        return DomainName(host.encode("ascii"))
    try:
        return DomainName(idna.encode(normalize("NFC", host)))
    except idna.IDNAError as error:
        raise ValueError(f"no possible host name: {host!r}: {error}") from error


def shownAddress(where: Address) -> IAddress:
    """
    Make the address that a transport shows.
    """
    if isinstance(where.host, IPv4Address):
        return address.IPv4Address("TCP", str(where.host), where.port)
    if isinstance(where.host, IPv6Address):
        return address.IPv6Address("TCP", str(where.host), where.port)
    return address.HostnameAddress(where.host.octets, where.port)


def addressShown(shown: IAddress) -> Address | None:
    """
    Read the address that a transport shows.

    @return: L{None}: it is none that the protocol could carry.
    """
    if isinstance(shown, address.IPv4Address | address.IPv6Address):
        return addressFromText(shown.host, shown.port)
    if isinstance(shown, address.HostnameAddress):
        return Address(DomainName(shown.hostname), shown.port)
    return None
