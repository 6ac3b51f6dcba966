"""
Places that there are only so many of, for clients of all networks.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Generic, Protocol, TypeVar

from socks6.values.address import ClientNetwork


class Comer(Protocol):
    """
    Somebody who takes a place.

    @ivar address: What nobody else is known by.
    @ivar network: Whom it counts against; L{None}: nobody knows.
    """

    address: Any
    network: ClientNetwork | None


_Comer = TypeVar("_Comer", bound=Comer)


class Places(Generic[_Comer]):
    """
    Those who have places.

    @ivar taken: By whom, by address: who has come first is the first one.
    """

    def __init__(self) -> None:
        self.taken: dict[Any, _Comer] = {}
        self._counts: Counter[ClientNetwork | None] = Counter()

    def add(self, comer: _Comer) -> None:
        """
        Give somebody a place.
        """
        self.taken[comer.address] = comer
        self._counts[comer.network] += 1

    def discard(self, comer: _Comer) -> None:
        """
        Take it back, if there is one.
        """
        if self.taken.get(comer.address) is comer:
            del self.taken[comer.address]
            self._counts[comer.network] -= 1
            if not self._counts[comer.network]:
                del self._counts[comer.network]

    def inTheWay(
        self, network: ClientNetwork | None, most: int, mostOfNetwork: int
    ) -> _Comer | None:
        """
        Tell who has come first, of those who keep somebody else out: all, or all of the same
        network.

        @param network: That one's.
        @param most: How many places there are.
        @param mostOfNetwork: How many of them one network may have.
        @return: L{None}: there is room.
        """
        if self._counts[network] >= mostOfNetwork:
            return next(each for each in self.taken.values() if each.network == network)
        if len(self.taken) >= most:
            return next(iter(self.taken.values()))
        return None
