"""
The service of C{twistd socks6}.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from socks6.memory import RESERVE
from socks6.server.service import proxyService
from socks6.server.tls import TLSServerEndpoint
from socks6.staleevents import ignoreStaleEvents
from socks6.tap.options import Options
from socks6.tap.reloading import ReloadingService
from socks6.tap.runner import CommandLineService, raiseDescriptorLimit
from socks6.tap.workers import WorkersService
from socks6.workers.ports import PortHeir

_log = Logger()


def makeService(options: Options) -> IService:
    """
    Make the service of C{twistd socks6}.
    """
    from twisted.internet import reactor as _reactor

    reactor: Any = _reactor
    raiseDescriptorLimit(reactor)
    ignoreStaleEvents(reactor, RESERVE.ranOut)
    if options.areMany and options.briefing is None:
        return WorkersService(reactor, options)
    listener: Any = options.listener(reactor)
    secret = None
    if options.briefing is not None:
        listener = PortHeir(reactor, options.briefing.ports)
        secret = bytes.fromhex(options.briefing.secret)
    options.ruleBook.processes = options["workers"]
    # Where the operator looks, which may be known only later.
    places: list[IAddress] = []
    if options.briefing is not None:
        places += options.briefing.ownPlaces
    endpoints = [serverFromString(listener, port) for port in options.ports]
    for port in options.tlsPorts:
        assert options.tlsContext is not None
        endpoint = serverFromString(listener, port)
        endpoints.append(TLSServerEndpoint(reactor, endpoint, options.tlsContext))
    service = CommandLineService(options)
    sessions = options.sessionService(reactor)
    sessions.setServiceParent(service)  # type: ignore[no-untyped-call]
    for checker in options.checkers:
        if IService.providedBy(checker):
            checker.setServiceParent(service)  # type: ignore[no-untyped-call]
    outbound = options.outbound(reactor, secret)
    if IService.providedBy(outbound):
        outbound.setServiceParent(service)
    # Whoever goes through another proxy may want nobody to know of this machine: hosts
    # connect to it, and it sends datagrams to them, only where it connects to them itself.
    isDirect = outbound is None
    if not isDirect:
        _log.info(
            "BIND and UDP ASSOCIATE are refused: they would not go through the proxy that"
            " --outbound names"
        )
    # Several processes cannot share a port for datagrams: each would be given those of
    # the others' clients.
    isAlone = not options.areMany
    associations = options.associations(reactor) if isDirect and isAlone else None
    proxy = proxyService(
        reactor,
        endpoints,
        options.checkers,
        failures=options.failures(reactor),
        outbound=outbound,
        sessions=sessions,
        binder=options.binder(reactor, backlog=isAlone) if isDirect else None,
        associations=associations,
        rules=options.ruleBook,
        connectTimeout=options["connect-timeout"],
        requestTimeout=options["request-timeout"],
        idleTimeout=options["idle-timeout"],
        limits=options.limits(),
        splice=not options["no-splice"],
        fastOpen=not options["no-fast-open"],
        multipath=bool(options["mptcp"]),
        accessLog=options.accessLog(reactor),
        ownPlaces=places,
    )
    proxy.setServiceParent(service)  # type: ignore[no-untyped-call]
    memory = options.memoryService(reactor, proxy.factory)
    memory.setServiceParent(service)  # type: ignore[no-untyped-call]
    admin = options.adminPage(reactor, proxy.factory, sessions, places)
    if admin is not None:
        admin.setServiceParent(service)
    options.addMetrics(reactor, service, [proxy.factory], places)
    if associations is not None:
        datagrams = options.datagramService(proxy, associations, options.dtlsContext)
        datagrams.setServiceParent(service)  # type: ignore[no-untyped-call]
        if options.dtlsPorts and options.tlsContext is not None:
            options.tlsContext.followers.append(datagrams.renew)
    reloading = ReloadingService(reactor, options.reloadables)
    reloading.setServiceParent(service)  # type: ignore[no-untyped-call]
    return service
