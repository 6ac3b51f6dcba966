"""
The way to a proxy, with the request in the first packet where that can do no harm (TCP
Fast Open).

@see: RFC 7413; draft 06, "TCP Fast Open on the Client-Proxy Leg".
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionClosed,
    NoProtocol,
    TimeoutError,
    getConnectError,
)
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.tcp import Server
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.fastopen import deferConnecting

#: Seconds for which a name is taken to have the address at which it was reached.
ADDRESS_PERIOD = 60.0


class HastyTransport(Server):
    """
    A connection that counts as made before it stands.

    What is written first leaves in the SYN if the kernel knows the peer's cookie, and as
    soon as the connection stands if not.  If it never does, the reason for which the
    connection is lost is that for which it could not be made.
    """

    def __init__(
        self,
        handle: socket.socket,
        protocol: IProtocol,
        address: IPv4Address | IPv6Address,
        reactor: Any,
        sent: bool,
        timeout: float,
        over: Callable[[bool], object],
    ) -> None:
        """
        @param handle: It has been told to connect.
        @param sent: Whether the SYN has left; if not, it leaves with the first data.
        @param timeout: Seconds that it may take to connect.
        @param over: Is called when the connection is gone, with whether it was one:
            C{False} if it could not be made.
        """
        place: tuple[object, ...] = (address.host, address.port)
        if isinstance(address, IPv6Address):
            place += (0, 0)
        # Who accepts connections has a port; nobody asks for it.
        port: Any = None
        super().__init__(handle, protocol, place, port, 0, reactor)
        self.repstr = f"<{type(self).__name__} to {address.host}:{address.port}>"
        self._stands = False
        self._sent = sent
        self._over = over
        self._isEnding = self._isClosing = False
        self._deadline = reactor.callLater(timeout, self._tooLate)
        if sent:
            # Whoever can be written to, stands.
            self.startWriting()  # type: ignore[no-untyped-call]

    def _error(self) -> ConnectError | None:
        """
        Ask the kernel why the connection cannot be made.

        @return: L{None}: it can, as far as is known.
        """
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code:
            return None
        error: ConnectError = getConnectError((code, os.strerror(code)))
        return error

    def doRead(self) -> Any:
        """
        Read, or learn why the connection cannot be made.
        """
        return (None if self._stands else self._error()) or super().doRead()

    def doWrite(self) -> Any:
        """
        Write; the first time it can be done after the SYN, the connection stands.
        """
        if not self._stands and self._sent:
            error = self._error()
            if error is not None:
                return error
            self._stand()
        result = super().doWrite()  # type: ignore[no-untyped-call]
        if not self._stands:
            self._sent = True
            self.startWriting()  # type: ignore[no-untyped-call]
        return result

    def writeSomeData(self, data: bytes) -> Any:
        """
        Write as much as the kernel takes.

        If the cookie has been forgotten meanwhile, that is nothing as yet.
        """
        if self._stands:
            return super().writeSomeData(data)
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            return getConnectError((error.errno, os.strerror(error.errno or 0)))

    def _stand(self) -> None:
        """
        Do what had to wait until the connection stands.
        """
        self._stands = True
        self._deadline.cancel()
        if self._isEnding:
            super().loseWriteConnection()  # type: ignore[no-untyped-call]
        if self._isClosing:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def loseWriteConnection(self) -> None:
        """
        End our direction.

        The kernel would forget a connection that does not stand, and what it was to send.
        """
        self._isEnding = True
        if self._stands:
            super().loseWriteConnection()  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """
        Close the connection when all has left.

        @see: L{loseWriteConnection}
        """
        self._isClosing = True
        if self._stands:
            super().loseConnection()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone, or there never was one.
        """
        # Twisted may say so twice.
        if not hasattr(self, "socket"):
            return
        isOurs = bool(reason.check(ConnectionAborted))
        if not self._stands:
            if self._deadline.active():
                self._deadline.cancel()
            if reason.check(ConnectionClosed) and not isOurs:
                reason = Failure(self._error() or ConnectError(string="it was not made"))
        try:
            super().connectionLost(reason)
        finally:
            self._over(self._stands or isOurs)

    def _tooLate(self) -> None:
        """
        Give up on a peer that does not answer.
        """
        self.connectionLost(Failure(TimeoutError()))


