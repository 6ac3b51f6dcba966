"""
The spelling of draft -06, a L{codec<socks6.wire.codec.Codec>}.

Where the draft contradicts itself, the function concerned tells what it prints
and what we do.  All numbers are in network byte order.

@see: draft-olteanu-intarea-socks-6-06.
"""

from socks6.wire.draft06.datagram import (
    datagramHeaderLength,
    decodeDatagramHeader,
    encodeDatagramHeader,
)
from socks6.wire.draft06.framing import (
    associationConfirmationLength,
    associationInitializationLength,
    authenticationReplyLength,
    isVersionMismatchReply,
    operationReplyLength,
    requestLength,
)
from socks6.wire.draft06.messages import (
    decodeAssociationInitialization,
    decodeAuthenticationReply,
    decodeOperationReply,
    decodeRequest,
    encodeAssociationConfirmation,
    encodeAssociationInitialization,
    encodeAuthenticationReply,
    encodeOperationReply,
    encodeRequest,
    encodeVersionMismatchReply,
)
from socks6.wire.password import (
    decodeUsernamePassword,
    decodeUsernamePasswordReply,
    encodeUsernamePassword,
    encodeUsernamePasswordReply,
    usernamePasswordLength,
    usernamePasswordReplyLength,
)

__all__ = [
    "associationConfirmationLength",
    "associationInitializationLength",
    "authenticationReplyLength",
    "datagramHeaderLength",
    "decodeAssociationInitialization",
    "decodeAuthenticationReply",
    "decodeDatagramHeader",
    "decodeOperationReply",
    "decodeRequest",
    "decodeUsernamePassword",
    "decodeUsernamePasswordReply",
    "encodeAssociationConfirmation",
    "encodeAssociationInitialization",
    "encodeAuthenticationReply",
    "encodeDatagramHeader",
    "encodeOperationReply",
    "encodeRequest",
    "encodeUsernamePassword",
    "encodeUsernamePasswordReply",
    "encodeVersionMismatchReply",
    "isVersionMismatchReply",
    "operationReplyLength",
    "requestLength",
    "usernamePasswordLength",
    "usernamePasswordReplyLength",
]
