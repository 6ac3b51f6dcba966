"""
Endpoints that lead through a proxy.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from socks6.client.access import accessTo
from socks6.client.attempt import ConnectionAttempt
from socks6.client.destination import destinationAddress
from socks6.client.negotiation import DEFAULT_TIMEOUT, Terms
from socks6.client.session import SOCKS6Session
from socks6.values.codes import Command
from socks6.values.options import TCPFastOpen
from socks6.wire import DEFAULT_CODEC
from socks6.wire.codec import Codec


@implementer(IStreamClientEndpoint)
class SOCKS6ClientEndpoint:
    """
    A destination that is reached through a SOCKS 6 proxy.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        proxy: IStreamClientEndpoint | SOCKS6Session,
        host: str | bytes,
        port: int,
        *,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        optimistic: bool = False,
        replayable: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        codec: Codec = DEFAULT_CODEC,
    ) -> None:
        """
        @param reactor: Measures how long the proxy takes.
        @param proxy: The way to the proxy: TCP, TLS, a unix socket or anything else;
            or a session with it, which may be shared.
        @param host: The destination: a name, which the proxy resolves, or an IP
            address.
        @param port: The destination's port, 1 to 65535.
        @param username: Who we are, 1 to 255 octets; text is written in UTF-8.  In a
            session, who we are is the session's to say.
        @param password: What proves it; with C{username} only.
        @param optimistic: Whether to connect the protocol as soon as the request
            has been written, without waiting for the proxy's replies.
        @param replayable: Whether it does no harm if the destination gets what the
            protocol writes first twice, as can happen with TCP Fast Open.  Then it may
            leave in the first packet to the proxy also where no token is spent, and in
            the first one from there.
        @param timeout: Seconds that the proxy may take for its replies once it is
            connected.
        @param codec: The draft to speak.
        @raise ValueError: One of the arguments cannot be.
        """
        self._access = accessTo(proxy, username, password)
        where = destinationAddress(host, port)
        self._terms = Terms(
            reactor,
            Command.CONNECT,
            where,
            optimistic,
            timeout,
            codec,
            [TCPFastOpen(0)] if replayable else (),
            replayable=replayable,
        )

    def __repr__(self) -> str:
        """
        Tell the way, and no credentials.
        """
        name = type(self).__name__
        return f"<{name} {self._terms.address} through {self._access.proxyEndpoint!r}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect to the destination.

        @param protocolFactory: Builds the protocol as soon as the proxy is
            connected; the address that it gets is the destination's.
        @return: Fires with the protocol, connected, when the proxy has reported
            success; if optimistic, when the request has been written.  Fails with
            whatever the proxy's endpoint fails with; with L{RequestRefused
            <socks6.client.errors.RequestRefused>} or L{ProxyFault
            <socks6.client.errors.ProxyFault>}, depending on whose fault it is;
            with L{TimeoutError <twisted.internet.error.TimeoutError>}; with
            L{SessionClosed <socks6.client.errors.SessionClosed>}; with
            L{NoProtocol <twisted.internet.error.NoProtocol>} if the factory builds
            none; with L{ConnectError <twisted.internet.error.ConnectError>} if TLS
            with the proxy fails.  If optimistic, what goes wrong after it has fired
            is the reason of the protocol's C{connectionLost}.  Cancelling closes
            the connection to the proxy at once, whatever the phase, and fails with
            L{CancelledError <twisted.internet.defer.CancelledError>}.
        """
        return ConnectionAttempt(self._access, self._terms, protocolFactory).start()
