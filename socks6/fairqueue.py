"""
Work of many, done a few pieces at a time, in turns.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)


class FairQueue(Generic[_K]):
    """
    Says what comes next: something of whoever has the fewest pieces under way, and among
    those, of whoever has not had a turn for longest.  So nobody waits behind all that
    somebody else wants.

    It does no work, and only knows keys: the same key may wait for several owners.

    @ivar waiting: How many pieces wait.
    """

    def __init__(self, places: int, maxWaiting: int, sparing: bool = False) -> None:
        """
        @param places: Pieces that may be under way at a time.
        @param maxWaiting: Pieces that may wait, see L{shed}.
        @param sparing: Whether somebody who has as many places as are free gets no more,
            so that newcomers find one, whatever holds the others: alone somebody gets half
            of them, the next one half of the rest.  Once those have ended that began so, n
            who want all they can get have one part in n + 1 each.
        """
        self.waiting = 0
        self._places = places
        self._maxWaiting = maxWaiting
        self._sparing = sparing
        self._free = places
        #: How many places those have that have any.
        self._held: dict[Hashable, int] = {}
        #: What waits for those for whom something does, in order.
        self._lines: dict[Hashable, dict[_K, None]] = {}
        #: The same owners: those who have no place, one place, and so on, each in the
        #: order of their turns.
        self._turns: list[dict[Hashable, None]] = [{} for _ in range(places + 1)]

    def put(self, owner: Hashable, key: _K) -> None:
        """
        Let a piece of work wait, last of its owner's, if it does not yet.
        """
        line = self._lines.get(owner)
        if line is None:
            line = self._lines[owner] = {}
            self._turns[self._held.get(owner, 0)][owner] = None
        if key not in line:
            line[key] = None
            self.waiting += 1

    def withdraw(self, owner: Hashable, key: _K) -> None:
        """
        Let a piece of work wait no more, if it does.
        """
        line = self._lines.get(owner)
        if line is not None and key in line:
            del line[key]
            self.waiting -= 1
            if not line:
                del self._lines[owner]
                del self._turns[self._held.get(owner, 0)][owner]

    def take(self) -> tuple[Hashable, _K] | None:
        """
        Take a place for the next piece of work.

        @return: Whose it is, and its key; L{None}: none can begin now.
        """
        if not self.waiting or not self._free:
            return None
        most = self._free if self._sparing else self._places
        for held in range(most):
            if self._turns[held]:
                break
        else:
            return None
        owner = next(iter(self._turns[held]))
        del self._turns[held][owner]
        line = self._lines[owner]
        key = next(iter(line))
        del line[key]
        if line:
            self._turns[held + 1][owner] = None
        else:
            del self._lines[owner]
        self._held[owner] = held + 1
        self.waiting -= 1
        self._free -= 1
        return owner, key

    def free(self, owner: Hashable) -> None:
        """
        Give a place back.
        """
        held = self._held.pop(owner)
        if held > 1:
            self._held[owner] = held - 1
        self._free += 1
        if owner in self._lines:
            del self._turns[held][owner]
            self._turns[held - 1][owner] = None

    def shed(self, newcomer: Hashable) -> tuple[Hashable, _K] | None:
        """
        If one piece more waits than may, let it be the last one of whoever has most of
        them: that is to be refused.

        @param newcomer: Whose came last: it is his of several who have as many.
        @return: Whose it was, and its key; L{None}: no more wait than may.
        """
        if self.waiting <= self._maxWaiting:
            return None
        owner = max(self._lines, key=lambda each: (len(self._lines[each]), each == newcomer))
        key = next(reversed(self._lines[owner]))
        self.withdraw(owner, key)
        return owner, key
