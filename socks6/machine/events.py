"""
What the machines learn from their peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import UsernamePassword


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


ServerEvent = RequestReceived | CredentialsReceived
ClientEvent = CredentialsDemanded | Authenticated | AuthenticationRefused | OperationReplied
