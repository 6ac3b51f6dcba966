"""
The options of C{twistd socks6} that are about its way to remote hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.usage import UsageError

from socks6.client.urls import ProxyURL, proxyURL
from socks6.interfaces import IOutbound
from socks6.outbound.socks5 import SOCKS5Outbound
from socks6.outbound.socks6 import SOCKS6Outbound, UpstreamProxy
from socks6.values.codes import MAX_PORT

#: Makes a way out, with a reactor, whether sessions are isolated, and the seconds that
#: it may take to connect.
OutboundMaker = Callable[[Any, bool, float], IOutbound]

_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+):(?P<port>[0-9]{1,5})")


def upstreamProxy(reactor: Any, url: ProxyURL) -> UpstreamProxy:
    """
    Make the proxy of a URL.

    @raise OSError: A file that the URL names cannot be read any more.
    @raise ValueError: What a file holds does not serve any more.
    """
    return UpstreamProxy(
        reactor, str(url), url.endpoint(reactor), url.credentials, url.datagramRoute()
    )


def checkedURL(text: str, password: bytes | None = None) -> ProxyURL:
    """
    Read the URL of a proxy, and the files that it names.

    @param password: The user's, if there is a user and the URL has no password.
    @raise ValueError: Something is wrong with it, or with one of them.
    """
    url = proxyURL(text, password)
    try:
        url.encryption()
        url.datagramRoute()
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error
    return url


def outboundFromString(description: str) -> tuple[OutboundMaker, bool] | None:
    """
    Read a way out: C{direct}, C{socks5:HOST:PORT}, C{socks5:unix:PATH} or
    C{socks6://...}.

    @return: What makes it, and whether sessions are isolated if nobody says otherwise;
        L{None}: it is the straight way.
    @raise ValueError: It is none of these, or cannot be.  What was written is not
        repeated: it may hold a password.
    """
    kind, _, rest = description.partition(":")
    if description == "direct":
        return None
    if kind == "socks5":
        return _throughSOCKS5(rest), True
    if kind in ("socks6", "socks6s"):
        url = checkedURL(description)

        def throughSOCKS6(reactor: Any, isolate: bool, timeout: float) -> IOutbound:
            proxies = [upstreamProxy(reactor, url)]
            return SOCKS6Outbound(reactor, proxies, isolate=isolate, timeout=timeout)

        return throughSOCKS6, False
    raise ValueError(
        "--outbound is none of direct, socks5:HOST:PORT, socks5:unix:PATH, socks6://..."
        " and socks6s://..."
    )


def _throughSOCKS5(where: str) -> OutboundMaker:
    """
    Read where a SOCKS 5 proxy is.

    @raise ValueError: It is nowhere.
    """
    kind, _, path = where.partition(":")
    if kind == "unix" and path:
        # twistd may go elsewhere before we connect.
        absolute = str(Path(path).absolute())

        def endpoint(reactor: Any) -> IStreamClientEndpoint:
            return UNIXClientEndpoint(reactor, absolute)

    else:
        host, port = _hostAndPort(where)

        def endpoint(reactor: Any) -> IStreamClientEndpoint:
            return HostnameEndpoint(reactor, host, port)

    return lambda reactor, isolate, timeout: SOCKS5Outbound(
        reactor, endpoint(reactor), isolate=isolate, timeout=timeout
    )


def _hostAndPort(where: str) -> tuple[str, int]:
    """
    Read a host, maybe an IPv6 address in brackets, and a port.

    @raise ValueError: These are none.
    """
    match = _HOST_AND_PORT.fullmatch(where)
    with suppress(ValueError):
        if match is not None and 0 < int(match["port"]) <= MAX_PORT:
            host = match["host"]
            if host.startswith("["):
                host = str(IPv6Address(host[1:-1]))
            return host, int(match["port"])
    raise ValueError("--outbound socks5: is followed by HOST:PORT or unix:PATH")


class OutboundOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    parameters: Sequence[Sequence[Any]] = [
        [
            "outbound",
            None,
            None,
            "The way out: direct, socks5:HOST:PORT, socks6://... [default: direct].",
            outboundFromString,
        ],
    ]
    flags: Sequence[Sequence[Any]] = [
        [
            "isolate-sessions",
            None,
            "Give each session its own identity at the proxy of --outbound.",
        ],
        ["no-isolate-sessions", None, "Do not [default: that is done for socks5 only]."],
    ]

    def checkOutbound(self) -> None:
        """
        Check what the options say together.

        @raise UsageError: They make no sense.
        """
        if self["isolate-sessions"] and self["no-isolate-sessions"]:
            raise UsageError("--isolate-sessions and --no-isolate-sessions contradict each other")
        if self["isolate-sessions"] and self["outbound"] is None:
            raise UsageError("--isolate-sessions needs an --outbound through another proxy")

    def outbound(self, reactor: Any, secret: bytes | None = None) -> IOutbound | None:
        """
        Make the way out that the options describe.

        @param secret: What all processes with the same sessions have in common, if there
            are several.
        @return: L{None}: the straight way.
        @raise OSError: A file cannot be read.
        @raise ValueError: What a file holds does not serve.
        """
        if self["outbound"] is None:
            return None
        make, isolates = self["outbound"]
        isolate = self["isolate-sessions"] or (isolates and not self["no-isolate-sessions"])
        made: IOutbound = make(reactor, isolate, self["connect-timeout"])
        if secret is not None and isinstance(made, SOCKS5Outbound):
            made.secret = secret
        return made
