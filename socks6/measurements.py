"""
What is measured while a proxy works: plain numbers, which others make metrics of.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

#: Upper bounds of the classes that times are counted in, in seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """
    How often something took how long.

    @ivar bounds: Upper bounds of the classes; above the last one there is one more.
    @ivar counts: How often it fell into each.
    @ivar total: The sum, in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        """
        Begin with nothing.
        """
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """
        Count a time; one that is a bound belongs below it.
        """
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Measurements:
    """
    What is measured only if somebody wants to know.

    @ivar handshakes: Seconds from when a client connected until it was let in.
    @ivar connects: Seconds that remote hosts took until they were connected.
    @ivar lags: Seconds that the reactor came too late.
    """

    def __init__(self) -> None:
        """
        Begin with nothing.
        """
        self.handshakes = Histogram()
        self.connects = Histogram()
        self.lags = Histogram()
