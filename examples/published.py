"""
Publish a folder by HTTP, at a port of a SOCKS 6 proxy::

    python3 examples/published.py --proxy tcp:127.0.0.1:1080 --port 8080 folder

It tells the URL, and serves until it is interrupted or the port is lost.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react
from twisted.web.server import Site
from twisted.web.static import File

from socks6.client import SOCKS6ServerEndpoint


class Publication(Site):
    """
    A web server that knows when its port is no more.

    @ivar ended: Fires then.
    """

    def __init__(self, folder: str) -> None:
        """
        @param folder: What to serve.
        """
        super().__init__(File(folder))  # type: ignore[no-untyped-call]
        self.ended: Deferred[None] = Deferred()

    def stopFactory(self) -> None:
        """
        Learn that the port has been closed, or is lost.
        """
        super().stopFactory()
        self.ended.callback(None)


async def main(reactor: Any, *arguments: str) -> None:
    """
    Do what the command line says.
    """
    parser = ArgumentParser(description="Publish a folder at a proxy.")
    parser.add_argument("--proxy", required=True, help="the proxy, a Twisted endpoint string")
    parser.add_argument("--port", type=int, default=0, help="the port there")
    parser.add_argument("folder")
    options = parser.parse_args(arguments)

    proxy = clientFromString(reactor, options.proxy)
    site = Publication(options.folder)
    endpoint = SOCKS6ServerEndpoint(reactor, proxy, options.port, backlog=50)
    port: Any = await endpoint.listen(site)
    where = port.getHost()
    print(f"http://{where.host}:{where.port}/", flush=True)
    # The proxy would notice without that, but not hear that the session ends.
    reactor.addSystemEventTrigger("before", "shutdown", port.stopListening)
    await site.ended


if __name__ == "__main__":
    react(main, sys.argv[1:])
