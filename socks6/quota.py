"""
Log lines that others cause, so few that nobody can fill a disk with them.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime


class LineQuota:
    """
    Allows some lines in each period, and counts those that it did not allow.
    """

    def __init__(
        self, clock: IReactorTime, lines: int, period: float, report: Callable[[int], None]
    ) -> None:
        """
        @param lines: How many there may be in a period.
        @param period: Its length in seconds.
        @param report: Told after a period how many lines were not allowed in it,
            if there were any.
        """
        self._clock = clock
        self._lines = lines
        self._period = period
        self._report = report
        self._began = clock.seconds()
        self._asked = 0

    def take(self) -> bool:
        """
        Ask for a line.

        @return: Whether it may be written.
        """
        self.renewIfDue()
        self._asked += 1
        return self._asked <= self._lines

    def renewIfDue(self) -> None:
        """
        Begin a new period if this one is over.
        """
        if self._clock.seconds() - self._began >= self._period:
            self.renew()

    def renew(self) -> None:
        """
        Begin a new period.
        """
        suppressed, self._asked = self._asked - self._lines, 0
        self._began = self._clock.seconds()
        if suppressed > 0:
            self._report(suppressed)
