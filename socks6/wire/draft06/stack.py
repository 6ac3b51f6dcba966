"""
Stack options on the wire::

    kind:1=0x01 length:2 leg:2bits level:6bits code:1 data

@see: draft 06, "Stack options"; L{socks6.wire.draft06.options} for what
    becomes of an option with bad content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from socks6.values.codes import Leg, MultipathScheduler
from socks6.values.options import (
    IPTypeOfService,
    ListenBacklog,
    MultipathSchedulerChoice,
    MultipathTCP,
    StackOption,
    TCPFastOpen,
)
from socks6.wire.draft06.fields import SIZE, number
from socks6.wire.draft06.numbers import IPCode, StackLevel, TCPCode


def _encodeStack(leg: Leg, level: StackLevel, code: IPCode | TCPCode, data: bytes) -> bytes:
    """
    Write the data of a stack option::

        leg:2bits level:6bits code:1 data

    @see: draft 06, "Stack options".
    """
    return bytes([leg << 6 | level, code]) + data


def _onRemoteLeg(leg: Leg) -> None:
    """
    Check that an option speaks of the proxy-remote leg, the only one it may.

    @raise ValueError: It does not.
    """
    if leg is not Leg.PROXY_REMOTE:
        raise ValueError("this option is for the proxy-remote leg")


def _encodeTypeOfService(option: IPTypeOfService) -> bytes:
    """
    Write the data of an IP TOS option, in all 6 octets::

        kind:1=0x01 length:2=6 leg:2bits level:6bits=1 code:1=1 tos:1

    @see: draft 06, "IP TOS options".  It prints length 4 and level TCP, which
        would make it the TFO option.
    """
    return _encodeStack(option.leg, StackLevel.IP, IPCode.TOS, bytes([option.tos]))


def _decodeTypeOfService(leg: Leg, data: bytes) -> IPTypeOfService:
    """
    Read the value of an IP TOS option.

    @see: L{_encodeTypeOfService}
    """
    (tos,) = data
    return IPTypeOfService(leg, tos)


def _encodeFastOpen(option: TCPFastOpen) -> bytes:
    """
    Write the data of a TFO option, in all 7 octets::

        kind:1=0x01 length:2=7 leg:2bits=2 level:6bits=4 code:1=1 payload:2

    @see: draft 06, "TFO options".  It prints length 4.
    """
    payloadSize = SIZE.pack(option.payloadSize)
    return _encodeStack(option.leg, StackLevel.TCP, TCPCode.FAST_OPEN, payloadSize)


def _decodeFastOpen(leg: Leg, data: bytes) -> TCPFastOpen:
    """
    Read the value of a TFO option.

    @see: L{_encodeFastOpen}
    """
    _onRemoteLeg(leg)
    return TCPFastOpen(number(SIZE, data))


def _encodeMultipath(option: MultipathTCP) -> bytes:
    """
    Write the data of a Multipath TCP option, in all 5 octets::

        kind:1=0x01 length:2=5 leg:2bits=2 level:6bits=4 code:1=2

    @see: draft 06, "Multipath TCP options".  It prints length 4.
    """
    return _encodeStack(option.leg, StackLevel.TCP, TCPCode.MULTIPATH, b"")


def _decodeMultipath(leg: Leg, data: bytes) -> MultipathTCP:
    """
    Read the value of a Multipath TCP option: there is none.

    @see: L{_encodeMultipath}
    """
    _onRemoteLeg(leg)
    if data:
        raise ValueError("data where none may be")
    return MultipathTCP()


def _encodeScheduler(option: MultipathSchedulerChoice) -> bytes:
    """
    Write the data of a scheduler option, in all 6 octets::

        kind:1=0x01 length:2=6 leg:2bits level:6bits=4 code:1=3 scheduler:1

    @see: draft 06, "MPTCP Scheduler options".  It prints length 5.
    """
    scheduler = bytes([option.scheduler])
    return _encodeStack(option.leg, StackLevel.TCP, TCPCode.MULTIPATH_SCHEDULER, scheduler)


def _decodeScheduler(leg: Leg, data: bytes) -> MultipathSchedulerChoice:
    """
    Read the value of a scheduler option.

    @see: L{_encodeScheduler}
    """
    (scheduler,) = data
    return MultipathSchedulerChoice(leg, MultipathScheduler(scheduler))


def _encodeBacklog(option: ListenBacklog) -> bytes:
    """
    Write the data of a Listen Backlog option, in all 7 octets::

        kind:1=0x01 length:2=7 leg:2bits=2 level:6bits=4 code:1=4 backlog:2

    @see: draft 06, "Listen Backlog options".  Its figure has length 5 and no
        code.
    """
    return _encodeStack(option.leg, StackLevel.TCP, TCPCode.BACKLOG, SIZE.pack(option.backlog))


def _decodeBacklog(leg: Leg, data: bytes) -> ListenBacklog:
    """
    Read the value of a Listen Backlog option.

    @see: L{_encodeBacklog}
    """
    _onRemoteLeg(leg)
    return ListenBacklog(number(SIZE, data))


_STACK_DECODERS: Mapping[tuple[int, int], Callable[[Leg, bytes], StackOption]] = {
    (StackLevel.IP, IPCode.TOS): _decodeTypeOfService,
    (StackLevel.TCP, TCPCode.FAST_OPEN): _decodeFastOpen,
    (StackLevel.TCP, TCPCode.MULTIPATH): _decodeMultipath,
    (StackLevel.TCP, TCPCode.MULTIPATH_SCHEDULER): _decodeScheduler,
    (StackLevel.TCP, TCPCode.BACKLOG): _decodeBacklog,
}


#: How to write the data of each stack option.
STACK_ENCODERS: Mapping[type, Callable[[Any], bytes]] = {
    IPTypeOfService: _encodeTypeOfService,
    TCPFastOpen: _encodeFastOpen,
    MultipathTCP: _encodeMultipath,
    MultipathSchedulerChoice: _encodeScheduler,
    ListenBacklog: _encodeBacklog,
}


def decodeStackOption(data: bytes) -> StackOption:
    """
    Read the data of a stack option.

    @raise ValueError: Its leg, level, code, or content means nothing to us.
    @raise struct.error: The content has a wrong size.
    @see: L{_encodeStack}
    """
    if len(data) < 2:
        raise ValueError("a stack option has a level and a code")
    decode = _STACK_DECODERS.get((data[0] & 0x3F, data[1]))
    if decode is None:
        raise ValueError("unknown stack option")
    return decode(Leg(data[0] >> 6), data[2:])
