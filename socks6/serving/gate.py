"""
Whom a proxy lets in, when there are many.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper

from socks6.quota import LineQuota
from socks6.serving.limits import Limits, peerNetwork
from socks6.sockets import hasLayer
from socks6.values.address import ClientNetwork

if TYPE_CHECKING:
    from socks6.serving.factory import ClientProtocol

#: Lines on clients that are not let in, within a period.
REFUSAL_LINES = 10

#: Seconds of such a period.
REFUSAL_PERIOD = 60.0


class Gate:
    """
    Counts connections, and decides whether there may be one more.

    A connection is a handshake until its octets are passed on, or its request has been
    answered if that leads to no tunnel.  When there are too many of those, the one goes
    that has come first of those that were not let in: whoever just came is likelier to mean
    it.

    @ivar refused: How many were turned away, by what there was too much of:
        C{connections}, C{client}, C{handshakes} (the new one was refused), C{silent} (an
        old one was dropped), C{system} (how often it could give us no more), C{memory}
        (there was too little for a new one), C{buffers} (one was cut for whom much was kept).
    @ivar lacksMemory: Says why there is no memory for somebody new, if there is none;
        L{None}: nobody looks.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        """
        @param clock: Tells the time.
        """
        self._limits = limits
        self._lines = LineQuota(clock, REFUSAL_LINES, REFUSAL_PERIOD, self._moreRefused)
        self.refused: Counter[str] = Counter()
        self.lacksMemory: Callable[[], str | None] | None = None
        self._connections: set[ClientProtocol] = set()
        #: Whom connections count against, and how many there are.
        self._clients: dict[ClientProtocol, ClientNetwork] = {}
        self._counts: Counter[ClientNetwork] = Counter()
        #: Handshakes; and those that were not let in so far, the oldest first.
        self._handshakes: set[ClientProtocol] = set()
        self._silent: dict[ClientProtocol, None] = {}

    # Before there is a connection.

    def admits(self, address: Any, isBalanced: bool = False) -> bool:
        """
        Decide about somebody who has connected.

        @param address: The peer's, as the kernel says it.
        @param isBalanced: Whether that is a load balancer, so that it says nothing of
            the client.
        """
        complaint = None if self.lacksMemory is None else self.lacksMemory()
        if complaint is not None:
            self._refuse("memory", complaint, address)
            return False
        limits = self._limits
        if limits.connections is not None and len(self._connections) >= limits.connections:
            self._refuse("connections", f"there are {limits.connections} connections", address)
            return False
        if limits.perClient is not None and not isBalanced:
            network = peerNetwork(address)
            if network is not None and self._counts[network] >= limits.perClient:
                self._refuse("client", f"it has {limits.perClient} connections", address)
                return False
        if limits.handshakes is not None and len(self._handshakes) >= limits.handshakes:
            if not self._silent:
                self._refuse("handshakes", f"there are {limits.handshakes} handshakes", address)
                return False
            self._dropOldest()
        return True

    def exhausted(self, code: int) -> None:
        """
        Take note that the system cannot give us one more connection.

        @param code: Its reason.
        """
        self.refused["system"] += 1
        if self._lines.take():
            self._log.warn("no connection can be accepted: {reason}", reason=os.strerror(code))

    # While there is one.

    def came(self, leg: ClientProtocol) -> None:
        """
        Count a connection.
        """
        self._connections.add(leg)
        if self._limits.perClient is not None:
            transport: Any = leg.transport
            network = peerNetwork(transport.getPeer())
            if network is not None and not hasLayer(transport, HAProxyProtocolWrapper):
                self._clients[leg] = network
                self._counts[network] += 1
        if self._limits.handshakes is not None:
            self._handshakes.add(leg)
            self._silent[leg] = None

    def asked(self, leg: ClientProtocol) -> None:
        """
        Take note that a client has made its request, and has been let in: to ask costs
        nothing, so that it must not keep others out.
        """
        self._silent.pop(leg, None)

    def served(self, leg: ClientProtocol) -> None:
        """
        Take note that a connection is no handshake any more.
        """
        self._silent.pop(leg, None)
        self._handshakes.discard(leg)

    def gone(self, leg: ClientProtocol) -> None:
        """
        Forget a connection.
        """
        self._connections.discard(leg)
        self.served(leg)
        network = self._clients.pop(leg, None)
        if network is not None:
            self._counts[network] -= 1
            if not self._counts[network]:
                del self._counts[network]

    # What the operator reads.

    def flush(self) -> None:
        """
        Write how many got no line so far.
        """
        self._lines.renew()

    def _dropOldest(self) -> None:
        """
        Cut the oldest handshake of a client that was not let in.
        """
        leg = next(iter(self._silent))
        # It is gone a little later, and is not to be cut twice.
        self.served(leg)
        self.refused["silent"] += 1
        if self._lines.take():
            self._log.warn(
                "the oldest of {limit} handshakes is dropped for a new one",
                limit=self._limits.handshakes,
            )
        leg.cut("dropped for a new one")

    def _refuse(self, kind: str, reason: str, address: Any) -> None:
        """
        Take note of somebody who may not come in.

        @param kind: What it counts as.
        """
        self.refused[kind] += 1
        if self._lines.take():
            host = address[0] if isinstance(address, tuple) else "unix"
            self._log.warn("{host} is refused: {reason}", host=host, reason=reason)

    def _moreRefused(self, count: int) -> None:
        """
        Write how many got no line.
        """
        self._log.warn("{count} more connections were refused or dropped", count=count)
