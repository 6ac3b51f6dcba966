"""
Signals that come while C{twistd} is stopping already.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: Those that stop C{twistd}.
_STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """
    The signals that stop C{twistd}: the reactor hears the first one, and whoever can hurry
    hears all others.

    The reactor itself would complain, with a traceback, that it is stopping already; two
    may come before it has begun.
    """

    def __init__(self, reactor: Any, hurry: Callable[[], None]) -> None:
        """
        @param hurry: Is called in the reactor's thread, each time.
        """
        self._reactor = reactor
        self._hurry = hurry
        self._before: dict[int, Callable[[int, Any], Any]] = {}
        self._isStopping = False

    def hear(self) -> None:
        """
        Begin to hear them, once the reactor does, as long as the process is there.
        """
        # Elsewhere than in the main thread nobody hears signals.
        with suppress(ValueError):
            for number in _STOPPING:
                before = signal.getsignal(number)
                # Where nobody hears one, it is not ours either.
                if callable(before):
                    self._before[number] = before
                    signal.signal(number, self._heard)

    def stopping(self) -> None:
        """
        Take note that we stop, whether or not because of a signal.
        """
        self._isStopping = True

    def _heard(self, number: int, frame: object) -> None:
        """
        Pass a signal on.
        """
        if self._isStopping:
            self._reactor.callFromThread(self._hurry)
        else:
            self._isStopping = True
            self._before[number](number, frame)
