"""
A Redis server that the test plays, and a store that speaks to it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socks6.interfaces import SessionDemand, SessionStoreFailed, SessionUse
from socks6.policy.stores.redis.server import RedisServer
from socks6.policy.stores.redis.store import RedisSessionStore
from socks6.values.options import TokenWindowAdvertisement
from tests.doubles import REMOTE_ADDRESS, Network, Peer
from tests.policy.stores.calls import ALL, LIMITS, RECORD, newKey

#: No answer.
SILENCE = b""

#: What the scripts answer by default: a session was opened; there is no such session.
OPENED = b":1\r\n"
NO_SESSION = b"$-1\r\n"

#: How many keys the script has that opens sessions.
_KEYS_OF_OPEN = b"3"


@implementer(IStreamClientEndpoint)
class PlayedServer:
    """
    A server, and the way to it.

    @ivar refusal: Why nobody can connect; L{None} if everybody can.
    @ivar hangs: Whether connecting takes for ever.
    @ivar answers: What is answered to each command, if not what a server in order
        answers.
    @ivar commands: All that have been received.
    @ivar peers: The server's ends of all connections, the latest last.
    @ivar attempts: When somebody has tried to connect.
    @ivar given: How many attempts that hang have been given up.
    """

    def __init__(self, network: Network) -> None:
        self.refusal: Exception | None = None
        self.hangs = False
        self.answers: dict[bytes, bytes] = {}
        self.commands: list[list[bytes]] = []
        self.peers: list[Peer] = []
        self.attempts: list[float] = []
        self.given = 0
        self._network = network

    def description(
        self, database: int = 0, username: bytes | None = None, password: bytes | None = None
    ) -> RedisServer:
        """
        Describe the server to a client.
        """
        return RedisServer("redis://played", lambda reactor: self, database, username, password)

    @property
    def peer(self) -> Peer:
        """
        Get the latest connection's end.
        """
        return self.peers[-1]

    @property
    def open(self) -> list[Peer]:
        """
        Find the connections that the client has not closed.
        """
        return [peer for peer in self.peers if not peer.isClosed]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Let a client connect, or not.
        """
        self.attempts.append(self._network.seconds())
        if self.refusal is not None:
            return fail(self.refusal)
        connected: Deferred[IProtocol] = Deferred(self._giveUp)
        if not self.hangs:
            protocol = protocolFactory.buildProtocol(REMOTE_ADDRESS)
            assert protocol is not None
            self.peers.append(self._network.attach(protocol))
            connected.callback(protocol)
        return connected

    def _giveUp(self, attempt: Deferred[IProtocol]) -> None:
        """
        Count an attempt that somebody has cancelled.
        """
        self.given += 1

    def serve(self, seconds: float = 0) -> None:
        """
        Let time pass, with nobody answering before its end; then answer everything.
        """
        self._network.elapse(seconds)
        answered = True
        while answered:
            answered = False
            for peer in self.open:
                for command in commandsIn(peer.take()):
                    self.commands.append(command)
                    peer.send(self._answer(command))
                    answered = True

    def _answer(self, command: list[bytes]) -> bytes:
        """
        Answer a command.
        """
        name = command[0]
        if name in self.answers:
            return self.answers[name]
        if name in (b"EVAL", b"EVALSHA"):
            return OPENED if command[2] == _KEYS_OF_OPEN else NO_SESSION
        return b"+PONG\r\n" if name == b"PING" else b"+OK\r\n"


def commandsIn(octets: bytes) -> list[list[bytes]]:
    """
    Read commands, of which nothing may be missing.
    """
    commands = []
    while octets:
        head, octets = octets.split(b"\r\n", 1)
        assert head.startswith(b"*"), head
        command = []
        for _ in range(int(head[1:])):
            head, octets = octets.split(b"\r\n", 1)
            assert head.startswith(b"$"), head
            length = int(head[1:])
            command.append(octets[:length])
            assert octets[length : length + 2] == b"\r\n", octets
            octets = octets[length + 2 :]
        commands.append(command)
    return commands


class RedisTestCase(SynchronousTestCase):
    """
    A store, and a server that is in order.
    """

    def setUp(self) -> None:
        self.network = Network()
        self.server = PlayedServer(self.network)
        self.store = RedisSessionStore(self.network, self.server.description())
        self.log: Any = EventLoggingObserver()
        globalLogPublisher.addObserver(self.log)
        self.addCleanup(globalLogPublisher.removeObserver, self.log)

    def lines(self) -> list[str]:
        """
        Take what has been logged about servers.
        """
        events = [event for event in self.log if event["log_level"] >= LogLevel.info]
        found = [event["log_format"].format(**event) for event in events if "server" in event]
        self.log._events.clear()
        return found

    def open(self, key: bytes | None = None) -> Deferred[TokenWindowAdvertisement | None]:
        """
        Open a session.
        """
        return self.store.open(newKey() if key is None else key, RECORD, None, LIMITS)

    def use(self) -> Deferred[SessionUse | None]:
        """
        Use a session.
        """
        return self.store.use(newKey(), SessionDemand(), ALL, LIMITS.timeout)

    def assertServed(self) -> None:
        """
        Check that the store works.
        """
        opened = self.open()
        self.server.serve()
        self.assertIsNone(self.successResultOf(opened))

    def assertFailed(self, call: Deferred[Any], words: str) -> None:
        """
        Check that a call has failed, for the right reason.
        """
        error = self.failureResultOf(call, SessionStoreFailed).value
        self.assertEqual(str(error), f"redis://played {words}")
