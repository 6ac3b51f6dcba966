"""
Tests of L{socks6.linefile}.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from socks6.linefile import GATHER, LOOK, MAX_WAITING, RETRY, LineFile


class LineFileTestCase(SynchronousTestCase):
    """
    A test with a file.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.file = LineFile(self.clock, self.path)
        self.addCleanup(self.file.close)
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.written: list[bytes] = []
        self._write: Callable[[int, bytes], int] = os.write
        self.patch(os, "write", self.write)

    def write(self, descriptor: int, octets: bytes) -> int:
        """
        Write, and take note of what.
        """
        count = self._write(descriptor, octets)
        self.written.append(octets[:count])
        return count

    def full(self, takes: int = 0) -> None:
        """
        Let the disk be full.

        @param takes: How many octets it takes before.
        """
        original = os.write
        left = takes

        def write(descriptor: int, octets: bytes) -> int:
            nonlocal left
            if not left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = original(descriptor, octets[:left])
            left -= count
            return count

        self.patch(os, "write", write)
        self.emptied = lambda: setattr(os, "write", original)

    @property
    def said(self) -> list[str]:
        """
        What was logged, without the file's name.
        """
        return [formatEvent(event).replace(str(self.path), "FILE") for event in self.events]

    def content(self) -> str:
        """
        Read the file.
        """
        return self.path.read_text("ascii")


class WritingTests(LineFileTestCase):
    """
    Lines that can be written.
    """

    def test_gathered(self) -> None:
        """
        Lines of a moment are written together, soon.
        """
        self.file.write("one")
        self.clock.advance(GATHER / 2)
        self.file.write("two")
        self.assertEqual(self.written, [])
        self.clock.advance(GATHER / 2)
        self.assertEqual(self.written, [b"one\ntwo\n"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.file.write("three")
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "one\ntwo\nthree\n")

    def test_appended(self) -> None:
        """
        What was in the file stays, and what others append meanwhile does.
        """
        self.path.write_text("before\n", "ascii")
        self.file.write("one")
        self.clock.advance(GATHER)
        with self.path.open("a", encoding="ascii") as other:
            other.write("other\n")
        self.file.write("two")
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "before\none\nother\ntwo\n")

    def test_copiedAndCut(self) -> None:
        """
        After the file has been emptied in place, lines begin at its start.
        """
        self.file.write("one")
        self.clock.advance(GATHER)
        os.truncate(self.path, 0)
        self.file.write("two")
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "two\n")

    def test_closed(self) -> None:
        """
        Closing writes what waits.  Lines that come even later are written at once.
        """
        self.file.write("one")
        self.file.close()
        self.assertEqual(self.content(), "one\n")
        self.file.write("two")
        self.assertEqual(self.content(), "one\ntwo\n")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.file.open()
        self.file.write("three")
        self.assertEqual(self.content(), "one\ntwo\n")
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "one\ntwo\nthree\n")

    def test_closedUnused(self) -> None:
        """
        A file that got no line is not made when it is closed.
        """
        self.file.close()
        self.assertFalse(self.path.exists())

    def test_opened(self) -> None:
        """
        Opening makes the file; where that cannot be, it fails.  Others may not read it.
        """
        self.file.open()
        self.assertEqual(self.path.stat().st_mode & 0o7, 0)
        self.assertEqual(self.content(), "")
        file = LineFile(self.clock, self.path / "below")
        self.assertRaises(NotADirectoryError, file.open)

    def test_standardOutput(self) -> None:
        """
        Without a path, lines go to standard output.
        """
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.patch(os, "dup", {1: writer}.__getitem__)
        self.patch(os, "close", lambda descriptor: None)
        file = LineFile(self.clock, None)
        file.write("one")
        file.close()
        self.assertEqual(os.read(reader, 100), b"one\n")


