"""
Stand-ins for what surrounds the client's datagrams, and the base of their tests.
"""

from __future__ import annotations

import errno
import os
from collections import Counter, deque
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.ssl import PrivateCertificate

from socks6.dtls import DTLSConversation, DTLSDoor, DTLSFailed, newContext
from socks6.values.address import Address
from socks6.values.messages import DatagramHeader
from socks6.wire import DRAFT_06

#: Where the proxy takes datagrams.
PROXY = ("192.0.2.1", 1080)

#: The association's name, and how the proxy tells it and confirms a datagram.
NAME = 0xC0FFEE01
INITIALIZATION = bytes.fromhex("c0ffee01")
CONFIRMATION = bytes.fromhex("00")

#: What the empty datagram is: version:2 ID:4 port:2=0 type:1 address:4=0
TRIGGER = bytes.fromhex("0600 c0ffee01 0000 01 00000000")

#: A remote host, and what stands in front of datagrams to and from it.
REMOTE = ("203.0.113.1", 53)
HEADER = bytes.fromhex("0600 c0ffee01 0035 01 cb007101")


def header(host: Any, port: int, name: int = NAME) -> bytes:
    """
    Write the header of a datagram.
    """
    return DRAFT_06.encodeDatagramHeader(DatagramHeader(name, Address(host, port)))


#: The header of a host of which nobody has spoken.
OTHER_HEADER = header(IPv4Address("203.0.113.2"), 53)


class MemoryHandle:
    """
    A UDP socket whose network is the test.

    @ivar incoming: What is to be read: datagrams with their sources, and errors.
    @ivar sent: What was sent, and where.
    @ivar options: What was set.
    @ivar sendError: What sending fails with.
    @ivar optionError: What setting an option fails with.
    @ivar isClosed: Whether it is closed.
    """

    def __init__(self) -> None:
        self.incoming: deque[Any] = deque()
        self.sent: list[tuple[bytes, Any]] = []
        self.options: list[tuple[int, int, int]] = []
        self.sendError: OSError | None = None
        self.optionError: OSError | None = None
        self.isClosed = False

    def fileno(self) -> int:
        """
        Name a descriptor, which is not used.
        """
        return -1 if self.isClosed else 1_000_000

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """
        Take note.
        """
        if self.optionError is not None:
            raise self.optionError
        self.options.append((level, option, value))

    def recvfrom(self, size: int) -> Any:
        """
        Read a datagram.
        """
        self._checkOpen()
        if not self.incoming:
            raise BlockingIOError
        found = self.incoming.popleft()
        if isinstance(found, OSError):
            raise found
        return found[0][:size], found[1]

    def sendmsg(self, parts: Any, ancillary: Any, flags: int, address: Any) -> None:
        """
        Send a datagram.
        """
        self._checkOpen()
        if self.sendError is not None:
            raise self.sendError
        self.sent.append((b"".join(parts), address))

    def close(self) -> None:
        """
        Close it.
        """
        self.isClosed = True

    def _checkOpen(self) -> None:
        """
        Fail as a closed socket does.
        """
        if self.isClosed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class MemoryWay:
    """
    A way to the proxy, in the test's hands.

    @ivar started: What C{start} has returned.
    @ivar sent: What was sent.
    @ivar isClosed: Whether it is closed.
    @ivar received: Passes on what comes from the proxy.
    @ivar lost: Tells that the way has ended.
    """

    received: Callable[[bytes], object]
    lost: Callable[[Exception], object]

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.started: Deferred[None] = Deferred()
        self.sent: list[bytes] = []
        self.isClosed = False

    def start(self, received: Any, lost: Any) -> Deferred[None]:
        """
        Wait for the test.
        """
        self.received, self.lost = received, lost
        return self.started

    def send(self, header: bytes, payload: bytes) -> None:
        """
        Take note.
        """
        if not self.isClosed:
            self.sent.append(header + payload)

    def close(self) -> None:
        """
        Take note.
        """
        self.isClosed = True

    def takeSent(self) -> list[bytes]:
        """
        Tell what was sent since the last time.
        """
        sent, self.sent = self.sent, []
        return sent


class Listener(DatagramProtocol):
    """
    A user's protocol that remembers what happens to it.

    @ivar events: In their order: C{"started"}, datagrams with their sources, and
        C{"stopped"}.
    @ivar whenStarted: Is called with it when it is started.
    @ivar whenReceived: Is called with it when it has got a datagram.
    @ivar whenStopped: Is called with it when it is stopped.
    """

    noisy = False
    transport: Any

    def __init__(self, whenStarted: Callable[[Any], object] = lambda listener: None) -> None:
        self.events: list[Any] = []
        self.whenStarted = whenStarted
        self.whenReceived: Callable[[Any], object] = lambda listener: None
        self.whenStopped: Callable[[Any], object] = lambda listener: None

    def startProtocol(self) -> None:
        """
        Take note.
        """
        self.events.append("started")
        self.whenStarted(self)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Take note.
        """
        self.events.append((datagram, addr))
        self.whenReceived(self)

    def stopProtocol(self) -> None:
        """
        Take note.
        """
        self.events.append("stopped")
        self.whenStopped(self)


def exchange(client: DTLSConversation, server: DTLSServer) -> None:
    """
    Pass on what both sides of a conversation have to say, until they have said it all.
    """
    while True:
        flight = list(client.outgoing())
        if not flight:
            return
        for datagram in flight:
            for answer in server.receive(datagram):
                for _ in client.receive(answer):
                    raise AssertionError("the proxy says something unasked")


class DTLSServer:
    """
    The proxy's side of one conversation with DTLS.

    @ivar received: What the client has sent in it.
    @ivar error: Why it has failed, if it has.
    """

    def __init__(self, certificate: PrivateCertificate, authority: Any = None) -> None:
        """
        @param certificate: Who the proxy is.
        @param authority: Who has to vouch for the client; L{None}: nobody.
        """
        context = newContext()
        context.use_certificate(certificate.original)
        context.use_privatekey(certificate.privateKey.original)
        if authority is not None:
            store: Any = context.get_cert_store()
            store.add_cert(authority.original)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        self._door = DTLSDoor(context)
        self.conversation: DTLSConversation | None = None
        self.received: list[bytes] = []
        self.error: DTLSFailed | None = None

    def receive(self, datagram: bytes) -> list[bytes]:
        """
        Take a datagram of the client.

        @return: What to answer.
        """
        if self.conversation is None:
            self.conversation, answer = self._door.knock("the client", datagram)
            if self.conversation is None:
                return [answer]
            self.conversation.start()
            return list(self.conversation.outgoing())
        try:
            self.received += self.conversation.receive(datagram)
        except DTLSFailed as error:
            self.error = error
        return list(self.conversation.outgoing())

    def say(self, data: bytes) -> list[bytes]:
        """
        Make the datagrams that bring some data.
        """
        assert self.conversation is not None
        self.conversation.send(data)
        return list(self.conversation.outgoing())
