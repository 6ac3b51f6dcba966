"""
Tests of L{socks6.serving.bandwidth}.
"""

from __future__ import annotations

from twisted.internet.address import IPv6Address, UNIXAddress

from socks6.relay.throttle import bucketsOf
from socks6.serving.limits import Limits
from tests.doubles import Peer
from tests.serving.lines import LineConversation, LineFactory, LineTestCase


class BandwidthTests(LineTestCase):
    """
    Tunnels that share what may pass.
    """

    def begin(self, bandwidth: int | None = None, perClient: int | None = None) -> LineFactory:
        """
        Make a proxy.
        """
        return self.makeFactory(limits=Limits(bandwidth=bandwidth, bandwidthPerClient=perClient))

    def open(self, factory: LineFactory, **options: object) -> tuple[Peer, Peer]:
        """
        Open a tunnel.
        """
        client = self.network.accept(factory, **options)  # type: ignore[arg-type]
        client.send(b"please\n")
        return client, self.succeed()

    def isHeld(self, tunnel: tuple[Peer, Peer]) -> bool:
        """
        Tell whether the tunnel's client must wait when it sends something.
        """
        tunnel[0].send(b"x")
        return not tunnel[0].isRead

    def test_unlimited(self) -> None:
        """
        Without limits nobody waits, and nothing is kept for it.
        """
        factory = self.begin()
        client, _ = tunnel = self.open(factory)
        client.send(bytes(10**6))
        self.assertFalse(self.isHeld(tunnel))
        self.assertEqual(factory.bandwidth._clients, {})
        self.assertIsNone(client.protocol.receiver.throttle)

    def test_together(self) -> None:
        """
        All tunnels share one rate each way.
        """
        factory = self.begin(bandwidth=10_000)
        one, other = self.open(factory), self.open(factory)
        one[0].send(bytes(5_000))
        self.assertTrue(self.isHeld(other))
        one[1].send(b"answer")
        self.assertIn(b"answer", one[0].received)
        self.network.advance(1)
        self.assertFalse(self.isHeld(other))

    def test_perClient(self) -> None:
        """
        The tunnels of one client share a rate, whatever others do; it is forgotten with
        the last of them.
        """
        factory = self.begin(perClient=10_000)
        address = IPv6Address("TCP", "2001:db8::1", 1)
        neighbour = IPv6Address("TCP", "2001:db8::2", 2)
        one, other = self.open(factory, peer=address), self.open(factory, peer=neighbour)
        stranger = self.open(factory)
        one[0].send(bytes(5_000))
        self.assertTrue(self.isHeld(other))
        self.assertFalse(self.isHeld(stranger))
        self.network.advance(1)
        for peer in (*one, *other):
            peer.reset()
        self.assertEqual(len(factory.bandwidth._shares), 1)
        for peer in stranger:
            peer.reset()
        self.assertEqual((factory.bandwidth._shares, factory.bandwidth._clients), ({}, {}))

    def test_nobody(self) -> None:
        """
        Whoever has no address has the rate of all only.
        """
        factory = self.begin(bandwidth=10**6, perClient=2_000)
        tunnel = self.open(factory, peer=UNIXAddress(None))
        tunnel[0].send(bytes(100_000))
        self.assertFalse(self.isHeld(tunnel))

    def test_others(self) -> None:
        """
        A conversation may have more to take its octets from.
        """

        async def work(conversation: LineConversation) -> None:
            conversation.buckets = [bucketsOf(self.network, 2_000)]
            await self.relayLater(conversation)

        factory = self.makeFactory(work, limits=Limits(bandwidth=10**6))
        tunnel = self.open(factory)
        tunnel[0].send(bytes(1_000))
        self.assertTrue(self.isHeld(tunnel))
