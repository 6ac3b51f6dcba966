"""
Multipath TCP: one connection over several paths, for those peers that speak it.

@see: RFC 8684.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory

#: Linux's name that the socket module has on Linux only.
_IPPROTO_MPTCP = 262


def multipathSocket(family: int) -> socket.socket:
    """
    Make a socket that speaks Multipath TCP with peers that do, and TCP with others.

    @raise OSError: The system has none.
    """
    if sys.platform != "linux":
        raise OSError("this system has no Multipath TCP")
    return socket.socket(family, socket.SOCK_STREAM, _IPPROTO_MPTCP)


def whyNoMultipath() -> str | None:
    """
    Say why the system does not speak Multipath TCP.

    @return: L{None}: it does.
    """
    try:
        multipathSocket(socket.AF_INET).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


class MultipathPort(Port):
    """
    A port at which Multipath TCP is spoken, and TCP with those that do not know it.
    """

    def createInternetSocket(self) -> socket.socket:
        """
        Make the socket.
        """
        handle = multipathSocket(self.addressFamily)
        handle.setblocking(False)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return handle


class MultipathReactor:
    """
    A reactor whose TCP ports are L{MultipathPort}s.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: A real one.
        """
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        """
        Be the reactor otherwise.
        """
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Listen on a TCP port.
        """
        listening = MultipathPort(port, factory, backlog, interface, self._reactor)
        listening.startListening()
        return listening

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Listen on a TCP port, with TLS.
        """
        wrapper = TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor)
        return self.listenTCP(port, wrapper, backlog, interface)
