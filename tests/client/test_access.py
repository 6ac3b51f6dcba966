"""
Tests for the way to a proxy without a session, and for what passages promise.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.access import Access, Passage, Remedy, SessionPassage, authenticationData
from socks6.values.codes import TokenOutcome
from socks6.values.options import (
    NO_OPTIONS,
    OptionList,
    SessionID,
    SessionInvalid,
    SessionOK,
    TokenExpenditureReply,
    UsernamePassword,
)
from tests.client.sessions import ADA, ID, SessionTestCase, naming, opened, opening, window

#: All that a proxy could say.
EVERYTHING = OptionList(
    [SessionID(ID), SessionInvalid(), TokenExpenditureReply(TokenOutcome.NO_WINDOW), window(0)]
)


def authenticated(passage: Passage, outcome: TokenOutcome) -> Remedy | None:
    """
    Tell a passage what became of its token.
    """
    return passage.authenticated(OptionList([SessionOK(), TokenExpenditureReply(outcome)]))


class AccessTests(SynchronousTestCase):
    """
    L{Access} and its passages.
    """

    def setUp(self) -> None:
        """
        Have a way to a proxy.
        """
        self.endpoint = TCP4ClientEndpoint(MemoryReactorClock(), "127.0.0.1", 1080)
        self.access = Access(self.endpoint, [ADA])

    def test_enter(self) -> None:
        """
        Requests go out at once, each with the same options.
        """
        self.assertIs(self.access.proxyEndpoint, self.endpoint)
        passages = [self.successResultOf(self.access.enter()) for _ in range(2)]
        for passage in passages:
            self.assertEqual(passage.options, OptionList([ADA]))
            self.assertFalse(passage.mayNeedRemedy)
        self.assertIsNot(*passages)

    def test_passage(self) -> None:
        """
        Whatever a proxy says to such a request, there is no remedy, and nobody hears
        of it.
        """
        passage = self.successResultOf(self.access.enter())
        self.assertIsNone(passage.authenticated(EVERYTHING))
        self.assertIsNone(passage.refused(EVERYTHING))
        passage.replied(EVERYTHING)
        passage.abandoned()
        self.assertEqual(self.successResultOf(self.access.enter()).options, OptionList([ADA]))

    def test_nothing(self) -> None:
        """
        A passage need not say anything.
        """
        self.assertEqual(Passage().options, NO_OPTIONS)


class AuthenticationDataTests(SynchronousTestCase):
    """
    L{authenticationData}
    """

    def test_none(self) -> None:
        """
        Who has no name says nothing.
        """
        self.assertEqual(authenticationData(None, None), ())

    def test_encoding(self) -> None:
        """
        Text is written in UTF-8, octets as they are.
        """
        expected = (UsernamePassword(b"j\xc3\xbcrgen", b"gr\xc3\xbcn"),)
        self.assertEqual(authenticationData("j\u00fcrgen", "gr\u00fcn"), expected)
        self.assertEqual(authenticationData(b"j\xc3\xbcrgen", b"gr\xc3\xbcn"), expected)

    def test_impossible(self) -> None:
        """
        Name and password go together, and have 1 to 255 octets.
        """
        for username, password in [
            ("ada", None),
            (None, "s3cret"),
            ("", "s3cret"),
            ("ada", ""),
            ("\u00fc" * 128, "s3cret"),
            ("ada", "s3cret" * 50),
        ]:
            error = self.assertRaises(ValueError, authenticationData, username, password)
            self.assertNotIn("s3cret", str(error))


class SessionPassageTests(SessionTestCase):
    """
    L{SessionPassage}: what each reply means for the request.
    """

    def make(self) -> SessionPassage:
        """
        Make one of an open session.
        """
        self.open()
        passage = self.enter()
        self.assertEqual(list(passage.options), naming(0))
        return passage

    def enter(self) -> SessionPassage:
        """
        Let a request go out.
        """
        passage = self.successResultOf(self.session.enter())
        assert isinstance(passage, SessionPassage)
        return passage

    def test_remedies(self) -> None:
        """
        Each refusal has its remedy, or none.
        """
        self.assertIs(self.make().refused(OptionList([SessionInvalid()])), Remedy.NEW_SESSION)
        self.assertFalse(self.session.isOpen)
        self.assertIs(self.make().refused(NO_OPTIONS), Remedy.CREDENTIALS)
        self.assertTrue(self.session.isOpen)
        for outcome, remedy in [
            (TokenOutcome.SUCCESS, None),
            (TokenOutcome.NO_WINDOW, Remedy.NEW_TOKEN),
            (TokenOutcome.OUT_OF_WINDOW, Remedy.NEW_TOKEN),
            (TokenOutcome.DUPLICATE, None),
        ]:
            self.setUp()
            self.assertIs(authenticated(self.make(), outcome), remedy, outcome.name)
        self.setUp()
        self.assertIsNone(self.make().authenticated(NO_OPTIONS))

    def test_mayNeedRemedy(self) -> None:
        """
        A request that names no session never needs one.
        """
        opener = self.successResultOf(self.session.enter())
        self.assertFalse(opener.mayNeedRemedy)
        self.assertIsNone(opener.refused(OptionList([SessionInvalid()])))
        self.assertTrue(self.make().mayNeedRemedy)

    def test_once(self) -> None:
        """
        It is over once; what is called after that changes nothing.
        """
        opener = self.successResultOf(self.session.enter())
        waiting = self.session.enter()
        opener.abandoned()
        self.assertEqual(list(self.successResultOf(waiting).options), opening())
        later = self.session.enter()
        opener.abandoned()
        opener.replied(NO_OPTIONS)
        self.assertIsNone(opener.refused(NO_OPTIONS))
        self.assertNoResult(later)

    def test_inVain(self) -> None:
        """
        Those who have waited for one that comes to nothing go on at once, whatever
        becomes of it; the first of them takes its part.
        """
        ends: list[Callable[[Passage], object]] = [
            lambda passage: passage.abandoned(),
            lambda passage: passage.refused(NO_OPTIONS),
        ]
        for end in ends:
            self.renew()
            opener = self.successResultOf(self.session.enter())
            waiting = [self.session.enter() for _ in range(3)]
            end(opener)
            said = [list(self.successResultOf(each).options) for each in waiting]
            self.assertEqual(said, [opening(), [ADA], [ADA]])

    def test_notInVain(self) -> None:
        """
        Where there is a remedy, those who have waited wait for the next opener.
        """
        self.open(opened(1))
        asking = self.successResultOf(self.session.enter())
        first, second = (self.session.enter() for _ in range(2))
        self.assertNoResult(first)
        self.assertIs(asking.refused(OptionList([SessionInvalid()])), Remedy.NEW_SESSION)
        self.assertEqual(list(self.successResultOf(first).options), opening(128))
        self.assertNoResult(second)

    def test_isAdmitted(self) -> None:
        """
        Whether the proxy has let a request in is known from its Authentication Reply
        on, whatever comes then.
        """
        self.open()
        refused, lost, admitted = (self.enter() for _ in range(3))
        self.assertFalse(admitted.isAdmitted)
        admitted.authenticated(NO_OPTIONS)
        self.assertTrue(admitted.isAdmitted)
        admitted.abandoned()
        self.assertTrue(admitted.isAdmitted)
        refused.refused(NO_OPTIONS)
        lost.abandoned()
        self.assertFalse(refused.isAdmitted or lost.isAdmitted)
