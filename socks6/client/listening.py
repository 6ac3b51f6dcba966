"""
Endpoints that listen at a proxy.
"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv6Address, ip_address

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from socks6.client.access import accessTo
from socks6.client.negotiation import DEFAULT_TIMEOUT, Terms
from socks6.client.port import ProxyPort
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address
from socks6.values.codes import MAX_PORT, Command
from socks6.values.options import ListenBacklog
from socks6.wire import DEFAULT_CODEC
from socks6.wire.codec import Codec

#: Asks for an IPv4 address of the proxy's choice.
ANY_IPV4 = "0.0.0.0"

#: The largest backlog that the protocol can name.
MAX_BACKLOG = 65535


def _bindAddress(interface: str, port: int) -> Address:
    """
    Make the address of a BIND request.

    @raise ValueError: It is none that a proxy could bind.
    """
    if not 0 <= port <= MAX_PORT:
        raise ValueError(f"port not within 0 to {MAX_PORT}: {port}")
    try:
        host = ip_address(interface)
    except ValueError:
        raise ValueError(f"interface is no IP address: {interface!r}") from None
    if isinstance(host, IPv6Address) and host.scope_id is not None:
        raise ValueError(f"an address for the proxy cannot have a zone: {interface!r}")
    return Address(host, port)


@implementer(IStreamServerEndpoint)
class SOCKS6ServerEndpoint:
    """
    A port of a SOCKS 6 proxy, at which remote hosts reach us.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        proxy: IStreamClientEndpoint | SOCKS6Session,
        port: int = 0,
        *,
        interface: str = ANY_IPV4,
        backlog: int = 0,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        codec: Codec = DEFAULT_CODEC,
    ) -> None:
        """
        @param reactor: Measures how long the proxy takes.
        @param proxy: The way to the proxy: TCP, TLS, a unix socket or anything else;
            or a session with it, which may be shared.
        @param port: The port to ask for; 0: one of the proxy's choice.
        @param interface: The proxy's address to ask for.  C{0.0.0.0} leaves it to the
            proxy which of its IPv4 addresses it is, and C{::} which of its IPv6
            addresses.
        @param backlog: Connections that may wait at the proxy until we take them.
            Below 2, or if the proxy does not grant it, each connection is waited for
            by itself, and between two of them the port is closed for a moment.  It
            takes a session; if C{proxy} is none, each L{listen} has its own.
        @param username: Who we are, 1 to 255 octets; text is written in UTF-8.  In a
            session, who we are is the session's to say.
        @param password: What proves it; with C{username} only.
        @param timeout: Seconds that the proxy may take until it listens, once it is
            connected.  Hosts may take as long as they like.
        @param codec: The draft to speak.
        @raise ValueError: One of the arguments cannot be.
        """
        if not 0 <= backlog <= MAX_BACKLOG:
            raise ValueError(f"backlog not within 0 to {MAX_BACKLOG}: {backlog}")
        options = [ListenBacklog(backlog)] if backlog > 1 else []
        self._access = accessTo(proxy, username, password)
        where = _bindAddress(interface, port)
        self._terms = Terms(reactor, Command.BIND, where, False, timeout, codec, options)
        self._ownSession = None
        if options and not isinstance(proxy, SOCKS6Session):
            self._ownSession = partial(
                SOCKS6Session,
                reactor,
                proxy,
                username=username,
                password=password,
                timeout=timeout,
                codec=codec,
            )

    def __repr__(self) -> str:
        """
        Tell the way, and no credentials.
        """
        name = type(self).__name__
        return f"<{name} {self._terms.address} at {self._access.proxyEndpoint!r}>"

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Listen at the proxy.

        @param protocolFactory: Builds a protocol for each host that connects, by the
            host's address.
        @return: Fires with the port as soon as the proxy listens; its C{getHost} is the
            address at the proxy.  Fails as L{SOCKS6ClientEndpoint.connect
            <socks6.client.endpoints.SOCKS6ClientEndpoint.connect>} does.  Cancelling
            closes the connection to the proxy at once, and fails with
            L{CancelledError <twisted.internet.defer.CancelledError>}.
        """
        own = None if self._ownSession is None else self._ownSession()
        return ProxyPort(own or self._access, self._terms, protocolFactory, own).listen()
