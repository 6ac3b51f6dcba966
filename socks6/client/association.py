"""
One call of a datagram endpoint: from C{listen} to the end of the association.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import getConnectError
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import AbstractDatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.access import Access, Passage, Remedy
from socks6.client.associationline import AssociationLine
from socks6.client.attempt import TOKEN_TRIES
from socks6.client.datagramport import DatagramPort
from socks6.client.datagramways import DTLSWay, Way, openPlainWay
from socks6.client.destination import addressShown
from socks6.client.dtls import ClientDTLSOptions
from socks6.client.negotiation import Terms
from socks6.values.address import Address, DomainName
from socks6.wire.errors import UsageError


@implementer(IProtocolFactory)
class AssociationAttempt:
    """
    All that belongs to one call of C{listen}; the factory that the proxy's endpoint
    gets.

    It takes one connection to the proxy or, where a remedy makes another try worth
    while, one more each time.
    """

    noisy = False

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
        self._reactor = reactor
        self._access = access
        self._terms = terms
        self._protocol = protocol
        self._dtls = dtls
        self._datagrams = datagrams
        self._result: Deferred[DatagramPort] = Deferred(self._cancel)
        #: What is waited for as long as there is no connection.
        self._entering: Deferred[Passage] | None = None
        self._connecting: Deferred[IProtocol] | None = None
        self._passage = Passage()
        self._line: AssociationLine | None = None
        #: Where the proxy takes datagrams.
        self._place: tuple[str, int] | None = None
        self._port: DatagramPort | None = None
        self._tried: Counter[Remedy] = Counter()
        #: Whether it is known what has become of it.
        self._over = False

    def start(self) -> Deferred[DatagramPort]:
        """
        Connect to the proxy, as soon as the request may go out.

        @return: See L{SOCKS6DatagramEndpoint.listen
            <socks6.client.datagrams.SOCKS6DatagramEndpoint.listen>}.
        """
        self._enter()
        return self._result

    def _enter(self) -> None:
        """
        Wait until the request may go out, and let it.
        """
        self._entering = self._access.enter()
        self._entering.addCallbacks(self._entered, self.failed)

    def _entered(self, passage: Passage) -> None:
        """
        Connect to the proxy.
        """
        self._entering = None
        self._passage = passage
        connecting = maybeDeferred(self._access.proxyEndpoint.connect, self)
        self._connecting = connecting
        connecting.addErrback(self._notConnected)

    # The factory of the connection to the proxy.

    def doStart(self) -> None:
        """
        The factory is in use.
        """

    def doStop(self) -> None:
        """
        It no longer is.
        """

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

    def mayTry(self, remedy: Remedy) -> bool:
        """
        Tell whether another try is worth while: each remedy is tried once, but that
        for tokens.
        """
        limit = TOKEN_TRIES if remedy is Remedy.NEW_TOKEN else 1
        return not self._over and self._tried[remedy] < limit

    def tryAgain(self, remedy: Remedy) -> None:
        """
        Make the request once more, on another connection.
        """
        self._tried[remedy] += 1
        self._line = None
        self._enter()

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
