"""
Whose address is it?  What there is a limit to counts against networks.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network


def networkOf(address: IPv4Address | IPv6Address | None) -> IPv4Address | IPv6Network | None:
    """
    Tell what counts as one client: an IPv4 address, or an IPv6 network of 64 bits, in
    which everybody has as many addresses as he likes.

    @return: L{None} if there is no address.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return IPv6Network((int(address) >> 64 << 64, 64))
        return address.ipv4_mapped
    return address
