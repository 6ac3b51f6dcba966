"""
Keeps new connections from what the kernel has said of old ones.

Twisted asks the kernel once for everything that has happened, and then acts on one event
after the other.  If acting on one closes another descriptor, and a new connection is given
its number at once, then what had happened to the old connection is taken for the new
one's: where the old one was reset, the new one is closed.  So whoever resets connections
could have those of others closed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

if TYPE_CHECKING:
    from twisted.internet.epollreactor import EPollReactor

_log = Logger()


def ignoreStaleEvents(reactor: object) -> None:
    """
    Let a reactor act on an event only if the descriptor still belongs to whom it did when
    the event happened.

    @param reactor: Any; those that do not use C{epoll} stay as they are.
    """
    try:
        from twisted.internet.epollreactor import EPollReactor
    except ImportError:
        # This system has none.
        return
    if isinstance(reactor, EPollReactor):
        inside: Any = reactor
        inside.doIteration = partial(_doPoll, reactor)


def _doPoll(reactor: EPollReactor, timeout: float | None) -> None:
    """
    Wait for events, and act on them.

    @param timeout: Seconds to wait; L{None}: until there are some.
    @see: C{EPollReactor.doPoll}, which this is but for the comparison, and the names.
    """
    # The reactor's own, which have no other name.
    inside: Any = reactor
    selectables = inside._selectables
    try:
        happened = inside._poller.poll(-1 if timeout is None else timeout, len(selectables))
    except InterruptedError:
        return
    events = [(selectables.get(descriptor), descriptor, event) for descriptor, event in happened]
    for selectable, descriptor, event in events:
        if selectable is not None and selectables.get(descriptor) is selectable:
            # Twisted prepares the names that its old functions for logging put in front,
            # which is a fifth of what a small message costs.
            try:
                inside._doReadOrWrite(selectable, descriptor, event)
            except Exception:  # noqa: BLE001  whatever it is, others go on
                _log.failure("A connection could not be looked after")
