"""
Tests of L{socks6.serving.gate}.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from socks6.serving.gate import REFUSAL_LINES, REFUSAL_PERIOD
from socks6.serving.limits import Limits
from tests.doubles import CLIENT_ADDRESS, Peer
from tests.serving.lines import LineConversation, LineFactory, LineTestCase

#: Another client than those of the tests.
STRANGER = ("198.51.100.7", 4711)


class GateTestCase(LineTestCase):
    """
    A test with connections.
    """

    def admits(self, factory: LineFactory, address: Any = STRANGER, **more: bool) -> bool:
        """
        Ask whether a connection may come.
        """
        return factory.gate.admits(address, **more)

    def tunnelOf(self, factory: LineFactory) -> tuple[Peer, Peer]:
        """
        Open a tunnel.
        """
        client = self.network.accept(factory)
        client.send(b"please\n")
        return client, self.succeed()


class ConnectionTests(GateTestCase):
    """
    Limits of connections.
    """

    def test_unlimited(self) -> None:
        """
        Without limits everybody comes in.
        """
        factory = self.makeFactory()
        for _ in range(50):
            self.network.accept(factory)
            self.assertTrue(self.admits(factory))
        self.assertEqual(self.lines, [])

    def test_all(self) -> None:
        """
        There are as many connections as there may be; a tunnel is one until both of its
        connections are closed.
        """
        factory = self.makeFactory(limits=Limits(connections=2))
        self.assertTrue(self.admits(factory))
        silent = self.network.accept(factory)
        self.assertTrue(self.admits(factory))
        client, remote = self.tunnelOf(factory)
        self.assertFalse(self.admits(factory))
        self.assertEqual(self.lines, ["198.51.100.7 is refused: there are 2 connections"])
        client.end()
        self.assertFalse(self.admits(factory))
        remote.end()
        self.assertTrue(self.admits(factory))
        silent.reset()
        self.assertTrue(self.admits(factory))

    def test_perClient(self) -> None:
        """
        Each client has as many as it may have, whatever others have.
        """
        factory = self.makeFactory(limits=Limits(perClient=2))
        near = [self.network.accept(factory) for _ in range(2)]
        other = IPv6Address("TCP", "2001:db8::9", 99)
        for _ in range(2):
            self.network.accept(factory, peer=other)
        self.assertFalse(self.admits(factory, (CLIENT_ADDRESS.host, 1)))
        self.assertFalse(self.admits(factory, ("2001:db8::1:9", 1, 0, 0)))
        self.assertTrue(self.admits(factory))
        self.assertEqual(
            self.lines,
            [
                "192.0.2.2 is refused: it has 2 connections",
                "2001:db8::1:9 is refused: it has 2 connections",
            ],
        )
        near[0].reset()
        self.assertTrue(self.admits(factory, (CLIENT_ADDRESS.host, 1)))
        near[1].reset()
        self.assertEqual(factory.gate.refused, {"client": 2})
        self.assertEqual(len(factory.gate._counts), 1)

    def test_notPerClient(self) -> None:
        """
        Who comes through a UNIX socket or a load balancer is nobody in particular.
        """
        factory = self.makeFactory(limits=Limits(perClient=1))
        for _ in range(3):
            self.assertTrue(self.admits(factory, ""))
            self.network.accept(factory, peer=UNIXAddress(None))
            self.network.accept(HAProxyWrappingFactory(factory))
        self.assertTrue(self.admits(factory, (CLIENT_ADDRESS.host, 1)))
        self.network.accept(factory)
        self.assertFalse(self.admits(factory, (CLIENT_ADDRESS.host, 1)))
        self.assertTrue(self.admits(factory, (CLIENT_ADDRESS.host, 1), isBalanced=True))

    def test_fewLines(self) -> None:
        """
        However many are refused, few lines are written.
        """
        factory = self.makeFactory(limits=Limits(connections=1))
        self.network.accept(factory)
        for _ in range(REFUSAL_LINES + 5):
            self.assertFalse(self.admits(factory))
        self.assertEqual(len(self.lines), REFUSAL_LINES)
        self.assertEqual(factory.gate.refused, {"connections": REFUSAL_LINES + 5})
        self.network.advance(REFUSAL_PERIOD - 1)
        self.assertFalse(self.admits(factory, ""))
        self.network.advance(1)
        factory.gate.exhausted(errno.EMFILE)
        self.assertEqual(factory.gate.refused["system"], 1)
        self.assertEqual(
            [line for line in self.lines if " more " in line],
            ["6 more connections were refused or dropped"],
        )
        self.assertEqual(self.lines[-1], "no connection can be accepted: Too many open files")


class HandshakeTests(GateTestCase):
    """
    Limits of connections that pass no octets.
    """

    def test_oldestSilent(self) -> None:
        """
        When there are too many, the oldest that has said nothing is dropped.
        """
        factory = self.makeFactory(limits=Limits(handshakes=3))
        first = self.network.accept(factory)
        first.send(b"please\n")
        second, third = (self.network.accept(factory) for _ in range(2))
        self.assertTrue(self.admits(factory))
        self.network.spin()
        self.assertEqual([each.wasReset for each in (first, second, third)], [False, True, False])
        self.assertIn("the oldest of 3 handshakes is dropped for a new one", self.lines)
        self.assertEqual(factory.gate.refused, {"silent": 1})
        # There is room again.
        self.events.clear()
        self.assertTrue(self.admits(factory))
        self.network.spin()
        self.assertFalse(third.wasReset)

    def test_noneSilent(self) -> None:
        """
        If all have asked for something, the new one is refused.
        """
        factory = self.makeFactory(limits=Limits(handshakes=2))
        for _ in range(2):
            self.network.accept(factory).send(b"please\n")
        self.assertFalse(self.admits(factory))
        self.assertEqual(self.lines, ["198.51.100.7 is refused: there are 2 handshakes"])
        self.assertEqual(factory.gate.refused, {"handshakes": 1})
        self.succeed()
        self.assertTrue(self.admits(factory))

    def test_tunnels(self) -> None:
        """
        Tunnels are no handshakes, and nor are connections that are gone.
        """
        factory = self.makeFactory(limits=Limits(handshakes=1))
        for _ in range(3):
            self.tunnelOf(factory)
            self.assertTrue(self.admits(factory))
            self.network.accept(factory).reset()
        self.assertNotIn("handshakes", " ".join(self.lines))

    def test_served(self) -> None:
        """
        Nor are requests that have been answered and lead to no tunnel.
        """

        async def work(conversation: LineConversation) -> None:
            factory.gate.served(conversation.leg)

        factory = self.makeFactory(work, limits=Limits(handshakes=1))
        self.network.accept(factory).send(b"please\n")
        self.assertTrue(self.admits(factory))
        self.assertEqual(self.lines, [])

    def test_slowFlood(self) -> None:
        """
        However many come and say nothing, a client that asks is served.
        """
        factory = self.makeFactory(limits=Limits(handshakes=4))
        for _ in range(20):
            for _ in range(3):
                self.assertTrue(self.admits(factory))
                self.network.accept(factory, peer=IPv4Address("TCP", "203.0.113.99", 1))
            self.assertTrue(self.admits(factory))
            client, remote = self.tunnelOf(factory)
            client.send(b"question")
            self.assertEqual(remote.received, b"question")
            self.assertLessEqual(len(factory.gate._handshakes), 4)
