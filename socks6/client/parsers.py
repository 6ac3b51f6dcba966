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
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.listening import ANY_IPV4, SOCKS6ServerEndpoint
from socks6.client.negotiation import DEFAULT_TIMEOUT
from socks6.client.session import SOCKS6Session

_ANSWERS = {"yes": True, "no": False}

#: The backlog of a string that does not say; C{tcp:} has the same.
DEFAULT_BACKLOG = 50

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


def _fillIn(parts: Sequence[str], **named: str | None) -> list[str | None]:
    """
    Give the parts of an endpoint string without a name to the first arguments that
    have no part of their own.

    @param named: The arguments that need no name, and the parts called so.
    @return: What these arguments are, in their order.
    @raise TypeError: There are more parts than such arguments.
    """
    nameless = list(parts)
    values = [nameless.pop(0) if value is None and nameless else value for value in named.values()]
    if nameless:
        # They are not shown: one could be the end of a password.
        raise TypeError(f"too much besides {' and '.join(map(repr, named))}; {_ESCAPE}")
    return values


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


class _Way:
    """
    What all endpoint strings say of the way to the proxy.

    @ivar proxy: The way: an endpoint or a session.
    @ivar arguments: The rest, for the endpoint's class.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        proxy: str | None = None,
        username: str | None = None,
        password: str | None = None,
        session: str = "no",
        timeout: str = str(DEFAULT_TIMEOUT),
        **unknown: str,
    ) -> None:
        """
        @param proxy: The way to the proxy, an endpoint string.
        @param session: C{no}, C{yes} or a name.  Endpoints with the same name, proxy, user
            name and password are in the same session.
        @raise TypeError: An argument is missing or unknown.
        @raise ValueError: An argument's value cannot be.
        """
        if unknown:
            # With a password, it could be the end of that.
            names = "" if password is not None else f" {', '.join(map(repr, unknown))}"
            raise TypeError(f"unknown argument{names}; {_ESCAPE}")
        if proxy is None:
            raise TypeError("missing 'proxy'")
        if not session:
            raise ValueError(f"session is neither yes nor no nor a name; {_ESCAPE}")
        self.proxy: IStreamClientEndpoint | SOCKS6Session
        self.arguments: dict[str, Any] = {"timeout": _number("timeout", timeout, float)}
        if session == "no":
            self.proxy = clientFromString(reactor, proxy)
            self.arguments.update(username=username, password=password)
        else:
            self.proxy = _sessionCalled(session, reactor, proxy, username, password)


def endpointFromArguments(
    reactor: Any,
    *where: str,
    host: str | None = None,
    port: str | None = None,
    optimistic: str = "no",
    **way: str,
) -> IStreamClientEndpoint:
    r"""
    Make an endpoint from the parts of an endpoint string, such as
    C{socks6:host=example.org:port=443:proxy=tcp\:127.0.0.1\:1080}.

    @param where: Host and port, if they have no names.
    @param optimistic: C{yes} or C{no}.
    @param way: See L{_Way}.
    @raise TypeError: An argument is missing, unknown or given twice.
    @raise ValueError: An argument's value cannot be.
    """
    host, port = _fillIn(where, host=host, port=port)
    if host is None or port is None:
        raise TypeError(f"missing {'host' if host is None else 'port'!r}")
    if optimistic not in _ANSWERS:
        raise ValueError(f"optimistic is neither yes nor no; {_ESCAPE}")
    number = _number("port", port, int)
    read = _Way(reactor, **way)
    return SOCKS6ClientEndpoint(
        reactor, read.proxy, host, number, optimistic=_ANSWERS[optimistic], **read.arguments
    )


def serverEndpointFromArguments(
    reactor: Any,
    *where: str,
    port: str | None = None,
    interface: str = ANY_IPV4,
    backlog: str = str(DEFAULT_BACKLOG),
    **way: str,
) -> IStreamServerEndpoint:
    r"""
    Make a server endpoint from the parts of an endpoint string, such as
    C{socks6:port=8080:proxy=tcp\:127.0.0.1\:1080}.

    @param where: The port, if it has no name.
    @param interface: An IP address of the proxy.
    @param backlog: How many connections may wait at the proxy; below 2, they are
        taken one by one.
    @param way: See L{_Way}.
    @raise TypeError: An argument is missing, unknown or given twice.
    @raise ValueError: An argument's value cannot be.
    """
    [port] = _fillIn(where, port=port)
    if port is None:
        raise TypeError("missing 'port'")
    numbers = _number("port", port, int), _number("backlog", backlog, int)
    read = _Way(reactor, **way)
    return SOCKS6ServerEndpoint(
        reactor,
        read.proxy,
        numbers[0],
        interface=interface,
        backlog=numbers[1],
        **read.arguments,
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


@implementer(IPlugin, IStreamServerEndpointStringParser)
class SOCKS6ServerParser:
    """
    What L{serverFromString<twisted.internet.endpoints.serverFromString>} asks about
    strings that begin with C{socks6:}.
    """

    prefix = "socks6"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        """
        Make an endpoint.

        @param args: The parts of the string without a name.
        @param kwargs: Those with one.
        @see: L{serverEndpointFromArguments}
        """
        return serverEndpointFromArguments(reactor, *args, **kwargs)
