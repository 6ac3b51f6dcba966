"""
Tests for ports at a proxy, from the first host to the last.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from twisted.internet.error import CannotListenError, ConnectionAborted, ConnectionLost
from twisted.logger import LogLevel, capturedLogs, formatEvent

from socks6.client.port import MAX_CLAIMS
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from socks6.values.options import ListenBacklog
from tests.client.doubles import (
    BOUND,
    Application,
    ProxyTransport,
    authenticationReply,
    operationReply,
)
from tests.client.listening import (
    CLAIMED,
    HOST_CAME,
    LISTENS,
    NOBODY_CAME,
    SHOWN_BOUND,
    SHOWN_HOST,
    ListeningTestCase,
    keeps,
)
from tests.client.sessions import FAREWELL, INVALID, WITHIN, admitted, naming, opened

#: The port that is asked for once it is known.
AGAIN = Address(IPv4Address("0.0.0.0"), 4000)

REFUSED = WITHIN + operationReply(ReplyCode.NOT_ALLOWED)
FAILED = WITHIN + operationReply(ReplyCode.GENERAL_FAILURE)


class PortTestCase(ListeningTestCase):
    """
    A test with what ports log.
    """

    def setUp(self) -> None:
        """
        Keep it.
        """
        super().setUp()
        captured = capturedLogs()
        self.events = captured.__enter__()
        self.addCleanup(captured.__exit__, None, None, None)

    def logged(self, level: Any) -> list[str]:
        """
        Give what has been logged by ports.
        """
        return [
            formatEvent(event)
            for event in self.events
            if event["log_namespace"] == "socks6.client.port.ProxyPort"
            and event["log_level"] is level
        ]

    def assertLost(self, *connections: ProxyTransport, why: str) -> None:
        """
        Check that the port is lost, which is reported once, and that nothing is left
        of it but accepted connections.
        """
        self.assertEqual(self.served.events, ["start", "stop"])
        [line] = self.logged(LogLevel.error)
        self.assertIn("192.0.2.1:4000", line)
        self.assertIn(why, line)
        self.assertClosed(*connections)


class OneByOneTests(PortTestCase):
    """
    Without a backlog, each host is waited for by itself.
    """

    def test_again(self) -> None:
        """
        When a host has come, the same port is opened for the next one, which may have
        any number.
        """
        port = self.listenForOne(port=0)
        for count in range(1, 6):
            self.assertEqual(self.unaccepted, 0)
            self.transport.receive(HOST_CAME)
            self.assertEqual(len(self.served.built), count)
            self.assertBound(self.acceptNext(), AGAIN)
            self.transport.receive(LISTENS)
        self.assertEqual(port.getHost(), SHOWN_BOUND)
        self.assertEqual(self.served.events, ["start"])
        self.assertEqual(self.logged(LogLevel.warn), [])
        self.assertNothingLeft()

    def test_interface(self) -> None:
        """
        The address is asked for as it was at first: what it is called outside need not
        be one that the proxy has.
        """
        self.listenForOne(interface="10.0.0.1")
        self.transport.receive(HOST_CAME)
        self.assertBound(self.acceptNext(), Address(IPv4Address("10.0.0.1"), 4000))

    def test_moved(self) -> None:
        """
        If the proxy opens another port, the port says so, and the log.
        """
        port = self.listenForOne()
        self.transport.receive(HOST_CAME)
        bound = Address(IPv4Address("192.0.2.1"), 4001)
        self.acceptNext().receive(authenticationReply() + operationReply(bound=bound))
        self.assertEqual(port.getHost().port, 4001)
        [line] = self.logged(LogLevel.warn)
        self.assertIn("192.0.2.1:4001", line)
        self.transport.receive(HOST_CAME)
        [_, (application, _)] = self.served.built
        self.assertEqual(application.transport.getHost().port, 4001)

    def test_nobodyCame(self) -> None:
        """
        If the proxy has waited in vain, the port is opened again at once, and nobody
        complains.
        """
        self.listenForOne()
        for _ in range(5):
            self.reactor.advance(1)
            transport = self.transport
            transport.receive(NOBODY_CAME)
            self.assertTrue(transport.disconnecting)
            self.acceptNext().receive(LISTENS)
            transport.lose()
        self.assertEqual(self.logged(LogLevel.warn), [])

    def test_backOff(self) -> None:
        """
        After each failure in a row, more time passes until the port is opened again; a
        host that comes is the end of the row.
        """
        self.listenForOne()
        self.transport.receive(NOBODY_CAME)
        self.transport.lose()
        for delay in (0.5, 1, 2, 4):
            self.assertEqual(self.unaccepted, 0)
            self.reactor.advance(delay - 0.01)
            self.assertEqual(self.unaccepted, 0)
            self.reactor.advance(0.01)
            self.refuseNext()
        self.assertEqual(len(self.logged(LogLevel.warn)), 5)
        self.reactor.advance(8)
        self.acceptNext().receive(LISTENS + HOST_CAME)
        self.acceptNext().receive(LISTENS)
        self.transport.lose(ConnectionLost())
        self.assertEqual(self.unaccepted, 0)
        self.reactor.advance(0.5)
        self.assertEqual(self.unaccepted, 1)
        self.assertEqual(self.served.events, ["start"])

    def test_notAllowed(self) -> None:
        """
        It is tried again also if the proxy does not let us open the port: it may belong
        to somebody else for a while.
        """
        self.listenForOne()
        self.transport.receive(HOST_CAME)
        self.acceptNext().receive(authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED))
        self.assertEqual(self.logged(LogLevel.error), [])
        self.reactor.advance(0.5)
        self.acceptNext().receive(LISTENS + HOST_CAME)
        self.assertEqual(len(self.served.built), 2)

    def test_closedSession(self) -> None:
        """
        A session that has been closed is the end of the port.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        self.listen(proxy=session)
        self.acceptNext().receive(opened() + operationReply())
        session.close()
        self.transport.receive(HOST_CAME)
        self.assertLost(why="closed")
        self.assertEqual(self.served.built[0][0].events, ["made"])

    def test_notGranted(self) -> None:
        """
        So it goes, too, where the proxy does not grant the backlog that was asked for,
        and each time it may.
        """
        for reply in (opened(), admitted()):
            self.setUp()
            self.listen(backlog=16)
            self.acceptNext().receive(reply + operationReply())
            port = self.successResultOf(self.listening)
            self.assertEqual(self.unaccepted, 0)
            self.transport.receive(HOST_CAME)
            self.assertEqual(len(self.served.built), 1)
            self.assertBound(self.acceptNext(), AGAIN)
            self.assertEqual(self.transport.request.options[-1], ListenBacklog(16))
            self.transport.receive(keeps(2, WITHIN))
            self.assertEqual(self.unaccepted, 2)
            self.claims()[0].receive(HOST_CAME)
            self.assertEqual(len(self.served.built), 2)
            self.assertEqual(port.getHost(), SHOWN_BOUND)

    def test_notAsked(self) -> None:
        """
        A backlog that nobody has asked for changes nothing.
        """
        self.listen()
        self.acceptNext().receive(keeps(16, authenticationReply()) + HOST_CAME)
        self.assertEqual(len(self.served.built), 1)
        self.assertEqual(self.unaccepted, 1)


