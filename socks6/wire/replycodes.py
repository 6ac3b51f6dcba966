"""
How an operation went, in the words of SOCKS 4, SOCKS 5 and HTTP: what each says
for a reply code of SOCKS 6, and SOCKS 6 for one of SOCKS 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus

from socks6.values.codes import ReplyCode


class SOCKS4ReplyCode(IntEnum):
    """
    How the requested operation went, in SOCKS 4.

    The last two speak of the user ID.
    """

    GRANTED = 90
    REJECTED = 91
    IDENTD_UNREACHABLE = 92
    IDENTD_MISMATCH = 93


class SOCKS5ReplyCode(IntEnum):
    """
    How the requested operation went, in SOCKS 5.

    @see: RFC 1928, section 6; for the codes from 0xF0 on, which are Tor's (the
        C{ExtendedErrors} of its SocksPort), Tor's proposal 304.
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

    ONION_SERVICE_NOT_FOUND = 0xF0
    ONION_SERVICE_DESCRIPTOR_INVALID = 0xF1
    ONION_SERVICE_INTRODUCTION_FAILED = 0xF2
    ONION_SERVICE_RENDEZVOUS_FAILED = 0xF3
    ONION_SERVICE_WANTS_AUTHORIZATION = 0xF4
    ONION_SERVICE_REFUSES_AUTHORIZATION = 0xF5
    ONION_SERVICE_ADDRESS_INVALID = 0xF6
    ONION_SERVICE_INTRODUCTION_TIMED_OUT = 0xF7


#: Up to here SOCKS 5 and SOCKS 6 count alike.
_LAST_COMMON = ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED

#: What SOCKS 6 says for each code of SOCKS 5: the same where it has the same.
_FROM_SOCKS5: Mapping[int, ReplyCode] = {
    **{code: ReplyCode(code) for code in SOCKS5ReplyCode if code <= _LAST_COMMON},
    SOCKS5ReplyCode.ONION_SERVICE_NOT_FOUND: ReplyCode.HOST_UNREACHABLE,
    SOCKS5ReplyCode.ONION_SERVICE_DESCRIPTOR_INVALID: ReplyCode.HOST_UNREACHABLE,
    SOCKS5ReplyCode.ONION_SERVICE_INTRODUCTION_FAILED: ReplyCode.HOST_UNREACHABLE,
    SOCKS5ReplyCode.ONION_SERVICE_RENDEZVOUS_FAILED: ReplyCode.HOST_UNREACHABLE,
    SOCKS5ReplyCode.ONION_SERVICE_WANTS_AUTHORIZATION: ReplyCode.NOT_ALLOWED,
    SOCKS5ReplyCode.ONION_SERVICE_REFUSES_AUTHORIZATION: ReplyCode.NOT_ALLOWED,
    # As a name that no host can have.
    SOCKS5ReplyCode.ONION_SERVICE_ADDRESS_INVALID: ReplyCode.HOST_UNREACHABLE,
    SOCKS5ReplyCode.ONION_SERVICE_INTRODUCTION_TIMED_OUT: ReplyCode.TIMED_OUT,
}

#: What SOCKS 5 says for each code of SOCKS 6.  It has none for an attempt that
#: has timed out; "TTL expired" is what its servers (Tor's, for one) say then.
_TO_SOCKS5: Mapping[int, SOCKS5ReplyCode] = {
    **{code: SOCKS5ReplyCode(code) for code in ReplyCode if code <= _LAST_COMMON},
    ReplyCode.TIMED_OUT: SOCKS5ReplyCode.TTL_EXPIRED,
}

#: What HTTP says for each code of SOCKS 6, where it is no bad gateway.
_TO_HTTP: Mapping[int, HTTPStatus] = {
    ReplyCode.SUCCESS: HTTPStatus.OK,
    ReplyCode.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    ReplyCode.TTL_EXPIRED: HTTPStatus.GATEWAY_TIMEOUT,
    ReplyCode.COMMAND_NOT_SUPPORTED: HTTPStatus.NOT_IMPLEMENTED,
    ReplyCode.TIMED_OUT: HTTPStatus.GATEWAY_TIMEOUT,
}


def fromSOCKS5(code: int) -> ReplyCode:
    """
    Say with a reply code of SOCKS 6 what one of SOCKS 5 says; "general failure"
    for one that we do not know.
    """
    return _FROM_SOCKS5.get(code, ReplyCode.GENERAL_FAILURE)


def toSOCKS5(code: int) -> SOCKS5ReplyCode:
    """
    Say with a reply code of SOCKS 5 what one of SOCKS 6 says; "general failure"
    for one that we do not know.
    """
    return _TO_SOCKS5.get(code, SOCKS5ReplyCode.GENERAL_FAILURE)


def toSOCKS4(code: int) -> SOCKS4ReplyCode:
    """
    Say with a reply code of SOCKS 4 what one of SOCKS 6 says.
    """
    if code == ReplyCode.SUCCESS:
        return SOCKS4ReplyCode.GRANTED
    return SOCKS4ReplyCode.REJECTED


def toHTTP(code: int) -> HTTPStatus:
    """
    Say with a status of HTTP what a reply code of SOCKS 6 says; "bad gateway"
    for one that we do not know.
    """
    return _TO_HTTP.get(code, HTTPStatus.BAD_GATEWAY)
