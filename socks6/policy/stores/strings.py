"""
Stores as people write them on a command line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from socks6.interfaces import ISessionStore
from socks6.policy.stores.memory import MemorySessionStore
from socks6.policy.stores.redis.server import redisServer
from socks6.policy.stores.redis.store import RedisSessionStore
from socks6.policy.stores.sqlite import SQLiteSessionStore

#: Makes a store, with a reactor.
StoreMaker = Callable[[Any], ISessionStore]


def storeFromString(description: str) -> StoreMaker:
    """
    Read where sessions are to be kept: C{memory:}, C{sqlite:PATH},
    C{redis://HOST:PORT/DB}, C{rediss://...} or C{unix:PATH}.

    @raise ValueError: It is none of these, or cannot be.  The message quotes no
        password.
    @see: L{redisServer} for all forms of the last three.
    """
    kind, _, rest = description.partition(":")
    if kind == "memory" and not rest:
        return MemorySessionStore
    if kind == "sqlite" and rest:
        # twistd may go elsewhere before the file is opened.
        path = Path(rest).absolute()
        if not path.parent.is_dir():
            raise ValueError(f"--sessions: there is no folder {path.parent}")
        return lambda reactor: SQLiteSessionStore(reactor, path)
    if kind in ("redis", "rediss", "unix"):
        server = redisServer(description)
        return lambda reactor: RedisSessionStore(reactor, server)
    # What was written may hold a password.
    raise ValueError(
        "--sessions is none of memory:, sqlite:PATH,"
        " redis://HOST:PORT/DB, rediss://HOST:PORT/DB and unix:PATH"
    )
