"""
Tests of L{socks6.adoption}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.adoption import Prepared, adopt
from tests.outbound.loopback import listen, requireIPv6


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


class AdoptionTests(SynchronousTestCase):
    """
    L{adopt}.
    """

    def test_adopted(self) -> None:
        """
        The protocol has a transport that is the socket itself, and is read.
        """
        for host in ("127.0.0.1", "::1"):
            if host == "::1":
                requireIPv6(self)
            reactor, protocol = MemoryReactor(), Protocol()
            listener = listen(self, host)
            handle = socket.create_connection(listener.getsockname()[:2])
            adopt(reactor, handle, protocol)
            transport: Any = protocol.transport
            self.assertIs(transport.socket, handle)
            self.assertFalse(handle.getblocking())
            self.assertEqual(reactor.getReaders(), [transport])
            self.assertEqual(transport.getPeer().host, host)
            self.assertEqual(transport.getPeer().port, listener.getsockname()[1])
            self.assertEqual(repr(transport), f"<Protocol to {host}>")
            transport.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(handle.fileno(), -1)

    def test_failed(self) -> None:
        """
        The socket is closed if it is not connected any more.
        """
        handle = socket.socket()
        self.assertRaises(OSError, adopt, MemoryReactor(), handle, Protocol())
        self.assertEqual(handle.fileno(), -1)
