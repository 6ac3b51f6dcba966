"""
Tests of L{socks6.tap.signals}.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socks6.tap.signals import hearAgain


class Reactor:
    """
    Calls at once, in whatever thread.
    """

    def callFromThread(self, function: Callable[[], None]) -> None:
        """
        Call.
        """
        function()


class SignalTests(SynchronousTestCase):
    """
    Signals while a service stops.
    """

    def setUp(self) -> None:
        self.before = {
            number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
        }
        self.calls = 0

    def hurry(self) -> None:
        """
        Take note.
        """
        self.calls += 1

    def assertAsBefore(self) -> None:
        """
        Check that signals are handled as before.
        """
        for number, handler in self.before.items():
            self.assertIs(signal.getsignal(number), handler)

    def test_heard(self) -> None:
        """
        Each signal that stops twistd is passed on until all has stopped.
        """
        stopped: Deferred[str] = Deferred()
        self.assertIs(hearAgain(Reactor(), stopped, self.hurry), stopped)
        for count, number in enumerate(self.before, 1):
            os.kill(os.getpid(), number)
            self.assertEqual(self.calls, count)
        stopped.callback("result")
        self.assertAsBefore()
        self.assertEqual(self.successResultOf(stopped), "result")

    def test_otherThread(self) -> None:
        """
        A thread that hears no signals does not mind.
        """
        stopped: Deferred[None] = Deferred()
        thread = Thread(target=hearAgain, args=(Reactor(), stopped, self.hurry))
        thread.start()
        thread.join()
        self.assertAsBefore()
        stopped.callback(None)
        self.successResultOf(stopped)
