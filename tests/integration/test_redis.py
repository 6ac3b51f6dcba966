"""
Tests for sessions in a real Redis server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionLimits,
    SessionStoreFailed,
    SessionUse,
)
from socks6.machine.tokens import TokenWindow
from socks6.policy.stores.redis import connection
from socks6.policy.stores.strings import storeFromString
from socks6.values.codes import MAX_TOKEN_WINDOW_SIZE, TOKEN_MODULUS, TokenOutcome
from tests.integration import sharing
from tests.integration.certificates import Authority
from tests.integration.peers import DEADLINE, SESSION_REQUEST, listen, placeOf
from tests.integration.redisserver import RedisProcess
from tests.integration.sharing import OUT_OF_ORDER, WITHIN
from tests.integration.twistd import Twistd
from tests.policy.stores import calls, suite
from tests.policy.stores.calls import ALL, LIMITS, RECORD, isThere, newKey, together

#: What a user needs to be allowed.
RIGHTS = (
    "on >sesame ~socks6:* +eval +evalsha +select +ping +time +hget +hmget +hset +hlen +hkeys"
    " +hdel +del"
    " +pexpireat +pttl +zadd +zcard +zcount +zrem +zremrangebyrank"
)


class RedisCase(TestCase):
    """
    A test with stores and servers.
    """

    def connect(self, description: str) -> ISessionStore:
        """
        Make a store, which is closed in the end.
        """
        from twisted.internet import reactor

        store = storeFromString(description)(reactor)
        self.addCleanup(store.close)
        return store

    async def sleep(self, seconds: float) -> None:
        """
        Let time pass.
        """
        from twisted.internet import reactor

        await deferLater(reactor, seconds)

    def hurry(self) -> None:
        """
        Let requests take a short time only.
        """
        self.patch(connection, "REQUEST_TIMEOUT", 0.5)

    async def assertFails(self, call: Deferred[Any], words: str) -> None:
        """
        Wait for a call that fails for the right reason.
        """
        error = await self.assertFailure(call, SessionStoreFailed)
        self.assertIn(words, str(error))

    async def untilServed(self, store: ISessionStore) -> None:
        """
        Wait until the store works.
        """
        for _ in range(int(DEADLINE / 0.05)):
            try:
                await store.open(newKey(), RECORD, None, LIMITS)
            except SessionStoreFailed:
                await self.sleep(0.05)
            else:
                return
        self.fail("the store does not work")


class StoreTests(suite.StoreTests, RedisCase):
    """
    What every store does, and the database holds.
    """

    def setUp(self) -> None:
        self.server = RedisProcess(self)

    def makeStore(self) -> ISessionStore:
        """
        Give a further store on the same server.
        """
        return self.connect(self.server.url)

    async def elapse(self, seconds: float) -> None:
        """
        Make everything older.
        """
        self.server.age(seconds)

    async def openAt(self, store: ISessionStore, base: int, size: int) -> bytes:
        """
        Open a session that has some window.

        @return: Its key.
        """
        key = newKey()
        # Windows that lead there, each behind the one before.
        first = min(base, MAX_TOKEN_WINDOW_SIZE)
        sizes = [each for each in (first, base - first, size) if each]
        sizes = [*_split(sizes[:-1]), size]
        await store.open(key, RECORD, sizes[0], LIMITS)
        for each in sizes[1:]:
            await calls.ask(store, key, SessionDemand(windowSize=each))
        return key

    async def test_smallAsTokenWindow(self) -> None:
        """
        In whatever order the tokens of a small window are spent, all comes as
        L{TokenWindow} has it, at the edge of a chunk and at the end of the circle.
        """
        store, chance = self.handle(), Random(5)
        for size in range(1, 10):
            for base in (510, TOKEN_MODULUS - 2):
                for _ in range(6):
                    key = await self.openAt(store, base, size)
                    await self._spendAtRandom(
                        store, key, TokenWindow(base, size), 30, [size + 1], chance
                    )

    async def test_largeAsTokenWindow(self) -> None:
        """
        The same in windows of many chunks.
        """
        store, chance = self.handle(), Random(6)
        for base, size, count in (
            (0, 512, 900),
            (TOKEN_MODULUS - 700, 513, 2000),
            (2**31 - 1500, 2000, 4000),
            (77, 65536, 2000),
        ):
            key = await self.openAt(store, base, size)
            reaches = [2, 9, 600, size + 2]
            await self._spendAtRandom(store, key, TokenWindow(base, size), count, reaches, chance)

    async def _spendAtRandom(
        self,
        store: ISessionStore,
        key: bytes,
        window: TokenWindow,
        count: int,
        reaches: Sequence[int],
        chance: Random,
    ) -> None:
        """
        Spend tokens at random, many at once, and compare what comes of it and what
        the database holds in the end.

        @param reaches: How far up tokens are spent; for a while one, then another.
        """
        name = f"{window.size} from {window.base}"
        reach = reaches[-1]
        for begin in range(0, count, 500):
            demands, expected = [], []
            for _ in range(begin, min(begin + 500, count)):
                if chance.random() < 0.05:
                    reach = chance.choice(reaches)
                token = (window.base + chance.randrange(-1, reach)) % TOKEN_MODULUS
                demands.append(SessionDemand(token=token))
                before = window.base
                outcome = window.spend(token)
                told = outcome is TokenOutcome.OUT_OF_WINDOW or window.base != before
                advertised = window.advertisement if told else None
                expected.append(SessionUse(RECORD, True, outcome, advertised))
            uses = await together(calls.ask(store, key, demand) for demand in demands)
            for demand, got, due in zip(demands, uses, expected, strict=True):
                self.assertEqual(got, due, f"{demand} in {name}")
            self.assertEqual(self._spentIn(key), _spentOf(window), name)

    def _spentIn(self, key: bytes) -> set[int]:
        """
        Find the spent tokens of a session's window in the database.
        """
        fields = self.server.ask("HGETALL", f"socks6:session:{key.hex()}")
        session = dict(zip(fields[::2], fields[1::2], strict=True))
        base, size = int(session[b"base"]), int(session[b"size"])
        spent = set()
        for name, octets in session.items():
            if name.isdigit():
                self.assertLessEqual(len(octets), 64)
                last = int(name) * 512 + 511
                self.assertLess((last - base) % TOKEN_MODULUS, size + 511, "it is of no use")
                for place in range(len(octets) * 8):
                    token = int(name) * 512 + place
                    inside = (token - base) % TOKEN_MODULUS < size
                    if inside and octets[place >> 3] >> (place & 7) & 1:
                        spent.add(token)
        return spent

    async def test_untouched(self) -> None:
        """
        A window takes no room for tokens that are not spent, and little for one that
        is far up.
        """
        store = self.handle()
        key = await calls.openSession(store, MAX_TOKEN_WINDOW_SIZE)
        name = f"socks6:session:{key.hex()}"
        fields = {b"record", b"trust", b"owner", b"base", b"size"}
        self.assertEqual(set(self.server.ask("HKEYS", name)), fields)
        before = self.server.ask("MEMORY", "USAGE", name)
        await calls.ask(store, key, SessionDemand(token=1_000_000))
        self.assertLess(self.server.ask("MEMORY", "USAGE", name), before + 200)
        # This shifts the window past the other one.
        last = MAX_TOKEN_WINDOW_SIZE - 1
        await calls.ask(store, key, SessionDemand(token=last))
        self.assertEqual(set(self.server.ask("HKEYS", name)), {*fields, b"%d" % (last // 512)})
        await calls.ask(store, key, SessionDemand(windowSize=8))
        self.assertEqual(set(self.server.ask("HKEYS", name)), fields)

    async def test_chunksGivenUp(self) -> None:
        """
        To give up chunks takes as many steps as the window shifts by chunks, or as
        there are, whichever is less.
        """
        store = self.handle()
        key = await calls.openSession(store, MAX_TOKEN_WINDOW_SIZE)
        await together(
            calls.ask(store, key, SessionDemand(token=512 * number + 5)) for number in range(50)
        )
        await together(calls.ask(store, key, SessionDemand(token=token)) for token in range(515))
        self.assertEqual(self._stepsOf("hdel"), 1)
        self.assertEqual(self._stepsOf("hkeys"), 0)
        await calls.ask(store, key, SessionDemand(token=MAX_TOKEN_WINDOW_SIZE - 1))
        self.assertEqual(self._stepsOf("hdel"), 50)
        self.assertEqual(self._stepsOf("hkeys"), 1)

    async def test_chunksAroundTheEnd(self) -> None:
        """
        Chunks on both sides of the circle's end are given up.
        """
        store, base = self.handle(), TOKEN_MODULUS - 1000
        key = await self.openAt(store, base, 6100)
        # The last one shifts the window to token 524.
        for offset in (1, 999, 1005, 6099):
            await calls.ask(store, key, SessionDemand(token=(base + offset) % TOKEN_MODULUS))
        self.assertEqual(self._spentIn(key), {5099})

    def _stepsOf(self, command: str) -> int:
        """
        Tell how often a command has been carried out.
        """
        statistics = self.server.ask("INFO", "commandstats").decode()
        match = re.search(rf"^cmdstat_{command}:calls=(\d+)", statistics, re.MULTILINE)
        return 0 if match is None else int(match[1])

    async def test_nothingLeft(self) -> None:
        """
        When all sessions have ended, by teardown or by themselves, the database is
        empty, without any further call.
        """
        store = self.handle()
        keys = [newKey() for _ in range(20)]
        await together(
            store.open(key, calls.record(b"user %d" % (number % 3)), 64, LIMITS)
            for number, key in enumerate(keys)
        )
        self.assertEqual(self.server.ask("DBSIZE"), len(keys) + 4)
        demands = [SessionDemand(token=60), SessionDemand(windowSize=5), SessionDemand()]
        for demand in demands:
            await together(store.use(key, demand, ALL, 0.5) for key in keys[5:])
        await together(
            store.use(key, SessionDemand(teardown=True), ALL, LIMITS.timeout) for key in keys[:10]
        )
        self.assertEqual(self.server.ask("ZCARD", "socks6:sessions"), 10)
        self.server.age(LIMITS.timeout - 0.5)
        for _ in range(int(DEADLINE / 0.05)):
            if not self.server.ask("DBSIZE"):
                break
            await self.sleep(0.05)
        self.assertEqual(self.server.ask("KEYS", "*"), [])

    async def test_whoCounts(self) -> None:
        """
        A session counts as long as it lives, and no longer, whether others of its
        owner end sooner or later.
        """
        store = self.handle()
        for owner, first, later in ((b"user a", 6000.0, 6000.0), (b"user b", 600.0, 6000.0)):
            long = await calls.openSession(store, None, calls.record(owner), first)
            short = await calls.openSession(store, None, calls.record(owner), 600.0)
            await store.use(long, SessionDemand(), ALL, later)
            await store.use(short, SessionDemand(), ALL, 600.0)
        self.server.age(1000.0)
        for owner in (b"user a", b"user b"):
            for most, may in ((1, False), (2, True)):
                limits = SessionLimits(600.0, 1000, most)
                self.assertIs(await calls.mayOpen(store, limits, owner), may, owner.decode())
        for most, may in ((4, False), (5, True)):
            limits = SessionLimits(600.0, most, 1000)
            self.assertIs(await calls.mayOpen(store, limits, b"user c"), may)

    async def test_expiredGoSlowly(self) -> None:
        """
        However many have expired, to open a session takes only some of them away;
        none of them counts.
        """
        store = self.handle()
        await together(
            store.open(newKey(), calls.record(b"user %d" % number), None, LIMITS)
            for number in range(50)
        )
        self.server.ask("PERSIST", "socks6:sessions")
        self.server.ask("EVAL", "redis.call('ZADD', KEYS[1], 1, 'x')", 1, "socks6:sessions")
        members = self.server.ask("ZRANGE", "socks6:sessions", 0, -1)
        for member in members:
            self.server.ask("ZADD", "socks6:sessions", 1, member.decode())
        limits = SessionLimits(LIMITS.timeout, 1, 1)
        await store.open(newKey(), RECORD, None, limits)
        self.assertEqual(self.server.ask("ZCARD", "socks6:sessions"), 51 - 10 + 1)

    async def test_databases(self) -> None:
        """
        The sessions of one database are not those of another one.
        """
        store, other = self.handle(), self.connect(f"{self.server.url}/3")
        key = await calls.openSession(other)
        self.assertFalse(await isThere(store, key))
        self.assertEqual(self.server.ask("DBSIZE"), 0)
        self.assertEqual(self.server.ask("DBSIZE", database=3), 3)
        none = self.connect(f"{self.server.url}/99")
        await self.assertFails(none.open(newKey(), RECORD, None, LIMITS), "it refuses SELECT (ERR)")

    async def test_rights(self) -> None:
        """
        A user who may do what we need, and nothing else, is enough; without the right
        password it is none.
        """
        self.server.ask("ACL", "SETUSER", "ann", *RIGHTS.split())
        place = f"127.0.0.1:{self.server.port}"
        store = self.connect(f"redis://ann:sesame@{place}/5")
        key = await calls.openSession(store, 600)
        for demand in (
            SessionDemand(token=599),
            SessionDemand(token=0),
            SessionDemand(windowSize=9),
            SessionDemand(teardown=True),
        ):
            await calls.ask(store, key, demand)
        await self._expiredOne(store)
        wrong = self.connect(f"redis://ann:open@{place}")
        await self.assertFails(
            wrong.open(newKey(), RECORD, None, LIMITS), "it refuses AUTH (WRONGPASS)"
        )

    async def _expiredOne(self, store: ISessionStore) -> None:
        """
        Let a session expire, and open another one.
        """
        await calls.openSession(store, timeout=0.001)
        await self.sleep(0.01)
        await calls.openSession(store)


class FailureTests(RedisCase):
    """
    What may happen to a server.
    """

    async def test_killed(self) -> None:
        """
        What was acknowledged by a server that writes all down at once is there when it
        has been killed and started again, and the store finds it.
        """
        server = RedisProcess(self, "--appendonly", "yes", "--appendfsync", "always")
        store = self.connect(server.url)
        key = await calls.openSession(store, 4096)
        ended = await calls.openSession(store)
        await calls.ask(store, ended, SessionDemand(teardown=True))
        acknowledged = []

        async def spend(token: int) -> None:
            use = await store.use(key, SessionDemand(token=token), ALL, LIMITS.timeout)
            if use is not None and use.outcome is TokenOutcome.SUCCESS:
                acknowledged.append(token)

        await together(spend(token) for token in range(1, 600, 2))
        waiting = [Deferred.fromCoroutine(spend(token)) for token in range(2, 600, 2)]
        await self.sleep(0.005)
        server.kill()
        for each in waiting:
            each.addErrback(lambda reason: reason.trap(SessionStoreFailed))
            await each
        self.assertTrue(server.start())
        await self.untilServed(store)
        self.assertFalse(await isThere(store, ended))
        self.assertGreaterEqual(len(acknowledged), 300)
        for token in acknowledged:
            use = await calls.ask(store, key, SessionDemand(token=token))
            self.assertIs(use.outcome, TokenOutcome.DUPLICATE, f"token {token}")

    async def test_comesLater(self) -> None:
        """
        The server may start after us; meanwhile calls fail at once.
        """
        server = RedisProcess(self)
        server.kill()
        store = self.connect(server.url)
        store.start()
        for _ in range(3):
            await self.assertFails(store.open(newKey(), RECORD, None, LIMITS), "Connection refused")
        self.assertTrue(server.start())
        await self.untilServed(store)

    async def test_frozen(self) -> None:
        """
        A server that hangs is given up, and found again when it goes on.
        """
        self.hurry()
        server = RedisProcess(self)
        store = self.connect(server.url)
        key = await calls.openSession(store, 64)
        server.freeze()
        demand = SessionDemand(token=0)
        await self.assertFails(store.use(key, demand, ALL, 600.0), "does not answer")
        await self.assertFails(store.use(key, demand, ALL, 600.0), "cannot be reached")
        server.thaw()
        await self.untilServed(store)
        # It may have been carried out nevertheless, but once.
        use = await calls.ask(store, key, demand)
        self.assertIn(use.outcome, (TokenOutcome.SUCCESS, TokenOutcome.OUT_OF_WINDOW))
        use = await calls.ask(store, key, demand)
        self.assertIs(use.outcome, TokenOutcome.OUT_OF_WINDOW)

    async def test_paused(self) -> None:
        """
        The same goes for one that lets its clients wait.
        """
        self.hurry()
        server = RedisProcess(self)
        store = self.connect(server.url)
        await self.untilServed(store)
        server.ask("CLIENT", "PAUSE", 1500)
        await self.assertFails(store.open(newKey(), RECORD, None, LIMITS), "does not answer")
        await self.untilServed(store)

    async def test_disconnected(self) -> None:
        """
        One that drops its clients is connected to again, and nobody notices who asks
        for nothing at that moment.
        """
        server = RedisProcess(self)
        store = self.connect(server.url)
        for _ in range(3):
            key = await calls.openSession(store)
            server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await self.sleep(0.05)
            self.assertTrue(await isThere(store, key))

    async def test_forgetsScripts(self) -> None:
        """
        A server that has forgotten our scripts is told them again.
        """
        server = RedisProcess(self)
        store = self.connect(server.url)
        key = await calls.openSession(store, 64)
        for token in range(10):
            server.ask("SCRIPT", "FLUSH")
            uses = await together(
                calls.ask(store, key, SessionDemand(token=each))
                for each in (token * 3, token * 3 + 1, token * 3 + 2)
            )
            for use in uses:
                self.assertIs(use.outcome, TokenOutcome.SUCCESS)
            server.ask("SCRIPT", "FLUSH")
            await calls.openSession(store)

    async def test_outOfMemory(self) -> None:
        """
        A server that takes nothing any more carries out a call that would need memory
        not even in part.
        """
        server = RedisProcess(self)
        store = self.connect(server.url)
        key = await calls.openSession(store, 64)
        server.ask("CONFIG", "SET", "maxmemory", 1)
        for call in (
            store.use(key, SessionDemand(5), ALL, LIMITS.timeout),
            store.use(key, SessionDemand(5, 9), ALL, LIMITS.timeout),
            store.use(key, SessionDemand(0, None, True), ALL, LIMITS.timeout),
            store.open(newKey(), RECORD, 64, LIMITS),
        ):
            await self.assertFails(call, "refuses to serve (OOM)")
        use = await calls.ask(store, key, SessionDemand())
        self.assertEqual(use, SessionUse(RECORD, True))
        server.ask("CONFIG", "SET", "maxmemory", 0)
        use = await calls.ask(store, key, SessionDemand(token=5))
        self.assertEqual(use, SessionUse(RECORD, True, TokenOutcome.SUCCESS))
        self.assertEqual(server.ask("ZCARD", "socks6:sessions"), 1)

    async def test_replica(self) -> None:
        """
        A server that becomes a replica is left, and of use as soon as it is none.
        """
        server = RedisProcess(self)
        store = self.connect(server.url)
        await self.untilServed(store)
        with listen() as listener:
            server.ask("REPLICAOF", *placeOf(listener))
            await self.assertFails(
                store.open(newKey(), RECORD, None, LIMITS), "refuses to serve (READONLY)"
            )
            server.ask("REPLICAOF", "NO", "ONE")
        await self.untilServed(store)

    async def test_password(self) -> None:
        """
        A server with a password lets in who knows it.
        """
        server = RedisProcess(self, "--requirepass", "ses@me")
        place = f"127.0.0.1:{server.port}"
        await self.untilServed(self.connect(f"redis://:ses%40me@{place}"))
        for credentials, words in (
            ("", "it refuses PING (NOAUTH)"),
            (":sesame@", "it refuses AUTH (WRONGPASS)"),
        ):
            store = self.connect(f"redis://{credentials}{place}")
            await self.assertFails(store.open(newKey(), RECORD, None, LIMITS), words)

    async def test_unix(self) -> None:
        """
        A server may be reached over a UNIX socket.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/socket"
        store = self.connect(f"unix:{path}?db=2")
        await self.assertFails(store.open(newKey(), RECORD, None, LIMITS), "No such file")
        server = RedisProcess(self, "--unixsocket", path)
        await self.untilServed(store)
        self.assertEqual(server.ask("DBSIZE", database=2), 3)

    async def test_tls(self) -> None:
        """
        Over TLS, the server must show a certificate that is meant for it and comes
        from somebody whom we trust.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        authority = Authority(Path(folder.name))
        stranger = Authority(Path(folder.name), "stranger")
        with listen() as listener:
            _, port = placeOf(listener)
        RedisProcess(self, *_tlsArguments(port, authority))
        for host in ("localhost", "127.0.0.1"):
            store = self.connect(f"rediss://{host}:{port}/4?ca={authority.path}")
            key = await calls.openSession(store, 64)
            use = await calls.ask(store, key, SessionDemand(token=0))
            self.assertIs(use.outcome, TokenOutcome.SUCCESS)
            await store.close()
        for description, words in (
            (f"rediss://localhost:{port}?ca={stranger.path}", "certificate verify failed"),
            (f"rediss://localhost:{port}", "certificate verify failed"),
            (f"rediss://127.0.0.2:{port}?ca={authority.path}", "VerificationError"),
            (f"redis://127.0.0.1:{port}", "cannot be reached"),
        ):
            store = self.connect(description)
            await self.assertFails(store.open(newKey(), RECORD, None, LIMITS), words)


class ProxyTests(sharing.SharingCases):
    """
    Proxies with sessions in a server.
    """

    def setUp(self) -> None:
        self.server = RedisProcess(self)

    def store(self) -> str:
        """
        Give the server.
        """
        return self.server.url

    def test_away(self) -> None:
        """
        While the server is away, requests without a session are served, and nobody
        gets one; those in a session are told that nothing was done.  When it is back,
        so are the sessions.  The log has a line for each.
        """
        self.server.kill()
        twistd = Twistd(self, "--port=0", f"--sessions={self.server.url}")
        (place,) = twistd.places()
        line = twistd.waitForLine("cannot be reached")
        self.assertIn(f"{self.server.url}/0 cannot be reached", line)
        self.assertEqual(sharing.ask(place).code, 0)
        answer = sharing.ask(place, SESSION_REQUEST)
        self.assertEqual((answer.code, answer.verdict.identifier), (0, None))
        self.assertEqual(sharing.use(place, b"x" * 16), OUT_OF_ORDER)
        self.assertTrue(self.server.start())
        twistd.waitForLine("can be reached again")
        self.assertEqual(sharing.use(place, sharing.openSession(place)), WITHIN)
        twistd.stop()
        self.assertEqual(twistd.output().count(".RedisConnection#"), 2, twistd.output())
        self.assertNotIn("Traceback", twistd.output())

    def test_passwords(self) -> None:
        """
        A mistake is one line, and exit status 1; the log tells when the password is
        wrong.  Neither has the password.
        """
        self.server.ask("CONFIG", "SET", "requirepass", "sesame")
        place = f"127.0.0.1:{self.server.port}"
        wrong = Twistd(self, "--port=0", f"--sessions=redis://:0pen@{place}")
        wrong.waitForLine("it refuses AUTH (WRONGPASS)")
        mistaken = Twistd(self, "--port=0", f"--sessions=redis://:0p/n@{place}")
        self.assertEqual(mistaken.wait(), 1)
        (line,) = mistaken.output().splitlines()
        self.assertIn("--sessions is not of the form redis://", line)
        right = Twistd(self, "--port=0", f"--sessions=redis://:sesame@{place}")
        sharing.openSession(right.places()[0])
        for twistd in (wrong, mistaken, right):
            twistd.kill()
            for secret in ("0pen", "0p/n", "sesame"):
                self.assertNotIn(secret, twistd.output())


def _split(sizes: Sequence[int]) -> list[int]:
    """
    Cut what is too large for a window.
    """
    largest = MAX_TOKEN_WINDOW_SIZE
    return [part for size in sizes for part in (min(size, largest), size - largest) if part > 0]


def _spentOf(window: TokenWindow) -> set[int]:
    """
    Find the spent tokens of a window.
    """
    first = window.base & ~7
    return {
        (first + place) % TOKEN_MODULUS
        for place in range(window.base & 7, len(window.spent) * 8)
        if window.spent[place >> 3] >> (place & 7) & 1
    }


def _tlsArguments(port: int, authority: Authority) -> list[str]:
    """
    Let a server listen with TLS.
    """
    server = authority.server().path
    files = {"cert": server, "key": server, "ca-cert": authority.path}
    arguments = [
        "--tls-port",
        str(port),
        "--tls-auth-clients",
        "no",
        "--bind",
        "127.0.0.1 127.0.0.2",
    ]
    for name, path in files.items():
        arguments += [f"--tls-{name}-file", str(path)]
    return arguments
