"""
Octets between two connections, unchanged, until both directions have ended.

Each leg is the producer of the other: as long as one cannot write, the other
is not read, so that a slow reader costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from socks6.relay.atonce import endOutput
from socks6.relay.direction import Direction
from socks6.relay.farewell import breakOff, sayFarewell
from socks6.relay.legs import LegProtocol, lossWords
from socks6.relay.pipes import NO_PIPES, PipePool
from socks6.relay.shortcut import AT_ONCE, Shortcut, canShorten
from socks6.relay.throttle import Buckets, Throttle
from socks6.sockets import (
    Delivery,
    canHalfClose,
    deliverRest,
    delivery,
    readAtMost,
)

#: Seconds between two looks at a peer that is not read.
_WATCH_INTERVAL = 10.0


@dataclass(frozen=True, slots=True)
class RelayResult:
    """
    What a relay has done.

    @ivar toRemote: Octets read from the client, for the remote host.
    @ivar toClient: Octets read from the remote host, for the client.
    @ivar ending: How it ended, in a word for the log.
    """

    toRemote: int
    toClient: int
    ending: str


class Relay:
    """
    A tunnel at work.
    """

    __slots__ = (
        "_clock",
        "_deliveries",
        "_down",
        "_ending",
        "_finished",
        "_idleTimeout",
        "_idleTimer",
        "_lastActivity",
        "_lastWords",
        "_openLegs",
        "_pipes",
        "_up",
        "_watch",
    )

    def __init__(
        self,
        clock: IReactorTime,
        client: LegProtocol,
        remote: LegProtocol,
        finished: Callable[[RelayResult], None],
        idleTimeout: float | None = None,
        lastWords: Callable[[Failure], bytes] = lambda reason: b"",
        pipes: PipePool | None = None,
        buckets: Sequence[Buckets] = (),
    ) -> None:
        """
        Prepare to relay.

        @param client: A connection with its transport.
        @param remote: Another one.
        @param finished: Is called once, when both are closed.
        @param idleTimeout: Seconds without an octet either way after which the
            tunnel is cut; L{None}: never.
        @param lastWords: Gives what the client gets to hear if the remote host is lost
            before it has said anything; by default, nothing.
        @param pipes: What octets may pass through inside the kernel; L{None}: they take
            the way through the transports' buffers.
        @param buckets: What the octets are taken from; none: as many pass as come.
        """
        self._clock = clock
        self._finished = finished
        self._lastWords = lastWords
        self._idleTimeout = idleTimeout
        self._pipes = pipes
        self._idleTimer: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        #: How far the two peers had got when the tunnel looked idle.
        self._deliveries: tuple[Delivery | None, ...] = ()
        self._lastActivity = 0.0
        self._ending = ""
        self._openLegs = 2
        self._up = Direction(self, client, remote)
        self._down = Direction(self, remote, client)
        if buckets:
            self._up.throttle = Throttle(self._up, [each.toRemote for each in buckets])
            self._down.throttle = Throttle(self._down, [each.toClient for each in buckets])

    def start(self, early: bytes, inputOver: bool, sent: int = 0) -> None:
        """
        Begin to relay.

        @param early: What the client has sent already.
        @param inputOver: Whether it has ended its direction already.
        @param sent: How many octets of that the remote host has been sent already.
        """
        for direction in (self._up, self._down):
            direction.source.receiver = direction
            direction.destination.registerProducer(direction, True)
            if direction.throttle is not None:
                readAtMost(direction.sourceTransport, direction.throttle.quantum)
        pipes = self._pipes
        if (
            pipes is not None
            and canShorten(self._up.destination)
            and canShorten(self._down.destination)
        ):
            for direction in (self._up, self._down):
                throttle = direction.throttle
                isFast = throttle is None or throttle.quantum >= AT_ONCE
                direction.shortcut = Shortcut(direction, pipes if isFast else NO_PIPES)
        if self._idleTimeout is not None:
            self._idleTimer = self._clock.callLater(self._idleTimeout, self._checkIdle)
            self._lastActivity = self._clock.seconds()
        if sent:
            self._up.passed(sent)
        if len(early) > sent:
            self._up.dataReceived(early[sent:])
        if inputOver:
            self._up.inputEnded()
        elif not self._up.paused:
            # Its input may have been paused while we were connecting.
            self._up.resumeProducing()

    @property
    def passed(self) -> tuple[int, int]:
        """
        Count the octets so far: for the remote host, and for the client.
        """
        return self._up.octets, self._down.octets

    @property
    def isShortened(self) -> bool:
        """
        Tell whether octets take the short way, in either direction.
        """
        return self._up.shortcut is not None or self._down.shortcut is not None

    @property
    def legs(self) -> tuple[LegProtocol, LegProtocol]:
        """
        Give the connections with the client and with the remote host.
        """
        return self._up.source, self._down.source

    @property
    def remoteTransport(self) -> Any:
        """
        Give the transport of the connection with the remote host.
        """
        return self._up.destination

    def touch(self) -> None:
        """
        Take note that the tunnel is in use.
        """
        if self._idleTimeout is not None:
            self._lastActivity = self._clock.seconds()

    def _checkIdle(self) -> None:
        """
        Cut the tunnel if it has been idle for too long.
        """
        assert self._idleTimeout is not None
        rest = self._lastActivity + self._idleTimeout - self._clock.seconds()
        if rest <= 0:
            # Nothing new came, but what came before may still be on its way to a
            # slow reader; or it was not read.
            isHeld = self._up.isHeld or self._down.isHeld
            deliveries = (delivery(self._up.destination), delivery(self._down.destination))
            if not isHeld and (
                deliveries == self._deliveries
                or not any(state and state.outstanding for state in deliveries)
            ):
                self.abort("idle")
                return
            self._deliveries = deliveries
            self.touch()
            rest = self._idleTimeout
        self._idleTimer = self._clock.callLater(rest, self._checkIdle)

    def abort(self, ending: str) -> None:
        """
        Cut the tunnel.

        @param ending: Why, for the log.
        """
        self._ending = self._ending or ending
        for direction in (self._up, self._down):
            direction.source.abort()

    def directionEnded(self, direction: Direction) -> None:
        """
        Pass on the end of one direction, or finish if it was the last.
        """
        if self._up.ended and self._down.ended:
            self._close("closed")
        elif direction.shortcut is not None or canHalfClose(direction.destination):
            endOutput(direction.destination)
            self.watch()
        else:
            # Without half-close, the end of one direction is the end.
            self._close("closed")

    def watch(self) -> None:
        """
        From now on, look now and then whether a source that is not read is still
        there: nobody else would notice that it is not.
        """
        if self._watch is None:
            self._watch = self._clock.callLater(_WATCH_INTERVAL, self._look)

    def _look(self) -> None:
        """
        See whether the sources that are not read are still there.
        """
        self._watch = None
        for direction in (self._up, self._down):
            if direction.isStranded():
                direction.source.abort()
        if any(direction.ended or direction.paused for direction in (self._up, self._down)):
            self.watch()

    def destinationLost(self, direction: Direction) -> None:
        """
        One connection is going, maybe as its peer takes no more, though not all
        has been read of what that had sent before: read it.

        @param direction: The one whose destination it was.
        """
        if not self._ending:
            deliverRest(direction.destination)

    def legLost(self, direction: Direction, reason: Failure) -> None:
        """
        One connection is gone: end the other, once it has got what was sent.

        @param direction: The one whose source it was.
        """
        isUnheard = direction is self._down and not direction.octets
        lastWords = self._lastWords(reason) if isUnheard else b""
        if lastWords:
            direction.destination.write(lastWords)
        # Then it never was connected, although it looked so.
        hasFailed = direction is self._down and not reason.check(ConnectionClosed)
        which = "client" if direction is self._up else "remote host"
        ending = f"{which} lost"
        if reason.check(ConnectionDone):
            ending = "closed"
        elif hasFailed:
            ending = lossWords(reason)
        self._close(ending, direction, breaksOff=hasFailed and isUnheard and not lastWords)
        self._legGone()

    def _close(self, ending: str, lost: Direction | None = None, breaksOff: bool = False) -> None:
        """
        Close what is still open.

        @param lost: The direction whose source is gone already.
        @param breaksOff: Whether the other one must not look like a good end.
        """
        self._ending = self._ending or ending
        # Farewells have limits of their own.
        for timer in (self._idleTimer, self._watch):
            if timer is not None and timer.active():
                timer.cancel()
        for direction in (self._up, self._down):
            direction.leaveShortcut()
            if direction.throttle is not None:
                direction.throttle.leave()
        for direction in (self._up, self._down):
            if direction is lost:
                continue
            if breaksOff:
                breakOff(direction.source, self._clock, self._legGone)
            else:
                sayFarewell(direction.source, self._clock, self._legGone, direction.ended)

    def _legGone(self) -> None:
        """
        One connection is closed; report, if it was the second.
        """
        self._openLegs -= 1
        if not self._openLegs:
            self._finished(RelayResult(self._up.octets, self._down.octets, self._ending))
