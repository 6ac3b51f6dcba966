"""
A client's request, from its first octet to our last reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from socks6.machine.events import RequestReceived, ServerEvent
from socks6.machine.server import ServerConnection, ServerState
from socks6.policy.authentication import ANONYMOUS
from socks6.policy.rulebook import RuleCheck
from socks6.server.admission import admit
from socks6.server.rules import subjectOf
from socks6.serving.conversation import Conversation
from socks6.serving.factory import ClientProtocol
from socks6.text import words
from socks6.values.address import Address, unspecifiedLike
from socks6.values.codes import (
    AuthenticationMethod,
    AuthenticationResult,
    Command,
    ReplyCode,
)
from socks6.values.messages import (
    AuthenticationReply,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
from socks6.values.options import NO_OPTIONS, OptionList, UsernamePassword
from socks6.wire.errors import PeerError

if TYPE_CHECKING:
    from socks6.server.protocol import SOCKS6ServerFactory


class Negotiation(Conversation):
    """
    The conversation with a client that speaks SOCKS 6.

    @ivar identity: Who the client is.
    @ivar session: What all requests of the client's session have in common, if there
        is one.
    @ivar rules: What the rules say about the request, once that was asked.
    """

    factory: SOCKS6ServerFactory

    def __init__(self, factory: SOCKS6ServerFactory, leg: ClientProtocol) -> None:
        """
        Begin to wait for a request.

        @param leg: The client's connection, with its transport.
        """
        super().__init__(factory, leg)
        self.session: bytes | None = None
        self.identity = ANONYMOUS
        self.rules: RuleCheck | None = None
        self._machine = ServerConnection(factory.codec)
        #: Who waits for the client's user name and password, and for the end of what it
        #: sends.
        self._credentials: Deferred[UsernamePassword] | None = None
        self._end: Deferred[None] | None = None

    # The protocol.

    @property
    def heldLength(self) -> int:
        """
        How many octets wait in the machine.
        """
        return self._machine.heldLength

    def feed(self, octets: bytes) -> None:
        """
        Feed the machine and do what its events ask for.

        @see: L{Conversation.feed}
        """
        for event in self._machine.receive(octets):
            self._act(event)
        if self._end is not None:
            self._machine.takeData()

    def endOfInput(self) -> None:
        """
        Tell the machine.

        @see: L{Conversation.endOfInput}
        """
        self._machine.endOfInput()
        if self._end is not None:
            self._end.callback(None)

    async def untilInputEnds(self) -> None:
        """
        Wait until the client ends its connection, which carries no data: what it sends
        is thrown away.
        """
        self.factory.gate.served(self.leg)
        self._machine.takeData()
        if not self.inputOver:
            self._end = Deferred()
            self.transport.resumeProducing()
            await self._end

    def answer(self, error: PeerError) -> bytes:
        """
        Ask the machine.

        @see: L{Conversation.answer}
        """
        return self._machine.answer(error, anonymous=not self.factory.authenticator.required)

    def takeData(self) -> bytes:
        """
        Take what waits in the machine.

        @see: L{Conversation.takeData}
        """
        return self._machine.takeData()

    def peekData(self) -> bytes:
        """
        Look at what waits in the machine.
        """
        return self._machine.peekData()

    def workFailed(self) -> None:
        """
        Report a general failure, if that is what comes next.

        @see: L{Conversation.workFailed}
        """
        if self._machine.state in (ServerState.BINDING, ServerState.RESULT):
            self.fail(ReplyCode.GENERAL_FAILURE)
        else:
            self.end("failed")

    def waitNoMore(self) -> None:
        """
        Wait no more for credentials.

        @see: L{Conversation.waitNoMore}
        """
        if self._credentials is not None:
            self._credentials.cancel()

    def requestEnded(self) -> None:
        """
        Give back what counts against rules.

        @see: L{Conversation.requestEnded}
        """
        if self.rules is not None:
            self.rules.close()

    def check(self, command: Command) -> RuleCheck:
        """
        Begin to ask what the rules say about the request.
        """
        self.rules = RuleCheck(self.factory.rules, subjectOf(self), command)
        return self.rules

    def _act(self, event: ServerEvent) -> None:
        """
        Do what an event of the machine asks for.
        """
        if isinstance(event, RequestReceived):
            request = event.request
            self.begin(request.command, request.address, self._serve(request))
        else:
            waiting, self._credentials = self._credentials, None
            assert waiting is not None
            waiting.callback(event.credentials)

    # The request.

    async def _serve(self, request: Request) -> None:
        """
        Authenticate the client and do what it wants.
        """
        admission = await admit(self, request)
        self.forgetDeadline()
        if admission.identity is None:
            self.end(admission.objection)
            return
        assert self.record is not None
        self.factory.gate.asked(self.leg)
        self.factory.letIn(self.began)
        self.identity = admission.identity
        self.record.user = str(admission.identity)
        self.session = admission.session
        self.record.isInSession = admission.session is not None
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
        self.end(f"{words(code)} ({reason})" if reason else words(code))

    def reply(
        self, code: ReplyCode, address: Address | None = None, options: OptionList = NO_OPTIONS
    ) -> None:
        """
        Tell how the operation went.

        @param address: The bound address; L{None}: none in particular.
        """
        assert self.record is not None
        self.record.code = code
        bound = address or unspecifiedLike(self.record.destination.host)
        self.say(OperationReply(code, bound, options))

    def succeed(self) -> None:
        """
        Tell that the operation, which leads to no tunnel, went well, and close
        the connection.
        """
        self.reply(ReplyCode.SUCCESS)
        self.end(words(ReplyCode.SUCCESS))

    def say(self, message: AuthenticationReply | UsernamePasswordReply | OperationReply) -> None:
        """
        Send a message.

        @raise CancelledError: Nobody is there to hear it.
        """
        self.write(b"" if self.isOver else self._machine.send(message))
