"""
Names looked up by the system, in threads of their own.

The reactor's resolver shares ten threads with everything else that blocks, and
goes on with look-ups that nobody waits for any more: a few clients that ask for
names whose servers do not answer would keep all others waiting.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from threading import Thread
from typing import Any
from weakref import finalize

from twisted.internet.address import IPv4Address, IPv6Address
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

from socks6.interfaces import OutboundFailed
from socks6.values.codes import ReplyCode

#: Names that are looked up at a time.
THREADS = 32

#: Names that are looked up or wait for it; one more is refused.
MAX_LOOKUPS = 1024

_ADDRESSES = {socket.AF_INET: IPv4Address, socket.AF_INET6: IPv6Address}


@implementer(IHostnameResolver)
class ThreadedResolver:
    """
    Asks C{getaddrinfo}, once for all who ask for the same name at the same time.
    """

    _log = Logger()

    def __init__(
        self, reactor: IReactorThreads, threads: int = THREADS, maxLookups: int = MAX_LOOKUPS
    ) -> None:
        """
        @param reactor: Takes the results out of the threads.
        @param threads: Names that are looked up at a time.
        @param maxLookups: Names that are looked up or wait for it.
        """
        self._reactor = reactor
        self._maxLookups = maxLookups
        self._lookups: dict[str, _Lookup] = {}
        #: Look-ups that are queued or under way, those that nobody waits for
        #: included.
        self._pending = 0
        self._pool = ThreadPool(0, threads, "socks6-names")
        # Nothing is lost with a look-up, so none may delay the end of the process.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        # They end with us: nobody stops a resolver.
        finalize(self, self._pool.adjustPoolsize, 0, 0).atexit = False

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        Look up a name.

        @return: Can be cancelled: then the receiver hears nothing more.
        @raise OutboundFailed: Too many names are being looked up.
        @see: L{IHostnameResolver.resolveHostName}
        """
        lookup = self._lookups.get(hostName)
        if lookup is None:
            if self._pending >= self._maxLookups:
                raise OutboundFailed(ReplyCode.GENERAL_FAILURE, "too many names to look up")
            lookup = self._lookups[hostName] = _Lookup(hostName, self._lookups)
            self._pending += 1
            if not self._pool.started:
                self._pool.start()
            self._pool.callInThread(self._run, lookup)
        resolution = _Resolution(hostName, lookup, resolutionReceiver)
        lookup.waiting.append(resolution)
        resolutionReceiver.resolutionBegan(resolution)
        return resolution

    def _run(self, lookup: _Lookup) -> None:
        """
        Ask the system, in a thread, if anybody still waits.
        """
        found: list[Any] | Failure = []
        if lookup.waiting:
            try:
                found = socket.getaddrinfo(lookup.name, None, type=socket.SOCK_STREAM)
            except socket.gaierror:
                # There is no such name, or nobody knows.
                found = []
            except (OSError, UnicodeError):
                found = Failure()
        self._reactor.callFromThread(self._finish, lookup, found)

    def _finish(self, lookup: _Lookup, found: list[Any] | Failure) -> None:
        """
        Tell all who wait.
        """
        self._pending -= 1
        if self._lookups.get(lookup.name) is lookup:
            del self._lookups[lookup.name]
        if isinstance(found, Failure):
            self._log.warn("A name could not be looked up: {error}", error=found.getErrorMessage())
            found = []
        for resolution in lookup.waiting:
            for family, _, _, _, where in found:
                if family in _ADDRESSES:
                    resolution.receiver.addressResolved(_ADDRESSES[family]("TCP", *where))
            resolution.receiver.resolutionComplete()


class _Lookup:
    """
    One question to the system.

    @ivar waiting: For whom it is asked.
    """

    def __init__(self, name: str, lookups: dict[str, _Lookup]) -> None:
        """
        @param lookups: The questions that others can join.
        """
        self.name = name
        self.waiting: list[_Resolution] = []
        self._lookups = lookups

    def leave(self, resolution: _Resolution) -> None:
        """
        One waits no more; if it was the last, nobody joins them.
        """
        if resolution in self.waiting:
            self.waiting.remove(resolution)
            if not self.waiting and self._lookups.get(self.name) is self:
                del self._lookups[self.name]


@implementer(IHostResolution)
class _Resolution:
    """
    One receiver's share in a look-up.
    """

    def __init__(self, name: str, lookup: _Lookup, receiver: IResolutionReceiver) -> None:
        """
        @param receiver: Who waits.
        """
        self.name = name
        self.receiver = receiver
        self._lookup = lookup

    def cancel(self) -> None:
        """
        Wait no more.
        """
        self._lookup.leave(self)
