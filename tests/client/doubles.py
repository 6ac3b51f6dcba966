"""
Stand-ins for what surrounds the client, and the base of its tests.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.address import IPv4Address as IPv4
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.values.address import Address
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, ReplyCode
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import NO_OPTIONS, OptionList
from socks6.wire import DRAFT_06

HOST, PORT = "example.org", 443

#: What the client says for these: version:2 command:1 port:2 address type:1
#: name length:1 name:11 options length:2
REQUEST = b"\x06\x00\x01\x01\xbb\x03\x0bexample.org\x00\x00"

BOUND = Address(IPv4Address("192.0.2.1"), 4000)


def authenticationReply(
    result: AuthenticationResult = AuthenticationResult.SUCCESS,
    method: int = AuthenticationMethod.NONE_REQUIRED,
    options: OptionList | None = None,
) -> bytes:
    """
    Write an Authentication Reply.
    """
    return DRAFT_06.encodeAuthenticationReply(
        AuthenticationReply(result, method, options or OptionList())
    )


def refusal(options: OptionList | None = None) -> bytes:
    """
    Write the Authentication Reply that lets nobody in.
    """
    return authenticationReply(
        AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED,
        AuthenticationMethod.NONE_ACCEPTABLE,
        options,
    )


def operationReply(
    code: int = ReplyCode.SUCCESS, bound: Address = BOUND, options: OptionList = NO_OPTIONS
) -> bytes:
    """
    Write an Operation Reply.
    """
    return DRAFT_06.encodeOperationReply(OperationReply(code, bound, options))


#: What a proxy says that has connected.
SUCCESS = authenticationReply() + operationReply()


@implementer(ITCPTransport, IHalfCloseableDescriptor)
class ProxyTransport(StringTransport):
    """
    A TCP connection to the proxy.

    @ivar protocol: What is connected to it.
    @ivar halfClosed: Whether our direction has been ended.
    @ivar noDelay: What was set.
    @ivar keepAlive: What was set.
    """

    protocol: Any

    def __init__(self, host: IAddress | None = None) -> None:
        super().__init__(hostAddress=host, lenient=True)
        self.halfClosed = False
        self.noDelay = False
        self.keepAlive = False
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        """
        Keep each write by itself, too.
        """
        self.writes.append(data)
        super().write(data)

    def loseWriteConnection(self) -> None:
        """
        End our direction.
        """
        self.halfClosed = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Take note.
        """
        self.noDelay = enabled

    def getTcpNoDelay(self) -> bool:
        """
        Tell what was set.
        """
        return self.noDelay

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        Take note.
        """
        self.keepAlive = enabled

    def getTcpKeepAlive(self) -> bool:
        """
        Tell what was set.
        """
        return self.keepAlive

    def getHandle(self) -> object:
        """
        Stand in for a socket.
        """
        return self

    def sendFileDescriptor(self, descriptor: int) -> None:
        """
        What only unix sockets can do.
        """

    def writeConnectionLost(self, reason: Failure) -> None:
        """
        Part of the interface.
        """

    def readConnectionLost(self, reason: Failure) -> None:
        """
        Part of the interface.
        """

    # What the test does.

    @property
    def request(self) -> Request:
        """
        Read the request, which comes first.
        """
        octets = self.value()
        return DRAFT_06.decodeRequest(octets[: DRAFT_06.requestLength(octets)])

    @property
    def data(self) -> bytes:
        """
        Tell what follows it.
        """
        octets: bytes = self.value()
        return octets[DRAFT_06.requestLength(octets) :]

    def receive(self, octets: bytes) -> None:
        """
        The proxy sends something.
        """
        self.protocol.dataReceived(octets)

    def endInput(self) -> None:
        """
        The proxy ends its direction, as Twisted's transports see it.
        """
        halfCloseable = IHalfCloseableProtocol(self.protocol, None)
        if halfCloseable is not None:
            halfCloseable.readConnectionLost()
        else:
            self.lose()

    def lose(self, error: Exception | None = None) -> None:
        """
        The connection is gone.
        """
        if self.producer is not None:
            self.producer.stopProducing()
        self.connected = False
        self.protocol.connectionLost(Failure(error or ConnectionDone()))


class Application(Protocol):
    """
    A user's protocol that remembers what happens to it.

    @ivar events: In their order: C{"made"}, octets, C{"read lost"}, C{"write
        lost"}, and the exception that it was lost with.
    @ivar whenMade: Is called with it when it is connected.
    """

    transport: Any

    def __init__(self, whenMade: Callable[[Any], object] | None = None) -> None:
        self.events: list[Any] = []
        self.whenMade = whenMade

    def connectionMade(self) -> None:
        """
        Take note.
        """
        self.events.append("made")
        if self.whenMade is not None:
            self.whenMade(self)

    def dataReceived(self, data: bytes) -> None:
        """
        Take note.
        """
        self.events.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Take note.
        """
        self.events.append(reason.value)


@implementer(IHalfCloseableProtocol)
class HalfCloseableApplication(Application):
    """
    One that hears of the end of one direction.
    """

    def readConnectionLost(self) -> None:
        """
        Take note.
        """
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        """
        Take note.
        """
        self.events.append("write lost")


class Producer:
    """
    Remembers what it is told.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """
        Take note.
        """
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """
        Take note.
        """
        self.told.append("resume")

    def stopProducing(self) -> None:
        """
        Take note.
        """
        self.told.append("stop")


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


class ImmediateEndpoint(OddEndpoint):
    """
    A way to the proxy that connects before C{connect} returns, as one that leads
    through a process does.

    @ivar transports: The connections.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transports: list[ProxyTransport] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        Connect.
        """
        transport = ProxyTransport()
        self.transports.append(transport)
        transport.protocol = protocolFactory.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        return succeed(transport.protocol)


class ApplicationFactory(Factory):
    """
    Hands out one protocol.

    @ivar addresses: What it was built for, each time.
    """

    noisy = False

    def __init__(self, application: Any) -> None:
        self.application = application
        self.addresses: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        """
        Hand it out.
        """
        self.addresses.append(addr)
        return self.application


class ClientTestCase(SynchronousTestCase):
    """
    Connects through a proxy that the test plays.

    @ivar application: The user's protocol.
    @ivar result: What C{connect} has returned.
    @ivar transport: The connection to the proxy, the latest one if there are several.
    """

    application: Application
    result: Deferred[Any]
    transport: ProxyTransport

    def setUp(self) -> None:
        """
        Make a reactor, a way to the proxy, and a protocol.
        """
        self.reactor = MemoryReactorClock()
        self.proxyEndpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", 1080)
        self.application = Application()
        self._answered = 0

    def connect(self, **arguments: Any) -> None:
        """
        Begin to connect.

        @param arguments: Of the endpoint.
        """
        endpoint = SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, HOST, PORT, **arguments)
        self.factory = ApplicationFactory(self.application)
        self.result = endpoint.connect(self.factory)

    def build(self) -> Any:
        """
        Let the proxy's endpoint build its protocol.
        """
        return self.reactor.tcpClients[-1][2].buildProtocol(IPv4("TCP", "127.0.0.1", 1080))

    def accept(self, transport: Any = None) -> None:
        """
        Let the proxy accept the connection.

        @param transport: The connection, if it is to be a special one.
        """
        self.transport = ProxyTransport() if transport is None else transport
        self.transport.protocol = self.build()
        self.transport.protocol.makeConnection(self.transport)

    @property
    def unaccepted(self) -> int:
        """
        Tell how many connections the proxy has yet to accept, or to refuse, by
        L{acceptNext} and L{refuseNext}.
        """
        return len(self.reactor.tcpClients) - self._answered

    def _nextFactory(self) -> Any:
        """
        Find what the oldest of these connections is for.
        """
        self.assertGreater(self.unaccepted, 0, "nobody connects")
        self._answered += 1
        return self.reactor.tcpClients[self._answered - 1][2]

    def acceptNext(self, transport: Any = None) -> ProxyTransport:
        """
        Let the proxy accept the oldest connection that it has not accepted yet.

        @param transport: The connection, if it is to be a special one.
        """
        self.transport = ProxyTransport() if transport is None else transport
        self.transport.protocol = self._nextFactory().buildProtocol(None)
        self.transport.protocol.makeConnection(self.transport)
        return self.transport

    def refuseNext(self) -> None:
        """
        Let the oldest connection that has not been accepted fail.
        """
        self._nextFactory().clientConnectionFailed(None, Failure(ConnectionRefusedError()))

    def negotiate(self, **arguments: Any) -> None:
        """
        Connect as far as the proxy's replies.
        """
        self.connect(**arguments)
        self.accept()

    def establish(self, **arguments: Any) -> None:
        """
        Connect all the way.
        """
        self.negotiate(**arguments)
        self.transport.receive(SUCCESS)
        self.assertIdentical(self.successResultOf(self.result), self.application)

    def assertNothingLeft(self) -> None:
        """
        Check that nothing is going to happen any more.
        """
        self.assertEqual(self.reactor.getDelayedCalls(), [])
