"""
A codec that tells how it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from socks6.wire import DRAFT_06
from socks6.wire.codec import Octets


class Glances:
    """
    Octets that can only be asked for their number and for some of them, and
    that count how many were asked for.
    """

    def __init__(self, octets: Octets) -> None:
        self._octets = octets
        self.read = 0

    def __len__(self) -> int:
        return len(self._octets)

    def __getitem__(self, place: Any) -> Any:
        found = self._octets[place]
        self.read += len(found) if isinstance(place, slice) else 1
        return found


@dataclass(frozen=True)
class Look:
    """
    One search for a message's end.

    @ivar function: The length function's name.
    @ivar held: How many octets were there.
    @ivar read: How many of them it looked at.
    @ivar needed: What it returned; 0 if it raised.
    """

    function: str
    held: int
    read: int
    needed: int


class WatchedCodec:
    """
    The codec of draft -06, taking notes.

    @ivar looks: The calls of its length functions.
    """

    def __init__(self) -> None:
        self.looks: list[Look] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(DRAFT_06, name)
        return self._watched(name, function) if name.endswith("Length") else function

    def _watched(self, name: str, length: Callable[[Any], int]) -> Callable[[Octets], int]:
        """
        Make a length function that notes its calls.
        """

        def look(octets: Octets) -> int:
            glances = Glances(octets)
            needed = 0
            try:
                needed = length(glances)
            finally:
                self.looks.append(Look(name, len(octets), glances.read, needed))
            return needed

        return look
