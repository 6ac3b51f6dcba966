"""
Tests of L{socks6.machine.events}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

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
    SOCKS5Answered,
    SOCKS5AuthenticationRefused,
    SOCKS5ClientEvent,
    SOCKS5MethodsRefused,
    SOCKS5Replied,
    SOCKS5RequestReceived,
    SOCKS5ServerEvent,
)
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import OptionList, SessionID, UsernamePassword
from socks6.wire.password import ProgramCredentials
from socks6.wire.socks5 import SOCKS5Reply, SOCKS5Request
from tests.machine.samples import ACCEPTED, SUCCEEDED, TARGET
from tests.raising import errorOf

SECRETS = OptionList([SessionID(b"s3cret"), UsernamePassword(b"ada", b"s3cret")])

#: One of each, with secrets where they can be.
EVENTS = (
    RequestReceived(Request(1, TARGET, SECRETS)),
    CredentialsReceived(UsernamePassword(b"ada", b"s3cret")),
    CredentialsDemanded(),
    Authenticated(AuthenticationReply(ACCEPTED.result, ACCEPTED.method, SECRETS)),
    AuthenticationRefused(AuthenticationReply(ACCEPTED.result, ACCEPTED.method, SECRETS)),
    OperationReplied(OperationReply(SUCCEEDED.code, SUCCEEDED.address, SECRETS)),
    AssociationInitialized(7),
    AssociationConfirmed(),
    SOCKS5Answered(b"\1\3ada\6s3cret"),
    SOCKS5RequestReceived(SOCKS5Request(1, TARGET), ProgramCredentials(b"ada", b"s3cret")),
    SOCKS5MethodsRefused(),
    SOCKS5Replied(SOCKS5Reply(0, TARGET)),
    SOCKS5AuthenticationRefused(1),
)


class EventTests(SynchronousTestCase):
    """
    Events can be logged and kept.
    """

    def test_all(self) -> None:
        """
        The samples here are all events that there are.
        """
        unions = (ServerEvent, ClientEvent, SOCKS5ServerEvent, SOCKS5ClientEvent)
        self.assertEqual(
            {type(event) for event in EVENTS},
            {kind for union in unions for kind in get_args(union)},
        )

    def test_secrets(self) -> None:
        """
        No event shows a password or a session ID.
        """
        for event in EVENTS:
            self.assertNotIn("s3cret", repr(event))

    def test_frozen(self) -> None:
        """
        No event can be changed.
        """
        for event in EVENTS:
            for name in event.__slots__:
                error = errorOf(FrozenInstanceError, setattr, event, name, None)
                self.assertIsNotNone(error, f"{type(event).__name__}.{name}")
