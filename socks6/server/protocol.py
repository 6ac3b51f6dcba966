"""
The Twisted classes of the proxy's side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from socks6.interfaces import IOutbound
from socks6.policy.authentication import Authenticator
from socks6.policy.rulebook import RuleBook
from socks6.policy.sessions import SessionService
from socks6.server.associate import associate
from socks6.server.associations import Associations
from socks6.server.bind import Binder, bind
from socks6.server.connect import connect, noop
from socks6.server.negotiation import Negotiation
from socks6.server.rulerates import RuleRates
from socks6.serving.factory import ClientProtocol, ServingFactory
from socks6.serving.limits import NO_LIMITS, Limits
from socks6.values.codes import Command
from socks6.values.messages import Request
from socks6.wire import DEFAULT_CODEC
from socks6.wire.codec import Codec

#: Does what a request wants, after its client has been authenticated: sends
#: the Operation Reply and what follows it.
Operation = Callable[[Negotiation, Request], Awaitable[None]]

#: What each command does.
OPERATIONS: Mapping[int, Operation] = {
    Command.NOOP: noop,
    Command.CONNECT: connect,
    Command.BIND: bind,
    Command.UDP_ASSOCIATE: associate,
}


class SOCKS6ServerProtocol(ClientProtocol):
    """
    A client's connection to the proxy.
    """


class SOCKS6ServerFactory(ServingFactory):
    """
    Makes the proxy's side of its clients' connections, and knows those that
    are open.

    @ivar multipath: Whether connections with remote hosts may be Multipath TCP.
    """

    multipath = False

    protocol = SOCKS6ServerProtocol

    def __init__(
        self,
        clock: IReactorTime,
        outbound: IOutbound,
        authenticator: Authenticator | None = None,
        *,
        sessions: SessionService | None = None,
        binder: Binder | None = None,
        associations: Associations | None = None,
        rules: RuleBook | None = None,
        requestTimeout: float = 10.0,
        idleTimeout: float | None = None,
        limits: Limits = NO_LIMITS,
        codec: Codec = DEFAULT_CODEC,
        operations: Mapping[int, Operation] = OPERATIONS,
    ) -> None:
        """
        @param outbound: The way to remote hosts.
        @param authenticator: Who is let in; by default everybody.
        @param sessions: The clients' sessions; by default, the proxy's own, in memory.
        @param binder: Opens ports for clients; by default, BIND is not supported.
        @param associations: Those of the proxy; by default, UDP ASSOCIATE is not
            supported.
        @param rules: Who may go where; by default, only clients on this machine reach
            what is not of the public internet.
        @param requestTimeout: Seconds that a client may take to say what it
            wants and who it is.
        @param idleTimeout: Seconds without an octet either way after which a
            tunnel is cut; L{None}: never.
        @param limits: How much clients may have, and for how long.
        @param codec: The draft to speak.
        @param operations: What each command does; one that is not there is
            answered with "command not supported".
        """
        super().__init__(clock, requestTimeout, idleTimeout, limits)
        self.outbound = outbound
        self.authenticator = authenticator or Authenticator()
        self.sessions = sessions or SessionService(clock)
        self.binder = binder
        self.associations = associations
        self.rules = rules or RuleBook()
        self.ruleRates = RuleRates(clock, self.rules)
        self.codec = codec
        self.operations = operations

    def converse(self, protocol: ClientProtocol) -> Negotiation:
        """
        Begin to wait for a request.

        @see: L{ServingFactory.converse}
        """
        return Negotiation(self, protocol)
