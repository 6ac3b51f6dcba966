"""
The process that looks after workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from socks6.workers.records import MAX_TEXT, REPORT, RecordReader
from socks6.workers.worker import HURRY, RELOAD, STOP

#: Seconds that a worker may take to stop, besides those that its tunnels may take; then it
#: is killed.
PATIENCE = 10.0

#: Seconds after which a worker is not said to die at once.
STEADY = 10.0

#: Seconds until a worker that dies at once is there again: the first time, and at most.
FIRST_DELAY = 0.5
LAST_DELAY = 30.0


@dataclass(frozen=True)
class Program:
    """
    What workers run.

    @ivar command: The program and its arguments.
    @ivar environment: Its environment.
    @ivar descriptors: What it has besides the first three, and ours of the same.
    @ivar briefing: What it reads first, behind its own number and a space, as one line.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    descriptors: Mapping[int, int]
    briefing: bytes


class Supervisor(Service):
    """
    Keeps workers running as long as it runs itself.
    """

    def __init__(
        self,
        reactor: Any,
        count: int,
        program: Callable[[], Program],
        cannotStart: Callable[[], None],
        drainTimeout: float = 0.0,
    ) -> None:
        """
        @param reactor: A real one.
        @param count: How many workers there are.
        @param program: Tells what they run, when they start.
        @param cannotStart: Is called, once, if one ends before it has ever served.
        @param drainTimeout: Seconds that their tunnels may take to end when they stop.
        """
        self.reactor = reactor
        self.program = program
        self.patience = drainTimeout + PATIENCE
        #: Takes the workers' numbers and what they report; L{None}: one has ended.
        self.reported: Callable[[int, str | None], None] | None = None
        self._cannotStart: Callable[[], None] | None = cannotStart
        self._workers = [Worker(self, number) for number in range(1, count + 1)]

    def startService(self) -> None:
        """
        Start the workers.

        @raise OSError: There can be no more processes.
        """
        super().startService()  # type: ignore[no-untyped-call]
        for worker in self._workers:
            worker.start()

    def stopService(self) -> Deferred[Any]:
        """
        Let the workers stop.

        @return: Fires when all have ended; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        return DeferredList([worker.stop() for worker in self._workers])

    def hurry(self) -> None:
        """
        Let the workers that are stopping wait for tunnels no more.
        """
        for worker in self._workers:
            worker.hurry()

    def reload(self) -> None:
        """
        Have all workers reload what can be reloaded.
        """
        for worker in self._workers:
            worker.reload()

    def workerCannotStart(self) -> None:
        """
        Learn that a worker has ended that has never served.
        """
        cannotStart, self._cannotStart = self._cannotStart, None
        if cannotStart is not None:
            cannotStart()


class Worker:
    """
    A worker: one process after the other, all with the same number.
    """

    _log = Logger()

    def __init__(self, supervisor: Supervisor, number: int) -> None:
        """
        @param number: From 1.
        """
        self.name = f"worker {number}"
        self._number = number
        self._supervisor = supervisor
        self._process: _Process | None = None
        self._hasServed = False
        self._started = 0.0
        self._delay = 0.0
        self._timer: IDelayedCall | None = None
        self._whenEnded: Deferred[None] | None = None

    def start(self) -> None:
        """
        Start a process.

        @raise OSError: There can be no more of them.
        """
        self._timer = None
        reactor, program = self._supervisor.reactor, self._supervisor.program()
        self._started = reactor.seconds()
        process = _Process(self, b"%d %s\n" % (self._number, program.briefing))
        reactor.spawnProcess(
            process,
            program.command[0],
            [*program.command, str(self._number)],
            dict(program.environment),
            childFDs={0: "w", 1: "r", 2: "r", **program.descriptors},
        )
        self._process = process

    def stop(self) -> Deferred[None]:
        """
        Let it stop, or kill it if it does not.

        @return: Fires when it has ended; never fails.
        """
        self._stopTimer()
        if self._process is None:
            return succeed(None)
        self._whenEnded = Deferred()
        self._process.tell(STOP)
        self._killLater(self._supervisor.patience)
        return self._whenEnded

    def hurry(self) -> None:
        """
        Let it wait for tunnels no more, if it is stopping.
        """
        if self._process is not None and self._whenEnded is not None:
            self._stopTimer()
            self._process.tell(HURRY)
            self._killLater(PATIENCE)

    def reload(self) -> None:
        """
        Have it reload.  One that is not there yet finds everything new anyway.
        """
        if self._process is not None and self._whenEnded is None:
            self._process.tell(RELOAD)

    def log(self, level: Any, text: str) -> None:
        """
        Log what it has logged.

        @param level: One of L{LogLevel}.
        """
        self._log.emit(level, "{text}", text=text, log_system=self.name)

    def report(self, text: str | None) -> None:
        """
        Pass on what it reports; L{None}: it has ended.
        """
        if self._supervisor.reported is not None:
            self._supervisor.reported(self._number, text)

    def serves(self) -> None:
        """
        Learn that it serves.
        """
        self._hasServed = True
        self._log.info("{worker} serves", worker=self.name)

    def ended(self, reason: str) -> None:
        """
        Learn that the process has ended.
        """
        self._process = None
        self.report(None)
        if self._whenEnded is not None:
            self._stopTimer()
            self._whenEnded.callback(None)
        elif self._hasServed:
            self._startLater(reason)
        else:
            self._log.critical("{worker} cannot start: {reason}", worker=self.name, reason=reason)
            self._supervisor.workerCannotStart()

    def _startLater(self, reason: str) -> None:
        """
        Start a process again, and the later the more often it dies at once.
        """
        reactor = self._supervisor.reactor
        if reactor.seconds() - self._started >= STEADY:
            self._delay = 0.0
        else:
            self._delay = min(max(FIRST_DELAY, self._delay * 2), LAST_DELAY)
        self._log.error(
            "{worker} is gone ({reason}), and starts again in {delay:g} s",
            worker=self.name,
            reason=reason,
            delay=self._delay,
        )
        self._timer = reactor.callLater(self._delay, self._startAgain)

    def _startAgain(self) -> None:
        """
        Start a process, or try that later.
        """
        try:
            self.start()
        except OSError as error:
            self._startLater(str(error))

    def _killLater(self, patience: float) -> None:
        """
        Kill it if it does not stop in time.
        """
        self._timer = self._supervisor.reactor.callLater(patience, self._kill)

    def _kill(self) -> None:
        """
        End a process that does not stop.
        """
        self._timer = None
        if self._process is not None:
            self._log.warn("{worker} does not stop, and is killed", worker=self.name)
            self._process.kill()

    def _stopTimer(self) -> None:
        """
        Wait no more.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


