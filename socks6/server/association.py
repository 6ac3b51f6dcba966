"""
One UDP association: datagrams between a client and remote hosts.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from typing import Protocol as Structure

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.python.failure import Failure

from socks6.datagramreader import DatagramReader, SocketAddress
from socks6.interfaces import OutboundFailed
from socks6.policy.rulebook import RuleCheck
from socks6.policy.ruleset import Ruleset
from socks6.relay.throttle import admitDatagram
from socks6.server.bindpolicy import BindRefused, openSocket
from socks6.server.datagramrates import DatagramRates
from socks6.server.route import Route
from socks6.sockets import setTypeOfService
from socks6.values.address import (
    UNSPECIFIED_IPV4,
    UNSPECIFIED_IPV6,
    Address,
    DomainName,
    IPAddress,
    addressFromText,
)
from socks6.values.messages import DatagramHeader

if TYPE_CHECKING:
    from socks6.server.associations import Associations

#: Destinations of an association that are remembered, and as many sources and names;
#: of destinations and names, the oldest one makes room.
MAX_ROUTES = 1024

#: Addresses of a name that are remembered: the rules may allow only some of them.
_MAX_HOSTS = 8

#: Seconds that a look-up may take.
LOOKUP_TIMEOUT = 10.0

#: Octets of an association that wait for names, and what a datagram counts besides
#: its payload.
MAX_PENDING = 65536
_DATAGRAM_COST = 64


class ClientPort(Structure):
    """
    Where datagrams of clients come in.
    """

    def begun(self) -> None:
        """
        Learn that an association with a client has begun.
        """

    def ended(self) -> None:
        """
        Learn that it is over.
        """

    def sendTo(self, address: Any, header: bytes, payload: bytes) -> bool:
        """
        Send a datagram to a client.

        @param address: Which one, as it was given to
            L{Associations.received<socks6.server.associations.Associations.received>}.
        @return: Whether it was not dropped.
        """


class _Lookup:
    """
    A name that is being looked up.

    @ivar done: Fires when that is over.
    @ivar waiting: The routes to it.
    """

    def __init__(self, route: Route) -> None:
        self.done: Deferred[None] | None = None
        self.waiting = [route]


class Association:
    """
    One association.

    Its memory is bounded: L{MAX_ROUTES} routes with headers of up to 265 octets, as many
    sources and names, these with up to C{_MAX_HOSTS} addresses, and L{MAX_PENDING} octets
    that wait for names.

    @ivar identifier: Its ID.
    @ivar owner: Whom it counts against.
    @ivar headers: Those of datagrams whose way is known, the oldest one first.
    @ivar lastUsed: When the last datagram passed, in seconds of the clock.
    @ivar confirmed: Fires when the first datagram of the client has come.
    @ivar ended: Fires with why, if it ends by itself.
    @ivar toRemote: Octets of payload sent to remote hosts.
    @ivar toClient: Octets of payload sent to the client.
    """

    def __init__(
        self,
        associations: Associations,
        identifier: int,
        owner: bytes,
        typeOfService: int | None,
        check: RuleCheck | None = None,
        rates: DatagramRates | None = None,
    ) -> None:
        self.identifier = identifier
        self.owner = owner
        self.headers: dict[bytes, None] = {}
        self.lastUsed = associations.reactor.seconds()
        self.confirmed: Deferred[None] = Deferred()
        self.ended: Deferred[str] = Deferred()
        self.toRemote = 0
        self.toClient = 0
        self._typeOfService = typeOfService
        self._check = check
        self._rates = rates
        self._associations = associations
        #: What is put in front of what came from somewhere.
        self._sources: dict[SocketAddress, bytes] = {}
        self._readers: dict[int, DatagramReader] = {}
        self._port: ClientPort | None = None
        self._address: object = None
        self._hosts: dict[DomainName, Sequence[IPAddress]] = {}
        self._lookups: dict[DomainName, _Lookup] = {}
        #: Octets that wait for these.
        self._pending = 0

    @property
    def passed(self) -> tuple[int, int]:
        """
        Count the octets so far: for remote hosts, and for the client.
        """
        return self.toRemote, self.toClient

    @property
    def ruleset(self) -> Ruleset | None:
        """
        The rules in force; L{None}: there are none.
        """
        return None if self._check is None else self._check.ruleset

    # From the client.

    def comesFrom(self, port: ClientPort, address: object) -> bool:
        """
        Tell whether a datagram is of our client.  The first one decides who that is.
        """
        if self._port is None:
            self._port, self._address = port, address
            port.begun()
            self.confirmed.callback(None)
            return True
        return self._port is port and self._address == address

    def route(self, header: bytes, destination: Address) -> Route:
        """
        Find out where datagrams with a header go.
        """
        route = Route(self, header, destination)
        if isinstance(destination.host, DomainName):
            if self._check is not None and not self._check.destination(destination).allowed:
                # Nobody needs to know its addresses.
                route.isDenied = True
            else:
                self._resolve(route, destination.host)
        else:
            self._aim(route, [destination.host])
        return route

    def _aim(self, route: Route, hosts: Sequence[IPAddress]) -> None:
        """
        Send to the first address that is one and that the rules allow.
        """
        specified = [host for host in hosts if not host.is_unspecified and route.port]
        route.ruleset, route.isFull = self.ruleset, False
        host = next((host for host in specified if self._mayReach(route, host)), None)
        if host is None:
            route.isDenied = bool(specified)
            return
        route.handle = self._socketFor(host)
        if route.handle is not None:
            route.target = (str(host), route.port)
            route.isLocal = self._associations.isLocal(host)
            if self._rates is not None:
                route.buckets = self._rates.allow(route.rule, route.target)

    def _mayReach(self, route: Route, host: IPAddress) -> bool:
        """
        Tell whether the rules allow one address of a destination.
        """
        if self._check is None:
            return True
        verdict = self._check.host(route.address, host)
        route.isFull = route.isFull or verdict.isFull
        route.rule = verdict.rule
        return verdict.allowed

    def _socketFor(self, host: IPAddress) -> socket.socket | None:
        """
        Get a socket that can reach an address.

        @return: L{None}: there is none, and cannot be at the moment.
        """
        family = socket.AF_INET if host.version == 4 else socket.AF_INET6
        if family not in self._readers:
            wish = UNSPECIFIED_IPV4 if host.version == 4 else UNSPECIFIED_IPV6
            try:
                handle = openSocket(self._associations.policy, wish, None, socket.SOCK_DGRAM)
            except BindRefused:
                return None
            if self._typeOfService is not None:
                setTypeOfService(handle, self._typeOfService)
            self.addSocket(handle)
        return self._readers[family].handle

    def _resolve(self, route: Route, name: DomainName) -> None:
        """
        Look up a name, once; what is sent there meanwhile waits.
        """
        hosts = self._hosts.get(name)
        if hosts is not None:
            self._aim(route, hosts)
            return
        lookup = self._lookups.get(name)
        if lookup is not None:
            if sum(len(each.waiting) for each in self._lookups.values()) < MAX_ROUTES:
                route.pending = []
                lookup.waiting.append(route)
            return
        found = self._associations.lookUp(name, self.owner)
        if found is None:
            return
        route.pending = []
        lookup = self._lookups[name] = _Lookup(route)
        lookup.done = (
            found.addTimeout(LOOKUP_TIMEOUT, self._associations.reactor)
            .addErrback(_nothing)
            .addCallback(self._resolved, name)
        )

    def _resolved(self, hosts: list[IPAddress], name: DomainName) -> None:
        """
        Send what has waited for a name, or drop it.
        """
        lookup = self._lookups.pop(name, None)
        if lookup is None:
            # The association is over.
            return
        # Rather from the port that the client was told of than from another one.
        own = {4 if family == socket.AF_INET else 6 for family in self._readers}
        found = sorted(hosts, key=lambda host: host.version not in own)[:_MAX_HOSTS]
        if found:
            if len(self._hosts) >= MAX_ROUTES:
                del self._hosts[next(iter(self._hosts))]
            self._hosts[name] = found
        for route in lookup.waiting:
            pending, route.pending = route.pending or [], None
            self._pending -= sum(map(_cost, pending))
            self._aim(route, found)
            if not route.isKnown:
                # Let the next datagram try again.
                self._associations.forget(route)
            for payload in pending:
                self.send(route, payload)

    def send(self, route: Route, payload: bytes) -> None:
        """
        Send a payload to a remote host, or drop it.
        """
        associations = self._associations
        self.lastUsed = associations.reactor.seconds()
        if route.pending is not None:
            if self._pending + _cost(payload) > MAX_PENDING:
                associations.dropped["waiting for a name"] += 1
            else:
                self._pending += _cost(payload)
                route.pending.append(payload)
        elif route.isDenied:
            associations.dropped["not allowed"] += 1
        elif route.handle is None:
            if payload:
                associations.dropped["nowhere to go"] += 1
        elif route.isLocal and route.port in associations.ports:
            associations.dropped["loop"] += 1
        elif route.buckets and not admitDatagram(route.buckets, len(payload)):
            associations.dropped["too fast"] += 1
        else:
            try:
                route.handle.sendto(payload, route.target)
            except OSError:
                associations.dropped["not sent"] += 1
            else:
                self.toRemote += len(payload)
                associations.passed["to_remote"] += 1

    # To the client.

    def addSocket(self, handle: socket.socket) -> None:
        """
        Send and receive through one more socket.

        @param handle: A bound socket; it is ours from now on.
        """
        self._associations.addPort(handle.getsockname()[1])
        reader = DatagramReader(self._associations.reactor, handle, self._fromRemote)
        self._readers[handle.family] = reader

    def _fromRemote(self, payload: bytes, source: SocketAddress) -> None:
        """
        Pass a datagram on to the client, if we have heard of it.
        """
        if self._port is None:
            self._associations.dropped["no client yet"] += 1
            return
        self.lastUsed = self._associations.reactor.seconds()
        rates = self._rates
        if rates is not None and rates.fromOthers and not rates.mayCome(source, len(payload)):
            self._associations.dropped["too fast"] += 1
            return
        header = self._sources.get(source)
        if header is None:
            address = addressFromText(*source[:2])
            header = self._associations.codec.encodeDatagramHeader(
                DatagramHeader(self.identifier, address)
            )
            if len(self._sources) < MAX_ROUTES:
                self._sources[source] = header
        if self._port.sendTo(self._address, header, payload):
            self.toClient += len(payload)
            self._associations.passed["to_client"] += 1

    # The end.

    def end(self, reason: str) -> None:
        """
        End by itself.
        """
        if not self.ended.called:
            self.ended.callback(reason)

    def close(self) -> None:
        """
        Send and receive nothing more.
        """
        lookups, self._lookups = self._lookups, {}
        for lookup in lookups.values():
            if lookup.done is not None:
                lookup.done.cancel()
        for reader in self._readers.values():
            self._associations.removePort(reader.handle.getsockname()[1])
            reader.close()
        self._readers.clear()
        if self._port is not None:
            self._port.ended()


def _cost(payload: bytes) -> int:
    """
    Tell what a datagram that waits counts.
    """
    return len(payload) + _DATAGRAM_COST


def _nothing(failure: Failure) -> list[IPAddress]:
    """
    A name that cannot be looked up, or is not to be any more, has no addresses.
    """
    failure.trap(OutboundFailed, TimeoutError, CancelledError)
    return []
