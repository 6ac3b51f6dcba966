"""
The options that are about metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService, IServiceCollection
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress
from twisted.python.usage import UsageError

from socks6.listening import NotedEndpoint, endpointDescription, listensLocally
from socks6.serving.factory import ServingFactory

if TYPE_CHECKING:
    from socks6.metrics.sample import Sample


def _isInstalled(module: str) -> bool:
    """
    Tell whether a module can be imported, which may be too early, or too much.
    """
    try:
        return find_spec(module) is not None
    except ValueError:
        # Somebody has seen to it that it cannot.
        return False


class MetricsOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    parameters: Sequence[Sequence[Any]] = [
        ["metrics", None, None, "Port or endpoint string where Prometheus reads /metrics."],
    ]
    flags: Sequence[Sequence[Any]] = [
        ["open-metrics", None, "Let other machines read the metrics, without a password."],
    ]

    #: Takes what this process measures, if another one listens for readers.
    report: Callable[[str], None] | None = None

    def checkMetrics(self) -> None:
        """
        Check what the options say.

        @raise UsageError: It makes no sense.
        """
        if self["metrics"] is None:
            if self["open-metrics"]:
                raise UsageError("--open-metrics needs --metrics")
            return
        port = self["metrics"] = endpointDescription(self["metrics"])
        if not (listensLocally(port) or self["open-metrics"]):
            raise UsageError(
                f"--metrics: {port} can be reached from other machines, and everybody there"
                " could read the metrics: add --open-metrics"
            )
        if not _isInstalled("prometheus_client"):
            raise UsageError("--metrics needs prometheus_client: pip install 'socks6[metrics]'")

    def addMetrics(
        self,
        reactor: Any,
        parent: IServiceCollection,
        factories: Sequence[ServingFactory],
        places: list[IAddress],
    ) -> None:
        """
        Add the service that the options want, if they want one.

        @param parent: What it becomes a part of.
        @param factories: Those of the proxies that the metrics are about.
        @param places: Gets the address where readers come, once that is known.
        """
        if self["metrics"] is not None:
            # It takes memory that who does without metrics need not have.
            from socks6.metrics.crew import ReportService
            from socks6.metrics.service import measure

            measuring, sample = measure(reactor, factories)
            measuring.setServiceParent(parent)
            if self.report is None:
                self._readers(reactor, sample, places).setServiceParent(parent)
            else:
                reporting = ReportService(reactor, sample, self.report)
                reporting.setServiceParent(parent)  # type: ignore[no-untyped-call]

    def addCrewMetrics(
        self, reactor: Any, parent: IServiceCollection, places: list[IAddress]
    ) -> Callable[[int, str | None], None] | None:
        """
        Add the service that the options want of a process that looks after others, if they
        want one.

        @param parent: What it becomes a part of.
        @param places: See L{addMetrics}.
        @return: Takes what the others report.
        """
        if self["metrics"] is None:
            return None
        from socks6.metrics.crew import CrewMetrics

        metrics = CrewMetrics()
        self._readers(reactor, metrics.sample, places).setServiceParent(parent)
        return metrics.reported

    def _readers(
        self, reactor: Any, sample: Callable[[], Sample], places: list[IAddress]
    ) -> IService:
        """
        Make the service that listens for readers.

        @param sample: Gives the metrics.
        @param places: Where to note that it listens.
        """
        from socks6.metrics.service import readersService

        endpoint = NotedEndpoint(serverFromString(reactor, self["metrics"]), places)
        service: IService = readersService(reactor, endpoint, sample, bool(self["open-metrics"]))
        return service
