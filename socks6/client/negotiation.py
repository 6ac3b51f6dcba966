"""
From a connection to the proxy to a tunnel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionClosed,
    TimeoutError,
)
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from socks6.client.destination import shownAddress
from socks6.client.errors import AuthenticationRefused, proxyFault, requestRefused
from socks6.client.receivers import NOBODY, Closing, Doomed, Receiver
from socks6.machine import events
from socks6.machine.client import ClientConnection
from socks6.values.codes import ReplyCode
from socks6.values.messages import OperationReply, Request
from socks6.values.options import SessionInvalid
from socks6.wire.codec import Codec
from socks6.wire.errors import PeerError

if TYPE_CHECKING:
    from socks6.client.attempt import ConnectionAttempt
    from socks6.client.tunnel import Tunnel


@dataclass(frozen=True, slots=True)
class Terms:
    """
    How to negotiate.

    @ivar clock: Measures how long the proxy takes.
    @ivar request: What to ask for.  It lists no authentication methods, so that
        there is no exchange of credentials, and data may follow it at once.
    @ivar optimistic: Whether the user's protocol is connected as soon as the
        request has been written.
    @ivar timeout: Seconds that the proxy may take.
    @ivar codec: The draft to speak.
    """

    clock: IReactorTime
    request: Request
    optimistic: bool
    timeout: float
    codec: Codec


class Negotiation(Receiver):
    """
    Receives from the proxy until its replies are complete.

    @ivar transport: The tunnel.
    """

    transport: Tunnel

    def __init__(self, terms: Terms, attempt: ConnectionAttempt, user: IProtocol) -> None:
        """
        @param attempt: What is told how it went.
        @param user: The protocol to connect.
        """
        self._terms = terms
        self._attempt = attempt
        self._user = user
        self._connected = False
        self._machine = ClientConnection(terms.codec)

    # What happens to the connection.

    def connectionMade(self) -> None:
        """
        Ask for what is wanted.
        """
        terms = self._terms
        self._attempt.negotiating(self)
        self._deadline = terms.clock.callLater(terms.timeout, self._tooLate)
        self.transport.write(self._machine.open(terms.request))
        if terms.optimistic:
            # Now, so that what it writes leaves together with the request.
            self._connectUser()

    def dataReceived(self, data: bytes) -> None:
        """
        Read the proxy's replies.
        """
        for event in self._understood(data):
            self._act(event)

    def readConnectionLost(self) -> None:
        """
        The proxy sends no more, but it should have.
        """
        self._fail(self._explained(connectionDone))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is gone before the replies were complete.
        """
        failure = self._explained(reason)
        self._deadline.cancel()
        self._attempt.failed(failure)
        if self._connected:
            self.transport.loseUser(failure)

    def _explained(self, reason: Failure) -> Failure:
        """
        Find out what it means that the proxy sends no more.

        @param reason: Why it does not, as the transport sees it.
        """
        if reason.check(ConnectionClosed) and not reason.check(ConnectionAborted):
            try:
                self._machine.endOfInput()
            except PeerError as error:
                return Failure(proxyFault(error))
        if self._connected:
            # The user's protocol has aborted, or raised, or gets to hear what went
            # wrong with TLS as it would without a proxy.
            return reason
        # Nobody but TLS with the proxy can have failed yet.
        failed = ConnectError(string=reason.getErrorMessage())
        failed.__cause__ = reason.value
        return Failure(failed)

    # What the machine makes of it.

    def _understood(self, octets: bytes) -> Iterator[events.ClientEvent]:
        """
        Feed the machine.

        @return: Its events.  They end where the proxy broke the protocol; what is
            to be done about that has been done then.
        """
        try:
            yield from self._machine.receive(octets)
        except PeerError as error:
            self._fail(Failure(proxyFault(error)))

    def _act(self, event: events.ClientEvent) -> None:
        """
        Do what an event of the machine asks for.
        """
        if isinstance(event, events.AuthenticationRefused):
            invalid = event.reply.options.first(SessionInvalid) is not None
            self._fail(Failure(AuthenticationRefused(invalid)))
        elif isinstance(event, events.OperationReplied):
            if event.reply.code == ReplyCode.SUCCESS:
                self._succeed(event.reply)
            else:
                self._fail(Failure(requestRefused(event.reply.code)))

    # How it ends.

    def _connectUser(self) -> None:
        """
        Give the user's protocol its transport, and its connector the protocol.
        """
        self._connected = True
        try:
            self._user.makeConnection(self.transport)
        except BaseException:
            # The reactor will log it and close the connection.
            self._attempt.failed(Failure())
            raise
        self._attempt.succeeded(self._user)

    def _succeed(self, reply: OperationReply) -> None:
        """
        Step aside.
        """
        self._deadline.cancel()
        self.transport.open(shownAddress(reply.address))
        if not self._connected:
            self._connectUser()
        self.transport.deliver(self._machine.takeData())

    def _tooLate(self) -> None:
        """
        Give up on a proxy that does not answer.
        """
        seconds = self._terms.timeout
        error = TimeoutError(string=f"no answer from the proxy within {seconds:g} s")
        self.abort(Failure(error))

    def abort(self, failure: Failure) -> None:
        """
        Give up, and close the connection at once.
        """
        self._fail(failure, atOnce=True)

    def _fail(self, failure: Failure, atOnce: bool = False) -> None:
        """
        Close the connection, and tell who waits for it.

        @param atOnce: Whether the proxy deserves no good manners.
        """
        if self._deadline.active():
            self._deadline.cancel()
        tunnel = self.transport
        # Who receives is settled first: transports may call back at once.
        if self._connected:
            tunnel.wrappedProtocol = Doomed(tunnel, failure)
            # What the user's protocol has written would go nowhere.
            tunnel.abortConnection()
        elif atOnce:
            tunnel.wrappedProtocol = NOBODY
            tunnel.abortConnection()
        else:
            tunnel.wrappedProtocol = Closing(self._terms.clock, tunnel)
            tunnel.transport.loseConnection()
        self._attempt.failed(failure)
