"""
The client's side of a conversation in SOCKS 5, from its methods to the last reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from socks6.machine.buffer import takeMessage
from socks6.machine.events import (
    SOCKS5Answered,
    SOCKS5AuthenticationRefused,
    SOCKS5ClientEvent,
    SOCKS5Replied,
)
from socks6.machine.table import following
from socks6.values.codes import AuthenticationMethod, Command
from socks6.values.options import UsernamePassword
from socks6.wire import password, socks5
from socks6.wire.errors import MalformedMessage, UnexpectedEnd, UsageError
from socks6.wire.socks5 import SOCKS5Request


class SOCKS5ClientState(Enum):
    """
    What the client's side of a connection waits for.
    """

    #: Our methods to be sent.
    IDLE = auto()
    #: The server's choice of one.
    CHOICE = auto()
    #: The server's word on our user name and password.
    CREDENTIALS_CHECK = auto()
    #: The first reply to BIND, which tells where the server listens.
    BINDING = auto()
    #: The reply; to BIND, the second one.
    RESULT = auto()
    #: Nothing: what the server sends is application data.
    OPEN = auto()
    #: Nothing: the connection is to be closed.
    CLOSED = auto()


class _Step(Enum):
    """
    What can happen.
    """

    METHODS_SENT = auto()
    CREDENTIALS_SENT = auto()
    REQUEST_SENT = auto()
    BIND_SENT = auto()
    REFUSED = auto()
    SUCCEEDED = auto()
    FAILED = auto()


#: (state, step) -> next state.  A pair that is absent is an error.
TRANSITIONS: Mapping[tuple[SOCKS5ClientState, _Step], SOCKS5ClientState] = {
    (SOCKS5ClientState.IDLE, _Step.METHODS_SENT): SOCKS5ClientState.CHOICE,
    (SOCKS5ClientState.CHOICE, _Step.CREDENTIALS_SENT): SOCKS5ClientState.CREDENTIALS_CHECK,
    (SOCKS5ClientState.CHOICE, _Step.REQUEST_SENT): SOCKS5ClientState.RESULT,
    (SOCKS5ClientState.CHOICE, _Step.BIND_SENT): SOCKS5ClientState.BINDING,
    (SOCKS5ClientState.CHOICE, _Step.REFUSED): SOCKS5ClientState.CLOSED,
    (SOCKS5ClientState.CREDENTIALS_CHECK, _Step.REQUEST_SENT): SOCKS5ClientState.RESULT,
    (SOCKS5ClientState.CREDENTIALS_CHECK, _Step.BIND_SENT): SOCKS5ClientState.BINDING,
    (SOCKS5ClientState.CREDENTIALS_CHECK, _Step.REFUSED): SOCKS5ClientState.CLOSED,
    (SOCKS5ClientState.BINDING, _Step.SUCCEEDED): SOCKS5ClientState.RESULT,
    (SOCKS5ClientState.BINDING, _Step.FAILED): SOCKS5ClientState.CLOSED,
    (SOCKS5ClientState.RESULT, _Step.SUCCEEDED): SOCKS5ClientState.OPEN,
    (SOCKS5ClientState.RESULT, _Step.FAILED): SOCKS5ClientState.CLOSED,
}


class SOCKS5ClientConnection:
    """
    The client's side of one connection.

    Begin with L{open}, feed it with L{receive}, and write what it answers.  Once an
    operation has succeeded it is out of the way, and L{takeData} hands over what
    came early.

    @ivar state: What is waited for.
    """

    __slots__ = ("_buffer", "_openings", "_request", "state")

    def __init__(
        self,
        request: SOCKS5Request,
        credentials: UsernamePassword | None = None,
        *,
        anonymousToo: bool = False,
    ) -> None:
        """
        Begin a connection.

        @param request: What is wanted.
        @param credentials: Who we are; L{None}: nobody.
        @param anonymousToo: Whether the server may do without the credentials.
            Unless it may, it has to take them or to refuse us.
        """
        self.state = SOCKS5ClientState.IDLE
        self._buffer = bytearray()
        self._request = request
        #: Method that we offer -> the message that it begins with, if it has any.
        self._openings: dict[int, bytes] = {}
        if credentials is not None:
            message = password.encodeUsernamePassword(credentials)
            self._openings[AuthenticationMethod.USERNAME_PASSWORD] = message
        if credentials is None or anonymousToo:
            self._openings[AuthenticationMethod.NONE_REQUIRED] = b""

    def open(self) -> bytes:
        """
        Offer our authentication methods.

        @return: The octets to write.
        @raise UsageError: They have been offered.
        """
        self._advance(_Step.METHODS_SENT)
        return socks5.encodeMethodOffer(tuple(self._openings))

    def receive(self, octets: bytes = b"") -> Iterator[SOCKS5ClientEvent]:
        """
        Take octets of the server, and see what they and those that waited mean.

        @raise PeerError: The server broke the protocol: close.  Nothing more may be
            fed.
        """
        self._buffer += octets
        return self._events()

    def _events(self) -> Iterator[SOCKS5ClientEvent]:
        """
        Read messages for as long as one is waited for and whole.
        """
        buffer = self._buffer
        if self.state is SOCKS5ClientState.CHOICE:
            method = takeMessage(buffer, socks5.methodChoiceLength, socks5.decodeMethodChoice)
            if method is not None:
                yield self._follow(method)
        if self.state is SOCKS5ClientState.CREDENTIALS_CHECK:
            check = takeMessage(
                buffer,
                password.usernamePasswordReplyLength,
                password.decodeUsernamePasswordReply,
            )
            if check is not None:
                yield self._refuse(check.status) if check.status else self._ask()
        while self.state in (SOCKS5ClientState.BINDING, SOCKS5ClientState.RESULT):
            reply = takeMessage(buffer, socks5.replyLength, socks5.decodeReply)
            if reply is None:
                return
            self._advance(_Step.FAILED if reply.code else _Step.SUCCEEDED)
            yield SOCKS5Replied(reply)

    def _follow(self, method: int) -> SOCKS5ClientEvent:
        """
        Do what the method wants that the server chose.

        @raise MalformedMessage: It was not offered.
        """
        if method == AuthenticationMethod.NONE_ACCEPTABLE:
            return self._refuse(None)
        message = self._openings.get(method)
        if message is None:
            raise MalformedMessage(f"the server chose method {method:d}, not offered")
        if not message:
            return self._ask()
        self._advance(_Step.CREDENTIALS_SENT)
        return SOCKS5Answered(message)

    def _ask(self) -> SOCKS5Answered:
        """
        Say what is wanted.
        """
        bind = self._request.command == Command.BIND
        self._advance(_Step.BIND_SENT if bind else _Step.REQUEST_SENT)
        return SOCKS5Answered(socks5.encodeRequest(self._request))

    def _refuse(self, status: int | None) -> SOCKS5AuthenticationRefused:
        """
        Learn that we are not let in.
        """
        self._advance(_Step.REFUSED)
        return SOCKS5AuthenticationRefused(status)

    def endOfInput(self) -> None:
        """
        Learn that the server sends nothing more.

        @raise UnexpectedEnd: It should have: a message is waited for.
        """
        if self.state not in (SOCKS5ClientState.OPEN, SOCKS5ClientState.CLOSED):
            raise UnexpectedEnd("the connection ended before the server's reply did")

    def takeData(self) -> bytes:
        """
        Hand over the application data that came behind the reply, once.

        @raise UsageError: The replies are not complete.
        """
        if self.state is not SOCKS5ClientState.OPEN:
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
