"""
A proxy, of whatever kind, as a service of a Twisted application.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.fastopen import acceptFastOpen
from socks6.keepalive import keepAlive
from socks6.serving.acceptance import GatedSocket
from socks6.serving.drain import Drain
from socks6.serving.factory import ServingFactory


class ListeningService(Service):
    """
    Listens as long as it runs.

    @ivar factory: Makes the connections' protocols.
    @ivar ports: What is listened on at the moment.
    """

    _log = Logger()

    def __init__(
        self,
        factory: ServingFactory,
        endpoints: Sequence[IStreamServerEndpoint],
        fastOpen: bool = False,
    ) -> None:
        """
        @param endpoints: Where to listen.
        @param fastOpen: Whether to accept data in the first packet (TCP Fast Open), where
            the kernel lets us.
        """
        self.factory = factory
        self.ports: list[IListeningPort] = []
        self._endpoints = tuple(endpoints)
        self._pending: list[Deferred[None]] = []
        self._fastOpen = fastOpen
        self._drain: Drain | None = None

    def privilegedStartService(self) -> None:
        """
        Begin to listen, while the process may still bind low ports.

        @raise CannotListenError: One of the endpoints cannot listen; then none
            does.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._listen()

    def startService(self) -> None:
        """
        Begin to listen, if that has not been done.

        @raise CannotListenError: One of the endpoints cannot listen; then none
            does.
        """
        super().startService()  # type: ignore[no-untyped-call]
        if not self._pending:
            self._listen()

    def _listen(self) -> None:
        """
        Listen on all endpoints.
        """
        failures: list[Failure] = []
        starting = True

        def failed(failure: Failure) -> None:
            if starting:
                failures.append(failure)
            elif not failure.check(CancelledError):
                self._log.failure("An endpoint cannot listen", failure)

        for endpoint in self._endpoints:
            listening = maybeDeferred(endpoint.listen, self.factory)
            self._pending.append(listening.addCallbacks(self._listens, failed))
        starting = False
        if failures:
            self._stopListening()
            failures[0].raiseException()

    def _listens(self, port: IListeningPort) -> None:
        """
        Take note of a port.
        """
        self.ports.append(port)
        handle = getattr(port, "socket", None)
        if self._fastOpen and isinstance(handle, socket.socket):
            acceptFastOpen(handle)
        if isinstance(port, Port):
            if self.factory.limits.keepAlive is not None:
                # Those that it accepts have it, too.
                keepAlive(port.socket, self.factory.limits.keepAlive)
            GatedSocket(port, self.factory.gate, self.factory.clock)

    def _stopListening(self) -> Deferred[Any]:
        """
        Listen no more.

        @return: Fires when all ports are closed; never fails.
        """
        pending, self._pending = self._pending, []
        for listening in pending:
            listening.cancel()
        ports, self.ports[:] = list(self.ports), []
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])

    def stopService(self) -> Deferred[Any]:
        """
        Listen no more, and close all connections: those of tunnels when they have ended,
        or have taken too long.

        @return: Fires when everything is closed; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        closed = self._stopListening()
        self._drain = Drain(self.factory)
        stopped = DeferredList([closed, self._drain.begin()])
        stopped.addCallback(self._stopped)
        return stopped

    def hurry(self) -> None:
        """
        Wait for tunnels no more, if the service is stopping.
        """
        if self._drain is not None:
            self._drain.hurry()

    def _stopped(self, result: object) -> None:
        """
        Write the rest of the access log, as all connections are closed.
        """
        self.factory.accessLog.close()
