"""
What plain sockets can do at once, where nothing waits to be written.

Twisted does it when the reactor next finds that they can be written, which costs an
event and two changes of what the kernel watches, each time.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

from socks6.memory import RESERVE
from socks6.sockets import hasUnsent, isPlain

#: Why connections are lost that we have closed.
_CLOSED = Failure(CONNECTION_DONE)


def _isIdle(transport: Any) -> bool:
    """
    Tell whether a transport is a plain socket, and has nothing to write.

    Whoever has aborted one, or moves its octets inside the kernel, has replaced how
    it writes.
    """
    return isPlain(transport) and "doWrite" not in transport.__dict__ and not hasUnsent(transport)


def read(transport: Any) -> None:
    """
    Read what has come already, if anything has.

    @param transport: Is connected.  If it is being closed, or somebody has replaced how
        it reads, nothing happens.
    """
    if isPlain(transport) and not transport.disconnecting and "doRead" not in transport.__dict__:
        try:
            octets = transport.socket.recv(transport.bufferSize)
        except BlockingIOError:
            return
        except OSError:
            transport.abortConnection()
            return
        except MemoryError:
            RESERVE.ranOut()
            transport.abortConnection()
            return
        if octets:
            # An end is told again.
            transport.protocol.dataReceived(octets)


def write(transport: Any, octets: bytes) -> None:
    """
    Write.

    @param transport: Is connected.
    """
    if _isIdle(transport):
        writeIdle(transport, octets)
    else:
        transport.write(octets)


def writeIdle(transport: Any, octets: bytes) -> None:
    """
    Write to a plain socket that has nothing to write, and whose way of writing nobody has
    replaced.
    """
    try:
        sent = transport.socket.send(octets)
    except OSError:
        # Whatever it is, the transport will find out.
        sent = 0
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
    if _isIdle(transport) and transport.connected and not transport.disconnecting:
        # There is nothing to wait for; and nobody else has the descriptor, so that
        # closing it is enough.
        transport._shouldShutdown = False
        transport.connectionLost(_CLOSED)
    else:
        transport.loseConnection()
