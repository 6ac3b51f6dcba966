"""
How soon the kernel finds out that a peer is gone (TCP keep-alive).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

#: How often a peer is asked before it is given up.
_PROBES = 3


@lru_cache
def _settings(idle: int) -> Sequence[tuple[int, int, int]]:
    """
    Give the options of a socket: level, name, value.
    """
    settings = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", max(1, idle // (2 * _PROBES))),
        ("TCP_KEEPCNT", _PROBES),
    ):
        # Some systems have other names.
        if hasattr(socket, name):
            settings.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return settings


def keepAlive(handle: socket.socket | None, idle: int) -> None:
    """
    Let the kernel find out within half as much again of a time that the peer is gone, if
    this is a TCP socket; those that a listening one accepts have it as well.

    @param handle: L{None}: there is none.
    @param idle: Seconds of silence until it asks for the first time.
    """
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):
        for setting in _settings(idle):
            handle.setsockopt(*setting)
