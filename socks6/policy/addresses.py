"""
Addresses that are not the public internet, whatever they are written as.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Network,
    ip_network,
)

from socks6.values.address import IPAddress

Network = IPv4Network | IPv6Network

#: What an address is that others should not reach through us; the first one counts.
#: Python's own words for addresses differ from version to version.
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("unspecified", ("0.0.0.0", "::")),
    # Amazon and most others; Alibaba; Azure; Oracle; Amazon's and Google's over IPv6.
    (
        "a cloud's metadata service",
        (
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    ),
    ("loopback", ("127.0.0.0/8", "::1")),
    ("private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
    ("shared by a carrier's customers", ("100.64.0.0/10",)),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("broadcast", ("255.255.255.255",)),
    # RFC 8215: which IPv4 addresses are in there, only that network knows.
    ("private", ("64:ff9b:1::/48",)),
    (
        "reserved",
        (
            "0.0.0.0/8",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            # All that is of the public internet is in 2000::/3.
            "::/3",
            "4000::/2",
            "8000::/1",
        ),
    ),
)
_TABLE: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), kind) for kind, networks in _KINDS for text in networks
)

#: Where IPv6 has IPv4 addresses in its last 32 bits: NAT64 (RFC 6052), the "translated"
#: ones (RFC 2765), and the "compatible" ones (RFC 4291), which some systems still connect to.
_LAST_BITS = tuple(map(IPv6Network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))

#: Names of services that tell a cloud's machines their secrets, and of this machine.
_GUARDED_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "localhost",
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
    }
)


@lru_cache(maxsize=1024)
def innermost(host: IPAddress) -> IPAddress:
    """
    Take the IPv4 address out of an IPv6 one that leads to it: mapped, translated,
    compatible, NAT64, 6to4 or Teredo.

    @return: C{host} itself, if it is none.
    """
    if isinstance(host, IPv4Address):
        return host
    if host.is_unspecified or host.is_loopback:
        return host
    found = host.ipv4_mapped or host.sixtofour
    if found is None and host.teredo is not None:
        found = host.teredo[1]
    if found is None and any(host in network for network in _LAST_BITS):
        found = IPv4Address(int(host) & 0xFFFFFFFF)
    return found or host


@lru_cache(maxsize=1024)
def kindOf(host: IPAddress) -> str:
    """
    Say what an address is that is not of the public internet.

    @return: Empty: it is of the public internet, as far as anybody knows.
    """
    seen = innermost(host)
    return next((kind for network, kind in _TABLE if seen in network), "")


def isGuardedName(name: str) -> bool:
    """
    Tell whether a name is one of this machine, or of a cloud's metadata service.

    @param name: In lower case, without a dot at the end.
    """
    return name in _GUARDED_NAMES or name.endswith(".localhost")
