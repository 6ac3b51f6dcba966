"""
Time-outs that share the reactor's delayed calls.

A proxy sets several for each connection, always for the same few lengths, and cancels
nearly all of them.  Those of one length end in the order in which they were set, so one
delayed call, for the first of them, is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

#: Seconds by which a time-out may end too early: those that were set together end
#: together.
_SLACK = 0.001


@implementer(IDelayedCall)
class Timeout:
    """
    One time-out.
    """

    __slots__ = ("_at", "_call", "_owner", "_seconds", "_wasCancelled")

    def __init__(self, owner: Timeouts, seconds: float, call: Callable[[], object]) -> None:
        """
        @param owner: Knows the others.
        @param seconds: How long it is.
        @param call: Is called at its end.
        """
        self._owner = owner
        self._call: Callable[[], object] | None = call
        self._wasCancelled = False
        self._set(seconds)

    def _set(self, seconds: float) -> None:
        """
        Let it begin.
        """
        owner = self._owner
        # What is overdue ends as soon as can be.
        self._seconds = seconds = max(0.0, seconds)
        self._at = owner.seconds() + seconds
        queue = owner.queues.get(seconds)
        if queue is None:
            queue = owner.queues[seconds] = _Queue(owner, seconds)
        queue.add(self)

    def endBy(self, at: float) -> None:
        """
        Let it end at a time, at the latest.
        """
        self._at = min(self._at, at)

    def _check(self) -> None:
        """
        Check that it has not ended.

        @raise AlreadyCalled: It has.
        @raise AlreadyCancelled: It has been cancelled.
        """
        if self._call is None:
            raise AlreadyCancelled if self._wasCancelled else AlreadyCalled

    def getTime(self) -> float:
        """
        Tell when it ends, in seconds of the clock.
        """
        return self._at

    def active(self) -> bool:
        """
        Tell whether it has neither ended nor been cancelled.
        """
        return self._call is not None

    def cancel(self) -> None:
        """
        Let nothing happen at its end.

        @raise AlreadyCalled: It has ended.
        @raise AlreadyCancelled: It has been cancelled already.
        """
        self._check()
        self._call = None
        self._wasCancelled = True
        self._owner.queues[self._seconds].remove(self)

    def reset(self, secondsFromNow: float) -> None:
        """
        Let it end at another time.

        @raise AlreadyCalled: It has ended.
        @raise AlreadyCancelled: It has been cancelled.
        """
        self._check()
        self._owner.queues[self._seconds].remove(self)
        self._set(secondsFromNow)

    def delay(self, secondsLater: float) -> None:
        """
        Let it end later than it would.

        @raise AlreadyCalled: It has ended.
        @raise AlreadyCancelled: It has been cancelled.
        """
        self.reset(self._at + secondsLater - self._owner.seconds())

    def end(self) -> None:
        """
        Do what was to be done.
        """
        call, self._call = self._call, None
        assert call is not None
        call()


class _Queue:
    """
    The time-outs of one length.

    @ivar waiting: They, in the order of their ends; the values mean nothing.
    """

    __slots__ = ("_call", "_latest", "_owner", "_seconds", "waiting")

    def __init__(self, owner: Timeouts, seconds: float) -> None:
        """
        Wait for the first one, which is about to come.
        """
        self.waiting: dict[Timeout, None] = {}
        self._owner = owner
        self._seconds = seconds
        self._call = owner.clock.callLater(seconds, self._due)
        #: When the one ends that came last.
        self._latest = 0.0

    def add(self, timeout: Timeout) -> None:
        """
        Take in one more, which ends last.
        """
        at = timeout.getTime()
        if at < self._latest:
            # The clock has been set back.  None of them waits for longer than its length
            # from now on.
            for each in self.waiting:
                each.endBy(at)
            if self._call.active() and self._call.getTime() > at:
                self._call.reset(self._seconds)
        self._latest = at
        self.waiting[timeout] = None

    def remove(self, timeout: Timeout) -> None:
        """
        Forget one.
        """
        del self.waiting[timeout]
        if not self.waiting:
            del self._owner.queues[self._seconds]
            if self._call.active():
                self._call.cancel()

    def _due(self) -> None:
        """
        End those that are due.
        """
        now = self._owner.seconds() + _SLACK
        try:
            for timeout in list(takewhile(lambda each: each.getTime() <= now, self.waiting)):
                # What happened at the end of another one may have cancelled it.
                if timeout in self.waiting:
                    del self.waiting[timeout]
                    timeout.end()
        finally:
            self._waitOn()

    def _waitOn(self) -> None:
        """
        Wait for the next one, if there is any.
        """
        owner = self._owner
        if self.waiting:
            rest = next(iter(self.waiting)).getTime() - owner.seconds()
            self._call = owner.clock.callLater(max(rest, 0.0), self._due)
        elif owner.queues.get(self._seconds) is self:
            del owner.queues[self._seconds]


@implementer(IReactorTime)
class Timeouts:
    """
    A reactor's time, for those who set many time-outs of few lengths.

    @ivar clock: Tells the time.
    @ivar queues: What is waited for, by length in seconds.
    """

    def __init__(self, clock: IReactorTime) -> None:
        """
        @param clock: Tells the time.
        """
        self.clock = clock
        self.queues: dict[float, _Queue] = {}
        self.seconds = clock.seconds

    def callLater(
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002  as the interface names it
        *args: object,
        **kwargs: object,
    ) -> Timeout:
        """
        Set a time-out.

        @param delay: Its length in seconds, from 0 on.
        """
        return Timeout(
            self, delay, partial(callable, *args, **kwargs) if args or kwargs else callable
        )

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """
        Give all time-outs that have not ended.
        """
        return [timeout for queue in self.queues.values() for timeout in queue.waiting]
