"""
The command UDP ASSOCIATE.
"""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred

from socks6.policy.sessions import ownerOf
from socks6.server.admission import clientOf
from socks6.server.association import Association
from socks6.server.bind import ownAddress
from socks6.server.bindpolicy import BindRefused, openSocket
from socks6.server.datagramrates import DatagramRates
from socks6.server.negotiation import Negotiation
from socks6.server.stack import typeOfServiceWishes
from socks6.sockets import setTypeOfService
from socks6.values.address import addressFromText
from socks6.values.codes import Command, Leg, ReplyCode
from socks6.values.messages import AssociationInitialization, Request
from socks6.values.options import NO_OPTIONS, IPTypeOfService, OptionList


async def associate(negotiation: Negotiation, request: Request) -> None:
    """
    Pass datagrams between the client and remote hosts.

    @see: draft 06, "Handling UDP ASSOCIATE".
    """
    associations = negotiation.factory.associations
    if associations is None or not associations.canBeReached:
        negotiation.fail(ReplyCode.COMMAND_NOT_SUPPORTED)
        return
    owner = ownerOf(negotiation.identity, clientOf(negotiation.leg))
    if not associations.mayOpen(owner):
        negotiation.fail(ReplyCode.NOT_ALLOWED, "too many associations")
        return
    check = negotiation.check(Command.UDP_ASSOCIATE)
    verdict = check.client()
    if not verdict.allowed:
        negotiation.fail(ReplyCode.NOT_ALLOWED, verdict.reason)
        return
    own = ownAddress(negotiation)
    policy = associations.policy
    try:
        handle = openSocket(policy, request.address, own, socket.SOCK_DGRAM)
    except BindRefused as refused:
        negotiation.fail(refused.replyCode, str(refused))
        return
    bound = policy.reported(addressFromText(*handle.getsockname()[:2]), own)
    typeOfService = typeOfServiceWishes(request.options).get(Leg.PROXY_REMOTE)
    options = NO_OPTIONS
    if typeOfService is not None:
        value = setTypeOfService(handle, typeOfService)
        if value is not None:
            options = OptionList([IPTypeOfService(Leg.PROXY_REMOTE, value)])
    assert negotiation.record is not None
    # What the operator's log should name, as the wish may name nothing.
    negotiation.record.destination = bound
    factory = negotiation.factory
    rates = DatagramRates(factory.bandwidth.of(negotiation.leg), factory.ruleRates)
    association = associations.open(handle, owner, typeOfService, check, rates)
    try:
        negotiation.reply(ReplyCode.SUCCESS, bound, options)
        await _serve(negotiation, association)
    finally:
        associations.close(association)


async def _serve(negotiation: Negotiation, association: Association) -> None:
    """
    Tell the association's name, and serve it until it ends.
    """
    negotiation.passing = association
    codec = negotiation.factory.codec
    name = AssociationInitialization(association.identifier)
    negotiation.write(codec.encodeAssociationInitialization(name))
    association.confirmed.addCallback(
        lambda _: negotiation.write(codec.encodeAssociationConfirmation())
    )
    inputEnds = Deferred.fromCoroutine(negotiation.untilInputEnds())
    inputEnds.addCallback(lambda _: association.end("closed"))
    negotiation.end(await association.ended)
