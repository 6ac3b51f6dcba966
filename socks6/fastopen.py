"""
TCP Fast Open: data in the first packet of a connection.

@see: RFC 7413.
"""

from __future__ import annotations

import errno
import socket
import sys
from contextlib import suppress
from pathlib import Path

#: What the kernel lets programs do; its lowest bit is for clients, the next for servers.
_SETTING = Path("/proc/sys/net/ipv4/tcp_fastopen")
_SERVERS = 2

#: Connections with data that may wait to be shaken hands with, at one port.
_QUEUE = 1024

#: Linux's names that the socket module lacks.
_MSG_FASTOPEN = 0x20000000
_TCP_FASTOPEN_CONNECT = 30

#: How the kernel says that it does not know, or not allow, what was asked for.
_UNKNOWN = (errno.EOPNOTSUPP, errno.ENOTCONN, errno.EPIPE)


def kernelAccepts() -> bool:
    """
    Tell whether the kernel lets programs accept data in the first packet.
    """
    try:
        return bool(int(_SETTING.read_text("ascii"), 0) & _SERVERS)
    except (OSError, ValueError):
        return False


def acceptFastOpen(handle: socket.socket) -> None:
    """
    Accept data in the first packet, where the kernel lets us.

    @param handle: One that listens, or will.
    """
    if sys.platform == "linux" and handle.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, _QUEUE)


def connectWith(handle: socket.socket, address: tuple[str, int], octets: bytes) -> int:
    """
    Connect, with as much data in the first packet as the kernel lets in: none, if it does
    not know the peer's cookie yet, for which it asks then.

    @param handle: One that does not block.
    @return: How many octets the kernel has taken.  It delivers them whatever the peer
        makes of that packet.
    @raise BlockingIOError: None, but the connection is under way.
    @raise OSError: It cannot be made.
    """
    if sys.platform == "linux":
        try:
            return handle.sendto(octets, _MSG_FASTOPEN, address)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
    handle.connect(address)
    return 0


def deferConnecting(handle: socket.socket) -> bool:
    """
    Let a socket's first data be in the packet that connects it: it counts as connected at
    once, if the kernel knows the peer's cookie.

    @return: Whether the kernel lets us.
    """
    if sys.platform != "linux":
        return False
    try:
        handle.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)
    except OSError:
        return False
    return True
