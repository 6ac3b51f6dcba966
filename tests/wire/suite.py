"""
What must hold for every kind of message, of whatever protocol.

A module that tests one makes a test case of each mix-in here, and says which are
its messages and rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from socks6.wire.errors import MalformedMessage, PeerError
from tests.raising import errorOf
from tests.wire.spelling import Golden, Rule, received

if TYPE_CHECKING:
    _TestCase = SynchronousTestCase
else:
    # Not a test case: trial runs those wherever a module imports them.
    _TestCase = object


class LengthSuite(_TestCase):
    """
    Each length function finds the end of its message, however it arrives.

    @cvar GOLDENS: The messages.
    """

    GOLDENS: Sequence[Golden]

    def test_everyPrefix(self) -> None:
        """
        While a message is not whole more octets are asked for than there are,
        never more than the message has, and never fewer than before.
        """
        for golden in self.GOLDENS:
            asked = 1
            for cut in range(len(golden.octets)):
                case = f"{golden.name}, cut at {cut}"
                needed = golden.spelling.length(golden.octets[:cut])
                self.assertGreater(needed, cut, case)
                self.assertGreaterEqual(needed, asked, case)
                asked = needed
            self.assertLessEqual(asked, len(golden.octets), golden.name)

    def test_asked(self) -> None:
        """
        As many octets are asked for as must be there to tell more of the
        length, and no more.
        """
        for golden in self.GOLDENS:
            asked = [golden.spelling.length(b"")]
            while asked[-1] < len(golden.octets):
                asked.append(golden.spelling.length(golden.octets[: asked[-1]]))
            self.assertEqual(asked, list(golden.asked), golden.name)

    def test_whole(self) -> None:
        """
        A whole message has its length, whatever follows.
        """
        for golden in self.GOLDENS:
            for more in (b"", b"\0", b"\xff", golden.octets, bytes(70000)):
                length = golden.spelling.length(golden.octets + more)
                self.assertEqual(length, len(golden.octets), f"{golden.name}, {len(more)} more")

    def test_bytearrays(self) -> None:
        """
        It makes no difference whether the octets are C{bytes}.
        """
        for golden in self.GOLDENS:
            for cut in range(len(golden.octets) + 1):
                octets = golden.octets[:cut]
                self.assertEqual(
                    golden.spelling.length(bytearray(octets)), golden.spelling.length(octets)
                )

    def test_everySplit(self) -> None:
        """
        A message cut in two anywhere is received whole.
        """
        for golden in self.GOLDENS:
            for cut in range(len(golden.octets) + 1):
                parts = [golden.octets[:cut], golden.octets[cut:]]
                self.assertEqual(
                    received(golden.spelling, parts),
                    [golden.value, b""],
                    f"{golden.name}, cut at {cut}",
                )

    def test_oneOctetAtATime(self) -> None:
        """
        Messages that trickle in are received one by one.
        """
        for golden in self.GOLDENS:
            octets = golden.octets * 3
            self.assertEqual(
                received(golden.spelling, [octets[at : at + 1] for at in range(len(octets))]),
                [golden.value, golden.value, golden.value, b""],
                golden.name,
            )


class GoldenSuite(_TestCase):
    """
    Messages are spelled as the protocol's tables say, and decoders accept exactly
    one.

    @cvar GOLDENS: The messages.
    """

    GOLDENS: Sequence[Golden]

    def test_encode(self) -> None:
        """
        Each message becomes its octets.
        """
        for golden in self.GOLDENS:
            self.assertEqual(golden.spelling.encode(golden.value), golden.octets, golden.name)

    def test_decode(self) -> None:
        """
        The octets become the message.
        """
        for golden in self.GOLDENS:
            self.assertEqual(golden.spelling.decode(golden.octets), golden.value, golden.name)

    def test_everyTruncation(self) -> None:
        """
        A message that lacks octets at its end is malformed.
        """
        for golden in self.GOLDENS:
            for cut in range(len(golden.octets)):
                error = errorOf(PeerError, golden.spelling.decode, golden.octets[:cut])
                self.assertIs(type(error), MalformedMessage, f"{golden.name}, cut at {cut}")

    def test_trailingOctets(self) -> None:
        """
        So is one that something follows.
        """
        for golden in self.GOLDENS:
            for more in (b"\0", golden.octets):
                error = errorOf(PeerError, golden.spelling.decode, golden.octets + more)
                self.assertIs(type(error), MalformedMessage, golden.name)


class RulesSuite(_TestCase):
    """
    What is wrong is found as soon as it is there.

    @cvar RULES: What can be wrong.
    """

    RULES: Sequence[Rule]

    def test_firstWrongOctet(self) -> None:
        """
        The first wrong octet raises; nothing does before.
        """
        for what, length, digits, error in self.RULES:
            octets = bytes.fromhex(digits)
            for cut in range(len(octets)):
                self.assertGreater(length(octets[:cut]), cut, f"{what}, cut at {cut}")
            self.assertIs(type(errorOf(PeerError, length, octets)), error, what)

    def test_moreOctets(self) -> None:
        """
        More octets make no message out of what is wrong.
        """
        for what, length, digits, error in self.RULES:
            for more in (b"\0", bytes(20000)):
                octets = bytes.fromhex(digits) + more
                self.assertIs(type(errorOf(PeerError, length, octets)), error, what)
