"""
Services under C{twistd}.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import Logger
from twisted.python import usage

from socks6.interfaces import SessionStoreFailed
from socks6.serving.service import ListeningService
from socks6.tap.common import CommonOptions
from socks6.tap.signals import StopSignals

#: What keeps the proxy from starting: Twisted raises the first three where it
#: cannot listen, the third one for port numbers that do not exist.
_CANNOT_START = (CannotListenError, OSError, OverflowError, SessionStoreFailed, usage.UsageError)


class CommandLineService(MultiService):
    """
    Stops C{twistd} with one clear line if the proxy cannot start.

    @ivar hearsSignals: Whether signals that stop are its business.
    """

    _log = Logger()

    def __init__(self, options: CommonOptions) -> None:
        """
        @param options: Those of the command line.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._options = options
        self.hearsSignals = True
        self._signals: StopSignals | None = None
        self._isHurried = False
        self._runner: Mapping[str, Any] = options.parent or {}

    def privilegedStartService(self) -> None:
        """
        Listen.

        @raise SystemExit: The proxy cannot; or what Twisted raises then, if
            C{twistd} has to tell the process that waits for its daemon.
        """
        try:
            super().privilegedStartService()  # type: ignore[no-untyped-call]
        except _CANNOT_START as error:
            self._stop(error)

    def startService(self) -> None:
        """
        Serve; and listen, if the runner is C{twist}, which knows no privileges.

        @raise SystemExit: As L{privilegedStartService}.
        """
        try:
            self._options.checkAgain()
            super().startService()  # type: ignore[no-untyped-call]
        except _CANNOT_START as error:
            self._stop(error)
        if self.hearsSignals:
            from twisted.internet import reactor

            self._signals = StopSignals(reactor, self.hurry)
            reactor.callWhenRunning(self._signals.hear)

    def stopService(self) -> Deferred[Any]:
        """
        Stop; who is told so again by a signal hurries.

        @return: Fires when all has stopped; never fails.
        """
        if self._signals is not None:
            self._signals.stopping()
        stopped: Deferred[Any] = super().stopService()  # type: ignore[no-untyped-call]
        if self._isHurried:
            self.hurry()
        return stopped

    def hurry(self) -> None:
        """
        Wait for tunnels no more, now or as soon as it stops.
        """
        self._isHurried = True
        for service in self:
            if isinstance(service, ListeningService):
                service.hurry()

    def _stop(self, error: Exception) -> NoReturn:
        """
        End the process.

        @raise SystemExit: Always, in the foreground.
        @raise Exception: C{error}, in the background.
        """
        if "nodaemon" not in self._runner:
            # twist does not log yet, and Twisted would print the line as well.
            raise SystemExit(f"twist {self._options.command}: {error}") from error
        self._log.critical("{error}", error=str(error))
        if not self._runner["nodaemon"]:
            raise error
        if self._runner["pidfile"]:
            Path(self._runner["pidfile"]).unlink(missing_ok=True)
        raise SystemExit(1) from error


def exitWithFailure() -> None:
    """
    Let the process end with status 1 when its reactor has stopped, which for C{twistd}
    is always a success.
    """
    atexit.register(_fail)


def _fail() -> NoReturn:
    """
    End the process.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


def raiseDescriptorLimit(reactor: object) -> None:
    """
    Let the process have as many descriptors as it may: a tunnel takes two, and
    the usual limit of 1,024 is one for programs that use C{select}.
    """
    # Where there are no such limits, there is no such module either.
    with suppress(ImportError):
        from resource import RLIMIT_NOFILE, getrlimit, setrlimit

        if not isinstance(reactor, SelectReactor):
            _, hard = getrlimit(RLIMIT_NOFILE)
            # Some systems promise more than they keep.
            with suppress(ValueError, OSError):
                setrlimit(RLIMIT_NOFILE, (hard, hard))
