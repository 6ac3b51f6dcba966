"""
Passwords verified in threads, which costs so much time that the reactor cannot do it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Thread

from twisted.cred.error import LoginFailed
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

#: Passwords that may wait to be verified; one more is refused.
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
        self._maxWaiting = maxWaiting
        self._start = start
        self._queue: dict[bytes, _Verification] = {}
        self._running: dict[bytes, _Verification] = {}
        #: Who waits for the threads to end.
        self._stopping: list[Deferred[None]] = []

    def verify(self, key: bytes, work: Callable[[], bool]) -> Deferred[bool]:
        """
        Verify a password, once for all who ask for the same at the same time.

        @param key: What is the same for the same password of the same user.
        @param work: Tells whether the password is right; called in a thread.
        @return: Fires with what C{work} returns, or fails with what it raises, or with
            L{TooBusy}: too many wait already, or there is no thread.  Cancelled, it
            leaves its place to others.
        """
        verification = self._running.get(key) or self._queue.get(key)
        if verification is None:
            verification = self._queue[key] = _Verification(work)
            self._startSome()
        waiting: Deferred[bool] = Deferred(lambda deferred: self._leave(key, deferred))
        verification.waiting.append(waiting)
        if len(self._queue) > self._maxWaiting:
            del self._queue[key]
            verification.waiting.clear()
            waiting.errback(TooBusy("too many passwords to verify"))
        return waiting

    def stop(self) -> Deferred[None]:
        """
        Verify nothing more.

        @return: Fires when all threads have ended; never fails.
        """
        queue, self._queue = self._queue, {}
        for verification in queue.values():
            verification.finish(Failure(TooBusy("no more passwords are verified")))
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        self._haveEnded()
        return stopped

    def _startSome(self) -> None:
        """
        Start threads, as long as there is work and there may be more of them.
        """
        while self._queue and len(self._running) < self._threads:
            key = next(iter(self._queue))
            verification = self._running[key] = self._queue.pop(key)
            try:
                self._start(lambda key=key, work=verification.work: self._run(key, work))  # type: ignore[misc]
            except RuntimeError as error:
                # Whoever waits is not there yet if it is the last one.
                self._reactor.callFromThread(self._finished, key, Failure(TooBusy(str(error))))

    def _run(self, key: bytes, work: Callable[[], bool]) -> None:
        """
        Do the work, in a thread.
        """
        result: bool | Failure
        try:
            result = work()
        except Exception:  # noqa: BLE001  whoever waits is told of all
            result = Failure()
        self._reactor.callFromThread(self._finished, key, result)

    def _finished(self, key: bytes, result: bool | Failure) -> None:
        """
        Tell all who wait, and go on.
        """
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

    def _leave(self, key: bytes, waiting: Deferred[bool]) -> None:
        """
        One waits no more; what nobody waits for is not begun.
        """
        verification = self._running.get(key) or self._queue.get(key)
        if verification is not None and waiting in verification.waiting:
            verification.waiting.remove(waiting)
            if not verification.waiting:
                self._queue.pop(key, None)


class _Verification:
    """
    One password to verify.

    @ivar waiting: For whom.
    """

    def __init__(self, work: Callable[[], bool]) -> None:
        """
        @param work: Tells whether it is right.
        """
        self.work = work
        self.waiting: list[Deferred[bool]] = []

    def finish(self, result: bool | Failure) -> None:
        """
        Tell all who wait.
        """
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(result)
