"""
Addresses: an IPv4 address, an IPv6 address or a domain name, with a port.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from socks6.values.codes import MAX_DOMAIN_NAME_LENGTH, MAX_PORT


@dataclass(frozen=True, slots=True)
class DomainName:
    """
    A domain name as the peer wrote it.

    The protocol carries octets and says nothing of their encoding, so any
    octets but NUL are kept as they are; who resolves the name decides whether
    a host can be called so.

    @ivar octets: 1 to 255 octets, none of them NUL.
    """

    octets: bytes

    def __post_init__(self) -> None:
        """
        Check the name.

        @raise ValueError: The name is empty, too long, or contains NUL.
        """
        if not 0 < len(self.octets) <= MAX_DOMAIN_NAME_LENGTH:
            raise ValueError(f"a domain name has 1 to 255 octets, not {len(self.octets)}")
        if b"\0" in self.octets:
            raise ValueError("a domain name contains no NUL")

    def __str__(self) -> str:
        """
        Write the name for people: what is not printable ASCII is escaped.
        """
        return "".join(
            chr(octet) if 0x20 < octet < 0x7F and octet != 0x5C else f"\\x{octet:02x}"
            for octet in self.octets
        )


IPAddress = IPv4Address | IPv6Address
Host = IPAddress | DomainName

#: What counts as one client, see L{networkOf}.
ClientNetwork = IPv4Address | IPv6Network


@dataclass(frozen=True, slots=True)
class Address:
    """
    A host and a port.

    @ivar host: An IP address or a domain name.
    @ivar port: 0 to 65535.
    """

    host: Host
    port: int

    def __post_init__(self) -> None:
        """
        Check the port.

        @raise ValueError: The port is not within 0 to 65535.
        """
        if not 0 <= self.port <= MAX_PORT:
            raise ValueError(f"port out of range: {self.port}")

    def __str__(self) -> str:
        """
        Write the address for people, C{host:port}.
        """
        if isinstance(self.host, IPv6Address):
            return f"[{self.host}]:{self.port}"
        return f"{self.host}:{self.port}"


#: No address in particular: what a NOOP carries, what a failure reports.
UNSPECIFIED_IPV4 = Address(IPv4Address(0), 0)
UNSPECIFIED_IPV6 = Address(IPv6Address(0), 0)


def unspecifiedLike(host: Host) -> Address:
    """
    Give the all-zero address of the same kind; for a domain name, of IPv4.

    @param host: The host of a request that is being answered.
    """
    return UNSPECIFIED_IPV6 if isinstance(host, IPv6Address) else UNSPECIFIED_IPV4


@lru_cache(maxsize=1024)
def ipAddress(host: str) -> IPAddress:
    """
    Read an IP address, as a socket writes it; its scope ID behind C{%} is left out, the
    protocol has no place for it.

    Few are read often.

    @raise ValueError: It is none.
    """
    return ip_address(host.partition("%")[0])


def unmapped(host: IPAddress) -> IPAddress:
    """
    Take an IPv4 address out of an IPv6 one like ::ffff:192.0.2.1, as which sockets of IPv6
    see it.

    @return: C{host} itself, if it is none.
    """
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return mapped or host


def isUnspecified(host: Host) -> bool:
    """
    Tell whether an address names no host; to the kernel it would be this one.
    """
    return not isinstance(host, DomainName) and unmapped(host).is_unspecified


def networkOf(host: IPAddress) -> ClientNetwork:
    """
    Tell what counts as one client: an IPv4 address, or an IPv6 network of 64 bits, in
    which everybody has as many addresses as he likes.
    """
    found = unmapped(host)
    if isinstance(found, IPv6Address):
        return IPv6Network((int(found) >> 64 << 64, 64))
    return found


def addressFromText(host: str, port: int) -> Address:
    """
    Make an address from what a person or a socket call it.

    @param host: An IP address in text form (see L{ipAddress}), or a domain name in ASCII.
    @raise ValueError: C{host} is no possible name, or the port is out of range.
    """
    try:
        ip = ipAddress(host)
    except ValueError:
        return Address(DomainName(host.encode("ascii")), port)
    return Address(ip, port)
