"""
Stack options of requests.
"""

from __future__ import annotations

from typing import Any

from socks6.relay.legs import LegProtocol
from socks6.sockets import setTypeOfService, socketOf
from socks6.values.codes import Leg
from socks6.values.options import IPTypeOfService, OptionList


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
