"""
The web server of the page.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.protocols.policies import WrappingFactory
from twisted.web import http
from twisted.web.pages import errorPage
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from socks6.admin.guard import mayBeNamed

#: The most octets of a request's body.
MAX_BODY = 4096

#: The most connections at a time.
MAX_CONNECTIONS = 64

#: Seconds that a connection may be silent.
TIMEOUT = 30.0

#: What every answer says to browsers: load nothing but what is ours, be in nobody's
#: frame, guess no types, keep nothing, and give nothing to other sites.
HEADERS = {
    b"Content-Security-Policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        b" img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"X-Frame-Options": b"DENY",
    b"X-Content-Type-Options": b"nosniff",
    b"Cache-Control": b"no-store",
    b"Referrer-Policy": b"no-referrer",
    b"Cross-Origin-Resource-Policy": b"same-origin",
}


class AdminRequest(Request):
    """
    A request, whose answer has our headers whatever it is.
    """

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
        for name, value in HEADERS.items():
            self.setHeader(name, value)  # type: ignore[no-untyped-call]
        # With two names, others may see another one than we do.
        hosts = self.requestHeaders.getRawHeaders(b"host", [])
        channel: Any = self.channel
        site = channel.site
        if len(hosts) == 1 and mayBeNamed(hosts[0], site.names):
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


class AdminSite(Site):
    """
    The server.

    @ivar names: Names that it may be called by.
    """

    noisy = False
    displayTracebacks = False

    def __init__(self, reactor: IReactorTime, root: IResource, names: Collection[str]) -> None:
        """
        @param root: What it shows.
        """
        super().__init__(  # type: ignore[no-untyped-call]
            root, requestFactory=AdminRequest, timeout=TIMEOUT, reactor=reactor
        )
        self.names = names

    def log(self, request: object) -> None:
        """
        Write nothing: a page asks every second.
        """


class AdminConnections(WrappingFactory):
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
