"""
The Twisted classes of the local proxifier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from socks6.interfaces import IOutbound
from socks6.local.conversation import LocalConversation, TransparentConversation
from socks6.local.dialects import Dialect
from socks6.local.isolation import Isolation
from socks6.serving.factory import ClientProtocol, ServingFactory


class LocalFactory(ServingFactory):
    """
    Makes our side of the connections of programs that know of us, and knows those
    that are open.

    @ivar outbound: The way to remote hosts.
    @ivar isolations: What tells sessions apart.
    @ivar dropped: How many datagrams of programs, and for them, were dropped, by reason.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        outbound: IOutbound,
        *,
        isolations: Collection[Isolation] = (Isolation.AUTH,),
        optimistic: bool | None = None,
        requestTimeout: float = 10.0,
        idleTimeout: float | None = None,
    ) -> None:
        """
        @param optimistic: Whether a program is told that it is connected before it is
            known, so that its first data leave together with the request; L{None}:
            where its protocol suggests that.
        @param requestTimeout: Seconds that a program may take to say what it wants.
        @param idleTimeout: Seconds without an octet or a datagram either way after
            which a tunnel is cut; L{None}: never.
        """
        super().__init__(clock, requestTimeout, idleTimeout)
        self.outbound = outbound
        self.isolations = frozenset(isolations)
        self.dropped: Counter[str] = Counter()
        self._optimistic = optimistic

    def cutAll(self) -> Deferred[None]:
        """
        Close all connections at once, and say what was dropped.

        @see: L{ServingFactory.cutAll}
        """
        if self.dropped:
            self._log.info(
                "Datagrams that were dropped: {reasons}",
                reasons=", ".join(f"{each}: {count}" for each, count in self.dropped.most_common()),
            )
            self.dropped.clear()
        return super().cutAll()

    def answersEarly(self, dialect: Dialect) -> bool:
        """
        Tell whether a program is answered before its wish is fulfilled.
        """
        return dialect.answersEarly if self._optimistic is None else self._optimistic

    def converse(self, protocol: ClientProtocol) -> LocalConversation:
        """
        Begin to wait for what a program says.

        @see: L{ServingFactory.converse}
        """
        return LocalConversation(self, protocol)


class TransparentFactory(LocalFactory):
    """
    The same for programs that do not know of us, as the packet filter has redirected
    their connections.
    """

    def converse(self, protocol: ClientProtocol) -> LocalConversation:
        """
        Find out where a connection was to go.

        @see: L{ServingFactory.converse}
        """
        return TransparentConversation(self, protocol)
