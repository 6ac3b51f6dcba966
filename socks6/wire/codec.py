"""
What a draft's folder offers to the stages below.

A draft is a module with these functions; the machines are given one and name
none, so that another draft is another module and nothing else.

The C{...Length} functions find a message's end.  Each returns how many octets
the message takes in all, as far as what is there can tell: a number above
C{len(octets)} says that so many are needed before more can be said, any other
is the message's length.  Each costs constant time, however often it is called
and however much is there, and each complains as soon as the first wrong octet
is there: call it whenever something came, not only when enough did.
"""

from __future__ import annotations

from typing import Protocol

from socks6.values.messages import (
    AssociationInitialization,
    AuthenticationReply,
    DatagramHeader,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
from socks6.values.options import UsernamePassword

#: What the length functions read.
Octets = bytes | bytearray


class Codec(Protocol):
    """
    The spelling of one draft.
    """

    def requestLength(self, octets: Octets) -> int:
        """
        Find the end of a request.

        @raise VersionMismatch: It begins with another version.
        @raise MalformedMessage: It cannot be a request.
        """

    def decodeRequest(self, octets: bytes) -> Request:
        """
        Read a whole request.

        @raise VersionMismatch: It begins with another version.
        @raise MalformedMessage: It is not well-formed.
        """

    def encodeRequest(self, request: Request) -> bytes:
        """
        Write a request.

        @raise ValueError: Its options take too many octets together.
        """

    def encodeVersionMismatchReply(self) -> bytes:
        """
        Write a Version Mismatch Reply.
        """

    def isVersionMismatchReply(self, octets: Octets) -> bool:
        """
        Tell whether octets, the last ones of their connection, are a Version
        Mismatch Reply.
        """

    def authenticationReplyLength(self, octets: Octets) -> int:
        """
        Find the end of an Authentication Reply.

        @raise NotSOCKS6: It begins as no SOCKS 6 reply does.
        @raise VersionMismatch: It begins with another version.
        @raise MalformedMessage: It cannot be an Authentication Reply.
        """

    def decodeAuthenticationReply(self, octets: bytes) -> AuthenticationReply:
        """
        Read a whole Authentication Reply.

        @raise NotSOCKS6: It begins as no SOCKS 6 reply does.
        @raise VersionMismatch: It begins with another version.
        @raise MalformedMessage: It is not well-formed.
        """

    def encodeAuthenticationReply(self, reply: AuthenticationReply) -> bytes:
        """
        Write an Authentication Reply.

        @raise ValueError: Its options take too many octets together.
        """

    def operationReplyLength(self, octets: Octets) -> int:
        """
        Find the end of an Operation Reply.

        @raise MalformedMessage: It cannot be an Operation Reply.
        """

    def decodeOperationReply(self, octets: bytes) -> OperationReply:
        """
        Read a whole Operation Reply.

        @raise MalformedMessage: It is not well-formed.
        """

    def encodeOperationReply(self, reply: OperationReply) -> bytes:
        """
        Write an Operation Reply.

        @raise ValueError: Its options take too many octets together.
        """

    def usernamePasswordLength(self, octets: Octets) -> int:
        """
        Find the end of a user name and password message.

        @raise MalformedMessage: It cannot be such a message.
        """

    def decodeUsernamePassword(self, octets: bytes) -> UsernamePassword:
        """
        Read a whole user name and password message.

        @raise MalformedMessage: It is not well-formed.
        """

    def encodeUsernamePassword(self, credentials: UsernamePassword) -> bytes:
        """
        Write a user name and password message.
        """

    def usernamePasswordReplyLength(self, octets: Octets) -> int:
        """
        Find the end of the answer to a user name and password.

        @raise MalformedMessage: It cannot be such an answer.
        """

    def decodeUsernamePasswordReply(self, octets: bytes) -> UsernamePasswordReply:
        """
        Read a whole answer to a user name and password.

        @raise MalformedMessage: It is not well-formed.
        """

    def encodeUsernamePasswordReply(self, reply: UsernamePasswordReply) -> bytes:
        """
        Write the answer to a user name and password.
        """

    def associationInitializationLength(self, octets: Octets) -> int:
        """
        Find the end of an Association Initialization.
        """

    def decodeAssociationInitialization(self, octets: bytes) -> AssociationInitialization:
        """
        Read a whole Association Initialization.

        @raise MalformedMessage: It is not well-formed.
        """

    def encodeAssociationInitialization(self, message: AssociationInitialization) -> bytes:
        """
        Write an Association Initialization.
        """

    def associationConfirmationLength(self, octets: Octets) -> int:
        """
        Find the end of an Association Confirmation.

        @raise MalformedMessage: It cannot be such a message.
        """

    def encodeAssociationConfirmation(self) -> bytes:
        """
        Write an Association Confirmation.
        """

    def datagramHeaderLength(self, datagram: bytes) -> int:
        """
        Find the end of a datagram's header: the payload follows.

        @raise VersionMismatch: It begins with another version.
        @raise MalformedMessage: It is not well-formed, or ends too early.
        """

    def decodeDatagramHeader(self, datagram: bytes) -> tuple[DatagramHeader, int]:
        """
        Read the header of a datagram.

        @return: The header, and how many octets it takes: the payload follows.
        @raise VersionMismatch: It begins with another version.
        @raise MalformedMessage: It is not well-formed.
        """

    def encodeDatagramHeader(self, header: DatagramHeader) -> bytes:
        """
        Write the header of a datagram.
        """
