"""
Tests for the IP type of service, as it stands in the packets.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from unittest import TestCase

from tests.integration.peers import (
    accept,
    ask,
    dial,
    encodeRequest,
    encodeTypeOfService,
    listen,
    placeOf,
    receive,
)
from tests.integration.proxies import ProxyTestCase, inThread

_ETH_P_ALL = 3
_SO_ATTACH_FILTER = 26

#: Instructions of the kernel's packet filters.
_LOAD_OCTET, _LOAD_PORT, _LOAD_X, _LOAD_X_OF_IPV4 = 0x30, 0x48, 0x01, 0xB1
_SHIFT_RIGHT, _JUMP, _JUMP_IF_EQUAL, _RETURN = 0x74, 0x05, 0x15, 0x06

_SYN, _ACK = 0x02, 0x10

CLIENT_LEG, REMOTE_LEG, BOTH_LEGS = 1, 2, 3


class Packet:
    """
    What the headers of a TCP segment say.

    @ivar source: The port it comes from.
    @ivar destination: The port it goes to.
    @ivar tos: The IP type of service, or the IPv6 traffic class.
    @ivar syn: Whether it opens the connection.
    @ivar length: Octets of data.
    """

    def __init__(self, octets: bytes) -> None:
        """
        @param octets: A packet, from its IP header on.
        @raise ValueError: It is no TCP segment.
        """
        if octets[0] >> 4 == 4:
            start, protocol, self.tos = (octets[0] & 15) * 4, octets[9], octets[1]
        else:
            start, protocol = 40, octets[6]
            self.tos = struct.unpack("!H", octets[:2])[0] >> 4 & 0xFF
        if protocol != socket.IPPROTO_TCP:
            raise ValueError("another protocol")
        self.source, self.destination = struct.unpack_from("!HH", octets, start)
        header, flags = struct.unpack_from("!BB", octets, start + 12)
        self.syn = flags & (_SYN | _ACK) == _SYN
        self.length = len(octets) - start - (header >> 4) * 4


def _portFilter(ports: Sequence[int]) -> bytes:
    """
    Write a program for the kernel that lets packets to and from some ports through.

    @see: C{man 7 packet} and C{SO_ATTACH_FILTER}; an instruction is
        code:2 jump if true:1 jump if false:1 operand:4
    """
    # Where the TCP header begins, in X: behind IPv4's or IPv6's.
    program = [
        (_LOAD_OCTET, 0, 0, 0),
        (_SHIFT_RIGHT, 0, 0, 4),
        (_JUMP_IF_EQUAL, 0, 2, 4),
        (_LOAD_X_OF_IPV4, 0, 0, 0),
        (_JUMP, 0, 0, 1),
        (_LOAD_X, 0, 0, 40),
    ]
    checks = [(offset, port) for offset in (0, 2) for port in ports]
    for number, (offset, port) in enumerate(checks):
        rest = 2 * (len(checks) - number - 1)
        program += [(_LOAD_PORT, 0, 0, offset), (_JUMP_IF_EQUAL, rest + 1, 0, port)]
    program += [(_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFF)]
    return b"".join(struct.pack("=HBBI", *each) for each in program)


class Capture:
    """
    The packets of the loopback interface.
    """

    def __init__(self, testCase: TestCase, *ports: int) -> None:
        """
        Begin, or end the test: skip it where that is not allowed, but fail
        where C{CI} is C{true}.

        @param ports: Of which ports; none: of all.  Where other tests use the interface
            as well, their packets could fill the buffer.
        """
        try:
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)
            )
        except OSError as error:
            reason = f"packets cannot be captured: {error}"
            if os.environ.get("CI") == "true":
                testCase.fail(reason)
            testCase.skipTest(reason)
        testCase.addCleanup(self._socket.close)
        if ports:
            program = ctypes.create_string_buffer(_portFilter(ports))
            count, address = (len(program) - 1) // 8, ctypes.addressof(program)
            self._socket.setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", count, address)
            )
        self._socket.bind(("lo", _ETH_P_ALL))
        self._socket.setblocking(False)

    def packets(self) -> Iterator[Packet]:
        """
        Give all that has come since the last time.
        """
        while True:
            try:
                octets, (_, _, kind, _, _) = self._socket.recvfrom(65536)
            except BlockingIOError:
                return
            # The interface shows each packet on its way out and on its way in.
            if kind == socket.PACKET_OUTGOING:
                continue
            try:
                yield Packet(octets)
            except ValueError:
                continue


class TypeOfServiceTests(ProxyTestCase):
    """
    The legs that a request names carry what it asks for, and the reply says so.
    """

    async def _check(
        self,
        options: bytes,
        confirmed: bytes,
        client: int,
        remote: int,
        host: str = "127.0.0.1",
        endpoint: str = "tcp:0:interface=127.0.0.1",
    ) -> None:
        """
        Send something both ways through a tunnel, and look at the packets.

        @param options: The options of the request.
        @param confirmed: Those of the reply.
        @param client: The type of service of what goes to the client.
        @param remote: That of what goes to the remote host.
        @param host: Where that is.
        """
        proxy = self.startProxy(endpoint)
        listener = self.keep(listen(host))
        place, port = proxy.place, placeOf(listener)[1]
        assert isinstance(place, tuple)

        def talk() -> bytes:
            capture = Capture(self, port, place[1])
            with dial(proxy.place) as downstream:
                reply = ask(downstream, encodeRequest(*placeOf(listener), options))
                self.assertEqual(reply.code, 0)
                with accept(listener) as upstream:
                    downstream.sendall(b"question")
                    receive(upstream, 8)
                    upstream.sendall(b"answer")
                    receive(downstream, 6)
            self.packets = list(capture.packets())
            return reply.options

        self.assertEqual((await inThread(talk)).hex(), confirmed.hex())
        await self.untilForgotten(proxy)
        syn, *data = (p for p in self.packets if p.destination == port and (p.syn or p.length))
        self.assertTrue(syn.syn)
        self.assertEqual([syn.tos, *(p.tos for p in data)], [remote] * 2)
        toClient = [p.tos for p in self.packets if p.source == place[1] and p.length]
        # The Authentication Reply goes out before the option takes effect, if it does not
        # leave together with the Operation Reply.
        self.assertEqual(toClient[-2:], [client] * 2)

    async def test_none(self) -> None:
        """
        Without the option, packets are as the system makes them.
        """
        await self._check(b"", b"", 0, 0)

    async def test_remoteLeg(self) -> None:
        """
        On the remote leg: the SYN and what follows.
        """
        option = encodeTypeOfService(REMOTE_LEG, 0xB8)
        await self._check(option, option, 0, 0xB8)

    async def test_clientLeg(self) -> None:
        """
        On the client's leg.
        """
        option = encodeTypeOfService(CLIENT_LEG, 0x28)
        await self._check(option, option, 0x28, 0)

    async def test_bothLegs(self) -> None:
        """
        On both, by one option, which one option confirms.
        """
        option = encodeTypeOfService(BOTH_LEGS, 0x28)
        await self._check(option, option, 0x28, 0x28)

    async def test_bothLegsDifferently(self) -> None:
        """
        On both, by two options.
        """
        option = encodeTypeOfService(CLIENT_LEG, 0x28) + encodeTypeOfService(REMOTE_LEG, 0xB8)
        await self._check(option, option, 0x28, 0xB8)

    async def test_congestionNotification(self) -> None:
        """
        The two lowest bits are the kernel's, which the reply shows.
        """
        await self._check(
            encodeTypeOfService(BOTH_LEGS, 0xBB), encodeTypeOfService(BOTH_LEGS, 0xB8), 0xB8, 0xB8
        )

    async def test_IPv6(self) -> None:
        """
        By IPv6, it is the traffic class.
        """
        self.requireIPv6()
        option = encodeTypeOfService(BOTH_LEGS, 0x28)
        await self._check(option, option, 0x28, 0x28, "::1", "tcp6:0:interface=\\:\\:1")

    async def test_UNIXSocket(self) -> None:
        """
        A client's leg that has none is left out of the reply.
        """
        proxy = self.startProxy(f"unix:{self.folder()}/proxy")
        listener = self.keep(listen())

        def talk() -> bytes:
            with dial(proxy.place) as client:
                option = encodeTypeOfService(BOTH_LEGS, 0x28)
                reply = ask(client, encodeRequest(*placeOf(listener), option))
                accept(listener).close()
                return reply.options

        confirmed = await inThread(talk)
        self.assertEqual(confirmed, encodeTypeOfService(REMOTE_LEG, 0x28))
        await self.untilForgotten(proxy)
