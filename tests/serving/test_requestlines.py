"""
Tests of L{socks6.serving.requestlines}.
"""

from __future__ import annotations

import json
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.linefile import GATHER, LineFile
from socks6.serving.accesslog import (
    RUBBISH_LINES,
    RUBBISH_PERIOD,
    AccessLog,
    LineFormat,
    RequestRecord,
)
from socks6.serving.requestlines import (
    FileAccessLog,
    NoAccessLog,
    jsonLine,
    timedLine,
    timestamp,
)
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command
from socks6.wire.errors import MalformedMessage
from tests.server.harness import NOOP, MemoryTestCase, ProxyTestCase, TLSServer

NOW = 1_700_000_000.5


def record(
    user: str = "ada", name: bytes = b"example.com", result: str = "closed"
) -> RequestRecord:
    """
    Make a record.
    """
    address = Address(DomainName(name), 443)
    made = RequestRecord(
        "192.0.2.1:4711", 1000.0, Command.CONNECT, address, user, result, 1234, 567890
    )
    made.isEncrypted = True
    return made


class TimestampTests(SynchronousTestCase):
    """
    The time.
    """

    def test_utc(self) -> None:
        """
        It is UTC, in milliseconds, as RFC 3339 has it.
        """
        for now, written in (
            (0.0, "1970-01-01T00:00:00.000Z"),
            (NOW, "2023-11-14T22:13:20.500Z"),
            (NOW + 0.4999, "2023-11-14T22:13:20.999Z"),
            (1.0625, "1970-01-01T00:00:01.062Z"),
        ):
            self.assertEqual(timestamp(now), written)


class RecordingLog(AccessLog):
    """
    Keeps what it is told.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self.records: list[RequestRecord] = []

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Keep a record.
        """
        self.records.append(record)


class FileTests(MemoryTestCase):
    """
    An access log in a file.
    """

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(1001.5)
        self.path = Path(self.mktemp())

    def log(self, lineFormat: LineFormat) -> FileAccessLog:
        """
        Make an access log.
        """
        file = LineFile(self.clock, self.path)
        log = FileAccessLog(self.clock, file, lineFormat, lambda: NOW)
        self.addCleanup(log.close)
        return log

    def content(self) -> list[str]:
        """
        Read it, a moment later.
        """
        self.clock.advance(GATHER)
        return self.path.read_text("ascii").splitlines()

    def test_text(self) -> None:
        """
        As text, a request is the line that Twisted's log would have, behind the time.
        """
        self.log(timedLine).requestFinished(record())
        self.assertEqual(
            self.content(),
            [
                (
                    "2023-11-14T22:13:20.500Z 192.0.2.1:4711 ada connect example.com:443: closed,"
                    " 1234 octets to the remote host, 567890 to the client, 1.500 s"
                )
            ],
        )
        self.assertEqual(self.lines, [])

    def test_json(self) -> None:
        """
        As JSON, it is an object on a line.
        """
        log = self.log(jsonLine)
        log.requestFinished(record())
        other = record(result="success")
        other.command, other.isEncrypted, other.isInSession = 200, False, True
        log.requestFinished(other)
        first, second = map(json.loads, self.content())
        self.assertEqual(
            first,
            {
                "time": "2023-11-14T22:13:20.500Z",
                "peer": "192.0.2.1:4711",
                "user": "ada",
                "command": "connect",
                "destination": "example.com:443",
                "result": "closed",
                "to_remote": 1234,
                "to_client": 567890,
                "seconds": 1.5,
                "tls": True,
                "session": False,
            },
        )
        self.assertEqual(list(first), list(second))
        self.assertEqual(
            (second["command"], second["tls"], second["session"]), ("200", False, True)
        )

    def test_forged(self) -> None:
        """
        Whatever names and words are made of, a line stays one, and printable.
        """
        nasty = 'a"\n\r\x1b[2J\u2028\x85é\ud800\\,{"time": 1}'
        for lineFormat in (timedLine, jsonLine):
            self.path = Path(self.mktemp())
            log = self.log(lineFormat)
            log.requestFinished(record(nasty, nasty.encode("utf-8", "replace"), nasty))
            (line,) = self.content()
            self.assertTrue(line.isascii() and line.isprintable(), repr(line))
            if lineFormat is jsonLine:
                self.assertEqual(json.loads(line)["user"], nasty)

    def test_rubbish(self) -> None:
        """
        What is no request stays in Twisted's log.
        """
        log = self.log(timedLine)
        for _ in range(RUBBISH_LINES + 2):
            log.peerFailed("192.0.2.1:1", MalformedMessage("rubbish"))
        self.assertEqual(self.lines, ["192.0.2.1:1: rubbish"] * RUBBISH_LINES)
        self.clock.advance(RUBBISH_PERIOD)
        self.events.clear()
        log.requestFinished(record())
        self.assertEqual(self.lines, ["2 more clients broke the protocol"])

    def test_open(self) -> None:
        """
        Opening makes the file, or fails.
        """
        self.log(timedLine).open()
        self.assertTrue(self.path.exists())
        self.path = self.path / "below"
        self.assertRaises(NotADirectoryError, self.log(timedLine).open)


class OtherTests(MemoryTestCase):
    """
    Access logs without a file.
    """

    def test_twistedJSON(self) -> None:
        """
        In Twisted's log the line may be JSON as well.
        """
        clock = Clock()
        clock.advance(1001.5)
        AccessLog(clock, jsonLine).requestFinished(record())
        (line,) = self.lines
        self.assertEqual(json.loads(line)["destination"], "example.com:443")

    def test_off(self) -> None:
        """
        Where it is off, requests have no lines.
        """
        log = NoAccessLog(Clock())
        log.requestFinished(record())
        self.assertEqual(self.events, [])
        log.peerFailed("192.0.2.1:1", MalformedMessage("rubbish"))
        self.assertEqual(self.lines, ["192.0.2.1:1: rubbish"])
        log.open()
        log.close()


class RecordTests(ProxyTestCase):
    """
    What is known of a request.
    """

    def test_encrypted(self) -> None:
        """
        It is known whether the client speaks TLS.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        factory = self.makeFactory()
        log = RecordingLog(self.network)
        factory.accessLog = log
        TLSServer(folder, self.network).accept(factory).send(NOOP)
        self.network.accept(factory).send(NOOP)
        self.assertEqual([each.isEncrypted for each in log.records], [True, False])
