"""
Tests of L{socks6.text}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.text import octets, words
from socks6.values.codes import Command, ReplyCode


class TextTests(SynchronousTestCase):
    """
    Text and octets.
    """

    def test_octets(self) -> None:
        """
        Text becomes UTF-8; octets stay as they are, even if they are not.
        """
        self.assertEqual(octets("zoë"), b"zo\xc3\xab")
        self.assertEqual(octets(b"zo\xeb"), b"zo\xeb")

    def test_words(self) -> None:
        """
        A number that has a name is called so.
        """
        self.assertEqual(words(Command.UDP_ASSOCIATE), "udp associate")
        self.assertEqual(words(ReplyCode.SUCCESS), "success")
        self.assertEqual(words(153), "153")
