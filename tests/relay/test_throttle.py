"""
Tests of L{socks6.relay.throttle}, and of relays that have one.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.relay.throttle import Bucket, Buckets, Throttle, admitDatagram, bucketsOf
from tests.doubles import MemoryPipePool, Peer
from tests.relay.test_relay import RelayTestCase


class Reader:
    """
    Reads so much at once, as often as it may.

    @ivar passed: Octets so far.
    """

    def __init__(self, *buckets: Bucket) -> None:
        self.throttle = Throttle(self, buckets)
        self.passed = 0
        self.isHeld = False

    def hold(self) -> None:
        """
        Read no more.
        """
        self.isHeld = True

    def release(self) -> None:
        """
        Read on.
        """
        self.isHeld = False

    def read(self, count: int) -> None:
        """
        Read, unless it is held.
        """
        if not self.isHeld:
            self.passed += count
            self.throttle.spend(count)


class Leaver(Reader):
    """
    Makes another one leave when it is released.

    @ivar other: That one.
    """

    other: Reader

    def release(self) -> None:
        """
        Read on, and part.
        """
        super().release()
        self.other.throttle.leave()


class BucketTests(SynchronousTestCase):
    """
    Buckets and throttles.
    """

    def setUp(self) -> None:
        self.clock = Clock()

    def run_(self, readers: list[Reader], seconds: int, count: int = 1000) -> None:
        """
        Let them read for a while, a hundred times in each second.
        """
        for _ in range(100 * seconds):
            for reader in readers:
                reader.read(count)
            self.clock.advance(0.01)

    def test_rate(self) -> None:
        """
        As much passes as the rate says, besides what was saved up and one read.
        """
        reader = Reader(Bucket(self.clock, 10_000))
        self.run_([reader], 20)
        self.assertGreaterEqual(reader.passed, 199_000)
        self.assertLessEqual(reader.passed, 200_000 + 2_500 + 1_000)

    def test_bigReads(self) -> None:
        """
        However much is read at once, it is waited for.
        """
        reader = Reader(Bucket(self.clock, 10_000))
        self.run_([reader], 20, 65_536)
        self.assertLessEqual(reader.passed, 200_000 + 2_500 + 65_536)
        self.assertGreaterEqual(reader.passed, 200_000 - 65_536)

    def test_unhurried(self) -> None:
        """
        Whoever reads less than it may is never held.
        """
        reader = Reader(Bucket(self.clock, 10_000))
        for _ in range(100):
            reader.read(90)
            self.assertFalse(reader.isHeld)
            self.clock.advance(0.01)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_shared(self) -> None:
        """
        Those that share a bucket have equal parts of it, with one delayed call.
        """
        bucket = Bucket(self.clock, 10_000)
        readers = [Reader(bucket) for _ in range(5)]
        self.run_(readers, 20)
        for reader in readers:
            self.assertGreater(reader.passed, 36_000)
            self.assertLess(reader.passed, 44_000)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_several(self) -> None:
        """
        Of several buckets the slowest one decides, and what it leaves is for others.
        """
        fast = Bucket(self.clock, 10_000)
        slow, other = Reader(fast, Bucket(self.clock, 2_000)), Reader(fast)
        self.run_([slow, other], 40)
        self.assertGreater(slow.passed, 75_000)
        self.assertLess(slow.passed, 82_000)
        self.assertGreater(other.passed, 300_000)
        self.assertLess(slow.passed + other.passed, 405_000)

    def test_leave(self) -> None:
        """
        Who has left is not released; when all have, nothing is waited for.
        """
        bucket = Bucket(self.clock, 10_000)
        one, other = Reader(bucket), Reader(bucket)
        for reader in one, other:
            reader.read(10_000)
        one.throttle.leave()
        third = Reader(bucket)
        third.throttle.leave()
        third.read(10)
        self.assertFalse(third.isHeld)
        self.clock.advance(2)
        self.assertEqual((one.isHeld, other.isHeld), (True, False))
        other.read(10_000)
        other.throttle.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_afterLeaving(self) -> None:
        """
        A bucket that nobody waited for any more is waited for again.
        """
        bucket = Bucket(self.clock, 10_000)
        one, other = Reader(bucket), Reader(bucket)
        one.read(10_000)
        one.throttle.leave()
        other.read(1)
        self.assertTrue(other.isHeld)
        self.clock.advance(1)
        self.assertFalse(other.isHeld)

    def test_leaveWhileReleased(self) -> None:
        """
        Who leaves as another one is released is not released any more.
        """
        bucket = Bucket(self.clock, 10_000)
        one, other = Leaver(bucket), Reader(bucket)
        one.other = other
        for reader in one, other:
            reader.read(10_000)
        self.clock.advance(2)
        self.assertEqual((one.isHeld, other.isHeld), (False, True))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_clockSetBack(self) -> None:
        """
        A clock that is set back dries no bucket: it is refilled as fast as ever.
        """
        reader = Reader(Bucket(self.clock, 10_000))
        reader.read(2_000)
        self.clock.rightNow -= 3600
        reader.read(100)
        self.assertFalse(reader.isHeld)
        self.clock.advance(1)
        reader.read(2_600)
        self.assertTrue(reader.isHeld)
        self.clock.advance(0.1)
        self.assertFalse(reader.isHeld)

    def test_spentMeanwhile(self) -> None:
        """
        A bucket that is dry when it was to be refilled is waited for once more.
        """
        bucket = Bucket(self.clock, 10_000)
        reader = Reader(bucket)
        reader.read(12_500)
        bucket.spend(10_000)
        self.clock.advance(1.5)
        self.assertTrue(reader.isHeld)
        self.clock.advance(0.6)
        self.assertFalse(reader.isHeld)

    def test_quantum(self) -> None:
        """
        What is read at once suits the slowest bucket, and is never too little.
        """
        for rates, quantum in (((160_000,), 10_000), ((160_000, 32_000), 2_000), ((10,), 1024)):
            buckets = [Bucket(self.clock, rate) for rate in rates]
            self.assertEqual(Reader(*buckets).throttle.quantum, quantum)

    def test_bothWays(self) -> None:
        """
        Each way has a bucket of its own.
        """
        buckets = bucketsOf(self.clock, 1000)
        self.assertIsNot(buckets.toRemote, buckets.toClient)
        self.assertEqual((buckets.toRemote.rate, buckets.toClient.rate), (1000, 1000))


class DatagramTests(SynchronousTestCase):
    """
    Datagrams, which wait for nothing.
    """

    def setUp(self) -> None:
        self.clock = Clock()

    def send(self, *buckets: Bucket, count: int = 100) -> int:
        """
        Send a datagram.

        @return: How many octets have passed.
        """
        return count if admitDatagram(buckets, count) else 0

    def test_rate(self) -> None:
        """
        As much passes as the rate says, besides what was saved up and one datagram.
        """
        bucket, passed = Bucket(self.clock, 10_000), 0
        for _ in range(2_000):
            passed += sum(self.send(bucket) for _ in range(10))
            self.clock.advance(0.01)
        self.assertGreaterEqual(passed, 199_000)
        self.assertLessEqual(passed, 200_000 + 2_500 + 100)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_large(self) -> None:
        """
        A datagram of any size passes now and then, however slow the bucket is.
        """
        bucket, passed = Bucket(self.clock, 1_000), 0
        for _ in range(100):
            passed += self.send(bucket, count=8_000)
            self.clock.advance(1)
        self.assertGreaterEqual(passed, 96_000)
        self.assertLessEqual(passed, 108_000)

    def test_several(self) -> None:
        """
        What one of several buckets does not let pass is taken out of none.
        """
        full, dry = Bucket(self.clock, 10_000), Bucket(self.clock, 10_000)
        dry.spend(5_000)
        for buckets in (full, dry), (dry, full):
            self.assertEqual(self.send(*buckets, count=5_000), 0)
        self.assertEqual(self.send(full, count=2_500), 2_500)
        self.assertFalse(full.isDry)

    def test_besideTunnels(self) -> None:
        """
        Neither datagrams nor tunnels take all from the others: each have half, if both want
        more, and together no more than there is.
        """
        bucket, datagrams = Bucket(self.clock, 10_000), 0
        readers = [Reader(bucket) for _ in range(3)]
        for _ in range(4_000):
            for reader in readers:
                reader.read(600)
            datagrams += sum(self.send(bucket) for _ in range(5))
            self.clock.advance(0.005)
        tunnels = sum(reader.passed for reader in readers)
        self.assertGreater(datagrams, 80_000)
        self.assertGreater(tunnels, 80_000)
        self.assertLess(datagrams + tunnels, 210_000)

    def test_modestBesideTunnels(self) -> None:
        """
        Those that want less than half lose nothing, though tunnels take all they can.
        """
        bucket, lost = Bucket(self.clock, 10_000), 0
        reader = Reader(bucket)
        for _ in range(4_000):
            reader.read(600)
            lost += self.send(bucket, count=20) == 0
            self.clock.advance(0.005)
        self.assertEqual(lost, 0)


class ThrottledTests(RelayTestCase):
    """
    A relay whose octets are taken from buckets.
    """

    def begin(self, rate: float = 10_000, **options: Any) -> tuple[Peer, Peer]:
        """
        Start one.
        """
        self.buckets = bucketsOf(self.network, rate)
        return self.start(buckets=[self.buckets], **options)

    def measure(self, source: Peer, destination: Peer, count: int) -> float:
        """
        Send octets.

        @return: The seconds until all have come.
        """
        octets = bytes(range(256)) * (count // 256)
        destination.take()
        source.send(octets)
        seconds = 0.0
        while len(destination.received) < len(octets):
            self.network.advance(0.05)
            self.network.spin()
            seconds += 0.05
            self.assertLess(seconds, 100)
        self.assertEqual(destination.received, octets)
        return seconds

    def test_speed(self) -> None:
        """
        Octets take their time, either way, and arrive all.
        """
        client, remote = self.begin()
        for source, destination in ((client, remote), (remote, client)):
            seconds = self.measure(source, destination, 51_200)
            self.assertGreater(seconds, 4.5)
            self.assertLess(seconds, 5.5)
        self.network.advance(1)
        client.end()
        remote.end()
        self.assertFinished(51_200, 51_200, "closed")

    def test_ways(self) -> None:
        """
        One way does not wait for the other.
        """
        client, remote = self.begin()
        client.send(bytes(100_000))
        remote.send(b"answer")
        self.assertEqual(client.received, b"answer")

    def test_early(self) -> None:
        """
        What came before counts.
        """
        client, remote = self.begin(early=bytes(12_500))
        self.assertFalse(client.isRead)
        self.network.advance(0.9)
        self.assertFalse(client.isRead)
        self.network.advance(0.2)
        self.assertTrue(client.isRead)
        self.assertEqual(len(remote.received), 12_500)

    def test_slowReader(self) -> None:
        """
        A source that must wait both for its bucket and for its destination waits for
        both.
        """
        # Each read is too much for this bucket.
        client, remote = self.begin(rate=1000)
        remote.stopReading()
        client.send(bytes(200_000))
        for _ in range(200):
            self.network.advance(2)
            self.network.spin()
        # The bucket is full, and the destination takes nothing.
        self.assertFalse(client.isRead)
        self.buckets.toRemote.spend(10_000)
        remote.startReading()
        self.network.spin()
        # The other way round.
        self.assertFalse(client.isRead)
        self.assertLess(len(remote.received), 200_000)
        for _ in range(3_000):
            self.network.advance(0.1)
            self.network.spin()
        self.assertEqual(len(remote.received), 200_000)
        self.assertTrue(client.isRead)

    def test_endWhileHeld(self) -> None:
        """
        The end is heard behind the last octet.
        """
        client, remote = self.begin()
        client.send(bytes(20_000))
        client.end()
        self.assertFalse(remote.ended)
        self.network.advance(3)
        self.network.spin()
        for _ in range(20):
            self.network.advance(1)
            self.network.spin()
        self.assertEqual(len(remote.received), 20_000)
        self.assertTrue(remote.ended)
        remote.end()
        self.assertFinished(20_000, 0, "closed")

    def test_destinationGoesWhileHeld(self) -> None:
        """
        A tunnel that breaks while its octets wait is over, and waits for nothing.
        """
        client, remote = self.begin()
        client.send(bytes(20_000))
        self.assertFalse(client.isRead)
        remote.reset()
        client.end()
        self.assertEqual(self.results[0].ending, "remote host lost")
        self.assertOver()

    def test_notIdle(self) -> None:
        """
        A tunnel whose octets wait is not idle.
        """
        _, remote = self.begin(rate=1000, idleTimeout=2.0, early=bytes(10_000))
        for _ in range(9):
            self.network.advance(1)
            self.network.spin()
            self.assertEqual(self.results, [])
        for _ in range(10):
            self.network.advance(1)
            self.network.spin()
        self.assertEqual(len(remote.received), 10_000)
        self.assertFinished(10_000, 0, "idle")


class ThrottledShortcutTests(ThrottledTests):
    """
    The same where octets may take the short way.
    """

    def setUp(self) -> None:
        super().setUp()
        self.pool = MemoryPipePool()
        self.pipes = lambda: self.pool

    def test_slowWithoutPipes(self) -> None:
        """
        A slow tunnel uses no pipes, as too much would pass at once; a fast one does.
        """
        for rate, uses in ((10**6, False), (10**9, True)):
            client, remote = self.begin(rate)
            self.measure(client, remote, 2**20)
            self.assertIs(self.pool.taken > 0, uses)
            client.reset()
            remote.reset()
            self.results.clear()


class BucketsTests(SynchronousTestCase):
    """
    L{Buckets}.
    """

    def test_fields(self) -> None:
        """
        It is clear which is which.
        """
        one, other = (Bucket(Clock(), 1) for _ in range(2))
        buckets = Buckets(one, other)
        self.assertIs(buckets.toRemote, one)
        self.assertIs(buckets.toClient, other)
