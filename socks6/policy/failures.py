"""
Who guesses passwords: failed logins, counted by where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from socks6.quota import LineQuota
from socks6.values.address import ClientNetwork

#: Failed logins after which a network is barred, and the seconds in which they count.
LIMIT = 10
PERIOD = 60.0

#: Networks that are kept in mind.
MAX_NETWORKS = 16_384

#: Seconds before the answer to the first failed login of a network, and at most.
FIRST_DELAY = 0.25
LONGEST_DELAY = 4.0

#: Lines on networks that were barred, and the seconds in which there are no more.
LINES = 10
LINES_PERIOD = 60.0


@dataclass(slots=True)
class _Record:
    """
    What is known of a network.

    @ivar until: When all that is forgotten.
    """

    until: float
    count: int = 0
    isBarred: bool = False


class FailedLogins:
    """
    Counts the failed logins of each network, slows them, and bars those that have
    too many.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        limit: int = LIMIT,
        period: float = PERIOD,
        maxNetworks: int = MAX_NETWORKS,
    ) -> None:
        """
        @param limit: Failed logins after which a network is barred.
        @param period: Seconds after the first of them in which they count, and for
            which it is barred.
        @param maxNetworks: Networks that are kept in mind; if there are more, those are
            forgotten that have failed least recently.
        @raise ValueError: One of the numbers is out of range.
        """
        if limit < 1 or maxNetworks < 1:
            raise ValueError("the number of failed logins and of networks must be above 0")
        if not 0 < period < math.inf:
            raise ValueError(f"not a number of seconds above 0: {period}")
        self.clock = clock
        self._limit = limit
        self._period = period
        self._maxNetworks = maxNetworks
        #: Those that have failed least recently come first.
        self._records: dict[ClientNetwork, _Record] = {}
        #: Networks of which logins are being checked.
        self._turns: dict[ClientNetwork, DeferredSemaphore] = {}
        self._lines = LineQuota(clock, LINES, LINES_PERIOD, self._moreBarred)

    async def turn(self, network: ClientNetwork) -> Callable[[], None]:
        """
        Wait until fewer logins of a network are being checked than may fail, so that
        nobody keeps others waiting by many guesses at the same time.

        @return: To be called when the login has been checked.
        """
        turns = self._turns.setdefault(network, DeferredSemaphore(self._limit))
        await turns.acquire()

        def release() -> None:
            turns.release()
            if turns.tokens == turns.limit and self._turns.get(network) is turns:
                del self._turns[network]

        def releaseSoon() -> None:
            if turns.waiting:
                # The next one may be done at once, and so may all behind it: of a
                # thousand, each would end the one before from deeper in the stack.
                self.clock.callLater(0, release)
            else:
                release()

        return releaseSoon

    def isBarred(self, network: ClientNetwork) -> bool:
        """
        Tell whether nobody is let in from a network for now.
        """
        record = self._recordOf(network)
        return record is not None and record.isBarred

    def count(self, network: ClientNetwork) -> float:
        """
        Take note of a failed login.

        @return: Seconds until the client shall learn of it.
        """
        record = self._recordOf(network) or _Record(self.clock.seconds() + self._period)
        record.count += 1
        if record.count >= self._limit and not record.isBarred:
            record.isBarred = True
            record.until = self.clock.seconds() + self._period
            self._logBarred(network, record)
        # It comes last again.
        self._records.pop(network, None)
        self._records[network] = record
        if len(self._records) > self._maxNetworks:
            del self._records[next(iter(self._records))]
        # The power grows beyond what a float holds, if many are allowed.
        return min(FIRST_DELAY * 2.0 ** min(record.count - 1, 16), LONGEST_DELAY)

    def _recordOf(self, network: ClientNetwork) -> _Record | None:
        """
        Find what is known of a network, if that still counts.
        """
        record = self._records.get(network)
        if record is not None and self.clock.seconds() >= record.until:
            del self._records[network]
            return None
        return record

    def _logBarred(self, network: ClientNetwork, record: _Record) -> None:
        """
        Write that a network is barred, within the quota.
        """
        if self._lines.take():
            self._log.warn(
                "{network} is barred for {period:g} s: {count} failed logins",
                network=str(network),
                period=self._period,
                count=record.count,
            )

    def _moreBarred(self, count: int) -> None:
        """
        Write how many were barred without a line.
        """
        self._log.warn("{count} more addresses were barred", count=count)
