"""
SQLite transactions in a thread, as many calls in each as have come meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from socks6.interfaces import SessionStoreFailed

#: Steps that are carried out in one transaction.
BATCH_LENGTH = 1000

#: Steps that wait for one.
MAX_WAITING = 10_000

#: Seconds that a step may take until whoever waits for it does so no more.
TIME_LIMIT = 5.0

_Result = TypeVar("_Result")

#: Something that is done within a transaction, in the thread.
Step = Callable[[sqlite3.Connection], _Result]


class _Call(NamedTuple):
    """
    A step, and who waits for it.
    """

    step: Step[Any]
    result: Deferred[Any]


class TransactionQueue:
    """
    Carries out steps one after the other.

    What it takes to get a transaction on the disk is shared by all steps that came
    while the one before was written.  A disk that hangs keeps nobody waiting for
    longer than L{TIME_LIMIT}, and does not keep the process from ending.
    """

    def __init__(self, reactor: Any, connect: Callable[[], sqlite3.Connection]) -> None:
        """
        @param reactor: Takes the results out of the thread.
        @param connect: Opens the database, in the thread; for use there, and without
            transactions of its own.
        """
        self._reactor = reactor
        self._connect = connect
        self._worker: _Worker | None = None
        self._waiting: list[_Call] = []
        #: Since when a transaction has been under way, if one is.
        self._busySince: float | None = None
        self._whenIdle: list[Deferred[None]] = []

    def run(self, step: Step[_Result]) -> Deferred[_Result]:
        """
        Do something in the next transaction.

        @param step: What it has written stays, even if it raises something then.
        @return: Fires with what C{step} returned, or fails with what it raised, once
            all is on the disk.  Fails with L{SessionStoreFailed} if the database does,
            and nothing has changed; or if it does not answer in time, and then the
            step may be carried out nevertheless.  Cancelling does not keep it from
            that if it has begun.
        """
        if self._hangs():
            return fail(SessionStoreFailed("the disk does not answer"))
        if len(self._waiting) >= MAX_WAITING:
            return fail(SessionStoreFailed("the disk has too much to do"))
        result: Deferred[_Result] = Deferred()
        result.addTimeout(TIME_LIMIT, self._reactor, _tooLate)
        self._waiting.append(_Call(step, result))
        if self._busySince is None:
            self._begin()
        return result

    def close(self) -> Deferred[None]:
        """
        Close the database when nothing waits any more; it is opened again if need
        be.

        @return: Fires when that is done, or after L{TIME_LIMIT}; never fails.
        """
        worker = self._worker
        if worker is None:
            return succeed(None)
        idle: Deferred[None] = Deferred()
        self._whenIdle.append(idle)
        if self._busySince is None and not self._waiting:
            self._shut()
        return idle.addTimeout(TIME_LIMIT, self._reactor, lambda *_: self._abandon(worker))

    def _hangs(self) -> bool:
        """
        Tell whether a transaction has taken so long that the next one had better not
        be waited for.
        """
        since = self._busySince
        return since is not None and self._reactor.seconds() - since >= TIME_LIMIT

    def _begin(self) -> None:
        """
        Carry out what waits, and is still waited for.
        """
        batch: list[_Call] = []
        waiting = iter(self._waiting)
        for call in waiting:
            if not call.result.called:
                batch.append(call)
            if len(batch) == BATCH_LENGTH:
                break
        self._waiting = list(waiting)
        if not batch:
            return
        self._busySince = self._reactor.seconds()
        if self._worker is None:
            self._worker = _Worker(self._connect)
        worker = self._worker
        self._worker.do(
            [call.step for call in batch],
            lambda outcome: self._reactor.callFromThread(self._end, worker, batch, outcome),
        )

    def _end(
        self, worker: _Worker, batch: Sequence[_Call], outcome: Sequence[Any] | Exception
    ) -> None:
        """
        Tell all who wait, and go on.

        @param outcome: What came of each step; or why there was no transaction, which
            those need not wait for either who would have been the next.
        """
        told = list(batch)
        isOurs = worker is self._worker
        if isOurs:
            self._busySince = None
        if isinstance(outcome, Exception):
            # What has befallen one that was left alone says nothing of its successor.
            if isOurs:
                told += self._waiting
                self._waiting = []
            error = outcome
            outcome = [_failureOf(error) for _ in told]
        for call, each in zip(told, outcome, strict=True):
            if not call.result.called:
                call.result.callback(each)
        if self._busySince is None:
            self._begin()
        if self._busySince is None and self._whenIdle:
            self._shut()

    def _shut(self) -> None:
        """
        Close the database, and end the thread, which has nothing to do.
        """
        waiting, self._whenIdle = self._whenIdle, []
        worker, self._worker = self._worker, None
        assert worker is not None

        def shut() -> None:
            worker.join()
            _tellAll(waiting)

        worker.end(lambda: self._reactor.callFromThread(shut))

    def _abandon(self, worker: _Worker) -> None:
        """
        Leave a thread that hangs alone: what has not been answered need not be done.
        """
        if worker is not self._worker:
            return
        worker.end(lambda: None)
        self._worker = None
        self._busySince = None
        waiting, self._whenIdle = self._whenIdle, []
        _tellAll(waiting)


class _Worker:
    """
    The thread, and the database that it has open.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """
        Begin to wait for something to do.
        """
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # It must not keep the process from ending.
        self._thread = Thread(target=self._loop, name="socks6-sessions", daemon=True)
        self._thread.start()

    def do(
        self, steps: Sequence[Step[Any]], done: Callable[[Sequence[Any] | Exception], None]
    ) -> None:
        """
        Carry out steps in one transaction.

        @param done: Is called in the thread, with what came of each step: what it
            returned, or a L{Failure} with what it raised; or with what keeps it from
            being carried out, and nothing has changed.
        """

        def work() -> None:
            try:
                outcome: Sequence[Any] | Exception = self._transact(steps)
            except Exception as error:  # noqa: BLE001  else nobody would ever get an answer
                outcome = error
                # The next transaction begins from scratch.
                self._disconnect()
            done(outcome)

        self._work.put(work)

    def end(self, done: Callable[[], None]) -> None:
        """
        Close the database and end, when all is done.

        @param done: Is called in the thread, which then only has to be joined.
        """

        def work() -> None:
            self._disconnect()
            done()

        self._work.put(work)
        self._work.put(None)

    def join(self) -> None:
        """
        Wait for the end of the thread.
        """
        self._thread.join()

    def _loop(self) -> None:
        """
        Do one thing after the other.
        """
        while (work := self._work.get()) is not None:
            work()

    def _transact(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """
        Carry out steps in a transaction.

        @raise OSError: The file cannot be used.
        @raise sqlite3.Error: The same; nothing has changed.
        """
        if self._connection is None:
            self._connection = self._connect()
        self._connection.execute("BEGIN IMMEDIATE")
        outcomes = [_outcomeOf(step, self._connection) for step in steps]
        self._connection.commit()
        return outcomes

    def _disconnect(self) -> None:
        """
        Close the database; what has not been committed is as if never done.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _tellAll(waiting: Sequence[Deferred[None]]) -> None:
    """
    Tell those who still wait that all is done.
    """
    for each in waiting:
        if not each.called:
            each.callback(None)


def _tooLate(result: object, seconds: float) -> Failure:
    """
    Say that the disk has taken too long.
    """
    return Failure(SessionStoreFailed("the disk does not answer"))


def _failureOf(error: Exception) -> Failure:
    """
    Say that a transaction has failed; if the database has, in terms of stores.
    """
    if isinstance(error, OSError | sqlite3.Error):
        return Failure(SessionStoreFailed(str(error)))
    return Failure(error)


def _outcomeOf(step: Step[Any], connection: sqlite3.Connection) -> Any:
    """
    Carry out a step.

    @return: What it returned, or a L{Failure} with what it raised.
    @raise sqlite3.Error: The database failed.
    """
    try:
        return step(connection)
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001  whoever waits for the step gets to know
        return Failure()
