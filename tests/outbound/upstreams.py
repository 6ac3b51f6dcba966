"""
Proxies that ours goes through, played by the test.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

from tests.doubles import BOUND_ADDRESS, Network, Peer


class Upstream:
    """
    A proxy on a network in memory.

    @ivar endpoint: The way to it, one of Twisted's.
    """

    def __init__(self, network: Network, host: str = "192.0.2.10", port: int = 1080) -> None:
        """
        @param host: Where it is; each has an address of its own.
        """
        self.endpoint = TCP4ClientEndpoint(network, host, port)
        self._network = network
        self._place = host, port
        self._answered = 0

    @property
    def _calls(self) -> list[tuple[Any, Any]]:
        """
        Find all connections that were asked for: what they are for, and what can be
        told to stop.
        """
        calls = zip(self._network.tcpClients, self._network.connectors, strict=True)
        return [(call[2], connector) for call, connector in calls if call[:2] == self._place]

    @property
    def asked(self) -> int:
        """
        Count all connections that were asked for.
        """
        return len(self._calls)

    @property
    def unanswered(self) -> int:
        """
        Count those that were neither accepted nor refused, nor given up.
        """
        waiting = self._calls[self._answered :]
        return sum(not connector.stoppedConnecting for _, connector in waiting)

    def _next(self) -> Any:
        """
        Find what the oldest connection is for that waits.

        @raise AssertionError: None does.
        """
        for factory, connector in self._calls[self._answered :]:
            self._answered += 1
            if not connector.stoppedConnecting:
                return factory
        raise AssertionError("nobody connects")

    def accept(self) -> Peer:
        """
        Accept the oldest connection that waits.

        @return: The proxy's end of it.
        """
        where = IPv4Address("TCP", *self._place)
        protocol = self._next().buildProtocol(where)
        peer = self._network.attach(protocol, BOUND_ADDRESS, where)
        self._network.spin()
        return peer

    def refuse(self) -> None:
        """
        Refuse it.
        """
        self._next().clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self._network.spin()
