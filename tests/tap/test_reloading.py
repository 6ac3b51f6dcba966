"""
Tests of L{socks6.tap.reloading}; that C{twistd} reloads is tested in
L{tests.integration.test_reloading}.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from twisted.application.service import IService
from twisted.internet.error import ReactorNotRunning
from twisted.logger import LogLevel
from twisted.python import usage
from zope.interface.verify import verifyObject

from socks6.tap import reloading
from socks6.tap.reloading import ReloadingService
from socks6.wire.errors import UsageError
from tests.server.harness import MemoryTestCase


class Content:
    """
    What can be read again.

    @ivar calls: What was done, of all contents together.
    @ivar error: What is wrong, if anything is.
    """

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls
        self.error: Exception | None = None

    def prepare(self) -> Callable[[], None]:
        """
        Read it again.
        """
        self.calls.append(f"prepare {self.name}")
        if self.error is not None:
            raise self.error
        return lambda: self.calls.append(f"use {self.name}")


class LaterReactor:
    """
    A reactor in which things happen when the test wants.
    """

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.stops = 0
        self.isRunning = True

    def callFromThread(self, function: Callable[[], None]) -> None:
        """
        Call something soon.
        """
        self.later.append(function)

    def turn(self) -> None:
        """
        Call what is to be called.
        """
        later, self.later = self.later, []
        for function in later:
            function()

    def stop(self) -> None:
        """
        Stop.
        """
        if not self.isRunning:
            raise ReactorNotRunning
        self.isRunning = False
        self.stops += 1


class ReloadingServiceTests(MemoryTestCase):
    """
    L{ReloadingService}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = LaterReactor()
        self.calls: list[str] = []
        self.one, self.two = (Content(name, self.calls) for name in ("one", "two"))
        self.hasTerminal = False
        self.service = ReloadingService(
            self.reactor, {"one": self.one, "two": self.two}, lambda: self.hasTerminal
        )
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))

    def test_interface(self) -> None:
        """
        It is a service with a name.
        """
        self.assertTrue(verifyObject(IService, self.service))
        self.assertEqual(self.service.name, "reloading")

    def test_reloads(self) -> None:
        """
        Everything is read, then everything comes into force, with one line in the log.
        """
        self.service.startService()
        self.service.reload()
        self.assertEqual(self.calls, ["prepare one", "prepare two", "use one", "use two"])
        self.assertEqual(self.lines, ["Reloaded: one, two"])

    def test_mistake(self) -> None:
        """
        If one cannot be read, nothing comes into force, and one line says why.
        """
        self.service.startService()
        errors: list[tuple[Exception, str]] = [
            (OSError(13, "Permission denied", "/etc/two"), "/etc/two: Permission denied"),
            (OSError("no more memory"), "no more memory"),
            (ValueError("line 2:\n  nonsense"), "line 2: nonsense"),
            (UsageError("cannot be"), "cannot be"),
            (usage.UsageError("cannot be, either"), "cannot be, either"),
        ]
        for error, words in errors:
            self.events.clear()
            self.calls.clear()
            self.two.error = error
            self.service.reload()
            self.assertEqual(self.calls, ["prepare one", "prepare two"])
            self.assertEqual(
                self.lines, [f"Nothing was reloaded, and all stays as it was: two: {words}"]
            )
            self.assertEqual(self.events[0]["log_level"], LogLevel.error)
        self.two.error = None
        self.service.reload()
        self.assertEqual(self.lines[1:], ["Reloaded: one, two"])

    def test_nothing(self) -> None:
        """
        If there is nothing to read, the log says so.
        """
        service = ReloadingService(self.reactor, {})
        service.startService()
        service.reload()
        self.assertEqual(self.lines, ["There is nothing to reload"])

    def test_signal(self) -> None:
        """
        The signal reloads, in the reactor.
        """
        self.service.startService()
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.calls, [])
        self.reactor.turn()
        self.assertEqual(len(self.calls), 4)

    def test_stopping(self) -> None:
        """
        When it has stopped, as others still do, the signal neither reloads nor ends the
        process, and nor does one that came just before.
        """
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.service.startService()
        signal.raise_signal(signal.SIGHUP)
        self.service.stopService()
        signal.raise_signal(signal.SIGHUP)
        self.reactor.turn()
        self.assertEqual(self.calls, [])
        self.assertEqual(self.lines, [])

    def test_noSignal(self) -> None:
        """
        Some systems have no such signal.
        """
        self.patch(reloading, "_SIGNAL", None)
        before = signal.getsignal(signal.SIGHUP)
        self.service.startService()
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)
        self.service.stopService()

    def test_terminal(self) -> None:
        """
        With a terminal, the signal reloads; when that is gone, it is the end, and may be
        told twice.
        """
        self.hasTerminal = True
        self.service.startService()
        signal.raise_signal(signal.SIGHUP)
        self.reactor.turn()
        self.assertEqual(len(self.calls), 4)
        self.hasTerminal = False
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
        self.reactor.turn()
        self.assertEqual((len(self.calls), self.reactor.stops), (4, 1))
        self.service.stopService()
