"""
Both ends of a tunnel: plain blocking sockets, each step with a deadline.

Written from the wire format alone, so that nothing of the package has a say in
what its tests send and expect.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from ipaddress import ip_address
from termios import TIOCOUTQ
from typing import NamedTuple

#: Seconds that anything may take that must happen.
DEADLINE = 30.0

#: Seconds without progress after which we believe that there will be none.
STALL = 0.4

NOOP, CONNECT = 0, 1

#: An IP address and port, or the path of a UNIX socket.
Place = tuple[str, int] | str

#: version:2 type:1 method:1 options length:2
ADMITTED = bytes.fromhex("0600 00 00 0000")
REFUSED = bytes.fromhex("0600 01 ff 0000")

#: Options without data.  kind:1 length:2 type:1
SESSION_REQUEST = bytes.fromhex("04 0004 01")
SESSION_TEARDOWN = bytes.fromhex("04 0004 03")

#: What became of a token.
SPENT, NO_WINDOW, OUT_OF_WINDOW, DUPLICATE = 1, 2, 3, 4

NO_LINGER = struct.pack("ii", 1, 0)


class Reply(NamedTuple):
    """
    An Operation Reply.
    """

    code: int
    host: str
    port: int
    options: bytes


class Verdict(NamedTuple):
    """
    An Authentication Reply.

    @ivar kind: 0 if it reports success.
    @ivar method: The method's number.
    @ivar identifier: The ID of the session that was opened.
    @ivar news: The types of the session options that have no data: 4 for Session
        OK, 5 for Session Invalid, 6 for Session Untrusted.
    @ivar outcome: What became of the token.
    @ivar window: The base and size of the token window.
    """

    kind: int
    method: int
    identifier: bytes | None = None
    news: tuple[int, ...] = ()
    outcome: int | None = None
    window: tuple[int, int] | None = None


class NotAdmitted(Exception):
    """
    The Authentication Reply was another than expected.
    """


class OperationFailed(Exception):
    """
    The Operation Reply reports a failure.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


def encodeHost(host: str) -> bytes:
    """
    Write a host as all of SOCKS 5 and SOCKS 6 do.

    @param host: A name, or an IP address in text form.
    @return: address type:1 address:n
    """
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes([3, len(name)]) + name
    return bytes([1 if address.version == 4 else 4]) + address.packed


def encodeRequest(host: str, port: int, options: bytes = b"", command: int = CONNECT) -> bytes:
    """
    Write a request.

    @return: version:2 command:1 port:2 address type:1 address:n options length:2 options
    """
    header = struct.pack("!BBBH", 6, 0, command, port)
    return header + encodeHost(host) + struct.pack("!H", len(options)) + options


def encodePassword(name: bytes, password: bytes) -> bytes:
    """
    Write an Authentication Data option for a user name and password.
    """
    data = b"\2" + encodeCredentials(name, password)
    return struct.pack("!BH", 3, 3 + len(data)) + data


def encodeMethods(*methods: int) -> bytes:
    """
    Write an Authentication Method option, without initial data.
    """
    return struct.pack("!BHH", 2, 5 + len(methods), 0) + bytes(methods)


def encodeCredentials(name: bytes, password: bytes) -> bytes:
    """
    Write a user name and password as RFC 1929 does.
    """
    return bytes([1, len(name)]) + name + bytes([len(password)]) + password


def encodeSessionID(identifier: bytes) -> bytes:
    """
    Write a Session ID option.
    """
    return struct.pack("!BHB", 4, 4 + len(identifier), 2) + identifier


def encodeTokenRequest(size: int) -> bytes:
    """
    Write a Token Request option.
    """
    return struct.pack("!BHBI", 5, 8, 1, size)


def encodeTokenExpenditure(token: int) -> bytes:
    """
    Write a Token Expenditure option.
    """
    return struct.pack("!BHBI", 5, 8, 3, token)


def encodeTypeOfService(leg: int, value: int) -> bytes:
    """
    Write an IP TOS option.

    @param leg: 1, 2 or 3 for both.
    """
    return struct.pack("!BHBBB", 1, 6, leg << 6 | 1, 1, value)


def receive(sock: socket.socket, count: int) -> bytes:
    """
    Read exactly so many octets.

    @raise EOFError: There are not so many.
    """
    octets = bytearray()
    while len(octets) < count:
        piece = sock.recv(min(count - len(octets), 262144))
        if not piece:
            raise EOFError(f"{len(octets)} of {count} octets")
        octets += piece
    return bytes(octets)


