"""
Tests of L{socks6.values.codes}.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from twisted.trial.unittest import SynchronousTestCase

from socks6.values import codes
from socks6.values.codes import (
    AuthenticationMethod,
    AuthenticationResult,
    Command,
    Leg,
    MultipathScheduler,
    ReplyCode,
    TokenOutcome,
)

#: The numbers as the draft's tables have them, in the order of their names there.
NUMBERS: Mapping[type[IntEnum], Mapping[str, int]] = {
    Command: {"NOOP": 0, "CONNECT": 1, "BIND": 2, "UDP_ASSOCIATE": 3},
    AuthenticationMethod: {
        "NONE_REQUIRED": 0,
        "GSSAPI": 1,
        "USERNAME_PASSWORD": 2,
        "NONE_ACCEPTABLE": 255,
    },
    AuthenticationResult: {"SUCCESS": 0, "FURTHER_AUTHENTICATION_NEEDED": 1},
    ReplyCode: {
        "SUCCESS": 0,
        "GENERAL_FAILURE": 1,
        "NOT_ALLOWED": 2,
        "NETWORK_UNREACHABLE": 3,
        "HOST_UNREACHABLE": 4,
        "CONNECTION_REFUSED": 5,
        "TTL_EXPIRED": 6,
        "COMMAND_NOT_SUPPORTED": 7,
        "ADDRESS_TYPE_NOT_SUPPORTED": 8,
        "TIMED_OUT": 9,
    },
    Leg: {"CLIENT_PROXY": 1, "PROXY_REMOTE": 2, "BOTH": 3},
    MultipathScheduler: {"LOWEST_LATENCY_FIRST": 1, "REDUNDANT": 2},
    TokenOutcome: {"SUCCESS": 1, "NO_WINDOW": 2, "OUT_OF_WINDOW": 3, "DUPLICATE": 4},
}


class CodesTests(SynchronousTestCase):
    """
    The numbers are those of the draft.
    """

    def test_numbers(self) -> None:
        """
        Each name stands for the draft's number, and no others are there.
        """
        for numbers, expected in NUMBERS.items():
            found = {name: member.value for name, member in numbers.__members__.items()}
            self.assertEqual(found, expected, numbers.__name__)

    def test_allEnumerations(self) -> None:
        """
        The table above leaves no enumeration out.
        """
        defined = {
            thing
            for thing in vars(codes).values()
            if isinstance(thing, type) and issubclass(thing, IntEnum) and thing is not IntEnum
        }
        self.assertEqual(defined, set(NUMBERS))

    def test_legsOverlap(self) -> None:
        """
        Two legs overlap unless one is the client's and the other the remote
        host's.
        """
        apart = {
            (Leg.CLIENT_PROXY, Leg.PROXY_REMOTE),
            (Leg.PROXY_REMOTE, Leg.CLIENT_PROXY),
        }
        for leg in Leg:
            for other in Leg:
                self.assertIs(leg.overlaps(other), (leg, other) not in apart, f"{leg!r} {other!r}")
