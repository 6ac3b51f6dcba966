"""
A port at a proxy.

With a backlog, the first connection to the proxy keeps the port open and carries
nothing else; other BIND requests, some of which are always on their way, take the hosts
that come.  Without one each BIND request opens the port anew, for one host.

@see: draft 06, "Handling BIND"; "Listen Backlog options".
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.client.access import Access
from socks6.client.backoff import BackOff
from socks6.client.binding import Binding
from socks6.client.destination import shownAddress
from socks6.client.errors import RequestRefused, SessionClosed, proxyFault
from socks6.client.negotiation import Terms
from socks6.client.receivers import CLOSE_TIMEOUT
from socks6.client.session import SOCKS6Session
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from socks6.values.messages import OperationReply
from socks6.values.options import ListenBacklog
from socks6.wire.errors import PeerError

#: BIND requests that wait for hosts at once, if the backlog is not smaller.  Each host
#: takes one, and the next takes two round trips to be in its place.
MAX_CLAIMS = 16

#: A proxy that has waited so many seconds for a host may say that none came: that is
#: no failure.
PATIENCE = 1.0


@implementer(IListeningPort)
class ProxyPort:
    """
    What L{SOCKS6ServerEndpoint.listen
    <socks6.client.listening.SOCKS6ServerEndpoint.listen>} gives.

    The port is lost with the connection that keeps it open, and when the proxy no
    longer lets us take hosts; the log has it, and the factory is told by C{doStop}.
    """

    _log = Logger()

    def __init__(
        self,
        access: Access,
        terms: Terms,
        factory: IProtocolFactory,
        ownSession: SOCKS6Session | None = None,
    ) -> None:
        """
        @param access: The way to the proxy.
        @param terms: Those of the first request.
        @param factory: The user's.
        @param ownSession: One that ends with the port.
        """
        self._access = access
        self._terms = terms
        self._factory = factory
        self._ownSession = ownSession
        self._result: Deferred[IListeningPort] = Deferred(self._cancel)
        self._isListening = False
        self._address: Address | None = None
        #: What keeps the port open, if there is a backlog, and how large that is.
        self._keeper: Binding | None = None
        self._backlog = 0
        #: Those that wait for hosts; before we listen, the first one.
        self._waiting: set[Binding] = set()
        self._backOff = BackOff(terms.clock, self._fill)

    def __repr__(self) -> str:
        """
        Tell where it is.
        """
        state = "" if self._isListening else " (closed)"
        return f"<{type(self).__name__} {self._address}{state}>"

    def listen(self) -> Deferred[IListeningPort]:
        """
        Begin to listen.

        @return: See L{SOCKS6ServerEndpoint.listen
            <socks6.client.listening.SOCKS6ServerEndpoint.listen>}.
        """
        self._begin(self._terms)
        return self._result

    def _cancel(self, result: Deferred[IListeningPort]) -> None:
        """
        Do not begin to listen.
        """
        for binding in list(self._waiting):
            binding.abort()

    # A port.

    def startListening(self) -> None:
        """
        Do nothing: it does listen.

        @raise CannotListenError: It has been closed, and the next one takes another
            call of the endpoint's C{listen}.
        """
        assert self._address is not None
        if not self._isListening:
            where = self._address
            raise CannotListenError(where.host, where.port, "it has been closed")

    def getHost(self) -> IAddress:
        """
        Tell where the port is, as remote hosts reach it.
        """
        assert self._address is not None
        return shownAddress(self._address)

    def stopListening(self) -> Deferred[None]:
        """
        Close the port.  Connections that have been accepted live on.

        @return: Fires when that is done; never fails.
        """
        if not self._isListening:
            return succeed(None)
        return self._close()

    def _close(self) -> Deferred[None]:
        """
        Close the port.

        @return: See L{stopListening}.
        """
        self._isListening = False
        self._backOff.reset()
        bindings = list(self._waiting)
        if self._keeper is not None:
            bindings.append(self._keeper)
        self._keeper = None
        self._waiting.clear()
        self._log.info("Closing {address} at the proxy.", address=self._address)
        closed = DeferredList([binding.close() for binding in bindings])
        self._factory.doStop()
        return closed.addCallback(lambda _: self._endSession())

    def _endSession(self) -> Deferred[None]:
        """
        End our own session, if that does not take too long.

        @return: Fires when it has been tried; never fails.
        """
        if self._ownSession is None:
            return succeed(None)
        return self._ownSession.close().addTimeout(
            CLOSE_TIMEOUT, self._terms.clock, lambda result, seconds: None
        )

    # What becomes of the requests.

    def bound(self, binding: Binding, reply: OperationReply) -> None:
        """
        Learn that the proxy listens.

        @param reply: Tells where.
        """
        if self._keeper is not None:
            # It is about to wait at that one's port.
            return
        granted = next(reply.options.stack(ListenBacklog), None)
        if granted is not None and self._terms.options:
            self._waiting.discard(binding)
            self._keeper, self._backlog = binding, granted.backlog
        if self._address is None:
            self._factory.doStart()
            self._address = reply.address
            self._isListening = True
            self._log.info("Listening at {address} at the proxy.", address=reply.address)
            self._result.callback(self)
        elif self._address != reply.address:
            self._log.warn(
                "The port {old} at the proxy is {new} now.", old=self._address, new=reply.address
            )
            self._address = reply.address
        self._fill()

    def hostCame(self, binding: Binding, host: IAddress) -> IProtocol | None:
        """
        Accept a host.

        @return: The user's protocol; L{None}: the host is not wanted.
        """
        if binding is self._keeper:
            # "The first connection carries no data."
            self._keeper = None
            self._lose(Failure(proxyFault(PeerError("a host has come where none may"))))
            return None
        self._waiting.discard(binding)
        self._backOff.reset()
        try:
            return self._factory.buildProtocol(host)
        except Exception:  # noqa: BLE001  factories fail in many ways
            self._log.failure("The factory of a port at the proxy has failed.")
            return None

    def taken(self) -> None:
        """
        Learn that a request has got its host.
        """
        self._fill()

    def failed(self, binding: Binding, failure: Failure) -> None:
        """
        Learn that a request has brought no host.
        """
        if binding is self._keeper:
            self._lose(failure)
        elif self._address is None:
            self._waiting.discard(binding)
            self._endSession()
            self._result.errback(failure)
        elif binding not in self._waiting:
            # It had one, and the user's protocol has raised; the reactor says so.
            self._fill()
        else:
            self._waiting.discard(binding)
            self._notAccepted(binding, failure)

    def _notAccepted(self, binding: Binding, failure: Failure) -> None:
        """
        Find out what it means that a request has brought no host.
        """
        error = failure.value
        code = error.code if isinstance(error, RequestRefused) else None
        isKept = self._keeper is not None
        if isinstance(error, SessionClosed) or (isKept and code == ReplyCode.NOT_ALLOWED):
            # Our session is not that of the port any more, and will not be again.
            self._lose(failure)
        elif code == ReplyCode.TIMED_OUT and self._hasWaited(binding):
            self._backOff.reset()
            self._fill()
        elif self._isListening and not self._backOff.isWaiting:
            self._log.warn(
                "Cannot accept at {address} at the proxy, next try in {delay:g} s: {error}",
                address=self._address,
                delay=self._backOff.failed(),
                error=failure.getErrorMessage(),
            )

    def _hasWaited(self, binding: Binding) -> bool:
        """
        Tell whether the proxy has really waited for a host.
        """
        since = binding.boundAt
        return since is not None and self._terms.clock.seconds() - since >= PATIENCE

    def _lose(self, failure: Failure) -> None:
        """
        Report that there is no port any more.
        """
        self._log.error(
            "The port {address} at the proxy is lost: {error}",
            address=self._address,
            error=failure.getErrorMessage(),
        )
        self._close()

    # Requests to come.

    def _fill(self) -> None:
        """
        Make as many requests as are to wait.
        """
        assert self._address is not None
        while self._isListening and not self._backOff.isWaiting:
            if self._keeper is not None:
                wanted = min(self._backlog, MAX_CLAIMS)
                # "With the bind address and port of that first reply."
                terms = replace(self._terms, address=self._address, options=())
            else:
                wanted = 1
                # What the address is called outside need not be what can be bound.
                where = Address(self._terms.address.host, self._address.port)
                terms = replace(self._terms, address=where)
            if len(self._waiting) >= wanted:
                return
            self._begin(terms)

    def _begin(self, terms: Terms) -> None:
        """
        Make a request.
        """
        binding = Binding(self._access, terms, self)
        self._waiting.add(binding)
        binding.start()
