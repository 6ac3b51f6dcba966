"""
A small web server on the operator's side, which bears what comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.protocols.policies import WrappingFactory
from twisted.web import http
from twisted.web.pages import errorPage
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

#: The most octets of a request's body.
MAX_BODY = 4096

#: The most connections at a time.
MAX_CONNECTIONS = 64

#: Seconds that a connection may be silent.
TIMEOUT = 30.0

#: Names of this machine that no other machine can take.
_LOCAL_NAMES = frozenset(("localhost",))


def mayBeNamed(host: bytes | None, names: Collection[str]) -> bool:
    """
    Tell whether a request's Host header is one of ours.

    A stranger's name that leads to this machine is not (DNS rebinding); an address leads
    nowhere else.

    @param names: Those that the operator allows.
    """
    if host is None:
        return False
    text = host.decode("latin-1").lower()
    name, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not name:
        name = port
    if name.rstrip(".") in _LOCAL_NAMES or name in names:
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class QuietRequest(Request):
    """
    A request, whose answer has our headers whatever it is.

    @cvar headers: These.
    """

    headers: Mapping[bytes, bytes] = {}
    _bodyLength = 0

    def handleContentChunk(self, data: bytes) -> None:
        """
        Take a part of the body, and break off the connection if it is long.
        """
        self._bodyLength += len(data)
        if self._bodyLength <= MAX_BODY:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
        else:
            self.channel.forceAbortClient()

    def process(self) -> None:
        """
        Serve it, if it is meant for us.
        """
        for name, value in self.headers.items():
            self.setHeader(name, value)  # type: ignore[no-untyped-call]
        # With two names, others may see another one than we do.
        hosts = self.requestHeaders.getRawHeaders(b"host", [])
        channel: Any = self.channel
        site = channel.site
        if site.names is None or (len(hosts) == 1 and mayBeNamed(hosts[0], site.names)):
            super().process()  # type: ignore[no-untyped-call]
            return
        page = errorPage(http.FORBIDDEN, "Forbidden", "That is not our name.")
        self.site = site
        self.prepath, self.postpath = [], []
        self.render(page)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """
        Be done, unless nobody waits for it any more.
        """
        if not self._disconnected:
            super().finish()  # type: ignore[no-untyped-call]


class QuietSite(Site):
    """
    The server.

    @cvar request: What it makes of requests.
    @ivar names: Names that it may be called by, beside C{localhost} and an address;
        L{None}: whatever it is called.
    """

    noisy = False
    displayTracebacks = False
    request: type[QuietRequest] = QuietRequest

    def __init__(
        self, reactor: IReactorTime, root: IResource, names: Collection[str] | None
    ) -> None:
        """
        @param root: What it shows.
        """
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=self.request, timeout=TIMEOUT, reactor=reactor
        )
        self.names = names

    def log(self, request: object) -> None:
        """
        Write nothing: a page asks every second, and others ask as often as they like.
        """


class FewConnections(WrappingFactory):
    """
    Lets in only so many.
    """

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        Take a connection, or close it.
        """
        if len(self.protocols) >= MAX_CONNECTIONS:
            return None
        return super().buildProtocol(addr)
