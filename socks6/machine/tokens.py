"""
Windows of idempotence tokens, which lie on a circle of 2**32.
"""

from __future__ import annotations

from socks6.values.codes import TOKEN_MODULUS, TokenOutcome
from socks6.values.options import TokenWindowAdvertisement


def precedes(left: int, right: int) -> bool:
    """
    Tell whether a token is less than another one.

    @see: draft 06, "Idempotence options": x < y when 0 < (y - x) mod 2**32 < 2**31.
    """
    return 0 < (right - left) % TOKEN_MODULUS < TOKEN_MODULUS // 2


class TokenWindow:
    """
    The tokens that a session may spend, and those of them that it has spent.

    An untouched window takes no memory for its tokens; one that is in use, at
    most an eighth of an octet each.

    @ivar base: The lowest token, 0 to 2**32 - 1.
    @ivar size: How many tokens there are from C{base} on, 1 to 2**31 - 1.
    """

    __slots__ = ("_spent", "base", "size")

    def __init__(self, base: int, size: int, spent: bytes = b"") -> None:
        """
        @param spent: What L{spent} gave for a window with this base.
        """
        self.base = base
        self.size = size
        #: A bit for each token, from that of C{base} on, up to the highest one
        #: that has been spent.  The tokens whose numbers agree but for the three
        #: low bits share an octet, so that the octets stay where they are in it
        #: when the window shifts.
        self._spent = bytearray(spent)

    @property
    def spent(self) -> bytes:
        """
        The tokens that have been spent, one bit each, for storage.
        """
        return bytes(self._spent)

    @property
    def end(self) -> int:
        """
        The first token behind the window.
        """
        return (self.base + self.size) % TOKEN_MODULUS

    @property
    def advertisement(self) -> TokenWindowAdvertisement:
        """
        What tells a client of this window.
        """
        return TokenWindowAdvertisement(self.base, self.size)

    def spend(self, token: int) -> TokenOutcome:
        """
        Spend a token, and shift the window if that is due.

        It is due when the lowest tokens are spent, and when this token lies above
        three quarters of the window: then it comes to lie exactly there.  The
        window never shifts past the highest unspent token.

        The time that this takes is constant, if that of all spends is divided
        evenly among them.

        @see: draft 06, "Spending a token"; "Shifting windows".
        """
        offset = (token - self.base) % TOKEN_MODULUS
        if offset >= self.size:
            return TokenOutcome.OUT_OF_WINDOW
        spent = self._spent
        position = (self.base & 7) + offset
        index, bit = position >> 3, 1 << (position & 7)
        if index >= len(spent):
            spent.extend(bytes(index + 1 - len(spent)))
        elif spent[index] & bit:
            return TokenOutcome.DUPLICATE
        spent[index] |= bit
        excess = offset - self.size * 3 // 4
        if excess > 0:
            self._shift(self._bestFrom(excess))
        elif offset == 0:
            self._shift(self._firstUnspent(0))
        return TokenOutcome.SUCCESS

    def _bestFrom(self, offset: int) -> int:
        """
        Find out how far the window may shift if it should by some tokens or more.

        @return: Where the first unspent token is from there on; failing that, the
            last one before.
        """
        best = self._firstUnspent(offset)
        if best < self.size:
            return best
        last = self._lastUnspent(offset)
        return best if last is None else last

    def _firstUnspent(self, offset: int) -> int:
        """
        Find the first unspent token from an offset on.

        @return: Its offset; C{size} if all are spent.
        """
        spent = self._spent
        position = (self.base & 7) + offset
        index, skipped = position >> 3, position & 7
        while index < len(spent):
            octet = spent[index] >> skipped
            # The number of ones at its low end.
            skipped += (~octet & (octet + 1)).bit_length() - 1
            if skipped < 8:
                break
            index, skipped = index + 1, 0
        return (index << 3) + skipped - (self.base & 7)

    def _lastUnspent(self, offset: int) -> int | None:
        """
        Find the last unspent token before an offset.

        @return: Its offset; L{None} if all are spent.
        """
        spent, first = self._spent, self.base & 7
        for position in range(first + offset - 1, first - 1, -1):
            if not spent[position >> 3] >> (position & 7) & 1:
                return position - first
        return None

    def _shift(self, distance: int) -> None:
        """
        Move the base.
        """
        del self._spent[: ((self.base & 7) + distance) >> 3]
        self.base = (self.base + distance) % TOKEN_MODULUS


class TokenSupply:
    """
    The tokens that a client may still spend: the smallest first, and none twice.
    """

    __slots__ = ("_begun", "_next", "_window")

    def __init__(self) -> None:
        """
        Begin without a window.
        """
        self._window: TokenWindowAdvertisement | None = None
        #: Whether there has been a window, and a token that has not been taken, nor
        #: has any behind it.
        self._begun = False
        self._next = 0

    @property
    def size(self) -> int:
        """
        The size of the window; 0 if there is none.
        """
        return 0 if self._window is None else self._window.size

    @property
    def left(self) -> int:
        """
        How many tokens there are to take.
        """
        if self._window is None:
            return 0
        return max(0, self._window.size - self._offset(self._window))

    def take(self) -> int | None:
        """
        Take a token.

        @return: L{None}: there is none.
        """
        if not self.left:
            return None
        token = self._next
        self._next = (token + 1) % TOKEN_MODULUS
        return token

    def learn(self, window: TokenWindowAdvertisement, asked: bool) -> None:
        """
        Learn of a window.

        A base that is less than the known one is old news, as answers may overtake
        one another; unless we have asked for a fresh window, which may begin
        anywhere.

        @param asked: Whether we have.
        @see: draft 06, "Shifting windows".
        """
        known = self._window
        if known is not None and not asked and precedes(window.base, known.base):
            return
        self._window = window
        # What we have asked for may have been declined, and this be the old window
        # after all, which we may even have been told was lost: then its tokens must
        # not be taken once more.
        if not self._begun or self._offset(window) > window.size:
            self._begun, self._next = True, window.base

    def lose(self) -> None:
        """
        Learn that there is no window.
        """
        self._window = None

    def _offset(self, window: TokenWindowAdvertisement) -> int:
        """
        Tell how far behind a window's base the next token is.
        """
        return (self._next - window.base) % TOKEN_MODULUS