class BacklogTests(PortTestCase):
    """
    With a backlog, hosts can come at any time.
    """

    def test_claims(self) -> None:
        """
        As soon as the proxy listens, requests in the same session wait for hosts at the
        port that it has named.
        """
        self.listenForMany(4)
        self.assertEqual(self.unaccepted, 4)
        for token, transport in enumerate(self.claims()):
            self.assertBound(transport, BOUND)
            self.assertEqual(list(transport.request.options), naming(token))
        self.assertEqual(self.unaccepted, 0)
        self.assertNothingLeft()

    def test_number(self) -> None:
        """
        There are as many as may wait, but not too many.
        """
        for backlog, granted, expected in [
            (2, 2, 2),
            (16, 5, 5),
            (MAX_CLAIMS, MAX_CLAIMS, MAX_CLAIMS),
            (1000, 500, MAX_CLAIMS),
        ]:
            self.setUp()
            self.listenForMany(backlog, granted)
            self.assertEqual(self.unaccepted, expected)

    def test_hosts(self) -> None:
        """
        Each that gets a host is replaced at once, and the host becomes a connection.
        """
        port = self.listenForMany(4)
        waiting = self.claims()
        for count in range(1, 11):
            transport = waiting.pop(0)
            transport.clear()
            transport.receive(HOST_CAME)
            application, host = self.served.built[-1]
            self.assertEqual(len(self.served.built), count)
            self.assertEqual((application.events, host), (["made"], SHOWN_HOST))
            self.assertEqual(application.transport.getHost(), SHOWN_BOUND)
            application.transport.write(b"hello")
            self.assertEqual(transport.value(), b"hello")
            self.assertEqual(self.unaccepted, 1)
            waiting += self.claims()
        self.assertEqual(port.getHost(), SHOWN_BOUND)
        self.assertOpen(self.transport, *waiting)

    def test_hostAtOnce(self) -> None:
        """
        A host that has waited comes with the first reply.
        """
        self.listenForMany(2)
        for _ in range(5):
            self.acceptNext().receive(CLAIMED + HOST_CAME + b"first")
        self.assertEqual(len(self.served.built), 5)
        self.assertEqual(self.unaccepted, 2)
        for application, _ in self.served.built:
            self.assertEqual(application.events, ["made", b"first"])

    def test_nobodyCame(self) -> None:
        """
        One for which no host has come is replaced at once.
        """
        self.listenForMany(4)
        self.reactor.advance(120)
        for transport in self.claims():
            transport.lose()
        self.assertEqual(self.unaccepted, 0)
        self.reactor.advance(0.5)
        waiting = self.claims()
        self.assertEqual(len(waiting), 4)
        self.reactor.advance(120)
        for transport in waiting:
            transport.receive(NOBODY_CAME)
        self.assertEqual(self.unaccepted, 4)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)

    def test_backOff(self) -> None:
        """
        If they fail, nobody is asked for a while, which the log says once; the port
        stays.
        """
        self.listenForMany(4)
        for delay in (0.5, 1.0, 2.0):
            self.assertEqual(self.unaccepted, 4)
            keeper = self.transport
            for _ in range(4):
                self.acceptNext().receive(FAILED)
                self.transport.lose()
            self.transport = keeper
            self.reactor.advance(delay - 0.01)
            self.assertEqual(self.unaccepted, 0)
            self.reactor.advance(0.01)
        lines = self.logged(LogLevel.warn)
        self.assertEqual(len(lines), 3)
        self.assertIn("next try in 0.5 s: ", lines[0])
        self.assertIn("192.0.2.1:4000", lines[0])
        self.assertIn("general failure", lines[0])
        self.assertIn("next try in 2 s", lines[2])
        self.assertEqual(self.served.events, ["start"])
        self.assertOpen(self.transport)

    def test_unreachable(self) -> None:
        """
        The same if the proxy cannot be reached for a while.
        """
        self.listenForMany(2)
        self.refuseNext()
        self.refuseNext()
        self.reactor.advance(0.5)
        self.claims()[0].receive(HOST_CAME)
        self.assertEqual(len(self.served.built), 1)
        self.assertEqual(self.unaccepted, 1)

    def test_recovered(self) -> None:
        """
        A host that comes meanwhile shows that it is no use to wait.
        """
        self.listenForMany(3)
        first, *others = self.claims()
        for transport in others:
            transport.lose(ConnectionLost())
        self.assertEqual(self.unaccepted, 0)
        first.receive(HOST_CAME)
        self.assertEqual(self.unaccepted, 3)
        self.assertNothingLeft()


