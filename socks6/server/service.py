"""
A proxy as a service of a Twisted application.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from twisted.application.service import Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorThreads,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.interfaces import IOutbound
from socks6.outbound.direct import DirectOutbound
from socks6.outbound.resolver import ThreadedResolver
from socks6.policy.authentication import Authenticator
from socks6.policy.sessions import SessionService
from socks6.server.protocol import SOCKS6ServerFactory


class ProxyService(Service):
    """
    Listens as long as it runs.

    @ivar factory: Makes the connections' protocols.
    @ivar ports: What is listened on at the moment.
    """

    _log = Logger()

    def __init__(
        self, factory: SOCKS6ServerFactory, endpoints: Sequence[IStreamServerEndpoint]
    ) -> None:
        """
        @param endpoints: Where to listen.
        """
        self.factory = factory
        self.ports: list[IListeningPort] = []
        self._endpoints = tuple(endpoints)
        self._pending: list[Deferred[None]] = []

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
            self._pending.append(listening.addCallbacks(self.ports.append, failed))
        starting = False
        if failures:
            self._stopListening()
            failures[0].raiseException()

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
        Listen no more and close all connections.

        @return: Fires when everything is closed; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        return DeferredList([self._stopListening(), self.factory.cutAll()])


def proxyService(
    reactor: IReactorTime,
    endpoints: Sequence[IStreamServerEndpoint],
    checkers: Sequence[ICredentialsChecker] = (),
    *,
    outbound: IOutbound | None = None,
    sessions: SessionService | None = None,
    connectTimeout: float = 30.0,
    requestTimeout: float = 10.0,
    idleTimeout: float | None = None,
) -> ProxyService:
    """
    Make a SOCKS 6 proxy that can be a part of any Twisted application.

    @param reactor: The reactor; a real one, unless C{outbound} is given.
    @param endpoints: Where to listen; see also
        L{TLSServerEndpoint<socks6.server.tls.TLSServerEndpoint>}.
    @param checkers: Who knows the users' passwords (L{Authenticator}).  None:
        everybody who can connect may use the proxy.
    @param outbound: The way to remote hosts; by default straight from this
        machine, with names looked up in threads of the proxy's own, and then
        C{connectTimeout} holds.
    @param sessions: The clients' sessions, maybe shared with other proxies; a
        service of its own, which the caller starts and stops.  By default, the
        proxy has its own in memory.
    @param connectTimeout: Seconds that a remote host may take to answer.
    @param requestTimeout: Seconds that a client may take to say what it wants
        and who it is.
    @param idleTimeout: Seconds without an octet either way after which a
        tunnel is cut; L{None}: never.
    @raise ValueError: A checker does not take user names and passwords, or a
        time is not above zero.
    """
    for seconds in (connectTimeout, requestTimeout, idleTimeout):
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"not a number of seconds above 0: {seconds}")
    threads = cast(IReactorThreads, reactor)
    factory = SOCKS6ServerFactory(
        reactor,
        outbound or DirectOutbound(reactor, connectTimeout, ThreadedResolver(threads)),
        Authenticator(checkers),
        sessions=sessions,
        requestTimeout=requestTimeout,
        idleTimeout=idleTimeout,
    )
    return ProxyService(factory, endpoints)
