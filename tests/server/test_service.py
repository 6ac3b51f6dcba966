"""
Tests of L{socks6.server.service}.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface.verify import verifyObject

from socks6.interfaces import IOutbound
from socks6.policy.sessions import SessionService
from socks6.server import service
from socks6.server.service import ProxyService, proxyService
from tests.doubles import FakeEndpoint, FakePort
from tests.raising import errorOf
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    CONNECT,
    DONE,
    NOOP,
    REFUSED,
    WELCOME,
    ProxyTestCase,
    authenticationData,
    failure,
    passwords,
    request,
)
from tests.server.sessions import (
    SESSION_OK,
    SESSION_REQUEST,
    PatientStore,
    admitted,
    identifierIn,
    noop,
    sessionID,
)


def refusal() -> CannotListenError:
    """
    Make the error of a port that is taken.
    """
    return CannotListenError("192.0.2.1", 1080, OSError("taken"))


class ServiceTestCase(ProxyTestCase):
    """
    A test of the service.
    """

    def service(self, *endpoints: Any, **options: Any) -> ProxyService:
        """
        Make a service that is not started.
        """
        service = proxyService(self.network, endpoints, **options)
        self.factories.append(service.factory)
        return service

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
            client.send(NOOP)
            self.assertEqual(client.received, WELCOME + DONE)
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
            for start in (ProxyService.privilegedStartService, ProxyService.startService):
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


class SilentResolver:
    """
    A resolver that never answers.
    """

    def resolveHostName(self, receiver: Any, hostName: str, *arguments: Any) -> Any:
        """
        Begin.
        """
        receiver.resolutionBegan(self)

    def cancel(self) -> None:
        """
        Give up, as it would have anyway.
        """


class ProxyServiceTests(ServiceTestCase):
    """
    What the service is made of.
    """

    def test_checkers(self) -> None:
        """
        With checkers, clients must authenticate.
        """
        factory = self.service(checkers=[passwords(), passwords(eve=b"gu3ss")]).factory
        for sent, heard in (
            (NOOP, REFUSED),
            (request(authenticationData(ADA), command=0), AUTHENTICATED + DONE),
        ):
            client = self.network.accept(factory)
            client.send(sent)
            self.assertEqual(client.received, heard)

    def test_uselessChecker(self) -> None:
        """
        A checker that does not take user names and passwords is a mistake.
        """
        error = self.assertRaises(
            ValueError, proxyService, self.network, [], [AllowAnonymousAccess()]
        )
        self.assertIn("AllowAnonymousAccess", str(error))

    def test_times(self) -> None:
        """
        Times must be above zero, and finite.
        """
        for name in ("connectTimeout", "requestTimeout", "idleTimeout"):
            for value in (0, -1.0, float("nan"), float("inf")):
                error = errorOf(ValueError, partial(self.service, **{name: value}))
                self.assertEqual(
                    str(error), f"not a number of seconds above 0: {value}", f"{name}={value}"
                )
            self.service(**{name: 0.5})

    def test_requestTimeout(self) -> None:
        """
        The time limit for requests is 10 seconds, or another one.
        """
        for options, limit in (({}, 10.0), ({"requestTimeout": 3.0}, 3.0)):
            client = self.network.accept(self.service(**options).factory)
            self.network.elapse(limit - 0.25)
            self.assertFalse(client.ended)
            self.network.elapse(0.25)
            self.assertTrue(client.ended)

    def test_connectTimeout(self) -> None:
        """
        The time limit for connecting is 30 seconds, or another one.
        """
        self.patch(service, "ThreadedResolver", lambda reactor: SilentResolver())
        name = bytes.fromhex("01bb 03 0b") + b"example.com"
        for options, limit in (({}, 30.0), ({"connectTimeout": 7.0}, 7.0)):
            client = self.network.accept(self.service(**options).factory)
            client.send(request(address=name))
            self.network.elapse(limit - 0.25)
            self.assertEqual(client.received, WELCOME)
            self.network.elapse(0.25)
            self.assertEqual(client.received, WELCOME + failure(9))

    def test_idleTimeout(self) -> None:
        """
        Tunnels may be idle for ever, or not.
        """
        self.assertIsNone(self.service().factory.idleTimeout)
        self.assertEqual(self.service(idleTimeout=60.0).factory.idleTimeout, 60.0)

    def test_outbound(self) -> None:
        """
        The way to remote hosts can be another one.
        """
        service = self.service(outbound=self.outbound)
        client = self.network.accept(service.factory)
        client.send(CONNECT)
        self.assertFalse(self.attempt.cancelled)

    def test_outboundByDefault(self) -> None:
        """
        By default it goes from this machine.
        """
        self.assertTrue(verifyObject(IOutbound, self.service().factory.outbound))

    def test_sessions(self) -> None:
        """
        Several may have the same sessions; what is opened at one is known to the
        others.
        """
        sessions = SessionService(self.network)
        services = [self.service(sessions=sessions) for _ in range(3)]
        opening, *others = [self.network.accept(each.factory) for each in services]
        opening.send(noop(SESSION_REQUEST))
        identifier = identifierIn(opening.received)
        for client in others:
            client.send(noop(sessionID(identifier)))
            self.assertEqual(client.received, admitted(SESSION_OK) + DONE)

    def test_sessionsByDefault(self) -> None:
        """
        By default it has its own.
        """
        left, right = (self.service().factory.sessions for _ in range(2))
        self.assertIsInstance(left, SessionService)
        self.assertIsNot(left, right)

    def test_sessionsAreTheCallers(self) -> None:
        """
        Whoever has made the sessions starts and stops them, not the proxy.
        """
        store = PatientStore(self.network)
        sessions = SessionService(self.network, store)
        service = self.service(sessions=sessions)
        service.privilegedStartService()
        service.startService()
        self.assertFalse(sessions.running)
        self.successResultOf(service.stopService())
        self.assertEqual(store.calls, [])
