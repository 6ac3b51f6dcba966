"""
UDP associations over raw sockets: the client's side of UDP ASSOCIATE, and remote hosts.

Written from the wire format alone, as L{tests.integration.peers} is.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from unittest import TestCase

from OpenSSL import SSL

from tests.integration.peers import (
    DEADLINE,
    STALL,
    Place,
    Reply,
    ask,
    dial,
    encodeHost,
    encodeRequest,
    receive,
    receiveAll,
)
from tests.integration.twistd import Twistd

ASSOCIATE = 3

ANY = ("0.0.0.0", 0)

#: A port on which clients' datagrams come in, as the log has it.
_PORT = re.compile(r"Datagrams of clients: (UDP|DTLS) port (?:\[([^]]+)\]|([^:]+)):(\d+)")

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def clientPorts(twistd: Twistd, count: int = 1) -> list[tuple[str, int]]:
    """
    Wait until a proxy takes datagrams.

    @param count: On how many ports.
    @return: Where, in the order of the log.
    """
    twistd.places()
    twistd.waitFor(lambda: len(_PORT.findall(twistd.output())) >= count, "no ports")
    return [(ipv6 or ipv4, int(port)) for _, ipv6, ipv4, port in _PORT.findall(twistd.output())]


def encodeHeader(identifier: bytes, host: str, port: int) -> bytes:
    """
    Write the header of a datagram.

    @return: version:2 association ID:4 port:2 address type:1 address:n
    """
    return b"\6\0" + identifier + struct.pack("!H", port) + encodeHost(host)


def decodeDatagram(datagram: bytes) -> tuple[bytes, tuple[str, int], bytes]:
    """
    Read a datagram from the proxy.

    @return: The association's ID, the remote host, and the payload.
    """
    version, identifier, port, kind = struct.unpack_from("!2s4sHB", datagram)
    assert version == b"\6\0", datagram[:9].hex()
    end = 9 + {1: 4, 4: 16}[kind]
    return identifier, (str(ip_address(datagram[9:end])), port), datagram[end:]


def openUDP(testCase: TestCase, host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """
    Open a UDP socket that ends with the test.
    """
    handle = socket.socket(_FAMILIES[ip_address(host).version], socket.SOCK_DGRAM)
    testCase.addCleanup(handle.close)
    handle.settimeout(DEADLINE)
    handle.bind((host, port))
    return handle


def freePort(host: str = "127.0.0.1") -> int:
    """
    Find a UDP port that is free, and that the system gives to nobody who does not name it.
    """
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket(_FAMILIES[ip_address(host).version], socket.SOCK_DGRAM) as handle:
            try:
                handle.bind((host, port))
            except OSError:
                continue
            return port


def requireIPv6(testCase: TestCase) -> None:
    """
    Skip a test where the loopback interface has no IPv6.
    """
    try:
        openUDP(testCase, "::1")
    except OSError as error:
        testCase.skipTest(f"no IPv6 here: {error}")


def nothingComes(handle: Any) -> bool:
    """
    Tell whether nothing comes any more.

    @param handle: A socket, or L{DTLSSocket}.
    """
    handle.settimeout(STALL)
    try:
        handle.recv(65536)
    except TimeoutError:
        return True
    finally:
        handle.settimeout(DEADLINE)
    return False


class DTLSSocket:
    """
    A UDP socket that speaks DTLS with one server.

    @ivar connection: The conversation.
    """

    def __init__(
        self,
        handle: socket.socket,
        place: Any,
        context: SSL.Context | None = None,
        losses: tuple[Callable[[], bool], Callable[[], bool]] = (lambda: False, lambda: False),
        patience: float = DEADLINE,
    ) -> None:
        """
        Shake hands.

        @param context: The client's; by default, one that trusts everybody.
        @param losses: Tell of each datagram that is sent or comes, in this order, whether it
            is lost, as long as the handshake takes.
        @param patience: Seconds that it may take.
        @raise SSL.Error: That failed.
        """
        self._handle = handle
        self._isLost, self._isLostOnItsWay = losses
        handle.connect(place)
        self.connection = SSL.Connection(context or dtlsContext())
        self.connection.set_connect_state()
        self.connection.set_ciphertext_mtu(1200)
        deadline = time.monotonic() + patience
        while True:
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                self._flush()
                self._take(deadline)
            else:
                self._flush()
                self._isLost = self._isLostOnItsWay = lambda: False
                return

    def settimeout(self, seconds: float) -> None:
        """
        Limit how long reading may take.
        """
        self._handle.settimeout(seconds)

    def send(self, data: bytes) -> None:
        """
        Send one record.
        """
        self.connection.send(data)
        self._flush()

    def recv(self, size: int) -> bytes:
        """
        Read one record.

        @raise TimeoutError: There is none.
        """
        while True:
            try:
                return self.connection.recv(size)
            except SSL.WantReadError:
                self.connection.bio_write(self._handle.recv(65536))

    def close(self) -> None:
        """
        Say good-bye.
        """
        self.connection.shutdown()
        self._flush()

    def _take(self, deadline: float) -> None:
        """
        Wait for a datagram of the handshake, and send again what nobody answers.
        """
        seconds = self.connection.DTLSv1_get_timeout()
        if time.monotonic() > deadline:
            raise TimeoutError("the handshake takes too long")
        self._handle.settimeout(seconds or 1.0)
        try:
            datagram = self._handle.recv(65536)
            if not self._isLostOnItsWay():
                self.connection.bio_write(datagram)
        except TimeoutError:
            self.connection.DTLSv1_handle_timeout()
        finally:
            self._handle.settimeout(DEADLINE)

    def _flush(self) -> None:
        """
        Send what there is to send, one record in each datagram.
        """
        try:
            flight = self.connection.bio_read(65536)
        except SSL.WantReadError:
            return
        while flight:
            end = 13 + int.from_bytes(flight[11:13], "big")
            if not self._isLost():
                self._handle.send(flight[:end])
            flight = flight[end:]


def dtlsContext() -> SSL.Context:
    """
    Make the context of a client that trusts everybody.
    """
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    return context


class RawAssociation:
    """
    A client with an association.

    @ivar connection: The TCP connection.
    @ivar reply: The Operation Reply.
    @ivar identifier: The association's ID.
    @ivar way: What datagrams are sent with: a UDP socket that is connected to the proxy,
        or a L{DTLSSocket}.
    """

    def __init__(
        self,
        testCase: TestCase,
        place: Place,
        way: Any,
        wish: tuple[str, int] = ANY,
        options: bytes = b"",
    ) -> None:
        """
        Begin an association.

        @param place: Where the proxy listens.
        @param wish: What to bind.
        """
        self._testCase = testCase
        self.connection = dial(place)
        testCase.addCleanup(self.connection.close)
        self.reply: Reply = ask(self.connection, encodeRequest(*wish, options, ASSOCIATE))
        testCase.assertEqual(self.reply.code, 0)
        self.identifier = receive(self.connection, 4)
        self.way = way

    def send(self, payload: bytes, host: str, port: int) -> None:
        """
        Send something to a remote host.
        """
        self.way.send(encodeHeader(self.identifier, host, port) + payload)

    def trigger(self) -> None:
        """
        Fix the association, and wait for the confirmation.
        """
        self.send(b"", *ANY)
        self.confirm()

    def confirm(self) -> None:
        """
        Wait for the confirmation.
        """
        self._testCase.assertEqual(receive(self.connection, 1), b"\0")

    def receive(self) -> tuple[bytes, tuple[str, int]]:
        """
        Wait for a datagram of a remote host.

        @return: Its payload, and the remote host.
        """
        identifier, source, payload = decodeDatagram(self.way.recv(65536))
        self._testCase.assertEqual(identifier, self.identifier)
        return payload, source

    def end(self) -> None:
        """
        End the association, and wait until it has ended.
        """
        self.connection.shutdown(socket.SHUT_WR)
        receiveAll(self.connection)
        self.connection.close()


def connected(testCase: TestCase, place: tuple[str, int], host: str = "") -> socket.socket:
    """
    Open a UDP socket that is connected to a proxy's port.
    """
    own = "::1" if ":" in place[0] else "127.0.0.1"
    handle = openUDP(testCase, host or own)
    handle.connect(place)
    return handle
