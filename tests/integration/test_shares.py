"""
Tests for the shares that clients have of what all of them need.
"""

from __future__ import annotations

import socket
from threading import Event
from typing import Any

from socks6.outbound.resolver import THREADS
from tests.integration.peers import (
    DEADLINE,
    accept,
    dial,
    encodeRequest,
    listen,
    openTunnel,
    receive,
)
from tests.integration.proxies import ProxyTestCase, RunningProxy, inThread


class NamesTests(ProxyTestCase):
    """
    Name servers that do not answer, which is what the system waits for.
    """

    def setUp(self) -> None:
        """
        Let some names hang.
        """
        super().setUp()
        #: Names for which the system waits at the moment.
        self.hanging: list[str] = []
        self.answer = Event()
        self.addCleanup(self.answer.set)
        original = socket.getaddrinfo

        def getaddrinfo(name: Any, *arguments: Any, **options: Any) -> Any:
            if not str(name).endswith(".hang.example"):
                return original(name, *arguments, **options)
            self.hanging.append(name)
            self.answer.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        self.patch(socket, "getaddrinfo", getaddrinfo)

    def flood(self, place: Any, host: str, count: int) -> list[socket.socket]:
        """
        Ask for many names from one address, and wait for nothing.
        """
        clients = []
        for number in range(count):
            name = f"{host}-{number}-{len(self.hanging)}.hang.example"
            client = socket.create_connection(place, DEADLINE, (host, 0))
            clients.append(self.keep(client))
            client.sendall(encodeRequest(name, 80))
        return clients

    def hangingFor(self, host: str) -> int:
        """
        Count the names of a client for which the system waits.
        """
        return sum(name.startswith(f"{host}-") for name in self.hanging)

    async def assertServed(self, proxy: RunningProxy, name: str = "localhost") -> None:
        """
        Check that a client at another address gets a tunnel to a name.
        """
        listener = self.keep(listen())

        def use() -> bytes:
            with dial(proxy.place) as client:
                openTunnel(client, (name, listener.getsockname()[1]))
                with accept(listener) as remote:
                    remote.sendall(b"hello")
                return receive(client, 5)

        self.assertEqual(await inThread(use), b"hello")

    async def test_flood(self) -> None:
        """
        Who asks for any number of names that hang gets half of the threads, also if he
        leaves and comes again, and others' names are looked up meanwhile.
        """
        proxy = self.startProxy()
        for _ in range(2):
            clients = await inThread(self.flood, proxy.place, "127.0.0.2", THREADS + 40)
            await self.until(lambda: self.hangingFor("127.0.0.2") >= THREADS // 2, "names hang")
            await self.assertServed(proxy)
            for client in clients:
                client.close()
            await self.untilForgotten(proxy)
        self.assertEqual(len(self.hanging), THREADS // 2)
        self.answer.set()

    async def test_several(self) -> None:
        """
        Several who do that leave threads for others as well.
        """
        proxy = self.startProxy()
        share = THREADS
        for number in range(2, 6):
            share //= 2
            host = f"127.0.0.{number}"
            await inThread(self.flood, proxy.place, host, share + 10)
            await self.until(lambda h=host, s=share: self.hangingFor(h) == s, host)  # type: ignore[misc]
            await self.assertServed(proxy)
        self.assertEqual(len(self.hanging), THREADS - share)
        self.answer.set()
