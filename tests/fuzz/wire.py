"""
Targets: what reads octets as messages.

Whatever comes, there is a value or a L{PeerError}; what can be read can be written, and
reads back as the same value; and a message's end is where it is however much is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from socks6.values.codes import MAX_OPTIONS_LENGTH
from socks6.values.options import UnknownOption
from socks6.wire import draft06, password, socks4, socks5
from socks6.wire.draft06.options import decodeOption, decodeOptions, encodeOption, encodeOptions
from socks6.wire.errors import MalformedMessage, PeerError
from tests.wire.draft06.golden import (
    ASSOCIATION_INITIALIZATION,
    AUTHENTICATION_REPLY,
    OPERATION_REPLY,
    REQUEST,
    USERNAME_PASSWORD,
    USERNAME_PASSWORD_REPLY,
)
from tests.wire.spelling import Spelling

Target = Callable[[bytes], None]

SOCKS4_REQUEST = Spelling(
    "SOCKS 4 request", socks4.requestLength, socks4.decodeRequest, socks4.encodeRequest
)
SOCKS4_REPLY = Spelling("SOCKS 4 reply", socks4.replyLength, socks4.decodeReply, socks4.encodeReply)
METHOD_OFFER = Spelling(
    "methods", socks5.methodOfferLength, socks5.decodeMethodOffer, socks5.encodeMethodOffer
)
METHOD_CHOICE = Spelling(
    "method", socks5.methodChoiceLength, socks5.decodeMethodChoice, socks5.encodeMethodChoice
)
SOCKS5_REQUEST = Spelling(
    "SOCKS 5 request", socks5.requestLength, socks5.decodeRequest, socks5.encodeRequest
)
SOCKS5_REPLY = Spelling("SOCKS 5 reply", socks5.replyLength, socks5.decodeReply, socks5.encodeReply)


def outcome(function: Callable[[bytes], Any], octets: bytes) -> Any:
    """
    Call a function.

    @return: What it returns, or the type of the L{PeerError} that it raises.
    """
    try:
        return function(octets)
    except PeerError as error:
        return type(error)


def checkLength(length: Callable[[bytes], int], octets: bytes) -> int | None:
    """
    Look for a message's end with more and more octets, as they would come.

    @return: How long the message is; L{None} if it is not whole, or is none.
    """
    found: int | type[PeerError] | None = None
    asked = 0
    for place in range(len(octets) + 1):
        needed = outcome(length, octets[:place])
        if found is None:
            if isinstance(needed, int) and needed > place:
                assert needed >= asked, "it asks for less than before"
                asked = needed
                continue
            assert needed == place or not isinstance(needed, int), "it has seen the end too late"
            found = needed
        assert needed == found, "what follows a message changes it"
    assert outcome(length, bytearray(octets)) == outcome(length, octets)  # type: ignore[arg-type]
    return found if isinstance(found, int) else None


def checkMessage(spelling: Spelling, octets: bytes, *, exact: bool) -> None:
    """
    Check all that must hold of octets that may be a message.

    @param exact: Whether there is but one way to write a message.
    """
    outcome(spelling.decode, octets)
    end = checkLength(spelling.length, octets)
    if end is None:
        return
    message = octets[:end]
    assert end == len(octets) or outcome(spelling.decode, octets) is MalformedMessage
    value = outcome(spelling.decode, message)
    if isinstance(value, type):
        return
    written = spelling.encode(value)
    assert spelling.decode(written) == value, "it reads back as another value"
    assert not exact or written == message, "it is written in another way"
    repr(value)


def messageTarget(spelling: Spelling, *, exact: bool = True) -> Target:
    """
    Make the target of a kind of message.
    """

    def target(octets: bytes) -> None:
        checkMessage(spelling, octets, exact=exact)

    return target


def options(octets: bytes) -> None:
    """
    The options of a message, and each kind with all that came as its data.
    """
    octets = octets[:MAX_OPTIONS_LENGTH]
    found = outcome(partial(decodeOptions, start=0), octets)
    if not isinstance(found, type):
        assert encodeOptions(found) == len(octets).to_bytes(2, "big") + octets
    for kind in range(8):
        option = outcome(partial(decodeOption, kind), octets)
        if isinstance(option, type):
            assert kind == 2, "only initial data can be malformed"
            continue
        written = encodeOption(option)
        assert decodeOption(written[0], written[3:]) == option
        assert not isinstance(option, UnknownOption) or written[3:] == octets


def datagrams(octets: bytes) -> None:
    """
    The headers of datagrams, of SOCKS 6 and of SOCKS 5.
    """
    for spelling, exact in ((draft06, True), (socks5, False)):
        decode: Any = spelling.decodeDatagramHeader
        encode: Any = spelling.encodeDatagramHeader
        found = outcome(decode, octets)
        if isinstance(found, type):
            continue
        header, end = found
        assert end == spelling.datagramHeaderLength(octets) <= len(octets)
        written = encode(header)
        assert decode(written + b"payload") == (header, len(written))
        assert not exact or written == octets[:end]


def passwords(octets: bytes) -> None:
    """
    User names and passwords, of clients and of programs, and the answers.
    """
    checkMessage(USERNAME_PASSWORD, octets, exact=True)
    checkMessage(USERNAME_PASSWORD_REPLY, octets, exact=True)
    end = checkLength(password.programCredentialsLength, octets)
    if end is None:
        return
    found = password.decodeProgramCredentials(octets[:end])
    if found.username and found.password:
        strict = password.decodeUsernamePassword(octets[:end])
        assert (strict.username, strict.password) == (found.username, found.password)
    else:
        assert outcome(password.decodeUsernamePassword, octets[:end]) is MalformedMessage


def methods(octets: bytes) -> None:
    """
    What SOCKS 5 begins with.
    """
    checkMessage(METHOD_OFFER, octets, exact=True)
    checkMessage(METHOD_CHOICE, octets, exact=True)


def associations(octets: bytes) -> None:
    """
    What UDP associations begin with.
    """
    checkMessage(ASSOCIATION_INITIALIZATION, octets, exact=True)
    checkLength(draft06.associationConfirmationLength, octets)


TARGETS: Mapping[str, Target] = {
    "request": messageTarget(REQUEST),
    "authenticationreply": messageTarget(AUTHENTICATION_REPLY),
    "operationreply": messageTarget(OPERATION_REPLY),
    "options": options,
    "datagram": datagrams,
    "association": associations,
    "password": passwords,
    "socks5methods": methods,
    # Of a reserved octet any value is read.
    "socks5request": messageTarget(SOCKS5_REQUEST, exact=False),
    "socks5reply": messageTarget(SOCKS5_REPLY, exact=False),
    # 0.0.0.x says that a name follows, for any x.
    "socks4request": messageTarget(SOCKS4_REQUEST, exact=False),
    "socks4reply": messageTarget(SOCKS4_REPLY),
}
