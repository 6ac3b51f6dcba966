"""
One attempt to connect a TCP socket.

Twisted's own client transports keep their socket to themselves until it is
connected; this one sets options before the SYN leaves, and asks the kernel why
an attempt failed.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from struct import Struct

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.fastopen import connectWith
from socks6.interfaces import OutboundFailed
from socks6.multipath import multipathSocket
from socks6.sockets import setTypeOfService
from socks6.values.codes import ReplyCode

#: The kernel's reasons, as far as a reply code tells them.
_REPLY_CODES = {
    errno.ECONNREFUSED: ReplyCode.CONNECTION_REFUSED,
    errno.ETIMEDOUT: ReplyCode.TIMED_OUT,
    errno.EHOSTUNREACH: ReplyCode.HOST_UNREACHABLE,
    errno.EHOSTDOWN: ReplyCode.HOST_UNREACHABLE,
    errno.ENETUNREACH: ReplyCode.NETWORK_UNREACHABLE,
    errno.ENETDOWN: ReplyCode.NETWORK_UNREACHABLE,
    errno.EAFNOSUPPORT: ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
}

# Linux's queue of ICMP errors: names that the socket module lacks.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = Struct("=IBBBxII")  # errno, origin, ICMP type, ICMP code, info, data
_ICMP_TIME_EXCEEDED = {(2, 11), (3, 3)}  # (origin, type) of ICMP and of ICMPv6


def _errorQueue(family: socket.AddressFamily) -> tuple[int, int]:
    """
    Give the level and name of the socket option that keeps ICMP errors.
    """
    if family == socket.AF_INET6:
        return socket.IPPROTO_IPV6, _IPV6_RECVERR
    return socket.IPPROTO_IP, _IP_RECVERR


def _keepErrors(handle: socket.socket, family: socket.AddressFamily, keep: bool) -> None:
    """
    Let a socket keep ICMP errors, or no longer.
    """
    if sys.platform == "linux":
        # Multipath TCP has no queue for them.
        with suppress(OSError):
            handle.setsockopt(*_errorQueue(family), keep)


def _newSocket(family: socket.AddressFamily, multipath: bool) -> socket.socket:
    """
    Make a socket, of Multipath TCP if that is wanted and the system has it.

    @raise OSError: It has none at all.
    """
    if multipath:
        with suppress(OSError):
            return multipathSocket(family)
    return socket.socket(family, socket.SOCK_STREAM)


def _isConnected(handle: socket.socket) -> bool:
    """
    Tell whether a peer has answered.
    """
    try:
        handle.getpeername()
    except OSError:
        return False
    return True


def _diedOfAge(handle: socket.socket) -> bool:
    """
    Tell whether a packet's time to live ran out on its way.

    The kernel reports that as "no route to host"; only the ICMP message itself
    tells the difference.
    """
    try:
        _, ancillary, _, _ = handle.recvmsg(512, 512, _MSG_ERRQUEUE)
    except OSError:
        return False
    for level, name, data in ancillary:
        if (level, name) == _errorQueue(handle.family) and len(data) >= _EXTENDED_ERROR.size:
            _, origin, icmpType, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
            return (origin, icmpType) in _ICMP_TIME_EXCEEDED
    return False


def failureOf(error: OSError, family: socket.AddressFamily) -> OutboundFailed:
    """
    Translate the kernel's reason.

    @param family: The family of the address that was tried.
    """
    code = error.errno or errno.EIO
    replyCode = _REPLY_CODES.get(code, ReplyCode.GENERAL_FAILURE)
    if code == errno.EADDRNOTAVAIL and family == socket.AF_INET6:
        # That is what a host without any IPv6 address says.
        replyCode = ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
    return OutboundFailed(replyCode, os.strerror(code))


@implementer(IReadWriteDescriptor)
class ConnectAttempt:
    """
    One attempt to connect a socket to one address.

    @ivar taken: How many octets of the data the kernel has taken with the SYN.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        finished: Callable[[ConnectAttempt, OutboundFailed | None], None],
        multipath: bool = False,
    ) -> None:
        """
        Prepare an attempt.

        @param finished: Is called once, by the reactor, unless L{start} has succeeded at
            once, or the attempt was cancelled: with L{None} if the socket is connected,
            which it then must L{take}.
        @param multipath: Whether to speak Multipath TCP, if both hosts can.
        """
        self.taken = 0
        self._multipath = multipath
        self._reactor = reactor
        self._finished = finished
        self._socket: socket.socket | None = None
        self._family = socket.AF_INET

    def start(
        self,
        host: IPv4Address | IPv6Address,
        port: int,
        typeOfService: int | None,
        octets: bytes | None = None,
    ) -> bool:
        """
        Send the SYN.

        @param typeOfService: The IP type of service, or L{None} for the system's.
        @param octets: What may leave in the SYN, as much as fits; L{None}: no Fast Open.
        @return: Whether that was all: hosts on this machine have answered already.  Then
            nobody is told, and the socket is there.
        @raise OutboundFailed: The system refuses at once.
        """
        # Asking the socket for it costs more than most of the rest.
        family = self._family = socket.AF_INET if host.version == 4 else socket.AF_INET6
        try:
            handle = _newSocket(family, self._multipath)
        except OSError as error:
            raise failureOf(error, family) from None
        try:
            handle.setblocking(False)
            _keepErrors(handle, family, True)
            if typeOfService is not None:
                setTypeOfService(handle, typeOfService)
            if octets is None:
                handle.connect((str(host), port))
            else:
                self.taken = connectWith(handle, (str(host), port), octets)
        except BlockingIOError:
            pass
        except OSError as error:
            handle.close()
            raise failureOf(error, family) from None
        self._socket = handle
        if _isConnected(handle):
            return True
        self._reactor.addWriter(self)
        return False

    def take(self) -> socket.socket:
        """
        Hand over the connected socket.
        """
        handle = self._socket
        assert handle is not None
        self._socket = None
        # Once connected, an ICMP error is no reason to give up.
        _keepErrors(handle, self._family, False)
        return handle

    def cancel(self) -> None:
        """
        Give up, without a word.
        """
        if self._socket is not None:
            self._reactor.removeWriter(self)
            self._socket.close()
            self._socket = None

    def _settle(self, code: int) -> None:
        """
        Tell how it ended.
        """
        handle = self._socket
        assert handle is not None
        self._reactor.removeWriter(self)
        if not code:
            self._finished(self, None)
            return
        failure = failureOf(OSError(code, ""), handle.family)
        if code == errno.EHOSTUNREACH and sys.platform == "linux" and _diedOfAge(handle):
            failure = OutboundFailed(ReplyCode.TTL_EXPIRED, "time to live exceeded")
        self.cancel()
        self._finished(self, failure)

    # What the reactor wants of a descriptor.

    def fileno(self) -> int:
        """
        Name the descriptor to the reactor.
        """
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """
        Name the attempt in the log.
        """
        return type(self).__name__

    def doRead(self) -> None:
        """
        Nothing is ever read: the attempt only waits for its end.
        """

    def doWrite(self) -> None:
        """
        The attempt has ended: ask the kernel how.
        """
        if self._socket is not None:
            self._settle(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def connectionLost(self, reason: Failure) -> None:
        """
        The attempt has failed, or the reactor is going down.
        """
        if self._socket is not None:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._settle(code or errno.ECONNABORTED)
