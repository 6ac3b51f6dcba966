"""
Both ends of the way on which L{firstbyte} measures: a client, and the server.

The client sends one octet, and the server returns it.  It prints how many milliseconds
that takes, from its C{connect} on::

    python benchmarks/ends.py serve
    python benchmarks/ends.py WAY COUNT FAST-OPEN
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address
from threading import Thread

from peers import MESSAGE, PORT, TARGET_PORTS

from socks6.values.address import UNSPECIFIED_IPV4, Address
from socks6.values.codes import Command
from socks6.values.messages import AuthenticationReply, Request
from socks6.values.options import (
    Option,
    OptionList,
    SessionID,
    SessionRequest,
    TCPFastOpen,
    TokenExpenditure,
    TokenRequest,
    TokenWindowAdvertisement,
    UsernamePassword,
)
from socks6.wire import DEFAULT_CODEC

#: Where the proxy is for the client, and where the server is.
PROXY, SERVER = "10.1.0.2", "10.2.0.2"
TARGET = TARGET_PORTS["echo"]

USER, PASSWORD = b"user", b"password"

#: C{MSG_FASTOPEN}, which the socket module lacks: send along with the SYN.
MSG_FASTOPEN = 0x20000000

#: Seconds between two measurements, and that one may take.
PAUSE = 0.05
PATIENCE = 3.0

_ADDRESS = Address(IPv4Address(SERVER), TARGET)
_CREDENTIALS = UsernamePassword(USER, PASSWORD)

#: The wish for Fast Open on the way from the proxy to the server.
_FAST = TCPFastOpen(0)


class Line:
    """
    A client's connection.
    """

    def __init__(self, host: str, port: int, early: bytes, fastOpen: bool) -> None:
        """
        Connect, and say something.

        @param early: What to say; with Fast Open, in the SYN.
        """
        self._socket = socket.socket()
        self._socket.settimeout(PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""
        if not fastOpen:
            self._socket.connect((host, port))
            self._socket.sendall(early)
            return
        try:
            self._socket.sendto(early, MSG_FASTOPEN, (host, port))
        except BlockingIOError:
            # There was no cookie, so the SYN left without it.
            select.select([], [self._socket], [], PATIENCE)
            self._socket.sendall(early)

    def say(self, octets: bytes) -> None:
        """
        Say something.
        """
        self._socket.sendall(octets)

    def hear(self, lengthOf: Callable[[bytes], int]) -> bytes:
        """
        Wait for an answer.

        @param lengthOf: Tells how long it is, as far as what is there can tell.
        @raise OSError: It does not come.
        """
        while len(self._held) < lengthOf(self._held):
            octets = self._socket.recv(4096)
            if not octets:
                raise ConnectionResetError("the proxy has closed")
            self._held += octets
        length = lengthOf(self._held)
        answer, self._held = self._held[:length], self._held[length:]
        return answer

    def expect(self, length: int) -> bytes:
        """
        Wait for so many octets.
        """
        return self.hear(lambda octets: length)

    def close(self) -> None:
        """
        Hang up.
        """
        self._socket.close()


#: Connects, with or without Fast Open, and has said the message then.
Way = Callable[[bool], Line]


def direct(fastOpen: bool) -> Line:
    """
    Connect without a proxy.
    """
    return Line(SERVER, TARGET, MESSAGE, fastOpen)


def socks5(fastOpen: bool, method: int = 0) -> Line:
    """
    Connect as SOCKS 5 does, one question after the other.
    """
    line = Line(PROXY, PORT, bytes([5, 1, method]), fastOpen)
    line.expect(2)
    if method:
        line.say(b"\x01" + bytes([len(USER)]) + USER + bytes([len(PASSWORD)]) + PASSWORD)
        line.expect(2)
    line.say(b"\x05\x01\x00\x01" + IPv4Address(SERVER).packed + TARGET.to_bytes(2))
    line.expect(10)
    line.say(MESSAGE)
    return line


def socks5WithPassword(fastOpen: bool) -> Line:
    """
    Connect as SOCKS 5 does, with user name and password.
    """
    return socks5(fastOpen, 2)


def welcome(line: Line) -> AuthenticationReply:
    """
    Hear that the client is let in.
    """
    octets = line.hear(DEFAULT_CODEC.authenticationReplyLength)
    return DEFAULT_CODEC.decodeAuthenticationReply(octets)


def socks6(options: tuple[Option, ...], fastOpen: bool) -> Line:
    """
    Connect as SOCKS 6 does, with the message along with the request.
    """
    request = Request(Command.CONNECT, _ADDRESS, OptionList(options))
    line = Line(PROXY, PORT, DEFAULT_CODEC.encodeRequest(request) + MESSAGE, fastOpen)
    welcome(line)
    line.hear(DEFAULT_CODEC.operationReplyLength)
    return line


def socks6WithPassword() -> Way:
    """
    Make a client of SOCKS 6 that shows its password each time.
    """
    return lambda fastOpen: socks6((_CREDENTIALS, _FAST), fastOpen)


def socks6InSession() -> Way:
    """
    Open a session, and make a client of SOCKS 6 that spends a token each time.
    """
    options = OptionList([_CREDENTIALS, SessionRequest(), TokenRequest(1024)])
    request = Request(Command.NOOP, UNSPECIFIED_IPV4, options)
    line = Line(PROXY, PORT, DEFAULT_CODEC.encodeRequest(request), False)
    reply = welcome(line)
    line.close()
    session = reply.options.first(SessionID)
    window = reply.options.first(TokenWindowAdvertisement)
    assert session is not None and window is not None
    tokens = itertools.count(window.base)
    return lambda fastOpen: socks6((session, TokenExpenditure(next(tokens)), _FAST), fastOpen)


#: Makes clients, by their names.
WAYS: Mapping[str, Callable[[], Way]] = {
    "direct": lambda: direct,
    "socks5": lambda: socks5,
    "socks5-password": lambda: socks5WithPassword,
    "socks6-password": socks6WithPassword,
    "socks6-session": socks6InSession,
}


def times(way: str, count: int, fastOpen: bool) -> Iterator[float]:
    """
    Measure.

    @return: Milliseconds.
    """
    connect = WAYS[way]()
    for _ in range(count):
        began = time.perf_counter()
        line = connect(fastOpen)
        line.expect(len(MESSAGE))
        yield round((time.perf_counter() - began) * 1000, 2)
        line.close()
        time.sleep(PAUSE)


def echo(connection: socket.socket) -> None:
    """
    Return what a client sends.
    """
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while octets := connection.recv(4096):
            connection.sendall(octets)


def serve() -> None:
    """
    Be the server, for ever.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 256)
        listener.bind((SERVER, TARGET))
        listener.listen(256)
        while True:
            connection, _ = listener.accept()
            Thread(target=echo, args=(connection,), daemon=True).start()


def main() -> None:
    """
    Read the command line, and be one end.
    """
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        way, count, fastOpen = sys.argv[1:]
        print(json.dumps(list(times(way, int(count), fastOpen == "yes"))))


if __name__ == "__main__":
    main()
