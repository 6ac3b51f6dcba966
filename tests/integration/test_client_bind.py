"""
Tests for ports at C{twistd socks6} that a client listens on.
"""

from __future__ import annotations

import re
import signal
import socket
import struct
import time
from functools import partial
from typing import Any

from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from zope.interface import implementer

from socks6.client import RequestRefused, SOCKS6ServerEndpoint, SOCKS6Session
from socks6.values.codes import ReplyCode
from tests.integration.certificates import Authority
from tests.integration.chain import portOf
from tests.integration.peers import (
    DEADLINE,
    exchange,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveUntilBroken,
)
from tests.integration.peers import dial as dialUp
from tests.integration.proxies import ProxyTestCase, inThread, reactor, together
from tests.integration.twistd import Twistd

LOOPBACK = "127.0.0.1"

SIZE = 1_000_000


class Peer(Protocol):
    """
    Tells whoever connects who it is, and then sends back what it is sent.
    """

    transport: Any

    def connectionMade(self) -> None:
        """
        Tell.
        """
        self.transport.write(struct.pack("!H", self.transport.getPeer().port))

    def dataReceived(self, data: bytes) -> None:
        """
        Send it back.
        """
        self.transport.write(data)


@implementer(IHalfCloseableProtocol)
class Counter(Protocol):
    """
    Answers with the number of octets when there are no more.
    """

    transport: Any
    count = 0

    def dataReceived(self, data: bytes) -> None:
        """
        Count.
        """
        self.count += len(data)

    def readConnectionLost(self) -> None:
        """
        Answer.
        """
        self.transport.write(b"%d" % self.count)
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Nobody waits for this.
        """


class Web(Twistd):
    """
    Twisted's web server.
    """

    command = "web"
    defaults = ()

    def place(self) -> tuple[str, int]:
        """
        Wait until it listens at a proxy.

        @return: Where.
        """
        found = re.search(r"Listening at ([0-9.]+):([0-9]+)", self.waitForLine("Listening at "))
        assert found is not None
        return found[1], int(found[2])


class BindTestCase(ProxyTestCase):
    """
    A test with a proxy in a process of its own.

    @ivar proxy: The proxy.
    """

    def startTwistd(self, *arguments: str) -> None:
        """
        Start the proxy.
        """
        self.proxy = Twistd(self, *(arguments or ["--port=0"]))
        self.proxyPort = portOf(self.proxy)
        self.proxyEndpoint: Any = TCP4ClientEndpoint(reactor, LOOPBACK, self.proxyPort)

    async def listen(self, build: Any = Peer, proxy: Any = None, **arguments: Any) -> Any:
        """
        Listen at the proxy until the test ends.

        @return: The port.
        """
        factory = Factory.forProtocol(build)
        factory.noisy = False
        endpoint = SOCKS6ServerEndpoint(reactor, proxy or self.proxyEndpoint, **arguments)
        port: Any = await endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        return port

    def placeOf(self, port: Any) -> tuple[str, int]:
        """
        Tell where remote hosts reach a port.
        """
        host = port.getHost()
        return host.host, host.port


def dial(place: tuple[str, int]) -> socket.socket:
    """
    Connect to a port that may be closed for a moment, as another host has just come.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return dialUp(place)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def isRefused(place: tuple[str, int]) -> bool:
    """
    Tell whether nobody listens somewhere.
    """
    try:
        dialUp(place).close()
    except ConnectionRefusedError:
        return True
    return False


def meet(place: tuple[str, int], size: int = 1000) -> None:
    """
    Be a host: connect, hear who we are, send something and get it back.
    """
    data = pattern(size)
    with dial(place) as sock:
        (told,) = struct.unpack("!H", receive(sock, 2))
        assert told == placeOf(sock)[1], told
        assert exchange(sock, data, size) == data, "something got lost"


def meetSometime(place: tuple[str, int]) -> None:
    """
    The same at a port that may be closed just when we have connected.
    """
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return meet(place)
        except (ConnectionError, EOFError):
            if time.monotonic() > deadline:
                raise


