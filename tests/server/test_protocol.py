"""
Tests of L{socks6.server.protocol}.
"""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from zope.interface.verify import verifyObject

from socks6.relay.farewell import GRACE
from socks6.server.negotiation import Negotiation
from socks6.server.protocol import OPERATIONS, SOCKS6ServerFactory
from socks6.serving.accesslog import RUBBISH_LINES
from socks6.values.codes import Command, ReplyCode
from socks6.values.messages import Request
from socks6.wire import DRAFT_06
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    CONNECT,
    CONNECTED,
    DEMAND,
    DONE,
    NOOP,
    REFUSED,
    RIGHT,
    WELCOME,
    ProxyTestCase,
    TLSServer,
    failure,
    methods,
    passwords,
    request,
)


class FactoryTests(ProxyTestCase):
    """
    A proxy's connections.
    """

    def test_interface(self) -> None:
        """
        The factory is one.
        """
        self.assertTrue(verifyObject(IProtocolFactory, self.makeFactory()))

    def test_defaults(self) -> None:
        """
        Without more words, everybody is let in, has 10 seconds to ask, and may
        be idle for ever.
        """
        factory = SOCKS6ServerFactory(self.network, self.outbound)
        self.assertFalse(factory.authenticator.required)
        self.assertEqual(factory.requestTimeout, 10.0)
        self.assertIsNone(factory.idleTimeout)
        self.assertIs(factory.codec, DRAFT_06)
        self.assertIs(factory.operations, OPERATIONS)
        self.assertFalse(factory.noisy)
        self.assertEqual(set(OPERATIONS), set(Command))

    def test_independent(self) -> None:
        """
        Two proxies in a process share nothing.
        """
        one, other = self.makeFactory(), self.makeFactory(passwords())
        first, second = self.network.accept(one), self.network.accept(other)
        first.send(NOOP)
        second.send(NOOP)
        self.assertEqual(first.received, WELCOME + DONE)
        self.assertEqual(second.received, REFUSED)
        self.network.accept(one).send(b"rubbish")
        self.assertEqual(one.accessLog.malformed.total(), 1)
        self.assertEqual(other.accessLog.malformed.total(), 0)

    def test_oneByOne(self) -> None:
        """
        What one client does is nothing to another one of the same proxy.
        """
        factory = self.makeFactory()
        first, second, third = (self.network.accept(factory) for _ in range(3))
        for octet in CONNECT:
            first.send(bytes([octet]))
            second.send(bytes([octet]))
        third.send(b"rubbish")
        toFirst, toSecond = (attempt.succeed() for attempt in self.outbound.attempts)
        second.send(b"second")
        first.send(b"first")
        self.assertEqual((toFirst.received, toSecond.received), (b"first", b"second"))
        first.reset()
        toSecond.send(b"still here")
        self.assertEqual(second.received, WELCOME + CONNECTED + b"still here")

    def test_otherOperations(self) -> None:
        """
        What the commands do can be had otherwise.
        """

        async def deny(negotiation: Negotiation, request: Request) -> None:
            negotiation.fail(ReplyCode.NOT_ALLOWED)

        factory = self.makeFactory(operations={77: deny})
        for sent, heard in (
            (request(command=77), failure(2)),
            (NOOP, failure(7)),
            (CONNECT, failure(7)),
        ):
            client = self.network.accept(factory)
            client.send(sent)
            self.assertEqual(client.received, WELCOME + heard)
            self.leave(client)

    def test_idleTimeout(self) -> None:
        """
        A tunnel that nobody uses is cut, and that is what the log says.
        """
        client, remote = self.tunnel(idleTimeout=30.0)
        client.send(b"abc")
        remote.send(b"defgh")
        self.network.elapse(30)
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertOver()
        self.assertEqual(
            self.lines,
            [
                (
                    "192.0.2.2:40000 - connect 203.0.113.1:443: idle,"
                    " 3 octets to the remote host, 5 to the client, 30.000 s"
                )
            ],
        )

    def test_tunnelIsLogged(self) -> None:
        """
        A tunnel is one line, written when it is over.
        """
        client, remote = self.tunnel()
        client.send(b"abc")
        client.end()
        remote.send(b"defgh")
        self.assertEqual(self.lines, [])
        remote.end()
        self.assertOver()
        self.assertEqual(
            self.lines,
            [
                (
                    "192.0.2.2:40000 - connect 203.0.113.1:443: closed,"
                    " 3 octets to the remote host, 5 to the client, 0.000 s"
                )
            ],
        )


