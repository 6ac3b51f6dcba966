"""
Tests of L{socks6.policy.stores.redis}, as far as they need no server; what the
server does is tested in C{tests/integration/test_redis.py}.
"""

from __future__ import annotations

from dataclasses import replace

from zope.interface.verify import verifyObject

from socks6.interfaces import (
    ISessionStore,
    SessionDemand,
    SessionRecord,
    SessionsExhausted,
    SessionTrust,
    SessionUse,
)
from socks6.policy.stores.redis.store import MAX_LIFETIME
from socks6.values.codes import TokenOutcome
from tests.policy.stores.calls import ALL, LIMITS, RECORD, advertised, newKey
from tests.policy.stores.redis.resp import RedisTestCase


class RedisStoreTests(RedisTestCase):
    """
    What is asked and answered.
    """

    def test_interface(self) -> None:
        """
        It is a session store.
        """
        self.assertTrue(verifyObject(ISessionStore, self.store))

    def test_answers(self) -> None:
        """
        The answers of several requests in flight reach those who have asked.
        """
        self.assertServed()
        opened, used, refused = self.open(), self.use(), self.open()
        self.network.spin()
        self.server.peer.send(
            b":1\r\n+1 3 4294967295 8 2 user%20x 2 a%00b fe80::1%25eth0\r\n:0\r\n"
        )
        self.assertIsNone(self.successResultOf(opened))
        record = SessionRecord(2, b"a\0b", "fe80::1%eth0", SessionTrust.EVERYWHERE, b"user x")
        self.assertEqual(
            self.successResultOf(used),
            SessionUse(record, True, TokenOutcome.OUT_OF_WINDOW, advertised(-1, 8)),
        )
        self.failureResultOf(refused, SessionsExhausted)

    def test_lifetime(self) -> None:
        """
        However long a session may live, Redis can count it; none lives for no time.
        """
        for seconds, lifetime in (
            (1e308, MAX_LIFETIME),
            (2.0**63, MAX_LIFETIME),
            (600.0, 600_000),
            (0.0001, 1),
        ):
            self.store.open(newKey(), RECORD, None, replace(LIMITS, timeout=seconds))
            self.store.use(newKey(), SessionDemand(), ALL, seconds)
            self.server.serve()
            for command in self.server.commands[-2:]:
                # Name, script, number of keys, keys, session, lifetime.
                self.assertEqual(command[4 + int(command[2])], b"%d" % lifetime)
