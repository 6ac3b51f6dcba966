"""
Tests of L{socks6.sockets}.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer

from socks6.multipath import multipathSocket, whyNoMultipath
from socks6.server.tls import serverContext
from socks6.sockets import (
    Delivery,
    TransportWrapper,
    canHalfClose,
    deliverRest,
    delivery,
    hearHalfClose,
    isClosing,
    isEncrypted,
    isMultipath,
    isReset,
    originalDestination,
    prepareForRelay,
    setTypeOfService,
    silence,
    socketOf,
)
from socks6.values.address import Address
from tests.doubles import Peer
from tests.integration.certificates import Authority
from tests.server.harness import MemoryTestCase

#: What the PROXY protocol says first.
PROXY_HEADER = b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 1080\r\n"


@implementer(IHalfCloseableProtocol)
class Listener(Protocol):
    """
    A protocol that takes notes.
    """

    def __init__(self) -> None:
        self.notes: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        """
        Note the octets.
        """
        self.notes.append(data)

    def readConnectionLost(self) -> None:
        """
        Note that.
        """
        self.notes.append("read")

    def writeConnectionLost(self) -> None:
        """
        Note that.
        """
        self.notes.append("write")

    def connectionLost(self, reason: object = None) -> None:
        """
        Note that.
        """
        self.notes.append("lost")


class WithSocket:
    """
    A transport of which only the socket matters.
    """

    bufferSize = 65536

    def __init__(self, handle: object) -> None:
        self.socket = handle


class TransportTests(MemoryTestCase):
    """
    What lies under wrappers.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.context = serverContext(Authority(folder).server().path)

    def connect(self, wrappers: str) -> tuple[Peer, Listener, Any]:
        """
        Connect a protocol.

        @param wrappers: What stands between it and its transport: P for the
            PROXY protocol, T for TLS, W for one that does nothing; the
            outermost first.
        @return: Besides the peer, the protocol and what it has for a transport.
        """
        protocol = Listener()
        factory: Any = Factory.forProtocol(lambda: protocol)
        for wrapper in wrappers:
            if wrapper == "P":
                factory = HAProxyWrappingFactory(factory)
            elif wrapper == "T":
                factory = TLSMemoryBIOFactory(self.context, False, factory, self.network)
            else:
                factory = WrappingFactory(factory)
        return self.network.accept(factory), protocol, protocol.transport

    def test_wrapper(self) -> None:
        """
        A wrapper that is no protocol, such as a client's tunnel, is seen through;
        one that wraps nothing at the moment has nothing under it.
        """
        for wrappers, encrypted in (("", False), ("W", False), ("T", True)):
            _, _, transport = self.connect(wrappers)
            wrapper: Any = TransportWrapper()
            wrapper.transport = TransportWrapper()
            wrapper.transport.transport = transport
            self.assertIsNotNone(socketOf(wrapper))
            self.assertIs(socketOf(wrapper), socketOf(transport))
            self.assertEqual(isEncrypted(wrapper), encrypted, wrappers)
            self.assertEqual(canHalfClose(wrapper), not encrypted, wrappers)
            wrapper.transport.transport = None
            self.assertIsNone(socketOf(wrapper))
            self.assertFalse(isEncrypted(wrapper))
            self.assertFalse(canHalfClose(wrapper))

    def test_socketOf(self) -> None:
        """
        The socket is found under all wrappers, as long as it is there.
        """
        for wrappers in ("", "P", "T", "W", "TP", "WTP"):
            peer, _, transport = self.connect(wrappers)
            self.assertIs(socketOf(transport), peer.socket, wrappers)
            peer.reset()
            self.assertIsNone(socketOf(transport), wrappers)

    def test_noSocket(self) -> None:
        """
        A transport may have none.
        """
        for transport in (StringTransport(), WithSocket("no socket")):
            self.assertIsNone(socketOf(transport))  # type: ignore[arg-type]
            self.assertIsNone(delivery(transport))  # type: ignore[arg-type]
            prepareForRelay(transport)  # type: ignore[arg-type]
            deliverRest(transport)  # type: ignore[arg-type]

    def test_isEncrypted(self) -> None:
        """
        TLS is found wherever it is, also within the transport itself.
        """
        for wrappers, encrypted in (
            ("", False),
            ("P", False),
            ("W", False),
            ("T", True),
            ("TP", True),
            ("PT", True),
            ("WTW", True),
        ):
            _, _, transport = self.connect(wrappers)
            self.assertIs(isEncrypted(transport), encrypted, wrappers)
        for wrappers in ("", "P"):
            peer, _, transport = self.connect(wrappers)
            directlyProvides(peer.connection, ISSLTransport)
            self.assertTrue(isEncrypted(transport), wrappers)

    def test_canHalfClose(self) -> None:
        """
        One direction can end before the other unless TLS is spoken, or the
        transport knows nothing of that.
        """
        for wrappers, can in (("", True), ("P", True), ("W", True), ("T", False), ("TP", False)):
            _, _, transport = self.connect(wrappers)
            self.assertIs(canHalfClose(transport), can, wrappers)
        self.assertFalse(canHalfClose(StringTransport()))

    def test_hearHalfClose(self) -> None:
        """
        Wrappers do not keep the end of a direction to themselves.
        """
        for wrappers in ("", "P", "W", "WP"):
            peer, protocol, transport = self.connect(wrappers)
            hearHalfClose(transport, protocol)
            peer.send(PROXY_HEADER * ("P" in wrappers) + b"octets")
            peer.end()
            transport.loseWriteConnection()
            self.network.spin()
            self.assertEqual(protocol.notes, [b"octets", "read", "write"], wrappers)
            self.assertFalse(peer.isClosed, wrappers)

    def test_noHalfCloseWithTLS(self) -> None:
        """
        With TLS, the end of a direction is the end.
        """
        peer, protocol, transport = self.connect("T")
        hearHalfClose(transport, protocol)
        peer.end()
        self.assertEqual(protocol.notes, ["lost"])

    def test_isClosing(self) -> None:
        """
        A transport is closing when somebody has said so and something keeps it
        from being closed.
        """
        for wrappers in ("", "P", "W"):
            peer, _, transport = self.connect(wrappers)
            peer.stopReading()
            transport.write(b"not read")
            self.assertFalse(isClosing(transport), wrappers)
            transport.loseConnection()
            self.assertTrue(isClosing(transport), wrappers)
        self.assertFalse(isClosing(WithSocket(None)))  # type: ignore[arg-type]

    def test_deliverRest(self) -> None:
        """
        What has arrived and was not read is delivered.
        """
        for name, how in (
            ("more may come", lambda peer: None),
            ("no more comes", lambda peer: setattr(peer.socket, "inputEnded", True)),
            ("it is broken", lambda peer: setattr(peer.socket, "broken", True)),
        ):
            for wrappers in ("", "W"):
                peer, protocol, transport = self.connect(wrappers)
                transport.pauseProducing()
                peer.send(b"x" * 70_000)
                how(peer)
                deliverRest(transport)
                self.assertEqual(b"".join(protocol.notes), b"x" * 70_000, name)  # type: ignore[arg-type]

    def test_deliverEndlessRest(self) -> None:
        """
        No more is delivered than can be waiting, even where the peer never
        stops.
        """
        peer, protocol, transport = self.connect("")
        peer.socket.recv = lambda size, flags=0: b"x" * size  # type: ignore[method-assign]
        deliverRest(transport)
        buffer = peer.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertLess(sum(map(len, protocol.notes)), buffer + 65536)  # type: ignore[arg-type]


