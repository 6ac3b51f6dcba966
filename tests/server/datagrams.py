"""
Datagrams in memory: sockets whose other ends are the test, and a proxy's associations.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socks6.server import associate, association
from socks6.server.association import Association
from socks6.server.associations import AssociationLimits, Associations
from socks6.server.bindpolicy import BindPolicy, BindRefused
from socks6.values.address import Address, DomainName, IPAddress
from socks6.values.codes import ReplyCode
from socks6.wire import DRAFT_06
from tests.doubles import Network

#: A remote host, in a header and as a socket has it.
REMOTE = bytes.fromhex("0035 01 cb007101")
REMOTE_PLACE = ("203.0.113.1", 53)
REMOTE_IPV6 = bytes.fromhex("0035 04 20010db8000000000000000000000035")
REMOTE_IPV6_PLACE = ("2001:db8::35", 53)

#: Nobody, for a datagram that only tells where its sender is.
NOBODY = bytes.fromhex("0000 01 00000000")

CLIENT = ("192.0.2.2", 40000)
STRANGER = ("192.0.2.3", 40000)


def named(name: bytes, port: int = 53) -> bytes:
    """
    Write a destination that is a name.
    """
    return port.to_bytes(2, "big") + b"\3" + bytes([len(name)]) + name


class MemoryDatagramSocket(socket.socket):
    """
    A UDP socket whose other ends are the test.

    The descriptor is real, so that options can be set and read, but is never bound.

    @ivar sent: What was sent, and where to.
    @ivar ways: What else was said about how to send each.
    @ivar failure: What becomes of sending; L{None}: it succeeds.
    """

    def __init__(
        self, family: int = socket.AF_INET, place: tuple[str, int] = ("192.0.2.1", 1080)
    ) -> None:
        """
        @param place: Where it is bound.
        """
        super().__init__(family, socket.SOCK_DGRAM)
        self.place = place
        self.sent: list[tuple[bytes, Any]] = []
        self.ways: list[Any] = []
        self.failure: OSError | None = None
        self._incoming: deque[Any] = deque()

    def getsockname(self) -> tuple[str, int]:
        """
        Tell where it is bound.
        """
        return self.place

    def put(self, datagram: bytes, source: Any, *ancillary: Any) -> None:
        """
        Let a datagram come in.
        """
        self._incoming.append((datagram, list(ancillary), 0, source))

    def fail(self, error: OSError) -> None:
        """
        Let reading fail once.
        """
        self._incoming.append(error)

    def recvmsg(self, size: int, *_: Any) -> Any:
        """
        Read what has come.
        """
        if self.fileno() == -1:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if not self._incoming:
            raise BlockingIOError(errno.EWOULDBLOCK, "")
        incoming = self._incoming.popleft()
        if isinstance(incoming, OSError):
            raise incoming
        return incoming

    def recvfrom(self, size: int, flags: int = 0) -> Any:
        """
        Read what has come.
        """
        datagram, _, _, source = self.recvmsg(size)
        return datagram, source

    def sendmsg(
        self, parts: Iterable[Any], ancillary: Any = (), flags: int = 0, to: Any = None
    ) -> int:
        """
        Send.
        """
        if self.failure is not None:
            raise self.failure
        if self.fileno() == -1:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        datagram = b"".join(parts)
        if len(datagram) > 65507:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        self.sent.append((datagram, to))
        self.ways.append(ancillary)
        return len(datagram)

    def sendto(self, datagram: Any, to: Any) -> int:  # type: ignore[override]
        """
        Send.
        """
        return self.sendmsg((datagram,), (), 0, to)

    def take(self) -> list[tuple[bytes, Any]]:
        """
        Take what was sent.
        """
        sent, self.sent = self.sent, []
        return sent


def deliver(network: Network, handle: MemoryDatagramSocket, datagram: bytes, source: Any) -> None:
    """
    Let a datagram come in, and be read.
    """
    handle.put(datagram, source)
    read(network, handle)


def read(network: Network, handle: MemoryDatagramSocket) -> None:
    """
    Let the reactor find a socket readable.
    """
    for reader in list(network.readers):
        if getattr(reader, "handle", None) is handle:
            reader.doRead()
    network.spin()


class MemoryPort:
    """
    A port for clients.

    @ivar sent: What was sent to them, and to whom.
    @ivar works: Whether anything can be sent.
    @ivar carried: How many associations they have.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[Any, bytes]] = []
        self.works = True
        self.carried = 0

    def begun(self) -> None:
        """
        Count one more.
        """
        self.carried += 1

    def ended(self) -> None:
        """
        Count one less.
        """
        self.carried -= 1

    def sendTo(self, address: Any, header: bytes, payload: bytes) -> bool:
        """
        Take note.
        """
        if self.works:
            self.sent.append((address, header + payload))
        return self.works

    def take(self) -> list[tuple[Any, bytes]]:
        """
        Take what was sent.
        """
        sent, self.sent = self.sent, []
        return sent


