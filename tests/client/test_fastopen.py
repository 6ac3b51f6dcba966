"""
Tests for what the kernel does not do at the wish of a test; the rest is in
C{tests/integration/test_client_fastopen.py}.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import (
    ConnectError,
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socks6.client import fastopen as module
from socks6.client.fastopen import FastOpenClientEndpoint, HastyTransport
from tests.client.doubles import Application, HalfCloseableApplication

PROXY = IPv4Address("TCP", "192.0.2.1", 1080)


class Handle:
    """
    A socket that does what the test wants.

    @ivar sent: What the kernel has taken.
    @ivar error: Why it takes no more.
    @ivar pending: The error that the kernel has to report.
    @ivar calls: What was done besides.
    """

    family = socket.AF_INET

    def __init__(self) -> None:
        self.sent = b""
        self.error: OSError | None = None
        self.pending = 0
        self.calls: list[str] = []

    def fileno(self) -> int:
        """
        Stand in for a descriptor.
        """
        return 99

    def setblocking(self, flag: bool) -> None:
        """
        It never blocks.
        """
        assert not flag

    def send(self, octets: bytes) -> int:
        """
        Take octets.
        """
        if self.error is not None:
            raise self.error
        self.sent += octets
        return len(octets)

    def getsockopt(self, level: int, name: int) -> int:
        """
        Report the error.
        """
        assert (level, name) == (socket.SOL_SOCKET, socket.SO_ERROR)
        return self.pending

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        """
        Be told to end with a reset.
        """
        assert (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER)

    def shutdown(self, how: int) -> None:
        """
        Take note.
        """
        self.calls.append("shutdown")

    def close(self) -> None:
        """
        Take note.
        """
        self.calls.append("close")


class HastyTransportTests(SynchronousTestCase):
    """
    L{HastyTransport}, where the SYN leaves with the first data.
    """

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.handle = Handle()
        self.application = HalfCloseableApplication()
        self.stood: list[bool] = []
        self.transport = HastyTransport(
            self.handle,  # type: ignore[arg-type]
            self.application,
            PROXY,
            self.reactor,
            False,
            5.0,
            self.stood.append,
        )
        self.application.makeConnection(self.transport)

    def lose(self, why: Any) -> None:
        """
        Lose the connection as a reactor does.
        """
        self.transport.connectionLost(Failure(why))

    def test_closing(self) -> None:
        """
        As long as the connection does not stand, it is not closed: the kernel would
        forget what it was to send.
        """
        self.transport.write(b"hello")
        self.transport.loseConnection()
        self.assertIsNone(self.transport.doWrite())
        self.assertEqual((self.handle.sent, self.handle.calls), (b"hello", []))
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        self.assertIsInstance(self.transport.doWrite(), ConnectionDone)
        self.lose(ConnectionDone())
        self.assertEqual(self.stood, [True])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_ending(self) -> None:
        """
        Nor does its direction end.
        """
        self.transport.write(b"hello")
        self.transport.loseWriteConnection()
        self.transport.doWrite()
        self.assertEqual((self.handle.sent, self.handle.calls), (b"hello", []))
        self.transport.doWrite()
        self.assertEqual(self.handle.calls, ["shutdown"])
        self.transport.abortConnection()
        self.reactor.advance(0)

    def test_afterwards(self) -> None:
        """
        Once it stands, it is closed in the ordinary way.
        """
        self.transport.write(b"hello")
        self.transport.doWrite()
        self.transport.doWrite()
        self.assertEqual(self.reactor.getWriters(), [])
        self.transport.loseWriteConnection()
        self.transport.doWrite()
        self.assertEqual(self.handle.calls, ["shutdown"])
        self.transport.loseConnection()
        self.assertEqual(self.handle.calls[-1], "close")
        self.assertEqual(self.stood, [True])

    def test_forgotten(self) -> None:
        """
        If the kernel forgets the cookie before the first data are written, these are
        written when the connection stands.
        """
        self.handle.error = BlockingIOError(errno.EINPROGRESS, "")
        self.transport.write(b"hello")
        self.assertIsNone(self.transport.doWrite())
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        self.handle.error = None
        self.assertIsNone(self.transport.doWrite())
        self.assertEqual(self.handle.sent, b"hello")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.transport.abortConnection()
        self.reactor.advance(0)

    def test_failures(self) -> None:
        """
        Whenever the kernel says that the connection cannot be made, that is why it is
        lost.
        """

        def sending() -> Any:
            self.handle.error = OSError(errno.ECONNREFUSED, "")
            return self.transport.doWrite()

        def writing() -> Any:
            self.transport.doWrite()
            self.handle.pending = errno.ECONNREFUSED
            return self.transport.doWrite()

        def reading() -> Any:
            self.handle.pending = errno.ECONNREFUSED
            return self.transport.doRead()

        def hangingUp() -> Any:
            self.handle.pending = errno.ECONNREFUSED
            return ConnectionDone()

        ways: list[Callable[[], Any]] = [sending, writing, reading, hangingUp]
        for fail in ways:
            self.setUp()
            self.transport.write(b"hello")
            self.lose(fail())
            self.assertIsInstance(self.application.events[-1], ConnectionRefusedError)
            self.assertEqual(self.stood, [False], fail.__name__)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            # The reactor may say so twice.
            self.lose(ConnectionDone())
            self.assertEqual(self.stood, [False])

    def test_noReason(self) -> None:
        """
        If the kernel says nothing, the connection has not been made all the same.
        """
        self.lose(ConnectionDone())
        self.assertIsInstance(self.application.events[-1], ConnectError)
        self.assertEqual(self.stood, [False])


class Hasty(Factory):
    """
    Builds a protocol, or does not.

    @ivar asked: What it was asked about encryption.
    """

    noisy = False

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self.asked: list[bool] = []

    def mayHurry(self, isEncrypted: bool) -> bool:
        """
        It may.
        """
        self.asked.append(isEncrypted)
        return True

    def buildProtocol(self, addr: object) -> Any:
        """
        Do what the test wants.
        """
        assert addr == PROXY
        return self._build()


class EndpointTests(SynchronousTestCase):
    """
    L{FastOpenClientEndpoint}, and what factories can do to it.
    """

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.handle = Handle()
        self.patch(module, "PosixReactorBase", MemoryReactorClock)
        self.endpoint = FastOpenClientEndpoint(self.reactor, PROXY.host, PROXY.port)
        self.patch(self.endpoint, "_begin", lambda address: (self.handle, False))

    def assertNothingLeft(self, factory: Factory) -> None:
        """
        Check that the socket is closed, and that nothing is waited for.
        """
        self.assertEqual(self.handle.calls[-1], "close")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.getReaders(), [])
        self.assertEqual(factory.numPorts, 0)

    def test_repr(self) -> None:
        """
        It tells where it leads.
        """
        self.assertIn("192.0.2.1", repr(self.endpoint))

    def test_noProtocol(self) -> None:
        """
        A factory may not want the connection, or fail.
        """
        for build, error in ((lambda: None, NoProtocol), (lambda: 1 / 0, ZeroDivisionError)):
            factory = Hasty(build)
            self.failureResultOf(self.endpoint.connect(factory), error)
            self.assertNothingLeft(factory)

    def test_protocolFails(self) -> None:
        """
        A protocol that cannot be connected loses its connection, and the error is
        logged.
        """
        application = Application(lambda application: 1 / 0)
        factory = Hasty(lambda: application)
        self.failureResultOf(self.endpoint.connect(factory), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsInstance(application.events[-1], ZeroDivisionError)
        self.assertNothingLeft(factory)

    def test_encrypted(self) -> None:
        """
        A factory is asked through the TLS around it, and hears that it is there.
        """
        factory = Hasty(Application)
        wrapper = TLSMemoryBIOFactory(CertificateOptions(), True, factory, self.reactor)
        protocol: Any = self.successResultOf(self.endpoint.connect(wrapper))
        self.assertEqual(factory.asked, [True])
        # The hello.
        protocol.transport.doWrite()
        self.assertEqual(self.handle.sent[:1], b"\x16")
        protocol.transport.abortConnection()
        self.reactor.advance(0)
        self.assertNothingLeft(factory)
