"""
Clients with sessions, and what holds wherever proxies keep these outside of their
own memory.

A module that imports L{SharingCases} itself would run them without a store.
"""

from __future__ import annotations

import signal
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Event
from typing import NamedTuple, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.peers import (
    CONNECT,
    DEADLINE,
    DUPLICATE,
    NOOP,
    OUT_OF_WINDOW,
    SESSION_REQUEST,
    SESSION_TEARDOWN,
    SPENT,
    Place,
    Verdict,
    dial,
    encodeRequest,
    encodeSessionID,
    encodeTokenExpenditure,
    encodeTokenRequest,
    receiveAll,
    receiveReply,
    receiveVerdict,
)
from tests.integration.twistd import Twistd

_Result = TypeVar("_Result")


class Answer(NamedTuple):
    """
    What the proxy answers to a request.

    @ivar verdict: The last Authentication Reply.
    @ivar code: The Operation Reply's code; L{None}: there was none.
    """

    verdict: Verdict
    code: int | None


#: What a client hears that is let in by its session, and served.
WITHIN = Answer(Verdict(0, 0, news=(4,)), 0)

#: The same where it has shown its user name and password.
WITHIN_BY_PASSWORD = Answer(Verdict(0, 2, news=(4,)), 0)

#: What it hears whose session is none.
INVALID = Answer(Verdict(1, 0xFF, news=(5,)), None)

#: What it hears who does not show who it is.
NOT_ADMITTED = Answer(Verdict(1, 0xFF), None)

#: What it hears while the proxy cannot find out about its session.
OUT_OF_ORDER = Answer(Verdict(0, 0), 1)


def spent(base: int | None = None, size: int = 0) -> Answer:
    """
    Make what a client hears that has spent a token.

    @param base: The window's, if it is advertised.
    """
    window = None if base is None else (base, size)
    return Answer(Verdict(0, 0, news=(4,), outcome=SPENT, window=window), 0)


def ineligible(outcome: int, base: int | None = None, size: int = 0) -> Answer:
    """
    Make what a client hears whose token is none.

    @param base: The window's, if it is advertised.
    """
    window = None if base is None else (base, size)
    return Answer(Verdict(0, 0, news=(4,), outcome=outcome, window=window), 1)


def send(
    place: Place,
    options: bytes = b"",
    destination: tuple[str, int] | None = None,
    context: ssl.SSLContext | None = None,
) -> socket.socket:
    """
    Send a request, on a connection of its own.

    @param destination: Where to connect to; L{None}: nowhere, the command is NOOP.
    @param context: Of the client's side of TLS, if there is to be TLS.
    """
    sock = dial(place)
    if context is not None:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    command = NOOP if destination is None else CONNECT
    sock.sendall(encodeRequest(*destination or ("0.0.0.0", 0), options, command))
    return sock


def hear(sock: socket.socket) -> Answer:
    """
    Read an answer, and close the connection.

    @raise ValueError: More follows.
    """
    with sock:
        verdict = receiveVerdict(sock)
        code = None if verdict.kind else receiveReply(sock).code
        rest = receiveAll(sock)
        if rest:
            raise ValueError(rest.hex())
        return Answer(verdict, code)


def ask(place: Place, options: bytes = b"", context: ssl.SSLContext | None = None) -> Answer:
    """
    Send NOOP, and read the answer.
    """
    return hear(send(place, options, context=context))


def openSession(place: Place, options: bytes = b"") -> bytes:
    """
    Open a session.

    @return: Its ID.
    @raise ValueError: None was opened.
    """
    verdict, code = ask(place, SESSION_REQUEST + options)
    if verdict.identifier is None or code != 0:
        raise ValueError(str(verdict))
    return verdict.identifier


def use(place: Place, identifier: bytes, options: bytes = b"") -> Answer:
    """
    Send NOOP in a session.
    """
    return ask(place, encodeSessionID(identifier) + options)


def spend(place: Place, identifier: bytes, token: int) -> Answer:
    """
    Send NOOP with a token.
    """
    return use(place, identifier, encodeTokenExpenditure(token))


