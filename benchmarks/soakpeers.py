"""
Peers of L{soak}: honest ones, whose octets are checked, and others, who do anything.

Each gets dice of its own, so that what it does can be repeated; when the network lets it
do so cannot.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from threading import Lock

from soakends import Ends

from tests.integration.peers import (
    CONNECT,
    NOOP,
    SESSION_REQUEST,
    SESSION_TEARDOWN,
    SPENT,
    Place,
    Verdict,
    dial,
    encodeCredentials,
    encodeHost,
    encodeMethods,
    encodePassword,
    encodeRequest,
    encodeSessionID,
    encodeTokenExpenditure,
    encodeTokenRequest,
    exchange,
    finish,
    receive,
    receiveAll,
    receiveReply,
    receiveVerdict,
    reset,
    vanish,
)

BIND, ASSOCIATE = 2, 3

#: Who may use the proxy.
NAME, PASSWORD = b"soak", b"secret"
LOGIN = encodePassword(NAME, PASSWORD)

#: Octets of the largest payload of an honest peer.
MOST = 400_000

#: What may happen to those who do anything.
EXPECTED = (OSError, EOFError, ssl.SSLError, ValueError, struct.error)


class Wrong(Exception):
    """
    An honest peer did not get what it should have.
    """


@dataclass
class Field:
    """
    Where the peers meet, and what they have found out.

    @ivar plain: Where the proxy listens.
    @ivar tls: Where it does with TLS.
    @ivar udp: Where it takes datagrams.
    @ivar dtls: Where it does with DTLS.
    @ivar counts: How often something happened.
    @ivar tunnels: The client's port, and the octets sent and received, of each tunnel
        that came to its good end: how often.
    """

    plain: Place
    tls: Place
    udp: tuple[str, int]
    dtls: tuple[str, int]
    context: ssl.SSLContext
    ends: Ends
    counts: Counter[str] = field(default_factory=Counter)
    tunnels: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def count(self, what: str, number: int = 1) -> None:
        """
        Count something.
        """
        with self.lock:
            self.counts[what] += number

    def connect(self, dice: Random) -> socket.socket:
        """
        Connect to the proxy, with TLS or without.
        """
        self.count("connections")
        if dice.random() < 0.7:
            return dial(self.plain)
        self.count("connections over TLS")
        sock = dial(self.tls)
        try:
            return self.context.wrap_socket(sock, server_hostname="localhost")
        except BaseException:
            sock.close()
            raise


def _ask(sock: socket.socket, request: bytes) -> Verdict:
    """
    Send a request that must be let in.
    """
    sock.sendall(request)
    verdict = receiveVerdict(sock)
    if verdict.kind:
        raise Wrong(f"not let in: {verdict}")
    return verdict


def _succeed(sock: socket.socket) -> tuple[str, int]:
    """
    Read an Operation Reply that must be good news.
    """
    reply = receiveReply(sock)
    if reply.code:
        raise Wrong(f"reply code {reply.code}")
    return reply.host, reply.port


# --- honest peers ---


def _check(sock: socket.socket, where: Field, dice: Random, port: int | None) -> None:
    """
    Send octets through a tunnel to somebody who sends them back, and compare.

    @param port: The client's, if this tunnel has a line of its own in the log.
    """
    data = dice.randbytes(int(MOST ** dice.random()))
    back = exchange(sock, data, len(data))
    if hashlib.sha256(back).digest() != hashlib.sha256(data).digest():
        raise Wrong(f"{len(data)} octets came back as others")
    if not isinstance(sock, ssl.SSLSocket):
        sock.shutdown(socket.SHUT_WR)
        if receiveAll(sock):
            raise Wrong("more came back than was sent")
    finish(sock)
    where.count("octets checked", 2 * len(data))
    where.count("honest tunnels")
    if port is not None:
        with where.lock:
            where.tunnels[port, len(data), len(data)] += 1


def tunnel(where: Field, dice: Random) -> None:
    """
    A tunnel, with the password in the request or negotiated.
    """
    with where.connect(dice) as sock:
        port = sock.getsockname()[1]
        target = ("127.0.0.1", where.ends.echo)
        if dice.random() < 0.7:
            _ask(sock, encodeRequest(*target, LOGIN))
        else:
            sock.sendall(encodeRequest(*target, encodeMethods(2)))
            if receiveVerdict(sock).method != 2:
                raise Wrong("no demand for a password")
            sock.sendall(encodeCredentials(NAME, PASSWORD))
            if receive(sock, 2) != b"\1\0" or receiveVerdict(sock).kind:
                raise Wrong("the password was not taken")
        _succeed(sock)
        _check(sock, where, dice, port)


def session(where: Field, dice: Random) -> None:
    """
    A session with tokens, each of which is spent once, and then it is torn down.
    """
    with where.connect(dice) as sock:
        verdict = _ask(
            sock,
            encodeRequest("0.0.0.0", 0, LOGIN + SESSION_REQUEST + encodeTokenRequest(16), NOOP),
        )
        _succeed(sock)
    if verdict.identifier is None or verdict.window is None:
        # Others have taken all there are.
        where.count("sessions declined")
        return
    member = encodeSessionID(verdict.identifier)
    base, _ = verdict.window
    where.count("sessions")
    # In their order: one far up shifts the window.
    for token in sorted(dice.sample(range(base, base + 16), 3)):
        options = member + encodeTokenExpenditure(token % 2**32)
        with where.connect(dice) as sock:
            port = sock.getsockname()[1]
            sock.sendall(encodeRequest("127.0.0.1", where.ends.echo, options))
            verdict = receiveVerdict(sock)
            if verdict.kind and 5 in verdict.news:
                # So slow were we.
                where.count("sessions expired")
                return
            if verdict.outcome != SPENT:
                raise Wrong(f"a fresh token: {verdict.outcome}")
            _succeed(sock)
            _check(sock, where, dice, port)
        with where.connect(dice) as sock:
            sock.sendall(encodeRequest("127.0.0.1", where.ends.echo, options))
            verdict = receiveVerdict(sock)
            if not verdict.kind and (verdict.outcome == SPENT or not receiveReply(sock).code):
                raise Wrong("a token was spent twice")
        where.count("tokens spent")
    with where.connect(dice) as sock:
        sock.sendall(encodeRequest("0.0.0.0", 0, member + SESSION_TEARDOWN, NOOP))
        receiveVerdict(sock)


def bind(where: Field, dice: Random) -> None:
    """
    A port of the proxy, and a host that connects there.
    """
    with where.connect(dice) as sock:
        _ask(sock, encodeRequest("127.0.0.1", 0, LOGIN, BIND))
        with dial(_succeed(sock)) as host:
            mine = host.getsockname()[1]
            if _succeed(sock)[1] != mine:
                raise Wrong("another host than ours")
            for sender, receiver in ((sock, host), (host, sock)):
                data = dice.randbytes(dice.randrange(1, 50_000))
                sender.sendall(data)
                if receive(receiver, len(data)) != data:
                    raise Wrong("other octets through a port")
                where.count("octets checked", len(data))
        if receiveAll(sock):
            raise Wrong("octets behind the end")
        where.count("honest binds")


def association(where: Field, dice: Random) -> None:
    """
    Datagrams to somebody who sends them back.  Each that comes back must be one that was
    sent; some must.
    """
    with where.connect(dice) as sock, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        _ask(sock, encodeRequest("0.0.0.0", 0, LOGIN, ASSOCIATE))
        _succeed(sock)
        header = b"\6\0" + receive(sock, 4) + struct.pack("!H", where.ends.datagrams)
        header += encodeHost("127.0.0.1")
        datagrams.settimeout(1.0)
        sent = [dice.randbytes(dice.randrange(1, 1400)) for _ in range(5)]
        back = 0
        for payload in sent:
            for _ in range(10):
                datagrams.sendto(header + payload, where.udp)
                with suppress(TimeoutError):
                    answer = datagrams.recv(65536)
                    if answer[: len(header)] != header or answer[len(header) :] not in sent:
                        raise Wrong("another datagram than any that was sent")
                    back += 1
                    where.count("octets checked", 2 * len(payload))
                    break
        if not back or receive(sock, 1) != b"\0":
            raise Wrong("no datagram has come back")
        where.count("datagrams", back)
    where.count("honest associations")


HONEST: tuple[Callable[[Field, Random], None], ...] = (
    *(tunnel,) * 6,
    session,
    bind,
    association,
)


# --- the others ---


def leave(sock: socket.socket, dice: Random) -> None:
    """
    Go away in one way or another.
    """
    way = dice.randrange(4)
    if way == 0:
        reset(sock)
    elif way == 1:
        vanish(sock)
    elif way == 2 and isinstance(sock, ssl.SSLSocket):
        sock.settimeout(2 * dice.random())
        with suppress(*EXPECTED):
            sock.unwrap()
        sock.close()
    else:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        listen(sock, dice.random())
        sock.close()


def listen(sock: socket.socket, seconds: float) -> None:
    """
    Read for a while, or to the end; some never stop to send.
    """
    until = time.monotonic() + seconds
    with suppress(*EXPECTED):
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(65536):
                return


def damage(octets: bytes, dice: Random) -> bytes:
    """
    Change some octets, or leave some out.
    """
    damaged = bytearray(octets)
    for _ in range(dice.randrange(1, 4)):
        place = dice.randrange(len(damaged))
        if dice.random() < 0.3:
            del damaged[place:]
            damaged += dice.randbytes(dice.randrange(1, 40))
        else:
            damaged[place] = dice.randrange(256)
    return bytes(damaged)


def _options(dice: Random) -> bytes:
    """
    Make options, of which most make sense alone.
    """
    some = [
        SESSION_REQUEST,
        SESSION_TEARDOWN,
        encodeTokenRequest(dice.randrange(1, 2**31)),
        encodeTokenExpenditure(dice.randrange(2**32)),
        encodeSessionID(dice.randbytes(dice.randrange(40))),
        encodeMethods(*dice.sample(range(256), 3)),
        encodeMethods(2),
        encodePassword(NAME, b"guess"),
        bytes([1, 0, 7, 0x84, 1]) + dice.randbytes(2),
        bytes([1, 0, 7, 0x40, 4]) + dice.randbytes(2),
    ]
    chosen = dice.sample(some, dice.randrange(4))
    return b"".join(chosen if dice.random() < 0.3 else [LOGIN, *chosen])


def _request(where: Field, dice: Random) -> bytes:
    """
    Make a request for anything.
    """
    ends = where.ends
    port = dice.choice((ends.echo, ends.breaking, ends.pouring, 0, 1, dice.randrange(65536)))
    host = dice.choice(("127.0.0.1", "127.0.0.1", "localhost", "0.0.0.0", "::1", "bad_ name"))
    command = dice.choice((CONNECT,) * 6 + (NOOP, BIND, ASSOCIATE, dice.randrange(256)))
    return encodeRequest(host, port, _options(dice), command)


def silent(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Say nothing for a while.
    """
    time.sleep(dice.random() / 2)


