"""
Tests for the endpoint strings that begin with C{socks6:}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    clientFromString,
    connectProtocol,
    quoteStringArgument,
    serverFromString,
)
from twisted.internet.error import TimeoutError
from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.listening import SOCKS6ServerEndpoint
from socks6.client.parsers import SHUTDOWN_TIMEOUT, SOCKS6ClientParser, SOCKS6ServerParser
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address
from socks6.values.options import ListenBacklog, SessionRequest, TokenRequest, UsernamePassword
from tests.client.doubles import REQUEST, Application, ProxyTransport
from tests.client.listening import ServerFactory
from tests.client.sessions import CONNECTED, FAREWELL, WITHIN, naming, opened, opening

PROXY = r"proxy=tcp\:127.0.0.1\:1080"


class ParserTestCase(SynchronousTestCase):
    """
    A test with endpoint strings.
    """

    def setUp(self) -> None:
        """
        Have a reactor.
        """
        self.reactor = MemoryReactorClock()

    def parse(self, description: str) -> Any:
        """
        Make an endpoint.
        """
        return clientFromString(self.reactor, description)

    def connect(self, description: str) -> ProxyTransport:
        """
        Connect to the proxy.

        @return: The connection to it.
        """
        application = Application(lambda application: application.transport.write(b"hello"))
        connectProtocol(self.parse(description), application)
        return self.accept()

    def accept(self) -> ProxyTransport:
        """
        Let the proxy accept the latest connection.
        """
        transport = ProxyTransport()
        transport.protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        transport.protocol.makeConnection(transport)
        return transport


class ParserTests(ParserTestCase):
    """
    L{SOCKS6ClientParser}, by way of L{clientFromString}.
    """

    def test_interfaces(self) -> None:
        """
        It is a plugin.
        """
        parser = SOCKS6ClientParser()
        verifyObject(IPlugin, parser)
        verifyObject(IStreamClientEndpointStringParserWithReactor, parser)

    def test_forms(self) -> None:
        """
        Host and port go with and without their names.
        """
        for description in (
            f"socks6:host=example.org:port=443:{PROXY}",
            f"socks6:example.org:443:{PROXY}",
            f"socks6:example.org:port=443:{PROXY}",
            f"socks6:443:host=example.org:{PROXY}",
            f"socks6:{PROXY}:port=443:host=example.org",
        ):
            self.assertIsInstance(self.parse(description), SOCKS6ClientEndpoint)
            transport = self.connect(description)
            host, port, *_ = self.reactor.tcpClients[-1]
            self.assertEqual((host, port), ("127.0.0.1", 1080))
            self.assertEqual(transport.value(), REQUEST)

    def test_options(self) -> None:
        """
        Credentials, timeout and optimism can be given.
        """
        transport = self.connect(
            f"socks6:example.org:443:{PROXY}:username=ada:password=s3\\:cret"
            ":optimistic=yes:timeout=2.5"
        )
        self.assertIn(b"\x03ada\x07s3:cret", transport.writes[0])
        self.assertEqual(transport.writes[1:], [b"hello"])
        self.reactor.advance(2.4)
        self.assertFalse(transport.disconnected)
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnected)
        transport = self.connect(f"socks6:example.org:443:{PROXY}:optimistic=no")
        self.assertEqual(transport.writes, [REQUEST])

    def test_addresses(self) -> None:
        """
        The colons of an IPv6 address are escaped as all others.
        """
        endpoint = self.parse(f"socks6:{quoteStringArgument('2001:db8::7')}:443:{PROXY}")
        self.assertIn("[2001:db8::7]:443", repr(endpoint))

    def test_nesting(self) -> None:
        """
        The way to the proxy may be any other endpoint string, and this one may be
        within another.
        """
        inner = f"socks6:proxy.example:1080:{PROXY}"
        for proxy in (
            r"tls\:proxy.example\:1080",
            r"unix\:/run/socks6",
            quoteStringArgument(inner),
        ):
            endpoint = self.parse(f"socks6:example.org:443:proxy={proxy}")
            self.assertIsInstance(endpoint, SOCKS6ClientEndpoint)
        endpoint = f"socks6:example.org:443:{PROXY}"
        self.parse(f"tls:example.org:443:endpoint={quoteStringArgument(endpoint)}")

    def test_wrongArguments(self) -> None:
        """
        Missing, unknown and repeated arguments are named.
        """
        for description, named in [
            ("socks6:example.org:443", "proxy"),
            (f"socks6:host=example.org:{PROXY}", "port"),
            (f"socks6:example.org:{PROXY}", "port"),
            (f"socks6:{PROXY}", "host"),
            (f"socks6:port=443:{PROXY}", "host"),
            (f"socks6:example.org:443:port=443:{PROXY}", "port"),
            (f"socks6:example.org:443:{PROXY}:prozy=yes", "prozy"),
            (f"socks6:example.org:443:{PROXY}:host=example.org", "host"),
        ]:
            error = self.assertRaises(TypeError, self.parse, description)
            self.assertIn(f"'{named}'", str(error))

    def test_wrongValues(self) -> None:
        """
        A value that cannot be is an error which says what it is for.
        """
        for argument, named in [
            ("optimistic=maybe", "optimistic"),
            ("optimistic=True", "optimistic"),
            ("optimistic=", "optimistic"),
            ("session=", "session"),
            ("session=yes:username=ada", "password"),
            ("session=yes:password=s3cret", "username"),
            ("session=yes:timeout=0", "timeout"),
            ("timeout=soon", "timeout"),
            ("timeout=0", "timeout"),
            ("username=ada", "password"),
            ("password=s3cret", "username"),
            ("username=:password=s3cret", "user name"),
        ]:
            error = self.assertRaises(
                ValueError, self.parse, f"socks6:example.org:443:{PROXY}:{argument}"
            )
            self.assertIn(named, str(error))
            self.assertNotIn("s3cret", str(error))
        for port in ("https", "0", "65536"):
            error = self.assertRaises(ValueError, self.parse, f"socks6:example.org:{port}:{PROXY}")
            self.assertIn("port", str(error))
        self.assertRaises(ValueError, self.parse, r"socks6:example.org:443:proxy=no\:such")

    def test_unescapedColon(self) -> None:
        """
        Who forgets to escape a colon is told how to, and no secret is shown.
        """
        for description in (
            "socks6:example.org:443:proxy=tcp:127.0.0.1:1080",
            f"socks6:example.org:443:{PROXY}:username=ada:password=s3:cret",
            f"socks6:example.org:443:{PROXY}:username=ada:password=s3:cret=",
            f"socks6:example.org:443:{PROXY}:username=ada:password=s3:timeout=cret",
            f"socks6:example.org:443:{PROXY}:username=ada:password=s3:optimistic=cret",
            f"socks6:example.org:443:{PROXY}:username=ada:password=cret:session=",
            f"socks6:example.org:{PROXY}:username=ada:password=s3:cret",
            f"socks6:host=example.org:port=443:{PROXY}:username=ada:password=s3:cret",
        ):
            error = self.assertRaises((TypeError, ValueError), self.parse, description)
            self.assertIn("\\:", str(error))
            self.assertNotIn("cret", str(error))


class ServerParserTests(ParserTestCase):
    """
    L{SOCKS6ServerParser}, by way of L{serverFromString}.
    """

    def parse(self, description: str) -> Any:
        """
        Make an endpoint.
        """
        return serverFromString(self.reactor, description)

    def listen(self, description: str) -> ProxyTransport:
        """
        Begin to listen.

        @return: The connection to the proxy.
        """
        self.listening = self.parse(description).listen(ServerFactory())
        return self.accept()

    def test_interfaces(self) -> None:
        """
        It is a plugin.
        """
        parser = SOCKS6ServerParser()
        verifyObject(IPlugin, parser)
        verifyObject(IStreamServerEndpointStringParser, parser)

    def test_forms(self) -> None:
        """
        The port goes with and without its name; the backlog is that of C{tcp:} if nobody
        says otherwise.
        """
        for description in (
            f"socks6:port=8080:{PROXY}",
            f"socks6:8080:{PROXY}",
            f"socks6:{PROXY}:port=8080",
            f"socks6:{PROXY}:8080:interface=0.0.0.0:session=no",
        ):
            self.assertIsInstance(self.parse(description), SOCKS6ServerEndpoint)
            request = self.listen(description).request
            host, port, *_ = self.reactor.tcpClients[-1]
            self.assertEqual((host, port), ("127.0.0.1", 1080))
            self.assertEqual(request.command, 2)
            self.assertEqual(request.address, Address(IPv4Address("0.0.0.0"), 8080))
            self.assertEqual(
                list(request.options), [SessionRequest(), TokenRequest(64), ListenBacklog(50)]
            )

    def test_options(self) -> None:
        """
        Credentials, interface, backlog and timeout can be given.
        """
        transport = self.listen(
            f"socks6:0:{PROXY}:username=ada:password=s3\\:cret:backlog=0:timeout=2.5"
            f":interface={quoteStringArgument('2001:db8::7')}"
        )
        request = transport.request
        self.assertEqual(request.address, Address(IPv6Address("2001:db8::7"), 0))
        self.assertEqual(list(request.options), [UsernamePassword(b"ada", b"s3:cret")])
        self.reactor.advance(2.4)
        self.assertFalse(transport.disconnected)
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnected)
        self.failureResultOf(self.listening, TimeoutError)

    def test_session(self) -> None:
        """
        A named session is that of all endpoint strings, for clients as well.
        """
        ways = [
            self.parse(f"socks6:8080:{PROXY}:session=work")._access,
            self.parse(f"socks6:8081:{PROXY}:session=work:backlog=0")._access,
            super().parse(f"socks6:example.org:443:{PROXY}:session=work")._access,
        ]
        self.assertIsInstance(ways[0], SOCKS6Session)
        self.assertEqual(len(set(map(id, ways))), 1)

    def test_wrongArguments(self) -> None:
        """
        Missing, unknown and repeated arguments are named.
        """
        for description, named in [
            ("socks6:8080", "proxy"),
            (f"socks6:{PROXY}", "port"),
            (f"socks6:8080:port=8080:{PROXY}", "port"),
            (f"socks6:example.org:8080:{PROXY}", "port"),
            (f"socks6:8080:{PROXY}:prozy=yes", "prozy"),
            (f"socks6:8080:{PROXY}:optimistic=yes", "optimistic"),
        ]:
            error = self.assertRaises(TypeError, self.parse, description)
            self.assertIn(f"'{named}'", str(error))

    def test_wrongValues(self) -> None:
        """
        A value that cannot be is an error which says what it is for.
        """
        for arguments, named in [
            ("http", "port"),
            ("65536", "port"),
            ("8080:backlog=many", "backlog"),
            ("8080:backlog=-1", "backlog"),
            ("8080:interface=localhost", "interface"),
            ("8080:session=", "session"),
            ("8080:timeout=soon", "timeout"),
            ("8080:timeout=0", "timeout"),
            ("8080:username=ada", "password"),
            ("8080:session=yes:password=s3cret", "username"),
        ]:
            error = self.assertRaises(ValueError, self.parse, f"socks6:{arguments}:{PROXY}")
            self.assertIn(named, str(error))
            self.assertNotIn("s3cret", str(error))

    def test_unescapedColon(self) -> None:
        """
        Who forgets to escape a colon is told how to, and no secret is shown.
        """
        for description in (
            "socks6:8080:proxy=tcp:127.0.0.1:1080",
            f"socks6:8080:{PROXY}:username=ada:password=s3:cret",
            f"socks6:8080:{PROXY}:username=ada:password=s3:cret=",
            f"socks6:{PROXY}:username=ada:password=s3:cret",
            f"socks6:8080:{PROXY}:username=ada:password=s3:backlog=cret",
        ):
            error = self.assertRaises((TypeError, ValueError), self.parse, description)
            self.assertIn("\\:", str(error))
            self.assertNotIn("cret", str(error))


class SessionTests(ParserTestCase):
    """
    Endpoint strings that name a session.
    """

    STRING = f"socks6:example.org:443:{PROXY}"
    ADA = ":username=ada:password=s3cret"

    def sessionOf(self, arguments: str, reactor: Any = None) -> Any:
        """
        Make an endpoint.

        @return: The way it goes: a session, or not.
        """
        endpoint: Any = clientFromString(reactor or self.reactor, self.STRING + arguments)
        return endpoint._access

    def triggers(self) -> list[tuple[Any, Any, Any]]:
        """
        Tell what happens at the end of the reactor.
        """
        before: list[tuple[Any, Any, Any]] = self.reactor.triggers.get("before", {}).get(
            "shutdown", []
        )
        return before

    def end(self) -> list[Deferred[None]]:
        """
        Begin to end the reactor.
        """
        return [call(*args, **kwargs) for call, args, kwargs in self.triggers()]

    def test_no(self) -> None:
        """
        Unless one is wanted, there is none.
        """
        for arguments in ("", ":session=no", f":session=no{self.ADA}"):
            self.assertNotIsInstance(self.sessionOf(arguments), SOCKS6Session)
        self.assertEqual(self.triggers(), [])

    def test_same(self) -> None:
        """
        The same session serves all strings with the same name, proxy, user name and
        password, whatever else they say.
        """
        for arguments in (":session=yes", ":session=work", f":session=work{self.ADA}"):
            session = self.sessionOf(arguments)
            self.assertIsInstance(session, SOCKS6Session)
            for more in ("", ":optimistic=yes", ":timeout=5", ":optimistic=yes:timeout=5"):
                self.assertIs(self.sessionOf(arguments + more), session, arguments + more)
            other: Any = clientFromString(
                self.reactor, f"socks6:other.example:80:{PROXY}{arguments}"
            )
            self.assertIs(other._access, session)

    def test_other(self) -> None:
        """
        Anything else is another session.
        """
        sessions = [
            self.sessionOf(":session=yes"),
            self.sessionOf(":session=work"),
            self.sessionOf(f":session=yes{self.ADA}"),
            self.sessionOf(":session=yes:username=ada:password=other"),
            self.sessionOf(":session=yes:username=eve:password=s3cret"),
            self.sessionOf(":session=yes", MemoryReactorClock()),
        ]
        other: Any = clientFromString(
            self.reactor, r"socks6:example.org:443:session=yes:proxy=tcp\:127.0.0.1\:1081"
        )
        sessions.append(other._access)
        self.assertEqual(len(set(map(id, sessions))), 7)
        self.assertEqual(len(self.triggers()), 6)

    def test_connect(self) -> None:
        """
        The first connection opens it with the credentials of the string, and the
        second one is in it; the rest is up to each string.
        """
        self.reactor.rightNow = 1000.0
        transport = self.connect(f"{self.STRING}:session=yes{self.ADA}:timeout=2.5")
        self.assertEqual(list(transport.request.options), opening())
        transport.receive(opened() + CONNECTED)
        transport = self.connect(f"{self.STRING}:session=yes{self.ADA}:optimistic=yes:timeout=2.5")
        self.assertEqual(list(transport.request.options), naming(0))
        self.assertEqual(transport.data, b"hello")
        self.reactor.advance(2.4)
        self.assertFalse(transport.disconnected)
        self.reactor.advance(0.1)
        self.assertTrue(transport.disconnected)

    def test_shutdown(self) -> None:
        """
        It is ended at the proxy before the reactor is.
        """
        self.connect(f"{self.STRING}:session=yes{self.ADA}").receive(opened() + CONNECTED)
        self.assertEqual(len(self.triggers()), 1)
        [ended] = self.end()
        transport = self.accept()
        self.assertEqual(list(transport.request.options), FAREWELL)
        self.assertNoResult(ended)
        transport.receive(WITHIN + CONNECTED)
        transport.lose()
        self.successResultOf(ended)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertTrue(self.sessionOf(f":session=yes{self.ADA}").isClosed)

    def test_slowShutdown(self) -> None:
        """
        The reactor does not wait long for a proxy that does not answer.
        """
        self.connect(f"{self.STRING}:session=yes{self.ADA}").receive(opened() + CONNECTED)
        [ended] = self.end()
        self.accept()
        self.reactor.advance(SHUTDOWN_TIMEOUT - 0.1)
        self.assertNoResult(ended)
        self.reactor.advance(0.1)
        self.assertIsNone(self.successResultOf(ended))

    def test_nothingToEnd(self) -> None:
        """
        Nor does it wait for a session that nobody has opened.
        """
        self.parse(f"{self.STRING}:session=yes")
        [ended] = self.end()
        self.successResultOf(ended)
        self.assertEqual(self.reactor.tcpClients, [])
