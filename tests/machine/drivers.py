"""
Whole conversations with a machine, with everything that came of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from socks6.machine.client import ClientConnection, ClientState
from socks6.machine.events import (
    ClientEvent,
    CredentialsDemanded,
    CredentialsReceived,
    RequestReceived,
    ServerEvent,
)
from socks6.machine.server import ServerConnection, ServerMessage, ServerState
from socks6.values.messages import Request
from socks6.wire import DRAFT_06
from socks6.wire.codec import Codec
from socks6.wire.errors import PeerError
from tests.machine.samples import (
    ACCEPTED,
    CONFIRMED,
    CREDENTIALS,
    DEMAND,
    FAILED,
    REFUSED,
    RIGHT,
    SUCCEEDED,
    WRONG,
)

#: Event -> what the proxy says to it.
Answers = Mapping[type[ServerEvent], Sequence[ServerMessage]]

WELCOME: Answers = {RequestReceived: (ACCEPTED, SUCCEEDED)}
EXCHANGE: Answers = {
    RequestReceived: (DEMAND,),
    CredentialsReceived: (RIGHT, CONFIRMED, SUCCEEDED),
}

#: One proxy for each way in which a conversation can go.
POLICIES: Mapping[str, Answers] = {
    "lets all in": WELCOME,
    "lets nobody in": {RequestReceived: (REFUSED,)},
    "fails": {RequestReceived: (ACCEPTED, FAILED)},
    "takes its time": {RequestReceived: (ACCEPTED,)},
    "demands credentials": EXCHANGE,
    "refuses credentials": {
        RequestReceived: (DEMAND,),
        CredentialsReceived: (WRONG, REFUSED),
    },
    "takes credentials and fails": {
        RequestReceived: (DEMAND,),
        CredentialsReceived: (RIGHT, CONFIRMED, FAILED),
    },
}


@dataclass(frozen=True)
class Held:
    """
    What a machine held after it was fed.

    @ivar fed: Octets fed so far, in all.
    @ivar state: Its state then.
    @ivar octets: How many octets waited in it.
    """

    fed: int
    state: ServerState
    octets: int


@dataclass
class Transcript:
    """
    What came of a conversation.

    @ivar data: The application data, in the order in which it was taken.
    @ivar error: The type of the error that ended it.
    @ivar held: What the machine held each time; a matter of how it was fed.
    """

    state: ServerState | ClientState
    events: list[object] = field(default_factory=list)
    sent: bytes = b""
    data: bytes = b""
    error: type[PeerError] | None = None
    held: list[Held] = field(default_factory=list, compare=False)


_Event = TypeVar("_Event", ServerEvent, ClientEvent)


def _feed(
    receive: Callable[[bytes], Iterator[_Event]],
    octets: bytes,
    answer: Callable[[_Event], None],
    events: list[object],
    later: bool,
) -> None:
    """
    Feed a machine, note its events, and answer them at once or when it is done
    with what it can do without.
    """
    while True:
        unanswered = []
        for event in receive(octets):
            events.append(event)
            if later:
                unanswered.append(event)
            else:
                answer(event)
        if not unanswered:
            return
        for event in unanswered:
            answer(event)
        octets = b""


def serve(
    pieces: Iterable[bytes], answers: Answers, *, later: bool = False, codec: Codec = DRAFT_06
) -> Transcript:
    """
    Feed a proxy's machine with all that a client sends, to its end.

    @param later: Whether events are answered only after the event loop.
    """
    machine = ServerConnection(codec)
    transcript = Transcript(machine.state)
    fed = 0

    def answer(event: ServerEvent) -> None:
        for message in answers[type(event)]:
            transcript.sent += machine.send(message)

    try:
        for piece in pieces:
            fed += len(piece)
            _feed(machine.receive, piece, answer, transcript.events, later)
            transcript.held.append(Held(fed, machine.state, machine.heldLength))
            if machine.state in (ServerState.RESULT, ServerState.OPEN):
                transcript.data += machine.takeData()
        machine.endOfInput()
    except PeerError as error:
        transcript.error = type(error)
        transcript.sent += machine.answer(error, anonymous=DEMAND not in answers[RequestReceived])
    transcript.state = machine.state
    return transcript


def consume(
    request: Request, pieces: Iterable[bytes], *, later: bool = False, codec: Codec = DRAFT_06
) -> Transcript:
    """
    Feed a client's machine with all that a proxy sends, to its end.

    @param later: Whether events are answered only after the event loop.
    """
    machine = ClientConnection(codec)
    transcript = Transcript(machine.state, sent=machine.open(request))

    def answer(event: ClientEvent) -> None:
        if isinstance(event, CredentialsDemanded):
            transcript.sent += machine.authenticate(CREDENTIALS)

    try:
        for piece in pieces:
            _feed(machine.receive, piece, answer, transcript.events, later)
            if machine.state is ClientState.OPEN:
                transcript.data += machine.takeData()
        machine.endOfInput()
    except PeerError as error:
        transcript.error = type(error)
    transcript.state = machine.state
    return transcript


def octetwise(octets: bytes) -> list[bytes]:
    """
    Cut octets between any two of them.
    """
    return [octets[place : place + 1] for place in range(len(octets))]
