"""
Who knows the connections of all clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from socks6.keepalive import keepAlive
from socks6.measurements import Measurements
from socks6.relay.atonce import read
from socks6.relay.legs import LegProtocol
from socks6.relay.pipes import PipePool
from socks6.serving.accesslog import AccessLog, RequestRecord
from socks6.serving.bandwidth import Bandwidth
from socks6.serving.conversation import Conversation
from socks6.serving.gate import Gate
from socks6.serving.limits import NO_LIMITS, Limits
from socks6.serving.totals import Totals
from socks6.sockets import socketOf
from socks6.timeouts import Timeouts


class ClientProtocol(LegProtocol):
    """
    A client's connection.

    @ivar number: What the operator calls it; 0: the factory does not know it yet.
    """

    factory: ServingFactory
    number = 0

    def connectionMade(self) -> None:
        """
        Wait for what the client says.
        """
        super().connectionMade()
        self._conversation = self.factory.converse(self)
        self.receiver = self._conversation
        self.factory.connectionCame(self)
        self._conversation.started()
        # Its request may have come together with it.  But what has happened to other
        # connections by now comes first.
        self.factory.timeouts.callLater(0.0, self._readAtOnce)

    def _readAtOnce(self) -> None:
        """
        Read what has come already.
        """
        if not self.lost:
            read(self.transport)

    @property
    def isRelaying(self) -> bool:
        """
        Whether this is a connection of a tunnel already.
        """
        return self._conversation.tunnel is not None

    @property
    def conversation(self) -> Conversation:
        """
        Give what is said on it.
        """
        return self._conversation

    def cut(self, ending: str = "aborted") -> None:
        """
        Close the connection at once, and the remote host's with it.

        @param ending: Why, for the log.
        """
        self._conversation.abort(ending)


class ServingFactory(Factory):
    """
    Makes the protocols of clients' connections, and knows those that are open.

    @ivar clock: Tells the time.
    @ivar timeouts: The same, for what is waited for on each connection.
    @ivar requestTimeout: Seconds that a client may take to say what it wants and who
        it is.
    @ivar idleTimeout: Seconds without an octet either way after which a tunnel is
        cut; L{None}: never.
    @ivar pipes: What octets may pass through inside the kernel; L{None}: they do not.
    @ivar accessLog: What the clients do.
    @ivar limits: How much clients may have, and for how long.
    @ivar gate: Whom that lets in.
    @ivar bandwidth: How its tunnels share what may pass.
    @ivar totals: What they have done so far.
    @ivar measurements: What is measured besides; L{None}: nothing.
    """

    protocol = ClientProtocol  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        requestTimeout: float,
        idleTimeout: float | None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        """
        @see: The class's own description.
        """
        self.clock = clock
        self.timeouts: IReactorTime = Timeouts(clock)
        self.requestTimeout = requestTimeout
        self.idleTimeout = idleTimeout
        self.pipes: PipePool | None = None
        self.accessLog = AccessLog(clock)
        self.limits = limits
        self.gate = Gate(clock, limits)
        self.bandwidth = Bandwidth(clock, limits)
        self.totals = Totals()
        self.measurements: Measurements | None = None
        #: In the order in which they came, by number.
        self._connections: dict[int, ClientProtocol] = {}
        self._whenEmpty: list[Deferred[None]] = []

    def converse(self, protocol: ClientProtocol) -> Conversation:
        """
        Begin to wait for what a client says.

        @param protocol: Its connection, with its transport.
        """
        raise NotImplementedError

    def connectionCame(self, protocol: ClientProtocol) -> None:
        """
        Take note of a connection.
        """
        self.totals.connections += 1
        protocol.number = self.totals.connections
        self._connections[protocol.number] = protocol
        self.gate.came(protocol)

    def octets(self) -> tuple[int, int]:
        """
        Count the octets that have passed so far, from clients and to them.
        """
        toRemote, toClient = self.totals.toRemote, self.totals.toClient
        for protocol in self._connections.values():
            if protocol.conversation.served is not None:
                up, down = protocol.conversation.passed
                toRemote += up
                toClient += down
        return toRemote, toClient

    def letIn(self, began: float) -> None:
        """
        Take note that a client has been let in.

        @param began: When it connected.
        """
        if self.measurements is not None:
            self.measurements.handshakes.observe(self.clock.seconds() - began)

    def connected(self, began: float) -> None:
        """
        Take note that a remote host was connected.

        @param began: When that was begun.
        """
        if self.measurements is not None:
            self.measurements.connects.observe(self.clock.seconds() - began)

    def served(self, leg: ClientProtocol, remote: LegProtocol) -> None:
        """
        Take note that a client has its tunnel.

        @param remote: The connection with the remote host.
        """
        self.gate.served(leg)
        if self.limits.keepAlive is not None and remote.transport is not None:
            keepAlive(socketOf(remote.transport), self.limits.keepAlive)

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Take note of a request, of which all is known.
        """
        self.totals.requestFinished(record)
        self.accessLog.requestFinished(record)

    def connectionGone(self, protocol: ClientProtocol) -> None:
        """
        Forget a connection that is closed, and whose remote one is.
        """
        self._connections.pop(protocol.number, None)
        self.gate.gone(protocol)
        self.bandwidth.gone(protocol)
        if not self._connections:
            if self.pipes is not None:
                self.pipes.close()
            waiting, self._whenEmpty = self._whenEmpty, []
            for each in waiting:
                each.callback(None)

    @property
    def tunnels(self) -> int:
        """
        Count the tunnels that are open.
        """
        return sum(protocol.isRelaying for protocol in self._connections.values())

    @property
    def servedCount(self) -> int:
        """
        Count the requests that are being served.
        """
        return sum(each.conversation.served is not None for each in self._connections.values())

    def connections(self) -> Iterator[ClientProtocol]:
        """
        List the connections that are open, the latest first.
        """
        return reversed(self._connections.values())

    def connection(self, number: int) -> ClientProtocol | None:
        """
        Find a connection by its number.
        """
        return self._connections.get(number)

    @property
    def openCount(self) -> int:
        """
        Count the connections that are open.
        """
        return len(self._connections)

    def cutAll(self) -> Deferred[None]:
        """
        Close all connections at once.

        @return: Fires when they are closed; never fails.
        """
        return self._cut(list(self._connections.values()))

    def cutOthers(self) -> Deferred[None]:
        """
        Close all connections at once that are of no tunnel.

        @return: Fires when they are closed, and the others have ended; never fails.
        """
        return self._cut([each for each in self._connections.values() if not each.isRelaying])

    def _cut(self, protocols: Sequence[ClientProtocol]) -> Deferred[None]:
        """
        Close some connections.

        @return: Fires when all are closed.
        """
        self.accessLog.flush()
        self.gate.flush()
        if not self._connections:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._whenEmpty.append(gone)
        for protocol in protocols:
            protocol.cut()
        return gone
