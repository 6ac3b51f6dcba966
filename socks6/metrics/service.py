"""
Metrics as a service of a Twisted application.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamServerEndpoint
from twisted.web.resource import Resource

from socks6.measurements import Histogram, Measurements
from socks6.metrics.sample import Sample, sample
from socks6.quietsite import FewConnections, QuietSite
from socks6.serving.factory import ServingFactory

#: Seconds between two looks at the reactor.
LAG_INTERVAL = 0.5


class LagService(Service):
    """
    Measures how much later than it should the reactor does something, which is how long
    everything else has to wait, too.
    """

    def __init__(self, clock: IReactorTime, lags: Histogram) -> None:
        """
        @param lags: Where that is counted.
        """
        self._clock = clock
        self._lags = lags
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """
        Begin to look.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._next()

    def stopService(self) -> None:
        """
        Look no more.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _next(self) -> None:
        """
        Look again, in a while.
        """
        self._timer = self._clock.callLater(
            LAG_INTERVAL, self._look, self._clock.seconds() + LAG_INTERVAL
        )

    def _look(self, due: float) -> None:
        """
        Count how late it is.

        @param due: When it should be.
        """
        self._lags.observe(max(0.0, self._clock.seconds() - due))
        self._next()


def measure(
    clock: IReactorTime, factories: Sequence[ServingFactory]
) -> tuple[Service, Callable[[], Sample]]:
    """
    Measure from now on.

    @param factories: Those of the proxies that the metrics are about.
    @return: A service that measures, and what gives the metrics.
    """
    measurements = Measurements()
    for factory in factories:
        factory.measurements = measurements
    return LagService(clock, measurements.lags), partial(sample, factories, measurements)


def readersService(
    reactor: IReactorTime,
    endpoint: IStreamServerEndpoint,
    sample: Callable[[], Sample],
    isOpen: bool = False,
) -> StreamServerEndpointService:
    """
    Listen for readers.

    @param endpoint: Where.
    @param sample: Gives the metrics.
    @param isOpen: Whether everybody may read them, by whichever name we are asked for.
    @raise ImportError: C{prometheus_client} is missing.
    """
    # Who does without metrics does without that.
    from socks6.metrics.exposition import MetricsResource, makeRegistry

    root = Resource()
    root.putChild(b"metrics", MetricsResource(makeRegistry(sample)))
    # A name that is not ours is one by which a page in somebody's browser reads them.
    site = QuietSite(reactor, root, None if isOpen else ())
    connections = FewConnections(site)  # type: ignore[no-untyped-call]
    service = StreamServerEndpointService(endpoint, connections)
    # A port that cannot be opened keeps the proxy from starting.
    service._raiseSynchronously = True
    return service
