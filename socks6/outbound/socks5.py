"""
The way through a SOCKS 5 proxy, such as Tor.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from socks6.adoption import Prepared
from socks6.interfaces import IOutbound, OutboundFailed, OutboundRequest
from socks6.machine import events
from socks6.machine.socks5client import SOCKS5ClientConnection
from socks6.text import errorWords
from socks6.values.address import UNSPECIFIED_IPV4, UNSPECIFIED_IPV6, Address
from socks6.values.codes import Command, ReplyCode
from socks6.values.options import UsernamePassword
from socks6.wire.errors import PeerError
from socks6.wire.replycodes import fromSOCKS5
from socks6.wire.socks5 import SOCKS5Request

#: Octets of the secret from which the names of circuits are made.
_SECRET_LENGTH = 32

#: What may help if that proxy, such as ssh's, takes no user names.
_HINT = ": does it want --no-isolate-sessions?"


@implementer(IOutbound)
class SOCKS5Outbound:
    """
    Reaches remote hosts through a SOCKS 5 proxy, which also resolves names.

    Where sessions are isolated, each of them is somebody else to that proxy: it has a
    user name and password of its own, which nobody can guess, and so has each request
    that is in no session.  Tor does not let streams with different ones share a
    circuit.

    @ivar secret: What sessions' identities are made from.  Processes whose clients have
        the same sessions must have the same.
    """

    isDirect = False

    def __init__(
        self,
        reactor: IReactorTime,
        proxyEndpoint: IStreamClientEndpoint,
        *,
        isolate: bool = True,
        timeout: float = 30.0,
    ) -> None:
        """
        @param reactor: Measures how long it takes.
        @param proxyEndpoint: The way to that proxy.
        @param isolate: Whether sessions are isolated; if not, we tell nobody who we
            are.
        @param timeout: Seconds for all of it.
        """
        self._reactor = reactor
        self._proxyEndpoint = proxyEndpoint
        self._isolate = isolate
        self._timeout = timeout
        self.secret = os.urandom(_SECRET_LENGTH)

    def connect(self, request: OutboundRequest, protocol: IProtocol) -> Deferred[Address | None]:
        """
        Connect to a remote host.

        @see: L{IOutbound.connect}
        """
        credentials = self._credentials(request.session) if self._isolate else None
        wish = SOCKS5Request(Command.CONNECT, request.address)
        machine = SOCKS5ClientConnection(wish, credentials)
        conversation = _Conversation(machine, protocol, _HINT if self._isolate else "")
        return conversation.start(self._reactor, self._proxyEndpoint, self._timeout)

    def _credentials(self, session: bytes | None) -> UsernamePassword:
        """
        Make the user name and password of a session, always the same ones for the
        same, or of a request that is in none.
        """
        name = os.urandom(_SECRET_LENGTH) if session is None else session
        digest = hmac.new(self.secret, name, hashlib.sha256).hexdigest().encode("ascii")
        return UsernamePassword(digest[:32], digest[32:])


class _Conversation(Protocol):
    """
    A connection to the other proxy: what is said there before it leads to the remote
    host, and then nothing but a way through for what comes.
    """

    transport: Any

    def __init__(self, machine: SOCKS5ClientConnection, protocol: IProtocol, hint: str) -> None:
        """
        @param protocol: What is to be connected in the end.
        @param hint: What may help if the other proxy does not like who we say we are.
        """
        self._machine = machine
        self._protocol: Any = protocol
        self._done: Deferred[Address | None] = Deferred(self._cancelled)
        self._connecting: Deferred[IProtocol]
        self._hint = hint
        self._isAnswered = False
        self._isOpen = False
        #: Whether there is an answer, or nobody waits for one any more.
        self._isOver = False
        # Endpoints look now, and forward only what they find.
        if IHalfCloseableProtocol.providedBy(protocol):
            alsoProvides(self, IHalfCloseableProtocol)

    def start(
        self, reactor: IReactorTime, proxyEndpoint: IStreamClientEndpoint, timeout: float
    ) -> Deferred[Address | None]:
        """
        Connect to the other proxy.

        @return: As L{IOutbound.connect}.
        """
        self._deadline = reactor.callLater(timeout, self._tooLate, timeout)
        self._connecting = maybeDeferred(proxyEndpoint.connect, Prepared(self))
        self._connecting.addErrback(self._notConnected)
        return self._done

    # How it ends.

    def _cancelled(self, done: Deferred[Address | None]) -> None:
        """
        Nobody waits any more.
        """
        self._giveUp()

    def _tooLate(self, timeout: float) -> None:
        """
        It has taken too long.
        """
        self._fail(ReplyCode.TIMED_OUT, f"no answer of the SOCKS 5 proxy within {timeout:g} s")

    def _notConnected(self, failure: Failure) -> None:
        """
        The other proxy cannot be reached.
        """
        reason = f"the SOCKS 5 proxy cannot be reached: {errorWords(failure.value)}"
        self._fail(ReplyCode.GENERAL_FAILURE, reason)

    def _fail(self, code: ReplyCode, reason: str) -> None:
        """
        Tell why there is no connection, if nothing has been told.
        """
        if not self._isOver:
            self._giveUp()
            self._done.errback(OutboundFailed(code, reason))

    def _giveUp(self) -> None:
        """
        Leave nothing behind.
        """
        # Now, before others fail in their own words.
        self._isOver = True
        self._forgetDeadline()
        if self.connected:
            self.transport.abortConnection()
        else:
            self._connecting.cancel()

    def _forgetDeadline(self) -> None:
        """
        Let the rest take as long as it takes.
        """
        if self._deadline.active():
            self._deadline.cancel()

    # The conversation.

    def connectionMade(self) -> None:
        """
        Say what we want, unless nobody wants it any more.
        """
        if self._isOver:
            self.transport.abortConnection()
        else:
            self.transport.write(self._machine.open())

    def dataReceived(self, data: bytes) -> None:
        """
        Read answers, or pass octets on.
        """
        if self._isOpen:
            self._protocol.dataReceived(data)
            return
        if self._isOver:
            return
        self._isAnswered = True
        try:
            for event in self._machine.receive(data):
                self._act(event)
        except PeerError as error:
            self._fail(ReplyCode.GENERAL_FAILURE, f"the SOCKS 5 proxy: {error}")

    def _act(self, event: events.SOCKS5ClientEvent) -> None:
        """
        Do what an event of the machine asks for.
        """
        if isinstance(event, events.SOCKS5Answered):
            self.transport.write(event.octets)
        elif isinstance(event, events.SOCKS5AuthenticationRefused):
            reason = f"the SOCKS 5 proxy does not let us in{self._hint}"
            self._fail(ReplyCode.GENERAL_FAILURE, reason)
        elif event.reply.code:
            code = fromSOCKS5(event.reply.code)
            self._fail(code, f"the SOCKS 5 proxy says {event.reply.code:d}")
        else:
            self._open(event.reply.address)

    def _open(self, bound: Address) -> None:
        """
        Connect the protocol.

        @param bound: From where the other proxy has connected, if it tells.
        """
        self._forgetDeadline()
        self._isOpen = self._isOver = True
        self._protocol.makeConnection(self.transport)
        isTold = bound not in (UNSPECIFIED_IPV4, UNSPECIFIED_IPV6)
        self._done.callback(bound if isTold else None)
        early = self._machine.takeData()
        if early:
            self._protocol.dataReceived(early)

    # What happens to the connection.

    def readConnectionLost(self) -> None:
        """
        Pass on that no more will come; before the end of the conversation, it is the
        end.
        """
        if self._isOpen:
            self._protocol.readConnectionLost()
        else:
            self._lost()

    def writeConnectionLost(self) -> None:
        """
        Pass on that all has left.
        """
        if self._isOpen:
            self._protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Pass on that the connection is gone.
        """
        if self._isOpen:
            self._protocol.connectionLost(reason)
        else:
            self.connected = 0
            self._lost()

    def _lost(self) -> None:
        """
        The other proxy went away in the middle of the conversation.
        """
        # Some do not even say that they take no user names.
        hint = "" if self._isAnswered else self._hint
        self._fail(ReplyCode.GENERAL_FAILURE, f"the SOCKS 5 proxy has closed the connection{hint}")
