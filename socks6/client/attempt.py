"""
One request: from the wish to a tunnel.
"""

from __future__ import annotations

from collections import Counter

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectionAborted, NoProtocol
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.access import Access, Passage, Remedy
from socks6.client.destination import shownAddress
from socks6.client.line import Line
from socks6.client.negotiation import Negotiation, Terms
from socks6.client.tunnel import Tunnel
from socks6.values.messages import OperationReply
from socks6.values.options import TokenExpenditure

#: How often a request is made again because of its token.  Each fresh window is the
#: end of the tokens that are on their way, and a burst of requests may need several
#: until there is one that is large enough.
TOKEN_TRIES = 20


@implementer(IProtocolFactory)
class Attempt:
    """
    One request; the factory that the proxy's endpoint gets.

    It takes one connection to the proxy or, where a remedy makes another try worth
    while, one more each time.
    """

    def __init__(self, access: Access, terms: Terms) -> None:
        """
        @param access: The way to the proxy.
        """
        self._access = access
        self._terms = terms
        #: What is waited for as long as there is no connection.
        self._entering: Deferred[Passage] | None = None
        self._connecting: Deferred[IProtocol] | None = None
        self._passage = Passage()
        self._tried: Counter[Remedy] = Counter()
        #: Whether no more connections to the proxy are wanted.
        self._over = False

    def _enter(self) -> None:
        """
        Wait until the request may go out, and let it.
        """
        self._entering = self._access.enter()
        self._entering.addCallbacks(self._entered, self._notEntered)

    def _entered(self, passage: Passage) -> None:
        """
        Connect to the proxy.
        """
        self._entering = None
        self._passage = passage
        connecting = maybeDeferred(self._access.proxyEndpoint.connect, self)
        self._connecting = connecting
        connecting.addErrback(self._notConnected)

    def _notEntered(self, failure: Failure) -> None:
        """
        Learn that the request may never go out.
        """
        if not self._over:
            self.failed(failure)

    def _notConnected(self, failure: Failure) -> None:
        """
        Learn that the proxy's endpoint has failed.
        """
        raise NotImplementedError

    # The factory of the connection to the proxy.

    def doStart(self) -> None:
        """
        Learn that the factory is in use.
        """

    def doStop(self) -> None:
        """
        Learn that it no longer is.
        """

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """
        Build what talks with the proxy.

        @param addr: The proxy's address, which is none of the user's business.
        @raise CancelledError: Nobody wants that any more.
        """
        raise NotImplementedError

    # How it goes.

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
        self._enter()

    def failed(self, failure: Failure) -> None:
        """
        Take note that the request has failed.
        """
        raise NotImplementedError


class TunnelAttempt(Attempt):
    """
    One request for a tunnel, up to the proxy's last reply.
    """

    #: Whether the user's protocol is connected.
    _connected = False

    def __init__(self, access: Access, terms: Terms) -> None:
        """
        @param access: The way to the proxy.
        """
        super().__init__(access, terms)
        self._negotiation: Negotiation | None = None
        self._tunnel: Tunnel | None = None

    def mayHurry(self, isEncrypted: bool) -> bool:
        """
        Tell whether it does no harm if what is written as soon as the proxy is connected
        arrives there twice.

        @param isEncrypted: Whether TLS is spoken with it: then it does not.
        @see: draft 06, "TCP Fast Open on the Client-Proxy Leg".
        """
        terms = self._terms
        isSpending = self._passage.options.first(TokenExpenditure) is not None
        # Who is not optimistic writes when the proxy has replied.
        isHarmless = isEncrypted or isSpending or terms.replayable or not terms.optimistic
        return terms.mayHurry and isHarmless

    def buildProtocol(self, addr: IAddress | None) -> Line:
        """
        Build what negotiates, and what stands before the user's protocol.

        @param addr: The proxy's address, which is none of the user's business.
        @raise NoProtocol: The user's factory does not want the connection.
        @raise CancelledError: Neither do we, any more.
        """
        tunnel = self._tunnel
        if tunnel is None and not self._over:
            tunnel = self._tunnel = self._buildTunnel()
        # The user's factory may have cancelled.
        if tunnel is None or self._over:
            raise CancelledError
        negotiation = Negotiation(self._terms, self, self._passage, tunnel, self._connected)
        return Line(tunnel, negotiation)

    def _buildTunnel(self) -> Tunnel:
        """
        Make the transport of the user's protocol.

        @raise NoProtocol: The user's factory does not want the connection.
        """
        raise NotImplementedError

    # How it goes.

    def negotiating(self, negotiation: Negotiation) -> None:
        """
        Take note that the proxy is connected.
        """
        self._negotiation = negotiation

    def connected(self, protocol: IProtocol) -> None:
        """
        Take note that the user's protocol is connected.
        """
        self._connected = True

    def bound(self, reply: OperationReply) -> None:
        """
        Learn where the proxy listens; only BIND gets to hear that.

        @param reply: The first of two.
        """

    def opening(self, reply: OperationReply) -> bool:
        """
        Open the tunnel.

        @param reply: The last one.
        @return: Whether it is wanted.
        """
        raise NotImplementedError

    def succeeded(self) -> None:
        """
        Take note that the proxy has replied.
        """
        self._over = True
        self._negotiation = None

    def tryAgain(self, remedy: Remedy) -> None:
        """
        Make the request once more, on another connection.
        """
        self._negotiation = None
        super().tryAgain(remedy)

    def failed(self, failure: Failure) -> None:
        """
        Take note that there is no tunnel.
        """
        wasWaiting = self._negotiation is None
        self._over = True
        self._negotiation = None
        self._report(failure, wasWaiting)

    def _report(self, failure: Failure, wasWaiting: bool) -> None:
        """
        Tell that there is no tunnel.

        @param wasWaiting: Whether there was no connection to the proxy.
        """
        raise NotImplementedError

    def _notConnected(self, failure: Failure) -> None:
        """
        Learn that the proxy's endpoint has failed.
        """
        if self._negotiation is not None:
            # It did so although it had connected us.
            self._negotiation.abort(failure)
        elif not self._over:
            self._passage.abandoned()
            self.failed(failure)

    def _stop(self, failure: Failure) -> None:
        """
        Stop whatever is under way.
        """
        if self._negotiation is not None:
            self._negotiation.abort(failure)
        elif not self._over:
            entering, connecting = self._entering, self._connecting
            # Now, before others fail in their own words.
            self._passage.abandoned()
            self.failed(failure)
            if entering is not None:
                entering.cancel()
            elif connecting is not None:
                connecting.cancel()


