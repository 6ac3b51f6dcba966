"""
Who knows the connections of all clients.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from socks6.relay.legs import LegProtocol
from socks6.relay.pipes import PipePool
from socks6.serving.accesslog import AccessLog
from socks6.serving.conversation import Conversation
from socks6.serving.totals import Totals


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
    @ivar requestTimeout: Seconds that a client may take to say what it wants and who
        it is.
    @ivar idleTimeout: Seconds without an octet either way after which a tunnel is
        cut; L{None}: never.
    @ivar pipes: What octets may pass through inside the kernel; L{None}: they do not.
    @ivar accessLog: What the clients do.
    @ivar totals: What they have done so far.
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
        self.totals = Totals()
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

    def connectionGone(self, protocol: ClientProtocol) -> None:
        """
        Forget a connection that is closed, and whose remote one is.
        """
        self._connections.pop(protocol.number, None)
        if not self._connections:
            if self.pipes is not None:
                self.pipes.close()
            waiting, self._whenEmpty = self._whenEmpty, []
            for each in waiting:
                each.callback(None)

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
        self.accessLog.flush()
        if not self._connections:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._whenEmpty.append(gone)
        for protocol in list(self._connections.values()):
            protocol.cut()
        return gone
