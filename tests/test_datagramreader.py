"""
Tests of L{socks6.datagramreader}.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.datagramreader import BATCH, MAX_DATAGRAM, RECEIVE_BUFFER, DatagramReader
from tests.client.datagrams import MemoryHandle

HERE, THERE = ("192.0.2.1", 1080), ("192.0.2.2", 40000)


class DatagramReaderTests(SynchronousTestCase):
    """
    L{DatagramReader} reads what has come to a socket.
    """

    def setUp(self) -> None:
        """
        Have one.
        """
        self.reactor = MemoryReactorClock()
        self.handle = MemoryHandle()
        self.received: list[Any] = []
        self.whenReceived: Callable[[], object] = lambda: None
        self.reader = self.read()

    def read(self) -> DatagramReader:
        """
        Read the socket.
        """

        def received(datagram: bytes, source: object) -> None:
            self.received.append((datagram, source))
            self.whenReceived()

        handle: Any = self.handle
        return DatagramReader(self.reactor, handle, received)

    def test_interface(self) -> None:
        """
        It is what reactors read.
        """
        verifyObject(IReadDescriptor, self.reader)
        self.assertEqual(self.reactor.getReaders(), [self.reader])
        self.assertEqual(self.reader.fileno(), self.handle.fileno())
        self.assertEqual(self.reader.logPrefix(), "DatagramReader")

    def test_inOrder(self) -> None:
        """
        Datagrams are passed on with their sources, in their order, the empty and the
        largest ones, too.
        """
        sent = [(b"one", HERE), (b"", THERE), (bytes(65507), HERE)]
        self.handle.incoming.extend(sent)
        self.reader.doRead()
        self.assertEqual(self.received, sent)
        self.assertGreaterEqual(MAX_DATAGRAM, 65507)

    def test_batches(self) -> None:
        """
        A turn of the reactor reads many datagrams, but not more than a batch, so that
        others have theirs.
        """
        self.handle.incoming.extend([(b"%d" % number, HERE) for number in range(3 * BATCH // 2)])
        self.reader.doRead()
        self.assertEqual(len(self.received), BATCH)
        self.reader.doRead()
        self.assertEqual(len(self.received), 3 * BATCH // 2)

    def test_receiveBuffer(self) -> None:
        """
        The kernel is asked to keep bursts; a system that does not let us is no reason
        to fail.
        """
        self.assertEqual(
            self.handle.options, [(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)]
        )
        self.handle = MemoryHandle()
        self.handle.optionError = OSError("not here")
        self.handle.incoming.append((b"datagram", HERE))
        self.read().doRead()
        self.assertEqual(len(self.received), 1)

    def test_errors(self) -> None:
        """
        An ICMP error that comes from the socket is no datagram, and no end.
        """
        self.handle.incoming.extend([ConnectionRefusedError(), (b"datagram", HERE)])
        self.reader.doRead()
        self.assertEqual(self.received, [])
        self.reader.doRead()
        self.assertEqual(self.received, [(b"datagram", HERE)])

    def test_staleEvent(self) -> None:
        """
        What the reactor has to say of a connection that had the descriptor before does
        no harm.
        """
        self.handle.incoming.append((b"datagram", HERE))
        self.reader.doWrite()
        self.assertEqual(self.received, [])
        self.reader.doRead()
        self.assertEqual(self.received, [(b"datagram", HERE)])

    def test_broken(self) -> None:
        """
        An exception in who is passed a datagram is logged, and others come.
        """
        self.handle.incoming.extend([(b"bad", HERE), (b"good", HERE)])

        def fail() -> None:
            if self.received[-1][0] == b"bad":
                raise RuntimeError("as the test wants it")

        self.whenReceived = fail
        self.reader.doRead()
        self.assertEqual(self.received, [(b"bad", HERE), (b"good", HERE)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_close(self) -> None:
        """
        A closed one reads no more, also if it is closed by who is passed a datagram;
        to close it again changes nothing.
        """
        self.handle.incoming.extend([(b"one", HERE), (b"two", HERE)])
        self.whenReceived = self.reader.close
        self.reader.doRead()
        self.assertEqual(self.received, [(b"one", HERE)])
        self.assertTrue(self.handle.isClosed)
        self.assertEqual(self.reactor.getReaders(), [])
        self.reader.close()

    def test_reactorEnds(self) -> None:
        """
        The socket is closed with the reactor.
        """
        self.reader.connectionLost(Failure(ConnectionLost()))
        self.assertTrue(self.handle.isClosed)
