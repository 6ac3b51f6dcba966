"""
Decisions out of octets.
"""

from __future__ import annotations


class Reader:
    """
    Octets that are read from their beginning.  Behind the end there are only zeroes.
    """

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._place = 0

    @property
    def left(self) -> int:
        """
        How many octets have not been read.
        """
        return max(0, len(self._octets) - self._place)

    def number(self, below: int) -> int:
        """
        Read an octet as a choice.

        @param below: How many there are, up to 256.
        """
        self._place += 1
        return (self._octets[self._place - 1] if self._place <= len(self._octets) else 0) % below

    def take(self, count: int) -> bytes:
        """
        Read so many octets, or those that are left.
        """
        start, self._place = self._place, self._place + count
        return self._octets[start : self._place]

    def rest(self) -> bytes:
        """
        Read all that is left.
        """
        return self.take(self.left)


def cut(octets: bytes, places: bytes) -> list[bytes]:
    """
    Cut octets.

    @param places: How long each piece is, but for the last one.
    """
    pieces = []
    for length in places:
        pieces.append(octets[:length])
        octets = octets[length:]
    return [*pieces, octets]
