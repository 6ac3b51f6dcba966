"""
Tests for one try to connect, from C{connect} to its result.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Factory
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.client.attempt import ConnectionAttempt
from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import NotASOCKS6Proxy
from tests.client.doubles import (
    HOST,
    PORT,
    SUCCESS,
    ClientTestCase,
    ProxyTransport,
)


@implementer(IStreamClientEndpoint)
class OddEndpoint:
    """
    A way to the proxy that the test has in its own hands.

    @ivar factory: What was to be connected.
    @ivar connected: What C{connect} returns.
    """

    factory: Any

    def __init__(self) -> None:
        self.connected: Deferred[Any] = Deferred()

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        Wait for the test.
        """
        self.factory = protocolFactory
        return self.connected


class FactoryTests(ClientTestCase):
    """
    What becomes of the user's factory.
    """

    def test_interface(self) -> None:
        """
        The proxy's endpoint gets a factory.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.connect()
        self.assertIsInstance(endpoint.factory, ConnectionAttempt)
        verifyObject(IProtocolFactory, endpoint.factory)

    def test_address(self) -> None:
        """
        A protocol is built for the destination, not for the proxy; and once.
        """
        self.establish()
        self.assertEqual(self.factory.addresses, [address.HostnameAddress(HOST.encode(), PORT)])

    def test_startAndStop(self) -> None:
        """
        The factory is told when it is in use, by the proxy's endpoint.
        """
        told: list[str] = []
        self.connect()
        self.patch(self.factory, "doStart", lambda: told.append("start"))
        self.patch(self.factory, "doStop", lambda: told.append("stop"))
        factory: ClientFactory[Any] = self.reactor.tcpClients[-1][2]
        factory.doStart()
        factory.doStop()
        self.assertEqual(told, ["start", "stop"])

    def test_noProtocol(self) -> None:
        """
        A factory that builds no protocol fails the attempt before anything is sent.
        """
        for optimistic in (False, True):
            self.connect(optimistic=optimistic)
            self.factory.application = None
            # The reactor closes a connection without a protocol.
            self.assertIsNone(self.build())
            self.failureResultOf(self.result, NoProtocol)
            self.assertNothingLeft()

    def test_raises(self) -> None:
        """
        So does one that raises, and its exception is told.
        """

        def fail(addr: object) -> None:
            raise ZeroDivisionError

        self.connect()
        self.patch(self.factory, "buildProtocol", fail)
        self.assertIsNone(self.build())
        self.failureResultOf(self.result, ZeroDivisionError)

    def test_oneAttemptEach(self) -> None:
        """
        One endpoint can be used for many attempts at once; they share nothing.
        """
        endpoint = SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, HOST, PORT)
        factory = Factory.forProtocol(type(self.application))
        factory.noisy = False
        results = [endpoint.connect(factory) for _ in range(2)]
        transports = []
        for _, _, connecting, _, _ in self.reactor.tcpClients:
            transport = ProxyTransport()
            transport.protocol = connecting.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            transports.append(transport)
        transports[1].receive(SUCCESS)
        self.assertNoResult(results[0])
        second = self.successResultOf(results[1])
        transports[0].receive(SUCCESS)
        self.assertIsNot(self.successResultOf(results[0]), second)


class ProxyEndpointTests(ClientTestCase):
    """
    What the proxy's endpoint can do to the attempt.
    """

    def test_notConnected(self) -> None:
        """
        Where the proxy cannot be reached, the attempt fails in the endpoint's words.
        """
        self.connect()
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        self.failureResultOf(self.result, ConnectionRefusedError)
        self.assertNothingLeft()

    def test_raises(self) -> None:
        """
        An endpoint that raises fails the attempt as well.
        """

        class Raising(OddEndpoint):
            """
            Such an endpoint.
            """

            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                """
                Raise.
                """
                raise ZeroDivisionError

        self.proxyEndpoint = Raising()  # type: ignore[assignment]
        self.connect()
        self.failureResultOf(self.result, ZeroDivisionError)

    def test_immediately(self) -> None:
        """
        An endpoint may connect before it returns.
        """
        transport = ProxyTransport()

        class Immediate(OddEndpoint):
            """
            Such an endpoint.
            """

            def connect(self, protocolFactory: Any) -> Deferred[Any]:
                """
                Connect.
                """
                transport.protocol = protocolFactory.buildProtocol(None)
                transport.protocol.makeConnection(transport)
                transport.receive(SUCCESS)
                return succeed(transport.protocol)

        self.proxyEndpoint = Immediate()  # type: ignore[assignment]
        self.connect()
        self.assertIdentical(self.successResultOf(self.result), self.application)

    def test_failsAfterwards(self) -> None:
        """
        An endpoint that fails although it has connected us fails the attempt; the
        connection is closed.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.connect()
        transport = ProxyTransport()
        transport.protocol = endpoint.factory.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        endpoint.connected.errback(Failure(ZeroDivisionError()))
        self.failureResultOf(self.result, ZeroDivisionError)
        self.assertTrue(transport.disconnected)
        transport.receive(SUCCESS)
        transport.lose(ConnectionAborted())
        self.assertEqual(self.application.events, [])
        self.assertNothingLeft()

    def test_failsTooLate(self) -> None:
        """
        Once the attempt is decided, it does not matter what the endpoint says.
        """
        for octets, closing in [(SUCCESS, False), (b"\x05", True)]:
            endpoint = OddEndpoint()
            self.proxyEndpoint = endpoint  # type: ignore[assignment]
            self.connect()
            transport = ProxyTransport()
            transport.protocol = endpoint.factory.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            transport.receive(octets)
            endpoint.connected.errback(Failure(ZeroDivisionError()))
            self.assertEqual(transport.disconnecting, closing)
            self.assertFalse(transport.disconnected)
            if closing:
                self.failureResultOf(self.result, NotASOCKS6Proxy)
            else:
                self.successResultOf(self.result)
            transport.lose()
            self.assertNothingLeft()


