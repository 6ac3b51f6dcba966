"""
Tests of L{socks6.outbound.socks6ports}, and of how L{socks6.outbound.socks6} has proxies
open ports.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectionLost, MessageLengthError
from zope.interface.verify import verifyObject

from socks6.client import association
from socks6.client.dtls import ClientDTLSOptions
from socks6.client.urls import DatagramRoute
from socks6.dtls import newContext
from socks6.interfaces import (
    IAssociatingOutbound,
    IAssociation,
    IBindingOutbound,
    OutboundRequest,
    Place,
)
from socks6.outbound.socks6 import SOCKS6Outbound, UpstreamProxy
from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import ReplyCode
from socks6.values.options import UsernamePassword
from tests.client.datagrams import CONFIRMATION, HEADER, INITIALIZATION, TRIGGER, MemoryWay
from tests.doubles import Peer
from tests.outbound.test_socks6 import BOUND, NAME, OPENING, SOCKS6TestCase, opened
from tests.server.harness import (
    ADA,
    CONNECTED,
    authenticationData,
    failure,
    request,
)
from tests.server.sessions import SESSION_REQUEST, sessionID

#: Who has connected, and how the proxy says so.
HOST = Address(IPv4Address("203.0.113.9"), 20)
CAME = bytes.fromhex("00 0014 01 cb007109 0000")

#: The addresses of requests: none in particular.
ANY_FOUR = bytes.fromhex("0000 01 00000000")
ANY_SIX = bytes.fromhex("0000 04 00000000000000000000000000000000")

#: What the proxy says when there is an association.
ASSOCIATED = CONNECTED + INITIALIZATION

REMOTE = ("203.0.113.1", 53)


class BindTests(SOCKS6TestCase):
    """
    A proxy waits for a host.
    """

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Address] = []

    def bind(
        self, address: Address = NAME, outbound: SOCKS6Outbound | None = None, **wishes: Any
    ) -> Deferred[Address]:
        """
        Wait for a host.
        """
        wish = OutboundRequest(address, **wishes)
        return (outbound or self.outbound).bind(wish, self.application, self.heard.append)

    def test_interfaces(self) -> None:
        """
        It is a way out that lets hosts in, and datagrams pass.
        """
        self.assertTrue(verifyObject(IBindingOutbound, self.outbound))
        self.assertTrue(verifyObject(IAssociatingOutbound, self.outbound))

    def test_bind(self) -> None:
        """
        It is told where the proxy listens; when a host has come, the protocol is
        connected before anything comes, and octets pass.
        """
        result = self.bind()
        result.addCallback(self.application.events.append)
        proxy = self.first.accept()
        self.assertEqual(proxy.take().hex(), request(OPENING, 2, ANY_FOUR).hex())
        self.assertEqual(self.heard, [])
        proxy.send(opened() + CONNECTED)
        self.assertEqual(self.heard, [BOUND])
        self.assertEqual(self.application.events, [])
        # The host may take its time.
        self.network.elapse(100_000)
        proxy.send(CAME + b"220 ")
        self.assertEqual(self.application.events, ["made", HOST, b"220 "])
        self.application.transport.write(b"USER")
        self.network.spin()
        self.assertEqual(proxy.take(), b"USER")
        proxy.end()
        self.application.transport.loseWriteConnection()
        self.network.spin()
        self.assertTrue(proxy.ended)
        self.assertEqual(self.heard, [BOUND])

    def test_version(self) -> None:
        """
        The proxy chooses the address, of the version of the host that is expected.
        """
        for host, where in (
            (IPv4Address("203.0.113.1"), ANY_FOUR),
            (IPv6Address("2001:db8::2"), ANY_SIX),
            (DomainName(b"example.com"), ANY_FOUR),
        ):
            self.bind(Address(host, 21), self.makeOutbound(isolate=True)).addErrback(lambda _: None)
            self.assertEqual(self.first.accept().received.hex(), request(b"", 2, where).hex())

    def test_session(self) -> None:
        """
        It is in the session that the request is of.
        """
        outbound = self.makeOutbound(isolate=True)
        for _ in range(2):
            self.bind(outbound=outbound, session=b"a").addErrback(lambda _: None)
            proxy = self.first.accept()
            asked = proxy.take()
            proxy.send(opened() + CONNECTED)
        self.assertIn(sessionID(b"sixteen octets.."), asked)

    def test_refused(self) -> None:
        """
        A proxy that says no, first or later, is believed: no other one is asked.
        """
        for told in (opened() + failure(2), opened() + CONNECTED + failure(2)):
            result = self.bind(outbound=self.makeOutbound())
            self.first.accept().send(told)
            reason = "first: the proxy refused: not allowed (2)"
            self.assertFails(result, ReplyCode.NOT_ALLOWED, reason)
        self.assertEqual(self.second.asked, 0)

    def test_nobodyCame(self) -> None:
        """
        If no host comes, that is for the proxy to say.
        """
        result = self.bind()
        self.first.accept().send(opened() + CONNECTED + failure(9))
        self.assertFails(result, ReplyCode.TIMED_OUT, "first: the proxy refused: timed out (9)")

    def test_noAnswer(self) -> None:
        """
        A proxy that does not say that it listens has had its time.
        """
        result = self.bind(outbound=self.makeOutbound(timeout=2.5))
        self.first.accept()
        self.network.elapse(2.5)
        reason = "first: no connection through the proxy: no answer within 2.5 s"
        self.assertFails(result, ReplyCode.TIMED_OUT, reason)

    def test_failOver(self) -> None:
        """
        Where the first proxy cannot be reached, it is the next one.
        """
        result = self.bind()
        self.first.refuse()
        proxy = self.second.accept()
        proxy.send(opened() + CONNECTED + CAME)
        self.assertEqual(self.successResultOf(result), HOST)
        self.assertEqual(self.heard, [BOUND])

    def test_noFailOverLater(self) -> None:
        """
        When it has listened and is lost, it is too late for another one; that is no
        reason to avoid it.
        """
        result = self.bind()
        proxy = self.first.accept()
        proxy.send(opened() + CONNECTED)
        proxy.end()
        error = self.failureResultOf(result).value
        self.assertEqual(error.replyCode, ReplyCode.GENERAL_FAILURE)
        self.assertTrue(error.reason.startswith("first: "), error.reason)
        self.assertAsked(1, 0)
        self.assertEqual(self.lines, [])

    def test_cancel(self) -> None:
        """
        Whoever gives up closes the connection to the proxy at once, whatever the phase.
        """
        for told in (None, b"", opened(), opened() + CONNECTED):
            result = self.bind(outbound=self.makeOutbound())
            proxy: Peer | None = None
            if told is not None:
                proxy = self.first.accept()
                proxy.send(told)
            result.cancel()
            self.failureResultOf(result, CancelledError)
            self.network.spin()
            if proxy is not None:
                self.assertTrue(proxy.isClosed)
            self.assertEqual(self.first.unanswered, 0)
        self.assertEqual(self.second.asked, 0)

    def test_strangeHost(self) -> None:
        """
        A proxy may call the host what it likes.
        """
        result = self.bind()
        name = bytes.fromhex("00 0014 03 03 666f6f 0000")
        self.first.accept().send(opened() + CONNECTED + name)
        self.assertEqual(self.successResultOf(result), Address(DomainName(b"foo"), 20))

    def test_typeOfService(self) -> None:
        """
        The type of service is the proxy's business.
        """
        outbound = self.makeOutbound(isolate=True)
        self.bind(outbound=outbound, typeOfService=0x28).addErrback(lambda _: None)
        stack = bytes([1, 0, 6, 3 << 6 | 1, 1, 0x28])
        self.assertEqual(self.first.accept().received.hex(), request(stack, 2, ANY_FOUR).hex())


class AssociateTests(SOCKS6TestCase):
    """
    A proxy passes datagrams.
    """

    #: How datagrams get to the two proxies.
    routes: tuple[DatagramRoute | None, ...] = (DatagramRoute(1080), DatagramRoute(5300))

    def setUp(self) -> None:
        self.came: list[tuple[bytes, Place]] = []
        self.losses: list[str] = []
        self.ways: list[MemoryWay] = []
        self.places: list[tuple[str, int]] = []
        self.dtls: list[object] = []
        super().setUp()
        self.patch(association, "openPlainWay", self._plainWay)
        self.patch(association, "DTLSWay", self._dtlsWay)

    def _plainWay(self, reactor: object, host: str, port: int) -> MemoryWay:
        """
        Make a way in the test's hands.
        """
        way = MemoryWay()
        way.started = succeed(None)
        self.ways.append(way)
        self.places.append((host, port))
        return way

    def _dtlsWay(self, reactor: object, options: object, plain: MemoryWay) -> MemoryWay:
        """
        Make one with DTLS.
        """
        self.dtls.append(options)
        return plain

    def makeOutbound(self, credentials: Any = None, **options: Any) -> SOCKS6Outbound:
        """
        Make a way out.
        """
        proxies = [
            UpstreamProxy(self.network, name, upstream.endpoint, credentials, route)
            for name, upstream, route in zip(
                ("first", "second"), self.upstreams, self.routes, strict=True
            )
        ]
        return SOCKS6Outbound(self.network, proxies, **options)

    def associate(
        self, outbound: SOCKS6Outbound | None = None, **wishes: Any
    ) -> Deferred[IAssociation]:
        """
        Ask for a way for datagrams.
        """

        def received(datagram: bytes, place: Place) -> None:
            self.came.append((datagram, place))

        wish = OutboundRequest(UNSPECIFIED_IPV4, **wishes)
        return (outbound or self.outbound).associate(wish, received, self.losses.append)

    def found(self) -> tuple[IAssociation, Peer]:
        """
        Find a way through the first proxy.
        """
        result = self.associate()
        proxy = self.first.accept()
        proxy.send(opened() + ASSOCIATED + CONFIRMATION)
        return self.successResultOf(result), proxy

    def close(self, way: IAssociation, proxy: Peer) -> None:
        """
        Close a way, as the proxy does then.
        """
        way.close()
        self.network.spin()
        self.assertTrue(proxy.ended)
        proxy.end()
        self.assertTrue(all(each.isClosed for each in self.ways))
        self.assertOver()

    def test_bothWays(self) -> None:
        """
        Datagrams go to the proxy's port, with headers of SOCKS 6, and come from there.
        """
        result = self.associate()
        proxy = self.first.accept()
        self.assertEqual(proxy.take().hex(), request(OPENING, 3, ANY_FOUR).hex())
        proxy.send(opened() + CONNECTED)
        self.assertNoResult(result)
        proxy.send(INITIALIZATION)
        way = self.successResultOf(result)
        self.assertTrue(verifyObject(IAssociation, way))
        self.assertEqual(self.places, [("192.0.2.1", 1080)])
        (port,) = self.ways
        self.assertEqual(port.takeSent(), [TRIGGER])
        way.write(b"question", REMOTE)
        self.assertEqual(port.takeSent(), [HEADER + b"question"])
        port.received(HEADER + b"answer")
        self.assertEqual(self.came, [(b"answer", REMOTE)])
        proxy.send(CONFIRMATION)
        self.network.elapse(100_000)
        self.assertEqual(port.takeSent(), [])
        self.assertEqual(self.losses, [])
        self.close(way, proxy)
        self.assertEqual(self.losses, [])

    def test_DTLS(self) -> None:
        """
        With DTLS, if that is how datagrams get to the proxy.
        """
        options = ClientDTLSOptions(newContext(), "proxy.example")
        self.routes = (DatagramRoute(1443, options), None)
        result = self.associate(self.makeOutbound())
        proxy = self.first.accept()
        proxy.send(opened() + ASSOCIATED)
        self.assertEqual((self.places, self.dtls), ([("192.0.2.1", 1443)], [options]))
        self.close(self.successResultOf(result), proxy)

    def test_credentials(self) -> None:
        """
        The proxy hears who we are, and each session of ours is one of its own there.
        """
        outbound = self.makeOutbound(UsernamePassword(b"ada", b"s3cret"), isolate=True)
        told = authenticationData(ADA)
        for session, options in ((None, told), (b"a", SESSION_REQUEST + told)):
            self.associate(outbound, session=session).addErrback(lambda _: None)
            asked = self.first.accept().received
            self.assertIn(options, asked)
            self.assertEqual(session is None, SESSION_REQUEST not in asked)

    def test_cannotGo(self) -> None:
        """
        What cannot go anywhere, or is too large, is a mistake of who sends it.
        """
        way, proxy = self.found()
        for place in (("", 1), ("x" * 256, 1), ("203.0.113.1", 0)):
            self.assertRaises(ValueError, way.write, b"", place)

        def send(header: bytes, payload: bytes) -> None:
            raise MessageLengthError("as the test wants it")

        self.patch(self.ways[0], "send", send)
        self.assertRaises(ValueError, way.write, b"", REMOTE)
        self.close(way, proxy)

    def test_lost(self) -> None:
        """
        When the proxy ends the connection, or the way to it is lost, that is told,
        once.
        """
        way, proxy = self.found()
        proxy.end()
        (told,) = self.losses
        self.assertTrue(told.startswith("association lost: "), told)
        way.close()
        self.assertOver()
        self.losses.clear()
        way, proxy = self.found()
        self.ways[-1].lost(ConnectionLost("as the test wants it"))
        self.assertEqual(len(self.losses), 1)
        proxy.end()
        way.close()
        self.assertOver()
        self.assertEqual(len(self.losses), 1)

    def test_unconfirmed(self) -> None:
        """
        A proxy that no datagram gets to is no way.
        """
        result = self.associate(self.makeOutbound(timeout=2.5))
        proxy = self.first.accept()
        proxy.send(opened() + ASSOCIATED)
        self.successResultOf(result)
        self.network.elapse(2.5)
        self.assertEqual(len(self.losses), 1)
        self.assertIn("no answer within 2.5 s", self.losses[0])
        proxy.end()
        self.assertOver()

    def test_refused(self) -> None:
        """
        A proxy that says no is believed.
        """
        result = self.associate()
        self.first.accept().send(opened() + failure(7))
        self.assertFails(
            result,
            ReplyCode.COMMAND_NOT_SUPPORTED,
            "first: the proxy refused: command not supported (7)",
        )
        self.assertEqual(self.second.asked, 0)

    def test_failOver(self) -> None:
        """
        Where the first proxy cannot be reached, it is the next one, which may take
        datagrams elsewhere.
        """
        result = self.associate()
        self.first.refuse()
        proxy = self.second.accept()
        proxy.send(opened() + ASSOCIATED)
        self.assertEqual(self.places, [("192.0.2.2", 5300)])
        self.close(self.successResultOf(result), proxy)

    def test_onlyWhereDatagramsGo(self) -> None:
        """
        A proxy that datagrams do not get to is not asked.
        """
        self.routes = (None, DatagramRoute(1080))
        result = self.associate(self.makeOutbound())
        proxy = self.second.accept()
        proxy.send(opened() + ASSOCIATED)
        self.close(self.successResultOf(result), proxy)
        self.assertEqual(self.first.asked, 0)
        self.assertEqual(self.lines, [])

    def test_nowhere(self) -> None:
        """
        If there is none, that is a command that we do not do, and the reason says why.
        """
        self.routes = (None, None)
        self.assertFails(
            self.associate(self.makeOutbound()),
            ReplyCode.COMMAND_NOT_SUPPORTED,
            "first, second: where to send datagrams is not known, see dtls= and udp=",
        )
        self.assertAsked(0, 0)

    def test_cancel(self) -> None:
        """
        Whoever gives up closes the connection to the proxy at once, whatever the phase.
        """
        for told in (None, b"", opened(), opened() + CONNECTED):
            result = self.associate(self.makeOutbound())
            proxy: Peer | None = None
            if told is not None:
                proxy = self.first.accept()
                proxy.send(told)
            result.cancel()
            self.failureResultOf(result, CancelledError)
            self.network.spin()
            if proxy is not None:
                self.assertTrue(proxy.isClosed)
        self.assertEqual(self.second.asked, 0)
