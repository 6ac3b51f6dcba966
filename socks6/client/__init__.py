"""
The client's side: endpoints that lead through a SOCKS 6 proxy.

The names here are what most programs need.  L{socks6.client.web} has what
L{Agent <twisted.web.client.Agent>} and treq need; programs that fetch nothing are
spared its imports.
"""

from socks6.client.datagrams import SOCKS6DatagramEndpoint
from socks6.client.dtls import optionsForClientDTLS
from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import (
    AuthenticationRefused,
    ProxyFault,
    RequestRefused,
    SessionClosed,
    TokenRefused,
)
from socks6.client.listening import SOCKS6ServerEndpoint
from socks6.client.session import SOCKS6Session

__all__ = [
    "AuthenticationRefused",
    "ProxyFault",
    "RequestRefused",
    "SOCKS6ClientEndpoint",
    "SOCKS6DatagramEndpoint",
    "SOCKS6ServerEndpoint",
    "SOCKS6Session",
    "SessionClosed",
    "TokenRefused",
    "optionsForClientDTLS",
]
