"""
Tests of L{socks6.server.admission}: what is done with tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from socks6.interfaces import SessionTrust
from socks6.policy.sessions import DEFAULT_TIMEOUT
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.values.codes import ReplyCode
from tests.server.harness import (
    ADA,
    CONNECTED,
    DEMAND,
    DONE,
    EVE,
    REFUSED,
    RIGHT,
    WELCOME,
    WRONG,
    failure,
    methods,
    request,
)
from tests.server.sessions import (
    ID,
    OPENED,
    SESSION_OK,
    SESSION_REQUEST,
    TEARDOWN,
    SessionTestCase,
    admitted,
    expenditure,
    noop,
    outcome,
    sessionID,
    tokenRequest,
    unknown,
    window,
)
from tests.server.test_negotiation import ADA_DATA, EVE_DATA, Conversation

#: Outside of a session the options are ignored.
OUTSIDE = (
    Conversation("a token", request(expenditure(0)) + b"GET", WELCOME, b"GET"),
    Conversation("a token, NOOP", noop(expenditure(0)), WELCOME + DONE),
    Conversation("a token, unknown command", unknown(expenditure(0)), WELCOME + failure(7)),
    Conversation("tokens are asked for", noop(tokenRequest(5)), WELCOME + DONE),
    Conversation("both", request(expenditure(0) + tokenRequest(5)), WELCOME, b""),
)

#: Requests that open a session, and what they hear of tokens.
OPENING = (
    Conversation(
        "tokens", noop(SESSION_REQUEST + tokenRequest(5)), admitted(ID, window(0, 5)) + DONE
    ),
    Conversation(
        "tokens first", noop(tokenRequest(1) + SESSION_REQUEST), admitted(ID, window(0, 1)) + DONE
    ),
    Conversation(
        "CONNECT", request(SESSION_REQUEST + tokenRequest(5)), admitted(ID, window(0, 5)), b""
    ),
    Conversation(
        "an unknown command",
        unknown(SESSION_REQUEST + tokenRequest(5)),
        admitted(ID, window(0, 5)) + failure(7),
    ),
    Conversation(
        "of two wishes the first",
        noop(SESSION_REQUEST + tokenRequest(5) + tokenRequest(6)),
        admitted(ID, window(0, 5)) + DONE,
    ),
    Conversation(
        "as many as there may be",
        noop(SESSION_REQUEST + tokenRequest(65536)),
        admitted(ID, window(0, 65536)) + DONE,
    ),
    Conversation(
        "more than there may be",
        noop(SESSION_REQUEST + tokenRequest(65537)),
        admitted(ID, window(0, 65536)) + DONE,
    ),
    Conversation(
        "as many as can be",
        noop(SESSION_REQUEST + tokenRequest(2**31 - 1)),
        admitted(ID, window(0, 65536)) + DONE,
    ),
    # As if absent.
    Conversation("more", noop(SESSION_REQUEST + tokenRequest(2**31)), OPENED + DONE),
    Conversation("none", noop(SESSION_REQUEST + tokenRequest(0)), OPENED + DONE),
    Conversation(
        "a broken wish before the right one",
        noop(SESSION_REQUEST + bytes.fromhex("05 0007 01 000009") + tokenRequest(5)),
        admitted(ID, window(0, 5)) + DONE,
    ),
    # There is no window yet.
    Conversation(
        "a token",
        request(SESSION_REQUEST + expenditure(0)),
        admitted(ID, outcome(2)) + failure(1),
    ),
    Conversation(
        "a token, and others are asked for",
        request(SESSION_REQUEST + tokenRequest(5) + expenditure(0)),
        admitted(ID, outcome(2)) + failure(1),
    ),
    Conversation(
        "a broken token is as if absent",
        noop(SESSION_REQUEST + bytes.fromhex("05 0009 03 0000000000")),
        OPENED + DONE,
    ),
)


class WindowTests(SessionTestCase):
    """
    Token Request.
    """

    def test_outside(self) -> None:
        """
        Outside of a session there are no tokens.
        """
        factory = self.proxy()
        for case in OUTSIDE:
            for size in (1, 20000):
                self.converse(factory, case, size=size)

    def test_opening(self) -> None:
        """
        A request that opens a session may ask for its first window.
        """
        factory = self.proxy()
        for case in OPENING:
            for size in (1, 20000):
                self.assertAlive(factory, self.converse(factory, case, size=size), case.name)

    def test_inExchange(self) -> None:
        """
        The second Authentication Reply has what is to be said of tokens, where there
        are two.
        """
        factory = self.strictProxy()
        for options, expected in (
            (tokenRequest(5), admitted(ID, window(0, 5), method=2) + DONE),
            (expenditure(0), admitted(ID, outcome(2), method=2) + failure(1)),
        ):
            case = Conversation(
                "exchange",
                noop(SESSION_REQUEST + methods() + options) + ADA,
                DEMAND + RIGHT + expected,
            )
            for size in (1, 20000):
                self.converse(factory, case, size=size)

    def test_notWithIneligible(self) -> None:
        """
        Who spends a token that is none gets no window either.
        """
        factory = self.proxy()
        opening = Conversation(
            "opening",
            noop(SESSION_REQUEST + tokenRequest(5) + expenditure(0)),
            admitted(ID, outcome(2)) + failure(1),
        )
        identifier = self.converse(factory, opening)
        for options in (expenditure(0), expenditure(0) + tokenRequest(5)):
            case = Conversation(
                "no window", request(ID + options), admitted(SESSION_OK, outcome(2)) + failure(1)
            )
            for size in (1, 20000):
                self.converse(factory, case, identifier, size)

    def test_limit(self) -> None:
        """
        How large a window may be is the operator's choice.
        """
        factory = self.proxy(maxTokenWindow=3)
        opening = Conversation(
            "opening",
            noop(SESSION_REQUEST + tokenRequest(5)),
            admitted(ID, window(0, 3)) + DONE,
        )
        again = Conversation(
            "again", noop(ID + tokenRequest(4)), admitted(SESSION_OK, window(3, 3)) + DONE
        )
        self.converse(factory, again, self.converse(factory, opening))


@dataclass(frozen=True)
class Spend:
    """
    A CONNECT request in a session.

    @ivar options: What it has besides the ID.
    @ivar heard: What is said in the Authentication Reply besides Session OK.
    @ivar served: Whether the remote host is connected.
    """

    options: bytes
    heard: bytes
    served: bool = True


#: What happens one after the other in a session with eight tokens.
STORY = (
    Spend(b"", b""),
    # The lowest tokens are spent: the window shifts, and the client is told.
    Spend(expenditure(0), outcome(1) + window(1, 8)),
    Spend(expenditure(2), outcome(1)),
    Spend(expenditure(1), outcome(1) + window(3, 8)),
    # Below the window, above it, and far away.
    Spend(expenditure(2), outcome(3) + window(3, 8), served=False),
    Spend(expenditure(11), outcome(3) + window(3, 8), served=False),
    Spend(expenditure(2**32 - 1), outcome(3) + window(3, 8), served=False),
    Spend(expenditure(2**31), outcome(3) + window(3, 8), served=False),
    Spend(expenditure(5), outcome(1)),
    Spend(expenditure(5), outcome(4), served=False),
    # The first of two counts.
    Spend(expenditure(6) + expenditure(7), outcome(1)),
    Spend(expenditure(6) + expenditure(7), outcome(4), served=False),
    Spend(expenditure(7), outcome(1)),
    # Above three quarters.
    Spend(expenditure(10), outcome(1) + window(4, 8)),
    Spend(expenditure(3), outcome(3) + window(4, 8), served=False),
    # What is broken or no client's to say is as if absent.
    Spend(bytes.fromhex("05 0007 03 000004"), b""),
    Spend(window(4, 8) + outcome(1), b""),
    Spend(tokenRequest(0), b""),
    Spend(tokenRequest(2**31), b""),
    # A fresh window begins right behind the old one.
    Spend(tokenRequest(3), window(12, 3)),
    Spend(expenditure(4), outcome(3) + window(12, 3), served=False),
    Spend(expenditure(13), outcome(1)),
    # The expenditure is looked at first, "against the window as it was".
    Spend(tokenRequest(8) + expenditure(15), outcome(3) + window(12, 3), served=False),
    Spend(tokenRequest(8) + expenditure(13), outcome(4), served=False),
    Spend(tokenRequest(8) + expenditure(14), outcome(1) + window(15, 8)),
    Spend(expenditure(12) + tokenRequest(4), outcome(3) + window(15, 8), served=False),
    Spend(expenditure(15) + tokenRequest(4), outcome(1) + window(24, 4)),
    # No teardown for a token that is none.
    Spend(TEARDOWN + expenditure(23), outcome(3) + window(24, 4), served=False),
    Spend(expenditure(25), outcome(1)),
    Spend(TEARDOWN + expenditure(25), outcome(4), served=False),
    # What else the request has makes no difference.
    Spend(expenditure(25) + SESSION_REQUEST + ADA_DATA, outcome(4), served=False),
    Spend(expenditure(24) + SESSION_REQUEST + ADA_DATA, outcome(1) + window(26, 4)),
    Spend(TEARDOWN + tokenRequest(8) + expenditure(26), outcome(1) + window(31, 8)),
)


class SpendingTests(SessionTestCase):
    """
    Token Expenditure.
    """

    def play(
        self, factory: SOCKS6ServerFactory, step: Spend, identifier: bytes, size: int, name: str
    ) -> None:
        """
        Play one step of a story.
        """
        heard = admitted(SESSION_OK, step.heard)
        case = Conversation(
            name,
            request(ID + step.options) + b"GET",
            heard if step.served else heard + failure(1),
            b"GET" if step.served else None,
        )
        self.converse(factory, case, identifier, size)

    def test_story(self) -> None:
        """
        Each token is honoured once.  For a request whose token is not, nothing is
        done, and no connection made.
        """
        factory = self.proxy()
        for size in (1, 20000):
            identifier = self.open(factory, tokenRequest(8))
            for number, step in enumerate(STORY):
                self.play(factory, step, identifier, size, f"step {number}, {size} at a time")
            self.assertGone(factory, identifier)

    def test_order(self) -> None:
        """
        In which order ID and token stand does not matter.
        """
        factory = self.proxy()
        identifier = self.open(factory, tokenRequest(8))
        case = Conversation(
            "token first", noop(expenditure(3) + ID), admitted(SESSION_OK, outcome(1)) + DONE
        )
        self.converse(factory, case, identifier)

    def test_windowDoesNotExpire(self) -> None:
        """
        The window is the session's for as long as that lives.
        """
        factory = self.proxy()
        identifier = self.open(factory, tokenRequest(8))
        for token in range(1, 5):
            self.network.elapse(DEFAULT_TIMEOUT - 1)
            self.play(
                factory, Spend(expenditure(token), outcome(1)), identifier, 1, f"token {token}"
            )
        self.network.elapse(DEFAULT_TIMEOUT)
        self.assertGone(factory, identifier)

    def test_windowsAreApart(self) -> None:
        """
        Two sessions of one user do not share a window: two programs with the same
        password cannot spend each other's tokens, nor take a window away.
        """
        factory = self.strictProxy()
        sessions = [self.open(factory, ADA_DATA + tokenRequest(4)) for _ in range(2)]
        for turn in range(20):
            for identifier in sessions:
                heard = outcome(1) + window(turn + 1, 4)
                self.play(factory, Spend(expenditure(turn), heard), identifier, 20000, str(turn))
        self.play(factory, Spend(tokenRequest(6), window(24, 6)), sessions[0], 20000, "fresh")
        heard = outcome(1) + window(21, 4)
        self.play(factory, Spend(expenditure(20), heard), sessions[1], 20000, "the other")

    def test_whateverHappens(self) -> None:
        """
        The token is spent whatever becomes of the request.
        """
        factory = self.proxy()

        def connect(options: bytes) -> bytes:
            return self.hear(factory, request(options, address=bytes.fromhex("0000 01 cb007101")))

        def refused(options: bytes) -> bytes:
            client = self.network.accept(factory)
            client.send(request(options))
            self.outbound.attempts[-1].refuse(ReplyCode.CONNECTION_REFUSED)
            self.leave(client)
            return client.received

        def lost(options: bytes) -> bytes:
            client = self.network.accept(factory)
            client.send(request(options))
            client.reset()
            self.assertTrue(self.outbound.attempts[-1].cancelled)
            return client.received

        def broken(options: bytes) -> bytes:
            client = self.network.accept(factory)
            client.send(request(options))
            self.outbound.attempts[-1].fail(ZeroDivisionError())
            self.leave(client)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            return client.received

        for ask, result in (
            (lambda options: self.hear(factory, noop(options)), DONE),
            (lambda options: self.hear(factory, unknown(options)), failure(7)),
            (connect, failure(1)),
            (refused, failure(5)),
            (lost, b""),
            (broken, failure(1)),
        ):
            name = result.hex()
            identifier = self.open(factory, tokenRequest(8))
            options = sessionID(identifier) + expenditure(3)
            spent = admitted(SESSION_OK, outcome(1)) + result
            self.assertEqual(ask(options).hex(), spent.hex(), name)
            for sent in (noop(options), request(options), unknown(options)):
                heard = self.hear(factory, sent, name)
                self.assertEqual(heard, admitted(SESSION_OK, outcome(4)) + failure(1), name)

    def test_atOnce(self) -> None:
        """
        Of requests that come at the same time with the same token, one is served.
        """
        factory = self.proxy()
        named = sessionID(self.open(factory, tokenRequest(8)))
        clients = [self.network.accept(factory) for _ in range(5)]
        for client in clients:
            client.send(request(named + expenditure(3))[:-1])
        for client in clients:
            client.send(b"\3")
        self.attempt.succeed()
        self.assertEqual(clients[0].received, admitted(SESSION_OK, outcome(1)) + CONNECTED)
        for client in clients[1:]:
            self.assertEqual(client.received, admitted(SESSION_OK, outcome(4)) + failure(1))

    def test_untrusted(self) -> None:
        """
        In an untrusted session only who has shown that it is his spends tokens or
        gets a window.
        """
        factory = self.strictProxy(trust=SessionTrust.NOWHERE)
        identifier = self.open(factory, ADA_DATA + tokenRequest(8))
        spent = admitted(SESSION_OK, outcome(1), method=2)
        both = admitted(SESSION_OK, outcome(1), window(8, 5), method=2)
        for case in (
            Conversation("none", request(ID + expenditure(3)), REFUSED),
            Conversation("eve's data", request(ID + expenditure(3) + EVE_DATA), REFUSED),
            Conversation(
                "eve's exchange",
                request(ID + expenditure(3) + methods()) + EVE,
                DEMAND + WRONG + REFUSED,
            ),
            Conversation("a window", request(ID + tokenRequest(5)), REFUSED),
            Conversation("a window for eve", request(ID + tokenRequest(5) + EVE_DATA), REFUSED),
            Conversation("ada's data", request(ID + expenditure(3) + ADA_DATA), spent, b""),
            Conversation(
                "ada's data again",
                request(ID + expenditure(3) + ADA_DATA),
                admitted(SESSION_OK, outcome(4), method=2) + failure(1),
            ),
            Conversation(
                "eve does not hear that", request(ID + expenditure(3) + EVE_DATA), REFUSED
            ),
            Conversation(
                "ada's exchange",
                request(ID + expenditure(5) + methods()) + ADA,
                DEMAND + RIGHT + spent,
                b"",
            ),
            Conversation(
                "ada's exchange again",
                request(ID + expenditure(5) + methods()) + ADA,
                DEMAND + RIGHT + admitted(SESSION_OK, outcome(4), method=2) + failure(1),
            ),
            Conversation(
                "both in an exchange",
                noop(ID + expenditure(4) + tokenRequest(5) + methods()) + ADA,
                DEMAND + RIGHT + both + DONE,
            ),
        ):
            self.converse(factory, case, identifier)
