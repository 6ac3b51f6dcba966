"""
Tests of L{socks6.machine.client} and L{socks6.machine.server} against each
other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.client import ClientConnection, ClientState
from socks6.machine.events import (
    AssociationConfirmed,
    AssociationInitialized,
    Authenticated,
    AuthenticationRefused,
    ClientEvent,
    CredentialsDemanded,
    CredentialsReceived,
    OperationReplied,
    RequestReceived,
    ServerEvent,
)
from socks6.machine.server import ServerConnection, ServerState
from socks6.values.codes import AuthenticationMethod, Command
from socks6.values.messages import (
    AssociationInitialization,
    AuthenticationReply,
    OperationReply,
    Request,
)
from socks6.values.options import AuthenticationMethods, Option, OptionList, UsernamePassword
from socks6.wire import DRAFT_06
from tests.machine.drivers import Answers
from tests.machine.samples import (
    ACCEPTED,
    CONFIRMED,
    CREDENTIALS,
    DEMAND,
    FAILED,
    REFUSED,
    RIGHT,
    SUCCEEDED,
    TARGET,
    WRONG,
)

#: Octets of application data that a client sends right behind its request.
EARLY = b"\x01\x03ada\x05guess"

OFFER = AuthenticationMethods(len(EARLY), (AuthenticationMethod.USERNAME_PASSWORD,))
#: What the proxy says between its reply to UDP ASSOCIATE and what follows.
ASSOCIATED = (
    DRAFT_06.encodeAssociationInitialization(AssociationInitialization(7))
    + DRAFT_06.encodeAssociationConfirmation()
)

OTHER_CREDENTIALS = UsernamePassword(b"eve", b"guess")


@dataclass(frozen=True)
class Way:
    """
    A way in which a client may or may not get in.

    @ivar options: What it puts into its request.
    @ivar credentials: What it answers to a demand.
    @ivar answers: What the proxy says.
    """

    options: tuple[Option, ...]
    credentials: UsernamePassword
    answers: Answers

    @property
    def exchange(self) -> bool:
        """
        Whether credentials are demanded.
        """
        return DEMAND in self.answers[RequestReceived]

    @property
    def verdict(self) -> AuthenticationReply:
        """
        The Authentication Reply that counts.
        """
        said = self.answers[CredentialsReceived if self.exchange else RequestReceived]
        (verdict,) = [reply for reply in said if isinstance(reply, AuthenticationReply)]
        return verdict


#: What the client knows and what the proxy thinks of it.
WAYS: Mapping[str, Way] = {
    "nothing needed": Way((), CREDENTIALS, {RequestReceived: (ACCEPTED,)}),
    "nothing needed, all offered": Way(
        (OFFER, CREDENTIALS), CREDENTIALS, {RequestReceived: (ACCEPTED,)}
    ),
    "nothing known": Way((), CREDENTIALS, {RequestReceived: (REFUSED,)}),
    "right in the request": Way((CREDENTIALS,), CREDENTIALS, {RequestReceived: (CONFIRMED,)}),
    "wrong in the request": Way((OTHER_CREDENTIALS,), CREDENTIALS, {RequestReceived: (REFUSED,)}),
    "right on demand": Way(
        (OFFER,),
        CREDENTIALS,
        {RequestReceived: (DEMAND,), CredentialsReceived: (RIGHT, CONFIRMED)},
    ),
    "wrong on demand": Way(
        (OFFER,),
        OTHER_CREDENTIALS,
        {RequestReceived: (DEMAND,), CredentialsReceived: (WRONG, REFUSED)},
    ),
    "wrong in the request, right on demand": Way(
        (OTHER_CREDENTIALS, OFFER),
        CREDENTIALS,
        {RequestReceived: (DEMAND,), CredentialsReceived: (RIGHT, CONFIRMED)},
    ),
}


class Pair:
    """
    A client and a proxy, joined in memory.

    @ivar early: What the client sends right behind its request.
    @ivar size: How many octets pass at a time.
    """

    def __init__(
        self, command: Command | int, way: Way, outcome: OperationReply, size: int
    ) -> None:
        self.request = Request(command, TARGET, OptionList(way.options))
        self.early = EARLY if command == Command.CONNECT else b""
        self.way = way
        self.outcome = outcome
        self.size = size
        self.client = ClientConnection(DRAFT_06)
        self.server = ServerConnection(DRAFT_06)
        self.clientEvents: list[ClientEvent] = []
        self.serverEvents: list[ServerEvent] = []
        self.clientData = b""
        self.serverData = b""
        self._toServer = bytearray()
        self._toClient = bytearray()

    def converse(self) -> None:
        """
        Let them talk until both are silent.
        """
        self._toServer += self.client.open(self.request) + self.early
        while self._toServer or self._toClient:
            for event in self.server.receive(self._passed(self._toServer)):
                self._actAsServer(event)
            for reply in self.client.receive(self._passed(self._toClient)):
                self._actAsClient(reply)
            if self.server.state in (ServerState.RESULT, ServerState.OPEN):
                self.serverData += self.server.takeData()
            if self.client.state is ClientState.OPEN:
                self.clientData += self.client.takeData()

    def _passed(self, way: bytearray) -> bytes:
        """
        Take some octets off the way.
        """
        octets = bytes(way[: self.size])
        del way[: self.size]
        return octets

    def _actAsServer(self, event: ServerEvent) -> None:
        """
        Answer the client, and tell how the operation went as soon as it is in.
        """
        self.serverEvents.append(event)
        for message in self.way.answers[type(event)]:
            self._toClient += self.server.send(message)
        if self.server.state is ServerState.BINDING:
            self._toClient += self.server.send(SUCCEEDED)
        if self.server.state is ServerState.RESULT:
            self._toClient += self.server.send(self.outcome)
        if self.server.state is ServerState.OPEN:
            if self.request.command == Command.UDP_ASSOCIATE:
                self._toClient += ASSOCIATED
            self._toClient += b"banner"

    def _actAsClient(self, event: ClientEvent) -> None:
        """
        Answer the proxy, with more application data right behind the answer.
        """
        self.clientEvents.append(event)
        if isinstance(event, CredentialsDemanded):
            self._toServer += self.client.authenticate(self.way.credentials) + b"late"


def pairs() -> Iterator[tuple[str, Pair]]:
    """
    Hold all conversations: for each command, each way to get in or not and
    each outcome, octet by octet and all at once.

    @return: What they are called, and who had them.
    """
    commands: tuple[Command | int, ...] = (*Command, 0x7F)
    for command, (name, way), outcome, size in product(
        commands, WAYS.items(), (SUCCEEDED, FAILED), (1, 7, 100_000)
    ):
        pair = Pair(command, way, outcome, size)
        pair.converse()
        yield f"{command!r}, {name}, {outcome.code!r}, {size} at a time", pair


class ConversationTests(SynchronousTestCase):
    """
    Each machine understands what the other one says.
    """

    def test_serverEvents(self) -> None:
        """
        The proxy learns the request, and the credentials that it demanded.
        """
        for name, pair in pairs():
            expected: list[ServerEvent] = [RequestReceived(pair.request)]
            if pair.way.exchange:
                expected.append(CredentialsReceived(pair.way.credentials))
            self.assertEqual(pair.serverEvents, expected, name)

    def test_clientEvents(self) -> None:
        """
        The client learns of the demand, of the verdict, and, if it was let in,
        of the outcome: for BIND in two replies, for UDP ASSOCIATE with the association's
        name and the news that it works.
        """
        for name, pair in pairs():
            expected: list[ClientEvent] = [CredentialsDemanded()] if pair.way.exchange else []
            verdict = pair.way.verdict
            if verdict is REFUSED:
                expected.append(AuthenticationRefused(verdict))
            else:
                expected.append(Authenticated(verdict))
                if pair.request.command == Command.BIND:
                    expected.append(OperationReplied(SUCCEEDED))
                expected.append(OperationReplied(pair.outcome))
                if pair.request.command == Command.UDP_ASSOCIATE and pair.outcome is SUCCEEDED:
                    expected += [AssociationInitialized(7), AssociationConfirmed()]
            self.assertEqual(pair.clientEvents, expected, name)

    def test_states(self) -> None:
        """
        In the end both know whether the connection is open.
        """
        for name, pair in pairs():
            isOpen = pair.way.verdict is not REFUSED and pair.outcome is SUCCEEDED
            self.assertEqual(pair.client.state is ClientState.OPEN, isOpen, name)
            self.assertEqual(pair.client.state is ClientState.CLOSED, not isOpen, name)
            self.assertEqual(pair.server.state is ServerState.OPEN, isOpen, name)
            self.assertEqual(pair.server.state is ServerState.CLOSED, not isOpen, name)

    def test_data(self) -> None:
        """
        Over an open connection all data arrives, in order, and nothing else.
        """
        for name, pair in pairs():
            isOpen = pair.server.state is ServerState.OPEN
            sent = pair.early + (b"late" if pair.way.exchange else b"")
            if isOpen:
                self.assertEqual(pair.serverData, sent, name)
            self.assertEqual(pair.clientData, b"banner" if isOpen else b"", name)
