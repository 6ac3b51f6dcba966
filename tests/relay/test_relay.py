"""
Tests of L{socks6.relay.relay}.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from socks6.relay.direction import Direction
from socks6.relay.farewell import GRACE, STALL_TIMEOUT
from socks6.relay.legs import LegProtocol
from socks6.relay.relay import Relay, RelayResult
from tests.doubles import Peer, TLSPeer
from tests.server.harness import MemoryTestCase, TLSServer

#: More than a transport wants to keep.
PLENTY = bytes(range(256)) * 2048

#: More than a transport wants to keep, but not more than a socket holds besides.
SOME = PLENTY[:150_000]

#: Octets that a transport may keep: what it wants to, and one read more.
KEPT = 2 * 65536


def keptFor(peer: Peer) -> int:
    """
    Count the octets that wait to be sent to a peer.
    """
    transport = peer.connection
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen


class RelayTestCase(MemoryTestCase):
    """
    A test of a relay between two peers.

    @cvar pipes: Makes what octets may pass through inside the kernel.
    """

    pipes: Callable[[], Any] = staticmethod(lambda: None)

    def setUp(self) -> None:
        super().setUp()
        self.results: list[RelayResult] = []

    def relay(
        self,
        clientLeg: LegProtocol,
        remoteLeg: LegProtocol,
        early: bytes = b"",
        inputOver: bool = False,
        **options: Any,
    ) -> Relay:
        """
        Start a relay.
        """
        relay = Relay(
            self.network, clientLeg, remoteLeg, self.results.append, pipes=self.pipes(), **options
        )
        relay.start(early, inputOver)
        self.network.spin()
        return relay

    def start(self, **options: Any) -> tuple[Peer, Peer]:
        """
        Start a relay between two peers.
        """
        clientLeg, remoteLeg = LegProtocol(), LegProtocol()
        client, remote = self.network.attach(clientLeg), self.network.attach(remoteLeg)
        self.lastRelay = self.relay(clientLeg, remoteLeg, **options)
        return client, remote

    def assertFinished(self, toRemote: int, toClient: int, ending: str, case: str = "") -> None:
        """
        Check that everything is over, and has been reported once.
        """
        self.assertOver(case)
        self.assertEqual(self.results, [RelayResult(toRemote, toClient, ending)], case)
        self.results.clear()


class PassingTests(RelayTestCase):
    """
    Octets on their way.
    """

    def test_bothWays(self) -> None:
        """
        Octets arrive unchanged and in order, both ways, and are counted.
        """
        client, remote = self.start()
        client.send(b"question")
        client.send(b", and more")
        remote.send(b"answer")
        self.assertEqual(remote.received, b"question, and more")
        self.assertEqual(client.received, b"answer")
        client.end()
        remote.end()
        self.assertFinished(18, 6, "closed")

    def test_early(self) -> None:
        """
        What the client has sent before comes first, and counts.
        """
        client, remote = self.start(early=b"early ")
        client.send(b"late")
        self.assertEqual(remote.received, b"early late")
        client.end()
        remote.end()
        self.assertFinished(10, 0, "closed")

    def test_readAgain(self) -> None:
        """
        A client that was not read while we connected is read again.
        """
        clientLeg, remoteLeg = LegProtocol(), LegProtocol()
        client, remote = self.network.attach(clientLeg), self.network.attach(remoteLeg)
        client.connection.pauseProducing()
        client.send(b"waits")
        self.relay(clientLeg, remoteLeg)
        self.assertEqual(remote.received, b"waits")

    def test_slowRemote(self) -> None:
        """
        While the remote host does not read, the client is not read, so that
        little is kept; nothing gets lost.
        """
        client, remote = self.start()
        self.checkPressure(client, remote)

    def test_slowClient(self) -> None:
        """
        The same the other way.
        """
        client, remote = self.start()
        self.checkPressure(remote, client)

    def checkPressure(self, source: Peer, destination: Peer) -> None:
        """
        Send more than is read.
        """
        for _ in range(2):
            destination.take()
            destination.stopReading()
            source.send(PLENTY)
            self.assertFalse(source.isRead)
            self.assertLessEqual(keptFor(destination), KEPT)
            self.assertGreaterEqual(len(source.socket.input), len(PLENTY) - KEPT - 1)
            self.assertTrue(destination.isRead, "the other direction goes on")
            destination.startReading()
            self.assertTrue(source.isRead)
            self.assertEqual(destination.received, PLENTY)

    def test_pressureGoesOn(self) -> None:
        """
        A destination that reads some now and then is never sent more than that.
        """
        client, remote = self.start()
        remote.stopReading(1000)
        client.send(PLENTY)
        while client.socket.input:
            self.assertLessEqual(keptFor(remote), KEPT)
            remote.read(1000)
        remote.startReading()
        self.assertEqual(remote.received, PLENTY)

    def test_earlyPressure(self) -> None:
        """
        When more was sent early than the remote host takes, the client is not
        read at first.
        """
        clientLeg, remoteLeg = LegProtocol(), LegProtocol()
        client, remote = self.network.attach(clientLeg), self.network.attach(remoteLeg)
        client.connection.pauseProducing()
        remote.stopReading()
        self.relay(clientLeg, remoteLeg, early=PLENTY)
        self.assertFalse(client.isRead)
        client.send(b"late")
        remote.startReading()
        self.assertTrue(client.isRead)
        self.assertEqual(remote.received, PLENTY + b"late")

    def test_producers(self) -> None:
        """
        What the transports get as producers are such.
        """
        client, remote = self.start()
        for peer in (client, remote):
            self.assertIsInstance(peer.connection.producer, Direction)
            self.assertTrue(verifyObject(IPushProducer, peer.connection.producer))
            self.assertTrue(peer.connection.streamingProducer)


class EndingTests(RelayTestCase):
    """
    How a tunnel ends.
    """

    def test_clientEndsFirst(self) -> None:
        """
        The end of the client's direction is passed on; the other direction goes
        on until it ends, too.
        """
        client, remote = self.start()
        client.send(b"question")
        client.end()
        self.assertEqual(remote.received, b"question")
        self.assertTrue(remote.ended)
        self.assertFalse(client.ended)
        remote.send(b"answer")
        self.assertEqual(client.received, b"answer")
        self.assertEqual(self.results, [])
        remote.end()
        self.assertTrue(client.ended)
        self.assertFalse(client.wasReset or remote.wasReset)
        self.assertFinished(8, 6, "closed")

    def test_remoteEndsFirst(self) -> None:
        """
        The same the other way.
        """
        client, remote = self.start()
        remote.send(b"banner")
        remote.end()
        self.assertEqual(client.received, b"banner")
        self.assertTrue(client.ended)
        self.assertFalse(remote.ended)
        client.send(b"thanks")
        self.assertEqual(remote.received, b"thanks")
        self.assertEqual(self.results, [])
        client.end()
        self.assertFalse(client.wasReset or remote.wasReset)
        self.assertFinished(6, 6, "closed")

    def test_bothEndAtOnce(self) -> None:
        """
        Both directions may end in the same moment.
        """
        client, remote = self.start()
        client.socket.inputEnded = True
        remote.end()
        self.assertFalse(client.wasReset or remote.wasReset)
        self.assertFinished(0, 0, "closed")

    def test_endedBefore(self) -> None:
        """
        A client that has ended its direction before the tunnel begins still
        gets its answer.
        """
        client, remote = self.start(early=b"question", inputOver=True)
        self.assertEqual(remote.received, b"question")
        self.assertTrue(remote.ended)
        remote.send(b"answer")
        remote.end()
        self.assertEqual(client.received, b"answer")
        self.assertTrue(client.ended)
        self.assertFinished(8, 6, "closed")

    def test_endWaitsForData(self) -> None:
        """
        A direction's end comes behind its data, even if these take long.
        """
        client, remote = self.start()
        remote.stopReading()
        client.send(PLENTY)
        client.end()
        remote.send(b"answer")
        self.assertEqual(client.received, b"answer")
        self.assertFalse(remote.ended)
        remote.startReading()
        self.assertEqual(remote.received, PLENTY)
        self.assertTrue(remote.ended)
        remote.end()
        self.assertFinished(len(PLENTY), 6, "closed")

    def test_bothEndWithDataPending(self) -> None:
        """
        When both directions have ended, what was sent still arrives.
        """
        client, remote = self.start()
        client.stopReading()
        remote.stopReading()
        client.send(b"x" * 60000)
        remote.send(b"y" * 60000)
        client.end()
        remote.end()
        self.assertEqual(self.results, [])
        self.network.elapse(STALL_TIMEOUT - 1)
        client.startReading()
        remote.startReading()
        self.assertEqual(remote.received, b"x" * 60000)
        self.assertEqual(client.received, b"y" * 60000)
        self.assertFalse(client.wasReset or remote.wasReset)
        self.assertFinished(60000, 60000, "closed")

    def test_reset(self) -> None:
        """
        When one connection breaks, the other one ends, after what had come
        before has been delivered.
        """
        for who in (0, 1):
            peers = self.start()
            broken, other = peers[who], peers[1 - who]
            ending = ("client lost", "remote host lost")[who]
            other.stopReading()
            broken.send(b"last words")
            broken.reset()
            self.assertEqual(self.results, [], ending)
            other.startReading()
            self.assertEqual(other.received, b"last words", ending)
            self.assertTrue(other.ended, ending)
            other.end()
            counts = (10, 0) if who == 0 else (0, 10)
            self.assertFinished(*counts, ending)

    def test_resetWhileItDoesNotRead(self) -> None:
        """
        That a peer has gone away is noticed even where it is written to only,
        and what the other one then sends does not matter.
        """
        for who in (0, 1):
            peers = self.start()
            broken, other = peers[who], peers[1 - who]
            broken.stopReading()
            other.send(PLENTY)
            self.assertFalse(other.isRead)
            broken.reset()
            self.assertTrue(broken.isClosed)
            other.send(b"more")
            self.assertTrue(other.ended)
            other.end()
            self.assertFalse(other.wasReset)
            self.assertOver(str(who))
            self.assertEqual(
                [result.ending for result in self.results],
                [("client lost", "remote host lost")[who]],
            )
            self.results.clear()

    def test_resetUnseen(self) -> None:
        """
        A peer that is not read may go away; that is found out when the other
        one reads again.
        """
        client, remote = self.start()
        remote.stopReading()
        client.send(PLENTY)
        client.reset()
        self.assertFalse(client.isClosed)
        remote.startReading()
        self.assertEqual(remote.received, PLENTY)
        self.assertTrue(remote.ended)
        remote.end()
        self.assertFinished(len(PLENTY), 0, "client lost")

    def test_resetByWriting(self) -> None:
        """
        A peer that has closed may not want what it is sent; what it has sent
        before, and was not read yet, arrives all the same.
        """
        for who, ending in enumerate(("client lost", "remote host lost")):
            peers = self.start()
            broken, other = peers[who], peers[1 - who]
            other.stopReading()
            broken.send(SOME)
            self.assertFalse(broken.isRead)
            broken.reset()
            self.assertFalse(broken.isClosed)
            other.send(b"unwanted")
            self.assertTrue(broken.isClosed)
            other.startReading()
            self.assertEqual(other.received, SOME, ending)
            self.assertTrue(other.ended, ending)
            other.end()
            counts = (len(SOME), 8) if who == 0 else (8, len(SOME))
            self.assertFinished(*counts, ending)

    def test_bothResetWhilePaused(self) -> None:
        """
        Two peers that neither read nor are read may both go away at once.
        """
        client, remote = self.start()
        client.stopReading()
        remote.stopReading()
        client.send(PLENTY)
        remote.send(PLENTY)
        self.assertFalse(client.isRead or remote.isRead)
        client.socket.broken = True
        remote.reset()
        self.assertOver()
        (result,) = self.results
        self.assertEqual(result.ending, "client lost")

    def test_resetAfterOtherEnded(self) -> None:
        """
        A connection may break when the other one has ended a direction.
        """
        for breaks, ending in enumerate(("client lost", "remote host lost")):
            peers = self.start()
            broken, other = peers[breaks], peers[1 - breaks]
            other.end()
            broken.reset()
            self.assertTrue(other.ended, ending)
            self.assertFinished(0, 0, ending, ending)

    def test_resetAfterItEnded(self) -> None:
        """
        A connection may break when it has ended a direction itself; that is
        found out when it is written to.
        """
        for breaks, ending in enumerate(("client lost", "remote host lost")):
            peers = self.start()
            broken, other = peers[breaks], peers[1 - breaks]
            broken.end()
            broken.reset()
            other.send(b"unheard")
            self.assertTrue(other.ended, ending)
            other.end()
            self.assertOver(ending)
            self.assertEqual([result.ending for result in self.results], [ending])
            self.results.clear()

    def test_resetInSilence(self) -> None:
        """
        Even where it is neither read, as it has ended its direction, nor
        written to, that it broke is found out soon.
        """
        for breaks, ending in enumerate(("client lost", "remote host lost")):
            peers = self.start()
            broken, other = peers[breaks], peers[1 - breaks]
            broken.end()
            self.network.elapse(100)
            self.assertFalse(broken.isClosed, ending)
            broken.reset()
            self.network.elapse(10)
            self.assertTrue(broken.isClosed, ending)
            self.assertTrue(other.ended, ending)
            other.end()
            self.assertFinished(0, 0, ending, ending)

    def test_resetWhileStuck(self) -> None:
        """
        That a peer which is not read has gone is also found out soon if the
        other one reads nothing; that one gets what it still takes in time.
        """
        for breaks, ending in enumerate(("client lost", "remote host lost")):
            peers = self.start()
            broken, other = peers[breaks], peers[1 - breaks]
            other.stopReading()
            broken.send(SOME)
            self.assertFalse(broken.isRead, ending)
            self.network.elapse(100)
            broken.reset()
            self.network.elapse(9)
            self.assertFalse(broken.isClosed, ending)
            self.network.elapse(1)
            self.assertTrue(broken.isClosed, ending)
            self.assertFalse(other.isClosed, ending)
            other.startReading()
            self.assertEqual(other.received, SOME, ending)
            other.end()
            self.assertOver(ending)
            self.assertEqual([result.ending for result in self.results], [ending])
            self.results.clear()

    def test_resetWhileSlow(self) -> None:
        """
        As long as the other one reads on, nothing is hurried.
        """
        client, remote = self.start()
        remote.stopReading(1000)
        client.send(PLENTY)
        client.reset()
        for _ in range(10):
            self.network.elapse(9)
            remote.read(1)
            self.assertFalse(client.isClosed)
        remote.startReading()
        self.assertEqual(remote.received, PLENTY)
        remote.end()
        self.assertFinished(len(PLENTY), 0, "client lost")

    def test_farewellIsNotRelayed(self) -> None:
        """
        When one connection is gone, what the other sends goes nowhere and
        counts no more.
        """
        client, remote = self.start()
        client.reset()
        remote.send(b"into the void")
        remote.end()
        self.assertFinished(0, 0, "client lost")

    def test_peerThatStays(self) -> None:
        """
        When one connection is gone, the other one is closed soon, even if its
        peer does not close it.
        """
        client, remote = self.start()
        client.reset()
        self.network.elapse(GRACE + 1)
        self.assertTrue(remote.isClosed)
        self.assertFalse(remote.wasReset)
        self.assertFinished(0, 0, "client lost")

    def test_peerThatStalls(self) -> None:
        """
        One whose peer does not read is cut in the end.
        """
        client, remote = self.start()
        remote.stopReading()
        client.send(b"never read")
        client.reset()
        self.network.elapse(STALL_TIMEOUT + 1)
        self.assertTrue(remote.wasReset)
        self.assertFinished(10, 0, "client lost")


class LossTests(RelayTestCase):
    """
    What is made of the reason for which a connection is lost.
    """

    def lose(self, peer: Peer, error: Exception) -> None:
        """
        Lose the connection to a peer.
        """
        peer.connection.connectionLost(Failure(error))
        self.network.spin()

    def test_endings(self) -> None:
        """
        The remote host's end is the tunnel's, or its loss; where it never was connected
        after all, that has a reason, in our own words as far as errors are known.
        """
        for error, ending in (
            (ConnectionDone(), "closed"),
            (ConnectionLost(), "remote host lost"),
            (ConnectionAborted("so there"), "remote host lost"),
            (
                ConnectError(string="the proxy says no"),
                "An error occurred while connecting: the proxy says no",
            ),
            (
                ConnectionRefusedError(),
                "Connection was refused by other side",
            ),
            (
                SSL.Error([("SSL routines", "", "certificate verify failed")]),
                "TLS: certificate verify failed",
            ),
            (ValueError("who knows what this is"), "ValueError"),
        ):
            for octets in (b"", b"heard"):
                client, remote = self.start()
                remote.send(octets)
                self.lose(remote, error)
                client.end()
                self.assertFinished(0, len(octets), ending, repr(error))

    def test_clientsEnding(self) -> None:
        """
        The client's end is the tunnel's, or its loss, whatever the reason.
        """
        for error, ending in (
            (ConnectionDone(), "closed"),
            (ConnectionLost(), "client lost"),
            (ConnectError(), "client lost"),
            (SSL.Error(), "client lost"),
            (ValueError("who knows what this is"), "client lost"),
        ):
            client, remote = self.start(lastWords=self.fail)
            self.lose(client, error)
            self.assertTrue(remote.ended, repr(error))
            remote.end()
            self.assertFinished(0, 0, ending, repr(error))

    def test_lastWords(self) -> None:
        """
        When the remote host is lost before it has said anything, the client gets to
        hear what is given for that reason, and then the end.
        """
        for error in (ConnectionDone(), ConnectionLost(), ConnectError(), ValueError()):
            heard: list[Any] = []

            def lastWords(reason: Failure, heard: list[Any] = heard) -> bytes:
                heard.append(reason.value)
                return b"502"

            client, remote = self.start(lastWords=lastWords, early=b"GET")
            self.lose(remote, error)
            self.assertEqual(heard, [error])
            self.assertEqual(client.received, b"502")
            self.assertTrue(client.ended)
            self.assertFalse(client.isClosed)
            client.end()
            self.assertFalse(client.wasReset)
            self.assertOver()
            (result,) = self.results
            self.assertEqual((result.toRemote, result.toClient), (3, 0))
            self.results.clear()

    def test_noLastWords(self) -> None:
        """
        When it has said something, or has ended its direction in good order, there is
        nothing to add.
        """
        client, remote = self.start(lastWords=self.fail)
        remote.send(b"200")
        self.lose(remote, ConnectionLost())
        self.assertEqual(client.received, b"200")
        client.end()
        client, remote = self.start(lastWords=self.fail)
        remote.end()
        client.end()
        self.assertEqual(client.received, b"")
        self.assertOver()

    def test_brokenOff(self) -> None:
        """
        When it never was connected, and there is nothing to say, the client is broken
        off, so that it does not take that for an end in good order.
        """
        for error in (ConnectError(), ConnectionRefusedError(), SSL.Error(), ValueError()):
            client, remote = self.start()
            self.lose(remote, error)
            self.assertTrue(client.wasReset, repr(error))
            self.assertFalse(client.ended, repr(error))
            self.assertOver(repr(error))
            self.assertEqual(len(self.results), 1)
            self.results.clear()

    def test_notBrokenOff(self) -> None:
        """
        Otherwise it gets all that was said, and a good end.
        """
        for said, error in (
            (b"said", ConnectError()),
            (b"said", SSL.Error()),
            (b"", ConnectionLost()),
            (b"", ConnectionDone()),
        ):
            client, remote = self.start()
            remote.send(said)
            self.lose(remote, error)
            self.assertEqual(client.received, said)
            self.assertTrue(client.ended)
            client.end()
            self.assertFalse(client.wasReset, repr(error))
            self.assertOver(repr(error))
            self.results.clear()

    def test_brokenOffWhileStuck(self) -> None:
        """
        Also a client that does not read, or has ended its direction.
        """
        for prepare in (Peer.stopReading, Peer.end):
            client, remote = self.start()
            prepare(client)
            self.lose(remote, ConnectError())
            self.assertTrue(client.wasReset)
            self.assertOver()
            self.results.clear()

    def test_aborted(self) -> None:
        """
        When the tunnel is cut, the last words reach nobody, and why it was cut is what
        is reported.
        """
        client, remote = self.start(lastWords=lambda reason: b"502")
        self.lastRelay.abort("because")
        self.network.spin()
        self.assertEqual(client.received, b"")
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertFinished(0, 0, "because")


class CuttingTests(RelayTestCase):
    """
    How a tunnel is cut.
    """

    def test_abort(self) -> None:
        """
        Both connections are reset, whatever state they are in.
        """
        for name, prepare in (
            ("idle", lambda client, remote: None),
            ("client ended", lambda client, remote: client.end()),
            ("remote ended", lambda client, remote: remote.end()),
            ("stalled", self.stall),
        ):
            client, remote = self.start()
            prepare(client, remote)
            self.lastRelay.abort("because")
            self.network.spin()
            self.assertTrue(client.wasReset and remote.wasReset, name)
            self.assertOver(name)
            self.assertEqual([result.ending for result in self.results], ["because"], name)
            self.results.clear()

    def stall(self, client: Peer, remote: Peer) -> None:
        """
        Read nothing.
        """
        for peer in (client, remote):
            peer.stopReading()
        for peer in (client, remote):
            peer.send(PLENTY)

    def test_abortFarewell(self) -> None:
        """
        Also when they are being closed, or one is gone; how that began is
        still what is reported.
        """
        client, remote = self.start()
        client.reset()
        self.assertFalse(remote.isClosed)
        self.lastRelay.abort("because")
        self.network.spin()
        self.assertTrue(remote.wasReset)
        self.assertFinished(0, 0, "client lost")

    def test_abortTwice(self) -> None:
        """
        Once is enough, the second time changes nothing.
        """
        self.start()
        self.lastRelay.abort("first")
        self.lastRelay.abort("second")
        self.network.spin()
        self.assertFinished(0, 0, "first")

    def test_idle(self) -> None:
        """
        A tunnel without traffic is cut in time.
        """
        client, remote = self.start(idleTimeout=60.0)
        self.network.elapse(59.5)
        self.assertFalse(client.isClosed)
        self.network.elapse(0.5)
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertFinished(0, 0, "idle")

    def test_traffic(self) -> None:
        """
        Traffic, whichever way, puts that off.
        """
        client, remote = self.start(early=b"x", idleTimeout=60.0)
        for peer in (client, remote, client):
            self.network.elapse(40)
            peer.send(b"y")
        self.network.elapse(59.5)
        self.assertFalse(client.isClosed)
        self.network.elapse(0.5)
        self.assertFinished(3, 1, "idle")

    def test_slowReader(self) -> None:
        """
        As long as a peer goes on reading what was sent before, the tunnel is
        not idle.
        """
        for who in (0, 1):
            peers = self.start(idleTimeout=60.0)
            slow, other = peers[who], peers[1 - who]
            slow.stopReading(1000)
            other.send(b"x" * 100)
            for _ in range(10):
                self.network.elapse(59)
                self.assertFalse(slow.isClosed, str(who))
                slow.read(1)
            self.network.elapse(121)
            self.assertTrue(slow.wasReset and other.wasReset, str(who))
            self.assertFinished(*((0, 100) if who == 0 else (100, 0)), "idle", str(who))

    def test_lateReader(self) -> None:
        """
        When a peer takes what has waited for it, the tunnel is in use.
        """
        client, remote = self.start(idleTimeout=60.0)
        remote.stopReading()
        client.send(bytes(2 * 65536))
        self.assertFalse(client.socket.input or client.isRead)
        self.network.elapse(40)
        remote.startReading()
        self.assertTrue(client.isRead)
        self.network.elapse(59)
        self.assertFalse(client.isClosed)
        self.network.elapse(1)
        self.assertFinished(2 * 65536, 0, "idle")

    def test_neverIdle(self) -> None:
        """
        Without a limit, a tunnel lasts.
        """
        client, remote = self.start()
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.network.elapse(10_000_000)
        client.send(b"still here")
        self.assertEqual(remote.received, b"still here")

    def test_endBeforeIdle(self) -> None:
        """
        A tunnel that ends is not waited for.
        """
        client, remote = self.start(idleTimeout=60.0)
        client.end()
        remote.end()
        self.assertFinished(0, 0, "closed")


class TLSTests(RelayTestCase):
    """
    Legs on which one direction cannot end before the other.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.server = TLSServer(folder, self.network)

    def startTLS(self, **options: Any) -> tuple[TLSPeer, Peer]:
        """
        Start a relay between a TLS client and a remote host.
        """
        legs: list[LegProtocol] = []

        class Legs(Factory):
            def buildProtocol(self, address: object) -> LegProtocol:
                legs.append(LegProtocol())
                return legs[-1]

        client = self.server.accept(Legs())
        remoteLeg = LegProtocol()
        remote = self.network.attach(remoteLeg)
        self.lastRelay = self.relay(legs[0], remoteLeg, **options)
        return client, remote

    def test_bothWays(self) -> None:
        """
        Octets arrive, both ways.
        """
        client, remote = self.startTLS(early=b"early ")
        client.send(b"question")
        remote.send(b"answer")
        self.assertEqual(remote.received, b"early question")
        self.assertEqual(client.received, b"answer")

    def test_clientEnds(self) -> None:
        """
        When the client says that it has sent all, the remote host learns that
        once it has got it, and the tunnel ends.
        """
        client, remote = self.startTLS()
        client.send(b"question")
        client.end()
        self.assertEqual(remote.received, b"question")
        self.assertTrue(remote.ended)
        remote.end()
        self.assertFinished(8, 0, "closed")

    def test_remoteEnds(self) -> None:
        """
        When the remote host has sent all, the client gets it, and is told that
        it was all.
        """
        client, remote = self.startTLS()
        remote.send(PLENTY)
        remote.end()
        self.assertEqual(client.received, PLENTY)
        client.end()
        self.assertTrue(client.peer.ended)
        self.assertFalse(client.peer.wasReset)
        self.assertFinished(0, len(PLENTY), "closed")

    def test_remoteEndsAndClientStays(self) -> None:
        """
        A client that does not confirm that is cut when it has had the time to
        read it.
        """
        client, remote = self.startTLS()
        remote.send(b"answer")
        remote.end()
        self.network.elapse(GRACE + 0.5)
        self.assertEqual(client.received, b"answer")
        self.assertFinished(0, 6, "closed")

    def test_remoteEndsAndClientIsSlow(self) -> None:
        """
        What the remote host has sent arrives even if the client takes its time.
        """
        client, remote = self.startTLS()
        client.peer.stopReading(1000)
        remote.send(PLENTY)
        remote.end()
        for _ in range(len(PLENTY) // 1000 + 30):
            client.peer.read(1000)
            self.network.elapse(STALL_TIMEOUT / 2)
        client.peer.startReading()
        self.assertEqual(client.received, PLENTY)
        client.end()
        self.assertFinished(0, len(PLENTY), "closed")

    def test_slowRemote(self) -> None:
        """
        While the remote host does not read, the client is not read.
        """
        client, remote = self.startTLS()
        remote.stopReading()
        client.send(PLENTY)
        self.assertFalse(client.peer.isRead)
        self.assertLessEqual(keptFor(remote), KEPT)
        remote.startReading()
        self.assertEqual(remote.received, PLENTY)

    def test_slowClient(self) -> None:
        """
        While the client does not read, the remote host is not read.
        """
        client, remote = self.startTLS()
        client.peer.stopReading()
        remote.send(PLENTY)
        self.assertFalse(remote.isRead)
        self.assertLessEqual(keptFor(client.peer), KEPT)
        client.peer.startReading()
        self.assertEqual(client.received, PLENTY)

    def test_clientEndsUnread(self) -> None:
        """
        A client that has not read what it was sent may end its connection.
        """
        client, remote = self.startTLS()
        client.peer.stopReading()
        remote.send(PLENTY)
        self.assertFalse(remote.isRead)
        client.end()
        client.peer.startReading()
        self.assertTrue(remote.ended)
        remote.end()
        self.assertOver()
        self.assertEqual([result.ending for result in self.results], ["closed"])

    def test_clientBreaksOff(self) -> None:
        """
        A client that goes away without saying so is lost.
        """
        client, remote = self.startTLS()
        client.send(b"question")
        client.peer.end()
        self.assertEqual(remote.received, b"question")
        remote.end()
        self.assertFinished(8, 0, "client lost")

    def test_abort(self) -> None:
        """
        Both connections are reset.
        """
        client, remote = self.startTLS(idleTimeout=5.0)
        client.peer.stopReading()
        remote.send(PLENTY)
        self.lastRelay.abort("because")
        self.network.spin()
        self.assertTrue(client.peer.wasReset and remote.wasReset)
        self.assertOver()
        self.assertEqual([result.ending for result in self.results], ["because"])

    def test_bothEndAtOnce(self) -> None:
        """
        Client and remote host may end in the same moment.
        """
        client, remote = self.startTLS()
        remote.socket.inputEnded = True
        client.end()
        self.assertTrue(remote.isClosed)
        client.peer.end()
        self.assertFinished(0, 0, "closed")
