"""
Messages with their octets, written by hand from the draft's field tables, for
tests that hold for every kind of message.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from socks6.values.address import UNSPECIFIED_IPV6, Address, DomainName
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import (
    AssociationInitialization,
    AuthenticationReply,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
from socks6.values.options import (
    ListenBacklog,
    MultipathTCP,
    OptionList,
    SessionID,
    SessionRequest,
    TokenExpenditure,
    UnknownOption,
    UsernamePassword,
)
from socks6.wire import draft06
from tests.wire.spelling import Spelling, golden

REQUEST = Spelling("request", draft06.requestLength, draft06.decodeRequest, draft06.encodeRequest)
AUTHENTICATION_REPLY = Spelling(
    "Authentication Reply",
    draft06.authenticationReplyLength,
    draft06.decodeAuthenticationReply,
    draft06.encodeAuthenticationReply,
)
OPERATION_REPLY = Spelling(
    "Operation Reply",
    draft06.operationReplyLength,
    draft06.decodeOperationReply,
    draft06.encodeOperationReply,
)
USERNAME_PASSWORD = Spelling(
    "user name and password",
    draft06.usernamePasswordLength,
    draft06.decodeUsernamePassword,
    draft06.encodeUsernamePassword,
)
USERNAME_PASSWORD_REPLY = Spelling(
    "answer to a user name and password",
    draft06.usernamePasswordReplyLength,
    draft06.decodeUsernamePasswordReply,
    draft06.encodeUsernamePasswordReply,
)
ASSOCIATION_INITIALIZATION = Spelling(
    "Association Initialization",
    draft06.associationInitializationLength,
    draft06.decodeAssociationInitialization,
    draft06.encodeAssociationInitialization,
)


EXAMPLE = DomainName(b"example.com")

GOLDENS = (
    golden(
        "CONNECT to an IPv4 address",
        REQUEST,
        "0600 01 01bb 01 c0000201 0000",
        [6, 10, 12],
        Request(Command.CONNECT, Address(IPv4Address("192.0.2.1"), 443)),
    ),
    golden(
        "BIND to any IPv6 address, with options",
        REQUEST,
        "0600 02 0000 04 00000000000000000000000000000000 000b 01000784040002 04000401",
        [6, 22, 24, 35],
        Request(Command.BIND, UNSPECIFIED_IPV6, OptionList([ListenBacklog(2), SessionRequest()])),
    ),
    golden(
        "UDP ASSOCIATE at a name, with an option",
        REQUEST,
        "0600 03 0035 03 0b 6578616d706c652e636f6d 0008 0500080300000007",
        [6, 7, 18, 20, 28],
        Request(Command.UDP_ASSOCIATE, Address(EXAMPLE, 53), OptionList([TokenExpenditure(7)])),
    ),
    golden(
        "failure",
        AUTHENTICATION_REPLY,
        "0600 01 ff 0000",
        [6],
        AuthenticationReply(
            AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED,
            AuthenticationMethod.NONE_ACCEPTABLE,
        ),
    ),
    golden(
        "success, with options",
        AUTHENTICATION_REPLY,
        "0600 00 02 000f 04000c020123456789abcdef e00003",
        [6, 21],
        AuthenticationReply(
            AuthenticationResult.SUCCESS,
            AuthenticationMethod.USERNAME_PASSWORD,
            OptionList([SessionID(bytes.fromhex("0123456789abcdef")), UnknownOption(0xE0, b"")]),
        ),
    ),
    golden(
        "success at an IPv4 address, with an option",
        OPERATION_REPLY,
        "00 9c40 01 cb007105 0005 0100058402",
        [4, 8, 10, 15],
        OperationReply(
            ReplyCode.SUCCESS,
            Address(IPv4Address("203.0.113.5"), 40000),
            OptionList([MultipathTCP()]),
        ),
    ),
    golden(
        "failure at an IPv6 address",
        OPERATION_REPLY,
        "09 0438 04 20010db8000000000000000000000001 0000",
        [4, 20, 22],
        OperationReply(ReplyCode.TIMED_OUT, Address(IPv6Address("2001:db8::1"), 1080)),
    ),
    golden(
        "failure at a name",
        OPERATION_REPLY,
        "04 ffff 03 0b 6578616d706c652e636f6d 0000",
        [4, 5, 16, 18],
        OperationReply(ReplyCode.HOST_UNREACHABLE, Address(EXAMPLE, 65535)),
    ),
    golden(
        "alice",
        USERNAME_PASSWORD,
        "01 05 616c696365 06 736563726574",
        [2, 8, 14],
        UsernamePassword(b"alice", b"secret"),
    ),
    golden("success", USERNAME_PASSWORD_REPLY, "01 00", [2], UsernamePasswordReply(0)),
    golden("failure", USERNAME_PASSWORD_REPLY, "01 ff", [2], UsernamePasswordReply(255)),
    golden(
        "any", ASSOCIATION_INITIALIZATION, "deadbeef", [4], AssociationInitialization(0xDEADBEEF)
    ),
)

#: Octets that come before the length of the options, in the messages that have
#: options.
HEADS: Mapping[Spelling, bytes] = {
    REQUEST: bytes.fromhex("0600 01 01bb 01 c0000201"),
    AUTHENTICATION_REPLY: bytes.fromhex("0600 00 00"),
    OPERATION_REPLY: bytes.fromhex("00 9c40 01 cb007105"),
}

#: Octets of options that make any message malformed.
BROKEN_OPTIONS: Mapping[str, bytes] = {
    "one stray octet": bytes.fromhex("04"),
    "two stray octets": bytes.fromhex("04 00"),
    "stray octets behind an option": bytes.fromhex("04000401 0400"),
    "an option of length 0": bytes.fromhex("e0 0000 00"),
    "an option of length 1": bytes.fromhex("e0 0001 00"),
    "an option of length 2": bytes.fromhex("e0 0002 00"),
    "an option that reaches one octet past the end": bytes.fromhex("e0 0005 00"),
    "an option that reaches far past the end": bytes.fromhex("e0 ffff 00"),
    "a second option that reaches past the end": bytes.fromhex("04000401 e0 0004"),
    "too much initial data": bytes.fromhex("02 0005 4001"),
    "too much initial data, with a method": bytes.fromhex("02 0006 ffff 02"),
}
