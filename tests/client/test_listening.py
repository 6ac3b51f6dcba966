"""
Tests for endpoints that listen at a proxy, up to the first host.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet import address
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IListeningPort, ISSLTransport, IStreamServerEndpoint
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from socks6.client import SOCKS6ServerEndpoint
from socks6.client.errors import (
    AuthenticationRefused,
    EndedEarly,
    NotASOCKS6Proxy,
    RequestRefused,
    SessionClosed,
)
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from socks6.values.options import ListenBacklog, SessionRequest, TokenRequest, UsernamePassword
from tests.client.doubles import (
    ImmediateEndpoint,
    ProxyTransport,
    authenticationReply,
    operationReply,
    refusal,
)
from tests.client.listening import (
    LISTENS,
    SHOWN_BOUND,
    ListeningTestCase,
    keeps,
)
from tests.client.sessions import INVALID, admitted, naming, opened

#: Who we are.
ADA: dict[str, Any] = {"username": "ada", "password": "s3cret"}


class ArgumentsTests(SynchronousTestCase):
    """
    What an endpoint can be made from.
    """

    def setUp(self) -> None:
        """
        Have a way to the proxy.
        """
        self.reactor = MemoryReactorClock()
        self.proxyEndpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", 1080)

    def make(self, port: int = 0, **others: Any) -> SOCKS6ServerEndpoint:
        """
        Make an endpoint.
        """
        return SOCKS6ServerEndpoint(self.reactor, self.proxyEndpoint, port, **others)

    def test_interface(self) -> None:
        """
        It is an endpoint.
        """
        verifyObject(IStreamServerEndpoint, self.make())

    def test_impossible(self) -> None:
        """
        What cannot be is an error before anybody connects.
        """
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"port": -1}, "port"),
            ({"port": 65536}, "port"),
            ({"backlog": -1}, "backlog"),
            ({"backlog": 65536}, "backlog"),
            ({"interface": ""}, "interface"),
            ({"interface": "localhost"}, "interface"),
            ({"interface": "fe80::1%eth0"}, "zone"),
            ({"username": "ada"}, "password"),
            ({"password": "s3cret"}, "username"),
            ({"timeout": 0}, "timeout"),
        ]
        for arguments, named in wrong:
            error = self.assertRaises(ValueError, self.make, **arguments)
            self.assertIn(named, str(error))
            self.assertNotIn("s3cret", str(error))

    def test_credentialsInSession(self) -> None:
        """
        In a session, who we are is the session's to say.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        SOCKS6ServerEndpoint(self.reactor, session)
        self.assertRaises(ValueError, SOCKS6ServerEndpoint, self.reactor, session, **ADA)

    def test_repr(self) -> None:
        """
        It tells the way, and no secrets.
        """
        shown = repr(self.make(80, interface="2001:db8::7", **ADA))
        self.assertIn("[2001:db8::7]:80", shown)
        self.assertNotIn("s3cret", shown)


