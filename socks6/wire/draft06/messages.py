"""
Requests and replies on the wire.
"""

from __future__ import annotations

from struct import Struct

from socks6.values.address import Address
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import (
    AssociationInitialization,
    AuthenticationReply,
    OperationReply,
    Request,
)
from socks6.values.options import OptionList
from socks6.wire.address import addressEnd, decodeHost, encodeHost
from socks6.wire.draft06.framing import (
    associationInitializationLength,
    authenticationReplyLength,
    operationReplyLength,
    requestLength,
)
from socks6.wire.draft06.numbers import VERSION, known
from socks6.wire.draft06.options import decodeOptions, encodeOptions
from socks6.wire.framing import checkWhole

_REQUEST_HEAD = Struct("!2sBH")
_AUTHENTICATION_REPLY_HEAD = Struct("!2sBB")
_OPERATION_REPLY_HEAD = Struct("!BH")
_ASSOCIATION_ID = Struct("!I")


def _decodeAddressAndOptions(
    octets: bytes, typeOffset: int, port: int
) -> tuple[Address, OptionList]:
    """
    Read what requests and Operation Replies end with::

        address length:2 options:length
    """
    end = addressEnd(octets, typeOffset)
    return Address(decodeHost(octets, typeOffset, end), port), decodeOptions(octets, end + 2)


def encodeRequest(request: Request) -> bytes:
    """
    Write a request.

    @return: 12 to 16648 octets::

        version:2=0x0600 command:1 port:2 address length:2 options:length

    @raise ValueError: The options take more than 16384 octets together.
    @see: draft 06, "Requests".  Its overview puts the address before the port
        and counts the methods in a field of their own; the field tables hold.
    """
    return b"".join(
        (
            _REQUEST_HEAD.pack(VERSION, request.command, request.address.port),
            encodeHost(request.address.host),
            encodeOptions(request.options),
        )
    )


def decodeRequest(octets: bytes) -> Request:
    """
    Read a whole request.

    @raise VersionMismatch: It begins with another version.
    @raise MalformedMessage: It is not exactly one well-formed request.
    @see: L{encodeRequest}
    """
    checkWhole(octets, requestLength(octets))
    _, command, port = _REQUEST_HEAD.unpack_from(octets)
    address, options = _decodeAddressAndOptions(octets, _REQUEST_HEAD.size, port)
    return Request(known(Command, command), address, options)


def encodeVersionMismatchReply() -> bytes:
    """
    Write a Version Mismatch Reply.

    @return: 2 octets::

        version:2=0x0600

    @see: draft 06, "Version Mismatch and Authentication Replies".
    """
    return VERSION


def encodeAuthenticationReply(reply: AuthenticationReply) -> bytes:
    """
    Write an Authentication Reply.

    @return: 6 to 16390 octets::

        version:2=0x0600 type:1 method:1 length:2 options:length

    @raise ValueError: The options take more than 16384 octets together.
    @see: draft 06, "Version Mismatch and Authentication Replies".
    """
    head = _AUTHENTICATION_REPLY_HEAD.pack(VERSION, reply.result, reply.method)
    return head + encodeOptions(reply.options)


def decodeAuthenticationReply(octets: bytes) -> AuthenticationReply:
    """
    Read a whole Authentication Reply.

    @raise NotSOCKS6: It begins as no SOCKS 6 reply does.
    @raise VersionMismatch: It begins with another version.
    @raise MalformedMessage: It is not exactly one well-formed reply.
    @see: L{encodeAuthenticationReply}
    """
    checkWhole(octets, authenticationReplyLength(octets))
    _, result, method = _AUTHENTICATION_REPLY_HEAD.unpack_from(octets)
    return AuthenticationReply(
        AuthenticationResult(result),
        known(AuthenticationMethod, method),
        decodeOptions(octets, _AUTHENTICATION_REPLY_HEAD.size + 2),
    )


def encodeOperationReply(reply: OperationReply) -> bytes:
    """
    Write an Operation Reply.

    @return: 10 to 16646 octets::

        code:1 port:2 address length:2 options:length

    @raise ValueError: The options take more than 16384 octets together.
    @see: draft 06, "Operation Replies".
    """
    return b"".join(
        (
            _OPERATION_REPLY_HEAD.pack(reply.code, reply.address.port),
            encodeHost(reply.address.host),
            encodeOptions(reply.options),
        )
    )


def decodeOperationReply(octets: bytes) -> OperationReply:
    """
    Read a whole Operation Reply.

    @raise MalformedMessage: It is not exactly one well-formed reply.
    @see: L{encodeOperationReply}
    """
    checkWhole(octets, operationReplyLength(octets))
    code, port = _OPERATION_REPLY_HEAD.unpack_from(octets)
    address, options = _decodeAddressAndOptions(octets, _OPERATION_REPLY_HEAD.size, port)
    return OperationReply(known(ReplyCode, code), address, options)


def encodeAssociationInitialization(message: AssociationInitialization) -> bytes:
    """
    Write an Association Initialization.

    @return: 4 octets::

        associationID:4

    @see: draft 06, "Handling UDP ASSOCIATE".
    """
    return _ASSOCIATION_ID.pack(message.associationID)


def decodeAssociationInitialization(octets: bytes) -> AssociationInitialization:
    """
    Read a whole Association Initialization.

    @raise MalformedMessage: It has another size.
    @see: L{encodeAssociationInitialization}
    """
    checkWhole(octets, associationInitializationLength(octets))
    return AssociationInitialization(*_ASSOCIATION_ID.unpack(octets))


def encodeAssociationConfirmation() -> bytes:
    """
    Write an Association Confirmation.

    @return: 1 octet::

        status:1=0x00

    @see: draft 06, "Handling UDP ASSOCIATE".
    """
    return b"\0"
