"""
What every session store must do, in terms of L{ISessionStore} alone.

A module that tests a store makes a test case of L{StoreTests}, and says how to get
at the store and how to let its time pass.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionRecord,
    SessionsExhausted,
    SessionTrust,
    SessionUse,
)
from socks6.machine.tokens import TokenWindow
from socks6.values.codes import MAX_TOKEN_WINDOW_SIZE, TOKEN_MODULUS, TokenOutcome
from tests.policy.stores.calls import (
    ALL,
    LIMITS,
    RECORD,
    advertised,
    ask,
    isThere,
    mayOpen,
    newKey,
    openSession,
    record,
    together,
)

if TYPE_CHECKING:
    _TestCase = TestCase
else:
    # Not a test case: trial runs those wherever a module imports them.
    _TestCase = object

#: Handles on the store, where several use it.
HANDLES = 4

#: Octets that mean something to shells, SQL, format strings and protocols.
NASTY = b"\0\r\n'\"\\%s{0}:;--\xff\xfe*?$1 \t/"


class StoreTests(_TestCase):
    """
    What a store must do; a mix-in for a L{TestCase}.

    @cvar lifetime: Seconds that the sessions live that are to expire: long
        enough for a few dozen calls within a third of it.
    """

    lifetime = 600.0

    def makeStore(self) -> ISessionStore:
        """
        Give a further handle on the sessions of this test, of which there are none
        at first; the same one again where a store cannot be shared.
        """
        raise NotImplementedError

    async def elapse(self, seconds: float) -> None:
        """
        Let time pass.
        """
        raise NotImplementedError

    def handle(self) -> ISessionStore:
        """
        Get a handle that is closed in the end.
        """
        store = self.makeStore()
        self.addCleanup(store.close)
        return store

    def test_interface(self) -> None:
        """
        It is a session store.
        """
        self.assertTrue(verifyObject(ISessionStore, self.handle()))

    async def test_start(self) -> None:
        """
        A store that can work says nothing when it starts, which it may do more
        than once.
        """
        store = self.handle()
        store.start()
        store.start()
        key = await openSession(store)
        store.start()
        self.assertTrue(await isThere(store, key))

    # Opening.

    async def test_openWithWindow(self) -> None:
        """
        A window begins with token 0 and has the size that was asked for.
        """
        store = self.handle()
        for size in (1, 2, 64, 65536, MAX_TOKEN_WINDOW_SIZE):
            window = await store.open(newKey(), RECORD, size, LIMITS)
            self.assertEqual(window, advertised(0, size))

    async def test_openWithoutWindow(self) -> None:
        """
        A session need not have a window; then it has no tokens to spend.
        """
        store, key = self.handle(), newKey()
        self.assertIsNone(await store.open(key, RECORD, None, LIMITS))
        for token in (0, 1, TOKEN_MODULUS - 1):
            use = await ask(store, key, SessionDemand(token=token))
            self.assertEqual(use, SessionUse(RECORD, True, TokenOutcome.NO_WINDOW), str(token))

    async def test_unknownKey(self) -> None:
        """
        There is no session with another key, and asking for it makes none.
        """
        store = self.handle()
        key = await openSession(store, 64)
        changed = bytes([key[0] ^ 1]) + key[1:]
        for other in (newKey(), changed, key[:-1], key + b"\0", bytes(32)):
            for demand in (
                SessionDemand(),
                SessionDemand(token=0),
                SessionDemand(windowSize=5),
                SessionDemand(teardown=True),
            ):
                self.assertIsNone(await store.use(other, demand, ALL, LIMITS.timeout))
        self.assertTrue(await isThere(store, key))

    async def test_anyKey(self) -> None:
        """
        A key may consist of any octets.
        """
        store = self.handle()
        keys = [bytes(32), b"\xff" * 32, b"\0" * 31 + b"\1", NASTY.ljust(32, b"x")[:32]]
        keys += [bytes(range(start, start + 32)) for start in range(0, 256, 32)]
        records = [record(b"user %d" % number) for number in range(len(keys))]
        for key, each in zip(keys, records, strict=True):
            await store.open(key, each, None, LIMITS)
        for key, each in zip(keys, records, strict=True):
            use = await ask(store, key, SessionDemand(teardown=True))
            self.assertEqual(use.record, each, repr(key))

    async def test_anyRecord(self) -> None:
        """
        A record comes back as it was, whatever octets it has.
        """
        store, other = self.handle(), self.handle()
        for each in (
            SessionRecord(0, b"", "", SessionTrust.NOWHERE, b""),
            SessionRecord(2, NASTY, "fe80::1%eth0", SessionTrust.OVER_TLS, b"user " + NASTY),
            SessionRecord(255, bytes(range(256)), "2001:db8::1", SessionTrust.EVERYWHERE, b"\0"),
            SessionRecord(1, b"\0", "::ffff:192.0.2.1", SessionTrust.EVERYWHERE, b"\0\0"),
            SessionRecord(2, "zo\xeb".encode(), "192.0.2.1", SessionTrust.NOWHERE, b"\xff" * 300),
        ):
            key = await openSession(store, None, each)
            use = await ask(other, key, SessionDemand())
            self.assertEqual(use.record, each)
            self.assertIsInstance(use.record.trust, SessionTrust)
            self.assertIs(type(use.record.name), bytes)
            self.assertIs(type(use.record.owner), bytes)

    # Limits.

    async def test_limitInAll(self) -> None:
        """
        There are no more sessions than allowed, whoever owns them; one that ends
        makes room for one.
        """
        store, limits = self.handle(), replace(LIMITS, sessions=3)
        first = await openSession(store, None, record(b"user 0"))
        for owner in (b"user 1", b"user 0"):
            self.assertTrue(await mayOpen(store, limits, owner))
        for owner in (b"user 0", b"user 1", b"user 2") * 2:
            self.assertFalse(await mayOpen(store, limits, owner))
        await ask(store, first, SessionDemand(teardown=True))
        self.assertTrue(await mayOpen(store, limits, b"user 2"))
        self.assertFalse(await mayOpen(store, limits, b"user 2"))

    async def test_limitPerOwner(self) -> None:
        """
        Nobody has more sessions than allowed, and what one owner has is no matter
        to another one; one that ends makes room for one of the same owner.
        """
        store, limits = self.handle(), replace(LIMITS, sessionsPerOwner=2)
        owners = (b"user a", b"user a\0", b"user", b"", b"user A", NASTY)
        keys = []
        for owner in owners:
            keys.append(await openSession(store, None, record(owner)))
            self.assertTrue(await mayOpen(store, limits, owner), repr(owner))
            self.assertFalse(await mayOpen(store, limits, owner), repr(owner))
        await ask(store, keys[0], SessionDemand(teardown=True))
        for owner in owners[1:]:
            self.assertFalse(await mayOpen(store, limits, owner), repr(owner))
        self.assertTrue(await mayOpen(store, limits, owners[0]))
        self.assertFalse(await mayOpen(store, limits, owners[0]))

    async def test_limitOfCall(self) -> None:
        """
        The limits are those of the call, and may be lower than what there is.
        """
        store = self.handle()
        for _ in range(3):
            await openSession(store)
        for sessions, perOwner, may in (
            (0, 1000, False),
            (1000, 0, False),
            (0, 0, False),
            (3, 1000, False),
            (1000, 3, False),
            (4, 4, True),
            (4, 1000, False),
            (1000, 4, False),
            (2**63 - 1, 2**63 - 1, True),
        ):
            limits = SessionLimits(LIMITS.timeout, sessions, perOwner)
            self.assertIs(await mayOpen(store, limits, RECORD.owner), may, str(limits))

    async def test_noneAllowed(self) -> None:
        """
        With a limit of zero there is no first session.
        """
        store = self.handle()
        for limits in (replace(LIMITS, sessions=0), replace(LIMITS, sessionsPerOwner=0)):
            self.assertFalse(await mayOpen(store, limits, b"user"), str(limits))

    async def test_declined(self) -> None:
        """
        A session that was not allowed is not there, and counts for nobody.
        """
        store, key = self.handle(), newKey()
        limits = replace(LIMITS, sessionsPerOwner=1)
        await openSession(store)
        for _ in range(3):
            result = store.open(key, RECORD, 64, limits)
            await self.assertFailure(result, SessionsExhausted)
        self.assertFalse(await isThere(store, key))
        self.assertTrue(await mayOpen(store, replace(LIMITS, sessions=2), b"user eve"))

    # Trust.

    async def test_trust(self) -> None:
        """
        A session is used by those on whose connections its trust is enough, and
        by no others.
        """
        store = self.handle()
        for trust in SessionTrust:
            key = await openSession(store, None, record(trust=trust))
            for number in range(1 << len(ALL)):
                trusts = tuple(each for each in ALL if number >> each & 1)
                use = await ask(store, key, SessionDemand(), trusts)
                self.assertIs(use.admitted, trust in trusts, f"{trust!r} in {trusts}")
                self.assertEqual(use.record, record(trust=trust))

    async def test_notAdmitted(self) -> None:
        """
        For those who are not admitted nothing is done: no token is spent or
        judged, no window granted or told, the session not ended.
        """
        store = self.handle()
        refused = SessionUse(RECORD, admitted=False)
        key = await openSession(store, 64)
        for demand in (
            SessionDemand(token=0),
            SessionDemand(token=63),
            SessionDemand(token=64),
            SessionDemand(windowSize=5),
            SessionDemand(teardown=True),
            SessionDemand(0, 5, True),
        ):
            self.assertEqual(await ask(store, key, demand, (SessionTrust.OVER_TLS,)), refused)
        use = await ask(store, key, SessionDemand(token=0))
        self.assertEqual(use, SessionUse(RECORD, True, TokenOutcome.SUCCESS, advertised(1, 64)))

    # Tokens.

    async def test_outcomes(self) -> None:
        """
        A token of the window is spent once; the client is told of the window when
        it has shifted and when the token is not in it, and otherwise not.
        """
        store = self.handle()
        key = await openSession(store, 8)
        for token, outcome, base in (
            (1, TokenOutcome.SUCCESS, None),
            (1, TokenOutcome.DUPLICATE, None),
            (6, TokenOutcome.SUCCESS, None),
            (8, TokenOutcome.OUT_OF_WINDOW, 0),
            (TOKEN_MODULUS - 1, TokenOutcome.OUT_OF_WINDOW, 0),
            (2**31, TokenOutcome.OUT_OF_WINDOW, 0),
            # The lowest ones are spent now.
            (0, TokenOutcome.SUCCESS, 2),
            (0, TokenOutcome.OUT_OF_WINDOW, 2),
            (1, TokenOutcome.OUT_OF_WINDOW, 2),
            (6, TokenOutcome.DUPLICATE, None),
            # Three quarters of the window are 6 tokens; 9 lies 7 above its base.
            (9, TokenOutcome.SUCCESS, 3),
            (2, TokenOutcome.OUT_OF_WINDOW, 3),
            (9, TokenOutcome.DUPLICATE, None),
            (10, TokenOutcome.SUCCESS, 4),
            (11, TokenOutcome.SUCCESS, 5),
            # The base would be 6, which is spent.
            (12, TokenOutcome.SUCCESS, 7),
        ):
            use = await ask(store, key, SessionDemand(token=token))
            window = None if base is None else advertised(base, 8)
            self.assertEqual(use, SessionUse(RECORD, True, outcome, window), f"token {token}")

    async def test_nothingWanted(self) -> None:
        """
        A request that wants nothing gets the record, and is not told of a window.
        """
        store = self.handle()
        for size in (None, 64):
            key = await openSession(store, size)
            use = await ask(store, key, SessionDemand())
            self.assertEqual(use, SessionUse(RECORD, admitted=True))

    async def test_smallWindows(self) -> None:
        """
        A window of one token shifts each time, one of two as soon as it can.
        """
        store = self.handle()
        key = await openSession(store, 1)
        for token in range(20):
            use = await ask(store, key, SessionDemand(token=token))
            self.assertEqual(use.window, advertised(token + 1, 1))
        key = await openSession(store, 2)
        for token in range(0, 20, 2):
            use = await ask(store, key, SessionDemand(token=token + 1))
            self.assertEqual((use.outcome, use.window), (TokenOutcome.SUCCESS, None))
            use = await ask(store, key, SessionDemand(token=token))
            self.assertEqual(use.window, advertised(token + 2, 2))

    async def test_grant(self) -> None:
        """
        A window that is granted is told, begins behind the end of the old one, and
        takes its place; the first one begins with token 0.
        """
        store = self.handle()
        key = await openSession(store)
        base = 0
        for size in (4, 64, 1, 65536, 2):
            use = await ask(store, key, SessionDemand(windowSize=size))
            self.assertEqual(use, SessionUse(RECORD, True, None, advertised(base, size)))
            for token in (base - 1, base + size):
                use = await ask(store, key, SessionDemand(token=token % TOKEN_MODULUS))
                self.assertIs(use.outcome, TokenOutcome.OUT_OF_WINDOW, f"{token} of {size}")
            use = await ask(store, key, SessionDemand(token=base))
            self.assertIs(use.outcome, TokenOutcome.SUCCESS, f"{base} of {size}")
            # That has shifted it by one.
            base += 1 + size

    async def test_grantWhereItIs(self) -> None:
        """
        The end of a window is where shifts have brought it.
        """
        store = self.handle()
        key = await openSession(store, 8)
        await ask(store, key, SessionDemand(token=7))
        use = await ask(store, key, SessionDemand(windowSize=3))
        self.assertEqual(use.window, advertised(9, 3))

    async def test_spendAndGrant(self) -> None:
        """
        In a request that does both, the token is one of the old window, and the
        new one begins where the old one has come to end.
        """
        store = self.handle()
        key = await openSession(store, 8)
        use = await ask(store, key, SessionDemand(token=0, windowSize=16))
        self.assertEqual(use, SessionUse(RECORD, True, TokenOutcome.SUCCESS, advertised(9, 16)))
        use = await ask(store, key, SessionDemand(token=15, windowSize=4))
        self.assertEqual(use, SessionUse(RECORD, True, TokenOutcome.SUCCESS, advertised(25, 4)))

    async def test_ineligible(self) -> None:
        """
        If the token cannot be spent, no window is granted, and the session does
        not end.
        """
        store = self.handle()
        bare, key = await openSession(store), await openSession(store, 8)
        await ask(store, key, SessionDemand(token=1))
        for session, token, outcome, window in (
            (bare, 0, TokenOutcome.NO_WINDOW, None),
            (key, 1, TokenOutcome.DUPLICATE, None),
            (key, 8, TokenOutcome.OUT_OF_WINDOW, advertised(0, 8)),
        ):
            for windowSize, teardown in ((4, False), (None, True), (4, True)):
                demand = SessionDemand(token, windowSize, teardown)
                use = await ask(store, session, demand)
                self.assertEqual(use, SessionUse(RECORD, True, outcome, window), str(demand))

    async def test_circle(self) -> None:
        """
        Large windows lead around the circle of tokens, and behind its last token
        comes the first one.
        """
        store = self.handle()
        key = await openSession(store, MAX_TOKEN_WINDOW_SIZE)
        base = MAX_TOKEN_WINDOW_SIZE
        for _ in range(9):
            use = await ask(store, key, SessionDemand(windowSize=MAX_TOKEN_WINDOW_SIZE))
            self.assertEqual(use.window, advertised(base, MAX_TOKEN_WINDOW_SIZE))
            for token, outcome in (
                (base - 1, TokenOutcome.OUT_OF_WINDOW),
                (base + MAX_TOKEN_WINDOW_SIZE, TokenOutcome.OUT_OF_WINDOW),
                (base + 5, TokenOutcome.SUCCESS),
                (base + 5, TokenOutcome.DUPLICATE),
            ):
                use = await ask(store, key, SessionDemand(token=token % TOKEN_MODULUS))
                self.assertIs(use.outcome, outcome, f"{token - base} from {base}")
            base = (base + MAX_TOKEN_WINDOW_SIZE) % TOKEN_MODULUS

    async def test_aroundTheEnd(self) -> None:
        """
        A window that contains the end of the circle is like any other.
        """
        store = self.handle()
        key = await openSession(store, MAX_TOKEN_WINDOW_SIZE)
        await ask(store, key, SessionDemand(windowSize=TOKEN_MODULUS - 5 - MAX_TOKEN_WINDOW_SIZE))
        use = await ask(store, key, SessionDemand(windowSize=8))
        self.assertEqual(use.window, advertised(-5, 8))
        for token, outcome, base in (
            (-6, TokenOutcome.OUT_OF_WINDOW, -5),
            (3, TokenOutcome.OUT_OF_WINDOW, -5),
            (0, TokenOutcome.SUCCESS, None),
            (-1, TokenOutcome.SUCCESS, None),
            (0, TokenOutcome.DUPLICATE, None),
            (2, TokenOutcome.SUCCESS, -4),
            (-4, TokenOutcome.SUCCESS, -3),
            (-2, TokenOutcome.SUCCESS, None),
            (-3, TokenOutcome.SUCCESS, 1),
            (0, TokenOutcome.OUT_OF_WINDOW, 1),
            (1, TokenOutcome.SUCCESS, 3),
        ):
            use = await ask(store, key, SessionDemand(token=token % TOKEN_MODULUS))
            window = None if base is None else advertised(base, 8)
            self.assertEqual(use, SessionUse(RECORD, True, outcome, window), f"token {token}")

    async def test_walks(self) -> None:
        """
        In whatever order tokens are spent and windows granted, all comes as
        L{TokenWindow} has it.
        """
        store = self.handle()
        await together(self._walk(store, seed) for seed in range(8))

    async def _walk(self, store: ISessionStore, seed: int) -> None:
        """
        Spend tokens and ask for windows at random, just before the end of the
        circle at first.
        """
        chance = Random(seed)
        key = await openSession(store, MAX_TOKEN_WINDOW_SIZE)
        window = TokenWindow(MAX_TOKEN_WINDOW_SIZE, MAX_TOKEN_WINDOW_SIZE - 60 * seed)
        await ask(store, key, SessionDemand(windowSize=window.size))
        for step in range(100):
            token = windowSize = None
            if chance.random() < 0.95:
                offset = chance.randrange(-3, min(window.size, 70) + 3)
                token = (window.base + offset) % TOKEN_MODULUS
            if step == 5 or chance.random() < 0.05:
                windowSize = chance.randint(1, 70)
            before, outcome = window.base, None if token is None else window.spend(token)
            told = outcome is TokenOutcome.OUT_OF_WINDOW or window.base != before
            if windowSize is not None and outcome in (None, TokenOutcome.SUCCESS):
                window, told = TokenWindow(window.end, windowSize), True
            use = await ask(store, key, SessionDemand(token, windowSize))
            expected = SessionUse(RECORD, True, outcome, window.advertisement if told else None)
            self.assertEqual(use, expected, f"step {step} of seed {seed}")

    # Teardown and expiry.

    async def test_teardown(self) -> None:
        """
        A session that was torn down is not there any more; the request that does
        it still belongs to it.
        """
        store, other = self.handle(), self.handle()
        for demand, outcome, window in (
            (SessionDemand(teardown=True), None, None),
            (SessionDemand(0, None, True), TokenOutcome.SUCCESS, advertised(1, 8)),
            (SessionDemand(None, 4, True), None, advertised(8, 4)),
            (SessionDemand(0, 4, True), TokenOutcome.SUCCESS, advertised(9, 4)),
        ):
            key = await openSession(store, 8)
            use = await ask(store, key, demand)
            self.assertEqual(use, SessionUse(RECORD, True, outcome, window), str(demand))
            for handle in (store, other):
                self.assertIsNone(await handle.use(key, SessionDemand(), ALL, LIMITS.timeout))

    async def test_expiry(self) -> None:
        """
        A session that is not used ends.  To use it renews its time, be it with a
        token that cannot be spent; to try without being admitted does not.
        """
        store, lifetime = self.handle(), self.lifetime
        uses = {
            "nothing": None,
            "wants nothing": (SessionDemand(), ALL),
            "spends": (SessionDemand(token=0), ALL),
            "has no token": (SessionDemand(token=99), ALL),
            "is not admitted": (SessionDemand(token=0), ()),
        }
        keys = await together(openSession(store, 8, timeout=lifetime) for _ in uses)
        await self.elapse(lifetime * 0.6)
        for key, use in zip(keys, uses.values(), strict=True):
            if use is not None:
                await ask(store, key, *use, timeout=lifetime)
        await self.elapse(lifetime * 0.6)
        there = await together(isThere(store, key) for key in keys)
        self.assertEqual(
            dict(zip(uses, there, strict=True)),
            {
                "nothing": False,
                "wants nothing": True,
                "spends": True,
                "has no token": True,
                "is not admitted": False,
            },
        )
        await self.elapse(lifetime)
        self.assertEqual(await together(isThere(store, key) for key in keys), [False] * len(keys))

    async def test_expiryOfCall(self) -> None:
        """
        How long a session lives from now on is up to each call; it does not matter
        how long others live.
        """
        store, lifetime = self.handle(), self.lifetime
        longer, shorter = lifetime * 100, lifetime
        always = await openSession(store, timeout=longer)
        shortened = await openSession(store, timeout=longer)
        prolonged = await openSession(store, timeout=shorter)
        short = await openSession(store, timeout=shorter)
        await ask(store, shortened, SessionDemand(), timeout=shorter)
        await ask(store, prolonged, SessionDemand(), timeout=longer)
        await self.elapse(lifetime * 1.1)
        keys = (always, shortened, prolonged, short)
        self.assertEqual(
            await together(isThere(store, key) for key in keys), [True, False, True, False]
        )

    async def test_roomAfterExpiry(self) -> None:
        """
        A session that has expired counts no more, neither in all nor for its owner.
        """
        store = self.handle()
        owners = (b"user a", b"user a", b"user b")
        limits = SessionLimits(self.lifetime, len(owners), 2)
        for owner in owners:
            self.assertTrue(await mayOpen(store, limits, owner))
        self.assertFalse(await mayOpen(store, limits, b"user b"))
        await self.elapse(self.lifetime * 1.1)
        limits = replace(limits, timeout=LIMITS.timeout)
        for owner, may in ((b"user a", True), (b"user a", True), (b"user a", False)):
            self.assertIs(await mayOpen(store, limits, owner), may)
        for may in (True, False):
            self.assertIs(await mayOpen(store, limits, b"user b"), may)

    # Several at once.

    async def test_handles(self) -> None:
        """
        What one handle has done is there for the others as soon as it says so.
        """
        stores = [self.handle() for _ in range(HANDLES)]
        key = await openSession(stores[0], 64)
        for token in range(20):
            use = await ask(stores[token % HANDLES], key, SessionDemand(token=token))
            self.assertEqual(
                use, SessionUse(RECORD, True, TokenOutcome.SUCCESS, advertised(token + 1, 64))
            )

    async def test_closedHandle(self) -> None:
        """
        To close one handle does not matter to the others, nor to sessions.
        """
        store, other = self.handle(), self.handle()
        key = await openSession(store, 64)
        await ask(store, key, SessionDemand(token=1))
        await store.close()
        use = await ask(other, key, SessionDemand(token=1))
        self.assertIs(use.outcome, TokenOutcome.DUPLICATE)

    async def test_spentFromEverywhere(self) -> None:
        """
        However many spend a token at once, one of them does.
        """
        stores = [self.handle() for _ in range(HANDLES)]
        key = await openSession(stores[0], 64)
        chance = Random(0)
        # The first ones stay below three quarters in whatever order, so that none is
        # lost to a shift.
        for tokens in (range(48), range(48, 64)):
            calls = [(store, token) for store in stores for token in tokens]
            chance.shuffle(calls)
            uses = await together(
                ask(store, key, SessionDemand(token=token)) for store, token in calls
            )
            for token in tokens:
                outcomes = [
                    use.outcome for (_, each), use in zip(calls, uses, strict=True) if each == token
                ]
                self.assertEqual(outcomes.count(TokenOutcome.SUCCESS), 1, f"token {token}")
                self.assertLessEqual(
                    set(outcomes),
                    {TokenOutcome.SUCCESS, TokenOutcome.DUPLICATE, TokenOutcome.OUT_OF_WINDOW},
                )
        use = await ask(stores[0], key, SessionDemand(token=63))
        self.assertEqual(
            use, SessionUse(RECORD, True, TokenOutcome.OUT_OF_WINDOW, advertised(64, 64))
        )

    async def test_grantedFromEverywhere(self) -> None:
        """
        Windows that are granted at once do not overlap.
        """
        stores = [self.handle() for _ in range(HANDLES)]
        key = await openSession(stores[0])
        uses = await together(ask(store, key, SessionDemand(windowSize=16)) for store in stores * 5)
        bases = sorted(use.window.base for use in uses if use.window is not None)
        self.assertEqual(bases, [16 * number for number in range(HANDLES * 5)])

    async def test_openedFromEverywhere(self) -> None:
        """
        However many open a session at once, there are no more than allowed.
        """
        stores = [self.handle() for _ in range(HANDLES)]
        limits = replace(LIMITS, sessions=10)
        opened = await together(mayOpen(store, limits, b"user") for store in stores * 5)
        self.assertEqual(opened.count(True), 10)
        limits = replace(LIMITS, sessionsPerOwner=5)
        opened = await together(mayOpen(store, limits, b"user 2") for store in stores * 5)
        self.assertEqual(opened.count(True), 5)

    async def test_endedFromEverywhere(self) -> None:
        """
        A session ends once, and counts once less.
        """
        stores = [self.handle() for _ in range(HANDLES)]
        limits = replace(LIMITS, sessionsPerOwner=2)
        key = await openSession(stores[0])
        await openSession(stores[0])
        uses = await together(
            store.use(key, SessionDemand(teardown=True), ALL, LIMITS.timeout) for store in stores
        )
        self.assertEqual(len([use for use in uses if use is not None]), 1)
        self.assertTrue(await mayOpen(stores[0], limits, RECORD.owner))
        self.assertFalse(await mayOpen(stores[0], limits, RECORD.owner))

    async def test_cancelled(self) -> None:
        """
        Who does not wait for a call leaves the store in order for those who do.
        """
        store, other = self.handle(), self.handle()
        key = await openSession(store, 64)
        calls = [
            store.use(key, SessionDemand(token=token), ALL, LIMITS.timeout) for token in range(9)
        ]
        for call in calls[::2]:
            call.addErrback(lambda reason: reason.trap(CancelledError))
            call.cancel()
        for token, call in enumerate(calls):
            use = await call
            if token % 2:
                assert use is not None
                self.assertEqual((use.record, use.outcome), (RECORD, TokenOutcome.SUCCESS))
                use = await ask(other, key, SessionDemand(token=token))
                self.assertIsNot(use.outcome, TokenOutcome.SUCCESS, f"token {token}")
