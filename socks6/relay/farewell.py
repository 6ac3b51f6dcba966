"""
How a connection ends without losing what was written to it.

A socket that is closed while input waits in it answers with a reset, and the
peer may lose what it had not yet read.  So we end our direction first, let the
peer read, throw away what it sends meanwhile, and close when it has
acknowledged everything and closed, or made us wait for too long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from socks6.relay.atonce import close, endOutput
from socks6.relay.legs import LegProtocol
from socks6.sockets import Delivery, canHalfClose, closeSocketUnder, delivery

#: Seconds between two looks at what the peer has acknowledged.
_INTERVAL = 0.25

#: Seconds that a peer may take to acknowledge one more octet.
STALL_TIMEOUT = 60.0

#: Seconds that all of it may take, however slowly the peer reads.
LIMIT = 3600.0

#: Seconds that a peer which has acknowledged everything may take to close.
GRACE = 1.0


def sayFarewell(
    leg: LegProtocol, clock: IReactorTime, gone: Callable[[], None], inputOver: bool = False
) -> None:
    """
    Close a connection.

    @param leg: Its transport may have a producer registered, and may be paused.
    @param gone: Is called once it is closed, maybe before this returns.
    @param inputOver: Whether the peer has ended its direction already.
    """
    farewell = _Farewell(leg, clock, gone)
    leg.receiver = farewell
    farewell.begin(inputOver)


def breakOff(leg: LegProtocol, clock: IReactorTime, gone: Callable[[], None]) -> None:
    """
    Close a connection at once, whatever gets lost, so that the peer does not take it
    for a good end.

    @see: L{sayFarewell}
    """
    leg.receiver = _Farewell(leg, clock, gone)
    leg.abort()


class _Farewell:
    """
    The receiver of a connection that is being closed.
    """

    __slots__ = (
        "_began",
        "_clock",
        "_delivery",
        "_gone",
        "_isOver",
        "_progressAt",
        "_timer",
        "_transport",
    )

    def __init__(self, leg: LegProtocol, clock: IReactorTime, gone: Callable[[], None]) -> None:
        """
        @see: L{sayFarewell}
        """
        transport: Any = leg.transport
        self._transport = transport
        self._clock = clock
        self._gone = gone
        #: How far the peer had got at the last look, and since when it stands
        #: there.
        self._delivery: Delivery | None = None
        self._began = self._progressAt = clock.seconds()
        self._isOver = False
        self._timer: IDelayedCall | None = None

    def begin(self, inputOver: bool) -> None:
        """
        End our direction as soon as what was written has left.
        """
        transport = self._transport
        # "If you have a producer registered, the connection won't be closed
        # until the producer is finished."
        transport.unregisterProducer()
        if not inputOver:
            transport.resumeProducing()
        if inputOver or not canHalfClose(transport):
            close(transport)
        else:
            endOutput(transport)
        # Most are closed by now.
        if not self._isOver:
            self._timer = self._clock.callLater(_INTERVAL, self._look)

    def dataReceived(self, octets: bytes) -> None:
        """
        Nobody wants these any more.
        """

    def inputEnded(self) -> None:
        """
        The peer closes too, so nothing of ours can get lost any more.
        """
        close(self._transport)

    def outputEnded(self) -> None:
        """
        All is on its way; L{_look} waits for it to arrive.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        It is closed.
        """
        self._isOver = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._gone()

    def _look(self) -> None:
        """
        See how far the peer has got.
        """
        now = self._clock.seconds()
        state = delivery(self._transport)
        if state != self._delivery:
            self._delivery, self._progressAt = state, now
        if state is not None and not state.outstanding:
            # Had anything been left to write, it would have been written now.
            if now - self._progressAt >= GRACE:
                # Though the peer has not closed.
                closeSocketUnder(self._transport)
                return
        elif now - self._progressAt >= STALL_TIMEOUT or now - self._began >= LIMIT:
            self._transport.abortConnection()
            return
        self._timer = self._clock.callLater(_INTERVAL, self._look)
