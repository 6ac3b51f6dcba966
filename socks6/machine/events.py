"""
What the machines learn from their peer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import UsernamePassword
from socks6.wire.password import ProgramCredentials
from socks6.wire.socks5 import SOCKS5Reply, SOCKS5Request


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """
    The client's request is whole; it waits for an Authentication Reply.
    """

    request: Request


@dataclass(frozen=True, slots=True)
class CredentialsReceived:
    """
    The client answered the demand for a user name and password.
    """

    credentials: UsernamePassword


@dataclass(frozen=True, slots=True)
class CredentialsDemanded:
    """
    The proxy wants a user name and password.
    """


@dataclass(frozen=True, slots=True)
class Authenticated:
    """
    The proxy let us in, and works on the request.
    """

    reply: AuthenticationReply


@dataclass(frozen=True, slots=True)
class AuthenticationRefused:
    """
    The proxy does not let us in: nothing more will come.
    """

    reply: AuthenticationReply


@dataclass(frozen=True, slots=True)
class OperationReplied:
    """
    The proxy tells how the operation went; if well, the command's own traffic
    follows.
    """

    reply: OperationReply


@dataclass(frozen=True, slots=True)
class AssociationInitialized:
    """
    The UDP association has a name.

    @ivar associationID: The name.
    """

    associationID: int


@dataclass(frozen=True, slots=True)
class AssociationConfirmed:
    """
    The first datagram of the UDP association has come.
    """


@dataclass(frozen=True, slots=True)
class SOCKS5Answered:
    """
    The machine has an answer of its own: write its octets.
    """

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SOCKS5RequestReceived:
    """
    The client's request is whole; it waits for a reply.

    @ivar credentials: What the client said who it is; L{None} if nothing.
    """

    request: SOCKS5Request
    credentials: ProgramCredentials | None


@dataclass(frozen=True, slots=True)
class SOCKS5MethodsRefused:
    """
    The client offered no authentication method that we take; it has been told so,
    and nothing more will come.
    """


@dataclass(frozen=True, slots=True)
class SOCKS5Replied:
    """
    The server tells how the operation went.
    """

    reply: SOCKS5Reply


@dataclass(frozen=True, slots=True)
class SOCKS5AuthenticationRefused:
    """
    The server does not let us in: nothing more will come.

    @ivar status: What it said of our user name and password, 1 to 255; L{None} if it
        did not take the methods that we offered.
    """

    status: int | None


ServerEvent = RequestReceived | CredentialsReceived
ClientEvent = (
    CredentialsDemanded
    | Authenticated
    | AuthenticationRefused
    | OperationReplied
    | AssociationInitialized
    | AssociationConfirmed
)
SOCKS5ServerEvent = SOCKS5Answered | SOCKS5RequestReceived | SOCKS5MethodsRefused
SOCKS5ClientEvent = SOCKS5Answered | SOCKS5Replied | SOCKS5AuthenticationRefused
