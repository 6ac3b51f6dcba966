"""
The transport of the user's protocol: a way to its destination, over whatever
connection to the proxy leads there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    INegotiated,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITLSTransport,
    ITransport,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from socks6.client.early import EarlyData
from socks6.client.line import Line, abort
from socks6.client.receivers import NOBODY, Held
from socks6.sockets import TransportWrapper, canHalfClose, isEncrypted
from socks6.wire.errors import UsageError

#: What a transport tells of TLS, and what it does only with a unix socket: all
#: of it would be about the proxy, and users would take it for the destination.
_ABOUT_TLS = frozenset({"getHandle", "getPeerCertificate", "negotiatedProtocol"})
_ABOUT_UNIX = frozenset({"sendFileDescriptor"})

#: What users set on a connection, and so has to be set on one that replaces it.
_SETTINGS = ("TcpNoDelay", "TcpKeepAlive")


@implementer(ITransport, IConsumer, IPushProducer)
class Tunnel(TransportWrapper):
    """
    Stands between the user's protocol and the connection to the proxy.

    That connection may have to be replaced as long as the proxy has not let us in,
    without the user's protocol taking notice: L{detach}, and then L{attach} with
    another one.

    @ivar early: What the user's protocol has written so far, if it is kept.
    @ivar user: The user's protocol, or the TLS that it has started.
    @ivar paused: Whether the user's protocol does not want to read.
    @ivar disconnecting: Whether it has closed the connection.
    @ivar aborted: Whether it has done so at once.
    @ivar connected: Whether there is a connection.
    @ivar whenAborted: Is called if the user's protocol aborts while there is no
        connection to the proxy, as it is being replaced.
    """

    # Any: it can be half-closed, or nobody calls what it does not have.
    user: Any
    connected = False
    disconnecting = False
    aborted = False
    paused = False

    def __init__(
        self,
        clock: IReactorTime,
        user: IProtocol,
        destination: IAddress,
        whenAborted: Callable[[], object],
    ) -> None:
        """
        @param destination: Where the tunnel is to lead.
        """
        self.transport = None
        self.early = EarlyData()
        self.user = user
        self.whenAborted = whenAborted
        self._clock = clock
        self._destination = destination
        self._bound: IAddress | None = None
        self._own: IAddress | None = None
        self._held: Held | None = None
        self._producer: tuple[Any, bool] | None = None
        self._line: Line | None = None
        self._proxy: Any = None
        self._hidden = _ABOUT_UNIX
        self._settings: dict[str, object] = {}
        #: Whether the user's protocol has ended its direction, and has been told
        #: that this was done.
        self._outputEnded = False
        self._outputLost = False

    # To the connection to the proxy.

    def attach(self, line: Line) -> None:
        """
        Lead through a connection from now on.

        @see: L{catchUp}
        """
        transport = line.transport
        if ITCPTransport.providedBy(transport):
            alsoProvides(self, ITLSTransport)
        if isEncrypted(transport):
            self._hidden = _ABOUT_UNIX | _ABOUT_TLS
        self.transport = self._proxy = transport
        for name, value in self._settings.items():
            getattr(transport, f"set{name}")(value)
        self._own = None
        self._line = line
        self.connected = True

    def detach(self) -> None:
        """
        Lead through no connection until another one is attached.
        """
        self._own = self.transport.getHost()
        if ITCPTransport.providedBy(self.transport):
            for name in _SETTINGS:
                self._settings[name] = getattr(self.transport, f"get{name}")()
        self._line = None
        if self._producer is not None:
            producer, streaming = self._producer
            # "loseConnection with a paused producer never completes."
            self.transport.unregisterProducer()
            if streaming:
                producer.pauseProducing()

    def catchUp(self) -> None:
        """
        Go on with the user's protocol where it has got to while it had no
        connection, or another one; all its early data has been written.
        """
        if self._producer is not None:
            producer, streaming = self._producer
            self.transport.registerProducer(producer, streaming)
            if streaming:
                producer.resumeProducing()
        if self._outputEnded:
            self.loseWriteConnection()

    def inputEnded(self) -> None:
        """
        Pass on that no more will come through the connection.
        """
        if self.user is self.transport:
            # TLS has no half-closed connections.
            abort(self._proxy)
        else:
            self.user.readConnectionLost()

    def outputLost(self, line: Line) -> None:
        """
        All that was written to a connection has left, and that it was all.
        """
        # The connection before may have got as far.
        if line is self._line and not self._outputLost:
            self._outputLost = True
            self.user.writeConnectionLost()

    def lineLost(self, line: Line) -> None:
        """
        A connection is gone.
        """
        if line is self._line:
            self.connected = False
            self.user = NOBODY

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
            assert self._line is not None
            self._held = self._line.receiver = Held(self._clock, self, octets)
        else:
            self.user.dataReceived(octets)

    def receiveDirectly(self) -> None:
        """
        Hand all that comes to the user's protocol.
        """
        assert self._line is not None
        self._held = None
        self._line.receiver = self.user

    def loseUser(self, failure: Failure) -> None:
        """
        Tell the user's protocol why its connection, which is closed, has failed.
        """
        user, self.user = self.user, NOBODY
        self.connected = False
        if self._line is None:
            # There is no transport to do this.
            self.early.forget()
            if self._producer is not None:
                self._producer[0].stopProducing()
        if isinstance(user, TLSMemoryBIOProtocol):
            # Otherwise it would find that its handshake was cut short, and tell
            # the user's protocol just that.
            user.failVerification(failure)
        user.connectionLost(failure)

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
        known = self._bound or self._own
        if known is not None:
            return known
        own: IAddress = self.transport.getHost()
        return own

    def write(self, data: bytes) -> None:
        """
        Write to the destination.
        """
        self.early.add(data)
        # Between two connections it is nowhere else.
        if self._line is not None:
            self.early.limit()
            self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        Write to the destination.
        """
        self.write(b"".join(data))

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
        self.disconnecting = self.aborted = True
        if self._line is None:
            self.whenAborted()
            return
        abort(self.transport)

    def loseWriteConnection(self) -> None:
        """
        Tell the destination that no more will come, when all that was written has
        left; what it sends can still be read.

        Where one direction cannot end alone, as in TLS, both end.
        """
        self._outputEnded = True
        if self._line is None:
            return
        if canHalfClose(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Let a producer write at the pace of the connection to the proxy.
        """
        self._producer = producer, streaming
        if self._line is not None:
            self.transport.registerProducer(producer, streaming)
        elif streaming:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """
        The producer has no more to write.
        """
        self._producer = None
        if self._line is not None:
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
        @raise UsageError: It is spoken already, or the connection to the proxy is
            being replaced at the moment.
        """
        if self._line is None:
            raise UsageError("there is no connection at the moment")
        if self.transport is not self._proxy:
            raise UsageError("TLS has been started")
        # The handshake cannot be written once more.
        self.early.forget()
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
        if self._line.receiver is user:
            self._line.receiver = tls
        self._hidden = _ABOUT_UNIX
        alsoProvides(self, INegotiated)
        if producer is not None:
            self.registerProducer(*producer)
