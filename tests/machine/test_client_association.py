"""
Tests of L{socks6.machine.client}: the association that UDP ASSOCIATE makes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.client import ClientConnection, ClientState
from socks6.machine.events import (
    AssociationConfirmed,
    AssociationInitialized,
    Authenticated,
    OperationReplied,
)
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command
from socks6.values.messages import Request
from socks6.wire import DRAFT_06
from socks6.wire.errors import MalformedMessage, UnexpectedEnd, UsageError
from tests.machine.drivers import consume, octetwise
from tests.machine.samples import ACCEPTED, FAILED, OCTETS, SUCCEEDED
from tests.raising import errorOf

ASSOCIATE = Request(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4)

#: The association's name, and the news that its first datagram has come.
NAME = bytes.fromhex("fedcba98")
NEWS = bytes.fromhex("00")

REPLIES = OCTETS[ACCEPTED] + OCTETS[SUCCEEDED]

#: What all that means.
EVENTS = [
    Authenticated(ACCEPTED),
    OperationReplied(SUCCEEDED),
    AssociationInitialized(0xFEDCBA98),
    AssociationConfirmed(),
]


class AssociationTests(SynchronousTestCase):
    """
    Behind the replies stand the association's name and, at some time, the confirmation.
    """

    def test_everySplit(self) -> None:
        """
        However what the proxy sends is cut, it means the same.
        """
        octets = REPLIES + NAME + NEWS
        cuts = [[octets[:cut], octets[cut:]] for cut in range(len(octets) + 1)]
        for pieces in [*cuts, octetwise(octets)]:
            transcript = consume(ASSOCIATE, pieces)
            self.assertEqual(transcript.events, EVENTS, repr(pieces))
            self.assertIs(transcript.state, ClientState.OPEN)
            self.assertIsNone(transcript.error)

    def test_atOnce(self) -> None:
        """
        Each event is there with the last octet of its message.
        """
        machine = ClientConnection(DRAFT_06)
        machine.open(ASSOCIATE)
        list(machine.receive(REPLIES))
        self.assertIs(machine.state, ClientState.ASSOCIATION)
        self.assertEqual(list(machine.receive(NAME[:3])), [])
        self.assertEqual(list(machine.receive(NAME[3:])), [EVENTS[2]])
        self.assertIs(machine.state, ClientState.CONFIRMATION)
        self.assertEqual(list(machine.receive(NEWS)), [EVENTS[3]])

    def test_anyName(self) -> None:
        """
        Any four octets are a name, those that look like the confirmation, too.
        """
        for name in (bytes(4), b"\xff" * 4, b"\6\0\0\0"):
            transcript = consume(ASSOCIATE, [REPLIES + name + NEWS])
            self.assertEqual(
                transcript.events[2], AssociationInitialized(int.from_bytes(name, "big"))
            )

    def test_malformedNews(self) -> None:
        """
        A confirmation is one octet, zero.
        """
        for octet in (1, 6, 0xFF):
            transcript = consume(ASSOCIATE, [REPLIES + NAME + bytes([octet])])
            self.assertEqual(transcript.events, EVENTS[:3])
            self.assertIs(transcript.error, MalformedMessage)
            self.assertIs(transcript.state, ClientState.CONFIRMATION)

    def test_everyTruncation(self) -> None:
        """
        A proxy that ends before the confirmation ends too early.
        """
        octets = REPLIES + NAME
        for length in range(len(octets) + 1):
            if length != 2:
                transcript = consume(ASSOCIATE, [octets[:length]])
                self.assertIs(transcript.error, UnexpectedEnd, f"{length} octets")

    def test_noData(self) -> None:
        """
        There is no application data, as long as something is waited for: to take it is
        our mistake.
        """
        machine = ClientConnection(DRAFT_06)
        machine.open(ASSOCIATE)
        for octets in (b"", REPLIES, NAME):
            list(machine.receive(octets))
            self.assertIsNotNone(errorOf(UsageError, machine.takeData))

    def test_failed(self) -> None:
        """
        Where the proxy opens no port there is no association.
        """
        transcript = consume(ASSOCIATE, [OCTETS[ACCEPTED] + OCTETS[FAILED] + NAME + NEWS])
        self.assertEqual(transcript.events, [Authenticated(ACCEPTED), OperationReplied(FAILED)])
        self.assertIs(transcript.state, ClientState.CLOSED)

    def test_otherCommands(self) -> None:
        """
        What follows the replies to another command is data.
        """
        transcript = consume(Request(Command.CONNECT, UNSPECIFIED_IPV4), [REPLIES + NAME + NEWS])
        self.assertEqual(transcript.events, EVENTS[:2])
        self.assertEqual(transcript.data, NAME + NEWS)
