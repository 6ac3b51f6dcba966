"""
A proxy as a service of a Twisted application.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.interfaces import (
    IAddress,
    IReactorThreads,
    IReactorTime,
    IStreamServerEndpoint,
)

from socks6.interfaces import IOutbound
from socks6.outbound.direct import DirectOutbound
from socks6.outbound.resolver import ThreadedResolver
from socks6.policy.authentication import Authenticator
from socks6.policy.failures import FailedLogins
from socks6.policy.rulebook import RuleBook
from socks6.policy.sessions import SessionService
from socks6.relay.pipes import CAN_SPLICE, PipePool
from socks6.server.associations import Associations
from socks6.server.bind import Binder
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.server.rules import OwnPorts
from socks6.serving.accesslog import AccessLog
from socks6.serving.limits import NO_LIMITS, Limits
from socks6.serving.service import ListeningService


class ProxyService(ListeningService):
    """
    A SOCKS 6 proxy.
    """

    factory: SOCKS6ServerFactory


def proxyService(
    reactor: IReactorTime,
    endpoints: Sequence[IStreamServerEndpoint],
    checkers: Sequence[ICredentialsChecker] = (),
    *,
    failures: FailedLogins | None = None,
    outbound: IOutbound | None = None,
    sessions: SessionService | None = None,
    binder: Binder | None = None,
    associations: Associations | None = None,
    rules: RuleBook | None = None,
    connectTimeout: float = 30.0,
    requestTimeout: float = 10.0,
    idleTimeout: float | None = None,
    limits: Limits = NO_LIMITS,
    splice: bool = True,
    fastOpen: bool = True,
    multipath: bool = False,
    accessLog: AccessLog | None = None,
    ownPlaces: Sequence[IAddress] = (),
) -> ProxyService:
    """
    Make a SOCKS 6 proxy that can be a part of any Twisted application.

    @param reactor: The reactor; a real one, unless C{outbound} is given.
    @param endpoints: Where to listen; see also
        L{TLSServerEndpoint<socks6.server.tls.TLSServerEndpoint>}.
    @param checkers: Who knows the users' passwords (L{Authenticator}).  None:
        everybody who can connect may use the proxy.
    @param failures: Slows those who guess passwords, and bars them; by default, nobody
        does.
    @param outbound: The way to remote hosts; by default straight from this
        machine, with names looked up in threads of the proxy's own, and then
        C{connectTimeout} holds.
    @param sessions: The clients' sessions, maybe shared with other proxies; a
        service of its own, which the caller starts and stops.  By default, the
        proxy has its own in memory.
    @param binder: Opens ports for clients; by default, BIND is not supported.
    @param associations: Passes datagrams, which a
        L{DatagramService<socks6.server.datagramservice.DatagramService>} takes from
        clients; by default, UDP ASSOCIATE is not supported.
    @param rules: Who may go where (L{RuleBook.fromFile}), for this proxy alone; by default,
        only clients on this machine reach what is not of the public internet, and the
        proxy itself.
    @param connectTimeout: Seconds that a remote host may take to answer.
    @param requestTimeout: Seconds that a client may take to say what it wants
        and who it is.
    @param idleTimeout: Seconds without an octet either way after which a
        tunnel is cut; L{None}: never.
    @param limits: How much clients may have, and for how long; by default, as much as
        there is, and until the service stops.
    @param splice: Whether octets may pass through inside the kernel, where it can do
        that.
    @param fastOpen: Whether to accept data in the first packet (TCP Fast Open), where the
        kernel lets us.
    @param multipath: Whether to speak Multipath TCP with remote hosts that do, by default
        and by C{binder}; with clients, that is the endpoints' business.
    @param accessLog: Where requests are logged; by default, in Twisted's log.
    @param ownPlaces: Where else the application listens, and clients on other machines get
        no more than to the proxy itself; this may change.
    @raise ValueError: A checker does not take user names and passwords, or a
        time is not above zero.
    """
    for seconds in (connectTimeout, requestTimeout, idleTimeout):
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"not a number of seconds above 0: {seconds}")
    threads = cast(IReactorThreads, reactor)
    factory = SOCKS6ServerFactory(
        reactor,
        outbound or DirectOutbound(reactor, connectTimeout, ThreadedResolver(threads), multipath),
        Authenticator(checkers, failures),
        sessions=sessions,
        binder=binder,
        associations=associations,
        rules=rules,
        requestTimeout=requestTimeout,
        idleTimeout=idleTimeout,
        limits=limits,
    )
    if splice and CAN_SPLICE:
        factory.pipes = PipePool()
    factory.multipath = multipath
    if accessLog is not None:
        factory.accessLog = accessLog
    service = ProxyService(factory, endpoints, fastOpen)
    advertised = () if binder is None else binder.policy.advertised.values()
    factory.rules.isOwn = OwnPorts(service.ports, advertised, ownPlaces).holds
    return service
