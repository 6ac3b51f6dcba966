"""
What waits in the buffers of transports to be written.
"""

from __future__ import annotations

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol

from socks6.sockets import layers


def unsentLength(transport: ITransport) -> int:
    """
    Count the octets that wait in the buffers of a transport and of those under it.
    """
    length = 0
    for layer in layers(transport):
        if isinstance(layer, TLSMemoryBIOProtocol):
            length += sum(map(len, layer._appSendBuffer))
        elif isinstance(layer, Connection):
            length += len(layer.dataBuffer) - layer.offset + layer._tempDataLen
    return length


def forgetUnsent(transport: ITransport) -> None:
    """
    Free the buffers of a transport that is gone.

    A tunnel is a circle, which Python frees only when it looks for those; it does not count
    how much is in them.
    """
    for layer in layers(transport):
        if isinstance(layer, TLSMemoryBIOProtocol):
            layer._appSendBuffer = []
        elif isinstance(layer, Connection):
            layer.dataBuffer, layer._tempDataBuffer = b"", []
            layer.offset = layer._tempDataLen = 0


def isGone(transport: ITransport) -> bool:
    """
    Tell whether the connection under a transport is closed.
    """
    *_, lowest = layers(transport)
    return not getattr(lowest, "connected", True)
