"""
The local proxifier as a service of a Twisted application.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint

from socks6.local.factory import LocalFactory, TransparentFactory
from socks6.local.isolation import Isolation
from socks6.outbound.socks6 import SOCKS6Outbound, UpstreamProxy
from socks6.serving.accesslog import AccessLog
from socks6.serving.service import ListeningService


def localService(
    reactor: IReactorTime,
    endpoints: Sequence[IStreamServerEndpoint],
    proxies: Sequence[UpstreamProxy],
    *,
    transparentEndpoints: Sequence[IStreamServerEndpoint] = (),
    isolations: Collection[Isolation] = (Isolation.AUTH,),
    optimistic: bool | None = None,
    connectTimeout: float = 60.0,
    requestTimeout: float = 10.0,
    idleTimeout: float | None = None,
    accessLog: AccessLog | None = None,
) -> MultiService:
    """
    Make a local proxifier that can be a part of any Twisted application: it listens as
    long as it runs, and ends its sessions with the proxies when it stops.

    @param endpoints: Where programs speak SOCKS 4, SOCKS 5 or HTTP to us.
    @param proxies: The SOCKS 6 proxies, those that are preferred first.
    @param transparentEndpoints: Where the packet filter redirects connections to.
    @param isolations: What tells sessions apart.
    @param optimistic: Whether programs are told that they are connected before it is
        known; L{None}: where their protocol suggests that.
    @param connectTimeout: Seconds that a proxy may take for its replies.
    @param requestTimeout: Seconds that a program may take to say what it wants.
    @param idleTimeout: Seconds without an octet either way after which a
        tunnel is cut; L{None}: never.
    @param accessLog: Where requests are logged; by default, in Twisted's log.
    @raise ValueError: There is no proxy, or a time is not above zero.
    """
    if not proxies:
        raise ValueError("there is no proxy to go through")
    for seconds in (connectTimeout, requestTimeout, idleTimeout):
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"not a number of seconds above 0: {seconds}")
    outbound = SOCKS6Outbound(reactor, proxies, isolate=True, timeout=connectTimeout)
    service = MultiService()
    # It is stopped last: sessions end after the connections.
    outbound.setServiceParent(service)  # type: ignore[no-untyped-call]
    for makeFactory, where in (
        (LocalFactory, endpoints),
        (TransparentFactory, transparentEndpoints),
    ):
        factory = makeFactory(
            reactor,
            outbound,
            isolations=isolations,
            optimistic=optimistic,
            requestTimeout=requestTimeout,
            idleTimeout=idleTimeout,
        )
        if accessLog is not None:
            factory.accessLog = accessLog
        listening = ListeningService(factory, where)
        listening.setServiceParent(service)  # type: ignore[no-untyped-call]
    return service
