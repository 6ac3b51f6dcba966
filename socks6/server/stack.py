"""
Stack options of requests.
"""

from __future__ import annotations

from typing import Any

from socks6.relay.legs import LegProtocol
from socks6.sockets import isMultipath, setTypeOfService, socketOf
from socks6.values.codes import Leg
from socks6.values.options import IPTypeOfService, MultipathTCP, OptionList


def typeOfServiceWishes(options: OptionList) -> dict[Leg, int]:
    """
    Read which IP type of service a request wants, for each leg it names.
    """
    return {
        leg: option.tos
        for option in options.stack(IPTypeOfService)
        for leg in (Leg.CLIENT_PROXY, Leg.PROXY_REMOTE)
        if option.leg.overlaps(leg)
    }


def inForce(wishes: dict[Leg, int], legs: dict[Leg, LegProtocol], multipath: bool) -> OptionList:
    """
    Set what a request wants of its legs, and tell what is in force on them.

    @param wishes: The IP types of service.
    @param legs: The legs whose packets are ours.
    @param multipath: Whether the one to the remote host may be Multipath TCP.
    @see: draft 06, "Stack options".
    """
    found = honour(wishes, legs)
    remote = legs.get(Leg.PROXY_REMOTE)
    if not multipath or remote is None or remote.transport is None:
        return found
    handle = socketOf(remote.transport)
    if handle is None or not isMultipath(handle):
        return found
    return OptionList([*found, MultipathTCP()])


def honour(wishes: dict[Leg, int], legs: dict[Leg, LegProtocol]) -> OptionList:
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
