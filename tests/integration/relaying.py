"""
What every tunnel must do, whatever its client's connection is made of.

This module has no name that trial looks for, so only subclasses run.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

from socks6.sockets import socketOf
from tests.integration.peers import (
    DEADLINE,
    accept,
    dial,
    encodeRequest,
    exchange,
    finish,
    listen,
    openTunnel,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveReplies,
    receiveUntilBroken,
    reset,
    stuff,
    vanish,
    waitUntilAcknowledged,
)
from tests.integration.proxies import (
    ProxyTestCase,
    RunningProxy,
    bufferedFor,
    inThread,
    together,
)

MEGA = 2**20

#: What a proxy may keep of a tunnel's octets: a pipe full in each direction.
BUFFER_LIMIT = 2 * MEGA

#: The octets that a slow reader reads at once, and the seconds it rests then.
SLOWLY = (16384, 0.002)

#: The receive buffer of a slow reader: little, so that much waits in the proxy.
LITTLE = 16384


class RelayCases(ProxyTestCase):
    """
    Octets pass unchanged, none is lost, and nothing stays behind.

    @cvar held: How many octets a proxy and its kernel hold that nobody reads:
        some more than make it stop reading.
    """

    held = 150_000

    def start(self, **options: Any) -> RunningProxy:
        """
        Start the proxy.
        """
        return self.startProxy(**options)

    def dial(self, proxy: RunningProxy, bufferSize: int = 0) -> socket.socket:
        """
        Connect a client, in a thread.

        @param bufferSize: Octets of its receive buffer, if not the system's.
        """
        return dial(proxy.place, bufferSize=bufferSize)

    async def tunnel(
        self, proxy: RunningProxy, clientBuffer: int = 0, serverBuffer: int = 0
    ) -> tuple[socket.socket, socket.socket]:
        """
        Open a tunnel.

        @return: The client's socket and the remote host's.
        """
        listener = self.keep(listen(bufferSize=serverBuffer))

        def connect() -> tuple[socket.socket, socket.socket]:
            client = openTunnel(self.dial(proxy, clientBuffer), placeOf(listener))
            return client, accept(listener)

        client, server = await inThread(connect)
        return self.keep(client), self.keep(server)

    async def test_echo(self) -> None:
        """
        Five megabytes pass each way at the same time.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        up, down = pattern(5 * MEGA), pattern(5 * MEGA)
        atClient, atServer = await together(
            inThread(exchange, client, up, len(down)), inThread(exchange, server, down, len(up))
        )
        self.assertTrue(atClient == down, "what the client got differs")
        self.assertTrue(atServer == up, "what the remote host got differs")
        await together(inThread(finish, client), inThread(finish, server))
        await self.untilForgotten(proxy)
        self.assertEqual(len(self.lines), 1)
        self.assertIn(f"{len(up)} octets to the remote host, {len(down)} to", self.lines[0])

    async def test_uploadThenClose(self) -> None:
        """
        A client sends and closes at once; a remote host that reads slowly gets
        it all, and then the end.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, serverBuffer=LITTLE)
        data = pattern(3 * MEGA)

        def send() -> None:
            client.sendall(data)
            finish(client)

        def read() -> bytes:
            octets = receiveAll(server, *SLOWLY)
            server.close()
            return octets

        _, got = await together(inThread(send), inThread(read))
        self.assertEqual(len(got), len(data))
        self.assertTrue(got == data)
        await self.untilForgotten(proxy)

    async def test_downloadThenClose(self) -> None:
        """
        A remote host sends and closes at once; a client that reads slowly gets
        it all, and then the end.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, clientBuffer=LITTLE)
        data = pattern(3 * MEGA)

        def send() -> None:
            server.sendall(data)
            server.close()

        def read() -> bytes:
            octets = receiveAll(client, *SLOWLY)
            finish(client)
            return octets

        _, got = await together(inThread(send), inThread(read))
        self.assertEqual(len(got), len(data))
        self.assertTrue(got == data)
        await self.untilForgotten(proxy)

    async def test_serverExits(self) -> None:
        """
        A remote host's process sends and dies; a client that reads slowly gets
        what its system had taken.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, clientBuffer=LITTLE)
        program = (
            "import os, socket; s = socket.socket(fileno=0);"
            f"s.sendall(bytes(range(256)) * {MEGA // 256}); os.kill(os.getpid(), 9)"
        )

        def send() -> None:
            # The child's end is the only one that is left.
            server.setblocking(True)
            process = subprocess.Popen([sys.executable, "-c", program], stdin=server.fileno())
            server.close()
            process.wait(DEADLINE)

        _, got = await together(inThread(send), inThread(receiveAll, client, *SLOWLY))
        self.assertEqual(len(got), MEGA)
        self.assertTrue(got == bytes(range(256)) * (MEGA // 256))
        await inThread(finish, client)
        await self.untilForgotten(proxy)

    async def test_clientReset(self) -> None:
        """
        A client resets its connection: the remote host gets what came before,
        and then an end.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        data = pattern(100_000)

        def talk() -> bytes:
            client.sendall(data)
            got = receive(server, len(data))
            reset(client)
            return got + receiveUntilBroken(server)

        self.assertTrue(await inThread(talk) == data)
        await inThread(server.close)
        await self.untilForgotten(proxy)

    async def test_serverReset(self) -> None:
        """
        A remote host resets its connection: the client gets what came before,
        and then an end.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        data = pattern(100_000)

        def talk() -> bytes:
            server.sendall(data)
            got = receive(client, len(data))
            reset(server)
            return got + receiveUntilBroken(client)

        self.assertTrue(await inThread(talk) == data)
        await inThread(vanish, client)
        await self.untilForgotten(proxy)

    async def test_serverResetBehindData(self) -> None:
        """
        A remote host sends, sees that all has arrived at the proxy, and
        resets: a client that had not read gets it all.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, clientBuffer=LITTLE)
        data = pattern(self.held)

        def send() -> None:
            server.sendall(data)
            waitUntilAcknowledged(server)
            reset(server)

        await inThread(send)
        self.assertTrue(await inThread(receiveUntilBroken, client) == data)
        await inThread(vanish, client)
        await self.untilForgotten(proxy)

    async def test_clientResetBehindData(self) -> None:
        """
        A client sends, sees that all has arrived at the proxy, and resets: a
        remote host that had not read gets it all.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, serverBuffer=LITTLE)
        data = pattern(self.held)

        def send() -> None:
            client.sendall(data)
            waitUntilAcknowledged(client)
            reset(client)

        await inThread(send)
        self.assertTrue(await inThread(receiveUntilBroken, server) == data)
        server.close()
        await self.untilForgotten(proxy)

    async def test_serverGoneBehindData(self) -> None:
        """
        A remote host sends and closes; that it is gone shows only when the
        client, which has not read yet, sends something: the client gets all.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, clientBuffer=LITTLE)
        self._hold(proxy)
        await self._goneBehindData(proxy, server, client)

    async def test_clientGoneBehindData(self) -> None:
        """
        A client sends and vanishes; that it is gone shows only when the remote
        host, which has not read yet, sends something: the remote host gets all.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, serverBuffer=LITTLE)
        self._hold(proxy)
        await self._goneBehindData(proxy, client, server)

    def _hold(self, proxy: RunningProxy) -> None:
        """
        Let the proxy's kernel take little of what is to be sent, so that much
        waits in the proxy and in what it has not read.
        """
        (relay,) = proxy.relays()
        for direction in relay._up, relay._down:
            handle = socketOf(direction.destination)
            assert handle is not None
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    async def _goneBehindData(
        self, proxy: RunningProxy, source: socket.socket, sink: socket.socket
    ) -> None:
        """
        Send, vanish, let the other one send until that shows, and let it read.
        """
        data = pattern(self.held)
        (relay,) = proxy.relays()

        def send() -> None:
            source.sendall(data)
            waitUntilAcknowledged(source)
            vanish(source)

        await inThread(send)
        await self.until(lambda: relay._up.paused or relay._down.paused, "a direction pauses")
        while relay._openLegs == 2:
            await inThread(sink.sendall, b"are you there?")
            await self.spend(0.05)
        got = await inThread(receiveUntilBroken, sink)
        self.assertEqual(len(got), len(data))
        self.assertTrue(got == data)
        vanish(sink)
        await self.untilForgotten(proxy)

    async def test_bothResetWhilePaused(self) -> None:
        """
        Both ends send without reading, until the proxy reads neither; then
        both reset.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        source = pattern(65536)
        await together(inThread(stuff, client, source), inThread(stuff, server, source))
        reset(client)
        reset(server)
        await self.untilForgotten(proxy)

    async def test_clientVanishesFromDownload(self) -> None:
        """
        A client goes away, without TLS's close alert, while the remote host
        sends and the proxy waits for the client: the remote host hears of it.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, clientBuffer=LITTLE)
        await inThread(stuff, server, pattern(65536))
        vanish(client)
        await inThread(receiveUntilBroken, server)
        server.close()
        await self.untilForgotten(proxy)

    async def test_clientClosesDuringDownload(self) -> None:
        """
        A client closes in order while the remote host sends and the proxy
        waits for the client: the remote host hears of it.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy, clientBuffer=LITTLE)
        await inThread(stuff, server, pattern(65536))
        await inThread(finish, client)
        await inThread(receiveUntilBroken, server)
        server.close()
        await self.untilForgotten(proxy)

    async def test_slowReader(self) -> None:
        """
        A remote host sends without pause to a client that has stopped reading:
        the proxy keeps little, and the client gets every octet when it reads
        on.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        await self._overflow(proxy, server, client)

    async def test_slowRemoteHost(self) -> None:
        """
        A client sends without pause to a remote host that has stopped reading.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        await self._overflow(proxy, client, server)

    async def _overflow(
        self, proxy: RunningProxy, source: socket.socket, sink: socket.socket
    ) -> None:
        """
        Send until nothing more is taken, look at what the proxy keeps, send
        more, and then read.
        """
        (relay,) = proxy.relays()
        data = pattern(MEGA)
        length = await inThread(stuff, source, data)
        self.assertGreater(length, MEGA // 2)
        self.assertLess(bufferedFor(relay), BUFFER_LIMIT)
        self.assertGreater(bufferedFor(relay), 0)
        more = data[length % MEGA :] + data

        def send() -> None:
            source.sendall(more)
            finish(source)

        _, got = await together(inThread(send), inThread(receiveAll, sink))
        self.assertEqual(len(got), length + len(more))
        whole, rest = divmod(len(got), MEGA)
        self.assertTrue(got == data * whole + data[:rest])
        await inThread(finish, sink)
        await self.untilForgotten(proxy)

    async def test_bothStopReading(self) -> None:
        """
        Both ends send until nothing more is taken; the proxy keeps little; when
        both read, each gets every octet.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        (relay,) = proxy.relays()
        data = pattern(65536)
        sent = await together(inThread(stuff, client, data), inThread(stuff, server, data))
        self.assertLess(bufferedFor(relay), BUFFER_LIMIT)
        up, down = (data[length % len(data) :] + b"end" for length in sent)
        toServer, toClient = sent[0] + len(up), sent[1] + len(down)
        atClient, atServer = await together(
            inThread(exchange, client, up, toClient), inThread(exchange, server, down, toServer)
        )
        for got in (atClient, atServer):
            self.assertTrue(got == data * (len(got) // len(data)) + b"end")
        await together(inThread(finish, client), inThread(finish, server))
        await self.untilForgotten(proxy)

    async def test_idle(self) -> None:
        """
        A tunnel that is silent for longer than it may be is cut.
        """
        proxy = self.start(idleTimeout=0.5)
        client, server = await self.tunnel(proxy)
        await together(inThread(receiveUntilBroken, client), inThread(receiveUntilBroken, server))
        await self.untilForgotten(proxy)
        self.assertIn(": idle, ", self.lines[-1])


class HalfCloseCases(RelayCases):
    """
    The end of one direction leaves the other open.
    """

    async def test_clientEndsFirst(self) -> None:
        """
        A client sends, ends its direction and is answered after that.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        question, answer = pattern(MEGA), pattern(MEGA)

        def ask() -> bytes:
            client.sendall(question)
            client.shutdown(socket.SHUT_WR)
            got = receiveAll(client)
            client.close()
            return got

        def reply() -> bytes:
            got = receiveAll(server)
            server.sendall(answer)
            server.close()
            return got

        atClient, atServer = await together(inThread(ask), inThread(reply))
        self.assertTrue(atServer == question)
        self.assertTrue(atClient == answer)
        await self.untilForgotten(proxy)
        self.assertIn(": closed, ", self.lines[-1])

    async def test_serverEndsFirst(self) -> None:
        """
        A remote host sends, ends its direction, and hears the client after
        that.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        greeting, answer = pattern(MEGA), pattern(MEGA)

        def greet() -> bytes:
            server.sendall(greeting)
            server.shutdown(socket.SHUT_WR)
            got = receiveAll(server)
            server.close()
            return got

        def listenAndAnswer() -> bytes:
            got = receiveAll(client)
            client.sendall(answer)
            client.close()
            return got

        atServer, atClient = await together(inThread(greet), inThread(listenAndAnswer))
        self.assertTrue(atClient == greeting)
        self.assertTrue(atServer == answer)
        await self.untilForgotten(proxy)
        self.assertIn(": closed, ", self.lines[-1])

    async def test_endBehindRequest(self) -> None:
        """
        A client that ends its direction right behind its request and early
        data is served.
        """
        proxy = self.start()
        listener = self.keep(listen())
        client = self.keep(await inThread(self.dial, proxy))

        def ask() -> bytes:
            client.sendall(encodeRequest(*placeOf(listener)) + b"question")
            client.shutdown(socket.SHUT_WR)
            receiveReplies(client)
            got = receiveAll(client)
            client.close()
            return got

        def reply() -> bytes:
            with accept(listener) as server:
                got = receiveAll(server)
                server.sendall(got[::-1])
            return got

        atClient, _ = await together(inThread(ask), inThread(reply))
        self.assertEqual(atClient, b"noitseuq")
        await self.untilForgotten(proxy)

    async def test_stoppedReaderThenEnd(self) -> None:
        """
        The end of one direction waits behind what a stopped reader has not
        read, and passes when it reads on; the other direction works meanwhile.
        """
        proxy = self.start()
        client, server = await self.tunnel(proxy)
        data = pattern(65536)
        length = await inThread(stuff, server, data)

        def meanwhile() -> bytes:
            server.shutdown(socket.SHUT_WR)
            client.sendall(b"still here")
            return receive(server, 10)

        self.assertEqual(await inThread(meanwhile), b"still here")
        self.assertEqual(len(await inThread(receiveAll, client)), length)
        client.close()
        server.close()
        await self.untilForgotten(proxy)
