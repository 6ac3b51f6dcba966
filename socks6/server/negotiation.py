"""
A client's request, from its first octet to our last reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.logger import Logger
from twisted.python.failure import Failure

from socks6.machine.events import RequestReceived, ServerEvent
from socks6.machine.server import ServerConnection, ServerState
from socks6.relay.farewell import sayFarewell
from socks6.relay.legs import LegProtocol, describe
from socks6.relay.relay import Relay, RelayResult
from socks6.server.accesslog import RequestRecord
from socks6.server.admission import admit
from socks6.text import words
from socks6.values.address import Address, unspecifiedLike
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, ReplyCode
from socks6.values.messages import (
    AuthenticationReply,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
from socks6.values.options import NO_OPTIONS, OptionList, UsernamePassword
from socks6.wire.errors import PeerError, UnexpectedEnd

if TYPE_CHECKING:
    from socks6.server.protocol import SOCKS6ServerFactory, SOCKS6ServerProtocol

#: Octets that a client may send ahead before we stop to read.
EARLY_DATA_LIMIT = 65536


def _reasonOf(reason: Failure) -> str:
    """
    Say why a connection was lost, without quoting what the peer sent: the words
    of errors that we do not know could do that.
    """
    known = reason.check(ConnectionClosed, SSL.Error)
    return reason.getErrorMessage() if known else type(reason.value).__name__


class Negotiation:
    """
    The receiver of a client's connection until octets are relayed or it is
    closed.
    """

    _log = Logger()

    def __init__(self, factory: SOCKS6ServerFactory, leg: SOCKS6ServerProtocol) -> None:
        """
        Begin to wait for a request.

        @param leg: The client's connection, with its transport.
        """
        self.factory = factory
        self.leg = leg
        #: What all requests of the client's session have in common, if there is one.
        self.session: bytes | None = None
        self.inputOver = False
        self._transport: Any = leg.transport
        self._machine = ServerConnection(factory.codec)
        self._began = factory.clock.seconds()
        self._deadline = factory.clock.callLater(factory.requestTimeout, self._tooLate)
        self._record: RequestRecord | None = None
        self._relay: Relay | None = None
        #: What is done about the request.
        self._work: Deferred[None] | None = None
        #: Whether that was given up, so that nothing may come of it any more.
        self._givenUp = False
        #: Who waits for the client's user name and password.
        self._credentials: Deferred[UsernamePassword] | None = None

    # What happens to the connection.

    def dataReceived(self, octets: bytes) -> None:
        """
        Feed the machine and do what its events ask for.
        """
        try:
            for event in self._machine.receive(octets):
                self._act(event)
        except PeerError as error:
            self._peerFailed(error)
        else:
            if self.leg.receiver is self and self._machine.heldLength > EARLY_DATA_LIMIT:
                self._transport.pauseProducing()

    def inputEnded(self) -> None:
        """
        The client sends no more, which is no reason not to serve its request.
        """
        self.inputOver = True
        try:
            self._machine.endOfInput()
        except PeerError as error:
            self._peerFailed(error)

    def outputEnded(self) -> None:
        """
        Only a farewell ends our direction.
        """

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        self._stop()
        if self._record is None:
            self._logPeer(UnexpectedEnd(f"the client went away: {_reasonOf(reason)}"))
        else:
            self._finish("client lost")
        self.factory.connectionGone(self.leg)

    def abort(self) -> None:
        """
        Close the connection, and the tunnel if there is one, at once.
        """
        if self._relay is not None:
            self._relay.abort("aborted")
        else:
            self.leg.abort()

    def _act(self, event: ServerEvent) -> None:
        """
        Do what an event of the machine asks for.
        """
        if isinstance(event, RequestReceived):
            # Behind "haproxy:" the peer is known only now.
            peer = describe(self._transport.getPeer())
            self._record = RequestRecord(peer, self._began, event.request)
            self._work = Deferred.fromCoroutine(self._serve(event.request))
            self._work.addErrback(self._failed)
        else:
            waiting, self._credentials = self._credentials, None
            assert waiting is not None
            waiting.callback(event.credentials)

    def _peerFailed(self, error: PeerError) -> None:
        """
        Answer a client that broke the protocol, and close.
        """
        self._logPeer(error)
        self._stop()
        anonymous = not self.factory.authenticator.required
        self._transport.write(self._machine.answer(error, anonymous=anonymous))
        self._close()

    def _tooLate(self) -> None:
        """
        Close a connection that has taken too long to say what it wants and who
        it is.
        """
        seconds = self.factory.requestTimeout
        self._logPeer(UnexpectedEnd(f"no authenticated request within {seconds:g} s"))
        self._stop()
        self._close()

    def _logPeer(self, error: PeerError) -> None:
        """
        Take note of what the client did wrong.
        """
        if self._record is None:
            self.factory.accessLog.peerFailed(describe(self._transport.getPeer()), error)
        else:
            self.factory.accessLog.count(error)
            self._finish(str(error))

    # The request.

    async def _serve(self, request: Request) -> None:
        """
        Authenticate the client and do what it wants.
        """
        admission = await admit(self, request)
        self._forgetDeadline()
        if admission.identity is None:
            self._end(admission.objection)
            return
        assert self._record is not None
        self._record.identity = admission.identity
        self.session = admission.session
        operation = self.factory.operations.get(request.command)
        if admission.objection:
            self.fail(ReplyCode.GENERAL_FAILURE, admission.objection)
        elif operation is None:
            self.fail(ReplyCode.COMMAND_NOT_SUPPORTED)
        else:
            await operation(self, request)

    async def demandCredentials(self) -> UsernamePassword:
        """
        Ask the client for a user name and password.
        """
        waiting = self._credentials = Deferred()
        self.say(
            AuthenticationReply(
                AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED,
                AuthenticationMethod.USERNAME_PASSWORD,
            )
        )
        # They may have come already, behind the request, or never will.
        self.dataReceived(b"")
        return await waiting

    def fail(self, code: ReplyCode, reason: str = "") -> None:
        """
        Tell that the operation went wrong, and close the connection.

        @param reason: For the log.
        """
        self.reply(code)
        self._end(f"{words(code)} ({reason})" if reason else words(code))

    def reply(
        self, code: ReplyCode, address: Address | None = None, options: OptionList = NO_OPTIONS
    ) -> None:
        """
        Tell how the operation went.

        @param address: The bound address; L{None}: none in particular.
        """
        assert self._record is not None
        request = self._record.request
        self.say(OperationReply(code, address or unspecifiedLike(request.address.host), options))

    def succeed(self) -> None:
        """
        Tell that the operation, which leads to no tunnel, went well, and close
        the connection.
        """
        self.reply(ReplyCode.SUCCESS)
        self._end(words(ReplyCode.SUCCESS))

    def relay(self, remote: LegProtocol) -> None:
        """
        Pass octets between the client and a remote host from now on.
        """
        factory = self.factory
        self._relay = Relay(
            factory.clock, self.leg, remote, self._relayFinished, factory.idleTimeout
        )
        self._relay.start(self._machine.takeData(), self.inputOver)

    def _relayFinished(self, result: RelayResult) -> None:
        """
        Both connections are closed.
        """
        assert self._record is not None
        self._record.toRemote, self._record.toClient = result.toRemote, result.toClient
        self._finish(result.ending)
        self.factory.connectionGone(self.leg)

    def say(self, message: AuthenticationReply | UsernamePasswordReply | OperationReply) -> None:
        """
        Send a message.

        @raise CancelledError: Nobody is there to hear it; whoever was waited
            for did not mind that we gave up.
        """
        if self._givenUp:
            raise CancelledError
        self._transport.write(self._machine.send(message))

    # The end.

    def _failed(self, failure: Failure) -> None:
        """
        We have failed, or the client is gone and the work was cancelled.
        """
        if self._givenUp and failure.check(CancelledError):
            return
        self._log.failure("A request could not be served", failure)
        if self._givenUp:
            return
        if self._machine.state is ServerState.RESULT:
            self.fail(ReplyCode.GENERAL_FAILURE)
        else:
            self._end("failed")

    def _end(self, result: str) -> None:
        """
        Be done with the request, and close the connection.
        """
        self._finish(result)
        self._close()

    def _finish(self, result: str) -> None:
        """
        Write the request's line, once its end is known.
        """
        assert self._record is not None
        self._record.result = result
        self.factory.accessLog.requestFinished(self._record)

    def _stop(self) -> None:
        """
        Give up what is under way.
        """
        self._givenUp = True
        self._forgetDeadline()
        if self._credentials is not None:
            self._credentials.cancel()
        if self._work is not None:
            self._work.cancel()

    def _forgetDeadline(self) -> None:
        """
        Let the rest take as long as it takes.
        """
        if self._deadline.active():
            self._deadline.cancel()

    def _close(self) -> None:
        """
        Close the client's connection, once it has got what was written.
        """
        self._forgetDeadline()
        sayFarewell(
            self.leg,
            self.factory.clock,
            lambda: self.factory.connectionGone(self.leg),
            self.inputOver,
        )
