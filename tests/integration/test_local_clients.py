"""
Tests for the local proxifier with the SOCKS clients of Python's users: PySocks and
aiohttp-socks.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket

import socks
from aiohttp import ClientSession, ClientTimeout
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError

from tests.integration.chain import ChainTestCase, portOf
from tests.integration.peers import (
    DEADLINE,
    accept,
    exchange,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
    refusingPlace,
)
from tests.integration.twistd import Twistd
from tests.integration.webserver import WebServer

#: What PySocks speaks.
TYPES = (socks.SOCKS5, socks.SOCKS4, socks.HTTP)

SIZE = 3_000_000


class PySocksTests(ChainTestCase):
    """
    PySocks.
    """

    def dial(
        self, port: int, kind: int, place: tuple[str, int], **options: object
    ) -> socket.socket:
        """
        Connect through the proxifier.
        """
        sock: socket.socket = socks.create_connection(
            place,
            timeout=DEADLINE,
            proxy_type=kind,
            proxy_addr="127.0.0.1",
            proxy_port=port,
            **options,
        )
        self.addCleanup(sock.close)
        return sock

    def test_tunnels(self) -> None:
        """
        Octets pass both ways, and each direction ends alone; names are the proxy's to
        resolve, or PySocks's own.
        """
        port = portOf(self.startChain())
        data = pattern(SIZE)
        with listen() as listener:
            host, remotePort = placeOf(listener)
            for kind in TYPES:
                for name, rdns in [(host, True), ("localhost", True), ("localhost", False)]:
                    client = self.dial(port, kind, (name, remotePort), proxy_rdns=rdns)
                    # SOCKS 5 lets clients speak before the way is open.
                    client.sendall(b"first")
                    server = accept(listener)
                    self.assertEqual(receive(server, 5), b"first")
                    server.sendall(data)
                    self.assertTrue(receive(client, SIZE) == data)
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(receiveAll(server), b"")
                    server.sendall(b"last")
                    server.close()
                    self.assertEqual(receiveAll(client), b"last")

    def test_credentials(self) -> None:
        """
        With user name and password.
        """
        local = self.startChain()
        with listen() as listener:
            for kind in TYPES:
                who = {"proxy_username": "ada", "proxy_password": "s3cret"}
                if kind == socks.SOCKS4:
                    del who["proxy_password"]
                client = self.dial(portOf(local), kind, placeOf(listener), **who)
                with accept(listener) as server:
                    self.assertEqual(exchange(server, b"here", 0), b"")
                    self.assertEqual(receive(client, 4), b"here")
                client.close()
        local.waitFor(lambda: local.output().count(" ada connect ") == 3, "no user")

    def test_refused(self) -> None:
        """
        What goes wrong is an exception.
        """
        port = portOf(self.startChain("--no-optimistic"))
        sock, place = refusingPlace()
        with sock:
            for kind, error, words in [
                (socks.SOCKS5, socks.SOCKS5Error, "0x05: Connection refused"),
                (socks.SOCKS4, socks.SOCKS4Error, "0x5b"),
                (socks.HTTP, socks.HTTPError, "502"),
            ]:
                raised = self.assertRaises(socks.ProxyError, self.dial, port, kind, place)
                reason = raised.socket_err or raised
                self.assertIsInstance(reason, error)
                self.assertIn(words, str(reason))


class AiohttpTests(ChainTestCase):
    """
    aiohttp-socks.
    """

    async def fetch_(self, url: str, proxy: str, rdns: bool | None = None) -> tuple[int, bytes]:
        """
        Fetch something.
        """
        connector = ProxyConnector.from_url(proxy, rdns=rdns)
        timeout = ClientTimeout(DEADLINE)
        async with (
            ClientSession(connector=connector, timeout=timeout) as session,
            session.get(url) as response,
        ):
            return response.status, await response.read()

    async def send(self, url: str, proxy: str, data: bytes) -> bytes:
        """
        Send something, and read the answer.
        """
        async with (
            ClientSession(connector=ProxyConnector.from_url(proxy)) as session,
            session.put(url, data=data) as response,
        ):
            return await response.read()

    def test_fetch(self) -> None:
        """
        Pages arrive by SOCKS 5, SOCKS 4 and CONNECT, and bodies there, with and without
        credentials.
        """
        data = pattern(SIZE)
        server = WebServer(self)
        server.pages["/big"] = (data, "application/octet-stream")
        proxy = Twistd(self, "--port=0")
        port = portOf(self.startChain(proxy=proxy))
        url = server.url("/big", "localhost")
        for scheme in ("socks5", "socks4", "http"):
            for who in ("", "ada:s3cret@"):
                where = f"{scheme}://{who}127.0.0.1:{port}"
                self.assertEqual(asyncio.run(self.fetch_(url, where, True)), (200, data), where)
                digest = asyncio.run(self.send(server.url("/"), where, data))
                self.assertEqual(digest.decode(), hashlib.sha256(data).hexdigest(), where)
        proxy.waitFor(
            lambda: proxy.output().count(f" connect localhost:{server.place[1]}:") == 6,
            "names do not arrive",
        )

    def test_refused(self) -> None:
        """
        What goes wrong is an exception.
        """
        port = portOf(self.startChain("--no-optimistic"))
        sock, (host, remotePort) = refusingPlace()
        with sock:
            url = f"http://{host}:{remotePort}/"
            for scheme, words in [
                ("socks5", "Connection refused"),
                ("socks4", "rejected"),
                ("http", "502"),
            ]:
                with self.assertRaises((ProxyError, ProxyConnectionError)) as caught:
                    asyncio.run(self.fetch_(url, f"{scheme}://127.0.0.1:{port}"))
                self.assertIn(words, str(caught.exception))
