"""
Processes that the test plays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class Child:
    """
    A process that the test plays.

    @ivar written: What it was told.
    @ivar isDeaf: Whether it has closed what it is told things by.
    @ivar signals: Those it was sent.
    """

    def __init__(self, protocol: Any, arguments: Sequence[Any]) -> None:
        self.protocol = protocol
        self.arguments = arguments
        self.written = b""
        self.isDeaf = False
        self.isOver = False
        self.signals: list[str] = []
        protocol.makeConnection(self)

    def writeToChild(self, descriptor: int, octets: bytes) -> None:
        """
        Be told something.
        """
        assert descriptor == 0
        if self.isDeaf or self.isOver:
            # As Twisted does.
            raise KeyError(descriptor)
        self.written += octets

    def signalProcess(self, name: str) -> None:
        """
        Be sent a signal.
        """
        if self.isOver:
            raise ProcessExitedAlready
        self.signals.append(name)

    def say(self, octets: bytes) -> None:
        """
        Write a record.
        """
        self.protocol.childDataReceived(1, octets)

    def cry(self, octets: bytes) -> None:
        """
        Write what is an accident.
        """
        self.protocol.childDataReceived(2, octets)

    def end(self, status: int = 0, signal: int | None = None) -> None:
        """
        End.
        """
        self.isOver = True
        reason: Exception = ProcessDone(0)
        if status or signal:
            reason = ProcessTerminated(None if signal else status, signal)
        self.protocol.processEnded(Failure(reason))


class Nursery(Clock):
    """
    A reactor that has processes.

    @ivar children: All of them so far.
    @ivar error: Why there can be no more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.children: list[Child] = []
        self.error: OSError | None = None

    def spawnProcess(self, protocol: Any, *arguments: Any, **named: Any) -> None:
        """
        Start a process.
        """
        if self.error is not None:
            raise self.error
        self.children.append(Child(protocol, (*arguments, named)))
