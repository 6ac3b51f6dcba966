"""
What is said to a client, in as few segments as can be.
"""

from __future__ import annotations

from typing import Any

from socks6.relay.atonce import write


class Speech:
    """
    What is said on a connection until octets are relayed.

    What is said while we take in what has come leaves together, when that is done.
    Otherwise each piece leaves at once, but for the first, which others may follow in the
    same turn of the reactor.
    """

    __slots__ = ("_hasSpoken", "_held", "_transport")

    def __init__(self, transport: Any) -> None:
        """
        @param transport: Is connected.
        """
        self._transport = transport
        self._hasSpoken = False
        #: What is held back; L{None}: nothing is to be.
        self._held: list[bytes] | None = None

    def hold(self) -> None:
        """
        Hold back what is said from now on.
        """
        if self._held is None:
            self._held = []

    def say(self, octets: bytes) -> None:
        """
        Say something.
        """
        if self._held is not None:
            self._held.append(octets)
        elif self._hasSpoken:
            write(self._transport, octets)
        else:
            self._transport.write(octets)
        self._hasSpoken = True

    def letGo(self) -> None:
        """
        Hold back nothing any more.
        """
        held, self._held = self._held, None
        if held:
            write(self._transport, b"".join(held))

    def forget(self) -> None:
        """
        Leave unsaid what was held back.
        """
        self._held = None
