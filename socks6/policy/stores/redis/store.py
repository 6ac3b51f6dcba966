"""
Sessions in a Redis or Valkey server, which any number of proxies may share.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionTrust,
    SessionUse,
)
from socks6.machine.tokens import TokenWindow
from socks6.policy.stores.redis.connection import RedisConnection
from socks6.policy.stores.redis.scripts import OPEN, OWNER, SESSION, SESSIONS, USE
from socks6.policy.stores.redis.server import RedisServer
from socks6.values.codes import TokenOutcome
from socks6.values.options import TokenWindowAdvertisement

#: The longest that a session may live unused: a hundred years of milliseconds.
MAX_LIFETIME = 100 * 366 * 86_400_000


@implementer(ISessionStore)
class RedisSessionStore:
    """
    Keeps sessions in a database of a Redis server.

    The server carries out what a call wants in one go, and by its own clock.  What it
    has acknowledged it keeps as well as it is set up to.
    """

    def __init__(self, reactor: Any, server: RedisServer) -> None:
        """
        @param server: It may be away; as soon as it is back, so are the sessions.
        """
        self._reactor = reactor
        self._server = server
        self._connection: RedisConnection | None = None

    def start(self) -> None:
        """
        Begin to connect; a server that is away is waited for.
        """
        self._connected()

    def open(
        self, key: bytes, record: SessionRecord, windowSize: int | None, limits: SessionLimits
    ) -> Deferred[TokenWindowAdvertisement | None]:
        """
        Begin a session.

        @see: L{ISessionStore.open}
        """
        owner = quote(record.owner)
        name = key.hex().encode()
        window = None if windowSize is None else TokenWindow(0, windowSize).advertisement

        def read(answer: object) -> TokenWindowAdvertisement | None:
            if answer == 0:
                raise SessionsExhausted
            if answer != 1:
                raise ValueError
            return window

        return self._connected().run(
            OPEN,
            (SESSION + name, SESSIONS, OWNER + owner.encode()),
            (
                name,
                _milliseconds(limits.timeout),
                limits.sessions,
                limits.sessionsPerOwner,
                f"{int(record.method)} {quote(record.name)} {quote(record.address, ':')}",
                int(record.trust),
                owner,
                "" if windowSize is None else windowSize,
            ),
            read,
        )

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
        name = key.hex().encode()
        return self._connected().run(
            USE,
            (SESSION + name, SESSIONS),
            (
                name,
                _milliseconds(timeout),
                "".join(str(int(trust)) for trust in trusts),
                "" if demand.token is None else demand.token,
                "" if demand.windowSize is None else demand.windowSize,
                int(demand.teardown),
            ),
            _useFrom,
        )

    def close(self) -> Deferred[None]:
        """
        Close the connection when nothing waits any more; there is another one if need
        be.

        @see: L{ISessionStore.close}
        """
        connection, self._connection = self._connection, None
        return succeed(None) if connection is None else connection.close()

    def _connected(self) -> RedisConnection:
        """
        Get the connection, or make one.
        """
        if self._connection is None:
            self._connection = RedisConnection(self._reactor, self._server)
        return self._connection


def _milliseconds(seconds: float) -> int:
    """
    Convert the lifetime of a session to what Redis takes.
    """
    return math.ceil(min(seconds * 1000, MAX_LIFETIME))


def _useFrom(answer: Any) -> SessionUse | None:
    """
    Read what came of a use.

    @raise ValueError: That cannot be it.
    @see: L{USE}
    """
    if answer is None:
        return None
    # hiredis leaves octets.
    line = answer.decode("ascii") if isinstance(answer, bytes) else str(answer)
    admitted, outcome, base, size, trust, owner, method, name, address = line.split(" ")
    return SessionUse(
        SessionRecord(
            int(method),
            unquote_to_bytes(name),
            unquote(address),
            SessionTrust(int(trust)),
            unquote_to_bytes(owner),
        ),
        admitted=admitted == "1",
        outcome=TokenOutcome(int(outcome)) if outcome != "0" else None,
        window=TokenWindowAdvertisement(int(base), int(size)) if size != "0" else None,
    )
