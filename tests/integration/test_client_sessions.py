"""
The client's sessions with our own proxy.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from io import BytesIO
from random import Random
from typing import Any

from treq.client import HTTPClient
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.protocols.basic import FileSender
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data
from zope.interface import implementer

from socks6.client.endpoints import SOCKS6ClientEndpoint
from socks6.client.errors import AuthenticationRefused, SessionClosed
from socks6.client.session import SOCKS6Session
from socks6.client.web import SOCKS6AgentEndpointFactory
from socks6.interfaces import SessionDemand, SessionTrust
from socks6.policy.sessions import SessionService
from socks6.policy.stores.memory import MemorySessionStore
from socks6.values.codes import TokenOutcome
from tests.integration.certificates import Authority
from tests.integration.crowd import raiseDescriptorLimit
from tests.integration.peers import DEADLINE, pattern
from tests.integration.proxies import (
    CHECKOUT,
    ProxyTestCase,
    RunningProxy,
    inThread,
    reactor,
)
from tests.integration.scripted import Client, Echo, HalfCloseableDestination

HOST = "127.0.0.1"

#: A program that makes some requests by an endpoint string, and ends.
PROGRAM = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import react

class Asking(Protocol):
    def connectionMade(self):
        self.answered = Deferred()
        self.transport.write(b"hello")

    def dataReceived(self, data):
        self.transport.loseConnection()
        self.answered.callback(data)

async def main(reactor, string):
    for _ in range(3):
        asking = await connectProtocol(clientFromString(reactor, string), Asking())
        print((await asking.answered).decode())

react(main, sys.argv[1:])
"""


class CountingChecker(InMemoryUsernamePasswordDatabaseDontUse):
    """
    Knows ada, and counts how often it is asked.
    """

    def __init__(self) -> None:
        super().__init__(ada=b"s3cret")
        self.asked = 0

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """
        Count.
        """
        self.asked += 1
        answer: Deferred[Any] = super().requestAvatarId(credentials)
        return answer


class CountingStore(MemorySessionStore):
    """
    Counts what clients do with their tokens.

    @ivar opened: How many sessions were opened.
    @ivar unknown: How many requests named one that there is not.
    @ivar outcomes: What became of the tokens that requests have spent; of
        C{None}, if they spent none.
    @ivar tokens: How often each token was to be spent, by session.
    """

    def __init__(self) -> None:
        super().__init__(reactor)
        self.opened = 0
        self.unknown = 0
        self.outcomes: Counter[TokenOutcome | None] = Counter()
        self.tokens: Counter[tuple[bytes, int]] = Counter()

    def open(self, *arguments: Any) -> Deferred[Any]:
        """
        Count.
        """
        self.opened += 1
        return super().open(*arguments)

    def use(
        self, key: bytes, demand: SessionDemand, trusts: Collection[SessionTrust], timeout: float
    ) -> Deferred[Any]:
        """
        Count.
        """

        def count(use: Any) -> Any:
            if use is None:
                self.unknown += 1
            elif use.admitted:
                self.outcomes[use.outcome] += 1
                if demand.token is not None:
                    self.tokens[key, demand.token] += 1
            return use

        return super().use(key, demand, trusts, timeout).addCallback(count)


@implementer(IStreamClientEndpoint)
class UnevenEndpoint:
    """
    A way to a proxy that takes each time as long as it likes.
    """

    def __init__(self, port: int) -> None:
        self._endpoint = TCP4ClientEndpoint(reactor, HOST, port)
        self._random = Random(6)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """
        Connect after a while.
        """
        seconds = self._random.uniform(0, 0.02)
        connected: Deferred[Any] = deferLater(
            reactor, seconds, self._endpoint.connect, protocolFactory
        )
        return connected


def portOf(proxy: RunningProxy) -> int:
    """
    Tell where a proxy listens.
    """
    assert isinstance(proxy.place, tuple)
    return proxy.place[1]


def together(*coroutines: Any) -> Deferred[list[Any]]:
    """
    Do several things at once; the first that fails fails all.
    """
    return gatherResults(list(map(Deferred.fromCoroutine, coroutines)), consumeErrors=True)


