"""
Tests of L{socks6.machine.server} with UDP ASSOCIATE.

What follows the Operation Reply, the association's ID and the confirmation, is no matter
of this machine: it depends on nothing that the client says on the connection.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.events import CredentialsReceived, RequestReceived
from socks6.machine.server import ServerConnection, ServerState
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command
from socks6.values.messages import Request
from socks6.wire import DRAFT_06
from socks6.wire.errors import UsageError
from tests.machine.samples import (
    ACCEPTED,
    CONFIRMED,
    CREDENTIALS,
    DEMAND,
    FAILED,
    OCTETS,
    RIGHT,
    SUCCEEDED,
    offering,
)

ASSOCIATE = Request(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4)


class AssociationTests(SynchronousTestCase):
    """
    A request for an association.
    """

    def setUp(self) -> None:
        self.machine = ServerConnection(DRAFT_06)

    def hear(self, request: Request, behind: bytes = b"") -> None:
        """
        Receive a request.
        """
        octets = DRAFT_06.encodeRequest(request) + behind
        self.assertEqual(list(self.machine.receive(octets)), [RequestReceived(request)])

    def test_success(self) -> None:
        """
        It has one Operation Reply, and then the connection is open.
        """
        self.hear(ASSOCIATE)
        self.machine.send(ACCEPTED)
        self.assertIs(self.machine.state, ServerState.RESULT)
        self.assertEqual(self.machine.send(SUCCEEDED), OCTETS[SUCCEEDED])
        self.assertIs(self.machine.state, ServerState.OPEN)
        self.assertRaises(UsageError, self.machine.send, SUCCEEDED)

    def test_failure(self) -> None:
        """
        A failure closes the connection.
        """
        self.hear(ASSOCIATE)
        self.machine.send(ACCEPTED)
        self.machine.send(FAILED)
        self.assertIs(self.machine.state, ServerState.CLOSED)

    def test_exchange(self) -> None:
        """
        The client's credentials stand right behind its request, whatever that says of
        initial data.
        """
        request = offering(7, Command.UDP_ASSOCIATE)
        self.hear(request, OCTETS[CREDENTIALS])
        self.machine.send(DEMAND)
        self.assertEqual(list(self.machine.receive()), [CredentialsReceived(CREDENTIALS)])
        self.machine.send(RIGHT)
        self.machine.send(CONFIRMED)
        self.machine.send(SUCCEEDED)
        self.assertIs(self.machine.state, ServerState.OPEN)

    def test_data(self) -> None:
        """
        What the client sends meanwhile and afterwards is handed over, to be thrown away.
        """
        self.hear(ASSOCIATE, b"one")
        self.machine.send(ACCEPTED)
        self.machine.send(SUCCEEDED)
        self.assertEqual(list(self.machine.receive(b"two")), [])
        self.assertEqual(self.machine.takeData(), b"onetwo")
        self.assertEqual(self.machine.heldLength, 0)

    def test_end(self) -> None:
        """
        The end of the connection is no error.
        """
        self.hear(ASSOCIATE)
        self.machine.send(ACCEPTED)
        self.machine.send(SUCCEEDED)
        self.machine.endOfInput()
        self.assertIs(self.machine.state, ServerState.OPEN)
