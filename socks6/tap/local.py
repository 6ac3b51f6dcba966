"""
The command line of C{twistd socks6-local}.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.logger import Logger
from twisted.python import usage

from socks6.client.urls import PROXY_VARIABLE, ProxyURL, passwordInEnvironment
from socks6.listening import endpointDescription
from socks6.local.isolation import Isolation
from socks6.local.service import localService
from socks6.memory import RESERVE
from socks6.serving.service import ListeningService
from socks6.serving.shortage import MemoryService
from socks6.staleevents import ignoreStaleEvents
from socks6.tap.accesslog import AccessLogOptions
from socks6.tap.common import CommonOptions
from socks6.tap.metrics import MetricsOptions
from socks6.tap.outbound import checkedURL, upstreamProxy
from socks6.tap.readings import duration
from socks6.tap.runner import CommandLineService, raiseDescriptorLimit

_log = Logger()


class Options(CommonOptions, AccessLogOptions, MetricsOptions):
    """
    The options of C{twistd socks6-local}.

    @ivar proxies: The proxies to go through.
    @ivar transparentPorts: Endpoint strings of ports that the packet filter redirects
        to.
    @ivar isolations: What tells sessions apart.
    """

    command = "socks6-local"
    longdesc = (
        "A local proxy that speaks SOCKS 4, SOCKS 5 and HTTP with programs, and SOCKS 6"
        " (draft-olteanu-intarea-socks-6-06) with a proxy."
    )

    optParameters: list[Sequence[Any]] = [
        duration("connect-timeout", 60.0, "Seconds that the proxy may take to reply."),
        duration("request-timeout", 10.0, "Seconds that a program may take to ask."),
        duration(
            "idle-timeout", None, "Seconds after which a silent tunnel is cut [default: never]."
        ),
        *AccessLogOptions.parameters,
        *MetricsOptions.parameters,
    ]
    optFlags: list[Sequence[Any]] = [
        ["anonymous", None, "Let everybody who can connect use the proxy."],
        ["optimistic", None, "Tell programs that they are connected before it is known."],
        ["no-optimistic", None, "Wait for the proxy's word [default: not for SOCKS 5 and HTTP]."],
        *MetricsOptions.flags,
    ]

    def __init__(self) -> None:
        """
        Begin with no proxies.
        """
        CommonOptions.__init__(self)
        AccessLogOptions.__init__(self)
        self.proxies: list[ProxyURL] = []
        self.transparentPorts: list[str] = []
        self.isolations: frozenset[Isolation] | None = None

    def opt_proxy(self, url: str) -> None:
        """
        The proxy, like socks6s://user@proxy.example:1443; repeatable [default: SOCKS6_PROXY].
        """
        self._addProxy("--proxy", url)

    def _addProxy(self, source: str, url: str) -> None:
        """
        Take a proxy.

        @param source: Who names it.
        @raise usage.UsageError: It is none, or a file that it needs is not there.
        """
        try:
            self.proxies.append(checkedURL(url, passwordInEnvironment()))
        except ValueError as error:
            raise usage.UsageError(f"{source}: {error}") from error

    def opt_port(self, port: str) -> None:
        """
        Listen on this port of 127.0.0.1, or this endpoint string; repeatable [default: 1081].
        """
        self.ports.append(endpointDescription(port))

    opt_p = opt_port

    def opt_transparent(self, port: str) -> None:
        """
        The same for connections that the packet filter redirects; repeatable.
        """
        self.transparentPorts.append(endpointDescription(port))

    def opt_isolate(self, kinds: str) -> None:
        """
        What separates sessions: some of auth,destination,client, or none [default: auth].
        """
        names = kinds.split(",")
        known = {isolation.value: isolation for isolation in Isolation}
        if names == ["none"]:
            names = []
        for name in names:
            if name not in known:
                raise usage.UsageError(
                    f"--isolate {kinds!r} is not made of {', '.join(known)}, nor none"
                )
        self.isolations = (self.isolations or frozenset()) | {known[name] for name in names}

    def postOptions(self) -> None:
        """
        Check what the options say together.

        @raise usage.UsageError: They make no sense.
        """
        if not self.ports and not self.transparentPorts:
            self.opt_port("1081")
        if not self.proxies and os.environ.get(PROXY_VARIABLE):
            self._addProxy(PROXY_VARIABLE, os.environ[PROXY_VARIABLE])
        if not self.proxies:
            raise usage.UsageError(f"a --proxy is needed, or {PROXY_VARIABLE} in the environment")
        if self["optimistic"] and self["no-optimistic"]:
            raise usage.UsageError("--optimistic and --no-optimistic contradict each other")
        for port in (*self.ports, *self.transparentPorts):
            self.checkOpenness(port, False, "--anonymous")
        self.checkAccessLog()
        self.checkMetrics()

    def checkAgain(self) -> None:
        """
        Open the access log.

        @raise usage.UsageError: It cannot be opened.
        """
        self.openAccessLog()

    @property
    def optimism(self) -> bool | None:
        """
        Whether programs are told that they are connected before it is known; L{None}:
        where their protocol suggests that.
        """
        return True if self["optimistic"] else False if self["no-optimistic"] else None


def makeService(options: Options) -> IService:
    """
    Make the service of C{twistd socks6-local}.
    """
    from twisted.internet import reactor as _reactor

    reactor: Any = _reactor
    raiseDescriptorLimit(reactor)
    ignoreStaleEvents(reactor, RESERVE.ranOut)
    service = CommandLineService(options)
    isolations = options.isolations
    proxies = [upstreamProxy(reactor, url) for url in options.proxies]
    for proxy in proxies:
        if proxy.datagrams is None:
            _log.info(
                "No UDP ASSOCIATE through {proxy}: its URL has neither dtls= nor udp=",
                proxy=proxy.name,
            )
    local = localService(
        reactor,
        [serverFromString(reactor, port) for port in options.ports],
        proxies,
        transparentEndpoints=[serverFromString(reactor, port) for port in options.transparentPorts],
        isolations=frozenset([Isolation.AUTH]) if isolations is None else isolations,
        optimistic=options.optimism,
        connectTimeout=options["connect-timeout"],
        requestTimeout=options["request-timeout"],
        idleTimeout=options["idle-timeout"],
        accessLog=options.accessLog(reactor),
    )
    local.setServiceParent(service)
    factories = [each.factory for each in local if isinstance(each, ListeningService)]
    for factory in factories:
        memory = MemoryService(reactor, factory)
        memory.setServiceParent(service)  # type: ignore[no-untyped-call]
    options.addMetrics(reactor, service, factories, [])
    return service
