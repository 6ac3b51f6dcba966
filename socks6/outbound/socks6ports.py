"""
Ports at a SOCKS 6 proxy: for one host that connects, and for datagrams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.access import Access
from socks6.client.association import AssociationAttempt
from socks6.client.binding import Binding, HostPort
from socks6.client.datagramport import DatagramPort
from socks6.client.destination import addressShown
from socks6.client.negotiation import Terms
from socks6.client.urls import DatagramRoute
from socks6.interfaces import IAssociation, Place
from socks6.text import errorWords
from socks6.values.address import UNSPECIFIED_IPV4, Address
from socks6.values.messages import OperationReply


class OneHostPort(HostPort):
    """
    A port at which one host is waited for.
    """

    def __init__(
        self,
        access: Access,
        terms: Terms,
        protocol: IProtocol,
        listening: Callable[[Address], object],
    ) -> None:
        """
        @see: L{IBindingOutbound.bind<socks6.interfaces.IBindingOutbound.bind>}
        """
        self._protocol = protocol
        self._listening = listening
        self._host = UNSPECIFIED_IPV4
        self._binding = Binding(access, terms, self)
        self._result: Deferred[Address] = Deferred(lambda result: self._binding.abort())

    def open(self) -> Deferred[Address]:
        """
        Wait for the host.

        @return: Fires with its address when the protocol has its transport.  Fails as
            a connection through the proxy does.  Cancelling closes the port.
        """
        self._binding.start()
        return self._result

    # What becomes of the request.

    def bound(self, binding: Binding, reply: OperationReply) -> None:
        """
        Tell that the proxy listens.
        """
        self._listening(reply.address)

    def hostCame(self, binding: Binding, host: IAddress) -> IProtocol:
        """
        Give the host its protocol.
        """
        came = addressShown(host)
        assert came is not None
        self._host = came
        return self._protocol

    def taken(self) -> None:
        """
        Tell that the protocol is connected.
        """
        self._result.callback(self._host)

    def failed(self, binding: Binding, failure: Failure) -> None:
        """
        Tell that there is no host.
        """
        self._result.errback(failure)


@implementer(IAssociation)
class Association(DatagramProtocol):
    """
    A port for datagrams.
    """

    noisy = False
    _port: DatagramPort

    def __init__(
        self, received: Callable[[bytes, Place], object], lost: Callable[[str], object]
    ) -> None:
        """
        @see: L{IAssociatingOutbound.associate
            <socks6.interfaces.IAssociatingOutbound.associate>}
        """
        self._received = received
        self._lost = lost

    async def open(
        self, reactor: Any, access: Access, terms: Terms, route: DatagramRoute
    ) -> Association:
        """
        Have the proxy open the port.

        @return: This.
        """
        where = (None, route.port)
        attempt = AssociationAttempt(reactor, access, terms, self, route.dtls, where)
        self._port = await attempt.start()
        self._port.lost.addCallback(self._ended)
        return self

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Pass on what a remote host sends.
        """
        self._received(datagram, addr)

    def _ended(self, reason: Exception | None) -> None:
        """
        Tell that the port is closed, unless we have done that.
        """
        if reason is not None:
            self._lost(f"association lost: {errorWords(reason)}")

    def write(self, payload: bytes, place: Place) -> None:
        """
        Send to a remote host.

        @see: L{IAssociation.write}
        """
        try:
            self._port.write(payload, place)
        except MessageLengthError as error:
            raise ValueError(str(error)) from None

    def close(self) -> None:
        """
        Close the port.

        @see: L{IAssociation.close}
        """
        self._port.stopListening()
