"""
Tests of L{socks6.server.service}.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.application.service import IService
from twisted.cred.checkers import AllowAnonymousAccess
from twisted.internet.defer import succeed
from zope.interface.verify import verifyObject

from socks6.interfaces import IOutbound
from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import PRIVATE_TOO
from socks6.policy.sessions import SessionService
from socks6.relay.pipes import CAN_SPLICE
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

    def test_serves(self) -> None:
        """
        Whoever connects to where it listens is served.
        """
        port = FakePort()
        endpoint = FakeEndpoint(lambda: succeed(port))
        service = self.service(endpoint)
        self.assertTrue(verifyObject(IService, service))
        service.startService()
        (factory,) = endpoint.factories
        client = self.network.accept(factory)
        client.send(NOOP)
        self.assertEqual(client.received, WELCOME + DONE)
        stopped = service.stopService()
        self.network.spin()
        assert port.closing is not None
        port.closing.callback(None)
        self.successResultOf(stopped)

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

    def test_splice(self) -> None:
        """
        Octets may pass inside the kernel, where it can do that, or not.
        """
        self.assertEqual(self.service().factory.pipes is not None, CAN_SPLICE)
        self.assertIsNone(self.service(splice=False).factory.pipes)

    def test_outbound(self) -> None:
        """
        The way to remote hosts can be another one.
        """
        rules = RuleBook(PRIVATE_TOO)
        service = self.service(outbound=self.outbound, rules=rules)
        self.assertIs(service.factory.rules, rules)
        client = self.network.accept(service.factory)
        client.send(CONNECT)
        self.assertFalse(self.attempt.cancelled)

    def test_rulesByDefault(self) -> None:
        """
        By default, what is not of the public internet is not for everybody.
        """
        service = self.service(outbound=self.outbound)
        client = self.network.accept(service.factory)
        client.send(CONNECT)
        self.assertEqual(client.received, WELCOME + failure(2))

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
