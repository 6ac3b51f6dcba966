"""
Ports as a person names them on the command line.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.python.usage import UsageError
from zope.interface import implementer

#: Connections that may wait to be accepted where the user names a mere number;
#: Twisted's own 50 make bursts wait for a second.
BACKLOG = 1024


def endpointDescription(port: str) -> str:
    """
    Translate a port to an endpoint string.

    @param port: A number, which means that port of 127.0.0.1, or any endpoint
        string of Twisted.
    @raise UsageError: The number is no port.
    """
    if not port.isdecimal():
        return port
    if len(port) > 5 or int(port) > 65535:
        raise UsageError(f"no port has the number {port}")
    return f"tcp:{int(port)}:interface=127.0.0.1:backlog={BACKLOG}"


class _Noted(Exception):
    """
    The witness has seen enough.
    """


class _Witness:
    """
    A reactor that never listens, but takes note of what an endpoint asks it to
    listen on.

    Every method raises L{_Noted}, so that the endpoint gives up, and leaves a
    socket that it was going to adopt as it is.

    @ivar local: Whether only this machine can reach that; L{None}: nothing was
        asked.
    """

    local: bool | None = None

    def _note(self, local: bool) -> NoReturn:
        self.local = local
        raise _Noted

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Note an interface: an address, or nothing for all of them.
        """
        self._note(_isLoopback(interface))

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Note an interface.
        """
        return self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(self, address: str, factory: Any, **options: Any) -> IListeningPort:
        """
        Note a UNIX socket.
        """
        self._note(True)

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: socket.AddressFamily, factory: Any
    ) -> IListeningPort:
        """
        Note a socket that somebody else opened, like systemd.
        """
        # The family that the socket has, whichever the user thinks it has.
        with socket.socket(fileno=os.dup(fileDescriptor)) as handle:
            if handle.family == socket.AF_UNIX:
                self._note(True)
            self._note(_isLoopback(handle.getsockname()[0]))


def _isLoopback(interface: str) -> bool:
    """
    Tell whether an interface is for this machine only.
    """
    try:
        return ip_address(interface.partition("%")[0]).is_loopback
    except ValueError:
        return False


def listensLocally(description: str) -> bool:
    """
    Tell whether only this machine can reach what an endpoint string names.

    The endpoint is asked where it would listen, but does not get to.

    @param description: An endpoint string of Twisted.
    @return: C{False} also for endpoints that do not say.
    @raise UsageError: No endpoint can be made of it.
    """
    witness = _Witness()
    try:
        endpoint = serverFromString(witness, description)
    except Exception as error:
        raise UsageError(f"{description!r} is no port: {_reason(error)}") from error
    maybeDeferred(endpoint.listen, Factory()).addErrback(lambda failure: None)
    return bool(witness.local)


@implementer(IStreamServerEndpoint)
class NotedEndpoint:
    """
    Listens where another endpoint does, and takes note of where that is.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, places: list[IAddress]) -> None:
        """
        @param places: Gets the addresses.
        """
        self._endpoint = endpoint
        self._places = places

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Begin to listen.
        """

        def note(port: IListeningPort) -> IListeningPort:
            self._places.append(port.getHost())
            return port

        listening: Deferred[IListeningPort] = self._endpoint.listen(protocolFactory)
        return listening.addCallback(note)


def _reason(error: Exception) -> str:
    """
    Write why an endpoint string was refused.
    """
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