class SocketTests(MemoryTestCase):
    """
    What is asked and said of sockets.
    """

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """
        Make two connected sockets.
        """
        pair = socket.socketpair()
        for each in pair:
            self.addCleanup(each.close)
        return pair

    def unconnected(self, family: socket.AddressFamily) -> socket.socket:
        """
        Make a socket.
        """
        handle = socket.socket(family)
        self.addCleanup(handle.close)
        return handle

    def test_deliveryUNIX(self) -> None:
        """
        On a UNIX socket, what was written and not read is outstanding.
        """
        one, other = self.pair()
        transport: Any = WithSocket(one)
        self.assertEqual(delivery(transport), Delivery(0, 0))
        one.send(b"octets")
        state = delivery(transport)
        assert state is not None
        self.assertGreater(state.outstanding, 0)
        other.recv(100)
        self.assertEqual(delivery(transport), Delivery(0, 0))

    def test_deliveryTCP(self) -> None:
        """
        On a TCP socket, what the peer's kernel has taken is counted, though the
        peer has not read it.
        """
        one, other = self.tcpPair()
        transport: Any = WithSocket(one)
        before = delivery(transport)
        assert before is not None
        one.sendall(b"x" * 5000)
        deadline = time.monotonic() + 30
        while (state := delivery(transport)) and state.outstanding:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(state, Delivery(0, before.acknowledged + 5000))
        one.setblocking(False)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with self.assertRaises(BlockingIOError):
            while True:
                one.send(b"x" * 100000)
        state = delivery(transport)
        assert state is not None
        self.assertGreater(state.outstanding, 0)

    def tcpPair(self) -> tuple[socket.socket, socket.socket]:
        """
        Connect two TCP sockets.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = socket.create_connection(server.getsockname())
            other, _ = server.accept()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        return one, other

    def test_ignorantSystem(self) -> None:
        """
        Elsewhere than on Linux that is not known.
        """
        one, _ = self.pair()
        self.patch(sys, "platform", "darwin")
        self.assertIsNone(delivery(WithSocket(one)))  # type: ignore[arg-type]

    def test_isReset(self) -> None:
        """
        A TCP socket without a connection has lost it, one that waits for some
        has not; of others it is not known.
        """
        handle = self.unconnected(socket.AF_INET)
        handle.bind(("127.0.0.1", 0))
        transport: Any = WithSocket(handle)
        self.assertTrue(isReset(transport))
        handle.listen()
        self.assertFalse(isReset(transport))
        one, _ = self.pair()
        for other in (WithSocket(one), WithSocket(None), StringTransport()):
            self.assertFalse(isReset(other))  # type: ignore[arg-type]

    def multipathPair(self) -> tuple[socket.socket, socket.socket]:
        """
        Connect two sockets of Multipath TCP, or skip the test where there are none.
        """
        reason = whyNoMultipath()
        if reason is not None:
            self.skipTest(f"no Multipath TCP: {reason}")
        one = multipathSocket(socket.AF_INET)
        self.addCleanup(one.close)
        with multipathSocket(socket.AF_INET) as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            one.connect(server.getsockname())
            other, _ = server.accept()
        self.addCleanup(other.close)
        return one, other

    def test_isMultipath(self) -> None:
        """
        A connection is Multipath TCP only if both sides speak it; what has no TCP is
        not, nor is anything on other systems.
        """
        one, other = self.multipathPair()
        self.assertTrue(isMultipath(one) and isMultipath(other))
        for pair in (self.pair(), self.tcpPair()):
            self.assertFalse(any(map(isMultipath, pair)))
        plain = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(plain.close)
        with multipathSocket(socket.AF_INET) as alone:
            alone.connect(plain.getsockname())
            self.assertFalse(isMultipath(alone))
        self.patch(sys, "platform", "darwin")
        self.assertFalse(isMultipath(one))

    def test_multipathDelivery(self) -> None:
        """
        On all paths together, what the peer has acknowledged is counted.
        """
        one, _ = self.multipathPair()
        transport: Any = WithSocket(one)
        before = delivery(transport)
        assert before is not None
        one.sendall(b"x" * 5000)
        deadline = time.monotonic() + 30
        while (state := delivery(transport)) and state.outstanding:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(state, Delivery(0, before.acknowledged + 5000))

    def test_multipathReset(self) -> None:
        """
        A reset is one, and the end of both directions is none.
        """
        for resets in (True, False):
            one, other = self.multipathPair()
            transport: Any = WithSocket(one)
            self.assertFalse(isReset(transport))
            if resets:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                other.close()
                deadline = time.monotonic() + 30
                while not isReset(transport):
                    self.assertLess(time.monotonic(), deadline)
            else:
                one.shutdown(socket.SHUT_WR)
                other.shutdown(socket.SHUT_WR)
                self.assertEqual(one.recv(1), b"")
                self.assertFalse(isReset(transport))

    def test_silence(self) -> None:
        """
        For how long nothing has come is told of TCP on Linux, and of nothing else.
        """
        one, other = self.tcpPair()
        transport: Any = WithSocket(one)
        local: Any = WithSocket(self.pair()[0])
        self.assertIsNone(silence(local))
        self.assertIsNone(silence(StringTransport()))
        deadline = time.monotonic() + 30
        while (silence(transport) or 0.0) < 0.05:
            self.assertLess(time.monotonic(), deadline)
        silent = True
        while silent:
            self.assertLess(time.monotonic(), deadline)
            other.sendall(b"x")
            one.recv(1)
            seconds = silence(transport)
            assert seconds is not None
            silent = seconds >= 0.05
        self.patch(sys, "platform", "darwin")
        self.assertIsNone(silence(transport))

    def test_isResetElsewhere(self) -> None:
        """
        Elsewhere than on Linux it is not known either.
        """
        transport: Any = WithSocket(self.unconnected(socket.AF_INET))
        self.assertTrue(isReset(transport))
        self.patch(sys, "platform", "darwin")
        self.assertFalse(isReset(transport))

    def test_prepare(self) -> None:
        """
        TCP sockets send at once and look after their peers; others are left
        alone.
        """
        for family in (socket.AF_INET, socket.AF_INET6):
            handle = self.unconnected(family)
            prepareForRelay(WithSocket(handle))  # type: ignore[arg-type]
            self.assertTrue(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertTrue(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        one, _ = self.pair()
        prepareForRelay(WithSocket(one))  # type: ignore[arg-type]
        self.assertFalse(one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_deliverWithoutMemory(self) -> None:
        """
        What waits is given up if there is no memory for it; who closes the connection
        goes on.
        """
        one, _ = self.pair()
        with Greedy(fileno=one.detach()) as handle:
            deliverRest(WithSocket(handle))  # type: ignore[arg-type]
            self.assertEqual(handle.asked, 1)

    def test_typeOfService(self) -> None:
        """
        The value is set for the packets of the socket's kind; what is in force
        lacks the bits that the kernel keeps to itself.
        """
        for value, inForce in ((0x28, 0x28), (0x2B, 0x28), (0xFC, 0xFC), (0, 0)):
            handle = self.unconnected(socket.AF_INET)
            self.assertEqual(setTypeOfService(handle, value), inForce)
            self.assertEqual(handle.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), inForce)

    def test_trafficClass(self) -> None:
        """
        An IPv6 socket gets it for IPv6 and for the IPv4 that it may carry.
        """
        for value, inForce in ((0x28, 0x28), (0x2B, 0x28), (0, 0)):
            handle = self.unconnected(socket.AF_INET6)
            self.assertEqual(setTypeOfService(handle, value), inForce)
            self.assertEqual(handle.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS), inForce)
            self.assertEqual(handle.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), inForce)

    def test_backToZero(self) -> None:
        """
        The value can be taken back.
        """
        for family in (socket.AF_INET, socket.AF_INET6):
            handle = self.unconnected(family)
            setTypeOfService(handle, 0x28)
            self.assertEqual(setTypeOfService(handle, 0), 0)

    def test_noTypeOfService(self) -> None:
        """
        A socket without packets, or one that is closed, has none.
        """
        one, _ = self.pair()
        self.assertIsNone(setTypeOfService(one, 0x28))
        for family in (socket.AF_INET, socket.AF_INET6):
            handle = self.unconnected(family)
            handle.close()
            self.assertIsNone(setTypeOfService(handle, 0x28))


class Greedy(socket.socket):
    """
    A socket that would need more memory than there is.

    @ivar asked: How often it was read.
    """

    asked = 0

    def recv(self, *arguments: int) -> bytes:
        """
        Read nothing.
        """
        self.asked += 1
        raise MemoryError


class RedirectedSocket(socket.socket):
    """
    A socket of a connection that the packet filter has translated, or has not.

    @ivar asked: What the kernel was asked for: levels, names and sizes.
    """

    def __init__(self, family: socket.AddressFamily, own: str, found: bytes | OSError) -> None:
        """
        @param own: Where the connection has come; its port is 1081.
        @param found: What the kernel says of where it was to go.
        """
        super().__init__(family)
        self._own = own
        self._found = found
        self.asked: list[tuple[int, int, int]] = []

    def getsockname(self) -> Any:
        """
        Tell where it has come.
        """
        return (self._own, 1081, 0, 0)[: 4 if self.family == socket.AF_INET6 else 2]

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        """
        Ask the kernel.
        """
        self.asked.append((level, name, size))
        if isinstance(self._found, OSError):
            raise self._found
        return self._found


def shown(host: str, port: int) -> bytes:
    """
    Write an address as the kernel does.
    """
    packed = ip_address(host).packed
    if len(packed) == 4:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, packed)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 7, packed, 9)


class OriginalDestinationTests(SynchronousTestCase):
    """
    L{originalDestination}.
    """

    #: What is asked of the kernel for IPv4, and for IPv6.
    ASKED_IPV4 = (socket.IPPROTO_IP, 80, 16)
    ASKED_IPV6 = (socket.IPPROTO_IPV6, 80, 28)

    def look(
        self, family: socket.AddressFamily, own: str, found: bytes | OSError
    ) -> tuple[Address | None, list[tuple[int, int, int]]]:
        """
        Look where a connection was to go.

        @return: That, and what the kernel was asked.
        """
        handle = RedirectedSocket(family, own, found)
        self.addCleanup(handle.close)
        transport: Any = TransportWrapper()
        transport.transport = WithSocket(handle)
        return originalDestination(transport), handle.asked

    def test_redirected(self) -> None:
        """
        It is what the packet filter has kept, with its port; an IPv6 socket may carry
        IPv4.
        """
        for family, own, host, asked in (
            (socket.AF_INET, "127.0.0.1", "203.0.113.1", self.ASKED_IPV4),
            (socket.AF_INET, "192.0.2.1", "192.0.2.2", self.ASKED_IPV4),
            (socket.AF_INET6, "::1", "2001:db8::2", self.ASKED_IPV6),
            (socket.AF_INET6, "::ffff:192.0.2.1", "203.0.113.1", self.ASKED_IPV4),
        ):
            for port in (1, 443, 1081, 65535):
                found = self.look(family, own, shown(host, port))
                expected = Address(ip_address(host), port)
                self.assertEqual(found, (expected, [asked]))

    def test_otherPort(self) -> None:
        """
        It may be another port of our own address.
        """
        for family, own in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            where, _ = self.look(family, own, shown(own, 80))
            self.assertEqual(where, Address(ip_address(own), 80))

    def test_notRedirected(self) -> None:
        """
        Where it has come is where it was to go, if nobody has translated that.
        """
        for family, own, host in (
            (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
            (socket.AF_INET6, "2001:db8::1", "2001:db8::1"),
            (socket.AF_INET6, "::ffff:192.0.2.1", "192.0.2.1"),
        ):
            where, _ = self.look(family, own, shown(host, 1081))
            self.assertIsNone(where, own)

    def test_unknown(self) -> None:
        """
        The kernel may not know, or have no packet filter.
        """
        for family, own, asked in (
            (socket.AF_INET, "127.0.0.1", self.ASKED_IPV4),
            (socket.AF_INET6, "::1", self.ASKED_IPV6),
            (socket.AF_INET6, "::ffff:192.0.2.1", self.ASKED_IPV4),
        ):
            for code in (errno.ENOENT, errno.ENOPROTOOPT):
                found = self.look(family, own, OSError(code, ""))
                self.assertEqual(found, (None, [asked]))

    def test_zone(self) -> None:
        """
        The zone of our own address is no part of it.
        """
        for own in ("fe80::1", "fe80::1%eth0"):
            where, _ = self.look(socket.AF_INET6, own, shown("fe80::1", 1081))
            self.assertIsNone(where)

    def test_noPacketFilter(self) -> None:
        """
        Other sockets, and transports without one, go nowhere else.
        """
        with socket.socket(socket.AF_UNIX) as handle:
            for transport in (WithSocket(handle), WithSocket(None), StringTransport()):
                self.assertIsNone(originalDestination(transport))  # type: ignore[arg-type]
