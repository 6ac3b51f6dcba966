"""
A proxy in memory, and the octets that clients and it exchange.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.cred.checkers import ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.interfaces import IProtocolFactory, ITransport
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.authentication import Authenticator
from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import PRIVATE_TOO
from socks6.relay import direction, farewell, relay
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.server.tls import serverContext
from socks6.sockets import Delivery, socketOf
from tests.doubles import Attempt, MemoryOutbound, MemorySocket, Network, Peer, TLSPeer
from tests.integration.certificates import Authority

# --- what clients say; the constants are options ---


def request(
    options: bytes = b"",
    command: int = 1,
    address: bytes = bytes.fromhex("01bb 01 cb007101"),
) -> bytes:
    """
    Write a request; by default, CONNECT to 203.0.113.1, port 443.

    @param address: Port, address type and address.
    """
    return b"\6\0" + bytes([command]) + address + len(options).to_bytes(2, "big") + options


def methods(initialDataLength: int = 0, *numbers: int) -> bytes:
    """
    Write an Authentication Method option; by default, with username/password.
    """
    data = initialDataLength.to_bytes(2, "big") + bytes(numbers or [2])
    return b"\2" + (3 + len(data)).to_bytes(2, "big") + data


def credentials(name: bytes, password: bytes) -> bytes:
    """
    Write a user name and password as RFC 1929 does.
    """
    return b"\1" + bytes([len(name)]) + name + bytes([len(password)]) + password


def authenticationData(data: bytes, method: int = 2) -> bytes:
    """
    Write an Authentication Data option.
    """
    return b"\3" + (4 + len(data)).to_bytes(2, "big") + bytes([method]) + data


CONNECT = request()
NOOP = request(command=0, address=bytes.fromhex("0000 01 00000000"))
ADA = credentials(b"ada", b"s3cret")
EVE = credentials(b"eve", b"gu3ss")
SESSION_ID = bytes.fromhex("04 0008 02 0badcafe")

# --- what the proxy says ---

WELCOME = bytes.fromhex("0600 00 00 0000")
DEMAND = bytes.fromhex("0600 01 02 0000")
AUTHENTICATED = bytes.fromhex("0600 00 02 0000")
REFUSED = bytes.fromhex("0600 01 ff 0000")
SESSION_INVALID = bytes.fromhex("0600 01 ff 0004 04 0004 05")
VERSION_MISMATCH = bytes.fromhex("0600")
RIGHT = bytes.fromhex("01 00")
WRONG = bytes.fromhex("01 01")
DONE = bytes.fromhex("00 0000 01 00000000 0000")
#: Bound to 198.51.100.1, port 50000.
CONNECTED = bytes.fromhex("00 c350 01 c6336401 0000")


def failure(code: int) -> bytes:
    """
    Write the Operation Reply of a failure.
    """
    return bytes([code]) + DONE[1:]


def passwords(**users: bytes) -> ICredentialsChecker:
    """
    Make a checker that knows some users; by default, ada.
    """
    checker: ICredentialsChecker = InMemoryUsernamePasswordDatabaseDontUse(
        **(users or {"ada": b"s3cret"})
    )
    return checker


def delivery(transport: ITransport) -> Delivery | None:
    """
    Ask the socket in memory, as the kernel would be asked.
    """
    handle = socketOf(transport)
    if not isinstance(handle, MemorySocket):
        return None
    return Delivery(handle.unacknowledged, len(handle.received))


def isReset(transport: ITransport) -> bool:
    """
    The same.
    """
    handle = socketOf(transport)
    return isinstance(handle, MemorySocket) and handle.broken


class MemoryTestCase(SynchronousTestCase):
    """
    A test on a network in memory; it checks in the end that connections that
    end leave nothing behind.
    """

    def setUp(self) -> None:
        self.network = Network()
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.patch(farewell, "delivery", delivery)
        self.patch(relay, "delivery", delivery)
        self.patch(direction, "delivery", delivery)
        self.patch(direction, "isReset", isReset)
        self.addCleanup(self.breakEverything)

    @property
    def lines(self) -> list[str]:
        """
        What we have logged, as the operator reads it.
        """
        return [
            formatEvent(event)
            for event in self.events
            if str(event.get("log_namespace")).startswith("socks6.")
        ]

    def breakEverything(self) -> None:
        """
        End all connections; nothing may be left.
        """
        for connection in self.network.connections:
            if not connection.everSocket.isClosed:
                connection.abortConnection()
        self.network.spin()
        self.assertOver("in the end")

    def assertOver(self, case: str = "") -> None:
        """
        Check that all connections are closed and nothing more will happen.
        """
        network = self.network
        opened = [
            connection for connection in network.connections if not connection.everSocket.isClosed
        ]
        self.assertEqual(opened, [], f"{case}: open connections")
        self.assertEqual(network.getDelayedCalls(), [], f"{case}: delayed calls")
        self.assertEqual(network.readers | network.writers, set(), f"{case}: registered")


class ProxyTestCase(MemoryTestCase):
    """
    A test of a proxy, from both sides.
    """

    def setUp(self) -> None:
        super().setUp()
        self.outbound = MemoryOutbound(self.network)
        self.factories: list[SOCKS6ServerFactory] = []

    def assertOver(self, case: str = "") -> None:
        """
        Check, besides, that the proxy remembers no connection.
        """
        super().assertOver(case)
        for factory in self.factories:
            self.successResultOf(factory.cutAll())

    def makeFactory(self, *checkers: Any, **options: Any) -> SOCKS6ServerFactory:
        """
        Make a proxy.
        """
        options.setdefault("outbound", self.outbound)
        # Addresses of examples are those of documents.
        options.setdefault("rules", RuleBook(PRIVATE_TOO))
        factory = SOCKS6ServerFactory(
            self.network, authenticator=Authenticator(checkers), **options
        )
        self.factories.append(factory)
        return factory

    def dial(self, *checkers: Any, **options: Any) -> Peer:
        """
        Connect to a new proxy.
        """
        return self.network.accept(self.makeFactory(*checkers, **options))

    @property
    def attempt(self) -> Attempt:
        """
        The only request to connect so far.
        """
        (attempt,) = self.outbound.attempts
        return attempt

    def tunnel(self, **options: Any) -> tuple[Peer, Peer]:
        """
        Connect through a new proxy.

        @return: Client and remote host; nothing has passed between them.
        """
        client = self.dial(**options)
        client.send(CONNECT)
        remote = self.outbound.attempts[-1].succeed()
        self.assertEqual(client.take(), WELCOME + CONNECTED)
        return client, remote

    def assertNobodyWaits(self, client: Peer) -> None:
        """
        Check that what was done about a client's request has come to its end.
        """
        self.assertIsNone(self.successResultOf(client.protocol._conversation._work))

    def leave(self, client: Peer) -> None:
        """
        End a connection that the proxy is about to end, as a client does that
        has read the last reply.
        """
        self.assertTrue(client.ended, "the proxy ends its direction")
        client.end()


class TLSServer:
    """
    What gives legs TLS.
    """

    def __init__(self, folder: Path, network: Network) -> None:
        authority = Authority(folder)
        self._network = network
        self._context = serverContext(authority.server().path)
        self._clientContext = authority.clientContext()

    def connect(self, factory: IProtocolFactory) -> TLSPeer:
        """
        Accept a connection.
        """
        wrapper = TLSMemoryBIOFactory(self._context, False, factory, self._network)
        return TLSPeer(self._network.accept(wrapper), self._clientContext)

    def accept(self, factory: IProtocolFactory) -> TLSPeer:
        """
        Accept a connection and agree on keys.
        """
        peer = self.connect(factory)
        peer.handshake()
        return peer
