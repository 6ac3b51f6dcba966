"""
Tests of L{socks6.adoption}.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory, IReactorSocket
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socks6.adoption import Prepared, adopt


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


@implementer(IReactorSocket)
class Exhausted(MemoryReactor):
    """
    A reactor that has no descriptors left.
    """

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """
        Fail.
        """
        raise OSError(errno.EMFILE, "Too many open files")


class AdoptionTests(SynchronousTestCase):
    """
    L{adopt}.
    """

    def test_adopted(self) -> None:
        """
        The reactor makes a transport of the socket, for the protocol; the socket itself
        is closed.
        """
        for family in (socket.AF_INET, socket.AF_INET6):
            reactor, protocol = MemoryReactor(), Protocol()
            handle = socket.socket(family)
            number = handle.fileno()
            adopt(reactor, handle, protocol)
            ((descriptor, itsFamily, factory),) = reactor.adoptedStreamConnections
            self.assertEqual((descriptor, itsFamily), (number, family))
            self.assertIs(factory.buildProtocol(None), protocol)
            self.assertEqual(handle.fileno(), -1)

    def test_failed(self) -> None:
        """
        The socket is closed even if no transport is made.
        """
        handle = socket.socket()
        self.assertRaises(OSError, adopt, Exhausted(), handle, Protocol())
        self.assertEqual(handle.fileno(), -1)
