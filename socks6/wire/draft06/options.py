"""
Options on the wire::

    kind:1 length:2 data:length-3

The decoder and the encoder of an option stand side by side.  A known option
with a wrong size or a value out of range is as if it were absent: its decoder
raises C{ValueError}, and it becomes an L{UnknownOption}.  Only what breaks the
framing, and an initial data length that is too large, makes a message
malformed.

@see: draft 06, "SOCKS Options".  Several lengths that it prints date from an
    older draft, whose length field had one octet; ours count two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as StructError
from typing import Any

from socks6.values.codes import (
    MAX_INITIAL_DATA_LENGTH,
    MAX_OPTIONS_LENGTH,
    AuthenticationMethod,
    TokenOutcome,
)
from socks6.values.options import (
    AuthenticationData,
    AuthenticationMethods,
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UnknownOption,
    UsernamePassword,
)
from socks6.wire.draft06.fields import OCTET, SIZE, TOKEN, WINDOW, number
from socks6.wire.draft06.numbers import (
    IdempotenceType,
    OptionKind,
    SessionType,
    known,
)
from socks6.wire.draft06.stack import STACK_ENCODERS, decodeStackOption
from socks6.wire.errors import MalformedMessage
from socks6.wire.password import decodeUsernamePassword, encodeUsernamePassword

_HEAD = Struct("!BH")


# --- authentication options ---


def _encodeMethods(option: AuthenticationMethods) -> bytes:
    """
    Write the data of an Authentication Method option::

        kind:1=0x02 length:2 initialDataLength:2 methods:1 each

    @see: draft 06, "Authentication Method options".  It says Initial Data
        Length here and Initial Data Size there: one field.
    """
    return SIZE.pack(option.initialDataLength) + bytes(option.methods)


def _decodeMethods(data: bytes) -> AuthenticationMethods:
    """
    Read the data of an Authentication Method option.

    @raise MalformedMessage: The initial data would be more than 16384 octets.
    @see: L{_encodeMethods}
    """
    initialDataLength = number(SIZE, data[:2])
    if initialDataLength > MAX_INITIAL_DATA_LENGTH:
        raise MalformedMessage(f"{initialDataLength} octets of initial data")
    methods = tuple(known(AuthenticationMethod, method) for method in data[2:])
    return AuthenticationMethods(initialDataLength, methods)


def _encodeUsernamePasswordData(option: UsernamePassword) -> bytes:
    """
    Write the data of an Authentication Data option with a user name and
    password::

        kind:1=0x03 length:2 method:1=0x02 message

    The message is that of RFC 1929.

    @see: draft 06, "Authentication Data options"; L{encodeUsernamePassword}.
    """
    return bytes([AuthenticationMethod.USERNAME_PASSWORD]) + encodeUsernamePassword(option)


def _encodeAuthenticationData(option: AuthenticationData) -> bytes:
    """
    Write the data of an Authentication Data option of another method::

        kind:1=0x03 length:2 method:1 data

    @see: draft 06, "Authentication Data options".
    """
    return bytes([option.method]) + option.data


def _decodeAuthenticationData(data: bytes) -> Option:
    """
    Read the data of an Authentication Data option.

    @see: L{_encodeUsernamePasswordData}, L{_encodeAuthenticationData}
    """
    if not data:
        raise ValueError("authentication data has a method")
    if data[0] != AuthenticationMethod.USERNAME_PASSWORD:
        return AuthenticationData(known(AuthenticationMethod, data[0]), data[1:])
    try:
        return decodeUsernamePassword(data[1:])
    except MalformedMessage as error:
        raise ValueError(str(error)) from None


# --- session options: kind:1=0x04 length:2 type:1 data ---

_EMPTY_SESSION_OPTIONS: Mapping[int, Option] = {
    SessionType.REQUEST: SessionRequest(),
    SessionType.TEARDOWN: SessionTeardown(),
    SessionType.OK: SessionOK(),
    SessionType.INVALID: SessionInvalid(),
    SessionType.UNTRUSTED: SessionUntrusted(),
}


def _encodeSessionID(option: SessionID) -> bytes:
    """
    Write the data of a Session ID option::

        kind:1=0x04 length:2 type:1=2 identifier

    @see: draft 06, "Session options".
    """
    return bytes([SessionType.ID]) + option.identifier


def _decodeSession(data: bytes) -> Option:
    """
    Read the data of a session option: but for the ID, the type says it all::

        kind:1=0x04 length:2=4 type:1

    @see: draft 06, "Session options".  It prints length 5 for Session OK,
        Invalid and Untrusted, and type 2 for Teardown.
    """
    if data[:1] == bytes([SessionType.ID]):
        return SessionID(data[1:])
    option = _EMPTY_SESSION_OPTIONS.get(number(OCTET, data))
    if option is None:
        raise ValueError("unknown session option")
    return option


# --- idempotence options: kind:1=0x05 length:2 type:1 data ---


def _encodeTokenRequest(option: TokenRequest) -> bytes:
    """
    Write the data of a Token Request option, in all 8 octets::

        kind:1=0x05 length:2=8 type:1=1 size:4

    @see: draft 06, "Requesting a fresh token window".  It prints length 7.
    """
    return bytes([IdempotenceType.REQUEST]) + TOKEN.pack(option.windowSize)


def _encodeTokenWindow(option: TokenWindowAdvertisement) -> bytes:
    """
    Write the data of a Token Window Advertisement option, in all 12 octets::

        kind:1=0x05 length:2=12 type:1=2 base:4 size:4

    @see: draft 06, "Requesting a fresh token window".  It prints length 11
        and type 1; both contradict its own tables.
    """
    return bytes([IdempotenceType.ADVERTISEMENT]) + WINDOW.pack(option.base, option.size)


def _encodeTokenExpenditure(option: TokenExpenditure) -> bytes:
    """
    Write the data of a Token Expenditure option, in all 8 octets::

        kind:1=0x05 length:2=8 type:1=3 token:4

    @see: draft 06, "Spending a token".  It prints length 7 and type 2.
    """
    return bytes([IdempotenceType.EXPENDITURE]) + TOKEN.pack(option.token)


def _encodeTokenExpenditureReply(option: TokenExpenditureReply) -> bytes:
    """
    Write the data of a Token Expenditure Reply option, in all 5 octets::

        kind:1=0x05 length:2=5 type:1=4 code:1

    @see: draft 06, "Spending a token".  It prints length 4 and type 3.
    """
    return bytes([IdempotenceType.EXPENDITURE_REPLY, option.outcome])


_IDEMPOTENCE_DECODERS: Mapping[int, Callable[[bytes], Option]] = {
    IdempotenceType.REQUEST: lambda data: TokenRequest(number(TOKEN, data)),
    IdempotenceType.ADVERTISEMENT: lambda data: TokenWindowAdvertisement(*WINDOW.unpack(data)),
    IdempotenceType.EXPENDITURE: lambda data: TokenExpenditure(number(TOKEN, data)),
    IdempotenceType.EXPENDITURE_REPLY: lambda data: TokenExpenditureReply(
        TokenOutcome(number(OCTET, data))
    ),
}


def _decodeIdempotence(data: bytes) -> Option:
    """
    Read the data of an idempotence option.

    @raise ValueError: Its type or content means nothing to us.
    """
    decode = _IDEMPOTENCE_DECODERS.get(number(OCTET, data[:1]))
    if decode is None:
        raise ValueError("unknown idempotence option")
    return decode(data[1:])


# --- all of them ---

_DECODERS: Mapping[int, Callable[[bytes], Option]] = {
    OptionKind.STACK: decodeStackOption,
    OptionKind.AUTHENTICATION_METHODS: _decodeMethods,
    OptionKind.AUTHENTICATION_DATA: _decodeAuthenticationData,
    OptionKind.SESSION: _decodeSession,
    OptionKind.IDEMPOTENCE: _decodeIdempotence,
}

_ENCODERS: Mapping[type, tuple[OptionKind, Callable[[Any], bytes]]] = {
    **{option: (OptionKind.STACK, encode) for option, encode in STACK_ENCODERS.items()},
    AuthenticationMethods: (OptionKind.AUTHENTICATION_METHODS, _encodeMethods),
    UsernamePassword: (OptionKind.AUTHENTICATION_DATA, _encodeUsernamePasswordData),
    AuthenticationData: (OptionKind.AUTHENTICATION_DATA, _encodeAuthenticationData),
    SessionRequest: (OptionKind.SESSION, lambda option: bytes([SessionType.REQUEST])),
    SessionID: (OptionKind.SESSION, _encodeSessionID),
    SessionTeardown: (OptionKind.SESSION, lambda option: bytes([SessionType.TEARDOWN])),
    SessionOK: (OptionKind.SESSION, lambda option: bytes([SessionType.OK])),
    SessionInvalid: (OptionKind.SESSION, lambda option: bytes([SessionType.INVALID])),
    SessionUntrusted: (OptionKind.SESSION, lambda option: bytes([SessionType.UNTRUSTED])),
    TokenRequest: (OptionKind.IDEMPOTENCE, _encodeTokenRequest),
    TokenWindowAdvertisement: (OptionKind.IDEMPOTENCE, _encodeTokenWindow),
    TokenExpenditure: (OptionKind.IDEMPOTENCE, _encodeTokenExpenditure),
    TokenExpenditureReply: (OptionKind.IDEMPOTENCE, _encodeTokenExpenditureReply),
}


def encodeOption(option: Option) -> bytes:
    """
    Write an option.

    @return: 3 to 16384 octets::

        kind:1 length:2 data:length-3

    @see: draft 06, "SOCKS Options".
    """
    if isinstance(option, UnknownOption):
        kind, data = option.kind, option.data
    else:
        kind, encode = _ENCODERS[type(option)]
        data = encode(option)
    return _HEAD.pack(kind, _HEAD.size + len(data)) + data


def decodeOption(kind: int, data: bytes) -> Option:
    """
    Read the content of an option.

    @return: What it says, or an L{UnknownOption} if it says nothing to us.
    @raise MalformedMessage: Its initial data would be more than 16384 octets.
    """
    decode = _DECODERS.get(kind)
    if decode is not None:
        try:
            return decode(data)
        except (ValueError, StructError):
            pass
    return UnknownOption(kind, data)


def encodeOptions(options: OptionList) -> bytes:
    """
    Write the options of a message and the length of them all.

    @return: 2 to 16386 octets::

        length:2 options:length

    @raise ValueError: They take more than 16384 octets together.
    """
    octets = b"".join(map(encodeOption, options))
    if len(octets) > MAX_OPTIONS_LENGTH:
        raise ValueError(f"{len(octets)} octets of options, {MAX_OPTIONS_LENGTH} may be")
    return SIZE.pack(len(octets)) + octets


def decodeOptions(octets: bytes, start: int) -> OptionList:
    """
    Read the options that a message ends with.

    @param octets: The whole message.
    @param start: Where the first option stands.
    @raise MalformedMessage: An option is shorter than its own head or reaches
        past the end, or stray octets are left.
    """
    end = len(octets)
    options = []
    while start < end:
        if end - start < _HEAD.size:
            raise MalformedMessage("stray octets behind the options")
        kind, length = _HEAD.unpack_from(octets, start)
        if not _HEAD.size <= length <= end - start:
            raise MalformedMessage(f"option of kind {kind} with length {length}")
        options.append(decodeOption(kind, octets[start + _HEAD.size : start + length]))
        start += length
    return OptionList(options)
