"""
The commands CONNECT and NOOP.
"""

from __future__ import annotations

from functools import partial

from socks6.interfaces import FirstOctets, OutboundFailed, OutboundRequest
from socks6.policy.sessions import ownerOf
from socks6.relay.legs import LegProtocol
from socks6.server.admission import clientOf
from socks6.server.negotiation import Negotiation
from socks6.server.rules import connectedHost
from socks6.server.stack import inForce, typeOfServiceWishes
from socks6.values.address import Address, DomainName, isUnspecified
from socks6.values.codes import Command, Leg, ReplyCode
from socks6.values.messages import Request
from socks6.values.options import TCPFastOpen
from socks6.wire.errors import UsageError


async def noop(negotiation: Negotiation, request: Request) -> None:
    """
    Do nothing, and say so.

    @see: draft 06, "Handling NOOP".
    """
    negotiation.succeed()


async def connect(negotiation: Negotiation, request: Request) -> None:
    """
    Connect to a remote host, and pass octets.

    @see: draft 06, "Handling CONNECT".
    """
    if not request.address.port:
        negotiation.fail(ReplyCode.GENERAL_FAILURE, "port 0 is no destination")
        return
    outbound = negotiation.factory.outbound
    check = negotiation.check(Command.CONNECT)
    if isUnspecified(request.address.host):
        # To the kernel it would be this machine.
        negotiation.fail(ReplyCode.GENERAL_FAILURE, "the unspecified address is no host")
        return
    verdict = check.destination(request.address, outbound.isDirect)
    if not verdict.allowed:
        negotiation.fail(ReplyCode.NOT_ALLOWED, verdict.reason)
        return
    wishes = typeOfServiceWishes(request.options)
    first = _first(negotiation, request)
    remote = LegProtocol()
    began = negotiation.factory.clock.seconds()
    try:
        bound = await outbound.connect(
            OutboundRequest(
                request.address,
                wishes.get(Leg.PROXY_REMOTE),
                negotiation.session,
                first=first,
                objection=partial(check.objection, request.address),
                owner=_owner(negotiation, request.address),
            ),
            remote,
        )
    except OutboundFailed as failure:
        negotiation.fail(failure.replyCode, failure.reason)
        return
    if remote.transport is None:
        raise UsageError("the outbound has connected nothing")
    negotiation.factory.connected(began)
    if remote.lost:
        negotiation.fail(ReplyCode.GENERAL_FAILURE, "the remote host is gone already")
        return
    host = connectedHost(remote) if outbound.isDirect else None
    if host is not None:
        # Whatever the way out has asked about, this is where it leads.
        verdict = check.host(request.address, host)
        if not verdict.allowed:
            remote.abort()
            negotiation.fail(ReplyCode.NOT_ALLOWED, verdict.reason)
            return
    check.settle(verdict)
    sent = 0 if first is None else first.taken
    openTunnel(negotiation, remote, bound, wishes, outbound.isDirect, sent)


def openTunnel(
    negotiation: Negotiation,
    remote: LegProtocol,
    address: Address | None,
    wishes: dict[Leg, int],
    isDirect: bool = True,
    sent: int = 0,
) -> None:
    """
    Tell the client that there is a connection with a remote host, and pass octets.

    @param address: What the reply names.
    @param wishes: The IP types of service that the request wants.
    @param isDirect: Whether the connection's packets are ours.
    @param sent: How many octets of the client the host has been sent already.
    """
    legs: dict[Leg, LegProtocol] = {Leg.CLIENT_PROXY: negotiation.leg}
    if isDirect:
        legs[Leg.PROXY_REMOTE] = remote
    try:
        options = inForce(wishes, legs, negotiation.factory.multipath)
        negotiation.reply(ReplyCode.SUCCESS, address, options)
    except BaseException:
        # Nobody else knows of it, not even if it was made although the client is gone.
        remote.abort()
        raise
    check = negotiation.rules
    if check is not None and check.verdict is not None:
        negotiation.buckets = negotiation.factory.ruleRates.of(check.verdict.rule)
        if not check.holdsAny:
            # A tunnel that is idle is to take little memory.
            negotiation.rules = None
    negotiation.relay(remote, sent)


def _owner(negotiation: Negotiation, destination: Address) -> bytes | None:
    """
    Tell whom a request counts against if a name has to be looked up; nothing else is
    shared.
    """
    if isinstance(destination.host, DomainName):
        return ownerOf(negotiation.identity, clientOf(negotiation.leg))
    return None


def _first(negotiation: Negotiation, request: Request) -> FirstOctets | None:
    """
    Tell what may leave in the SYN to the remote host.

    @see: draft 06, "TFO options".
    """
    wanted = next(request.options.stack(TCPFastOpen), None)
    if wanted is None:
        return None
    # A size of 0 stands for as many as fit.
    return FirstOctets(negotiation.peekData()[: wanted.payloadSize or None])
