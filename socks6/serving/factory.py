"""
Who knows the connections of all clients.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from socks6.measurements import Measurements
from socks6.relay.legs import LegProtocol
from socks6.relay.pipes import PipePool
from socks6.serving.accesslog import AccessLog
from socks6.serving.conversation import Conversation


class ClientProtocol(LegProtocol):
    """
    A client's connection.
    """

    factory: ServingFactory

    def connectionMade(self) -> None:
        """
        Wait for what the client says.
        """
        super().connectionMade()
        self._conversation = self.factory.converse(self)
        self.receiver = self._conversation
        self.factory.connectionCame(self)
        self._conversation.started()

    @property
    def passed(self) -> tuple[int, int] | None:
        """
        How many octets have passed so far, from the client and to it; L{None}: there is
        no tunnel.
        """
        return self._conversation.passed

    def cut(self) -> None:
        """
        Close the connection at once, and the remote host's with it.
        """
        self._conversation.abort()


class ServingFactory(Factory):
    """
    Makes the protocols of clients' connections, and knows those that are open.

    @ivar clock: Tells the time.
    @ivar requestTimeout: Seconds that a client may take to say what it wants and who
        it is.
    @ivar idleTimeout: Seconds without an octet either way after which a tunnel is
        cut; L{None}: never.
    @ivar pipes: What octets may pass through inside the kernel; L{None}: they do not.
    @ivar accessLog: What the clients do.
    @ivar measurements: What is measured besides; L{None}: nothing.
    @ivar accepted: How many connections have come so far.
    """

    protocol = ClientProtocol  # type: ignore[assignment]
    noisy = False

    def __init__(
        self, clock: IReactorTime, requestTimeout: float, idleTimeout: float | None
    ) -> None:
        """
        @see: The class's own description.
        """
        self.clock = clock
        self.requestTimeout = requestTimeout
        self.idleTimeout = idleTimeout
        self.pipes: PipePool | None = None
        self.accessLog = AccessLog(clock)
        self.measurements: Measurements | None = None
        self.accepted = 0
        self._connections: set[ClientProtocol] = set()
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
        self.accepted += 1
        self._connections.add(protocol)

    @property
    def openCount(self) -> int:
        """
        How many connections are open.
        """
        return len(self._connections)

    def passing(self) -> Iterator[tuple[int, int]]:
        """
        Tell of each open tunnel how many octets have passed so far, from the client and to
        it.
        """
        for protocol in self._connections:
            passed = protocol.passed
            if passed is not None:
                yield passed

    def connectionGone(self, protocol: ClientProtocol) -> None:
        """
        Forget a connection that is closed, and whose remote one is.
        """
        self._connections.discard(protocol)
        if not self._connections:
            if self.pipes is not None:
                self.pipes.close()
            waiting, self._whenEmpty = self._whenEmpty, []
            for each in waiting:
                each.callback(None)

    def cutAll(self) -> Deferred[None]:
        """
        Close all connections at once.

        @return: Fires when they are closed; never fails.
        """
        self.accessLog.flush()
        if not self._connections:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._whenEmpty.append(gone)
        for protocol in list(self._connections):
            protocol.cut()
        return gone
