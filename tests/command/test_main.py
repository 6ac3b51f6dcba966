"""
Tests for L{socks6.command.main}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from configparser import ConfigParser
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from socks6.command import main as module
from socks6.command.connect import connect
from socks6.command.main import STOPPED, main
from socks6.command.probe import probe
from tests.command.harness import PROXY, CommandTestCase, written
from tests.doubles import Network

CHECKOUT = Path(__file__).resolve().parents[2]


class RunningNetwork(Network):
    """
    A reactor that runs until something stops it.

    @ivar meanwhile: What happens in this time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self) -> None:
        """
        Let everything happen.
        """
        self.hasRun = True
        for call, arguments, options in self.whenRunningHooks:
            call(*arguments, **options)
        self.spin()
        self.meanwhile()
        self.spin()
        if not self.hasStopped:
            raise AssertionError("it would run for ever")

    def interrupt(self) -> None:
        """
        Do what reactors do after a signal.
        """
        for call, arguments, options in self.triggers["before"]["shutdown"]:
            call(*arguments, **options)
        self.stop()


class MainTests(CommandTestCase):
    """
    The program from its beginning to its exit status.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = RunningNetwork()
        self.patch(task, "react", partial(task.react, _reactor=self.reactor))
        #: What happens to the standard descriptors, and the commands that are run.
        self.events: list[object] = []
        self.patch(module, "openDescriptors", lambda: self.events.append("open"))
        self.patch(module, "letBlock", lambda: self.events.append("let block"))

    def run_(self, *arguments: str, outcome: Callable[[], Any] = lambda: 0) -> Any:
        """
        Run the program, with commands that do nothing.

        @param outcome: Gives their exit status, or a Deferred with it.
        @return: The exit status.
        """

        def command(name: str) -> Any:
            async def work(reactor: Any, options: Any) -> Any:
                self.assertIs(reactor, self.reactor)
                self.events.append((name, options.url.host))
                result = outcome()
                return await result if isinstance(result, Deferred) else result

            return work

        self.patch(module, "_COMMANDS", {name: command(name) for name in ("connect", "probe")})
        return self.assertRaises(SystemExit, main, arguments).code

    def test_commands(self) -> None:
        """
        Each command is run with its options, and its status is the program's.
        """
        for status in (0, 2, 3):
            for arguments in (["probe"], ["connect", "host.example", "443"]):
                self.setUp()
                code = self.run_(*arguments, "--proxy", PROXY, outcome=lambda s=status: s)  # type: ignore[misc]
                self.assertEqual(code, status)
                self.assertEqual(self.events, ["open", (arguments[0], "127.0.0.1"), "let block"])

    def test_table(self) -> None:
        """
        The commands are those that the options know.
        """
        self.assertEqual(module._COMMANDS, {"connect": connect, "probe": probe})

    def test_later(self) -> None:
        """
        A command takes its time.
        """
        result: Deferred[int] = Deferred()
        self.reactor.meanwhile = lambda: result.callback(3)
        self.assertEqual(self.run_("probe", "--proxy", PROXY, outcome=lambda: result), 3)

    def test_signal(self) -> None:
        """
        A signal breaks the command off, which is told from success.
        """
        cancelled: list[object] = []
        result: Deferred[int] = Deferred(cancelled.append)
        self.reactor.meanwhile = self.reactor.interrupt
        code = self.run_("probe", "--proxy", PROXY, outcome=lambda: result)
        self.assertEqual((code, cancelled), (STOPPED, [result]))
        self.assertEqual(self.events[-1], "let block")

    def test_signalAtTheEnd(self) -> None:
        """
        A signal that comes too late changes nothing.
        """
        self.reactor.meanwhile = self.reactor.interrupt
        self.assertEqual(self.run_("probe", "--proxy", PROXY, outcome=lambda: 2), 2)

    def test_ourError(self) -> None:
        """
        An error of ours is one for people who mend such things.
        """

        def fail() -> int:
            raise ZeroDivisionError

        self.assertEqual(self.run_("probe", "--proxy", PROXY, outcome=fail), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.events[-1], "let block")

    def test_mistake(self) -> None:
        """
        A mistake on the command line is one line, which Python writes to standard error
        before it exits with status 1.
        """
        code = self.run_("probe", "--proxy", "http://host.example")
        self.assertTrue(code.startswith("socks6: the proxy is not of the form "), code)
        self.assertNotIn("\n", code)
        self.assertFalse(self.reactor.hasRun)

    def test_arguments(self) -> None:
        """
        Arguments that are not given are those of the process.
        """
        self.patch(sys, "argv", ["socks6", "--version"])
        with written() as (output, _):
            self.assertEqual(self.assertRaises(SystemExit, main).code, 0)
        self.assertTrue(output.getvalue().startswith("socks6 "))

    def test_script(self) -> None:
        """
        What is installed as C{socks6} is this.
        """
        metadata = ConfigParser()
        metadata.read(CHECKOUT / "setup.cfg", "utf-8")
        name, _, place = metadata["options.entry_points"]["console_scripts"].partition("=")
        self.assertEqual(name.strip(), "socks6")
        where, _, function = place.strip().partition(":")
        self.assertIs(getattr(import_module(where), function), main)
