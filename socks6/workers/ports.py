"""
Ports that one process binds and others serve.

Endpoint strings say what to listen on and what is around it, such as the PROXY
protocol.  Both sides read the same ones, each with a reactor of its own kind: the first
binds what endpoints ask it for, the others find that bound already.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet import unix
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

#: The descriptors that every process has.
_STANDARD = 3


class PortKeeper:
    """
    A reactor that binds ports, and leaves it to others to accept connections.

    The ports stay open here, so that nobody is turned away while a worker is not there.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: A real one.
        """
        self._reactor = reactor
        #: What was bound, and where it was before somebody handed it to us.
        self._kept: list[tuple[int | None, Any]] = []

    def __getattr__(self, name: str) -> Any:
        """
        Be the reactor otherwise.
        """
        return getattr(self._reactor, name)

    @property
    def count(self) -> int:
        """
        How many ports there are.
        """
        return len(self._kept)

    @property
    def ours(self) -> Sequence[int]:
        """
        The descriptors at which workers are to have the ports that were opened here, in
        their order.
        """
        first = max([_STANDARD, *(place + 1 for place, _ in self._kept if place is not None)])
        return range(first, first + sum(place is None for place, _ in self._kept))

    @property
    def descriptors(self) -> Mapping[int, int]:
        """
        All descriptors that workers are to have, and ours of the same.

        An endpoint for a socket that systemd has opened takes it from where that was.
        """
        numbers = iter(self.ours)
        return {
            next(numbers) if place is None else place: port.fileno() for place, port in self._kept
        }

    def listenTCP(self, *arguments: Any, **named: Any) -> IListeningPort:
        """
        Bind a TCP port.
        """
        return self._keep(None, self._reactor.listenTCP(*arguments, **named))

    def listenSSL(self, *arguments: Any, **named: Any) -> IListeningPort:
        """
        Bind a TCP port.
        """
        return self._keep(None, self._reactor.listenSSL(*arguments, **named))

    def listenUNIX(self, *arguments: Any, **named: Any) -> IListeningPort:
        """
        Bind a UNIX socket.
        """
        return self._keep(None, self._reactor.listenUNIX(*arguments, **named))

    def adoptStreamPort(self, fileDescriptor: int, *arguments: Any) -> IListeningPort:
        """
        Take a socket that somebody else opened, like systemd.
        """
        port = self._reactor.adoptStreamPort(fileDescriptor, *arguments)
        return self._keep(fileDescriptor, port)

    def _keep(self, place: int | None, port: Any) -> IListeningPort:
        """
        Take note of a port.
        """
        port.stopReading()
        # Twisted would end the socket for everybody, before it closes it.
        port._shouldShutdown = False
        self._kept.append((place, port))
        kept: IListeningPort = port
        return kept


class PortHeir:
    """
    A reactor that finds ports bound already.
    """

    def __init__(self, reactor: Any, descriptors: Sequence[int]) -> None:
        """
        @param reactor: A real one.
        @param descriptors: Those of the ports, in the order in which they are asked for.
            They are ours from now on.
        """
        self._reactor = reactor
        self._descriptors = iter(descriptors)

    def __getattr__(self, name: str) -> Any:
        """
        Be the reactor otherwise, with sockets of systemd's, too: they are where they were.
        """
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Serve a TCP port.
        """
        with socket.socket(fileno=next(self._descriptors)) as handle:
            adopted: IListeningPort = self._reactor.adoptStreamPort(
                handle.fileno(), handle.family, factory
            )
        return adopted

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """
        Serve a TCP port, with TLS.
        """
        wrapper = TLSMemoryBIOFactory(contextFactory, False, factory, self._reactor)
        return self.listenTCP(port, wrapper, backlog, interface)

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, **options: Any
    ) -> IListeningPort:
        """
        Serve a UNIX socket, whose file is not our business.
        """
        handle = socket.socket(fileno=next(self._descriptors))
        port = _InheritedUNIXPort(handle, factory, backlog, self._reactor)
        port.startListening()  # type: ignore[no-untyped-call]
        return port


class _InheritedUNIXPort(unix.Port):
    """
    A UNIX socket that is others', too, and leaves its file to whoever has made it.

    Twisted would set the file's permissions, and in the end remove it and end the
    socket for everybody.
    """

    _shouldShutdown = False

    def __init__(self, handle: socket.socket, factory: Factory, backlog: int, reactor: Any) -> None:
        # Names that begin like this one are no files.
        super().__init__(b"\0inherited", factory, backlog, reactor=reactor)
        self._preexistingSocket = handle
