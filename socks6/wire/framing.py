"""
What all messages with an end have in common.
"""

from __future__ import annotations

from socks6.wire.errors import MalformedMessage


def checkWhole(octets: bytes, length: int) -> None:
    """
    Check that octets are exactly one message.

    @param length: What the message's length function makes of them.
    @raise MalformedMessage: They are less or more.
    """
    if length != len(octets):
        raise MalformedMessage(f"a message of {length} octets in {len(octets)}")
