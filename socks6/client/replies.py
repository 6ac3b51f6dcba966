"""
What the proxy's words mean, whatever was asked for.
"""

from __future__ import annotations

from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionClosed,
    TimeoutError,
)
from twisted.python.failure import Failure

from socks6.client.access import Passage, Remedy
from socks6.client.errors import AuthenticationRefused, TokenRefused, proxyFault
from socks6.machine import events
from socks6.machine.client import ClientConnection
from socks6.values.codes import TokenOutcome
from socks6.values.options import SessionInvalid, TokenExpenditureReply
from socks6.wire.errors import PeerError


def admission(
    passage: Passage, event: events.Authenticated | events.AuthenticationRefused
) -> tuple[Remedy | None, ConnectError] | None:
    """
    Learn whether the proxy lets us in, and does anything for us.

    When the passage is told, others may go on, and one of them may give us up.

    @param passage: Is told what the proxy says of who we are.
    @return: L{None}: it does.  If not: why the request may succeed if it is made again,
        and what has gone wrong.
    """
    options = event.reply.options
    if isinstance(event, events.AuthenticationRefused):
        invalid = options.first(SessionInvalid) is not None
        return passage.refused(options), AuthenticationRefused(invalid)
    remedy = passage.authenticated(options)
    reply = options.first(TokenExpenditureReply)
    if reply is None or reply.outcome is TokenOutcome.SUCCESS:
        return None
    # The proxy does nothing because of our token.
    return remedy, TokenRefused(reply.outcome)


def explanation(
    machine: ClientConnection, reason: Failure, isOurs: bool, isConnected: bool
) -> Failure:
    """
    Find out what it means that the proxy sends no more.

    @param machine: Knows what it should have sent.
    @param reason: Why it does not, as the transport sees it.
    @param isOurs: Whether it is we who have closed the connection.
    @param isConnected: Whether the user has been told that all is well.
    """
    if reason.check(ConnectionClosed) and not (isOurs or reason.check(ConnectionAborted)):
        try:
            machine.endOfInput()
        except PeerError as error:
            return Failure(proxyFault(error))
    if isConnected:
        # The user's protocol has aborted, or raised, or gets to hear what went
        # wrong with TLS as it would without a proxy.
        return reason
    if reason.check(ConnectError, TimeoutError):
        # The connection counted as made and could not be made.
        return reason
    # Nobody but TLS with the proxy can have failed yet.
    failed = ConnectError(string=reason.getErrorMessage())
    failed.__cause__ = reason.value
    return Failure(failed)
