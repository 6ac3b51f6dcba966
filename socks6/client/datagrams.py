"""
Datagrams through a proxy: an endpoint for protocols that speak UDP.

@see: draft 06, "UDP ASSOCIATE".
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import AbstractDatagramProtocol

from socks6.client.access import accessTo
from socks6.client.association import AssociationAttempt
from socks6.client.datagramport import DatagramPort
from socks6.client.dtls import ClientDTLSOptions
from socks6.client.negotiation import DEFAULT_TIMEOUT, Terms
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address
from socks6.values.codes import MAX_PORT, Command
from socks6.wire import DEFAULT_CODEC
from socks6.wire.codec import Codec


class SOCKS6DatagramEndpoint:
    """
    A UDP port at a SOCKS 6 proxy, from which any host can be sent datagrams.

    Datagrams go to the proxy's UDP port, or DTLS port, and it passes them on; the
    association lasts as long as a TCP connection with the proxy.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: IStreamClientEndpoint | SOCKS6Session,
        port: int = 0,
        *,
        interface: str = "0.0.0.0",
        dtls: ClientDTLSOptions | None = None,
        datagrams: tuple[str | None, int] | None = None,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        codec: Codec = DEFAULT_CODEC,
    ) -> None:
        """
        @param reactor: Provides L{IReactorTime<twisted.internet.interfaces.IReactorTime>}
            and L{IReactorFDSet<twisted.internet.interfaces.IReactorFDSet>}.
        @param proxy: The way to the proxy, for the TCP connection; or a session with
            it, which may be shared.
        @param port: The wished port at the proxy; 0: any.
        @param interface: The wished IP address at the proxy; C{0.0.0.0} or C{::}: any
            of that version.
        @param dtls: How to speak DTLS with the proxy, see L{optionsForClientDTLS
            <socks6.client.dtls.optionsForClientDTLS>}; L{None}: datagrams go to it as
            they are.
        @param datagrams: The IP address and the number of the proxy's UDP port, or
            DTLS port.  Without the address, or without both, those of the proxy that
            the TCP connection has led to.  Nothing is looked up here.
        @param username: Who we are, 1 to 255 octets; text is written in UTF-8.  In a
            session, who we are is the session's to say.
        @param password: What proves it; with C{username} only.
        @param timeout: Seconds that the proxy may take for its replies, and for DTLS,
            once it is connected; and then for its word that a datagram has come.
        @param codec: The draft to speak.
        @raise ValueError: One of the arguments cannot be.
        """
        self._access = accessTo(proxy, username, password)
        if datagrams is not None:
            host, number = datagrams
            if host is not None:
                ip_address(host)
            if not 0 < number <= MAX_PORT:
                raise ValueError(f"port not within 1 to {MAX_PORT}: {number}")
        wished = ip_address(interface)
        if isinstance(wished, IPv6Address) and wished.scope_id is not None:
            raise ValueError(f"an address at the proxy cannot have a zone: {interface!r}")
        self._reactor = reactor
        self._terms = Terms(
            clock=reactor,
            command=Command.UDP_ASSOCIATE,
            address=Address(wished, port),
            optimistic=False,
            timeout=timeout,
            codec=codec,
        )
        self._dtls = dtls
        self._datagrams = datagrams

    def __repr__(self) -> str:
        """
        Tell the way, and no credentials.
        """
        name = type(self).__name__
        return f"<{name} {self._terms.address} at {self._access.proxyEndpoint!r}>"

    def listen(self, protocol: AbstractDatagramProtocol) -> Deferred[DatagramPort]:
        """
        Have the proxy open a port.

        The protocol gets it as its transport; what it writes leaves at once.  Until the
        proxy confirms that a datagram has come, an empty one is sent to it again and
        again, so that a protocol that only listens hears of what others send.

        @param protocol: An ordinary
            L{DatagramProtocol<twisted.internet.protocol.DatagramProtocol>}.
        @return: Fires with the protocol's transport when the proxy has opened the port,
            and DTLS stands.  Fails as L{SOCKS6ClientEndpoint.connect
            <socks6.client.endpoints.SOCKS6ClientEndpoint.connect>} does; with a
            L{ConnectError<twisted.internet.error.ConnectError>} if DTLS fails; with
            L{UsageError<socks6.wire.errors.UsageError>} if nobody says where the
            proxy's UDP port is.  What goes wrong later is told by C{lost} of the
            transport.  Cancelling
            closes the connection to the proxy at once, whatever the phase, and fails
            with L{CancelledError<twisted.internet.defer.CancelledError>}.
        """
        attempt = AssociationAttempt(
            self._reactor, self._access, self._terms, protocol, self._dtls, self._datagrams
        )
        return attempt.start()
