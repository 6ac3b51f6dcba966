"""
A connection to the proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, ILoggingContext
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from socks6.client.receivers import NOBODY, Receiver

if TYPE_CHECKING:
    from socks6.client.tunnel import Tunnel


class Line(Protocol):
    """
    One connection to the proxy, which a tunnel leads through.

    Who takes what comes changes; the connection does not.

    @ivar receiver: Who takes what comes: whoever negotiates at first.
    @ivar lost: Fires when the connection is gone.
    """

    transport: Any
    # Any: the user's protocol can be half-closed, or nobody calls what it lacks.
    receiver: Any

    def __init__(self, tunnel: Tunnel, negotiation: Receiver) -> None:
        """
        @param negotiation: What gets this as its transport, and all that comes.
        """
        self.receiver = negotiation
        self.lost: Deferred[None] = Deferred()
        self._tunnel = tunnel
        # Endpoints look now, and forward only what they find.  A user's protocol
        # that listens for handshakes means those with the destination.
        if IHalfCloseableProtocol.providedBy(tunnel.user):
            alsoProvides(self, IHalfCloseableProtocol)

    def logPrefix(self) -> str:
        """
        Log in the name of the user's protocol.
        """
        user = self._tunnel.user
        if ILoggingContext.providedBy(user):
            return str(user.logPrefix())
        return type(user).__name__

    def connectionMade(self) -> None:
        """
        Begin to negotiate.
        """
        self._tunnel.attach(self)
        self.receiver.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what came.
        """
        self.receiver.dataReceived(data)

    def readConnectionLost(self) -> None:
        """
        Pass on that no more will come.
        """
        if self.receiver is self._tunnel.user:
            self._tunnel.inputEnded()
        else:
            self.receiver.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """
        Pass on that all has left.
        """
        self._tunnel.outputLost(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Pass on that the connection is gone.
        """
        self.receiver.connectionLost(reason)
        # Break the cycle between a protocol and its transport.
        self.receiver = NOBODY
        self._tunnel.lineLost(self)
        if not self.lost.called:
            self.lost.callback(None)

    def abort(self) -> None:
        """
        Close the connection at once.
        """
        abort(self.transport)


def abort(transport: Any) -> None:
    """
    Close a connection at once.

    Not all transports can: that of a
    L{ProcessEndpoint<twisted.internet.endpoints.ProcessEndpoint>} cannot.
    """
    getattr(transport, "abortConnection", transport.loseConnection)()
