"""
Tests of L{socks6.serving.acceptance}, with real sockets.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.logger import LogEvent, eventAsText, globalLogPublisher
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socks6.serving.acceptance import PAUSE, GatedSocket
from socks6.serving.gate import Gate
from socks6.serving.limits import NO_LIMITS, Limits
from tests.integration.peers import DEADLINE, receiveUntilBroken


class Readers(Clock):
    """
    A reactor of which the test is the loop.

    @ivar reading: Who is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reading: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """
        Read somebody.
        """
        self.reading.add(reader)

    def removeReader(self, reader: Any) -> None:
        """
        Read nobody any more.
        """
        self.reading.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        """
        Nobody writes.
        """


class Failing(GatedSocket):
    """
    A socket at which the system can do no more than it is left.

    @ivar failures: What it says, in turn, instead of accepting.
    """

    failures: list[int]

    def _accept(self) -> tuple[int, Any]:
        """
        Accept a connection, or fail.
        """
        if self.failures and self.failures[0]:
            code = self.failures.pop(0)
            raise OSError(code, os.strerror(code))
        if self.failures:
            self.failures.pop(0)
        accepted: tuple[int, Any] = super()._accept()  # type: ignore[misc]
        return accepted


class AcceptanceTests(SynchronousTestCase):
    """
    A port whose socket is gated.
    """

    def setUp(self) -> None:
        self.reactor = Readers()
        self.protocols: list[Protocol] = []
        self.lines: list[str] = []
        # Any callable serves.
        observe: Any = self._observe
        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def _observe(self, event: LogEvent) -> None:
        """
        Take a line.
        """
        if event.get("log_namespace", "").startswith("socks6."):
            self.lines.append(eventAsText(event, includeTimestamp=False, includeSystem=False))

    def build(self, address: object) -> Protocol:
        """
        Make a protocol.
        """
        self.protocols.append(Protocol())
        return self.protocols[-1]

    def listen(self, limits: Limits = NO_LIMITS, isBalanced: bool = False) -> Port:
        """
        Listen.
        """
        factory: Any = Factory()
        factory.noisy = False
        factory.buildProtocol = self.build
        if isBalanced:
            factory = HAProxyWrappingFactory(factory)
        port = Port(0, factory, 128, "127.0.0.1", self.reactor)
        port.startListening()
        self.gated = Failing(port, Gate(self.reactor, limits), self.reactor)
        self.gated.failures = []
        self.addCleanup(self.stop, port)
        return port

    def stop(self, port: Port) -> None:
        """
        Listen no more.
        """
        if port.connected:
            port.stopListening()
            self.reactor.advance(0)
        for transport in list(self.reactor.reading):
            transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def dial(self, port: Port) -> socket.socket:
        """
        Connect.
        """
        host: Any = port.getHost()
        client = socket.create_connection((host.host, host.port), DEADLINE)
        self.addCleanup(client.close)
        return client

    def test_accepts(self) -> None:
        """
        Who may come in is accepted, as without it; the descriptor stays the same.
        """
        port = self.listen()
        self.assertIs(port.socket, self.gated)
        self.assertEqual(port.fileno(), self.gated.fileno())
        for _ in range(3):
            self.dial(port)
        for _ in range(3):
            port.doRead()
        self.assertEqual(len(self.protocols), 3)
        port.stopListening()
        self.reactor.advance(0)
        self.assertEqual(self.gated.fileno(), -1)

    def test_refuses(self) -> None:
        """
        Others are closed at once, and no protocol hears of them.
        """
        port = self.listen(Limits(connections=1))
        self.gated._gate.came(None)  # type: ignore[arg-type]
        client = self.dial(port)
        port.doRead()
        self.assertEqual(receiveUntilBroken(client), b"")
        self.assertEqual(self.protocols, [])
        self.assertEqual(self.lines, ["127.0.0.1 is refused: there are 1 connections"])

    def test_balanced(self) -> None:
        """
        A load balancer is no client.
        """
        for isBalanced in (False, True):
            port = self.listen(Limits(perClient=1), isBalanced)
            self.gated._gate._counts[IPv4Address("127.0.0.1")] = 1
            self.dial(port)
            port.doRead()
            self.assertEqual(len(self.protocols), int(isBalanced))

    def test_noDescriptors(self) -> None:
        """
        Without a descriptor those who wait are closed, and the port is read on.
        """
        port = self.listen()
        clients = [self.dial(port) for _ in range(3)]
        self.gated.failures = [errno.EMFILE]
        port.doRead()
        for client in clients:
            self.assertEqual(receiveUntilBroken(client), b"")
        self.assertEqual(self.lines, ["no connection can be accepted: Too many open files"])
        self.assertIn(port, self.reactor.reading)
        self.dial(port)
        port.doRead()
        self.assertEqual(len(self.protocols), 1)

    def test_noDescriptorAtAll(self) -> None:
        """
        If the descriptor that was kept for that is lost to somebody else, the port is
        left alone for a moment; then all is well again.
        """
        port = self.listen()
        self.dial(port)
        self.gated.failures = [errno.EMFILE, errno.EMFILE]
        port.doRead()
        self.assertNotIn(port, self.reactor.reading)
        self.assertEqual(self.protocols, [])
        self.reactor.advance(PAUSE)
        self.assertIn(port, self.reactor.reading)
        port.doRead()
        self.assertEqual(len(self.protocols), 1)

    def test_noReserve(self) -> None:
        """
        Nor is there anything else to do if there was none to be kept.
        """
        port = self.listen()
        self.dial(port)
        self.assertTrue(self.gated._giveReserve())
        self.gated.failures = [errno.EMFILE]
        port.doRead()
        self.assertNotIn(port, self.reactor.reading)
        self.assertIsNotNone(self.gated._reserve)
        self.reactor.advance(PAUSE)

    def test_systemExhausted(self) -> None:
        """
        If the whole system has run out of something, the port is left alone for a moment.
        """
        port = self.listen()
        for code in (errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            self.dial(port)
            self.gated.failures = [code]
            port.doRead()
            self.assertNotIn(port, self.reactor.reading)
            self.assertIn(os.strerror(code), self.lines[-1])
            self.reactor.advance(PAUSE)
            port.doRead()
        self.assertEqual(len(self.protocols), 3)

    def test_noMemory(self) -> None:
        """
        If this process has no memory to accept with, the port is left alone as well, and goes
        on.
        """
        port = self.listen()
        client = self.dial(port)
        accept = self.gated._accept

        def fail() -> tuple[int, Any]:
            raise MemoryError

        self.patch(self.gated, "_accept", fail)
        port.doRead()
        self.assertNotIn(port, self.reactor.reading)
        self.assertIn("Cannot allocate memory", self.lines[-1])
        self.patch(self.gated, "_accept", accept)
        self.reactor.advance(PAUSE)
        port.doRead()
        self.assertEqual(len(self.protocols), 1)
        client.close()

    def test_stopsInPause(self) -> None:
        """
        A port that is left alone can be closed.
        """
        port = self.listen()
        self.gated.failures = [errno.ENFILE]
        port.doRead()
        port.stopListening()
        self.reactor.advance(0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.reading, set())

    def test_aborted(self) -> None:
        """
        One that has gone before it was accepted does not matter.
        """
        port = self.listen()
        self.dial(port)
        self.gated.failures = [errno.ECONNABORTED]
        port.doRead()
        self.assertEqual(len(self.protocols), 1)
        self.dial(port)
        self.gated.failures = [errno.EMFILE, errno.ECONNABORTED]
        port.doRead()
        self.assertEqual(len(self.protocols), 1)

    def test_otherErrors(self) -> None:
        """
        Other errors are Twisted's to judge.
        """
        port = self.listen()
        self.dial(port)
        self.gated.failures = [errno.EPERM, 0]
        port.numberAccepts = 2
        port.doRead()
        self.assertEqual(len(self.protocols), 1)

    def test_others(self) -> None:
        """
        However many are refused, others have their turn as well.
        """
        port = self.listen(Limits(connections=1))
        self.gated._gate.came(None)  # type: ignore[arg-type]
        clients = [self.dial(port) for _ in range(50)]
        more = [self.dial(port) for _ in range(30)]
        port.doRead()
        for client in clients:
            self.assertEqual(receiveUntilBroken(client), b"")
        more[-1].setblocking(False)
        self.assertRaises(BlockingIOError, more[-1].recv, 1)
        port.doRead()
        more[-1].settimeout(DEADLINE)
        self.assertEqual(receiveUntilBroken(more[-1]), b"")
