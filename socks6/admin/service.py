"""
The page as a service.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.application.internet import StreamServerEndpointService
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint
from twisted.web.resource import IResource

from socks6.admin.guard import AdminPassword, guarded
from socks6.admin.resources import makeRoot
from socks6.admin.site import AdminSite
from socks6.admin.snapshot import Snapshots
from socks6.policy.sessions import SessionService
from socks6.quietsite import FewConnections
from socks6.serving.factory import ServingFactory


def adminSite(
    reactor: IReactorTime,
    factory: ServingFactory,
    sessions: SessionService,
    names: Collection[str] = (),
    password: AdminPassword | None = None,
) -> AdminSite:
    """
    Make the web server of a proxy.

    @param factory: Knows the proxy's connections.
    @param sessions: Those of its clients.
    @param names: What the page may be called beside C{localhost} and an address.
    @param password: Who knows the operator; L{None}: it is whoever can connect.
    """
    root: IResource = makeRoot(Snapshots(factory, sessions))
    if password is not None:
        root = guarded(root, password)
    return AdminSite(reactor, root, names)


def adminService(site: AdminSite, endpoint: IStreamServerEndpoint) -> StreamServerEndpointService:
    """
    Make the service that serves it.

    @param endpoint: Where.
    """
    connections = FewConnections(site)  # type: ignore[no-untyped-call]
    service = StreamServerEndpointService(endpoint, connections)
    # A port that cannot be opened keeps the proxy from starting.
    service._raiseSynchronously = True
    return service