class LossTests(PortTestCase):
    """
    A port can be lost.
    """

    def setUp(self) -> None:
        """
        Have a port, with a host and three requests that wait, and one that is yet to be
        accepted.
        """
        super().setUp()
        self.port = self.listenForMany(4)
        self.host, *self.waiting = self.claims()
        self.host.receive(HOST_CAME)

    def assertGone(self, why: str) -> None:
        """
        Check that it is lost, without harm to the host's connection.
        """
        self.assertLost(*self.waiting, why=why)
        [(application, _)] = self.served.built
        self.assertEqual(application.events, ["made"])
        self.host.receive(b"still here")
        self.assertEqual(application.events, ["made", b"still here"])
        self.successResultOf(self.port.stopListening())
        self.assertEqual(self.served.events, ["start", "stop"])
        self.assertRaises(CannotListenError, self.port.startListening)
        self.assertEqual(self.port.getHost(), SHOWN_BOUND)

    def test_connectionLost(self) -> None:
        """
        It is lost with the connection that keeps it open.
        """
        self.transport.lose(ConnectionLost())
        self.assertGone("ended before")

    def test_inputEnded(self) -> None:
        """
        Also if only the proxy has ended it.
        """
        self.transport.endInput()
        self.assertTrue(self.transport.disconnecting)
        self.assertGone("ended before")

    def test_failed(self) -> None:
        """
        Or says that it does not listen any more.
        """
        self.transport.receive(operationReply(ReplyCode.GENERAL_FAILURE))
        self.assertTrue(self.transport.disconnecting)
        self.assertGone("general failure")

    def test_hostWhereNoneMayCome(self) -> None:
        """
        That connection carries nothing else; a proxy that says so is at fault.
        """
        self.transport.receive(HOST_CAME)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)
        self.transport.lose()
        self.assertGone("no connection through the proxy")

    def test_othersPort(self) -> None:
        """
        It is lost when the proxy says that it is not ours.
        """
        keeper = self.transport
        self.acceptNext().receive(REFUSED)
        self.assertClosed(keeper)
        self.assertGone("not allowed")

    def test_sessionForgotten(self) -> None:
        """
        That is how it goes when the proxy has forgotten the session, and the port with
        it.
        """
        keeper = self.transport
        self.acceptNext().receive(INVALID)
        self.transport.lose()
        self.acceptNext().receive(opened(identifier=b"another") + operationReply(2))
        self.assertClosed(keeper)
        self.assertGone("not allowed")


