"""
Tests of L{socks6.serving.speech}.
"""

from __future__ import annotations

from socks6.relay.legs import LegProtocol
from socks6.serving.speech import Speech
from tests.server.harness import MemoryTestCase


class SpeechTests(MemoryTestCase):
    """
    L{Speech}.
    """

    def setUp(self) -> None:
        super().setUp()
        leg = LegProtocol()
        self.peer = self.network.attach(leg)
        self.speech = Speech(leg.transport)

    def test_held(self) -> None:
        """
        What is held back leaves together, once.
        """
        self.speech.hold()
        self.speech.say(b"a")
        self.speech.hold()
        self.speech.say(b"b")
        self.assertEqual(self.peer.socket.segments, [])
        self.speech.letGo()
        self.assertEqual(self.peer.socket.segments, [b"ab"])
        self.speech.letGo()
        self.speech.hold()
        self.speech.letGo()
        self.assertEqual(self.peer.socket.segments, [b"ab"])

    def test_first(self) -> None:
        """
        Without that, what comes first waits for the end of the turn, and takes with it
        what has come meanwhile; what comes later leaves at once.
        """
        self.speech.say(b"a")
        self.speech.say(b"b")
        self.assertEqual(self.peer.socket.segments, [])
        self.network.spin()
        self.assertEqual(self.peer.socket.segments, [b"ab"])
        self.speech.say(b"c")
        self.assertEqual(self.peer.socket.segments, [b"ab", b"c"])

    def test_forget(self) -> None:
        """
        What was held back may be left unsaid.
        """
        self.speech.hold()
        self.speech.say(b"a")
        self.speech.forget()
        self.speech.letGo()
        self.network.spin()
        self.assertEqual(self.peer.socket.segments, [])
