"""
Ask a name server for the addresses of a host, by UDP through a SOCKS 6 proxy; they go to
standard output::

    python3 examples/resolve.py --proxy tcp:127.0.0.1:1080 --server 192.0.2.53 example.org

With ``--dtls NAME`` datagrams are encrypted up to the proxy, whose certificate must be for
that name.  What goes wrong goes to standard error, in one line, and the exit status is 1.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.internet.ssl import Certificate
from twisted.internet.task import react
from twisted.names.dns import DNSDatagramProtocol, Query, Record_A

from socks6.client import SOCKS6DatagramEndpoint, optionsForClientDTLS

#: Seconds that the name server may take.
PATIENCE = 10


def parseArguments(arguments: list[str]) -> Namespace:
    """
    Read the command line.
    """
    parser = ArgumentParser(description="Look up a name through a SOCKS 6 proxy.")
    parser.add_argument("name", help="whose addresses to look up")
    parser.add_argument("--proxy", required=True, help="the proxy, a Twisted endpoint string")
    parser.add_argument("--server", required=True, help="the name server, as the proxy sees it")
    parser.add_argument("--port", type=int, default=53, help="its port [default: 53]")
    parser.add_argument("--datagrams", type=int, help="the proxy's port for datagrams")
    parser.add_argument("--dtls", metavar="NAME", help="speak DTLS with the proxy of that name")
    parser.add_argument("--ca", type=Path, help="trust the certificate in this PEM file only")
    return parser.parse_args(arguments)


def endpointFor(reactor: Any, options: Namespace) -> SOCKS6DatagramEndpoint:
    """
    Make the endpoint that leads through the proxy.
    """
    dtls = None
    if options.dtls is not None:
        trust = None if options.ca is None else Certificate.loadPEM(options.ca.read_bytes())
        dtls = optionsForClientDTLS(options.dtls, trust)
    return SOCKS6DatagramEndpoint(
        reactor,
        clientFromString(reactor, options.proxy),
        dtls=dtls,
        datagrams=None if options.datagrams is None else (None, options.datagrams),
    )


async def resolve(reactor: Any, options: Namespace) -> None:
    """
    Look up the name, and print its addresses.
    """
    protocol = DNSDatagramProtocol(None, reactor)
    protocol.noisy = False
    port = await endpointFor(reactor, options).listen(protocol)
    try:
        question = Query(options.name.encode("idna"))
        reply = await protocol.query((options.server, options.port), [question], PATIENCE)
    finally:
        await port.stopListening()
    for answer in reply.answers:
        if isinstance(answer.payload, Record_A):
            print(answer.payload.dottedQuad())


async def main(reactor: Any, *arguments: str) -> None:
    """
    Do what the command line says.
    """
    options = parseArguments(list(arguments))
    try:
        await resolve(reactor, options)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SystemExit(f"{options.name}: {reason}") from error


if __name__ == "__main__":
    react(main, sys.argv[1:])
