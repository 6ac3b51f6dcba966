"""
What plain sockets can do at once, where nothing waits to be written.

Twisted does it when the reactor next finds that they can be written, which costs an
event and two changes of what the kernel watches, each time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from socks6.sockets import hasUnsent, isPlain


def _isIdle(transport: Any) -> bool:
    """
    Tell whether a transport is a plain socket, and has nothing to write.

    Whoever has aborted one, or moves its octets inside the kernel, has replaced how
    it writes.
    """
    return isPlain(transport) and "doWrite" not in transport.__dict__ and not hasUnsent(transport)


def write(transport: Any, octets: bytes) -> None:
    """
    Write.

    @param transport: Is connected.
    """
    sent = 0
    if _isIdle(transport):
        # Whatever it is, the transport will find out.
        with suppress(OSError):
            sent = transport.socket.send(octets)
    if sent < len(octets):
        transport.write(octets[sent:])


def endOutput(transport: Any) -> None:
    """
    End our direction of a connection, once all has been written.

    @param transport: Is connected, can end one direction, and has no producer.
    """
    if _isIdle(transport):
        # That is what it does when it has written all.
        transport._writeDisconnecting = transport._writeDisconnected = True
        transport._closeWriteConnection()
    else:
        transport.loseWriteConnection()


def close(transport: Any) -> None:
    """
    Close a connection, once all has been written.

    @param transport: Has no producer.  Its protocol may hear that it is closed before
        this returns.
    """
    if _isIdle(transport):
        # Then it waits for nothing.
        transport._writeDisconnected = True
    transport.loseConnection()