class RotationTests(LineFileTestCase):
    """
    Files that are renamed.
    """

    def test_renamed(self) -> None:
        """
        When the file has been renamed, lines go to a new one within a second.
        """
        self.file.write("one")
        self.clock.advance(GATHER)
        old = self.path.with_suffix(".1")
        self.path.rename(old)
        self.file.write("two")
        self.clock.advance(GATHER)
        self.clock.advance(LOOK)
        self.file.write("three")
        self.clock.advance(GATHER)
        self.assertEqual(old.read_text("ascii"), "one\ntwo\n")
        self.assertEqual(self.content(), "three\n")
        self.assertEqual(self.said, [])

    def test_replaced(self) -> None:
        """
        The same if whoever renamed it has made another one.
        """
        self.file.write("one")
        self.clock.advance(GATHER)
        self.path.rename(self.path.with_suffix(".1"))
        self.path.write_text("made\n", "ascii")
        self.clock.advance(LOOK)
        self.file.write("two")
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "made\ntwo\n")

    def test_noNewOne(self) -> None:
        """
        Where no new one can be made, lines go on into the old one, which is said once,
        and so is that it is over.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "log"
        self.file = LineFile(self.clock, self.path)
        self.file.open()
        self.addCleanup(self.file.close)
        away = folder.with_suffix(".away")
        folder.rename(away)
        for word in ("one", "two"):
            self.clock.advance(LOOK)
            self.file.write(word)
            self.clock.advance(GATHER)
        self.assertEqual((away / "log").read_text("ascii"), "one\ntwo\n")
        self.assertEqual(self.said, ["FILE cannot be written: No such file or directory"])
        folder.mkdir()
        self.clock.advance(LOOK)
        self.file.write("three")
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "three\n")
        self.assertEqual(self.said[1:], ["FILE can be written again"])


class TroubleTests(LineFileTestCase):
    """
    Lines that cannot be written.
    """

    def test_full(self) -> None:
        """
        What a full disk does not take waits, and is written when there is room.
        """
        self.full()
        for word in ("one", "two"):
            self.file.write(word)
            self.clock.advance(GATHER)
            self.clock.advance(RETRY)
        self.assertEqual(self.content(), "")
        self.assertEqual(self.said, ["FILE cannot be written: No space left on device"])
        self.emptied()
        self.clock.advance(RETRY)
        self.assertEqual(self.content(), "one\ntwo\n")
        self.assertEqual(self.said[1:], ["FILE can be written again"])
        self.assertEqual(self.file.lost, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_torn(self) -> None:
        """
        A line that the disk took only a part of is written again, on a line of its own.
        """
        self.full(takes=6)
        for word in ("one", "two", "three"):
            self.file.write(word)
        self.clock.advance(GATHER)
        self.assertEqual(self.content(), "one\ntw")
        self.emptied()
        self.clock.advance(RETRY)
        self.assertEqual(self.content(), "one\ntw\ntwo\nthree\n")

    def test_torn_atEnd(self) -> None:
        """
        A line whose end alone is missing is no exception, and one that is whole is not
        written twice.
        """
        self.full(takes=7)
        self.file.write("one")
        self.file.write("two")
        self.clock.advance(GATHER)
        self.emptied()
        self.clock.advance(RETRY)
        self.assertEqual(self.content(), "one\ntwo\ntwo\n")
        self.full(takes=4)
        self.file.write("six")
        self.file.write("ten")
        self.clock.advance(GATHER)
        self.emptied()
        self.clock.advance(RETRY)
        self.assertEqual(self.content(), "one\ntwo\ntwo\nsix\nten\n")

    def test_bounded(self) -> None:
        """
        Only so much waits.  What is lost is counted, and said once when lines can be
        written again.
        """
        self.full()
        line = "x" * 1023
        for _ in range(MAX_WAITING // 1024 + 7):
            self.file.write(line)
        self.clock.advance(GATHER)
        self.assertEqual(self.file.lost, 7)
        self.assertEqual(self.said, ["FILE cannot be written: No space left on device"])
        self.emptied()
        self.clock.advance(RETRY)
        self.assertEqual(len(self.content()), MAX_WAITING)
        self.assertEqual(self.said[1:], ["7 lines of FILE were lost", "FILE can be written again"])
        self.file.write("more")
        self.clock.advance(GATHER)
        self.assertEqual(len(self.content()), MAX_WAITING + 5)
        self.assertEqual(len(self.said), 3)

    def test_takesNothing(self) -> None:
        """
        Something that takes nothing without an error does not hold us up.
        """
        self.patch(os, "write", lambda descriptor, octets: 0)
        self.file.write("one")
        self.clock.advance(GATHER)
        self.assertEqual(self.said, ["FILE cannot be written: it takes nothing"])

    def test_pipe(self) -> None:
        """
        A pipe that nobody reads does not make us wait, and gets whole lines when somebody
        does.
        """
        os.mkfifo(self.path)
        self.assertEqual(self.assertRaises(OSError, self.file.open).errno, errno.ENXIO)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        lines = [f"{number:0127}" for number in range(4096)]
        for line in lines:
            self.file.write(line)
        self.clock.advance(GATHER)
        self.assertEqual(self.said, ["FILE cannot be written: nobody reads it"])
        got = bytearray()
        while self.clock.getDelayedCalls():
            got += os.read(reader, MAX_WAITING)
            self.clock.advance(RETRY)
        self.assertTrue(all(len(each) <= 4096 for each in self.written))
        got += os.read(reader, MAX_WAITING)
        self.assertEqual(got.decode("ascii").splitlines(), lines)
        self.assertEqual(self.said[1:], ["FILE can be written again"])