class ClientSessionsTestCase(ProxyTestCase):
    """
    A test with proxies that know ada, and a destination that sends back what it is
    sent.

    @ivar store: The sessions of the proxy that was started last.
    """

    async def setUp(self) -> None:  # type: ignore[override]
        """
        Have the destination; a request takes four descriptors of this process.
        """
        super().setUp()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        raiseDescriptorLimit()
        self.echoPort = await self.listen(Echo)

    def serve(
        self,
        port: int = 0,
        trust: SessionTrust = SessionTrust.EVERYWHERE,
        authority: Authority | None = None,
        maxTokenWindow: int = 65536,
    ) -> RunningProxy:
        """
        Start a proxy, which may have a crowd of clients that connect at once.
        """
        self.checker = CountingChecker()
        self.store = CountingStore()
        sessions = SessionService(reactor, self.store, trust=trust, maxTokenWindow=maxTokenWindow)
        endpoint = f"tcp:{port}:interface={HOST}:backlog=500"
        return self.startProxy(
            endpoint, checkers=[self.checker], sessions=sessions, authority=authority
        )

    async def restart(self, proxy: RunningProxy) -> RunningProxy:
        """
        Start a proxy in another one's place.
        """
        await proxy.service.stopService()
        return self.serve(portOf(proxy))

    def session(self, way: RunningProxy | IStreamClientEndpoint, **arguments: Any) -> SOCKS6Session:
        """
        Have a session that ends with the test.
        """
        if isinstance(way, RunningProxy):
            way = TCP4ClientEndpoint(reactor, HOST, portOf(way))
        arguments = {"username": "ada", "password": "s3cret", **arguments}
        session = SOCKS6Session(reactor, way, **arguments)
        self.addCleanup(session.close)
        return session

    async def listen(self, build: Any) -> int:
        """
        Start a destination.

        @param build: Makes its protocols.
        @return: The port where it listens.
        """
        factory = build if isinstance(build, Factory) else Factory.forProtocol(build)
        factory.noisy = False
        port = await TCP4ServerEndpoint(reactor, 0, backlog=500, interface=HOST).listen(factory)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    async def ask(
        self, session: SOCKS6Session, octets: bytes = b"hello", optimistic: bool = False
    ) -> None:
        """
        Make a request, and check that octets pass both ways.
        """
        endpoint = SOCKS6ClientEndpoint(
            reactor, session, HOST, self.echoPort, optimistic=optimistic
        )
        client = await connectProtocol(endpoint, Client(octets))
        self.assertEqual(await client.receive(len(octets)), octets)
        client.transport.loseConnection()
        await client.lost

    async def askMany(self, session: SOCKS6Session, count: int, optimistic: bool = False) -> None:
        """
        Make several requests at once.
        """
        await together(
            *(self.ask(session, b"number %d" % each, optimistic) for each in range(count))
        )