def receiveAll(sock: socket.socket, piece: int = 262144, pause: float = 0.0) -> bytes:
    """
    Read all octets up to the end.

    @param piece: Octets to read at once.
    @param pause: Seconds to rest behind each, to be a slow reader.
    """
    octets = bytearray()
    while some := sock.recv(piece):
        octets += some
        if pause:
            time.sleep(pause)
    return bytes(octets)


def receiveUntilBroken(sock: socket.socket) -> bytes:
    """
    Read all octets up to the end, whether that is an end or a reset.
    """
    octets = bytearray()
    try:
        while some := sock.recv(262144):
            octets += some
    except (ConnectionError, ssl.SSLError):
        pass
    return bytes(octets)


def receiveHost(sock: socket.socket, kind: int) -> str:
    """
    Read an address, without its port, as SOCKS 5 and SOCKS 6 write it.

    @param kind: Its type.
    """
    if kind == 3:
        return receive(sock, receive(sock, 1)[0]).decode("ascii")
    return str(ip_address(receive(sock, {1: 4, 4: 16}[kind])))


def receiveReply(sock: socket.socket) -> Reply:
    """
    Read an Operation Reply.
    """
    code, port, kind = struct.unpack("!BHB", receive(sock, 4))
    host = receiveHost(sock, kind)
    (length,) = struct.unpack("!H", receive(sock, 2))
    return Reply(code, host, port, receive(sock, length))


def receiveVerdict(sock: socket.socket) -> Verdict:
    """
    Read an Authentication Reply.

    @raise ValueError: It is none, or has an option that nobody expects.
    """
    version, kind, method, length = struct.unpack("!HBBH", receive(sock, 6))
    if version != 0x0600:
        raise ValueError(f"version {version:04x}")
    verdict = Verdict(kind, method)
    options = receive(sock, length)
    while options:
        optionKind, length = struct.unpack_from("!BH", options)
        data, options = options[3:length], options[length:]
        name = (optionKind, data[0], length)
        if name[:2] == (4, 2):
            verdict = verdict._replace(identifier=data[1:])
        elif name in ((4, 4, 4), (4, 5, 4), (4, 6, 4)):
            verdict = verdict._replace(news=(*verdict.news, data[0]))
        elif name == (5, 2, 12):
            verdict = verdict._replace(window=struct.unpack("!II", data[1:]))
        elif name == (5, 4, 5):
            verdict = verdict._replace(outcome=data[1])
        else:
            raise ValueError(f"kind {optionKind}, {data.hex()}")
    return verdict


def ask(sock: socket.socket, request: bytes) -> Reply:
    """
    Send a request that needs no authentication, or brings it along, and read
    both replies.

    @raise NotAdmitted: The Authentication Reply does not report success.
    """
    sock.sendall(request)
    return receiveReplies(sock)


def receiveReplies(sock: socket.socket) -> Reply:
    """
    Read a successful Authentication Reply and an Operation Reply.

    @raise NotAdmitted: It is not successful.
    """
    header = receive(sock, 6)
    if (header[:3], header[4:]) != (ADMITTED[:3], ADMITTED[4:]):
        raise NotAdmitted(header.hex())
    return receiveReply(sock)


def openTunnel(
    sock: socket.socket, destination: tuple[str, int], options: bytes = b""
) -> socket.socket:
    """
    Turn a connection to the proxy into one to a destination.

    @raise OperationFailed: The proxy says that it cannot be.
    """
    reply = ask(sock, encodeRequest(*destination, options))
    if reply.code:
        raise OperationFailed(reply)
    return sock


def dial(place: Place, bufferSize: int = 0) -> socket.socket:
    """
    Connect to a server.

    @param bufferSize: Octets of the receive buffer, if not the system's.
    """
    if isinstance(place, str):
        family = socket.AF_UNIX
    else:
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    sock = socket.socket(family)
    sock.settimeout(DEADLINE)
    if bufferSize:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, bufferSize)
    sock.connect(place)
    return sock


