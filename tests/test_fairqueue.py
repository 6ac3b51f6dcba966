"""
Tests of L{socks6.fairqueue}.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.fairqueue import FairQueue


def takeAll(queue: FairQueue[int]) -> list[tuple[object, int]]:
    """
    Begin all that can begin.
    """
    begun = []
    while (turn := queue.take()) is not None:
        begun.append(turn)
    return begun


class FairQueueTests(SynchronousTestCase):
    """
    Whose turn it is.
    """

    def queue(
        self, places: int = 2, maxWaiting: int = 100, sparing: bool = False
    ) -> FairQueue[int]:
        """
        Make a queue.
        """
        return FairQueue(places, maxWaiting, sparing)

    def fill(self, queue: FairQueue[int], owner: object, count: int) -> None:
        """
        Let much of one owner wait.
        """
        for key in range(count):
            queue.put(owner, key)

    def test_inOrder(self) -> None:
        """
        One owner's work is done in order, as many pieces at a time as there are places.
        """
        queue = self.queue()
        self.fill(queue, "ada", 4)
        self.assertEqual(queue.waiting, 4)
        self.assertEqual(takeAll(queue), [("ada", 0), ("ada", 1)])
        queue.free("ada")
        self.assertEqual(takeAll(queue), [("ada", 2)])
        queue.free("ada")
        queue.free("ada")
        self.assertEqual(takeAll(queue), [("ada", 3)])
        self.assertEqual((queue.waiting, queue.take()), (0, None))

    def test_newcomer(self) -> None:
        """
        Who has no place comes before all that those want who have one.
        """
        queue = self.queue()
        self.fill(queue, "eve", 10)
        takeAll(queue)
        queue.put("ada", 0)
        queue.free("eve")
        self.assertEqual(takeAll(queue), [("ada", 0)])

    def test_turns(self) -> None:
        """
        Those who have as many places take turns.
        """
        queue = self.queue(places=1)
        for owner in ("eve", "ada", "zoe"):
            self.fill(queue, owner, 3)
        served = []
        while (turn := queue.take()) is not None:
            served.append(turn)
            queue.free(turn[0])
        self.assertEqual(
            served, [(owner, key) for key in range(3) for owner in ("eve", "ada", "zoe")]
        )

    def test_sparing(self) -> None:
        """
        Nobody gets more places than are free then: one owner gets half of them, and there
        is one for each newcomer for as long as there can be.
        """
        queue = self.queue(places=16, sparing=True)
        held = Counter[object]()
        for owner in ("a", "b", "c", "d", "e"):
            self.fill(queue, owner, 20)
            held.update(owner for owner, _ in takeAll(queue))
        self.assertEqual(held, {"a": 8, "b": 4, "c": 2, "d": 1, "e": 1})
        # Who has had more than his part gets no more before all have the same.
        for _ in range(8):
            queue.free("a")
            held["a"] -= 1
            held.update(owner for owner, _ in takeAll(queue))
        self.assertEqual(max(held.values()), 4)
        queue.put("f", 0)
        self.assertEqual(takeAll(queue), [("f", 0)])

    def test_equalParts(self) -> None:
        """
        Where n owners want all they can get, each has one part in n + 1 at last, and the
        same is left.
        """
        queue = self.queue(places=16, maxWaiting=1000, sparing=True)
        under: list[object] = []
        for owner in ("a", "b", "c"):
            self.fill(queue, owner, 200)
            under += [owner for owner, _ in takeAll(queue)]
        for _ in range(100):
            queue.free(under.pop(0))
            under += [owner for owner, _ in takeAll(queue)]
        self.assertEqual(Counter(under), {"a": 4, "b": 4, "c": 4})

    def test_withdraw(self) -> None:
        """
        What is withdrawn does not get a turn, and withdrawing what does not wait does nothing.
        """
        queue = self.queue(places=1)
        self.fill(queue, "eve", 3)
        queue.put("ada", 0)
        queue.withdraw("eve", 0)
        queue.withdraw("eve", 0)
        queue.withdraw("zoe", 0)
        queue.withdraw("ada", 0)
        self.assertEqual(queue.waiting, 2)
        self.assertEqual(takeAll(queue), [("eve", 1)])
        queue.withdraw("eve", 2)
        queue.free("eve")
        self.assertEqual((queue.waiting, queue.take()), (0, None))

    def test_twice(self) -> None:
        """
        The same key waits once for one owner, and for each of several.
        """
        queue = self.queue(places=9)
        for owner in ("ada", "ada", "eve"):
            queue.put(owner, 7)
        self.assertEqual(queue.waiting, 2)
        self.assertEqual(takeAll(queue), [("ada", 7), ("eve", 7)])

    def test_shed(self) -> None:
        """
        When too many wait, the last one of the longest line goes; of lines of one length,
        the newcomer's.
        """
        queue = self.queue(places=1, maxWaiting=5)
        self.fill(queue, "eve", 5)
        self.assertIsNone(queue.shed("eve"))
        queue.put("eve", 5)
        self.assertEqual(queue.shed("eve"), ("eve", 5))
        for expected in (("eve", 4), ("eve", 3), ("ada", 2)):
            queue.put("ada", queue.waiting - len(queue._lines["eve"]))
            self.assertEqual(queue.shed("ada"), expected)
            self.assertEqual(queue.waiting, 5)
        queue.put("zoe", 0)
        self.assertEqual(queue.shed("zoe"), ("eve", 2))
        for owner in ("amy", "bob"):
            queue.put(owner, 0)
            self.assertIsNotNone(queue.shed(owner))
        queue.put("new", 0)
        self.assertEqual(queue.shed("new"), ("new", 0))

    @given(
        st.lists(st.tuples(st.sampled_from("ptfw"), st.integers(0, 3), st.integers(0, 5))),
        st.booleans(),
    )
    def test_anything(self, steps: list[tuple[str, int, int]], sparing: bool) -> None:
        """
        Whatever happens, in whatever order, as many wait as there should, no more are under
        way than may be, and at last nothing of anybody is kept.
        """
        queue = self.queue(4, 8, sparing)
        waiting: set[tuple[object, int]] = set()
        under: list[object] = []

        def take() -> bool:
            turn = queue.take()
            if turn is None:
                return False
            waiting.remove(turn)
            # Nobody who waits has fewer.
            fewest = min(under.count(owner) for owner, _ in (*waiting, turn))
            self.assertEqual(under.count(turn[0]), fewest)
            if sparing:
                self.assertLess(under.count(turn[0]), 4 - len(under))
            under.append(turn[0])
            self.assertLessEqual(len(under), 4)
            return True

        for step, owner, key in steps:
            if step == "p":
                queue.put(owner, key)
                waiting.add((owner, key))
                while (shed := queue.shed(owner)) is not None:
                    waiting.remove(shed)
            elif step == "w":
                queue.withdraw(owner, key)
                waiting.discard((owner, key))
            elif step == "t":
                take()
            elif owner in under:
                under.remove(owner)
                queue.free(owner)
            self.assertEqual(queue.waiting, len(waiting))
            self.assertLessEqual(queue.waiting, 8)
        while waiting or under:
            if not take():
                queue.free(under.pop())
        self.assertEqual((queue._lines, queue._held, queue._free), ({}, {}, 4))
        self.assertFalse(any(queue._turns))