class ClientSessionsTests(ClientSessionsTestCase):
    """
    What a program gets from a session.
    """

    async def test_manyRequests(self) -> None:
        """
        A program's requests are all in one session: the password is sent once, and
        each request has a token.  In the end the session is gone.
        """
        proxy = self.serve()
        session = self.session(proxy)
        for optimistic in (False, True):
            for _ in range(20):
                await self.ask(session, optimistic=optimistic)
            await self.askMany(session, 20, optimistic)
        self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
        self.assertEqual(self.store.outcomes, {TokenOutcome.SUCCESS: 79})
        self.assertEqual(len(self.store), 1)
        await session.close()
        self.assertEqual(len(self.store), 0)
        await self.assertFailure(Deferred.fromCoroutine(self.ask(session)), SessionClosed)

    async def test_open(self) -> None:
        """
        It can be opened ahead of time.
        """
        session = self.session(self.serve())
        self.assertTrue(await session.open())
        self.assertTrue(session.isTrusted)
        await self.ask(session)
        self.assertEqual((self.store.opened, self.checker.asked), (1, 1))

    async def test_crowd(self) -> None:
        """
        Of 300 requests at once none fails, and none spends a token that another one
        has spent.
        """
        for optimistic in (False, True):
            session = self.session(self.serve())
            await self.askMany(session, 300, optimistic)
            self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
            self.assertEqual(self.store.outcomes[TokenOutcome.SUCCESS], 299)
            self.assertEqual(self.store.outcomes[TokenOutcome.DUPLICATE], 0)
            self.assertEqual(max(self.store.tokens.values()), 1)

    async def test_overtaken(self) -> None:
        """
        That holds where some connections take longer than others, so that a request
        which asks for a fresh window overtakes those whose tokens are of the old one.
        """
        # There are many fresh windows if each is small.
        proxy = self.serve(maxTokenWindow=16)
        session = self.session(UnevenEndpoint(portOf(proxy)))
        await self.askMany(session, 150)
        self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
        self.assertEqual(self.store.outcomes[TokenOutcome.SUCCESS], 149)
        self.assertEqual(self.store.outcomes[TokenOutcome.DUPLICATE], 0)
        self.assertGreater(self.store.outcomes[TokenOutcome.OUT_OF_WINDOW], 0)
        self.assertEqual(max(self.store.tokens.values()), 1)

    async def test_smallWindows(self) -> None:
        """
        Nor does that happen with a proxy that grants few tokens.
        """
        for size in (1, 2, 7):
            session = self.session(self.serve(maxTokenWindow=size))
            await self.askMany(session, 60)
            self.assertEqual(self.store.outcomes[TokenOutcome.SUCCESS], 59, size)
            self.assertEqual(self.store.outcomes[TokenOutcome.DUPLICATE], 0, size)
            self.assertEqual(max(self.store.tokens.values()), 1, size)

    async def test_impatient(self) -> None:
        """
        Requests that do not wait succeed as well.
        """
        session = self.session(self.serve(), patient=False)
        await self.askMany(session, 100)
        await self.askMany(session, 100)
        self.assertEqual(self.store.opened, 1)
        self.assertEqual(self.store.outcomes[TokenOutcome.DUPLICATE], 0)

    async def test_restart(self) -> None:
        """
        A proxy that is restarted, and has forgotten its sessions, gets a new one;
        every request succeeds, one after the other or many at once.
        """
        proxy = self.serve()
        session = self.session(proxy)
        for optimistic in (False, True):
            for count in (1, 40):
                await self.askMany(session, count, optimistic)
                proxy = await self.restart(proxy)
                await self.askMany(session, count, optimistic)
                self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
                self.assertGreater(self.store.unknown, 0)
                self.assertEqual(self.store.outcomes[TokenOutcome.DUPLICATE], 0)

    async def test_earlyData(self) -> None:
        """
        What an optimistic client has written reaches the destination once, and the
        end of its direction, too, though both were sent to the proxy twice.
        """
        proxy = self.serve()
        session = self.session(proxy)
        await self.ask(session)
        for octets in (b"question", bytes(range(256)) * 250):
            proxy = await self.restart(proxy)
            destination = HalfCloseableDestination()
            port = await self.listen(lambda destination=destination: destination)
            endpoint = SOCKS6ClientEndpoint(reactor, session, HOST, port, optimistic=True)
            client = await connectProtocol(endpoint, Client(octets))
            client.transport.loseWriteConnection()
            await destination.inputEnded
            self.assertEqual(self.store.unknown, 1)
            self.assertTrue(destination.received == octets, "other octets")
            destination.transport.write(b"answer")
            destination.transport.loseConnection()
            await client.readLost
            self.assertEqual(client.received, b"answer")
            client.transport.loseConnection()
            await client.lost

    async def test_earlyProducer(self) -> None:
        """
        A producer goes on where it was, and nothing is lost or repeated.
        """
        proxy = self.serve()
        session = self.session(proxy)
        await self.ask(session)
        await self.restart(proxy)
        destination = HalfCloseableDestination()
        port = await self.listen(lambda: destination)
        octets = pattern(60000)
        endpoint = SOCKS6ClientEndpoint(reactor, session, HOST, port, optimistic=True)
        client = await connectProtocol(endpoint, Client())
        await FileSender().beginFileTransfer(BytesIO(octets), client.transport)
        client.transport.loseConnection()
        await destination.inputEnded
        self.assertEqual(self.store.unknown, 1)
        self.assertTrue(destination.received == octets, "other octets")
        destination.transport.loseConnection()
        await client.lost

    async def test_tunnelsLiveOn(self) -> None:
        """
        A tunnel does not depend on the session in which it was asked for.
        """
        session = self.session(self.serve())
        endpoint = SOCKS6ClientEndpoint(reactor, session, HOST, self.echoPort)
        client = await connectProtocol(endpoint, Client(b"one "))
        await client.receive(4)
        await session.close()
        self.assertEqual(len(self.store), 0)
        client.transport.write(b"two")
        self.assertEqual(await client.receive(7), b"one two")
        client.transport.loseConnection()
        await client.lost

    async def test_sameName(self) -> None:
        """
        Two programs with the same user name do not take each other's tokens, as they
        would if windows belonged to users: whoever makes a request, none is refused.
        """
        proxy = self.serve(maxTokenWindow=4)
        sessions = [self.session(proxy, tokens=4) for _ in range(2)]
        for _ in range(50):
            for session in sessions:
                await self.ask(session)
            await together(*map(self.ask, sessions))
        self.assertEqual((self.store.opened, self.checker.asked), (2, 2))
        self.assertEqual(self.store.outcomes, {TokenOutcome.SUCCESS: 198})

    async def test_untrusted(self) -> None:
        """
        A proxy that trusts no session gets the credentials each time, also when the
        session ends.
        """
        session = self.session(self.serve(trust=SessionTrust.NOWHERE))
        await self.ask(session)
        self.assertTrue(session.isOpen)
        self.assertFalse(session.isTrusted)
        await self.askMany(session, 9)
        self.assertEqual((self.store.opened, self.checker.asked), (1, 10))
        self.assertEqual(self.store.outcomes, {TokenOutcome.SUCCESS: 9})
        await session.close()
        self.assertEqual(len(self.store), 0)

    async def test_trustEnds(self) -> None:
        """
        A proxy that trusts the session no more gets them from then on.
        """
        proxy = self.serve()
        session = self.session(proxy)
        await self.ask(session)
        store = self.store
        await proxy.service.stopService()
        sessions = SessionService(reactor, store, trust=SessionTrust.NOWHERE)
        self.startProxy(
            f"tcp:{portOf(proxy)}:interface={HOST}", checkers=[self.checker], sessions=sessions
        )
        for optimistic in (False, True):
            await self.askMany(session, 5, optimistic)
        self.assertFalse(session.isTrusted)
        self.assertEqual(store.opened, 1)

    async def test_wrongPassword(self) -> None:
        """
        With the wrong password each request fails, and no session is opened.
        """
        session = self.session(self.serve(), password="other")
        asked = [Deferred.fromCoroutine(self.ask(session)) for _ in range(3)]
        for each in asked:
            await self.assertFailure(each, AuthenticationRefused)
        await self.assertFailure(session.open(), AuthenticationRefused)
        self.assertFalse(session.isOpen)
        self.assertEqual((self.store.opened, self.checker.asked), (0, 4))

    async def test_tls(self) -> None:
        """
        Over TLS a session is trusted by a proxy that trusts those only; over TCP it
        is not.
        """
        authority = Authority(self.folder())
        proxy = self.serve(trust=SessionTrust.OVER_TLS, authority=authority)
        trust = optionsForClientTLS(
            "localhost", trustRoot=Certificate.loadPEM(authority.path.read_bytes())
        )
        way = wrapClientTLS(trust, HostnameEndpoint(reactor, HOST, portOf(proxy)), reactor)
        session = self.session(way)
        for optimistic in (False, True):
            await self.ask(session, optimistic=optimistic)
            await self.askMany(session, 20, optimistic)
        self.assertTrue(session.isTrusted)
        self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
        await session.close()
        self.assertEqual(len(self.store), 0)
        session = self.session(self.serve(trust=SessionTrust.OVER_TLS))
        await self.ask(session)
        self.assertTrue(session.isOpen)
        self.assertFalse(session.isTrusted)

    async def test_noProxy(self) -> None:
        """
        Closing a session does not fail although the proxy is gone.
        """
        proxy = self.serve()
        session = self.session(proxy)
        await self.ask(session)
        await proxy.service.stopService()
        await session.close()
        self.assertTrue(session.isClosed)

    async def test_secrets(self) -> None:
        """
        The proxy's log has neither IDs nor passwords.
        """
        proxy = self.serve()
        session = self.session(proxy)
        await self.askMany(session, 3)
        identifier = session._identifier
        assert identifier is not None
        await session.close()
        await self.untilForgotten(proxy)
        self.assertGreaterEqual(len(self.lines), 4)
        for line in self.lines:
            for secret in ("s3cret", identifier.hex(), repr(identifier)[2:-1]):
                self.assertNotIn(secret, line)


