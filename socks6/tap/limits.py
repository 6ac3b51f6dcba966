"""
The options of C{twistd socks6} that are about how much clients may have, and for how long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime

from socks6.serving.factory import ServingFactory
from socks6.serving.limits import Limits
from socks6.serving.shortage import MemoryService
from socks6.tap.readings import number

#: More than any machine has.
_MANY = 2**31 - 1

#: The most that kernels take, in seconds.
_MAX_KEEPALIVE = 32767

#: Octets of memory with which a process can serve somebody.
_LEAST_MEMORY = 10**8

_RATE = re.compile(r"([0-9]{1,15})([kMG]?)")

_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def _rate(option: str, text: str) -> int:
    """
    Read octets per second.

    @raise ValueError: It is not a number of them, from 1,024 on.
    """
    match = _RATE.fullmatch(text)
    value = int(match[1]) * _FACTORS[match[2]] if match is not None else 0
    # Less would not pass a segment in a second.
    if value < 1024:
        raise ValueError(
            f"--{option} {text!r} is not a number of octets per second from 1024 on, like"
            " 500k or 10M"
        )
    return value


def _size(option: str, text: str) -> int:
    """
    Read a number of octets of memory.

    @raise ValueError: It is none, or less than the proxy takes when nobody is there.
    """
    match = _RATE.fullmatch(text)
    value = int(match[1]) * _FACTORS[match[2]] if match is not None else 0
    if value < _LEAST_MEMORY:
        raise ValueError(f"--{option} {text!r} is not a number of octets from 100M on, like 2G")
    return value


def _pause(option: str, text: str) -> float:
    """
    Read a duration that may be none.

    @raise ValueError: It is not a number from zero on.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"--{option} {text!r} is not a number of seconds from 0 on")
    return value


def _most(option: str, most: int, default: int | None, doc: str) -> Sequence[Any]:
    """
    Describe an option that is a limit.
    """
    return [option, None, default, doc, partial(number, option, 1, most)]


class LimitOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    parameters: Sequence[Sequence[Any]] = [
        _most("max-connections", _MANY, None, "Connections of clients [default: no limit]."),
        _most(
            "max-connections-per-client",
            _MANY,
            None,
            "The same of one address, or IPv6 network of 64 bits [default: no limit].",
        ),
        _most(
            "max-handshakes",
            _MANY,
            None,
            "Connections that pass no octets yet; the oldest silent one goes [default: no limit].",
        ),
        [
            "bandwidth",
            None,
            None,
            "Octets per second each way, datagrams included, like 10M [default: no limit].",
            partial(_rate, "bandwidth"),
        ],
        [
            "bandwidth-per-client",
            None,
            None,
            "The same for one client [default: no limit].",
            partial(_rate, "bandwidth-per-client"),
        ],
        [
            "max-memory",
            None,
            None,
            "Octets of memory, like 500M; also what the system sets [default: that alone].",
            partial(_size, "max-memory"),
        ],
        _most("keepalive", _MAX_KEEPALIVE, 120, "Seconds of silence until a peer is probed."),
        [
            "drain-timeout",
            None,
            30.0,
            "Seconds that tunnels may take to end when the proxy stops; 0: none.",
            partial(_pause, "drain-timeout"),
        ],
    ]

    def _share(self, name: str) -> int | None:
        """
        Tell how much each of several processes has of what is for all.
        """
        whole: int | None = self[name]
        return None if whole is None else math.ceil(whole / self["workers"])

    def memoryService(self, clock: IReactorTime, factory: ServingFactory) -> MemoryService:
        """
        Make what looks at the memory.
        """
        return MemoryService(clock, factory, self._share("max-memory"))

    def limits(self) -> Limits:
        """
        Say it to the proxy.
        """
        share = self._share
        return Limits(
            connections=share("max-connections"),
            perClient=self["max-connections-per-client"],
            handshakes=share("max-handshakes"),
            bandwidth=share("bandwidth"),
            bandwidthPerClient=self["bandwidth-per-client"],
            keepAlive=self["keepalive"],
            drainTimeout=self["drain-timeout"],
        )
