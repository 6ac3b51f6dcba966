"""
All UDP associations of a proxy.

What comes is passed on in the turn of the reactor in which it came, or not at all.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from socks6.policy.rulebook import RuleCheck
from socks6.server.association import MAX_ROUTES, Association, ClientPort
from socks6.server.bindpolicy import BindPolicy, isThisMachine
from socks6.server.datagramrates import DatagramRates
from socks6.server.route import Route
from socks6.values.address import Address, DomainName, IPAddress
from socks6.wire.codec import Codec
from socks6.wire.errors import PeerError

#: Names that are looked up at a time for the associations of one owner.
MAX_LOOKUPS = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AssociationLimits:
    """
    How many associations there may be, and how long.

    @ivar perOwner: How many of one identity or address.
    @ivar idleTimeout: Seconds without a datagram either way after which one ends.
    """

    perOwner: int = 256
    idleTimeout: float = 300.0


class Associations:
    """
    All associations of a proxy.

    Each belongs to an open TCP connection and has a socket, so there are at most as many
    as there can be descriptors; L{Association} says what one may take.

    @ivar policy: Which ports may be bound.
    @ivar codec: The draft to speak.
    @ivar dropped: How many datagrams were dropped, by reason.
    @ivar passed: How many were passed on, C{to_remote} and C{to_client}.
    @ivar ports: The numbers of our own ports, to which nothing may be relayed.
    """

    def __init__(
        self,
        reactor: Any,
        policy: BindPolicy,
        codec: Codec,
        lookUp: Callable[[DomainName, bytes], Deferred[list[IPAddress]]],
        limits: AssociationLimits | None = None,
    ) -> None:
        """
        @param lookUp: Finds the addresses of a name, for an owner whom that counts
            against, or fails with L{OutboundFailed<socks6.interfaces.OutboundFailed>}.
        """
        self.policy = policy
        self.codec = codec
        self.dropped: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self.ports: Counter[int] = Counter()
        self.reactor = reactor
        self._lookUp = lookUp
        #: How many names are being looked up, for whom.
        self._lookups: Counter[bytes] = Counter()
        self.limits = limits or AssociationLimits()
        self._clientPorts = 0
        self._byID: dict[int, Association] = {}
        self._routes: dict[bytes, Route] = {}
        self._owned: Counter[bytes] = Counter()
        self._sweep = LoopingCall(self._endIdle)
        self._sweep.clock = reactor

    @property
    def opened(self) -> Collection[Association]:
        """
        Those that are open.
        """
        return self._byID.values()

    @property
    def canBeReached(self) -> bool:
        """
        Whether there is a port where clients' datagrams come in.
        """
        return self._clientPorts > 0

    def mayOpen(self, owner: bytes) -> bool:
        """
        Tell whether somebody may have one more.
        """
        return self._owned[owner] < self.limits.perOwner

    def open(
        self,
        handle: socket.socket,
        owner: bytes,
        typeOfService: int | None = None,
        check: RuleCheck | None = None,
        rates: DatagramRates | None = None,
    ) -> Association:
        """
        Begin an association.

        @param handle: The bound socket for remote hosts.
        @param owner: Whom it counts against.
        @param typeOfService: The IP type of service of what is sent to them.
        @param check: What the rules say about them; L{None}: nothing.
        @param rates: How fast datagrams may pass; L{None}: as fast as they come.
        """
        identifier = int.from_bytes(os.urandom(4), "big")
        while identifier in self._byID:
            identifier = int.from_bytes(os.urandom(4), "big")
        association = Association(self, identifier, owner, typeOfService, check, rates)
        self._byID[identifier] = association
        self._owned[owner] += 1
        association.addSocket(handle)
        if not self._sweep.running:
            self._sweep.start(self.limits.idleTimeout / 4, now=False)
        return association

    def close(self, association: Association) -> None:
        """
        End an association: "nothing about it survives".
        """
        if self._byID.pop(association.identifier, None) is None:
            return
        self._owned[association.owner] -= 1
        if not self._owned[association.owner]:
            del self._owned[association.owner]
        association.close()
        for header in association.headers:
            del self._routes[header]
        association.headers.clear()
        if not self._byID and self._sweep.running:
            self._sweep.stop()

    def lookUp(self, name: DomainName, owner: bytes) -> Deferred[list[IPAddress]] | None:
        """
        Look up a name.

        @param owner: Whom it counts against.
        @return: What the look-up that we were made with gives; L{None}: too many are
            under way for the same owner, and others want to have theirs as well.
        """
        if self._lookups[owner] >= MAX_LOOKUPS:
            return None

        def over(result: _T) -> _T:
            self._lookups[owner] -= 1
            if not self._lookups[owner]:
                del self._lookups[owner]
            return result

        self._lookups[owner] += 1
        return self._lookUp(name, owner).addBoth(over)

    def addPort(self, port: int) -> None:
        """
        Take note of a port of ours.
        """
        self.ports[port] += 1

    def removePort(self, port: int) -> None:
        """
        It is closed.
        """
        self.ports[port] -= 1
        if not self.ports[port]:
            del self.ports[port]

    def addClientPort(self, port: int) -> None:
        """
        Take note of a port where clients' datagrams come in.
        """
        self.addPort(port)
        self._clientPorts += 1

    def removeClientPort(self, port: int) -> None:
        """
        It is closed.
        """
        self.removePort(port)
        self._clientPorts -= 1

    def received(self, datagram: bytes, port: ClientPort, address: object) -> bool:
        """
        Take a datagram of a client.

        @param port: Where it came in.
        @param address: Where it came from, there.
        @return: Whether it belongs to an association.
        """
        try:
            end = self.codec.datagramHeaderLength(datagram)
            route = self._routes.get(datagram[:end])
            if route is not None:
                association: Association | None = route.association
            else:
                header, _ = self.codec.decodeDatagramHeader(datagram)
                association = self._byID.get(header.associationID)
        except PeerError as error:
            self.dropped[type(error).__name__] += 1
            return False
        if association is None:
            self.dropped["unknown association"] += 1
            return False
        if not association.comesFrom(port, address):
            self.dropped["another client"] += 1
            return False
        if route is not None and route.ruleset is not association.ruleset:
            # What was allowed by other rules, or denied, has to be asked anew.
            self.forget(route)
            route = self._newRoute(association, route.header, route.address)
        elif route is None:
            route = self._newRoute(association, datagram[:end], header.address)
        association.send(route, datagram[end:])
        return True

    def _newRoute(self, association: Association, header: bytes, destination: Address) -> Route:
        """
        Find out where datagrams with a header go, and remember it.
        """
        route = association.route(header, destination)
        if route.isKnown or route.pending is not None:
            if len(association.headers) >= MAX_ROUTES:
                self.forget(self._routes[next(iter(association.headers))])
            self._routes[header] = route
            association.headers[header] = None
        return route

    def forget(self, route: Route) -> None:
        """
        Remember no more where datagrams with a header go.
        """
        if self._routes.get(route.header) is route:
            del self._routes[route.header]
            del route.association.headers[route.header]

    def isLocal(self, host: IPAddress) -> bool:
        """
        Tell whether an address leads back to this machine.
        """
        return host in self.policy.advertised.values() or isThisMachine(host)

    def _endIdle(self) -> None:
        """
        End what has not been used for too long.
        """
        latest = self.reactor.seconds() - self.limits.idleTimeout
        for association in list(self._byID.values()):
            if association.lastUsed <= latest:
                association.end("idle")
