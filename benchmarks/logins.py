#!/usr/bin/env python3
"""
What a login costs with C{--auth htpasswd:}, for each kind of hash.

How many logins there are in a second: wrong ones, each of which is verified, one after
the other and as many at a time as may wait; and right ones, which are remembered.  Then
what a wrong password costs, and a user who does not exist.  Run it on a machine that
does nothing else::

    python benchmarks/logins.py

The checker's own function is called, without a proxy around it.
"""

from __future__ import annotations

import statistics
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bcrypt
from argon2 import PasswordHasher
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from socks6.policy.htpasswd import HtpasswdChecker
from socks6.policy.verifier import MAX_WAITING, threadCount

#: Right logins that are measured.
HITS = 20_000

#: Kinds of hashes.
HASHES: Sequence[tuple[str, Callable[[bytes], bytes]]] = (
    ("bcrypt, cost 5", lambda password: bcrypt.hashpw(password, bcrypt.gensalt(5))),
    ("bcrypt, cost 10", lambda password: bcrypt.hashpw(password, bcrypt.gensalt(10))),
    ("bcrypt, cost 12", lambda password: bcrypt.hashpw(password, bcrypt.gensalt(12))),
    ("argon2id, default", lambda password: PasswordHasher().hash(password).encode("ascii")),
)


def login(checker: HtpasswdChecker, name: bytes, password: bytes) -> Deferred[Any]:
    """
    Log in.

    @return: Fires with the name; L{None}: it is wrong.
    """
    credentials: Any = UsernamePassword(name, password)
    answer: Deferred[Any] = checker.requestAvatarId(credentials)
    return answer.addErrback(lambda failure: failure.trap(UnauthorizedLogin) and None)


async def rate(count: int, atATime: int, ask: Callable[[int], Deferred[Any]]) -> float:
    """
    Measure how many logins there are in a second.
    """
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await ask(number)

    began = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(work()) for _ in range(atATime)])
    return count / (time.perf_counter() - began)


async def costs(count: int, *asks: Callable[[int], Deferred[Any]]) -> list[str]:
    """
    Measure what logins of several kinds cost, in turns.

    @return: For each kind, the median of the processor's milliseconds, and how far a
        half of them are from each other.
    """
    times: list[list[float]] = [[] for _ in asks]
    for number in range(count):
        for ask, taken in zip(asks, times, strict=True):
            began = time.process_time()
            await ask(number)
            taken.append((time.process_time() - began) * 1000)
    quartiles = [statistics.quantiles(taken, n=4) for taken in times]
    return [f"{middle:.1f} ({lower:.1f}-{upper:.1f})" for lower, middle, upper in quartiles]


async def measure(reactor: Any, folder: Path, misses: int) -> None:
    """
    Measure everything.
    """
    print(f"{threadCount()} threads; logins per second, and the processor's milliseconds")
    heads = ("verified", f"{MAX_WAITING} at once", "remembered", "wrong", "no user")
    print(f"{'':>18}", *(f"{head:>19}" for head in heads))
    for words, make in HASHES:
        path = folder / "users"
        path.write_bytes(b"ada:" + make(b"s3cret") + b"\neve:" + make(b"gu3ss") + b"\n")
        checker = HtpasswdChecker(path, lambda: reactor)

        def wrong(number: int, name: bytes = b"ada", checker: Any = checker) -> Deferred[Any]:
            return login(checker, name, b"%d" % number)

        rates = [await rate(misses, atATime, wrong) for atATime in (1, MAX_WAITING)]
        await login(checker, b"ada", b"s3cret")
        right = await rate(HITS, 1, lambda number, it=checker: login(it, b"ada", b"s3cret"))  # type: ignore[misc]
        columns = [f"{each:,.1f}" for each in (*rates, right)]
        columns += await costs(misses, wrong, partial(wrong, name=b"zoe"))
        print(f"{words:>18}", *(f"{column:>19}" for column in columns), flush=True)
        await checker.stopService()


def main() -> None:
    """
    Read the command line.
    """
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--misses", type=int, default=100, help="wrong logins of each kind")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        react(
            lambda reactor: Deferred.fromCoroutine(measure(reactor, Path(folder), arguments.misses))
        )


if __name__ == "__main__":
    main()
