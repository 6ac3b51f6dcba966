"""
Tests of L{socks6.client.datagramport}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet import address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.client.datagramport import LAST_REPETITION, MAX_HEADERS, DatagramPort
from socks6.client.errors import NoAnswer
from socks6.client.negotiation import Terms
from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import Command
from socks6.wire import DRAFT_06
from socks6.wire.errors import UsageError
from tests.client.datagrams import (
    HEADER,
    NAME,
    OTHER_HEADER,
    REMOTE,
    TRIGGER,
    Listener,
    MemoryWay,
    header,
)
from tests.raising import errorOf

BOUND = Address(IPv4Address("192.0.2.1"), 4000)


class PortTestCase(SynchronousTestCase):
    """
    A test of a port.

    @ivar hangUps: How often the connection with the proxy was to be closed.
    """

    def setUp(self) -> None:
        """
        Have a port that is not started.
        """
        self.clock = Clock()
        self.protocol = Listener()
        self.way = MemoryWay()
        self.hangUps = 0
        self.port = self.makePort()

    def makePort(self, bound: Address = BOUND) -> DatagramPort:
        """
        Make a port.
        """

        def hangUp() -> None:
            self.hangUps += 1

        terms = Terms(self.clock, Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4, False, 60.0, DRAFT_06)
        return DatagramPort(terms, self.protocol, self.way, (NAME, bound), hangUp)

    def assertOver(self, reason: Exception | None) -> None:
        """
        Check that the port has ended, and everybody knows.
        """
        self.assertIs(self.successResultOf(self.port.lost), reason)
        self.assertTrue(self.way.isClosed)
        self.assertEqual(self.protocol.events[-1], "stopped")
        self.assertIsNone(self.protocol.transport)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AddressTests(PortTestCase):
    """
    The port tells where it is.
    """

    def test_interfaces(self) -> None:
        """
        It is what protocols for datagrams expect.
        """
        verifyObject(IUDPTransport, self.port)
        verifyObject(IListeningPort, self.port)
        self.port.startListening()

    def test_getHost(self) -> None:
        """
        It is where the proxy has bound it.
        """
        for bound, shown in [
            (BOUND, address.IPv4Address("UDP", "192.0.2.1", 4000)),
            (
                Address(IPv6Address("2001:db8::1"), 4000),
                address.IPv6Address("UDP", "2001:db8::1", 4000),
            ),
            (
                Address(DomainName(b"proxy.example"), 4000),
                address.HostnameAddress(b"proxy.example", 4000),
            ),
        ]:
            self.assertEqual(self.makePort(bound).getHost(), shown)
        self.assertEqual(repr(self.port), "<DatagramPort 192.0.2.1:4000>")

    def test_broadcast(self) -> None:
        """
        Nothing is broadcast, and nobody is made to believe so.
        """
        self.assertFalse(self.port.getBroadcastAllowed())
        self.port.setBroadcastAllowed(False)
        self.assertIsNotNone(errorOf(UsageError, self.port.setBroadcastAllowed, True))


class WriteTests(PortTestCase):
    """
    Datagrams go to the proxy with their destinations.
    """

    def written(self, place: Any) -> bytes:
        """
        Send a datagram, and tell its header.
        """
        self.port.write(b"payload", place)
        (sent,) = self.way.takeSent()
        self.assertTrue(sent.endswith(b"payload"))
        return sent[: -len(b"payload")]

    def test_golden(self) -> None:
        """
        In front of the payload, which may be empty, stands the header.
        """
        self.port.write(b"question", REMOTE)
        self.port.write(b"", REMOTE)
        self.assertEqual(self.way.sent, [HEADER + b"question", HEADER])

    def test_destinations(self) -> None:
        """
        Whatever names a host can name where a datagram goes.  Names are not looked up
        here.
        """
        v6 = header(IPv6Address("2001:db8::1"), 53)
        name = header(DomainName(b"example.org"), 53)
        for place, expected in [
            (REMOTE, HEADER),
            ((b"203.0.113.1", 53), HEADER),
            (address.IPv4Address("UDP", "203.0.113.1", 53), HEADER),
            (("2001:db8::1", 53), v6),
            (("2001:db8::1", 53, 0, 0), v6),
            (address.IPv6Address("UDP", "2001:db8::1", 53), v6),
            (("example.org", 53), name),
            ((b"example.org", 53), name),
            (address.HostnameAddress(b"example.org", 53), name),
        ]:
            # The second time, it is remembered.
            self.assertEqual([self.written(place) for _ in range(2)], [expected] * 2, repr(place))

    def test_impossible(self) -> None:
        """
        What names no host is the user's mistake, and nothing is sent.
        """
        for place in (
            None,
            ("", 53),
            ("203.0.113.1", 0),
            ("203.0.113.1", 65536),
            ("fe80::1%eth0", 53),
            address.IPv4Address("UDP", "203.0.113.1", 0),
            address.UNIXAddress("/tmp/socket"),
        ):
            self.assertIsNotNone(errorOf(ValueError, self.port.write, b"x", place), repr(place))
        self.assertEqual(self.way.sent, [])

    def test_manyDestinations(self) -> None:
        """
        However many there are, their headers are right, and few are remembered.
        """
        places = [(f"host{number}.example", 53) for number in range(3 * MAX_HEADERS)]
        for host, number in places:
            expected = header(DomainName(host.encode("ascii")), 53)
            self.assertEqual(self.written((host, number)), expected)
        self.assertLessEqual(len(self.port._headers), MAX_HEADERS)

    def test_connect(self) -> None:
        """
        A connected port sends to one host, and needs not be told which.
        """
        self.assertEqual(self.written(("203.0.113.2", 53)), OTHER_HEADER)
        self.port.connect(*REMOTE)
        self.assertEqual(self.written(None), HEADER)
        self.assertEqual(self.written(REMOTE), HEADER)
        for _ in range(2):
            error = errorOf(UsageError, self.port.write, b"x", ("203.0.113.2", 53))
            self.assertIsNotNone(error)
        self.assertIsNotNone(errorOf(UsageError, self.port.connect, *REMOTE))

    def test_connectToName(self) -> None:
        """
        It cannot be connected to a name: nobody knows what answers would come from.
        """
        self.assertIsNotNone(errorOf(ValueError, self.port.connect, "example.org", 53))
        self.port.connect(*REMOTE)


class ReceiveTests(PortTestCase):
    """
    Datagrams come from the proxy with their sources.
    """

    def setUp(self) -> None:
        """
        Start the port.
        """
        super().setUp()
        self.port.start()
        self.protocol.events.clear()

    def test_sources(self) -> None:
        """
        The protocol gets the payload, which may be empty, and who has sent it.
        """
        self.port.received(HEADER + b"answer")
        self.port.received(HEADER)
        self.port.received(header(IPv6Address("2001:db8::1"), 53) + b"six")
        self.assertEqual(
            self.protocol.events,
            [(b"answer", REMOTE), (b"", REMOTE), (b"six", ("2001:db8::1", 53))],
        )
        self.assertEqual(self.port.dropped, {})

    def test_manySources(self) -> None:
        """
        However many there are, they are told apart, and few are remembered.
        """
        hosts = [IPv4Address(0xCB007100 + number) for number in range(3 * MAX_HEADERS)]
        for host in hosts:
            self.port.received(header(host, 53) + b"x")
        self.assertEqual(self.protocol.events, [(b"x", (str(host), 53)) for host in hosts])
        self.assertLessEqual(len(self.port._sources), MAX_HEADERS)

    def test_dropped(self) -> None:
        """
        What is not of the association, or no datagram at all, is dropped and counted.
        """
        name = header(DomainName(b"a"), 53)
        for reason, datagram in [
            ("unknown association", header(IPv4Address("203.0.113.1"), 53, NAME + 1) + b"x"),
            ("MalformedMessage", b""),
            ("MalformedMessage", HEADER[:-1]),
            ("MalformedMessage", name[:-1] + b"\0"),
            ("VersionMismatch", b"\5\0" + HEADER[2:]),
            ("UnknownAddressType", HEADER[:8] + b"\2" + HEADER[9:]),
        ]:
            for _ in range(2):
                before = self.port.dropped[reason]
                self.port.received(datagram)
                self.assertEqual(self.port.dropped[reason], before + 1, f"{reason}: {datagram!r}")
        self.assertEqual(self.protocol.events, [])

    def test_namedSource(self) -> None:
        """
        A host that has no address is none.
        """
        for name in (b"example.org", b"::1%a"):
            self.port.received(header(DomainName(name), 53) + b"x")
        self.assertEqual(self.protocol.events, [])
        self.assertEqual(self.port.dropped, {"no address": 2})

    def test_connected(self) -> None:
        """
        A connected port receives from one host only, whoever has sent before.
        """
        self.port.received(OTHER_HEADER + b"before")
        self.port.connect(*REMOTE)
        for _ in range(2):
            self.port.received(OTHER_HEADER + b"other")
            self.port.received(HEADER + b"x")
        self.assertEqual(
            self.protocol.events,
            [(b"before", ("203.0.113.2", 53)), (b"x", REMOTE), (b"x", REMOTE)],
        )
        self.assertEqual(self.port.dropped, {"another host": 2})

    def test_brokenProtocol(self) -> None:
        """
        An exception in the user's protocol is logged, and ends nothing.
        """

        def fail(listener: Listener) -> None:
            raise RuntimeError("as the test wants it")

        self.protocol.whenReceived = fail
        self.port.received(HEADER + b"one")
        self.port.received(HEADER + b"two")
        self.assertEqual(self.protocol.events, [(b"one", REMOTE), (b"two", REMOTE)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.assertNoResult(self.port.lost)


class ConfirmationTests(PortTestCase):
    """
    The proxy gets to know where we are, even if we have nothing to say.
    """

    def test_repeated(self) -> None:
        """
        The empty datagram is sent again after growing times until the proxy confirms
        that one has come; then nothing is sent any more.
        """
        self.port.start()
        times = [0.0]
        self.assertEqual(self.way.takeSent(), [TRIGGER])
        while self.clock.seconds() < 40.0:
            self.clock.advance(0.25)
            if self.way.takeSent() == [TRIGGER]:
                times.append(self.clock.seconds())
        self.assertEqual(times, [0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 25.75, 35.75])
        self.assertEqual(LAST_REPETITION, 10.0)
        self.assertNoResult(self.port.confirmed)
        self.port.confirm()
        self.assertTrue(self.successResultOf(self.port.confirmed))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.protocol.events, ["started"])

    def test_writtenMeanwhile(self) -> None:
        """
        Until then, what the protocol writes is sent at once, too.
        """
        self.protocol.whenStarted = lambda listener: listener.transport.write(b"first", REMOTE)
        self.port.start()
        self.port.write(b"second", REMOTE)
        self.assertEqual(self.way.sent, [TRIGGER, HEADER + b"first", HEADER + b"second"])

    def test_early(self) -> None:
        """
        A confirmation that comes before we have begun is good.
        """
        self.port.confirm()
        self.port.start()
        self.assertEqual(self.way.sent, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never(self) -> None:
        """
        If it does not come, no datagram gets to the proxy: that is the end.
        """
        self.port.start()
        self.clock.advance(59.9)
        self.assertNoResult(self.port.lost)
        self.clock.advance(0.1)
        reason = self.successResultOf(self.port.lost)
        self.assertIsInstance(reason, NoAnswer)
        self.assertIn("60 s", str(reason))
        self.assertFalse(self.successResultOf(self.port.confirmed))
        self.assertEqual(self.hangUps, 1)
        self.assertEqual(self.protocol.events, ["started", "stopped"])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(PortTestCase):
    """
    The association ends, in one way or another, and the protocol is stopped once.
    """

    def test_stopListening(self) -> None:
        """
        The user ends it: nothing passes any more, the connection with the proxy is
        closed, and then the protocol is stopped.  That all can be asked for twice.
        """
        self.port.start()
        self.port.confirm()
        stopped = [self.port.stopListening() for _ in range(2)]
        self.assertEqual(self.hangUps, 1)
        self.assertTrue(self.way.isClosed)
        self.assertEqual(self.protocol.events, ["started"])
        for each in [*stopped, self.port.lost]:
            self.assertNoResult(each)
        self.port.hungUp(ConnectionDone())
        for each in stopped:
            self.assertIsNone(self.successResultOf(each))
        self.assertOver(None)
        self.assertTrue(self.successResultOf(self.port.confirmed))
        self.assertIsNone(self.successResultOf(self.port.stopListening()))
        self.assertEqual(self.hangUps, 1)
        self.assertEqual(self.protocol.events, ["started", "stopped"])

    def test_stopCancelled(self) -> None:
        """
        Whoever waits no more for the end does not stop it.
        """
        self.port.start()
        stopped = self.port.stopListening()
        stopped.addErrback(lambda failure: None)
        stopped.cancel()
        self.port.hungUp(ConnectionDone())
        self.assertOver(None)

    def test_stoppedAtOnce(self) -> None:
        """
        A protocol may stop while it is being started, or has got a datagram.
        """
        self.protocol.whenStarted = lambda listener: listener.transport.stopListening()
        self.port.start()
        self.port.hungUp(ConnectionDone())
        self.assertOver(None)
        self.assertFalse(self.successResultOf(self.port.confirmed))
        self.setUp()
        self.port.start()
        self.protocol.whenReceived = lambda listener: listener.transport.stopListening()
        self.port.received(HEADER + b"x")
        self.port.hungUp(ConnectionDone())
        self.assertOver(None)

    def test_endedWhenStarted(self) -> None:
        """
        If it ends while the protocol is being started, that is stopped afterwards.
        """
        reason = ConnectionDone()
        self.protocol.whenStarted = lambda listener: listener.transport.hungUp(reason)
        self.port.start()
        self.assertEqual(self.protocol.events, ["started", "stopped"])
        self.assertOver(reason)

    def test_lost(self) -> None:
        """
        The connection with the proxy is lost.
        """
        self.port.start()
        reason = ConnectionDone()
        self.port.hungUp(reason)
        self.assertOver(reason)
        self.assertFalse(self.successResultOf(self.port.confirmed))
        self.assertEqual(self.hangUps, 0)
        self.port.hungUp(ConnectionDone())
        self.assertEqual(self.protocol.events, ["started", "stopped"])

    def test_failed(self) -> None:
        """
        Something else is: then the connection is closed.  What the protocol does as it
        is stopped changes nothing.
        """
        self.port.start()
        self.protocol.whenStopped = lambda listener: self.port.stopListening()
        reason = ConnectionDone()
        self.port.fail(reason)
        self.assertOver(reason)
        self.assertEqual(self.hangUps, 1)

    def test_failedWhenStopping(self) -> None:
        """
        What fails while the connection is being closed ends the wait.
        """
        self.port.start()
        stopped = self.port.stopListening()
        reason = ConnectionDone()
        self.port.fail(reason)
        self.successResultOf(stopped)
        self.assertOver(reason)
        self.assertEqual(self.hangUps, 1)

    def test_neverStarted(self) -> None:
        """
        A protocol that was not started is not stopped.
        """
        self.port.hungUp(ConnectionDone())
        self.assertEqual(self.protocol.events, [])
        self.assertTrue(self.way.isClosed)

    def test_brokenStop(self) -> None:
        """
        An exception as the protocol is stopped is logged, and everybody hears of the
        end nevertheless.
        """

        def fail(listener: Listener) -> None:
            raise RuntimeError("as the test wants it")

        self.protocol.whenStopped = fail
        self.port.start()
        stopped = self.port.stopListening()
        self.port.hungUp(ConnectionDone())
        self.successResultOf(stopped)
        self.assertOver(None)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
