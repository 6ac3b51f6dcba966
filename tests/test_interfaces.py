"""
Tests of L{socks6.interfaces}.
"""

from __future__ import annotations

from twisted.internet.error import ConnectError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import IOutbound, OutboundFailed
from socks6.values.codes import ReplyCode
from socks6.wire.errors import PeerError, SOCKS6Error
from tests.doubles import MemoryOutbound, Network


class OutboundTests(SynchronousTestCase):
    """
    What users may implement.
    """

    def test_failure(self) -> None:
        """
        A failure to connect is one that callers of Twisted's endpoints know,
        and one of ours, but not a peer's fault; it tells the reply code and the
        reason.
        """
        failure = OutboundFailed(ReplyCode.HOST_UNREACHABLE, "no route")
        self.assertIsInstance(failure, ConnectError)
        self.assertIsInstance(failure, SOCKS6Error)
        self.assertNotIsInstance(failure, PeerError)
        self.assertIs(failure.replyCode, ReplyCode.HOST_UNREACHABLE)
        self.assertIn("no route", str(failure))

    def test_double(self) -> None:
        """
        The outbound of our own tests is what it says.
        """
        self.assertTrue(verifyObject(IOutbound, MemoryOutbound(Network())))
