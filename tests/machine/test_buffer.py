"""
Tests of L{socks6.machine.buffer}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.buffer import takeMessage
from socks6.wire.codec import Octets
from socks6.wire.errors import MalformedMessage
from tests.raising import errorOf


def countedLength(octets: Octets) -> int:
    """
    Find the end of a message that begins with its own length.
    """
    if not octets:
        return 1
    if octets[0] == 0xFF:
        raise MalformedMessage("too long")
    return 1 + octets[0]


class TakeMessageTests(SynchronousTestCase):
    """
    L{takeMessage} takes whole messages and nothing else.
    """

    def test_whole(self) -> None:
        """
        A whole message leaves the buffer; what follows it stays.
        """
        buffer = bytearray(b"\x03abc\x01de")
        self.assertEqual(takeMessage(buffer, countedLength, bytes), b"\x03abc")
        self.assertEqual(buffer, b"\x01de")

    def test_oneAfterTheOther(self) -> None:
        """
        Messages come in their order, until the buffer is empty.
        """
        buffer = bytearray(b"\x01a\x00\x02bc")
        taken = [takeMessage(buffer, countedLength, bytes) for _ in range(4)]
        self.assertEqual(taken, [b"\x01a", b"\x00", b"\x02bc", None])
        self.assertEqual(buffer, b"")

    def test_everyTruncation(self) -> None:
        """
        While octets are missing there is no message, and the buffer stays as
        it is.
        """
        for size in range(4):
            buffer = bytearray(b"\x03abc"[:size])
            self.assertIsNone(takeMessage(buffer, countedLength, bytes), f"{size} octets")
            self.assertEqual(buffer, b"\x03abc"[:size])

    def test_malformed(self) -> None:
        """
        What cannot be a message stays in the buffer, whether its end tells or
        only its content.
        """

        def decode(octets: bytes) -> bytes:
            raise MalformedMessage("content")

        buffer = bytearray(b"\xffabc")
        self.assertIsNotNone(errorOf(MalformedMessage, takeMessage, buffer, countedLength, bytes))
        self.assertEqual(buffer, b"\xffabc")
        buffer = bytearray(b"\x01abc")
        self.assertIsNotNone(errorOf(MalformedMessage, takeMessage, buffer, countedLength, decode))
        self.assertEqual(buffer, b"\x01abc")

    def test_ownOctets(self) -> None:
        """
        What is decoded is a copy, which does not change with the buffer.
        """
        buffer = bytearray(b"\x01a\x01b")
        message = takeMessage(buffer, countedLength, bytes)
        buffer[:] = b"\x01c"
        self.assertIsInstance(message, bytes)
        self.assertEqual(message, b"\x01a")

    def test_oneLook(self) -> None:
        """
        A call asks once for the message's length, and copies nothing for that.
        """
        looks: list[Octets] = []

        def length(octets: Octets) -> int:
            looks.append(octets)
            return 3

        for content in (b"", b"ab", b"abc", b"abcd"):
            looks.clear()
            buffer = bytearray(content)
            takeMessage(buffer, length, bytes)
            self.assertEqual(len(looks), 1, content)
            self.assertIs(looks[0], buffer, content)
