"""
Tests for L{socks6.command.guess}.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint

from socks6.command.guess import TIMEOUT, whatSpeaks
from tests.command.harness import CommandTestCase


class GuessTests(CommandTestCase):
    """
    What servers say to greetings.
    """

    def begin(self) -> Deferred[str | None]:
        """
        Begin to guess.
        """
        endpoint = HostnameEndpoint(self.network, "127.0.0.1", 1080)
        return self.start(whatSpeaks(self.network, endpoint))

    def end(self, guessing: Deferred[str | None]) -> str | None:
        """
        Take what it is, and see that nothing is left.
        """
        name = self.successResultOf(guessing)
        self.assertNothingLeft()
        return name

    def test_HTTP(self) -> None:
        """
        A web server, however its answer is cut.
        """
        guessing = self.begin()
        peer = self.proxy.accept()
        self.assertEqual(peer.take(), b"OPTIONS * HTTP/1.0\r\n\r\n")
        for octet in b"HTTP":
            peer.send(bytes([octet]))
            self.assertNoResult(guessing)
        peer.send(b"/")
        self.assertEqual(self.end(guessing), "HTTP")

    def test_SSH(self) -> None:
        """
        An SSH server, which does not wait for anything.
        """
        guessing = self.begin()
        self.proxy.accept().send(b"SSH-2.0-OpenSSH\r\n")
        self.assertEqual(self.end(guessing), "SSH")

    def test_SOCKS5(self) -> None:
        """
        A SOCKS 5 proxy, that does without authentication or not, and has nothing, or
        something else, to say to HTTP.
        """
        for answer in (b"\5\0", b"\5\xff"):
            for other in (b"\0\x5b\0\0", b"\5", b""):
                guessing = self.begin()
                peer = self.proxy.accept()
                peer.send(other)
                peer.end()
                peer = self.proxy.accept()
                self.assertEqual(peer.take(), b"\5\1\0")
                peer.send(answer)
                self.assertEqual(self.end(guessing), "SOCKS 5")

    def test_echo(self) -> None:
        """
        Somebody who says the same is unknown.
        """
        guessing = self.begin()
        for _ in range(2):
            peer = self.proxy.accept()
            peer.send(peer.take())
        self.assertIsNone(self.end(guessing))

    def test_silent(self) -> None:
        """
        So is somebody who says nothing, in time, or is not there.
        """
        guessing = self.begin()
        self.proxy.accept()
        self.network.elapse(TIMEOUT)
        self.proxy.refuse()
        self.network.elapse(1)
        self.assertIsNone(self.end(guessing))
        guessing = self.begin()
        self.network.elapse(TIMEOUT)
        self.proxy.accept()
        self.network.elapse(TIMEOUT - 1)
        self.assertNoResult(guessing)
        self.network.elapse(1)
        self.assertIsNone(self.end(guessing))

    def test_cancelled(self) -> None:
        """
        It can be broken off, while it connects and while it listens.
        """
        for connected in (False, True):
            guessing = self.begin()
            asked = self.proxy.asked
            if connected:
                self.proxy.accept()
            guessing.cancel()
            self.failureResultOf(guessing, CancelledError)
            self.assertNothingLeft()
            self.assertEqual(self.proxy.asked, asked)
