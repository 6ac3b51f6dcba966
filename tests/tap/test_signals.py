"""
Tests of L{socks6.tap.signals}.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from socks6.tap.signals import StopSignals


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
    Signals that stop.
    """

    numbers = (signal.SIGTERM, signal.SIGINT)

    def setUp(self) -> None:
        self.calls: list[str] = []
        self.signals = StopSignals(Reactor(), lambda: self.calls.append("hurry"))
        for number in self.numbers:
            before = signal.signal(number, self.handle)
            self.addCleanup(signal.signal, number, before)

    def handle(self, number: int, _: object) -> None:
        """
        Take note, as the reactor would.
        """
        self.calls.append(signal.Signals(number).name)

    def send(self, *numbers: int) -> list[str]:
        """
        Send ourselves signals.

        @return: What was done.
        """
        for number in numbers:
            os.kill(os.getpid(), number)
        calls, self.calls = self.calls, []
        return calls

    def test_first(self) -> None:
        """
        Whichever comes first is the reactor's; all others let us hurry.
        """
        for first in self.numbers:
            for number in self.numbers:
                signal.signal(number, self.handle)
            signals = StopSignals(Reactor(), lambda: self.calls.append("hurry"))
            signals.hear()
            self.assertEqual(
                self.send(first, *self.numbers, first), [first.name, "hurry", "hurry", "hurry"]
            )

    def test_stopping(self) -> None:
        """
        If we stop for another reason, the first lets us hurry, too.
        """
        self.signals.hear()
        self.signals.stopping()
        self.assertEqual(self.send(*self.numbers), ["hurry", "hurry"])

    def test_notHeard(self) -> None:
        """
        One that nobody hears stays so.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.signals.hear()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
        self.assertEqual(self.send(signal.SIGTERM, signal.SIGINT), ["SIGTERM"])

    def test_otherThread(self) -> None:
        """
        A thread that hears no signals does not mind.
        """
        failures: list[BaseException] = []

        def hear() -> None:
            try:
                self.signals.hear()
            except BaseException as error:  # noqa: BLE001  whatever it is
                failures.append(error)

        thread = Thread(target=hear)
        thread.start()
        thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.send(*self.numbers), ["SIGTERM", "SIGINT"])