class CancelTests(ClientTestCase):
    """
    Cancelling ends the attempt in every phase.
    """

    def test_connecting(self) -> None:
        """
        While the proxy is being connected, that ends.
        """
        self.connect()
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        connector: Any = self.reactor.connectors[-1]
        self.assertTrue(connector.stoppedConnecting)
        self.assertNothingLeft()

    def test_connectedAllTheSame(self) -> None:
        """
        If it is connected after all, nothing is sent.
        """
        endpoint = OddEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.connect()
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.assertRaises(CancelledError, endpoint.factory.buildProtocol, None)
        self.assertEqual(self.factory.addresses, [])

    def test_negotiating(self) -> None:
        """
        While the replies are waited for, the connection is aborted.
        """
        for octets in (b"", SUCCESS[:3], SUCCESS[:-1]):
            self.setUp()
            self.negotiate()
            if octets:
                self.transport.receive(octets)
            self.result.cancel()
            self.failureResultOf(self.result, CancelledError)
            self.assertTrue(self.transport.disconnected)
            # It takes the reactor a turn to be rid of it.
            self.transport.receive(SUCCESS)
            self.transport.lose(ConnectionAborted())
            self.assertEqual(self.application.events, [])
            self.assertNothingLeft()

    def test_whileConnecting(self) -> None:
        """
        If the protocol cancels its own connection while it is told of it, it hears
        that it is lost, and gets no data.
        """
        for optimistic in (False, True):
            self.setUp()
            self.application.whenMade = lambda application: self.result.cancel()
            self.negotiate(optimistic=optimistic)
            self.transport.receive(SUCCESS + b"hello")
            self.failureResultOf(self.result, CancelledError)
            self.assertTrue(self.transport.disconnected)
            self.transport.lose(ConnectionAborted())
            self.assertEqual(self.application.events[:1], ["made"])
            self.assertIsInstance(self.application.events[1], CancelledError)
            self.assertEqual(len(self.application.events), 2)
            self.assertNothingLeft()

    def test_connected(self) -> None:
        """
        Afterwards there is nothing to cancel.
        """
        self.negotiate()
        self.transport.receive(SUCCESS)
        self.result.cancel()
        self.assertIdentical(self.successResultOf(self.result), self.application)
        self.assertFalse(self.transport.disconnecting)

    def test_failed(self) -> None:
        """
        Nor is there after a failure.
        """
        self.negotiate()
        self.transport.receive(b"\x05")
        self.result.cancel()
        self.failureResultOf(self.result)
        self.assertFalse(self.transport.disconnected)
        self.transport.lose()
