"""
Many clients of a proxy, and the remote hosts that they talk to, in a process of
their own: C{python -m tests.integration.crowd KIND PORT COUNT AT_ONCE}.

Only as fast as the proxy: everything is done for one tunnel after the other,
but for many before the next step.  Ends with status 0 if all was right.
"""

from __future__ import annotations

import resource
import socket
import struct
import sys

from tests.integration.peers import (
    ADMITTED,
    Place,
    accept,
    dial,
    encodeRequest,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveUntilBroken,
    refusingPlace,
    reset,
)

#: Octets that a tunnel carries each way, behind its number.
LENGTH = 2000

#: Octets of the replies to CONNECT with an IPv4 address.
REPLIES = len(ADMITTED) + 10


def tunnels(place: Place, count: int) -> None:
    """
    Open tunnels, let each echo, and close them: in all the ways there are.
    """
    with listen(backlog=count) as listener:
        request = encodeRequest(*placeOf(listener))
        data = pattern(LENGTH)
        clients = []
        for number in range(count):
            client = dial(place)
            client.sendall(request + struct.pack("!I", number) + data)
            clients.append(client)
        servers = [accept(listener) for _ in clients]
    for server in servers:
        server.sendall(receive(server, 4 + LENGTH))
    for number, client in enumerate(clients):
        octets = receive(client, REPLIES + 4 + LENGTH)
        assert octets[: len(ADMITTED) + 1] == ADMITTED + b"\0", octets[:7].hex()
        assert octets[REPLIES:] == struct.pack("!I", number) + data, "not what was sent"
    # Which server belongs to which client is unknown, and does not matter.
    for number, (client, server) in enumerate(zip(clients, servers, strict=True)):
        if number % 5 == 0:
            server.shutdown(socket.SHUT_WR)
        elif number % 5 == 1:
            client.shutdown(socket.SHUT_WR)
        elif number % 5 == 2:
            reset(client)
        elif number % 5 == 3:
            reset(server)
    for sock in (*clients, *servers):
        sock.close()


def rounds(place: Place, count: int) -> None:
    """
    Keep tunnels open all at once, and let each echo some times.
    """
    with listen(backlog=count) as listener:
        request = encodeRequest(*placeOf(listener))
        clients = [dial(place) for _ in range(count)]
        for client in clients:
            client.sendall(request)
        servers = [accept(listener) for _ in clients]
    for client in clients:
        assert receive(client, REPLIES)[: len(ADMITTED) + 1] == ADMITTED + b"\0"
    for turn in range(3):
        data = pattern(LENGTH)
        for number, client in enumerate(clients):
            client.sendall(struct.pack("!II", turn, number) + data)
        for server in servers:
            server.sendall(receive(server, 8 + LENGTH))
        for number, client in enumerate(clients):
            got = receive(client, 8 + LENGTH)
            assert got == struct.pack("!II", turn, number) + data, "not what was sent"
    for sock in clients:
        sock.shutdown(socket.SHUT_WR)
    for sock in servers:
        assert receiveAll(sock) == b""
        sock.close()
    for sock in clients:
        assert receiveAll(sock) == b""
        sock.close()


def rubbish(place: Place, count: int) -> None:
    """
    Send rubbish of several kinds.
    """
    kinds = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x05\x01\x00",
        bytes.fromhex("0600 01 0050 03 00"),
        bytes.fromhex("0600 01 0050 01 7f000001 ffff"),
        bytes.fromhex("0600 01"),
        b"",
    ]
    clients = [dial(place) for _ in range(count)]
    for number, client in enumerate(clients):
        client.sendall(kinds[number % len(kinds)])
        client.shutdown(socket.SHUT_WR)
    for client in clients:
        receiveUntilBroken(client)
        client.close()


def refusals(place: Place, count: int) -> None:
    """
    Ask for a port where nobody listens.
    """
    sock, destination = refusingPlace()
    with sock:
        clients = [dial(place) for _ in range(count)]
        for client in clients:
            client.sendall(encodeRequest(*destination))
        for client in clients:
            assert receiveAll(client)[: len(ADMITTED) + 1] == ADMITTED + b"\x05"
            client.close()


KINDS = {each.__name__: each for each in (tunnels, rounds, rubbish, refusals)}


def main(kind: str, port: str, count: str, atOnce: str) -> None:
    """
    Do it.
    """
    raiseDescriptorLimit()
    for _ in range(0, int(count), int(atOnce)):
        KINDS[kind](("127.0.0.1", int(port)), int(atOnce))


def raiseDescriptorLimit() -> None:
    """
    Let this process open as many descriptors as the system allows.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main(*sys.argv[1:])
