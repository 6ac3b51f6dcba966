"""
The transport of the user's protocol, as that sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    INegotiated,
    IOpenSSLClientConnectionCreator,
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import alsoProvides, implementer

from socks6.client.early import EarlyData
from socks6.client.line import Line, abort
from socks6.client.receivers import Held
from socks6.sockets import TransportWrapper, canHalfClose
from socks6.wire.errors import UsageError

#: What a transport does only with a unix socket: it would be about the proxy, and users
#: would take it for the destination.
ABOUT_UNIX = frozenset({"sendFileDescriptor"})


@implementer(ITransport, IConsumer, IPushProducer)
class TunnelTransport(TransportWrapper):
    """
    A tunnel's side towards the user's protocol.

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
        isClient: bool = True,
    ) -> None:
        """
        @param destination: Where the tunnel is to lead.
        @param isClient: Whether it is we who connect, so that we are TLS's client.
        """
        self.transport = None
        self.early = EarlyData()
        self.user = user
        self.whenAborted = whenAborted
        self._clock = clock
        self._destination = destination
        self._isClient = isClient
        self._bound: IAddress | None = None
        self._own: IAddress | None = None
        self._held: Held | None = None
        self._producer: tuple[Any, bool] | None = None
        self._line: Line | None = None
        self._proxy: Any = None
        self._hidden = ABOUT_UNIX
        self._settings: dict[str, object] = {}
        #: Whether the user's protocol has ended its direction, and has been told
        #: that this was done.
        self._outputEnded = False
        self._outputLost = False

    def readOn(self) -> None:
        """
        Read from the proxy, unless the user's protocol does not want to.
        """
        if not self.paused and not self.disconnecting:
            self.transport.resumeProducing()

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
        self,
        contextFactory: IOpenSSLClientConnectionCreator
        | IOpenSSLServerConnectionCreator
        | IOpenSSLContextFactory,
        normal: bool = True,
    ) -> None:
        """
        Speak TLS with the destination from now on, through the tunnel; with the
        proxy, TLS may be spoken or not.

        @param contextFactory: How, as C{ITLSTransport.startTLS} wants it.
        @param normal: Whether who has connected is TLS's client.
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
        factory = TLSMemoryBIOFactory(
            contextFactory, bool(normal) is self._isClient, Factory(), self._clock
        )
        # It comes between us and the proxy when we write, and between us and the
        # user's protocol when we read; we stay that protocol's transport.
        user = self.user
        tls = factory.protocol(factory, user, False)
        tls.makeConnection(self._proxy)
        self.transport = self.user = tls
        if self._line.receiver is user:
            self._line.receiver = tls
        self._hidden = ABOUT_UNIX
        alsoProvides(self, INegotiated)
        if producer is not None:
            self.registerProducer(*producer)
