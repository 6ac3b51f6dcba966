"""
One try to connect through the proxy.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.destination import shownAddress
from socks6.client.negotiation import Negotiation, Terms
from socks6.client.tunnel import Tunnel


@implementer(IProtocolFactory)
class ConnectionAttempt:
    """
    All that belongs to one call of C{connect}; the factory that the proxy's
    endpoint gets.
    """

    def __init__(self, terms: Terms, factory: IProtocolFactory) -> None:
        """
        @param factory: The user's.
        """
        self._terms = terms
        self._factory = factory
        self._result: Deferred[IProtocol] = Deferred(self._cancel)
        self._connecting: Deferred[IProtocol]
        self._negotiation: Negotiation | None = None

    def start(self, proxyEndpoint: IStreamClientEndpoint) -> Deferred[IProtocol]:
        """
        Connect to the proxy.

        @return: See L{SOCKS6ClientEndpoint.connect
            <socks6.client.endpoints.SOCKS6ClientEndpoint.connect>}.
        """
        self._connecting = maybeDeferred(proxyEndpoint.connect, self)
        self._connecting.addErrback(self._notConnected)
        return self._result

    # The factory of the connection to the proxy.

    def doStart(self) -> None:
        """
        Pass on that the factory is in use.
        """
        self._factory.doStart()

    def doStop(self) -> None:
        """
        Pass on that it no longer is.
        """
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Tunnel:
        """
        Have the user's protocol built, and what stands before it.

        It is built so early because the endpoint wants to know at once whether
        connections can be half-closed.

        @param addr: The proxy's address, which is none of the user's business.
        @raise NoProtocol: The user's factory does not want the connection.
        @raise CancelledError: Neither do we, any more.
        """
        if self._result.called:
            raise CancelledError
        destination = shownAddress(self._terms.request.address)
        user = self._factory.buildProtocol(destination)
        if user is None:
            raise NoProtocol
        negotiation = Negotiation(self._terms, self, user)
        return Tunnel(self._terms.clock, user, destination, negotiation)

    # How it goes.

    def negotiating(self, negotiation: Negotiation) -> None:
        """
        Take note that the proxy is connected.
        """
        self._negotiation = negotiation

    def succeeded(self, protocol: IProtocol) -> None:
        """
        Tell that the user's protocol is connected.
        """
        self._negotiation = None
        if not self._result.called:
            self._result.callback(protocol)

    def failed(self, failure: Failure) -> None:
        """
        Tell that it will not be, if nothing has been told before.
        """
        self._negotiation = None
        if not self._result.called:
            self._result.errback(failure)

    def _notConnected(self, failure: Failure) -> None:
        """
        Learn that the proxy's endpoint has failed.
        """
        if self._negotiation is None:
            self.failed(failure)
        else:
            # It did so although it had connected us.
            self._negotiation.abort(failure)

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        """
        Stop whatever is under way.
        """
        failure = Failure(CancelledError())
        if self._negotiation is not None:
            self._negotiation.abort(failure)
        else:
            # Now, before the proxy's endpoint fails in its own words.
            self.failed(failure)
            self._connecting.cancel()
