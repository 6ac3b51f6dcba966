"""
Tests of L{socks6.server.admission}: stores of sessions that fail or take their time.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from socks6.interfaces import (
    ISessionStore,
    SessionRecord,
    SessionStoreFailed,
    SessionTrust,
    SessionUse,
)
from socks6.server.admission import LOGIN_TIMEOUT
from socks6.serving.conversation import EARLY_DATA_LIMIT
from tests.doubles import PatientChecker, Peer
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    CONNECTED,
    DEMAND,
    DONE,
    REFUSED,
    RIGHT,
    SESSION_ID,
    WELCOME,
    failure,
    methods,
    request,
)
from tests.server.sessions import (
    MALLORY_DATA,
    SESSION_OK,
    SESSION_REQUEST,
    TEARDOWN,
    WITHIN,
    PatientStore,
    SessionTestCase,
    admitted,
    expenditure,
    identifierIn,
    noop,
    sessionID,
    tokenRequest,
)
from tests.server.test_negotiation import ADA_DATA


class BrokenStoreTests(SessionTestCase):
    """
    A store that fails, or takes its time.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patient = PatientStore(self.network)
        self.record = SessionRecord(2, b"ada", "192.0.2.2", SessionTrust.NOWHERE, b"user ada")

    def dialWith(self, strict: bool = False) -> Peer:
        """
        Connect to a new proxy that has this store.
        """
        make = self.strictProxy if strict else self.proxy
        return self.network.accept(make(store=self.patient))

    def test_interface(self) -> None:
        """
        The double is a store.
        """
        self.assertTrue(verifyObject(ISessionStore, self.patient))

    def test_use(self) -> None:
        """
        If it cannot be found out what became of a session, nothing is done for the
        request, and the client hears "general failure": the session may be all
        right the next time.
        """
        for strict in (False, True):
            for options in (b"", expenditure(0), TEARDOWN, tokenRequest(5), MALLORY_DATA):
                self.events.clear()
                client = self.dialWith(strict)
                client.send(request(SESSION_ID + options) + b"GET")
                self.assertEqual(client.received, b"")
                self.patient.answer("use", SessionStoreFailed("the disk is full"))
                self.assertEqual(client.received, WELCOME + failure(1))
                self.leave(client)
                self.assertOver()
                self.assertEqual(self.outbound.attempts, [])
                self.assertEqual(
                    self.lines,
                    [
                        (
                            "192.0.2.2:40000 - connect 203.0.113.1:443: general failure"
                            " (the session store failed: the disk is full),"
                            " 0 octets to the remote host, 0 to the client, 0.000 s"
                        )
                    ],
                )

    def test_useAfterAuthentication(self) -> None:
        """
        The same where the client has shown who it is before: it is told so, with
        the method that it used, and the line has its name.
        """
        for sent, heard in (
            (noop(SESSION_ID + ADA_DATA), AUTHENTICATED),
            (noop(SESSION_ID + methods()) + ADA, DEMAND + RIGHT + AUTHENTICATED),
        ):
            self.events.clear()
            client = self.dialWith(strict=True)
            client.send(sent)
            self.patient.answer("use", SessionUse(self.record, admitted=False))
            self.patient.answer("use", SessionStoreFailed("gone"))
            self.assertEqual(client.received.hex(), (heard + failure(1)).hex())
            self.leave(client)
            self.assertIn(
                " ada noop 0.0.0.0:0: general failure (the session store failed: gone), ",
                self.lines[0],
            )

    def test_open(self) -> None:
        """
        A session that cannot be kept is declined, with a line; the request is
        served.
        """
        client = self.dialWith()
        client.send(noop(SESSION_REQUEST + expenditure(0)))
        self.assertEqual(client.received, b"")
        self.patient.answer("open", SessionStoreFailed("the disk is full"))
        self.assertEqual(client.received, WELCOME + DONE)
        self.leave(client)
        self.assertEqual(
            self.lines[0], "A session for - from 192.0.2.2 was declined: the disk is full"
        )

    def test_openAfterAuthentication(self) -> None:
        """
        The same for those with a user name.
        """
        for sent, heard in (
            (noop(SESSION_REQUEST + ADA_DATA), AUTHENTICATED),
            (noop(SESSION_REQUEST + methods()) + ADA, DEMAND + RIGHT + AUTHENTICATED),
        ):
            client = self.dialWith(strict=True)
            client.send(sent)
            self.patient.answer("open", SessionStoreFailed("the disk is full"))
            self.assertEqual(client.received.hex(), (heard + DONE).hex())
            self.leave(client)

    def test_notAsked(self) -> None:
        """
        Requests without a session do not need the store, and nor do those of
        clients that are refused.
        """
        for strict, sent, heard in (
            (False, noop(), WELCOME + DONE),
            (False, noop(expenditure(0) + tokenRequest(5) + TEARDOWN), WELCOME + DONE),
            (True, noop(ADA_DATA), AUTHENTICATED + DONE),
            (True, noop(SESSION_REQUEST + MALLORY_DATA), REFUSED),
        ):
            client = self.dialWith(strict)
            client.send(sent)
            self.assertEqual(self.patient.calls, [], sent.hex())
            self.assertEqual(client.received.hex(), heard.hex())
            self.leave(client)

    def test_slow(self) -> None:
        """
        Until the store has answered nothing is said or done; the data that came
        meanwhile are delivered, even if the client has ended its direction.
        """
        client = self.dialWith()
        client.send(request(SESSION_ID) + b"GET")
        client.send(b" / HTTP")
        client.end()
        self.assertEqual(client.received, b"")
        self.assertEqual(self.outbound.attempts, [])
        self.patient.answer("use", SessionUse(self.record, admitted=True))
        self.assertEqual(client.take(), WITHIN)
        self.assertEqual(self.attempt.succeed().received, b"GET / HTTP")
        self.assertEqual(client.take(), CONNECTED)

    def test_slowOpening(self) -> None:
        """
        So it is while a session is opened.
        """
        client = self.dialWith(strict=True)
        client.send(request(SESSION_REQUEST + methods(3)) + b"GET" + ADA + b" / HTTP")
        self.assertEqual(client.take(), DEMAND + RIGHT)
        self.assertEqual(self.outbound.attempts, [])
        self.patient.answer("open", None)
        opened = client.take()
        self.assertEqual(opened, admitted(sessionID(identifierIn(opened)), method=2))
        self.assertEqual(self.attempt.succeed().received, b"GET / HTTP")

    def test_bounded(self) -> None:
        """
        A client that floods the proxy meanwhile is read no further until the store
        has answered.
        """
        client = self.dialWith()
        client.send(request(SESSION_ID))
        flood = bytes(range(256)) * 1024
        client.send(flood)
        self.assertFalse(client.isRead)
        self.assertGreater(len(client.socket.input), len(flood) - EARLY_DATA_LIMIT - 65537)
        self.patient.answer("use", SessionUse(self.record, admitted=True))
        self.assertEqual(self.attempt.succeed().received, flood)

    def test_hangs(self) -> None:
        """
        The time limit for requests does not run out while the store is waited for: the
        client hears what comes of it when the store gives up, however long that takes.
        """
        for sent, call, heard, words in (
            (
                noop(SESSION_ID),
                "use",
                failure(1),
                "general failure (the session store failed: late)",
            ),
            (noop(SESSION_REQUEST), "open", DONE, "success"),
        ):
            for late in (9.75, 10.0, 10.25, 60.0):
                self.events.clear()
                client = self.dialWith()
                client.send(sent)
                self.network.elapse(late)
                self.assertFalse(client.ended)
                self.assertEqual(client.received, b"")
                self.patient.answer(call, SessionStoreFailed("late"))
                self.assertEqual(client.received, WELCOME + heard, f"{call} after {late} s")
                self.leave(client)
                self.assertOver()
                self.assertIn(f" - noop 0.0.0.0:0: {words}, ", self.lines[-1])
        self.assertEqual(self.patient.cancelled, 0)

    def test_answersLate(self) -> None:
        """
        The same if the store does answer in the end.
        """
        client = self.dialWith()
        client.send(request(SESSION_ID) + b"GET")
        self.network.elapse(25)
        self.patient.answer("use", SessionUse(self.record, admitted=True))
        self.network.elapse(1000)
        self.assertEqual(self.attempt.succeed().received, b"GET")
        self.assertEqual(client.received, WITHIN + CONNECTED)

    def test_clientIsLate(self) -> None:
        """
        The client must not take its time: once the store has answered, it has as much
        left as before.
        """
        client = self.dialWith(strict=True)
        client.send(noop(SESSION_ID + methods()))
        self.network.elapse(11.25)
        self.patient.answer("use", SessionUse(self.record, admitted=False))
        self.assertEqual(client.take(), DEMAND)
        self.network.elapse(9.875)
        self.assertFalse(client.ended)
        self.network.elapse(0.125)
        self.leave(client)
        self.assertOver()
        self.assertEqual(client.received, b"")
        self.assertEqual(self.patient.calls, [])
        self.assertEqual(len(self.lines), 1)
        self.assertIn(" - noop 0.0.0.0:0: no authenticated request within 10 s, ", self.lines[0])

    def test_hangsTwice(self) -> None:
        """
        Nor does the time limit run out where the store is asked again, for one who has
        shown who it is.
        """
        client = self.dialWith(strict=True)
        client.send(noop(SESSION_ID + methods()) + ADA)
        for isAdmitted in (False, True):
            self.network.elapse(12)
            self.patient.answer("use", SessionUse(self.record, isAdmitted))
        expected = DEMAND + RIGHT + admitted(SESSION_OK, method=2) + DONE
        self.assertEqual(client.received.hex(), expected.hex())
        self.leave(client)

    def test_checkerHangs(self) -> None:
        """
        A checker has a time limit of its own, too; then the store is not asked.
        """
        checker = PatientChecker(self.network)
        client = self.network.accept(self.proxy(checker, store=self.patient))
        client.send(noop(SESSION_REQUEST + ADA_DATA))
        self.network.elapse(LOGIN_TIMEOUT - 0.25)
        self.assertFalse(client.ended)
        self.network.elapse(0.25)
        self.leave(client)
        self.assertOver()
        self.assertEqual(client.received, REFUSED)
        self.assertEqual(self.patient.calls, [])

    def test_timeLimitEnds(self) -> None:
        """
        The time limit is for the request, not for what it asks for.
        """
        client = self.dialWith()
        client.send(request(SESSION_ID))
        self.network.elapse(9.75)
        self.patient.answer("use", SessionUse(self.record, admitted=True))
        self.network.elapse(1000)
        self.attempt.succeed()
        self.assertEqual(client.received, WITHIN + CONNECTED)

    def test_lostMeanwhile(self) -> None:
        """
        When the client goes away, the store is told that nobody waits, nothing is
        done, and one line is written; so it is if the store takes its time.
        """
        for sent, late in ((request(SESSION_ID), 0), (request(SESSION_REQUEST), 12)):
            client = self.dialWith()
            client.send(sent)
            self.network.elapse(late)
            client.reset()
            self.assertOver()
            self.patient.calls.clear()
        self.assertEqual(self.patient.cancelled, 2)
        self.assertEqual(self.outbound.attempts, [])
        self.assertEqual(len(self.lines), 2)
        for line in self.lines:
            self.assertIn(": client lost, ", line)

    def test_stubbornWhenCancelled(self) -> None:
        """
        Whatever a store makes of being cancelled, nothing more is said or done for
        a client that is gone.
        """

        def use(answer: Deferred[object]) -> None:
            answer.callback(SessionUse(self.record, admitted=True))

        def notAdmitted(answer: Deferred[object]) -> None:
            answer.callback(SessionUse(self.record, admitted=False))

        def none(answer: Deferred[object]) -> None:
            answer.callback(None)

        def fail(answer: Deferred[object]) -> None:
            answer.errback(SessionStoreFailed("cancelled"))

        for options, reactions in (
            (SESSION_ID, (use, notAdmitted, none, fail)),
            (SESSION_REQUEST, (none, fail)),
        ):
            for react in reactions:
                for strict in (False, True):
                    self.events.clear()
                    self.patient.calls.clear()
                    self.patient.whenCancelled = react
                    client = self.dialWith(strict)
                    client.send(request(options + ADA_DATA))
                    client.reset()
                    # Of an untrusted session, the store is asked again.
                    for call in self.patient.calls[1:]:
                        self.assertIs(react, notAdmitted)
                        call.answer.callback(SessionUse(self.record, admitted=True))
                    case = f"{react.__name__} {strict} {options.hex()}"
                    self.assertOver(case)
                    self.assertEqual(self.outbound.attempts, [], case)
                    lost = [line for line in self.lines if ": client lost, " in line]
                    self.assertEqual(len(lost), 1, case)

    def test_failsStrangely(self) -> None:
        """
        A store that fails as no store should is logged once; the client hears
        nothing, and its connection ends.
        """
        for sent, call in ((request(SESSION_ID), "use"), (request(SESSION_REQUEST), "open")):
            client = self.dialWith()
            client.send(sent)
            self.patient.answer(call, ZeroDivisionError())
            self.assertEqual(client.received, b"")
            self.leave(client)
            self.assertOver()
            self.assertEqual(self.outbound.attempts, [])
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