class RequestTests(ListeningTestCase):
    """
    What the proxy is asked for.
    """

    def test_address(self) -> None:
        """
        The request has the address and the port; by default, any IPv4 address.
        """
        hosts: list[tuple[dict[str, Any], IPv4Address | IPv6Address]] = [
            ({}, IPv4Address("0.0.0.0")),
            ({"interface": "192.0.2.1"}, IPv4Address("192.0.2.1")),
            ({"interface": "::"}, IPv6Address("::")),
        ]
        for arguments, host in hosts:
            for port in (0, 4000, 65535):
                self.listen(port, **arguments)
                self.assertBound(self.acceptNext(), Address(host, port))
                self.assertEqual(list(self.transport.request.options), [])

    def test_credentials(self) -> None:
        """
        The credentials ride along.
        """
        self.listen(**ADA)
        options = list(self.acceptNext().request.options)
        self.assertEqual(options, [UsernamePassword(b"ada", b"s3cret")])

    def test_noBacklog(self) -> None:
        """
        A backlog of one is none.
        """
        for backlog in (0, 1):
            self.listen(backlog=backlog)
            self.assertEqual(list(self.acceptNext().request.options), [])

    def test_ownSession(self) -> None:
        """
        A backlog takes a session, which the same request opens; each call has its own.
        """
        for _ in range(2):
            self.listen(backlog=16, **ADA)
            self.assertEqual(
                list(self.acceptNext().request.options),
                [
                    SessionRequest(),
                    UsernamePassword(b"ada", b"s3cret"),
                    TokenRequest(64),
                    ListenBacklog(16),
                ],
            )

    def test_session(self) -> None:
        """
        It can be in a session that is there.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint, tokens=0)
        self.listen(proxy=session)
        self.acceptNext().receive(opened(0) + operationReply())
        self.successResultOf(self.listening)
        self.listen(proxy=session, backlog=2)
        options = list(self.acceptNext().request.options)
        self.assertEqual(options, [*naming(), ListenBacklog(2)])


class ListenTests(ListeningTestCase):
    """
    L{SOCKS6ServerEndpoint.listen}.
    """

    def test_success(self) -> None:
        """
        It fires with the port when the proxy listens, whose address is that at the
        proxy; the factory is in use from then on.
        """
        self.listen(timeout=5)
        self.acceptNext()
        self.transport.receive(LISTENS[:-1])
        self.assertNoResult(self.listening)
        self.assertEqual(self.served.events, [])
        self.transport.receive(LISTENS[-1:])
        port = self.successResultOf(self.listening)
        verifyObject(IListeningPort, port)
        self.assertEqual(port.getHost(), SHOWN_BOUND)
        self.assertIn("192.0.2.1:4000", repr(port))
        self.assertEqual(self.served.events, ["start"])
        port.startListening()
        self.assertEqual(self.served.built, [])

    def test_IPv6(self) -> None:
        """
        That address may be an IPv6 one.
        """
        self.listen(interface="::")
        bound = Address(IPv6Address("2001:db8::7"), 4000)
        self.acceptNext().receive(authenticationReply() + operationReply(bound=bound))
        port = self.successResultOf(self.listening)
        self.assertEqual(port.getHost(), address.IPv6Address("TCP", "2001:db8::7", 4000))

    def test_noTimeLimit(self) -> None:
        """
        A host may take as long as it likes; whether the proxy is still there the
        system finds out.
        """
        self.listen(timeout=5)
        self.acceptNext()
        self.assertFalse(self.transport.keepAlive)
        self.transport.receive(LISTENS)
        self.assertTrue(self.transport.keepAlive)
        self.assertNothingLeft()
        self.assertOpen(self.transport)

    def test_noTCP(self) -> None:
        """
        The way to the proxy need not be TCP.
        """
        self.listen()
        protocol = self.build()
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(LISTENS)
        self.successResultOf(self.listening)

    def test_failures(self) -> None:
        """
        It fails as C{connect} does, and the factory never hears of it.
        """
        for octets, expected in [
            (refusal(), AuthenticationRefused),
            (authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED), RequestRefused),
            (b"\x05\x00", NotASOCKS6Proxy),
        ]:
            self.listen()
            self.acceptNext().receive(octets)
            self.failureResultOf(self.listening, expected)
            self.assertTrue(self.transport.disconnecting)
            self.transport.lose()
        self.listen()
        self.acceptNext().receive(LISTENS[:-1])
        self.transport.lose()
        self.failureResultOf(self.listening, EndedEarly)
        self.listen()
        self.refuseNext()
        self.failureResultOf(self.listening, ConnectionRefusedError)
        self.assertEqual(self.served.events, [])
        self.assertNothingLeft()
        self.assertEqual(self.unaccepted, 0)

    def test_timeout(self) -> None:
        """
        The proxy has a time limit until it listens.
        """
        self.listen(timeout=5)
        self.acceptNext()
        self.reactor.advance(5)
        self.failureResultOf(self.listening, TimeoutError)
        self.assertClosed(self.transport)
        self.assertNothingLeft()

    def test_cancel(self) -> None:
        """
        Cancelling closes the connection at once, whatever the phase.
        """
        self.listen()
        self.listening.cancel()
        self.failureResultOf(self.listening, CancelledError)
        for octets in (b"", LISTENS[:6], LISTENS[:-1]):
            self.listen()
            self.accept()
            self.transport.receive(octets)
            self.listening.cancel()
            self.failureResultOf(self.listening, CancelledError)
            self.assertClosed(self.transport)
        self.assertEqual(self.served.events, [])
        self.assertNothingLeft()

    def test_closedSession(self) -> None:
        """
        A session that has been closed opens no ports.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        session.close()
        self.listen(proxy=session)
        self.failureResultOf(self.listening, SessionClosed)
        self.assertEqual(self.unaccepted, 0)

    def test_invalidSession(self) -> None:
        """
        A session that the proxy has forgotten is replaced.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        session.open()
        self.acceptNext().receive(opened() + operationReply())
        self.transport.lose()
        self.listen(proxy=session, backlog=8)
        self.acceptNext().receive(INVALID)
        self.transport.lose()
        self.assertNoResult(self.listening)
        self.acceptNext().receive(keeps(8))
        self.assertEqual(self.transport.request.options[-1], ListenBacklog(8))
        self.successResultOf(self.listening)

    def test_ownSessionEnds(self) -> None:
        """
        Where there is no port, a session of the port's own is ended.
        """
        self.listen(backlog=8)
        self.acceptNext().receive(opened() + operationReply(ReplyCode.NOT_ALLOWED))
        self.transport.lose()
        self.failureResultOf(self.listening, RequestRefused)
        options = list(self.acceptNext().request.options)
        self.assertEqual(options[0], naming()[0])
        self.transport.receive(admitted() + operationReply())
        self.transport.lose()
        self.assertNothingLeft()

    def test_connectsAtOnce(self) -> None:
        """
        A way to the proxy that connects before it returns is fine.
        """
        endpoint = ImmediateEndpoint()
        listening = SOCKS6ServerEndpoint(self.reactor, endpoint, 4000).listen(self.served)
        endpoint.transports[0].receive(LISTENS)
        self.successResultOf(listening)

    def test_wrappedTLS(self) -> None:
        """
        TLS may be spoken with the proxy.
        """
        self.listen()
        transport = ProxyTransport()
        alsoProvides(transport, ISSLTransport)
        self.acceptNext(transport).receive(LISTENS)
        self.successResultOf(self.listening)

    def test_stoppedAtOnce(self) -> None:
        """
        The port may be closed as soon as it is there.
        """
        for backlog, octets in [(0, LISTENS), (8, keeps(8))]:
            self.setUp()
            self.listen(backlog=backlog)
            stopped = self.listening.addCallback(lambda port: port.stopListening())
            self.acceptNext().receive(octets)
            self.assertNoResult(stopped)
            self.assertClosed(self.transport)
            self.assertEqual(self.unaccepted, 1 if backlog else 0)
            self.assertEqual(self.served.events, ["start", "stop"])

    def test_factoryFails(self) -> None:
        """
        A factory that does not want to begin is the end of it.
        """

        def startFactory() -> None:
            raise RuntimeError("not today")

        self.patch(self.served, "startFactory", startFactory)
        self.listen()
        self.acceptNext()
        self.assertRaises(RuntimeError, self.transport.receive, LISTENS)
        # As reactors do.
        self.transport.lose(RuntimeError())
        self.failureResultOf(self.listening, ConnectError)
        self.assertNothingLeft()
