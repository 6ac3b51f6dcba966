"""
Tests of L{socks6.relay.atonce}.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.testing import StringTransport

from socks6.memory import RESERVE
from socks6.relay.atonce import close, endOutput, read, write
from socks6.relay.legs import LegProtocol
from tests.relay.test_legs import Recorder
from tests.server.harness import MemoryTestCase


class AtOnceTests(MemoryTestCase):
    """
    L{read}, L{write}, L{endOutput} and L{close}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.leg = LegProtocol()
        self.peer = self.network.attach(self.leg)
        self.recorder = Recorder()
        self.leg.receiver = self.recorder
        self.transport: Any = self.leg.transport

    def test_read(self) -> None:
        """
        What has come is there at once; if nothing has, nothing happens.
        """
        read(self.transport)
        self.peer.socket.input += b"hello"
        read(self.transport)
        self.assertEqual(self.recorder.notes, [b"hello"])
        read(self.transport)
        self.network.spin()
        self.assertEqual(self.recorder.notes, [b"hello"])

    def test_readEnd(self) -> None:
        """
        That no more comes, the reactor finds out; a broken connection is given up.
        """
        self.peer.socket.inputEnded = True
        read(self.transport)
        self.assertEqual(self.recorder.notes, [])
        self.network.spin()
        self.assertEqual(self.recorder.notes, ["input ended"])
        self.peer.socket.inputEnded = False
        self.peer.socket.broken = True
        read(self.transport)
        self.network.spin()
        self.assertEqual(len(self.recorder.notes), 2)
        self.assertOver()

    def test_readWithoutMemory(self) -> None:
        """
        A connection for which there is no memory is given up.
        """

        def receive(count: int) -> bytes:
            raise MemoryError

        before = RESERVE.count
        self.patch(self.transport.socket, "recv", receive)
        read(self.transport)
        self.network.spin()
        self.assertTrue(self.peer.wasReset)
        self.assertEqual(RESERVE.count, before + 1)

    def test_readClosing(self) -> None:
        """
        A connection that is being closed is not read any more, nor is one whose way of
        reading somebody has replaced.
        """
        self.peer.socket.input += b"hello"
        self.transport.doRead = lambda: None
        read(self.transport)
        del self.transport.doRead
        self.transport.write(b"last")
        self.transport.loseConnection()
        read(self.transport)
        self.network.spin()
        other = LegProtocol()
        peer = self.network.attach(other, early=b"hello")
        other.receiver = self.recorder
        other.abort()
        read(other.transport)
        self.assertNotIn(b"hello", self.recorder.notes)
        self.network.spin()
        self.assertTrue(peer.wasReset)

    def test_readOthers(self) -> None:
        """
        Nothing is read behind the back of a transport of another kind.
        """
        read(StringTransport())
        self.peer.socket.input += b"hello"
        self.transport.TLS = True
        read(self.transport)
        self.assertEqual(self.recorder.notes, [])
        self.transport.TLS = False

    def test_write(self) -> None:
        """
        Octets leave at once.
        """
        write(self.transport, b"hello")
        self.assertEqual(self.peer.received, b"hello")
        self.network.spin()
        self.assertEqual(self.peer.received, b"hello")

    def test_writeUnsent(self) -> None:
        """
        They overtake no others, and what the kernel does not take at once follows.
        """
        self.peer.stopReading(3)
        self.transport.write(b"a")
        write(self.transport, b"b")
        self.assertEqual(self.peer.socket.waiting, b"")
        self.network.spin()
        write(self.transport, b"cdef")
        write(self.transport, b"gh")
        self.assertEqual(self.peer.socket.waiting, b"abc")
        self.peer.startReading()
        self.assertEqual(self.peer.received, b"abcdefgh")

    def test_writeBroken(self) -> None:
        """
        That the connection is broken, its protocol hears in due time.
        """
        self.peer.socket.broken = True
        write(self.transport, b"hello")
        self.assertEqual(self.recorder.notes, [])
        self.network.spin()
        self.assertEqual(len(self.recorder.notes), 1)

    def test_endOutput(self) -> None:
        """
        A direction in which nothing waits ends at once, and the protocol hears it; what
        is written later goes nowhere, and the other direction goes on.
        """
        endOutput(self.transport)
        self.assertTrue(self.peer.ended)
        self.transport.write(b"too late")
        self.network.spin()
        self.assertEqual(self.recorder.notes, ["output ended"])
        self.peer.send(b"more")
        self.assertEqual(self.recorder.notes, ["output ended", b"more"])
        self.peer.end()
        close(self.transport)
        self.assertFalse(self.peer.wasReset)
        self.assertOver()

    def test_endOutputUnsent(self) -> None:
        """
        What waits is written before.
        """
        self.peer.stopReading()
        self.transport.write(b"last words")
        endOutput(self.transport)
        self.assertEqual(self.recorder.notes, [])
        self.peer.startReading()
        self.assertEqual(self.peer.received, b"last words")
        self.assertTrue(self.peer.ended)
        self.assertEqual(self.recorder.notes, ["output ended"])

    def test_close(self) -> None:
        """
        A connection on which nothing waits is closed at once, and the protocol hears
        it, once.
        """
        self.peer.end()
        self.recorder.notes.clear()
        close(self.transport)
        self.assertTrue(self.peer.isClosed)
        self.assertFalse(self.peer.wasReset)
        self.network.spin()
        self.assertEqual(len(self.recorder.notes), 1)
        self.assertOver()

    def test_closeUnsent(self) -> None:
        """
        What waits is written before.
        """
        self.peer.stopReading()
        self.transport.write(b"last words")
        close(self.transport)
        self.assertFalse(self.peer.isClosed)
        self.peer.startReading()
        self.assertEqual(self.peer.received, b"last words")
        self.assertTrue(self.peer.isClosed)

    def test_heldUp(self) -> None:
        """
        Somebody else may write in the transport's place, and is not overtaken.
        """
        for end in (endOutput, close):
            leg = LegProtocol()
            peer = self.network.attach(leg)
            transport: Any = leg.transport
            transport.doWrite = lambda: None
            end(transport)
            self.assertFalse(peer.ended)
            self.assertFalse(peer.isClosed)
            del transport.doWrite

    def test_aborted(self) -> None:
        """
        A connection that is being broken off does not get a good end instead.
        """
        for end in (endOutput, close):
            leg = LegProtocol()
            peer = self.network.attach(leg)
            transport = leg.transport
            leg.abort()
            end(transport)
            self.assertFalse(peer.ended)
            self.network.spin()
            self.assertTrue(peer.wasReset)
            self.assertFalse(peer.ended)

    def test_gone(self) -> None:
        """
        There is nothing to close where there is no connection any more.
        """
        self.peer.reset()
        self.recorder.notes.clear()
        close(self.transport)
        self.network.spin()
        self.assertEqual(self.recorder.notes, [])
        self.assertOver()

    def test_tls(self) -> None:
        """
        TLS that hides within a plain socket's transport is not bypassed.
        """
        notes: list[object] = []
        self.transport.protocol = SimpleNamespace(
            write=notes.append, loseConnection=_noting(notes, "closed")
        )
        self.transport.TLS = True
        write(self.transport, b"hello")
        close(self.transport)
        self.assertEqual(notes, [b"hello", "closed"])
        self.assertEqual(self.peer.received, b"")
        self.assertFalse(self.peer.isClosed)
        self.transport.TLS = False
        self.transport.protocol = self.leg

    def test_others(self) -> None:
        """
        Transports of other kinds end in their own way.
        """
        transport = StringTransport()
        close(transport)
        self.assertTrue(transport.disconnecting)
        calls: list[object] = []
        other: Any = StringTransport()
        other.loseWriteConnection = _noting(calls, "ended")
        endOutput(other)
        self.assertEqual(calls, ["ended"])


def _noting(calls: list[object], name: str) -> Callable[[], None]:
    """
    Make a function that notes that it was called.
    """
    return lambda: calls.append(name)
