"""
Ports that a proxy opens for its clients, and the hosts that connect to them, all
played by the test.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol

from socks6.policy.sessions import SessionService
from socks6.server import bind
from socks6.server.bind import Binder
from socks6.server.bindpolicy import BindPolicy
from socks6.server.listener import Listener
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.values.address import Address, IPAddress
from tests.doubles import REMOTE_ADDRESS, MemoryConnection, MemorySocket, Peer
from tests.server.harness import WELCOME, ProxyTestCase, request
from tests.server.sessions import WITHIN, SessionTestCase, sessionID

#: The first port that the system chooses.
CHOSEN = 50000


class Visitor(MemorySocket):
    """
    A connection that a host has made to a port.

    @ivar gone: Whether the host has reset it.
    """

    def __init__(self, name: Any = (REMOTE_ADDRESS.host, REMOTE_ADDRESS.port)) -> None:
        """
        @param name: What the system calls the host.
        """
        super().__init__()
        self.gone = False
        self._name = name

    def getpeername(self) -> Any:
        """
        Tell who it is.
        """
        if self.gone:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self._name


class PortSocket:
    """
    A bound socket.

    @ivar arrivals: The connections that the kernel has for us, and errors.
    @ivar failure: What accepting fails with, as long as there is something.
    @ivar refusal: Why it is not listened on.
    @ivar backlog: How it is listened on.
    @ivar asked: How often somebody has tried to accept.
    """

    def __init__(self, name: tuple[str, int]) -> None:
        """
        @param name: Where it is bound.
        """
        self.arrivals: deque[Visitor | OSError] = deque()
        self.failure: OSError | None = None
        self.refusal: OSError | None = None
        self.backlog: int | None = None
        self.asked = 0
        self.isClosed = False
        self._name = name

    def getsockname(self) -> tuple[str, int]:
        """
        Tell where it is bound.
        """
        return self._name

    def listen(self, backlog: int) -> None:
        """
        Listen.
        """
        if self.refusal is not None:
            raise self.refusal
        self.backlog = backlog

    def accept(self) -> tuple[Visitor, Any]:
        """
        Take a connection.
        """
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        if not self.arrivals:
            raise BlockingIOError(errno.EWOULDBLOCK, "")
        arrival = self.arrivals.popleft()
        if isinstance(arrival, OSError):
            raise arrival
        return arrival, None

    def close(self) -> None:
        """
        Listen no more; the kernel refuses who is still there.
        """
        self.isClosed = True
        for arrival in self.arrivals:
            if isinstance(arrival, Visitor):
                arrival.close()

    def fileno(self) -> int:
        """
        Name the descriptor.
        """
        return -1 if self.isClosed else 1000


def bindRequest(
    options: bytes = b"", address: bytes = bytes.fromhex("01 00000000"), port: int = 0
) -> bytes:
    """
    Write a BIND request; by default, for any port of any IPv4 address.

    @param address: Address type and address.
    """
    return request(options, 2, port.to_bytes(2, "big") + address)


def backlogOption(backlog: int) -> bytes:
    """
    Write a Listen Backlog option.
    """
    return bytes.fromhex("01 0007 84 04") + backlog.to_bytes(2, "big")


def succeeded(port: int, host: str = "192.0.2.1", options: bytes = b"") -> bytes:
    """
    Write the Operation Reply of a success, with an IPv4 address.
    """
    where = b"\0" + port.to_bytes(2, "big") + b"\1" + socket.inet_aton(host)
    return where + len(options).to_bytes(2, "big") + options


#: What the client hears when a host has connected.
HOST_CAME = succeeded(REMOTE_ADDRESS.port, REMOTE_ADDRESS.host)


class BindTestCase(ProxyTestCase):
    """
    A test of a proxy that opens ports in memory.

    @ivar ports: All that were opened.
    @ivar refusal: Why no port is opened, if it is not.
    @ivar listenRefusal: Why none is listened on.
    @ivar adoptionFailure: Why no connection is made a leg.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ports: list[PortSocket] = []
        self.refusal: Exception | None = None
        self.listenRefusal: OSError | None = None
        self.adoptionFailure: OSError | None = None
        self._visitors: list[Visitor] = []
        self.patch(bind, "openSocket", self._openSocket)
        self.patch(bind, "adopt", self._adopt)

    def assertOver(self, case: str = "") -> None:
        """
        Check, besides, that all ports and what has come to them is closed.
        """
        super().assertOver(case)
        self.assertTrue(all(port.isClosed for port in self.ports), f"{case}: open ports")
        self.assertTrue(all(each.isClosed for each in self._visitors), f"{case}: open visitors")

    def _openSocket(
        self, policy: BindPolicy, wish: Address, own: IPAddress | None, kind: int
    ) -> PortSocket:
        """
        Do as L{socks6.server.bindpolicy.openSocket}.
        """
        if self.refusal is not None:
            raise self.refusal
        host = policy.addressFor(wish, own, kind)
        port = policy.portsFor(wish)[0] or CHOSEN + len(self.ports)
        opened = PortSocket((str(host), port))
        opened.refusal = self.listenRefusal
        self.ports.append(opened)
        return opened

    def _adopt(self, reactor: object, handle: Visitor, protocol: IProtocol) -> None:
        """
        Do as L{socks6.adoption.adopt}.
        """
        if self.adoptionFailure is not None:
            raise self.adoptionFailure
        host = IPv4Address("TCP", "192.0.2.1", CHOSEN)
        connection = MemoryConnection(handle, protocol, self.network, host, REMOTE_ADDRESS)
        self.network.connections.append(connection)
        protocol.makeConnection(connection)

    def bindingFactory(self, *checkers: Any, **policy: Any) -> SOCKS6ServerFactory:
        """
        Make a proxy that opens ports.

        @param policy: That of L{BindPolicy}.
        """
        return self.makeFactory(*checkers, binder=Binder(self.network, BindPolicy(**policy)))

    def ask(
        self,
        sent: bytes | None = None,
        factory: SOCKS6ServerFactory | None = None,
        heard: bytes = WELCOME,
        **policy: Any,
    ) -> Peer:
        """
        Send a request.

        @param sent: By default, for any port.
        @param heard: What is answered before the first Operation Reply.
        @return: The client, which has read that.
        """
        client = self.network.accept(factory or self.bindingFactory(**policy))
        client.send(bindRequest() if sent is None else sent)
        octets = client.take()
        self.assertEqual(octets[: len(heard)].hex(), heard.hex())
        client.socket.received += octets[len(heard) :]
        return client

    def visit(self, number: int = 0, visitor: Visitor | None = None) -> Visitor:
        """
        Connect to a port that was opened.

        @param number: Which of them.
        """
        visitor = visitor or Visitor()
        self._visitors.append(visitor)
        self.ports[number].arrivals.append(visitor)
        self.poll(number)
        return visitor

    def poll(self, number: int = 0) -> None:
        """
        Tell the listener of a port what the kernel has for it, if it wants to know.
        """
        port: Any = self.ports[number]
        for each in list(self.network.readers):
            if isinstance(each, Listener) and each._handle is port:
                each.doRead()
        self.network.spin()

    def hostOf(self, visitor: Visitor) -> Peer:
        """
        Find the host that has connected.
        """
        (connection,) = [each for each in self.network.connections if each.everSocket is visitor]
        return Peer(self.network, connection)


class BacklogTestCase(BindTestCase, SessionTestCase):
    """
    A test of ports from which several connections are claimed.
    """

    def setUp(self) -> None:
        super().setUp()
        sessions = SessionService(self.network)
        self.binder = Binder(self.network, BindPolicy())
        self.factory = self.makeFactory(sessions=sessions, binder=self.binder)
        self.session = sessionID(self.open(self.factory))

    def openPort(self, backlog: int = 4) -> Peer:
        """
        Open a port with a backlog, in the session.

        @return: The initial connection, which has read its reply.
        """
        option = backlogOption(backlog)
        client = self.ask(bindRequest(self.session + option), self.factory, WITHIN)
        number = CHOSEN + len(self.ports) - 1
        self.assertEqual(client.take().hex(), succeeded(number, options=option).hex())
        return client

    def claim(self, options: bytes | None = None, heard: bytes = WITHIN) -> Peer:
        """
        Ask for a connection to the first port.

        @param options: By default, the session's ID.
        """
        options = self.session if options is None else options
        sent = bindRequest(options, bytes.fromhex("01 c0000201"), CHOSEN)
        return self.ask(sent, self.factory, heard)
