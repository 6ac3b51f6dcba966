"""
Whole messages out of a stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from socks6.wire.codec import Octets

_Message = TypeVar("_Message")


def takeMessage(
    buffer: bytearray, length: Callable[[Octets], int], decode: Callable[[bytes], _Message]
) -> _Message | None:
    """
    Take the first message out of a buffer, if it is whole.

    @param buffer: What came and was not read yet; loses the message.
    @param length: The function of the codec that finds such a message's end.
    @param decode: The function of the codec that reads such a message.
    @return: The message, or L{None} while octets of it are missing.
    @raise PeerError: It cannot be such a message; the buffer keeps it, so that
        it cannot be such a message the next time either.
    """
    end = length(buffer)
    if end > len(buffer):
        return None
    message = decode(bytes(buffer[:end]))
    del buffer[:end]
    return message
