"""
SQLite transactions in a thread, as many calls in each as have come meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from socks6.interfaces import SessionStoreFailed

#: Steps that are carried out in one transaction.
BATCH_LENGTH = 1000

_Result = TypeVar("_Result")

#: Something that is done within a transaction, in the thread.
Step = Callable[[sqlite3.Connection], _Result]

_Batch = Sequence[tuple[Step[Any], Deferred[Any]]]


class TransactionQueue:
    """
    Carries out steps one after the other.

    What it takes to get a transaction on the disk is shared by all steps that came
    while the one before was written.
    """

    def __init__(
        self, reactor: IReactorFromThreads, connect: Callable[[], sqlite3.Connection]
    ) -> None:
        """
        @param reactor: Takes the results out of the thread.
        @param connect: Opens the database, in the thread; for use in any thread, and
            without transactions of its own.
        """
        self._reactor = reactor
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._pool = _oneThread()
        self._waiting: list[tuple[Step[Any], Deferred[Any]]] = []
        self._busy = False
        self._whenIdle: list[Deferred[None]] = []

    def run(self, step: Step[_Result]) -> Deferred[_Result]:
        """
        Do something in the next transaction.

        @param step: What it has written stays, even if it raises something then.
        @return: Fires with what C{step} returned, or fails with what it raised, once
            all is on the disk; or fails with L{SessionStoreFailed}, and nothing has
            changed.  Cancelling does not keep C{step} from being done.
        """
        result: Deferred[_Result] = Deferred()
        self._waiting.append((step, result))
        if not self._busy:
            self._begin()
        return result

    def close(self) -> Deferred[None]:
        """
        Close the database when nothing waits any more; it is opened again if need
        be.

        @return: Fires when that is done; never fails.
        """
        if not self._busy and not self._waiting:
            self._shut()
            return succeed(None)
        shut: Deferred[None] = Deferred()
        self._whenIdle.append(shut)
        return shut

    def _begin(self) -> None:
        """
        Carry out what waits.
        """
        self._busy = True
        batch, self._waiting = self._waiting[:BATCH_LENGTH], self._waiting[BATCH_LENGTH:]
        if not self._pool.started:
            self._pool.start()
        self._pool.callInThread(self._run, batch)

    def _run(self, batch: _Batch) -> None:
        """
        Carry out a batch, in the thread.
        """
        try:
            outcomes = self._transact(batch)
        except Exception as error:  # noqa: BLE001  else nobody would ever get an answer
            outcomes = [_failureOf(error) for _ in batch]
            # The next transaction begins from scratch.
            self._disconnect()
        self._reactor.callFromThread(self._end, batch, outcomes)

    def _transact(self, batch: _Batch) -> list[Any]:
        """
        Carry out a batch in a transaction.

        @return: What came of each step.
        @raise OSError: The file cannot be used.
        @raise sqlite3.Error: The same; nothing has changed.
        """
        if self._connection is None:
            self._connection = self._connect()
        self._connection.execute("BEGIN IMMEDIATE")
        outcomes = [_outcomeOf(step, self._connection) for step, _ in batch]
        self._connection.commit()
        return outcomes

    def _disconnect(self) -> None:
        """
        Close the database; what has not been committed is as if never done.
        """
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end(self, batch: _Batch, outcomes: Sequence[Any]) -> None:
        """
        Tell all who wait, and go on.
        """
        self._busy = False
        for (_, result), outcome in zip(batch, outcomes, strict=True):
            result.callback(outcome)
        if self._busy:
            return
        if self._waiting:
            self._begin()
        elif self._whenIdle:
            self._shut()

    def _shut(self) -> None:
        """
        Close the database, and end the thread, which has nothing to do.
        """
        self._disconnect()
        if self._pool.started:
            self._pool.stop()
            self._pool = _oneThread()
        waiting, self._whenIdle = self._whenIdle, []
        for each in waiting:
            each.callback(None)


def _oneThread() -> ThreadPool:
    """
    Make a pool of one thread, which does not keep the process from ending: what
    has not been answered need not be done.
    """
    pool = ThreadPool(0, 1, "socks6-sessions")
    pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
    return pool


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
