"""
Tests of L{socks6.machine.tokens}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.tokens import TokenWindow, precedes
from socks6.values.codes import MAX_TOKEN_WINDOW_SIZE, TOKEN_MODULUS, TokenOutcome
from socks6.values.options import TokenWindowAdvertisement
from tests.strategies import FOUR_OCTET_NUMBERS

SUCCESS, DUPLICATE = TokenOutcome.SUCCESS, TokenOutcome.DUPLICATE
OUT_OF_WINDOW = TokenOutcome.OUT_OF_WINDOW

HALF = TOKEN_MODULUS // 2

#: Where the base of a window may lie: at each bit of an octet, and around the end
#: of the circle.
BASES = (*range(8), 1000, HALF - 1, HALF, *range(TOKEN_MODULUS - 9, TOKEN_MODULUS))


class PlainWindow:
    """
    A window by the letter of the rules, with numbers that never wrap and a set.

    @ivar low: The base, on a line instead of the circle.
    """

    def __init__(self, base: int, size: int) -> None:
        self.low = base
        self.size = size
        self.spent: set[int] = set()

    def spend(self, token: int) -> TokenOutcome:
        """
        Spend a token.
        """
        number = self.low + (token - self.low) % TOKEN_MODULUS
        end = self.low + self.size
        if number >= end:
            return OUT_OF_WINDOW
        if number in self.spent:
            return DUPLICATE
        self.spent.add(number)
        wanted = self.low
        # Above three quarters: then it is to lie exactly there.
        if 4 * (number - self.low) > 3 * self.size:
            wanted = number - self.size * 3 // 4
        unspent = [each for each in range(self.low, end) if each not in self.spent]
        # Lowest tokens that are spent are left behind.
        possible = [each for each in unspent if each >= wanted]
        # Never past the highest unspent token.
        self.low = min(possible) if possible else max(unspent, default=end)
        return SUCCESS


class CountedOctets(bytearray):
    """
    Octets that count how often they are looked at or changed.
    """

    looks = 0

    def __getitem__(self, index: Any) -> Any:
        self.looks += 1
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.looks += 1
        super().__setitem__(index, value)

    def __delitem__(self, index: Any) -> None:
        self.looks += 1
        super().__delitem__(index)


def spendAll(window: TokenWindow, offsets: Iterable[int]) -> list[TokenOutcome]:
    """
    Spend tokens that are given by their distance from the present base.
    """
    base = window.base
    return [window.spend((base + offset) % TOKEN_MODULUS) for offset in offsets]


def spentTokens(base: int, offsets: Iterable[int]) -> bytes:
    """
    Write the spent tokens of a window that comes from elsewhere.

    @param offsets: Their distances from the base.
    """
    bits = sum(1 << offset for offset in offsets) << (base & 7)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def copyOf(window: TokenWindow) -> TokenWindow:
    """
    Make a window as a store restores it.
    """
    return TokenWindow(window.base, window.size, window.spent)


class PrecedesTests(SynchronousTestCase):
    """
    The order of tokens.
    """

    def test_table(self) -> None:
        """
        The one from which it is less than half of the circle to the other one is
        less; no token is less than itself or its opposite.
        """
        for left, right, less in (
            (0, 0, False),
            (0, 1, True),
            (1, 0, False),
            (0, HALF - 1, True),
            (0, HALF, False),
            (HALF, 0, False),
            (0, HALF + 1, False),
            (HALF + 1, 0, True),
            (TOKEN_MODULUS - 1, 0, True),
            (0, TOKEN_MODULUS - 1, False),
            (TOKEN_MODULUS - 1, HALF - 2, True),
            (TOKEN_MODULUS - 1, HALF - 1, False),
            (TOKEN_MODULUS - 1, TOKEN_MODULUS - 1, False),
        ):
            self.assertIs(precedes(left, right), less, f"{left} < {right}")

    @given(left=FOUR_OCTET_NUMBERS, distance=FOUR_OCTET_NUMBERS)
    def test_order(self, left: int, distance: int) -> None:
        """
        Of two tokens one is less than the other, unless they are the same or
        opposites; it does not matter where on the circle they lie.
        """
        right = (left + distance) % TOKEN_MODULUS
        ways = [precedes(left, right), precedes(right, left)]
        self.assertEqual(ways.count(True), 0 if distance in (0, HALF) else 1)
        self.assertIs(precedes(0, distance), ways[0])


class WindowTests(SynchronousTestCase):
    """
    A window of tokens.
    """

    def assertSpends(
        self, window: TokenWindow, steps: Iterable[tuple[int, TokenOutcome, int]], case: str
    ) -> None:
        """
        Spend tokens, given by their distance from the first base, and check what
        comes of it and where the base is then.
        """
        first = window.base
        for offset, outcome, shift in steps:
            found = window.spend((first + offset) % TOKEN_MODULUS)
            self.assertIs(found, outcome, f"{case}: token {offset}")
            self.assertEqual((window.base - first) % TOKEN_MODULUS, shift, f"{case}: {offset}")

    def test_untouched(self) -> None:
        """
        A window says what it is, and takes no memory for tokens that nobody has
        spent.
        """
        for base in BASES:
            for size in (1, 2, 64, MAX_TOKEN_WINDOW_SIZE):
                window = TokenWindow(base, size)
                self.assertEqual((window.base, window.size, window.spent), (base, size, b""))
                self.assertEqual(window.advertisement, TokenWindowAdvertisement(base, size))
                self.assertEqual(window.end, (base + size) % TOKEN_MODULUS)
                self.assertEqual(
                    spendAll(window, (-1, size, -(2**31), size + 2**30)), [OUT_OF_WINDOW] * 4
                )
                self.assertEqual((window.base, window.spent), (base, b""))

    def test_inOrder(self) -> None:
        """
        A token that is spent when it is the lowest one shifts the window by one.
        """
        for base in BASES:
            window = TokenWindow(base, 64)
            steps = [(offset, SUCCESS, offset + 1) for offset in range(200)]
            self.assertSpends(window, steps, f"from {base}")
            self.assertEqual(window.advertisement.base, (base + 200) % TOKEN_MODULUS)
            self.assertEqual(window.advertisement.size, 64)

    def test_lowest(self) -> None:
        """
        The window shifts as soon as the lowest token is spent, and past all that
        are spent behind it.
        """
        for base in BASES:
            steps = [
                (3, SUCCESS, 0),
                (1, SUCCESS, 0),
                (4, SUCCESS, 0),
                (0, SUCCESS, 2),
                (40, SUCCESS, 2),
                *((offset, SUCCESS, 2) for offset in range(5, 40)),
                (2, SUCCESS, 41),
            ]
            self.assertSpends(TokenWindow(base, 64), steps, f"from {base}")

    def test_threeQuarters(self) -> None:
        """
        A token above three quarters of the window shifts it so that the token lies
        exactly there; lower ones are lost.
        """
        for base in BASES:
            for offset in range(1, 64):
                shift = max(0, offset - 48)
                window = TokenWindow(base, 64)
                steps = [(offset, SUCCESS, shift), (offset, DUPLICATE, shift)]
                if shift:
                    steps += [(0, OUT_OF_WINDOW, shift), (shift - 1, OUT_OF_WINDOW, shift)]
                self.assertSpends(window, steps, f"from {base}")

    def test_spentAtThreeQuarters(self) -> None:
        """
        If the window shifts to where tokens are spent, it shifts past them.
        """
        for base in BASES:
            steps = [(1, SUCCESS, 0), (2, SUCCESS, 0), (4, SUCCESS, 0), (49, SUCCESS, 3)]
            steps += [(3, SUCCESS, 5), (4, OUT_OF_WINDOW, 5)]
            self.assertSpends(TokenWindow(base, 64), steps, f"from {base}")

    def test_highestUnspent(self) -> None:
        """
        The window never shifts past the highest unspent token, be that below what
        three quarters would call for.
        """
        for base in BASES:
            for size, tokens, shift in (
                # The base would be 1, which is spent as is all behind it.
                (4, (1, 2, 3), 0),
                (5, (1, 2, 3, 4), 0),
                (8, (1, 3, 2, 6, 5, 4, 7), 0),
                (6, (1, 2, 3, 4, 5), 0),
            ):
                window = TokenWindow(base, size)
                spent = spendAll(window, tokens)
                self.assertEqual(spent, [SUCCESS] * len(tokens), f"{size} from {base}")
                self.assertEqual((window.base - base) % TOKEN_MODULUS, shift)
                # The last one shifts it to its end.
                self.assertIs(window.spend(base), SUCCESS)
                self.assertEqual((window.base - base) % TOKEN_MODULUS, size, f"{size} from {base}")

    def test_highestUnspentInBetween(self) -> None:
        """
        That token may lie above the lowest one; only in a window that comes from
        elsewhere.
        """
        for base in BASES:
            window = TokenWindow(base, 64, spentTokens(base, range(11, 63)))
            steps = [(62, DUPLICATE, 0), (63, SUCCESS, 10), (9, OUT_OF_WINDOW, 10)]
            steps += [(63, DUPLICATE, 10), (10, SUCCESS, 64)]
            self.assertSpends(window, steps, f"from {base}")

    def test_allSpent(self) -> None:
        """
        A window none of whose tokens is left when one far up is spent shifts to its
        end; only a window that comes from elsewhere can be so.
        """
        for base in BASES:
            window = TokenWindow(base, 64, spentTokens(base, range(63)))
            self.assertSpends(window, [(62, DUPLICATE, 0), (63, SUCCESS, 64)], f"from {base}")

    def test_smallest(self) -> None:
        """
        A window of one token always shifts to the next one.
        """
        for base in BASES:
            steps: list[tuple[int, TokenOutcome, int]] = []
            for offset in range(20):
                steps += [(offset + 1, OUT_OF_WINDOW, offset), (offset, SUCCESS, offset + 1)]
                steps += [(offset, OUT_OF_WINDOW, offset + 1)]
            self.assertSpends(TokenWindow(base, 1), steps, f"from {base}")

    def test_small(self) -> None:
        """
        The second token of two, and the third of three, do not lie above three
        quarters.
        """
        for base in BASES:
            two = [(1, SUCCESS, 0), (1, DUPLICATE, 0), (2, OUT_OF_WINDOW, 0), (0, SUCCESS, 2)]
            three = [(2, SUCCESS, 0), (0, SUCCESS, 1), (3, SUCCESS, 1), (1, SUCCESS, 4)]
            self.assertSpends(TokenWindow(base, 2), two, f"two from {base}")
            self.assertSpends(TokenWindow(base, 3), three, f"three from {base}")

    def test_largest(self) -> None:
        """
        The largest window contains all tokens that are not less than its base.
        """
        for base in BASES:
            window = TokenWindow(base, MAX_TOKEN_WINDOW_SIZE)
            before = [(-offset % TOKEN_MODULUS, OUT_OF_WINDOW, 0) for offset in (1, HALF - 1)]
            beyond = [(MAX_TOKEN_WINDOW_SIZE + offset, OUT_OF_WINDOW, 0) for offset in range(3)]
            within = [(2, SUCCESS, 0), (0, SUCCESS, 1), (1, SUCCESS, 3), (5000, SUCCESS, 3)]
            self.assertSpends(window, [*before, *beyond, *within], f"from {base}")
            self.assertEqual(window.end, (base + 3 + MAX_TOKEN_WINDOW_SIZE) % TOKEN_MODULUS)

    def test_farAhead(self) -> None:
        """
        One token far up leaves behind as many as it must and no more, again and
        again.
        """
        for base in BASES:
            steps = [(64 + 15 * time - 1, SUCCESS, 15 * (time + 1)) for time in range(100)]
            self.assertSpends(TokenWindow(base, 64), steps, f"from {base}")

    def test_restored(self) -> None:
        """
        A window with the base, size and spent tokens of another one is the same,
        and none of them changes with the other.
        """
        for base in BASES:
            window = TokenWindow(base, 24)
            spendAll(window, (1, 5, 17, 9, 2, 20, 0))
            spent = window.spent
            restored = copyOf(window)
            for offset in range(-4, 30):
                token = (window.base + offset) % TOKEN_MODULUS
                self.assertIs(copyOf(window).spend(token), restored.spend(token), f"from {base}")
                restored = copyOf(window)
            restored.spend((window.base + 7) % TOKEN_MODULUS)
            self.assertEqual(window.spent, spent)
            self.assertIs(window.spend((window.base + 7) % TOKEN_MODULUS), SUCCESS)
            self.assertNotEqual(window.spent, spent)
            self.assertIs(type(spent), bytes)

    def test_failedSpends(self) -> None:
        """
        A token that cannot be spent changes nothing.
        """
        window = TokenWindow(TOKEN_MODULUS - 3, 16)
        spendAll(window, (1, 5, 9))
        before = (window.base, window.size, window.spent)
        spendAll(window, (1, 5, 9, 16, 17, 2**31, -1, -16))
        self.assertEqual((window.base, window.size, window.spent), before)


class PlainRulesTests(SynchronousTestCase):
    """
    The same as by the letter of the rules.
    """

    def assertSame(self, base: int, size: int, offsets: Sequence[int]) -> None:
        """
        Spend tokens, given by their distance from the base at that time; the window
        is stored and restored each time.
        """
        plain, window = PlainWindow(base, size), TokenWindow(base, size)
        for offset in offsets:
            token = (window.base + offset) % TOKEN_MODULUS
            window = copyOf(window)
            self.assertIs(window.spend(token), plain.spend(token), f"token {token}")
            self.assertEqual(window.base, plain.low % TOKEN_MODULUS)
            # An eighth of an octet for each token, and one for where the base lies.
            self.assertLessEqual(len(window.spent), (size + 7) // 8 + 1)
        for offset in range(-3, size + 3):
            number = plain.low + offset
            expected = OUT_OF_WINDOW
            if 0 <= offset < size:
                expected = DUPLICATE if number in plain.spent else SUCCESS
            self.assertIs(copyOf(window).spend(number % TOKEN_MODULUS), expected, f"at {offset}")

    @given(
        st.one_of(FOUR_OCTET_NUMBERS, st.sampled_from(BASES)),
        st.one_of(st.integers(1, 9), st.integers(1, 80)),
        st.data(),
    )
    def test_anyOrder(self, base: int, size: int, data: st.DataObject) -> None:
        """
        In whatever order tokens are spent.
        """
        offsets = st.one_of(st.integers(-2, size + 1), st.just(size - 1), st.just(0))
        self.assertSame(base, size, data.draw(st.lists(offsets, max_size=60)))

    def test_longWalks(self) -> None:
        """
        Over thousands of tokens, with windows of each small size.
        """
        chance = Random(0)
        for size in (*range(1, 20), 31, 32, 33, 64, 100):
            offsets = [chance.randrange(-1, size + 1) for _ in range(500)]
            self.assertSame(TOKEN_MODULUS - 500 + size, size, offsets)


class CostTests(SynchronousTestCase):
    """
    What windows cost.
    """

    def test_memory(self) -> None:
        """
        A window in use takes as many octets as there are eighths of tokens between
        its base and the highest one that is spent, and none for those behind.
        """
        window = TokenWindow(0, 65536)
        for offset, octets in ((3, 1), (8, 2), (4000, 501), (800, 501)):
            window.spend(offset)
            self.assertEqual(len(window.spent), octets, f"token {offset}")
        for token in range(3000):
            window.spend(token)
        self.assertEqual((window.base, len(window.spent)), (3000, 126))

    def test_memoryOfMany(self) -> None:
        """
        However long a window has been in use, it does not take more.
        """
        window = TokenWindow(5, 64)
        for token in range(5, 20000, 2):
            window.spend(token)
            self.assertLessEqual(len(window.spent), 9, f"token {token}")

    def test_work(self) -> None:
        """
        The work of many spends, divided among them, does not depend on the size of
        the window nor on the order.
        """
        chance = Random(0)
        size, count = 4096, 20000
        shuffled = [
            block + offset
            for block in range(0, count, 2000)
            for offset in chance.sample(range(2000), 2000)
        ]
        high = size * 3 // 4
        for case, tokens in {
            "in order": range(count),
            "every other one, then those in between": [
                block + offset
                for block in range(0, count, 1000)
                for offset in (*range(1, 1000, 2), *range(0, 1000, 2))
            ],
            "the lowest of a block last": [
                block + offset for block in range(0, count, high) for offset in range(high)[::-1]
            ],
            "shuffled": shuffled,
            "always far up": range(size - 1, count * 100, size // 4 - 1),
            "just above three quarters": range(high + 1, count),
        }.items():
            window = TokenWindow(0, size)
            octets = window._spent = CountedOctets()
            spent = sum(window.spend(token) is SUCCESS for token in tokens)
            self.assertEqual(spent, len(tokens), case)
            self.assertLessEqual(octets.looks, 5 * spent, case)