class BacklogTests(BindTestCase):
    """
    Ports with a backlog.
    """

    async def test_crowd(self) -> None:
        """
        Many hosts at once, more than may wait, each reach us, and each gets its own
        octets.
        """
        self.startTwistd()
        port = await self.listen(backlog=64)
        place = self.placeOf(port)
        self.assertEqual(place[0], LOOPBACK)
        for _ in range(3):
            await together(*[inThread(meet, place, 50_000) for _ in range(40)])
        await inThread(meet, place, SIZE)

    async def test_open(self) -> None:
        """
        Connections can be open at the same time, and outlive the port; nobody else can
        connect then.
        """
        self.startTwistd()
        port = await self.listen(backlog=64)
        place = self.placeOf(port)
        socks = [self.keep(await inThread(dialUp, place)) for _ in range(30)]
        for sock in socks:
            await inThread(receive, sock, 2)
        await port.stopListening()
        await self.until(
            partial(isRefused, place), "the proxy closes the port that nobody listens on"
        )
        for sock in socks:
            self.assertEqual(await inThread(exchange, sock, b"hello", 5), b"hello")

    async def test_sameSession(self) -> None:
        """
        A session can open a port again that it has closed.
        """
        self.startTwistd()
        session = SOCKS6Session(reactor, self.proxyEndpoint)
        self.addCleanup(session.close)
        port = await self.listen(backlog=2, proxy=session)
        await port.stopListening()
        self.assertTrue(session.isOpen)
        again = await self.listen(backlog=2, proxy=session, port=port.getHost().port)
        self.assertEqual(again.getHost(), port.getHost())
        await inThread(meet, self.placeOf(again))

    async def test_maxBacklog(self) -> None:
        """
        A proxy may grant less than was asked for.
        """
        self.startTwistd("--port=0", "--max-backlog=2")
        port = await self.listen(backlog=1000)
        await together(*[inThread(meet, self.placeOf(port)) for _ in range(2)])

    async def test_nobodyComes(self) -> None:
        """
        Where the proxy does not wait for long, hosts can come all the same.
        """
        self.startTwistd("--port=0", "--bind-timeout=1.1")
        ports = [await self.listen(backlog=backlog) for backlog in (0, 4)]
        await self.spend(2.5)
        for port in ports:
            await inThread(meetSometime, self.placeOf(port))

    async def test_proxyEnds(self) -> None:
        """
        When the proxy ends, the port is lost, and that is logged.
        """
        self.startTwistd()
        port = await self.listen(backlog=4)
        self.proxy.kill()
        await self.until(lambda: any("is lost" in line for line in self.lines), "it is logged")
        await port.stopListening()


class OneByOneTests(BindTestCase):
    """
    Ports without a backlog.
    """

    async def test_again(self) -> None:
        """
        One host after the other reaches us at the same port.
        """
        self.startTwistd()
        port = await self.listen()
        place = self.placeOf(port)
        for _ in range(10):
            await inThread(meet, place)
        self.assertEqual(self.placeOf(port), place)

    async def test_halfClose(self) -> None:
        """
        A host can end its direction and wait for the answer.
        """
        self.startTwistd()

        def ask(place: tuple[str, int]) -> bytes:
            with dial(place) as sock:
                sock.sendall(bytes(SIZE))
                sock.shutdown(socket.SHUT_WR)
                return receiveAll(sock)

        for backlog in (0, 4):
            port = await self.listen(Counter, backlog=backlog)
            answer = await inThread(ask, self.placeOf(port))
            self.assertEqual(answer, b"%d" % SIZE)

    async def test_halfCloseNotUnderstood(self) -> None:
        """
        For a protocol that knows nothing of that it is the end, behind what it has
        written.
        """
        self.startTwistd()

        def talk(place: tuple[str, int]) -> bytes:
            with dial(place) as sock:
                receive(sock, 2)
                sock.sendall(bytes(1000))
                receive(sock, 1000)
                sock.shutdown(socket.SHUT_WR)
                return receiveUntilBroken(sock)

        port = await self.listen()
        self.assertEqual(await inThread(talk, self.placeOf(port)), b"")

    async def test_refused(self) -> None:
        """
        What the proxy does not allow fails.
        """
        self.startTwistd()
        port = await self.listen()
        wishes: list[dict[str, Any]] = [
            {"port": 80},
            {"interface": "192.0.2.1"},
            {"port": port.getHost().port},
        ]
        codes = []
        for arguments in wishes:
            endpoint = SOCKS6ServerEndpoint(reactor, self.proxyEndpoint, **arguments)
            refused: Any = await self.assertFailure(endpoint.listen(Factory()), RequestRefused)
            codes.append(refused.code)
        self.assertEqual(codes[:2], [ReplyCode.NOT_ALLOWED] * 2)

    async def test_stopped(self) -> None:
        """
        A port that has been closed can be opened by others.
        """
        self.startTwistd()
        port = await self.listen()
        number = port.getHost().port
        await port.stopListening()

        async def others() -> bool:
            try:
                await self.listen(port=number)
            except RequestRefused:
                return False
            return True

        # The proxy has to hear of it first.
        while not await others():
            await self.spend(0.01)


