"""
A factory for a protocol that exists already.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import ServerFactory


class Prepared(ServerFactory):
    """
    Gives the one protocol that it was made with.
    """

    noisy = False

    def __init__(self, prepared: IProtocol) -> None:
        """
        @param prepared: The protocol.
        """
        self._prepared = prepared

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """
        Give the protocol.
        """
        return self._prepared
