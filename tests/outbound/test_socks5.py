"""
Tests of L{socks6.outbound.socks5}.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from zope.interface.verify import verifyObject

from socks6.interfaces import IOutbound, OutboundFailed, OutboundRequest
from socks6.outbound.socks5 import SOCKS5Outbound
from socks6.values.address import Address, DomainName
from socks6.values.codes import ReplyCode
from socks6.wire.replycodes import SOCKS5ReplyCode, fromSOCKS5
from tests.client.doubles import (
    Application,
    HalfCloseableApplication,
    OddEndpoint,
    ProxyTransport,
)
from tests.doubles import Peer
from tests.outbound.upstreams import Upstream
from tests.server.harness import MemoryTestCase

NAME = Address(DomainName(b"example.com"), 443)

#: The methods that we offer: none needed, or user name and password alone.
NO_METHOD = bytes.fromhex("05 01 00")
PASSWORD_ONLY = bytes.fromhex("05 01 02")

#: What we ask for, of L{NAME}.
REQUEST = bytes.fromhex("05 01 00 03 0b") + b"example.com" + bytes.fromhex("01bb")

#: What the proxy says: no password is needed; it is; it is right, wrong.
NO_NEED = bytes.fromhex("05 00")
ASKED = bytes.fromhex("05 02")
RIGHT = bytes.fromhex("01 00")
WRONG = bytes.fromhex("01 01")

#: What may help where sessions are isolated.
HINT = ": does it want --no-isolate-sessions?"

#: That it has connected, from 198.51.100.9, port 4711.
CONNECTED = bytes.fromhex("05 00 00 01 c6336409 1267")
BOUND = Address(IPv4Address("198.51.100.9"), 4711)


def refusal(code: int) -> bytes:
    """
    Write the reply of a failure.
    """
    return bytes([5, code]) + bytes.fromhex("00 01 00000000 0000")


class SOCKS5TestCase(MemoryTestCase):
    """
    A test with a SOCKS 5 proxy that the test plays.

    @ivar results: What L{IOutbound.connect} has returned, each time.
    """

    def setUp(self) -> None:
        super().setUp()
        self.upstream = Upstream(self.network)
        self.application: Application = HalfCloseableApplication()
        self.outbound = self.makeOutbound(isolate=False)

    def makeOutbound(self, **options: Any) -> SOCKS5Outbound:
        """
        Make a way out.
        """
        return SOCKS5Outbound(self.network, self.upstream.endpoint, **options)

    def connect(
        self,
        address: Address = NAME,
        session: bytes | None = None,
        outbound: SOCKS5Outbound | None = None,
    ) -> Deferred[Address | None]:
        """
        Ask for a connection.
        """
        request = OutboundRequest(address, session=session)
        return (outbound or self.outbound).connect(request, self.application)

    def assertFails(
        self, result: Deferred[Any], code: ReplyCode, reason: str, case: str = ""
    ) -> None:
        """
        Check how a connection has failed, and that nothing is left of it.
        """
        error = self.failureResultOf(result, OutboundFailed).value
        self.assertEqual((error.replyCode, error.reason), (code, reason), case)
        self.network.spin()
        self.assertOver(case)
        self.assertEqual(self.upstream.unanswered, 0, case)
        self.assertEqual(self.application.events, [], case)


class ConversationTests(SOCKS5TestCase):
    """
    What is said.
    """

    def test_interface(self) -> None:
        """
        It is a way out.
        """
        self.assertTrue(verifyObject(IOutbound, self.outbound))

    def test_plain(self) -> None:
        """
        Without isolation we say nothing of who we are, in a session or not.
        """
        for session in (None, b"session"):
            self.application = HalfCloseableApplication()
            result = self.connect(session=session)
            proxy = self.upstream.accept()
            self.assertEqual(proxy.take().hex(), NO_METHOD.hex())
            proxy.send(NO_NEED)
            self.assertEqual(proxy.take().hex(), REQUEST.hex())
            self.assertNoResult(result)
            self.assertEqual(self.application.events, [])
            proxy.send(CONNECTED)
            self.assertEqual(self.successResultOf(result), BOUND)
            self.assertEqual(self.application.events, ["made"])
            self.assertEqual(self.network.getDelayedCalls(), [])

    def test_isolated(self) -> None:
        """
        With isolation, which is the default, the proxy has to take the user name and
        password that we give.
        """
        outbound = self.makeOutbound()
        result = self.connect(outbound=outbound)
        proxy = self.upstream.accept()
        self.assertEqual(proxy.take().hex(), PASSWORD_ONLY.hex())
        proxy.send(ASKED)
        said = proxy.take()
        self.assertEqual((said[:2], said[34:35]), (b"\1\x20", b"\x20"))
        self.assertEqual(len(said), 67)
        int(said[2:34], 16)
        int(said[35:], 16)
        proxy.send(RIGHT)
        self.assertEqual(proxy.take().hex(), REQUEST.hex())
        proxy.send(CONNECTED)
        self.assertEqual(self.successResultOf(result), BOUND)

    def test_addresses(self) -> None:
        """
        Addresses go to the proxy as they are; names are not resolved.
        """
        for host, octets in (
            (IPv4Address("203.0.113.1"), "01 cb007101"),
            (IPv6Address("2001:db8::2"), "04 20010db8 00000000 00000000 00000002"),
            (DomainName(b"Example.\xff"), "03 09 4578616d706c652eff"),
            (DomainName(b"a" * 255), "03 ff" + "61" * 255),
        ):
            for port in (0, 1, 65535):
                self.connect(Address(host, port))
                proxy = self.upstream.accept()
                proxy.take()
                proxy.send(NO_NEED)
                expected = "050100" + octets.replace(" ", "") + f"{port:04x}"
                self.assertEqual(proxy.take().hex(), expected)
                proxy.send(CONNECTED)

    def test_split(self) -> None:
        """
        Whichever way the answers are cut, and even octet by octet, it is the same, and
        data behind them arrive.
        """
        for isolate, answers in ((False, NO_NEED + CONNECTED), (True, ASKED + RIGHT + CONNECTED)):
            outbound = self.makeOutbound(isolate=isolate)
            octets = answers + b"data"
            ways = [[octets[:cut], octets[cut:]] for cut in range(len(octets))]
            ways.append([octets[place : place + 1] for place in range(len(octets))])
            for pieces in ways:
                self.application = HalfCloseableApplication()
                result = self.connect(outbound=outbound)
                proxy = self.upstream.accept()
                for piece in pieces:
                    proxy.send(piece)
                case = f"{isolate}: {pieces}"
                self.assertEqual(self.successResultOf(result), BOUND, case)
                self.assertTrue(proxy.received.endswith(REQUEST), case)
                self.assertEqual(self.application.events[0], "made", case)
                self.assertEqual(b"".join(self.application.events[1:]), b"data", case)

    def test_earlyData(self) -> None:
        """
        Data that come together with the reply are delivered after everybody knows of
        the connection.
        """
        result = self.connect()
        result.addCallback(lambda _: self.application.events.append("told"))
        proxy = self.upstream.accept()
        proxy.send(NO_NEED)
        proxy.send(CONNECTED + b"banner")
        proxy.send(b"more")
        self.assertEqual(self.application.events, ["made", "told", b"banner", b"more"])

    def test_bound(self) -> None:
        """
        The address from where the proxy has connected is told if the proxy tells it,
        whatever it is.
        """
        for octets, bound in (
            ("01 00000000 0000", None),
            ("04" + "00" * 16 + "0000", None),
            ("01 00000000 0001", Address(IPv4Address(0), 1)),
            ("01 c6336409 0000", Address(IPv4Address("198.51.100.9"), 0)),
            (
                "04 20010db8 00000000 00000000 00000002 0050",
                Address(IPv6Address("2001:db8::2"), 80),
            ),
            ("03 03 666f6f 0050", Address(DomainName(b"foo"), 80)),
        ):
            self.application = HalfCloseableApplication()
            result = self.connect()
            self.upstream.accept().send(NO_NEED + b"\5\0\0" + bytes.fromhex(octets))
            self.assertEqual(self.successResultOf(result), bound, octets)

    def test_ways(self) -> None:
        """
        The proxy may be at a UNIX socket, or have a name.
        """
        SOCKS5Outbound(
            self.network, UNIXClientEndpoint(self.network, "/run/tor/socks"), isolate=False
        ).connect(OutboundRequest(NAME), self.application)
        ((path, factory, *_),) = self.network.unixClients
        self.assertEqual(path, "/run/tor/socks")
        peer = self.network.attach(factory.buildProtocol(None), family=socket.AF_UNIX)
        self.network.spin()
        self.assertEqual(peer.received, NO_METHOD)
        peer.send(NO_NEED + CONNECTED + b"data")
        self.assertEqual(self.application.events, ["made", b"data"])

        self.application = HalfCloseableApplication()
        SOCKS5Outbound(
            self.network, HostnameEndpoint(self.network, "localhost", 9050), isolate=False
        ).connect(OutboundRequest(NAME), self.application)
        ((host, port, factory, *_),) = self.network.tcpClients
        self.assertEqual((host, port), ("127.0.0.1", 9050))
        protocol: Any = factory.buildProtocol(None)
        peer = self.network.attach(protocol)
        peer.send(NO_NEED + CONNECTED)
        self.assertEqual(self.application.events, ["made"])


class IdentityTests(SOCKS5TestCase):
    """
    Who we are to the other proxy.
    """

    def identity(self, outbound: SOCKS5Outbound, session: bytes | None) -> tuple[bytes, bytes]:
        """
        Make a request.

        @return: The user name and password that the proxy gets.
        """
        self.application = HalfCloseableApplication()
        self.connect(session=session, outbound=outbound)
        proxy = self.upstream.accept()
        proxy.take()
        proxy.send(ASKED)
        said = proxy.take()
        proxy.send(RIGHT + CONNECTED)
        return said[2:34], said[35:]

    def test_sessions(self) -> None:
        """
        The same session is always the same; another session, or none, is somebody
        else each time.
        """
        outbound = self.makeOutbound()
        sessions = [b"a", b"b", b"", b"a" * 32]
        first = [self.identity(outbound, session) for session in sessions]
        again = [self.identity(outbound, session) for session in sessions]
        self.assertEqual(first, again)
        apart = first + [self.identity(outbound, None) for _ in range(3)]
        for column in zip(*apart, strict=True):
            self.assertEqual(len(set(column)), len(apart))
        names, passwords = zip(*apart, strict=True)
        self.assertFalse(set(names) & set(passwords))

    def test_unguessable(self) -> None:
        """
        Who knows a session does not know who it is to the other proxy: another one of
        our kind says something else.
        """
        one, other = (self.identity(self.makeOutbound(), b"session") for _ in range(2))
        self.assertNotEqual(one[0], other[0])
        self.assertNotEqual(one[1], other[1])

    def test_shared(self) -> None:
        """
        Unless both have the same secret, as processes of one proxy do.
        """
        one, other = self.makeOutbound(), self.makeOutbound()
        other.secret = one.secret
        identities = [self.identity(each, b"session") for each in (one, other)]
        self.assertEqual(identities[0], identities[1])

    def test_secret(self) -> None:
        """
        Neither user name nor password stand in a log or an error, whatever goes wrong.
        """
        outbound = self.makeOutbound()
        for answer in (
            b"\5\xff",
            ASKED + WRONG,
            ASKED + b"\2\0",
            ASKED + RIGHT + refusal(5),
            ASKED + RIGHT + b"\4",
            ASKED + RIGHT + CONNECTED,
        ):
            self.application = HalfCloseableApplication()
            result = self.connect(session=b"session", outbound=outbound)
            proxy = self.upstream.accept()
            for octet in answer:
                proxy.send(bytes([octet]))
            said = proxy.received.removeprefix(PASSWORD_ONLY)
            proxy.reset()
            outcome = result.addErrback(lambda failure: failure.getTraceback())
            words = [*self.lines, repr(outbound), repr(self.application.events)]
            words.append(str(self.successResultOf(outcome)))
            for secret in (said[2:34], said[35:67]):
                if secret:
                    self.assertNotIn(secret.decode(), "".join(words), answer.hex())


class FailureTests(SOCKS5TestCase):
    """
    There is no connection.
    """

    def test_everyCode(self) -> None:
        """
        Each reply code of the proxy, also those that nobody knows, is one of SOCKS 6.
        """
        for code in range(1, 256):
            result = self.connect()
            self.upstream.accept().send(NO_NEED + refusal(code))
            self.assertFails(
                result, fromSOCKS5(code), f"the SOCKS 5 proxy says {code}", f"code {code}"
            )

    def test_telling(self) -> None:
        """
        Some of them.
        """
        for code, expected in (
            (SOCKS5ReplyCode.NOT_ALLOWED, ReplyCode.NOT_ALLOWED),
            (SOCKS5ReplyCode.CONNECTION_REFUSED, ReplyCode.CONNECTION_REFUSED),
            (SOCKS5ReplyCode.TTL_EXPIRED, ReplyCode.TTL_EXPIRED),
            (SOCKS5ReplyCode.ONION_SERVICE_NOT_FOUND, ReplyCode.HOST_UNREACHABLE),
            (99, ReplyCode.GENERAL_FAILURE),
        ):
            result = self.connect()
            self.upstream.accept().send(NO_NEED + refusal(code))
            error = self.failureResultOf(result, OutboundFailed).value
            self.assertIs(error.replyCode, expected)

    def test_notLetIn(self) -> None:
        """
        A proxy may take nobody, or not us; perhaps because of the name that we have
        given ourselves.
        """
        for isolate, answer, hint in (
            (False, b"\5\xff", ""),
            (True, b"\5\xff", HINT),
            (True, ASKED + WRONG, HINT),
            (True, ASKED + b"\1\xff", HINT),
        ):
            result = self.connect(outbound=self.makeOutbound(isolate=isolate))
            self.upstream.accept().send(answer)
            self.assertFails(
                result,
                ReplyCode.GENERAL_FAILURE,
                f"the SOCKS 5 proxy does not let us in{hint}",
                answer.hex(),
            )

    def test_rubbish(self) -> None:
        """
        What does not speak SOCKS 5, or not well, is a general failure.
        """
        for isolate, answer, words in (
            (False, b"H", "not a SOCKS 5 server: its first octet is 72"),
            (False, b"\4\x5a", "not a SOCKS 5 server: its first octet is 4"),
            (False, b"\6\0", "not a SOCKS 5 server: its first octet is 6"),
            (False, b"\5\2", "the server chose method 2, not offered"),
            (True, b"\5\0", "the server chose method 0, not offered"),
            (True, b"\5\1", "the server chose method 1, not offered"),
            (True, ASKED + b"\5", "version 5 of username/password authentication"),
            (False, NO_NEED + b"\1", "version 1 in a conversation in SOCKS 5"),
        ):
            result = self.connect(outbound=self.makeOutbound(isolate=isolate))
            self.upstream.accept().send(answer)
            self.assertFails(
                result, ReplyCode.GENERAL_FAILURE, f"the SOCKS 5 proxy: {words}", answer.hex()
            )
        for reply in (b"\5\0\0\2", b"\5\0\0\3\0"):
            result = self.connect()
            self.upstream.accept().send(NO_NEED + reply)
            error = self.failureResultOf(result, OutboundFailed).value
            self.assertIs(error.replyCode, ReplyCode.GENERAL_FAILURE)
            self.assertTrue(error.reason.startswith("the SOCKS 5 proxy: "), error.reason)

    def test_moreBehind(self) -> None:
        """
        What comes behind a refusal is not read.
        """
        result = self.connect()
        self.upstream.accept().send(NO_NEED + refusal(5) + CONNECTED + b"data")
        self.assertFails(result, ReplyCode.CONNECTION_REFUSED, "the SOCKS 5 proxy says 5")

    def test_closedAtEveryOctet(self) -> None:
        """
        The proxy may go away at any moment, in whatever manner; also behind part of a
        domain name.  Some do so at once if they take no user names.
        """
        named = bytes.fromhex("05 00 00 03 03") + b"foo\0\x50"
        for isolate, answers in ((False, NO_NEED + named), (True, ASKED + RIGHT + CONNECTED)):
            outbound = self.makeOutbound(isolate=isolate)
            for cut in range(len(answers)):
                hint = HINT if isolate and not cut else ""
                for leave in (Peer.end, Peer.reset):
                    for application in (HalfCloseableApplication(), Application()):
                        self.application = application
                        result = self.connect(outbound=outbound)
                        proxy = self.upstream.accept()
                        proxy.send(answers[:cut])
                        leave(proxy)
                        self.assertFails(
                            result,
                            ReplyCode.GENERAL_FAILURE,
                            f"the SOCKS 5 proxy has closed the connection{hint}",
                            f"{isolate}: {cut}",
                        )

    def test_gone(self) -> None:
        """
        A connection that is gone is left alone.
        """
        endpoint = OddEndpoint()
        result = self.connect(outbound=SOCKS5Outbound(self.network, endpoint))
        transport = ProxyTransport()
        transport.protocol = endpoint.factory.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        transport.lose()
        self.failureResultOf(result, OutboundFailed)
        self.assertFalse(transport.disconnecting or transport.disconnected)

    def test_refused(self) -> None:
        """
        The proxy may not be there at all.
        """
        result = self.connect()
        self.upstream.refuse()
        self.assertFails(
            result,
            ReplyCode.GENERAL_FAILURE,
            "the SOCKS 5 proxy cannot be reached: Connection was refused by other side",
        )

    def test_endpointFails(self) -> None:
        """
        Endpoints fail in many ways, at once or later, and sometimes without a word.
        """
        for error, words in (
            (OSError(2, "No such file"), "No such file"),
            (ValueError("invalid hostname: "), "invalid hostname:"),
            (ValueError(), "ValueError"),
            (CancelledError(), "CancelledError"),
        ):

            def raises(factory: Any, error: Exception = error) -> Any:
                raise error

            for connect in (raises, lambda factory, error=error: fail(error)):
                endpoint: Any = OddEndpoint()
                endpoint.connect = connect
                result = self.connect(outbound=SOCKS5Outbound(self.network, endpoint))
                self.assertFails(
                    result,
                    ReplyCode.GENERAL_FAILURE,
                    f"the SOCKS 5 proxy cannot be reached: {words}",
                )

    def test_timeout(self) -> None:
        """
        All of it has one time limit, of 30 seconds or another one, in whichever phase
        it passes.
        """
        phases = (None, b"", b"\5", ASKED, ASKED + b"\1", ASKED + RIGHT, ASKED + RIGHT + b"\5\0")
        for options, limit in (({}, 30.0), ({"timeout": 2.5}, 2.5)):
            for said in phases:
                result = self.connect(outbound=self.makeOutbound(**options))
                if said is not None:
                    proxy = self.upstream.accept()
                    self.network.elapse(limit / 2)
                    proxy.send(said)
                    self.network.elapse(limit / 2 - 0.25)
                else:
                    self.network.elapse(limit - 0.25)
                self.assertNoResult(result)
                self.network.elapse(0.25)
                self.assertFails(
                    result,
                    ReplyCode.TIMED_OUT,
                    f"no answer of the SOCKS 5 proxy within {limit:g} s",
                    repr(said),
                )
                if said is not None:
                    self.assertTrue(proxy.wasReset)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_noTimeoutAfterwards(self) -> None:
        """
        A connection that is made lasts.
        """
        self.connect()
        proxy = self.upstream.accept()
        proxy.send(NO_NEED + CONNECTED)
        self.network.elapse(100_000)
        self.assertEqual(self.application.events, ["made"])
        self.assertFalse(proxy.isClosed)


class CancelTests(SOCKS5TestCase):
    """
    Nobody wants the connection any more.
    """

    def test_everyPhase(self) -> None:
        """
        In whichever phase, that is the end of it at once.
        """
        phases = (None, b"", b"\5", ASKED, ASKED + b"\1", ASKED + RIGHT, ASKED + RIGHT + b"\5\0")
        for said in phases:
            result = self.connect(outbound=self.makeOutbound())
            if said is not None:
                proxy = self.upstream.accept()
                proxy.send(said)
            result.cancel()
            self.failureResultOf(result, CancelledError)
            self.network.spin()
            self.assertOver(repr(said))
            self.assertEqual(self.upstream.unanswered, 0)
            self.assertEqual(self.application.events, [])
            if said is not None:
                self.assertTrue(proxy.wasReset, repr(said))

    def test_resolving(self) -> None:
        """
        Also while the name of the proxy is being looked up, which nothing can stop.
        """
        receivers: list[Any] = []

        class Resolver:
            def resolveHostName(self, receiver: Any, *arguments: Any, **options: Any) -> Any:
                receivers.append(receiver)

        self.network.nameResolver = Resolver()  # type: ignore[assignment]
        endpoint = HostnameEndpoint(self.network, "proxy.example", 1080)
        for give in (lambda result: result.cancel(), lambda result: self.network.elapse(30)):
            result = self.connect(outbound=SOCKS5Outbound(self.network, endpoint))
            give(result)
            self.failureResultOf(result, CancelledError, OutboundFailed)
            receivers.pop().resolutionComplete()
            self.assertOver()
            self.assertEqual(self.network.tcpClients, [])

    def test_connectedNevertheless(self) -> None:
        """
        A way that connects nevertheless is closed without a word, whatever the proxy
        says.
        """
        endpoint = OddEndpoint()
        outbound = SOCKS5Outbound(self.network, endpoint)
        result = self.connect(outbound=outbound)
        result.cancel()
        self.failureResultOf(result, CancelledError)
        protocol = endpoint.factory.buildProtocol(None)
        proxy = self.network.attach(protocol)
        protocol.dataReceived(ASKED + RIGHT + CONNECTED)
        self.network.spin()
        self.assertEqual(proxy.received, b"")
        self.assertTrue(proxy.wasReset)
        self.assertEqual(self.application.events, [])

    def test_halfClosedNevertheless(self) -> None:
        """
        The proxy may end its direction in the same moment.
        """
        result = self.connect()
        proxy = self.upstream.accept()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        proxy.protocol.readConnectionLost()
        proxy.protocol.writeConnectionLost()
        self.network.spin()
        self.assertOver()
        self.assertEqual(self.application.events, [])

    def test_tooLate(self) -> None:
        """
        A connection that is made is not closed by that.
        """
        result = self.connect()
        proxy = self.upstream.accept()
        proxy.send(NO_NEED + CONNECTED)
        result.cancel()
        self.network.spin()
        self.assertFalse(proxy.isClosed)
        self.successResultOf(result)

    def test_endpointFailsAfterwards(self) -> None:
        """
        A way that connects, and then claims that it could not, changes nothing.
        """
        endpoint = OddEndpoint()
        result = self.connect(outbound=SOCKS5Outbound(self.network, endpoint, isolate=False))
        proxy = self.network.attach(endpoint.factory.buildProtocol(None))
        proxy.send(NO_NEED + CONNECTED)
        self.assertEqual(self.successResultOf(result), BOUND)
        endpoint.connected.errback(OSError("no"))
        self.network.spin()
        self.assertFalse(proxy.isClosed)
        self.assertEqual(self.application.events, ["made"])


class ConnectionTests(SOCKS5TestCase):
    """
    A connection that is made.
    """

    def make(self, application: Application) -> Peer:
        """
        Connect all the way.
        """
        self.application = application
        result = self.connect()
        proxy = self.upstream.accept()
        proxy.send(NO_NEED + CONNECTED)
        self.successResultOf(result)
        proxy.take()
        application.events.clear()
        return proxy

    def test_bothWays(self) -> None:
        """
        Octets pass unchanged.
        """
        application = HalfCloseableApplication()
        proxy = self.make(application)
        application.transport.write(b"GET")
        self.network.spin()
        self.assertEqual(proxy.received, b"GET")
        proxy.send(CONNECTED)
        self.assertEqual(application.events, [CONNECTED])

    def test_halfClose(self) -> None:
        """
        The end of one direction leaves the other one open, for a protocol that knows of
        that.
        """
        application = HalfCloseableApplication()
        proxy = self.make(application)
        proxy.end()
        self.assertEqual(application.events, ["read lost"])
        application.transport.write(b"still here")
        application.transport.loseWriteConnection()
        self.network.spin()
        self.assertEqual(proxy.received, b"still here")
        self.assertTrue(proxy.ended)
        self.assertEqual(application.events[:2], ["read lost", "write lost"])

    def test_ourEndFirst(self) -> None:
        """
        The other way round.
        """
        application = HalfCloseableApplication()
        proxy = self.make(application)
        application.transport.loseWriteConnection()
        self.network.spin()
        self.assertTrue(proxy.ended)
        proxy.send(b"answer")
        proxy.end()
        self.assertEqual(application.events, ["write lost", b"answer", "read lost"])

    def test_noHalfClose(self) -> None:
        """
        For other protocols, it is the end of the connection.
        """
        application = Application()
        proxy = self.make(application)
        proxy.send(b"last words")
        proxy.end()
        octets, reason = application.events
        self.assertEqual(octets, b"last words")
        self.assertIsInstance(reason, ConnectionDone)
        self.assertTrue(proxy.isClosed)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_reset(self) -> None:
        """
        That the connection broke is passed on.
        """
        application = HalfCloseableApplication()
        proxy = self.make(application)
        proxy.reset()
        (reason,) = application.events
        self.assertIsInstance(reason, ConnectionLost)
        self.assertOver()

    def test_resetBehindReply(self) -> None:
        """
        It may break behind the reply, and whatever has come is delivered.
        """
        result = self.connect()
        proxy = self.upstream.accept()
        proxy.socket.input += NO_NEED + CONNECTED + b"data"
        proxy.reset()
        self.successResultOf(result)
        made, octets, reason = self.application.events
        self.assertEqual((made, octets), ("made", b"data"))
        self.assertIsInstance(reason, ConnectionLost)
