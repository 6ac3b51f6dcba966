"""
Tests of L{socks6.values.messages}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import UNSPECIFIED_IPV4, UNSPECIFIED_IPV6
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import (
    AssociationConfirmation,
    AssociationInitialization,
    AuthenticationReply,
    DatagramHeader,
    OperationReply,
    Request,
    UsernamePasswordReply,
    VersionMismatchReply,
)
from socks6.values.options import OptionList, SessionID, UnknownOption, UsernamePassword
from tests.raising import errorOf

#: What a field is called -> how to make a message with a number there, and the
#: greatest number that fits.
NUMBERS: Mapping[str, tuple[Callable[[int], object], int]] = {
    "command": (lambda number: Request(number, UNSPECIFIED_IPV4), 255),
    "method": (lambda number: AuthenticationReply(AuthenticationResult.SUCCESS, number), 255),
    "reply code": (lambda number: OperationReply(number, UNSPECIFIED_IPV4), 255),
    "status": (UsernamePasswordReply, 255),
    "association ID": (AssociationInitialization, 2**32 - 1),
    "datagram's ID": (lambda number: DatagramHeader(number, UNSPECIFIED_IPV4), 2**32 - 1),
}

SECRETS = OptionList(
    [
        UsernamePassword(b"alice", b"s3cret"),
        SessionID(b"s3cret"),
        UnknownOption(0xFF, b"s3cret"),
    ]
)

#: One message of each class.
SAMPLES: tuple[Any, ...] = (
    Request(Command.CONNECT, UNSPECIFIED_IPV4, SECRETS),
    VersionMismatchReply(),
    AuthenticationReply(AuthenticationResult.SUCCESS, AuthenticationMethod.GSSAPI, SECRETS),
    OperationReply(ReplyCode.SUCCESS, UNSPECIFIED_IPV6, SECRETS),
    UsernamePasswordReply(0),
    AssociationInitialization(1),
    AssociationConfirmation(),
    DatagramHeader(1, UNSPECIFIED_IPV4),
)


class MessageTests(SynchronousTestCase):
    """
    Messages check themselves when they are made.
    """

    def test_numbersThatFit(self) -> None:
        """
        0 and the greatest number of each field can be had.
        """
        for what, (make, most) in NUMBERS.items():
            self.assertNotEqual(make(0), make(most), what)

    def test_numbersThatDoNotFit(self) -> None:
        """
        A number right below or above cannot.
        """
        for what, (make, most) in NUMBERS.items():
            for number in (-1, most + 1):
                self.assertIsNotNone(errorOf(ValueError, make, number), f"{what} {number}")

    def test_noOptions(self) -> None:
        """
        A message has no options unless it is given some.
        """
        for message in (
            Request(Command.NOOP, UNSPECIFIED_IPV4),
            AuthenticationReply(AuthenticationResult.SUCCESS, 0),
            OperationReply(ReplyCode.SUCCESS, UNSPECIFIED_IPV4),
        ):
            self.assertEqual(message.options, OptionList())

    def test_immutable(self) -> None:
        """
        No field of a message can be changed, nor one added, so it can be a key.
        """
        for message in SAMPLES:
            for name in [field.name for field in fields(message)]:
                error = errorOf(FrozenInstanceError, setattr, message, name, None)
                self.assertIsNotNone(error, f"{message!r} {name}")
            self.assertFalse(hasattr(message, "__dict__"), message)
        self.assertEqual(len(set(SAMPLES)), len(SAMPLES))

    def test_noSecretIsShown(self) -> None:
        """
        A message's C{repr} tells of its options, but no secret of theirs.
        """
        for message in SAMPLES:
            self.assertNotIn("s3cret", repr(message))
            self.assertEqual(hasattr(message, "options"), "SessionID()" in repr(message))
