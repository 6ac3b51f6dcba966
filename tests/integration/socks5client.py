"""
Programs that speak SOCKS with the local proxifier, octet by octet.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

from tests.integration.peers import DEADLINE, Place, dial, encodeHost, receive, receiveHost

BIND = 2
UDP_ASSOCIATE = 3

#: The address that is none in particular.
NOWHERE = ("0.0.0.0", 0)


class SOCKSReply(NamedTuple):
    """
    A reply.

    @ivar code: How it went.
    @ivar place: The address and the port in it.
    """

    code: int
    place: tuple[str, int]


def encodePlace(host: str, port: int) -> bytes:
    """
    Write an address and a port as SOCKS 5 does.

    @param host: A name, or an IP address in text form.
    """
    return encodeHost(host) + port.to_bytes(2, "big")


def askSOCKS5(place: Place, command: int, where: tuple[str, int] = NOWHERE) -> socket.socket:
    """
    Ask for something.

    @return: The connection; the reply has not been read.
    """
    sock = dial(place)
    sock.sendall(b"\5\1\0" + b"\5" + bytes([command]) + b"\0" + encodePlace(*where))
    assert receive(sock, 2) == b"\5\0"
    return sock


def receiveSOCKS5(sock: socket.socket) -> SOCKSReply:
    """
    Read a reply.
    """
    version, code, _, kind = receive(sock, 4)
    assert version == 5
    host = receiveHost(sock, kind)
    return SOCKSReply(code, (host, int.from_bytes(receive(sock, 2), "big")))


def askSOCKS4(place: Place, command: int, where: tuple[str, int] = NOWHERE) -> socket.socket:
    """
    Ask for something in SOCKS 4.
    """
    host, port = where
    sock = dial(place)
    sock.sendall(
        b"\4" + bytes([command]) + port.to_bytes(2, "big") + ip_address(host).packed + b"\0"
    )
    return sock


def receiveSOCKS4(sock: socket.socket) -> SOCKSReply:
    """
    Read a reply in SOCKS 4.
    """
    version, code = receive(sock, 2)
    assert version == 0
    port = int.from_bytes(receive(sock, 2), "big")
    return SOCKSReply(code, (str(ip_address(receive(sock, 4))), port))


class Datagrams:
    """
    A program that sends and receives datagrams.

    @ivar control: Its connection.
    @ivar sock: Where its datagrams go out and come in.
    @ivar relay: Where they go.
    """

    def __init__(self, place: tuple[str, int], tellsPort: bool = False) -> None:
        """
        Be allowed to.

        @param tellsPort: Whether it tells the port that it sends from.
        """
        host, _ = place
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.settimeout(DEADLINE)
        self.sock.bind((host, 0))
        own = self.sock.getsockname()[1]
        self.control = askSOCKS5(place, UDP_ASSOCIATE, ("0.0.0.0", own if tellsPort else 0))
        code, self.relay = receiveSOCKS5(self.control)
        assert code == 0, code

    def close(self) -> None:
        """
        Be done.
        """
        self.control.close()
        self.sock.close()

    def send(self, payload: bytes, place: tuple[str, int], fragment: int = 0) -> None:
        """
        Send a datagram.
        """
        header = bytes([0, 0, fragment]) + encodePlace(*place)
        self.sock.sendto(header + payload, self.relay)

    def receive(self) -> tuple[bytes, tuple[str, int]]:
        """
        Wait for a datagram.

        @return: It, and where it comes from.
        """
        datagram, source = self.sock.recvfrom(65535)
        assert source[:2] == self.relay, source
        assert datagram[:3] == bytes(3), datagram[:3]
        size = {1: 4, 4: 16}[datagram[3]]
        host = ip_address(datagram[4 : 4 + size])
        port = int.from_bytes(datagram[4 + size : 6 + size], "big")
        return datagram[6 + size :], (str(host), port)
