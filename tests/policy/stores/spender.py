"""
A process that spends the tokens of a session until it is killed.

C{python -m tests.policy.stores.spender FILE KEY} opens the session of that key
(hexadecimal digits) in an L{SQLiteSessionStore} unless it is there, and then writes
a line for each token that it has been told is spent: nothing but the token.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from socks6.interfaces import SessionDemand
from socks6.policy.stores.sqlite import SQLiteSessionStore
from socks6.values.codes import TOKEN_MODULUS, TokenOutcome
from tests.policy.stores.calls import ALL, LIMITS, RECORD, ask, together

#: Tokens of the window.
WINDOW = 1024

#: Tokens that are spent at the same time.
AT_A_TIME = 32


async def spendAll(reactor: Any, path: Path, key: bytes) -> None:
    """
    Spend one token after the other.
    """
    store = SQLiteSessionStore(reactor, path)
    store.start()
    if await store.use(key, SessionDemand(), ALL, LIMITS.timeout) is None:
        await store.open(key, RECORD, WINDOW, LIMITS)
    # No token lies opposite of itself, so this one is in no window of that size.
    lost = SessionDemand(token=TOKEN_MODULUS // 2)
    window = (await ask(store, key, lost)).window
    assert window is not None
    tokens = count(window.base)

    async def spend() -> None:
        for token in tokens:
            use = await ask(store, key, SessionDemand(token=token))
            if use.outcome is TokenOutcome.SUCCESS:
                os.write(1, b"%d\n" % token)

    await together(spend() for _ in range(AT_A_TIME))


def main(path: str, key: str) -> None:
    """
    Spend tokens.
    """
    react(lambda reactor: Deferred.fromCoroutine(spendAll(reactor, Path(path), bytes.fromhex(key))))


if __name__ == "__main__":
    main(*sys.argv[1:])