def garbage(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Send anything.
    """
    start = dice.choice((b"", b"\6\0", b"\5\1\0", b"GET / HTTP/1.1\r\n", b"\x16\3\1"))
    sock.sendall(start + dice.randbytes(dice.randrange(3000)))


def half(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Send a part of a request.
    """
    request = _request(where, dice)
    sock.sendall(request[: dice.randrange(len(request))])
    time.sleep(dice.random() / 10)


def broken(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Send almost a request.
    """
    sock.sendall(damage(_request(where, dice), dice) + dice.randbytes(dice.randrange(100)))
    time.sleep(dice.random() / 10)


def whole(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Send a request, and maybe something behind it, and go.
    """
    sock.sendall(_request(where, dice) + dice.randbytes(dice.randrange(2) * 500))
    time.sleep(dice.random() / 5)


def trickle(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Send a request one octet at a time.
    """
    for octet in _request(where, dice):
        sock.sendall(bytes([octet]))
        time.sleep(0.002)


def deaf(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Never read what is poured.
    """
    port = dice.choice((where.ends.pouring, where.ends.echo))
    sock.sendall(encodeRequest("127.0.0.1", port, LOGIN))
    until = time.monotonic() + dice.random()
    sock.settimeout(0.5)
    while time.monotonic() < until:
        sock.sendall(bytes(10_000))


def abort(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Go in the middle of a tunnel.
    """
    sock.sendall(encodeRequest("127.0.0.1", where.ends.echo, LOGIN))
    receiveVerdict(sock)
    receiveReply(sock)
    sock.sendall(dice.randbytes(dice.randrange(1, 100_000)))
    sock.recv(dice.randrange(1, 100_000))


def opened(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Open a port, or a session with a port, and leave; hosts may come.
    """
    options = LOGIN
    if dice.random() < 0.5:
        options += SESSION_REQUEST + bytes([1, 0, 7, 0x40, 4, 0, dice.randrange(2, 9)])
    sock.sendall(encodeRequest("127.0.0.1", 0, options, BIND))
    receiveVerdict(sock)
    reply = receiveReply(sock)
    hosts = [dial((reply.host, reply.port)) for _ in range(dice.randrange(4))]
    time.sleep(dice.random() / 5)
    for host in hosts:
        with suppress(*EXPECTED):
            leave(host, dice)


def associated(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Send rubbish as datagrams, with the right association and without.
    """
    sock.sendall(encodeRequest("0.0.0.0", 0, LOGIN, ASSOCIATE))
    receiveVerdict(sock)
    receiveReply(sock)
    identifier = receive(sock, 4)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for _ in range(dice.randrange(1, 30)):
            name = dice.choice((identifier, identifier, dice.randbytes(4)))
            target = struct.pack("!H", dice.choice((where.ends.datagrams, 0, 9))) + dice.choice(
                (encodeHost("127.0.0.1"), encodeHost("::1"), encodeHost("localhost"), b"\7abc")
            )
            octets = b"\6\0" + name + target + dice.randbytes(dice.randrange(100))
            if dice.random() < 0.3:
                octets = damage(octets, dice)
            datagrams.sendto(octets, dice.choice((where.udp, where.dtls)))


def crowd(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Be many at once.
    """
    others = [dial(where.plain) for _ in range(dice.randrange(5, 25))]
    where.count("connections", len(others))
    for other in others:
        with suppress(*EXPECTED):
            other.sendall(_request(where, dice))
    for other in others:
        with suppress(*EXPECTED):
            leave(other, dice) if dice.random() < 0.2 else reset(other)


def confused(where: Field, dice: Random, sock: socket.socket) -> None:
    """
    Speak to the TLS port without TLS.
    """
    with dial(where.tls) as other:
        where.count("connections")
        hello = bytes.fromhex("16 0301 0040 01 00003c 0303")
        other.sendall(dice.choice((_request(where, dice), hello, dice.randbytes(50))))
        listen(other, dice.random())
        leave(other, dice)


OTHERS: tuple[Callable[[Field, Random, socket.socket], None], ...] = (
    silent,
    garbage,
    half,
    broken,
    broken,
    whole,
    whole,
    trickle,
    deaf,
    abort,
    opened,
    associated,
    crowd,
    confused,
)


def anybody(where: Field, dice: Random) -> None:
    """
    Do anything, and go away.
    """
    act = dice.choice(OTHERS)
    where.count(f"others: {act.__name__}")
    with suppress(*EXPECTED), where.connect(dice) as sock:
        with suppress(*EXPECTED):
            act(where, dice, sock)
        leave(sock, dice)