class MemoryAssociations(Associations):
    """
    A proxy's associations, with the names that the test knows.

    @ivar questions: The names that were looked up, and who waits.
    @ivar askers: Whom all questions so far counted against.
    @ivar cancelled: The names that nobody waits for any more.
    @ivar localHosts: The addresses of this machine.
    """

    def __init__(
        self,
        network: Network,
        limits: AssociationLimits | None = None,
        policy: BindPolicy | None = None,
    ) -> None:
        super().__init__(
            network, policy or BindPolicy(), DRAFT_06, self._ask, limits or AssociationLimits()
        )
        self.questions: list[tuple[bytes, Deferred[list[IPAddress]]]] = []
        self.askers: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.localHosts: set[IPv4Address | IPv6Address] = set()

    def _ask(self, name: DomainName, owner: bytes) -> Deferred[list[IPAddress]]:
        """
        Wait for the test to answer.
        """
        self.askers.append(owner)
        answer: Deferred[list[IPAddress]] = Deferred(lambda _: self.cancelled.append(name.octets))
        self.questions.append((name.octets, answer))
        return answer

    def answer(self, *hosts: str) -> None:
        """
        Answer the question that was asked first.
        """
        _, answer = self.questions.pop(0)
        answer.callback([ip_address(host) for host in hosts])

    def isLocal(self, host: IPAddress) -> bool:
        """
        Ask the test.
        """
        return host in self.localHosts


class Relays:
    """
    What opens sockets for remote hosts.

    @ivar opened: All of them.
    @ivar refused: The versions of IP that there are no sockets of.
    """

    def __init__(self) -> None:
        self.opened: list[MemoryDatagramSocket] = []
        self.refused: set[int] = set()

    def open(
        self, policy: BindPolicy, wish: Address, own: IPAddress | None, kind: int
    ) -> MemoryDatagramSocket:
        """
        Open one, as L{openSocket<socks6.server.bindpolicy.openSocket>} does.
        """
        assert kind == socket.SOCK_DGRAM
        host = policy.addressFor(wish, own, kind)
        if host.version in self.refused:
            raise BindRefused(ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED, "not in this test")
        family = socket.AF_INET if host.version == 4 else socket.AF_INET6
        handle = MemoryDatagramSocket(family, (str(host), 50000 + len(self.opened)))
        self.opened.append(handle)
        return handle

    def close(self) -> None:
        """
        Close what is still open.
        """
        for each in self.opened:
            each.close()


class AssociationsTestCase(SynchronousTestCase):
    """
    A test of associations, from both sides.
    """

    def setUp(self) -> None:
        self.network = Network()
        self.relays = Relays()
        self.addCleanup(self.relays.close)
        self.patch(association, "openSocket", self.relays.open)
        self.patch(associate, "openSocket", self.relays.open)
        self.associations = MemoryAssociations(self.network)
        self.port = MemoryPort()

    def open(
        self, owner: bytes = b"ada", **options: Any
    ) -> tuple[Association, MemoryDatagramSocket]:
        """
        Begin an association.

        @return: It, and its socket for remote hosts.
        """
        wish = Address(IPv4Address(0), 0)
        handle = self.relays.open(self.associations.policy, wish, None, socket.SOCK_DGRAM)
        return self.associations.open(handle, owner, **options), handle

    def header(self, opened: Association, remote: bytes = REMOTE) -> bytes:
        """
        Write a header.
        """
        return b"\6\0" + opened.identifier.to_bytes(4, "big") + remote

    def send(
        self,
        opened: Association,
        payload: bytes = b"question",
        remote: bytes = REMOTE,
        client: Any = CLIENT,
    ) -> bool:
        """
        Send a datagram as a client does.
        """
        datagram = self.header(opened, remote) + payload
        return self.associations.received(datagram, self.port, client)

    def assertDropped(self, **reasons: int) -> None:
        """
        Check what was dropped so far, with underscores for spaces.
        """
        expected = {reason.replace("_", " "): count for reason, count in reasons.items()}
        self.assertEqual(dict(self.associations.dropped), expected)
