"""
Who is let in: credentials and sessions.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError

from socks6.interfaces import SessionStoreFailed
from socks6.machine.server import REFUSAL
from socks6.policy.authentication import ANONYMOUS, Identity
from socks6.policy.sessions import Client, Membership, sameIdentity
from socks6.relay.legs import LegProtocol
from socks6.sockets import isEncrypted
from socks6.text import words
from socks6.values.address import ipAddress
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, TokenOutcome
from socks6.values.messages import AuthenticationReply, Request, UsernamePasswordReply
from socks6.values.options import (
    NO_OPTIONS,
    OptionList,
    SessionID,
    SessionInvalid,
    UsernamePassword,
)

_Result = TypeVar("_Result")

if TYPE_CHECKING:
    from socks6.server.negotiation import Negotiation

#: Seconds in which whoever checks a password must have said whether it is right.
LOGIN_TIMEOUT = 30.0

#: The refusal of a request that names no session of ours.
_INVALID = AuthenticationReply(REFUSAL.result, REFUSAL.method, OptionList([SessionInvalid()]))


@dataclass(frozen=True, slots=True)
class Admission:
    """
    What came of a client's wish to be let in, which it has been told.

    @ivar identity: Who it is; L{None}: it has been refused.
    @ivar objection: Why nothing may be done for it, for the log; empty if
        something may.
    @ivar session: What all requests of its session have in common, if it is in one.
    """

    identity: Identity | None
    objection: str = ""
    session: bytes | None = field(default=None, repr=False)


async def admit(negotiation: Negotiation, request: Request) -> Admission:
    """
    Find out who the client is and in which session, and tell it.

    @see: draft 06, "Authentication"; "Sessions".
    """
    client = clientOf(negotiation.leg)
    named = request.options.first(SessionID)
    if named is not None:
        return await _resume(negotiation, request, client, named.identifier)
    identity = await _authenticate(negotiation, request)
    if identity is None:
        return _refuse(negotiation, REFUSAL, "authentication failed")
    sessions = negotiation.factory.sessions
    membership = await _unhurried(negotiation, sessions.open(request, identity, client))
    return _admitted(negotiation, identity.method, membership)


async def _unhurried(negotiation: Negotiation, call: Awaitable[_Result]) -> _Result:
    """
    Wait for something that has a time limit of its own: a session store, or those who
    check passwords.
    """
    negotiation.isBusy = True
    left = negotiation.timeLeft
    try:
        return await call
    finally:
        negotiation.isBusy = False
        negotiation.timeLeft = left


def clientOf(leg: LegProtocol) -> Client:
    """
    See who is at the other end of a connection.
    """
    transport: Any = leg.transport
    host = getattr(transport.getPeer(), "host", "")
    try:
        address = ipAddress(host)
    except ValueError:
        # A unix socket's; and a PROXY header may claim anything.
        address = None
    return Client(address, isEncrypted(transport))


async def _resume(
    negotiation: Negotiation, request: Request, client: Client, identifier: bytes
) -> Admission:
    """
    Let a client in whose request names a session.
    """
    factory = negotiation.factory
    anonymous = not factory.authenticator.required
    sessions = factory.sessions
    # Who the client has shown to be.
    shown = ANONYMOUS
    try:
        membership = await _unhurried(
            negotiation, sessions.use(identifier, request, client, anonymous=anonymous)
        )
        if membership is not None and not membership.admitted:
            identity = await _authenticate(negotiation, request, membership.identity)
            if identity is None:
                return _refuse(negotiation, REFUSAL, "authentication failed")
            shown = identity
            membership = await _unhurried(
                negotiation,
                sessions.use(identifier, request, client, anonymous=anonymous, authenticated=True),
            )
    except SessionStoreFailed as error:
        # We cannot know whether it is welcome; as nothing is done for it, it does
        # no harm to say so, and the session may be all right the next time.
        _welcome(negotiation, shown.method, NO_OPTIONS)
        return Admission(shown, f"the session store failed: {error}")
    if membership is None:
        return _refuse(negotiation, _INVALID, "invalid session")
    return _admitted(negotiation, shown.method, membership)


async def _authenticate(
    negotiation: Negotiation, request: Request, expected: Identity | None = None
) -> Identity | None:
    """
    Find out who the client is, by what its request holds or by asking it.

    @param expected: Who alone is let in; L{None}: whoever has the right
        credentials.
    @return: L{None}: the client is to be refused.
    """
    authenticator = negotiation.factory.authenticator
    if not authenticator.required:
        return ANONYMOUS
    identity = None
    given = authenticator.credentialsIn(request)
    if given is not None:
        identity = _only(expected, await _login(negotiation, given))
    if identity is None and authenticator.mayDemand(request):
        # See RFC 1929, section 2.
        given = await negotiation.demandCredentials()
        identity = _only(expected, await _login(negotiation, given))
        negotiation.say(UsernamePasswordReply(1 if identity is None else 0))
    return identity


async def _login(negotiation: Negotiation, given: UsernamePassword) -> Identity | None:
    """
    Check a user name and password.  It is not the client that takes its time then.
    """
    factory = negotiation.factory
    address = clientOf(negotiation.leg).address
    login = Deferred.fromCoroutine(factory.authenticator.login(given, address))
    login.addTimeout(LOGIN_TIMEOUT, factory.clock)
    try:
        return await _unhurried(negotiation, login)
    except TimeoutError:
        return None


def _only(expected: Identity | None, found: Identity | None) -> Identity | None:
    """
    Accept an identity only if it is the expected one.
    """
    if found is None or expected is None or sameIdentity(found, expected):
        return found
    return None


def _admitted(
    negotiation: Negotiation, method: AuthenticationMethod, membership: Membership
) -> Admission:
    """
    Let a client in; whether something is done for it depends on its token.

    @param method: How it has shown who it is.
    """
    _welcome(negotiation, method, membership.options)
    outcome = membership.outcome
    objection = ""
    if outcome is not None and outcome is not TokenOutcome.SUCCESS:
        objection = f"token not eligible: {words(outcome)}"
    return Admission(membership.identity, objection, membership.session)


def _welcome(negotiation: Negotiation, method: AuthenticationMethod, options: OptionList) -> None:
    """
    Tell a client that it is let in.
    """
    negotiation.say(AuthenticationReply(AuthenticationResult.SUCCESS, method, options))


def _refuse(negotiation: Negotiation, reply: AuthenticationReply, reason: str) -> Admission:
    """
    Tell a client that it is not let in.
    """
    negotiation.say(reply)
    return Admission(None, reason)
