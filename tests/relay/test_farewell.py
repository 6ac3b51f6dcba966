"""
Tests of L{socks6.relay.farewell}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory
from zope.interface import implementer

from socks6.relay import farewell
from socks6.relay.farewell import GRACE, LIMIT, STALL_TIMEOUT, sayFarewell
from socks6.relay.legs import LegProtocol
from tests.doubles import Peer, TLSPeer
from tests.server.harness import MemoryTestCase, TLSServer

#: As long as it takes to look again.
MOMENT = 0.25


@implementer(IPushProducer)
class DeadProducer:
    """
    A producer that never produces again.
    """

    def pauseProducing(self) -> None:
        """
        It is paused.
        """

    def resumeProducing(self) -> None:
        """
        It does not resume.
        """

    def stopProducing(self) -> None:
        """
        It has stopped.
        """


class FarewellTestCase(MemoryTestCase):
    """
    A test of farewells.
    """

    def setUp(self) -> None:
        super().setUp()
        self.gone = 0
        self.leg = LegProtocol()

    def noteGone(self) -> None:
        """
        Count.
        """
        self.gone += 1

    def begin(self, inputOver: bool = False) -> None:
        """
        Say farewell.
        """
        sayFarewell(self.leg, self.network, self.noteGone, inputOver)
        self.network.spin()

    def write(self, octets: bytes) -> None:
        """
        Write.
        """
        transport: Any = self.leg.transport
        transport.write(octets)

    def assertGone(self, peer: Peer, reset: bool = False) -> None:
        """
        Check that it is over, and was reported once.
        """
        self.assertTrue(peer.isClosed)
        self.assertEqual(peer.wasReset, reset)
        self.assertEqual(self.gone, 1)
        self.assertOver()


class PlainTests(FarewellTestCase):
    """
    Farewells on connections that can end one direction.
    """

    def setUp(self) -> None:
        super().setUp()
        self.peer = self.network.attach(self.leg)

    def test_peerCloses(self) -> None:
        """
        What was written arrives, then the end; when the peer ends, too, the
        connection is closed at once.
        """
        self.write(b"goodbye")
        self.begin()
        self.assertEqual(self.peer.received, b"goodbye")
        self.assertTrue(self.peer.ended)
        self.assertEqual(self.gone, 0)
        self.peer.end()
        self.assertGone(self.peer)

    def test_inputIsThrownAway(self) -> None:
        """
        What the peer sends meanwhile is read, so that there is no reset.
        """
        self.write(b"goodbye")
        self.peer.socket.input += b"already on its way"
        self.begin()
        self.peer.send(b"and more")
        self.peer.end()
        self.assertGone(self.peer)

    def test_grace(self) -> None:
        """
        A peer that has acknowledged everything but does not close has so long.
        """
        self.write(b"goodbye")
        self.begin()
        self.network.elapse(GRACE)
        self.assertEqual(self.gone, 0)
        self.network.elapse(MOMENT)
        self.assertGone(self.peer)

    def test_chatterer(self) -> None:
        """
        Neither has one that goes on talking longer.
        """
        self.write(b"goodbye")
        self.begin()
        for _ in range(10):
            self.network.elapse(GRACE / 10)
            self.peer.send(b"blah")
        self.assertEqual(self.gone, 0)
        self.network.elapse(MOMENT)
        self.assertGone(self.peer)

    def test_stall(self) -> None:
        """
        A peer that does not acknowledge has so long; then it is cut.
        """
        self.peer.stopReading()
        self.write(b"goodbye")
        self.begin()
        self.network.elapse(STALL_TIMEOUT)
        self.assertEqual(self.gone, 0)
        self.network.elapse(MOMENT)
        self.assertGone(self.peer, reset=True)

    def test_slowPeer(self) -> None:
        """
        One that acknowledges at least something within that time gets all.
        """
        self.peer.stopReading(100)
        self.write(b"goodbye")
        self.begin()
        while not self.peer.ended:
            self.network.elapse(STALL_TIMEOUT - 2 * MOMENT)
            self.assertEqual(self.gone, 0)
            self.peer.read(1)
        self.assertEqual(self.peer.received, b"goodbye")
        self.peer.end()
        self.assertGone(self.peer)

    def test_limit(self) -> None:
        """
        But nobody gets more than so long altogether.
        """
        self.peer.stopReading(10_000)
        self.write(bytes(10_000))
        self.begin()
        for _ in range(round(LIMIT / 10)):
            self.assertEqual(self.gone, 0)
            self.network.elapse(10)
            self.peer.read(1)
        self.assertGone(self.peer, reset=True)

    def test_graceAfterStall(self) -> None:
        """
        The grace begins when everything is acknowledged.
        """
        self.peer.stopReading()
        self.write(b"goodbye")
        self.begin()
        self.network.elapse(10)
        self.peer.startReading()
        self.network.elapse(GRACE)
        self.assertEqual(self.gone, 0)
        self.network.elapse(MOMENT)
        self.assertGone(self.peer)

    def test_inputOver(self) -> None:
        """
        A peer that has ended its direction before is not waited for.
        """
        self.peer.end()
        self.write(b"goodbye")
        self.begin(inputOver=True)
        self.assertEqual(self.peer.received, b"goodbye")
        self.assertGone(self.peer)

    def test_inputOverStall(self) -> None:
        """
        Not longer than others, that is.
        """
        self.peer.end()
        self.peer.stopReading()
        self.write(b"goodbye")
        self.begin(inputOver=True)
        self.network.elapse(STALL_TIMEOUT + MOMENT)
        self.assertGone(self.peer, reset=True)

    def test_peerEndsUnderway(self) -> None:
        """
        A peer that ends its direction before it has read everything gets the
        rest.
        """
        self.peer.stopReading()
        self.write(b"goodbye")
        self.begin()
        self.peer.end()
        self.assertEqual(self.gone, 0)
        self.network.elapse(STALL_TIMEOUT - 1)
        self.peer.startReading()
        self.assertEqual(self.peer.received, b"goodbye")
        self.assertGone(self.peer)

    def test_peerEndsAndStalls(self) -> None:
        """
        Unless it takes too long.
        """
        self.peer.stopReading()
        self.write(b"goodbye")
        self.begin()
        self.peer.end()
        self.network.elapse(STALL_TIMEOUT + MOMENT)
        self.assertGone(self.peer, reset=True)

    def test_paused(self) -> None:
        """
        A connection that was not read is read again, or its end would not be
        noticed.
        """
        self.peer.connection.pauseProducing()
        self.begin()
        self.peer.end()
        self.assertGone(self.peer)

    def test_producer(self) -> None:
        """
        A producer that was registered does not keep the connection open.
        """
        for inputOver in (False, True):
            self.gone = 0
            self.leg = LegProtocol()
            peer = self.network.attach(self.leg)
            transport: Any = self.leg.transport
            transport.registerProducer(DeadProducer(), True)
            peer.stopReading()
            self.write(bytes(200_000))
            self.begin(inputOver)
            peer.startReading()
            self.assertTrue(peer.ended, str(inputOver))
            self.assertEqual(len(peer.received), 200_000)
            peer.end()
            self.assertEqual(self.gone, 1, str(inputOver))

    def test_reset(self) -> None:
        """
        It is over when the peer breaks off.
        """
        self.write(b"goodbye")
        self.begin()
        self.peer.reset()
        self.assertEqual(self.gone, 1)
        self.assertOver()

    def test_ignorantSystem(self) -> None:
        """
        Where the system does not tell what was acknowledged, the peer has the
        longer time.
        """
        self.patch(farewell, "delivery", lambda transport: None)
        self.write(b"goodbye")
        self.begin()
        self.network.elapse(STALL_TIMEOUT - MOMENT)
        self.assertEqual(self.gone, 0)
        self.network.elapse(2 * MOMENT)
        self.assertGone(self.peer, reset=True)


class TLSTests(FarewellTestCase):
    """
    Farewells on TLS connections.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.peer: TLSPeer = TLSServer(folder, self.network).accept(
            Factory.forProtocol(lambda: self.leg)
        )

    def test_peerCloses(self) -> None:
        """
        What was written arrives, and that it was all; the connection is closed
        when the peer has confirmed it.
        """
        self.write(b"goodbye")
        self.begin()
        self.assertEqual(self.gone, 0)
        self.assertEqual(self.peer.received, b"goodbye")
        self.peer.send(b"too late")
        self.peer.end()
        self.assertGone(self.peer.peer)

    def test_grace(self) -> None:
        """
        A peer that has acknowledged everything but does not confirm is closed,
        without a reset, which could cost it what it has not read yet.
        """
        self.write(b"goodbye")
        self.begin()
        self.network.elapse(GRACE)
        self.assertEqual(self.gone, 0)
        self.network.elapse(MOMENT)
        self.assertEqual(self.peer.received, b"goodbye")
        self.assertGone(self.peer.peer)

    def test_stall(self) -> None:
        """
        So is one that does not acknowledge.
        """
        self.peer.peer.stopReading()
        self.write(b"goodbye")
        self.begin()
        self.network.elapse(STALL_TIMEOUT + MOMENT)
        self.assertGone(self.peer.peer, reset=True)

    def test_handshake(self) -> None:
        """
        Where the handshake is not over, nothing can be said: the connection is
        cut at once.
        """
        self.leg = LegProtocol()
        folder = Path(self.mktemp())
        folder.mkdir()
        factory = Factory.forProtocol(lambda: self.leg)
        peer = TLSServer(folder, self.network).connect(factory)
        self.begin()
        self.assertEqual(self.gone, 1)
        self.assertTrue(peer.peer.wasReset)
