"""
Doubles of what surrounds us: a network that never leaves memory, and remote
hosts and password checkers that the test plays.

The transports are Twisted's own, so that what they do with producers,
half-closes and aborts is what they do in earnest.  Only the sockets under them
and the reactor are not real.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from struct import pack
from typing import Any

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.interfaces import IOutbound, OutboundFailed, OutboundRequest
from socks6.relay.pipes import PipePool
from socks6.values.address import Address, addressFromText
from socks6.values.codes import ReplyCode

#: Where the proxy is, for its clients; who they are; where it is for remote
#: hosts, and who these are.
PROXY_ADDRESS = IPv4Address("TCP", "192.0.2.1", 1080)
CLIENT_ADDRESS = IPv4Address("TCP", "192.0.2.2", 40000)
BOUND_ADDRESS = IPv4Address("TCP", "198.51.100.1", 50000)
REMOTE_ADDRESS = IPv4Address("TCP", "203.0.113.1", 443)

#: What C{SO_LINGER} is set to for a reset.
_RESET = pack("ii", 1, 0)


class MemorySocket(socket.socket):
    """
    A socket whose peer is the test.

    The descriptor is real, so that options can be set and read, but is never
    connected.

    @ivar input: What the peer has sent and we have not read.
    @ivar inputEnded: Whether the peer has ended its direction.
    @ivar broken: Whether the peer has reset the connection.
    @ivar segments: What has left at a time.
    @ivar received: What the peer has read.
    @ivar waiting: What the peer has not read.
    @ivar capacity: How much may wait; L{None}: the peer reads everything at
        once.
    @ivar outputEnded: Whether the peer was told that no more comes.
    @ivar resets: Whether we have reset the connection, on purpose or by closing
        it with unread input.
    """

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.input = bytearray()
        self.inputEnded = False
        self.broken = False
        self.segments: list[bytes] = []
        self.received = bytearray()
        self.waiting = bytearray()
        self.capacity: int | None = None
        self.outputEnded = False
        self.resets = False

    @property
    def isClosed(self) -> bool:
        """
        Tell whether the descriptor is closed.
        """
        return self.fileno() == -1

    @property
    def readable(self) -> bool:
        """
        Tell whether reading would not block.
        """
        return bool(self.input) or self.inputEnded or self.broken

    @property
    def writable(self) -> bool:
        """
        Tell whether writing would not block.
        """
        return self.broken or self.capacity is None or len(self.waiting) < self.capacity

    @property
    def unacknowledged(self) -> int:
        """
        Count as the kernel does, the end of the stream as one.
        """
        return len(self.waiting) + (self.outputEnded and self.capacity is not None)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """
        Read; what has come before a reset can still be read.
        """
        if not self.readable:
            raise BlockingIOError(errno.EWOULDBLOCK, "")
        if self.broken and not self.input:
            raise ConnectionResetError(errno.ECONNRESET, "")
        octets = bytes(self.input[:size])
        del self.input[:size]
        return octets

    def send(self, octets: Any, flags: int = 0) -> int:
        """
        Write.
        """
        if self.broken or self.outputEnded:
            raise BrokenPipeError(errno.EPIPE, "")
        if not self.writable:
            raise BlockingIOError(errno.EWOULDBLOCK, "")
        if self.capacity is None:
            self.segments.append(bytes(octets))
            self.received += octets
            return len(octets)
        fitting = bytes(octets[: self.capacity - len(self.waiting)])
        self.waiting += fitting
        return len(fitting)

    def shutdown(self, how: int) -> None:
        """
        End our direction, or both.
        """
        self.outputEnded = True

    def close(self) -> None:
        """
        Close; with unread input, that is a reset.
        """
        if not self.isClosed:
            linger = self.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET))
            self.resets = linger == _RESET or bool(self.input)
            self.outputEnded = self.outputEnded or not self.resets
        super().close()


class MemoryConnection(Connection):
    """
    Twisted's transport, over a L{MemorySocket}.

    @ivar everSocket: The socket; C{socket} is gone when the connection is.
    """

    def __init__(
        self,
        handle: MemorySocket,
        protocol: IProtocol,
        network: Network,
        host: IAddress,
        peer: IAddress,
    ) -> None:
        super().__init__(handle, protocol, network)
        self.everSocket = handle
        self._host = host
        self._peer = peer
        self.connected = 1
        self.startReading()

    def getHost(self) -> IAddress:
        """
        Tell our address.
        """
        return self._host

    def getPeer(self) -> IAddress:
        """
        Tell the peer's address.
        """
        return self._peer


class MemoryPipe:
    """
    What a pipe is to L{MemorySocket}s.

    @ivar octets: What is in it.
    """

    def __init__(self, size: int) -> None:
        """
        @param size: How many octets fit in.
        """
        self.octets = b""
        self._size = size

    @property
    def held(self) -> int:
        """
        Count what is in it.
        """
        return len(self.octets)

    def fill(self, handle: socket.socket) -> int:
        """
        A reset is told once, and an end from then on, as the kernel does it.

        @see: L{socks6.relay.pipes.Pipe.fill}
        """
        assert isinstance(handle, MemorySocket)
        try:
            octets = handle.recv(self._size)
        except ConnectionResetError:
            handle.broken, handle.inputEnded = False, True
            raise
        self.octets += octets
        return len(octets)

    def drain(self, handle: socket.socket) -> None:
        """
        @see: L{socks6.relay.pipes.Pipe.drain}
        """
        with contextlib.suppress(BlockingIOError):
            while self.octets:
                self.octets = self.octets[handle.send(self.octets) :]

    def takeAll(self) -> bytes:
        """
        @see: L{socks6.relay.pipes.Pipe.takeAll}
        """
        octets, self.octets = self.octets, b""
        return octets


class MemoryPipePool(PipePool):
    """
    Lends L{MemoryPipe}s.

    @ivar lent: Those that are lent.
    @ivar taken: How many have been.
    """

    def __init__(self, limit: int = 2, size: int = 65536) -> None:
        super().__init__(limit)
        self.lent: list[Any] = []
        self.taken = 0
        self._size = size

    def take(self) -> Any:
        if len(self.lent) == self._limit:
            return None
        self.taken += 1
        self.lent.append(MemoryPipe(self._size))
        return self.lent[-1]

    def give(self, pipe: Any) -> None:
        assert not pipe.held
        self.lent.remove(pipe)

    def discard(self, pipe: Any) -> None:
        self.lent.remove(pipe)


class Network(MemoryReactorClock):
    """
    A reactor whose connections lead to the test.

    @ivar connections: All that were ever made.
    """

    _log = Logger()

    def __init__(self) -> None:
        super().__init__()
        # Time did not begin with us.
        self.rightNow = 1000.0
        self.connections: list[MemoryConnection] = []

    def attach(
        self,
        protocol: IProtocol,
        host: IAddress = PROXY_ADDRESS,
        peer: IAddress = CLIENT_ADDRESS,
        family: socket.AddressFamily = socket.AF_INET,
        early: bytes = b"",
    ) -> Peer:
        """
        Give a protocol a connection.

        @param early: What the peer has sent by then.
        @return: Its other end.
        """
        handle = MemorySocket(family)
        handle.input += early
        connection = MemoryConnection(handle, protocol, self, host, peer)
        self.connections.append(connection)
        protocol.makeConnection(connection)
        return Peer(self, connection)

    def accept(
        self,
        factory: IProtocolFactory,
        peer: IAddress = CLIENT_ADDRESS,
        family: socket.AddressFamily = socket.AF_INET,
        early: bytes = b"",
    ) -> Peer:
        """
        Connect to a factory, as if it listened.

        @param early: What is sent along with the first packet.
        """
        protocol = factory.buildProtocol(peer)
        assert protocol is not None
        host = peer if isinstance(peer, UNIXAddress) else PROXY_ADDRESS
        return self.attach(protocol, host, peer, family, early)

    def spin(self) -> None:
        """
        Let everything happen that takes no time.
        """
        happened = True
        while happened:
            self.advance(0)
            happened = False
            for connection in list(self.connections):
                handle = connection.everSocket
                if connection in self.readers and handle.readable:
                    self._perform(connection, connection.doRead, True)
                    happened = True
                if connection in self.writers and handle.writable:
                    self._perform(connection, connection.doWrite, False)
                    happened = True

    def _perform(
        self, connection: MemoryConnection, action: Callable[[], Any], reading: bool
    ) -> None:
        """
        Read or write, and end what cannot go on, as Twisted's reactors do.
        """
        try:
            ending = action()
        except Exception as error:  # noqa: BLE001  whatever it is, as reactors do
            self._log.failure("A protocol failed")
            ending = error
        if ending is None:
            return
        self.removeReader(connection)
        if reading and isinstance(ending, ConnectionDone):
            connection.readConnectionLost(Failure(ending))
        else:
            self.removeWriter(connection)
            connection.connectionLost(Failure(ending))

    def elapse(self, seconds: float) -> None:
        """
        Let time pass, with everything that happens meanwhile in its order.
        """
        end = self.seconds() + seconds
        self.spin()
        while (due := self._nextTime()) is not None and due <= end:
            self.rightNow = due
            self.spin()
        self.rightNow = end

    def _nextTime(self) -> float | None:
        """
        Tell when the next delayed call is due.
        """
        return min((call.getTime() for call in self.getDelayedCalls()), default=None)


class Peer:
    """
    The other end of a connection.
    """

    def __init__(self, network: Network, connection: MemoryConnection) -> None:
        self.network = network
        self.connection = connection
        self.protocol: Any = connection.protocol
        self.socket = connection.everSocket

    @property
    def received(self) -> bytes:
        """
        Tell what has come and was not L{taken<take>}.
        """
        return bytes(self.socket.received)

    @property
    def ended(self) -> bool:
        """
        Tell whether all has come that ever will.
        """
        return self.socket.outputEnded and not self.socket.waiting

    @property
    def wasReset(self) -> bool:
        """
        Tell whether the connection was reset from the other side.
        """
        return self.socket.resets

    @property
    def isClosed(self) -> bool:
        """
        Tell whether the other side has closed its socket.
        """
        return self.socket.isClosed

    @property
    def isRead(self) -> bool:
        """
        Tell whether the other side reads.
        """
        return self.connection in self.network.readers

    def take(self) -> bytes:
        """
        Take what has come.
        """
        octets = self.received
        self.socket.received.clear()
        return octets

    def send(self, octets: bytes) -> None:
        """
        Send.
        """
        if self.isClosed:
            self.socket.resets = True
        else:
            self.socket.input += octets
        self.network.spin()

    def end(self) -> None:
        """
        Send no more.
        """
        self.socket.inputEnded = True
        self.network.spin()

    def reset(self) -> None:
        """
        Break off, whatever gets lost.
        """
        self.socket.broken = True
        self.network.spin()

    def stopReading(self, capacity: int = 1) -> None:
        """
        Read no more.

        @param capacity: How many octets the other side's kernel takes
            nevertheless, at least one.
        """
        self.socket.capacity = capacity

    def startReading(self) -> None:
        """
        Read everything, what has waited and what comes.
        """
        self.socket.capacity = None
        self.socket.received += self.socket.waiting
        self.socket.waiting.clear()
        self.network.spin()

    def read(self, size: int) -> None:
        """
        Read some of what waits.
        """
        self.socket.received += self.socket.waiting[:size]
        del self.socket.waiting[:size]
        self.network.spin()


class TLSPeer:
    """
    The other end of a connection with TLS on top; not Twisted's TLS.
    """

    def __init__(self, peer: Peer, context: ssl.SSLContext, name: str = "localhost") -> None:
        self.peer = peer
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._received = bytearray()

    def handshake(self) -> None:
        """
        Agree on keys.

        @raise ssl.SSLError: That failed.
        """
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                before = len(self.peer.received)
                self.flush()
                if not self.peer.received:
                    raise AssertionError(f"handshake stands still after {before}") from None
                self._in.write(self.peer.take())
            else:
                self.flush()
                return

    def flush(self) -> None:
        """
        Put on the wire what TLS has made.
        """
        self.peer.send(self._out.read())

    def send(self, octets: bytes) -> None:
        """
        Send.
        """
        self.tls.write(octets)
        self.flush()

    def end(self) -> None:
        """
        Say that no more comes.
        """
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    @property
    def received(self) -> bytes:
        """
        Tell what has come.
        """
        self._in.write(self.peer.take())
        try:
            while octets := self.tls.read(65536):
                self._received += octets
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return bytes(self._received)


class Attempt:
    """
    One request to connect.

    @ivar cancelled: Whether it was given up.
    @ivar whenCancelled: What is done then.
    """

    def __init__(
        self,
        network: Network,
        request: OutboundRequest,
        protocol: IProtocol,
    ) -> None:
        self._network = network
        self.request = request
        self.destination = request.address
        self.protocol = protocol
        self.typeOfService = request.typeOfService
        self.cancelled = False
        self.whenCancelled: Callable[[], object] = lambda: None
        self.done: Deferred[Address | None] = Deferred(self._cancel)

    def _cancel(self, done: Deferred[Address | None]) -> None:
        """
        Take note.
        """
        self.cancelled = True
        self.whenCancelled()

    def succeed(
        self, host: IAddress = BOUND_ADDRESS, family: socket.AddressFamily = socket.AF_INET
    ) -> Peer:
        """
        Connect.

        @return: The remote host.
        """
        remote = self._network.attach(self.protocol, host, REMOTE_ADDRESS, family)
        bound = None
        if isinstance(host, IPv4Address | IPv6Address):
            bound = addressFromText(host.host, host.port)
        self.done.callback(bound)
        self._network.spin()
        return remote

    def fail(self, error: Exception) -> None:
        """
        Do not connect.
        """
        self.done.errback(error)
        self._network.spin()

    def refuse(self, code: ReplyCode) -> None:
        """
        Do not connect, for a reason that has a reply code.
        """
        self.fail(OutboundFailed(code, "as the test wants it"))


@implementer(IOutbound)
class MemoryOutbound:
    """
    Remote hosts that the test plays.

    @ivar attempts: All requests to connect, in their order.
    """

    isDirect = True

    def __init__(self, network: Network) -> None:
        self._network = network
        self.attempts: list[Attempt] = []

    def connect(self, request: OutboundRequest, protocol: IProtocol) -> Deferred[Address | None]:
        """
        Wait for the test to decide.

        @see: L{IOutbound.connect}
        """
        attempt = Attempt(self._network, request, protocol)
        self.attempts.append(attempt)
        return attempt.done


class PatientChecker:
    """
    A checker that answers when the test wants it to.

    @ivar asked: The credentials, in their order.
    @ivar answers: What was returned for each.
    @ivar cancelled: How many of these were cancelled.
    """

    credentialInterfaces: Sequence[Any] = (IUsernamePassword,)

    def __init__(self, network: Network) -> None:
        self._network = network
        self.asked: list[Any] = []
        self.answers: list[Deferred[Any]] = []
        self.cancelled = 0

    def _cancel(self, answer: Deferred[Any]) -> None:
        """
        Take note.
        """
        self.cancelled += 1

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """
        Wait for L{accept} or L{deny}.
        """
        self.asked.append(credentials)
        answer: Deferred[Any] = Deferred(self._cancel)
        self.answers.append(answer)
        return answer

    def accept(self, avatarID: Any) -> None:
        """
        Answer who it is that was asked for last.
        """
        self.answers[-1].callback(avatarID)
        self._network.spin()

    def deny(self) -> None:
        """
        Answer that it is nobody.
        """
        self.answers[-1].errback(UnauthorizedLogin())
        self._network.spin()


@implementer(IListeningPort)
class FakePort:
    """
    A port that closes when the test wants it to.

    @ivar closing: What L{stopListening} has returned; L{None}: nobody asked.
    """

    def __init__(self) -> None:
        self.closing: Deferred[None] | None = None

    def startListening(self) -> None:
        """
        It listens from the beginning.
        """

    def stopListening(self) -> Deferred[None]:
        """
        Wait.
        """
        self.closing = Deferred()
        return self.closing

    def getHost(self) -> IAddress:
        """
        Tell where it listens.
        """
        return PROXY_ADDRESS


@implementer(IStreamServerEndpoint)
class FakeEndpoint:
    """
    An endpoint that listens as the test wants it to.

    @ivar factories: What it was asked to listen for.
    """

    def __init__(self, answer: Callable[[], Deferred[IListeningPort]]) -> None:
        """
        @param answer: Gives what L{listen} returns, or raises.
        """
        self._answer = answer
        self.factories: list[IProtocolFactory] = []

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Take note, and answer.
        """
        self.factories.append(protocolFactory)
        return self._answer()