class _Process(ProcessProtocol):
    """
    A process of a worker's.
    """

    transport: Any

    def __init__(self, worker: Worker, briefing: bytes) -> None:
        self._worker = worker
        self._briefing = briefing
        self._records = RecordReader()
        self._errors = b""

    def connectionMade(self) -> None:
        """
        Tell it what to do.  It stops when that pipe ends, even if that is because we end.
        """
        self.transport.writeToChild(0, self._briefing)

    def tell(self, word: bytes) -> None:
        """
        Tell it to do something, if it still listens.

        @param word: C{STOP}, C{HURRY} or C{RELOAD}.
        """
        # It may have ended without our having heard of that.
        with suppress(KeyError):
            self.transport.writeToChild(0, word)

    def kill(self) -> None:
        """
        End it at once.
        """
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """
        Take its records.
        """
        for record in self._records.receive(data):
            if record is None:
                self._worker.serves()
            elif record[0] == REPORT:
                self._worker.report(record[1])
            else:
                self._worker.log(*record)

    def errReceived(self, data: bytes) -> None:
        """
        Take what is written where only accidents are: it does not log yet, or not any
        more.
        """
        *lines, self._errors = (self._errors + data).split(b"\n")
        if len(self._errors) > MAX_TEXT:
            lines.append(self._errors)
            self._errors = b""
        for line in lines:
            self._worker.log(LogLevel.error, line.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """
        Tell why it has ended.
        """
        if self._errors:
            self.errReceived(b"\n")
        self._worker.ended(_words(reason.value))


def _words(reason: Any) -> str:
    """
    Write why a process has ended.
    """
    if reason.signal is not None:
        return f"killed by signal {reason.signal}"
    return f"ended with status {reason.exitCode}"
