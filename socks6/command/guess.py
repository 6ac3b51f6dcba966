"""
What answers where a SOCKS 6 proxy should.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from socks6.command.inquiry import Visitor, attend

#: Seconds that an answer may take, with all that comes before.
TIMEOUT = 5.0

#: What makes others speak, and how they begin.
_GREETINGS = (b"OPTIONS * HTTP/1.0\r\n\r\n", b"\x05\x01\x00")
_ANSWERS: Mapping[bytes, str] = {
    b"HTTP/": "HTTP",
    b"SSH-": "SSH",
    b"\x05\x00": "SOCKS 5",
    b"\x05\xff": "SOCKS 5",
}


async def whatSpeaks(reactor: Any, endpoint: IStreamClientEndpoint) -> str | None:
    """
    Find out what a server speaks that is no SOCKS 6 proxy.

    @return: The protocol's name, if we know it.  Cancelling breaks it off.
    """
    for greeting in _GREETINGS:
        listener = _Listener(greeting)
        # Whoever has nothing to say to that may have to the next one.
        await attend(reactor, endpoint, listener, TIMEOUT)
        if listener.name is not None:
            return listener.name
    return None


class _Listener(Visitor):
    """
    Says something, and hears the beginning of what comes back.

    @ivar name: What is spoken, if we know it.
    """

    def __init__(self, greeting: bytes) -> None:
        """
        @param greeting: What to say.
        """
        super().__init__()
        self.name: str | None = None
        self._greeting = greeting
        self._heard = b""

    def connectionMade(self) -> None:
        """
        Say it.
        """
        self.transport.write(self._greeting)

    def dataReceived(self, data: bytes) -> None:
        """
        Hear more.
        """
        self._heard += data
        for beginning, name in _ANSWERS.items():
            if self._heard.startswith(beginning):
                self.name = name
        if self.name or not any(each.startswith(self._heard) for each in _ANSWERS):
            self.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        There is no more to hear.
        """
        self.end()
