"""
Tests of L{socks6.policy.stores.state}.
"""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from socks6.interfaces import SessionDemand, SessionUse
from socks6.machine.tokens import TokenWindow
from socks6.policy.stores.state import SessionState, endsSession
from socks6.values.codes import TokenOutcome
from tests.policy.stores.calls import ALL, RECORD, advertised

#: When sessions end if they are not used, and when if they are.
EXPIRES, RENEWED = 100.0, 200.0


class SessionStateTests(SynchronousTestCase):
    """
    What requests do to a session.
    """

    def session(self, size: int | None = 8) -> SessionState:
        """
        Make one; of its window, the second token is spent.
        """
        window = None
        if size is not None:
            window = TokenWindow(0, size)
            window.spend(1)
        return SessionState(RECORD, window, EXPIRES)

    def assertUse(
        self,
        session: SessionState,
        demand: SessionDemand,
        outcome: TokenOutcome | None,
        told: tuple[int, int] | None,
        now: tuple[int, int] | None,
    ) -> None:
        """
        Use a session.

        @param told: Base and size of the window that the client is told of.
        @param now: Those of the window that there is then.
        """
        use = session.use(demand, ALL, RENEWED)
        window = None if told is None else advertised(*told)
        self.assertEqual(use, SessionUse(RECORD, True, outcome, window), str(demand))
        there = session.window
        self.assertEqual(there and (there.base, there.size), now, str(demand))
        self.assertEqual(session.expires, RENEWED, str(demand))

    def test_withWindow(self) -> None:
        """
        A token is looked at first; a window is granted behind the end of the old
        one, unless the token cannot be spent.
        """
        for token, windowSize, outcome, told, now in (
            (None, None, None, None, (0, 8)),
            (None, 4, None, (8, 4), (8, 4)),
            (3, None, TokenOutcome.SUCCESS, None, (0, 8)),
            (0, None, TokenOutcome.SUCCESS, (2, 8), (2, 8)),
            (7, None, TokenOutcome.SUCCESS, (2, 8), (2, 8)),
            (3, 4, TokenOutcome.SUCCESS, (8, 4), (8, 4)),
            (0, 4, TokenOutcome.SUCCESS, (10, 4), (10, 4)),
            (1, None, TokenOutcome.DUPLICATE, None, (0, 8)),
            (1, 4, TokenOutcome.DUPLICATE, None, (0, 8)),
            (8, None, TokenOutcome.OUT_OF_WINDOW, (0, 8), (0, 8)),
            (8, 4, TokenOutcome.OUT_OF_WINDOW, (0, 8), (0, 8)),
        ):
            self.assertUse(self.session(), SessionDemand(token, windowSize), outcome, told, now)

    def test_withoutWindow(self) -> None:
        """
        Without a window there is no token to spend; the first one begins with
        token 0.
        """
        for token, windowSize, outcome, told, now in (
            (None, None, None, None, None),
            (0, None, TokenOutcome.NO_WINDOW, None, None),
            (0, 4, TokenOutcome.NO_WINDOW, None, None),
            (None, 4, None, (0, 4), (0, 4)),
        ):
            demand = SessionDemand(token, windowSize)
            self.assertUse(self.session(None), demand, outcome, told, now)

    def test_notAdmitted(self) -> None:
        """
        Where the session's trust is not enough, nothing is done.
        """
        trusts = [trust for trust in ALL if trust is not RECORD.trust]
        for demand in (SessionDemand(), SessionDemand(0, 4, True), SessionDemand(1)):
            for size in (8, None):
                session, untouched = self.session(size), self.session(size)
                use = session.use(demand, trusts, RENEWED)
                self.assertEqual(use, SessionUse(RECORD, admitted=False))
                self.assertEqual(session.expires, EXPIRES)
                if session.window is None or untouched.window is None:
                    self.assertIs(session.window, untouched.window)
                else:
                    self.assertEqual(session.window.advertisement, advertised(0, 8))
                    self.assertEqual(session.window.spent, untouched.window.spent)

    def test_ends(self) -> None:
        """
        A session ends with a request that wants it, is admitted, and has no token
        that cannot be spent.
        """
        outcomes = (None, *TokenOutcome)
        for teardown, admitted, outcome in product((False, True), (False, True), outcomes):
            demand = SessionDemand(teardown=teardown)
            use = SessionUse(RECORD, admitted, outcome)
            ends = teardown and admitted and outcome in (None, TokenOutcome.SUCCESS)
            self.assertIs(endsSession(demand, use), ends, f"{demand} {use}")
