"""
The protocol's numbers and limits, as far as they carry meaning.

Numbers that only spell a message (option kinds, address types) belong to the
draft that spells it, in L{socks6.wire}.  A number from a peer that is not in
one of these enumerations stays a plain C{int}.
"""

from __future__ import annotations

from enum import IntEnum

#: Octets that the options of one message may take together.
MAX_OPTIONS_LENGTH = 16384

#: Octets of application data that may stand before a method's own messages.
MAX_INITIAL_DATA_LENGTH = 16384

#: Octets of a domain name.
MAX_DOMAIN_NAME_LENGTH = 255

#: Octets of a user name, and of a password (RFC 1929).
MAX_CREDENTIAL_LENGTH = 255

#: Octets of a session ID: what fits into one option of a message's options.
MAX_SESSION_ID_LENGTH = MAX_OPTIONS_LENGTH - 4

#: Tokens in a window: their circle has 2**32 places, a window less than half.
MAX_TOKEN_WINDOW_SIZE = 2**31 - 1

#: Tokens are numbers modulo this.
TOKEN_MODULUS = 2**32

MAX_PORT = 65535


class Command(IntEnum):
    """
    What a request asks for.

    @see: draft 06, "Requests".
    """

    NOOP = 0
    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


class AuthenticationMethod(IntEnum):
    """
    The authentication methods of SOCKS 5, which SOCKS 6 keeps.

    @see: draft 06, "Authentication Method options"; RFC 1928, section 3.
    """

    NONE_REQUIRED = 0x00
    GSSAPI = 0x01
    USERNAME_PASSWORD = 0x02
    NONE_ACCEPTABLE = 0xFF


class AuthenticationResult(IntEnum):
    """
    The type of an Authentication Reply.

    @see: draft 06, "Version Mismatch and Authentication Replies".
    """

    SUCCESS = 0
    FURTHER_AUTHENTICATION_NEEDED = 1


class ReplyCode(IntEnum):
    """
    How the requested operation went.

    @see: draft 06, "Operation Replies".
    """

    SUCCESS = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8
    TIMED_OUT = 9


class Leg(IntEnum):
    """
    The part of the way that a stack option speaks of, as a set of bits.

    @see: draft 06, "Stack options".
    """

    CLIENT_PROXY = 1
    PROXY_REMOTE = 2
    BOTH = 3

    def overlaps(self, other: Leg) -> bool:
        """
        Tell whether there is a leg that both speak of.
        """
        return bool(self.value & other.value)


class MultipathScheduler(IntEnum):
    """
    How Multipath TCP spreads segments over its subflows.

    @see: draft 06, "Multipath TCP Scheduler options".
    """

    LOWEST_LATENCY_FIRST = 1
    REDUNDANT = 2


class TokenOutcome(IntEnum):
    """
    What became of a token that a request spent.

    @see: draft 06, "Spending a token".
    """

    SUCCESS = 1
    NO_WINDOW = 2
    OUT_OF_WINDOW = 3
    DUPLICATE = 4
