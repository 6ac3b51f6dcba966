"""
Tests of L{socks6.policy.stores.sqlite}.

The files and the threads are real.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from socks6.interfaces import (
    SessionDemand,
    SessionLimits,
    SessionsExhausted,
    SessionStoreFailed,
    SessionUse,
)
from socks6.machine.tokens import precedes
from socks6.policy.stores import sqlite
from socks6.policy.stores.sqlite import SCHEMA, SQLiteSessionStore
from socks6.values.codes import TokenOutcome
from tests.integration.peers import DEADLINE
from tests.integration.twistd import environment
from tests.policy.stores.calls import (
    ALL,
    LIMITS,
    RECORD,
    advertised,
    ask,
    isThere,
    mayOpen,
    newKey,
    openSession,
    record,
    together,
)
from tests.policy.stores.suite import StoreTests

reactor: Any = _reactor

SUCCESS = TokenOutcome.SUCCESS

#: Somebody without rights.
NOBODY = 65534


class ThreadedClock(Clock):
    """
    A clock that is the test's, with what threads need of a reactor.
    """

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """
        Let the real reactor do something.
        """
        reactor.callFromThread(function, *arguments)


class SQLiteTestCase(TestCase):
    """
    A test with a file of its own.
    """

    def setUp(self) -> None:
        self.clock = ThreadedClock()
        self.clock.advance(1000)
        self.path = Path(self.mktemp())
        self.store = SQLiteSessionStore(self.clock, self.path)
        self.addCleanup(self.store.close)

    def another(self) -> sqlite3.Connection:
        """
        Open the file as another program would.
        """
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        return connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """
        Look into the file.
        """
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()


class SQLiteStoreTests(StoreTests, SQLiteTestCase):
    """
    What every store does.
    """

    def makeStore(self) -> SQLiteSessionStore:
        """
        Give a further store on the same file.
        """
        return SQLiteSessionStore(self.clock, self.path)

    async def elapse(self, seconds: float) -> None:
        """
        Advance the clock.
        """
        self.clock.advance(seconds)


class FileTests(SQLiteTestCase):
    """
    What is in the file.
    """

    async def test_anotherProcess(self) -> None:
        """
        Whoever opens the file after us finds all that we have been told is done.
        """
        bare = await openSession(self.store, None, record(b"user a"))
        key = await openSession(self.store, 64, record(b"user b"))
        for token in (5, 0, 9):
            await ask(self.store, key, SessionDemand(token=token))
        await self.store.close()
        self.assertEqual([each.name for each in self.path.parent.iterdir()], [self.path.name])
        other = SQLiteSessionStore(self.clock, self.path)
        self.addCleanup(other.close)
        other.start()
        use = await ask(other, bare, SessionDemand(token=0))
        self.assertEqual(use, SessionUse(record(b"user a"), True, TokenOutcome.NO_WINDOW))
        for token, outcome, base in (
            (5, TokenOutcome.DUPLICATE, None),
            (0, TokenOutcome.OUT_OF_WINDOW, 1),
            (9, TokenOutcome.DUPLICATE, None),
            (1, SUCCESS, 2),
        ):
            use = await ask(other, key, SessionDemand(token=token))
            window = None if base is None else advertised(base, 64)
            self.assertEqual(use, SessionUse(record(b"user b"), True, outcome, window), str(token))
        self.assertFalse(await mayOpen(other, replace(LIMITS, sessions=2), b"user c"))
        self.assertFalse(await mayOpen(other, replace(LIMITS, sessionsPerOwner=1), b"user a"))

    async def test_unclosed(self) -> None:
        """
        The same, if we have not come to close it.
        """
        key = await openSession(self.store, 64)
        await ask(self.store, key, SessionDemand(token=0))
        copy = Path(self.mktemp())
        copy.mkdir()
        for each in self.path.parent.glob(self.path.name + "*"):
            (copy / each.name).write_bytes(each.read_bytes())
        other = SQLiteSessionStore(self.clock, copy / self.path.name)
        self.addCleanup(other.close)
        use = await ask(other, key, SessionDemand(token=0))
        self.assertEqual(use.window, advertised(1, 64))

    async def test_mode(self) -> None:
        """
        The file and what lies beside it while it is in use are for the owner only.
        """
        self.addCleanup(os.umask, os.umask(0))
        await openSession(self.store)
        found = {each.name: each.stat().st_mode & 0o777 for each in self.path.parent.iterdir()}
        names = [self.path.name + suffix for suffix in ("", "-wal", "-shm")]
        self.assertEqual(found, dict.fromkeys(names, 0o600))

    async def test_modeOfOthers(self) -> None:
        """
        A file that is there keeps its mode, if it is empty as well.
        """
        self.path.touch(0o640)
        self.path.chmod(0o640)
        self.store.start()
        await openSession(self.store)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o640)

    async def test_durable(self) -> None:
        """
        Each transaction is forced to the disk, to a log.
        """
        settings: list[Any] = []

        def look(path: Path) -> sqlite3.Connection:
            connection = connect(path)
            settings.extend(
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous")
            )
            return connection

        connect = sqlite._connect
        self.patch(sqlite, "_connect", look)
        await openSession(self.store)
        # 2 is FULL.
        self.assertEqual(settings, ["wal", 2])

    async def test_hashesOnly(self) -> None:
        """
        What is kept is the key, the record and the window.
        """
        key = await openSession(self.store, 16)
        await ask(self.store, key, SessionDemand(token=1))
        self.assertEqual(
            self.rows("SELECT * FROM sessions"),
            [(key, 2, b"ada", "192.0.2.1", 2, b"user ada", 1600.0, 0, 16, b"\2")],
        )

    async def test_counts(self) -> None:
        """
        What is counted is what is there, and nothing is kept of owners that have no
        session, however they have ended.
        """
        keys = [
            await openSession(self.store, None, record(owner)) for owner in (b"a", b"a", b"b", b"c")
        ]

        def counts() -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
            return self.rows("SELECT * FROM total"), self.rows("SELECT * FROM owners")

        self.assertEqual(counts(), ([(4,)], [(b"a", 2), (b"b", 1), (b"c", 1)]))
        for key in (keys[0], keys[2]):
            await ask(self.store, key, SessionDemand(teardown=True))
        self.assertEqual(counts(), ([(2,)], [(b"a", 1), (b"c", 1)]))
        self.assertFalse(await mayOpen(self.store, replace(LIMITS, sessions=0), b"d"))
        self.assertEqual(counts(), ([(2,)], [(b"a", 1), (b"c", 1)]))
        self.clock.advance(LIMITS.timeout)
        await openSession(self.store, None, record(b"e"))
        self.assertEqual(counts(), ([(1,)], [(b"e", 1)]))

    async def test_moment(self) -> None:
        """
        A session is gone at the moment at which its time is over, and there until
        then.
        """
        key = await openSession(self.store)
        self.clock.advance(LIMITS.timeout - 0.001)
        self.assertTrue(await isThere(self.store, key))
        self.clock.advance(0.001)
        self.assertFalse(await isThere(self.store, key))
        self.assertTrue(await mayOpen(self.store, replace(LIMITS, sessions=1), b"user"))

    async def test_strangers(self) -> None:
        """
        Those who know no session's ID, or are not admitted, write nothing.
        """
        key = await openSession(self.store, 64)
        other = self.another()
        # It changes with each change that others make.
        query = "PRAGMA data_version"
        before = other.execute(query).fetchone()
        demand = SessionDemand(0, 4, True)
        self.assertFalse((await ask(self.store, key, demand, ())).admitted)
        self.assertIsNone(await self.store.use(newKey(), demand, ALL, LIMITS.timeout))
        self.assertEqual(other.execute(query).fetchone(), before)
        await ask(self.store, key, demand)
        self.assertNotEqual(other.execute(query).fetchone(), before)

    async def test_fewAtOnce(self) -> None:
        """
        Where many sessions have expired, those that are opened delete some of them,
        the ones that expired first.
        """
        self.patch(sqlite, "EXPIRED_AT_ONCE", 3)
        for number in range(10):
            await openSession(self.store, None, record(b"user %d" % number))
            self.clock.advance(1)
        self.clock.advance(LIMITS.timeout)
        for left in (8, 6):
            await openSession(self.store)
            self.assertEqual(self.rows("SELECT sessions FROM total"), [(left,)])
        self.assertEqual(
            self.rows("SELECT owner FROM owners ORDER BY owner")[0], (b"user 6",), "the oldest"
        )

    async def test_allForRoom(self) -> None:
        """
        Before a session is declined, all of its owner are deleted that have expired; of
        others, no more than otherwise.
        """
        self.patch(sqlite, "EXPIRED_AT_ONCE", 1)
        for owner in (b"a", b"a", b"a", b"a", b"b", b"b", b"b", b"c"):
            await openSession(self.store, None, record(owner))
            self.clock.advance(1)
        self.clock.advance(LIMITS.timeout / 2)
        await openSession(self.store, None, record(b"b"))
        self.clock.advance(LIMITS.timeout / 2)
        limits = replace(LIMITS, sessionsPerOwner=2)
        for room, left in ((True, 3), (False, 2)):
            self.assertIs(await mayOpen(self.store, limits, b"b"), room)
            owners = self.rows("SELECT * FROM owners ORDER BY owner")
            self.assertEqual(owners, [(b"a", left), (b"b", 2), (b"c", 1)])
        self.assertEqual(self.rows("SELECT * FROM total"), [(5,)])

    async def test_fullOfExpired(self) -> None:
        """
        Where all places are taken by sessions that have expired, there is room.
        """
        limits = replace(LIMITS, sessions=10)
        for _ in range(10):
            self.assertTrue(await mayOpen(self.store, limits, b"a"))
        self.assertFalse(await mayOpen(self.store, limits, b"b"))
        self.clock.advance(LIMITS.timeout)
        self.patch(sqlite, "EXPIRED_AT_ONCE", 1)
        for _ in range(10):
            self.assertTrue(await mayOpen(self.store, limits, b"b"))
        self.assertFalse(await mayOpen(self.store, limits, b"b"))

    def test_indices(self) -> None:
        """
        Nothing that is asked for takes longer because others have many sessions.
        """
        plans: list[str] = []

        class Explaining(sqlite3.Connection):
            """
            A connection that tells how it would go about something.
            """

            def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
                """
                Ask, and do it.
                """
                if sql.startswith(("SELECT", "DELETE", "UPDATE")):
                    cursor = super().execute(f"EXPLAIN QUERY PLAN {sql}", *arguments)
                    plans.extend(detail for *_, detail in cursor)
                return super().execute(sql, *arguments)

        self.store.start()
        with closing(sqlite3.connect(self.path, factory=Explaining)) as connection:
            sqlite._expire(connection, 0.0, 1)
            sqlite._expireOwned(connection, 0.0, b"a")
            sqlite._find(connection, b"key", 0.0)
        searches = [plan for plan in plans if "sessions" in plan]
        self.assertEqual({plan.partition(" ")[0] for plan in searches}, {"SEARCH"})
        keys = [" ".join(re.findall("PRIMARY KEY|expiry|ownership", plan)) for plan in searches]
        self.assertEqual(keys, ["PRIMARY KEY", "expiry", "ownership", "PRIMARY KEY"])

    async def test_declinedAmongOthers(self) -> None:
        """
        A session that is declined does not keep others from being opened, though
        all go to the disk together.
        """
        limits = SessionLimits(LIMITS.timeout, 1000, 1)
        keys = [newKey() for _ in range(6)]
        owners = [b"user %d" % (number // 2) for number in range(6)]
        calls = [
            self.store.open(key, record(owner), None, limits)
            for key, owner in zip(keys, owners, strict=True)
        ]
        for call in calls[1::2]:
            await self.assertFailure(call, SessionsExhausted)
        await gatherResults(calls[::2])
        there = await together(isThere(self.store, key) for key in keys)
        self.assertEqual(there, [True, False] * 3)

    async def test_useAfterClose(self) -> None:
        """
        A store that was closed opens its file again if need be.
        """
        key = await openSession(self.store, 64)
        for token in range(3):
            await self.store.close()
            use = await ask(self.store, key, SessionDemand(token=token))
            self.assertEqual(use.window, advertised(token + 1, 64))

    async def test_closeWhileBusy(self) -> None:
        """
        What was asked for before the store is closed is done.
        """
        key = await openSession(self.store, 64)
        calls = [
            self.store.use(key, SessionDemand(token=token), ALL, LIMITS.timeout)
            for token in range(20)
        ]
        await self.store.close()
        uses = [self.successResultOf(call) for call in calls]
        self.assertEqual({use.outcome for use in uses if use is not None}, {SUCCESS})


class StartTests(SQLiteTestCase):
    """
    Whether the file can be used.
    """

    async def assertUnusable(self, reason: str) -> None:
        """
        Check that a store says so when it starts, in one line, and fails otherwise.
        """
        error = self.assertRaises(SessionStoreFailed, self.store.start)
        self.assertEqual(str(error), f"{self.path}: {reason}")
        await self.assertFailure(
            self.store.open(newKey(), RECORD, None, LIMITS), SessionStoreFailed
        )
        await self.assertFailure(
            self.store.use(newKey(), SessionDemand(), ALL, 5.0), SessionStoreFailed
        )
        await self.store.close()

    def test_makesFile(self) -> None:
        """
        The file is there as soon as the store has started, without any session.
        """
        self.assertFalse(self.path.exists())
        self.store.start()
        self.assertEqual(self.rows("SELECT sessions FROM total"), [(0,)])

    async def test_withoutStart(self) -> None:
        """
        A store that has not been started makes its file when it needs it.
        """
        await openSession(self.store)
        self.assertEqual(self.rows("SELECT sessions FROM total"), [(1,)])

    async def test_emptyDatabase(self) -> None:
        """
        A database with nothing in it becomes ours.
        """
        with closing(self.another()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        self.store.start()
        self.assertTrue(await isThere(self.store, await openSession(self.store)))

    async def test_noDatabase(self) -> None:
        """
        A file that is no database stays as it is.
        """
        content = b"root:x:0:0:root:/root:/bin/bash\n" * 50
        self.path.write_bytes(content)
        await self.assertUnusable("file is not a database")
        self.assertEqual(self.path.read_bytes(), content)

    async def test_otherProgram(self) -> None:
        """
        A database of another program stays as it is.
        """
        for script in (
            "CREATE TABLE sessions (key BLOB PRIMARY KEY)",
            "PRAGMA application_id = 12345",
            "CREATE TABLE t (a); PRAGMA application_id = 12345; PRAGMA user_version = 1",
        ):
            with closing(self.another()) as connection:
                connection.executescript(script)
            content = self.path.read_bytes()
            await self.assertUnusable("the file belongs to another program")
            self.assertEqual(self.path.read_bytes(), content, script)
            self.path.unlink()

    async def test_otherVersion(self) -> None:
        """
        A file of another version of ours stays as it is.
        """
        self.store.start()
        with closing(self.another()) as connection:
            connection.execute("PRAGMA user_version = 7")
        content = self.path.read_bytes()
        await self.assertUnusable("the file has sessions of another version (7)")
        self.assertEqual(self.path.read_bytes(), content)

    async def test_folder(self) -> None:
        """
        A folder is no file.
        """
        self.path.mkdir()
        await self.assertUnusable("unable to open database file")
        self.assertEqual(list(self.path.iterdir()), [])

    async def test_noFolder(self) -> None:
        """
        The folder must be there, and be one.
        """
        self.path = self.path / "sessions"
        self.store = SQLiteSessionStore(self.clock, self.path)
        await self.assertUnusable("No such file or directory")
        self.path.parent.write_bytes(b"")
        await self.assertUnusable("Not a directory")

    def foreignFolder(self) -> Path:
        """
        Make a folder, and choose a file in it that is not there; a folder to which
        all can get.
        """
        folder = tempfile.TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "sessions"
        self.store = SQLiteSessionStore(self.clock, self.path)
        return self.path.parent

    @contextmanager
    def withoutRights(self, folder: Path) -> Iterator[None]:
        """
        Have no right to write into a folder, nor those of root.
        """
        isRoot = os.geteuid() == 0
        folder.chmod(0o555)
        if isRoot:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if isRoot:
                os.seteuid(0)
            folder.chmod(0o755)

    async def test_foreignFolder(self) -> None:
        """
        We must be allowed to make the file.
        """
        with self.withoutRights(self.foreignFolder()):
            await self.assertUnusable("Permission denied")
        self.store.start()

    async def test_foreignFile(self) -> None:
        """
        We must be allowed to read and to write it, and to put something beside it.
        """
        folder = self.foreignFolder()
        self.store.start()
        for mode, reason in (
            (0o000, "unable to open database file"),
            (0o444, "attempt to write a readonly database"),
            (0o666, "attempt to write a readonly database"),
        ):
            self.path.chmod(mode)
            with self.withoutRights(folder):
                await self.assertUnusable(reason)
        self.store.start()

    def test_together(self) -> None:
        """
        However many start at once where there is no file, all of them can work.
        """
        # SQLite would sometimes fail at once where it should wait.
        failures: list[Exception] = []
        barrier = threading.Barrier(8)

        def start() -> None:
            barrier.wait()
            try:
                SQLiteSessionStore(self.clock, self.path).start()
            except SessionStoreFailed as error:
                failures.append(error)

        threads = [threading.Thread(target=start) for _ in range(barrier.parties)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    async def test_overtaken(self) -> None:
        """
        If another process makes the file ours while we are about to do so, that is
        all right.
        """
        self.patch(sqlite3, "connect", partial(sqlite3.connect, factory=Overtaken))
        self.store.start()
        self.assertTrue(await isThere(self.store, await openSession(self.store)))


class Overtaken(sqlite3.Connection):
    """
    A connection to a file that another process is always faster to make ours.
    """

    def executescript(self, script: str) -> sqlite3.Cursor:
        """
        Let the other process do the same before.
        """
        (_, _, path) = self.execute("PRAGMA database_list").fetchone()
        with closing(sqlite3.connect(path, factory=sqlite3.Connection)) as other:
            other.executescript(script)
        return super().executescript(script)


class Reluctant(sqlite3.Connection):
    """
    A connection that does not become one with a log at first, as SQLite has it
    where several want that at once.
    """

    refusals = 3

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        """
        Refuse, or do it.
        """
        if "journal_mode" in sql and self.refusals:
            self.refusals -= 1
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, *arguments)


class TroubleTests(SQLiteTestCase):
    """
    A file that cannot be used for a while.
    """

    async def test_locked(self) -> None:
        """
        While another process keeps the file for itself, calls fail, all together;
        nothing has been done, and later all is well.
        """
        key = await openSession(self.store, 64)
        await self.store.close()
        self.patch(sqlite, "LOCK_TIMEOUT", 0.05)
        other = self.another()
        other.execute("BEGIN IMMEDIATE")
        began, opened = time.monotonic(), newKey()
        calls: list[Deferred[Any]] = [
            self.store.use(key, SessionDemand(token=0), ALL, LIMITS.timeout),
            self.store.use(key, SessionDemand(teardown=True), ALL, LIMITS.timeout),
            self.store.open(opened, RECORD, None, LIMITS),
        ]
        for call in calls:
            error = await self.assertFailure(call, SessionStoreFailed)
            self.assertEqual(str(error), "database is locked")
        self.assertLess(time.monotonic() - began, 5.0 / 2)
        other.rollback()
        self.assertFalse(await isThere(self.store, opened))
        use = await ask(self.store, key, SessionDemand(token=0))
        self.assertEqual(use.window, advertised(1, 64))

    async def test_lockedForAMoment(self) -> None:
        """
        If the other process lets go of it in time, nobody notices.
        """
        key = await openSession(self.store, 64)
        other = self.another()
        other.execute("BEGIN IMMEDIATE")
        call = self.store.use(key, SessionDemand(token=0), ALL, LIMITS.timeout)
        reactor.callLater(0.05, other.rollback)
        use = await call
        assert use is not None
        self.assertEqual(use.window, advertised(1, 64))

    async def test_lockedAtStart(self) -> None:
        """
        If it does not, the store cannot start.
        """
        self.store.start()
        self.patch(sqlite, "LOCK_TIMEOUT", 0.05)
        other = self.another()
        other.execute("BEGIN IMMEDIATE")
        error = self.assertRaises(SessionStoreFailed, self.store.start)
        self.assertEqual(str(error), f"{self.path}: database is locked")
        other.rollback()
        self.store.start()

    def test_lockedWhenEmpty(self) -> None:
        """
        The same where the file is not yet ours.
        """
        self.patch(sqlite, "LOCK_TIMEOUT", 0.05)
        other = self.another()
        other.execute("BEGIN IMMEDIATE")
        error = self.assertRaises(SessionStoreFailed, self.store.start)
        self.assertEqual(str(error), f"{self.path}: database is locked")
        other.rollback()
        self.store.start()

    def test_noLog(self) -> None:
        """
        If another process keeps a new file from becoming one with a log, the store
        cannot start.
        """
        other = self.another()
        other.executescript(SCHEMA)
        other.execute("BEGIN")
        other.execute("SELECT * FROM total").fetchall()
        self.patch(sqlite, "LOCK_TIMEOUT", 0.05)
        error = self.assertRaises(SessionStoreFailed, self.store.start)
        self.assertEqual(str(error), f"{self.path}: database is locked")
        other.rollback()
        self.store.start()

    def test_reluctant(self) -> None:
        """
        If several processes want a new file to become one with a log at once, SQLite
        refuses; it is tried again.
        """
        self.patch(sqlite3, "connect", partial(sqlite3.connect, factory=Reluctant))
        self.patch(sqlite, "WAL_PAUSE", 0.0)
        self.store.start()
        self.patch(sqlite, "LOCK_TIMEOUT", 0.0)
        self.assertRaises(SessionStoreFailed, self.store.start)

    async def test_diskFull(self) -> None:
        """
        If the disk is full, calls fail, and nothing has been done; as soon as there
        is room, all is well.
        """
        isFull = False

        def limited(path: Path) -> sqlite3.Connection:
            connection = connect(path)
            if isFull:
                (pages,) = connection.execute("PRAGMA page_count").fetchone()
                connection.execute(f"PRAGMA max_page_count = {pages}")
            return connection

        connect = sqlite._connect
        self.patch(sqlite, "_connect", limited)
        key = await openSession(self.store, 2**20)
        await self.store.close()
        isFull = True
        keys = [newKey() for _ in range(3)]
        large = replace(RECORD, name=bytes(50_000))
        calls: list[Deferred[Any]] = [
            # So that the others wait, and come together.
            self.store.use(newKey(), SessionDemand(), ALL, LIMITS.timeout),
            self.store.open(keys[0], RECORD, None, LIMITS),
            self.store.open(keys[1], large, None, LIMITS),
            self.store.open(keys[2], RECORD, None, LIMITS),
        ]
        self.assertIsNone(await calls[0])
        for call in calls[1:]:
            error = await self.assertFailure(call, SessionStoreFailed)
            self.assertEqual(str(error), "database or disk is full")
        far = 2**20 - 1
        await self.assertFailure(
            self.store.use(key, SessionDemand(token=far), ALL, LIMITS.timeout), SessionStoreFailed
        )
        there = await together(isThere(self.store, each) for each in keys)
        self.assertEqual(there, [False] * 3)
        self.assertEqual(self.rows("SELECT sessions FROM total"), [(1,)])
        # Requests that take no room still work.
        self.assertIs((await ask(self.store, key, SessionDemand(token=1))).outcome, SUCCESS)
        isFull = False
        await self.store.close()
        self.assertIs((await ask(self.store, key, SessionDemand(token=far))).outcome, SUCCESS)
        await self.store.open(keys[1], large, None, LIMITS)
        self.assertEqual((await ask(self.store, keys[1], SessionDemand())).record, large)

    async def test_damaged(self) -> None:
        """
        If the file is not what it was any more, calls fail; if it is again, all is
        well.
        """
        key = await openSession(self.store, 64)
        await self.store.close()
        content = self.path.read_bytes()
        self.path.write_bytes(b"rubbish" * 1000)
        for _ in range(2):
            await self.assertFailure(
                self.store.use(key, SessionDemand(), ALL, LIMITS.timeout), SessionStoreFailed
            )
        self.path.write_bytes(content)
        self.assertTrue(await isThere(self.store, key))


class ProcessTests(SQLiteTestCase):
    """
    Several processes, and how they end.
    """

    def setUp(self) -> None:
        # Another process would have nothing of our clock.
        super().setUp()
        self.path = self.path.absolute()
        self.store = SQLiteSessionStore(reactor, self.path)
        self.addCleanup(self.store.close)

    def spend(self, key: bytes, enough: int, delay: float) -> list[int]:
        """
        Spend tokens in another process, which is killed in the middle of it.

        @param enough: How many tokens are spent at least before it is killed.
        @param delay: Seconds that pass then, or from the start if C{enough} is 0.
        @return: The tokens that it says are spent.
        """
        with subprocess.Popen(
            [sys.executable, "-m", "tests.policy.stores.spender", str(self.path), key.hex()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=environment(),
        ) as process:
            assert process.stdout is not None
            deadline = threading.Timer(DEADLINE, process.kill)
            deadline.start()
            lines = [process.stdout.readline() for _ in range(enough)]
            time.sleep(delay)
            self.assertIsNone(process.poll(), "it is still alive")
            process.kill()
            lines += process.stdout.readlines()
            deadline.cancel()
        return [int(line) for line in lines]

    async def test_killed(self) -> None:
        """
        Whenever the process is killed, the next one finds the session, and no token
        that was spent can be spent again.
        """
        chance, key = Random(), newKey()
        rounds: list[tuple[int, float]] = [(0, chance.uniform(0.2, 0.6)) for _ in range(2)]
        rounds += [(chance.randint(1, 300), chance.uniform(0, 0.01)) for _ in range(4)]
        spent: list[int] = []
        for enough, delay in rounds:
            spent += self.spend(key, enough, delay)
        self.assertEqual(len(set(spent)), len(spent), "each token was spent once")
        window = (await ask(self.store, key, SessionDemand(token=2**31))).window
        assert window is not None
        uses = await together(ask(self.store, key, SessionDemand(token=token)) for token in spent)
        for token, use in zip(spent, uses, strict=True):
            below = use.outcome is TokenOutcome.OUT_OF_WINDOW and precedes(token, window.base)
            self.assertTrue(below or use.outcome is TokenOutcome.DUPLICATE, f"token {token}")

    async def test_shared(self) -> None:
        """
        While we have the file open no other process takes itself for the last one,
        even if one more store in this process has started meanwhile.
        """
        # The last one puts the log into the file and removes it.
        key = await openSession(self.store, 64)
        log = self.path.with_name(self.path.name + "-wal")
        other = SQLiteSessionStore(reactor, self.path)
        other.start()
        await ask(other, key, SessionDemand(token=0))
        await other.close()
        script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM total')"
        command = [sys.executable, "-c", f"{script}.fetchall()", str(self.path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=DEADLINE)
        self.assertTrue(log.exists())
        use = await ask(self.store, key, SessionDemand(token=1))
        self.assertEqual(use.window, advertised(2, 64))
