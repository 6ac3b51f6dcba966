"""
Tests of L{socks6.serving.factory}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from socks6.relay.pipes import PipePool
from socks6.serving.accesslog import RUBBISH_LINES
from socks6.serving.factory import ServingFactory
from tests.raising import errorOf
from tests.serving.lines import CONNECT_LINE, LineTestCase


class FactoryTests(LineTestCase):
    """
    The connections of a server.
    """

    def test_interfaces(self) -> None:
        """
        The factory is one, and its protocols can be half-closed.
        """
        factory = self.makeFactory()
        self.assertTrue(verifyObject(IProtocolFactory, factory))
        self.assertFalse(factory.noisy)
        protocol = self.network.accept(factory).protocol
        self.assertTrue(verifyObject(IHalfCloseableProtocol, protocol))

    def test_times(self) -> None:
        """
        It keeps the times that it is given.
        """
        factory = self.makeFactory(requestTimeout=2.5, idleTimeout=30.0)
        self.assertEqual((factory.requestTimeout, factory.idleTimeout), (2.5, 30.0))
        self.assertIs(factory.clock, self.network)

    def test_abstract(self) -> None:
        """
        What is said on a connection is a subclass's business.
        """
        factory = ServingFactory(self.network, 10.0, None)
        protocol: Any = None
        self.assertIsNotNone(errorOf(NotImplementedError, factory.converse, protocol))

    def test_independent(self) -> None:
        """
        What one client does is nothing to another one, of the same server or of
        another.
        """
        one, other = self.makeFactory(), self.makeFactory()
        first, second, third = (self.network.accept(each) for each in (one, one, other))
        first.send(b"give me\n")
        second.send(b"please\n")
        remote = self.succeed()
        remote.send(b"here")
        self.assertEqual(second.received, b"welcome\nhere")
        third.send(b"please\n")
        self.assertEqual(self.succeed().received, b"")
        self.assertEqual(one.accessLog.malformed.total(), 1)
        self.assertEqual(other.accessLog.malformed.total(), 0)

    def test_early(self) -> None:
        """
        What has come together with a connection is taken in before the reactor looks for
        anything new, and behind what it has found already.
        """
        factory = self.makeFactory()
        client = self.network.accept(factory, early=b"please\n")
        self.assertEqual(self.waiting, [])
        self.network.advance(0)
        self.assertEqual(len(self.waiting), 1)
        self.assertFalse(client.isClosed)
        gone = self.network.accept(factory, early=b"please\n")
        gone.connection.connectionLost(Failure(ConnectionLost()))
        self.network.advance(0)
        self.assertEqual(len(self.waiting), 1)

    def test_peers(self) -> None:
        """
        The log names the client's address, of whatever kind; behind a load balancer
        that speaks the PROXY protocol, the one that this names.
        """
        header = b"PROXY TCP4 192.0.2.99 192.0.2.1 4711 1080\r\n"
        for address, said, name in (
            (IPv6Address("TCP", "2001:db8::9", 99), b"", "[2001:db8::9]:99"),
            (UNIXAddress(None), b"", "unix"),
            (UNIXAddress(None), header, "192.0.2.99:4711"),
        ):
            for asked, words in ((b"please\n", f"{name} - connect "), (b"give\n", f"{name}: ")):
                self.events.clear()
                factory: Any = self.makeFactory()
                if said:
                    factory = HAProxyWrappingFactory(factory)
                client = self.network.accept(factory, peer=address)
                client.send(said + asked)
                client.reset()
                self.assertTrue(self.lines[0].startswith(words), self.lines)

    def test_socketOptions(self) -> None:
        """
        What goes to clients leaves at once.
        """
        client = self.dial()
        self.assertTrue(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


class CuttingTests(LineTestCase):
    """
    Closing all connections.
    """

    def test_none(self) -> None:
        """
        Where there is none, that is done at once.
        """
        self.assertIsNone(self.successResultOf(self.makeFactory().cutAll()))

    def test_all(self) -> None:
        """
        Connections in every state are reset; when all are gone, that is reported to
        everybody who asked.
        """
        factory = self.makeFactory()
        waiting, connecting, relaying, leaving, halfGone = (
            self.network.accept(factory) for _ in range(5)
        )
        connecting.send(b"please\n")
        pending = self.waiting[-1]
        relaying.send(b"please\n")
        remote = self.succeed()
        halfGone.send(b"please\n")
        stalling = self.succeed()
        halfGone.reset()
        leaving.send(b"give me\n")
        self.assertFalse(stalling.isClosed)
        self.events.clear()
        cuts = [factory.cutAll(), factory.cutAll()]
        self.assertNoResult(cuts[0])
        self.network.spin()
        for cut in cuts:
            self.assertIsNone(self.successResultOf(cut))
        for peer in (waiting, connecting, relaying, remote, leaving, stalling):
            self.assertTrue(peer.wasReset)
        self.assertEqual(self.givenUp, [pending])
        self.assertOver()
        self.assertEqual(
            sorted(line.split(", ")[0].removeprefix(CONNECT_LINE) for line in self.lines),
            [
                (
                    "192.0.2.2:40000: the client went away: Connection was aborted locally"
                    " using ITCPTransport.abortConnection"
                ),
                "aborted",
                "aborted",
                "client lost",
            ],
        )

    def test_oneByOne(self) -> None:
        """
        As long as one is left, that is not reported.
        """
        factory = self.makeFactory()
        first, second = (self.network.accept(factory) for _ in range(2))
        cut = factory.cutAll()
        for client in (first, second):
            self.assertNoResult(cut)
            client.connection.connectionLost(Failure(ConnectionAborted()))
        self.assertIsNone(self.successResultOf(cut))
        self.network.spin()

    def test_pipes(self) -> None:
        """
        When no connection is left, no pipe is.
        """
        factory = self.makeFactory()
        closed: list[bool] = []
        factory.pipes = PipePool()
        self.patch(factory.pipes, "close", lambda: closed.append(True))
        first, second = (self.network.accept(factory) for _ in range(2))
        first.reset()
        self.assertEqual(closed, [])
        second.reset()
        self.assertEqual(closed, [True])

    def test_rubbish(self) -> None:
        """
        How many clients broke the protocol without getting a line is written then.
        """
        factory = self.makeFactory()
        for _ in range(RUBBISH_LINES + 7):
            self.network.accept(factory).send(b"give me\n")
        self.events.clear()
        factory.cutAll()
        self.network.spin()
        self.assertEqual(self.lines, ["7 more clients broke the protocol"])

    def test_afterwards(self) -> None:
        """
        Afterwards the server can be used again.
        """
        factory = self.makeFactory()
        self.network.accept(factory)
        factory.cutAll()
        self.network.spin()
        client = self.network.accept(factory)
        client.send(b"please\n")
        self.succeed()
        self.assertEqual(client.received, b"welcome\n")
