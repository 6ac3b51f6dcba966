"""
What is read again when the process is told to (SIGHUP).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python import usage

from socks6.wire.errors import UsageError

#: How a file says that it cannot be taken.
_MISTAKES = (OSError, ValueError, UsageError, usage.UsageError)

#: The signal, where there is one.
_SIGNAL: int | None = getattr(signal, "SIGHUP", None)


@runtime_checkable
class Reloadable(Protocol):
    """
    What was read from a file.
    """

    def prepare(self) -> Callable[[], None]:
        """
        Read the file again.

        @return: Puts what was read in force; is called at once, or never.
        @raise OSError: The file cannot be read.
        @raise ValueError: What it holds does not serve; says so in one line.  So do
            the two kinds of C{UsageError}.
        """


def _hasTerminal() -> bool:
    """
    Tell whether a terminal is there that we were started from.
    """
    return os.isatty(0)


class ReloadingService(Service):
    """
    Reads everything again when the process is told to: either all of it comes into
    force, or nothing does.

    Once it has been started, the signal is its business for as long as the process is
    there: the system's own handler would end a process that is about to stop by itself,
    when its tunnels have ended.
    """

    #: What it is called among the services beside it.
    name = "reloading"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        contents: Mapping[str, Reloadable],
        hasTerminal: Callable[[], bool] = _hasTerminal,
    ) -> None:
        """
        @param contents: What there is to read, by the words for it, in the order in which
            it comes into force.
        """
        self._reactor = reactor
        self._contents = contents
        self._hasTerminal = hasTerminal
        self._hadTerminal = False

    def startService(self) -> None:
        """
        Listen to the signal.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._hadTerminal = self._hasTerminal()
        if _SIGNAL is not None:
            signal.signal(_SIGNAL, self._signalled)

    def _signalled(self, *_: object) -> None:
        """
        Act on the signal when nothing else is going on.
        """
        self._reactor.callFromThread(self._hungUp)

    def _hungUp(self) -> None:
        """
        Reload, or stop if the signal means that our terminal is gone.
        """
        if self._hadTerminal and not self._hasTerminal():
            with suppress(ReactorNotRunning):
                self._reactor.stop()
        else:
            self.reload()

    def reload(self) -> None:
        """
        Read everything again, unless we are stopping.
        """
        if not self.running:
            # What there was to read may be gone.
            return
        if not self._contents:
            self._log.info("There is nothing to reload")
            return
        prepared = []
        for name, content in self._contents.items():
            try:
                prepared.append(content.prepare())
            except _MISTAKES as error:
                self._log.error(
                    "Nothing was reloaded, and all stays as it was: {name}: {reason}",
                    name=name,
                    reason=_words(error),
                )
                return
        for putInForce in prepared:
            putInForce()
        self._log.info("Reloaded: {names}", names=", ".join(self._contents))


def _words(error: Exception) -> str:
    """
    Say in one line what is wrong.
    """
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
