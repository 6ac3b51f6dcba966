"""
Tests of L{socks6.server.stack}.
"""

from __future__ import annotations

import socket

from twisted.internet.testing import StringTransport

from socks6.relay.legs import LegProtocol
from socks6.server.stack import honour, typeOfServiceWishes
from socks6.values.codes import Leg
from socks6.values.options import (
    NO_OPTIONS,
    IPTypeOfService,
    ListenBacklog,
    Option,
    OptionList,
    SessionRequest,
)
from tests.server.harness import MemoryTestCase

CLIENT, REMOTE, BOTH = Leg.CLIENT_PROXY, Leg.PROXY_REMOTE, Leg.BOTH


class TypeOfServiceTests(MemoryTestCase):
    """
    The IP type of service.
    """

    def setUp(self) -> None:
        super().setUp()
        self.legs = {CLIENT: LegProtocol(), REMOTE: LegProtocol()}
        self.peers = {name: self.network.attach(leg) for name, leg in self.legs.items()}

    def _inForce(self, name: Leg) -> int:
        """
        Ask the system.
        """
        return self.peers[name].socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)

    def test_wishes(self) -> None:
        """
        A request may name one leg, each by itself, or both; other options do not
        matter, and of two that name the same leg the first counts.
        """
        cases: list[tuple[list[Option], dict[Leg, int]]] = [
            ([], {}),
            ([SessionRequest(), ListenBacklog(2)], {}),
            ([IPTypeOfService(CLIENT, 8)], {CLIENT: 8}),
            ([IPTypeOfService(REMOTE, 0)], {REMOTE: 0}),
            ([IPTypeOfService(BOTH, 8)], {CLIENT: 8, REMOTE: 8}),
            ([IPTypeOfService(REMOTE, 8), IPTypeOfService(CLIENT, 4)], {CLIENT: 4, REMOTE: 8}),
            ([IPTypeOfService(REMOTE, 8), IPTypeOfService(REMOTE, 4)], {REMOTE: 8}),
        ]
        for options, expected in cases:
            self.assertEqual(typeOfServiceWishes(OptionList(options)), expected, repr(options))

    def test_honoured(self) -> None:
        """
        Each leg gets what it shall have, which is said in as few options as do.
        """
        for wishes, expected in (
            ({}, NO_OPTIONS),
            ({CLIENT: 8}, OptionList([IPTypeOfService(CLIENT, 8)])),
            ({REMOTE: 8}, OptionList([IPTypeOfService(REMOTE, 8)])),
            ({CLIENT: 8, REMOTE: 8}, OptionList([IPTypeOfService(BOTH, 8)])),
            (
                {CLIENT: 8, REMOTE: 4},
                OptionList([IPTypeOfService(CLIENT, 8), IPTypeOfService(REMOTE, 4)]),
            ),
        ):
            self.assertEqual(honour(wishes, self.legs), expected, repr(wishes))
            for name, value in wishes.items():
                self.assertEqual(self._inForce(name), value, repr(wishes))

    def test_congestionNotification(self) -> None:
        """
        The two lowest bits are the system's, which is told.
        """
        expected = OptionList([IPTypeOfService(BOTH, 8)])
        self.assertEqual(honour({CLIENT: 8, REMOTE: 11}, self.legs), expected)

    def test_noSocket(self) -> None:
        """
        A leg without a socket of this kind is left out.
        """
        client = LegProtocol()
        client.makeConnection(StringTransport())
        legs = {**self.legs, CLIENT: client}
        expected = OptionList([IPTypeOfService(REMOTE, 8)])
        self.assertEqual(honour({CLIENT: 8, REMOTE: 8}, legs), expected)
