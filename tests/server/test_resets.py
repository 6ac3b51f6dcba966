"""
Tests for clients and remote hosts that break off at any moment.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.doubles import Peer
from tests.server.harness import CONNECT, ProxyTestCase

#: How a peer may go away.
WAYS: tuple[Callable[[Peer], None], ...] = (Peer.end, Peer.reset)

#: What clients may ask with.
REQUESTS = (CONNECT, CONNECT + b"early data")


class ResetTests(ProxyTestCase):
    """
    Peers that break off.
    """

    def test_client(self) -> None:
        """
        Wherever in its request a client breaks off, and however, nothing is left of it,
        and a reset ends the attempt to connect.
        """
        for sent in REQUESTS:
            for cut in range(len(sent) + 1):
                client = self.dial()
                client.send(sent[:cut])
                client.reset()
                self.assertOver(f"cut at {cut}")

    def test_octetByOctet(self) -> None:
        """
        The same for one that has sent each octet by itself.
        """
        for cut in range(len(CONNECT) + 1):
            client = self.dial()
            for octet in CONNECT[:cut]:
                client.send(bytes([octet]))
            client.reset()
            self.assertOver(f"cut at {cut}")

    def test_tunnel(self) -> None:
        """
        Wherever in their octets the two ends of a tunnel break off, in whatever order and
        way, nothing is left of it.
        """
        octets = b"some octets"
        for first in WAYS:
            for second in WAYS:
                for cut in range(len(octets) + 1):
                    for order in (1, -1):
                        ends = self.tunnel()[::order]
                        for end, way in zip(ends, (first, second), strict=True):
                            if not end.isClosed:
                                end.send(octets[:cut])
                            way(end)
                        self.network.advance(60)
                        self.network.spin()
                        self.assertOver(f"{first.__name__} {second.__name__} {cut} {order}")
