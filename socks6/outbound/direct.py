"""
The straight way: the proxy resolves names and connects to remote hosts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHostnameResolver,
    IProtocol,
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorTime,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socks6.adoption import adopt
from socks6.interfaces import IOutbound, OutboundFailed, OutboundRequest
from socks6.outbound.attempt import ConnectAttempt, failureOf
from socks6.outbound.names import lookUp
from socks6.timeouts import Timeouts
from socks6.values.address import (
    Address,
    DomainName,
    IPAddress,
    addressFromText,
    isUnspecified,
)
from socks6.values.codes import ReplyCode

#: Seconds after which the next address is tried beside the ones before it.
ATTEMPT_DELAY = 0.25  # "Connection Attempt Delay", RFC 8305, section 8

#: Where several addresses fail for several reasons, the client hears the one
#: that comes from farthest away.
_MOST_TELLING = (
    ReplyCode.CONNECTION_REFUSED,
    ReplyCode.TIMED_OUT,
    ReplyCode.TTL_EXPIRED,
    ReplyCode.HOST_UNREACHABLE,
    ReplyCode.NETWORK_UNREACHABLE,
    ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
    ReplyCode.GENERAL_FAILURE,
    # Only when nothing was tried.
    ReplyCode.NOT_ALLOWED,
)


def interleave(hosts: Iterable[IPAddress]) -> list[IPAddress]:
    """
    Order addresses so that the families take turns, the first one's first.

    @param hosts: The addresses in the resolver's order (RFC 6724).
    @see: RFC 8305, section 4.
    """
    hosts = list(dict.fromkeys(hosts))
    first = [host for host in hosts if host.version == hosts[0].version]
    other = [host for host in hosts if host.version != hosts[0].version]
    turns = chain.from_iterable(zip_longest(first, other))
    return [host for host in turns if host is not None]


@implementer(IOutbound)
class DirectOutbound:
    """
    Connects to remote hosts from this machine, trying all addresses of a name
    (RFC 8305).
    """

    isDirect = True

    def __init__(
        self,
        reactor: IReactorTime,
        timeout: float = 30.0,
        resolver: IHostnameResolver | None = None,
        multipath: bool = False,
    ) -> None:
        """
        @param reactor: Must also provide L{IReactorFDSet} and
            L{IReactorSocket<twisted.internet.interfaces.IReactorSocket>}, and, if no
            resolver is given, L{IReactorPluggableNameResolver}.
        @param timeout: Seconds for all of it, resolving included.
        @param resolver: Who resolves names; by default the reactor.  Only a
            L{ThreadedResolver<socks6.outbound.resolver.ThreadedResolver>} learns whom a
            request counts against.
        @param multipath: Whether to speak Multipath TCP with hosts that do.
        """
        self._multipath = multipath
        self._reactor = reactor
        self._clock: IReactorTime = Timeouts(reactor)
        self._timeout = timeout
        self._resolver = resolver

    def connect(self, request: OutboundRequest, protocol: IProtocol) -> Deferred[Address | None]:
        """
        Connect to a remote host.

        @see: L{IOutbound.connect}
        """
        host = request.address.host
        race = _Race(self._reactor, self._clock, protocol, request, self._timeout, self._multipath)
        if isinstance(host, DomainName):
            resolver = self._resolver
            if resolver is None:
                resolver = IReactorPluggableNameResolver(self._reactor).nameResolver
            race.wait(lookUp(resolver, host, request.owner))
        else:
            race.run([host])
        return race.done


class _Race:
    """
    The attempts to reach the addresses of one destination, one beside the
    other; the first to succeed ends it.

    @ivar done: What L{IOutbound.connect} returns.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        clock: IReactorTime,
        protocol: IProtocol,
        request: OutboundRequest,
        timeout: float,
        multipath: bool,
    ) -> None:
        """
        Prepare.

        @param timeout: Seconds for all attempts together.
        @param multipath: Whether to speak Multipath TCP with hosts that do.
        """
        self.done: Deferred[Address | None] = Deferred(lambda done: self._stop())
        #: The look-up of the name.
        self._lookUp: Deferred[list[IPAddress]] | None = None
        self._reactor = reactor
        self._clock = clock
        self._protocol = protocol
        self._port = request.address.port
        self._objection = request.objection
        self._typeOfService = request.typeOfService
        self._first = request.first
        #: What may leave in the next SYN.
        self._octets = None if request.first is None else request.first.octets
        self._multipath = multipath
        self._hosts: Sequence[IPAddress] = ()
        self._next = 0
        self._attempts: set[ConnectAttempt] = set()
        self._failures: list[OutboundFailed] = []
        self._ended = False
        self._timeout = timeout
        #: Set as soon as there is something to wait for.
        self._deadline: IDelayedCall | None = None
        self._delay: IDelayedCall | None = None

    def wait(self, hosts: Deferred[list[IPAddress]]) -> None:
        """
        Try addresses as soon as they are known.
        """
        self._limit()
        self._lookUp = hosts
        hosts.addCallbacks(lambda found: self.run(interleave(found)), self._notFound)

    def _limit(self) -> None:
        """
        Let the clock run, if it does not yet.
        """
        if self._deadline is None:
            timeout = self._timeout
            failure = OutboundFailed(ReplyCode.TIMED_OUT, f"nothing within {timeout:g} s")
            self._deadline = self._clock.callLater(timeout, self.fail, failure)

    def _notFound(self, failure: Failure) -> None:
        """
        Give up, unless we have, and nobody waits for the addresses any more.
        """
        if not self._ended:
            failure.trap(OutboundFailed)
            assert isinstance(failure.value, OutboundFailed)
            self.fail(failure.value)

    def run(self, hosts: Sequence[IPAddress]) -> None:
        """
        Try addresses, in that order, as far as nothing speaks against them.
        """
        if self._ended:
            return
        specified = [host for host in hosts if not isUnspecified(host)]
        objections = {host: self._objection(host) for host in specified}
        # These very addresses are connected to: nobody looks a name up a second time.
        self._hosts = [host for host in specified if objections[host] is None]
        if self._hosts:
            self._tryNext()
        elif specified:
            reasons = dict.fromkeys(filter(None, objections.values()))
            self.fail(OutboundFailed(ReplyCode.NOT_ALLOWED, "; ".join(reasons)))
        elif hosts:
            # The kernel would take it for this machine.
            self.fail(
                OutboundFailed(ReplyCode.GENERAL_FAILURE, "the unspecified address is no host")
            )
        else:
            self.fail(OutboundFailed(ReplyCode.HOST_UNREACHABLE, "the name does not resolve"))

    def _tryNext(self) -> None:
        """
        Start the next attempt, and another one where it fails at once.
        """
        self._cancelDelay()
        while self._next < len(self._hosts):
            host = self._hosts[self._next]
            self._next += 1
            attempt = ConnectAttempt(
                IReactorFDSet(self._reactor), self._attemptFinished, self._multipath
            )
            try:
                isConnected = attempt.start(host, self._port, self._typeOfService, self._octets)
            except OutboundFailed as failure:
                self._failures.append(failure)
                continue
            if isConnected:
                self._attemptFinished(attempt, None)
                return
            # No other address gets them in a SYN: several may lead to the same host, and
            # it is enough that the network may deliver a packet twice.
            self._octets = None
            self._attempts.add(attempt)
            self._limit()
            if self._next < len(self._hosts):
                self._delay = self._clock.callLater(ATTEMPT_DELAY, self._tryNext)
            return
        if not self._attempts:
            self.fail(self._failures.pop())

    def _attemptFinished(self, attempt: ConnectAttempt, failure: OutboundFailed | None) -> None:
        """
        See what to do after an attempt.
        """
        self._attempts.discard(attempt)
        try:
            if failure is not None:
                raise failure
            bound = self._adopt(attempt)
            if self._first is not None:
                self._first.taken = attempt.taken
        except OutboundFailed as reason:
            self._failures.append(reason)
            self._tryNext()
        else:
            self._stop()
            self.done.callback(bound)

    def _adopt(self, attempt: ConnectAttempt) -> Address:
        """
        Give the protocol its transport.

        @return: Our own address.
        @raise OutboundFailed: It has none.
        """
        handle = attempt.take()
        try:
            host, port = handle.getsockname()[:2]
            adopt(IReactorFDSet(self._reactor), handle, self._protocol)
        except OSError as error:
            handle.close()
            raise failureOf(error, handle.family) from None
        return addressFromText(host, port)

    def fail(self, failure: OutboundFailed) -> None:
        """
        Give up.

        @param failure: The last of perhaps several reasons.
        """
        self._stop()
        self.done.errback(
            min(
                [*self._failures, failure],
                key=lambda failure: _MOST_TELLING.index(failure.replyCode),
            )
        )

    def _cancelDelay(self) -> None:
        """
        Forget when the next attempt was due.
        """
        if self._delay is not None and self._delay.active():
            self._delay.cancel()
        self._delay = None

    def _stop(self) -> None:
        """
        Leave nothing behind.
        """
        self._ended = True
        self._cancelDelay()
        if self._lookUp is not None:
            self._lookUp.cancel()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        for attempt in self._attempts:
            attempt.cancel()
        self._attempts.clear()
