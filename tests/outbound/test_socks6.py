"""
Tests of L{socks6.outbound.socks6}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from socks6.client.errors import NoAnswer, RequestRefused
from socks6.interfaces import IOutbound, OutboundFailed, OutboundRequest
from socks6.outbound.socks6 import (
    AVOIDANCE_PERIOD,
    STOP_TIMEOUT,
    SOCKS6Outbound,
    UpstreamProxy,
)
from socks6.values.address import Address, DomainName
from socks6.values.codes import ReplyCode
from socks6.values.options import UsernamePassword
from tests.client.doubles import Application, HalfCloseableApplication, OddEndpoint
from tests.doubles import Peer
from tests.outbound.upstreams import Upstream
from tests.server.harness import (
    ADA,
    CONNECTED,
    DONE,
    REFUSED,
    SESSION_INVALID,
    WELCOME,
    MemoryTestCase,
    authenticationData,
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

NAME = Address(DomainName(b"example.com"), 443)

#: The address that CONNECTED names.
BOUND = Address(IPv4Address("198.51.100.1"), 50000)

#: What a request says that opens a session, and that needs none.
OPENING = SESSION_REQUEST + tokenRequest(64)
NOTHING = b""

#: The ID of a session, and of another one.
ID, OTHER_ID = b"sixteen octets..", b"sixteen others.."


def asks(options: bytes, where: str = "01bb 03 0b" + b"example.com".hex()) -> bytes:
    """
    Write the request that a proxy should get.
    """
    return request(options, 1, bytes.fromhex(where))


def opened(identifier: bytes = ID) -> bytes:
    """
    Write the Authentication Reply that opens a session.
    """
    return admitted(sessionID(identifier), window(0, 64))


WITHIN = admitted(SESSION_OK, bytes.fromhex("05 0005 04 01"))


class SOCKS6TestCase(MemoryTestCase):
    """
    A test with SOCKS 6 proxies that the test plays, two of them.
    """

    def setUp(self) -> None:
        super().setUp()
        self.upstreams = [Upstream(self.network, f"192.0.2.{number}") for number in (1, 2)]
        self.first, self.second = self.upstreams
        self.application: Application = HalfCloseableApplication()
        self.outbound = self.makeOutbound()

    def proxies(self, credentials: UsernamePassword | None = None) -> list[UpstreamProxy]:
        """
        Make our side of the proxies.
        """
        return [
            UpstreamProxy(self.network, name, upstream.endpoint, credentials)
            for name, upstream in zip(("first", "second"), self.upstreams, strict=True)
        ]

    def makeOutbound(
        self, credentials: UsernamePassword | None = None, **options: Any
    ) -> SOCKS6Outbound:
        """
        Make a way out.
        """
        return SOCKS6Outbound(self.network, self.proxies(credentials), **options)

    def connect(
        self, address: Address = NAME, outbound: SOCKS6Outbound | None = None, **wishes: Any
    ) -> Deferred[Address | None]:
        """
        Ask for a connection.
        """
        self.application = HalfCloseableApplication()
        wish = OutboundRequest(address, **wishes)
        return (outbound or self.outbound).connect(wish, self.application)

    def assertFails(self, result: Deferred[Any], code: ReplyCode, reason: str) -> None:
        """
        Check how a connection has failed, of which nothing is left when the proxies
        have closed.
        """
        error = self.failureResultOf(result, OutboundFailed).value
        self.assertEqual((error.replyCode, error.reason), (code, reason))
        self.assertEqual(self.application.events, [])
        for connection in self.network.connections:
            if not connection.everSocket.isClosed:
                Peer(self.network, connection).end()
        self.assertOver()

    def assertAsked(self, first: int, second: int) -> None:
        """
        Check how many connections the proxies were asked for, and ask anew from then
        on.
        """
        self.assertEqual([upstream.asked for upstream in self.upstreams], [first, second])


class RequestTests(SOCKS6TestCase):
    """
    What the proxy gets to hear, and what comes of it.
    """

    def test_interfaces(self) -> None:
        """
        It is a way out, and a service.
        """
        self.assertTrue(verifyObject(IOutbound, self.outbound))
        self.assertTrue(verifyObject(IService, self.outbound))

    def test_connect(self) -> None:
        """
        The protocol is connected when the proxy has, and its address is that which the
        remote host sees; then octets pass.
        """
        result = self.connect()
        proxy = self.first.accept()
        self.assertEqual(proxy.take().hex(), asks(OPENING).hex())
        proxy.send(opened())
        self.assertNoResult(result)
        self.assertEqual(self.application.events, [])
        proxy.send(CONNECTED + b"banner")
        self.assertEqual(self.successResultOf(result), BOUND)
        self.assertEqual(self.application.events, ["made", b"banner"])
        self.application.transport.write(b"GET")
        self.network.spin()
        self.assertEqual(proxy.take(), b"GET")
        proxy.end()
        self.application.transport.loseWriteConnection()
        self.network.spin()
        self.assertTrue(proxy.ended)
        self.assertEqual(self.application.events[2:4], ["read lost", "write lost"])
        self.assertAsked(1, 0)

    def test_order(self) -> None:
        """
        Everybody knows of the connection before something comes.
        """
        result = self.connect()
        result.addCallback(lambda _: self.application.events.append("told"))
        self.first.accept().send(WELCOME + CONNECTED + b"banner")
        self.assertEqual(self.application.events, ["made", "told", b"banner"])

    def test_addresses(self) -> None:
        """
        Addresses go to the proxy as they are; names are not resolved.
        """
        for host, octets in (
            (IPv4Address("203.0.113.1"), "01 cb007101"),
            (IPv6Address("2001:db8::2"), "04 20010db8 00000000 00000000 00000002"),
            (DomainName(b"Example.\xff"), "03 09 4578616d706c652eff"),
        ):
            for port in (0, 65535):
                result = self.connect(Address(host, port), self.makeOutbound(isolate=True))
                proxy = self.first.accept()
                expected = asks(NOTHING, f"{port:04x} {octets}")
                self.assertEqual(proxy.received.hex(), expected.hex())
                proxy.send(WELCOME + CONNECTED)
                self.assertEqual(self.successResultOf(result), BOUND)

    def test_bound(self) -> None:
        """
        Whatever address the proxy has bound, that is told.
        """
        for octets, bound in (
            ("01 00000000", Address(IPv4Address(0), 80)),
            ("04 20010db8 00000000 00000000 00000002", Address(IPv6Address("2001:db8::2"), 80)),
            ("03 03 666f6f", Address(DomainName(b"foo"), 80)),
        ):
            result = self.connect()
            reply = b"\0\0\x50" + bytes.fromhex(octets) + bytes(2)
            self.first.accept().send(WELCOME + reply)
            self.assertEqual(self.successResultOf(result), bound)

    def test_typeOfService(self) -> None:
        """
        The type of service is the proxy's business on both legs that it knows of.
        """
        for value in (0, 0x28):
            for session, options in ((None, NOTHING), (b"%d" % value, OPENING)):
                outbound = self.makeOutbound(isolate=True)
                result = self.connect(outbound=outbound, typeOfService=value, session=session)
                proxy = self.first.accept()
                stack = bytes([1, 0, 6, 3 << 6 | 1, 1, value])
                self.assertEqual(proxy.received.hex(), asks(options + stack).hex())
                proxy.send(WELCOME + CONNECTED)
                self.successResultOf(result)

    def test_split(self) -> None:
        """
        Octet by octet, it is the same.
        """
        result = self.connect()
        proxy = self.first.accept()
        for octet in opened() + CONNECTED + b"ab":
            proxy.send(bytes([octet]))
        self.assertEqual(self.successResultOf(result), BOUND)
        self.assertEqual(self.application.events, ["made", b"a", b"b"])


class OptimisticTests(SOCKS6TestCase):
    """
    The connection counts as made as soon as it has been asked for.
    """

    def test_connect(self) -> None:
        """
        What is written at once leaves together with the request; the bound address is
        not known.
        """
        result = self.connect(optimistic=True)
        result.addCallback(
            lambda bound: (bound, self.application.transport.write(b"GET")),
        )
        self.assertNoResult(result)
        proxy = self.first.accept()
        self.assertEqual(self.successResultOf(result)[0], None)  # type: ignore[index]
        self.assertEqual(proxy.take().hex(), (asks(OPENING) + b"GET").hex())
        proxy.send(opened() + CONNECTED + b"200 OK")
        self.assertEqual(self.application.events, ["made", b"200 OK"])

    def test_refused(self) -> None:
        """
        A failure is the end of the connection, which says why.
        """
        result = self.connect(optimistic=True)
        proxy = self.first.accept()
        self.successResultOf(result)
        proxy.send(opened() + failure(5))
        reason = self.application.events[-1]
        self.assertIsInstance(reason, RequestRefused)
        self.assertIs(reason.code, ReplyCode.CONNECTION_REFUSED)
        self.assertOver()
        self.assertAsked(1, 0)

    def test_timeout(self) -> None:
        """
        So is a proxy that takes too long.
        """
        result = self.connect(outbound=self.makeOutbound(timeout=2.5), optimistic=True)
        self.first.accept()
        self.successResultOf(result)
        self.network.elapse(2.5)
        self.assertIsInstance(self.application.events[-1], NoAnswer)
        self.assertOver()

    def test_hurry(self) -> None:
        """
        A connection to a proxy counts as made before it stands only where no other proxy
        could be tried any more.
        """
        for proxies, optimistic, expected in (
            (1, True, True),
            (1, False, True),
            (2, True, False),
            (2, False, True),
        ):
            outbound = SOCKS6Outbound(self.network, self.proxies()[:proxies])
            result = self.connect(outbound=outbound, optimistic=optimistic)
            factory: Any = self.network.tcpClients[-1][2]
            attempt = factory._wrappedFactory
            self.assertEqual(attempt.mayHurry(True), expected, f"{proxies} {optimistic}")
            result.addErrback(lambda _: None)
            result.cancel()

    def test_failOver(self) -> None:
        """
        As long as nothing has been written, another proxy can do it.
        """
        result = self.connect(optimistic=True)
        self.first.refuse()
        self.assertNoResult(result)
        proxy = self.second.accept()
        self.assertIsNone(self.successResultOf(result))
        self.assertEqual(proxy.received, asks(OPENING))


class FailOverTests(SOCKS6TestCase):
    """
    Which proxy is asked.
    """

    def use(self, upstream: Upstream) -> None:
        """
        Connect, which a proxy is to do.
        """
        result = self.connect()
        self.assertEqual([each.unanswered for each in self.upstreams].count(1), 1)
        self.assertEqual(upstream.unanswered, 1)
        upstream.accept().send(WELCOME + CONNECTED)
        self.assertEqual(self.successResultOf(result), BOUND)

    def exhaust(self, *order: Upstream) -> None:
        """
        Connect, which no proxy does.

        @param order: How they are asked.
        """
        result = self.connect()
        for upstream in order:
            self.assertNoResult(result)
            upstream.refuse()
        self.failureResultOf(result, OutboundFailed)
        self.assertEqual(self.first.unanswered + self.second.unanswered, 0)

    def test_first(self) -> None:
        """
        As long as it works, it is the first.
        """
        for _ in range(3):
            self.use(self.first)
        self.assertAsked(3, 0)

    def test_unreachable(self) -> None:
        """
        Where it cannot be reached it is the next one, and that is one line, a warning.
        """
        result = self.connect()
        self.first.refuse()
        self.assertNoResult(result)
        self.second.accept().send(WELCOME + CONNECTED)
        self.assertEqual(self.successResultOf(result), BOUND)
        self.assertEqual(
            self.lines, ["first cannot be reached: Connection was refused by other side"]
        )
        self.assertEqual(self.events[-1]["log_level"], LogLevel.warn)

    def test_avoided(self) -> None:
        """
        It is avoided for a while from its last failure, without more lines, and then it
        is the first again.
        """
        result = self.connect()
        self.first.refuse()
        self.second.accept().send(WELCOME + CONNECTED)
        self.successResultOf(result)
        self.use(self.second)
        self.network.elapse(AVOIDANCE_PERIOD - 1)
        self.use(self.second)
        self.network.elapse(1)
        self.use(self.first)
        self.use(self.first)
        self.assertEqual(len(self.lines), 1)

    def test_triedLast(self) -> None:
        """
        One that is avoided is tried nevertheless, as the last; if all have failed, in
        the usual order.
        """
        result = self.connect()
        self.first.refuse()
        self.second.accept().send(WELCOME + CONNECTED)
        self.successResultOf(result)
        self.exhaust(self.second, self.first)
        self.exhaust(self.first, self.second)
        self.assertEqual([line.split()[0] for line in self.lines], ["first", "second"])

    def test_worksAgain(self) -> None:
        """
        One that works is no longer avoided.
        """
        self.exhaust(self.first, self.second)
        result = self.connect()
        self.first.refuse()
        self.second.accept().send(WELCOME + CONNECTED)
        self.successResultOf(result)
        self.use(self.second)

    def test_failsAgain(self) -> None:
        """
        When the time is over and it fails once more, that is another line.
        """
        self.exhaust(self.first, self.second)
        self.network.elapse(AVOIDANCE_PERIOD)
        self.exhaust(self.first, self.second)
        self.assertEqual(len(self.lines), 4)

    def test_allFail(self) -> None:
        """
        If all fail, that is a general failure, with all reasons.
        """
        result = self.connect()
        self.first.refuse()
        self.second.accept().send(b"HTTP/1.1 400 Bad Request\r\n")
        self.assertFails(
            result,
            ReplyCode.GENERAL_FAILURE,
            "first: Connection was refused by other side; second: no connection through the"
            " proxy: not a SOCKS 6 proxy: its first octet is 72",
        )

    def test_faults(self) -> None:
        """
        A proxy that does not speak SOCKS 6, or not well, or goes away, is as good as
        none.
        """
        for answer in (b"\5\0", b"\6\1", b"\6\0\2", WELCOME[:3], WELCOME, opened() + DONE[:4]):
            for leave in (Peer.end, Peer.reset):
                self.outbound = self.makeOutbound()
                result = self.connect()
                proxy = self.first.accept()
                proxy.send(answer)
                leave(proxy)
                self.second.accept().send(WELCOME + CONNECTED)
                self.assertEqual(self.successResultOf(result), BOUND, answer.hex())

    def encrypted(self) -> IStreamClientEndpoint:
        """
        Make the way to the first proxy one with TLS.
        """
        options = optionsForClientTLS("proxy.example")
        way: IStreamClientEndpoint
        way = wrapClientTLS(options, self.first.endpoint, self.network)
        return way

    def test_TLS(self) -> None:
        """
        So is one whose TLS fails.
        """
        proxies = self.proxies()
        proxies[0] = UpstreamProxy(self.network, "first", self.encrypted())
        result = self.connect(outbound=SOCKS6Outbound(self.network, proxies))
        self.first.accept().send(WELCOME + CONNECTED)
        self.second.accept().send(WELCOME + CONNECTED)
        self.assertEqual(self.successResultOf(result), BOUND)
        (line,) = self.lines
        self.assertTrue(line.startswith("first cannot be reached: "), line)
        self.assertIn(": TLS: ", line)

    def test_behindEarlyAnswers(self) -> None:
        """
        What goes wrong when the connection counts as made already is the end of that
        one; the next request goes to the next proxy.
        """
        for answer in (b"\5\0", b"\6\1", WELCOME[:3], WELCOME):
            self.events.clear()
            self.outbound = self.makeOutbound()
            result = self.connect(optimistic=True)
            proxy = self.first.accept()
            self.assertIsNone(self.successResultOf(result))
            proxy.send(answer)
            proxy.end()
            (line,) = self.lines
            self.assertTrue(line.startswith("first cannot be reached: no connection "), line)
            self.use(self.second)
            self.assertEqual(len(self.lines), 1)

    def test_TLSBehindEarlyAnswers(self) -> None:
        """
        The same if TLS fails; once, as long as the proxy is avoided.
        """
        proxies = self.proxies()
        proxies[0] = UpstreamProxy(self.network, "first", self.encrypted())
        self.outbound = SOCKS6Outbound(self.network, proxies)
        result = self.connect(optimistic=True)
        self.first.accept().send(WELCOME + CONNECTED)
        self.successResultOf(result)
        (line,) = self.lines
        self.assertTrue(line.startswith("first cannot be reached: TLS: "), line)
        result = self.connect(optimistic=True)
        self.second.refuse()
        self.first.accept().send(WELCOME + CONNECTED)
        self.successResultOf(result)
        self.assertEqual([line.split()[0] for line in self.lines], ["first", "second"])

    def test_notToBlame(self) -> None:
        """
        A proxy that says no behind an early answer, or whom we do not wait for, is not
        avoided.
        """
        for isEncrypted in (False, True):
            proxies = self.proxies()
            if isEncrypted:
                proxies[0] = UpstreamProxy(self.network, "first", self.encrypted())
            self.outbound = SOCKS6Outbound(self.network, proxies, isolate=True)
            self.successResultOf(self.abandoned())
            if not isEncrypted:
                for answer in (REFUSED, WELCOME + failure(5)):
                    result = self.connect(optimistic=True)
                    self.first.accept().send(answer)
                    self.successResultOf(result)
            self.assertEqual(self.lines, [], repr(isEncrypted))
        self.assertEqual(self.second.asked, 0)

    def abandoned(self) -> Deferred[Address | None]:
        """
        Connect, and break that off.
        """
        result = self.connect(optimistic=True)
        self.first.accept()
        self.application.transport.abortConnection()
        self.network.spin()
        return result

    def test_wordless(self) -> None:
        """
        Endpoints may fail without a word.
        """
        endpoint = OddEndpoint()
        proxy = UpstreamProxy(self.network, "odd", endpoint)
        result = self.connect(outbound=SOCKS6Outbound(self.network, [proxy]))
        endpoint.connected.errback(ValueError())
        self.assertFails(result, ReplyCode.GENERAL_FAILURE, "odd: ValueError")
        self.assertEqual(self.lines, ["odd cannot be reached: ValueError"])

    def test_refusals(self) -> None:
        """
        A proxy that says no is not avoided, nor is another one asked; its reply code is
        ours.
        """
        for code in range(1, 256):
            known = code in tuple(ReplyCode)
            result = self.connect()
            self.first.accept().send(WELCOME + failure(code))
            error = self.failureResultOf(result, OutboundFailed).value
            expected = ReplyCode(code) if known else ReplyCode.GENERAL_FAILURE
            self.assertIs(error.replyCode, expected)
            self.assertTrue(error.reason.startswith("first: the proxy refused: "), error.reason)
            self.assertTrue(error.reason.endswith(f"({code})"), error.reason)
        self.assertAsked(255, 0)
        self.assertEqual(self.lines, [])

    def test_notLetIn(self) -> None:
        """
        A proxy that does not let us in has given no reply code.
        """
        result = self.connect()
        self.first.accept().send(REFUSED)
        self.assertFails(
            result,
            ReplyCode.GENERAL_FAILURE,
            "first: the proxy refused: authentication failed",
        )
        self.assertAsked(1, 0)

    def test_timeout(self) -> None:
        """
        A proxy that does not answer in time, by default in 30 seconds, may be waiting
        for the remote host: no other one would be faster.
        """
        for outbound, limit in ((self.outbound, 30.0), (self.makeOutbound(timeout=2.5), 2.5)):
            for answer in (b"", WELCOME):
                result = self.connect(outbound=outbound)
                proxy = self.first.accept()
                self.network.elapse(limit - 0.25)
                proxy.send(answer)
                self.assertNoResult(result)
                self.network.elapse(0.25)
                self.assertFails(
                    result,
                    ReplyCode.TIMED_OUT,
                    f"first: no connection through the proxy: no answer within {limit:g} s",
                )
                self.assertTrue(proxy.wasReset)
        self.assertEqual(self.second.asked, 0)
        self.assertEqual(self.lines, [])


class SessionTests(SOCKS6TestCase):
    """
    Sessions with the proxies.
    """

    def ask(self, outbound: SOCKS6Outbound, answer: bytes, **wishes: Any) -> bytes:
        """
        Connect.

        @param answer: The Authentication Reply.
        @return: What the proxy got.
        """
        result = self.connect(outbound=outbound, **wishes)
        proxy = self.first.accept()
        said = proxy.take()
        proxy.send(answer + CONNECTED)
        self.assertEqual(self.successResultOf(result), BOUND)
        return said

    def test_shared(self) -> None:
        """
        Without isolation, all requests are in one session, whatever they are in.
        """
        said = self.ask(self.outbound, opened(), session=b"a")
        self.assertEqual(said.hex(), asks(OPENING).hex())
        for token, session in enumerate((b"a", b"b", None)):
            said = self.ask(self.outbound, WITHIN, session=session)
            within = sessionID(ID) + expenditure(token)
            self.assertEqual(said.hex(), asks(within).hex())

    def test_isolated(self) -> None:
        """
        With isolation, each session has one of its own, and what is in none is in none
        there.
        """
        outbound = self.makeOutbound(isolate=True)
        for session, identifier in ((b"a", ID), (b"b", OTHER_ID)):
            said = self.ask(outbound, opened(identifier), session=session)
            self.assertEqual(said.hex(), asks(OPENING).hex())
        for token in range(2):
            for session, identifier in ((b"a", ID), (b"b", OTHER_ID)):
                said = self.ask(outbound, WITHIN, session=session)
                within = sessionID(identifier) + expenditure(token)
                self.assertEqual(said.hex(), asks(within).hex())
            self.assertEqual(self.ask(outbound, WELCOME).hex(), asks(NOTHING).hex())

    def test_eachProxy(self) -> None:
        """
        No session is known to two proxies.
        """
        self.ask(self.outbound, opened())
        result = self.connect()
        self.first.refuse()
        proxy = self.second.accept()
        self.assertEqual(proxy.take().hex(), asks(OPENING).hex())
        proxy.send(opened(OTHER_ID) + CONNECTED)
        self.successResultOf(result)

    def test_credentials(self) -> None:
        """
        Who we are is said where it has to be: where there is no session, or it is
        opened.
        """
        who = authenticationData(ADA)
        outbound = self.makeOutbound(UsernamePassword(b"ada", b"s3cret"), isolate=True)
        self.assertEqual(self.ask(outbound, WELCOME).hex(), asks(who).hex())
        opening = SESSION_REQUEST + who + tokenRequest(64)
        said = self.ask(outbound, opened(), session=b"a")
        self.assertEqual(said.hex(), asks(opening).hex())
        said = self.ask(outbound, WITHIN, session=b"a")
        self.assertEqual(said.hex(), asks(sessionID(ID) + expenditure(0)).hex())
        self.assertNotIn("s3cret", "".join(self.lines))

    def test_replaced(self) -> None:
        """
        A session that the proxy has forgotten is replaced, and nobody notices.
        """
        self.ask(self.outbound, opened())
        for optimistic in (False, True):
            result = self.connect(optimistic=optimistic)
            self.first.accept().send(SESSION_INVALID)
            proxy = self.first.accept()
            self.assertEqual(proxy.take().hex(), asks(OPENING).hex())
            proxy.send(opened() + CONNECTED + b"banner")
            self.successResultOf(result)
            self.assertEqual(self.application.events, ["made", b"banner"])

    def test_waits(self) -> None:
        """
        A request waits for the session that another one is opening.
        """
        results = [self.connect() for _ in range(3)]
        self.assertAsked(1, 0)
        self.first.accept().send(opened() + CONNECTED)
        self.assertAsked(3, 0)
        for _ in range(2):
            self.first.accept().send(WITHIN + CONNECTED)
        for result in results:
            self.assertEqual(self.successResultOf(result), BOUND)

    def test_tooMany(self) -> None:
        """
        A request whose session has to make room for others goes out without one, and
        the proxy is not blamed for that.
        """
        proxies = self.proxies()
        proxies[0].pool._maxSessions = 1
        outbound = SOCKS6Outbound(self.network, proxies, isolate=True)
        waiting = [self.connect(outbound=outbound, session=b"a") for _ in range(3)]
        self.connect(outbound=outbound, session=b"b")
        self.assertEqual(self.first.unanswered, 4)
        said = []
        for _ in range(4):
            proxy = self.first.accept()
            said.append(proxy.take().hex())
            proxy.send(WELCOME + CONNECTED)
        self.assertEqual(
            sorted(said), sorted([asks(OPENING).hex()] * 2 + [asks(NOTHING).hex()] * 2)
        )
        for result in waiting:
            self.assertEqual(self.successResultOf(result), BOUND)
        self.assertEqual(self.lines, [])
        self.assertEqual(self.second.asked, 0)


class CancelTests(SOCKS6TestCase):
    """
    Nobody wants the connection any more.
    """

    def assertGone(self, result: Deferred[Any]) -> None:
        """
        Give up, and check that nothing is left, nor said.
        """
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.network.spin()
        self.assertOver()
        self.assertEqual(self.first.unanswered + self.second.unanswered, 0)
        self.assertEqual(self.application.events, [])
        self.assertEqual(self.lines, [])

    def test_connecting(self) -> None:
        """
        As long as the proxy is not connected, no other one is asked.
        """
        self.assertGone(self.connect())
        self.assertAsked(1, 0)

    def test_negotiating(self) -> None:
        """
        Nor when it does not answer.
        """
        for answer in (b"", WELCOME[:3], WELCOME, WELCOME + CONNECTED[:-1]):
            outbound = self.makeOutbound()
            result = self.connect(outbound=outbound)
            proxy = self.first.accept()
            proxy.send(answer)
            self.assertGone(result)
            self.assertTrue(proxy.wasReset)
        self.assertEqual(self.second.asked, 0)

    def test_waiting(self) -> None:
        """
        Nor when the request waits for a session.
        """
        opening, waiting = self.connect(), self.connect()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.first.accept().send(opened() + CONNECTED)
        self.successResultOf(opening)
        self.assertAsked(1, 0)

    def test_secondProxy(self) -> None:
        """
        Nor at the second proxy.
        """
        result = self.connect()
        self.first.refuse()
        self.events.clear()
        self.second.accept()
        self.assertGone(result)
        self.assertAsked(1, 1)

    def test_tooLate(self) -> None:
        """
        A connection that is made is not closed by that.
        """
        result = self.connect()
        proxy = self.first.accept()
        proxy.send(WELCOME + CONNECTED)
        result.cancel()
        self.network.spin()
        self.assertFalse(proxy.isClosed)
        self.successResultOf(result)


class StopTests(SOCKS6TestCase):
    """
    Sessions end when the service stops.
    """

    def openSessions(self) -> SOCKS6Outbound:
        """
        Open two sessions with the first proxy, and one with the second.
        """
        outbound = self.makeOutbound(isolate=True)
        for session, identifier in ((b"a", ID), (b"b", OTHER_ID)):
            result = self.connect(outbound=outbound, session=session)
            self.first.accept().send(opened(identifier) + CONNECTED)
            self.successResultOf(result)
        result = self.connect(outbound=outbound, session=b"a")
        self.first.refuse()
        self.second.accept().send(opened() + CONNECTED)
        self.successResultOf(result)
        return outbound

    def test_stop(self) -> None:
        """
        The proxies hear of it, and it is over when all have.
        """
        outbound = self.openSessions()
        stopped = outbound.stopService()
        farewells = []
        for upstream in (self.first, self.first, self.second):
            self.assertNoResult(stopped)
            proxy = upstream.accept()
            farewells.append(proxy.take())
            proxy.send(WITHIN + DONE)
            proxy.end()
        self.successResultOf(stopped)
        nothing = bytes.fromhex("0000 01 00000000")
        self.assertEqual(
            sorted(farewells),
            sorted(
                request(sessionID(identifier) + TEARDOWN, 0, nothing)
                for identifier in (ID, OTHER_ID, ID)
            ),
        )
        self.assertEqual(self.lines[1:], [])

    def test_none(self) -> None:
        """
        Where there are none, that takes no time.
        """
        self.successResultOf(self.outbound.stopService())
        self.assertAsked(0, 0)

    def test_unreachable(self) -> None:
        """
        Proxies that cannot be told will forget the sessions by themselves.
        """
        stopped = self.openSessions().stopService()
        for upstream in (self.first, self.first, self.second):
            upstream.refuse()
        self.successResultOf(stopped)

    def test_silent(self) -> None:
        """
        Proxies that take too long are not waited for.
        """
        stopped = self.openSessions().stopService()
        self.first.accept()
        self.network.elapse(STOP_TIMEOUT - 0.25)
        self.assertNoResult(stopped)
        self.network.elapse(0.25)
        self.successResultOf(stopped)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_timely(self) -> None:
        """
        When it has taken less, nothing more is waited for.
        """
        self.successResultOf(self.outbound.stopService())
        self.assertOver()

    def test_restart(self) -> None:
        """
        It can be started again, with sessions of its own.
        """
        self.outbound.startService()
        result = self.connect()
        self.first.accept().send(opened() + CONNECTED)
        self.successResultOf(result)
        stopped = self.outbound.stopService()
        self.first.accept().send(WITHIN + DONE)
        self.successResultOf(stopped)
        self.assertFalse(self.outbound.running)
        self.outbound.startService()
        self.connect()
        proxy = self.first.accept()
        self.assertEqual(proxy.take().hex(), asks(OPENING).hex())
        proxy.send(WELCOME + CONNECTED)
