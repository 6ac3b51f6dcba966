"""
Tests of L{socks6.wire.framing}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.wire.errors import MalformedMessage
from socks6.wire.framing import checkWhole
from tests.raising import errorOf


class CheckWholeTests(SynchronousTestCase):
    """
    L{checkWhole} tells one message from less and from more.
    """

    def test_whole(self) -> None:
        """
        One message is fine.
        """
        for size in range(4):
            checkWhole(bytes(size), size)

    def test_lessAndMore(self) -> None:
        """
        Less and more are malformed; the error quotes no octets.
        """
        for length in (0, 5, 7, 16384):
            error = errorOf(MalformedMessage, checkWhole, b"s3cret", length)
            self.assertIsNotNone(error, f"{length}")
            self.assertNotIn("s3cret", f"{error!r}")
