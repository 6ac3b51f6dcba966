"""
The numbers that only spell messages.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

MAJOR_VERSION = 6
MINOR_VERSION = 0

#: How every message with a version field begins.
VERSION = bytes([MAJOR_VERSION, MINOR_VERSION])


class OptionKind(IntEnum):
    """
    The kinds of options.
    """

    STACK = 1
    AUTHENTICATION_METHODS = 2
    AUTHENTICATION_DATA = 3
    SESSION = 4
    IDEMPOTENCE = 5


class StackLevel(IntEnum):
    """
    The protocol that a stack option speaks of.
    """

    IP = 1
    IPV4 = 2
    IPV6 = 3
    TCP = 4
    UDP = 5


class IPCode(IntEnum):
    """
    The stack options at level IP.
    """

    TOS = 1


class TCPCode(IntEnum):
    """
    The stack options at level TCP.
    """

    FAST_OPEN = 1
    MULTIPATH = 2
    MULTIPATH_SCHEDULER = 3
    BACKLOG = 4


class SessionType(IntEnum):
    """
    The session options.

    The draft gives type 2 to Session ID and to Session Teardown both; the
    order of its own list makes Teardown 3.
    """

    REQUEST = 1
    ID = 2
    TEARDOWN = 3
    OK = 4
    INVALID = 5
    UNTRUSTED = 6


class IdempotenceType(IntEnum):
    """
    The idempotence options.

    The draft's list counts them 1 to 4 and its sections 0 to 3; its log says
    "shifted by 1", so the list holds.
    """

    REQUEST = 1
    ADVERTISEMENT = 2
    EXPENDITURE = 3
    EXPENDITURE_REPLY = 4


_Number = TypeVar("_Number", bound=IntEnum)


def known(numbers: type[_Number], number: int) -> _Number | int:
    """
    Give a number its name, if it has one.
    """
    try:
        return numbers(number)
    except ValueError:
        return number
