"""
The client over real sockets: TCP, unix and TLS.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
    wrapClientTLS,
    wrapServerTLS,
)
from twisted.internet.error import ConnectError, ConnectionDone, TimeoutError
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import AuthenticationRefused, RequestRefused
from socks6.values.codes import ReplyCode
from tests.client.certificates import certificateFor
from tests.client.doubles import (
    HOST,
    PORT,
    REQUEST,
    SUCCESS,
    authenticationReply,
    operationReply,
    refusal,
)
from tests.integration.scripted import (
    Client,
    Destination,
    Echo,
    HalfCloseableDestination,
    ScriptedProxy,
)

reactor: Any = _reactor

PROXY_NAME = "localhost"


def _same(destination: Destination) -> Destination:
    """
    Hand out a destination.
    """
    return destination


def _pause(client: Client) -> None:
    """
    Let a client not read.
    """
    client.transport.pauseProducing()


class ClientSocketsTestCase(TestCase):
    """
    Connects to scripted proxies.
    """

    timeout = 30.0

    async def listen(self, kind: str, proxy: ScriptedProxy, trust: Any) -> Any:
        """
        Start a proxy that ends with the test.

        @param kind: What it listens on.
        @param trust: Whom to trust, if TLS is to be spoken with it.
        @return: The endpoint that leads to it.
        """
        certificate = certificateFor(PROXY_NAME)
        if kind == "unix":
            folder = tempfile.TemporaryDirectory(prefix="socks6-")
            self.addCleanup(folder.cleanup)
            path = str(Path(folder.name) / "proxy")
            port = await UNIXServerEndpoint(reactor, path).listen(proxy)
            self.addCleanup(port.stopListening)
            return UNIXClientEndpoint(reactor, path)
        server: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        if kind != "tcp":
            server = wrapServerTLS(certificate.options(), server, reactor)
        port = await server.listen(proxy)
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        if kind == "ssl":
            return SSL4ClientEndpoint(reactor, "127.0.0.1", number, trust)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", number)
        return endpoint if kind == "tcp" else wrapClientTLS(trust, endpoint, reactor)

    async def endpoint(
        self, kind: str, proxy: ScriptedProxy, trust: Any = None, **arguments: Any
    ) -> Any:
        """
        Start a proxy.

        @return: An endpoint that leads through it.
        """
        trust = trust or optionsForClientTLS(PROXY_NAME, certificateFor(PROXY_NAME))
        way = await self.listen(kind, proxy, trust)
        return SOCKS6ClientEndpoint(reactor, way, HOST, PORT, **arguments)

    async def close(self, client: Client) -> None:
        """
        Close a connection, and wait until it is.
        """
        client.transport.loseConnection()
        await client.lost


class EveryTransportTests(ClientSocketsTestCase):
    """
    What works whatever leads to the proxy.
    """

    KINDS = ("tcp", "unix", "tls", "ssl")

    async def test_echo(self) -> None:
        """
        Octets go both ways unchanged, whether the client waits or not.
        """
        octets = bytes(range(256)) * 4096
        for kind in self.KINDS:
            for optimistic in (False, True):
                endpoint = await self.endpoint(
                    kind, ScriptedProxy(SUCCESS, Echo), optimistic=optimistic
                )
                client = await connectProtocol(endpoint, Client(octets))
                received = await client.receive(len(octets))
                self.assertEqual(received, octets)
                await self.close(client)
                self.assertEqual(len(client.received), len(octets))

    async def test_refused(self) -> None:
        """
        A refusal is told, and the connection ends.
        """
        replies = authenticationReply() + operationReply(ReplyCode.TTL_EXPIRED)
        for kind in self.KINDS:
            destination = Destination()
            endpoint = await self.endpoint(
                kind, ScriptedProxy(replies, partial(_same, destination))
            )
            failure = await self.assertFailure(connectProtocol(endpoint, Client()), RequestRefused)
            self.assertEqual(failure.code, ReplyCode.TTL_EXPIRED)
            self.assertIsInstance(await destination.lost, Exception)

    async def test_optimisticRefused(self) -> None:
        """
        A client that did not wait is told by its protocol.
        """
        for kind in self.KINDS:
            endpoint = await self.endpoint(
                kind, ScriptedProxy(refusal(), Destination), optimistic=True
            )
            client = await connectProtocol(endpoint, Client(b"hello"))
            self.assertIsInstance(await client.lost, AuthenticationRefused)
            self.assertEqual(client.received, b"")

    async def test_cancelled(self) -> None:
        """
        A client that gives up, or is told to, leaves the proxy.
        """
        for kind in self.KINDS:
            for error, arguments in [(CancelledError, {}), (TimeoutError, {"timeout": 0.2})]:
                destination = Destination()
                endpoint = await self.endpoint(
                    kind,
                    ScriptedProxy(authenticationReply(), partial(_same, destination)),
                    **arguments,
                )
                connecting = connectProtocol(endpoint, Client())
                if not arguments:
                    reactor.callLater(0.2, connecting.cancel)
                await self.assertFailure(connecting, error)
                await destination.lost

    async def test_closedAtOnce(self) -> None:
        """
        What a client that did not wait has written before it closed arrives, though
        the proxy takes its time.
        """
        for kind in self.KINDS:
            destination = Destination()
            proxy = ScriptedProxy(b"", partial(_same, destination))
            endpoint = await self.endpoint(kind, proxy, optimistic=True)
            client = await connectProtocol(endpoint, Client(b"all there is"))
            client.transport.loseConnection()
            await deferLater(reactor, 0.2, lambda: None)
            self.assertFalse(destination.lost.called)
            destination.transport.write(SUCCESS)
            await client.lost
            await destination.lost
            self.assertEqual(destination.received, b"all there is")

    async def test_pause(self) -> None:
        """
        What a client does not read is not read for it: it has to wait in the
        kernels and at the sender.
        """
        octets = bytes(range(256)) * 65536

        class Talker(Destination):
            """
            Has much to say.
            """

            def connectionMade(self) -> None:
                """
                Say it.
                """
                self.transport.write(octets)

        for kind in self.KINDS:
            endpoint = await self.endpoint(kind, ScriptedProxy(SUCCESS, Talker))
            client = Client()
            self.patch(client, "connectionMade", partial(_pause, client))
            await connectProtocol(endpoint, client)
            await deferLater(reactor, 0.1, lambda: None)
            # TLS has decrypted what one read brought.
            self.assertLessEqual(len(client.received), 65536 if kind in ("tls", "ssl") else 0)
            client.transport.resumeProducing()
            received = await client.receive(len(octets))
            self.assertEqual(received, octets)
            await self.close(client)


class OneWriteTests(ClientSocketsTestCase):
    """
    How little it takes to say all.
    """

    async def test_oneSegment(self) -> None:
        """
        The request and the first data leave in one write, and arrive in one read.
        """
        sent: list[bytes] = []
        write = Connection.writeSomeData

        def record(connection: Connection, data: bytes) -> Any:
            sent.append(bytes(data))
            return write(connection, data)

        self.patch(Connection, "writeSomeData", record)
        for kind in ("tcp", "unix"):
            proxy = ScriptedProxy(SUCCESS, Destination)
            endpoint = await self.endpoint(kind, proxy, optimistic=True)
            client = await connectProtocol(endpoint, Client(b"first "))
            client.transport.write(b"second")
            await deferLater(reactor, 0.1, lambda: None)
            await self.close(client)
            self.assertEqual(proxy.chunks, [REQUEST + b"first second"])
        # Unix sockets write by other means.
        self.assertEqual(sent[0], REQUEST + b"first second")

    async def test_oneRecord(self) -> None:
        """
        They are in one record of TLS.
        """
        for kind in ("tls", "ssl"):
            proxy = ScriptedProxy(SUCCESS, Destination)
            endpoint = await self.endpoint(kind, proxy, optimistic=True)
            client = await connectProtocol(endpoint, Client(b"first "))
            client.transport.write(b"second")
            await deferLater(reactor, 0.1, lambda: None)
            self.assertEqual(proxy.chunks, [REQUEST + b"first second"])
            await self.close(client)


class HalfCloseTests(ClientSocketsTestCase):
    """
    One direction ends before the other.
    """

    async def test_clientFirst(self) -> None:
        """
        The client ends its direction and reads the answer; one that does not wait
        may do so before the proxy has replied.
        """
        for kind in ("tcp", "unix"):
            for optimistic in (False, True):
                destination = HalfCloseableDestination()
                proxy = ScriptedProxy(b"" if optimistic else SUCCESS, partial(_same, destination))
                endpoint = await self.endpoint(kind, proxy, optimistic=optimistic)
                client = await connectProtocol(endpoint, Client(b"question"))
                client.transport.loseWriteConnection()
                await destination.inputEnded
                self.assertEqual(destination.received, b"question")
                if optimistic:
                    destination.transport.write(SUCCESS)
                destination.transport.write(b"answer")
                destination.transport.loseConnection()
                await client.readLost
                self.assertEqual(client.received, b"answer")
                await self.close(client)

    async def test_destinationFirst(self) -> None:
        """
        The destination ends its direction and reads on.
        """
        for kind in ("tcp", "unix"):
            destination = HalfCloseableDestination()
            proxy = ScriptedProxy(SUCCESS, partial(_same, destination))
            client = await connectProtocol(await self.endpoint(kind, proxy), Client())
            destination.transport.loseWriteConnection()
            await client.readLost
            client.transport.write(b"more")
            await self.close(client)
            await destination.inputEnded
            self.assertEqual(destination.received, b"more")
            destination.transport.loseConnection()
            await destination.lost

    async def test_tls(self) -> None:
        """
        Within TLS the end of one direction is an orderly end of both.
        """
        for kind in ("tls", "ssl"):
            destination = Destination()
            proxy = ScriptedProxy(SUCCESS, partial(_same, destination))
            client = await connectProtocol(await self.endpoint(kind, proxy), Client(b"all"))
            client.transport.loseWriteConnection()
            self.assertIsInstance(await client.lost, ConnectionDone)
            self.assertIsInstance(await destination.lost, ConnectionDone)
            self.assertEqual(destination.received, b"all")


class TLSTests(ClientSocketsTestCase):
    """
    TLS with the proxy, and through it.
    """

    async def test_wrongProxy(self) -> None:
        """
        A proxy that is not who it should be, or that nobody vouches for, gets no
        request.
        """
        proxy = ScriptedProxy(SUCCESS, Echo)
        for kind in ("tls", "ssl"):
            for trust, complaint in [
                (
                    optionsForClientTLS("other.example", certificateFor(PROXY_NAME)),
                    "other.example",
                ),
                (optionsForClientTLS(PROXY_NAME), "certificate verify failed"),
            ]:
                endpoint = await self.endpoint(kind, proxy, trust)
                error = await self.assertFailure(connectProtocol(endpoint, Client()), ConnectError)
                self.assertIn(complaint, str(error))
        self.assertEqual(proxy.chunks, [])

    async def test_throughEverything(self) -> None:
        """
        TLS with the destination goes through whatever leads to the proxy, TLS
        included, and may begin at once.
        """
        certificate = certificateFor(HOST)
        trust = optionsForClientTLS(HOST, trustRoot=certificate)
        inner = TLSMemoryBIOFactory(
            certificate.options(), False, Factory.forProtocol(Echo), reactor
        )
        for kind in ("tcp", "unix", "tls", "ssl"):
            for optimistic in (False, True):
                proxy = ScriptedProxy(SUCCESS, lambda: inner.buildProtocol(None))
                endpoint = await self.endpoint(kind, proxy, optimistic=optimistic)
                client = await connectProtocol(endpoint, Client())
                client.transport.startTLS(trust)
                client.transport.write(b"secret")
                received = await client.receive(len(b"secret"))
                self.assertEqual(received, b"secret")
                self.assertEqual(client.transport.getPeerCertificate().get_subject().CN, HOST)
                await self.close(client)

    async def test_startTLS(self) -> None:
        """
        TLS with the destination begins when both agree to.
        """
        certificate = certificateFor(HOST)

        class Upgrading(Echo):
            """
            Begins TLS when asked to.
            """

            def dataReceived(self, data: bytes) -> None:
                """
                Echo, or agree.
                """
                super().dataReceived(b"go ahead" if data == b"STARTTLS" else data)
                if data == b"STARTTLS":
                    self.transport.startTLS(certificate.options())

        endpoint = await self.endpoint("tcp", ScriptedProxy(SUCCESS, Upgrading))
        client = await connectProtocol(endpoint, Client(b"STARTTLS"))
        await client.receive(len(b"go ahead"))
        client.transport.startTLS(optionsForClientTLS(HOST, trustRoot=certificate))
        client.transport.write(b" secret")
        received = await client.receive(len(b"go ahead secret"))
        self.assertEqual(received, b"go ahead secret")
        self.assertEqual(client.transport.getPeerCertificate().get_subject().CN, HOST)
        await self.close(client)
