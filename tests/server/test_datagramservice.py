"""
Tests of L{socks6.server.datagramservice}.

That sockets are bound where they are to be is tested in
L{tests.integration.test_associate}.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from socks6.server import datagramservice
from socks6.server.datagramports import DTLSPort, PlainPort
from socks6.server.datagramservice import DatagramService, Place
from socks6.server.tls import datagramContext
from tests.dtls import Pair
from tests.integration.certificates import Authority
from tests.server.datagrams import AssociationsTestCase, MemoryDatagramSocket

PLAIN = ("192.0.2.1", 1080)
PLAIN_IPV6 = ("2001:db8::1", 1080)
ENCRYPTED = ("192.0.2.1", 1443)


class DatagramServiceTests(AssociationsTestCase):
    """
    The ports as a service.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bound: list[MemoryDatagramSocket] = []
        self.taken: list[Place] = []
        self.patch(datagramservice, "_bound", self.bind)
        self.events: list[LogEvent] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.context = datagramContext(Authority(folder).server().path)

    @property
    def lines(self) -> list[str]:
        """
        What was logged.
        """
        return [formatEvent(event) for event in self.events]

    def bind(self, place: Place) -> MemoryDatagramSocket:
        """
        Bind a socket in memory.
        """
        if place in self.taken:
            raise CannotListenError(*place, OSError(98, "Address already in use"))
        handle = MemoryDatagramSocket(place=place)
        self.addCleanup(handle.close)
        self.bound.append(handle)
        return handle

    def make(self, *plain: Place, encrypted: Sequence[Place] = ()) -> DatagramService:
        """
        Make a service that is not started.
        """
        context = self.context if encrypted else None
        return DatagramService(self.associations, lambda: plain, encrypted, context)

    def test_ports(self) -> None:
        """
        It opens its ports, says where, and closes them in the end.
        """
        service = self.make(PLAIN, PLAIN_IPV6, encrypted=[ENCRYPTED])
        self.assertTrue(verifyObject(IService, service))
        service.privilegedStartService()
        service.startService()
        self.assertEqual([type(port) for port in service.ports], [PlainPort, PlainPort, DTLSPort])
        self.assertEqual([(each.place) for each in self.bound], [PLAIN, PLAIN_IPV6, ENCRYPTED])
        self.assertEqual(
            self.lines,
            [
                "Datagrams of clients: UDP port 192.0.2.1:1080",
                "Datagrams of clients: UDP port [2001:db8::1]:1080",
                "Datagrams of clients: DTLS port 192.0.2.1:1443",
            ],
        )
        self.assertTrue(self.associations.canBeReached)
        service.stopService()
        self.assertEqual([each.fileno() for each in self.bound], [-1] * 3)
        self.assertFalse(self.associations.canBeReached)
        self.assertEqual(self.network.readers, set())

    def test_unprivileged(self) -> None:
        """
        A runner that knows no privileges only starts it.
        """
        service = self.make(PLAIN)
        service.startService()
        self.assertEqual(len(service.ports), 1)
        service.stopService()

    def test_again(self) -> None:
        """
        It can be started again.
        """
        service = self.make(PLAIN, encrypted=[ENCRYPTED])
        for _ in range(2):
            service.startService()
            self.assertEqual(len(service.ports), 2)
            service.stopService()
        self.assertEqual(len(self.bound), 4)
        self.assertEqual(service.ports, [])

    def test_renew(self) -> None:
        """
        Ports with DTLS take another context; others need none.
        """
        service = self.make(encrypted=[ENCRYPTED])
        service.startService()
        (port,) = service.ports
        folder = Path(self.mktemp())
        folder.mkdir()
        other = Authority(folder).server()
        service.renew(datagramContext(other.path))
        assert isinstance(port, DTLSPort)
        pair = Pair(port._door)
        pair.handshake()
        certificate = pair.client.connection.get_peer_certificate()
        assert certificate is not None
        self.assertEqual(certificate.get_serial_number(), other.certificate.serial_number)
        service.stopService()
        self.make(PLAIN).renew(self.context)

    def test_cannotListen(self) -> None:
        """
        If one port cannot be opened, none is.
        """
        self.taken = [ENCRYPTED]
        service = self.make(PLAIN, encrypted=[ENCRYPTED])
        for start in ("privilegedStartService", "startService"):
            self.assertRaises(CannotListenError, getattr(service, start))
            self.assertEqual([each.fileno() for each in self.bound], [-1])
            self.assertEqual(service.ports, [])
            self.assertEqual(self.network.readers, set())
            self.bound.clear()

    def test_optional(self) -> None:
        """
        Ports for plain datagrams that nobody has asked for may be missing.
        """
        self.taken = [PLAIN]
        service = DatagramService(
            self.associations, lambda: [PLAIN], [ENCRYPTED], self.context, isOptional=True
        )
        service.startService()
        self.assertEqual([type(port) for port in service.ports], [DTLSPort])
        self.assertEqual(
            self.lines[0],
            "No plain datagrams of clients are taken: Couldn't listen on 192.0.2.1:1080:"
            " [Errno 98] Address already in use.",
        )
        service.stopService()

    def test_dropped(self) -> None:
        """
        In the end it says what was dropped, once, the most frequent reason first.
        """
        service = self.make()
        self.associations.dropped.update({"loop": 2, "unknown association": 3})
        for _ in range(2):
            service.startService()
            service.stopService()
        self.assertEqual(
            self.lines, ["Datagrams that were dropped: unknown association: 3, loop: 2"]
        )
