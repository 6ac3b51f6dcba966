"""
The few interfaces that users may implement, and what goes with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol
from zope.interface import Attribute, Interface

from socks6.values.address import Address
from socks6.values.codes import ReplyCode, TokenOutcome
from socks6.values.options import TokenWindowAdvertisement
from socks6.wire.errors import SOCKS6Error


class OutboundFailed(ConnectError, SOCKS6Error):
    """
    A remote host could not be reached.

    @ivar replyCode: What the client gets to hear.
    @ivar reason: Why, for the log.
    """

    def __init__(self, replyCode: ReplyCode, reason: str) -> None:
        """
        @param replyCode: What the client gets to hear.
        @param reason: For the log.
        """
        super().__init__(string=reason)  # type: ignore[no-untyped-call]
        self.replyCode = replyCode
        self.reason = reason


@dataclass(slots=True, eq=False)
class FirstOctets:
    """
    What may leave in the first packet of a connection (TCP Fast Open).

    @ivar octets: The first that the remote host is to get.
    @ivar taken: How many of them are on their way there on the connection that was made;
        who has asked for it sends the others.
    """

    octets: bytes = field(repr=False)
    taken: int = 0


def noObjection(host: IPv4Address | IPv6Address) -> str | None:
    """
    Let every address be connected to.
    """
    return None


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """
    What a client wants of the way to a remote host.

    @ivar address: Where to: an IP address, or a name as the client wrote it.
    @ivar typeOfService: The IP type of service of the packets to send; L{None}: the
        system's.
    @ivar session: What all requests of one session have in common, and no others
        have; L{None}: the request is in none.  It tells nobody the session's ID.
    @ivar optimistic: Whether the connection may count as made as soon as it has been
        asked for, if this way out can do that: what is written then leaves together
        with what asks for it, and a failure is the end of the connection.
    @ivar first: What may leave in the first packet, and arrive there twice then, if this
        way out can do that; L{None}: nothing may.
    @ivar objection: Is asked about each address before it is connected to, by a way out
        that knows the addresses, and says why it may not be; L{None}: it may.
    @ivar owner: Whom the request counts against where what it needs is shared, such as
        threads that look up names: the user or, if there is none, the client's address or
        network; L{None}: nobody in particular.
    """

    address: Address
    typeOfService: int | None = None
    session: bytes | None = field(default=None, repr=False)
    optimistic: bool = False
    first: FirstOctets | None = None
    objection: Callable[[IPv4Address | IPv6Address], str | None] = field(
        default=noObjection, repr=False, compare=False
    )
    owner: bytes | None = field(default=None, repr=False, compare=False)


class IOutbound(Interface):
    """
    A proxy's way to remote hosts.
    """

    isDirect: bool = Attribute(
        """
        Whether the connections it makes are those with the remote hosts, and do not
        end at another proxy: then what is set on them is in force on the whole way, and
        it asks L{OutboundRequest.objection} about each address.
        """
    )

    def connect(request: OutboundRequest, protocol: IProtocol) -> Deferred[Address | None]:
        """
        Connect to a remote host.

        @param protocol: What to connect.
        @return: Fires as soon as C{protocol} has its transport, in the same turn
            of the reactor, so that nothing can have come before somebody listens;
            with the address that the remote host sees, if it is known.  Fails with
            L{OutboundFailed} when there is none.  Cancelling gives up at once.
        """


class IBindingOutbound(Interface):
    """
    A way out on which remote hosts can come in, too.
    """

    def bind(
        request: OutboundRequest, protocol: IProtocol, listening: Callable[[Address], object]
    ) -> Deferred[Address]:
        """
        Wait until one remote host connects.

        @param request: Its address is the host's that is expected, as far as anybody
            knows; others may come.
        @param protocol: What to connect.
        @param listening: Is called once, with the address that the host can connect
            to, when it can.
        @return: Fires as soon as C{protocol} has its transport, in the same turn
            of the reactor, with the address of the host.  Fails with
            L{OutboundFailed} when none can come any more.  Cancelling gives up at
            once, and nobody listens any more.
        """


#: A host, by name or as an IP address in text form, and a port.
Place = tuple[str, int]


class IAssociation(Interface):
    """
    A way for datagrams to remote hosts, and back.
    """

    def write(payload: bytes, place: Place) -> None:
        """
        Send a datagram, if that can be done without delay.

        @raise ValueError: No datagram can go there.
        """

    def close() -> None:
        """
        Let no more pass.
        """


class IAssociatingOutbound(Interface):
    """
    A way out that datagrams can take.
    """

    def associate(
        request: OutboundRequest,
        received: Callable[[bytes, Place], object],
        lost: Callable[[str], object],
    ) -> Deferred[IAssociation]:
        """
        Find a way for datagrams.

        @param request: Its address means nothing.
        @param received: Is called with each datagram that comes back, and where it
            comes from.
        @param lost: Is called if the way ends by itself, with why, for the log.
        @return: Fires with the way.  Fails with L{OutboundFailed} when there is none.
            Cancelling gives up at once.
        """


class SessionTrust(IntEnum):
    """
    Where the ID of a session is enough to be let in.
    """

    #: Nowhere: the session is untrusted.
    NOWHERE = 0
    #: On connections with TLS, as the one was that opened the session.
    OVER_TLS = 1
    #: Everywhere.
    EVERYWHERE = 2


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """
    What is known of a session from its beginning to its end.

    @ivar method: The number of the method by which its initiator authenticated.
    @ivar name: Who that was; empty for the anonymous.
    @ivar address: The IP address it was opened from; empty if from none.
    @ivar trust: Where its ID is enough.
    @ivar owner: Whom it counts against: the identity or, if there is none, the
        client's address or network.
    """

    method: int
    name: bytes
    address: str
    trust: SessionTrust
    owner: bytes


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """
    How many sessions there may be, and how long each lives.

    @ivar timeout: Seconds without a request after which a session ends.
    @ivar sessions: How many there may be in all.
    @ivar sessionsPerOwner: How many there may be of one owner.
    """

    timeout: float
    sessions: int
    sessionsPerOwner: int


@dataclass(frozen=True, slots=True)
class SessionDemand:
    """
    What a request wants of its session.

    @ivar token: The token that it spends, if it does.
    @ivar windowSize: The size of the token window that it is granted, 1 to
        2**31 - 1, if it asks for one.
    @ivar teardown: Whether it ends the session.
    """

    token: int | None = None
    windowSize: int | None = None
    teardown: bool = False


@dataclass(frozen=True, slots=True)
class SessionUse:
    """
    What came of a request in a session.

    @ivar record: The session's.
    @ivar admitted: Whether the session's trust was enough; if not, nothing has
        been done.
    @ivar outcome: What became of the token; L{None} if none was to be spent.
    @ivar window: The token window, if the client is to be told of it: because
        it has been granted or shifted, or because the token was not in it.
    """

    record: SessionRecord
    admitted: bool
    outcome: TokenOutcome | None = None
    window: TokenWindowAdvertisement | None = None


class SessionsExhausted(SOCKS6Error):
    """
    There may be no more sessions.
    """

    def __init__(self) -> None:
        super().__init__("there are too many")


class SessionStoreFailed(SOCKS6Error):
    """
    The sessions cannot be reached at the moment.
    """


class ISessionStore(Interface):
    """
    Where a proxy, or several, keep their clients' sessions.

    A session goes by a key of 32 octets, the hash of an ID that the store never
    sees.  What one call does, it does at once: of two uses of a session, from
    whatever proxy, one comes before the other.

    Each Deferred fails with L{SessionStoreFailed} if the store is out of order,
    within a few seconds.  Then it may be that the call has been carried out
    nevertheless.  Cancelling one does not undo the call.
    """

    def open(
        key: bytes, record: SessionRecord, windowSize: int | None, limits: SessionLimits
    ) -> Deferred[TokenWindowAdvertisement | None]:
        """
        Begin a session.

        @param key: One that has never been used.
        @param windowSize: The size of its token window, which begins with token
            0; L{None}: it has none.
        @return: Fires with its window once the session will not be forgotten,
            as far as this store can promise that.  Fails with
            L{SessionsExhausted} if C{limits} do not allow one more.
        """

    def use(
        key: bytes, demand: SessionDemand, trusts: Collection[SessionTrust], timeout: float
    ) -> Deferred[SessionUse | None]:
        """
        Carry out what a request wants of its session, if the session's trust is
        one of those given.

        Its inactivity begins anew.  If a token is to be spent, and cannot be,
        nothing else is done.  A token is judged against the window as it was, by
        the rules of L{TokenWindow<socks6.machine.tokens.TokenWindow>}.  A window
        that is granted begins right behind the end of the one before.  The
        session is ended last.

        @param timeout: Seconds without a request after which the session ends.
        @return: Fires with what came of it, or with L{None} if there is no such
            session.
        """

    def start() -> None:
        """
        Make sure that the store can work, now that the process is who it will be.

        @raise SessionStoreFailed: It cannot, and that will not change by itself.
        """

    def close() -> Deferred[None]:
        """
        Let go of files and connections; sessions stay where they outlive a
        process.

        @return: Fires when that is done; never fails.
        """


@dataclass(frozen=True, slots=True)
class ListedSession:
    """
    A session as the operator may see it: nothing here is of use to anybody who wants in.

    @ivar number: What the store calls it; never used again for another one.
    @ivar record: What is known of it from its beginning.
    @ivar windowSize: The size of its token window; L{None}: it has none.
    @ivar age: Seconds since it was opened.
    @ivar left: Seconds until it ends if nobody uses it.
    """

    number: int
    record: SessionRecord
    windowSize: int | None
    age: float
    left: float


class IListingSessionStore(ISessionStore):
    """
    A store that can tell which sessions it has.
    """

    def __len__() -> int:
        """
        Count the sessions that are kept at the moment.
        """

    def latest(start: int, most: int) -> Sequence[ListedSession]:
        """
        List sessions, the one that was used last first.

        @param start: How many to pass over.
        @param most: How many to list.
        """

    def end(number: int) -> bool:
        """
        End a session.

        @return: Whether there was one of that number.
        """
