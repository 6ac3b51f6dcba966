"""
One call of a datagram endpoint: from C{listen} to the end of the association.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import getConnectError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import AbstractDatagramProtocol
from twisted.python.failure import Failure

from socks6.client.access import Access, Remedy
from socks6.client.associationline import AssociationLine
from socks6.client.attempt import Attempt
from socks6.client.datagramport import DatagramPort
from socks6.client.datagramways import DTLSWay, Way, openPlainWay
from socks6.client.destination import addressShown
from socks6.client.dtls import ClientDTLSOptions
from socks6.client.negotiation import Terms
from socks6.values.address import Address, DomainName
from socks6.wire.errors import UsageError


class AssociationAttempt(Attempt):
    """
    All that belongs to one call of C{listen}.
    """

    def __init__(
        self,
        reactor: Any,
        access: Access,
        terms: Terms,
        protocol: AbstractDatagramProtocol,
        dtls: ClientDTLSOptions | None,
        datagrams: tuple[str | None, int] | None,
    ) -> None:
        """
        @param access: The way to the proxy.
        @param protocol: The user's.
        @param dtls: How to speak DTLS, if it is to be spoken.
        @param datagrams: Where the proxy takes datagrams; see L{SOCKS6DatagramEndpoint
            <socks6.client.datagrams.SOCKS6DatagramEndpoint>}.
        """
        super().__init__(access, terms)
        self._reactor = reactor
        self._protocol = protocol
        self._dtls = dtls
        self._datagrams = datagrams
        self._result: Deferred[DatagramPort] = Deferred(self._cancel)
        self._line: AssociationLine | None = None
        #: Where the proxy takes datagrams.
        self._place: tuple[str, int] | None = None
        self._port: DatagramPort | None = None

    def start(self) -> Deferred[DatagramPort]:
        """
        Connect to the proxy, as soon as the request may go out.

        @return: See L{SOCKS6DatagramEndpoint.listen
            <socks6.client.datagrams.SOCKS6DatagramEndpoint.listen>}.
        """
        self._enter()
        return self._result

    def buildProtocol(self, addr: IAddress | None) -> AssociationLine:
        """
        Make what negotiates with the proxy.

        @raise CancelledError: Nobody wants that any more.
        """
        if self._over or self._line is not None:
            raise CancelledError
        return AssociationLine(self._terms, self._passage, self)

    # What becomes of the connection.

    def connected(self, line: AssociationLine) -> None:
        """
        Learn that the proxy is connected, and find out where it takes datagrams.

        @raise UsageError: Nobody says.
        """
        self._line = line
        host, number = self._datagrams or (None, 0)
        if host is None:
            peer = addressShown(line.transport.getPeer())
            if peer is None or isinstance(peer.host, DomainName):
                raise UsageError("the address of the proxy's UDP port is not known")
            host, number = _withZone(line.transport.getPeer()), number or peer.port
        self._place = host, number

    def initialized(self, identifier: int, bound: Address) -> None:
        """
        Learn that the association has a name, and go to where the proxy takes
        datagrams.

        @param identifier: The name.
        @param bound: The address that the proxy has bound.
        """
        assert self._place is not None and self._line is not None
        try:
            way: Way = openPlainWay(self._reactor, *self._place)
        except OSError as error:
            self._line.fail(Failure(getConnectError(error)))
            return
        if self._dtls is not None:
            way = DTLSWay(self._reactor, self._dtls, way)
        self._port = DatagramPort(
            self._terms, self._protocol, way, (identifier, bound), self._line.leave
        )
        way.start(self._port.received, self._port.fail).addCallbacks(
            lambda _: self._stands(), self._line.fail
        )

    def _stands(self) -> None:
        """
        Let the user's protocol have its transport.
        """
        assert self._port is not None and self._line is not None
        self._line.stands()
        try:
            self._port.start()
        except Exception:  # noqa: BLE001  the user's protocol may fail in any way
            self._line.fail(Failure())
            return
        # The user's protocol may have cancelled.
        if not self._over:
            self._over = True
            self._result.callback(self._port)

    def confirmed(self) -> None:
        """
        Learn that the proxy has had a datagram of ours.
        """
        assert self._port is not None
        self._port.confirm()

    def tryAgain(self, remedy: Remedy) -> None:
        """
        Make the request once more, on another connection.
        """
        self._line = None
        super().tryAgain(remedy)

    def failed(self, failure: Failure) -> None:
        """
        Tell that there is no association, or not any more.
        """
        if self._port is not None:
            self._port.end(cast("Exception", failure.value))
        if not self._over:
            self._over = True
            self._result.errback(failure)

    def hungUp(self, line: AssociationLine, failure: Failure) -> None:
        """
        Learn that a connection to the proxy is closed.
        """
        if line is self._line:
            if self._port is not None:
                self._port.hungUp(cast("Exception", failure.value))
            self.failed(failure)

    def _notConnected(self, failure: Failure) -> None:
        """
        Learn that the proxy's endpoint has failed.
        """
        if self._line is not None:
            # It did so although it had connected us.
            self._line.abort()
        else:
            self._passage.abandoned()
        self.failed(failure)

    def _cancel(self, result: Deferred[DatagramPort]) -> None:
        """
        Stop whatever is under way.
        """
        # Now, before others fail in their own words.
        self._over = True
        if self._line is not None:
            self._line.abort()
        self.failed(Failure(CancelledError()))
        for waited in (self._entering, self._connecting):
            if waited is not None:
                waited.cancel()


def _withZone(peer: Any) -> str:
    """
    Write the IP address of a peer as a socket of ours needs it.
    """
    zone = getattr(peer, "scopeID", 0)
    host: str = peer.host
    return f"{host}%{zone}" if zone and "%" not in host else host
