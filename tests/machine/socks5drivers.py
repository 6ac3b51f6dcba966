"""
Messages of SOCKS 5 with their octets written out, and whole conversations with its
machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from socks6.machine.events import SOCKS5Answered, SOCKS5RequestReceived
from socks6.machine.socks5client import SOCKS5ClientConnection, SOCKS5ClientState
from socks6.machine.socks5server import SOCKS5ServerConnection, SOCKS5ServerState
from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import Command
from socks6.values.options import UsernamePassword
from socks6.wire.errors import PeerError
from socks6.wire.password import ProgramCredentials
from socks6.wire.replycodes import SOCKS5ReplyCode
from socks6.wire.socks5 import SOCKS5Reply, SOCKS5Request

# --- what the client says ---

TARGET = Address(DomainName(b"example.com"), 443)
CONNECT = SOCKS5Request(Command.CONNECT, TARGET)
BIND = SOCKS5Request(Command.BIND, TARGET)
ASSOCIATE = SOCKS5Request(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4)
ADA = UsernamePassword(b"ada", b"s3cret")
PROGRAM_ADA = ProgramCredentials(b"ada", b"s3cret")

OFFER_NOTHING = bytes.fromhex("05 01 00")
OFFER_PASSWORD = bytes.fromhex("05 01 02")
OFFER_BOTH = bytes.fromhex("05 02 02 00")
OFFER_OTHERS = bytes.fromhex("05 03 01 03 80")
CREDENTIALS = b"\1\3ada\6s3cret"

# --- what the server says ---

CHOOSE_NOTHING = bytes.fromhex("05 00")
CHOOSE_PASSWORD = bytes.fromhex("05 02")
CHOOSE_NONE = bytes.fromhex("05 ff")
RIGHT = bytes.fromhex("01 00")
WRONG = bytes.fromhex("01 01")

SUCCEEDED = SOCKS5Reply(SOCKS5ReplyCode.SUCCESS, Address(IPv4Address("192.0.2.1"), 4000))
ARRIVED = SOCKS5Reply(SOCKS5ReplyCode.SUCCESS, Address(IPv4Address("192.0.2.9"), 9))
FAILED = SOCKS5Reply(SOCKS5ReplyCode.CONNECTION_REFUSED, UNSPECIFIED_IPV4)

#: Message -> its octets, from the tables of RFC 1928.
OCTETS: Mapping[object, bytes] = {
    CONNECT: b"\5\1\0\3\x0bexample.com\1\xbb",
    BIND: b"\5\2\0\3\x0bexample.com\1\xbb",
    ASSOCIATE: bytes.fromhex("05 03 00 01 00000000 0000"),
    SUCCEEDED: bytes.fromhex("05 00 00 01 c0000201 0fa0"),
    ARRIVED: bytes.fromhex("05 00 00 01 c0000209 0009"),
    FAILED: bytes.fromhex("05 05 00 01 00000000 0000"),
}


@dataclass
class Transcript:
    """
    What came of a conversation.

    @ivar events: Without those that only tell what to write.
    @ivar data: The application data, in the order in which it was taken.
    @ivar error: The type of the error that ended it.
    """

    state: SOCKS5ServerState | SOCKS5ClientState
    events: list[object] = field(default_factory=list)
    sent: bytes = b""
    data: bytes = b""
    error: type[PeerError] | None = None


def hearToTheEnd(
    machine: SOCKS5ServerConnection | SOCKS5ClientConnection, octets: bytes, events: list[object]
) -> None:
    """
    Feed a machine with the last that comes, and note its events.
    """
    events.extend(machine.receive(octets))
    machine.endOfInput()


def serve(
    pieces: Iterable[bytes], replies: Sequence[SOCKS5Reply] = (SUCCEEDED,), *, later: bool = False
) -> Transcript:
    """
    Feed a server's machine with all that a client sends, to its end.

    @param replies: What it says to a request; of several, as many as can be said.
    @param later: Whether it does so only when all has come.
    """
    machine = SOCKS5ServerConnection()
    transcript = Transcript(machine.state)

    def reply() -> None:
        for each in replies:
            if machine.state in (SOCKS5ServerState.BINDING, SOCKS5ServerState.RESULT):
                transcript.sent += machine.send(each)

    try:
        for piece in pieces:
            for event in machine.receive(piece):
                if isinstance(event, SOCKS5Answered):
                    transcript.sent += event.octets
                    continue
                transcript.events.append(event)
                if isinstance(event, SOCKS5RequestReceived) and not later:
                    reply()
            if machine.state is SOCKS5ServerState.OPEN:
                transcript.data += machine.takeData()
        machine.endOfInput()
    except PeerError as error:
        transcript.error = type(error)
        transcript.sent += machine.answer(error)
    if later:
        reply()
    if machine.state is SOCKS5ServerState.OPEN:
        transcript.data += machine.takeData()
    transcript.state = machine.state
    return transcript


def consume(machine: SOCKS5ClientConnection, pieces: Iterable[bytes]) -> Transcript:
    """
    Feed a client's machine with all that a server sends, to its end.
    """
    transcript = Transcript(machine.state, sent=machine.open())
    try:
        for piece in pieces:
            for event in machine.receive(piece):
                if isinstance(event, SOCKS5Answered):
                    transcript.sent += event.octets
                else:
                    transcript.events.append(event)
            if machine.state is SOCKS5ClientState.OPEN:
                transcript.data += machine.takeData()
        machine.endOfInput()
    except PeerError as error:
        transcript.error = type(error)
    transcript.state = machine.state
    return transcript
