"""
Tests of L{socks6.serving.service}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface.verify import verifyObject

from socks6.serving import service as module
from socks6.serving.service import ListeningService
from tests.doubles import FakeEndpoint, FakePort
from tests.serving.lines import LineTestCase


def refusal() -> CannotListenError:
    """
    Make the error of a port that is taken.
    """
    return CannotListenError("192.0.2.1", 1080, OSError("taken"))


class ServiceTestCase(LineTestCase):
    """
    A test of the service.
    """

    def service(self, *endpoints: Any) -> ListeningService:
        """
        Make a service that is not started.
        """
        return ListeningService(self.makeFactory(), endpoints)

    def endpoint(self) -> tuple[FakeEndpoint, list[FakePort]]:
        """
        Make an endpoint that listens at once, and a list of its ports.
        """
        ports: list[FakePort] = []

        def listen() -> Deferred[IListeningPort]:
            ports.append(FakePort())
            return succeed(ports[-1])

        return FakeEndpoint(listen), ports


class ListeningTests(ServiceTestCase):
    """
    Starting and stopping.
    """

    def test_interface(self) -> None:
        """
        It is a service like others.
        """
        self.assertTrue(verifyObject(IService, self.service()))

    def test_start(self) -> None:
        """
        It listens on all its endpoints, once, as soon as privileges are there.
        """
        service = self.service(
            TCP4ServerEndpoint(self.network, 1080, interface="192.0.2.1"),
            TCP4ServerEndpoint(self.network, 1081, interface="127.0.0.1"),
        )
        self.assertEqual(self.network.tcpServers, [])
        service.privilegedStartService()
        service.startService()
        self.assertEqual(
            [(port, factory, interface) for port, factory, _, interface in self.network.tcpServers],
            [(1080, service.factory, "192.0.2.1"), (1081, service.factory, "127.0.0.1")],
        )
        self.assertEqual(len(service.ports), 2)
        self.assertTrue(service.running)

    def test_startOnly(self) -> None:
        """
        Who has no privileges may start it right away.
        """
        endpoint, ports = self.endpoint()
        service = self.service(endpoint)
        service.startService()
        self.assertEqual(service.ports, ports)
        self.assertEqual(endpoint.factories, [service.factory])

    def test_fastOpen(self) -> None:
        """
        If that is wanted, ports that have a socket accept data in the first packet.
        """
        accepting: list[object] = []
        self.patch(module, "acceptFastOpen", accepting.append)
        handle = socket.socket()
        self.addCleanup(handle.close)
        withSocket, without = FakePort(), FakePort()
        withSocket.socket = handle  # type: ignore[attr-defined]
        for wanted in (False, True):
            endpoints = [
                FakeEndpoint(lambda: succeed(withSocket)),
                FakeEndpoint(lambda: succeed(without)),
            ]
            service = ListeningService(self.makeFactory(), endpoints, wanted)
            service.startService()
            self.assertEqual(service.ports, [withSocket, without])
            self.assertEqual(accepting, [handle] if wanted else [])

    def test_stop(self) -> None:
        """
        Stopping closes ports and connections, and is done when all are closed.
        """
        endpoint, ports = self.endpoint()
        service = self.service(endpoint, endpoint)
        service.startService()
        client = self.network.accept(service.factory)
        stopped = service.stopService()
        self.assertFalse(service.running)
        self.assertEqual(service.ports, [])
        for port in ports:
            self.assertNoResult(stopped)
            assert port.closing is not None
            port.closing.callback(None)
        self.assertNoResult(stopped)
        self.network.spin()
        self.successResultOf(stopped)
        self.assertTrue(client.wasReset)

    def test_stopIdle(self) -> None:
        """
        A service that was never started can be stopped.
        """
        self.successResultOf(self.service(self.endpoint()[0]).stopService())

    def test_restart(self) -> None:
        """
        It can be started again, and then works.
        """
        endpoint, ports = self.endpoint()
        service = self.service(endpoint)
        for privileged in (True, False, True):
            if privileged:
                service.privilegedStartService()
            service.startService()
            self.assertEqual(service.ports, ports[-1:])
            client = self.network.accept(service.factory)
            client.send(b"please\n")
            self.succeed()
            self.assertEqual(client.received, b"welcome\n")
            stopped = service.stopService()
            closing = ports[-1].closing
            assert closing is not None
            closing.callback(None)
            self.network.spin()
            self.successResultOf(stopped)
        self.assertEqual(len(ports), 3)

    def test_cannotListen(self) -> None:
        """
        Where one endpoint cannot listen, none does, and starting fails.
        """

        def raises() -> Deferred[IListeningPort]:
            raise refusal()

        for name, broken in (("fails", lambda: fail(refusal())), ("raises", raises)):
            for start in (ListeningService.privilegedStartService, ListeningService.startService):
                before, portsBefore = self.endpoint()
                behind, portsBehind = self.endpoint()
                service = self.service(before, FakeEndpoint(broken), behind)
                self.assertRaises(CannotListenError, start, service)
                for port in portsBefore + portsBehind:
                    self.assertIsNotNone(port.closing, name)
                self.assertEqual(service.ports, [], name)

    def test_startAfterFailure(self) -> None:
        """
        It can be started again when the reason is gone.
        """
        answers: list[Deferred[Any]] = [fail(refusal()), succeed(FakePort())]
        service = self.service(FakeEndpoint(lambda: answers.pop(0)))
        self.assertRaises(CannotListenError, service.startService)
        service.startService()
        self.assertEqual(len(service.ports), 1)

    def test_slowEndpoint(self) -> None:
        """
        An endpoint may take its time.
        """
        listening: Deferred[IListeningPort] = Deferred()
        service = self.service(FakeEndpoint(lambda: listening))
        service.privilegedStartService()
        service.startService()
        self.assertEqual(service.ports, [])
        port = FakePort()
        listening.callback(port)
        self.assertEqual(service.ports, [port])
        service.stopService()
        self.assertIsNotNone(port.closing)

    def test_slowEndpointFails(self) -> None:
        """
        If it then cannot listen, the operator reads that; the others go on.
        """
        listening: Deferred[IListeningPort] = Deferred()
        endpoint, ports = self.endpoint()
        service = self.service(FakeEndpoint(lambda: listening), endpoint)
        service.startService()
        listening.errback(refusal())
        self.assertEqual(len(self.flushLoggedErrors(CannotListenError)), 1)
        self.assertEqual(service.ports, ports)

    def test_slowEndpointIsStopped(self) -> None:
        """
        One that is not ready when the service stops is told to give up, which
        is no failure.
        """
        cancelled: list[object] = []
        listening: Deferred[IListeningPort] = Deferred(cancelled.append)
        service = self.service(FakeEndpoint(lambda: listening))
        service.startService()
        self.successResultOf(service.stopService())
        self.assertEqual(cancelled, [listening])
        self.assertEqual(self.lines, [])

    def test_composed(self) -> None:
        """
        It can be a part of an application, beside others of its kind.
        """
        application = MultiService()
        endpoints = [self.endpoint() for _ in range(2)]
        for endpoint, _ in endpoints:
            self.service(endpoint).setServiceParent(application)
        application.privilegedStartService()
        application.startService()
        stopped = application.stopService()
        for _, (port,) in endpoints:
            self.assertNoResult(stopped)
            assert port.closing is not None
            port.closing.callback(None)
        self.successResultOf(stopped)

    def test_addedLate(self) -> None:
        """
        An application that is running starts it when it is added.
        """
        application = MultiService()
        application.startService()
        endpoint, ports = self.endpoint()
        self.service(endpoint).setServiceParent(application)
        self.assertEqual(len(ports), 1)
