"""
The server's side of a conversation in SOCKS 5, from its first octet to the last
reply.

It lets every client in: names and passwords only tell clients from one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from socks6.machine.buffer import takeMessage
from socks6.machine.events import (
    SOCKS5Answered,
    SOCKS5MethodsRefused,
    SOCKS5RequestReceived,
    SOCKS5ServerEvent,
)
from socks6.machine.table import following
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import AuthenticationMethod, Command
from socks6.values.messages import UsernamePasswordReply
from socks6.wire import password, socks5
from socks6.wire.errors import (
    AnotherProtocol,
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    UsageError,
)
from socks6.wire.password import ProgramCredentials
from socks6.wire.replycodes import SOCKS5ReplyCode
from socks6.wire.socks5 import SOCKS5Reply


class SOCKS5ServerState(Enum):
    """
    What the server's side of a connection waits for.
    """

    #: The client's authentication methods.
    OFFER = auto()
    #: The client's user name and password.
    CREDENTIALS = auto()
    #: The client's request.
    REQUEST = auto()
    #: Our first reply to BIND, which tells where we listen.
    BINDING = auto()
    #: Our reply; to BIND, the second one.
    RESULT = auto()
    #: Nothing: what the client sends is application data.
    OPEN = auto()
    #: Nothing: the connection is to be closed.
    CLOSED = auto()


class _Step(Enum):
    """
    What can happen.
    """

    PASSWORD_OFFERED = auto()
    NOTHING_OFFERED = auto()
    NONE_ACCEPTABLE = auto()
    CREDENTIALS_RECEIVED = auto()
    REQUEST_RECEIVED = auto()
    BIND_RECEIVED = auto()
    PEER_FAILED = auto()
    SUCCEEDED = auto()
    FAILED = auto()


#: (state, step) -> next state.  A pair that is absent is the caller's error.
TRANSITIONS: Mapping[tuple[SOCKS5ServerState, _Step], SOCKS5ServerState] = {
    (SOCKS5ServerState.OFFER, _Step.PASSWORD_OFFERED): SOCKS5ServerState.CREDENTIALS,
    (SOCKS5ServerState.OFFER, _Step.NOTHING_OFFERED): SOCKS5ServerState.REQUEST,
    (SOCKS5ServerState.OFFER, _Step.NONE_ACCEPTABLE): SOCKS5ServerState.CLOSED,
    (SOCKS5ServerState.OFFER, _Step.PEER_FAILED): SOCKS5ServerState.CLOSED,
    (SOCKS5ServerState.CREDENTIALS, _Step.CREDENTIALS_RECEIVED): SOCKS5ServerState.REQUEST,
    (SOCKS5ServerState.CREDENTIALS, _Step.PEER_FAILED): SOCKS5ServerState.CLOSED,
    (SOCKS5ServerState.REQUEST, _Step.REQUEST_RECEIVED): SOCKS5ServerState.RESULT,
    (SOCKS5ServerState.REQUEST, _Step.BIND_RECEIVED): SOCKS5ServerState.BINDING,
    (SOCKS5ServerState.REQUEST, _Step.PEER_FAILED): SOCKS5ServerState.CLOSED,
    (SOCKS5ServerState.BINDING, _Step.SUCCEEDED): SOCKS5ServerState.RESULT,
    (SOCKS5ServerState.BINDING, _Step.FAILED): SOCKS5ServerState.CLOSED,
    (SOCKS5ServerState.RESULT, _Step.SUCCEEDED): SOCKS5ServerState.OPEN,
    (SOCKS5ServerState.RESULT, _Step.FAILED): SOCKS5ServerState.CLOSED,
}

#: States in which a message of the client is waited for.
_READING = frozenset(state for state, step in TRANSITIONS if step is _Step.PEER_FAILED)

#: States in which all that the client sends is application data.
_TAKING = frozenset((SOCKS5ServerState.BINDING, SOCKS5ServerState.RESULT, SOCKS5ServerState.OPEN))

#: The method that we choose -> what that means, the one that we prefer first.
_CHOICES: Mapping[AuthenticationMethod, _Step] = {
    AuthenticationMethod.USERNAME_PASSWORD: _Step.PASSWORD_OFFERED,
    AuthenticationMethod.NONE_REQUIRED: _Step.NOTHING_OFFERED,
}


class SOCKS5ServerConnection:
    """
    The server's side of one connection.

    Feed it with L{receive}, and write what it answers; reply with L{send}.  Once an
    operation has succeeded it is out of the way, and L{takeData} hands over what
    came early.

    @ivar state: What is waited for.
    """

    __slots__ = ("_buffer", "_credentials", "state")

    def __init__(self) -> None:
        """
        Begin to wait for the client's methods.
        """
        self.state = SOCKS5ServerState.OFFER
        self._buffer = bytearray()
        self._credentials: ProgramCredentials | None = None

    @property
    def heldLength(self) -> int:
        """
        How many octets wait in here, so that the caller can stop reading.
        """
        return len(self._buffer)

    def receive(self, octets: bytes = b"") -> Iterator[SOCKS5ServerEvent]:
        """
        Take octets of the client, and see what they and those that waited mean.

        @raise PeerError: The client broke the protocol; see L{answer}.  Nothing
            more may be fed.
        """
        self._buffer += octets
        return self._events()

    def _events(self) -> Iterator[SOCKS5ServerEvent]:
        """
        Read messages for as long as one is waited for and whole.
        """
        buffer = self._buffer
        if self.state is SOCKS5ServerState.OFFER:
            methods = takeMessage(buffer, socks5.methodOfferLength, socks5.decodeMethodOffer)
            if methods is not None:
                yield from self._choose(methods)
        if self.state is SOCKS5ServerState.CREDENTIALS:
            self._credentials = takeMessage(
                buffer, password.programCredentialsLength, password.decodeProgramCredentials
            )
            if self._credentials is not None:
                self._advance(_Step.CREDENTIALS_RECEIVED)
                yield SOCKS5Answered(password.encodeUsernamePasswordReply(UsernamePasswordReply(0)))
        if self.state is SOCKS5ServerState.REQUEST:
            request = takeMessage(buffer, socks5.requestLength, socks5.decodeRequest)
            if request is not None:
                bind = request.command == Command.BIND
                self._advance(_Step.BIND_RECEIVED if bind else _Step.REQUEST_RECEIVED)
                yield SOCKS5RequestReceived(request, self._credentials)

    def _choose(
        self, methods: tuple[AuthenticationMethod | int, ...]
    ) -> Iterator[SOCKS5ServerEvent]:
        """
        Choose one of the client's methods.
        """
        for method, step in _CHOICES.items():
            if method in methods:
                self._advance(step)
                yield SOCKS5Answered(socks5.encodeMethodChoice(method))
                return
        self._advance(_Step.NONE_ACCEPTABLE)
        yield SOCKS5Answered(socks5.encodeMethodChoice(AuthenticationMethod.NONE_ACCEPTABLE))
        yield SOCKS5MethodsRefused()

    def endOfInput(self) -> None:
        """
        Learn that the client sends nothing more.

        @raise UnexpectedEnd: It should have: a message is waited for.
        """
        if self.state in _READING:
            raise UnexpectedEnd("the connection ended before the client's message did")

    def send(self, reply: SOCKS5Reply) -> bytes:
        """
        Tell how the operation went; of BIND, that we listen, and then that a host
        has connected.

        @return: The octets to write.
        @raise UsageError: It is not our turn to say that.
        """
        octets = socks5.encodeReply(reply)
        self._advance(_Step.FAILED if reply.code else _Step.SUCCEEDED)
        return octets

    def answer(self, error: PeerError) -> bytes:
        """
        Give what a client gets to hear that broke the protocol; then close.

        @return: The octets to write, maybe none.
        @raise UsageError: No message of the client is waited for.
        """
        state = self.state
        self._advance(_Step.PEER_FAILED)
        if isinstance(error, UnexpectedEnd | AnotherProtocol):
            return b""
        if state is SOCKS5ServerState.OFFER:
            return socks5.encodeMethodChoice(AuthenticationMethod.NONE_ACCEPTABLE)
        if state is SOCKS5ServerState.CREDENTIALS:
            return password.encodeUsernamePasswordReply(UsernamePasswordReply(1))
        code = SOCKS5ReplyCode.GENERAL_FAILURE
        if isinstance(error, UnknownAddressType):
            code = SOCKS5ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
        return socks5.encodeReply(SOCKS5Reply(code, UNSPECIFIED_IPV4))

    def takeData(self) -> bytes:
        """
        Hand over the application data that has come so far, in order, once.

        @raise UsageError: Where it begins cannot be told yet.
        """
        if self.state not in _TAKING:
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