class StopTests(PortTestCase):
    """
    C{stopListening}.
    """

    def test_one(self) -> None:
        """
        The connection that waits is closed at once; when it is gone the Deferred fires.
        """
        port = self.listenForOne()
        stopped = port.stopListening()
        self.assertNoResult(stopped)
        self.assertEqual(self.served.events, ["start", "stop"])
        self.assertIn("closed", repr(port))
        self.assertClosed(self.transport)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertNothingLeft()
        self.assertEqual(self.unaccepted, 0)

    def test_many(self) -> None:
        """
        So are all that wait, that which keeps the port open and those that are on their
        way.
        """
        port = self.listenForMany(4)
        keeper = self.transport
        accepted, first, second = (self.acceptNext() for _ in range(3))
        accepted.receive(CLAIMED + HOST_CAME)
        first.receive(CLAIMED)
        stopped = port.stopListening()
        self.assertClosed(first, second)
        self.assertNoResult(stopped)
        self.assertClosed(keeper)
        self.assertOpen(accepted)
        # One for each that was to wait, and one instead of that which has its host.
        self.assertTrue(all(each.stoppedConnecting for each in self.reactor.connectors[4:6]))

    def test_session(self) -> None:
        """
        A session of the port's own is ended.
        """
        port = self.listenForMany(2)
        keeper, claims = self.transport, self.claims()
        stopped = port.stopListening()
        self.assertClosed(keeper, *claims)
        self.assertNoResult(stopped)
        self.assertEqual(list(self.acceptNext().request.options), FAREWELL)
        self.transport.receive(WITHIN + operationReply())
        self.transport.lose()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertNothingLeft()

    def test_slowProxy(self) -> None:
        """
        Nobody waits long for that.
        """
        port = self.listenForMany(2)
        keeper, claims = self.transport, self.claims()
        stopped = port.stopListening()
        self.assertClosed(keeper, *claims)
        self.acceptNext()
        self.reactor.advance(4.9)
        self.assertNoResult(stopped)
        self.reactor.advance(0.1)
        self.assertIsNone(self.successResultOf(stopped))

    def test_sharedSession(self) -> None:
        """
        Others' sessions live on.
        """
        session = SOCKS6Session(self.reactor, self.proxyEndpoint)
        port = self.listenForMany(2, proxy=session)
        keeper, claims = self.transport, self.claims()
        stopped = port.stopListening()
        self.assertClosed(keeper, *claims)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertTrue(session.isOpen)
        self.assertEqual(self.unaccepted, 0)

    def test_accepted(self) -> None:
        """
        Connections that have been accepted live on.
        """
        port = self.listenForOne()
        self.transport.receive(HOST_CAME)
        host = self.transport
        [(application, _)] = self.served.built
        self.acceptNext().receive(LISTENS)
        port.stopListening()
        self.assertClosed(self.transport)
        self.assertOpen(host)
        host.receive(b"hello")
        self.assertEqual(application.events, ["made", b"hello"])

    def test_meanwhile(self) -> None:
        """
        Who closes the port when a host has come accepts that one, and no other.
        """
        for moment in ("build", "made"):
            self.setUp()
            port = self.listenForOne()

            def stop(*_: Any, port: Any = port) -> None:
                port.stopListening()

            def build(moment: str = moment, stop: Any = stop) -> Application:
                if moment == "build":
                    stop()
                return Application(stop if moment == "made" else None)

            self.served.build = build
            self.transport.receive(HOST_CAME + b"hello")
            [(application, _)] = self.served.built
            self.assertEqual(application.events, ["made", b"hello"])
            self.assertOpen(self.transport)
            self.assertEqual(self.unaccepted, 0)
            self.assertEqual(self.served.events, ["start", "stop"])

    def test_backingOff(self) -> None:
        """
        Nothing is tried again after that.
        """
        port = self.listenForOne()
        self.transport.lose(ConnectionAborted())
        self.assertIsNone(self.successResultOf(port.stopListening()))
        self.assertNothingLeft()
        self.assertEqual(self.unaccepted, 0)

    def test_twice(self) -> None:
        """
        Once is enough.
        """
        port = self.listenForOne()
        port.stopListening()
        self.assertIsNone(self.successResultOf(port.stopListening()))
        self.assertEqual(self.served.events, ["start", "stop"])
