"""
How long to wait after a failure.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds until the next try; each failure in a row doubles them.
MIN_DELAY = 0.5
MAX_DELAY = 60.0


class BackOff:
    """
    Lets pass more and more time between tries.
    """

    def __init__(self, clock: IReactorTime, tryAgain: Callable[[], object]) -> None:
        """
        @param tryAgain: Is called when enough time has passed.
        """
        self._clock = clock
        self._tryAgain = tryAgain
        self._delay = MIN_DELAY
        self._call: IDelayedCall | None = None

    @property
    def isWaiting(self) -> bool:
        """
        Whether it is too early to try again.
        """
        return self._call is not None

    def failed(self) -> float:
        """
        Wait.

        @return: So many seconds.
        """
        delay = self._delay
        self._call = self._clock.callLater(delay, self._waited)
        self._delay = min(2 * delay, MAX_DELAY)
        return delay

    def _waited(self) -> None:
        """
        Try again.
        """
        self._call = None
        self._tryAgain()

    def reset(self) -> None:
        """
        Wait no more, and begin with little the next time.
        """
        self._delay = MIN_DELAY
        if self._call is not None:
            self._call.cancel()
            self._call = None
