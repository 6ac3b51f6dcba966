"""
Tests of L{TokenSupply}, the client's side of L{socks6.machine.tokens}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.tokens import TokenSupply, TokenWindow
from socks6.values.codes import TOKEN_MODULUS, TokenOutcome
from socks6.values.options import TokenWindowAdvertisement
from tests.strategies import FOUR_OCTET_NUMBERS

#: Where a window may begin so that it is cut by the end of the circle, or not.
BASES = (0, 1, 1000, 2**31 - 3, 2**31, TOKEN_MODULUS - 3, TOKEN_MODULUS - 1)

#: What can happen between a client and a proxy.
STEPS = ("take", "ask", "arrive", "hear", "lose")


def told(base: int, size: int) -> TokenWindowAdvertisement:
    """
    Make the news of a window that begins anywhere on the circle.
    """
    return TokenWindowAdvertisement(base % TOKEN_MODULUS, size)


def taken(supply: TokenSupply) -> list[int]:
    """
    Take all tokens that there are.
    """
    tokens = []
    while (token := supply.take()) is not None:
        tokens.append(token)
    return tokens


class WindowTests(SynchronousTestCase):
    """
    One window, and what is told of it.
    """

    def setUp(self) -> None:
        """
        Begin without a window.
        """
        self.supply = TokenSupply()

    def test_none(self) -> None:
        """
        Without a window there are no tokens.
        """
        self.assertEqual((self.supply.size, self.supply.left), (0, 0))
        self.assertIsNone(self.supply.take())

    def test_order(self) -> None:
        """
        The smallest token comes first, each comes once, and they end with the
        window, wherever on the circle that is.
        """
        for base in BASES:
            for size in (1, 2, 5):
                supply = TokenSupply()
                supply.learn(told(base, size), True)
                self.assertEqual(supply.size, size)
                for offset in range(size):
                    self.assertEqual(supply.left, size - offset, f"{base}, {offset}")
                    self.assertEqual(supply.take(), (base + offset) % TOKEN_MODULUS)
                self.assertEqual((supply.left, supply.take()), (0, None), base)
                self.assertEqual(supply.size, size)

    def test_largest(self) -> None:
        """
        A window may take up half of the circle.
        """
        size = TOKEN_MODULUS // 2 - 1
        self.supply.learn(told(TOKEN_MODULUS - 1, size), True)
        self.assertEqual((self.supply.left, self.supply.size), (size, size))
        self.assertEqual([self.supply.take() for _ in range(3)], [TOKEN_MODULUS - 1, 0, 1])

    def test_shift(self) -> None:
        """
        When the window shifts, there are so many more tokens, and those that have
        been taken stay taken.
        """
        for base in BASES:
            supply = TokenSupply()
            supply.learn(told(base, 4), True)
            supply.take()
            supply.take()
            supply.learn(told(base + 2, 4), False)
            self.assertEqual(supply.left, 4, base)
            self.assertEqual(taken(supply), [(base + each) % TOKEN_MODULUS for each in range(2, 6)])

    def test_shiftPast(self) -> None:
        """
        A window that shifts past tokens which have not been taken has them no more.
        """
        self.supply.learn(told(0, 4), True)
        self.supply.take()
        self.supply.learn(told(3, 4), False)
        self.assertEqual(taken(self.supply), [3, 4, 5, 6])

    def test_allTaken(self) -> None:
        """
        A window whose tokens have all been taken has none left; it does not begin
        anew when it is told of once more.
        """
        self.supply.learn(told(0, 2), True)
        self.assertEqual(taken(self.supply), [0, 1])
        for asked in (False, True):
            self.supply.learn(told(0, 2), asked)
            self.assertEqual((self.supply.left, self.supply.take()), (0, None))

    def test_oldNews(self) -> None:
        """
        A base that is less, on the circle, than the known one is old news: nothing
        changes.
        """
        for base in BASES:
            for before in (1, 3, 2**31 - 1):
                supply = TokenSupply()
                supply.learn(told(base, 4), True)
                supply.take()
                supply.learn(told(base - before, 9), False)
                self.assertEqual((supply.size, supply.left), (4, 3), f"{base}, {before}")
                self.assertEqual(supply.take(), (base + 1) % TOKEN_MODULUS)

    def test_sameBase(self) -> None:
        """
        News of the same base are no old news: the window may have become larger.
        """
        self.supply.learn(told(5, 2), True)
        self.supply.take()
        self.supply.learn(told(5, 3), False)
        self.assertEqual(taken(self.supply), [6, 7])


class FreshWindowTests(SynchronousTestCase):
    """
    A window after another one.
    """

    def setUp(self) -> None:
        """
        Have taken half of a window.
        """
        self.supply = TokenSupply()
        self.supply.learn(told(100, 4), True)
        self.supply.take()
        self.supply.take()

    def test_behind(self) -> None:
        """
        A fresh window behind the old one: what was left of that is never taken.
        """
        self.supply.learn(told(104, 8), True)
        self.assertEqual(taken(self.supply), list(range(104, 112)))

    def test_anywhere(self) -> None:
        """
        A fresh window may begin anywhere, also where a shifted one could not.
        """
        self.supply.learn(told(10, 3), True)
        self.assertEqual(taken(self.supply), [10, 11, 12])

    def test_overtaken(self) -> None:
        """
        If another answer has told of the fresh window before, its tokens are not
        taken once more when the answer to our question comes.
        """
        self.supply.learn(told(104, 8), False)
        self.assertEqual(self.supply.take(), 104)
        self.supply.learn(told(104, 8), True)
        self.assertEqual(self.supply.take(), 105)

    def test_oldNewsOfTheOldWindow(self) -> None:
        """
        What is told late of the old window changes nothing.
        """
        self.supply.learn(told(104, 8), True)
        self.supply.take()
        for base in (100, 101, 102):
            self.supply.learn(told(base, 4), False)
            self.assertEqual((self.supply.size, self.supply.left), (8, 7))
        self.assertEqual(self.supply.take(), 105)

    def test_declined(self) -> None:
        """
        If no fresh window was granted and we are told of the old one, its tokens are
        not taken once more.
        """
        self.supply.learn(told(100, 4), True)
        self.assertEqual(taken(self.supply), [102, 103])

    def test_declinedAndOvertaken(self) -> None:
        """
        Not even if that has shifted in the meantime.
        """
        self.supply.learn(told(102, 4), False)
        self.assertEqual(self.supply.take(), 102)
        self.supply.learn(told(101, 4), True)
        self.assertEqual(taken(self.supply), [103, 104])

    def test_lost(self) -> None:
        """
        If there is no window any more, there are no tokens until there is another
        one.
        """
        self.supply.lose()
        self.assertEqual((self.supply.size, self.supply.left), (0, 0))
        self.assertIsNone(self.supply.take())
        self.supply.learn(told(900, 2), True)
        self.assertEqual(taken(self.supply), [900, 901])

    def test_lostAndFound(self) -> None:
        """
        Old news of a window that was said to be lost, or the same one again, do not
        bring back tokens that have been taken.
        """
        for asked in (False, True):
            self.setUp()
            self.supply.lose()
            self.supply.learn(told(100, 4), asked)
            self.assertEqual(taken(self.supply), [102, 103])


class ConversationTests(SynchronousTestCase):
    """
    With a proxy, and answers that come in any order.
    """

    @given(
        base=st.sampled_from(BASES) | FOUR_OCTET_NUMBERS,
        size=st.integers(1, 9),
        steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7))),
    )
    def test_neverTwice(self, base: int, size: int, steps: list[tuple[str, int]]) -> None:
        """
        Whatever overtakes what, and whether fresh windows are granted or not, no
        token is taken twice; and one that is in the window when it arrives has not
        been spent.
        """
        supply, window = TokenSupply(), TokenWindow(base, size)
        supply.learn(window.advertisement, True)
        seen: set[int] = set()
        # Requests on their way: the token, and whether a window is asked for; and
        # answers: a window, and whether we have asked.
        requests: list[tuple[int, bool]] = []
        answers: list[tuple[TokenWindowAdvertisement, bool]] = []
        asking = False
        for step, which in steps:
            if step in ("take", "ask") and supply.left:
                token = supply.take()
                assert token is not None
                self.assertNotIn(token, seen)
                seen.add(token)
                requests.append((token, step == "ask" and not asking))
                asking = asking or step == "ask"
            elif step == "arrive" and requests:
                token, asks = requests.pop(which % len(requests))
                outcome = window.spend(token)
                self.assertIsNot(outcome, TokenOutcome.DUPLICATE)
                # An odd number: the proxy grants nothing.
                if outcome is TokenOutcome.SUCCESS and asks and not which % 2:
                    window = TokenWindow(window.end, size + which)
                answers.append((window.advertisement, asks))
            elif step == "hear" and answers:
                news, asked = answers.pop(which % len(answers))
                supply.learn(news, asked)
                asking = asking and not asked
            elif step == "lose" and answers:
                _, asked = answers.pop(which % len(answers))
                asking = asking and not asked
