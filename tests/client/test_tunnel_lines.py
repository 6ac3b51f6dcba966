"""
Tests for the transport of a user's protocol whose connection to the proxy is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from socks6.client.early import EARLY_DATA_LIMIT
from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import AuthenticationRefused, RequestRefused
from socks6.values.codes import TokenOutcome
from socks6.wire.errors import UsageError
from tests.client.certificates import certificateFor
from tests.client.doubles import (
    HOST,
    PORT,
    SUCCESS,
    Application,
    ApplicationFactory,
    HalfCloseableApplication,
    Producer,
    ProxyTransport,
    refusal,
)
from tests.client.sessions import (
    ADA,
    CONNECTED,
    FAILED,
    INVALID,
    OTHER_ID,
    SessionTestCase,
    naming,
    opened,
    opening,
    spent,
    unspent,
    window,
)


class LinesTestCase(SessionTestCase):
    """
    A test with an optimistic protocol, in a session that the proxy has forgotten.

    @ivar first: The connection that is replaced.
    """

    first: ProxyTransport

    @property
    def tunnel(self) -> Any:
        """
        The protocol's transport.
        """
        return self.application.transport

    def begin(self, transport: ProxyTransport | None = None) -> None:
        """
        Let the protocol be connected.

        @param transport: The connection to the proxy, if it is to be a special one.
        """
        self.open()
        self.connected = self.call(self.application, optimistic=True)
        self.first = self.acceptNext(transport)

    def refuse(self) -> None:
        """
        Let the proxy refuse the request, and close.
        """
        self.first.receive(INVALID)
        self.first.lose()
        self.assertEqual(self.application.events, ["made"])

    def goOn(self) -> ProxyTransport:
        """
        Let the proxy accept the connection that replaces the first one.
        """
        transport = self.acceptNext()
        self.assertSays(transport, opening())
        return transport

    def replace(self) -> ProxyTransport:
        """
        Let a connection be replaced by another one.
        """
        self.begin()
        self.refuse()
        return self.goOn()

    def succeed(self, transport: ProxyTransport, data: bytes = b"") -> None:
        """
        Let the proxy connect.
        """
        transport.receive(opened(64, OTHER_ID) + CONNECTED + data)
        self.assertConnected(self.connected)


class FactoryTests(LinesTestCase):
    """
    The user's factory hears nothing of it.
    """

    def setUp(self) -> None:
        """
        Begin, with a factory that takes note.
        """
        super().setUp()
        self.told: list[str] = []
        self.patch(Factory, "doStart", lambda factory: self.told.append("start"))
        self.patch(Factory, "doStop", lambda factory: self.told.append("stop"))
        self.begin()
        self.told.clear()
        self.connecting: Any = self.reactor.tcpClients[-1][2]
        self.connecting.doStart()

    def test_replaced(self) -> None:
        """
        It is in use from the first connection to the end of the last.
        """
        self.refuse()
        self.connecting.doStop()
        second: Any = self.reactor.tcpClients[-1][2]
        second.doStart()
        self.assertEqual(self.told, ["start"])
        self.succeed(self.goOn())
        second.doStop()
        self.assertEqual(self.told, ["start", "stop"])

    def test_notReplaced(self) -> None:
        """
        If there is no second connection, that is its end.
        """
        self.refuse()
        self.connecting.doStop()
        self.assertEqual(self.told, ["start"])
        second: Any = self.reactor.tcpClients[-1][2]
        second.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.assertEqual(self.told, ["start", "stop"])
        self.assertIsInstance(self.application.events[-1], ConnectionRefusedError)


class WriteTests(LinesTestCase):
    """
    What has been written is written once more.
    """

    def test_earlyData(self) -> None:
        """
        All that was written before the Authentication Reply follows the new request,
        in one write, in its order, and once.
        """
        self.application.whenMade = lambda application: application.transport.write(b"one ")
        self.begin()
        self.tunnel.writeSequence([b"two ", b"three "])
        self.assertEqual(self.first.data, b"one two three ")
        self.refuse()
        self.tunnel.write(b"four ")
        self.tunnel.writeSequence([b"five ", b"six "])
        self.assertEqual(self.first.data, b"one two three ")
        second = self.goOn()
        self.assertEqual(len(second.writes), 1)
        self.assertEqual(second.data, b"one two three four five six ")
        self.tunnel.write(b"seven ")
        self.succeed(second, b"hello")
        self.tunnel.write(b"eight")
        self.assertEqual(second.data, b"one two three four five six seven eight")
        self.assertEqual(self.application.events, ["made", b"hello"])
        self.assertNothingLeft()

    def test_severalTimes(self) -> None:
        """
        It may be written as many times as there are remedies.
        """
        self.begin()
        self.tunnel.write(b"one ")
        self.first.receive(refusal())
        self.tunnel.write(b"two ")
        second = self.acceptNext()
        self.assertSays(second, naming(1, ADA))
        self.tunnel.write(b"three ")
        second.receive(unspent(TokenOutcome.OUT_OF_WINDOW, window(9)))
        third = self.acceptNext()
        self.assertSays(third, naming(9, ADA))
        third.receive(INVALID)
        fourth = self.goOn()
        self.tunnel.write(b"four")
        self.assertEqual(self.first.data, b"one ")
        self.assertEqual(second.data, b"one two three ")
        self.assertEqual(third.data, b"one two three ")
        self.assertEqual(fourth.data, b"one two three four")
        self.succeed(fourth)
        for transport in (self.first, second, third):
            transport.lose()
        self.assertEqual(self.application.events, ["made"])
        self.assertNothingLeft()

    def test_limit(self) -> None:
        """
        Too much is not kept; then the protocol hears of the refusal.
        """
        for excess in (0, 1):
            self.setUp()
            self.begin()
            half = EARLY_DATA_LIMIT // 2
            self.tunnel.write(bytes(half))
            self.tunnel.write(bytes(half + excess))
            self.first.receive(INVALID)
            self.assertEqual(self.unaccepted, 1 - excess)
            if not excess:
                self.assertEqual(self.goOn().data, bytes(EARLY_DATA_LIMIT))
                continue
            self.assertTrue(self.first.disconnected)
            self.first.lose(ConnectionAborted())
            error = self.application.events[1]
            self.assertIsInstance(error, AuthenticationRefused)
            self.assertTrue(error.sessionInvalid)
            # The next request is better off.
            self.call()
            self.assertSays(self.acceptNext(), opening())

    def test_tooMuchInBetween(self) -> None:
        """
        What is written while there is no connection is never dropped; but it is not
        kept for yet another one.
        """
        self.begin()
        self.refuse()
        self.tunnel.write(bytes(EARLY_DATA_LIMIT + 1))
        second = self.goOn()
        self.assertEqual(len(second.data), EARLY_DATA_LIMIT + 1)
        self.tunnel.write(b"x")
        self.assertFalse(self.tunnel.early.isKept)

    def test_onlyAsLongAsNeeded(self) -> None:
        """
        Nothing is kept once the proxy has let us in, nor if the request names no
        session: then it is never made again.
        """
        self.begin()
        self.tunnel.write(b"hello")
        self.assertTrue(self.tunnel.early.isKept)
        self.first.receive(spent())
        self.assertFalse(self.tunnel.early.isKept)
        self.first.receive(FAILED)
        self.first.lose(ConnectionAborted())
        self.assertIsInstance(self.application.events[1], RequestRefused)
        self.assertEqual(self.unaccepted, 0)
        self.renew()
        opener = self.call(optimistic=True)
        self.acceptNext()
        self.assertFalse(opener.application.transport.early.isKept)

    def test_afterTheEnd(self) -> None:
        """
        What is written when the protocol has been lost goes nowhere.
        """
        self.begin()
        self.refuse()
        self.refuseNext()
        self.assertEqual(len(self.application.events), 2)
        self.tunnel.write(b"hello")
        self.tunnel.writeSequence([b"hello"])
        self.assertEqual(self.tunnel.early.octets, b"")


class ProducerTests(LinesTestCase):
    """
    Who writes at the pace of the connection.
    """

    def test_push(self) -> None:
        """
        A push producer is paused while there is none, and goes on then.
        """
        self.begin()
        producer = Producer()
        self.tunnel.registerProducer(producer, True)
        self.assertIs(self.first.producer, producer)
        self.first.receive(INVALID)
        self.assertEqual(producer.told, ["pause"])
        self.assertIsNone(self.first.producer)
        self.first.lose()
        second = self.goOn()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertIs(second.producer, producer)
        self.assertTrue(second.streaming)
        self.tunnel.unregisterProducer()
        self.assertIsNone(second.producer)

    def test_pull(self) -> None:
        """
        A pull producer is not asked for more, and is when there is one.
        """
        self.begin()
        producer = Producer()
        self.tunnel.registerProducer(producer, False)
        self.refuse()
        second = self.goOn()
        self.assertIs(second.producer, producer)
        self.assertFalse(second.streaming)
        # What else there is to do is the transport's business.
        self.assertEqual(producer.told, [])

    def test_registeredInBetween(self) -> None:
        """
        One that is registered in between waits.
        """
        for streaming, told in [(True, ["pause"]), (False, [])]:
            self.setUp()
            self.begin()
            self.refuse()
            producer = Producer()
            self.tunnel.registerProducer(producer, streaming)
            self.assertEqual(producer.told, told)
            self.assertIs(self.goOn().producer, producer)
            self.assertEqual(producer.told, told + ["resume"] * streaming)

    def test_unregisteredInBetween(self) -> None:
        """
        One that is unregistered in between does not come back.
        """
        self.begin()
        producer = Producer()
        self.tunnel.registerProducer(producer, True)
        self.refuse()
        self.tunnel.unregisterProducer()
        self.assertIsNone(self.goOn().producer)
        self.assertEqual(producer.told, ["pause"])

    def test_stopped(self) -> None:
        """
        If there is no other connection a producer is told to stop, before the
        protocol hears of it.
        """
        self.begin()
        producer = Producer()
        self.tunnel.registerProducer(producer, True)
        self.refuse()
        self.patch(
            producer, "stopProducing", lambda: self.application.events.append("stop producing")
        )
        self.refuseNext()
        self.assertEqual(self.application.events[1], "stop producing")
        self.assertEqual(len(self.application.events), 3)

    def test_nobodyToStop(self) -> None:
        """
        Where a connection is lost its transport tells the producer, once.
        """
        second = self.replace()
        producer = Producer()
        self.tunnel.registerProducer(producer, True)
        second.lose()
        self.assertEqual(producer.told, ["stop"])
        self.assertEqual(len(self.application.events), 2)


class ReadTests(LinesTestCase):
    """
    What a protocol may ask for as a reader.
    """

    def test_pausedInBetween(self) -> None:
        """
        A protocol that pauses while there is no connection gets nothing until it
        resumes, though the replies are read.
        """
        self.begin()
        self.refuse()
        self.tunnel.pauseProducing()
        second = self.goOn()
        self.assertEqual(second.producerState, "producing")
        self.succeed(second, b"hello")
        self.assertEqual(second.producerState, "paused")
        self.assertEqual(self.application.events, ["made"])
        self.tunnel.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(self.application.events, ["made", b"hello"])
        self.assertEqual(second.producerState, "producing")

    def test_pausedBefore(self) -> None:
        """
        One that has paused before and resumes in between is read for.
        """
        self.begin()
        self.tunnel.pauseProducing()
        self.refuse()
        self.tunnel.resumeProducing()
        second = self.goOn()
        self.succeed(second, b"hello")
        self.assertEqual(self.application.events, ["made", b"hello"])
        self.assertEqual(second.producerState, "producing")

    def test_firstEnds(self) -> None:
        """
        How the first connection ends concerns nobody, whenever it does.
        """
        self.application = HalfCloseableApplication()
        self.begin()
        self.first.receive(INVALID)
        second = self.goOn()
        self.succeed(second)
        self.first.receive(b"from beyond")
        self.first.endInput()
        self.first.protocol.writeConnectionLost()
        self.first.lose()
        self.assertEqual(self.application.events, ["made"])
        self.assertTrue(self.tunnel.connected)
        second.receive(b"hello")
        self.assertEqual(self.application.events, ["made", b"hello"])
        self.assertNothingLeft()


class HalfCloseTests(LinesTestCase):
    """
    One direction may have ended.
    """

    def setUp(self) -> None:
        """
        Have a protocol that knows about it.
        """
        super().setUp()
        self.application = HalfCloseableApplication()

    def test_before(self) -> None:
        """
        If it has ended on the first connection, it ends on the second; the protocol
        hears of that once.
        """
        for told in (False, True):
            self.setUp()
            self.begin()
            self.tunnel.write(b"all")
            self.tunnel.loseWriteConnection()
            self.assertTrue(self.first.halfClosed)
            if told:
                self.first.protocol.writeConnectionLost()
            self.first.receive(INVALID)
            self.first.lose()
            second = self.goOn()
            self.assertEqual(second.data, b"all")
            self.assertTrue(second.halfClosed)
            second.protocol.writeConnectionLost()
            self.succeed(second, b"answer")
            self.assertEqual(self.application.events, ["made", "write lost", b"answer"])

    def test_between(self) -> None:
        """
        The same goes for what ends in between.
        """
        self.begin()
        self.refuse()
        self.tunnel.write(b"all")
        self.tunnel.loseWriteConnection()
        self.assertFalse(self.first.halfClosed)
        second = self.goOn()
        self.assertEqual(second.data, b"all")
        self.assertTrue(second.halfClosed)
        self.assertFalse(second.disconnecting)

    def test_notEnded(self) -> None:
        """
        Otherwise it does not end.
        """
        second = self.replace()
        self.assertFalse(second.halfClosed)

    def test_throughTLS(self) -> None:
        """
        Where one direction cannot end alone, both end when the proxy has replied.
        """
        transport = ProxyTransport()
        alsoProvides(transport, ISSLTransport)
        self.begin(transport)
        self.refuse()
        self.tunnel.loseWriteConnection()
        second = ProxyTransport()
        alsoProvides(second, ISSLTransport)
        self.acceptNext(second)
        self.assertFalse(second.halfClosed or second.disconnecting)
        self.succeed(second)
        self.assertFalse(second.halfClosed)
        self.assertTrue(second.disconnecting)


class CloseTests(LinesTestCase):
    """
    A protocol may close early.
    """

    def closes(self, when: str) -> None:
        """
        Let the protocol write and close.

        @param when: On the first connection, in between, or on the second.
        """
        self.tunnel.write(when.encode())
        self.tunnel.loseConnection()
        self.assertTrue(self.tunnel.disconnecting)

    def test_lose(self) -> None:
        """
        Then its data is delivered nevertheless: the connection is closed when the
        proxy has replied.
        """
        for when in ("first", "between", "second"):
            self.setUp()
            self.begin()
            if when == "first":
                self.closes(when)
            self.refuse()
            if when == "between":
                self.closes(when)
            second = self.goOn()
            if when == "second":
                self.closes(when)
            self.assertFalse(second.disconnecting, when)
            self.assertEqual(second.data, when.encode())
            self.succeed(second, b"too late")
            self.assertTrue(second.disconnecting, when)
            error = ConnectionDone()
            second.lose(error)
            self.assertEqual(self.application.events, ["made", error], when)
            self.assertNothingLeft()

    def test_stopProducing(self) -> None:
        """
        The same goes for a protocol that will never read again.
        """
        self.begin()
        self.refuse()
        self.tunnel.stopProducing()
        second = self.goOn()
        self.succeed(second)
        self.assertTrue(second.disconnecting)

    def test_refusedAfterwards(self) -> None:
        """
        It still hears if there is no second connection, or that one is refused, too.
        """
        ways: list[Callable[[], object]] = [
            self.refuseNext,
            lambda: self.goOn().receive(refusal()),
        ]
        for way in ways:
            self.setUp()
            self.begin()
            self.tunnel.loseConnection()
            self.refuse()
            way()
            if len(self.application.events) == 1:
                self.assertTrue(self.transport.disconnected)
                self.transport.lose(ConnectionAborted())
            self.assertEqual(len(self.application.events), 2)

    def test_abortOnSecond(self) -> None:
        """
        Aborting on the second connection aborts that.
        """
        second = self.replace()
        self.tunnel.abortConnection()
        self.assertTrue(second.disconnected)
        error = ConnectionAborted()
        second.lose(error)
        self.assertEqual(self.application.events, ["made", error])
        self.assertNothingLeft()


class TransportTests(LinesTestCase):
    """
    What a transport tells of itself.
    """

    def test_addresses(self) -> None:
        """
        Its peer is the destination all the time; its host is our own address on the
        latest connection, until the proxy tells another one.
        """
        destination = address.HostnameAddress(HOST.encode(), PORT)
        own = [address.IPv4Address("TCP", "127.0.0.1", port) for port in (50001, 50002)]
        hosts = []
        self.begin(ProxyTransport(own[0]))
        hosts.append(self.tunnel.getHost())
        self.refuse()
        # Without its socket a transport does not know any more.
        self.patch(self.first, "getHost", None)
        hosts.append(self.tunnel.getHost())
        self.assertEqual(self.tunnel.getPeer(), destination)
        second = self.acceptNext(ProxyTransport(own[1]))
        hosts.append(self.tunnel.getHost())
        self.assertEqual(hosts, [own[0], own[0], own[1]])
        self.succeed(second)
        self.assertEqual(self.tunnel.getHost(), address.IPv4Address("TCP", "192.0.2.1", 4000))
        self.assertEqual(self.tunnel.getPeer(), destination)

    def test_connected(self) -> None:
        """
        As far as the protocol can see it is connected all the time.
        """
        self.begin()
        self.refuse()
        self.assertTrue(self.tunnel.connected)
        self.assertFalse(self.tunnel.disconnecting)
        self.refuseNext()
        self.assertFalse(self.tunnel.connected)

    def test_tcpOptions(self) -> None:
        """
        What the protocol has set on the first connection is set on the second.
        """
        self.application.whenMade = lambda application: application.transport.setTcpNoDelay(True)
        second = self.replace()
        self.assertTrue(second.noDelay)
        self.assertFalse(second.keepAlive)
        self.tunnel.setTcpKeepAlive(True)
        self.tunnel.setTcpNoDelay(False)
        self.assertTrue(second.keepAlive)
        self.assertFalse(second.noDelay)

    def test_noSocket(self) -> None:
        """
        There is nothing to set on a connection that is not TCP.
        """
        self.open()
        call = self.call(optimistic=True)
        for reply in (INVALID, opened(64, OTHER_ID) + CONNECTED):
            protocol = self._nextFactory().buildProtocol(None)
            protocol.makeConnection(StringTransport())
            protocol.dataReceived(reply)
        self.assertConnected(call)
        self.assertFalse(ITLSTransport.providedBy(call.application.transport))


class TLSTests(LinesTestCase):
    """
    TLS with the destination.
    """

    def setUp(self) -> None:
        """
        Have a destination that speaks it.
        """
        super().setUp()
        certificate = certificateFor(HOST)
        self.trust = optionsForClientTLS(HOST, trustRoot=certificate)
        self.server = Application()
        factory = TLSMemoryBIOFactory(
            certificate.options(), False, ApplicationFactory(self.server), self.reactor
        )
        self.serverTLS: Any = factory.buildProtocol(None)
        self.serverTransport = StringTransport()
        self.serverTLS.makeConnection(self.serverTransport)

    def exchange(self, transport: ProxyTransport, sent: int) -> None:
        """
        Carry octets both ways until there are none.

        @param sent: How many of ours have been carried.
        """
        while True:
            self.reactor.advance(0)
            toServer, toClient = transport.value()[sent:], self.serverTransport.value()
            sent += len(toServer)
            self.serverTransport.clear()
            if not toServer and not toClient:
                return
            if toServer:
                self.serverTLS.dataReceived(toServer)
            if toClient:
                transport.receive(toClient)

    def test_startedEarly(self) -> None:
        """
        A handshake that has begun cannot begin anew: if the proxy refuses then, the
        protocol hears of it.
        """
        self.begin()
        self.tunnel.startTLS(self.trust)
        self.first.receive(INVALID)
        self.assertEqual(self.unaccepted, 0)
        self.assertTrue(self.first.disconnected)
        self.first.lose(ConnectionAborted())
        self.assertIsInstance(self.application.events[1], AuthenticationRefused)

    def test_startedInBetween(self) -> None:
        """
        TLS cannot be started while there is no connection.
        """
        self.begin()
        self.refuse()
        self.assertRaises(UsageError, self.tunnel.startTLS, self.trust)

    def test_startedOnSecond(self) -> None:
        """
        It can on the second one.
        """
        self.begin()
        self.tunnel.write(b"STARTTLS\r\n")
        self.refuse()
        second = self.goOn()
        self.succeed(second)
        self.assertEqual(second.data, b"STARTTLS\r\n")
        sent = len(second.value())
        self.tunnel.startTLS(self.trust)
        self.tunnel.write(b"secret")
        self.exchange(second, sent)
        self.assertEqual(self.server.events, ["made", b"secret"])

    def around(self) -> tuple[Deferred[Any], ProxyTransport]:
        """
        Connect with TLS around the endpoint.

        @return: What C{connect} returned, and the connection to the proxy.
        """
        self.open()
        endpoint = wrapClientTLS(
            self.trust,
            SOCKS6ClientEndpoint(self.reactor, self.session, HOST, PORT, optimistic=True),
            self.reactor,
        )
        return endpoint.connect(ApplicationFactory(self.application)), self.acceptNext()

    def test_around(self) -> None:
        """
        TLS that is wrapped around the endpoint sends its first flight once more, and
        the handshake goes on from there.
        """
        connected, first = self.around()
        self.assertEqual(first.data[:2], b"\x16\x03")
        self.assertIdentical(self.successResultOf(connected), self.application)
        self.application.transport.write(b"secret")
        first.receive(INVALID)
        first.lose()
        second = self.goOn()
        self.assertEqual(second.data, first.data)
        second.receive(opened(64, OTHER_ID) + CONNECTED)
        self.exchange(second, len(second.value()) - len(second.data))
        self.assertEqual(self.server.events, ["made", b"secret"])
        self.server.transport.write(b"answer")
        self.exchange(second, len(second.value()))
        self.assertEqual(self.application.events, ["made", b"answer"])
        certificate = self.application.transport.getPeerCertificate()
        self.assertEqual(certificate.get_subject().CN, HOST)

    def test_aroundRefused(self) -> None:
        """
        If there is no second connection, the protocol within TLS hears why, and not
        that a handshake was cut short.
        """
        _, first = self.around()
        first.receive(INVALID)
        self.acceptNext().receive(refusal())
        self.transport.lose(ConnectionAborted())
        self.assertIsInstance(self.application.events[1], AuthenticationRefused)
        self.assertEqual(len(self.application.events), 2)

    def test_aroundNotConnected(self) -> None:
        """
        The same goes for a proxy that has gone away.
        """
        _, first = self.around()
        first.receive(INVALID)
        self.refuseNext()
        self.assertIsInstance(self.application.events[1], ConnectionRefusedError)
        self.assertEqual(len(self.application.events), 2)


class NestingTests(LinesTestCase):
    """
    A proxy that is reached through another one.
    """

    def test_inner(self) -> None:
        """
        If the session with the nearer one is replaced, the farther one and the
        protocol do not notice.
        """
        self.open()
        inner = SOCKS6ClientEndpoint(
            self.reactor, self.session, "proxy.example", 1080, optimistic=True
        )
        outer = SOCKS6ClientEndpoint(self.reactor, inner, HOST, PORT, optimistic=True)
        self.application.whenMade = lambda application: application.transport.write(b"hello")
        connected = outer.connect(ApplicationFactory(self.application))
        first = self.acceptNext()
        self.assertIdentical(self.successResultOf(connected), self.application)
        first.receive(INVALID)
        first.lose()
        second = self.acceptNext()
        self.assertEqual(second.data, first.data)
        self.assertTrue(second.data.endswith(b"hello"))
        second.receive(opened(64, OTHER_ID) + CONNECTED + SUCCESS + b"answer")
        self.assertEqual(self.application.events, ["made", b"answer"])
