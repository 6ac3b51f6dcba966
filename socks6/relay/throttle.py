"""
How fast octets may pass.

Whoever has passed more than its buckets hold reads no more until they have been
refilled.  So nothing is thrown away, and no time is kept for single octets: a bucket
has one delayed call, however many wait for it.

Datagrams wait for nothing: those for which there is nothing are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds for which a bucket holds octets that nobody has used.
_BURST = 0.25

#: How many times in a second there is something to read, at most, for each tunnel.
_READS = 16

#: Octets that may be read at once, however slow a bucket is.
_LEAST_READ = 1024

#: Seconds that are waited for at least, so that many small waits are one.
_SHORTEST_WAIT = 0.01

#: The part of a rate that is for datagrams while others wait, as those take what there is
#: as soon as there is something.  The rest is for these, as whoever does not wait comes first.
_DATAGRAM_SHARE = 0.5


class Held(Protocol):
    """
    What can be made to wait.
    """

    def hold(self) -> None:
        """
        Read no more.
        """

    def release(self) -> None:
        """
        Read on.
        """


class Bucket:
    """
    Octets that may pass, refilled all the time.

    More may be taken out than it holds, as nobody knows how much comes until it is read;
    then it is dry until that is paid back.

    @ivar rate: Octets per second.
    """

    def __init__(self, clock: IReactorTime, rate: float) -> None:
        """
        Begin with a full one.
        """
        self.rate = rate
        self._clock = clock
        self._most = self._level = rate * _BURST
        self._at = clock.seconds()
        self._timer: IDelayedCall | None = None
        self._waiting: dict[Throttle, None] = {}
        #: What datagrams take while others wait; L{None}: none came then so far.
        self._datagramShare: Bucket | None = None

    @property
    def isDry(self) -> bool:
        """
        Whether nobody may take anything.
        """
        self._refill()
        return self._level < 0

    def spend(self, count: int) -> None:
        """
        Take out octets.
        """
        self._refill()
        self._level -= count

    @property
    def admitsDatagram(self) -> bool:
        """
        Whether a datagram may pass.
        """
        return not (self._shareForDatagrams() if self._waiting else self).isDry

    def spendForDatagram(self, count: int) -> None:
        """
        Take out the octets of a datagram.
        """
        self.spend(count)
        if self._waiting:
            self._shareForDatagrams().spend(count)

    def wait(self, throttle: Throttle) -> None:
        """
        Let somebody wait until it is not dry.
        """
        self._waiting[throttle] = None
        self._start()

    def leave(self, throttle: Throttle) -> None:
        """
        Let somebody wait no more.
        """
        self._waiting.pop(throttle, None)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _shareForDatagrams(self) -> Bucket:
        """
        Give what limits datagrams while others wait.
        """
        if self._datagramShare is None:
            self._datagramShare = Bucket(self._clock, self.rate * _DATAGRAM_SHARE)
        return self._datagramShare

    def _refill(self) -> None:
        """
        Put in what has become due.
        """
        now = self._clock.seconds()
        # A clock that is set back takes nothing out.
        passed = max(0.0, now - self._at)
        self._level = min(self._most, self._level + passed * self.rate)
        self._at = now

    def _start(self) -> None:
        """
        Come back when it is not dry.
        """
        if self._timer is None:
            wait = max(_SHORTEST_WAIT, -self._level / self.rate)
            self._timer = self._clock.callLater(wait, self._look)

    def _look(self) -> None:
        """
        Release all that wait, if it is not dry any more.
        """
        self._timer = None
        if self.isDry:
            self._start()
            return
        waiting, self._waiting = self._waiting, {}
        for throttle in waiting:
            throttle.refilled()


class Buckets(NamedTuple):
    """
    Those of both directions.

    @ivar toRemote: What clients send.
    @ivar toClient: What remote hosts send.
    """

    toRemote: Bucket
    toClient: Bucket


def bucketsOf(clock: IReactorTime, rate: float) -> Buckets:
    """
    Make buckets for a rate each way.

    @param rate: Octets per second.
    """
    return Buckets(Bucket(clock, rate), Bucket(clock, rate))


def admitDatagram(buckets: Sequence[Bucket], count: int) -> bool:
    """
    Take the octets of a datagram out of each of several buckets, or out of none.

    @return: Whether it may pass: none of them is dry.
    """
    for bucket in buckets:
        if not bucket.admitsDatagram:
            return False
    for bucket in buckets:
        bucket.spendForDatagram(count)
    return True


class Throttle:
    """
    What one direction of a tunnel takes its octets from: each of several buckets.

    @ivar quantum: Octets that should be read at once.
    """

    __slots__ = ("_buckets", "_hasLeft", "_held", "_isHolding", "quantum")

    def __init__(self, held: Held, buckets: Sequence[Bucket]) -> None:
        """
        @param held: The direction.
        @param buckets: One at least.
        """
        self._held = held
        self._buckets = buckets
        self._isHolding = self._hasLeft = False
        self.quantum = max(_LEAST_READ, int(min(each.rate for each in buckets) / _READS))

    def spend(self, count: int) -> None:
        """
        Take out octets that have passed.
        """
        for bucket in self._buckets:
            bucket.spend(count)
        if not (self._isHolding or self._hasLeft):
            self._wait()

    def refilled(self) -> None:
        """
        Learn that the bucket that was waited for is not dry any more.
        """
        if self._hasLeft:
            # It was still there when the bucket began to release those that waited.
            return
        self._isHolding = False
        self._wait()
        if not self._isHolding:
            self._held.release()

    def leave(self) -> None:
        """
        Wait no more, whatever is spent.
        """
        self._hasLeft = True
        for bucket in self._buckets:
            bucket.leave(self)

    def _wait(self) -> None:
        """
        Hold the direction, if one of the buckets is dry.
        """
        for bucket in self._buckets:
            if bucket.isDry:
                self._isHolding = True
                self._held.hold()
                bucket.wait(self)
                return