class SessionCase(SynchronousTestCase):
    """
    A test with proxies in processes of their own, and clients with sessions.
    """

    def folder(self) -> Path:
        """
        Make a folder that ends with the test.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def start(self, *arguments: str) -> Place:
        """
        Start a proxy with one port.

        @return: Where it listens.
        """
        (place,) = Twistd(self, "--port=0", *arguments).places()
        return place

    def together(
        self, function: Callable[..., _Result], arguments: Iterable[Sequence[object]]
    ) -> list[_Result]:
        """
        Call a function in threads, with each of the arguments.

        @return: What it returned.
        """
        calls = list(arguments)
        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(function, *each) for each in calls]
            return [each.result(DEADLINE) for each in futures]


class SharingCases(SessionCase):
    """
    What one proxy has done every other one knows, at the same time and after it.
    """

    def store(self) -> str:
        """
        Make a place for sessions.

        @return: What to give for C{--sessions}.
        """
        raise NotImplementedError

    def test_stopped(self) -> None:
        """
        Sessions, tokens and teardowns survive a proxy that is told to stop.
        """
        store = f"--sessions={self.store()}"
        first = Twistd(self, "--port=0", store)
        (place,) = first.places()
        identifier = openSession(place, encodeTokenRequest(8))
        ended = openSession(place)
        self.assertEqual(use(place, ended, SESSION_TEARDOWN), WITHIN)
        self.assertEqual(spend(place, identifier, 0), spent(1, 8))
        self.assertEqual(spend(place, identifier, 3), spent())
        self.assertEqual(first.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", first.output())
        place = self.start(store)
        self.assertEqual(use(place, identifier), WITHIN)
        self.assertEqual(use(place, ended), INVALID)
        self.assertEqual(spend(place, identifier, 3), ineligible(DUPLICATE))
        self.assertEqual(spend(place, identifier, 0), ineligible(OUT_OF_WINDOW, 1, 8))
        self.assertEqual(spend(place, identifier, 1), spent(2, 8))

    def test_killed(self) -> None:
        """
        No token of which a client was told that it is spent is honoured again
        after the proxy was killed, and the session is there.
        """
        store = f"--sessions={self.store()}"
        first = Twistd(self, "--port=0", store)
        (place,) = first.places()
        spenders, size = 4, 4096
        identifier = openSession(place, encodeTokenRequest(size))
        acknowledged: list[int] = []
        enough = Event()

        def spendUntilKilled(offset: int) -> bool:
            for token in range(offset, size, spenders):
                try:
                    with send(
                        place, encodeSessionID(identifier) + encodeTokenExpenditure(token)
                    ) as sock:
                        verdict = receiveVerdict(sock)
                except (EOFError, ConnectionError):
                    return True
                self.assertEqual(verdict.outcome, SPENT)
                acknowledged.append(token)
                if len(acknowledged) >= 60:
                    enough.set()
            return False

        def kill() -> bool:
            happened = enough.wait(DEADLINE)
            first.process.kill()
            return happened

        with ThreadPoolExecutor(spenders + 1) as pool:
            calls = [pool.submit(spendUntilKilled, offset) for offset in range(spenders)]
            calls.append(pool.submit(kill))
            self.assertEqual([each.result(DEADLINE) for each in calls], [True] * len(calls))
        self.assertEqual(first.wait(), -signal.SIGKILL)
        place = self.start(store)
        self.assertEqual(use(place, identifier), WITHIN)
        for token in acknowledged:
            verdict, code = spend(place, identifier, token)
            self.assertIn(verdict.outcome, (DUPLICATE, OUT_OF_WINDOW), token)
            self.assertEqual(code, 1, token)
        self.assertEqual(spend(place, identifier, size // 2), spent())

    def test_two(self) -> None:
        """
        Two proxies have the same sessions: opened at one, a session is used and
        ended at the other.
        """
        store = f"--sessions={self.store()}"
        left, right = (
            each.places()[0] for each in [Twistd(self, "--port=0", store) for _ in range(2)]
        )
        identifier = openSession(left, encodeTokenRequest(8))
        self.assertEqual(use(right, identifier), WITHIN)
        self.assertEqual(spend(right, identifier, 2), spent())
        self.assertEqual(spend(left, identifier, 2), ineligible(DUPLICATE))
        granted = use(left, identifier, encodeTokenRequest(4))
        self.assertEqual(granted.verdict.window, (8, 4))
        self.assertEqual(spend(right, identifier, 3), ineligible(OUT_OF_WINDOW, 8, 4))
        self.assertEqual(spend(right, identifier, 8), spent(9, 4))
        self.assertEqual(use(right, identifier, SESSION_TEARDOWN), WITHIN)
        for place in left, right:
            self.assertEqual(use(place, identifier), INVALID)

    def test_race(self) -> None:
        """
        Four proxies are asked to spend every token at the same time: each is
        honoured by exactly one.
        """
        store = f"--sessions={self.store()}"
        # The first makes the store; the others find it.
        places = [self.start(store)]
        others = [Twistd(self, "--port=0", store) for _ in range(3)]
        places += [other.places()[0] for other in others]
        tokens = 50
        identifier = openSession(places[0], encodeTokenRequest(4 * tokens))
        barrier = Barrier(len(places))

        def spendAll(place: Place) -> list[Answer]:
            requests = [
                encodeSessionID(identifier) + encodeTokenExpenditure(token)
                for token in range(tokens)
            ]
            barrier.wait(DEADLINE)
            return [hear(sock) for sock in [send(place, request) for request in requests]]

        answers = self.together(spendAll, [[place] for place in places])
        for token, each in enumerate(zip(*answers, strict=True)):
            served = Counter(answer.verdict.outcome == SPENT for answer in each)
            self.assertEqual(served, {True: 1, False: 3}, token)
            self.assertEqual([answer.code for answer in each].count(0), 1, token)
            for answer in each:
                self.assertIn(answer.verdict.outcome, (SPENT, DUPLICATE, OUT_OF_WINDOW), token)
                self.assertEqual(answer.code, 0 if answer.verdict.outcome == SPENT else 1, token)
        self.assertEqual(use(places[-1], identifier), WITHIN)