@implementer(IStreamClientEndpoint)
class FastOpenClientEndpoint:
    """
    A host to which the first octets are sent in the first packet, if it accepts that, and
    if it can do no harm that they arrive twice.

    Factories that have a method C{mayHurry} are asked for that, with whether TLS is
    spoken; their protocols are connected at once then, and a connection that cannot be
    made is one that is lost, for the same reason.  Protocols of all others are connected
    as by L{HostnameEndpoint}.
    """

    _log = Logger()

    def __init__(self, reactor: Any, host: str, port: int, timeout: float = 30.0) -> None:
        """
        @param reactor: Where it is not one that watches sockets, all connections are
            ordinary ones.
        @param host: A name or an IP address.
        @param timeout: Seconds that it may take to connect.
        """
        self._reactor = reactor
        self._port = port
        self._timeout = timeout
        self._ordinary = HostnameEndpoint(reactor, host, port, timeout=timeout)
        # Others, such as those of tests, do not watch sockets that we have made.
        self._canWatch = isinstance(reactor, PosixReactorBase)
        #: Where the host is, if we know, and until when that holds.
        self._address = _address(host, port)
        self._end: float | None = None
        self._isName = self._address is None

    def __repr__(self) -> str:
        """
        Tell where it leads.
        """
        return repr(self._ordinary)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect.

        @return: Fires with the protocol when it is connected.  Fails as
            L{HostnameEndpoint} does.
        """
        address = self._address
        if self._end is not None and self._reactor.seconds() > self._end:
            address = None
        if address is not None and self._canWatch and _mayHurry(protocolFactory):
            begun = self._begin(address)
            if begun is not None:
                return self._hurry(address, protocolFactory, *begun)
        connecting: Deferred[IProtocol] = self._ordinary.connect(protocolFactory)
        return connecting.addCallback(self._connected)

    def _connected(self, protocol: Any) -> IProtocol:
        """
        Take note where the host is.
        """
        peer = protocol.transport.getPeer()
        if isinstance(peer, IPv4Address | IPv6Address):
            self._address = peer
            if self._isName:
                self._end = self._reactor.seconds() + ADDRESS_PERIOD
        connected: IProtocol = protocol
        return connected

    def _begin(self, address: IPv4Address | IPv6Address) -> tuple[socket.socket, bool] | None:
        """
        Make a socket and let it connect.

        @return: That, and whether the SYN has left; L{None}: the kernel does not let us, or
            the ordinary way will find out what is wrong.
        """
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        try:
            handle = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            return None
        handle.setblocking(False)
        if deferConnecting(handle):
            try:
                handle.connect((address.host, address.port))
            except BlockingIOError:
                return handle, True
            except OSError:
                handle.close()
                return None
            return handle, False
        handle.close()
        return None

    def _hurry(
        self,
        address: IPv4Address | IPv6Address,
        factory: IProtocolFactory,
        handle: socket.socket,
        sent: bool,
    ) -> Deferred[IProtocol]:
        """
        Connect a protocol at once.
        """
        factory.doStart()
        try:
            protocol = factory.buildProtocol(address)
            if protocol is None:
                raise NoProtocol
        except Exception:  # noqa: BLE001  the caller's factory may raise anything
            failure = Failure()
            handle.close()
            factory.doStop()
            return fail(failure)

        def over(stood: bool) -> None:
            if not stood:
                self._address = None
            factory.doStop()

        transport = HastyTransport(
            handle, protocol, address, self._reactor, sent, self._timeout, over
        )
        try:
            protocol.makeConnection(transport)
        except Exception:  # noqa: BLE001  the same
            failure = Failure()
            self._log.failure("A protocol could not be connected", failure)
            transport.connectionLost(failure)
            return fail(failure)
        return succeed(protocol)


def _address(host: str, port: int) -> IPv4Address | IPv6Address | None:
    """
    Make the address of a host.

    @return: L{None}: it is a name.
    """
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return (IPv4Address if found.version == 4 else IPv6Address)("TCP", host, port)


def _mayHurry(factory: Any) -> bool:
    """
    Ask a factory whether it can do no harm if what its protocol writes first arrives twice.
    """
    isEncrypted = False
    while isinstance(factory, WrappingFactory):
        # What arrives twice of TLS is the hello.
        isEncrypted = isEncrypted or isinstance(factory, TLSMemoryBIOFactory)
        factory = factory.wrappedFactory
    mayHurry = getattr(factory, "mayHurry", None)
    return mayHurry is not None and bool(mayHurry(isEncrypted))
