"""
Tests of L{socks6.relay.legs}.
"""

from __future__ import annotations

import socket

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from socks6.relay.legs import NOBODY, LegProtocol, describe
from tests.server.harness import MemoryTestCase


class Recorder:
    """
    A receiver that takes notes.
    """

    def __init__(self) -> None:
        self.notes: list[object] = []

    def dataReceived(self, octets: bytes) -> None:
        """
        Note the octets.
        """
        self.notes.append(octets)

    def inputEnded(self) -> None:
        """
        Note that.
        """
        self.notes.append("input ended")

    def outputEnded(self) -> None:
        """
        Note that.
        """
        self.notes.append("output ended")

    def connectionLost(self, reason: Failure) -> None:
        """
        Note how.
        """
        self.notes.append(type(reason.value).__name__)


class LegTests(MemoryTestCase):
    """
    The connections of a tunnel.
    """

    def setUp(self) -> None:
        super().setUp()
        self.leg = LegProtocol()
        self.receiver = Recorder()
        self.leg.receiver = self.receiver

    def test_interface(self) -> None:
        """
        A leg hears of the end of one direction.
        """
        self.assertTrue(verifyObject(IHalfCloseableProtocol, self.leg))

    def test_events(self) -> None:
        """
        What happens to the connection is passed to the receiver.
        """
        peer = self.network.attach(self.leg)
        peer.send(b"octets")
        peer.end()
        peer.connection.loseWriteConnection()
        self.network.spin()
        peer.connection.loseConnection()
        self.assertEqual(
            self.receiver.notes, [b"octets", "input ended", "output ended", "ConnectionDone"]
        )

    def test_receiverChanges(self) -> None:
        """
        Each event goes to who is the receiver then.
        """
        peer = self.network.attach(self.leg)
        peer.send(b"one")
        second = self.leg.receiver = Recorder()
        peer.send(b"two")
        self.assertEqual(self.receiver.notes, [b"one"])
        self.assertEqual(second.notes, [b"two"])

    def test_lost(self) -> None:
        """
        A connection that is gone says so, and has no receiver any more.
        """
        peer = self.network.attach(self.leg)
        self.assertFalse(self.leg.lost)
        peer.reset()
        self.assertTrue(self.leg.lost)
        self.assertIs(self.leg.receiver, NOBODY)
        self.leg.dataReceived(b"decrypted too late")
        self.leg.readConnectionLost()
        self.leg.writeConnectionLost()
        self.leg.connectionLost(Failure(ConnectionError()))
        self.assertEqual(self.receiver.notes, ["ConnectionLost"])

    def test_abort(self) -> None:
        """
        Aborting resets the connection.
        """
        peer = self.network.attach(self.leg)
        self.leg.abort()
        self.network.spin()
        self.assertTrue(peer.wasReset)
        self.assertEqual(self.receiver.notes, ["ConnectionAborted"])

    def test_abortNothing(self) -> None:
        """
        Where there is no connection yet, or no longer, there is nothing to
        abort.
        """
        self.leg.abort()
        self.network.attach(self.leg).reset()
        self.leg.abort()
        self.network.spin()
        self.assertEqual(self.receiver.notes, ["ConnectionLost"])

    def test_socketOptions(self) -> None:
        """
        Small messages leave at once, and the kernel looks after idle peers.
        """
        peer = self.network.attach(self.leg)
        for level, name in (
            (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        ):
            self.assertTrue(peer.socket.getsockopt(level, name))

    def test_halfCloseBehindPROXYProtocol(self) -> None:
        """
        Behind a load balancer, too, one direction can end before the other.
        """
        factory = Factory.forProtocol(lambda: self.leg)
        peer = self.network.accept(HAProxyWrappingFactory(factory))
        peer.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 1080\r\nhello")
        peer.end()
        self.assertFalse(peer.isClosed)
        self.assertEqual(self.receiver.notes, [b"hello", "input ended"])


class DescribeTests(MemoryTestCase):
    """
    Addresses for people.
    """

    def test_addresses(self) -> None:
        """
        IP addresses with their ports, IPv4 ones as such; of others, the kind.
        """
        for address, text in (
            (IPv4Address("TCP", "192.0.2.1", 80), "192.0.2.1:80"),
            (IPv6Address("TCP", "2001:db8::1", 80), "[2001:db8::1]:80"),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 80), "192.0.2.1:80"),
            (IPv6Address("TCP", "::ffff:c000:201", 80), "192.0.2.1:80"),
            (UNIXAddress("/run/socks6"), "unix"),
            (UNIXAddress(None), "unix"),
            (HostnameAddress(b"example.com", 80), "hostname"),
        ):
            self.assertEqual(describe(address), text)

    def test_forged(self) -> None:
        """
        A load balancer may pass on what is no address; it cannot break a line
        or fill it.
        """
        for host, text in (
            ("evil\nline", r"'evil\nline':80"),
            ("\N{SNOWMAN}", r"'\u2603':80"),
            ("x" * 65, "'" + "x" * 64 + "':80"),
        ):
            self.assertEqual(describe(IPv4Address("TCP", host, 80)), text)

    def test_scope(self) -> None:
        """
        An IPv6 address may name its network interface.
        """
        self.assertEqual(describe(IPv6Address("TCP", "fe80::1%eth0", 80)), "[fe80::1%eth0]:80")