def listen(host: str = "127.0.0.1", backlog: int = 128, bufferSize: int = 0) -> socket.socket:
    """
    Listen on a port of the system's choice.

    @param bufferSize: Octets of each connection's receive buffer, if not the
        system's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.settimeout(DEADLINE)
    if bufferSize:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, bufferSize)
    sock.bind((host, 0))
    sock.listen(backlog)
    return sock


def accept(listener: socket.socket) -> socket.socket:
    """
    Wait for a client.
    """
    sock, _ = listener.accept()
    sock.settimeout(DEADLINE)
    return sock


def placeOf(listener: socket.socket) -> tuple[str, int]:
    """
    Tell where a socket listens.
    """
    host, port = listener.getsockname()[:2]
    return host, port


def refusingPlace(host: str = "127.0.0.1") -> tuple[socket.socket, tuple[str, int]]:
    """
    Find a port that refuses connections, for as long as the socket is open.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.bind((host, 0))
    return sock, placeOf(sock)


def reset(sock: socket.socket) -> None:
    """
    Close a connection with a TCP reset.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    if isinstance(sock, ssl.SSLSocket):
        # No close alert before it.
        socket.socket(fileno=sock.detach()).close()
    else:
        sock.close()


def vanish(sock: socket.socket) -> None:
    """
    Close a connection; of TLS, without the close alert.
    """
    if isinstance(sock, ssl.SSLSocket):
        socket.socket(fileno=sock.detach()).close()
    else:
        sock.close()


def requireAlert(sock: ssl.SSLSocket) -> None:
    """
    Let the end of a TLS connection without the close alert be an error.
    """
    sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]  # as wrap_socket's


def finish(sock: socket.socket) -> None:
    """
    Close a connection in order; of TLS, with the close alert.
    """
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(DEADLINE)
        with suppress(OSError):
            # Waits for the proxy's own alert.
            sock = sock.unwrap()
    sock.close()


def waitUntilAcknowledged(sock: socket.socket) -> None:
    """
    Wait until the other side's kernel has got all that was sent.
    """
    if sock.family == socket.AF_UNIX:
        # There is but one kernel.
        return
    deadline = time.monotonic() + DEADLINE
    while True:
        (count,) = struct.unpack("=i", ioctl(sock.fileno(), TIOCOUTQ, bytes(4)))
        if not count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} octets were not acknowledged")
        time.sleep(0.005)


def _ready(sock: socket.socket, events: int, seconds: float) -> bool:
    """
    Wait until a socket is ready.
    """
    if events & select.POLLIN and isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(seconds * 1000))


@contextmanager
def _nonBlocking(sock: socket.socket) -> Iterator[None]:
    """
    Let a socket not block for a while.
    """
    sock.setblocking(False)
    try:
        yield
    finally:
        sock.settimeout(DEADLINE)


_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def exchange(sock: socket.socket, outgoing: bytes, incoming: int) -> bytes:
    """
    Send and read at the same time.

    @param incoming: How many octets to read.
    @return: What was read.
    @raise TimeoutError: Nothing happens.
    @raise EOFError: There are not so many.
    """
    view = memoryview(outgoing)
    octets = bytearray()
    with _nonBlocking(sock):
        while view or len(octets) < incoming:
            events = (select.POLLIN if len(octets) < incoming else 0) | (
                select.POLLOUT if view else 0
            )
            if not _ready(sock, events, DEADLINE):
                raise TimeoutError(f"{len(octets)} of {incoming} octets, {len(view)} to send")
            try:
                if len(octets) < incoming:
                    some = sock.recv(min(262144, incoming - len(octets)))
                    if not some:
                        raise EOFError(f"{len(octets)} of {incoming} octets")
                    octets += some
            except _AGAIN:
                pass
            try:
                if view:
                    view = view[sock.send(view[:65536]) :]
            except _AGAIN:
                pass
    return bytes(octets)


def stuff(sock: socket.socket, source: bytes) -> int:
    """
    Send as fast as possible until nothing more is taken.

    @param source: Sent again and again.
    @return: How many octets were taken.
    """
    position = 0
    with _nonBlocking(sock):
        while _ready(sock, select.POLLOUT, STALL):
            offset = position % len(source)
            try:
                # TLS wants to be offered the same octets again.
                position += sock.send(source[offset : offset + 16384])
            except _AGAIN:
                time.sleep(0.001)
                if not _ready(sock, select.POLLOUT, STALL):
                    break
    return position


def echo(listener: socket.socket, connections: int = 1) -> None:
    """
    Accept clients one after the other; send each what it sends, until its end.
    """
    for _ in range(connections):
        with accept(listener) as sock:
            while octets := sock.recv(262144):
                sock.sendall(octets)


def pattern(length: int) -> bytes:
    """
    Make octets in which no two places look alike.
    """
    return os.urandom(length)
