"""
Names looked up by the system, in threads of their own.

The reactor's resolver shares ten threads with everything else that blocks, and
goes on with look-ups that nobody waits for any more: a few clients that ask for
names whose servers do not answer would keep all others waiting.  Here each has a share
of the threads, and look-ups that hang count as long as they do: nothing can end them.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from threading import Thread
from typing import Any
from weakref import finalize

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorThreads,
    IResolutionReceiver,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from socks6.fairqueue import FairQueue
from socks6.interfaces import OutboundFailed
from socks6.values.address import IPAddress, ipAddress
from socks6.values.codes import ReplyCode

#: Names that are looked up at a time; half of them for one owner, at most.
THREADS = 64

#: Names that wait for it; one more, and the last of whoever waits for most is refused.
MAX_WAITING = 1024

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@implementer(IHostnameResolver)
class ThreadedResolver:
    """
    Asks C{getaddrinfo}, once for all who ask for the same name at the same time.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorThreads, threads: int = THREADS, maxWaiting: int = MAX_WAITING
    ) -> None:
        """
        @param reactor: Takes the results out of the threads.
        @param threads: Names that are looked up at a time.
        @param maxWaiting: Names that wait for it.
        """
        self._reactor = reactor
        self._queue: FairQueue[str] = FairQueue(threads, maxWaiting, sparing=True)
        self._lookups: dict[str, _Lookup] = {}
        self._pool = ThreadPool(0, threads, "socks6-names")
        # Nothing is lost with a look-up, so none may delay the end of the process.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        # They end with us: nobody stops a resolver.
        finalize(self, self._pool.adjustPoolsize, 0, 0).atexit = False

    def lookUp(self, name: str, owner: bytes | None = None) -> Deferred[list[IPAddress]]:
        """
        Look up a name.

        Somebody who already has as many threads as are free waits until he has fewer, or
        there are more; so there is one for others.  Of those who wait, who has the fewest
        threads comes first.

        @param owner: Whom it counts against until the system has answered, cancelled or
            not; who is L{None} is one owner as well.
        @return: Fires with the addresses, in the system's order, maybe none.  Fails with
            L{OutboundFailed} if too many names wait, and most of them for this owner, or
            if there is no thread.  Cancelling waits no more.
        """
        lookup = self._lookups.get(name)
        if lookup is None:
            lookup = self._lookups[name] = _Lookup(name, self._lookups, self._queue)
        found: Deferred[list[IPAddress]] = Deferred(lookup.leave)
        lookup.waiting[found] = owner
        if not lookup.begun:
            self._queue.put(owner, name)
            self._startSome()
            self._shed(owner)
        return found

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        Look up a name for nobody in particular; what is refused has no addresses.

        @return: Can be cancelled: then the receiver hears nothing more.
        @see: L{IHostnameResolver.resolveHostName}
        """
        resolution = _Resolution(hostName, resolutionReceiver)
        resolutionReceiver.resolutionBegan(resolution)
        resolution.wait(self.lookUp(hostName))
        return resolution

    def _startSome(self) -> None:
        """
        Begin what can begin.
        """
        while (turn := self._queue.take()) is not None:
            owner, name = turn
            lookup = self._lookups[name]
            lookup.begun = True
            for other in set(lookup.waiting.values()):
                self._queue.withdraw(other, name)
            try:
                if not self._pool.started:
                    self._pool.start()
                self._pool.callInThread(self._run, owner, lookup)
            except RuntimeError as error:
                # The system has no more of them.  Whoever waits may not know yet for what.
                failure = OutboundFailed(ReplyCode.GENERAL_FAILURE, str(error))
                self._reactor.callFromThread(self._finish, owner, lookup, failure)

    def _shed(self, newcomer: bytes | None) -> None:
        """
        Refuse a name for which somebody waits if it is one too many.
        """
        shed = self._queue.shed(newcomer)
        if shed is not None:
            owner, name = shed
            lookup = self._lookups[name]
            refused = [found for found, each in lookup.waiting.items() if each == owner]
            for found in refused:
                del lookup.waiting[found]
            lookup.forget()
            for found in refused:
                found.errback(
                    OutboundFailed(ReplyCode.GENERAL_FAILURE, "too many names to look up")
                )

    def _run(self, owner: object, lookup: _Lookup) -> None:
        """
        Ask the system, in a thread.
        """
        found: list[Any] | Failure
        try:
            found = socket.getaddrinfo(lookup.name, None, type=socket.SOCK_STREAM)
        except socket.gaierror:
            # There is no such name, or nobody knows.
            found = []
        except (OSError, UnicodeError):
            found = Failure()
        self._reactor.callFromThread(self._finish, owner, lookup, found)

    def _finish(
        self, owner: object, lookup: _Lookup, found: list[Any] | Failure | OutboundFailed
    ) -> None:
        """
        Tell all who wait, and go on.
        """
        self._queue.free(owner)
        del self._lookups[lookup.name]
        self._startSome()
        waiting, lookup.waiting = lookup.waiting, {}
        if isinstance(found, OutboundFailed):
            for each in waiting:
                each.errback(found)
            return
        if isinstance(found, Failure):
            self._log.warn("A name could not be looked up: {error}", error=found.getErrorMessage())
            found = []
        hosts = [ipAddress(where[0]) for family, *_, where in found if family in _FAMILIES]
        for each in waiting:
            each.callback(list(hosts))


class _Lookup:
    """
    One question to the system.

    @ivar waiting: Who waits for the answer, and whom that counts against.
    @ivar begun: Whether it has been asked.
    """

    def __init__(self, name: str, lookups: dict[str, _Lookup], queue: FairQueue[str]) -> None:
        """
        @param name: What to ask for.
        @param lookups: The questions that others can join.
        @param queue: Where it waits for each of those whom it counts against.
        """
        self.name = name
        self.waiting: dict[Deferred[list[IPAddress]], bytes | None] = {}
        self.begun = False
        self._lookups = lookups
        self._queue = queue

    def leave(self, found: Deferred[list[IPAddress]]) -> None:
        """
        One waits no more.  What has begun goes on, for those who still ask.
        """
        owner = self.waiting.pop(found)
        if not self.begun:
            if owner not in self.waiting.values():
                self._queue.withdraw(owner, self.name)
            self.forget()

    def forget(self) -> None:
        """
        If nobody waits for a name that is not being looked up, keep nothing of it.
        """
        if not self.waiting:
            del self._lookups[self.name]


@implementer(IHostResolution)
class _Resolution:
    """
    One receiver's share in a look-up.
    """

    def __init__(self, name: str, receiver: IResolutionReceiver) -> None:
        """
        @param receiver: Who waits.
        """
        self.name = name
        self._receiver = receiver
        self._found: Deferred[None]

    def wait(self, found: Deferred[list[IPAddress]]) -> None:
        """
        Tell the receiver what is found.
        """
        self._found = found.addCallbacks(self._tell, self._nothing)

    def _tell(self, hosts: list[IPAddress]) -> None:
        """
        Tell the receiver.
        """
        for host in hosts:
            make = IPv4Address if host.version == 4 else IPv6Address
            self._receiver.addressResolved(make("TCP", str(host), 0))
        self._receiver.resolutionComplete()

    def _nothing(self, failure: Failure) -> None:
        """
        Take a refusal for no addresses: a receiver can be told of nothing else.
        """
        if failure.trap(OutboundFailed, CancelledError) is OutboundFailed:
            self._tell([])

    def cancel(self) -> None:
        """
        Wait no more.
        """
        self._found.cancel()
