"""
What the operator reads: one line for each finished request, and few for
rubbish.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from socks6.quota import LineQuota
from socks6.text import escaped, words
from socks6.values.address import Address
from socks6.values.codes import Command
from socks6.wire.errors import PeerError

#: Lines on malformed input within a period, so that nobody can fill a disk by
#: sending rubbish.
RUBBISH_LINES = 10

#: Seconds of such a period.
RUBBISH_PERIOD = 60.0


@dataclass(slots=True)
class RequestRecord:
    """
    What is known of a request.

    @ivar peer: The client's address.
    @ivar began: When it connected, in seconds of the clock.
    @ivar command: What it wants.
    @ivar destination: Where to.
    @ivar user: Who it is; C{-}: nobody in particular.
    @ivar result: How it ended, in words.
    @ivar toRemote: Octets read from the client, for the remote host.
    @ivar toClient: Octets read from the remote host, for the client.
    @ivar isEncrypted: Whether the client speaks TLS.
    @ivar isInSession: Whether the request belongs to a session.
    @ivar code: What it was answered; L{None}: nothing.
    """

    peer: str
    began: float
    command: Command | int
    destination: Address
    user: str = "-"
    result: str = ""
    toRemote: int = 0
    toClient: int = 0
    isEncrypted: bool = False
    isInSession: bool = False
    code: int | None = None


#: Writes a request's line, from what is known of it, the seconds that it took, and the
#: time as L{time.time} has it.
LineFormat = Callable[[RequestRecord, float, float], str]


def textLine(record: RequestRecord, seconds: float, now: float) -> str:
    """
    Write a request's line for people; the log that it goes to adds the time.
    """
    return (
        f"{record.peer} {record.user} {words(record.command)} {record.destination}:"
        f" {record.result}, {record.toRemote} octets to the remote host,"
        f" {record.toClient} to the client, {seconds:.3f} s"
    )


class AccessLog:
    """
    The log of what clients do.

    @ivar malformed: How often clients broke the protocol, by the name of the
        error.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, lineFormat: LineFormat = textLine) -> None:
        """
        @param clock: Tells the time.
        @param lineFormat: Writes a request's line.
        """
        self._clock = clock
        self._format = lineFormat
        self.malformed: Counter[str] = Counter()
        self._rubbish = LineQuota(clock, RUBBISH_LINES, RUBBISH_PERIOD, self._moreRubbish)

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Write the line of a request.
        """
        self._rubbish.renewIfDue()
        seconds = self._clock.seconds() - record.began
        self._log.info(
            "{line}",
            # Twisted's own formatting of that many values is slow.
            line=escaped(self._format(record, seconds, time.time())),
            # Whoever made the words, and whatever observers write of them.
            peer=escaped(record.peer),
            user=escaped(record.user),
            command=words(record.command),
            destination=escaped(str(record.destination)),
            result=escaped(record.result),
            toRemote=record.toRemote,
            toClient=record.toClient,
            seconds=seconds,
        )

    def peerFailed(self, peer: str, error: PeerError) -> None:
        """
        Count a client that broke the protocol, and write a line if not too
        many have been written.
        """
        self.count(error)
        if self._rubbish.take():
            self._log.info("{peer}: {error}", peer=escaped(peer), error=escaped(str(error)))

    def count(self, error: PeerError) -> None:
        """
        Count a client that broke the protocol.
        """
        self.malformed[type(error).__name__] += 1

    def flush(self) -> None:
        """
        Write how many clients got no line so far.
        """
        self._rubbish.renew()

    def open(self) -> None:
        """
        Make sure that lines can be written.

        @raise OSError: They cannot.
        """

    def close(self) -> None:
        """
        Write what has not been written yet.
        """

    def _moreRubbish(self, count: int) -> None:
        """
        Write how many clients got no line.
        """
        self._log.info("{count} more clients broke the protocol", count=count)
