"""
Tests of L{socks6.client.fastopen}, in a network whose kernel allows Fast Open.
"""

from __future__ import annotations

import select
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.fastopen import ADDRESS_PERIOD, FastOpenClientEndpoint
from tests.integration.namespaces import Namespace
from tests.integration.peers import (
    DEADLINE,
    accept,
    dial,
    encodePassword,
    encodeRequest,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
)
from tests.integration.programs import SOCKS6
from tests.integration.test_fastopen import FastOpenTestCase, hadSYNData
from tests.integration.test_tos import Capture
from tests.integration.twistd import Local, environment


@implementer(IHalfCloseableProtocol)
class Client(Protocol):
    """
    A client that says something as soon as it can.

    @ivar received: What it was answered.
    @ivar reason: Why its connection is gone.
    """

    transport: Any

    def __init__(self, words: bytes, ends: bool) -> None:
        """
        @param ends: Whether it ends its direction then.
        """
        self._words = words
        self._ends = ends
        self.isConnected = False
        self.received = b""
        self.inputOver = False
        self.reason: Failure | None = None

    def connectionMade(self) -> None:
        """
        Say it.
        """
        self.isConnected = True
        self.transport.write(self._words)
        if self._ends:
            self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        """
        Keep it.
        """
        self.received += data

    def readConnectionLost(self) -> None:
        """
        Take note.
        """
        self.inputOver = True
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        That was to be.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Take note.
        """
        self.reason = reason


class ClientFactory(Factory):
    """
    Makes one client.

    @ivar uses: How often it is in use.
    """

    noisy = False

    def __init__(self, client: Client, mayHurry: bool) -> None:
        self._client = client
        self._mayHurry = mayHurry
        self.uses = 0

    def doStart(self) -> None:
        """
        Count.
        """
        self.uses += 1

    def doStop(self) -> None:
        """
        Count.
        """
        self.uses -= 1

    def mayHurry(self, isEncrypted: bool) -> bool:
        """
        Say what the test wants.
        """
        assert not isEncrypted
        return self._mayHurry

    def buildProtocol(self, addr: object) -> Client:
        """
        Give the client.
        """
        return self._client


class ClientTestCase(FastOpenTestCase):
    """
    A test with a reactor of its own.
    """

    def setUp(self) -> None:
        super().setUp()
        self.listener = self.listen()
        self.reactor: Any = self.network.inside(EPollReactor)
        self.network.inside(lambda: self.reactor.startRunning(installSignalHandlers=False))
        self.addCleanup(self._stop)
        self.useEndpoint(*placeOf(self.listener))

    def _stop(self) -> None:
        """
        Stop the reactor.
        """
        self.network.inside(self.reactor.stop)
        self.until(lambda: not self.reactor.running)
        for each in self.reactor.removeAll():
            each.connectionLost(Failure(ConnectionDone()))

    def useEndpoint(self, host: str, port: int, timeout: float = DEADLINE) -> None:
        """
        Connect to another place from now on.
        """
        self.endpoint = FastOpenClientEndpoint(self.reactor, host, port, timeout)

    def until(self, condition: Callable[[], bool]) -> None:
        """
        Let the reactor work until something is so.
        """
        deadline = time.monotonic() + DEADLINE

        def work() -> None:
            while not condition():
                assert time.monotonic() < deadline, "it does not happen"
                self.reactor.iterate(0.05)

        self.network.inside(work)

    def connect(
        self, words: bytes = b"hello", mayHurry: bool = True, ends: bool = False
    ) -> tuple[Client, Deferred[Any]]:
        """
        Connect.

        @return: The client, and what the endpoint has said.
        """
        client = Client(words, ends)
        self.factory = ClientFactory(client, mayHurry)
        connecting = self.network.inside(lambda: self.endpoint.connect(self.factory))
        return client, connecting

    def resultOf(self, deferred: Deferred[Any]) -> Any:
        """
        Wait for a result, or a failure.
        """
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.until(lambda: bool(results))
        return results[0]

    def untilLost(self, client: Client) -> Failure:
        """
        Wait until a connection is lost.

        @return: Why.
        """
        self.until(lambda: client.reason is not None)
        assert client.reason is not None
        return client.reason

    def accept(self) -> socket.socket:
        """
        Accept a connection, and let the reactor work meanwhile.
        """
        ready = select.poll()
        ready.register(self.listener, select.POLLIN)
        self.until(lambda: bool(ready.poll(0)))
        return accept(self.listener)

    def receiveAll(self, server: socket.socket) -> bytes:
        """
        Receive until the client has ended its direction, and let the reactor work
        meanwhile.
        """
        octets = bytearray()
        ready = select.poll()
        ready.register(server, select.POLLIN)

        def isOver() -> bool:
            while ready.poll(0):
                some = server.recv(65536)
                if not some:
                    return True
                octets.extend(some)
            return False

        self.until(isOver)
        return bytes(octets)

    def talk(self, words: bytes = b"hello", mayHurry: bool = True) -> bool:
        """
        Connect, and have it checked that what is said arrives once.

        @return: Whether that began in the SYN.
        """
        client, connecting = self.connect(words, mayHurry, ends=True)
        self.assertEqual(client.isConnected, mayHurry)
        self.assertIs(self.resultOf(connecting), client)
        with self.accept() as server:
            self.assertEqual(self.receiveAll(server), words)
            server.sendall(b"answer")
            begun = hadSYNData(server)
        self.untilLost(client)
        self.assertEqual((client.received, client.inputOver), (b"answer", True))
        self.assertEqual(self.factory.uses, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        return begun


class FastOpenClientTests(ClientTestCase):
    """
    L{FastOpenClientEndpoint}.
    """

    def test_hurry(self) -> None:
        """
        Who may hurry is connected at once; what is said first leaves in the SYN when the
        kernel knows the cookie, and when the connection stands if not.  It arrives once,
        and so does the end behind it.
        """
        self.assertFalse(self.talk())
        self.assertTrue(self.talk())
        self.assertTrue(self.talk(pattern(30_000)))

    def test_IPv6(self) -> None:
        """
        With IPv6, all is the same.
        """
        self.listener = self.network.inside(lambda: listen("::1"))
        self.addCleanup(self.listener.close)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        self.useEndpoint("::1", self.listener.getsockname()[1])
        self.assertFalse(self.talk())
        self.assertTrue(self.talk())
        client, _ = self.connect()
        peer = client.transport.getPeer()
        self.assertEqual((peer.host, peer.port), self.listener.getsockname()[:2])
        self.assertEqual(client.transport.getHost().host, "::1")
        client.transport.abortConnection()
        self.untilLost(client)

    def test_slowly(self) -> None:
        """
        Who may not hurry, or does not say so, is connected when the connection stands.
        """
        self.talk()
        self.assertFalse(self.talk(mayHurry=False))
        # An address stays what it is.
        now = self.reactor.seconds() + ADDRESS_PERIOD
        self.patch(self.reactor, "seconds", lambda: now + 1)
        self.assertTrue(self.talk())

    def test_notAllowed(self) -> None:
        """
        Where the kernel does not allow it to clients, all wait.
        """
        self.network.set("ipv4/tcp_fastopen", 2)
        client, connecting = self.connect()
        self.assertFalse(client.isConnected)
        self.resultOf(connecting)
        self.assertTrue(client.isConnected)
        client.transport.loseConnection()
        with self.accept() as server:
            self.assertEqual(self.receiveAll(server), b"hello")

    def test_refused(self) -> None:
        """
        A connection that cannot be made is lost for that reason, with a cookie and
        without; the next one waits then, until one has been made.
        """
        place = placeOf(self.listener)
        for knowsCookie in (False, True):
            self.useEndpoint(*place)
            if knowsCookie:
                self.talk()
            self.listener.close()
            client, connecting = self.connect()
            self.assertIs(self.successResultOf(connecting), client)
            self.untilLost(client).trap(ConnectionRefusedError)
            self.assertEqual(self.factory.uses, 0)
            client, connecting = self.connect()
            self.resultOf(connecting).trap(ConnectionRefusedError)
            self.assertFalse(client.isConnected)
            self.listener = self.network.inside(lambda: socket.create_server(place))
            self.addCleanup(self.listener.close)
            self.listener.settimeout(DEADLINE)
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
            self.talk(mayHurry=False)
            self.talk()

    def test_silence(self) -> None:
        """
        So is one to a host that does not answer, when the time is over.
        """
        router = Namespace(self)
        self.network.connect(router)
        self.network.ip("route add default via 192.0.2.2")
        router.set("ipv4/ip_forward", 1)
        router.ip("route add blackhole 198.51.100.0/24")
        self.useEndpoint("198.51.100.1", 80, 0.3)
        client, _ = self.connect()
        self.untilLost(client).trap(TimeoutError)

    def test_noRoute(self) -> None:
        """
        What the system refuses to try is a failure.
        """
        self.useEndpoint("198.51.100.1", 80)
        client, connecting = self.connect()
        self.assertIsInstance(self.resultOf(connecting), Failure)
        self.assertFalse(client.isConnected)

    def test_abort(self) -> None:
        """
        A connection that is aborted before it stands is aborted, and no failure.
        """
        self.talk()
        client, _ = self.connect()
        client.transport.abortConnection()
        self.untilLost(client)
        self.assertEqual(self.factory.uses, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertTrue(self.talk())

    def test_close(self) -> None:
        """
        One that is closed before it stands delivers what was said.
        """
        for _ in range(2):
            client, _ = self.connect()
            client.transport.loseConnection()
            with self.accept() as server:
                self.assertEqual(self.receiveAll(server), b"hello")
            self.untilLost(client)

    def test_name(self) -> None:
        """
        A name has the address at which it was reached, for a while.
        """
        self.useEndpoint("localhost", placeOf(self.listener)[1])
        client, connecting = self.connect()
        self.assertFalse(client.isConnected)
        self.resultOf(connecting)
        client.transport.loseConnection()
        self.accept().close()
        self.assertFalse(self.talk())
        self.assertTrue(self.talk())
        now = self.reactor.seconds() + ADDRESS_PERIOD
        self.patch(self.reactor, "seconds", lambda: now + 1)
        client, connecting = self.connect()
        self.assertFalse(client.isConnected)
        connecting.addErrback(lambda _: None)
        connecting.cancel()


class ProgramTests(FastOpenTestCase):
    """
    C{socks6 connect} and C{twistd socks6-local}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.start("--port", "1080", "--auth", "memory:ada:s3cret")
        self.listener = self.listen()
        self.url = "socks6://ada:s3cret@127.0.0.1:1080"
        self.capture = self.network.inside(lambda: Capture(self))

    def lengths(self) -> list[int]:
        """
        Tell how much was in each SYN to the proxy since the last time.
        """
        packets = list(self.capture.packets())
        return [each.length for each in packets if each.syn and each.destination == 1080]

    def command(self, url: str) -> None:
        """
        Say hello with C{socks6 connect}.
        """
        host, port = placeOf(self.listener)
        with subprocess.Popen(
            [*self.network.prefix, *SOCKS6, "connect", host, str(port), "--proxy", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        ) as process:
            self.addCleanup(process.kill)
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"hello")
            process.stdin.close()
            with accept(self.listener) as server:
                self.assertEqual(receiveAll(server), b"hello")
                server.sendall(b"answer")
            self.assertEqual(process.stdout.read(), b"answer")
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_command(self) -> None:
        """
        The request leaves in the SYN, without data, unless the URL says no.
        """
        self.command(self.url)
        self.assertEqual(self.lengths(), [0])
        credentials = encodePassword(b"ada", b"s3cret")
        request = encodeRequest(*placeOf(self.listener), credentials)
        self.command(self.url)
        self.assertEqual(self.lengths(), [len(request)])
        self.command(f"{self.url}?fastopen=no")
        self.assertEqual(self.lengths(), [0])

    def test_local(self) -> None:
        """
        Once the local proxifier has a session and tokens, what a program says first
        leaves in the SYN, too, and arrives once.
        """
        path = f"{self.path}-local"
        arguments = ["--port", f"unix:{path}", "--proxy", self.url, "--optimistic"]
        Local(self, *arguments, prefix=self.network.prefix).places()
        host, port = placeOf(self.listener)
        request = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode("ascii")
        words = pattern(500)
        for _ in range(4):
            with dial(path) as program:
                program.sendall(request + words)
                with accept(self.listener) as server:
                    self.assertEqual(receive(server, len(words)), words)
                    server.sendall(b"answer")
                    program.shutdown(socket.SHUT_WR)
                    self.assertEqual(receiveAll(server), b"")
                self.assertTrue(receiveAll(program).endswith(b"\r\n\r\nanswer"))
        # The first opens the session, the second fetches the cookie.
        *first, third, fourth = self.lengths()
        self.assertEqual(first, [0, 0])
        self.assertGreater(third, len(words))
        self.assertGreater(fourth, len(words))
