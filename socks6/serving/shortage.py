"""
Keeps a proxy from running out of memory.

Before there is none, nobody new is let in; if it gets less all the same, as those who are
in fill their tunnels, then those go for whom most is kept.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from heapq import nlargest
from typing import TYPE_CHECKING
from weakref import WeakSet

from twisted.application.service import Service
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.memory import RESERVE, Bound, Reserve, boundsOfSystem, ofProcess
from socks6.quota import LineQuota
from socks6.relay.buffers import isGone, unsentLength
from socks6.relay.legs import LegProtocol, describe

if TYPE_CHECKING:
    from socks6.serving.factory import ClientProtocol, ServingFactory

#: Seconds for which a look at the memory is good.
_GOOD = 0.05

#: Seconds between two looks while there are clients.
INTERVAL = 0.1

#: Connections that are cut at a time.
_CUT_AT_ONCE = 64

#: Octets that must be kept for a connection, so that cutting it helps.
LEAST_HELD = 32768

#: Lines of each kind about a lack of memory within a period.
_LINES = 10

#: Seconds of such a period.
_PERIOD = 60.0

_MIB = 2**20


def heldFor(protocol: ClientProtocol) -> int:
    """
    Tell how many octets wait in this process for the ends of a client's tunnel to read
    them, or for it to be opened.
    """
    tunnel = protocol.conversation.tunnel
    held = unsentLength(protocol.conversation.transport)
    if tunnel is None:
        return held + protocol.conversation.heldLength
    return held + unsentLength(tunnel.remoteTransport)


class MemoryService(Service):
    """
    Looks at how much memory there is, as long as there are clients.

    @ivar bounds: What limits it, once the service runs.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        factory: ServingFactory,
        most: int | None = None,
        system: Callable[[], Sequence[Bound]] = boundsOfSystem,
        reserve: Reserve = RESERVE,
    ) -> None:
        """
        @param clock: Tells the time.
        @param factory: Knows the clients.
        @param most: Octets that the process may have, if the system allows as many.
        @param system: Finds what that allows.
        @param reserve: Hears of it when there is none.
        """
        self._clock = clock
        self._factory = factory
        self._most = most
        self._system = system
        self._reserve = reserve
        self._lines = LineQuota(clock, _LINES, _PERIOD, self._moreFailed)
        self._cutLines = LineQuota(clock, _LINES, _PERIOD, self._moreCut)
        self.bounds: Sequence[Bound] = ()
        self._call: IDelayedCall | None = None
        #: When we looked, and what we saw: which bound is close, and by how much memory is to
        #: shrink.
        self._lookedAt = 0.0
        self._close: Bound | None = None
        self._excess = 0
        #: Whether memory has run out since we looked for what that has left behind.
        self._hasFailed = False
        #: Whether there was somebody to cut at last, or no need for it.
        self._isHopeful = True
        self._cut: WeakSet[ClientProtocol] = WeakSet()
        #: How many connections there were at most since Python looked for garbage.
        self._peak = 0

    def startService(self) -> None:
        """
        Begin to look.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self.bounds = [*self._system()]
        if self._most is not None:
            self.bounds.append(ofProcess(self._most))
        self._reserve.hearers.append(self._failed)
        if self.bounds:
            self._lookedAt = self._clock.seconds() - INTERVAL
            self._factory.gate.lacksMemory = self.complaint
            self._keepReserve()

    def stopService(self) -> None:
        """
        Look no more.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._factory.gate.lacksMemory = None
        if self._failed in self._reserve.hearers:
            self._reserve.hearers.remove(self._failed)
        self._reserve.giveUp()
        self._lines.renew()
        self._cutLines.renew()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def complaint(self) -> str | None:
        """
        Say why somebody new may not come; who comes makes us look on.

        @return: L{None}: there is no reason.
        """
        self._look()
        if self._call is None:
            self._call = self._clock.callLater(INTERVAL, self._lookOn)
        if self._close is not None:
            return f"little is left of the {self._close.most // _MIB} MiB of {self._close.name}"
        return "there was no memory left" if self._hasFailed else None

    def _look(self) -> None:
        """
        See how much memory there is, unless we have just done so.
        """
        now = self._clock.seconds()
        if 0 <= now - self._lookedAt < _GOOD:
            return
        self._lookedAt = now
        self._close, self._excess = None, 0
        for bound in self.bounds:
            used = bound.used()
            if used > bound.fullFrom:
                used = bound.exactly()
            if used > bound.fullFrom:
                self._close = bound
                self._excess = max(self._excess, used - bound.dangerousFrom)

    def _lookOn(self) -> None:
        """
        Look, and act; and again, while there are clients or there is something to act on.
        """
        self._call = None
        self._look()
        self._peak = max(self._peak, self._factory.openCount)
        if self._close is not None and 2 * self._factory.openCount <= self._peak:
            # What is kept for those who have gone may be in circles, and long idle tunnels
            # make nobody look for them.
            self._peak = self._factory.openCount
            gc.collect()
        if self._excess > 0:
            self._relieve(self._excess)
        elif self._close is None and self._hasFailed:
            self._hasFailed = False
            self._sweep()
        if self._close is None:
            self._isHopeful = True
            self._keepReserve()
        if self._factory.openCount or self._close is not None or self._hasFailed:
            self._call = self._clock.callLater(INTERVAL, self._lookOn)

    def _keepReserve(self) -> None:
        """
        Have something to give up, where we are told that there is no memory.
        """
        if any(bound.canFail for bound in self.bounds):
            self._reserve.keep()

    def _relieve(self, excess: int) -> None:
        """
        Cut those for whom most is kept.

        @param excess: About how many octets that is to bring.
        """
        most = nlargest(
            _CUT_AT_ONCE,
            (
                (heldFor(each), each.number, each)
                for each in self._factory.connections()
                if each not in self._cut
            ),
        )
        isSomebodyGoing = any(not each.lost for each in self._cut)
        self._isHopeful = isSomebodyGoing or (bool(most) and most[0][0] >= LEAST_HELD)
        for held, _, protocol in most:
            if held < LEAST_HELD or excess <= 0:
                break
            excess -= held
            self._cut.add(protocol)
            self._factory.gate.refused["buffers"] += 1
            if self._cutLines.take():
                self._log.warn(
                    "{peer} is cut, as {held} KiB are kept for it and there is little memory",
                    peer=describe(protocol.conversation.transport.getPeer()),
                    held=held // 1024,
                )
            protocol.cut("cut, as there was too little memory")

    def _failed(self) -> bool:
        """
        Take note that somebody was given no memory, and act on it as soon as can be.

        @return: Whether that is going to help.
        """
        self._hasFailed = True
        if self._lines.take():
            self._log.warn("there is no memory left: what needed it has ended")
        if self._call is not None:
            self._call.cancel()
        self._call = self._clock.callLater(0.0, self._actOnFailure)
        return self._isHopeful

    def _actOnFailure(self) -> None:
        """
        Get memory, however much there seems to be.
        """
        self._relieve(_CUT_AT_ONCE * LEAST_HELD)
        self._call = self._clock.callLater(INTERVAL, self._lookOn)

    def _sweep(self) -> None:
        """
        Tell those that their connections are gone who could not be told when there was no
        memory for that.
        """
        for protocol in list(self._factory.connections()):
            tunnel = protocol.conversation.tunnel
            legs: Sequence[LegProtocol] = [protocol] if tunnel is None else tunnel.legs
            for leg in legs:
                if not leg.lost and leg.transport is not None and isGone(leg.transport):
                    leg.connectionLost(Failure(ConnectionLost()))

    def _moreCut(self, count: int) -> None:
        """
        Write how many were cut without a line.
        """
        self._log.warn("{count} more were cut as there was little memory", count=count)

    def _moreFailed(self, count: int) -> None:
        """
        Write how often there was no line.
        """
        self._log.warn("there was no memory {count} more times", count=count)
