"""
Tests for the transport of the user's protocol.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import address
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IProtocol,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
    IUNIXTransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import AuthenticationRefused, EndedEarly, VersionNotSpoken
from socks6.wire.errors import UsageError
from tests.client.certificates import certificateFor
from tests.client.doubles import (
    HOST,
    PORT,
    REQUEST,
    SUCCESS,
    Application,
    ApplicationFactory,
    ClientTestCase,
    HalfCloseableApplication,
    Producer,
    ProxyTransport,
    refusal,
)


class TransportTests(ClientTestCase):
    """
    What a user's protocol can do with its transport.
    """

    @property
    def tunnel(self) -> Any:
        """
        The transport.
        """
        return self.application.transport

    def test_interfaces(self) -> None:
        """
        It keeps what it promises, and promises a TCP transport where it stands on
        one.
        """
        self.establish()
        for interface in (ITransport, IConsumer, IPushProducer, ITCPTransport, ITLSTransport):
            verifyObject(interface, self.tunnel)
        verifyObject(IProtocol, self.transport.protocol._wrappedProtocol)

    def test_noSocket(self) -> None:
        """
        Over something that is no TCP connection it does not promise one.
        """
        self.connect()
        protocol = self.build()
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(SUCCESS)
        self.assertFalse(ITCPTransport.providedBy(self.tunnel))
        self.assertTrue(ITransport.providedBy(self.tunnel))

    def test_addresses(self) -> None:
        """
        Its peer is the destination; its host is what the proxy has bound, and its
        own address before that is known.
        """
        self.application.whenMade = lambda application: application.events.append(
            (application.transport.getPeer(), application.transport.getHost())
        )
        destination = address.HostnameAddress(HOST.encode(), PORT)
        bound = address.IPv4Address("TCP", "192.0.2.1", 4000)
        self.establish()
        self.assertEqual(self.application.events[-1], (destination, bound))
        self.setUp()
        self.application.whenMade = lambda application: application.events.append(
            (application.transport.getPeer(), application.transport.getHost())
        )
        self.negotiate(optimistic=True)
        self.assertEqual(self.application.events[-1], (destination, self.transport.getHost()))

    def test_write(self) -> None:
        """
        What is written goes to the proxy behind the request.
        """
        self.establish()
        self.tunnel.write(b"one ")
        self.tunnel.writeSequence([b"two ", b"three"])
        self.assertEqual(self.transport.value(), REQUEST + b"one two three")

    def test_tcpOptions(self) -> None:
        """
        The options of TCP are those of the connection to the proxy.
        """
        self.establish()
        self.tunnel.setTcpNoDelay(True)
        self.assertTrue(self.transport.noDelay)
        self.assertTrue(self.tunnel.getTcpNoDelay())
        self.assertIdentical(self.tunnel.getHandle(), self.transport)

    def test_proxysOwn(self) -> None:
        """
        What the connection to the proxy can do besides is not offered.
        """
        self.connect()
        transport = ProxyTransport()
        alsoProvides(transport, IUNIXTransport)
        self.accept(transport)
        self.transport.receive(SUCCESS)
        self.assertFalse(IUNIXTransport.providedBy(self.tunnel))
        self.assertFalse(hasattr(self.tunnel, "sendFileDescriptor"))
        self.assertFalse(hasattr(self.tunnel, "noSuchThing"))

    def test_proxysTLS(self) -> None:
        """
        TLS with the proxy is not mistaken for TLS with the destination, whether it
        wraps the transport or hides in it.
        """
        trust = optionsForClientTLS("proxy.example")
        hidden = ProxyTransport()
        alsoProvides(hidden, ISSLTransport)
        for wrapped in (False, True):
            self.connect(optimistic=True)
            if wrapped:
                inner = ApplicationFactory(self.build())
                tls = TLSMemoryBIOFactory(trust, True, inner, self.reactor)
                tls.buildProtocol(None).makeConnection(ProxyTransport())
            else:
                self.accept(hidden)
            for interface in (ISSLTransport, INegotiated, ISystemHandle):
                self.assertFalse(interface.providedBy(self.tunnel), interface)
            for name in ("getHandle", "getPeerCertificate", "negotiatedProtocol"):
                self.assertFalse(hasattr(self.tunnel, name), name)

    def test_lose(self) -> None:
        """
        Closing it closes the connection to the proxy.
        """
        for name in ("loseConnection", "stopProducing"):
            self.setUp()
            self.establish()
            self.assertFalse(self.tunnel.disconnecting)
            getattr(self.tunnel, name)()
            self.assertTrue(self.tunnel.disconnecting)
            self.assertTrue(self.transport.disconnecting)
            self.assertFalse(self.transport.disconnected)

    def test_abort(self) -> None:
        """
        Aborting it aborts that.
        """
        self.establish()
        self.tunnel.abortConnection()
        self.assertTrue(self.tunnel.disconnecting)
        self.assertTrue(self.transport.disconnected)

    def test_lost(self) -> None:
        """
        When it is lost the protocol hears why, and the two let go of each other.
        """
        self.establish()
        tunnel = self.tunnel
        self.assertTrue(tunnel.connected)
        error = ConnectionAborted()
        self.transport.lose(error)
        self.assertEqual(self.application.events, ["made", error])
        self.assertFalse(tunnel.connected)
        self.assertIsNot(tunnel.user, self.application)
        self.transport.receive(b"from beyond")
        self.assertEqual(self.application.events, ["made", error])

    def test_logPrefix(self) -> None:
        """
        It logs in the name of the user's protocol.
        """
        self.connect()
        self.assertEqual(self.build().logPrefix(), "Application")

        class Plain:
            """
            Does not say what it is called.
            """

        self.connect()
        self.factory.application = Plain()
        self.assertEqual(self.build().logPrefix(), "Plain")


class HalfCloseTests(ClientTestCase):
    """
    One direction may end before the other.
    """

    def test_claimed(self) -> None:
        """
        The proxy's endpoint finds that half-close is understood exactly where the
        user's protocol does, before there is a connection.
        """
        for application, understood in [(Application(), False), (HalfCloseableApplication(), True)]:
            self.application = application
            self.connect()
            protocol = self.build()
            self.assertEqual(IHalfCloseableProtocol.providedBy(protocol), understood)
            protocol.makeConnection(ProxyTransport())
            self.assertEqual(
                IHalfCloseableProtocol.providedBy(protocol._wrappedProtocol), understood
            )

    def test_handshakes(self) -> None:
        """
        A listener for handshakes is never told of the one with the proxy, and does
        not keep half-close from being understood.
        """

        @implementer(IHandshakeListener)
        class Listener(HalfCloseableApplication):
            """
            Wants to hear of both.
            """

            def handshakeCompleted(self) -> None:
                """
                Nobody calls this.
                """

        self.application = Listener()
        self.connect()
        protocol = self.build()
        self.assertTrue(IHalfCloseableProtocol.providedBy(protocol))
        self.assertFalse(IHandshakeListener.providedBy(protocol))

    def test_input(self) -> None:
        """
        The end of what the destination sends reaches a protocol that wants to know;
        it can go on to write.
        """
        self.application = HalfCloseableApplication()
        self.establish()
        self.transport.endInput()
        self.assertEqual(self.application.events, ["made", "read lost"])
        self.application.transport.write(b"more")
        self.assertEqual(self.transport.value(), REQUEST + b"more")
        self.assertFalse(self.transport.disconnecting)

    def test_inputNotUnderstood(self) -> None:
        """
        For any other it is the end of the connection.
        """
        self.establish()
        self.transport.endInput()
        self.assertIsInstance(self.application.events[-1], ConnectionDone)

    def test_output(self) -> None:
        """
        A protocol can end its direction and go on to read.
        """
        self.application = HalfCloseableApplication()
        self.establish()
        self.application.transport.loseWriteConnection()
        self.assertTrue(self.transport.halfClosed)
        self.assertFalse(self.transport.disconnecting)
        self.transport.protocol.writeConnectionLost()
        self.transport.receive(b"answer")
        self.assertEqual(self.application.events, ["made", "write lost", b"answer"])

    def test_outputThroughTLS(self) -> None:
        """
        Where TLS is spoken with the proxy, the end of one direction is the end.
        """
        self.negotiate()
        alsoProvides(self.transport, ISSLTransport)
        self.transport.receive(SUCCESS)
        self.application.transport.loseWriteConnection()
        self.assertFalse(self.transport.halfClosed)
        self.assertTrue(self.transport.disconnecting)

    def test_outputThroughTLSEarly(self) -> None:
        """
        That end waits for the proxy's replies, too.
        """
        self.negotiate(optimistic=True)
        alsoProvides(self.transport, ISSLTransport)
        self.application.transport.loseWriteConnection()
        self.assertFalse(self.transport.disconnecting)
        self.transport.receive(SUCCESS)
        self.assertTrue(self.transport.disconnecting)


class FlowControlTests(ClientTestCase):
    """
    Who is slow slows the other down.
    """

    def test_consumer(self) -> None:
        """
        A producer writes at the pace of the connection to the proxy.
        """
        self.establish()
        producer = Producer()
        self.application.transport.registerProducer(producer, True)
        self.assertIdentical(self.transport.producer, producer)
        self.application.transport.unregisterProducer()
        self.assertIsNone(self.transport.producer)

    def test_producer(self) -> None:
        """
        A protocol that pauses is not read for.
        """
        self.establish()
        self.application.transport.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.application.transport.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_resumeAfterClosing(self) -> None:
        """
        A connection that is being closed is not read from again.
        """
        self.establish()
        self.application.transport.pauseProducing()
        self.application.transport.loseConnection()
        self.application.transport.resumeProducing()
        self.assertEqual(self.transport.producerState, "paused")


@implementer(IHandshakeListener)
class HandshakeListener(Application):
    """
    One that hears of handshakes.
    """

    def handshakeCompleted(self) -> None:
        """
        Take note.
        """
        self.events.append("handshake")


class StartTLSTests(ClientTestCase):
    """
    TLS with the destination may begin at any time.
    """

    def setUp(self) -> None:
        """
        Prepare both sides.
        """
        super().setUp()
        self.application = HandshakeListener()
        certificate = certificateFor(HOST)
        self.trust = optionsForClientTLS(HOST, trustRoot=certificate)
        self.server = Application()
        factory = TLSMemoryBIOFactory(
            certificate.options(), False, ApplicationFactory(self.server), self.reactor
        )
        self.serverTLS = factory.buildProtocol(None)
        self.serverTransport = StringTransport()

    def startTLS(self) -> None:
        """
        Begin TLS on both sides.
        """
        self.transport.clear()
        self.serverTLS.makeConnection(self.serverTransport)
        self.application.transport.startTLS(self.trust)

    def exchange(self) -> None:
        """
        Carry octets both ways until there are none.
        """
        while True:
            self.reactor.advance(0)
            toServer, toClient = self.transport.value(), self.serverTransport.value()
            self.transport.clear()
            self.serverTransport.clear()
            if not toServer and not toClient:
                return
            if toServer:
                self.serverTLS.dataReceived(toServer)
            if toClient:
                self.transport.receive(toClient)

    def test_startTLS(self) -> None:
        """
        From then on both sides read and write through TLS, the protocol's transport
        is the same and says so, and the protocol hears of the handshake.
        """
        self.establish()
        self.transport.receive(b"220 go ahead")
        self.startTLS()
        tunnel = self.application.transport
        tunnel.write(b"secret")
        self.assertNotIn(b"secret", self.transport.value())
        self.exchange()
        self.server.transport.write(b"answer")
        self.exchange()
        self.assertEqual(self.server.events, ["made", b"secret"])
        self.assertEqual(self.application.events, ["made", b"220 go ahead", "handshake", b"answer"])
        verifyObject(INegotiated, tunnel)
        self.assertIsNone(tunnel.negotiatedProtocol)
        self.assertEqual(tunnel.getPeerCertificate().get_subject().CN, HOST)
        self.assertEqual(tunnel.getPeer(), address.HostnameAddress(HOST.encode(), PORT))

    def test_close(self) -> None:
        """
        Closing says good-bye in TLS first.
        """
        self.establish()
        self.startTLS()
        self.exchange()
        self.application.transport.write(b"last")
        self.application.transport.loseConnection()
        self.exchange()
        self.assertEqual(self.server.events, ["made", b"last"])
        self.assertTrue(self.serverTransport.disconnecting)
        self.assertTrue(self.transport.disconnecting)
        self.transport.lose()
        self.assertIsInstance(self.application.events[-1], ConnectionDone)

    def test_halfClose(self) -> None:
        """
        TLS cannot be half-closed: who tries closes; the end of what comes is the
        end.
        """
        self.application = HalfCloseableApplication()
        self.establish()
        self.startTLS()
        self.exchange()
        self.transport.endInput()
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.application.events, ["made"])
        self.setUp()
        self.application = HalfCloseableApplication()
        self.establish()
        self.startTLS()
        self.exchange()
        self.application.transport.loseWriteConnection()
        self.exchange()
        self.assertFalse(self.transport.halfClosed)
        self.assertTrue(self.transport.disconnecting)

    def test_optimistic(self) -> None:
        """
        It may begin before the proxy has replied.
        """
        self.negotiate(optimistic=True)
        self.startTLS()
        hello = self.transport.value()
        self.transport.clear()
        self.assertTrue(hello.startswith(b"\x16\x03"))
        self.transport.receive(SUCCESS)
        self.serverTLS.dataReceived(hello)
        self.application.transport.write(b"secret")
        self.exchange()
        self.assertEqual(self.server.events, ["made", b"secret"])
        self.assertEqual(self.application.events, ["made", "handshake"])

    def test_optimisticRefused(self) -> None:
        """
        Then a proxy that says no is heard all the same.
        """
        self.application = HalfCloseableApplication()
        self.negotiate(optimistic=True)
        self.startTLS()
        self.transport.receive(b"\x06\x00")
        self.transport.endInput()
        self.assertTrue(self.transport.disconnected)
        self.transport.lose(ConnectionAborted())
        self.assertIsInstance(self.application.events[-1], VersionNotSpoken)

    def test_wrappedRefused(self) -> None:
        """
        So is one that refuses an endpoint with TLS around it.
        """
        application = self.application
        endpoint = wrapClientTLS(
            self.trust,
            SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, HOST, PORT, optimistic=True),
            self.reactor,
        )
        for lose in (lambda: self.transport.receive(refusal()), lambda: None):
            connected = endpoint.connect(ApplicationFactory(application))
            self.accept()
            self.assertIdentical(self.successResultOf(connected), application)
            lose()
            self.transport.lose(ConnectionLost())
        refused, ended = application.events[1], application.events[3]
        self.assertIsInstance(refused, AuthenticationRefused)
        self.assertIsInstance(ended, EndedEarly)

    def test_producer(self) -> None:
        """
        A registered producer goes on to write, through TLS.
        """
        self.establish()
        producer = Producer()
        self.application.transport.registerProducer(producer, True)
        self.startTLS()
        self.assertIsNotNone(self.transport.producer)
        self.assertIsNot(self.transport.producer, producer)
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()
        self.assertEqual(producer.told, ["pause"])
        self.exchange()
        self.application.transport.unregisterProducer()
        self.assertIsNone(self.transport.producer)

    def test_noProducer(self) -> None:
        """
        One that has been unregistered before does not come back.
        """
        self.establish()
        self.application.transport.registerProducer(Producer(), True)
        self.application.transport.unregisterProducer()
        self.startTLS()
        self.assertIsNone(self.transport.producer)

    def test_proxysTLS(self) -> None:
        """
        Where TLS is spoken with the proxy, what a transport tells of TLS is about
        the destination from then on.
        """
        self.connect()
        transport = ProxyTransport()
        alsoProvides(transport, ISSLTransport)
        self.accept(transport)
        self.transport.receive(SUCCESS)
        self.assertFalse(hasattr(self.application.transport, "getPeerCertificate"))
        self.startTLS()
        self.exchange()
        certificate = self.application.transport.getPeerCertificate()
        self.assertEqual(certificate.get_subject().CN, HOST)

    def test_twice(self) -> None:
        """
        Once is enough.
        """
        self.establish()
        self.startTLS()
        self.assertRaises(UsageError, self.application.transport.startTLS, self.trust)

    def test_heldData(self) -> None:
        """
        What waits since before is TLS's, and stays in order.
        """
        self.application.whenMade = lambda application: application.transport.pauseProducing()
        self.negotiate(optimistic=True)
        self.transport.clear()
        self.serverTLS.makeConnection(self.serverTransport)
        self.application.transport.startTLS(self.trust)
        self.serverTLS.dataReceived(self.transport.value())
        self.transport.clear()
        answer = self.serverTransport.value()
        self.serverTransport.clear()
        self.transport.receive(SUCCESS + answer[:100])
        self.transport.receive(answer[100:])
        self.application.transport.resumeProducing()
        self.exchange()
        self.assertEqual(self.application.events, ["made", "handshake"])


class ProtocolTests(ClientTestCase):
    """
    L{Protocol}'s own methods are those of the user's protocol.
    """

    def test_replacedMethod(self) -> None:
        """
        A protocol that replaces its C{dataReceived} gets what comes there.
        """
        self.establish()
        got: list[bytes] = []
        self.patch(self.application, "dataReceived", got.append)
        self.transport.receive(b"hello")
        self.assertEqual(got, [b"hello"])

    def test_isProtocol(self) -> None:
        """
        Endpoints that wrap others find a protocol.
        """
        self.connect()
        built = self.build()._wrappedProtocol
        self.assertIsInstance(built, Protocol)
