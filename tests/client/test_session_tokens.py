"""
Tests for the tokens of a session: which one a request spends, and when others are
asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import ConnectionLost

from socks6.client.errors import EndedEarly, NoAnswer
from socks6.client.session import MAX_TOKENS
from socks6.values.codes import TOKEN_MODULUS, TokenOutcome
from socks6.values.options import OptionList, SessionID, TokenExpenditure, TokenRequest
from tests.client.doubles import Application, ImmediateEndpoint, ProxyTransport, operationReply
from tests.client.sessions import (
    ADA,
    CONNECTED,
    FAILED,
    ID,
    INVALID,
    OTHER_ID,
    WITHIN,
    SessionTestCase,
    admitted,
    naming,
    opened,
    opening,
    spent,
    unspent,
    window,
)


class TokensTestCase(SessionTestCase):
    """
    A test with requests that take tokens.
    """

    def spend(self, count: int) -> list[ProxyTransport]:
        """
        Let some requests go out; what becomes of them is not the question here.

        @return: Their connections.
        """
        for call in self.calls(count):
            call.result.addErrback(lambda _: None)
        return self.acceptAll()

    def tokenOf(self, transport: ProxyTransport) -> int | None:
        """
        Tell which token a request spends.
        """
        option = transport.request.options.first(TokenExpenditure)
        return None if option is None else option.token

    def tokensOf(self, *transports: ProxyTransport) -> list[int | None]:
        """
        Tell which tokens some requests spend.
        """
        return [self.tokenOf(transport) for transport in transports]

    def wishOf(self, transport: ProxyTransport) -> int | None:
        """
        Tell how many tokens a request asks for.
        """
        option = transport.request.options.first(TokenRequest)
        return None if option is None else option.windowSize


class WindowTests(TokensTestCase):
    """
    The window, as the proxy tells of it.
    """

    def test_base(self) -> None:
        """
        Tokens are taken from the window's base on, and go round the circle.
        """
        self.open(admitted(SessionID(ID), window(TOKEN_MODULUS - 2)))
        self.assertEqual(self.session.tokensLeft, 64)
        self.assertEqual(
            self.tokensOf(*self.spend(4)), [TOKEN_MODULUS - 2, TOKEN_MODULUS - 1, 0, 1]
        )
        self.assertEqual(self.session.tokensLeft, 60)

    def test_shift(self) -> None:
        """
        When the proxy shifts the window there are so many tokens more.
        """
        self.open()
        first, second = self.spend(2)
        first.receive(spent(window(1)))
        self.assertEqual(self.session.tokensLeft, 63)
        second.receive(spent(window(2)))
        self.assertEqual(self.session.tokensLeft, 64)
        self.assertEqual(self.tokensOf(*self.spend(2)), [2, 3])

    def test_oldNews(self) -> None:
        """
        An answer that others have overtaken does not shift the window back.
        """
        self.open()
        first, second = self.spend(2)
        second.receive(spent(window(2)))
        first.receive(spent(window(1)))
        self.assertEqual(self.session.tokensLeft, 64)
        self.assertEqual(self.tokensOf(*self.spend(1)), [2])

    def test_everyAnswer(self) -> None:
        """
        News count whatever the request is about, and whatever becomes of it.
        """
        for octets in (FAILED, CONNECTED, b""):
            self.setUp()
            self.open()
            [transport] = self.spend(1)
            transport.receive(spent(window(1)) + octets)
            self.assertEqual(self.session.tokensLeft, 64)
        self.setUp()
        self.open()
        [transport] = self.spend(1)
        news = OptionList([window(1)])
        transport.receive(spent() + operationReply(options=news))
        self.assertEqual(self.session.tokensLeft, 64)

    def test_otherSession(self) -> None:
        """
        News of a session that has been replaced mean nothing for its successor.
        """
        self.open()
        late, invalid = self.spend(2)
        invalid.receive(INVALID)
        self.acceptNext().receive(opened(64, OTHER_ID) + CONNECTED)
        late.receive(spent(window(30)) + CONNECTED)
        self.assertEqual(self.session.tokensLeft, 64)
        self.call()
        self.assertSays(self.acceptNext(), naming(0, identifier=OTHER_ID))
        self.setUp()
        self.open()
        late, invalid = self.spend(2)
        invalid.receive(INVALID)
        self.acceptNext().receive(opened(64, OTHER_ID) + CONNECTED)
        late.receive(unspent(TokenOutcome.NO_WINDOW))
        self.assertEqual(self.session.tokensLeft, 63)

    def test_newSession(self) -> None:
        """
        A new session begins with a new window, though the numbers are the same.
        """
        self.open()
        *_, invalid = self.spend(10)
        self.assertEqual(self.session.tokensLeft, 54)
        invalid.receive(INVALID)
        self.assertEqual(self.session.tokensLeft, 0)
        self.acceptNext().receive(opened(64, OTHER_ID))
        self.assertEqual(self.session.tokensLeft, 64)
        self.assertEqual(self.tokensOf(*self.spend(2)), [0, 1])


class RefillTests(TokensTestCase):
    """
    More tokens are asked for before there are none.
    """

    def test_quarter(self) -> None:
        """
        The request that leaves no more than a quarter of the window asks for another
        one, twice as large; it spends its own token as always.
        """
        for size, count in [(64, 48), (5, 4), (4, 3), (3, 3), (2, 2), (1, 1)]:
            self.setUp()
            self.open(opened(size))
            *before, transport = self.spend(count)
            self.assertEqual({self.wishOf(each) for each in before} - {None}, set(), size)
            self.assertSays(transport, [*naming(count - 1), TokenRequest(128)], str(size))

    def test_shiftingWindow(self) -> None:
        """
        Nothing is asked for as long as the window shifts fast enough.
        """
        self.open(opened(8))
        for token in range(100):
            [transport] = self.spend(1)
            self.assertSays(transport, naming(token))
            transport.receive(spent(window(token + 1, 8)) + CONNECTED)

    def test_wait(self) -> None:
        """
        Others wait for its Authentication Reply, and then go on in their order.
        """
        self.open(opened(4))
        *_, asking = self.spend(3)
        waiting = self.calls(3)
        self.assertWaiting(*waiting)
        asking.receive(spent(window(4, 128)))
        transports = self.acceptAll()
        self.assertEqual(self.tokensOf(*transports), [4, 5, 6])
        for transport, call in zip(transports, waiting, strict=True):
            transport.receive(spent() + CONNECTED)
            self.assertConnected(call)

    def test_lateAnswers(self) -> None:
        """
        What is told late of the old window changes nothing, and none of its tokens
        is taken any more.
        """
        self.open(opened(4))
        first, second, asking = self.spend(3)
        asking.receive(spent(window(4, 128)))
        for late in (window(2, 4), window(1, 4)):
            (second if late.base == 2 else first).receive(spent(late) + CONNECTED)
        self.assertEqual(self.session.tokensLeft, 128)
        self.assertEqual(self.tokensOf(*self.spend(2)), [4, 5])

    def test_toldByOthers(self) -> None:
        """
        If another answer tells of the fresh window first, its tokens are not taken
        twice.
        """
        self.open(opened(4))
        overtaken, _, asking = self.spend(3)
        [waiting] = self.calls(1)
        overtaken.receive(unspent(TokenOutcome.OUT_OF_WINDOW, window(4, 128)))
        # Those who wait do so for the answer to the question.
        self.assertWaiting(waiting)
        self.assertEqual(self.session.tokensLeft, 128)
        asking.receive(spent(window(4, 128)))
        self.assertEqual(self.tokensOf(*self.acceptAll()), [4, 5])

    def test_doubled(self) -> None:
        """
        Each time twice as many are asked for, up to a limit.
        """
        self.open(opened(1))
        wishes = []
        for token in range(13):
            [transport] = self.spend(1)
            wishes.append(self.wishOf(transport))
            # What a proxy grants is its own business.
            transport.receive(spent(window(token + 1, 1)) + CONNECTED)
        self.assertEqual(wishes, [64 << each for each in range(1, 11)] + [MAX_TOKENS] * 3)

    def test_remembered(self) -> None:
        """
        A new session begins with as many as turned out to be needed.
        """
        self.open(opened(1))
        [transport] = self.spend(1)
        transport.receive(INVALID)
        self.assertSays(self.acceptNext(), opening(128))

    def test_askedByOne(self) -> None:
        """
        Only one request asks at a time; if that one fails, however it does, the next
        one asks, and the others that have waited go out without a token at the same
        time.  One that comes later waits for the answer.
        """
        ways: list[Callable[[ProxyTransport], object]] = [
            lambda transport: transport.lose(ConnectionLost()),
            lambda transport: transport.receive(b"\x05"),
            lambda transport: self.reactor.advance(60),
        ]
        for way in ways:
            self.setUp()
            self.open(opened(8))
            *_, asking = self.spend(6)
            calls = self.calls(3)
            way(asking)
            transport, *others = self.acceptAll()
            self.assertSays(transport, [*naming(6), TokenRequest(256)])
            self.assertEqual(len(others), 2)
            for other in others:
                self.assertSays(other, naming())
            self.assertWaiting(*calls, self.call())
            transport.receive(spent(window(8, 256)))
            self.assertEqual(self.tokensOf(*self.acceptAll()), [8])
            self.assertNoResult(calls[0].result)

    def test_silentProxy(self) -> None:
        """
        However many wait for tokens of a proxy that does not answer, they fail
        together, one time-out after the one that has asked.
        """
        self.open(opened(4))
        self.spend(2)
        asking, *others = self.calls(9)
        self.acceptAll()
        self.reactor.advance(60)
        self.failureResultOf(asking.result, NoAnswer)
        self.assertEqual(
            self.tokensOf(*self.acceptAll()), [3, None, None, None, None, None, None, None]
        )
        self.reactor.advance(59.75)
        self.assertWaiting(*others)
        self.reactor.advance(0.25)
        for call in others:
            self.failureResultOf(call.result, NoAnswer)
        self.assertNothingLeft()

    def test_endingMeanwhile(self) -> None:
        """
        If one of those that go out gives up a request that was on its way, the others go
        out all the same.
        """
        endpoint = ImmediateEndpoint()
        self.proxyEndpoint = endpoint  # type: ignore[assignment]
        self.renew()
        calls = self.calls(1)
        endpoint.transports[0].receive(opened(4) + CONNECTED)
        calls += self.calls(3)
        for call in calls[1:]:
            call.result.addErrback(lambda _: None)

        def giveUp(application: Application) -> None:
            calls[1].result.cancel()

        for whenMade in (giveUp, None, None):
            self.call(Application(whenMade), optimistic=True)
        self.assertEqual(len(endpoint.transports), 4)
        endpoint.transports[3].lose(ConnectionLost())
        self.assertTrue(endpoint.transports[1].disconnected)
        self.assertEqual(self.tokensOf(*endpoint.transports[4:]), [3, None, None])

    def test_remedied(self) -> None:
        """
        If one that has asked will be made again, those that have waited wait for the
        session that is opened then.
        """
        self.open(opened(4))
        *_, asking = self.spend(3)
        waiting = self.calls(2)
        asking.receive(INVALID)
        transport = self.acceptNext()
        self.assertSays(transport, opening(128))
        self.assertWaiting(*waiting)
        transport.receive(opened(128, OTHER_ID))
        # The other one that waited, and the one that was refused.
        for token in range(2):
            self.assertSays(self.acceptNext(), naming(token, identifier=OTHER_ID))

    def test_notConnected(self) -> None:
        """
        The same goes for one that does not reach the proxy.
        """
        self.open(opened(4))
        self.spend(2)
        asking, *waiting = self.calls(3)
        self.refuseNext()
        self.failureResultOf(asking.result)
        transport, other = self.acceptAll()
        self.assertSays(transport, [*naming(3), TokenRequest(256)])
        self.assertSays(other, naming())
        self.assertWaiting(*waiting)

    def test_askingCancelled(self) -> None:
        """
        And for one that is cancelled.
        """
        self.open(opened(4))
        self.spend(2)
        asking, *_ = self.calls(3)
        self.acceptAll()
        asking.result.cancel()
        self.failureResultOf(asking.result)
        self.assertSays(self.acceptNext(), [*naming(3), TokenRequest(256)])
        self.assertSays(self.acceptNext(), naming())

    def test_waitingCancelled(self) -> None:
        """
        One that waits for tokens takes none if it is cancelled.
        """
        self.open(opened(4))
        *_, asking = self.spend(3)
        cancelled, waiting = self.calls(2)
        cancelled.result.cancel()
        self.failureResultOf(cancelled.result)
        asking.receive(spent(window(4, 128)))
        [transport] = self.acceptAll()
        self.assertSays(transport, naming(4))
        transport.receive(spent() + CONNECTED)
        self.assertConnected(waiting)

    def test_invalidMeanwhile(self) -> None:
        """
        If the session turns out to be invalid, nobody waits for its tokens: who has
        waited first opens another one.
        """
        self.open(opened(4))
        other, _, asking = self.spend(3)
        waiting = self.calls(2)
        other.receive(INVALID)
        transport = self.acceptNext()
        self.assertSays(transport, opening(128))
        self.assertWaiting(*waiting)
        transport.receive(opened(128, OTHER_ID))
        # The other one that waited, and the one that was refused.
        for token in range(2):
            self.assertSays(self.acceptNext(), naming(token, identifier=OTHER_ID))
        # What comes of the question does not matter any more.
        asking.receive(spent(window(4, 128)))
        self.assertEqual(self.session.tokensLeft, 126)


class NoWindowTests(TokensTestCase):
    """
    A proxy need not grant a window.
    """

    def test_never(self) -> None:
        """
        If it opens a session without one, requests spend no tokens and ask for none,
        those that have waited first, as soon as the Authentication Reply is there.
        """
        first, _ = self.calls(2)
        transport = self.acceptNext()
        transport.receive(opened(0))
        self.assertSays(self.acceptNext(), naming())
        self.call()
        self.assertSays(self.acceptNext(), naming())
        self.assertNoResult(first.result)
        transport.receive(CONNECTED)
        self.assertConnected(first)
        for _ in range(3):
            self.call()
            self.assertSays(self.acceptNext(), naming())

    def test_late(self) -> None:
        """
        If the ID stands in the Authentication Reply, a window in the Operation Reply
        comes too late: there are no tokens in this session.
        """
        self.call()
        transport = self.acceptNext()
        transport.receive(opened(0) + operationReply(options=OptionList([window(9)])))
        for _ in range(2):
            self.call()
            self.assertSays(self.acceptNext(), naming())

    def test_noOperationReply(self) -> None:
        """
        It stays so if the Operation Reply never comes.
        """
        opener, _ = self.calls(2)
        transport = self.acceptNext()
        transport.receive(opened(0))
        transport.lose(ConnectionLost())
        self.failureResultOf(opener.result, EndedEarly)
        self.assertSays(self.acceptNext(), naming())
        self.call()
        self.assertSays(self.acceptNext(), naming())

    def test_noReply(self) -> None:
        """
        As long as the proxy has not come to answer, the next request asks.
        """
        self.open()
        call = self.call()
        self.acceptNext().receive(unspent(TokenOutcome.NO_WINDOW))
        asking = self.acceptNext()
        self.assertSays(asking, [*naming(), TokenRequest(128)])
        self.call()
        asking.lose(ConnectionLost())
        self.failureResultOf(call.result, EndedEarly)
        self.assertSays(self.acceptNext(), [*naming(), TokenRequest(256)])

    def test_refusedToken(self) -> None:
        """
        Nor has it answered where the token of the request that asks was refused:
        nothing else was looked at then.
        """
        refusals = set(TokenOutcome) - {TokenOutcome.SUCCESS}
        for outcome in TokenOutcome:
            self.setUp()
            self.open(opened(2))
            other, asking = self.spend(2)
            self.assertSays(asking, [*naming(1), TokenRequest(128)])
            other.receive(unspent(TokenOutcome.NO_WINDOW))
            # It waits to be made again.
            self.assertWaiting()
            asking.receive(spent() if outcome not in refusals else unspent(outcome))
            wish = [TokenRequest(256)] if outcome in refusals else []
            self.assertSays(self.acceptNext(), [*naming(), *wish], outcome.name)

    def test_newSession(self) -> None:
        """
        Another session may have one.
        """
        self.open(opened(0))
        [transport] = self.spend(1)
        transport.receive(INVALID)
        transport = self.acceptNext()
        self.assertSays(transport, opening())
        transport.receive(opened(64, OTHER_ID))
        self.call()
        self.assertSays(self.acceptNext(), naming(0, identifier=OTHER_ID))

    def test_notRefilled(self) -> None:
        """
        A window that is not replaced is used up, and each request asks again, as soon
        as the Authentication Reply to the one before is there.
        """
        self.open(opened(2))
        self.spend(1)
        for options in ([*naming(1), TokenRequest(128)], [*naming(), TokenRequest(256)]):
            [transport] = self.spend(1)
            self.assertSays(transport, options)
            transport.receive(WITHIN)
        # Until there is one after all.
        [transport] = self.spend(1)
        transport.receive(admitted(window(2, 512)) + CONNECTED)
        self.assertEqual(self.tokensOf(*self.spend(1)), [2])

    def test_lost(self) -> None:
        """
        If the session turns out to have none, the request is made again without a
        token, and asks for a window.
        """
        self.open()
        call = self.call()
        self.acceptNext().receive(unspent(TokenOutcome.NO_WINDOW))
        self.assertEqual(self.session.tokensLeft, 0)
        transport = self.acceptNext()
        self.assertSays(transport, [*naming(), TokenRequest(128)])
        self.assertNoResult(call.result)
        transport.receive(admitted(window(0, 128)) + CONNECTED)
        self.assertConnected(call)
        # None is spent twice, whatever the proxy has lost.
        self.assertEqual(self.tokensOf(*self.spend(1)), [1])

    def test_lostForGood(self) -> None:
        """
        If none is granted then, it is as if there had never been one.
        """
        self.open()
        self.call()
        self.acceptNext().receive(unspent(TokenOutcome.NO_WINDOW))
        self.acceptNext().receive(WITHIN + CONNECTED)
        self.call()
        self.assertSays(self.acceptNext(), naming())

    def test_othersMeanwhile(self) -> None:
        """
        What others hear in the meantime does not matter: it is the answer to the
        question that tells.
        """
        self.open()
        asking, other = self.spend(2)
        asking.receive(unspent(TokenOutcome.NO_WINDOW))
        asking = self.acceptNext()
        self.assertEqual(self.wishOf(asking), 128)
        other.receive(spent() + CONNECTED)
        asking.receive(admitted(window(100, 128)) + CONNECTED)
        self.assertEqual(self.tokensOf(*self.spend(1)), [100])

    def test_withoutSession(self) -> None:
        """
        A window without a session means nothing.
        """
        self.call()
        late = OptionList([SessionID(ID)])
        self.acceptNext().receive(admitted(window(7)) + operationReply(options=late))
        self.assertEqual(self.session.tokensLeft, 0)
        self.call()
        self.assertSays(self.acceptNext(), naming())

    def test_untrusted(self) -> None:
        """
        Credentials stand beside whatever is said of tokens.
        """
        self.open(opened(1))
        self.session.distrust()
        self.call()
        self.assertSays(self.acceptNext(), [*naming(0, ADA), TokenRequest(128)])
