"""
A connection to the proxy, as the transport of the user's protocol.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    ILoggingContext,
    INegotiated,
    IOpenSSLClientConnectionCreator,
    IProducer,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITLSTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from socks6.client.receivers import NOBODY, Held, Receiver
from socks6.sockets import canHalfClose, isEncrypted
from socks6.wire.errors import UsageError

#: What a transport tells of TLS, and what it does only with a unix socket: all
#: of it would be about the proxy, and users would take it for the destination.
_ABOUT_TLS = frozenset({"getHandle", "getPeerCertificate", "negotiatedProtocol"})
_ABOUT_UNIX = frozenset({"sendFileDescriptor"})


@implementer(ITransport, IConsumer, IPushProducer)
class Tunnel(ProtocolWrapper):
    """
    Stands between the connection to the proxy and the user's protocol: a protocol
    to the one, a transport to the other.

    What comes goes to C{wrappedProtocol}, which is whoever negotiates at first.
    Once L{open} has been called it is the user's protocol.

    @ivar user: The user's protocol, or the TLS that it has started.
    @ivar paused: Whether the user's protocol does not want to read.
    @ivar disconnecting: Whether it has closed the connection.
    """

    transport: Any
    #: Any: it can be half-closed, or nobody calls what it does not have.
    wrappedProtocol: Any
    user: Any

    def __init__(
        self,
        clock: IReactorTime,
        user: IProtocol,
        destination: IAddress,
        negotiation: Receiver,
    ) -> None:
        """
        @param destination: Where the tunnel is to lead.
        @param negotiation: What gets this as its transport, and all that comes,
            until it calls L{open}.
        """
        self.user = user
        self.wrappedProtocol = negotiation
        self.paused = False
        self._clock = clock
        self._destination = destination
        self._bound: IAddress | None = None
        self._held: Held | None = None
        self._producer: tuple[IProducer, bool] | None = None
        self._proxy: Any = None
        self._hidden = _ABOUT_UNIX
        # Endpoints look now, and forward only what they find.  A user's protocol
        # that listens for handshakes means those with the destination.
        if IHalfCloseableProtocol.providedBy(user):
            alsoProvides(self, IHalfCloseableProtocol)

    # To the connection to the proxy: a protocol.

    def logPrefix(self) -> str:
        """
        Log in the name of the user's protocol.
        """
        if ILoggingContext.providedBy(self.user):
            return str(self.user.logPrefix())
        return type(self.user).__name__

    def makeConnection(self, transport: ITransport) -> None:
        """
        Begin to negotiate.
        """
        if ITCPTransport.providedBy(transport):
            alsoProvides(self, ITLSTransport)
        if isEncrypted(transport):
            self._hidden = _ABOUT_UNIX | _ABOUT_TLS
        self._proxy = transport
        Protocol.makeConnection(self, transport)
        self.wrappedProtocol.makeConnection(self)

    def readConnectionLost(self) -> None:
        """
        Pass on that no more will come.
        """
        if self.wrappedProtocol is self.transport:
            # TLS has no half-closed connections.
            self._proxy.abortConnection()
        else:
            self.wrappedProtocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """
        Pass on that all has left.
        """
        self.user.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Pass on that the connection is gone.
        """
        self.connected = 0
        self.wrappedProtocol.connectionLost(reason)
        # Break the cycle between a protocol and its transport.
        self.user = self.wrappedProtocol = NOBODY

    # To whoever negotiates.

    def open(self, bound: IAddress) -> None:
        """
        The proxy has connected: what it sends from now on is the user's.

        @param bound: The address that the destination sees.
        """
        self._bound = bound
        self.receiveDirectly()
        # What the user's protocol has asked for while the replies had to be read.
        if self.disconnecting:
            self.transport.loseConnection()
        elif self.paused:
            self.transport.pauseProducing()

    def deliver(self, octets: bytes) -> None:
        """
        Hand over the data that came together with the replies.
        """
        if not octets or self.disconnecting:
            return
        if self.paused:
            self._held = self.wrappedProtocol = Held(self._clock, self, octets)
        else:
            self.user.dataReceived(octets)

    def receiveDirectly(self) -> None:
        """
        Hand all that comes to the user's protocol.
        """
        self._held = None
        self.wrappedProtocol = self.user

    def loseUser(self, failure: Failure) -> None:
        """
        Tell the user's protocol why its connection, which is closed, has failed.
        """
        if isinstance(self.user, TLSMemoryBIOProtocol):
            # Otherwise it would find that its handshake was cut short, and tell
            # the user's protocol just that.
            self.user.failVerification(failure)
        self.user.connectionLost(failure)

    def readOn(self) -> None:
        """
        Read from the proxy, unless the user's protocol does not want to.
        """
        if not self.paused and not self.disconnecting:
            self.transport.resumeProducing()

    # To the user's protocol: a transport.

    def __getattr__(self, name: str) -> Any:
        """
        Offer what the transport to the proxy offers besides, if it is not about
        the proxy.
        """
        if name in self._hidden:
            raise AttributeError(name)
        return getattr(self.transport, name)

    def getPeer(self) -> IAddress:
        """
        Tell where the tunnel leads.
        """
        return self._destination

    def getHost(self) -> IAddress:
        """
        Tell from where it leads there, as far as the proxy told: its bound address.

        As long as it has not replied: our own address.
        """
        if self._bound is not None:
            return self._bound
        own: IAddress = self.transport.getHost()
        return own

    def write(self, data: bytes) -> None:
        """
        Write to the destination.
        """
        self.transport.write(data)

    def loseConnection(self) -> None:
        """
        Close the connection when all that was written has left.

        Not before the proxy has replied: a proxy that finds the connection closed
        gives up, and does not pass on what was written.
        """
        self.disconnecting = True
        if self._bound is not None:
            self.transport.loseConnection()

    def abortConnection(self) -> None:
        """
        Close the connection at once.
        """
        self.disconnecting = True
        # Not all transports have it: that of a ProcessEndpoint does not.
        abort = getattr(self.transport, "abortConnection", self.transport.loseConnection)
        abort()

    def loseWriteConnection(self) -> None:
        """
        Tell the destination that no more will come, when all that was written has
        left; what it sends can still be read.

        Where one direction cannot end alone, as in TLS, both end.
        """
        if canHalfClose(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let a producer write at the pace of the connection to the proxy.
        """
        self.transport.registerProducer(producer, streaming)
        self._producer = producer, streaming

    def unregisterProducer(self) -> None:
        """
        The producer has no more to write.
        """
        self._producer = None
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """
        Do not read.

        The proxy's replies are read all the same.
        """
        self.paused = True
        if self._bound is not None:
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Read again.
        """
        self.paused = False
        if self._held is not None:
            self._held.release()
        elif self._bound is not None:
            self.readOn()

    def stopProducing(self) -> None:
        """
        Never read again.
        """
        self.loseConnection()

    def startTLS(
        self, contextFactory: IOpenSSLClientConnectionCreator, normal: bool = True
    ) -> None:
        """
        Speak TLS with the destination from now on, through the tunnel; with the
        proxy, TLS may be spoken or not.

        @param contextFactory: How, as L{ITLSTransport.startTLS} wants it.
        @param normal: Whether we are TLS's client.
        @raise UsageError: It is spoken already.
        """
        if self.transport is not self._proxy:
            raise UsageError("TLS has been started")
        producer = self._producer
        if producer is not None:
            self.unregisterProducer()
        factory = TLSMemoryBIOFactory(contextFactory, normal, Factory(), self._clock)
        # It comes between us and the proxy when we write, and between us and the
        # user's protocol when we read; we stay that protocol's transport.
        user = self.user
        tls = factory.protocol(factory, user, False)
        tls.makeConnection(self._proxy)
        self.transport = self.user = tls
        if self.wrappedProtocol is user:
            self.wrappedProtocol = tls
        self._hidden = _ABOUT_UNIX
        alsoProvides(self, INegotiated)
        if producer is not None:
            self.registerProducer(*producer)
