"""
The options of requests and replies, one class each.

@see: draft 06, "SOCKS Options".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from socks6.values.codes import (
    MAX_CREDENTIAL_LENGTH,
    MAX_INITIAL_DATA_LENGTH,
    MAX_OPTIONS_LENGTH,
    MAX_SESSION_ID_LENGTH,
    MAX_TOKEN_WINDOW_SIZE,
    TOKEN_MODULUS,
    AuthenticationMethod,
    Leg,
    MultipathScheduler,
    TokenOutcome,
)


def _inRange(what: str, number: int, least: int, most: int) -> None:
    """
    Check that a field's number fits.

    @raise ValueError: It does not.
    """
    if not least <= number <= most:
        raise ValueError(f"{what} not within {least} to {most}: {number}")


@dataclass(frozen=True, slots=True)
class IPTypeOfService:
    """
    The IP type of service (IPv4) or traffic class (IPv6) of packets sent.

    @ivar leg: On which leg.
    @ivar tos: The octet, 0 to 255.
    """

    leg: Leg
    tos: int

    def __post_init__(self) -> None:
        """
        Check the value.

        @raise ValueError: C{tos} is not an octet.
        """
        _inRange("type of service", self.tos, 0, 255)


@dataclass(frozen=True, slots=True)
class TCPFastOpen:
    """
    The wish for TCP Fast Open on the proxy-remote leg.

    @ivar payloadSize: The most octets to send in the SYN; 0: as many as fit.
    """

    payloadSize: int
    leg: Leg = field(default=Leg.PROXY_REMOTE, init=False)

    def __post_init__(self) -> None:
        """
        Check the value.

        @raise ValueError: C{payloadSize} does not fit into two octets.
        """
        _inRange("payload size", self.payloadSize, 0, 65535)


@dataclass(frozen=True, slots=True)
class MultipathTCP:
    """
    The news that the proxy-remote leg is a Multipath TCP connection.
    """

    leg: Leg = field(default=Leg.PROXY_REMOTE, init=False)


@dataclass(frozen=True, slots=True)
class MultipathSchedulerChoice:
    """
    The Multipath TCP scheduler of a leg.
    """

    leg: Leg
    scheduler: MultipathScheduler


@dataclass(frozen=True, slots=True)
class ListenBacklog:
    """
    The wish to accept more than one connection of a BIND.

    @ivar backlog: Connections that may wait, 2 to 65535.
    """

    backlog: int
    leg: Leg = field(default=Leg.PROXY_REMOTE, init=False)

    def __post_init__(self) -> None:
        """
        Check the value.

        @raise ValueError: C{backlog} is out of range.
        """
        _inRange("backlog", self.backlog, 2, 65535)


@dataclass(frozen=True, slots=True)
class AuthenticationMethods:
    """
    The methods that the client could use, besides none.

    @ivar initialDataLength: Octets of application data, 0 to 16384, that stand
        between a CONNECT request and the first message of a method.
    @ivar methods: Their numbers, the client's preferred one first.
    """

    initialDataLength: int
    methods: tuple[AuthenticationMethod | int, ...]

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: One of them is out of range.
        """
        _inRange("initial data length", self.initialDataLength, 0, MAX_INITIAL_DATA_LENGTH)
        _inRange("number of methods", len(self.methods), 0, MAX_OPTIONS_LENGTH - 5)
        for method in self.methods:
            _inRange("authentication method", method, 0, 255)


@dataclass(frozen=True, slots=True)
class UsernamePassword:
    """
    A user's name and password (RFC 1929), in an Authentication Data option or
    as the method's own message.

    @ivar username: 1 to 255 octets.
    @ivar password: 1 to 255 octets; never shown.
    """

    username: bytes
    password: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """
        Check the sizes.

        @raise ValueError: One is empty or too long.
        """
        _inRange("length of user name", len(self.username), 1, MAX_CREDENTIAL_LENGTH)
        _inRange("length of password", len(self.password), 1, MAX_CREDENTIAL_LENGTH)


