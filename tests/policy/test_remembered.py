"""
Tests of L{socks6.policy.remembered}.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.remembered import RememberedLogins


class RememberedLoginsTests(SynchronousTestCase):
    """
    Right logins are remembered for a while.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.logins = RememberedLogins(self.clock, 60.0, 3)

    def test_digests(self) -> None:
        """
        A digest depends on every part and where it ends, and on who makes it.
        """
        digest = self.logins.digest(b"ada", b"s3cret")
        self.assertEqual(len(digest), 32)
        self.assertEqual(self.logins.digest(b"ada", b"s3cret"), digest)
        self.assertNotEqual(self.logins.digest(b"adas", b"3cret"), digest)
        self.assertNotEqual(self.logins.digest(b"ada", b"s3creT"), digest)
        self.assertNotEqual(RememberedLogins(self.clock).digest(b"ada", b"s3cret"), digest)

    def test_while(self) -> None:
        """
        A login is remembered for so long, and nothing of it is left then.
        """
        self.assertFalse(self.logins.knows(b"ada"))
        self.logins.remember(b"ada")
        self.assertTrue(self.logins.knows(b"ada"))
        self.assertFalse(self.logins.knows(b"eve"))
        self.clock.advance(59.9)
        self.assertTrue(self.logins.knows(b"ada"))
        self.clock.advance(0.1)
        self.assertFalse(self.logins.knows(b"ada"))
        self.assertEqual(self.logins._until, {})

    def test_again(self) -> None:
        """
        Only a login that was verified again is remembered for longer.
        """
        self.logins.remember(b"ada")
        self.logins.remember(b"eve")
        self.clock.advance(30)
        self.logins.remember(b"ada")
        self.clock.advance(30)
        self.assertTrue(self.logins.knows(b"ada"))
        self.assertFalse(self.logins.knows(b"eve"))

    def test_bounded(self) -> None:
        """
        When there are too many, the oldest one is forgotten.
        """
        for digest in (b"1", b"2", b"3", b"1", b"4"):
            self.logins.remember(digest)
        known = [digest for digest in (b"1", b"2", b"3", b"4") if self.logins.knows(digest)]
        self.assertEqual(known, [b"1", b"3", b"4"])

    def test_forgetAll(self) -> None:
        """
        All can be forgotten.
        """
        self.logins.remember(b"ada")
        self.logins.forgetAll()
        self.assertFalse(self.logins.knows(b"ada"))
