"""
Tests of L{socks6.server.listener}.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.server import listener as listeners
from socks6.server.bindpolicy import BindRefused
from socks6.server.listener import Listener, ListenerClosed, peerOf
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from tests.doubles import Network
from tests.raising import errorOf
from tests.server.ports import PortSocket, Visitor

OWN = ip_address("192.0.2.1")


class ListenerTests(SynchronousTestCase):
    """
    L{Listener}.
    """

    def setUp(self) -> None:
        self.network = Network()
        self.port = PortSocket(("192.0.2.1", 5000))
        self.addCleanup(self._checkEnd)

    def _checkEnd(self) -> None:
        """
        Check that nothing is left.
        """
        self.assertEqual(self.network.readers, set())
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertTrue(self.port.isClosed)

    def _listen(
        self, backlog: int = 0, owner: bytes = b"", hosts: Counter[bytes] | None = None
    ) -> Listener:
        """
        Listen, until the test ends.
        """
        port: Any = self.port
        address = Address(OWN, 5000)
        listener = Listener(self.network, port, address, backlog, None, owner, hosts)
        self.addCleanup(listener.close)
        return listener

    def _visit(self, listener: Listener) -> Visitor:
        """
        Connect.
        """
        visitor = Visitor()
        self.addCleanup(visitor.close)
        self.port.arrivals.append(visitor)
        listener.doRead()
        return visitor

    def _accept(self, listener: Listener) -> Deferred[socket.socket]:
        """
        Wait for a host; failures are the test's business.
        """
        accepting = listener.accept()
        accepting.addErrback(lambda failure: failure)
        return accepting

    def test_interface(self) -> None:
        """
        It is what reactors want.
        """
        listener = self._listen()
        self.assertTrue(verifyObject(IReadDescriptor, listener))
        self.assertEqual(listener.logPrefix(), "Listener")
        self.assertEqual(listener.fileno(), 1000)
        self.assertEqual(self.network.readers, {listener})
        self.assertEqual(self.port.backlog, 1)
        listener.close()
        self.assertEqual(listener.fileno(), -1)

    def test_inUse(self) -> None:
        """
        Somebody else listens there already.
        """
        self.port.refusal = OSError(errno.EADDRINUSE, "")
        refused = errorOf(BindRefused, self._listen)
        assert isinstance(refused, BindRefused)
        self.assertIs(refused.replyCode, ReplyCode.GENERAL_FAILURE)

    def test_oneHost(self) -> None:
        """
        Without a backlog, the first host is accepted, and listening ends.
        """
        for early in (True, False):
            self.port = PortSocket(("192.0.2.1", 5000))
            listener = self._listen()
            accepting = None if early else self._accept(listener)
            visitor = self._visit(listener)
            self.assertTrue(self.port.isClosed)
            accepting = accepting or self._accept(listener)
            self.assertIs(self.successResultOf(accepting), visitor)
            self.assertFalse(visitor.getblocking())
            # There will be no other one.
            self.failureResultOf(self._accept(listener), ListenerClosed)

    def test_many(self) -> None:
        """
        All that have come are accepted, but not too many in one turn of the reactor.
        """
        listener = self._listen(100)
        self.assertEqual(self.port.backlog, 100)
        visitors = [Visitor() for _ in range(70)]
        self.port.arrivals.extend(visitors)
        for left in (38, 6, 0):
            listener.doRead()
            self.assertEqual(len(self.port.arrivals), left)
        for visitor in visitors:
            self.assertIs(self.successResultOf(listener.accept()), visitor)
            visitor.close()

    def test_manyPorts(self) -> None:
        """
        At all ports of one owner together, only so many hosts may wait.
        """
        self.patch(listeners, "MAX_WAITING", 3)
        hosts: Counter[bytes] = Counter()
        ports = [self._listen(2, owner, hosts) for owner in (b"ada", b"ada", b"eve")]
        visitors = [self._visit(port) for port in ports for _ in range(2)]
        isClosed = [each.isClosed for each in visitors]
        self.assertEqual(isClosed, [False, False, False, True, False, False])
        self.assertEqual(hosts, {b"ada": 3, b"eve": 2})
        self.assertIs(self.successResultOf(ports[0].accept()), visitors[0])
        self.assertFalse(self._visit(ports[1]).isClosed)
        for port in ports:
            port.close()
        self.assertEqual(hosts, {})

    def test_largeBacklog(self) -> None:
        """
        At one port, as many as its backlog has may wait anyway.
        """
        self.patch(listeners, "MAX_WAITING", 3)
        listener = self._listen(5)
        visitors = [self._visit(listener) for _ in range(6)]
        self.assertEqual([each.isClosed for each in visitors], [False] * 5 + [True])

    def test_staleEvent(self) -> None:
        """
        What the reactor has to say of a connection that had the descriptor before does
        no harm.
        """
        listener = self._listen(2)
        listener.doWrite()
        self.assertFalse(self._visit(listener).isClosed)

    def test_closed(self) -> None:
        """
        When it is closed, whoever waits on either side is told.
        """
        listener = self._listen(2)
        accepting = self._accept(listener)
        listener.close()
        self.failureResultOf(accepting, ListenerClosed)
        self.failureResultOf(self._accept(listener), ListenerClosed)
        self.port = PortSocket(("192.0.2.1", 5000))
        listener = self._listen(2)
        visitors = [self._visit(listener), self._visit(listener)]
        listener.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(all(visitor.resets for visitor in visitors))
        self.assertTrue(self.port.isClosed)
        listener.close()

    def test_closedMeanwhile(self) -> None:
        """
        Whoever gets a connection may close the port at once; no more are accepted.
        """
        listener = self._listen(2)
        accepting = self._accept(listener)
        accepting.addCallback(lambda handle: listener.close())
        self.port.arrivals.extend([Visitor(), Visitor()])
        listener.doRead()
        self.successResultOf(accepting)
        self.assertEqual(self.port.asked, 1)

    def test_cancelled(self) -> None:
        """
        Whoever waits no more gets no connection.
        """
        listener = self._listen(2)
        first, second = self._accept(listener), self._accept(listener)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertIs(self._visit(listener), self.successResultOf(second))

    def test_tooFewDescriptors(self) -> None:
        """
        While accepting fails it is tried twice a second, not as often as the reactor
        sees that somebody waits.
        """
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            self.port = PortSocket(("192.0.2.1", 5000))
            listener = self._listen(2)
            accepting = self._accept(listener)
            self.port.failure = OSError(number, "")
            listener.doRead()
            self.assertEqual(self.port.asked, 1)
            self.assertEqual(self.network.readers, set())
            self.network.advance(0.49)
            self.assertEqual(self.network.readers, set())
            self.network.advance(0.01)
            self.assertEqual(self.network.readers, {listener})
            self.port.failure = None
            visitor = self._visit(listener)
            self.assertIs(self.successResultOf(accepting), visitor)
            listener.close()

    def test_closedWhilePausing(self) -> None:
        """
        A port may be closed while nothing is accepted.
        """
        listener = self._listen()
        self.port.failure = OSError(errno.EMFILE, "")
        listener.doRead()
        listener.close()
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.network.advance(1)
        self.assertEqual(self.network.readers, set())

    def test_goneAgain(self) -> None:
        """
        A connection that is gone when it is accepted is nobody's fault.
        """
        listener = self._listen()
        self.port.arrivals.append(ConnectionAbortedError(errno.ECONNABORTED, ""))
        listener.doRead()
        self.assertEqual(self.network.readers, {listener})
        gone = Visitor()
        gone.gone = True
        self.port.arrivals.append(gone)
        visitor = self._visit(listener)
        self.assertTrue(gone.isClosed)
        self.assertIs(self.successResultOf(listener.accept()), visitor)


class PeerTests(SynchronousTestCase):
    """
    L{peerOf}.
    """

    def test_peers(self) -> None:
        """
        The scope of an IPv6 address belongs to no packet.
        """
        for name, expected in (
            (("203.0.113.1", 443), "203.0.113.1:443"),
            (("2001:db8::2", 443, 0, 0), "[2001:db8::2]:443"),
            (("fe80::2%eth0", 443, 0, 3), "[fe80::2]:443"),
        ):
            with Visitor(name) as visitor:
                self.assertEqual(str(peerOf(visitor)), expected)
