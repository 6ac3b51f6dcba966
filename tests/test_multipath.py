"""
Tests of L{socks6.multipath}.

What the kernel makes of it is tested in C{tests/integration/test_multipath.py}.
"""

from __future__ import annotations

import errno
import os
import socket
import sys

from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from socks6.multipath import MultipathPort, MultipathReactor, multipathSocket, whyNoMultipath

IPPROTO_MPTCP = 262


class Sockets:
    """
    The system's sockets, as far as the test lets one have them.

    @ivar asked: Protocols of those that were asked for.
    """

    def __init__(self, refusal: int = 0) -> None:
        """
        @param refusal: Why there are none.
        """
        self._refusal = refusal
        self._make = socket.socket
        self.asked: list[int] = []

    def __call__(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """
        Make a socket of TCP, which every system has.
        """
        self.asked.append(protocol)
        if self._refusal:
            raise OSError(self._refusal, os.strerror(self._refusal))
        return self._make(family, kind)


class SocketTests(SynchronousTestCase):
    """
    L{multipathSocket} and L{whyNoMultipath}.
    """

    def test_protocol(self) -> None:
        """
        The system is asked for a socket of Multipath TCP.
        """
        sockets = Sockets()
        self.patch(socket, "socket", sockets)
        multipathSocket(socket.AF_INET).close()
        self.assertIsNone(whyNoMultipath())
        self.assertEqual(sockets.asked, [IPPROTO_MPTCP] * 2)

    def test_none(self) -> None:
        """
        The reason is the system's.
        """
        self.patch(socket, "socket", Sockets(errno.ENOPROTOOPT))
        self.assertEqual(whyNoMultipath(), os.strerror(errno.ENOPROTOOPT))
        self.patch(sys, "platform", "darwin")
        self.assertEqual(whyNoMultipath(), "this system has no Multipath TCP")


class ReactorTests(SynchronousTestCase):
    """
    L{MultipathReactor}.
    """

    def setUp(self) -> None:
        self.sockets = Sockets()
        self.real = MemoryReactorClock()
        self.reactor = MultipathReactor(self.real)

    def test_otherwise(self) -> None:
        """
        It is the reactor that it was made of.
        """
        self.assertIs(self.reactor.connectTCP.__self__, self.real)

    def test_listen(self) -> None:
        """
        TCP ports, with TLS or without, are of Multipath TCP: they do not block, and can
        be opened again at once.
        """
        self.patch(socket, "socket", self.sockets)
        factory = Factory()
        for port in (
            self.reactor.listenTCP(0, factory, interface="127.0.0.1"),
            self.reactor.listenSSL(0, factory, CertificateOptions(), 5, "127.0.0.1"),
        ):
            self.addCleanup(self.real.advance, 0)
            self.addCleanup(port.stopListening)
            assert isinstance(port, MultipathPort)
            self.assertFalse(port.socket.getblocking())
            reuse = port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            self.assertEqual(reuse, 1)
            self.assertEqual(port.getHost().host, "127.0.0.1")
        self.assertEqual(len(self.real.getReaders()), 2)
        self.assertEqual(self.sockets.asked, [IPPROTO_MPTCP] * 2)
