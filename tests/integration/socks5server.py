"""
A SOCKS 5 proxy in threads of this process, written from RFC 1928 and RFC 1929 alone,
which remembers who has asked for what.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from unittest import TestCase

from tests.integration.peers import dial, listen, placeOf, receive, receiveHost
from tests.integration.threads import ThreadedServer, join

#: How an operation went.
NOT_ALLOWED, HOST_UNREACHABLE, REFUSED, TTL_EXPIRED = 2, 4, 5, 6

#: Types of addresses.
IPV4, NAME, IPV6 = 1, 3, 4


@dataclass(frozen=True)
class Errand:
    """
    What a client wanted.

    @ivar who: Its user name and password, if it gave any.
    @ivar kind: The type of the address.
    """

    who: tuple[bytes, bytes] | None
    kind: int
    host: str
    port: int


class SOCKS5Server(ThreadedServer):
    """
    The proxy.

    @ivar names: Where those names lead that it knows.
    @ivar codes: What it answers for hosts that it does not connect to.
    @ivar errands: What was asked for, in that order.
    @ivar place: Where it listens, unless on a UNIX socket.
    """

    def __init__(
        self,
        testCase: TestCase,
        names: Mapping[str, tuple[str, int]] | None = None,
        codes: Mapping[str, int] | None = None,
        path: Path | None = None,
        port: int = 0,
    ) -> None:
        """
        @param path: Of the UNIX socket to listen on, if it is one.
        @param port: Where else to listen.
        """
        self.names = dict(names or {})
        self.codes = dict(codes or {})
        self.errands: list[Errand] = []
        if path is not None:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen(128)
        elif port:
            listener = socket.create_server(("127.0.0.1", port))
        else:
            listener = listen()
        if path is None:
            self.place = placeOf(listener)
        super().__init__(testCase, listener)

    @property
    def who(self) -> list[tuple[bytes, bytes] | None]:
        """
        Tell who has asked, in that order.
        """
        return [errand.who for errand in self.errands]

    def serve(self, sock: socket.socket) -> None:
        """
        Do what a client wants.
        """
        version, count = receive(sock, 2)
        if version != 5:
            # Somebody who does not know what we are.
            return
        methods = receive(sock, count)
        who = None
        if 2 in methods:
            sock.sendall(b"\5\2")
            who = self._readCredentials(sock)
            sock.sendall(b"\1\0")
        else:
            assert 0 in methods, methods
            sock.sendall(b"\5\0")
        errand = self._readRequest(sock, who)
        self.errands.append(errand)
        code = self.codes.get(errand.host, 0)
        place = self.names.get(errand.host, (errand.host, errand.port))
        if errand.kind == NAME and errand.host not in self.names:
            code = code or HOST_UNREACHABLE
        remote = None
        if not code:
            try:
                remote = dial(place)
            except OSError:
                code = REFUSED
        host, port = ("0.0.0.0", 0) if remote is None else placeOf(remote)
        bound = ip_address(host)
        kind = IPV4 if bound.version == 4 else IPV6
        sock.sendall(bytes([5, code, 0, kind]) + bound.packed + struct.pack("!H", port))
        if remote is not None:
            with remote, suppress(OSError):
                sock.settimeout(None)
                remote.settimeout(None)
                join(sock, remote)

    @staticmethod
    def _readCredentials(sock: socket.socket) -> tuple[bytes, bytes]:
        """
        Read a user name and password.
        """
        assert receive(sock, 1) == b"\1"
        name = receive(sock, receive(sock, 1)[0])
        return name, receive(sock, receive(sock, 1)[0])

    @staticmethod
    def _readRequest(sock: socket.socket, who: tuple[bytes, bytes] | None) -> Errand:
        """
        Read a request, which must be to connect.
        """
        version, command, _, kind = receive(sock, 4)
        assert (version, command) == (5, 1), (version, command)
        host = receiveHost(sock, kind)
        (port,) = struct.unpack("!H", receive(sock, 2))
        return Errand(who, kind, host, port)
