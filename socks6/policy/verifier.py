"""
Passwords verified in threads, which costs so much time that the reactor cannot do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from functools import partial
from threading import Thread

from twisted.cred.error import LoginFailed
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from socks6.fairqueue import FairQueue

#: Passwords that may wait to be verified; one more, and the last of whoever waits for most
#: is refused.
MAX_WAITING = 64

#: The most threads that there are by default.
_MOST_THREADS = 4


class TooBusy(LoginFailed):
    """
    Nobody has found out whether a password is right.
    """


def threadCount() -> int:
    """
    Tell how many passwords to verify at a time: one of the processors is for all else.
    """
    hasAffinity = hasattr(os, "sched_getaffinity")
    processors = len(os.sched_getaffinity(0)) if hasAffinity else os.cpu_count() or 1
    return max(1, min(processors - 1, _MOST_THREADS))


def startThread(function: Callable[[], None]) -> None:
    """
    Call a function in a thread of its own.

    @raise RuntimeError: The system has no more threads for us.
    """
    # Nothing is lost with a verification, so none may delay the end of the process.
    Thread(target=function, name="socks6-passwords", daemon=True).start()


class Verifier:
    """
    Verifies a few passwords at a time, each in a thread that ends with it: that costs
    nothing, compared with a verification.

    Those who ask take turns.  Who is alone may have all threads: the next one is free as
    soon as a verification has ended, and none hangs.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        threads: int | None = None,
        maxWaiting: int = MAX_WAITING,
        start: Callable[[Callable[[], None]], None] = startThread,
    ) -> None:
        """
        @param reactor: Takes the results out of the threads.
        @param threads: Passwords that are verified at a time; by default, as many as
            there are processors but one, and no more than four.
        @param maxWaiting: Passwords that may wait for it.
        @param start: Calls a function in a thread of its own.
        """
        self._reactor = reactor
        self._threads = threadCount() if threads is None else threads
        self._queue: FairQueue[bytes] = FairQueue(self._threads, maxWaiting)
        self._start = start
        self._waiting: dict[bytes, _Verification] = {}
        self._running: dict[bytes, _Verification] = {}
        #: Who waits for the threads to end.
        self._stopping: list[Deferred[None]] = []

    def verify(
        self, key: bytes, work: Callable[[], bool], owner: Hashable = None
    ) -> Deferred[bool]:
        """
        Verify a password, once for all who ask for the same at the same time.

        @param key: What is the same for the same password of the same user.
        @param work: Tells whether the password is right; called in a thread.
        @param owner: Whose turn it takes.
        @return: Fires with what C{work} returns, or fails with what it raises, or with
            L{TooBusy}: too many wait, and most of them for this owner, or there is no
            thread.  Cancelled, it leaves its place to others.
        """
        running = self._running.get(key)
        if running is not None:
            return running.join(owner)
        verification = self._waiting.get(key)
        if verification is None:
            verification = self._waiting[key] = _Verification(
                work, lambda owner: self._leave(key, owner)
            )
        result = verification.join(owner)
        self._queue.put(owner, key)
        self._startSome()
        self._shed(owner)
        return result

    def underWay(self, key: bytes) -> Deferred[bool] | None:
        """
        Wait for a verification that has begun; L{None}: it has not.
        """
        running = self._running.get(key)
        return None if running is None else running.join(None)

    def stop(self) -> Deferred[None]:
        """
        Verify nothing more.

        @return: Fires when all threads have ended; never fails.
        """
        while self._waiting:
            key, verification = self._waiting.popitem()
            self._withdraw(key, verification)
            verification.finish(Failure(TooBusy("no more passwords are verified")))
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        self._haveEnded()
        return stopped

    def _startSome(self) -> None:
        """
        Start threads, as long as there is work and there may be more of them.
        """
        while (turn := self._queue.take()) is not None:
            owner, key = turn
            verification = self._running[key] = self._waiting.pop(key)
            self._withdraw(key, verification)
            try:
                self._start(partial(self._run, owner, key, verification.work))
            except RuntimeError as error:
                # Whoever waits is not there yet if it is the last one.
                failure = Failure(TooBusy(str(error)))
                self._reactor.callFromThread(self._finished, owner, key, failure)

    def _withdraw(self, key: bytes, verification: _Verification) -> None:
        """
        Let a verification wait no more, for whomever.
        """
        for owner in set(verification.waiting.values()):
            self._queue.withdraw(owner, key)

    def _shed(self, newcomer: Hashable) -> None:
        """
        Refuse those who wait for a password that is one too many.
        """
        shed = self._queue.shed(newcomer)
        if shed is not None:
            owner, key = shed
            verification = self._waiting[key]
            refused = [each for each, whose in verification.waiting.items() if whose == owner]
            for each in refused:
                del verification.waiting[each]
            if not verification.waiting:
                del self._waiting[key]
            for each in refused:
                each.errback(TooBusy("too many passwords to verify"))

    def _run(self, owner: Hashable, key: bytes, work: Callable[[], bool]) -> None:
        """
        Do the work, in a thread.
        """
        result: bool | Failure
        try:
            result = work()
        except Exception:  # noqa: BLE001  whoever waits is told of all
            result = Failure()
        self._reactor.callFromThread(self._finished, owner, key, result)

    def _finished(self, owner: Hashable, key: bytes, result: bool | Failure) -> None:
        """
        Tell all who wait, and go on.
        """
        self._queue.free(owner)
        verification = self._running.pop(key)
        self._startSome()
        verification.finish(result)
        self._haveEnded()

    def _haveEnded(self) -> None:
        """
        Tell who waits for that if there is no thread left.
        """
        if not self._running:
            stopping, self._stopping = self._stopping, []
            for stopped in stopping:
                stopped.callback(None)

    def _leave(self, key: bytes, owner: Hashable) -> None:
        """
        One waits no more; what nobody waits for is not begun.
        """
        verification = self._waiting.get(key)
        if verification is not None:
            if owner not in verification.waiting.values():
                self._queue.withdraw(owner, key)
            if not verification.waiting:
                del self._waiting[key]


class _Verification:
    """
    One password to verify.

    @ivar work: Tells whether it is right.
    @ivar waiting: Who waits for that, and whose turn each takes.
    """

    def __init__(self, work: Callable[[], bool], left: Callable[[Hashable], object]) -> None:
        """
        @param left: Is told whose turn one takes who waits no more.
        """
        self.work = work
        self.waiting: dict[Deferred[bool], Hashable] = {}
        self._left = left

    def join(self, owner: Hashable) -> Deferred[bool]:
        """
        Let one more wait.
        """
        result: Deferred[bool] = Deferred(self._leave)
        self.waiting[result] = owner
        return result

    def _leave(self, result: Deferred[bool]) -> None:
        """
        One waits no more.
        """
        self._left(self.waiting.pop(result))

    def finish(self, result: bool | Failure) -> None:
        """
        Tell all who wait.
        """
        waiting, self.waiting = self.waiting, {}
        for each in waiting:
            each.callback(result)