@dataclass(frozen=True, slots=True)
class AuthenticationData:
    """
    Data of an authentication method that has no class of its own.

    @ivar method: The method's number, 0 to 255; not that of L{UsernamePassword}.
    @ivar data: Opaque, never shown: it may be a credential.
    """

    method: AuthenticationMethod | int
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: One is out of range.
        """
        _inRange("authentication method", self.method, 0, 255)
        if self.method == AuthenticationMethod.USERNAME_PASSWORD:
            raise ValueError("user names and passwords have a class of their own")
        _inRange("length of authentication data", len(self.data), 0, MAX_OPTIONS_LENGTH - 4)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """
    The client's wish to open a session.
    """


@dataclass(frozen=True, slots=True)
class SessionID:
    """
    The name of a session: a secret that only its client and the proxy know.

    @ivar identifier: Octets, never shown.  An empty one names no session; it
        can be built because a proxy must tell it from no ID at all.
    """

    identifier: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """
        Check the size.

        @raise ValueError: The ID is too long for an option.
        """
        _inRange("length of session ID", len(self.identifier), 0, MAX_SESSION_ID_LENGTH)


@dataclass(frozen=True, slots=True)
class SessionTeardown:
    """
    The client's wish to end the session.
    """


@dataclass(frozen=True, slots=True)
class SessionOK:
    """
    The news that the request belongs to the session it named.
    """


@dataclass(frozen=True, slots=True)
class SessionInvalid:
    """
    The news that there is no such session.
    """


@dataclass(frozen=True, slots=True)
class SessionUntrusted:
    """
    The news that requests of the new session must still authenticate.
    """


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """
    The wish for a token window.

    @ivar windowSize: Tokens asked for, 1 to 2**31 - 1.
    """

    windowSize: int

    def __post_init__(self) -> None:
        """
        Check the value.

        @raise ValueError: C{windowSize} is out of range.
        """
        _inRange("token window size", self.windowSize, 1, MAX_TOKEN_WINDOW_SIZE)


@dataclass(frozen=True, slots=True)
class TokenWindowAdvertisement:
    """
    The window that tokens may be taken from: C{base} and what follows it, in
    all C{size} tokens, modulo 2**32.

    @ivar base: The first token, 0 to 2**32 - 1.
    @ivar size: How many, 1 to 2**31 - 1.
    """

    base: int
    size: int

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: One is out of range.
        """
        _inRange("token window base", self.base, 0, TOKEN_MODULUS - 1)
        _inRange("token window size", self.size, 1, MAX_TOKEN_WINDOW_SIZE)


@dataclass(frozen=True, slots=True)
class TokenExpenditure:
    """
    A token that the request spends.

    @ivar token: 0 to 2**32 - 1.
    """

    token: int

    def __post_init__(self) -> None:
        """
        Check the value.

        @raise ValueError: C{token} is out of range.
        """
        _inRange("token", self.token, 0, TOKEN_MODULUS - 1)


@dataclass(frozen=True, slots=True)
class TokenExpenditureReply:
    """
    What became of the token.
    """

    outcome: TokenOutcome


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """
    An option that means nothing to us: of a kind that we do not know, or of a
    known kind with content that we do not understand.

    @ivar kind: 0 to 255.
    @ivar data: What the option holds; never shown, as it could be a secret.
    """

    kind: int
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: One is out of range.
        """
        _inRange("option kind", self.kind, 0, 255)
        _inRange("length of option data", len(self.data), 0, MAX_OPTIONS_LENGTH - 3)


StackOption = (
    IPTypeOfService | TCPFastOpen | MultipathTCP | MultipathSchedulerChoice | ListenBacklog
)

Option = (
    StackOption
    | AuthenticationMethods
    | UsernamePassword
    | AuthenticationData
    | SessionRequest
    | SessionID
    | SessionTeardown
    | SessionOK
    | SessionInvalid
    | SessionUntrusted
    | TokenRequest
    | TokenWindowAdvertisement
    | TokenExpenditure
    | TokenExpenditureReply
    | UnknownOption
)

_OptionType = TypeVar("_OptionType")
_StackOptionType = TypeVar(
    "_StackOptionType",
    IPTypeOfService,
    TCPFastOpen,
    MultipathTCP,
    MultipathSchedulerChoice,
    ListenBacklog,
)


class OptionList(tuple[Option, ...]):
    """
    The options of one message in the order in which they stand, with look-ups
    that hold to the rule "of two that say the same or contradict one another,
    the first counts".
    """

    __slots__ = ()

    def first(self, optionType: type[_OptionType]) -> _OptionType | None:
        """
        Find the option of a type that counts.

        @return: The first one, or L{None} where there is none.
        """
        for option in self:
            if isinstance(option, optionType):
                return option
        return None

    def stack(self, optionType: type[_StackOptionType]) -> Iterator[_StackOptionType]:
        """
        Find the stack options of a type that count: those of which no leg has
        been spoken of before.
        """
        seen = 0
        for option in self:
            if isinstance(option, optionType) and not option.leg & seen:
                seen |= option.leg
                yield option


NO_OPTIONS = OptionList()
