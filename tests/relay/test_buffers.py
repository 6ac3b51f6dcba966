"""
Tests of L{socks6.relay.buffers}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol

from socks6.relay.buffers import forgetUnsent, isGone, unsentLength
from socks6.relay.legs import LegProtocol
from tests.server.harness import MemoryTestCase


class BufferTests(MemoryTestCase):
    """
    L{unsentLength}, L{forgetUnsent} and L{isGone}.
    """

    def test_plain(self) -> None:
        """
        What a socket does not take waits, and is counted until it is gone.
        """
        leg = LegProtocol()
        peer = self.network.attach(leg)
        transport: Any = leg.transport
        peer.stopReading(3)
        self.assertEqual((unsentLength(transport), isGone(transport)), (0, False))
        transport.write(b"something")
        self.assertEqual(unsentLength(transport), 9)
        self.network.spin()
        transport.write(b" else")
        self.assertEqual(unsentLength(transport), 11)
        leg.abort()
        self.network.spin()
        self.assertEqual((unsentLength(transport), isGone(transport)), (0, True))

    def test_encrypted(self) -> None:
        """
        What TLS cannot encrypt yet counts as well.
        """
        leg = LegProtocol()
        peer = self.network.attach(leg)
        peer.stopReading(0)
        layer: Any = TLSMemoryBIOProtocol.__new__(TLSMemoryBIOProtocol)
        layer.transport = leg.transport
        layer._appSendBuffer = [b"some", b"thing"]
        layer.transport.write(b"octets")
        self.assertEqual(unsentLength(layer), 15)
        forgetUnsent(layer)
        self.assertEqual(unsentLength(layer), 0)
        self.assertFalse(isGone(layer))

    def test_others(self) -> None:
        """
        Nothing is known of other transports.
        """
        transport: Any = StringTransport()
        transport.write(b"something")
        self.assertEqual(unsentLength(transport), 0)
        forgetUnsent(transport)
        self.assertEqual(transport.value(), b"something")
