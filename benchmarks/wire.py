#!/usr/bin/env python3
"""
What the pure stages cost: reading requests, and spending tokens.

Nothing but the functions themselves runs; each number is the best of some tries, as
whatever else the machine does only makes them slower::

    python benchmarks/wire.py
"""

from __future__ import annotations

import random
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from timeit import Timer
from typing import Any

from laboratory import about, save
from peers import requestTo

from socks6.machine.server import ServerConnection
from socks6.machine.tokens import TokenWindow
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command
from socks6.values.messages import Request
from socks6.values.options import (
    Option,
    OptionList,
    SessionID,
    TCPFastOpen,
    TokenExpenditure,
    UnknownOption,
    UsernamePassword,
)
from socks6.wire import DEFAULT_CODEC

#: How often each is tried.
TRIES = 5

#: Tokens of a window, all of which are spent.
WINDOW = 65536

#: The most octets that options may take, and what an option takes beside its data.
OPTIONS_LIMIT = 16384
OPTION_HEAD = 3


def optionsOf(length: int) -> OptionList:
    """
    Make options that take 16 KB together.

    @param length: The data of each.
    """
    count = OPTIONS_LIMIT // (length + OPTION_HEAD)
    return OptionList([UnknownOption(0xFE, bytes(length))] * count)


def requestWith(*options: Option) -> bytes:
    """
    Write a request for a tunnel to a host with a name.
    """
    where = Address(DomainName(b"www.example.org"), 443)
    return DEFAULT_CODEC.encodeRequest(Request(Command.CONNECT, where, OptionList(options)))


def requests() -> Iterator[tuple[str, bytes]]:
    """
    Give requests of several kinds.
    """
    yield "plain CONNECT to an IPv4 address", requestTo("192.0.2.1", 443)
    yield (
        "CONNECT to a name, with user name and password",
        requestWith(UsernamePassword(b"user", b"password")),
    )
    yield (
        "CONNECT to a name, with session, token and Fast Open",
        requestWith(SessionID(bytes(16)), TokenExpenditure(1), TCPFastOpen(0)),
    )
    yield "16 KB of options, 4 octets each", requestWith(*optionsOf(1))
    yield "16 KB of options, 64 octets each", requestWith(*optionsOf(61))
    yield "16 KB of options, 1,024 octets each", requestWith(*optionsOf(1021))


def best(call: Callable[[], object]) -> float:
    """
    Measure how long a call takes.

    @return: Microseconds.
    """
    timer = Timer(call)
    # As many calls as a fifth of a second takes, or about.
    number, seconds = timer.autorange()
    return min(seconds, *timer.repeat(TRIES, number)) / number * 1e6


def decoding() -> Iterator[dict[str, Any]]:
    """
    Measure how long requests take.
    """
    for name, octets in requests():

        def decode(octets: bytes = octets) -> Request:
            length = DEFAULT_CODEC.requestLength(octets)
            return DEFAULT_CODEC.decodeRequest(octets[:length])

        def receive(octets: bytes = octets) -> object:
            return list(ServerConnection(DEFAULT_CODEC).receive(octets))

        for what, call in (("decode", decode), ("state machine", receive)):
            micros = best(call)
            yield {
                "what": f"{what}: {name}",
                "octets": len(octets),
                "micros": round(micros, 2),
                "nanosPerOctet": round(micros / len(octets) * 1000, 1),
            }


def spending() -> Iterator[dict[str, Any]]:
    """
    Measure how long a token takes.
    """
    shuffled = list(range(WINDOW))
    # Near each other, as those of clients are whose connections overtake one another.
    rng = random.Random(6)
    for begin in range(0, WINDOW, 64):
        part = shuffled[begin : begin + 64]
        rng.shuffle(part)
        shuffled[begin : begin + 64] = part
    for name, tokens in (("in order", list(range(WINDOW))), ("64 in disorder", shuffled)):

        def spend(tokens: list[int] = tokens) -> None:
            window = TokenWindow(0, WINDOW)
            for token in tokens:
                window.spend(token)

        yield {"what": f"spend a token: {name}", "micros": round(best(spend) / WINDOW, 3)}


def measure() -> None:
    """
    Measure everything, and write C{results/wire.json}.
    """
    rows = []
    for row in (*decoding(), *spending()):
        rows.append(row)
        print(row, flush=True)
    save("wire", about(), rows)


def main() -> None:
    """
    Read the command line, and measure.
    """
    ArgumentParser(description="Measure the pure stages.").parse_args()
    measure()


if __name__ == "__main__":
    main()
