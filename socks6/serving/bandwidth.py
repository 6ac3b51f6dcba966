"""
How the tunnels and associations of a proxy share what may pass in a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime

from socks6.relay.throttle import Buckets, bucketsOf
from socks6.serving.limits import Limits, peerNetwork
from socks6.values.address import ClientNetwork

if TYPE_CHECKING:
    from socks6.serving.factory import ClientProtocol


@dataclass(slots=True)
class _Share:
    """
    What the tunnels of one client have together.

    @ivar tunnels: How many there are.
    """

    buckets: Buckets
    tunnels: int = 0


class Bandwidth:
    """
    The buckets of all tunnels together, and of each client.
    """

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        """
        @param clock: Tells the time.
        """
        self._clock = clock
        self._all: tuple[Buckets, ...] = ()
        if limits.bandwidth is not None:
            self._all = (bucketsOf(clock, limits.bandwidth),)
        self._rate = limits.bandwidthPerClient
        self._clients: dict[ClientProtocol, ClientNetwork] = {}
        self._shares: dict[ClientNetwork, _Share] = {}

    def of(self, leg: ClientProtocol) -> tuple[Buckets, ...]:
        """
        Find the buckets of a new tunnel, or association.

        @param leg: The client's connection, which is L{gone} some day.
        """
        if self._rate is None:
            return self._all
        transport: Any = leg.transport
        # Behind "haproxy:" that is the one whom the header names.
        network = peerNetwork(transport.getPeer())
        if network is None:
            return self._all
        share = self._shares.get(network)
        if share is None:
            share = self._shares[network] = _Share(bucketsOf(self._clock, self._rate))
        share.tunnels += 1
        self._clients[leg] = network
        return (*self._all, share.buckets)

    def gone(self, leg: ClientProtocol) -> None:
        """
        Forget a connection, whether or not it was of a tunnel.
        """
        network = self._clients.pop(leg, None)
        if network is not None:
            share = self._shares[network]
            share.tunnels -= 1
            if not share.tunnels:
                del self._shares[network]
