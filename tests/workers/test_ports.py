"""
Tests of L{socks6.workers.ports}; those with ports are in
L{tests.integration.test_workers}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from socks6.workers.ports import PortHeir, PortKeeper


class KeptPort:
    """
    A port.

    @ivar reads: Whether connections are accepted.
    """

    reads = True

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """
        Name its descriptor.
        """
        return self._number

    def stopReading(self) -> None:
        """
        Accept no more.
        """
        self.reads = False


class PortMaker:
    """
    A reactor that takes note of what it is to listen on.

    @ivar calls: What that was.
    """

    someThing = 7

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def _port(self, *arguments: Any, **named: Any) -> KeptPort:
        self.calls.append((*arguments, named))
        return KeptPort(100 + len(self.calls))

    def listenTCP(self, *arguments: Any, **named: Any) -> KeptPort:
        """
        Make a port.
        """
        return self._port("TCP", *arguments, **named)

    def listenSSL(self, *arguments: Any, **named: Any) -> KeptPort:
        """
        Make a port.
        """
        return self._port("SSL", *arguments, **named)

    def listenUNIX(self, *arguments: Any, **named: Any) -> KeptPort:
        """
        Make a port.
        """
        return self._port("UNIX", *arguments, **named)

    def adoptStreamPort(self, *arguments: Any) -> KeptPort:
        """
        Make a port.
        """
        return self._port("adopted", *arguments)


class PortKeeperTests(SynchronousTestCase):
    """
    L{PortKeeper}.
    """

    def setUp(self) -> None:
        self.reactor = PortMaker()
        self.keeper = PortKeeper(self.reactor)

    def test_otherwise(self) -> None:
        """
        It is the reactor otherwise.
        """
        self.assertEqual(self.keeper.someThing, 7)
        self.assertRaises(AttributeError, getattr, self.keeper, "noSuchThing")

    def test_listens(self) -> None:
        """
        It has the reactor listen, but not accept; nor end the sockets for others.
        """
        factory = Factory()
        ports: list[Any] = [
            self.keeper.listenTCP(1080, factory, backlog=3, interface="::1"),
            self.keeper.listenSSL(1443, factory, None),
            self.keeper.listenUNIX("/run/socks6", factory, mode=0o600),
            self.keeper.adoptStreamPort(5, socket.AF_INET, factory),
        ]
        self.assertEqual(
            self.reactor.calls,
            [
                ("TCP", 1080, factory, {"backlog": 3, "interface": "::1"}),
                ("SSL", 1443, factory, None, {}),
                ("UNIX", "/run/socks6", factory, {"mode": 0o600}),
                ("adopted", 5, socket.AF_INET, factory, {}),
            ],
        )
        self.assertEqual([port.reads for port in ports], [False] * 4)
        self.assertEqual([port._shouldShutdown for port in ports], [False] * 4)
        self.assertEqual(self.keeper.count, 4)

    def test_nothing(self) -> None:
        """
        There may be no ports.
        """
        self.assertEqual(list(self.keeper.ours), [])
        self.assertEqual(self.keeper.descriptors, {})

    def test_ours(self) -> None:
        """
        Workers have the ports behind the descriptors that all processes have.
        """
        for number in range(3):
            self.keeper.listenTCP(number, Factory())
        self.assertEqual(list(self.keeper.ours), [3, 4, 5])
        self.assertEqual(self.keeper.descriptors, {3: 101, 4: 102, 5: 103})

    def test_adopted(self) -> None:
        """
        What somebody else has opened is where it was, and the others are behind that.
        """
        self.keeper.listenTCP(1, Factory())
        self.keeper.adoptStreamPort(5, socket.AF_INET, Factory())
        self.keeper.adoptStreamPort(3, socket.AF_INET, Factory())
        self.keeper.listenTCP(2, Factory())
        self.assertEqual(list(self.keeper.ours), [6, 7])
        self.assertEqual(self.keeper.descriptors, {6: 101, 5: 102, 3: 103, 7: 104})


class PortHeirTests(SynchronousTestCase):
    """
    L{PortHeir}.
    """

    def descriptor(self, family: socket.AddressFamily = socket.AF_INET) -> int:
        """
        Make a socket.
        """
        return socket.socket(family, socket.SOCK_STREAM).detach()

    def assertClosed(self, descriptor: int) -> None:
        """
        Check that a descriptor is none any more.
        """
        self.assertRaises(OSError, socket.socket, fileno=descriptor)

    def test_tcp(self) -> None:
        """
        It takes the ports in their order, each of its own family, and closes what it
        was given.
        """
        reactor, factory = PortMaker(), Factory()
        first, second = self.descriptor(socket.AF_INET6), self.descriptor()
        heir = PortHeir(reactor, [first, second])
        heir.listenTCP(1080, factory, backlog=3, interface="::1")
        heir.listenTCP(0, factory)
        self.assertEqual(
            reactor.calls,
            [
                ("adopted", first, socket.AF_INET6, factory, {}),
                ("adopted", second, socket.AF_INET, factory, {}),
            ],
        )
        self.assertClosed(first)
        self.assertClosed(second)

    def test_tls(self) -> None:
        """
        It speaks TLS where the endpoint wants it.
        """
        reactor: Any = PortMaker()
        # What TLS takes of a reactor.
        reactor.callLater = reactor.seconds = None
        context = CertificateOptions()
        PortHeir(reactor, [self.descriptor()]).listenSSL(1443, Factory(), context)
        ((_, _, _, wrapper, _),) = reactor.calls
        self.assertIsInstance(wrapper, TLSMemoryBIOFactory)

    def test_otherwise(self) -> None:
        """
        It is the reactor otherwise, with what somebody else has opened, too.
        """
        reactor, factory = PortMaker(), Factory()
        heir = PortHeir(reactor, [])
        heir.adoptStreamPort(5, socket.AF_INET, factory)
        self.assertEqual(reactor.calls, [("adopted", 5, socket.AF_INET, factory, {})])
        self.assertEqual(heir.someThing, 7)
