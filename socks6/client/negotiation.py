"""
From a connection to the proxy to a tunnel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.error import (
    ConnectError,
)
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from socks6.client.access import Passage, Remedy
from socks6.client.errors import (
    NoAnswer,
    proxyFault,
    requestRefused,
)
from socks6.client.receivers import NOBODY, Closing, Doomed, Receiver
from socks6.client.replies import admission, explanation
from socks6.machine import events
from socks6.machine.client import ClientConnection, ClientState
from socks6.values.address import Address
from socks6.values.codes import Command, ReplyCode
from socks6.values.messages import OperationReply, Request
from socks6.values.options import Option, OptionList
from socks6.wire.codec import Codec
from socks6.wire.errors import PeerError

if TYPE_CHECKING:
    from socks6.client.attempt import TunnelAttempt
    from socks6.client.line import Line
    from socks6.client.tunnel import Tunnel

#: Seconds that the proxy may take from the moment it is connected.
DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What to negotiate, and how.

    @ivar clock: Measures how long the proxy takes.
    @ivar command: What to ask for.
    @ivar address: Where to; to BIND, where to listen.
    @ivar optimistic: Whether the user's protocol is connected as soon as the
        request has been written.
    @ivar timeout: Seconds that the proxy may take.
    @ivar codec: The draft to speak.
    @ivar options: What to say of the operation itself.
    @ivar mayHurry: Whether the connection to the proxy may count as made before it is, so
        that the request leaves in the first packet.
    @ivar replayable: Whether it does no harm if the destination gets what the user's
        protocol writes first once more, on another connection.
    """

    clock: IReactorTime
    command: Command
    address: Address
    optimistic: bool
    timeout: float
    codec: Codec
    options: Sequence[Option] = ()
    mayHurry: bool = True
    replayable: bool = False

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: C{timeout} is no number of seconds above 0.
        """
        if not 0 < self.timeout < math.inf:
            raise ValueError(f"timeout not above 0 s: {self.timeout}")

    def request(self, passage: Passage) -> Request:
        """
        Make the request.

        It lists no authentication methods, so that there is no exchange of
        credentials, and data may follow it at once.
        """
        options = OptionList([*passage.options, *self.options])
        return Request(self.command, self.address, options)


class Negotiation(Receiver):
    """
    Receives from the proxy until its replies are complete.

    @ivar transport: The connection to the proxy.
    """

    transport: Line

    def __init__(
        self,
        terms: Terms,
        attempt: TunnelAttempt,
        passage: Passage,
        tunnel: Tunnel,
        connected: bool,
    ) -> None:
        """
        @param attempt: What is told how it went.
        @param passage: What is told what the proxy says of who we are.
        @param tunnel: The transport of the user's protocol.
        @param connected: Whether that has its transport already, as this connection
            stands in for another one.
        """
        self._terms = terms
        self._attempt = attempt
        self._passage = passage
        self._tunnel = tunnel
        self._connected = connected
        self._over = False
        self._machine = ClientConnection(terms.codec)

    # What happens to the connection.

    def connectionMade(self) -> None:
        """
        Ask for what is wanted.
        """
        terms, tunnel = self._terms, self._tunnel
        self._attempt.negotiating(self)
        self._deadline = terms.clock.callLater(terms.timeout, self._tooLate)
        request = self._machine.open(terms.request(self._passage))
        self.transport.transport.write(request + tunnel.early.octets)
        if self._connected:
            tunnel.catchUp()
        elif terms.optimistic:
            if self._passage.mayNeedRemedy:
                tunnel.early.keep()
            # Now, so that what it writes leaves together with the request.
            self._connectUser()

    def dataReceived(self, data: bytes) -> None:
        """
        Read the proxy's replies.
        """
        for event in self._understood(data):
            self._act(event)
            if self._over:
                return

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
        self._stopClock()
        self._passage.abandoned()
        self._attempt.failed(failure)
        if self._connected:
            self._tunnel.loseUser(failure)

    def _explained(self, reason: Failure) -> Failure:
        """
        Find out what it means that the proxy sends no more.
        """
        # TLS does not always tell that it was we who aborted.
        return explanation(self._machine, reason, self._tunnel.aborted, self._connected)

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
        if isinstance(event, events.AuthenticationRefused | events.Authenticated):
            refusal = admission(self._passage, event)
            if refusal is None:
                self._tunnel.early.forget()
            else:
                self._failUnless(*refusal)
        else:
            # Credentials are never demanded: no methods were offered.
            assert isinstance(event, events.OperationReplied)
            self._passage.replied(event.reply.options)
            if not self._over:
                self._replied(event.reply)

    def _replied(self, reply: OperationReply) -> None:
        """
        Learn how the operation went.
        """
        if reply.code != ReplyCode.SUCCESS:
            self._fail(Failure(requestRefused(reply.code)))
        elif self._machine.state is ClientState.OPEN:
            self._succeed(reply)
        else:
            # It is BIND's first, and for a host we wait as long as the proxy does.
            self._stopClock()
            self._attempt.bound(reply)

    # How it ends.

    def _connectUser(self) -> None:
        """
        Give the user's protocol its transport, and its connector the protocol.
        """
        self._connected = True
        user = self._tunnel.user
        try:
            user.makeConnection(self._tunnel)
        except BaseException:
            # The reactor will log it and close the connection.
            self._attempt.failed(Failure())
            raise
        self._attempt.connected(user)

    def _succeed(self, reply: OperationReply) -> None:
        """
        Step aside.
        """
        self._stopClock()
        if not self._attempt.opening(reply):
            self.leave()
            self._attempt.succeeded()
            return
        if not self._connected:
            self._connectUser()
        self._attempt.succeeded()
        self._tunnel.deliver(self._machine.takeData())

    def _tooLate(self) -> None:
        """
        Give up on a proxy that does not answer.
        """
        self.abort(Failure(NoAnswer(self._terms.timeout)))

    def abort(self, failure: Failure) -> None:
        """
        Give up, and close the connection at once.
        """
        self._fail(failure, atOnce=True)

    def leave(self) -> None:
        """
        Close the connection, which nobody waits for, in good manners.
        """
        self._end()
        self._leave()

    def _failUnless(self, remedy: Remedy | None, error: ConnectError) -> None:
        """
        Fail, unless the request can be made again and may succeed then.

        @param remedy: Why it may.
        """
        if self._over:
            return
        canRepeat = self._tunnel.early.isKept or not self._connected
        if remedy is None or not canRepeat or not self._attempt.mayTry(remedy):
            self._fail(Failure(error))
            return
        self._end()
        self._tunnel.detach()
        self._leave()
        self._attempt.tryAgain(remedy)

    def _fail(self, failure: Failure, atOnce: bool = False) -> None:
        """
        Close the connection, and tell who waits for it.

        @param atOnce: Whether the proxy deserves no good manners.
        """
        self._end()
        line = self.transport
        # Who receives is settled first: transports may call back at once.
        if self._connected:
            line.receiver = Doomed(self._tunnel, failure)
            # What the user's protocol has written would go nowhere.
            self._tunnel.abortConnection()
        elif atOnce:
            line.receiver = NOBODY
            line.abort()
        else:
            self._leave()
        self._attempt.failed(failure)

    def _leave(self) -> None:
        """
        Close the connection in good manners.
        """
        line = self.transport
        line.receiver = Closing(self._terms.clock, line)
        line.transport.loseConnection()

    def _end(self) -> None:
        """
        Wait for nothing more.
        """
        self._over = True
        self._stopClock()
        self._passage.abandoned()

    def _stopClock(self) -> None:
        """
        Let the proxy take its time from now on.
        """
        if self._deadline.active():
            self._deadline.cancel()
