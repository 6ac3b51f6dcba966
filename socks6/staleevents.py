"""
Keeps new connections from what the kernel has said of old ones.

Twisted asks the kernel once for everything that has happened, and then acts on one event
after the other.  If acting on one closes another descriptor, and a new connection is given
its number at once, then what had happened to the old connection is taken for the new
one's: where the old one was reset, the new one is closed.  So whoever resets connections
could have those of others closed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python import log

if TYPE_CHECKING:
    from twisted.internet.epollreactor import EPollReactor

#: What C{epoll} says, wherever there is one.
EPOLLIN, EPOLLOUT = 1, 4

#: That nothing comes any more: C{EPOLLERR} and C{EPOLLHUP}.
_POLL_DISCONNECTED = 8 | 16

_log = Logger()


def _noMemory() -> bool:
    """
    Do nothing about it.
    """
    return False


def ignoreStaleEvents(reactor: object, noMemory: Callable[[], bool] = _noMemory) -> None:
    """
    Let a reactor act on an event only if the descriptor still belongs to whom it did when
    the event happened.

    @param reactor: Any; those that do not use C{epoll} stay as they are.
    @param noMemory: Is called where a connection needs more memory than there is, and tells
        whether there is going to be some.  The connection is closed then, unless nothing has
        been lost and there is; nothing is logged here.
    """
    try:
        from twisted.internet.epollreactor import EPollReactor
    except ImportError:
        # This system has none.
        return
    if isinstance(reactor, EPollReactor):
        inside: Any = reactor
        inside.doIteration = partial(_doPoll, reactor, noMemory)


def _doPoll(reactor: EPollReactor, noMemory: Callable[[], bool], timeout: float | None) -> None:
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
                if event & EPOLLIN or not event & _POLL_DISCONNECTED:
                    _readOrWrite(inside, selectable, event, noMemory)
                else:
                    inside._doReadOrWrite(selectable, descriptor, event)
            except Exception as error:  # noqa: BLE001  whatever it is, others go on
                if _isNoMemory(error):
                    noMemory()
                else:
                    _log.failure("A connection could not be looked after")


def _isNoMemory(error: BaseException) -> bool:
    """
    Tell whether an error is that there is no memory, in Python's words or in OpenSSL's.
    """
    return isinstance(error, MemoryError) or (
        isinstance(error, SSL.Error) and "malloc failure" in str(error)
    )


def _isRaisedBelow(error: BaseException) -> bool:
    """
    Tell whether an error was raised in what we have called itself, and not in what that has
    called.
    """
    here = error.__traceback__
    return here is not None and here.tb_next is not None and here.tb_next.tb_next is None


def _readOrWrite(reactor: Any, selectable: Any, event: int, noMemory: Callable[[], bool]) -> None:
    """
    Read, write, or both, and close the connection if that ends it.

    @see: C{PosixReactorBase._doReadOrWrite}, which this is but for the lack of memory.
    """
    why: Any = None
    inRead = isReading = False
    try:
        if selectable.fileno() == -1:
            why = CONNECTION_LOST
        else:
            if event & EPOLLIN:
                isReading = True
                why = selectable.doRead()
                isReading, inRead = False, True
            if not why and event & EPOLLOUT:
                why = selectable.doWrite()
                inRead = False
    except BaseException as error:  # noqa: BLE001  as Twisted does
        why = error
        if _isNoMemory(error):
            # Where reading itself has failed, and not what came after it, nothing was read.
            canReadAgain = isReading and _isRaisedBelow(error)
            isHopeful = noMemory()
            why = None if canReadAgain and isHopeful else error.with_traceback(None)
        else:
            log.err()
    if why:
        reactor._disconnectSelectable(selectable, why, inRead)
