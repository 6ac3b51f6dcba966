"""
Tests of L{socks6.workers.worker}; that a worker serves and ends is tested in
L{tests.integration.test_workers}.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.workers.worker import RELOAD, Lifeline, readLine


class PipeTestCase(SynchronousTestCase):
    """
    A test with a pipe.
    """

    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.reading)

    def write(self, octets: bytes) -> None:
        """
        Write all that is ever written, and end the pipe.
        """
        os.write(self.writing, octets)
        os.close(self.writing)


class ReadLineTests(PipeTestCase):
    """
    L{readLine}.
    """

    def test_line(self) -> None:
        """
        It leaves what is behind the line.
        """
        self.write(b"one\ntwo\n\nthree")
        self.assertEqual(readLine(self.reading), b"one")
        self.assertEqual(os.read(self.reading, 4), b"two\n")
        self.assertEqual(readLine(self.reading), b"")
        self.assertEqual(readLine(self.reading), b"three")
        self.assertEqual(readLine(self.reading), b"")


class Readers(set[Any]):
    """
    A reactor that has readers.
    """

    addReader = set.add
    removeReader = set.discard


class LifelineTests(PipeTestCase):
    """
    L{Lifeline}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.calls = 0
        self.reactor = Readers()
        self.reloads = 0
        self.lifeline = Lifeline(self.reactor, self.reading, self.gone, self.reload)

    def gone(self) -> None:
        """
        Notice that the process is gone.
        """
        self.calls += 1

    def reload(self) -> None:
        """
        Be told to reload.
        """
        self.reloads += 1

    def test_interface(self) -> None:
        """
        It is what reactors read, by its descriptor.
        """
        self.assertTrue(verifyObject(IReadDescriptor, self.lifeline))
        self.assertEqual(self.reactor, {self.lifeline})
        self.assertEqual(self.lifeline.fileno(), self.reading)
        self.assertEqual(self.lifeline.logPrefix(), "Lifeline")
        os.close(self.writing)

    def test_nothing(self) -> None:
        """
        Nothing is waited for.
        """
        self.assertIsNone(self.lifeline.doRead())
        os.close(self.writing)

    def test_words(self) -> None:
        """
        What is written there is the order to reload, once for all that has come; the end
        is the end.
        """
        os.write(self.writing, RELOAD)
        self.assertIsNone(self.lifeline.doRead())
        self.assertEqual(self.reloads, 1)
        self.write(RELOAD * 2)
        self.assertIsNone(self.lifeline.doRead())
        self.assertEqual(self.reloads, 2)
        reason: Any = self.lifeline.doRead()
        self.assertIs(reason.value, CONNECTION_DONE)
        self.assertEqual(self.calls, 0)
        self.lifeline.connectionLost(reason)
        self.assertEqual((self.calls, self.reloads, self.reactor), (1, 2, set()))

    def test_lost(self) -> None:
        """
        The reactor takes leave when it stops.
        """
        self.lifeline.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual((self.calls, self.reactor), (1, set()))
        os.close(self.writing)
