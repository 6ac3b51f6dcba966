"""
Tests for the endpoint class.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import address
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.client.access import authenticationData
from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.session import SOCKS6Session
from socks6.values.options import UsernamePassword
from tests.client.doubles import HOST, PORT, REQUEST, SUCCESS, Application, ClientTestCase

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

    def make(self, host: str | bytes = HOST, port: int = PORT, **others: Any) -> Any:
        """
        Make an endpoint.
        """
        return SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, host, port, **others)

    def test_interface(self) -> None:
        """
        It is an endpoint.
        """
        verifyObject(IStreamClientEndpoint, self.make())

    def test_impossible(self) -> None:
        """
        What cannot be is an error before anybody connects.
        """
        for arguments in (
            {"host": ""},
            {"host": "a" * 256},
            {"host": "fe80::1%eth0"},
            {"port": 0},
            {"port": 65536},
            {"username": "ada"},
            {"password": "s3cret"},
            {"username": "", "password": "s3cret"},
            {"username": "ada", "password": ""},
            {"username": "ada", "password": "s" * 256},
            {"timeout": 0},
            {"timeout": -1.0},
            {"timeout": float("inf")},
            {"timeout": float("nan")},
        ):
            error = self.assertRaises(ValueError, self.make, **arguments)
            self.assertNotIn("s3cret", str(error))

    def test_credentialsInSession(self) -> None:
        """
        In a session, who we are is the session's to say.
        """
        for session in (
            SOCKS6Session(self.reactor, self.proxyEndpoint),
            SOCKS6Session(self.reactor, self.proxyEndpoint, **ADA),
        ):
            self.proxyEndpoint = session  # type: ignore[assignment]
            self.make()
            error = self.assertRaises(ValueError, self.make, **ADA)
            self.assertNotIn("s3cret", str(error))
            self.assertRaises(ValueError, self.make, username="ada")

    def test_repr(self) -> None:
        """
        It tells where it leads, and no secrets.
        """
        self.patch(TCP4ClientEndpoint, "__repr__", lambda endpoint: "<the proxy>")
        self.assertEqual(
            repr(self.make("2001:db8::7", username="ada", password="s3cret")),
            "<SOCKS6ClientEndpoint [2001:db8::7]:443 through <the proxy>>",
        )
        self.proxyEndpoint = SOCKS6Session(  # type: ignore[assignment]
            self.reactor, self.proxyEndpoint, **ADA
        )
        self.assertEqual(
            repr(self.make()), "<SOCKS6ClientEndpoint example.org:443 through <the proxy>>"
        )


class CredentialsTests(ClientTestCase):
    """
    Who we are rides in the request.
    """

    def test_encoding(self) -> None:
        """
        Text is written in UTF-8, octets as they are.
        """
        cases: list[tuple[str | bytes, str | bytes]] = [
            ("j\u00fcrgen", "gr\u00fcn"),
            (b"j\xc3\xbcrgen", b"gr\xc3\xbcn"),
        ]
        for username, password in cases:
            self.assertEqual(
                authenticationData(username, password),
                (UsernamePassword(b"j\xc3\xbcrgen", b"gr\xc3\xbcn"),),
            )
        self.assertEqual(authenticationData(None, None), ())

    def test_request(self) -> None:
        """
        They are Authentication Data, without a list of methods: that would let the
        proxy ask for a round trip.
        """
        self.negotiate(username="ada", password="s3cret")
        # kind:1 length:2 method:1, then RFC 1929's version:1 and both strings.
        option = b"\x03\x00\x10\x02" + b"\x01\x03ada\x06s3cret"
        self.assertEqual(self.transport.value(), REQUEST[:-2] + b"\x00\x10" + option)
        self.transport.receive(b"\x06\x00\x00\x02\x00\x00" + SUCCESS[6:])
        self.successResultOf(self.result)


class ReplayableTests(ClientTestCase):
    """
    Data that may arrive twice.
    """

    def test_request(self) -> None:
        """
        The proxy is asked for Fast Open on its leg if the user does not mind, and only
        then.
        """
        self.negotiate(replayable=True)
        option = bytes.fromhex("01 0007 84 01 0000")
        self.assertEqual(self.transport.value(), REQUEST[:-2] + b"\x00\x07" + option)
        self.transport.receive(SUCCESS)
        self.successResultOf(self.result)
        self.negotiate()
        self.assertEqual(self.transport.value(), REQUEST)

    def test_hurry(self) -> None:
        """
        The way to the proxy hears of it, too.
        """
        for replayable in (False, True):
            self.connect(optimistic=True, replayable=replayable)
            factory: Any = self.reactor.tcpClients[-1][2]
            self.assertEqual(factory._wrappedFactory.mayHurry(False), replayable)


class DestinationTests(ClientTestCase):
    """
    Destinations of all kinds.
    """

    def test_kinds(self) -> None:
        """
        Names are sent as names, addresses as addresses, and the protocol is built
        for what was sent.
        """
        # port:2 address type:1 address
        cases: list[tuple[str | bytes, bytes, IAddress]] = [
            ("localhost", b"\x03\x09localhost", address.HostnameAddress(b"localhost", 80)),
            (b"localhost", b"\x03\x09localhost", address.HostnameAddress(b"localhost", 80)),
            (
                "b\u00fccher.de",
                b"\x03\x10xn--bcher-kva.de",
                address.HostnameAddress(b"xn--bcher-kva.de", 80),
            ),
            (
                "127.0.0.1",
                b"\x01\x7f\x00\x00\x01",
                address.IPv4Address("TCP", "127.0.0.1", 80),
            ),
            (
                "[::1]",
                b"\x04" + bytes(15) + b"\x01",
                address.IPv6Address("TCP", "::1", 80),
            ),
        ]
        for host, octets, built in cases:
            application = Application()
            endpoint = SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, host, 80)
            connected = connectProtocol(endpoint, application)
            self.accept()
            self.assertEqual(self.transport.value(), b"\x06\x00\x01\x00\x50" + octets + b"\x00\x00")
            self.transport.receive(SUCCESS)
            self.assertIdentical(self.successResultOf(connected), application)
            self.assertEqual(application.transport.getPeer(), built)


class NestingTests(ClientTestCase):
    """
    Endpoints within endpoints.
    """

    def test_proxyThroughProxy(self) -> None:
        """
        The way to the proxy may lead through another proxy.
        """
        inner = SOCKS6ClientEndpoint(self.reactor, self.proxyEndpoint, "localhost", 1080)
        outer = SOCKS6ClientEndpoint(self.reactor, inner, HOST, PORT)
        connected = connectProtocol(outer, self.application)
        self.accept()
        self.transport.clear()
        self.transport.receive(SUCCESS)
        self.assertEqual(self.transport.value(), REQUEST)
        self.transport.receive(SUCCESS + b"hello")
        self.successResultOf(connected)
        self.assertEqual(self.application.events, ["made", b"hello"])
        self.application.transport.loseConnection()
        self.assertTrue(self.transport.disconnecting)

    def test_optimisticProxyThroughOptimisticProxy(self) -> None:
        """
        Both requests and the first data leave at once.
        """
        inner = SOCKS6ClientEndpoint(
            self.reactor, self.proxyEndpoint, "localhost", 1080, optimistic=True
        )
        outer = SOCKS6ClientEndpoint(self.reactor, inner, HOST, PORT, optimistic=True)
        self.application.whenMade = lambda application: application.transport.write(b"hello")
        connectProtocol(outer, self.application)
        self.accept()
        self.assertEqual(self.transport.writes[1:], [REQUEST, b"hello"])

    def test_tlsThrough(self) -> None:
        """
        TLS with the destination begins when the proxy has connected; if optimistic,
        with the request.
        """
        trust = optionsForClientTLS(HOST)
        for optimistic, helloes in [(False, 0), (True, 1)]:
            endpoint = SOCKS6ClientEndpoint(
                self.reactor, self.proxyEndpoint, HOST, PORT, optimistic=optimistic
            )
            wrapped = wrapClientTLS(trust, endpoint, self.reactor)
            connectProtocol(wrapped, Application())
            self.accept()
            self.assertEqual(
                [octets[:2] for octets in self.transport.writes],
                [b"\x06\x00"] + [b"\x16\x03"] * helloes,
            )
            self.transport.receive(SUCCESS)
            self.assertEqual(
                [octets[:2] for octets in self.transport.writes], [b"\x06\x00", b"\x16\x03"]
            )
