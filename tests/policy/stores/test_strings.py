"""
Tests of L{socks6.policy.stores.strings}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import ISessionStore
from socks6.policy.stores.memory import MemorySessionStore
from socks6.policy.stores.redis.store import RedisSessionStore
from socks6.policy.stores.sqlite import SQLiteSessionStore
from socks6.policy.stores.strings import storeFromString
from tests.doubles import Network
from tests.raising import errorOf


class StoreTests(SynchronousTestCase):
    """
    What comes of a description.
    """

    def test_kinds(self) -> None:
        """
        Each kind of store has its forms.
        """
        file = self.mktemp()
        for description, kind in (
            ("memory:", MemorySessionStore),
            (f"sqlite:{file}", SQLiteSessionStore),
            ("redis://localhost", RedisSessionStore),
            ("rediss://localhost:6380/1", RedisSessionStore),
            ("unix:/run/redis.sock", RedisSessionStore),
        ):
            store = storeFromString(description)(Network())
            self.assertIs(type(store), kind)
            self.assertTrue(verifyObject(ISessionStore, store))

    def test_neither(self) -> None:
        """
        Anything else is told what there is; nothing of it is repeated.
        """
        for description in (
            "",
            "sesame",
            "memory:sesame",
            "sqlite",
            "sqlite:",
            "Memory:",
            "http://ann:sesame@localhost",
            "//:sesame@localhost",
        ):
            error = errorOf(ValueError, storeFromString, description)
            self.assertEqual(
                str(error),
                "--sessions is none of memory:, sqlite:PATH, redis://HOST:PORT/DB,"
                " rediss://HOST:PORT/DB and unix:PATH",
                description,
            )

    def test_noFolder(self) -> None:
        """
        A file must have a folder to be in.
        """
        folder = Path(self.mktemp()).absolute()
        error = errorOf(ValueError, storeFromString, f"sqlite:{folder}/sessions")
        self.assertEqual(str(error), f"--sessions: there is no folder {folder}")
