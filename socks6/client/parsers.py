"""
The endpoint strings that begin with C{socks6:}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.interfaces import (
    IReactorTime,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.negotiation import DEFAULT_TIMEOUT
from socks6.client.session import SOCKS6Session

_ANSWERS = {"yes": True, "no": False}

#: What helps if a colon has cut a value in two.
_ESCAPE = "a colon within a value is written as \\:"


def _number(name: str, text: str, kind: type[int] | type[float]) -> Any:
    """
    Read the number that an argument has to be.

    @raise ValueError: It is none.  It is not shown: where somebody forgot to
        escape a colon, it could be the end of a password.
    """
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{name} is not a number; {_ESCAPE}") from None


def _hostAndPort(where: Sequence[str], host: str | None, port: str | None) -> tuple[str, str]:
    """
    Find out where to connect to.

    @param where: The parts of an endpoint string without a name.
    @param host: The part called so.
    @param port: The part called so.
    @raise TypeError: These are not a host and a port.
    """
    nameless = list(where)
    if host is None and nameless:
        host = nameless.pop(0)
    if port is None and nameless:
        port = nameless.pop(0)
    if nameless:
        # They are not shown: one could be the end of a password.
        raise TypeError(f"too much besides 'host' and 'port'; {_ESCAPE}")
    if host is None or port is None:
        raise TypeError(f"missing {'host' if host is None else 'port'!r}")
    return host, port


#: Seconds that the end of a reactor waits for the end of a session.
SHUTDOWN_TIMEOUT = 5.0

#: The sessions of endpoint strings, by all that tells them apart.
_sessions: dict[tuple[object, ...], SOCKS6Session] = {}


def _sessionCalled(
    name: str, reactor: Any, proxy: str, username: str | None, password: str | None
) -> SOCKS6Session:
    """
    Give the session of a name with a proxy, the same one each time.

    It lasts as long as the reactor runs, and is ended at the proxy then.

    @param proxy: The way to the proxy, an endpoint string.
    @raise ValueError: One of the arguments cannot be.
    """
    key = reactor, name, proxy, username, password
    session = _sessions.get(key)
    if session is None:
        endpoint = clientFromString(reactor, proxy)
        session = SOCKS6Session(reactor, endpoint, username=username, password=password)
        reactor.addSystemEventTrigger("before", "shutdown", _closeInTime, session, reactor)
        _sessions[key] = session
    return session


def _closeInTime(session: SOCKS6Session, reactor: IReactorTime) -> Deferred[None]:
    """
    End a session at the proxy, if that does not take too long.

    @return: Fires when it has been tried; never fails.
    """
    return session.close().addTimeout(SHUTDOWN_TIMEOUT, reactor, lambda result, seconds: None)


def endpointFromArguments(
    reactor: Any,
    *where: str,
    host: str | None = None,
    port: str | None = None,
    proxy: str | None = None,
    username: str | None = None,
    password: str | None = None,
    session: str = "no",
    optimistic: str = "no",
    timeout: str = str(DEFAULT_TIMEOUT),
    **unknown: str,
) -> IStreamClientEndpoint:
    r"""
    Make an endpoint from the parts of an endpoint string, such as
    C{socks6:host=example.org:port=443:proxy=tcp\:127.0.0.1\:1080}.

    @param where: Host and port, if they have no names.
    @param proxy: The way to the proxy, an endpoint string.
    @param session: C{no}, C{yes} or a name.  Endpoints with the same name, proxy, user
        name and password are in the same session.
    @param optimistic: C{yes} or C{no}.
    @raise TypeError: An argument is missing, unknown or given twice.
    @raise ValueError: An argument's value cannot be.
    """
    if unknown:
        # With a password, it could be the end of that.
        names = "" if password is not None else f" {', '.join(map(repr, unknown))}"
        raise TypeError(f"unknown argument{names}; {_ESCAPE}")
    host, port = _hostAndPort(where, host, port)
    if proxy is None:
        raise TypeError("missing 'proxy'")
    if optimistic not in _ANSWERS:
        raise ValueError(f"optimistic is neither yes nor no; {_ESCAPE}")
    if not session:
        raise ValueError(f"session is neither yes nor no nor a name; {_ESCAPE}")
    way: IStreamClientEndpoint | SOCKS6Session
    if session == "no":
        way = clientFromString(reactor, proxy)
    else:
        way = _sessionCalled(session, reactor, proxy, username, password)
        username = password = None
    return SOCKS6ClientEndpoint(
        reactor,
        way,
        host,
        _number("port", port, int),
        username=username,
        password=password,
        optimistic=_ANSWERS[optimistic],
        timeout=_number("timeout", timeout, float),
    )


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class SOCKS6ClientParser:
    """
    What L{clientFromString} asks about strings that begin with C{socks6:}.
    """

    prefix = "socks6"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamClientEndpoint:
        """
        Make an endpoint.

        @param args: The parts of the string without a name.
        @param kwargs: Those with one.
        @see: L{endpointFromArguments}
        """
        return endpointFromArguments(reactor, *args, **kwargs)
