"""
Messages with their octets, and octets that tell how they are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from socks6.wire.codec import Octets
from socks6.wire.errors import PeerError


@dataclass(frozen=True)
class Spelling:
    """
    What there is to spell a kind of message.
    """

    name: str
    length: Callable[[Octets], int]
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


@dataclass(frozen=True)
class Golden:
    """
    A message, and the octets that spell it.

    @ivar asked: How many octets the length function asks for in turn, each
        time that it is given as many as it asked for.
    """

    name: str
    spelling: Spelling
    octets: bytes
    asked: Sequence[int]
    value: Any


def golden(
    name: str, spelling: Spelling, octets: str, asked: Sequence[int], value: object
) -> Golden:
    """
    Read the octets from hexadecimal digits; spaces divide the fields.
    """
    return Golden(f"{spelling.name}: {name}", spelling, bytes.fromhex(octets), asked, value)


#: What is wrong, the function that finds it, octets that end with the first
#: wrong one, the error.
Rule = tuple[str, Callable[[Octets], int], str, type[PeerError]]


class CountedOctets:
    """
    Octets that offer their number and a look at some, and count the looks.

    @ivar seen: How many octets have been looked at.
    """

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.seen = 0

    def __len__(self) -> int:
        return len(self._octets)

    def __getitem__(self, index: int | slice) -> int | bytes:
        found = self._octets[index]
        self.seen += len(found) if isinstance(found, bytes) else 1
        return found


def received(spelling: Spelling, parts: Sequence[bytes]) -> list[object]:
    """
    Receive octets part by part, as a connection does: whenever the length
    function says that a message is whole, it is decoded.

    @return: The messages, and at the end the octets that are left.
    """
    messages: list[object] = []
    waiting = bytearray()
    for part in parts:
        waiting += part
        while 0 < (length := spelling.length(waiting)) <= len(waiting):
            messages.append(spelling.decode(bytes(waiting[:length])))
            del waiting[:length]
    return [*messages, bytes(waiting)]
