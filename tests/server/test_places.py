"""
Tests of L{socks6.server.places}.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from socks6.server.places import Places
from socks6.values.address import ClientNetwork, networkOf


@dataclass(eq=False)
class Guest:
    """
    Somebody who takes a place.
    """

    address: str
    network: ClientNetwork | None


def guest(host: str, number: int) -> Guest:
    """
    Make somebody.
    """
    return Guest(f"{host} {number}", networkOf(ip_address(host)))


class PlacesTests(SynchronousTestCase):
    """
    L{Places}.
    """

    def setUp(self) -> None:
        self.places: Places[Guest] = Places()
        self.guests = [guest(f"192.0.2.{host}", number) for number in (1, 2) for host in (1, 2)]
        for each in self.guests:
            self.places.add(each)

    def test_inTheWay(self) -> None:
        """
        Who has come first is in the way: of all if there is no place any more, of the same
        network if that has its part; whoever has gone is not.
        """
        one, two, _, last = self.guests
        stranger = networkOf(ip_address("192.0.2.9"))
        for most, mostOfNetwork, network, expected in (
            (5, 3, two.network, None),
            (4, 3, two.network, one),
            (5, 2, two.network, two),
            (4, 2, two.network, two),
            (4, 2, stranger, one),
            (5, 1, stranger, None),
        ):
            found = self.places.inTheWay(network, most, mostOfNetwork)
            self.assertIs(found, expected, f"{most} {mostOfNetwork} {network}")
        self.places.discard(two)
        self.assertIsNone(self.places.inTheWay(two.network, 4, 2))
        self.assertIs(self.places.inTheWay(two.network, 4, 1), last)

    def test_another(self) -> None:
        """
        Who comes to where another one was has the place, whatever becomes of that one later.
        """
        old = self.guests[0]
        self.places.discard(old)
        new = guest("192.0.2.1", 1)
        self.assertEqual(new.address, old.address)
        self.places.add(new)
        self.places.discard(old)
        self.assertIs(self.places.taken[new.address], new)
        self.assertEqual(self.places._counts[new.network], 2)

    def test_empty(self) -> None:
        """
        Nothing is kept of those who have gone.
        """
        for each in self.guests:
            self.places.discard(each)
        self.assertEqual((self.places.taken, dict(self.places._counts)), ({}, {}))
