"""
Fetch a web page through a SOCKS 6 proxy; its body goes to standard output::

    python3 examples/fetch.py --proxy tcp:127.0.0.1:1080 http://example.org/

What goes wrong goes to standard error, in one line, and the exit status is 1.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import react
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS, IResponse

from socks6.client.session import SOCKS6Session
from socks6.client.web import SOCKS6AgentEndpointFactory


def parseArguments(arguments: list[str]) -> Namespace:
    """
    Read the command line.
    """
    parser = ArgumentParser(description="Fetch a web page through a SOCKS 6 proxy.")
    parser.add_argument("url", help="what to fetch: http://... or https://...")
    parser.add_argument("--proxy", required=True, help="the proxy, a Twisted endpoint string")
    parser.add_argument("--username", help="who you are")
    parser.add_argument("--password-file", type=Path, help="has the password in its first line")
    parser.add_argument(
        "--optimistic", action="store_true", help="send the request before the proxy has answered"
    )
    parser.add_argument(
        "--session", action="store_true", help="ask in a session, and end it when all is done"
    )
    parser.add_argument("--ca", type=Path, help="trust the certificates in this PEM file only")
    return parser.parse_args(arguments)


def trusting(path: Path) -> IPolicyForHTTPS:
    """
    Trust web servers that the certificates of a PEM file vouch for.
    """
    end = b"-----END CERTIFICATE-----"
    *certificates, _ = path.read_bytes().split(end)
    authorities = [Certificate.loadPEM(each + end) for each in certificates]
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))


class Copy(Protocol):
    """
    Copies a response's body to standard output.

    @ivar finished: Fires when that has been done.
    """

    transport: Any

    def __init__(self) -> None:
        """
        Be ready for the body.
        """
        self.finished: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """
        Copy a part.

        This waits as long as whoever reads from us does not read.  Meanwhile
        nothing is read from the proxy, and nothing piles up.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]
        except OSError as error:
            self._finish(Failure(error))
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The body has ended, at its end or before.
        """
        # PotentialDataLoss: the server did not say how long it would be.
        self._finish(None if reason.check(ResponseDone, PotentialDataLoss) else reason)

    def _finish(self, failure: Failure | None) -> None:
        """
        Report, once.
        """
        if self.finished.called:
            return
        if failure is None:
            self.finished.callback(None)
        else:
            self.finished.errback(failure)


async def fetch(reactor: Any, options: Namespace) -> None:
    """
    Copy a page to standard output.

    @raise Exception: Whatever went wrong.
    """
    password = None
    if options.password_file is not None:
        password = options.password_file.read_bytes().partition(b"\n")[0].rstrip(b"\r")
    proxy = clientFromString(reactor, options.proxy)
    if not options.session:
        await fetchThrough(proxy, reactor, options, username=options.username, password=password)
        return
    # Who we are is the session's to say.  The request opens it.
    session = SOCKS6Session(reactor, proxy, username=options.username, password=password)
    try:
        await fetchThrough(session, reactor, options)
    finally:
        await session.close()


async def fetchThrough(
    proxy: IStreamClientEndpoint | SOCKS6Session,
    reactor: Any,
    options: Namespace,
    **credentials: Any,
) -> None:
    """
    Copy a page to standard output.

    @param proxy: The way to the proxy, or a session with it.
    @param credentials: Who we are, if the proxy wants to know each time.
    @raise Exception: Whatever went wrong.
    """
    endpoints = SOCKS6AgentEndpointFactory(
        reactor,
        proxy,
        optimistic=options.optimistic,
        contextFactory=None if options.ca is None else trusting(options.ca),
        **credentials,
    )
    agent = Agent.usingEndpointFactory(reactor, endpoints)
    headers = Headers({"User-Agent": ["socks6 example"]})
    response: IResponse = await agent.request(b"GET", options.url.encode("ascii"), headers)
    body = Copy()
    response.deliverBody(body)
    await body.finished
    if response.code >= 400:
        raise ValueError(f"the server answered {response.code} {response.phrase.decode('latin-1')}")


def reason(error: BaseException) -> str:
    """
    Say in one line why there is no page, or not all of it.
    """
    # Twisted's errors of HTTP contain those that they are due to.
    if isinstance(error, ResponseFailed) and error.reasons:
        return reason(error.reasons[0].value)
    if isinstance(error, SSL.Error):
        return "TLS failed: " + ", ".join(each[-1] for each in error.args[0])
    if isinstance(error, ConnectionDone):
        return "the connection ended before the body did"
    return " ".join(str(error).split()) or type(error).__name__


async def main(reactor: Any, *arguments: str) -> None:
    """
    Do what the command line says.
    """
    options = parseArguments(list(arguments))
    try:
        await fetch(reactor, options)
    except Exception as error:
        raise SystemExit(f"{options.url}: {reason(error)}") from error


if __name__ == "__main__":
    react(main, sys.argv[1:])
