"""
Tests of L{socks6.policy.stores.transactions}.

SQLite and the thread are real: what is tested is how they go together.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from socks6.interfaces import SessionStoreFailed
from socks6.policy.stores import transactions
from socks6.policy.stores.transactions import Step, TransactionQueue
from tests.integration.peers import DEADLINE
from tests.policy.stores.test_sqlite import ThreadedClock

reactor = cast("IReactorFromThreads", _reactor)

SCHEMA = """
CREATE TABLE numbers (number INTEGER UNIQUE);
CREATE TABLE dependents (number REFERENCES numbers (number) DEFERRABLE INITIALLY DEFERRED);
"""


def put(number: int) -> Step[int]:
    """
    Make a step that writes a number.

    @return: Returns the number.
    """

    def step(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    return step


def raising(error: Exception) -> Step[int]:
    """
    Make a step that writes 99 and then raises.
    """

    def step(connection: sqlite3.Connection) -> int:
        put(99)(connection)
        raise error

    return step


class Gate:
    """
    A step that waits until the test lets it go.
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, connection: sqlite3.Connection | None = None) -> str:
        """
        Wait.
        """
        self._reached.set()
        self._open.wait(DEADLINE)
        return "gate"

    def reach(self) -> None:
        """
        Wait until the thread has come to it.
        """
        assert self._reached.wait(DEADLINE)

    def open(self) -> None:
        """
        Let the thread go on.
        """
        self._open.set()


