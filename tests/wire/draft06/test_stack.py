"""
Tests of L{socks6.wire.draft06.stack}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.codes import Leg, MultipathScheduler
from socks6.values.options import (
    IPTypeOfService,
    ListenBacklog,
    MultipathSchedulerChoice,
    MultipathTCP,
    StackOption,
    TCPFastOpen,
    UnknownOption,
)
from socks6.wire.draft06.options import decodeOption, encodeOption
from socks6.wire.draft06.stack import STACK_ENCODERS, decodeStackOption
from tests.raising import errorOf
from tests.strategies import STACK_OPTIONS

#: Leg and level share an octet: 0x40 client, 0x80 remote, 0xc0 both, plus level.
GOLDENS: Mapping[str, StackOption] = {
    "01 0006 41 01 00": IPTypeOfService(Leg.CLIENT_PROXY, 0),
    "01 0006 81 01 b8": IPTypeOfService(Leg.PROXY_REMOTE, 0xB8),
    "01 0006 c1 01 ff": IPTypeOfService(Leg.BOTH, 255),
    "01 0007 84 01 0000": TCPFastOpen(0),
    "01 0007 84 01 05b4": TCPFastOpen(1460),
    "01 0007 84 01 ffff": TCPFastOpen(65535),
    "01 0005 84 02": MultipathTCP(),
    "01 0006 44 03 01": MultipathSchedulerChoice(
        Leg.CLIENT_PROXY, MultipathScheduler.LOWEST_LATENCY_FIRST
    ),
    "01 0006 84 03 02": MultipathSchedulerChoice(Leg.PROXY_REMOTE, MultipathScheduler.REDUNDANT),
    "01 0006 c4 03 02": MultipathSchedulerChoice(Leg.BOTH, MultipathScheduler.REDUNDANT),
    "01 0007 84 04 0002": ListenBacklog(2),
    "01 0007 84 04 ffff": ListenBacklog(65535),
}

#: Data of stack options that mean nothing to us.
UNKNOWN: Mapping[str, str] = {
    "nothing": "",
    "no code": "c1",
    "type of service of no leg": "01 01 10",
    "TFO of no leg": "04 01 0000",
    "TFO of the client's leg": "44 01 0000",
    "TFO of both legs": "c4 01 0000",
    "Multipath TCP of no leg": "04 02",
    "Multipath TCP of the client's leg": "44 02",
    "Multipath TCP of both legs": "c4 02",
    "scheduler of no leg": "04 03 01",
    "backlog of no leg": "04 04 0005",
    "backlog of the client's leg": "44 04 0005",
    "backlog of both legs": "c4 04 0005",
    "scheduler 0": "84 03 00",
    "scheduler 3": "84 03 03",
    "backlog 0": "84 04 0000",
    "backlog 1": "84 04 0001",
    "level 0": "80 01 10",
    "level IPv4": "82 01 10",
    "level IPv6": "83 01 10",
    "level UDP": "85 01 10",
    "level 6": "86 01 10",
    "level 63": "bf 01 10",
    "code 0 of IP": "81 00 10",
    "code 2 of IP": "81 02 10",
    "code 0 of TCP": "84 00",
    "code 5 of TCP": "84 05",
    "code 255 of TCP": "84 ff",
}


class StackTests(SynchronousTestCase):
    """
    Stack options are spelled as the draft's tables say.
    """

    def test_everyClass(self) -> None:
        """
        Each class of stack options has an encoder, and a golden option.
        """
        classes = set(get_args(StackOption))
        self.assertEqual(set(STACK_ENCODERS), classes)
        self.assertEqual({type(option) for option in GOLDENS.values()}, classes)

    def test_encode(self) -> None:
        """
        Each option becomes its octets.
        """
        for digits, option in GOLDENS.items():
            self.assertEqual(encodeOption(option), bytes.fromhex(digits), f"{option}")

    def test_decode(self) -> None:
        """
        The octets become the option, its numbers with their names.
        """
        for digits, expected in GOLDENS.items():
            option = decodeOption(1, bytes.fromhex(digits)[3:])
            self.assertEqual(repr(option), repr(expected), digits)
            self.assertEqual(option, expected, digits)

    def test_unknown(self) -> None:
        """
        Unknown levels, codes and schedulers, and legs that an option may not
        have, make an unknown option, which written again is the same.
        """
        for what, digits in UNKNOWN.items():
            data = bytes.fromhex(digits)
            self.assertIsNotNone(errorOf(ValueError, decodeStackOption, data), what)
            option = decodeOption(1, data)
            self.assertEqual(option, UnknownOption(1, data), what)
            self.assertEqual(encodeOption(option), bytes([1, 0, 3 + len(data)]) + data, what)

    def test_sizes(self) -> None:
        """
        So does every wrong size.
        """
        for digits in GOLDENS:
            whole = bytes.fromhex(digits)[3:]
            for size in {*range(len(whole) + 3)} - {len(whole)}:
                data = (whole + b"\0\0")[:size]
                self.assertEqual(
                    decodeOption(1, data), UnknownOption(1, data), f"{digits} with {size} octets"
                )

    @given(STACK_OPTIONS)
    def test_roundTrip(self, option: StackOption) -> None:
        """
        Any stack option that is written reads back.
        """
        octets = encodeOption(option)
        self.assertEqual(decodeOption(octets[0], octets[3:]), option)

    @given(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5), st.binary(max_size=3))
    def test_anyContent(self, leg: int, level: int, code: int, value: bytes) -> None:
        """
        Any content is an option, known or not, that is written with the same
        octets.
        """
        data = bytes([leg << 6 | level, code]) + value
        octets = encodeOption(decodeOption(1, data))
        self.assertEqual(octets, bytes([1, 0, 3 + len(data)]) + data)
