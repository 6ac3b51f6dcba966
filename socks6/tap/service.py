"""
The service of C{twistd socks6}.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString

from socks6.server.service import proxyService
from socks6.server.tls import TLSServerEndpoint
from socks6.tap.options import Options
from socks6.tap.runner import CommandLineService, raiseDescriptorLimit


def makeService(options: Options) -> IService:
    """
    Make the service of C{twistd socks6}.
    """
    from twisted.internet import reactor as _reactor

    reactor: Any = _reactor
    raiseDescriptorLimit(reactor)
    endpoints = [serverFromString(reactor, port) for port in options.ports]
    for port in options.tlsPorts:
        assert options.tlsContext is not None
        endpoint = serverFromString(reactor, port)
        endpoints.append(TLSServerEndpoint(reactor, endpoint, options.tlsContext))
    service = CommandLineService(options)
    sessions = options.sessionService(reactor)
    sessions.setServiceParent(service)  # type: ignore[no-untyped-call]
    outbound = options.outbound(reactor)
    if IService.providedBy(outbound):
        outbound.setServiceParent(service)
    proxyService(  # type: ignore[no-untyped-call]
        reactor,
        endpoints,
        options.checkers,
        outbound=outbound,
        sessions=sessions,
        connectTimeout=options["connect-timeout"],
        requestTimeout=options["request-timeout"],
        idleTimeout=options["idle-timeout"],
    ).setServiceParent(service)
    return service
