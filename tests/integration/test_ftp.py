"""
FTP in active mode: the server connects to a port at the proxy.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from socks6.client import SOCKS6ClientEndpoint, SOCKS6ServerEndpoint
from tests.integration.chain import portOf
from tests.integration.ftpserver import FTPServer
from tests.integration.peers import pattern
from tests.integration.proxies import ProxyTestCase, reactor
from tests.integration.twistd import Twistd

SIZE = 3_000_000


class Control(LineReceiver):
    """
    The client's control connection.
    """

    transport: Any

    def __init__(self) -> None:
        self._replies: DeferredQueue[str] = DeferredQueue()

    def lineReceived(self, line: bytes) -> None:
        """
        Keep a reply, when it is whole.
        """
        # The lines before the last one have a hyphen there.
        if line[3:4] == b" ":
            self._replies.put(line.decode("ascii"))

    def ask(self, command: str) -> Deferred[str]:
        """
        Give a command.

        @return: Fires with the next reply.
        """
        self.sendLine(command.encode("ascii"))
        return self.reply()

    def reply(self) -> Deferred[str]:
        """
        Wait for a reply.
        """
        return self._replies.get()


class Data(Protocol):
    """
    A data connection: sends something to its end, or reads to the end.

    @ivar received: What came.
    @ivar ended: Fires with it at the end.
    """

    transport: Any

    def __init__(self, outgoing: bytes | None = None) -> None:
        """
        @param outgoing: What to send.
        """
        self.outgoing = outgoing
        self.received = b""
        self.peer: Any = None
        self.ended: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """
        Send.
        """
        self.peer = self.transport.getPeer()
        if self.outgoing is not None:
            self.transport.write(self.outgoing)
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """
        Keep.
        """
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        That was it.
        """
        self.ended.callback(self.received)


class FTPTests(ProxyTestCase):
    """
    Files go both ways.
    """

    async def connect(self, host: str = "127.0.0.1", *arguments: str) -> None:
        """
        Connect to an FTP server through a proxy, and log in.
        """
        self.server = FTPServer(self, host)
        proxy = Twistd(self, "--port=0", *arguments)
        self.proxyEndpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", portOf(proxy))
        endpoint = SOCKS6ClientEndpoint(reactor, self.proxyEndpoint, *self.server.place)
        self.control: Control = await connectProtocol(endpoint, Control())
        self.addCleanup(self.control.transport.abortConnection)
        await self.expect(self.control.reply(), "220")
        await self.expect(self.control.ask("USER anonymous"), "230")
        await self.expect(self.control.ask("TYPE I"), "200")

    async def expect(self, reply: Deferred[str], code: str) -> None:
        """
        Check a reply.
        """
        self.assertEqual((await reply)[:3], code)

    async def transfer(self, command: str, data: Data, port: Any) -> bytes:
        """
        Let the server connect to a port at the proxy, and wait for the end.

        @return: What it has sent.
        """
        where = port.getHost()
        if ":" in where.host:
            announcement = f"EPRT |2|{where.host}|{where.port}|"
        else:
            numbers = [*where.host.split("."), where.port >> 8, where.port & 255]
            announcement = f"PORT {','.join(map(str, numbers))}"
        await self.expect(self.control.ask(announcement), "200")
        await self.expect(self.control.ask(command), "150")
        received = await data.ended
        await self.expect(self.control.reply(), "226")
        self.assertEqual(data.peer.host, self.server.place[0])
        return received

    async def once(self, command: str, outgoing: bytes | None = None, **arguments: Any) -> bytes:
        """
        The same, with a port of its own for each transfer.
        """
        data = Data(outgoing)
        factory = Factory.forProtocol(partial(lambda made: made, data))
        factory.noisy = False
        port: Any = await SOCKS6ServerEndpoint(reactor, self.proxyEndpoint, **arguments).listen(
            factory
        )
        try:
            return await self.transfer(command, data, port)
        finally:
            await port.stopListening()

    async def checkFiles(self, **arguments: Any) -> None:
        """
        Fetch a file, store one, and look at what there is.
        """
        octets = pattern(SIZE)
        (self.server.files / "incoming" / "there").write_bytes(octets)
        fetched = await self.once("RETR incoming/there", **arguments)
        self.assertTrue(fetched == octets, "something got lost")
        await self.once("STOR incoming/new", octets[::-1], **arguments)
        stored = (self.server.files / "incoming" / "new").read_bytes()
        self.assertTrue(stored == octets[::-1], "something got lost")
        listed = await self.once("NLST incoming", **arguments)
        self.assertEqual(sorted(listed.split()), [b"incoming/new", b"incoming/there"])

    async def test_active(self) -> None:
        """
        Each transfer has a port of its own at the proxy.
        """
        await self.connect()
        await self.checkFiles()

    async def test_backlog(self) -> None:
        """
        That may have a backlog, which is of no use here.
        """
        await self.connect()
        await self.checkFiles(backlog=2)

    async def test_IPv6(self) -> None:
        """
        The port may be an IPv6 one, named by EPRT.
        """
        self.requireIPv6()
        await self.connect("::1", "--bind-address=::1")
        await self.checkFiles(interface="::")

    async def test_onePort(self) -> None:
        """
        Many transfers can use the same port, one after the other.
        """
        await self.connect()
        connections: list[Data] = []

        def build() -> Data:
            return connections.pop()

        factory = Factory.forProtocol(build)
        factory.noisy = False
        port: Any = await SOCKS6ServerEndpoint(reactor, self.proxyEndpoint, backlog=4).listen(
            factory
        )
        self.addCleanup(port.stopListening)
        for number in range(10):
            octets = pattern(1000)
            connections.append(Data(octets))
            await self.transfer(f"STOR incoming/{number}", connections[0], port)
            connections.append(Data())
            fetched = await self.transfer(f"RETR incoming/{number}", connections[0], port)
            self.assertEqual(fetched, octets)
