"""
The TCP connection to the proxy that a UDP association hangs on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from socks6.client.access import Passage, Remedy
from socks6.client.errors import (
    NoAnswer,
    proxyFault,
    requestRefused,
)
from socks6.client.line import abort
from socks6.client.negotiation import Terms
from socks6.client.receivers import CLOSE_TIMEOUT
from socks6.client.replies import admission, explanation
from socks6.machine import events
from socks6.machine.client import ClientConnection, ClientState
from socks6.values.address import UNSPECIFIED_IPV4, Address
from socks6.values.codes import ReplyCode
from socks6.wire.errors import PeerError, UsageError

if TYPE_CHECKING:
    from socks6.client.association import AssociationAttempt


class AssociationLine(Protocol):
    """
    One connection to the proxy: it asks for the association, and then lasts as long as
    that does.
    """

    transport: Any

    def __init__(self, terms: Terms, passage: Passage, attempt: AssociationAttempt) -> None:
        """
        @param terms: What to ask for.
        @param passage: What is told what the proxy says of who we are.
        @param attempt: What is told how it goes.
        """
        self._terms = terms
        self._passage = passage
        self._attempt = attempt
        self._machine = ClientConnection(terms.codec)
        self._bound: Address = UNSPECIFIED_IPV4
        #: Limits what the proxy may take: for its replies, and then to close.
        self._timer: IDelayedCall | None = None
        self._isStanding = False
        #: Whether we have closed the connection.
        self._isOver = False

    # What happens to the connection.

    def connectionMade(self) -> None:
        """
        Ask for the association.
        """
        try:
            self._attempt.connected(self)
        except UsageError:
            self.fail(Failure())
            return
        if ITCPTransport.providedBy(self.transport):
            # Nothing may be sent here for hours: the kernel finds out if the proxy is gone.
            self.transport.setTcpKeepAlive(True)
        self._timer = self._terms.clock.callLater(self._terms.timeout, self._tooLate)
        self.transport.write(self._machine.open(self._terms.request(self._passage)))

    def dataReceived(self, data: bytes) -> None:
        """
        Read what the proxy says.
        """
        # When all has been said there is nothing to keep.
        if self._isOver or self._machine.state is ClientState.OPEN:
            return
        try:
            for event in self._machine.receive(data):
                self._act(event)
                if self._isOver:
                    return
        except PeerError as error:
            self.fail(Failure(proxyFault(error)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone, and so is the association.
        """
        failure = reason
        if not self._isOver:
            failure = explanation(self._machine, reason, False, self._isStanding)
        self._end()
        self._attempt.hungUp(self, failure)

    # What the machine makes of it.

    def _act(self, event: events.ClientEvent) -> None:
        """
        Do what an event of the machine asks for.
        """
        if isinstance(event, events.AuthenticationRefused | events.Authenticated):
            refusal = admission(self._passage, event)
            if refusal is not None:
                self._failUnless(*refusal)
        elif isinstance(event, events.OperationReplied):
            self._passage.replied(event.reply.options)
            self._bound = event.reply.address
            if event.reply.code != ReplyCode.SUCCESS and not self._isOver:
                self.fail(Failure(requestRefused(event.reply.code)))
        elif isinstance(event, events.AssociationInitialized):
            self._attempt.initialized(event.associationID, self._bound)
        else:
            # Credentials are never demanded: no methods were offered.
            assert isinstance(event, events.AssociationConfirmed)
            self._attempt.confirmed()

    # How it ends.

    def stands(self) -> None:
        """
        Learn that the association stands: its end is no failure to make it.
        """
        self._isStanding = True
        self._stopTimer()

    def fail(self, failure: Failure) -> None:
        """
        Close the connection, and tell why.
        """
        self.leave()
        self._attempt.failed(failure)

    def leave(self) -> None:
        """
        Close the connection in good manners, for as long as the proxy has them, too.
        """
        self._end()
        self._timer = self._terms.clock.callLater(CLOSE_TIMEOUT, abort, self.transport)
        self.transport.loseConnection()

    def abort(self) -> None:
        """
        Close the connection at once.
        """
        self._end()
        abort(self.transport)

    def _failUnless(self, remedy: Remedy | None, error: ConnectError) -> None:
        """
        Fail, unless the request can be made again and may succeed then.

        @param remedy: Why it may.
        """
        if self._isOver:
            return
        if remedy is None or not self._attempt.mayTry(remedy):
            self.fail(Failure(error))
        else:
            self.leave()
            self._attempt.tryAgain(remedy)

    def _tooLate(self) -> None:
        """
        Give up on a proxy that does not answer.
        """
        self.abort()
        self._attempt.failed(Failure(NoAnswer(self._terms.timeout)))

    def _end(self) -> None:
        """
        Wait for nothing more.
        """
        self._isOver = True
        self._stopTimer()
        self._passage.abandoned()

    def _stopTimer(self) -> None:
        """
        Let the proxy take its time.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
