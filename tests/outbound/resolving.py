"""
A resolver with threads that run when the test wants them to.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IHostResolution
from twisted.trial.unittest import SynchronousTestCase

from socks6.outbound.resolver import ThreadedResolver
from socks6.values.address import IPAddress


class FakePool:
    """
    A thread pool whose threads run when the test wants them to.
    """

    started = False

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []
        self.error: RuntimeError | None = None

    def start(self) -> None:
        """
        Take note.
        """
        self.started = True

    def callInThread(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Keep the work.
        """
        if self.error is not None:
            raise self.error
        self.work.append(lambda: function(*arguments))

    def run(self) -> None:
        """
        Do the first piece of work.
        """
        self.work.pop(0)()


class Receiver:
    """
    Takes note of what it is told.
    """

    def __init__(self) -> None:
        self.found: list[object] = []
        self.complete = False
        self.resolution: IHostResolution

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """
        Keep the resolution.
        """
        self.resolution = resolution

    def addressResolved(self, address: IAddress) -> None:
        """
        Keep the address.
        """
        self.found.append(address)

    def resolutionComplete(self) -> None:
        """
        Take note of the end.
        """
        self.complete = True


class Reactor:
    """
    Takes results out of threads.

    @ivar calls: What came of those that there were not.
    """

    def __init__(self, pool: FakePool) -> None:
        """
        @param pool: Where the threads are.
        """
        self.calls: list[Callable[[], object]] = []
        self._pool = pool

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Take them, at once if there are threads.
        """
        if self._pool.error is None:
            function(*arguments)
        else:
            self.calls.append(lambda: function(*arguments))

    def runCalls(self) -> int:
        """
        Take what is left.

        @return: How many these were.
        """
        for call in self.calls:
            call()
        return len(self.calls)


class ResolverTestCase(SynchronousTestCase):
    """
    A test of a resolver that asks a system in memory.

    @ivar asked: For which names.
    @ivar answer: What it answers, or raises.
    """

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.answer: Any = []
        self.patch(socket, "getaddrinfo", self.getaddrinfo)
        self.pool = FakePool()
        self.reactor = Reactor(self.pool)
        reactor: Any = self.reactor
        self.resolver = ThreadedResolver(reactor, threads=4, maxWaiting=3)
        self.patch(self.resolver, "_pool", self.pool)

    def getaddrinfo(self, name: str, *arguments: object, **options: object) -> Any:
        """
        Answer as the test wants it.
        """
        self.asked.append(name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def ask(self, name: str = "host.example") -> Receiver:
        """
        Ask for a name.
        """
        receiver: Any = Receiver()
        resolution = self.resolver.resolveHostName(receiver, name)
        self.assertIs(receiver.resolution, resolution)
        self.assertEqual(resolution.name, name)
        asked: Receiver = receiver
        return asked

    def lookUp(self, name: str, owner: bytes | None = None) -> Deferred[list[IPAddress]]:
        """
        Look a name up for somebody.
        """
        found = self.resolver.lookUp(name, owner)
        found.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return found

    def runAll(self) -> None:
        """
        Let the system answer all that it is asked.
        """
        while self.pool.work:
            self.pool.run()