class PeerTests(ProxyTestCase):
    """
    Whom the log names.
    """

    def test_addresses(self) -> None:
        """
        The client's address, of whatever kind.
        """
        for address, name in (
            (IPv6Address("TCP", "2001:db8::9", 99), "[2001:db8::9]:99"),
            (UNIXAddress(None), "unix"),
        ):
            self.events.clear()
            client = self.network.accept(self.makeFactory(), peer=address)
            client.send(NOOP)
            client.end()
            self.assertTrue(self.lines[0].startswith(f"{name} - noop "), self.lines)

    def test_behindPROXYProtocol(self) -> None:
        """
        Behind a load balancer that speaks the PROXY protocol, the address that
        it names; for good requests and for bad ones.
        """
        factory = HAProxyWrappingFactory(self.makeFactory())
        for sent, line in (
            (NOOP, "192.0.2.99:4711 - noop "),
            (b"rubbish", "192.0.2.99:4711: version is not 6.0"),
        ):
            self.events.clear()
            client = self.network.accept(factory)
            client.send(b"PROXY TCP4 192.0.2.99 192.0.2.1 4711 1080\r\n" + sent)
            client.end()
            self.assertTrue(self.lines[0].startswith(line), self.lines)
            self.assertOver()

    def test_halfCloseBehindPROXYProtocol(self) -> None:
        """
        There, too, a client that has ended its direction gets its answer.
        """
        client = self.network.accept(HAProxyWrappingFactory(self.makeFactory()))
        client.send(b"PROXY TCP4 192.0.2.99 192.0.2.1 4711 1080\r\n" + CONNECT + b"GET")
        client.end()
        remote = self.attempt.succeed()
        remote.send(b"200 OK")
        remote.end()
        self.assertEqual(client.received, WELCOME + CONNECTED + b"200 OK")
        self.assertOver()

    def test_socketOptions(self) -> None:
        """
        What goes to clients leaves at once.
        """
        client = self.network.accept(self.makeFactory())
        self.assertTrue(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def test_notPROXYProtocol(self) -> None:
        """
        Who does not speak it is not served.
        """
        client = self.network.accept(HAProxyWrappingFactory(self.makeFactory()))
        client.send(NOOP)
        self.assertEqual(client.received, b"")
        self.assertOver()


class CuttingTests(ProxyTestCase):
    """
    Closing all connections of a proxy.
    """

    def test_none(self) -> None:
        """
        Where there is none, that is done at once.
        """
        self.successResultOf(self.makeFactory().cutAll())

    def test_all(self) -> None:
        """
        Connections in every state are reset; when all are gone, that is
        reported to everybody who asked.
        """
        factory = self.makeFactory()
        waiting, connecting, relaying, leaving, halfGone = (
            self.network.accept(factory) for _ in range(5)
        )
        for client in (connecting, relaying, halfGone):
            client.send(CONNECT)
        _, second, third = self.outbound.attempts
        remote, stalling = second.succeed(), third.succeed()
        leaving.send(NOOP)
        halfGone.reset()
        self.assertFalse(stalling.isClosed)
        cuts = [factory.cutAll(), factory.cutAll()]
        self.assertNoResult(cuts[0])
        self.network.spin()
        for cut in cuts:
            self.successResultOf(cut)
        for peer in (waiting, connecting, relaying, remote, leaving, stalling):
            self.assertTrue(peer.wasReset)
        self.assertTrue(self.outbound.attempts[0].cancelled)
        self.assertOver()
        self.assertEqual(
            sum(": aborted, " in line for line in self.lines), 2, "the lines of requests say why"
        )

    def test_rubbish(self) -> None:
        """
        How many clients broke the protocol without getting a line is written
        then, before it is forgotten.
        """
        factory = self.makeFactory()
        for _ in range(RUBBISH_LINES + 7):
            self.network.accept(factory).send(b"rubbish")
        self.events.clear()
        factory.cutAll()
        self.network.spin()
        self.assertEqual(self.lines, ["7 more clients broke the protocol"])

    def test_afterwards(self) -> None:
        """
        Afterwards the proxy can be used again.
        """
        factory = self.makeFactory()
        self.network.accept(factory)
        factory.cutAll()
        self.network.spin()
        client = self.network.accept(factory)
        client.send(NOOP)
        self.assertEqual(client.received, WELCOME + DONE)


class TLSTests(ProxyTestCase):
    """
    The proxy behind TLS.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.server = TLSServer(folder, self.network)

    def test_noop(self) -> None:
        """
        The last reply arrives before the connection ends.
        """
        client = self.server.accept(self.makeFactory())
        client.send(NOOP)
        self.assertEqual(client.received, WELCOME + DONE)
        client.end()
        self.assertOver()

    def test_connect(self) -> None:
        """
        A tunnel, with password and early data.
        """
        client = self.server.accept(self.makeFactory(passwords()))
        client.send(request(methods(3)) + b"GET" + ADA + b" / HTTP")
        remote = self.attempt.succeed()
        self.assertEqual(client.received, DEMAND + RIGHT + AUTHENTICATED + CONNECTED)
        self.assertEqual(remote.received, b"GET / HTTP")
        remote.send(b"200 OK")
        remote.end()
        self.assertTrue(client.received.endswith(b"200 OK"))
        client.end()
        self.assertOver()
        self.assertIn(" ada connect 203.0.113.1:443: closed, 10 octets", self.lines[0])

    def test_malformed(self) -> None:
        """
        So does the answer to rubbish.
        """
        client = self.server.accept(self.makeFactory())
        client.send(b"\5")
        self.assertEqual(client.received, b"\6\0")
        self.network.elapse(GRACE + 0.5)
        self.assertOver()

    def test_noTLS(self) -> None:
        """
        Who does not speak TLS is not served, and is one line.
        """
        client = self.server.connect(self.makeFactory()).peer
        client.send(NOOP)
        self.assertNotIn(WELCOME, client.received)
        self.assertOver()
        self.assertEqual(len(self.lines), 1)
        self.assertTrue(self.lines[0].startswith("192.0.2.2:40000: the client went away: "))

    def test_handshakeTakesTooLong(self) -> None:
        """
        The handshake is within the time limit of the request.
        """
        client = self.server.connect(self.makeFactory(requestTimeout=5.0)).peer
        self.network.elapse(4.75)
        self.assertFalse(client.isClosed)
        self.network.elapse(0.25)
        self.assertOver()

    def test_cut(self) -> None:
        """
        TLS connections are cut like others.
        """
        factory = self.makeFactory()
        clients = [self.server.accept(factory) for _ in range(2)]
        clients[0].send(CONNECT)
        remote = self.attempt.succeed()
        cut = factory.cutAll()
        self.network.spin()
        self.successResultOf(cut)
        self.assertTrue(remote.wasReset)
        self.assertOver()
