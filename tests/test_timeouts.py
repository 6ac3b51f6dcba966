"""
Tests of L{socks6.timeouts}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.timeouts import Timeout, Timeouts


class TimeoutsTests(SynchronousTestCase):
    """
    L{Timeouts}.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.timeouts = Timeouts(self.clock)
        self.ended: list[str] = []

    def assertNothingLeft(self) -> None:
        """
        Check that nothing is waited for.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.timeouts.queues, {})
        self.assertEqual(self.timeouts.getDelayedCalls(), [])

    def test_interfaces(self) -> None:
        """
        They are a reactor's time, and its delayed calls.
        """
        self.assertTrue(verifyObject(IReactorTime, self.timeouts))
        timeout = self.timeouts.callLater(1.0, self.ended.append, "a")
        self.assertTrue(verifyObject(IDelayedCall, timeout))
        self.assertEqual(self.timeouts.getDelayedCalls(), [timeout])

    def test_order(self) -> None:
        """
        Each ends when it is due, whatever others there are; those of one length need one
        delayed call of the reactor.
        """
        self.clock.advance(0.1)
        self.timeouts.callLater(2.0, self.ended.append, "a")
        self.clock.advance(0.7)
        self.timeouts.callLater(2.0, self.ended.append, "b")
        self.timeouts.callLater(1.0, self.ended.append, "c")
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)
        self.assertEqual(self.timeouts.seconds(), self.clock.seconds())
        self.clock.advance(0.9)
        self.assertEqual(self.ended, [])
        self.clock.advance(0.1)
        self.assertEqual(self.ended, ["c"])
        self.clock.advance(0.3)
        self.assertEqual(self.ended, ["c", "a"])
        self.clock.advance(0.69)
        self.assertEqual(self.ended, ["c", "a"])
        self.clock.advance(0.01)
        self.assertEqual(self.ended, ["c", "a", "b"])
        self.assertNothingLeft()

    def test_arguments(self) -> None:
        """
        What is called gets its arguments.
        """
        self.timeouts.callLater(
            0.0, lambda *some, **more: self.ended.extend([*some, *more]), 1, b=2
        )
        self.clock.advance(0)
        self.assertEqual(self.ended, [1, "b"])

    def test_cancel(self) -> None:
        """
        One that is cancelled does not end, the first of its length as little as another;
        with the last one, the delayed call goes.
        """
        first, second, third = (self.timeouts.callLater(1.0, self.ended.append, n) for n in "abc")
        first.cancel()
        third.cancel()
        self.assertEqual([each.active() for each in (first, second, third)], [False, True, False])
        self.assertRaises(AlreadyCancelled, first.cancel)
        self.clock.advance(1)
        self.assertEqual(self.ended, ["b"])
        self.assertFalse(second.active())
        self.assertRaises(AlreadyCalled, second.cancel)
        self.assertNothingLeft()
        self.timeouts.callLater(1.0, self.ended.append, "d").cancel()
        self.assertNothingLeft()

    def test_headCancelled(self) -> None:
        """
        When the delayed call comes for one that is cancelled, it is made again for the
        next one.
        """
        first = self.timeouts.callLater(1.0, self.ended.append, "a")
        self.clock.advance(0.5)
        second = self.timeouts.callLater(1.0, self.ended.append, "b")
        first.cancel()
        self.clock.advance(0.5)
        self.assertEqual(self.ended, [])
        self.assertEqual([each.getTime() for each in self.clock.getDelayedCalls()], [1.5])
        self.assertEqual(second.getTime(), 1.5)
        self.clock.advance(0.5)
        self.assertEqual(self.ended, ["b"])
        self.assertNothingLeft()

    def test_reset(self) -> None:
        """
        One can be put off, and put forward.
        """
        timeout = self.timeouts.callLater(1.0, self.ended.append, "a")
        timeout.reset(3.0)
        self.clock.advance(1.0)
        self.assertEqual(timeout.getTime(), 3.0)
        timeout.delay(1.0)
        self.assertEqual(timeout.getTime(), 4.0)
        self.clock.advance(2.9)
        self.assertEqual(self.ended, [])
        self.clock.advance(0.1)
        self.assertEqual(self.ended, ["a"])
        self.assertRaises(AlreadyCalled, timeout.reset, 1.0)
        self.assertRaises(AlreadyCalled, timeout.delay, 1.0)
        self.assertNothingLeft()

    def test_overdue(self) -> None:
        """
        One that should have ended already ends next, and can be cancelled until then.
        """
        asked: list[float] = []
        before = self.clock.callLater

        def callLater(delay: float, *arguments: Any) -> Any:
            asked.append(delay)
            return before(delay, *arguments)

        self.clock.callLater = callLater  # type: ignore[assignment,method-assign]
        late = self.timeouts.callLater(1.0, self.ended.append, "a")
        late.reset(-0.5)
        self.clock.advance(0)
        self.assertEqual(self.ended, ["a"])
        late = self.timeouts.callLater(1.0, self.ended.append, "b")
        late.delay(-5.0)
        late.cancel()
        self.assertGreaterEqual(min(asked), 0.0)
        self.assertNothingLeft()

    def test_clockSetBack(self) -> None:
        """
        If the clock is set back, none waits for longer than its length from when the next
        one is set.
        """
        self.clock.advance(3600)
        self.timeouts.callLater(10.0, self.ended.append, "a")
        self.clock.rightNow -= 3600
        self.timeouts.callLater(10.0, self.ended.append, "b")
        self.clock.advance(1)
        self.timeouts.callLater(10.0, self.ended.append, "c")
        self.clock.advance(9)
        self.assertEqual(self.ended, ["a", "b"])
        self.clock.advance(1)
        self.assertEqual(self.ended, ["a", "b", "c"])
        self.assertNothingLeft()

    def test_cancelledAtTheEnd(self) -> None:
        """
        One that ends may cancel another that ends with it, and set a new one.
        """
        others: list[Timeout] = []

        def end() -> None:
            others.pop().cancel()
            self.timeouts.callLater(1.0, self.ended.append, "new")

        self.timeouts.callLater(1.0, end)
        others.append(self.timeouts.callLater(1.0, self.ended.append, "other"))
        self.clock.advance(1)
        self.assertEqual(self.ended, [])
        self.clock.advance(1)
        self.assertEqual(self.ended, ["new"])
        self.assertNothingLeft()

    def test_again(self) -> None:
        """
        A very short one that sets the next one lets others come in between.
        """

        def again() -> None:
            self.ended.append("again")
            self.timeouts.callLater(0.0005, again)

        self.timeouts.callLater(0.0005, again)
        for count in (1, 2, 3):
            self.clock.advance(0.0005)
            self.assertEqual(len(self.ended), count)

    def test_failure(self) -> None:
        """
        One that fails keeps no other from its end.
        """
        self.timeouts.callLater(1.0, self.ended.index, "nothing")
        self.timeouts.callLater(1.0, self.ended.append, "b")
        self.assertRaises(ValueError, self.clock.advance, 1)
        self.clock.advance(0)
        self.assertEqual(self.ended, ["b"])
        self.assertNothingLeft()
