"""
The Twisted classes of the proxy's side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory

from socks6.interfaces import IOutbound
from socks6.policy.authentication import Authenticator
from socks6.policy.sessions import SessionService
from socks6.relay.legs import LegProtocol
from socks6.server.accesslog import AccessLog
from socks6.server.connect import connect, noop
from socks6.server.negotiation import Negotiation
from socks6.values.codes import Command
from socks6.values.messages import Request
from socks6.wire import DEFAULT_CODEC
from socks6.wire.codec import Codec

#: Does what a request wants, after its client has been authenticated: sends
#: the Operation Reply and what follows it.
Operation = Callable[[Negotiation, Request], Awaitable[None]]

#: What each command does.
OPERATIONS: Mapping[int, Operation] = {Command.NOOP: noop, Command.CONNECT: connect}


class SOCKS6ServerProtocol(LegProtocol):
    """
    A client's connection to the proxy.
    """

    factory: SOCKS6ServerFactory

    def connectionMade(self) -> None:
        """
        Wait for the request.
        """
        super().connectionMade()
        self._negotiation = Negotiation(self.factory, self)
        self.receiver = self._negotiation
        self.factory.connectionCame(self)

    def cut(self) -> None:
        """
        Close the connection at once, and the remote host's with it.
        """
        self._negotiation.abort()


class SOCKS6ServerFactory(Factory):
    """
    Makes the proxy's side of its clients' connections, and knows those that
    are open.

    @ivar accessLog: What the clients do.
    """

    protocol = SOCKS6ServerProtocol  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        outbound: IOutbound,
        authenticator: Authenticator | None = None,
        *,
        sessions: SessionService | None = None,
        requestTimeout: float = 10.0,
        idleTimeout: float | None = None,
        codec: Codec = DEFAULT_CODEC,
        operations: Mapping[int, Operation] = OPERATIONS,
    ) -> None:
        """
        @param outbound: The way to remote hosts.
        @param authenticator: Who is let in; by default everybody.
        @param sessions: The clients' sessions; by default, the proxy's own, in memory.
        @param requestTimeout: Seconds that a client may take to say what it
            wants and who it is.
        @param idleTimeout: Seconds without an octet either way after which a
            tunnel is cut; L{None}: never.
        @param codec: The draft to speak.
        @param operations: What each command does; one that is not there is
            answered with "command not supported".
        """
        self.clock = clock
        self.outbound = outbound
        self.authenticator = authenticator or Authenticator()
        self.sessions = sessions or SessionService(clock)
        self.requestTimeout = requestTimeout
        self.idleTimeout = idleTimeout
        self.codec = codec
        self.operations = operations
        self.accessLog = AccessLog(clock)
        self._connections: set[SOCKS6ServerProtocol] = set()
        self._whenEmpty: list[Deferred[None]] = []

    def connectionCame(self, protocol: SOCKS6ServerProtocol) -> None:
        """
        Take note of a connection.
        """
        self._connections.add(protocol)

    def connectionGone(self, protocol: SOCKS6ServerProtocol) -> None:
        """
        Forget a connection that is closed, and whose remote one is.
        """
        self._connections.discard(protocol)
        if not self._connections:
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
