"""
Which ports clients may open, and sockets that are bound to them.
"""

from __future__ import annotations

import errno
import math
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from secrets import randbelow

from socks6.multipath import multipathSocket
from socks6.values.address import Address, DomainName, IPAddress
from socks6.values.codes import MAX_PORT, ReplyCode
from socks6.wire.errors import SOCKS6Error

#: Ports of a range that are tried until one is free.
_PORTS_TRIED = 1024

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
    @ivar maxBacklog: Connections that may wait to be claimed, at least 2; 0: none.
    @ivar advertised: What remote hosts call our addresses, one for each version of IP
        where it is not the address itself.
    @ivar multipath: Whether Multipath TCP is spoken with hosts that do.
    """

    addresses: Sequence[IPAddress] = ()
    ports: tuple[int, int] | None = None
    timeout: float = 120.0
    maxBacklog: int = 128
    advertised: Mapping[int, IPAddress] = field(default_factory=dict)
    multipath: bool = False

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
        if self.maxBacklog and self.maxBacklog < 2:
            raise ValueError(f"a backlog is at least 2, or 0 for none, not {self.maxBacklog}")

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
        if kind == socket.SOCK_STREAM and policy.multipath:
            handle = multipathSocket(family)
        else:
            handle = socket.socket(family, kind)
    except OSError as error:
        raise refusalFor(error) from None
    try:
        handle.setblocking(False)
        if kind == socket.SOCK_STREAM:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bindToOne(handle, str(host), ports)
    except OSError as error:
        handle.close()
        raise refusalFor(error) from None
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


def isThisMachine(host: IPAddress) -> bool:
    """
    Tell whether an address is one of this machine.
    """
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    # What can be bound here is here.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as test:
            test.bind((str(host), 0))
    except OSError as error:
        # If we cannot tell, rather that than a loop.
        return error.errno != errno.EADDRNOTAVAIL
    return True


def refusalFor(error: OSError) -> BindRefused:
    """
    Translate the kernel's reason.
    """
    code = error.errno or errno.EIO
    return BindRefused(_REPLY_CODES.get(code, ReplyCode.GENERAL_FAILURE), os.strerror(code))
