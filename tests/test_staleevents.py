"""
Tests of L{socks6.staleevents}.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import skipUnless

from OpenSSL import SSL
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socks6.staleevents import ignoreStaleEvents

try:
    from twisted.internet.epollreactor import EPollReactor
except ImportError:
    HAS_EPOLL = False
else:
    HAS_EPOLL = True


@implementer(IReadDescriptor)
class Listener:
    """
    Hears of a socket's events.

    @ivar heard: What it has heard.
    """

    def __init__(self, handle: socket.socket, happened: Callable[[Listener], None]) -> None:
        """
        @param happened: Is called with this one when it can be read.
        """
        self.handle = handle
        self.heard: list[str] = []
        self._happened = happened

    def fileno(self) -> int:
        return self.handle.fileno()

    def logPrefix(self) -> str:
        return "Listener"

    def doRead(self) -> None:
        self.heard.append("can be read")
        self._happened(self)

    def connectionLost(self, reason: Failure) -> None:
        self.heard.append("lost")


def failToRead(listener: Listener) -> None:
    """
    Have no memory to read with.
    """
    listener.heard.append("can be read")
    raise MemoryError


@skipUnless(HAS_EPOLL, "this system has no epoll")
class StaleEventTests(SynchronousTestCase):
    """
    L{ignoreStaleEvents}.
    """

    def setUp(self) -> None:
        self.reactor: Any = EPollReactor()
        self.addCleanup(self.reactor._poller.close)
        self.addCleanup(self.reactor.waker.connectionLost, None)
        ignoreStaleEvents(self.reactor)

    def listener(self, happened: Callable[[Listener], None]) -> tuple[Listener, socket.socket]:
        """
        Make a pair of sockets, and listen to the events of one.
        """
        here, there = socket.socketpair()
        self.addCleanup(here.close)
        self.addCleanup(there.close)
        listener = Listener(here, happened)
        self.reactor.addReader(listener)
        return listener, there

    def test_newcomer(self) -> None:
        """
        Who takes the number of a descriptor that somebody else had hears nothing of what
        had happened to that one.
        """
        newcomers: list[Listener] = []

        def replace(first: Listener) -> None:
            """
            Close the other one, and give its number to a new one.
            """
            (other,) = {one, two} - {first}
            self.reactor.removeReader(other)
            handle, peer = socket.socketpair()
            self.addCleanup(peer.close)
            with handle:
                os.dup2(handle.fileno(), other.fileno())
            newcomer = Listener(other.handle, lambda listener: None)
            newcomers.append(newcomer)
            self.reactor.addReader(newcomer)

        one, oneEnd = self.listener(replace)
        two, twoEnd = self.listener(replace)
        oneEnd.close()
        twoEnd.close()
        self.reactor.doIteration(0)
        (newcomer,) = newcomers
        self.assertEqual(newcomer.heard, [])
        self.assertEqual(sorted(one.heard + two.heard), ["can be read"])

    def test_others(self) -> None:
        """
        Everybody else hears what happens, once.
        """
        one, end = self.listener(lambda listener: None)
        two, _ = self.listener(lambda listener: None)
        end.sendall(b"x")
        self.reactor.doIteration(0)
        self.assertEqual((one.heard, two.heard), (["can be read"], []))

    def test_failure(self) -> None:
        """
        One that fails in every way is logged, and keeps nobody from what has happened to
        it.
        """

        def fail(listener: Any) -> None:
            listener.connectionLost = fail
            raise ZeroDivisionError

        listeners = []
        for happened in (lambda listener: None, fail, lambda listener: None):
            listener, end = self.listener(happened)
            listeners.append(listener)
            end.sendall(b"x")
        self.reactor.doIteration(0)
        self.assertEqual([each.heard for each in listeners], [["can be read"]] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_noMemory(self) -> None:
        """
        One that needs memory which is not there is closed, in Python's words or OpenSSL's, and
        no log is written.
        """

        def need(listener: Listener) -> None:
            raise MemoryError

        def encrypt(listener: Listener) -> None:
            raise SSL.Error([("common libcrypto routines", "", "malloc failure")])

        ignoreStaleEvents(self.reactor, lambda: True)
        for happened in need, encrypt:
            listener, end = self.listener(happened)
            end.sendall(b"x")
            self.reactor.doIteration(0)
            # That happened after it had begun to read.
            self.assertEqual(listener.heard, ["can be read", "lost"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_noMemoryToRead(self) -> None:
        """
        One that has lost nothing may read once more, if there is going to be memory.
        """

        for isHopeful, heard in ((True, ["can be read"] * 2), (False, ["can be read", "lost"])):
            ignoreStaleEvents(self.reactor, [isHopeful, isHopeful].pop)
            listener, end = self.listener(lambda listener: None)
            self.patch(listener, "doRead", partial(failToRead, listener))
            end.sendall(b"x")
            for _ in range(2):
                self.reactor.doIteration(0)
            self.reactor.removeReader(listener)
            self.assertEqual(listener.heard, heard)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_noMemoryToClose(self) -> None:
        """
        If there is none to close one with, others still hear what happens.
        """
        asked: list[str] = []

        def noMemory() -> bool:
            asked.append("memory")
            return False

        def fail(listener: Any) -> None:
            listener.connectionLost = fail
            raise MemoryError

        ignoreStaleEvents(self.reactor, noMemory)
        one, end = self.listener(fail)
        two, other = self.listener(lambda listener: None)
        end.sendall(b"x")
        other.sendall(b"x")
        self.reactor.doIteration(0)
        self.assertEqual((one.heard, two.heard), (["can be read"], ["can be read"]))
        self.assertEqual(asked, ["memory"] * 2)

    def test_waits(self) -> None:
        """
        Without a time-out, events are waited for.
        """
        one, _ = self.listener(lambda listener: None)
        self.reactor.callFromThread(lambda: None)
        self.reactor.doIteration(None)
        self.assertEqual(one.heard, [])

    def test_otherReactors(self) -> None:
        """
        Whatever is no such reactor stays as it is.
        """
        clock: Any = Clock()
        ignoreStaleEvents(clock)
        self.assertFalse(hasattr(clock, "doIteration"))
