"""
A SOCKS 6 proxy in threads of this process, written from the wire format alone, which
remembers what it was asked, and is itself the web server at the other end.
"""

from __future__ import annotations

import itertools
import socket
import struct
from dataclasses import dataclass
from unittest import TestCase

from tests.integration.peers import (
    ADMITTED,
    CONNECT,
    encodeSessionID,
    listen,
    placeOf,
    receive,
    receiveHost,
)
from tests.integration.threads import ThreadedServer

_OPERATION_SUCCEEDED = bytes.fromhex("00 0000 01 00000000 0000")

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes"


@dataclass(frozen=True)
class Asked:
    """
    A request.

    @ivar session: The session that it is a part of, if it is in one.
    @ivar opens: Whether it has opened that.
    @ivar ends: Whether it has ended that.
    """

    command: int
    host: str
    port: int
    session: bytes | None
    opens: bool
    ends: bool


class FakeProxy(ThreadedServer):
    """
    The proxy.

    @ivar requests: All requests, in the order in which they came.
    @ivar place: Where it listens.
    """

    def __init__(self, testCase: TestCase) -> None:
        self.requests: list[Asked] = []
        self._numbers = itertools.count()
        listener = listen()
        self.place = placeOf(listener)
        super().__init__(testCase, listener)

    @property
    def url(self) -> str:
        """
        Tell where it is, for C{--proxy}.
        """
        return f"socks6://127.0.0.1:{self.place[1]}"

    @property
    def connections(self) -> list[Asked]:
        """
        Give the requests that were to connect.
        """
        return [each for each in self.requests if each.command == CONNECT]

    def serve(self, sock: socket.socket) -> None:
        """
        Answer a request.
        """
        asked = self._readRequest(sock)
        self.requests.append(asked)
        options = b""
        if asked.opens:
            assert asked.session is not None
            options = encodeSessionID(asked.session)
        elif asked.session is not None:
            options = bytes.fromhex("04 0004 04")
        sock.sendall(ADMITTED[:4] + struct.pack("!H", len(options)) + options)
        sock.sendall(_OPERATION_SUCCEEDED)
        if asked.command == CONNECT:
            with sock.makefile("rb") as file:
                while file.readline() not in (b"\r\n", b""):
                    pass
            sock.sendall(_PAGE)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass

    def _readRequest(self, sock: socket.socket) -> Asked:
        """
        Read a request.
        """
        version, command, port, kind = struct.unpack("!HBHB", receive(sock, 6))
        assert version == 0x0600, version
        host = receiveHost(sock, kind)
        (length,) = struct.unpack("!H", receive(sock, 2))
        options = receive(sock, length)
        session, opens, ends = None, False, False
        while options:
            optionKind, length = struct.unpack_from("!BH", options)
            data, options = options[3:length], options[length:]
            if (optionKind, data[:1]) == (4, b"\1"):
                opens = True
                session = b"session %d" % next(self._numbers)
            elif (optionKind, data[:1]) == (4, b"\2"):
                session = data[1:]
            elif (optionKind, data[:1]) == (4, b"\3"):
                ends = True
        return Asked(command, host, port, session, opens, ends)
