"""
Connected sockets as the transports of protocols that exist already.
"""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet.interfaces import IAddress, IProtocol, IReactorFDSet
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Server


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


def adopt(reactor: IReactorFDSet, handle: socket.socket, protocol: IProtocol) -> None:
    """
    Give a protocol a connected TCP socket.

    The reactor's own way would take a copy of it, which is one more descriptor.

    @param reactor: Watches it.
    @param handle: The transport's from now on; it is closed if there is none.
    @raise OSError: The peer has gone already.
    """
    try:
        peer = handle.getpeername()
        transport = Server(handle, protocol, peer, cast(Any, None), peer[1], reactor)
    except BaseException:
        handle.close()
        raise
    transport.repstr = f"<{type(protocol).__name__} to {peer[0]}>"
    protocol.makeConnection(transport)
