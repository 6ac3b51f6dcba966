"""
Tests of L{socks6.policy.verifier}.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.verifier import TooBusy, Verifier, startThread, threadCount
from tests.policy.passwords import FakeThreads


class VerifierTests(SynchronousTestCase):
    """
    Passwords are verified in threads, a few at a time.
    """

    def setUp(self) -> None:
        self.threads = FakeThreads()
        self.verifier = Verifier(self.threads, 2, 3, self.threads.start)
        #: What was begun.
        self.begun: list[bytes] = []

    def work(self, key: bytes, isRight: bool = True) -> Callable[[], bool]:
        """
        Make work that takes note.
        """

        def work() -> bool:
            self.begun.append(key)
            return isRight

        return work

    def verify(self, key: bytes, isRight: bool = True, owner: object = None) -> Deferred[bool]:
        """
        Verify something.
        """
        return self.verifier.verify(key, self.work(key, isRight), owner)

    def test_results(self) -> None:
        """
        What the work says comes in the reactor's thread.
        """
        right, wrong = self.verify(b"1"), self.verify(b"2", False)
        self.threads.work.pop(0)()
        self.assertNoResult(right)
        self.threads.advance(0)
        self.assertIs(self.successResultOf(right), True)
        self.threads.run()
        self.assertIs(self.successResultOf(wrong), False)

    def test_failure(self) -> None:
        """
        So does what it raises; then others go on.
        """

        def fail() -> bool:
            raise ZeroDivisionError

        failed = [self.verifier.verify(b"0", fail) for _ in range(2)]
        others = [self.verify(b"1"), self.verify(b"2")]
        self.threads.runAll()
        for each in failed:
            self.failureResultOf(each, ZeroDivisionError)
        for each in others:
            self.successResultOf(each)

    def test_fewAtATime(self) -> None:
        """
        There are no more threads than may be; the others wait for their turn.
        """
        results = [self.verify(b"%d" % number) for number in range(5)]
        self.assertEqual(len(self.threads.work), 2)
        self.threads.run()
        self.assertEqual(len(self.threads.work), 2)
        self.assertEqual(self.threads.runAll(), 4)
        for result in results:
            self.successResultOf(result)
        self.assertEqual(self.begun, [b"0", b"1", b"2", b"3", b"4"])

    def test_full(self) -> None:
        """
        When too many wait, one more is refused at once, and the others are not.
        """
        results = [self.verify(b"%d" % number) for number in range(5)]
        self.failureResultOf(self.verify(b"5"), TooBusy)
        self.failureResultOf(self.verify(b"5"), TooBusy)
        joined = self.verify(b"4")
        self.threads.run()
        results.append(self.verify(b"6"))
        self.threads.runAll()
        for result in (*results, joined):
            self.successResultOf(result)
        self.assertNotIn(b"5", self.begun)

    def test_turns(self) -> None:
        """
        Those who ask take turns, however much one of them asks for.
        """
        results = [self.verify(b"%d" % number, owner="eve") for number in range(5)]
        first = self.verify(b"first", owner="ada")
        second = self.verify(b"second", owner="zoe")
        # Of those who wait, eve has the most.
        for result in results[3:]:
            self.failureResultOf(result, TooBusy)
        self.threads.runAll()
        self.assertEqual(self.begun, [b"0", b"1", b"first", b"second", b"2"])
        self.successResultOf(first)
        self.successResultOf(second)

    def test_othersLine(self) -> None:
        """
        Who asks for the same as somebody else does not wait in his line, and it is verified
        once.
        """
        results = [self.verify(b"%d" % number, owner="eve") for number in range(4)]
        results.append(self.verify(b"3", owner="ada"))
        self.threads.runAll()
        self.assertEqual(self.begun, [b"0", b"1", b"3", b"2"])
        for result in results:
            self.successResultOf(result)

    def test_shed(self) -> None:
        """
        When too many wait, the last of whoever has most is refused, and not a newcomer; who
        waits for the same with somebody else is not refused with him.
        """
        results = [self.verify(b"%d" % number, owner="eve") for number in range(5)]
        joined = self.verify(b"4", owner="ada")
        self.failureResultOf(results.pop(), TooBusy)
        refused = self.verify(b"5", owner="eve")
        self.failureResultOf(refused, TooBusy)
        self.threads.runAll()
        for result in (*results, joined):
            self.successResultOf(result)
        self.assertEqual(sorted(self.begun), [b"0", b"1", b"2", b"3", b"4"])

    def test_underWay(self) -> None:
        """
        What has begun can be waited for again, and what has not cannot.
        """
        first = self.verify(b"1", False)
        for key in (b"2", b"3"):
            self.verify(key)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        again = self.verifier.underWay(b"1")
        assert again is not None
        for key in (b"3", b"4"):
            self.assertIsNone(self.verifier.underWay(key))
        self.threads.runAll()
        self.assertIs(self.successResultOf(again), False)
        self.assertIsNone(self.verifier.underWay(b"1"))

    def test_once(self) -> None:
        """
        Who asks for the same at the same time shares one verification; later it is
        verified again.
        """
        results = [self.verify(b"1"), self.verify(b"2"), self.verify(b"1")]
        results += [self.verify(b"3"), self.verify(b"3")]
        self.threads.runAll()
        for result in results:
            self.successResultOf(result)
        self.assertEqual(self.begun, [b"1", b"2", b"3"])
        self.verify(b"1")
        self.assertEqual(self.threads.runAll(), 1)

    def test_cancelWaiting(self) -> None:
        """
        What nobody waits for any more is not begun, and leaves its place.
        """
        for number in range(5):
            last = self.verify(b"%d" % number)
        last.cancel()
        self.failureResultOf(last, CancelledError)
        other = self.verify(b"5")
        self.assertNoResult(other)
        self.threads.runAll()
        self.successResultOf(other)
        self.assertNotIn(b"4", self.begun)

    def test_cancelOneOfTwo(self) -> None:
        """
        It is if somebody else waits.
        """
        self.verify(b"1"), self.verify(b"2")
        first, second = self.verify(b"3"), self.verify(b"3")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.threads.runAll()
        self.successResultOf(second)

    def test_cancelBegun(self) -> None:
        """
        What has been begun goes on, as nothing can end a thread; whoever joins gets its
        result.
        """
        first = self.verify(b"1")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.verify(b"2")
        self.verify(b"3")
        self.assertEqual(len(self.threads.work), 2)
        second = self.verify(b"1")
        self.threads.runAll()
        self.successResultOf(second)
        self.assertEqual(self.begun, [b"1", b"2", b"3"])

    def test_noThreads(self) -> None:
        """
        Where the system has no thread for us, that is refused; later there may be one.
        """
        self.threads.error = RuntimeError("can't start new thread")
        results = [self.verify(b"%d" % number) for number in range(5)]
        self.threads.advance(0)
        self.threads.advance(0)
        self.threads.advance(0)
        for result in results:
            self.failureResultOf(result, TooBusy)
        self.threads.error = None
        result = self.verify(b"1")
        self.threads.runAll()
        self.successResultOf(result)

    def test_stop(self) -> None:
        """
        Whoever stops it waits for the threads to end; who waits for one is refused.
        """
        results = [self.verify(b"%d" % number) for number in range(3)]
        stopped = self.verifier.stop()
        self.failureResultOf(results[2], TooBusy)
        self.threads.run()
        self.assertNoResult(stopped)
        self.threads.run()
        self.successResultOf(stopped)
        self.assertEqual([self.successResultOf(each) for each in results[:2]], [True, True])
        self.successResultOf(self.verifier.stop())


class ThreadTests(SynchronousTestCase):
    """
    Real threads.
    """

    def test_start(self) -> None:
        """
        A thread does not keep the process from ending, and has a name.
        """
        found: list[threading.Thread] = []
        done = threading.Event()

        def work() -> None:
            found.append(threading.current_thread())
            done.set()

        startThread(work)
        self.assertTrue(done.wait(60))
        (thread,) = found
        self.assertTrue(thread.daemon)
        self.assertEqual(thread.name, "socks6-passwords")
        thread.join(60)
        self.assertFalse(thread.is_alive())

    def test_count(self) -> None:
        """
        One processor is for all else, if there are several.
        """
        for processors, threads in ((1, 1), (2, 1), (3, 2), (5, 4), (64, 4)):
            self.patch(os, "sched_getaffinity", lambda pid, count=processors: set(range(count)))
            self.assertEqual(threadCount(), threads)
            self.assertEqual(Verifier(FakeThreads())._threads, threads)
