"""
Tests of L{socks6.local.service}: the local proxifier in front of SOCKS 6 proxies.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import optionsForClientTLS
from zope.interface.verify import verifyObject

from socks6.local import conversation
from socks6.local.factory import LocalFactory, TransparentFactory
from socks6.local.isolation import Isolation
from socks6.local.service import localService
from socks6.outbound.socks6 import SOCKS6Outbound, UpstreamProxy
from socks6.serving.service import ListeningService
from socks6.values.codes import ReplyCode
from tests.doubles import FakeEndpoint, FakePort, Peer
from tests.local.programs import (
    FIVE,
    FIVE_GRANTED,
    FORWARDED,
    FOUR,
    GET,
    IPV4,
    NO_NEED,
    PASSWORD_HELLO,
    TUNNEL,
    TUNNEL_GRANTED,
    login,
    refusedResponse,
    socks4Reply,
    socks5,
    socks5Reply,
)
from tests.outbound.upstreams import Upstream
from tests.raising import errorOf
from tests.server.harness import (
    CONNECTED,
    DONE,
    REFUSED,
    MemoryTestCase,
    failure,
    request,
)
from tests.server.sessions import (
    SESSION_OK,
    SESSION_REQUEST,
    TEARDOWN,
    admitted,
    expenditure,
    sessionID,
    tokenRequest,
    window,
)

#: The request that opens a session, and the proxy's word on that.
OPENING = request(SESSION_REQUEST + tokenRequest(64))
ID = b"sixteen octets.."
OPENED = admitted(sessionID(ID), window(0, 64))

#: What programs hear that are told at once.
GREETED = ((FIVE, NO_NEED + FIVE_GRANTED), (TUNNEL, TUNNEL_GRANTED))

LINE = "192.0.2.2:40000 - connect 203.0.113.1:443: "


def listening(port: FakePort) -> Deferred[IListeningPort]:
    """
    Listen at once.
    """
    return succeed(port)


class ServiceTestCase(MemoryTestCase):
    """
    A test with a local proxifier and a proxy that the test plays.
    """

    def setUp(self) -> None:
        super().setUp()
        self.upstream = Upstream(self.network)

    def start(self, *proxies: UpstreamProxy, **options: Any) -> MultiService:
        """
        Start a local proxifier.
        """
        proxy = UpstreamProxy(self.network, "proxy", self.upstream.endpoint)
        self.ports = [FakePort() for _ in range(2)]
        endpoints = [FakeEndpoint(partial(listening, port)) for port in self.ports]
        service = localService(
            self.network,
            endpoints[:1],
            proxies or [proxy],
            transparentEndpoints=endpoints[1:],
            **options,
        )
        service.startService()
        ((self.local,), (self.transparent,)) = (endpoint.factories for endpoint in endpoints)
        return service

    def stop(self, service: MultiService) -> Deferred[Any]:
        """
        Stop it, as far as listening goes.
        """
        stopped: Deferred[Any] = service.stopService()
        for port in self.ports:
            assert port.closing is not None
            port.closing.callback(None)
        self.network.spin()
        return stopped

    def ask(self, sent: bytes, isTransparent: bool = False, **options: Any) -> Peer:
        """
        Start a proxifier, and ask for something.
        """
        self.start(**options)
        program = self.network.accept(self.transparent if isTransparent else self.local)
        program.send(sent)
        return program


class ServiceTests(ServiceTestCase):
    """
    L{localService}.
    """

    def parts(self, **options: Any) -> tuple[SOCKS6Outbound, ListeningService, ListeningService]:
        """
        Make a service.

        @return: What it consists of.
        """
        proxy = UpstreamProxy(self.network, "proxy", self.upstream.endpoint)
        service = localService(self.network, [], [proxy], **options)
        self.assertTrue(verifyObject(IService, service))
        outbound, local, transparent = service
        assert isinstance(outbound, SOCKS6Outbound)
        assert isinstance(local, ListeningService)
        assert isinstance(transparent, ListeningService)
        return outbound, local, transparent

    def test_parts(self) -> None:
        """
        It has a way out, which isolates sessions, and listens in both manners.
        """
        outbound, local, transparent = self.parts()
        self.assertTrue(outbound._isolate)
        self.assertEqual(outbound._timeout, 60.0)
        for part, kind in ((local, LocalFactory), (transparent, TransparentFactory)):
            factory = part.factory
            assert isinstance(factory, LocalFactory)
            self.assertIs(type(factory), kind)
            self.assertIs(factory.outbound, outbound)
            self.assertEqual(factory.isolations, {Isolation.AUTH})
            self.assertIsNone(factory._optimistic)
            self.assertEqual(factory.requestTimeout, 10.0)
            self.assertIsNone(factory.idleTimeout)

    def test_options(self) -> None:
        """
        What it is told holds for both.
        """
        outbound, *others = self.parts(
            isolations=[Isolation.CLIENT],
            optimistic=True,
            connectTimeout=1.0,
            requestTimeout=2.0,
            idleTimeout=3.0,
        )
        self.assertEqual(outbound._timeout, 1.0)
        for part in others:
            factory: Any = part.factory
            self.assertEqual(factory.isolations, {Isolation.CLIENT})
            self.assertIs(factory._optimistic, True)
            self.assertEqual((factory.requestTimeout, factory.idleTimeout), (2.0, 3.0))

    def test_mistakes(self) -> None:
        """
        There must be a proxy, and times must be above zero, and finite.
        """
        error = errorOf(ValueError, partial(localService, self.network, [], []))
        self.assertEqual(str(error), "there is no proxy to go through")
        for name in ("connectTimeout", "requestTimeout", "idleTimeout"):
            for value in (0, -1.0, float("nan"), float("inf")):
                error = errorOf(ValueError, partial(self.parts, **{name: value}))
                self.assertEqual(str(error), f"not a number of seconds above 0: {value}", name)

    def test_listens(self) -> None:
        """
        It listens as long as it runs, with a factory for each manner.
        """
        service = self.start()
        self.assertIsInstance(self.local, LocalFactory)
        self.assertIsInstance(self.transparent, TransparentFactory)
        self.assertNotIsInstance(self.local, TransparentFactory)
        self.successResultOf(self.stop(service))

    def test_slowPort(self) -> None:
        """
        An endpoint may take its time, as in other services.
        """
        slow: Deferred[IListeningPort] = Deferred()
        proxy = UpstreamProxy(self.network, "proxy", self.upstream.endpoint)
        service = localService(self.network, [FakeEndpoint(lambda: slow)], [proxy])
        service.startService()
        self.successResultOf(service.stopService())


class PassingTests(ServiceTestCase):
    """
    Programs reach their hosts.
    """

    def test_together(self) -> None:
        """
        With optimism, the request and the program's first data leave together, and the
        answer of the host is what the program hears next.
        """
        for sent, heard in GREETED:
            program = self.ask(sent + b"GET")
            self.assertEqual(program.take(), heard)
            proxy = self.upstream.accept()
            self.assertEqual(proxy.take().hex(), (OPENING + b"GET").hex())
            program.send(b" /")
            self.assertEqual(proxy.take(), b" /")
            proxy.send(OPENED + CONNECTED + b"200 OK")
            self.assertEqual(program.take(), b"200 OK")
            program.end()
            self.assertTrue(proxy.ended)
            proxy.end()
            self.assertOver()

    def test_forwarded(self) -> None:
        """
        So does what is forwarded.
        """
        program = self.ask(GET + b"body")
        proxy = self.upstream.accept()
        self.assertEqual(proxy.take().hex(), (OPENING + FORWARDED + b"body").hex())
        proxy.send(OPENED + CONNECTED + b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(program.received, b"HTTP/1.1 200 OK\r\n\r\n")

    def test_waiting(self) -> None:
        """
        Without, the program hears first from where it is connected.
        """
        for sent, heard, granted in (
            (FIVE, NO_NEED, socks5Reply(0, "01 c6336401 c350")),
            (FOUR, b"", socks4Reply(90, "c350 c6336401")),
            (TUNNEL, b"", TUNNEL_GRANTED),
        ):
            program = self.ask(sent + b"GET", optimistic=False)
            proxy = self.upstream.accept()
            self.assertEqual(proxy.take().hex(), OPENING.hex())
            self.assertEqual(program.take(), heard)
            proxy.send(OPENED + CONNECTED + b"banner")
            self.assertEqual(program.received, granted + b"banner")
            self.assertEqual(proxy.take(), b"GET")

    def test_transparent(self) -> None:
        """
        Programs that do not know of us get there, too.
        """
        self.patch(conversation, "originalDestination", lambda transport: IPV4)
        program = self.ask(b"GET", True)
        proxy = self.upstream.accept()
        self.assertEqual(proxy.take().hex(), OPENING.hex())
        proxy.send(OPENED + CONNECTED + b"banner")
        self.assertEqual(program.received, b"banner")
        self.assertEqual(proxy.take(), b"GET")

    def test_sessions(self) -> None:
        """
        Programs with the same user name and password share a session, others do not.
        """
        self.start()
        said = []
        for name, password in ((b"a", b"x"), (b"a", b"y"), (b"a", b"x"), (b"", b"")):
            program = self.network.accept(self.local)
            program.send(PASSWORD_HELLO + login(name, password) + socks5())
            proxy = self.upstream.accept()
            said.append(proxy.take().hex())
            proxy.send(OPENED + CONNECTED)
        within = request(sessionID(ID) + expenditure(0))
        self.assertEqual(said, [each.hex() for each in (OPENING, OPENING, within, OPENING)])

    def test_halfCloseWhileConnecting(self) -> None:
        """
        A program may end its direction before the proxy has answered.
        """
        program = self.ask(FIVE + b"GET")
        program.end()
        proxy = self.upstream.accept()
        self.assertTrue(proxy.ended)
        proxy.send(OPENED + CONNECTED + b"200 OK")
        proxy.end()
        self.assertEqual(program.received, NO_NEED + FIVE_GRANTED + b"200 OK")
        self.assertOver()

    def test_gone(self) -> None:
        """
        A program may go away at any moment, and nothing stays behind.
        """
        for optimistic in (True, False):
            for sent in (FIVE, FOUR, TUNNEL, GET):
                program = self.ask(sent, optimistic=optimistic)
                program.reset()
                self.assertEqual(self.upstream.unanswered, 0)
                self.assertOver()
                for answer in (b"", OPENED, OPENED + CONNECTED):
                    program = self.ask(sent, optimistic=optimistic)
                    proxy = self.upstream.accept()
                    proxy.send(answer)
                    program.reset()
                    if not proxy.isClosed:
                        proxy.end()
                    self.assertOver()

    def test_bounded(self) -> None:
        """
        A proxy that does not read keeps the program from sending more than a little.
        """
        program = self.ask(FIVE)
        proxy = self.upstream.accept()
        proxy.stopReading()
        program.send(b"x" * 1_000_000)
        self.assertFalse(program.isRead)
        self.assertGreater(len(program.socket.input), 800_000)
        proxy.startReading()
        self.assertEqual(len(proxy.received), len(OPENING) + 1_000_000)


class RefusalTests(ServiceTestCase):
    """
    Programs do not reach their hosts.
    """

    def refuse(self, sent: bytes, answer: bytes, **options: Any) -> tuple[Peer, Peer]:
        """
        Ask for something.

        @param answer: What the proxy says.
        """
        self.events.clear()
        program = self.ask(sent, **options)
        proxy = self.upstream.accept()
        proxy.send(answer)
        return program, proxy

    def leave(self, *peers: Peer) -> None:
        """
        End what is about to end, in good order.
        """
        for peer in peers:
            if not peer.isClosed:
                peer.end()
            self.assertFalse(peer.wasReset)
        self.assertOver()

    def test_brokenOff(self) -> None:
        """
        Who has been told otherwise is broken off, and the operator reads why.
        """
        for sent, heard in GREETED:
            for answer, line in (
                (OPENED + failure(4), "the proxy refused: host unreachable (4)"),
                (REFUSED, "the proxy refused: authentication failed"),
                (b"\5\0", "no connection through the proxy: not a SOCKS 6 proxy: its first octet"),
            ):
                program, _ = self.refuse(sent, answer)
                self.assertEqual(program.received, heard)
                self.assertTrue(program.wasReset)
                self.assertOver()
                # Who says no is no bad proxy.
                self.assertEqual(len(self.lines), 2 if answer == b"\5\0" else 1)
                self.assertTrue(self.lines[-1].startswith(LINE + line), self.lines)

    def test_forwarded(self) -> None:
        """
        A request that is forwarded gets its answer nevertheless.
        """
        for code, status, words in (
            (ReplyCode.GENERAL_FAILURE, "502 Bad Gateway", "general failure"),
            (ReplyCode.NOT_ALLOWED, "403 Forbidden", "not allowed"),
            (ReplyCode.HOST_UNREACHABLE, "502 Bad Gateway", "host unreachable"),
            (ReplyCode.TIMED_OUT, "504 Gateway Timeout", "timed out"),
            (77, "502 Bad Gateway", "77"),
        ):
            program, _ = self.refuse(GET + b"body", OPENED + failure(code))
            self.assertEqual(program.received, refusedResponse(status, words))
            self.assertTrue(program.ended)
            self.leave(program)
            self.assertEqual(len(self.lines), 1)

    def test_forwardedToNobody(self) -> None:
        """
        Also if the proxy does not let us in, is none, or goes away.
        """
        for answer in (REFUSED, b"\5\0", b"", OPENED, OPENED + CONNECTED):
            program, proxy = self.refuse(GET, answer)
            if not proxy.isClosed:
                proxy.reset()
            self.assertEqual(
                program.received, refusedResponse("502 Bad Gateway", "general failure"), answer
            )
            self.leave(program)

    def test_forwardedTooLate(self) -> None:
        """
        Also if it takes too long.
        """
        program, _ = self.refuse(GET, b"", connectTimeout=2.5)
        self.network.elapse(2.5)
        self.assertEqual(program.received, refusedResponse("504 Gateway Timeout", "timed out"))
        self.leave(program)
        line = f"{LINE}no connection through the proxy: no answer within 2.5 s, "
        self.assertTrue(self.lines[0].startswith(line), self.lines)

    def test_tooLate(self) -> None:
        """
        Who has been told otherwise is broken off then, too.
        """
        for sent, heard in GREETED:
            program, _ = self.refuse(sent, b"", connectTimeout=2.5)
            self.network.elapse(2.5)
            self.assertEqual(program.received, heard)
            self.assertTrue(program.wasReset)
            self.assertOver()

    def test_answered(self) -> None:
        """
        When the web server has begun to answer, there is nothing to add.
        """
        program, proxy = self.refuse(GET, OPENED + CONNECTED + b"HTTP/1.1 ")
        proxy.reset()
        self.assertEqual(program.received, b"HTTP/1.1 ")
        self.leave(program)

    def test_unreachable(self) -> None:
        """
        The proxy may not be there: that is a general failure.
        """
        told = refusedResponse("502 Bad Gateway", "general failure")
        for sent, heard in ((FIVE, NO_NEED + socks5Reply(1)), (TUNNEL, told), (GET, told)):
            program = self.ask(sent, optimistic=False)
            self.upstream.refuse()
            self.assertEqual(program.received, heard)
            self.leave(program)
        for sent, heard in GREETED:
            program = self.ask(sent)
            self.upstream.refuse()
            self.assertEqual(program.received, heard)
            self.assertTrue(program.wasReset)
            self.assertOver()

    def test_TLS(self) -> None:
        """
        TLS with the proxy may fail, and then the operator reads that.
        """
        way = wrapClientTLS(optionsForClientTLS("proxy"), self.upstream.endpoint, self.network)
        for sent, heard in GREETED:
            self.events.clear()
            self.start(UpstreamProxy(self.network, "proxy", way))
            program = self.network.accept(self.local)
            program.send(sent)
            self.upstream.accept().send(OPENED)
            self.assertEqual(program.received, heard)
            self.assertTrue(program.wasReset)
            self.assertOver()
            warning, line = self.lines
            self.assertTrue(warning.startswith("proxy cannot be reached: TLS: "), warning)
            self.assertTrue(line.startswith(f"{LINE}TLS: "), line)


class StopTests(ServiceTestCase):
    """
    The proxifier stops.
    """

    def test_stop(self) -> None:
        """
        Connections are cut, and sessions are ended at the proxy.
        """
        service = self.start()
        programs = [self.network.accept(self.local) for _ in range(3)]
        for program in programs[1:]:
            program.send(FIVE)
        proxy = self.upstream.accept()
        proxy.send(OPENED + CONNECTED)
        stopped = self.stop(service)
        self.assertNoResult(stopped)
        for peer in (*programs, proxy):
            self.assertTrue(peer.wasReset)
        farewell = self.upstream.accept()
        nothing = bytes.fromhex("0000 01 00000000")
        self.assertEqual(
            farewell.received.hex(), request(sessionID(ID) + TEARDOWN, 0, nothing).hex()
        )
        farewell.send(admitted(SESSION_OK) + DONE)
        self.successResultOf(stopped)
        farewell.end()
        self.assertOver()

    def test_stopWhileTheyWait(self) -> None:
        """
        Requests that wait for a session go nowhere then, and nobody is blamed for it.
        """
        service = self.start()
        programs = [self.network.accept(self.local) for _ in range(5)]
        for program in programs:
            program.send(FIVE)
        self.assertEqual(self.upstream.asked, 1)
        self.successResultOf(self.stop(service))
        for program in programs:
            self.assertTrue(program.wasReset)
        self.assertEqual(self.upstream.unanswered, 0)
        self.assertOver()
        self.assertEqual(len(self.lines), len(programs))
        for line in self.lines:
            self.assertTrue(line.startswith(f"{LINE}aborted, "), line)
