"""
How a connection through the proxy can fail.

Whatever the proxy does to us arrives as a L{ConnectError}, which is what users
of Twisted's endpoints expect.  What it did wrong is a L{PeerError} besides: each
class here is also the one of L{socks6.wire.errors} that says it most exactly.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.error import ConnectError, TimeoutError

from socks6.text import words
from socks6.values.codes import ReplyCode, TokenOutcome
from socks6.wire.errors import (
    MalformedMessage,
    NotSOCKS6,
    PeerError,
    SOCKS6Error,
    UnexpectedEnd,
    UnknownAddressType,
    VersionMismatch,
)


class RequestRefused(ConnectError, SOCKS6Error):
    """
    The proxy said no.

    @ivar code: The reply code of its Operation Reply, a plain C{int} if we do not
        know it; L{None} if it gave none.
    """

    MESSAGE = "the proxy refused"

    def __init__(self, code: ReplyCode | int | None, reason: str) -> None:
        """
        @param code: The reply code.
        @param reason: What it means, for people.
        """
        super().__init__(string=reason)  # type: ignore[no-untyped-call]
        self.code = code


class AuthenticationRefused(RequestRefused):
    """
    The proxy did not let us in: it gives no reply code then.

    @ivar sessionInvalid: Whether that is because it does not know the session
        that the request named.
    """

    def __init__(self, sessionInvalid: bool = False) -> None:
        """
        @param sessionInvalid: Whether the reply has a Session Invalid option.
        """
        super().__init__(None, "invalid session" if sessionInvalid else "authentication failed")
        self.sessionInvalid = sessionInvalid


class TokenRefused(RequestRefused):
    """
    The proxy does nothing for the request because of the token that it spends.

    @ivar outcome: What became of the token; after
        L{DUPLICATE<socks6.values.codes.TokenOutcome.DUPLICATE>} it may be that the
        proxy has acted on the request before, and its answer got lost.
    """

    def __init__(self, outcome: TokenOutcome) -> None:
        """
        @param outcome: What became of the token.
        """
        super().__init__(ReplyCode.GENERAL_FAILURE, f"token not eligible: {words(outcome)}")
        self.outcome = outcome


class SessionClosed(ConnectError, SOCKS6Error):
    """
    The session in which the request was to be made has been closed.
    """

    MESSAGE = "not through the proxy"

    def __init__(self) -> None:
        super().__init__(string="the session is closed")  # type: ignore[no-untyped-call]


class NoAnswer(TimeoutError, SOCKS6Error):
    """
    The proxy took too long to reply, or the way from it to the destination did.
    """

    MESSAGE = "no connection through the proxy"

    def __init__(self, seconds: float) -> None:
        """
        @param seconds: How long it was waited for.
        """
        reason = f"no answer within {seconds:g} s"
        super().__init__(string=reason)  # type: ignore[no-untyped-call]


class ProxyFault(PeerError, ConnectError):
    """
    What answers in the proxy's place does not answer as a SOCKS 6 proxy does.
    """

    MESSAGE = "no connection through the proxy"


class VersionNotSpoken(VersionMismatch, ProxyFault):
    """
    The proxy speaks another version of SOCKS 6, or told us that we do.
    """


class NotASOCKS6Proxy(NotSOCKS6, ProxyFault):
    """
    Something else answers, such as a SOCKS 5 proxy.
    """


class MalformedAnswer(MalformedMessage, ProxyFault):
    """
    An answer cannot be what it claims to be.
    """


class UnreadableAddress(UnknownAddressType, MalformedAnswer):
    """
    The proxy's bind address is of a type that we do not know.
    """


class EndedEarly(UnexpectedEnd, ProxyFault):
    """
    The connection ended before the proxy's answers did.
    """


_FAULTS: Mapping[type, type[ProxyFault]] = {
    VersionMismatch: VersionNotSpoken,
    NotSOCKS6: NotASOCKS6Proxy,
    MalformedMessage: MalformedAnswer,
    UnknownAddressType: UnreadableAddress,
    UnexpectedEnd: EndedEarly,
    PeerError: ProxyFault,
}


def proxyFault(error: PeerError) -> ProxyFault:
    """
    Turn the machine's error into one that is a L{ConnectError} too.

    @return: An instance of the class nearest to that of C{error}.
    """
    nearest = next(_FAULTS[kind] for kind in type(error).__mro__ if kind in _FAULTS)
    return nearest(string=str(error))


def requestRefused(code: ReplyCode | int) -> RequestRefused:
    """
    Put an Operation Reply that is no success into words.
    """
    if isinstance(code, ReplyCode):
        return RequestRefused(code, f"{words(code)} ({code:d})")
    return RequestRefused(code, f"unknown reply code ({code})")
