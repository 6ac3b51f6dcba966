"""
Tests of L{socks6.serving.accesslog}.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.authentication import Identity
from socks6.serving.accesslog import (
    RUBBISH_LINES,
    RUBBISH_PERIOD,
    AccessLog,
    RequestRecord,
)
from socks6.values.address import Address, DomainName
from socks6.values.codes import AuthenticationMethod, Command
from socks6.wire.errors import MalformedMessage, PeerError, UnexpectedEnd


class AccessLogTests(SynchronousTestCase):
    """
    What the operator reads.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.log = AccessLog(self.clock)
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    @property
    def lines(self) -> list[str]:
        """
        The lines so far.
        """
        return [formatEvent(event) for event in self.events]

    def fail(self, error: PeerError | None = None) -> None:  # type: ignore[override]
        """
        Let a client break the protocol.
        """
        self.log.peerFailed("192.0.2.1:1", error or MalformedMessage("rubbish"))

    def test_request(self) -> None:
        """
        A request is one line, with who, what, result, octets and time.
        """
        record = RequestRecord(
            "192.0.2.1:4711",
            1000.0,
            Command.CONNECT,
            Address(DomainName(b"example.com"), 443),
            "ada",
            "closed",
            1234,
            567890,
        )
        self.clock.advance(1.5)
        self.log.requestFinished(record)
        self.assertEqual(
            self.lines,
            [
                (
                    "192.0.2.1:4711 ada connect example.com:443: closed,"
                    " 1234 octets to the remote host, 567890 to the client, 1.500 s"
                )
            ],
        )

    def test_structure(self) -> None:
        """
        Each of these is a value of the event, too.
        """
        address = Address(IPv6Address("2001:db8::1"), 80)
        record = RequestRecord("unix", 1000.0, Command.BIND, address, result="success")
        self.log.requestFinished(record)
        (event,) = self.events
        self.assertEqual(event["log_level"], LogLevel.info)
        self.assertEqual(
            {
                key: event[key]
                for key in (
                    "peer",
                    "user",
                    "command",
                    "destination",
                    "result",
                    "toRemote",
                    "toClient",
                    "seconds",
                )
            },
            {
                "peer": "unix",
                "user": "-",
                "command": "bind",
                "destination": "[2001:db8::1]:80",
                "result": "success",
                "toRemote": 0,
                "toClient": 0,
                "seconds": 0.0,
            },
        )

    def test_strangeRequest(self) -> None:
        """
        What a client makes up cannot break the line.
        """
        for name in (b"a\nb", b"{peer}", b"\x1b[2J", b"a b", b"\xff"):
            self.events.clear()
            record = RequestRecord(
                "unix",
                1000.0,
                200,
                Address(DomainName(name), 1),
                str(Identity(AuthenticationMethod.USERNAME_PASSWORD, name)),
            )
            self.log.requestFinished(record)
            (line,) = self.lines
            self.assertTrue(line.isprintable() and line.isascii(), repr(line))
            self.assertTrue(line.startswith("unix "), repr(line))
            self.assertIn(" 200 ", line)

    def test_strangeWords(self) -> None:
        """
        Nor can what comes to be in the other words, in the line or in a value of the event.
        """
        strange = "a\nb \x1b[2J \x85 \u2028"
        address = Address(IPv6Address("2001:db8::1"), 80)
        record = RequestRecord(strange, 1000.0, Command.CONNECT, address, strange, strange)
        self.log.requestFinished(record)
        self.log.peerFailed(strange, MalformedMessage(strange))
        for line in self.lines:
            self.assertTrue(line.isprintable() and line.isascii(), repr(line))
            self.assertIn("a\\nb", line)
        request, rubbish = self.events
        for event, keys in ((request, ("peer", "user", "result")), (rubbish, ("peer", "error"))):
            for key in keys:
                self.assertEqual(event[key], "a\\nb \\x1b[2J \\x85 \\u2028", key)

    def test_rubbish(self) -> None:
        """
        A client that breaks the protocol is a line below warning, and is
        counted by the kind of its mistake.
        """
        self.fail()
        self.fail(UnexpectedEnd("too short"))
        self.fail()
        self.assertEqual(
            self.lines, ["192.0.2.1:1: rubbish", "192.0.2.1:1: too short", "192.0.2.1:1: rubbish"]
        )
        self.assertEqual({event["log_level"] for event in self.events}, {LogLevel.info})
        self.assertEqual(self.log.malformed, {"MalformedMessage": 2, "UnexpectedEnd": 1})

    def test_muchRubbish(self) -> None:
        """
        Of many such clients only so many get a line within a period; all are
        counted, and a line says how many there were.
        """
        for _ in range(RUBBISH_LINES + 5):
            self.fail()
        self.assertEqual(len(self.lines), RUBBISH_LINES)
        self.clock.advance(RUBBISH_PERIOD - 1)
        self.fail()
        self.assertEqual(len(self.lines), RUBBISH_LINES)
        self.assertEqual(self.log.malformed["MalformedMessage"], RUBBISH_LINES + 6)
        self.clock.advance(1)
        self.events.clear()
        self.fail()
        self.assertEqual(self.lines, ["6 more clients broke the protocol", "192.0.2.1:1: rubbish"])
        for _ in range(RUBBISH_LINES):
            self.fail()
        self.assertEqual(len(self.lines), 1 + RUBBISH_LINES)

    def test_countOnly(self) -> None:
        """
        A client whose mistake stands in the line of its request is only counted.
        """
        self.log.count(MalformedMessage("rubbish"))
        self.assertEqual(self.log.malformed, {"MalformedMessage": 1})
        self.assertEqual(self.lines, [])

    def test_flush(self) -> None:
        """
        How many clients got no line can be written at any time, once; a new
        period begins then.
        """
        for _ in range(RUBBISH_LINES + 2):
            self.fail()
        self.events.clear()
        self.log.flush()
        self.log.flush()
        self.assertEqual(self.lines, ["2 more clients broke the protocol"])
        self.clock.advance(RUBBISH_PERIOD - 1)
        for _ in range(RUBBISH_LINES + 1):
            self.fail()
        self.assertEqual(len(self.lines), 1 + RUBBISH_LINES)
        self.clock.advance(2)
        self.fail()
        self.assertEqual(self.lines[-1], "192.0.2.1:1: rubbish", "61 s after the flush")

    def test_flushByRequest(self) -> None:
        """
        If no more such clients come, that line comes with the next request.
        """
        for _ in range(RUBBISH_LINES + 2):
            self.fail()
        self.clock.advance(RUBBISH_PERIOD)
        self.events.clear()
        address = Address(IPv6Address("2001:db8::1"), 80)
        self.log.requestFinished(RequestRecord("unix", 1000.0, Command.NOOP, address))
        self.assertEqual(self.lines[0], "2 more clients broke the protocol")
        self.assertEqual(len(self.lines), 2)

    def test_littleRubbish(self) -> None:
        """
        Where none was left out nothing is said about it.
        """
        for _ in range(3):
            self.fail()
            self.clock.advance(RUBBISH_PERIOD)
        self.assertEqual(self.lines, ["192.0.2.1:1: rubbish"] * 3)
