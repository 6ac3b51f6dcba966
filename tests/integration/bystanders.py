"""
Clients that have nothing to do with what fails.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from types import TracebackType
from unittest import TestCase

from tests.integration.peers import (
    DEADLINE,
    Place,
    accept,
    dial,
    openTunnel,
    pattern,
    placeOf,
    receive,
)

#: Seconds that nobody may have to wait because of others.  Whoever is held up by what fails
#: waits for longer, and a machine that has much to do does not take as long.
PROMPT = 4.0

#: Seconds between two rounds.
_PAUSE = 0.02


class Bystander:
    """
    Somebody who passes octets through a tunnel that is open, and opens others, again and
    again: in a thread, as long as the context lasts, which fails if anything is amiss.
    """

    def __init__(self, testCase: TestCase, place: Place, listener: socket.socket) -> None:
        """
        Open the tunnel.

        @param place: Where the proxy is.
        @param listener: Where the remote host is, which nobody else uses.
        """
        self._testCase = testCase
        self._place = place
        self._listener = listener
        self._payload = pattern(20_000)
        self._condition = Condition()
        self._isOver = False
        self._rounds = 0
        self._longest = 0.0
        self._tunnel = self._open()
        for sock in self._tunnel:
            testCase.addCleanup(sock.close)
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Bystander:
        self._running = self._pool.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._condition:
            self._isOver = True
        if kind is None:
            self._running.result(DEADLINE)
            self._testCase.assertGreater(self._rounds, 0)
            self._testCase.assertLess(self._longest, PROMPT)
        self._pool.shutdown()

    def goesOn(self, rounds: int = 3) -> None:
        """
        Wait until everything has worked some times more.

        @raise TimeoutError: It does not.
        """
        with self._condition:
            # One has begun already.
            until = self._rounds + rounds + 1
            if not self._condition.wait_for(lambda: self._rounds >= until, DEADLINE):
                raise TimeoutError(f"{self._rounds} of {until} rounds")

    def _run(self) -> None:
        """
        Go round and round.
        """
        while not self._isOver:
            began = time.monotonic()
            self._pass(self._tunnel)
            tunnel = self._open()
            try:
                self._pass(tunnel)
            finally:
                for sock in tunnel:
                    sock.close()
            with self._condition:
                self._rounds += 1
                self._longest = max(self._longest, time.monotonic() - began)
                self._condition.notify_all()
            time.sleep(_PAUSE)

    def _open(self) -> tuple[socket.socket, socket.socket]:
        """
        Open a tunnel.

        @return: The client's socket and the remote host's.
        """
        client = openTunnel(dial(self._place), placeOf(self._listener))
        return client, accept(self._listener)

    def _pass(self, tunnel: tuple[socket.socket, socket.socket]) -> None:
        """
        See that a tunnel passes octets both ways, unchanged.
        """
        for source, destination in (tunnel, tunnel[::-1]):
            source.sendall(self._payload)
            if receive(destination, len(self._payload)) != self._payload:
                raise ValueError("other octets than those that were sent")
