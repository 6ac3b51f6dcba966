"""
The proxy's side of one connection, from its first octet to the last reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from socks6.machine.buffer import takeMessage
from socks6.machine.events import CredentialsReceived, RequestReceived, ServerEvent
from socks6.machine.table import following
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import (
    AuthenticationReply,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
from socks6.values.options import AuthenticationMethods
from socks6.wire.codec import Codec
from socks6.wire.errors import (
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    UsageError,
    VersionMismatch,
)

#: The refusal that says nothing more.
REFUSAL = AuthenticationReply(
    AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED, AuthenticationMethod.NONE_ACCEPTABLE
)


class ServerState(Enum):
    """
    What the proxy's side of a connection waits for.
    """

    #: The client's request.
    REQUEST = auto()
    #: Our first Authentication Reply.
    VERDICT = auto()
    #: The client's user name and password.
    CREDENTIALS = auto()
    #: Our word on these.
    CREDENTIALS_CHECK = auto()
    #: Our second Authentication Reply; there is no third.
    FINAL_VERDICT = auto()
    #: Our first Operation Reply to BIND, which tells where we listen.
    BINDING = auto()
    #: Our Operation Reply; to BIND, the second one.
    RESULT = auto()
    #: Nothing: what the client sends is application data.
    OPEN = auto()
    #: Nothing: the connection is to be closed.
    CLOSED = auto()


class _Step(Enum):
    """
    What can happen.
    """

    REQUEST_RECEIVED = auto()
    CREDENTIALS_RECEIVED = auto()
    PEER_FAILED = auto()
    AUTHENTICATED = auto()
    BIND_AUTHENTICATED = auto()
    CREDENTIALS_DEMANDED = auto()
    REFUSED = auto()
    CREDENTIALS_ANSWERED = auto()
    SUCCEEDED = auto()
    FAILED = auto()


#: (state, step) -> next state.  A pair that is absent is the caller's error.
TRANSITIONS: Mapping[tuple[ServerState, _Step], ServerState] = {
    (ServerState.REQUEST, _Step.REQUEST_RECEIVED): ServerState.VERDICT,
    (ServerState.REQUEST, _Step.PEER_FAILED): ServerState.CLOSED,
    (ServerState.VERDICT, _Step.AUTHENTICATED): ServerState.RESULT,
    (ServerState.VERDICT, _Step.BIND_AUTHENTICATED): ServerState.BINDING,
    (ServerState.VERDICT, _Step.CREDENTIALS_DEMANDED): ServerState.CREDENTIALS,
    (ServerState.VERDICT, _Step.REFUSED): ServerState.CLOSED,
    (ServerState.CREDENTIALS, _Step.CREDENTIALS_RECEIVED): ServerState.CREDENTIALS_CHECK,
    (ServerState.CREDENTIALS, _Step.PEER_FAILED): ServerState.CLOSED,
    (ServerState.CREDENTIALS_CHECK, _Step.CREDENTIALS_ANSWERED): ServerState.FINAL_VERDICT,
    (ServerState.FINAL_VERDICT, _Step.AUTHENTICATED): ServerState.RESULT,
    (ServerState.FINAL_VERDICT, _Step.BIND_AUTHENTICATED): ServerState.BINDING,
    (ServerState.FINAL_VERDICT, _Step.REFUSED): ServerState.CLOSED,
    (ServerState.BINDING, _Step.SUCCEEDED): ServerState.RESULT,
    (ServerState.BINDING, _Step.FAILED): ServerState.CLOSED,
    (ServerState.RESULT, _Step.SUCCEEDED): ServerState.OPEN,
    (ServerState.RESULT, _Step.FAILED): ServerState.CLOSED,
}

#: States in which all that the client sends is application data.
_TAKING = frozenset((ServerState.BINDING, ServerState.RESULT, ServerState.OPEN))

#: Our messages, as far as this machine sends them.
ServerMessage = AuthenticationReply | UsernamePasswordReply | OperationReply


def _stepOf(message: ServerMessage, isBind: bool) -> _Step:
    """
    Tell what it means to send a message.

    @param isBind: Whether it answers a BIND request.
    @raise UsageError: It is a demand that this machine does not know to go on
        from.
    """
    if isinstance(message, OperationReply):
        return _Step.SUCCEEDED if message.code == ReplyCode.SUCCESS else _Step.FAILED
    if isinstance(message, UsernamePasswordReply):
        return _Step.CREDENTIALS_ANSWERED
    if message.result is AuthenticationResult.SUCCESS:
        return _Step.BIND_AUTHENTICATED if isBind else _Step.AUTHENTICATED
    if message.method == AuthenticationMethod.NONE_ACCEPTABLE:
        return _Step.REFUSED
    if message.method == AuthenticationMethod.USERNAME_PASSWORD:
        return _Step.CREDENTIALS_DEMANDED
    raise UsageError(f"there is no exchange for method {message.method}")


class ServerConnection:
    """
    The proxy's side of one connection.

    Feed it with L{receive}, speak with L{send}; once an operation has succeeded
    it is out of the way, and L{takeData} hands over what came early.

    @ivar state: What is waited for.
    """

    __slots__ = (
        "_buffer",
        "_codec",
        "_data",
        "_initialDataLength",
        "_inputOver",
        "_isBind",
        "state",
    )

    def __init__(self, codec: Codec) -> None:
        """
        Begin to wait for a request.

        @param codec: The spelling to use.
        """
        self.state = ServerState.REQUEST
        self._codec = codec
        #: Octets that have not been looked at: at most what one call brought,
        #: and what L{heldLength} lets the caller bound.
        self._buffer = bytearray()
        #: Application data that came before the client's credentials.
        self._data = bytearray()
        #: How much of that is still to come.
        self._initialDataLength = 0
        self._inputOver = False
        self._isBind = False

    @property
    def heldLength(self) -> int:
        """
        How many octets wait in here, so that the caller can stop reading.
        """
        return len(self._buffer) + len(self._data)

    def receive(self, octets: bytes = b"") -> Iterator[ServerEvent]:
        """
        Take octets of the client, and see what they and those that waited mean.

        The events come one at a time: what is sent in answer to one decides
        how the octets behind it are read.  Call this with nothing after an
        answer that came later.

        @raise PeerError: The client broke the protocol; see L{answer}.  Nothing
            more may be fed.
        """
        self._buffer += octets
        return self._events()

    def _events(self) -> Iterator[ServerEvent]:
        """
        Read messages for as long as one is waited for and whole.
        """
        codec, buffer = self._codec, self._buffer
        if self.state is ServerState.REQUEST:
            request = takeMessage(buffer, codec.requestLength, codec.decodeRequest)
            if request is not None:
                self._initialDataLength = _initialDataLength(request)
                self._isBind = request.command == Command.BIND
                self._advance(_Step.REQUEST_RECEIVED)
                yield RequestReceived(request)
        if self.state is ServerState.CREDENTIALS and self._takeInitialData():
            credentials = takeMessage(
                buffer, codec.usernamePasswordLength, codec.decodeUsernamePassword
            )
            if credentials is not None:
                self._advance(_Step.CREDENTIALS_RECEIVED)
                yield CredentialsReceived(credentials)
        self._checkEnd()

    def _takeInitialData(self) -> bool:
        """
        Put aside the application data that stands before the client's
        credentials.

        @return: Whether it is all there.
        """
        data = self._buffer[: self._initialDataLength]
        del self._buffer[: self._initialDataLength]
        self._data += data
        self._initialDataLength -= len(data)
        return not self._initialDataLength

    def endOfInput(self) -> None:
        """
        Learn that the client sends nothing more.

        @raise UnexpectedEnd: It should have: a message is waited for.  If one
            will be only later, L{receive} raises this then.
        """
        self._inputOver = True
        self._checkEnd()

    def _checkEnd(self) -> None:
        """
        Check that we do not wait for what cannot come.

        @raise UnexpectedEnd: We do.
        """
        if self._inputOver and self.state in (ServerState.REQUEST, ServerState.CREDENTIALS):
            raise UnexpectedEnd("the connection ended before the client's message did")

    def send(self, message: ServerMessage) -> bytes:
        """
        Say something.

        @return: The octets to write.
        @raise UsageError: It is not our turn to say that.
        @raise ValueError: The message's options take too many octets.
        """
        if isinstance(message, AuthenticationReply):
            octets = self._codec.encodeAuthenticationReply(message)
        elif isinstance(message, OperationReply):
            octets = self._codec.encodeOperationReply(message)
        else:
            octets = self._codec.encodeUsernamePasswordReply(message)
        self._advance(_stepOf(message, self._isBind))
        return octets

    def answer(self, error: PeerError, *, anonymous: bool) -> bytes:
        """
        Give what a client gets to hear that broke the protocol; then close.

        @param anonymous: Whether no authentication is needed.
        @return: The octets to write, maybe none.
        @raise UsageError: No message of the client is waited for.
        """
        state = self.state
        self._advance(_Step.PEER_FAILED)
        codec = self._codec
        if isinstance(error, UnexpectedEnd):
            return b""
        if isinstance(error, VersionMismatch):
            return codec.encodeVersionMismatchReply()
        if state is ServerState.CREDENTIALS:
            return codec.encodeUsernamePasswordReply(
                UsernamePasswordReply(1)
            ) + codec.encodeAuthenticationReply(REFUSAL)
        if isinstance(error, UnknownAddressType) and anonymous:
            # What follows the address cannot be found, so neither can what the
            # client would authenticate with.
            return codec.encodeAuthenticationReply(
                AuthenticationReply(
                    AuthenticationResult.SUCCESS, AuthenticationMethod.NONE_REQUIRED
                )
            ) + codec.encodeOperationReply(
                OperationReply(ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED, UNSPECIFIED_IPV4)
            )
        return codec.encodeAuthenticationReply(REFUSAL)

    def peekData(self) -> bytes:
        """
        Show the application data that has come so far, in order.

        @raise UsageError: Where it ends cannot be told yet.
        """
        if self.state not in _TAKING:
            raise UsageError(f"no application data in state {self.state.name}")
        return bytes(self._data + self._buffer)

    def takeData(self) -> bytes:
        """
        Hand over the application data that has come so far, in order, once.

        @raise UsageError: Where it ends cannot be told yet.
        """
        data = self.peekData()
        self._data.clear()
        self._buffer.clear()
        return data

    def _advance(self, step: _Step) -> None:
        """
        Go to the next state.

        @raise UsageError: There is none.
        """
        self.state = following(TRANSITIONS, self.state, step)


def _initialDataLength(request: Request) -> int:
    """
    Tell how many octets of application data stand before the first message of
    an authentication method.

    "Other commands ignore it": only CONNECT has application data so early.
    """
    if request.command != Command.CONNECT:
        return 0
    methods = request.options.first(AuthenticationMethods)
    return methods.initialDataLength if methods else 0
