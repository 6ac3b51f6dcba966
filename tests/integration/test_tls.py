"""
Tests for the port with TLS.

What tunnels do is in L{tests.integration.test_relay}, over TLS too.
"""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
from typing import Any

from twisted.internet.endpoints import serverFromString

from socks6.server.service import proxyService
from socks6.server.tls import TLSServerEndpoint, serverContext
from tests.integration import requireProgram
from tests.integration.certificates import Authority
from tests.integration.peers import (
    ADMITTED,
    DEADLINE,
    NOOP,
    accept,
    ask,
    dial,
    encodeRequest,
    listen,
    openTunnel,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveUntilBroken,
    refusingPlace,
    requireAlert,
    stuff,
)
from tests.integration.proxies import (
    LOOPBACK,
    ProxyTestCase,
    RunningProxy,
    inThread,
    reactor,
)

NOOP_REQUEST = encodeRequest("0.0.0.0", 0, command=NOOP)
NOOP_REPLIES = ADMITTED + bytes.fromhex("00 0000 01 00000000 0000")


class TLSTestCase(ProxyTestCase):
    """
    A test with a proxy that listens with TLS.
    """

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority(self.folder())

    def startTLS(self, **options: Any) -> RunningProxy:
        """
        Start a proxy.
        """
        return self.startProxy(authority=self.authority, **options)

    def encrypt(self, proxy: RunningProxy, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """
        Connect a client, in a thread.
        """
        context = context or self.authority.clientContext()
        return context.wrap_socket(dial(proxy.place), server_hostname="localhost")

    def noop(self, proxy: RunningProxy, context: ssl.SSLContext | None = None) -> bytes:
        """
        Send NOOP, in a thread.

        @return: All that is answered.
        """
        with self.encrypt(proxy, context) as client:
            client.sendall(NOOP_REQUEST)
            return receiveAll(client)


class HandshakeTests(TLSTestCase):
    """
    Who gets in.
    """

    async def test_versions(self) -> None:
        """
        TLS 1.2 and 1.3 are spoken.
        """
        proxy = self.startTLS()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.authority.clientContext()
            context.minimum_version = context.maximum_version = version
            self.assertEqual(await inThread(self.noop, proxy, context), NOOP_REPLIES, version)
        await self.untilForgotten(proxy)

    async def test_oldVersion(self) -> None:
        """
        TLS 1.1 is not, for which the proxy says the reason.
        """
        proxy = self.startTLS()

        def talk() -> bytes:
            with dial(proxy.place) as client:
                client.sendall(clientHello(0x0302))
                return receiveAll(client)

        # content type:1 alert, version:2, length:2, level:1 fatal, description:1
        alert = await inThread(talk)
        self.assertEqual((alert[:1], alert[5:]), (b"\x15", b"\x02\x46"), alert.hex())
        await self.untilForgotten(proxy)

    async def test_currentVersion(self) -> None:
        """
        The same hello, but for TLS 1.2, is answered with a handshake.
        """
        proxy = self.startTLS()

        def talk() -> bytes:
            with dial(proxy.place) as client:
                client.sendall(clientHello(0x0303))
                return receive(client, 1)

        self.assertEqual(await inThread(talk), b"\x16")
        await self.untilForgotten(proxy)

    async def test_clientCertificate(self) -> None:
        """
        Where clients must show a certificate of an authority, only those who
        can get in.
        """
        context = serverContext(self.authority.server().path, clientCA=self.authority.path)
        endpoint = TLSServerEndpoint(reactor, serverFromString(reactor, LOOPBACK), context)
        service = proxyService(reactor, [endpoint])
        service.privilegedStartService()
        self.addCleanup(service.stopService)
        proxy = RunningProxy(service)
        stranger = Authority(self.folder(), "stranger")

        def refused(party: Any) -> None:
            context = self.authority.clientContext(party)
            # TLS 1.3 tells a client only after its own side of the handshake.
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.assertEqual(self.noop(proxy, context), b"")
                raise ConnectionError("closed without a word")

        mine = self.authority.clientContext(self.authority.client())
        self.assertEqual(await inThread(self.noop, proxy, mine), NOOP_REPLIES)
        self.assertEqual(len(self.lines), 1)
        await inThread(refused, None)
        await inThread(refused, stranger.client())
        await self.untilForgotten(proxy)
        self.assertNotIn(" noop ", "".join(self.lines[1:]))
        self.assertEqual(await inThread(self.noop, proxy, mine), NOOP_REPLIES)
        await self.untilForgotten(proxy)

    async def test_plain(self) -> None:
        """
        Somebody who does not speak TLS is cut off; that is one line.
        """
        proxy = self.startTLS()

        def talk() -> None:
            with dial(proxy.place) as client:
                client.sendall(NOOP_REQUEST)
                receiveUntilBroken(client)

        await inThread(talk)
        await self.untilForgotten(proxy)
        self.assertEqual(len(self.lines), 1)

    async def test_rubbishInside(self) -> None:
        """
        Rubbish inside of TLS is answered as elsewhere.
        """
        proxy = self.startTLS()

        def talk() -> bytes:
            with self.encrypt(proxy) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                return receiveAll(client)

        self.assertEqual(await inThread(talk), bytes.fromhex("0600"))
        await self.untilForgotten(proxy)

    async def test_brokenRecord(self) -> None:
        """
        A connection whose records are tampered with in the middle of a tunnel
        ends, and the remote host's with it.
        """
        proxy = self.startTLS()
        listener = self.keep(listen())

        def talk() -> bytes:
            client = openTunnel(self.encrypt(proxy), placeOf(listener))
            with accept(listener) as server:
                raw = socket.socket(fileno=client.detach())
                raw.settimeout(DEADLINE)
                # content type:1 data, version:2, length:2, then nonsense
                raw.sendall(bytes.fromhex("17 0303 0040") + pattern(64))
                with raw:
                    receiveUntilBroken(raw)
                    return receiveAll(server)

        self.assertEqual(await inThread(talk), b"")
        await self.untilForgotten(proxy)

    async def test_silent(self) -> None:
        """
        Somebody who connects and says nothing is cut off in time.
        """
        proxy = self.startTLS(requestTimeout=0.3)

        def talk() -> None:
            with dial(proxy.place) as client:
                receiveUntilBroken(client)

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_silentInside(self) -> None:
        """
        Somebody who says nothing after the handshake is, too.
        """
        proxy = self.startTLS(requestTimeout=0.5)

        def talk() -> None:
            with self.encrypt(proxy) as client:
                receiveUntilBroken(client)

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_halfAHello(self) -> None:
        """
        Somebody who goes away in the middle of the handshake is forgotten.
        """
        proxy = self.startTLS()

        def talk() -> None:
            with dial(proxy.place) as client:
                client.sendall(clientHello(0x0303)[:20])

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_refused(self) -> None:
        """
        A reply that reports a failure arrives, and then the close alert.
        """
        proxy = self.startTLS()
        sock, place = refusingPlace()
        self.keep(sock)

        def talk() -> int:
            with self.encrypt(proxy) as client:
                code = ask(client, encodeRequest(*place)).code
                # Without the alert, this would raise SSLEOFError.
                requireAlert(client)
                self.assertEqual(receiveAll(client), b"")
                return code

        self.assertEqual(await inThread(talk), 5)
        await self.untilForgotten(proxy)

    async def test_opensslClient(self) -> None:
        """
        OpenSSL's own client gets through.
        """
        program = requireProgram(self, "openssl")
        proxy = self.startTLS()
        assert isinstance(proxy.place, tuple)
        arguments = [program, "s_client", "-quiet", "-connect", f"127.0.0.1:{proxy.place[1]}"]
        arguments += ["-CAfile", str(self.authority.path), "-verify_return_error"]

        def talk() -> bytes:
            with subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as process:
                assert process.stdin is not None and process.stdout is not None
                try:
                    process.stdin.write(NOOP_REQUEST)
                    process.stdin.flush()
                    answer = process.stdout.read(len(NOOP_REPLIES))
                    process.stdin.close()
                    process.wait(DEADLINE)
                finally:
                    process.kill()
                return answer

        self.assertEqual(await inThread(talk), NOOP_REPLIES)
        await self.untilForgotten(proxy)


class CloseTests(TLSTestCase):
    """
    Clients that end the TLS connection in the middle of things.
    """

    async def test_alertDuringDownload(self) -> None:
        """
        A client sends the close alert while the proxy holds octets for it and
        does not read the remote host; it reads on, and waits for the proxy's
        close: both connections end.
        """
        proxy = self.startTLS()
        listener = self.keep(listen())

        def connect() -> tuple[ssl.SSLSocket, socket.socket]:
            context = self.authority.clientContext()
            client = context.wrap_socket(
                dial(proxy.place, bufferSize=16384), server_hostname="localhost"
            )
            openTunnel(client, placeOf(listener))
            return client, accept(listener)

        client, server = await inThread(connect)
        self.keep(client)
        self.keep(server)
        length = await inThread(stuff, server, pattern(65536))
        (relay,) = proxy.relays()
        self.assertTrue(relay._down.paused)

        def shut() -> socket.socket:
            client.setblocking(False)
            # Sends the alert, and finds that none has come.
            self.assertRaises((ssl.SSLWantReadError, ssl.SSLError), client.unwrap)
            raw = socket.socket(fileno=client.detach())
            raw.settimeout(DEADLINE)
            return raw

        raw = self.keep(await inThread(shut))
        got = await inThread(receiveUntilBroken, raw)
        self.assertLess(len(got), 2 * length)
        await inThread(receiveUntilBroken, server)
        server.close()
        await self.untilForgotten(proxy)
        self.assertIn(": closed, ", self.lines[-1])

    async def test_vanishBehindRequest(self) -> None:
        """
        A client asks and goes away without the close alert.
        """
        proxy = self.startTLS()
        listener = self.keep(listen())

        def talk() -> None:
            client = self.encrypt(proxy)
            client.sendall(encodeRequest(*placeOf(listener)))
            socket.socket(fileno=client.detach()).close()

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_serverEnds(self) -> None:
        """
        The remote host closes: the client sees the close alert, and nothing
        else of the end.
        """
        proxy = self.startTLS()
        listener = self.keep(listen())

        def talk() -> bytes:
            client = self.encrypt(proxy)
            requireAlert(client)
            with openTunnel(client, placeOf(listener)):
                with accept(listener) as server:
                    server.sendall(b"all there is")
                return receiveAll(client)

        self.assertEqual(await inThread(talk), b"all there is")
        await self.untilForgotten(proxy)

    async def test_peerKeepsOpen(self) -> None:
        """
        The remote host closes, and the client never does: the proxy does not
        wait forever, and closes without a reset, which some systems let destroy
        what the client has not read yet.
        """
        proxy = self.startTLS()
        listener = self.keep(listen())

        def connect() -> ssl.SSLSocket:
            client = self.encrypt(proxy)
            openTunnel(client, placeOf(listener))
            with accept(listener) as server:
                server.sendall(b"bye")
            self.assertEqual(receiveAll(client), b"bye")
            return client

        client = await inThread(connect)
        self.keep(client)
        await self.untilForgotten(proxy, 10)

        def end() -> bytes:
            raw = socket.socket(fileno=client.detach())
            raw.settimeout(DEADLINE)
            with raw:
                return receiveAll(raw)

        self.assertEqual(await inThread(end), b"")


def clientHello(version: int) -> bytes:
    """
    Write the first message of a TLS client that speaks up to some version, as
    today's libraries refuse to do for old ones.

    @param version: 0x0302 is TLS 1.1, 0x0303 is TLS 1.2.
    """
    suites = bytes.fromhex("c02b c02f c009 c013 c00a c014 009c 002f 0035 000a 00ff")
    # supported groups: X25519, P-256; point formats: uncompressed;
    # signature algorithms: ECDSA and RSA with SHA-256 and SHA-1
    extensions = bytes.fromhex(
        "000a 0006 0004 001d 0017  000b 0002 01 00  000d 000a 0008 0403 0401 0203 0201"
    )
    body = (
        struct.pack("!H", version)
        + pattern(32)
        + b"\0"
        + struct.pack("!H", len(suites))
        + suites
        + b"\x01\0"
        + struct.pack("!H", len(extensions))
        + extensions
    )
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message
