"""
Fields that several messages and options share.
"""

from __future__ import annotations

from struct import Struct

OCTET = Struct("!B")
SIZE = Struct("!H")
TOKEN = Struct("!I")
WINDOW = Struct("!II")


def number(layout: Struct, data: bytes) -> int:
    """
    Read a field that is all there is.

    @param layout: A layout of one number.
    @raise struct.error: The size is wrong.
    """
    value: int = layout.unpack(data)[0]
    return value
