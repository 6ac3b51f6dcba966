"""
Tests for hosts that come to a port at a proxy.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

from twisted.internet import address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import alsoProvides

from socks6.values.address import Address
from tests.client.certificates import certificateFor
from tests.client.doubles import (
    Application,
    ApplicationFactory,
    HalfCloseableApplication,
    Producer,
    ProxyTransport,
    operationReply,
)
from tests.client.listening import (
    HOST_CAME,
    LISTENS,
    SHOWN_BOUND,
    SHOWN_HOST,
    ListeningTestCase,
)


class HostTestCase(ListeningTestCase):
    """
    A test with a host that has connected.

    @ivar application: The user's protocol.
    """

    application: Any

    def come(self, build: Any = Application, transport: Any = None) -> None:
        """
        Listen, and let a host come.

        @param build: Makes the user's protocol.
        @param transport: The connection to the proxy, if it is to be a special one.
        """
        self.served.build = build
        self.listen()
        self.acceptNext(transport).receive(LISTENS)
        self.transport.clear()
        self.transport.receive(HOST_CAME)
        [(self.application, _)] = self.served.built


class ConnectionTests(HostTestCase):
    """
    A host becomes a connection of the user's.
    """

    def test_addresses(self) -> None:
        """
        The protocol is built for the host's address, which is its peer's; its host is
        the port at the proxy.
        """
        self.come()
        self.assertEqual(self.served.built, [(self.application, SHOWN_HOST)])
        self.assertEqual(self.application.events, ["made"])
        self.assertEqual(self.application.transport.getPeer(), SHOWN_HOST)
        self.assertEqual(self.application.transport.getHost(), SHOWN_BOUND)

    def test_IPv6(self) -> None:
        """
        The host may have an IPv6 address.
        """
        self.listen()
        self.acceptNext().receive(LISTENS)
        self.transport.receive(operationReply(bound=Address(IPv6Address("2001:db8::9"), 7)))
        host = address.IPv6Address("TCP", "2001:db8::9", 7)
        [(application, built)] = self.served.built
        self.assertEqual((built, application.transport.getPeer()), (host, host))

    def test_octets(self) -> None:
        """
        Octets pass both ways, those that come together with the reply as well.
        """
        self.served.build = lambda: Application(lambda made: made.transport.write(b"220 hi"))
        self.listen()
        self.acceptNext().receive(LISTENS)
        self.transport.clear()
        self.transport.receive(HOST_CAME + b"first")
        [(application, _)] = self.served.built
        self.assertEqual(application.events, ["made", b"first"])
        self.assertEqual(self.transport.value(), b"220 hi")
        self.transport.receive(b"more")
        application.transport.write(b" there")
        self.assertEqual(application.events, ["made", b"first", b"more"])
        self.assertEqual(self.transport.value(), b"220 hi there")

    def test_everySplit(self) -> None:
        """
        It does not matter how what the proxy says is cut.
        """
        octets = LISTENS + HOST_CAME + b"first"
        for cut in range(len(octets) + 1):
            self.setUp()
            self.listen()
            self.acceptNext()
            for piece in (octets[:cut], octets[cut:]):
                if piece:
                    self.transport.receive(piece)
            [(application, _)] = self.served.built
            self.assertEqual(b"".join(application.events[1:]), b"first", f"cut at {cut}")

    def test_transport(self) -> None:
        """
        Its transport is a TCP transport where that to the proxy is one.
        """
        self.come()
        self.assertTrue(ITCPTransport.providedBy(self.application.transport))
        self.application.transport.setTcpNoDelay(True)
        self.assertTrue(self.transport.noDelay)

    def test_lost(self) -> None:
        """
        When the connection is lost the protocol hears why.
        """
        self.come()
        error = ConnectionLost()
        self.transport.lose(error)
        self.assertEqual(self.application.events, ["made", error])

    def test_close(self) -> None:
        """
        Closing it closes the connection to the proxy.
        """
        self.come()
        self.application.transport.loseConnection()
        self.assertTrue(self.transport.disconnecting)
        self.setUp()
        self.come()
        self.application.transport.abortConnection()
        self.assertTrue(self.transport.disconnected)

    def test_flowControl(self) -> None:
        """
        Who is slow slows the other down.
        """
        self.come()
        producer = Producer()
        self.application.transport.registerProducer(producer, True)
        self.assertIs(self.transport.producer, producer)
        self.application.transport.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.application.transport.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_pausedAtOnce(self) -> None:
        """
        A protocol that does not want to read at first loses nothing.
        """
        self.served.build = lambda: Application(lambda made: made.transport.pauseProducing())
        self.listen()
        self.acceptNext().receive(LISTENS + HOST_CAME + b"first")
        [(application, _)] = self.served.built
        self.assertEqual(application.events, ["made"])
        application.transport.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(application.events, ["made", b"first"])

    def test_logPrefix(self) -> None:
        """
        It logs in the name of the user's protocol as soon as there is one.
        """
        self.come()
        self.assertEqual(self.transport.protocol.logPrefix(), "Application")


class UnwantedTests(ListeningTestCase):
    """
    A host that does not become one.
    """

    def test_noProtocol(self) -> None:
        """
        If the factory builds no protocol, the host is sent away, and the next one may
        come.
        """
        self.served.build = lambda: None
        self.listenForOne()
        self.transport.receive(HOST_CAME)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.unaccepted, 1)
        self.transport.lose()
        self.assertNothingLeft()

    def test_factoryRaises(self) -> None:
        """
        The same if it raises, and that is logged.
        """

        def build() -> Any:
            raise RuntimeError("not today")

        self.served.build = build
        self.listenForOne()
        self.transport.receive(HOST_CAME)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.unaccepted, 1)

    def test_protocolRaises(self) -> None:
        """
        A protocol that does so when it is connected loses its connection, and the next
        host may come.
        """

        def fail(made: Application) -> None:
            raise RuntimeError("not today")

        self.served.build = lambda: Application(fail)
        self.listenForOne()
        self.assertRaises(RuntimeError, self.transport.receive, HOST_CAME)
        error = RuntimeError()
        # As reactors do.
        self.transport.lose(error)
        [(application, _)] = self.served.built
        self.assertEqual(application.events, ["made", error])
        self.assertEqual(self.unaccepted, 1)
        self.assertNothingLeft()


class HalfCloseTests(HostTestCase):
    """
    One direction may end before the other.
    """

    def test_input(self) -> None:
        """
        The end of what the host sends reaches a protocol that wants to know; it can go
        on to write.
        """
        self.come(HalfCloseableApplication)
        self.transport.endInput()
        self.assertEqual(self.application.events, ["made", "read lost"])
        self.application.transport.write(b"answer")
        self.assertEqual(self.transport.value(), b"answer")
        self.assertOpen(self.transport)

    def test_inputNotUnderstood(self) -> None:
        """
        For any other it is the end of the connection, once; what it has written still
        leaves.
        """
        self.come()
        producer = Producer()
        self.application.transport.registerProducer(producer, True)
        self.application.transport.write(b"answer")
        self.transport.endInput()
        self.assertEqual(self.application.events[0], "made")
        self.assertIsInstance(self.application.events[1], ConnectionDone)
        self.assertEqual(producer.told, ["stop"])
        self.assertIsNone(self.transport.producer)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)
        self.transport.receive(b"nobody hears this")
        self.transport.lose()
        self.assertEqual(len(self.application.events), 2)
        self.assertNothingLeft()

    def test_slowEnd(self) -> None:
        """
        A host that does not read does not keep that connection for long.
        """
        self.come()
        self.transport.endInput()
        self.reactor.advance(5)
        self.assertClosed(self.transport)
        self.assertEqual(len(self.application.events), 2)

    def test_output(self) -> None:
        """
        A protocol can end its direction and go on to read; one that wants to know hears
        when that is done.
        """
        for build, expected in [
            (HalfCloseableApplication, ["made", "write lost", b"more"]),
            (Application, ["made", b"more"]),
        ]:
            self.setUp()
            self.come(build)
            self.application.transport.loseWriteConnection()
            self.assertTrue(self.transport.halfClosed)
            self.transport.protocol.writeConnectionLost()
            self.transport.receive(b"more")
            self.assertEqual(self.application.events, expected)

    def test_throughTLS(self) -> None:
        """
        Where TLS is spoken with the proxy, the end of one direction is the end.
        """
        transport = ProxyTransport()
        alsoProvides(transport, ISSLTransport)
        self.come(HalfCloseableApplication, transport)
        self.application.transport.loseWriteConnection()
        self.assertFalse(self.transport.halfClosed)
        self.assertTrue(self.transport.disconnecting)

    def test_whileWaiting(self) -> None:
        """
        The end of what the proxy sends while no host has come is a failure.
        """
        self.listenForOne()
        self.transport.endInput()
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.served.built, [])
        self.transport.lose()
        self.assertEqual(self.unaccepted, 0)
        self.reactor.advance(0.5)
        self.assertEqual(self.unaccepted, 1)


class StartTLSTests(HostTestCase):
    """
    C{startTLS} speaks TLS with the host: who has connected is its client.
    """

    name = "example.org"

    def converse(self, normal: bool) -> None:
        """
        Begin TLS on both sides, and talk.

        @param normal: Whether we are its server.
        """
        self.come()
        certificate = certificateFor(self.name)
        contexts = (
            optionsForClientTLS(self.name, trustRoot=certificate),
            certificate.options(),
        )
        host = Application()
        tls: TLSMemoryBIOProtocol = TLSMemoryBIOFactory(
            contexts[not normal], normal, ApplicationFactory(host), self.reactor
        ).buildProtocol(None)
        transport = StringTransport()
        self.application.transport.startTLS(contexts[normal], normal)
        tls.makeConnection(transport)
        host.transport.write(b"question")
        self.application.transport.write(b"answer")
        while True:
            self.reactor.advance(0)
            toHost, fromHost = self.transport.value(), transport.value()
            self.transport.clear()
            transport.clear()
            if toHost:
                tls.dataReceived(toHost)
            if fromHost:
                self.transport.receive(fromHost)
            if not toHost and not fromHost:
                break
        self.assertEqual(host.events, ["made", b"answer"])
        self.assertEqual(self.application.events, ["made", b"question"])

    def test_server(self) -> None:
        """
        We are TLS's server.
        """
        self.converse(True)

    def test_client(self) -> None:
        """
        We are its client if we insist.
        """
        self.converse(False)

    def test_wrapped(self) -> None:
        """
        The factory may have TLS around it.
        """
        server = Application()
        self.application = server
        factory = ApplicationFactory(server)
        options = certificateFor(self.name).options()
        tls = TLSMemoryBIOFactory(options, False, factory, self.reactor)
        self.served.build = lambda: tls.buildProtocol(None)
        self.listen()
        self.acceptNext().receive(LISTENS + HOST_CAME)
        self.transport.endInput()
        self.transport.lose()
        self.assertEqual(server.events[0], "made")
        self.assertEqual(len(server.events), 2)
