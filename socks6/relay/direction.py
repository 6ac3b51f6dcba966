"""
One direction of a tunnel: from where octets come, to where they go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.relay.legs import LegProtocol
from socks6.relay.shortcut import Shortcut
from socks6.relay.throttle import Throttle
from socks6.sockets import Delivery, delivery, isClosing, isReset

if TYPE_CHECKING:
    from socks6.relay.relay import Relay


@implementer(IPushProducer)
class Direction:
    """
    What goes from one leg to the other: the source's receiver, and the
    producer of the destination.
    """

    __slots__ = (
        "delivery",
        "destination",
        "ended",
        "isHeld",
        "octets",
        "paused",
        "relay",
        "shortcut",
        "source",
        "sourceTransport",
        "throttle",
    )

    def __init__(self, relay: Relay, source: LegProtocol, destination: LegProtocol) -> None:
        """
        @param relay: What this is a half of.
        """
        self.relay = relay
        self.source = source
        self.sourceTransport: Any = source.transport
        self.destination: Any = destination.transport
        #: Octets passed on.
        self.octets = 0
        #: Whether the source sends no more.
        self.ended = False
        #: Whether the source is not read, as the destination cannot keep up.
        self.paused = False
        #: How far the destination's peer had got at the last look.
        self.delivery: Delivery | None = None
        #: The short way; L{None}: there is none.
        self.shortcut: Shortcut | None = None
        #: What limits how fast octets pass; L{None}: nothing does.
        self.throttle: Throttle | None = None
        #: Whether the source is not read because of that.
        self.isHeld = False

    def isStranded(self) -> bool:
        """
        Tell whether the source is gone though nobody has noticed, and what it
        sent before goes nowhere either.
        """
        before, self.delivery = self.delivery, delivery(self.destination)
        if not isReset(self.sourceTransport):
            return False
        # Whoever reads on will get the rest, and we shall hear of the reset then.
        return self.ended or (self.paused and self.delivery == before)

    # The source's receiver.

    def dataReceived(self, octets: bytes) -> None:
        """
        Pass on octets.
        """
        self.passed(len(octets))
        if self.shortcut is None:
            self.destination.write(octets)
        else:
            self.shortcut.send(octets)

    def passed(self, count: int) -> None:
        """
        Count octets.
        """
        self.octets += count
        self.relay.touch()
        if self.throttle is not None:
            self.throttle.spend(count)

    def leaveShortcut(self) -> None:
        """
        Take the ordinary way from now on.
        """
        shortcut, self.shortcut = self.shortcut, None
        if shortcut is not None:
            shortcut.leave()

    def inputEnded(self) -> None:
        """
        Pass on that there are no more.
        """
        self.ended = True
        # "loseConnection with a paused producer never completes", nor does the
        # end of one direction.
        self.destination.unregisterProducer()
        self.relay.directionEnded(self)

    def outputEnded(self) -> None:
        """
        The source has heard that no more goes to it; it may go on.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The source is gone.
        """
        self.relay.legLost(self, reason)

    # The destination's producer.

    def pauseProducing(self) -> None:
        """
        Read no more until the destination has written what it has.
        """
        self.paused = True
        self.delivery = None
        self.relay.watch()
        self.sourceTransport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Read on.
        """
        self.paused = False
        self.relay.touch()
        if isClosing(self.destination):
            # The peer has ended its TLS connection, which waits for its
            # producer to be done before it says so.
            self.destination.unregisterProducer()
        elif not self.isHeld:
            self.sourceTransport.resumeProducing()

    def stopProducing(self) -> None:
        """
        The destination is gone, which its own receiver is about to hear.
        """
        self.relay.destinationLost(self)

    # What the throttle holds.

    def hold(self) -> None:
        """
        Read no more, as too much has come in a short time.
        """
        self.isHeld = True
        self.sourceTransport.pauseProducing()

    def release(self) -> None:
        """
        Read on.
        """
        self.isHeld = False
        if not (self.paused or self.ended):
            self.sourceTransport.resumeProducing()
