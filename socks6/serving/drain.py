"""
The end of a proxy: tunnels may end by themselves, for a while.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from socks6.serving.factory import ServingFactory

_Result = TypeVar("_Result")


class Drain:
    """
    Waits for the tunnels of a proxy that accepts no more connections.

    Whoever has no tunnel yet is cut at once: what a request needs, such as the store of
    sessions, is being closed as well, and a client that got no reply asks elsewhere.
    """

    _log = Logger()

    def __init__(self, factory: ServingFactory) -> None:
        """
        @param factory: Knows the connections, and how long they may take.
        """
        self._factory = factory
        self._timer: IDelayedCall | None = None

    def begin(self) -> Deferred[None]:
        """
        Cut what is no tunnel, and wait for the others.

        @return: Fires when all are closed; never fails.
        """
        factory = self._factory
        count, timeout = factory.tunnels, factory.limits.drainTimeout
        if not timeout or not count:
            return factory.cutAll()
        self._log.info(
            "waiting up to {seconds:g} s for {count} {tunnels} to end",
            seconds=timeout,
            count=count,
            tunnels=_tunnels(count),
        )
        self._timer = factory.clock.callLater(timeout, self._tooLate)
        return factory.cutOthers().addCallback(self._ended)

    def hurry(self) -> None:
        """
        Wait no more.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._tooLate()

    def _tooLate(self) -> None:
        """
        Cut the tunnels that are left.
        """
        self._timer = None
        count = self._factory.tunnels
        self._log.info("{count} {tunnels} cut", count=count, tunnels=_tunnels(count))
        self._factory.cutAll()

    def _ended(self, result: _Result) -> _Result:
        """
        Learn that all connections are closed.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._log.info("all tunnels have ended")
        return result


def _tunnels(count: int) -> str:
    """
    Name some tunnels.
    """
    return "tunnel" if count == 1 else "tunnels"
