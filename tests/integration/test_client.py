"""
The client with our own proxy.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    connectProtocol,
)
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import AuthenticationRefused, RequestRefused
from socks6.server.service import proxyService
from socks6.values.codes import ReplyCode
from tests.integration.scripted import Client, Echo, HalfCloseableDestination

reactor: Any = _reactor

LOOPBACK = "127.0.0.1"


class ClientAndProxyTests(TestCase):
    """
    L{SOCKS6ClientEndpoint} reaches destinations through L{proxyService}.
    """

    timeout = 60.0

    def startProxy(self, checkers: Any = ()) -> None:
        """
        Start a proxy that ends with the test.
        """
        service = proxyService(
            reactor, [TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK)], checkers
        )
        service.startService()
        self.addCleanup(service.stopService)
        address: Any = service.ports[0].getHost()
        self.proxyPort = address.port
        self.proxyEndpoint = TCP4ClientEndpoint(reactor, LOOPBACK, self.proxyPort)

    async def listen(self, build: Any) -> int:
        """
        Start a destination.

        @param build: Makes its protocols.
        @return: The port where it listens.
        """
        factory = Factory.forProtocol(build)
        factory.noisy = False
        port = await TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK).listen(factory)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def endpoint(self, port: int, host: str = LOOPBACK, **arguments: Any) -> SOCKS6ClientEndpoint:
        """
        Make an endpoint that leads through the proxy.
        """
        return SOCKS6ClientEndpoint(reactor, self.proxyEndpoint, host, port, **arguments)

    async def test_echo(self) -> None:
        """
        Many connections at once carry octets both ways; addresses and names work.
        """
        self.startProxy()
        port = await self.listen(Echo)
        octets = bytes(range(256)) * 400

        async def once(host: str, optimistic: bool) -> None:
            endpoint = self.endpoint(port, host, optimistic=optimistic)
            client = await connectProtocol(endpoint, Client(octets))
            self.assertEqual(await client.receive(len(octets)), octets)
            client.transport.loseConnection()
            await client.lost

        await gatherResults(
            [
                Deferred.fromCoroutine(once(host, optimistic))
                for host in (LOOPBACK, "localhost")
                for optimistic in (False, True)
                for _ in range(10)
            ]
        )

    async def test_string(self) -> None:
        """
        Endpoint strings work.
        """
        self.startProxy()
        port = await self.listen(Echo)
        endpoint = clientFromString(
            reactor,
            f"socks6:host=localhost:port={port}:proxy=tcp\\:{LOOPBACK}\\:{self.proxyPort}"
            ":optimistic=yes",
        )
        client = await connectProtocol(endpoint, Client(b"hello"))
        self.assertEqual(await client.receive(5), b"hello")
        client.transport.loseConnection()
        await client.lost

    async def test_credentials(self) -> None:
        """
        A proxy that asks who we are lets us in with the password, and only then.
        """
        self.startProxy([InMemoryUsernamePasswordDatabaseDontUse(ada=b"s3cret")])
        port = await self.listen(Echo)
        endpoint = self.endpoint(port, username="ada", password="s3cret")
        client = await connectProtocol(endpoint, Client(b"hello"))
        self.assertEqual(await client.receive(5), b"hello")
        client.transport.loseConnection()
        await client.lost
        for arguments in ({}, {"username": "ada", "password": "other"}):
            endpoint = self.endpoint(port, **arguments)
            await self.assertFailure(connectProtocol(endpoint, Client()), AuthenticationRefused)
            endpoint = self.endpoint(port, optimistic=True, **arguments)
            client = await connectProtocol(endpoint, Client(b"hello"))
            self.assertIsInstance(await client.lost, AuthenticationRefused)

    async def test_refused(self) -> None:
        """
        What the proxy meets is what we are told, however much has been written.
        """
        self.startProxy()
        port = await self.listen(Echo)
        for host, number, code in [
            (LOOPBACK, 1, ReplyCode.CONNECTION_REFUSED),
            ("no-such-host.invalid", port, ReplyCode.HOST_UNREACHABLE),
        ]:
            refused = await self.assertFailure(
                connectProtocol(self.endpoint(number, host), Client()), RequestRefused
            )
            self.assertEqual(refused.code, code)
            for first in (b"", bytes(100), bytes(2_000_000)):
                endpoint = self.endpoint(number, host, optimistic=True)
                client = await connectProtocol(endpoint, Client(first))
                reason = await client.lost
                self.assertIsInstance(reason, RequestRefused)
                self.assertEqual(reason.code, code)

    async def test_halfClose(self) -> None:
        """
        A client that ends its direction gets the answer, also if it did so before
        the proxy had replied.
        """
        self.startProxy()
        for optimistic in (False, True):
            destination = HalfCloseableDestination()
            port = await self.listen(partial(lambda made: made, destination))
            endpoint = self.endpoint(port, optimistic=optimistic)
            client = await connectProtocol(endpoint, Client(b"question"))
            client.transport.loseWriteConnection()
            await destination.inputEnded
            self.assertEqual(destination.received, b"question")
            destination.transport.write(b"answer")
            destination.transport.loseConnection()
            await client.readLost
            self.assertEqual(client.received, b"answer")
            client.transport.loseConnection()
            await client.lost

    async def test_closedAtOnce(self) -> None:
        """
        What a client has written before it closed arrives, though it did not wait
        for anything.
        """
        self.startProxy()
        for first in (b"all there is", bytes(range(256)) * 4096):
            destination = HalfCloseableDestination()
            port = await self.listen(partial(lambda made: made, destination))
            endpoint = self.endpoint(port, optimistic=True)
            client = await connectProtocol(endpoint, Client(first))
            client.transport.loseConnection()
            await client.lost
            await destination.inputEnded
            self.assertTrue(destination.received == first, "something got lost")
            destination.transport.loseConnection()
            await destination.lost
