"""
Sessions in a file, which outlive the process.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from zope.interface import implementer

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionStoreFailed,
    SessionTrust,
    SessionUse,
)
from socks6.machine.tokens import TokenWindow
from socks6.policy.stores.state import SessionState, endsSession
from socks6.policy.stores.transactions import TransactionQueue
from socks6.values.options import TokenWindowAdvertisement

#: Seconds that other processes may keep the file locked.
LOCK_TIMEOUT = 5.0

#: Seconds until we try again what SQLite does not wait for.
WAL_PAUSE = 0.01

#: Expired sessions that are deleted at a time, so that nobody waits for all of
#: them.
EXPIRED_AT_ONCE = 1000

#: What tells our files from those of other programs: "SOC6".
APPLICATION_ID = 0x534F4336

#: The version of L{SCHEMA}.
SCHEMA_VERSION = 1

#: Makes an empty file ours.
SCHEMA = f"""
BEGIN EXCLUSIVE;
CREATE TABLE sessions (
    key BLOB PRIMARY KEY,
    method INTEGER NOT NULL,
    name BLOB NOT NULL,
    address TEXT NOT NULL,
    trust INTEGER NOT NULL,
    owner BLOB NOT NULL,
    expires REAL NOT NULL,
    base INTEGER,
    size INTEGER,
    spent BLOB
) WITHOUT ROWID;
CREATE INDEX expiry ON sessions (expires);
CREATE INDEX ownership ON sessions (owner);
CREATE TABLE total (sessions INTEGER NOT NULL);
INSERT INTO total VALUES (0);
CREATE TABLE owners (owner BLOB PRIMARY KEY, sessions INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER opened AFTER INSERT ON sessions BEGIN
    UPDATE total SET sessions = sessions + 1;
    INSERT INTO owners VALUES (NEW.owner, 1)
        ON CONFLICT (owner) DO UPDATE SET sessions = sessions + 1;
END;
CREATE TRIGGER ended AFTER DELETE ON sessions BEGIN
    UPDATE total SET sessions = sessions - 1;
    UPDATE owners SET sessions = sessions - 1 WHERE owner = OLD.owner;
    DELETE FROM owners WHERE owner = OLD.owner AND sessions = 0;
END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""  # noqa: S608  the numbers are our own


@implementer(ISessionStore)
class SQLiteSessionStore:
    """
    Keeps sessions in an SQLite database.

    What has been answered is on the disk: it survives the end of the process and
    of the machine, whatever ends them.  Any number of processes of one machine may
    share the file.

    The time is the reactor's, which must be that of the calendar if the file is
    to outlive the process.
    """

    def __init__(self, reactor: IReactorTime, path: Path) -> None:
        """
        @param reactor: A real one: we have a thread.
        @param path: The file, which is made if it is not there, for its owner only.
            It must lie on a disk of this machine.
        """
        self._clock = reactor
        self._path = path
        self._transactions = TransactionQueue(
            cast("IReactorFromThreads", reactor), lambda: _connect(path)
        )

    def start(self) -> None:
        """
        Make sure that the file can be used.

        @see: L{ISessionStore.start}
        """
        try:
            with closing(_connect(self._path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SessionStoreFailed(f"{self._path}: {reason}") from error

    def open(
        self, key: bytes, record: SessionRecord, windowSize: int | None, limits: SessionLimits
    ) -> Deferred[TokenWindowAdvertisement | None]:
        """
        Begin a session.

        @see: L{ISessionStore.open}
        """
        now = self._clock.seconds()
        window = None if windowSize is None else TokenWindow(0, windowSize)
        state = SessionState(record, window, now + limits.timeout)

        def insert(connection: sqlite3.Connection) -> TokenWindowAdvertisement | None:
            _expire(connection, now, EXPIRED_AT_ONCE)
            if not _hasRoom(connection, record.owner, limits):
                _expireOwned(connection, now, record.owner)
                if not _hasRoom(connection, record.owner, limits):
                    raise SessionsExhausted
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    record.method,
                    record.name,
                    record.address,
                    record.trust,
                    record.owner,
                    *_changeable(state),
                ),
            )
            return None if window is None else window.advertisement

        return self._transactions.run(insert)

    def use(
        self,
        key: bytes,
        demand: SessionDemand,
        trusts: Collection[SessionTrust],
        timeout: float,
    ) -> Deferred[SessionUse | None]:
        """
        Carry out what a request wants of its session.

        @see: L{ISessionStore.use}
        """
        now = self._clock.seconds()

        def update(connection: sqlite3.Connection) -> SessionUse | None:
            state = _find(connection, key, now)
            if state is None:
                return None
            use = state.use(demand, trusts, now + timeout)
            if endsSession(demand, use):
                connection.execute("DELETE FROM sessions WHERE key = ?", (key,))
            elif use.admitted:
                connection.execute(
                    "UPDATE sessions SET expires = ?, base = ?, size = ?, spent = ? WHERE key = ?",
                    (*_changeable(state), key),
                )
            return use

        return self._transactions.run(update)

    def close(self) -> Deferred[None]:
        """
        Close the file.

        @see: L{ISessionStore.close}
        """
        return self._transactions.close()


def _connect(path: Path) -> sqlite3.Connection:
    """
    Open the database, for use in any thread.

    @raise OSError: The file cannot be made.
    @raise sqlite3.Error: It cannot be used.
    """
    # Opened only if it is not there: to close a file that this process has open as
    # a database takes the database's locks away.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(
        path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """
    Make sure that a database is ours, and that it keeps what we write.

    @raise sqlite3.Error: It is another program's, or cannot be used.
    """
    if _single(connection, "PRAGMA application_id") == 0 and not _single(
        connection, "SELECT count(*) FROM sqlite_master"
    ):
        _initialise(connection)
    if _single(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise sqlite3.DatabaseError("the file belongs to another program")
    version = _single(connection, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"the file has sessions of another version ({version})")
    _useWAL(connection)
    connection.execute("PRAGMA synchronous = FULL")


def _initialise(connection: sqlite3.Connection) -> None:
    """
    Write the schema into an empty database, unless another process is faster.
    """
    try:
        connection.executescript(SCHEMA)
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.rollback()
        if _single(connection, "PRAGMA application_id") != APPLICATION_ID:
            raise


def _useWAL(connection: sqlite3.Connection) -> None:
    """
    Make sure that changes are written ahead to a log.

    @raise sqlite3.OperationalError: Others have kept the file locked.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # Of those who want to do this to a new file at the same time, SQLite
            # lets all but one fail at once.
            if time.monotonic() >= deadline:
                raise
            time.sleep(WAL_PAUSE)
        else:
            return


def _single(connection: sqlite3.Connection, query: str, *values: Any) -> Any:
    """
    Ask for one value.

    @return: L{None} if there is no row.
    """
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]


def _changeable(state: SessionState) -> tuple[float, int | None, int | None, bytes | None]:
    """
    Give what changes about a session, as the columns have it: when it expires; its
    window's base, size and spent tokens.
    """
    window = state.window
    if window is None:
        return state.expires, None, None, None
    return state.expires, window.base, window.size, window.spent


def _find(connection: sqlite3.Connection, key: bytes, now: float) -> SessionState | None:
    """
    Read a session.

    @return: L{None} if there is none, or none any more.
    """
    row = connection.execute(
        "SELECT method, name, address, trust, owner, expires, base, size, spent FROM sessions"
        " WHERE key = ? AND expires > ?",
        (key, now),
    ).fetchone()
    if row is None:
        return None
    method, name, address, trust, owner, expires, base, size, spent = row
    return SessionState(
        SessionRecord(method, name, address, SessionTrust(trust), owner),
        None if base is None else TokenWindow(base, size, spent),
        expires,
    )


def _hasRoom(connection: sqlite3.Connection, owner: bytes, limits: SessionLimits) -> bool:
    """
    Tell whether an owner may have one more session.
    """
    total = _single(connection, "SELECT sessions FROM total")
    owned = _single(connection, "SELECT sessions FROM owners WHERE owner = ?", owner)
    return total < limits.sessions and (owned or 0) < limits.sessionsPerOwner


def _expire(connection: sqlite3.Connection, now: float, most: int) -> None:
    """
    Delete sessions that have expired.

    @param most: How many.
    """
    connection.execute(
        "DELETE FROM sessions WHERE key IN"
        " (SELECT key FROM sessions WHERE expires <= ? ORDER BY expires LIMIT ?)",
        (now, most),
    )


def _expireOwned(connection: sqlite3.Connection, now: float, owner: bytes) -> None:
    """
    Delete the sessions of an owner that have expired.
    """
    connection.execute("DELETE FROM sessions WHERE owner = ? AND expires <= ?", (owner, now))
