"""
The few interfaces that users may implement, and what goes with them.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol
from zope.interface import Interface

from socks6.values.address import Address
from socks6.values.codes import ReplyCode
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


class IOutbound(Interface):
    """
    A proxy's way to remote hosts.
    """

    def connect(
        destination: Address, protocol: IProtocol, typeOfService: int | None
    ) -> Deferred[None]:
        """
        Connect to a remote host.

        @param destination: Where to: an IP address, or a name as the client
            wrote it.
        @param protocol: What to connect.
        @param typeOfService: The IP type of service of the packets to send, or
            L{None} for the system's.
        @return: Fires as soon as C{protocol} has its transport, in the same turn
            of the reactor, so that nothing can have come before somebody listens.
            Fails with L{OutboundFailed} when there is none.  Cancelling gives up
            at once.
        """
