"""
Tests of L{socks6.tap.runner}.
"""

from __future__ import annotations

import atexit
import io
import os
import resource
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.error import CannotListenError
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import LogLevel
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import SessionStoreFailed
from socks6.tap.common import CommonOptions
from socks6.tap.runner import CommandLineService, exitWithFailure, raiseDescriptorLimit
from tests.server.harness import MemoryTestCase


class ExampleOptions(CommonOptions):
    """
    A command line that the test finds fault with.

    @ivar error: What is wrong with it, once the process is who it will be.
    """

    command = "example"
    error: Exception | None = None

    def checkAgain(self) -> None:
        """
        Find that out.
        """
        if self.error is not None:
            raise self.error


class Part(Service):
    """
    A part of the service that may not be able to start.

    @ivar calls: What was asked of it.
    @ivar error: Why it cannot.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.error = error

    def privilegedStartService(self) -> None:
        """
        Start, as far as that needs privileges.
        """
        self._start("privileged")

    def startService(self) -> None:
        """
        Start.
        """
        self._start("start")

    def _start(self, call: str) -> None:
        """
        Take note, and fail.
        """
        self.calls.append(call)
        if self.error is not None:
            raise self.error


#: What keeps a service from starting.
ERRORS = (
    CannotListenError("192.0.2.1", 1080, OSError(98, "taken")),
    OSError(13, "Permission denied"),
    OverflowError("bind(): port must be 0-65535."),
    SessionStoreFailed("no such database"),
    UsageError("no such password file"),
)


class CommandLineServiceTests(MemoryTestCase):
    """
    L{CommandLineService}.
    """

    def service(
        self, error: Exception | None = None, **runner: object
    ) -> tuple[CommandLineService, Part]:
        """
        Make a service.

        @param runner: What C{twistd} was told; nothing: it is C{twist} that runs it.
        @return: It, and its part.
        """
        options: Any = ExampleOptions()
        options.parent = runner or None
        service = CommandLineService(options)
        # The reactor is trial's.
        service.hearsSignals = False
        part = Part(error)
        part.setServiceParent(service)
        return service, part

    def test_starts(self) -> None:
        """
        It starts its parts as other services do.
        """
        for service, part in (self.service(), self.service(nodaemon=True, pidfile="")):
            self.assertTrue(verifyObject(IService, service))
            service.privilegedStartService()
            self.assertEqual(part.calls, ["privileged"])
            service.startService()
            self.assertEqual(part.calls, ["privileged", "start"])
            self.assertTrue(service.running)

    def test_foreground(self) -> None:
        """
        In the foreground, what keeps it from starting is one line, and exit status 1;
        no pidfile stays behind.
        """
        for error in ERRORS:
            for start in (
                CommandLineService.privilegedStartService,
                CommandLineService.startService,
            ):
                for named in (True, False):
                    pidfile = Path(self.mktemp())
                    pidfile.write_text("1", "utf-8")
                    self.events.clear()
                    service, _ = self.service(
                        error, nodaemon=True, pidfile=str(pidfile) if named else ""
                    )
                    raised = self.assertRaises(SystemExit, start, service)
                    self.assertEqual(raised.code, 1)
                    self.assertEqual(self.lines, [str(error)])
                    self.assertEqual(self.events[-1]["log_level"], LogLevel.critical)
                    self.assertEqual(pidfile.exists(), not named)

    def test_noPidfile(self) -> None:
        """
        The pidfile may be gone already.
        """
        service, _ = self.service(ERRORS[0], nodaemon=True, pidfile=self.mktemp())
        self.assertEqual(self.assertRaises(SystemExit, service.startService).code, 1)

    def test_background(self) -> None:
        """
        A daemon's parent waits for word of it, which only C{twistd} can give; the
        pidfile is C{twistd}'s, too.
        """
        pidfile = Path(self.mktemp())
        pidfile.write_text("1", "utf-8")
        for error in ERRORS:
            self.events.clear()
            service, _ = self.service(error, nodaemon=False, pidfile=str(pidfile))
            raised = self.assertRaises(type(error), service.startService)
            self.assertIs(raised, error)
            self.assertEqual(self.lines, [str(error)])
            self.assertTrue(pidfile.exists())

    def test_twist(self) -> None:
        """
        C{twist} does not log yet, so that Python writes the line.
        """
        for error in ERRORS:
            service, _ = self.service(error)
            raised = self.assertRaises(SystemExit, service.startService)
            self.assertEqual(raised.code, f"twist example: {error}")
            self.assertEqual(self.lines, [])

    def test_ourMistakes(self) -> None:
        """
        Our own mistakes are not hidden.
        """
        error = ZeroDivisionError()
        for service, _ in (self.service(error), self.service(error, nodaemon=True, pidfile="")):
            self.assertRaises(ZeroDivisionError, service.privilegedStartService)
            self.assertRaises(ZeroDivisionError, service.startService)

    def test_checkedAgain(self) -> None:
        """
        What may have changed is checked before anything starts.
        """
        service, part = self.service(nodaemon=True, pidfile="")
        options: Any = service._options
        options.error = UsageError("the file is gone")
        service.privilegedStartService()
        self.assertEqual(self.assertRaises(SystemExit, service.startService).code, 1)
        self.assertEqual(part.calls, ["privileged"])
        self.assertEqual(self.lines, ["the file is gone"])


class ExitTests(SynchronousTestCase):
    """
    How the process ends that has run a reactor.
    """

    def test_failure(self) -> None:
        """
        It ends with status 1 when all else is done, and everything written is out.
        """
        calls: list[object] = []
        self.patch(atexit, "register", calls.append)
        exitWithFailure()
        (end,) = calls
        assert callable(end)
        output = Output()
        self.patch(sys, "stdout", output)
        self.patch(os, "_exit", lambda status: calls.append((status, output.isOut)))
        end()
        self.assertEqual(calls[1:], [(1, True)])


class Output(io.StringIO):
    """
    A stream.

    @ivar isOut: Whether everything that was written is out.
    """

    isOut = False

    def flush(self) -> None:
        """
        Write it out.
        """
        self.isOut = True


class DescriptorLimitTests(SynchronousTestCase):
    """
    How many descriptors the process may have.
    """

    def setUp(self) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        self.hard = limits[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, self.hard))

    @property
    def soft(self) -> int:
        """
        The limit that holds.
        """
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def test_raised(self) -> None:
        """
        It gets as many as it may have.
        """
        raiseDescriptorLimit(object())
        self.assertEqual(self.soft, self.hard)

    def test_select(self) -> None:
        """
        C{select} cannot watch more than it always could.
        """
        raiseDescriptorLimit(SelectReactor())
        self.assertEqual(self.soft, 500)

    def test_refused(self) -> None:
        """
        If the system does not let it, the limit stays.
        """

        def setrlimit(which: int, limits: tuple[int, int]) -> None:
            raise ValueError("not allowed to raise maximum limit")

        original = resource.setrlimit
        self.patch(resource, "setrlimit", setrlimit)
        raiseDescriptorLimit(object())
        self.assertEqual(self.soft, 500)
        self.patch(resource, "setrlimit", original)
