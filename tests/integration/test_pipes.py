"""
Tests of L{socks6.relay.pipes}.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from socks6.relay.pipes import CAN_SPLICE, Pipe, PipePool
from tests.integration.peers import pattern, receiveAll


def descriptors() -> int:
    """
    Count this process's open descriptors.
    """
    return len(os.listdir("/proc/self/fd"))


@skipUnless(CAN_SPLICE, "the system cannot splice")
class PipeTests(SynchronousTestCase):
    """
    Octets on their way through a pipe.
    """

    def setUp(self) -> None:
        self.pipe = Pipe()
        self.addCleanup(self.pipe.close)
        self.peer, self.source = self.pair()
        self.destination, self.sink = self.pair()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """
        Make two connected sockets that do not block.
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pair = socket.create_connection(listener.getsockname()), listener.accept()[0]
        for each in pair:
            each.setblocking(False)
            self.addCleanup(each.close)
        return pair

    def test_through(self) -> None:
        """
        What comes goes on unchanged.
        """
        self.peer.sendall(b"something")
        self.assertEqual(self.pipe.fill(self.source), 9)
        self.assertEqual(self.pipe.held, 9)
        self.pipe.drain(self.destination)
        self.assertEqual(self.pipe.held, 0)
        self.assertEqual(self.sink.recv(100), b"something")

    def test_nothing(self) -> None:
        """
        Nothing is waited for.
        """
        self.assertRaises(BlockingIOError, self.pipe.fill, self.source)
        self.pipe.drain(self.destination)
        self.assertEqual((self.pipe.held, self.pipe.takeAll()), (0, b""))

    def test_end(self) -> None:
        """
        The end is told from nothing.
        """
        self.peer.shutdown(socket.SHUT_WR)
        self.assertEqual(self.pipe.fill(self.source), 0)

    def test_full(self) -> None:
        """
        What a destination does not take stays, in its order, and can be taken out.
        """
        data = pattern(2**20)
        sent = 0
        while not self.pipe.held:
            with contextlib.suppress(BlockingIOError):
                sent += self.peer.send(data[sent % 2**20 :])
            with contextlib.suppress(BlockingIOError):
                self.pipe.fill(self.source)
            self.pipe.drain(self.destination)
        rest = self.pipe.takeAll()
        self.assertEqual(self.pipe.held, 0)
        self.destination.close()
        self.sink.setblocking(True)
        received = receiveAll(self.sink) + rest
        self.assertTrue((data * (sent // 2**20 + 1)).startswith(received))

    def test_broken(self) -> None:
        """
        A broken destination leaves what it has not taken.
        """
        self.sink.close()
        self.peer.sendall(b"lost")
        self.pipe.fill(self.source)
        self.destination.shutdown(socket.SHUT_WR)
        self.assertRaises(OSError, self.pipe.drain, self.destination)
        self.assertEqual(self.pipe.takeAll(), b"lost")


@skipUnless(CAN_SPLICE, "the system cannot splice")
class PipePoolTests(SynchronousTestCase):
    """
    Pipes that are lent.
    """

    def test_limit(self) -> None:
        """
        No more are lent than there may be; one that is given back is lent again.
        """
        pool = PipePool(2)
        before = descriptors()
        first, second = pool.take(), pool.take()
        assert first is not None and second is not None
        self.assertIsNot(first, second)
        self.assertIsNone(pool.take())
        self.assertEqual(descriptors(), before + 4)
        pool.give(first)
        self.assertIs(pool.take(), first)
        pool.give(first)
        pool.give(second)
        pool.close()
        self.assertEqual(descriptors(), before)

    def test_spare(self) -> None:
        """
        Few are kept that nobody uses.
        """
        pool = PipePool()
        before = descriptors()
        lent = [pool.take() for _ in range(40)]
        for pipe in lent:
            assert pipe is not None
            pool.give(pipe)
        self.assertEqual(descriptors(), before + 32)
        pool.close()
        self.assertEqual(descriptors(), before)

    def test_noDescriptors(self) -> None:
        """
        Without descriptors there is none.
        """
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        pool = PipePool()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        self.assertIsNone(pool.take())
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        pipe = pool.take()
        assert pipe is not None
        pool.give(pipe)
        pool.close()