class ConnectionAttempt(TunnelAttempt):
    """
    All that belongs to one call of C{connect}.
    """

    def __init__(self, access: Access, terms: Terms, factory: IProtocolFactory) -> None:
        """
        @param access: The way to the proxy.
        @param factory: The user's.
        """
        super().__init__(access, terms)
        self._factory = factory
        self._result: Deferred[IProtocol] = Deferred(self._cancel)
        #: Connections that use the user's factory, and whether it knows.
        self._uses = 0
        self._isStarted = False

    def start(self) -> Deferred[IProtocol]:
        """
        Connect to the proxy, as soon as the request may go out.

        @return: See L{SOCKS6ClientEndpoint.connect
            <socks6.client.endpoints.SOCKS6ClientEndpoint.connect>}.
        """
        self._enter()
        return self._result

    def doStart(self) -> None:
        """
        Pass on that the factory is in use.
        """
        self._uses += 1
        if not self._isStarted:
            self._isStarted = True
            self._factory.doStart()

    def doStop(self) -> None:
        """
        Pass on that it no longer is, unless another connection is to come.
        """
        self._uses -= 1
        self._stopFactory()

    def _stopFactory(self) -> None:
        """
        Tell the user's factory if it is no longer in use.
        """
        replacing = self._tried and not self._over
        if self._isStarted and not self._uses and not replacing:
            self._isStarted = False
            self._factory.doStop()

    def _buildTunnel(self) -> Tunnel:
        """
        Have the user's protocol built, with its transport.

        It is built so early because the proxy's endpoint wants to know at once whether
        connections can be half-closed.

        @raise NoProtocol: The user's factory does not want the connection.
        """
        destination = shownAddress(self._terms.address)
        user = self._factory.buildProtocol(destination)
        if user is None:
            raise NoProtocol
        return Tunnel(self._terms.clock, user, destination, self._aborted)

    def connected(self, protocol: IProtocol) -> None:
        """
        Tell that the user's protocol is connected.
        """
        super().connected(protocol)
        if not self._result.called:
            self._result.callback(protocol)

    def opening(self, reply: OperationReply) -> bool:
        """
        Open the tunnel.

        @return: C{True}.
        """
        assert self._tunnel is not None
        self._tunnel.open(shownAddress(reply.address))
        return True

    def _report(self, failure: Failure, wasWaiting: bool) -> None:
        """
        Tell that there is no tunnel: whoever waits for the user's protocol, or that
        itself if it is connected and has no connection to the proxy which could
        tell it.
        """
        self._stopFactory()
        if not self._result.called:
            self._result.errback(failure)
        elif wasWaiting and self._connected:
            assert self._tunnel is not None
            self._tunnel.loseUser(failure)

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        """
        Stop whatever is under way.
        """
        self._stop(Failure(CancelledError()))

    def _aborted(self) -> None:
        """
        The user's protocol has aborted while there is no connection to the proxy.

        It does not expect to be called back before that returns.
        """
        self._terms.clock.callLater(0, self._stop, Failure(ConnectionAborted()))
