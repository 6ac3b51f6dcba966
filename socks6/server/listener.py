"""
Ports that the proxy opens for its clients.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from secrets import randbelow
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.values.address import Address, DomainName, addressFromText
from socks6.values.codes import MAX_PORT, ReplyCode
from socks6.wire.errors import SOCKS6Error

IPAddress = IPv4Address | IPv6Address

#: Connections that are accepted in one turn of the reactor.
_ACCEPTED_AT_ONCE = 32

#: Seconds without accepting when we cannot: the port stays readable all the while, so
#: that the reactor would call us again at once, and do nothing else.
_PAUSE = 0.5

#: Ports of a range that are tried until one is free.
_PORTS_TRIED = 1024

#: What C{SO_LINGER} is set to for a reset.
_RESET = struct.pack("ii", 1, 0)

_REPLY_CODES: Mapping[int, ReplyCode] = {
    errno.EACCES: ReplyCode.NOT_ALLOWED,
    errno.EPERM: ReplyCode.NOT_ALLOWED,
    errno.EADDRNOTAVAIL: ReplyCode.HOST_UNREACHABLE,
    errno.EAFNOSUPPORT: ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
}


class BindRefused(SOCKS6Error):
    """
    A port cannot be opened, or may not be.

    @ivar replyCode: What the client gets to hear.
    """

    def __init__(self, replyCode: ReplyCode, reason: str) -> None:
        """
        @param reason: For the log.
        """
        super().__init__(reason)
        self.replyCode = replyCode


@dataclass(frozen=True, slots=True)
class BindPolicy:
    """
    Which ports clients may open, and for how long.

    @ivar addresses: Those that may be bound, and first the one that is if the client
        does not mind; an unspecified one stands for itself and for all others of its
        version of IP.  None: the one at which the client has connected to the proxy.
    @ivar ports: The lowest and the highest port that may be bound; what the system
        chooses may be any, unless C{ports} was set.
    @ivar timeout: Seconds that a host may take to connect.
    @ivar maxBacklog: Connections that may wait to be claimed, at least 2.
    @ivar advertised: What remote hosts call our addresses, one for each version of IP
        where it is not the address itself.
    """

    addresses: Sequence[IPAddress] = ()
    ports: tuple[int, int] | None = None
    timeout: float = 120.0
    maxBacklog: int = 128
    advertised: Mapping[int, IPAddress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """
        Check the numbers.

        @raise ValueError: One is out of range.
        """
        low, high = self.ports or (1, 1)
        if not 0 < low <= high <= MAX_PORT:
            raise ValueError(f"no range of ports: {low} to {high}")
        if not 0 < self.timeout < math.inf:
            raise ValueError(f"not a number of seconds above 0: {self.timeout}")
        if self.maxBacklog < 2:
            raise ValueError(f"a backlog is at least 2, not {self.maxBacklog}")

    def addressFor(self, wish: Address, own: IPAddress | None, kind: int) -> IPAddress:
        """
        Decide which address to bind.

        @param own: Where the client has connected to the proxy, if that is by IP.
        @param kind: C{SOCK_STREAM} or C{SOCK_DGRAM}.
        @raise BindRefused: None.
        """
        host = wish.host
        if isinstance(host, DomainName):
            raise BindRefused(ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED, "a name is no bind address")
        if kind == socket.SOCK_DGRAM and host.is_unspecified and not self.addresses:
            # Whoever binds one cannot reach every destination.
            return host
        allowed = list(self.addresses) or ([] if own is None else [own])
        if host.is_unspecified:
            # "Any address" is ours to choose.
            same = [each for each in allowed if each.version == host.version]
            if not same:
                code = ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
                raise BindRefused(code, f"no address of IP version {host.version}")
            return same[0]
        if any(
            each == host or (each.is_unspecified and each.version == host.version)
            for each in allowed
        ):
            return host
        raise BindRefused(ReplyCode.NOT_ALLOWED, f"{host} may not be bound")

    def portsFor(self, wish: Address) -> Sequence[int]:
        """
        Decide which ports to try.

        @raise BindRefused: None.
        """
        low, high = self.ports or (1024, MAX_PORT)
        if wish.port:
            if not low <= wish.port <= high:
                raise BindRefused(ReplyCode.NOT_ALLOWED, f"port {wish.port} may not be bound")
            return (wish.port,)
        if self.ports is None:
            return (0,)
        size = high + 1 - low
        start = randbelow(size)
        return [low + (start + step) % size for step in range(min(_PORTS_TRIED, size))]

    def reported(self, bound: Address, own: IPAddress | None) -> Address:
        """
        Tell how remote hosts reach what was bound.
        """
        host = bound.host
        assert not isinstance(host, DomainName)
        advertised = self.advertised.get(host.version)
        if advertised is not None:
            return Address(advertised, bound.port)
        if host.is_unspecified and own is not None and own.version == host.version:
            return Address(own, bound.port)
        return bound


def openSocket(
    policy: BindPolicy, wish: Address, own: IPAddress | None, kind: int
) -> socket.socket:
    """
    Bind a socket as a client wishes.

    @param kind: C{SOCK_STREAM} or C{SOCK_DGRAM}.
    @raise BindRefused: It cannot be, or may not be.
    """
    host = policy.addressFor(wish, own, kind)
    ports = policy.portsFor(wish)
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    try:
        handle = socket.socket(family, kind)
    except OSError as error:
        raise _refusal(error) from None
    try:
        handle.setblocking(False)
        if kind == socket.SOCK_STREAM:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bindToOne(handle, str(host), ports)
    except OSError as error:
        handle.close()
        raise _refusal(error) from None
    return handle


def _bindToOne(handle: socket.socket, host: str, ports: Sequence[int]) -> None:
    """
    Bind a socket to the first port that is free.

    @raise OSError: None is, or there is another reason.
    """
    for port in ports:
        try:
            handle.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _refusal(error: OSError) -> BindRefused:
    """
    Translate the kernel's reason.
    """
    code = error.errno or errno.EIO
    return BindRefused(_REPLY_CODES.get(code, ReplyCode.GENERAL_FAILURE), os.strerror(code))


class ListenerClosed(SOCKS6Error):
    """
    The port has been closed, so nobody can connect any more.
    """


@implementer(IReadDescriptor)
class Listener:
    """
    A port that waits for connections.

    @ivar address: Where it is, as remote hosts reach it.
    @ivar session: Whose session may claim connections.
    """

    def __init__(
        self,
        reactor: Any,
        handle: socket.socket,
        address: Address,
        backlog: int = 0,
        session: bytes | None = None,
    ) -> None:
        """
        Begin to listen.

        @param handle: A bound socket.
        @param backlog: Connections that may wait to be claimed; 0: one is accepted, and
            then no more.
        @raise BindRefused: Somebody else listens there.
        """
        self.address = address
        self.session = session
        self._reactor = reactor
        self._handle: socket.socket | None = handle
        self._backlog = backlog
        #: Connections that wait for somebody, and those who wait for one.
        self._accepted: deque[socket.socket] = deque()
        self._waiting: deque[Deferred[socket.socket]] = deque()
        #: When we begin to accept again, if we have paused.
        self._resumption: IDelayedCall | None = None
        try:
            handle.listen(max(backlog, 1))
        except OSError as error:
            handle.close()
            raise _refusal(error) from None
        reactor.addReader(self)

    def accept(self) -> Deferred[socket.socket]:
        """
        Take the next connection.

        @return: Fires with its socket.  Fails with L{ListenerClosed}.  Cancelling waits
            no more.
        """
        while self._accepted:
            handle = self._accepted.popleft()
            if not _isGone(handle):
                return succeed(handle)
            handle.close()
        if self._handle is None:
            return fail(ListenerClosed("the port is closed"))
        waiting: Deferred[socket.socket] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """
        Listen no more; whoever has connected and was not accepted is refused.
        """
        self._stopListening()
        while self._accepted:
            _reset(self._accepted.popleft())
        while self._waiting:
            self._waiting.popleft().errback(ListenerClosed("the port is closed"))

    def _stopListening(self) -> None:
        """
        Close the port.
        """
        if self._handle is None:
            return
        if self._resumption is None:
            self._reactor.removeReader(self)
        else:
            self._resumption.cancel()
            self._resumption = None
        self._handle.close()
        self._handle = None

    def _pause(self) -> None:
        """
        Accept nothing for a moment.
        """
        self._reactor.removeReader(self)
        self._resumption = self._reactor.callLater(_PAUSE, self._resume)

    def _resume(self) -> None:
        """
        Accept again.
        """
        self._resumption = None
        self._reactor.addReader(self)

    # What the reactor wants of a descriptor.

    def fileno(self) -> int:
        """
        Name the descriptor to the reactor.
        """
        return -1 if self._handle is None else self._handle.fileno()

    def logPrefix(self) -> str:
        """
        Name the listener in the log.
        """
        return type(self).__name__

    def doRead(self) -> None:
        """
        Accept connections.
        """
        for _ in range(_ACCEPTED_AT_ONCE):
            if self._handle is None:
                return
            try:
                handle, _ = self._handle.accept()
            except (BlockingIOError, ConnectionAbortedError):
                # There are no more, or one has gone again.
                return
            except OSError:
                # There are too few descriptors, or whatever else would be so again.
                self._pause()
                return
            if _isGone(handle):
                # It does not count as the one host that is waited for.
                handle.close()
                continue
            handle.setblocking(False)
            if not self._backlog:
                self._stopListening()
            if self._waiting:
                self._waiting.popleft().callback(handle)
            elif len(self._accepted) < max(self._backlog, 1):
                self._accepted.append(handle)
            else:
                _reset(handle)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor is going down.
        """
        self.close()


def _reset(handle: socket.socket) -> None:
    """
    Refuse a connection that the kernel has accepted.
    """
    with handle, suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _isGone(handle: socket.socket) -> bool:
    """
    Tell whether a connection has been reset.
    """
    try:
        handle.getpeername()
    except OSError:
        return True
    return False


def peerOf(handle: socket.socket) -> Address:
    """
    Tell who has connected.

    @raise OSError: It has gone already.
    """
    return addressFromText(*handle.getpeername()[:2])