class WaysTests(BindTestCase):
    """
    Ways to the proxy, and what it binds.
    """

    async def test_IPv6(self) -> None:
        """
        The port may have an IPv6 address.
        """
        self.requireIPv6()
        self.startTwistd("--port=0", f"--bind-address={LOOPBACK}", "--bind-address=::1")
        for backlog in (0, 8):
            port = await self.listen(interface="::", backlog=backlog)
            place = self.placeOf(port)
            self.assertEqual(place[0], "::1")
            for _ in range(3):
                await inThread(meet, place)

    async def test_TLS(self) -> None:
        """
        The proxy may be reached by TLS.
        """
        authority = Authority(self.folder())
        self.startTwistd("--tls-port=0", f"--certificate={authority.server().path}")
        trust = Certificate.loadPEM(authority.path.read_bytes())
        self.proxyEndpoint = wrapClientTLS(
            optionsForClientTLS("localhost", trust),
            HostnameEndpoint(reactor, LOOPBACK, self.proxyPort),
            reactor,
        )
        for backlog in (0, 64):
            port = await self.listen(backlog=backlog)
            for _ in range(3):
                await inThread(meet, self.placeOf(port), SIZE)
            if backlog:
                await together(*[inThread(meet, self.placeOf(port)) for _ in range(20)])
            await port.stopListening()

    async def test_manyPorts(self) -> None:
        """
        Ports of one session do not meet one another's hosts.
        """
        self.startTwistd()
        session = SOCKS6Session(reactor, self.proxyEndpoint)
        self.addCleanup(session.close)

        def build(name: bytes) -> Any:
            class Named(Protocol):
                """
                Tells its port's name.
                """

                transport: Any

                def connectionMade(self) -> None:
                    """
                    Tell.
                    """
                    self.transport.write(name)
                    self.transport.loseConnection()

            return Named

        def ask(place: tuple[str, int]) -> bytes:
            with dial(place) as sock:
                return receiveAll(sock)

        names = [b"one", b"two", b"three"]
        ports = [await self.listen(build(name), session, backlog=4) for name in names]
        for _ in range(5):
            answers = await gatherResults([inThread(ask, self.placeOf(port)) for port in ports])
            self.assertEqual(answers, names)


class WebTests(BindTestCase):
    """
    C{twistd web --listen socks6:...}.
    """

    async def test_published(self) -> None:
        """
        A web server is published at the proxy, and taken away when it ends.
        """
        self.startTwistd()
        folder = self.folder()
        page = pattern(SIZE)
        (folder / "page").write_bytes(page)
        web = Web(
            self,
            f"--listen=socks6:port=0:proxy=tcp\\:{LOOPBACK}\\:{self.proxyPort}",
            f"--path={folder}",
        )
        place = await inThread(web.place)

        def fetch() -> bytes:
            with dialUp(place) as sock:
                sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                return receiveAll(sock).partition(b"\r\n\r\n")[2]

        for body in await together(*[inThread(fetch) for _ in range(20)]):
            self.assertTrue(body == page, "something got lost")
        self.assertEqual(await inThread(web.stop), -signal.SIGTERM)
        await self.until(partial(isRefused, place), "the port is closed")