class TransactionQueueTests(TestCase):
    """
    Steps that are carried out one after the other.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(SCHEMA)
        #: What the database was told.
        self.statements: list[str] = []
        self.connections: list[sqlite3.Connection] = []
        #: What comes of opening it, if not the database.
        self.connectError: Exception | None = None
        self.queue = TransactionQueue(reactor, self.connect)
        self.addCleanup(self.queue.close)

    def connect(self) -> sqlite3.Connection:
        """
        Open the database.
        """
        if self.connectError is not None:
            raise self.connectError
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.set_trace_callback(self.statements.append)
        self.connections.append(connection)
        return connection

    def numbers(self) -> list[int]:
        """
        Read what is in the file, in the order in which it was written.
        """
        with closing(sqlite3.connect(self.path)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM numbers")]

    def assertClosed(self) -> None:
        """
        Check that nothing is left open, no thread either.
        """
        for connection in self.connections:
            self.assertRaises(sqlite3.ProgrammingError, connection.execute, "SELECT 1")
        self.assertEqual(self.threads(), [])

    def threads(self) -> list[threading.Thread]:
        """
        Find those that are at work for us.
        """
        return [each for each in threading.enumerate() if each.name == "socks6-sessions"]

    def gate(self) -> Gate:
        """
        Keep the thread busy.
        """
        gate = Gate()
        self.addCleanup(gate.open)
        # Some tests let it take too long.
        self.queue.run(gate).addErrback(lambda failure: failure.trap(SessionStoreFailed))
        gate.reach()
        return gate

    async def test_result(self) -> None:
        """
        What a step returns is the answer, and what it has done is on the disk then.
        """
        self.assertEqual(await self.queue.run(put(5)), 5)
        self.assertEqual(self.numbers(), [5])

    async def test_threads(self) -> None:
        """
        Steps run in one other thread, which keeps no process from ending; answers
        come in the reactor's.
        """
        threads: list[threading.Thread] = []

        def step(connection: sqlite3.Connection) -> None:
            threads.append(threading.current_thread())

        for _ in range(3):
            await self.queue.run(step)
            self.assertIs(threading.current_thread(), threading.main_thread())
        self.assertEqual(len(set(threads)), 1)
        self.assertIsNot(threads[0], threading.main_thread())
        self.assertTrue(threads[0].daemon)

    async def test_oneTransaction(self) -> None:
        """
        What has come while the thread was busy goes into one transaction, in its
        order.
        """
        gate = self.gate()
        results = [self.queue.run(put(number)) for number in range(10)]
        gate.open()
        self.assertEqual(await gatherResults(results), list(range(10)))
        self.assertEqual(self.numbers(), list(range(10)))
        told = [each for each in self.statements if not each.startswith("INSERT")]
        self.assertEqual(told, ["BEGIN IMMEDIATE", "COMMIT"] * 2)

    async def test_manySteps(self) -> None:
        """
        One transaction has only so many steps; the others follow, and those behind
        them that come meanwhile.
        """
        self.patch(transactions, "BATCH_LENGTH", 4)
        gate = self.gate()
        results = [self.queue.run(put(number)) for number in range(10)]
        late: list[Deferred[int]] = []

        def putOneMore(number: int) -> int:
            late.append(self.queue.run(put(10)))
            return number

        results[0].addCallback(putOneMore)
        gate.open()
        self.assertEqual(await gatherResults(results), list(range(10)))
        self.assertEqual(await late[0], 10)
        self.assertEqual(self.numbers(), list(range(11)))
        self.assertEqual(self.statements.count("COMMIT"), 4)

    async def test_runFromCallback(self) -> None:
        """
        Who gets an answer may ask for more at once.
        """

        def again(number: int) -> Deferred[int]:
            return self.queue.run(put(number + 1))

        result = self.queue.run(put(1))
        for _ in range(5):
            result.addCallback(again)
        self.assertEqual(await result, 6)
        self.assertEqual(self.numbers(), [1, 2, 3, 4, 5, 6])

    async def test_stepRaises(self) -> None:
        """
        If a step raises, it is the one who asked for it that gets to know; the
        others of the transaction are carried out, and what it has written itself
        stays.
        """
        gate = self.gate()
        results = [
            self.queue.run(put(1)),
            self.queue.run(raising(ZeroDivisionError("mine"))),
            self.queue.run(put(2)),
        ]
        gate.open()
        self.assertEqual(await results[0], 1)
        error = await self.assertFailure(results[1], ZeroDivisionError)
        self.assertEqual(str(error), "mine")
        self.assertEqual(await results[2], 2)
        self.assertEqual(self.numbers(), [1, 99, 2])
        self.assertEqual(len(self.connections), 1)

    async def assertAllFail(self, culprit: Step[Any], message: str) -> None:
        """
        Check that a step makes a transaction fail, that nothing is left of it, and
        that the next one is as good as ever.
        """
        await self.queue.run(put(0))
        gate = self.gate()
        results = [self.queue.run(step) for step in (put(1), culprit, put(2))]
        gate.open()
        for result in results:
            error = await self.assertFailure(result, SessionStoreFailed)
            self.assertIn(message, str(error))
        self.assertEqual(self.numbers(), [0])
        self.assertEqual(await self.queue.run(put(1)), 1)
        self.assertEqual(self.numbers(), [0, 1])

    async def test_databaseFails(self) -> None:
        """
        If the database fails in one step, nothing has been done for any other of
        the transaction.
        """
        await self.assertAllFail(raising(sqlite3.OperationalError("disk full")), "disk full")
        await self.queue.close()
        self.assertClosed()

    async def test_constraintFails(self) -> None:
        """
        The same if that is because of what the step has written.
        """
        await self.assertAllFail(put(0), "UNIQUE constraint failed")

    async def test_commitFails(self) -> None:
        """
        The same if only the end of the transaction fails.
        """

        def step(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO dependents VALUES (12345)")

        await self.assertAllFail(step, "FOREIGN KEY constraint failed")

    async def test_connectFails(self) -> None:
        """
        If the database cannot be opened, all who wait get to know; it is tried
        again for the next ones.
        """
        for error in (sqlite3.DatabaseError("not a database"), PermissionError(13, "Denied")):
            self.connectError = error
            results = [self.queue.run(put(1)) for _ in range(3)]
            for result in results:
                reason = await self.assertFailure(result, SessionStoreFailed)
                self.assertEqual(str(reason), str(error))
            self.connectError = None
            self.assertEqual(await self.queue.run(lambda connection: 5), 5)
            await self.queue.close()
        self.assertEqual(self.numbers(), [])

    async def test_unexpected(self) -> None:
        """
        If we have made a mistake ourselves, those who wait get to know it as it is.
        """
        self.connectError = ZeroDivisionError("ours")
        await self.assertFailure(self.queue.run(put(1)), ZeroDivisionError)
        self.connectError = None
        self.assertEqual(await self.queue.run(put(1)), 1)

    async def test_close(self) -> None:
        """
        To close it closes the database and ends the thread.
        """
        self.successResultOf(self.queue.close())
        await self.queue.run(put(1))
        await self.queue.close()
        self.assertClosed()
        self.successResultOf(self.queue.close())

    async def test_useAfterClose(self) -> None:
        """
        It can be used again, and closed again.
        """
        for number in range(3):
            self.assertEqual(await self.queue.run(put(number)), number)
            await self.queue.close()
            self.assertClosed()
        self.assertEqual(len(self.connections), 3)
        self.assertEqual(self.numbers(), [0, 1, 2])

    async def test_closeWhileBusy(self) -> None:
        """
        If something waits, it is carried out first; however many close it then all
        get to know.
        """
        self.patch(transactions, "BATCH_LENGTH", 2)
        gate = self.gate()
        results = [self.queue.run(put(number)) for number in range(3)]
        closings = [self.queue.close(), self.queue.close()]
        results.append(self.queue.run(put(3)))
        for each in (*results, *closings):
            self.assertNoResult(each)
        gate.open()
        self.assertEqual(await gatherResults(closings), [None, None])
        self.assertEqual([self.successResultOf(each) for each in results], [0, 1, 2, 3])
        self.assertClosed()
        self.assertEqual(len(self.connections), 1)

    async def test_closeFromCallback(self) -> None:
        """
        The same if it is closed by one who gets an answer, while others wait for
        the next transaction.
        """
        self.patch(transactions, "BATCH_LENGTH", 2)
        happened: list[object] = []
        closings: list[Deferred[None]] = []

        def close(number: int) -> None:
            happened.append(number)
            if number in (0, 4):
                closed = self.queue.close()
                closings.append(closed.addCallback(lambda _: happened.append("closed")))

        results = [self.queue.run(put(number)).addCallback(close) for number in range(5)]
        await gatherResults(results)
        await gatherResults(closings)
        self.assertEqual(happened, [0, 1, 2, 3, 4, "closed", "closed"])
        self.assertClosed()

    async def test_closeAfterFailure(self) -> None:
        """
        The same if what waits fails.
        """
        gate = self.gate()
        result = self.queue.run(raising(sqlite3.OperationalError("disk full")))
        closed = self.queue.close()
        gate.open()
        await self.assertFailure(result, SessionStoreFailed)
        await closed
        self.assertClosed()

    async def test_cancelled(self) -> None:
        """
        What nobody waits for any more is not carried out if it has not begun, and the
        others get their answers.
        """
        gate = self.gate()
        results = [self.queue.run(put(number)) for number in range(3)]
        results[1].cancel()
        await self.assertFailure(results[1], CancelledError)
        gate.open()
        self.assertEqual(await results[0], 0)
        self.assertEqual(await results[2], 2)
        self.assertEqual(self.numbers(), [0, 2])

    async def test_allCancelled(self) -> None:
        """
        If that is all there was, nothing more happens.
        """
        gate = self.gate()
        result = self.queue.run(put(0))
        result.cancel()
        await self.assertFailure(result, CancelledError)
        closed = self.queue.close()
        gate.open()
        await closed
        self.assertEqual(self.numbers(), [])
        self.assertClosed()

    async def test_failsWithTheOneBefore(self) -> None:
        """
        When the database fails, those who wait do not try it one after the other.
        """
        self.patch(transactions, "BATCH_LENGTH", 1)
        gate = self.gate()
        broken = self.queue.run(raising(sqlite3.OperationalError("disk full")))
        results = [self.queue.run(put(number)) for number in range(3)]
        gate.open()
        for result in (broken, *results):
            error = await self.assertFailure(result, SessionStoreFailed)
            self.assertEqual(str(error), "disk full")
        self.assertEqual(await self.queue.run(put(4)), 4)
        self.assertEqual(self.numbers(), [4])

    async def test_tooMany(self) -> None:
        """
        There is a limit to how many wait.
        """
        self.patch(transactions, "MAX_WAITING", 2)
        gate = self.gate()
        results = [self.queue.run(put(number)) for number in range(2)]
        error = self.failureResultOf(self.queue.run(put(2)), SessionStoreFailed).value
        self.assertEqual(str(error), "the disk has too much to do")
        gate.open()
        self.assertEqual(await gatherResults(results), [0, 1])
        self.assertEqual(await self.queue.run(put(3)), 3)

    async def test_hangs(self) -> None:
        """
        A disk that hangs fails those who wait in time, and those at once who come
        then; when it goes on, so do we.
        """
        self.patch(transactions, "TIME_LIMIT", 0.1)
        gate = self.gate()
        result = self.queue.run(put(0))
        error = await self.assertFailure(result, SessionStoreFailed)
        self.assertEqual(str(error), "the disk does not answer")
        self.failureResultOf(self.queue.run(put(1)), SessionStoreFailed)
        self.patch(transactions, "TIME_LIMIT", DEADLINE)
        waiting = self.queue.run(put(2))
        gate.open()
        self.assertEqual(await waiting, 2)
        self.assertEqual(self.numbers(), [2])

    async def test_closeWhileItHangs(self) -> None:
        """
        Then it is not waited for in the end either, and can be used again.
        """
        self.patch(transactions, "TIME_LIMIT", 0.1)
        gate = self.gate()
        await self.queue.close()
        self.patch(transactions, "TIME_LIMIT", DEADLINE)
        gate.open()
        self.assertEqual(await self.queue.run(put(0)), 0)
        await self.queue.close()
        for thread in threading.enumerate():
            if thread.name == "socks6-sessions":
                thread.join(DEADLINE)
        self.assertClosed()

    async def test_closeTogetherWhileItHangs(self) -> None:
        """
        All who wait for the end are told then; nobody closes the database for whoever
        uses it after that.
        """
        self.patch(transactions, "TIME_LIMIT", 0.1)
        gate = self.gate()
        closings = [self.queue.close()]
        self.patch(transactions, "TIME_LIMIT", DEADLINE)
        closings.append(self.queue.close())
        await closings[0]
        self.assertIsNone(self.successResultOf(closings[1]))
        gate.open()
        for number in range(3):
            self.assertEqual(await self.queue.run(put(number)), number)
            # That would be when the answer has been taken.
            turn: Deferred[None] = Deferred()
            reactor.callFromThread(turn.callback, None)
            await turn
        self.assertEqual(len(self.connections), 2)

    async def test_failsAfterItHung(self) -> None:
        """
        What befalls a thread that was left alone does not matter to those who wait for
        its successor.
        """
        gate = Gate()
        self.addCleanup(gate.open)
        isFirst = True

        def connect() -> sqlite3.Connection:
            nonlocal isFirst
            if isFirst:
                isFirst = False
                gate()
                raise sqlite3.OperationalError("broken at last")
            return self.connect()

        self.queue = TransactionQueue(reactor, connect)
        self.addCleanup(self.queue.close)
        self.patch(transactions, "TIME_LIMIT", 0.1)
        hanging = self.queue.run(put(0))
        gate.reach()
        [thread] = self.threads()
        error = await self.assertFailure(hanging, SessionStoreFailed)
        self.assertEqual(str(error), "the disk does not answer")
        await self.queue.close()
        self.patch(transactions, "TIME_LIMIT", DEADLINE)
        successor = self.gate()
        waiting = self.queue.run(put(0))
        gate.open()
        thread.join(DEADLINE)
        successor.open()
        self.assertEqual(await waiting, 0)
        self.assertEqual(self.numbers(), [0])

    async def test_closingHangs(self) -> None:
        """
        If it is the end itself that takes too long, it is not waited for either; whoever
        uses the database meanwhile has a thread that is not touched.
        """
        stuck = Gate()
        self.addCleanup(stuck.open)

        class Stuck(sqlite3.Connection):
            """
            A connection that takes its time to close.
            """

            def close(self) -> None:
                """
                Wait for the test.
                """
                stuck()
                super().close()

        clock = ThreadedClock()
        self.queue = TransactionQueue(clock, self.connect)
        self.addCleanup(self.queue.close)
        connect = sqlite3.connect
        self.patch(sqlite3, "connect", partial(connect, factory=Stuck))
        await self.queue.run(put(0))
        self.patch(sqlite3, "connect", connect)
        [thread] = self.threads()
        closed = self.queue.close()
        stuck.reach()
        clock.advance(transactions.TIME_LIMIT - 0.25)
        self.assertEqual(await self.queue.run(put(1)), 1)
        self.assertNoResult(closed)
        clock.advance(0.25)
        self.assertIsNone(self.successResultOf(closed))
        self.assertEqual(await self.queue.run(put(2)), 2)
        self.assertEqual(len(self.connections), 2)
        stuck.open()
        thread.join(DEADLINE)
        await self.queue.close()
        self.assertClosed()

    async def test_eachItsOwnFailure(self) -> None:
        """
        Whoever handles a failure does not change that of another one.
        """
        gate = self.gate()
        results = [self.queue.run(put(1)), self.queue.run(raising(sqlite3.Error("broken")))]
        gate.open()
        errors = [await self.assertFailure(result, SessionStoreFailed) for result in results]
        self.assertIsNot(errors[0], errors[1])
