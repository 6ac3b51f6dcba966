"""
Tests for what is kept of early data.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.client.early import EARLY_DATA_LIMIT, EarlyData


class EarlyDataTests(SynchronousTestCase):
    """
    L{EarlyData}
    """

    def setUp(self) -> None:
        """
        Have some.
        """
        self.early = EarlyData()

    def test_nothing(self) -> None:
        """
        At first, nothing is kept.
        """
        self.early.add(b"hello")
        self.early.limit()
        self.assertFalse(self.early.isKept)
        self.assertEqual(self.early.octets, b"")

    def test_keep(self) -> None:
        """
        What is added from then on is kept, in its order.
        """
        self.early.add(b"before ")
        self.early.keep()
        self.assertTrue(self.early.isKept)
        self.assertEqual(self.early.octets, b"")
        self.early.add(b"one ")
        self.early.add(b"two")
        self.assertEqual(self.early.octets, b"one two")
        self.assertEqual(self.early.octets, b"one two")

    def test_forget(self) -> None:
        """
        It can be forgotten, and then nothing is kept.
        """
        self.early.keep()
        self.early.add(b"one")
        self.early.forget()
        self.early.add(b"two")
        self.assertFalse(self.early.isKept)
        self.assertEqual(self.early.octets, b"")

    def test_limit(self) -> None:
        """
        All of it is forgotten if it is too much: a part of it is of no use.
        """
        self.early.keep()
        self.early.add(bytes(EARLY_DATA_LIMIT))
        self.early.limit()
        self.assertTrue(self.early.isKept)
        self.early.add(b"x")
        self.assertEqual(len(self.early.octets), EARLY_DATA_LIMIT + 1)
        self.early.limit()
        self.assertFalse(self.early.isKept)
        self.assertEqual(self.early.octets, b"")
