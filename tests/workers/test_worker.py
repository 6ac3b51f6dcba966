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

from socks6.workers.worker import HURRY, RELOAD, STOP, Lifeline, readLine


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
        self.calls: list[str] = []
        self.reactor = Readers()
        self.lifeline = Lifeline(
            self.reactor,
            self.reading,
            lambda: self.calls.append("stop"),
            lambda: self.calls.append("hurry"),
            lambda: self.calls.append("reload"),
        )

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
        What is written there is obeyed, once for all that has come; the end is the end.
        """
        for word, call in ((RELOAD, "reload"), (STOP, "stop")):
            os.write(self.writing, word * 2)
            self.assertIsNone(self.lifeline.doRead())
            self.assertEqual(self.calls.pop(), call)
        self.write(HURRY)
        self.assertIsNone(self.lifeline.doRead())
        self.assertEqual(self.calls, ["hurry"])
        reason: Any = self.lifeline.doRead()
        self.assertIs(reason.value, CONNECTION_DONE)
        self.assertEqual(self.calls, ["hurry"])
        self.lifeline.connectionLost(reason)
        self.assertEqual((self.calls, self.reactor), (["hurry", "stop"], set()))

    def test_bothAtOnce(self) -> None:
        """
        Words that come together are both obeyed, in their order.
        """
        self.write(STOP + HURRY)
        self.assertIsNone(self.lifeline.doRead())
        self.assertEqual(self.calls, ["stop", "hurry"])

    def test_lost(self) -> None:
        """
        The reactor takes leave when it stops.
        """
        self.lifeline.connectionLost(Failure(CONNECTION_DONE))
        self.assertEqual((self.calls, self.reactor), (["stop"], set()))
        os.close(self.writing)
