"""
Connected sockets as the transports of protocols that exist already.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IAddress, IProtocol, IReactorSocket
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


def adopt(reactor: Any, handle: socket.socket, protocol: IProtocol) -> None:
    """
    Give a protocol a connected socket, whose transport has another descriptor then.

    @param reactor: Provides L{IReactorSocket}.
    @param handle: Is closed in any case.
    @raise OSError: There are too few descriptors, or the peer has gone already.
    """
    with handle:
        IReactorSocket(reactor).adoptStreamConnection(
            handle.fileno(), handle.family, Prepared(protocol)
        )
