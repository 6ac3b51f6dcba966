"""
One BIND request: from the wish for a port to a host.
"""

from __future__ import annotations

from typing import Protocol as Structure

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.access import Access
from socks6.client.attempt import TunnelAttempt
from socks6.client.destination import shownAddress
from socks6.client.negotiation import Terms
from socks6.client.receivers import Receiver
from socks6.client.tunnel import Tunnel
from socks6.values.address import Address
from socks6.values.messages import OperationReply


class HostPort(Structure):
    """
    What waits for hosts.
    """

    def bound(self, binding: Binding, reply: OperationReply) -> None:
        """
        Learn that the proxy listens.
        """

    def hostCame(self, binding: Binding, host: IAddress) -> IProtocol | None:
        """
        Build the user's protocol for a host.

        @return: L{None}: it is not wanted.
        """

    def taken(self) -> None:
        """
        Learn that the protocol is connected, or was not wanted.
        """

    def failed(self, binding: Binding, failure: Failure) -> None:
        """
        Learn that there is no host.
        """


@implementer(IHalfCloseableProtocol)
class Awaited(Receiver):
    """
    Stands for the user's protocol, which is built when a host has come.

    It knows of half-closed connections, as that one may, and the proxy's endpoint wants
    to know at once.
    """


class Binding(TunnelAttempt):
    """
    Has a host that connects to the proxy become a connection of the user's.

    @ivar address: Where the proxy listens, as soon as it does.
    @ivar boundAt: Since when.
    """

    def __init__(self, access: Access, terms: Terms, port: HostPort) -> None:
        """
        @param access: The way to the proxy.
        @param port: Is told how it goes.
        """
        super().__init__(access, terms)
        self.address: Address | None = None
        self.boundAt: float | None = None
        self._port = port

    def start(self) -> None:
        """
        Connect to the proxy, as soon as the request may go out.
        """
        self._enter()

    def _buildTunnel(self) -> Tunnel:
        """
        Make the transport of a protocol that is yet to be built.
        """
        terms = self._terms
        return Tunnel(
            terms.clock, Awaited(), shownAddress(terms.address), self.abort, isClient=False
        )

    def bound(self, reply: OperationReply) -> None:
        """
        Tell that the proxy listens.
        """
        assert self._negotiation is not None
        transport = self._negotiation.transport.transport
        if ITCPTransport.providedBy(transport):
            # It may be silent for ever, and so may a proxy that is gone.
            transport.setTcpKeepAlive(True)
        self.address = reply.address
        self.boundAt = self._terms.clock.seconds()
        self._port.bound(self, reply)

    def opening(self, reply: OperationReply) -> bool:
        """
        Have the user's protocol built, and open the tunnel.

        @return: Whether there is one.
        """
        assert self.address is not None and self._tunnel is not None
        host = shownAddress(reply.address)
        user = self._port.hostCame(self, host)
        if user is None:
            return False
        self._tunnel.lead(user, host)
        self._tunnel.open(shownAddress(self.address))
        return True

    def succeeded(self) -> None:
        """
        Tell that this is done with.
        """
        super().succeeded()
        self._port.taken()

    def _report(self, failure: Failure, wasWaiting: bool) -> None:
        """
        Tell that there is no host.
        """
        self._port.failed(self, failure)

    def abort(self) -> None:
        """
        Give up at once.
        """
        self._stop(Failure(CancelledError()))

    def close(self) -> Deferred[None]:
        """
        Give up at once, as a proxy that is told politely may take that for the end of
        our direction only.

        @return: Fires when there is no connection to the proxy; never fails.
        """
        negotiation = self._negotiation
        self.abort()
        return succeed(None) if negotiation is None else negotiation.transport.lost
