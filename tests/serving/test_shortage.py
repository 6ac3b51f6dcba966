"""
Tests of L{socks6.serving.shortage}.
"""

from __future__ import annotations

import gc

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from socks6.memory import Bound, Reserve
from socks6.serving.shortage import INTERVAL, LEAST_HELD, MemoryService
from tests.doubles import Peer
from tests.serving.lines import LineFactory, LineTestCase

MEGA = 2**20

#: Somebody who comes.
STRANGER = ("198.51.100.7", 4711)

#: More than is kept for those who may stay.
MUCH = 2 * LEAST_HELD


class ShortageTests(LineTestCase):
    """
    A proxy of which the test says how much memory it has: 100 MiB are allowed.
    """

    def setUp(self) -> None:
        super().setUp()
        self.used = 0
        self.free = 0
        self.reserve = Reserve()
        self.factory = self.makeFactory()
        self.service = self.serviceOf(self.factory, [self.bound()])
        self.service.startService()

    def bound(self) -> Bound:
        """
        Make the limit.
        """

        def exactly() -> int:
            return self.used - self.free

        return Bound("a limit", 100 * MEGA, lambda: self.used, exactly, canFail=True)

    def serviceOf(self, factory: LineFactory, bounds: list[Bound]) -> MemoryService:
        """
        Make what looks at the memory.
        """
        return MemoryService(self.network, factory, None, lambda: bounds, self.reserve)

    def breakEverything(self) -> None:
        """
        Look no more, either.
        """
        self.service.stopService()
        self.assertFalse(self.reserve.isKept)
        self.assertEqual(self.reserve.hearers, [])
        super().breakEverything()

    def admits(self) -> bool:
        """
        Ask whether somebody may come.
        """
        return self.factory.gate.admits(STRANGER)

    def stuckTunnel(self, count: int = MUCH) -> tuple[Peer, Peer]:
        """
        Open a tunnel whose host does not read what the client sends.
        """
        self.admits()
        client = self.network.accept(self.factory)
        client.send(b"please\n")
        remote = self.succeed()
        remote.stopReading()
        for _ in range(2):
            client.send(bytes(count // 2))
        return client, remote

    def look(self) -> None:
        """
        Let it look.
        """
        self.network.elapse(INTERVAL)
        self.network.spin()

    def test_refuses(self) -> None:
        """
        Where little is left, nobody new comes in, and it is said why; when there is more,
        they do.
        """
        self.used = 80 * MEGA
        self.assertTrue(self.admits())
        self.used += 1
        self.look()
        self.assertFalse(self.admits())
        self.assertEqual(
            self.lines,
            ["198.51.100.7 is refused: little is left of the 100 MiB of a limit"],
        )
        self.assertEqual(self.factory.gate.refused, {"memory": 1})
        self.used -= 1
        self.look()
        self.assertTrue(self.admits())

    def test_free(self) -> None:
        """
        What is free inside the process does not count.
        """
        self.used, self.free = 99 * MEGA, 19 * MEGA
        self.assertTrue(self.admits())

    def test_seldom(self) -> None:
        """
        Many who come at the same time cost one look; when nobody is there any more, nobody
        looks.
        """
        looks: list[int] = []

        def used() -> int:
            looks.append(1)
            return 0

        bound = Bound("a limit", 100 * MEGA, used, used)
        self.service.stopService()
        self.service = self.serviceOf(self.factory, [bound])
        self.service.startService()
        for _ in range(50):
            self.assertTrue(self.admits())
        self.assertEqual(len(looks), 1)
        self.look()
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_cutsLargest(self) -> None:
        """
        Where those who are in need too much, those go for whom most is kept, and no more of
        them than is needed.
        """
        small = self.stuckTunnel(MUCH)
        large = [self.stuckTunnel(2 * MUCH) for _ in range(2)]
        idle = self.stuckTunnel(LEAST_HELD // 2)
        self.used = 90 * MEGA + 3 * MUCH
        self.look()
        for client, remote in large:
            self.assertTrue(client.wasReset and remote.wasReset)
        for client, remote in (small, idle):
            self.assertFalse(client.isClosed or remote.isClosed)
        # A host takes an octet before it reads no more.
        line = "192.0.2.2:40000 is cut, as 127 KiB are kept for it and there is little memory"
        self.assertEqual([each for each in self.lines if " kept for it" in each], [line] * 2)
        self.assertEqual(self.factory.gate.refused, {"buffers": 2})
        self.assertEqual(
            len([line for line in self.lines if "cut, as there was too little memory" in line]), 2
        )

    def test_cutsNobody(self) -> None:
        """
        If it is not they who need it, none of them goes.
        """
        client, remote = self.stuckTunnel(LEAST_HELD // 2)
        self.used = 100 * MEGA
        for _ in range(5):
            self.look()
        self.assertFalse(client.isClosed or remote.isClosed)

    def test_early(self) -> None:
        """
        What has come before the remote host has answered counts, too.
        """
        self.admits()
        client = self.network.accept(self.factory)
        client.send(b"please\n" + bytes(MUCH))
        self.used = 95 * MEGA
        self.look()
        self.assertTrue(client.wasReset)

    def test_ranOut(self) -> None:
        """
        If there is no memory all the same, there is a line, and those go for whom much is
        kept, however much there seems to be; then there is a reserve again, and new ones
        come.
        """
        client, _ = self.stuckTunnel()
        self.assertTrue(self.reserve.isKept)
        self.reserve.ranOut()
        self.assertFalse(self.reserve.isKept)
        self.assertFalse(self.admits())
        self.look()
        self.assertTrue(client.wasReset)
        self.look()
        self.assertTrue(self.reserve.isKept)
        self.assertTrue(self.admits())
        self.assertEqual(self.lines[0], "there is no memory left: what needed it has ended")

    def test_fewLines(self) -> None:
        """
        However often there is none, few lines are written.
        """
        for _ in range(1000):
            self.reserve.ranOut()
        self.assertEqual(len(self.lines), 10)
        self.service.stopService()
        self.assertEqual(self.lines[-1], "there was no memory 990 more times")

    def test_sweeps(self) -> None:
        """
        A tunnel that did not hear that one of its connections is gone, as there was no memory
        for that, does so later.
        """
        self.admits()
        client = self.network.accept(self.factory)
        client.send(b"please\n")
        remote = self.succeed()

        def fail(reason: Failure) -> None:
            raise MemoryError

        leg = client.protocol
        leg.connectionLost = fail
        lost = client.connection.connectionLost
        self.assertRaises(MemoryError, lost, Failure(ConnectionLost()))
        del leg.connectionLost
        self.reserve.ranOut()
        self.assertFalse(leg.lost)
        self.look()
        self.look()
        self.assertTrue(leg.lost and remote.ended)
        remote.end()
        self.assertEqual(self.factory.openCount, 0)

    def test_garbage(self) -> None:
        """
        Whenever half of them have gone and memory is scarce all the same, garbage is looked for,
        once.
        """
        looked: list[int] = []
        self.patch(gc, "collect", lambda: looked.append(1))
        tunnels = [self.stuckTunnel(2) for _ in range(4)]
        self.look()
        self.used = 85 * MEGA
        for (client, remote), count in zip(tunnels[:3], (0, 1, 2), strict=True):
            for end in (client, remote):
                end.connection.abortConnection()
            for _ in range(2):
                self.look()
            self.assertEqual(len(looked), count)

    def test_nothingToWatch(self) -> None:
        """
        Without a limit, the gate asks nobody, and nothing is kept in reserve.
        """
        factory = self.makeFactory()
        reserve, self.reserve = self.reserve, Reserve()
        service = self.serviceOf(factory, [])
        service.startService()
        self.assertIs(factory.gate.lacksMemory, None)
        self.assertFalse(self.reserve.isKept)
        service.stopService()
        self.reserve = reserve
