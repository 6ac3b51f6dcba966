"""
Tests for what fetches web pages.
"""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionAborted
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI, Agent, ResponseNeverReceived, readBody
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import RequestRefused
from socks6.client.session import SOCKS6Session
from socks6.client.web import SOCKS6AgentEndpointFactory
from socks6.values.codes import ReplyCode
from socks6.values.options import SessionRequest
from tests.client.doubles import (
    SUCCESS,
    Application,
    ApplicationFactory,
    ProxyTransport,
    authenticationReply,
    operationReply,
)
from tests.client.sessions import CONNECTED, INVALID, naming, opened

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@implementer(IPolicyForHTTPS)
class Policy:
    """
    Remembers whom it was asked for.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """
        Trust those whom everybody trusts.
        """
        self.asked.append((hostname, port))
        return optionsForClientTLS(hostname.decode("ascii"))


class WebTestCase(SynchronousTestCase):
    """
    Fetches through a proxy that the test plays.
    """

    def setUp(self) -> None:
        """
        Have a way to the proxy.
        """
        self.reactor = MemoryReactorClock()
        self.proxyEndpoint = TCP4ClientEndpoint(self.reactor, "127.0.0.1", 1080)

    def make(self, **arguments: Any) -> SOCKS6AgentEndpointFactory:
        """
        Make the factory of endpoints.
        """
        return SOCKS6AgentEndpointFactory(self.reactor, self.proxyEndpoint, **arguments)

    def accept(self) -> ProxyTransport:
        """
        Let the proxy accept the connection.
        """
        transport = ProxyTransport()
        transport.protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        transport.protocol.makeConnection(transport)
        return transport


class EndpointTests(WebTestCase):
    """
    L{SOCKS6AgentEndpointFactory.endpointForURI}.
    """

    def test_interface(self) -> None:
        """
        It is what agents want.
        """
        verifyObject(IAgentEndpointFactory, self.make())

    def test_plain(self) -> None:
        """
        An HTTP server's endpoint leads to it through the proxy.
        """
        for uri, destination in [
            (b"http://example.org/", "example.org:80"),
            (b"http://example.org:8080/", "example.org:8080"),
            (b"http://192.0.2.7/", "192.0.2.7:80"),
            (b"http://[2001:db8::7]:8080/", "[2001:db8::7]:8080"),
            (b"ws://example.org/", "example.org:80"),
        ]:
            endpoint = self.make().endpointForURI(URI.fromBytes(uri))
            self.assertIsInstance(endpoint, SOCKS6ClientEndpoint)
            self.assertIn(f" {destination} through ", repr(endpoint))

    def test_tls(self) -> None:
        """
        For HTTPS the server must be the one that the URI names.
        """
        for uri, asked in [
            (b"https://example.org/", (b"example.org", 443)),
            (b"wss://example.org:8443/", (b"example.org", 8443)),
        ]:
            policy = Policy()
            endpoint = self.make(contextFactory=policy).endpointForURI(URI.fromBytes(uri))
            self.assertEqual(policy.asked, [asked])
            self.assertNotIsInstance(endpoint, SOCKS6ClientEndpoint)

    def test_scheme(self) -> None:
        """
        Other schemes are not supported.
        """
        uri = URI.fromBytes(b"ftp://example.org/")
        self.assertRaises(SchemeNotSupported, self.make().endpointForURI, uri)

    def test_arguments(self) -> None:
        """
        What the endpoint takes besides is passed on.
        """
        self.make(username="ada", password="s3cret", optimistic=True).endpointForURI(
            URI.fromBytes(b"http://example.org/")
        ).connect(ApplicationFactory(Application()))
        self.assertIn(b"ada", self.accept().writes[0])
        self.assertRaises(
            ValueError,
            self.make(timeout=-1).endpointForURI,
            URI.fromBytes(b"http://example.org/"),
        )

    def test_session(self) -> None:
        """
        All servers' endpoints are in the same session, if there is one; then who we
        are is the session's to say.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        factory = SOCKS6AgentEndpointFactory(self.reactor, session)
        for uri in (b"http://example.org/", b"https://example.com/"):
            endpoint = factory.endpointForURI(URI.fromBytes(uri))
            endpoint.connect(ApplicationFactory(Application()))
        transport = self.accept()
        self.assertEqual(len(self.reactor.tcpClients), 1)
        self.assertIn(SessionRequest(), transport.request.options)
        transport.receive(opened() + CONNECTED)
        transport = self.accept()
        self.assertEqual(str(transport.request.address), "example.com:443")
        self.assertEqual(list(transport.request.options), naming(0))
        factory = SOCKS6AgentEndpointFactory(
            self.reactor, session, username="ada", password="s3cret"
        )
        self.assertRaises(ValueError, factory.endpointForURI, URI.fromBytes(b"http://example.org/"))