class ProgramsTests(ClientSessionsTestCase):
    """
    Programs that know nothing of sessions.
    """

    async def test_treq(self) -> None:
        """
        Pages are fetched in a session, with the proxy restarted in between.
        """
        page = Resource()
        page.putChild(b"page", Data(b"hello", "text/plain"))
        site = Site(page, reactor=reactor)
        port = await self.listen(site)
        proxy = self.serve()
        for optimistic in (False, True):
            session = self.session(proxy)
            endpoints = SOCKS6AgentEndpointFactory(reactor, session, optimistic=optimistic)
            treq = HTTPClient(Agent.usingEndpointFactory(reactor, endpoints))
            for _ in range(3):
                response = await treq.get(f"http://{HOST}:{port}/page")
                self.assertEqual(await response.content(), b"hello")
            self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
            proxy = await self.restart(proxy)
            response = await treq.get(f"http://{HOST}:{port}/page")
            self.assertEqual(await response.content(), b"hello")
            self.assertEqual(self.store.unknown, 1)
            await session.close()
            proxy = await self.restart(proxy)

    async def test_string(self) -> None:
        """
        A program's endpoint strings share a session, which ends with the program.
        """
        proxy = self.serve()
        proxyString = f"tcp\\:{HOST}\\:{portOf(proxy)}"
        string = f"socks6:{HOST}:{self.echoPort}:proxy={proxyString}:session=yes:optimistic=yes"
        done = await inThread(
            lambda: subprocess.run(
                [sys.executable, "-c", PROGRAM, f"{string}:username=ada:password=s3cret"],
                cwd=CHECKOUT,
                capture_output=True,
                check=False,
                timeout=DEADLINE,
            )
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(done.stdout, b"hello\n" * 3)
        self.assertEqual((self.store.opened, self.checker.asked), (1, 1))
        self.assertEqual(len(self.store), 0)
