"""
Tests of L{socks6.workers.records}.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.workers.records import MAX_RECORD, MAX_TEXT, REPORT, RecordReader, RecordWriter


class RecordWriterTests(SynchronousTestCase):
    """
    L{RecordWriter}.
    """

    def setUp(self) -> None:
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.addCleanup(os.close, writing)
        self.writer = RecordWriter(writing)
        self.log = Logger("some.module", observer=self.writer)

    def written(self) -> bytes:
        """
        Read what there is in the pipe.
        """
        return os.read(self.reading, 2 * MAX_TEXT)

    def test_interface(self) -> None:
        """
        It is an observer.
        """
        self.assertTrue(verifyObject(ILogObserver, self.writer))

    def test_event(self) -> None:
        """
        An event has its level, where it comes from and its text; not its time.
        """
        self.log.warn("{what} is wrong", what="something")
        self.assertEqual(self.written(), b"warn [some.module#warn] something is wrong\0")

    def test_noLevel(self) -> None:
        """
        An event without a level counts as information.
        """
        self.writer({"log_format": "old", "log_system": "-", "log_time": 0.0})
        self.assertEqual(self.written(), b"info [-] old\0")

    def test_nothing(self) -> None:
        """
        An event without a text is none.
        """
        self.writer({"log_format": "", "log_level": LogLevel.info})
        self.writer.serving()
        self.assertEqual(self.written(), b"\0")

    def test_lines(self) -> None:
        """
        A traceback's lines are all in one record.
        """
        try:
            raise ZeroDivisionError("no such number")
        except ZeroDivisionError:
            self.log.failure("Oh")
        level, text = self.written().split(b" ", 1)
        self.assertEqual(level, b"critical")
        self.assertEqual(text.count(b"\0"), 1)
        self.assertTrue(text.startswith(b"[some.module#critical] Oh\nTraceback"), text)
        self.assertIn(b"ZeroDivisionError: no such number\n", text)

    def test_nul(self) -> None:
        """
        What ends a record is not in one.
        """
        self.log.info("a\0b")
        self.assertEqual(self.written(), b"info [some.module#info] a\\0b\0")

    def test_long(self) -> None:
        """
        Of a long text, its beginning is written.
        """
        chunks: list[bytes] = []

        def write(descriptor: int, octets: bytes) -> int:
            chunks.append(octets[:4096])
            return len(chunks[-1])

        self.patch(os, "write", write)
        self.log.info("x" * 2 * MAX_TEXT)
        record = b"".join(chunks)
        self.assertEqual(len(record), MAX_TEXT + 1)
        self.assertTrue(record.endswith(b"xxx\0"))

    def test_report(self) -> None:
        """
        What is not logged can be told, too.
        """
        self.writer.report('{"some": "thing"}')
        (record,) = RecordReader().receive(self.written())
        self.assertEqual(record, (REPORT, '{"some": "thing"}'))

    def test_nobodyReads(self) -> None:
        """
        If nobody reads any more, nothing happens.
        """

        def write(descriptor: int, octets: bytes) -> int:
            raise BrokenPipeError

        self.patch(os, "write", write)
        self.log.info("something")
        self.writer.serving()


class RecordReaderTests(SynchronousTestCase):
    """
    L{RecordReader}.
    """

    def read(self, *pieces: bytes) -> list[Any]:
        """
        Read records that come in pieces.
        """
        reader = RecordReader()
        return [record for piece in pieces for record in reader.receive(piece)]

    def test_everySplit(self) -> None:
        """
        Records may be cut anywhere.
        """
        octets = b"\0info one\0warn two\nlines \xc3\xa9\0\0"
        records = [None, (LogLevel.info, "one"), (LogLevel.warn, "two\nlines \xe9"), None]
        for cut in range(len(octets) + 1):
            self.assertEqual(self.read(octets[:cut], octets[cut:]), records, str(cut))
        self.assertEqual(self.read(*(bytes([each]) for each in octets)), records)

    def test_unfinished(self) -> None:
        """
        What has no end is no record yet.
        """
        self.assertEqual(self.read(b"info one"), [])

    def test_strange(self) -> None:
        """
        Whatever is no record is an error's text.
        """
        self.assertEqual(self.read(b"what is \xff\0"), [(LogLevel.error, "what is \ufffd")])

    def test_limit(self) -> None:
        """
        Not more is kept than a record may have.
        """
        reader = RecordReader()
        for _ in range(4):
            self.assertEqual(list(reader.receive(b"x" * MAX_RECORD)), [])
        self.assertEqual(len(reader._rest), MAX_RECORD)