class FetchTests(WebTestCase):
    """
    Whole requests.
    """

    def test_agent(self) -> None:
        """
        An agent sends its request when the proxy has connected.
        """
        agent = Agent.usingEndpointFactory(self.reactor, self.make())
        responded = agent.request(b"GET", b"http://example.org/page")
        transport = self.accept()
        transport.clear()
        transport.receive(SUCCESS)
        self.assertTrue(transport.value().startswith(b"GET /page HTTP/1.1\r\n"))
        self.assertIn(b"Host: example.org\r\n", transport.value())
        transport.receive(RESPONSE)
        body = readBody(self.successResultOf(responded))
        self.assertEqual(self.successResultOf(body), b"hello")

    def test_optimisticAgent(self) -> None:
        """
        An optimistic one sends it together with ours.
        """
        agent = Agent.usingEndpointFactory(self.reactor, self.make(optimistic=True))
        responded = agent.request(b"GET", b"http://example.org/page")
        transport = self.accept()
        self.assertIn(b"GET /page HTTP/1.1\r\n", transport.value())
        transport.receive(SUCCESS + RESPONSE)
        self.assertEqual(self.successResultOf(responded).code, 200)

    def test_optimisticRefused(self) -> None:
        """
        A refusal is among the reasons why there is no response, with TLS or
        without.
        """
        for uri in (b"http://example.org/page", b"https://example.org/page"):
            agent = Agent.usingEndpointFactory(self.reactor, self.make(optimistic=True))
            responded = agent.request(b"GET", uri)
            transport = self.accept()
            self.reactor.advance(0)
            transport.receive(authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED))
            transport.lose(ConnectionAborted())
            failure = self.failureResultOf(responded, ResponseNeverReceived)
            [reason] = failure.value.reasons
            self.assertEqual(reason.trap(RequestRefused), RequestRefused)
            self.assertEqual(reason.value.code, ReplyCode.NOT_ALLOWED)

    def test_refused(self) -> None:
        """
        Otherwise the request fails with it.
        """
        agent = Agent.usingEndpointFactory(self.reactor, self.make())
        responded = agent.request(b"GET", b"https://example.org/")
        transport = self.accept()
        transport.receive(authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED))
        failure = self.failureResultOf(responded, RequestRefused)
        self.assertEqual(failure.value.code, ReplyCode.NOT_ALLOWED)

    def test_sessionReplaced(self) -> None:
        """
        A page is fetched although the proxy has forgotten the session, with a
        request that did not wait for anything.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        endpoints = SOCKS6AgentEndpointFactory(self.reactor, session, optimistic=True)
        agent = Agent.usingEndpointFactory(self.reactor, endpoints)
        session.open()
        self.accept().receive(opened() + CONNECTED)
        responded = agent.request(b"GET", b"http://example.org/page")
        first = self.accept()
        self.assertIn(b"GET /page HTTP/1.1\r\n", first.data)
        first.receive(INVALID)
        first.lose()
        second = self.accept()
        self.assertEqual(second.data, first.data)
        second.receive(opened() + CONNECTED + RESPONSE)
        body = readBody(self.successResultOf(responded))
        self.assertEqual(self.successResultOf(body), b"hello")

    def test_treq(self) -> None:
        """
        So does treq, which stands on agents.
        """
        agent = Agent.usingEndpointFactory(self.reactor, self.make())
        responded = HTTPClient(agent).get("http://example.org/page")
        transport = self.accept()
        transport.receive(SUCCESS)
        transport.receive(RESPONSE)
        body = self.successResultOf(responded).content()
        self.assertEqual(self.successResultOf(body), b"hello")
