"""
Tests of L{socks6.workers.supervisor}.
"""

from __future__ import annotations

from twisted.application.service import IService
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from socks6.workers.records import MAX_TEXT
from socks6.workers.supervisor import PATIENCE, STEADY, Program, Supervisor
from tests.server.harness import MemoryTestCase
from tests.workers.processes import Child, Nursery


class SupervisorTests(MemoryTestCase):
    """
    L{Supervisor}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = Nursery()
        self.failures = 0
        program = Program(["/bin/it", "-x"], {"A": "B"}, {3: 30}, b"briefing")
        self.supervisor = Supervisor(self.reactor, 2, lambda: program, self.failed)

    def failed(self) -> None:
        """
        Learn that a worker cannot start.
        """
        self.failures += 1

    def start(self) -> list[Child]:
        """
        Start it, and let its workers serve.
        """
        self.supervisor.startService()
        for child in self.reactor.children:
            child.say(b"\0")
        return list(self.reactor.children)

    def newest(self, count: int) -> Child:
        """
        Get the youngest process.

        @param count: How many there must have been.
        """
        self.assertEqual(len(self.reactor.children), count)
        return self.reactor.children[-1]

    def test_interface(self) -> None:
        """
        It is a service.
        """
        self.assertTrue(verifyObject(IService, self.supervisor))

    def test_starts(self) -> None:
        """
        Each worker is a process, which is told its number and what it has to know.
        """
        self.assertEqual(self.reactor.children, [])
        first, second = self.start()
        self.assertEqual(
            first.arguments,
            (
                "/bin/it",
                ["/bin/it", "-x", "1"],
                {"A": "B"},
                {"childFDs": {0: "w", 1: "r", 2: "r", 3: 30}},
            ),
        )
        self.assertEqual(second.arguments[1], ["/bin/it", "-x", "2"])
        self.assertEqual(first.written, b"1 briefing\n")
        self.assertEqual(second.written, b"2 briefing\n")
        self.assertEqual(self.lines, ["worker 1 serves", "worker 2 serves"])

    def test_noProcess(self) -> None:
        """
        If there can be none, that is seen.
        """
        self.reactor.error = OSError("too many")
        self.assertRaises(OSError, self.supervisor.startService)

    def test_log(self) -> None:
        """
        What a worker logs is logged, with its level and the worker's name.
        """
        _, child = self.start()
        self.events.clear()
        child.say(b"info one\0warn tw")
        child.say(b"o\nlines\0")
        self.assertEqual(self.lines, ["one", "two\nlines"])
        self.assertEqual(
            [event["log_level"] for event in self.events], [LogLevel.info, LogLevel.warn]
        )
        self.assertEqual({event["log_system"] for event in self.events}, {"worker 2"})

    def test_report(self) -> None:
        """
        What a worker reports is passed on with its number and not logged, and so is that
        it has ended; if nobody wants to know, nothing happens.
        """
        _, child = self.start()
        self.events.clear()
        child.say(b"report nobody hears\0")
        reports: list[tuple[int, str | None]] = []
        self.supervisor.reported = lambda number, text: reports.append((number, text))
        child.say(b"report {}\0")
        self.assertEqual(self.lines, [])
        self.assertEqual(reports, [(2, "{}")])
        child.end()
        self.assertEqual(reports[1:], [(2, None)])

    def test_accidents(self) -> None:
        """
        What a worker writes elsewhere are errors, a line each, however they come.
        """
        child, _ = self.start()
        self.events.clear()
        child.cry(b"one\ntw")
        child.cry(b"o\nth")
        self.assertEqual(self.lines, ["one", "two"])
        self.assertEqual({event["log_level"] for event in self.events}, {LogLevel.error})
        child.end(1)
        self.assertEqual(self.lines[2], "th")

    def test_endlessLine(self) -> None:
        """
        A line without an end is not kept for ever.
        """
        child, _ = self.start()
        self.events.clear()
        child.cry(b"x" * MAX_TEXT)
        self.assertEqual(self.lines, [])
        child.cry(b"x")
        self.assertEqual(self.lines, ["x" * (MAX_TEXT + 1)])

    def test_endsAtOnce(self) -> None:
        """
        A worker that ends at once is started again, the later the more often it does.
        """
        child, other = self.start()
        count = 2
        for delay in (0.5, 1, 2, 4, 8, 16, 30, 30):
            self.events.clear()
            child.end(signal=9)
            self.assertEqual(
                self.lines,
                [f"worker 1 is gone (killed by signal 9), and starts again in {delay:g} s"],
            )
            self.reactor.advance(delay - 0.25)
            self.newest(count)
            self.reactor.advance(0.25)
            count += 1
            child = self.newest(count)
            self.assertEqual(child.written, b"1 briefing\n")
        self.assertEqual(other.written, b"2 briefing\n")
        self.assertEqual(self.failures, 0)

    def test_endsLater(self) -> None:
        """
        One that has served for a while is started again at once.
        """
        child, _ = self.start()
        child.end(signal=9)
        self.reactor.advance(0.5)
        child = self.newest(3)
        self.reactor.advance(STEADY)
        child.end()
        self.assertEqual(
            self.lines[-1], "worker 1 is gone (ended with status 0), and starts again in 0 s"
        )
        self.reactor.advance(0)
        self.newest(4).end(1)
        self.assertIn("starts again in 0.5 s", self.lines[-1])

    def test_noProcessAgain(self) -> None:
        """
        If there can be no process for a worker, that is tried again.
        """
        child, _ = self.start()
        child.end(signal=9)
        self.reactor.error = OSError("too many")
        self.reactor.advance(0.5)
        self.assertEqual(self.lines[-1], "worker 1 is gone (too many), and starts again in 1 s")
        self.reactor.error = None
        self.reactor.advance(1)
        self.newest(3)

    def test_cannotStart(self) -> None:
        """
        A worker that ends before it has ever served is not started again; that it
        cannot start is told once.
        """
        self.supervisor.startService()
        for child in self.reactor.children:
            child.end(1)
        self.assertEqual(
            self.lines,
            [f"worker {number} cannot start: ended with status 1" for number in (1, 2)],
        )
        self.assertEqual(self.events[-1]["log_level"], LogLevel.critical)
        self.assertEqual(self.failures, 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_reload(self) -> None:
        """
        All workers are told to reload, those that do not serve yet as well, but for those
        that are not there, whether or not that is known.
        """
        first, second = self.start()
        self.supervisor.reload()
        self.assertEqual(first.written, b"1 briefing\nr")
        self.assertEqual(second.written, b"2 briefing\nr")
        first.end(signal=9)
        second.isOver = True
        self.supervisor.reload()
        self.reactor.advance(0.5)
        third = self.newest(3)
        self.supervisor.reload()
        self.assertEqual(third.written, b"1 briefing\nr")
        self.supervisor.stopService()
        self.supervisor.reload()
        self.assertEqual(third.written, b"1 briefing\nrs")

    def test_stops(self) -> None:
        """
        It lets its workers go, and has stopped when all have ended.
        """
        first, second = self.start()
        stopped = self.supervisor.stopService()
        self.assertEqual(first.written, b"1 briefing\ns")
        self.assertEqual(second.written, b"2 briefing\ns")
        first.end()
        self.assertNoResult(stopped)
        second.end(signal=15)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.newest(2)
        self.assertEqual(first.signals + second.signals, [])

    def test_stopsByForce(self) -> None:
        """
        A worker that does not end is killed, if it has not just done so.
        """
        first, second = self.start()
        self.supervisor.stopService()
        self.reactor.advance(PATIENCE - 1)
        second.isOver = True
        self.assertEqual(first.signals, [])
        self.reactor.advance(1)
        self.assertEqual(first.signals, ["KILL"])
        self.assertEqual(second.signals, [])
        self.assertEqual(self.lines[-2], "worker 1 does not stop, and is killed")

    def test_stopsPatiently(self) -> None:
        """
        A worker whose tunnels may end by themselves is killed later.
        """
        self.supervisor.patience = 30 + PATIENCE
        first, _ = self.start()
        self.supervisor.stopService()
        self.reactor.advance(30 + PATIENCE - 1)
        self.assertEqual(first.signals, [])
        self.reactor.advance(1)
        self.assertEqual(first.signals, ["KILL"])

    def test_hurries(self) -> None:
        """
        Workers that are stopping are told to hurry, and killed if they do not; those that
        are not stopping, or do not listen any more, hear nothing.
        """
        self.supervisor.patience = 30 + PATIENCE
        first, second = self.start()
        self.supervisor.hurry()
        self.supervisor.stopService()
        self.reactor.advance(PATIENCE)
        second.isDeaf = True
        self.supervisor.hurry()
        self.assertEqual(first.written, b"1 briefing\nsh")
        self.assertEqual(second.written, b"2 briefing\ns")
        second.end()
        self.supervisor.hurry()
        self.assertEqual(first.written, b"1 briefing\nshh")
        self.reactor.advance(PATIENCE - 1)
        self.assertEqual(first.signals, [])
        self.reactor.advance(1)
        self.assertEqual((first.signals, second.signals), (["KILL"], []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopsBetween(self) -> None:
        """
        A worker that is to start again does not, and is not waited for.
        """
        first, second = self.start()
        first.end(signal=9)
        stopped = self.supervisor.stopService()
        second.end()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stopsWhileStarting(self) -> None:
        """
        A worker that ends when it is to stop before it has served is no failure.
        """
        self.supervisor.startService()
        stopped = self.supervisor.stopService()
        for child in self.reactor.children:
            child.end(1)
        self.successResultOf(stopped)
        self.assertEqual(self.failures, 0)
