#!/usr/bin/env python3
"""
What sessions cost in each store.

For C{memory:}, how much memory a session with a window of 64 tokens takes, and
whether the last of a million are as fast as the first ones.  For every store,
sessions opened and tokens spent per second, one after the other and 64 at a time.
Run it on a machine that does nothing else::

    python benchmarks/sessions.py memory: sqlite:/var/tmp/sessions redis://127.0.0.1:6379/0

The store's own functions are called, without a proxy around them.  The numbers in
one column can be compared with each other; those of two runs cannot.
"""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock, react

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionTrust,
)
from socks6.policy.stores.memory import MemorySessionStore
from socks6.policy.stores.strings import storeFromString

WINDOW = 64
TIMEOUT = 600.0
LIMITS = SessionLimits(TIMEOUT, 2**40, 2**40)
TRUSTS = tuple(SessionTrust)

#: Calls in flight where several are.
AT_A_TIME = 64

_Call = Callable[[int], Awaitable[Any]]


def residentOctets() -> int:
    """
    Tell how much memory this process has.
    """
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def record(number: int) -> SessionRecord:
    """
    Make the record of a session; there are a thousand users.
    """
    name = b"user%d" % (number % 1000)
    return SessionRecord(2, name, "192.0.2.1", SessionTrust.EVERYWHERE, b"user " + name)


def spending(store: ISessionStore, keys: Sequence[bytes], token: int) -> _Call:
    """
    Make what spends a token of one session after the other.
    """
    demand = SessionDemand(token=token)
    return lambda number: store.use(keys[number], demand, TRUSTS, TIMEOUT)


def opening(store: ISessionStore, keys: Sequence[bytes]) -> _Call:
    """
    Make what opens one session after the other.
    """
    return lambda number: store.open(keys[number], record(number), WINDOW, LIMITS)


def microseconds(call: _Call, numbers: range) -> float:
    """
    Measure a call of a store that answers at once.
    """
    began = time.perf_counter()
    for number in numbers:
        call(number)
    return (time.perf_counter() - began) / len(numbers) * 1e6


def measureMemory(sessions: int) -> None:
    """
    Measure the memory of many sessions, and whether their number matters.
    """
    store = MemorySessionStore(Clock())
    keys = [os.urandom(32) for _ in range(sessions)]
    before = residentOctets()
    print(f"memory:, sessions with a window of {WINDOW} tokens, microseconds each")
    print(f"{'sessions':>12} {'open':>8} {'spend':>8} {'octets each':>12}")
    ends = [1000, *range(sessions // 10, sessions, max(1, sessions // 10)), sessions]
    ends = sorted({min(end, sessions) for end in ends})
    for begin, end in pairwise([0, *ends]):
        opened = microseconds(opening(store, keys), range(begin, end))
        spent = microseconds(spending(store, keys, 3), range(begin, end))
        each = (residentOctets() - before) / end
        print(f"{end:12,} {opened:8.2f} {spent:8.2f} {each:12,.0f}")


async def perSecond(call: _Call, count: int, atATime: int) -> float:
    """
    Measure how often something can be done in a second.
    """
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(work()) for _ in range(atATime)])
    return count / (time.perf_counter() - began)


async def measureStore(reactor: Any, description: str, count: int) -> None:
    """
    Measure the speed of a store.
    """
    store = storeFromString(description)(reactor)
    store.start()
    rates = []
    for atATime, share in ((1, count // 10), (AT_A_TIME, count)):
        keys = [os.urandom(32) for _ in range(share)]
        rates.append(await perSecond(opening(store, keys), share, atATime))
        rates.append(await perSecond(spending(store, keys, 3), share, atATime))
    await store.close()
    print(f"{description.partition(':')[0]:>8}", *(f"{rate:14,.0f}" for rate in rates))


async def measure(reactor: Any, stores: Sequence[str], sessions: int, count: int) -> None:
    """
    Measure everything.
    """
    measureMemory(sessions)
    print(f"\nper second, one at a time and {AT_A_TIME} at a time")
    print(f"{'store':>8} {'opened':>14} {'spent':>14} {'opened':>14} {'spent':>14}")
    for description in stores:
        await measureStore(reactor, description, count)


def main() -> None:
    """
    Read the command line, and measure.
    """
    parser = ArgumentParser(description="Measure what sessions cost.")
    parser.add_argument("stores", nargs="*", default=["memory:"], metavar="STORE")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="sessions in memory")
    parser.add_argument("--count", type=int, default=20_000, help="calls to each store")
    arguments = parser.parse_args()
    react(
        lambda reactor: Deferred.fromCoroutine(
            measure(reactor, arguments.stores, arguments.sessions, arguments.count)
        )
    )


if __name__ == "__main__":
    main()
