"""
Tests of L{socks6.outbound.prepared}.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.outbound.prepared import Prepared


class PreparedTests(SynchronousTestCase):
    """
    L{Prepared}.
    """

    def test_gives(self) -> None:
        """
        It gives what it was made with, whoever connects.
        """
        protocol = Protocol()
        prepared = Prepared(protocol)
        self.assertTrue(verifyObject(IProtocolFactory, prepared))
        for address in (None, IPv4Address("TCP", "192.0.2.1", 80)):
            self.assertIs(prepared.buildProtocol(address), protocol)
        self.assertFalse(prepared.noisy)
