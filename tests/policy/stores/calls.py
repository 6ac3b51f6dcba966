"""
Calls of a session store as its tests make them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from twisted.internet.defer import Deferred, gatherResults

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionTrust,
    SessionUse,
)
from socks6.values.codes import TOKEN_MODULUS
from socks6.values.options import TokenWindowAdvertisement

RECORD = SessionRecord(2, b"ada", "192.0.2.1", SessionTrust.EVERYWHERE, b"user ada")

#: Limits that are not met.
LIMITS = SessionLimits(timeout=600.0, sessions=1000, sessionsPerOwner=1000)

#: Trusts that are enough for every session.
ALL = tuple(SessionTrust)

_Result = TypeVar("_Result")


def newKey() -> bytes:
    """
    Make a key that has never been used.
    """
    return os.urandom(32)


def record(
    owner: bytes = RECORD.owner, trust: SessionTrust = SessionTrust.EVERYWHERE
) -> SessionRecord:
    """
    Make a record.
    """
    return replace(RECORD, owner=owner, trust=trust)


def advertised(base: int, size: int) -> TokenWindowAdvertisement:
    """
    Write a window with a base that may lie beyond the end of the circle.
    """
    return TokenWindowAdvertisement(base % TOKEN_MODULUS, size)


async def together(calls: Iterable[Awaitable[_Result]]) -> list[_Result]:
    """
    Wait for calls that are all under way at once.
    """

    async def wait(call: Awaitable[_Result]) -> _Result:
        return await call

    return await gatherResults([Deferred.fromCoroutine(wait(call)) for call in list(calls)])


async def openSession(
    store: ISessionStore,
    windowSize: int | None = None,
    record: SessionRecord = RECORD,
    timeout: float = LIMITS.timeout,
) -> bytes:
    """
    Open a session.

    @return: Its key.
    """
    key = newKey()
    await store.open(key, record, windowSize, replace(LIMITS, timeout=timeout))
    return key


async def mayOpen(store: ISessionStore, limits: SessionLimits, owner: bytes) -> bool:
    """
    Open a session for somebody.

    @return: Whether the limits allowed it.
    """
    try:
        await store.open(newKey(), record(owner), None, limits)
    except SessionsExhausted:
        return False
    return True


async def ask(
    store: ISessionStore,
    key: bytes,
    demand: SessionDemand,
    trusts: Collection[SessionTrust] = ALL,
    timeout: float = LIMITS.timeout,
) -> SessionUse:
    """
    Use a session that is there.
    """
    use: SessionUse | None = await store.use(key, demand, trusts, timeout)
    assert use is not None, "the session is not there"
    return use


async def isThere(store: ISessionStore, key: bytes) -> bool:
    """
    Tell whether there is a session, without touching it.
    """
    return await store.use(key, SessionDemand(), (), LIMITS.timeout) is not None
