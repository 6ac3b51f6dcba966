"""
Which requests share a session with the proxy, and which ones must not.
"""

from __future__ import annotations

import hashlib
from enum import Enum

from socks6.local.dialects import Wish


class Isolation(Enum):
    """
    What tells sessions apart.
    """

    #: The user name and password that the program gives: of SOCKS 5, or of HTTP's
    #: Proxy-Authorization; of SOCKS 4, the user ID.
    AUTH = "auth"
    #: Where it wants to go.
    DESTINATION = "destination"
    #: Where it comes from.
    CLIENT = "client"


def sessionKey(isolations: frozenset[Isolation], wish: Wish, client: str) -> bytes:
    """
    Make what all requests of one session have in common, and no others have.

    @param client: The host that the program runs on.
    """
    parts: list[object] = []
    if Isolation.AUTH in isolations:
        who = wish.credentials
        parts += (None, None) if who is None else (who.username, who.password)
    if Isolation.DESTINATION in isolations:
        parts += (wish.address.host, wish.address.port)
    if Isolation.CLIENT in isolations:
        parts.append(client)
    return hashlib.sha256(repr(parts).encode("utf-8")).digest()
