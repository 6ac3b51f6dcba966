"""
Targets: the machines.

The first octets of the input choose who answers what and how the rest is cut; or each
of them is an operation, in any order, whether that makes sense or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from socks6.machine.client import ClientConnection
from socks6.machine.server import ServerConnection, ServerState
from socks6.machine.socks5client import SOCKS5ClientConnection
from socks6.machine.socks5server import SOCKS5ServerConnection, SOCKS5ServerState
from socks6.machine.tokens import TokenWindow
from socks6.values.codes import TOKEN_MODULUS, Command, TokenOutcome
from socks6.wire import DRAFT_06
from socks6.wire.errors import PeerError, UsageError
from tests.fuzz.reading import Reader, cut
from tests.fuzz.wire import Target
from tests.machine import drivers, samples, socks5drivers

POLICIES = list(drivers.POLICIES.values())
REQUESTS = [
    samples.PLAIN,
    samples.OFFERING,
    samples.offering(command=Command.BIND),
    samples.offering(command=Command.UDP_ASSOCIATE),
    samples.offering(command=Command.NOOP),
]
SOCKS5_REQUESTS = [socks5drivers.CONNECT, socks5drivers.BIND, socks5drivers.ASSOCIATE]

#: What a SOCKS 5 server says to a request.
SOCKS5_REPLIES = [
    (),
    (socks5drivers.SUCCEEDED,),
    (socks5drivers.FAILED,),
    (socks5drivers.SUCCEEDED, socks5drivers.ARRIVED),
    (socks5drivers.SUCCEEDED, socks5drivers.FAILED),
]

#: State -> octets that may wait while a message is waited for: all but its last one.
LIMITS: Mapping[object, int] = {
    ServerState.REQUEST: 16648 - 1,
    ServerState.CREDENTIALS: 16384 + 513 - 1,
    SOCKS5ServerState.OFFER: 257 - 1,
    SOCKS5ServerState.CREDENTIALS: 513 - 1,
    SOCKS5ServerState.REQUEST: 262 - 1,
}

#: Octets of a stream that is also fed one by one.
SHORT = 400


def _ways(stream: bytes, places: bytes) -> list[list[bytes]]:
    """
    Make ways in which a stream may come, beside at once.
    """
    ways = [cut(stream, places)]
    return [*ways, drivers.octetwise(stream)] if len(stream) <= SHORT else ways


def server(octets: bytes) -> None:
    """
    What a client says, cut in any way and answered at any time.
    """
    reader = Reader(octets)
    answers, places = POLICIES[reader.number(len(POLICIES))], reader.take(3)
    stream = reader.rest()
    expected = drivers.serve([stream], answers)
    for way in ([stream], *_ways(stream, places)):
        for later in (False, True):
            transcript = drivers.serve(way, answers, later=later)
            assert transcript == expected, "it depends on how it comes"
            for held in transcript.held:
                assert held.octets <= min(held.fed, LIMITS.get(held.state, held.fed))


def client(octets: bytes) -> None:
    """
    What a proxy says, cut in any way.
    """
    reader = Reader(octets)
    request, places = REQUESTS[reader.number(len(REQUESTS))], reader.take(3)
    stream = reader.rest()
    expected = drivers.consume(request, [stream])
    for way in ([stream], *_ways(stream, places)):
        for later in (False, True):
            assert drivers.consume(request, way, later=later) == expected


def socks5server(octets: bytes) -> None:
    """
    What a program says in SOCKS 5.
    """
    reader = Reader(octets)
    replies, places = SOCKS5_REPLIES[reader.number(len(SOCKS5_REPLIES))], reader.take(3)
    stream = reader.rest()
    expected = socks5drivers.serve([stream], replies)
    for way in ([stream], *_ways(stream, places)):
        for later in (False, True):
            assert socks5drivers.serve(way, replies, later=later) == expected


def socks5client(octets: bytes) -> None:
    """
    What a SOCKS 5 proxy says.
    """
    reader = Reader(octets)
    choice, places = reader.number(12), reader.take(3)
    stream = reader.rest()

    def machine() -> SOCKS5ClientConnection:
        return SOCKS5ClientConnection(
            SOCKS5_REQUESTS[choice % 3],
            socks5drivers.ADA if choice & 1 else None,
            anonymousToo=choice >= 6,
        )

    expected = socks5drivers.consume(machine(), [stream])
    for way in _ways(stream, places):
        assert socks5drivers.consume(machine(), way) == expected


class Caller:
    """
    Somebody who does anything with a machine, and sees that it keeps its word.
    """

    def __init__(self, machine: Any, sayings: list[Callable[[], object]]) -> None:
        """
        @param sayings: What can be said with it.
        """
        self._machine = machine
        self._sayings = sayings
        #: What has been fed and not been handed over, at most.
        self._fed = 0
        self._isInputOver = False

    def go(self, reader: Reader) -> PeerError | None:
        """
        Do what the input says.

        @return: What the peer did wrong, which ends it.
        """
        while reader.left:
            choice = reader.number(4 + len(self._sayings))
            state = self._machine.state
            try:
                self._do(choice, reader)
            except UsageError:
                assert choice >= 2, "only our caller makes mistakes"
                assert self._machine.state is state, "a mistake changes nothing"
            except PeerError as error:
                assert choice < 3, "only what comes can be wrong"
                return error
            held = getattr(self._machine, "heldLength", 0)
            assert 0 <= held <= self._fed, "it has more than it was given"
        return None

    def _do(self, choice: int, reader: Reader) -> None:
        """
        Do one thing.
        """
        if choice < 2:
            piece = b"" if self._isInputOver else reader.take(reader.number(64))
            self._fed += len(piece)
            for event in self._machine.receive(piece):
                repr(event)
        elif choice == 2:
            self._isInputOver = True
            self._machine.endOfInput()
        elif choice == 3:
            data = self._machine.takeData()
            assert len(data) <= self._fed
            self._fed -= len(data)
        else:
            assert isinstance(self._sayings[choice - 4](), bytes)


def serverCalls(octets: bytes) -> None:
    """
    Anything, in any order, with the proxy's machine.
    """
    machine = ServerConnection(DRAFT_06)
    messages: list[Any] = [
        samples.ACCEPTED,
        samples.DEMAND,
        samples.REFUSED,
        samples.RIGHT,
        samples.WRONG,
        samples.CONFIRMED,
        samples.SUCCEEDED,
        samples.FAILED,
    ]
    sayings: list[Callable[[], object]] = [partial(machine.send, each) for each in messages]
    sayings.append(machine.peekData)
    error = Caller(machine, sayings).go(Reader(octets))
    if error is not None:
        machine.answer(error, anonymous=bool(len(octets) & 1))
        assert machine.state is ServerState.CLOSED


def clientCalls(octets: bytes) -> None:
    """
    Anything, in any order, with the client's machine.
    """
    machine = ClientConnection(DRAFT_06)
    sayings: list[Callable[[], object]] = [partial(machine.open, each) for each in REQUESTS]
    sayings.append(lambda: machine.authenticate(samples.CREDENTIALS))
    Caller(machine, sayings).go(Reader(octets))


def socks5Calls(octets: bytes) -> None:
    """
    Anything, in any order, with the machines of SOCKS 5.
    """
    reader = Reader(octets)
    if reader.number(2):
        asking = SOCKS5ClientConnection(SOCKS5_REQUESTS[reader.number(3)], socks5drivers.ADA)
        Caller(asking, [asking.open]).go(reader)
        return
    machine = SOCKS5ServerConnection()
    replies = (socks5drivers.SUCCEEDED, socks5drivers.FAILED)
    sayings: list[Callable[[], object]] = [partial(machine.send, each) for each in replies]
    error = Caller(machine, sayings).go(reader)
    if error is not None:
        machine.answer(error)
        assert machine.state is SOCKS5ServerState.CLOSED


def tokens(octets: bytes) -> None:
    """
    A window of tokens, beside a plain set of those that were spent.
    """
    reader = Reader(octets)
    size = 1 + int.from_bytes(reader.take(2), "big") % 512
    window = TokenWindow(int.from_bytes(reader.take(4), "big"), size)
    spent: set[int] = set()
    while reader.left:
        base = window.base
        token = (base + int.from_bytes(reader.take(2), "big") - 64) % TOKEN_MODULUS
        expected = TokenOutcome.SUCCESS
        if (token - base) % TOKEN_MODULUS >= size:
            expected = TokenOutcome.OUT_OF_WINDOW
        elif token in spent:
            expected = TokenOutcome.DUPLICATE
        assert window.spend(token) is expected
        if expected is TokenOutcome.SUCCESS:
            spent.add(token)
        moved = (window.base - base) % TOKEN_MODULUS
        assert window.size == size
        assert moved <= size, "it shifts past its end"
        # Never past the highest unspent token, if there is one.
        passed = {(base + each) % TOKEN_MODULUS for each in range(moved)}
        left = any((base + each) % TOKEN_MODULUS not in spent for each in range(moved, size))
        assert passed <= spent or left
        assert len(window.spent) <= size // 8 + 2, "it takes too much memory"
        kept = TokenWindow(window.base, size, window.spent)
        assert kept.spent == window.spent


TARGETS: Mapping[str, Target] = {
    "server": server,
    "client": client,
    "socks5server": socks5server,
    "socks5client": socks5client,
    "servercalls": serverCalls,
    "clientcalls": clientCalls,
    "socks5calls": socks5Calls,
    "tokens": tokens,
}
