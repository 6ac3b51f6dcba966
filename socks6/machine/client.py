"""
The client's side of one connection, from its request to the last reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from socks6.machine.buffer import takeMessage
from socks6.machine.events import (
    AssociationConfirmed,
    AssociationInitialized,
    Authenticated,
    AuthenticationRefused,
    ClientEvent,
    CredentialsDemanded,
    OperationReplied,
)
from socks6.machine.table import following
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import AuthenticationMethods, UsernamePassword
from socks6.wire.codec import Codec
from socks6.wire.errors import MalformedMessage, UnexpectedEnd, UsageError, VersionMismatch


class ClientState(Enum):
    """
    What the client's side of a connection waits for.
    """

    #: Our request to be sent.
    IDLE = auto()
    #: The first Authentication Reply.
    VERDICT = auto()
    #: Our user name and password to be sent.
    CREDENTIALS = auto()
    #: The proxy's word on these.
    CREDENTIALS_CHECK = auto()
    #: The second Authentication Reply.
    FINAL_VERDICT = auto()
    #: The first Operation Reply to BIND, which tells where the proxy listens.
    BINDING = auto()
    #: The Operation Reply; to BIND, the second one.
    RESULT = auto()
    #: The name of the UDP association.
    ASSOCIATION = auto()
    #: The news that its first datagram has come.
    CONFIRMATION = auto()
    #: Nothing: what the proxy sends is application data.
    OPEN = auto()
    #: Nothing: the connection is to be closed.
    CLOSED = auto()


class _Step(Enum):
    """
    What can happen.
    """

    REQUEST_SENT = auto()
    CREDENTIALS_SENT = auto()
    AUTHENTICATED = auto()
    BIND_AUTHENTICATED = auto()
    CREDENTIALS_DEMANDED = auto()
    REFUSED = auto()
    CREDENTIALS_ANSWERED = auto()
    SUCCEEDED = auto()
    ASSOCIATED = auto()
    FAILED = auto()
    INITIALIZED = auto()
    CONFIRMED = auto()


#: (state, step) -> next state.  An absent pair is an error: the proxy's if it
#: took the step, else our caller's.
TRANSITIONS: Mapping[tuple[ClientState, _Step], ClientState] = {
    (ClientState.IDLE, _Step.REQUEST_SENT): ClientState.VERDICT,
    (ClientState.VERDICT, _Step.AUTHENTICATED): ClientState.RESULT,
    (ClientState.VERDICT, _Step.BIND_AUTHENTICATED): ClientState.BINDING,
    (ClientState.VERDICT, _Step.CREDENTIALS_DEMANDED): ClientState.CREDENTIALS,
    (ClientState.VERDICT, _Step.REFUSED): ClientState.CLOSED,
    (ClientState.CREDENTIALS, _Step.CREDENTIALS_SENT): ClientState.CREDENTIALS_CHECK,
    (ClientState.CREDENTIALS_CHECK, _Step.CREDENTIALS_ANSWERED): ClientState.FINAL_VERDICT,
    (ClientState.FINAL_VERDICT, _Step.AUTHENTICATED): ClientState.RESULT,
    (ClientState.FINAL_VERDICT, _Step.BIND_AUTHENTICATED): ClientState.BINDING,
    (ClientState.FINAL_VERDICT, _Step.REFUSED): ClientState.CLOSED,
    (ClientState.BINDING, _Step.SUCCEEDED): ClientState.RESULT,
    (ClientState.BINDING, _Step.FAILED): ClientState.CLOSED,
    (ClientState.RESULT, _Step.SUCCEEDED): ClientState.OPEN,
    (ClientState.RESULT, _Step.ASSOCIATED): ClientState.ASSOCIATION,
    (ClientState.RESULT, _Step.FAILED): ClientState.CLOSED,
    (ClientState.ASSOCIATION, _Step.INITIALIZED): ClientState.CONFIRMATION,
    (ClientState.CONFIRMATION, _Step.CONFIRMED): ClientState.OPEN,
}


class ClientConnection:
    """
    The client's side of one connection.

    Begin with L{open}, feed it with L{receive}; once an operation has succeeded
    it is out of the way, and L{takeData} hands over what came early.

    Application data may follow a CONNECT request at once if the request lists
    no authentication methods; if it does, as many octets of it as the request
    says, and the rest behind the credentials.

    @ivar state: What is waited for.
    """

    __slots__ = ("_buffer", "_codec", "_command", "_methods", "state")

    def __init__(self, codec: Codec) -> None:
        """
        Begin a connection.

        @param codec: The spelling to use.
        """
        self.state = ClientState.IDLE
        self._codec = codec
        self._buffer = bytearray()
        self._command: int = Command.NOOP
        self._methods: tuple[int, ...] = ()

    def open(self, request: Request) -> bytes:
        """
        Say what is wanted.

        @return: The octets to write.
        @raise UsageError: It has been said.
        @raise ValueError: The request's options take too many octets.
        """
        octets = self._codec.encodeRequest(request)
        self._advance(_Step.REQUEST_SENT)
        self._command = request.command
        methods = request.options.first(AuthenticationMethods)
        self._methods = methods.methods if methods else ()
        return octets

    def authenticate(self, credentials: UsernamePassword) -> bytes:
        """
        Answer L{CredentialsDemanded}.

        @return: The octets to write.
        @raise UsageError: They are not waited for.
        """
        self._advance(_Step.CREDENTIALS_SENT)
        return self._codec.encodeUsernamePassword(credentials)

    def receive(self, octets: bytes = b"") -> Iterator[ClientEvent]:
        """
        Take octets of the proxy, and see what they and those that waited mean.

        @raise PeerError: The proxy broke the protocol: close.  Nothing more
            may be fed.
        """
        self._buffer += octets
        return self._events()

    def _events(self) -> Iterator[ClientEvent]:
        """
        Read messages for as long as one is waited for and whole.
        """
        codec, buffer = self._codec, self._buffer
        while True:
            if self.state in (ClientState.VERDICT, ClientState.FINAL_VERDICT):
                verdict = takeMessage(
                    buffer, codec.authenticationReplyLength, codec.decodeAuthenticationReply
                )
                if verdict is None:
                    return
                yield self._judge(verdict)
            elif self.state is ClientState.CREDENTIALS_CHECK:
                # The Authentication Reply behind it says the same, with a reason.
                check = takeMessage(
                    buffer, codec.usernamePasswordReplyLength, codec.decodeUsernamePasswordReply
                )
                if check is None:
                    return
                self._advance(_Step.CREDENTIALS_ANSWERED)
            elif self.state in (ClientState.BINDING, ClientState.RESULT):
                reply = takeMessage(buffer, codec.operationReplyLength, codec.decodeOperationReply)
                if reply is None:
                    return
                self._advance(self._stepOf(reply))
                yield OperationReplied(reply)
            elif self.state is ClientState.ASSOCIATION:
                initialization = takeMessage(
                    buffer,
                    codec.associationInitializationLength,
                    codec.decodeAssociationInitialization,
                )
                if initialization is None:
                    return
                self._advance(_Step.INITIALIZED)
                yield AssociationInitialized(initialization.associationID)
            elif self.state is ClientState.CONFIRMATION:
                confirmation = takeMessage(
                    buffer,
                    codec.associationConfirmationLength,
                    lambda octets: AssociationConfirmed(),
                )
                if confirmation is None:
                    return
                self._advance(_Step.CONFIRMED)
                yield confirmation
            else:
                return

    def _stepOf(self, reply: OperationReply) -> _Step:
        """
        Tell what an Operation Reply means.
        """
        if reply.code != ReplyCode.SUCCESS:
            return _Step.FAILED
        isAssociated = self._command == Command.UDP_ASSOCIATE
        return _Step.ASSOCIATED if isAssociated else _Step.SUCCEEDED

    def _judge(self, reply: AuthenticationReply) -> ClientEvent:
        """
        See what an Authentication Reply means.

        @raise MalformedMessage: It demands what it may not.
        """
        if reply.result is AuthenticationResult.SUCCESS:
            isBind = self._command == Command.BIND
            self._advance(_Step.BIND_AUTHENTICATED if isBind else _Step.AUTHENTICATED)
            return Authenticated(reply)
        if reply.method == AuthenticationMethod.NONE_ACCEPTABLE:
            self._advance(_Step.REFUSED)
            return AuthenticationRefused(reply)
        if self.state is ClientState.FINAL_VERDICT:
            raise MalformedMessage("the proxy demands authentication once more")
        if (
            reply.method != AuthenticationMethod.USERNAME_PASSWORD
            or reply.method not in self._methods
        ):
            raise MalformedMessage(f"the proxy demands method {int(reply.method)}, not offered")
        self._advance(_Step.CREDENTIALS_DEMANDED)
        return CredentialsDemanded()

    def endOfInput(self) -> None:
        """
        Learn that the proxy sends nothing more.

        @raise VersionMismatch: That was its Version Mismatch Reply.
        @raise UnexpectedEnd: It should have: a message is waited for.
        """
        if self.state is ClientState.VERDICT and self._codec.isVersionMismatchReply(self._buffer):
            raise VersionMismatch("the proxy does not speak this version of SOCKS 6")
        if self.state not in (ClientState.OPEN, ClientState.CLOSED):
            raise UnexpectedEnd("the connection ended before the proxy's replies did")

    def takeData(self) -> bytes:
        """
        Hand over the application data that came behind the replies, once.

        @raise UsageError: The replies are not complete.
        """
        if self.state is not ClientState.OPEN:
            raise UsageError(f"no application data in state {self.state.name}")
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _advance(self, step: _Step) -> None:
        """
        Go to the next state.

        @raise UsageError: There is none.
        """
        self.state = following(TRANSITIONS, self.state, step)
