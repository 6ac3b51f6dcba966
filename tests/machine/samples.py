"""
Messages to feed the machines and to let them say, with their octets written
out, and ways through their state tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from ipaddress import IPv4Address
from typing import TypeVar

from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import (
    AuthenticationReply,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
from socks6.values.options import AuthenticationMethods, OptionList, UnknownOption, UsernamePassword

TARGET = Address(DomainName(b"example.com"), 443)


def offering(initialDataLength: int = 0, command: Command | int = Command.CONNECT) -> Request:
    """
    Make a request of a client that could give a user name and password.
    """
    methods = (AuthenticationMethod.GSSAPI, AuthenticationMethod.USERNAME_PASSWORD)
    return Request(command, TARGET, OptionList([AuthenticationMethods(initialDataLength, methods)]))


# --- what the client says ---

PLAIN = Request(Command.CONNECT, TARGET)
OFFERING = offering()
CREDENTIALS = UsernamePassword(b"ada", b"s3cret")

# --- what the proxy says ---

ACCEPTED = AuthenticationReply(AuthenticationResult.SUCCESS, AuthenticationMethod.NONE_REQUIRED)
DEMAND = AuthenticationReply(
    AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED, AuthenticationMethod.USERNAME_PASSWORD
)
REFUSED = AuthenticationReply(
    AuthenticationResult.FURTHER_AUTHENTICATION_NEEDED, AuthenticationMethod.NONE_ACCEPTABLE
)
RIGHT = UsernamePasswordReply(0)
WRONG = UsernamePasswordReply(1)
CONFIRMED = AuthenticationReply(
    AuthenticationResult.SUCCESS, AuthenticationMethod.USERNAME_PASSWORD
)
SUCCEEDED = OperationReply(ReplyCode.SUCCESS, Address(IPv4Address("192.0.2.1"), 4000))
FAILED = OperationReply(ReplyCode.CONNECTION_REFUSED, UNSPECIFIED_IPV4)

#: Message -> its octets, from the draft's field tables.
OCTETS: Mapping[object, bytes] = {
    PLAIN: b"\x06\x00\x01\x01\xbb\x03\x0bexample.com\x00\x00",
    OFFERING: b"\x06\x00\x01\x01\xbb\x03\x0bexample.com\x00\x07\x02\x00\x07\x00\x00\x01\x02",
    CREDENTIALS: b"\x01\x03ada\x06s3cret",
    ACCEPTED: bytes.fromhex("06 00 00 00 0000"),
    DEMAND: bytes.fromhex("06 00 01 02 0000"),
    REFUSED: bytes.fromhex("06 00 01 ff 0000"),
    RIGHT: bytes.fromhex("01 00"),
    WRONG: bytes.fromhex("01 01"),
    CONFIRMED: bytes.fromhex("06 00 00 02 0000"),
    SUCCEEDED: bytes.fromhex("00 0fa0 01 c0000201 0000"),
    FAILED: bytes.fromhex("05 0000 01 00000000 0000"),
}

#: One option more than a message can hold.
TOO_MANY_OPTIONS = OptionList([UnknownOption(0xE0, bytes(16380)), UnknownOption(0xE1, b"")])

_State = TypeVar("_State", bound=Enum)
_Step = TypeVar("_Step", bound=Enum)


def routes(
    transitions: Mapping[tuple[_State, _Step], _State], start: _State
) -> dict[_State, tuple[_Step, ...]]:
    """
    Find a way to each state that can be reached.
    """
    found: dict[_State, tuple[_Step, ...]] = {start: ()}
    unexplored = [start]
    while unexplored:
        here = unexplored.pop()
        for (state, step), target in transitions.items():
            if state is here and target not in found:
                found[target] = (*found[here], step)
                unexplored.append(target)
    return found


def conversations(
    transitions: Mapping[tuple[_State, _Step], _State], start: _State
) -> Iterator[str]:
    """
    Find all ways from a state to where nothing can happen any more.

    @return: The names of the steps, with spaces between them.
    """
    steps = [(step, target) for (state, step), target in transitions.items() if state is start]
    if not steps:
        yield ""
    for step, target in steps:
        for others in conversations(transitions, target):
            yield f"{step.name} {others}".rstrip()
