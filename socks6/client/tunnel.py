"""
A way to a destination, or from a host, over whatever connection to the proxy leads
there.
"""

from __future__ import annotations

from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from socks6.client.line import Line, abort
from socks6.client.receivers import NOBODY, Closing, Held
from socks6.client.transport import ABOUT_UNIX, TunnelTransport
from socks6.sockets import isEncrypted

#: What a transport tells of TLS: it would be about the proxy, and users would take it
#: for the destination.
_ABOUT_TLS = frozenset({"getHandle", "getPeerCertificate", "negotiatedProtocol"})

#: What users set on a connection, and so has to be set on one that replaces it.
_SETTINGS = ("TcpNoDelay", "TcpKeepAlive")


class Tunnel(TunnelTransport):
    """
    Stands between the user's protocol, whose transport it is, and the connection to the
    proxy.

    That connection may have to be replaced as long as the proxy has not let us in,
    without the user's protocol taking notice: L{detach}, and then L{attach} with
    another one.
    """

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
            self._hidden = ABOUT_UNIX | _ABOUT_TLS
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
        elif IHalfCloseableProtocol.providedBy(self.user):
            self.user.readConnectionLost()
        else:
            self._endAll()

    def _endAll(self) -> None:
        """
        Take the end of what comes for the end of the connection, as TCP does for a
        protocol that knows of no half-closed ones.

        What has been written still leaves.
        """
        line = self._line
        assert line is not None
        line.receiver = Closing(self._clock, line)
        if self._producer is not None:
            producer, _ = self._producer
            # "loseConnection with a paused producer never completes."
            self.unregisterProducer()
            producer.stopProducing()
        self.disconnecting = True
        self.transport.loseConnection()
        self.loseUser(connectionDone)

    def outputLost(self, line: Line) -> None:
        """
        All that was written to a connection has left, and that it was all.
        """
        # The connection before may have got as far.
        if line is self._line and not self._outputLost:
            self._outputLost = True
            if IHalfCloseableProtocol.providedBy(self.user):
                self.user.writeConnectionLost()

    def lineLost(self, line: Line) -> None:
        """
        A connection is gone.
        """
        if line is self._line:
            self.connected = False
            self.user = NOBODY

    # To whoever negotiates.

    def lead(self, user: IProtocol, destination: IAddress) -> None:
        """
        Learn whose transport this is, and where the tunnel leads, where that was not
        known at first.
        """
        self.user = user
        self._destination = destination

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
