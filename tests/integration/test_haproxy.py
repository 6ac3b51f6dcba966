"""
Tests for a proxy behind a load balancer that speaks the PROXY protocol.

What tunnels do is in L{tests.integration.test_relay}, behind one too.
"""

from __future__ import annotations

import socket
import struct

from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import PRIVATE_TOO
from tests.integration.certificates import Authority
from tests.integration.peers import (
    ADMITTED,
    NOOP,
    accept,
    dial,
    encodeRequest,
    listen,
    placeOf,
    receiveAll,
    receiveReplies,
    receiveUntilBroken,
    requireAlert,
)
from tests.integration.proxies import ProxyTestCase, RunningProxy, inThread

ENDPOINT = "haproxy:tcp:0:interface=127.0.0.1"

NOOP_REQUEST = encodeRequest("0.0.0.0", 0, command=NOOP)
NOOP_REPLIES = ADMITTED + bytes.fromhex("00 0000 01 00000000 0000")

V1 = b"PROXY TCP6 2001:db8::7 2001:db8::9 40123 1080\r\n"

#: signature:12 version and command:1 family:1 length:2
#: source:4 destination:4 source port:2 destination port:2
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n"
    + bytes.fromhex("21 11 000c c0000207 c0000209")
    + struct.pack("!HH", 40123, 1080)
)


class PeerTests(ProxyTestCase):
    """
    Who the client is, according to the header.
    """

    def _noop(self, proxy: RunningProxy, *pieces: bytes) -> bytes:
        """
        Send a header and NOOP, in a thread.
        """
        with dial(proxy.place) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (*pieces, NOOP_REQUEST):
                client.sendall(piece)
            return receiveAll(client)

    async def test_versionOne(self) -> None:
        """
        The log names the address of a header in text.
        """
        proxy = self.startProxy(ENDPOINT)
        self.assertEqual(await inThread(self._noop, proxy, V1), NOOP_REPLIES)
        await self.untilForgotten(proxy)
        self.assertTrue(self.lines[0].startswith("[2001:db8::7]:40123 - noop "), self.lines)

    async def test_versionTwo(self) -> None:
        """
        The log names the address of a header in octets.
        """
        proxy = self.startProxy(ENDPOINT)
        self.assertEqual(await inThread(self._noop, proxy, V2), NOOP_REPLIES)
        await self.untilForgotten(proxy)
        self.assertTrue(self.lines[0].startswith("192.0.2.7:40123 - noop "), self.lines)

    async def test_noHeader(self) -> None:
        """
        Somebody who comes without a header is cut off.
        """
        proxy = self.startProxy(ENDPOINT)

        def talk() -> bytes:
            with dial(proxy.place) as client:
                client.sendall(NOOP_REQUEST * 10)
                return receiveUntilBroken(client)

        self.assertEqual(await inThread(talk), b"")
        await self.untilForgotten(proxy)

    async def test_endBeforeRequest(self) -> None:
        """
        Somebody who sends a header and ends is forgotten, as are health checks
        that send nothing.
        """
        proxy = self.startProxy(ENDPOINT)

        def talk() -> None:
            for header in (V1, b""):
                with dial(proxy.place) as client:
                    client.sendall(header)
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(receiveAll(client), b"")

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_withTLS(self) -> None:
        """
        The header comes before TLS.
        """
        authority = Authority(self.folder())
        # The balancer names a client that is not on this machine.
        rules = RuleBook(PRIVATE_TOO)
        proxy = self.startProxy(ENDPOINT, authority=authority, rules=rules)
        listener = self.keep(listen())

        def talk() -> bytes:
            raw = dial(proxy.place)
            raw.sendall(V1)
            context = authority.clientContext()
            with context.wrap_socket(raw, server_hostname="localhost") as client:
                requireAlert(client)
                client.sendall(encodeRequest(*placeOf(listener)))
                with accept(listener) as server:
                    server.sendall(b"all there is")
                receiveReplies(client)
                return receiveAll(client)

        self.assertEqual(await inThread(talk), b"all there is")
        await self.untilForgotten(proxy)
        self.assertTrue(self.lines[0].startswith("[2001:db8::7]:40123 - connect "), self.lines)
