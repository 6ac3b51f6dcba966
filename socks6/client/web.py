"""
What L{Agent <twisted.web.client.Agent>} and treq need to fetch through a proxy.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.negotiation import DEFAULT_TIMEOUT
from socks6.client.session import SOCKS6Session


@implementer(IAgentEndpointFactory)
class SOCKS6AgentEndpointFactory:
    """
    Makes endpoints that lead to web servers through a SOCKS 6 proxy.

    It is meant for L{Agent.usingEndpointFactory
    <twisted.web.client.Agent.usingEndpointFactory>}.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        proxy: IStreamClientEndpoint | SOCKS6Session,
        *,
        username: str | bytes | None = None,
        password: str | bytes | None = None,
        optimistic: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        contextFactory: IPolicyForHTTPS | None = None,
    ) -> None:
        """
        Take what L{SOCKS6ClientEndpoint
        <socks6.client.endpoints.SOCKS6ClientEndpoint>} takes, and one thing more.

        @param contextFactory: How TLS is spoken with web servers, and which ones
            are trusted; L{None}: as browsers do.
        """
        self._reactor = reactor
        self._policy = BrowserLikePolicyForHTTPS() if contextFactory is None else contextFactory
        self._endpoint = partial(
            SOCKS6ClientEndpoint,
            reactor,
            proxy,
            username=username,
            password=password,
            optimistic=optimistic,
            timeout=timeout,
        )

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        Make the endpoint of a web server.

        The server's certificate has to be that of the URI's host, whoever the
        proxy connects us with.

        @raise SchemeNotSupported: It is neither HTTP nor WebSocket.
        @raise ValueError: The URI's host or port cannot be.
        """
        endpoint = self._endpoint(uri.host, uri.port)
        if uri.scheme in (b"http", b"ws"):
            return endpoint
        if uri.scheme in (b"https", b"wss"):
            creator = self._policy.creatorForNetloc(uri.host, uri.port)
            return wrapClientTLS(creator, endpoint, self._reactor)
        raise SchemeNotSupported(f"Unsupported scheme: {uri.scheme!r}")
