"""
Fetch web pages through a SOCKS 6 proxy, in one session for each purpose::

    python3 examples/isolated.py --proxy tcp:127.0.0.1:1080 \\
        news=http://example.org/ news=http://example.org/more bank=http://example.com/

What has the same purpose shares a session; other purposes have nothing in common with
it.  If the proxy goes through Tor, each purpose has a circuit of its own.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import react
from twisted.web.client import Agent, readBody

from socks6.client import SOCKS6Session
from socks6.client.web import SOCKS6AgentEndpointFactory


class Purpose:
    """
    What may be known to belong together.

    @ivar name: What the user calls it.
    @ivar session: Its session.
    """

    def __init__(self, reactor: Any, proxy: IStreamClientEndpoint, name: str) -> None:
        """
        @param proxy: The way to the proxy.
        """
        self.name = name
        self.session = SOCKS6Session(reactor, proxy)
        endpoints = SOCKS6AgentEndpointFactory(reactor, self.session)
        # An agent whose connections persist would need a pool of its own, too.
        self._agent = Agent.usingEndpointFactory(reactor, endpoints)

    async def fetch(self, url: str) -> None:
        """
        Fetch a page, and tell about it.

        @raise Exception: Whatever went wrong.
        """
        body = await self._agent.request(b"GET", url.encode("ascii")).addCallback(readBody)
        print(f"{self.name}: {url}: {len(body)} octets")


async def main(reactor: Any, *arguments: str) -> None:
    """
    Do what the command line says.
    """
    parser = ArgumentParser(description="Fetch web pages, in one session for each purpose.")
    parser.add_argument("--proxy", required=True, help="the proxy, a Twisted endpoint string")
    parser.add_argument("pages", nargs="+", metavar="PURPOSE=URL")
    options = parser.parse_args(arguments)

    proxy = clientFromString(reactor, options.proxy)
    purposes: dict[str, Purpose] = {}
    try:
        for page in options.pages:
            name, _, url = page.partition("=")
            if name not in purposes:
                purposes[name] = Purpose(reactor, proxy, name)
            await purposes[name].fetch(url)
    finally:
        # Nothing will ever share a circuit with what was done in them.
        await DeferredList([each.session.close() for each in purposes.values()])


if __name__ == "__main__":
    react(main, sys.argv[1:])
