"""
How much clients may have of a proxy, and for how long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from socks6.values.address import ClientNetwork, ipAddress, networkOf


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What is set; L{None}: nothing is.

    @ivar connections: Clients' connections at a time.
    @ivar perClient: Those of one IPv4 address or IPv6 network of 64 bits.
    @ivar handshakes: Those that pass no octets yet.
    @ivar bandwidth: Octets per second each way, of all tunnels and datagrams together.
    @ivar bandwidthPerClient: The same for those of one client.
    @ivar keepAlive: Seconds of silence after which the kernel asks whether a peer is
        still there.
    @ivar drainTimeout: Seconds that tunnels may take to end when the proxy stops.
    """

    connections: int | None = None
    perClient: int | None = None
    handshakes: int | None = None
    bandwidth: int | None = None
    bandwidthPerClient: int | None = None
    keepAlive: int | None = None
    drainTimeout: float = 0.0

    def __post_init__(self) -> None:
        """
        Check the numbers.

        @raise ValueError: One is out of range.
        """
        for name in (
            "connections",
            "perClient",
            "handshakes",
            "bandwidth",
            "bandwidthPerClient",
            "keepAlive",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: not a number above 0: {value}")
        if not 0 <= self.drainTimeout < math.inf:
            raise ValueError(f"not a number of seconds: {self.drainTimeout}")


#: What holds for those who set nothing.
NO_LIMITS = Limits()


def peerNetwork(address: Any) -> ClientNetwork | None:
    """
    Tell whom a connection counts against.

    @param address: What the kernel or Twisted says of the peer.
    @return: L{None}: nobody in particular, as it is no address of IP.
    """
    host = address[0] if isinstance(address, tuple) else getattr(address, "host", None)
    return _network(host) if isinstance(host, str) else None


@lru_cache(maxsize=1024)
def _network(host: str) -> ClientNetwork | None:
    """
    Read an address.
    """
    try:
        return networkOf(ipAddress(host))
    except ValueError:
        return None
