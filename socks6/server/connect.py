"""
The commands CONNECT and NOOP.
"""

from __future__ import annotations

from typing import Any

from socks6.interfaces import OutboundFailed, OutboundRequest
from socks6.relay.legs import LegProtocol
from socks6.server.negotiation import Negotiation
from socks6.sockets import setTypeOfService, socketOf
from socks6.values.codes import Leg, ReplyCode
from socks6.values.messages import Request
from socks6.values.options import IPTypeOfService, OptionList
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
    wishes = _typeOfServiceWishes(request.options)
    remote = LegProtocol()
    try:
        bound = await outbound.connect(
            OutboundRequest(request.address, wishes.get(Leg.PROXY_REMOTE), negotiation.session),
            remote,
        )
    except OutboundFailed as failure:
        negotiation.fail(failure.replyCode, failure.reason)
        return
    if remote.transport is None:
        raise UsageError("the outbound has connected nothing")
    if remote.lost:
        negotiation.fail(ReplyCode.GENERAL_FAILURE, "the remote host is gone already")
        return
    legs: dict[Leg, LegProtocol] = {Leg.CLIENT_PROXY: negotiation.leg}
    if outbound.isDirect:
        legs[Leg.PROXY_REMOTE] = remote
    try:
        negotiation.reply(ReplyCode.SUCCESS, bound, _honour(wishes, legs))
    except BaseException:
        # Nobody else knows of it, not even if the outbound connected although
        # the client is gone.
        remote.abort()
        raise
    negotiation.relay(remote)


def _typeOfServiceWishes(options: OptionList) -> dict[Leg, int]:
    """
    Read which IP type of service a request wants, for each leg it names.
    """
    return {
        leg: option.tos
        for option in options.stack(IPTypeOfService)
        for leg in (Leg.CLIENT_PROXY, Leg.PROXY_REMOTE)
        if option.leg.overlaps(leg)
    }


def _honour(wishes: dict[Leg, int], legs: dict[Leg, LegProtocol]) -> OptionList:
    """
    Set the type of service of each leg that a request named.

    @param legs: The legs whose packets are ours.
    @return: What is in force, in as few options as say it: none for a leg where
        it could not be set.
    """
    inForce = {}
    for name, typeOfService in wishes.items():
        if name not in legs:
            continue
        transport: Any = legs[name].transport
        handle = socketOf(transport)
        value = None if handle is None else setTypeOfService(handle, typeOfService)
        if value is not None:
            inForce[name] = value
    values = set(inForce.values())
    if len(inForce) == 2 and len(values) == 1:
        return OptionList([IPTypeOfService(Leg.BOTH, values.pop())])
    return OptionList(IPTypeOfService(name, value) for name, value in inForce.items())
