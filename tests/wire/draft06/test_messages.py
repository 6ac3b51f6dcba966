"""
Tests of L{socks6.wire.draft06.messages}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import (
    AuthenticationReply,
    OperationReply,
    Request,
)
from socks6.values.options import OptionList, UnknownOption
from socks6.wire import draft06
from socks6.wire.errors import (
    MalformedMessage,
    NotSOCKS6,
    PeerError,
    UnknownAddressType,
    VersionMismatch,
)
from tests.raising import errorOf
from tests.strategies import (
    ASSOCIATION_INITIALIZATIONS,
    AUTHENTICATION_REPLIES,
    CREDENTIALS,
    CREDENTIALS_REPLIES,
    OPERATION_REPLIES,
    REQUESTS,
    damaged,
)
from tests.wire.draft06.golden import (
    ASSOCIATION_INITIALIZATION,
    AUTHENTICATION_REPLY,
    BROKEN_OPTIONS,
    GOLDENS,
    HEADS,
    OPERATION_REPLY,
    REQUEST,
    USERNAME_PASSWORD,
    USERNAME_PASSWORD_REPLY,
)
from tests.wire.spelling import Spelling
from tests.wire.suite import GoldenSuite

#: How a request begins, up to the address type.
REQUEST_START = bytes.fromhex("0600 01 0050")

#: Any message, with what spells it.
MESSAGES = st.one_of(
    [
        st.tuples(st.just(REQUEST), REQUESTS),
        st.tuples(st.just(AUTHENTICATION_REPLY), AUTHENTICATION_REPLIES),
        st.tuples(st.just(OPERATION_REPLY), OPERATION_REPLIES),
        st.tuples(st.just(USERNAME_PASSWORD), CREDENTIALS),
        st.tuples(st.just(USERNAME_PASSWORD_REPLY), CREDENTIALS_REPLIES),
        st.tuples(st.just(ASSOCIATION_INITIALIZATION), ASSOCIATION_INITIALIZATIONS),
    ]
)

#: Octets that are, or almost are, or are not at all, a message of some kind.
ANY_OCTETS = MESSAGES.flatmap(
    lambda message: st.tuples(
        st.just(message[0]),
        st.one_of(damaged(st.just(message[0].encode(message[1]))), st.binary()),
    )
)


class GoldenTests(GoldenSuite, SynchronousTestCase):
    """
    Messages are spelled as the draft's tables say.
    """

    GOLDENS = GOLDENS

    def test_fixed(self) -> None:
        """
        The messages that say one thing only are always the same.
        """
        self.assertEqual(draft06.encodeVersionMismatchReply(), b"\6\0")
        self.assertEqual(draft06.encodeAssociationConfirmation(), b"\0")

    def test_extremes(self) -> None:
        """
        The shortest and the longest messages have the sizes that the encoders
        promise.
        """
        name = Address(DomainName(b"x" * 255), 0)
        full = OptionList([UnknownOption(0xE0, bytes(16384 - 3))])
        success = AuthenticationResult.SUCCESS
        for octets, size in (
            (draft06.encodeRequest(Request(0, UNSPECIFIED_IPV4)), 12),
            (draft06.encodeRequest(Request(0, name, full)), 16648),
            (draft06.encodeAuthenticationReply(AuthenticationReply(success, 0)), 6),
            (draft06.encodeAuthenticationReply(AuthenticationReply(success, 0, full)), 16390),
            (draft06.encodeOperationReply(OperationReply(0, UNSPECIFIED_IPV4)), 10),
            (draft06.encodeOperationReply(OperationReply(0, name, full)), 16646),
        ):
            self.assertEqual(len(octets), size)

    def test_tooManyOptions(self) -> None:
        """
        Options that take 16385 octets together cannot be written.
        """
        options = OptionList([UnknownOption(0xE0, bytes(16384 - 3 - 3)), UnknownOption(0xE0, b"x")])
        for spelling, message in (
            (REQUEST, Request(0, UNSPECIFIED_IPV4, options)),
            (AUTHENTICATION_REPLY, AuthenticationReply(AuthenticationResult.SUCCESS, 0, options)),
            (OPERATION_REPLY, OperationReply(0, UNSPECIFIED_IPV4, options)),
        ):
            error = errorOf(ValueError, spelling.encode, message)
            self.assertIsNotNone(error, spelling.name)


class NumbersTests(SynchronousTestCase):
    """
    Numbers that we know have a name when they come out; others are as they
    were.
    """

    def test_command(self) -> None:
        """
        A request's command.
        """
        for number in range(256):
            octets = bytes([6, 0, number]) + bytes.fromhex("0000 01 00000000 0000")
            request = draft06.decodeRequest(octets)
            self.assertEqual(request, Request(number, UNSPECIFIED_IPV4))
            self.assertEqual(isinstance(request.command, Command), number <= 3, f"{number}")
            self.assertEqual(draft06.encodeRequest(request), octets)

    def test_method(self) -> None:
        """
        An Authentication Reply's type, always known, and its method.
        """
        for result in AuthenticationResult:
            for number in range(256):
                octets = bytes([6, 0, result.value, number, 0, 0])
                reply = draft06.decodeAuthenticationReply(octets)
                self.assertEqual(reply, AuthenticationReply(result, number))
                self.assertIs(reply.result, result)
                self.assertEqual(
                    isinstance(reply.method, AuthenticationMethod),
                    number in {0, 1, 2, 255},
                    f"{number}",
                )
                self.assertEqual(draft06.encodeAuthenticationReply(reply), octets)

    def test_replyCode(self) -> None:
        """
        An Operation Reply's code.
        """
        for number in range(256):
            octets = bytes([number]) + bytes.fromhex("0000 01 00000000 0000")
            reply = draft06.decodeOperationReply(octets)
            self.assertEqual(reply, OperationReply(number, UNSPECIFIED_IPV4))
            self.assertEqual(isinstance(reply.code, ReplyCode), number <= 9, f"{number}")
            self.assertEqual(draft06.encodeOperationReply(reply), octets)


class RulesTests(SynchronousTestCase):
    """
    Decoders accept exactly one well-formed message.
    """

    def test_brokenOptions(self) -> None:
        """
        Broken options make any message malformed that has options.
        """
        for spelling, head in HEADS.items():
            for what, options in BROKEN_OPTIONS.items():
                octets = head + len(options).to_bytes(2, "big") + options
                self.assertEqual(spelling.length(octets), len(octets))
                error = errorOf(PeerError, spelling.decode, octets)
                self.assertIs(type(error), MalformedMessage, f"{spelling.name} with {what}")

    def test_otherRules(self) -> None:
        """
        Decoders themselves find the wrong octets that the length functions
        find; and the NUL in a name, which those do not look for.
        """
        for what, spelling, digits, expected in (
            ("request of SOCKS 5", REQUEST, "0500 01 0050 01 7f000001 0000", VersionMismatch),
            ("request of 6.1", REQUEST, "0601 01 0050 01 7f000001 0000", VersionMismatch),
            ("address type 2", REQUEST, "0600 01 0050 02 7f000001 0000", UnknownAddressType),
            ("empty name", REQUEST, "0600 01 0050 03 00 0000", MalformedMessage),
            ("NUL", REQUEST, "0600 01 0050 03 01 00 0000", MalformedMessage),
            ("NUL behind", REQUEST, "0600 01 0050 03 03 787900 0000", MalformedMessage),
            ("reply of SOCKS 5", AUTHENTICATION_REPLY, "05 00", NotSOCKS6),
            ("reply of 6.1", AUTHENTICATION_REPLY, "0601 00 00 0000", VersionMismatch),
            ("reply of type 2", AUTHENTICATION_REPLY, "0600 02 00 0000", MalformedMessage),
            ("address type 0", OPERATION_REPLY, "00 0050 00 7f000001 0000", UnknownAddressType),
            ("NUL between", OPERATION_REPLY, "00 0050 03 03 780079 0000", MalformedMessage),
        ):
            error = errorOf(PeerError, spelling.decode, bytes.fromhex(digits))
            self.assertIs(type(error), expected, f"{spelling.name}: {what}")

    def test_nothingIsQuoted(self) -> None:
        """
        What is wrong is told without the octets that came.
        """
        secret = b"s3cret"
        for what, octets in (
            ("name", REQUEST_START + b"\3\7" + secret + b"\0" + b"\0\0"),
            ("option", REQUEST_START + b"\1\x7f\0\0\1" + b"\0\x09\4\0\xff" + secret),
            ("rest", REQUEST_START + b"\1\x7f\0\0\1" + b"\0\0" + secret),
        ):
            error = errorOf(PeerError, draft06.decodeRequest, octets)
            self.assertIsNotNone(error, what)
            self.assertNotIn("s3cret", f"{error} {error!r} {error and error.__context__!r}", what)


class AnyMessageTests(SynchronousTestCase):
    """
    What holds for messages and octets that nobody thought of.
    """

    @settings(max_examples=400)
    @given(MESSAGES)
    def test_roundTrip(self, case: tuple[Spelling, object]) -> None:
        """
        Any message that is written, and has its end found, reads back.
        """
        spelling, message = case
        octets = spelling.encode(message)
        self.assertEqual(spelling.length(octets), len(octets))
        self.assertEqual(spelling.decode(octets), message)

    @settings(max_examples=400)
    @given(ANY_OCTETS)
    def test_anyOctets(self, case: tuple[Spelling, bytes]) -> None:
        """
        Any octets raise a L{PeerError} or are a message: one that is written
        with the same octets.
        """
        spelling, octets = case
        if errorOf(PeerError, spelling.decode, octets) is None:
            self.assertEqual(spelling.encode(spelling.decode(octets)), octets)

    @settings(max_examples=400)
    @given(ANY_OCTETS)
    def test_anyWholeOctets(self, case: tuple[Spelling, bytes]) -> None:
        """
        So do the octets that a length function takes for a message.
        """
        spelling, octets = case
        if errorOf(PeerError, spelling.length, octets) is None:
            whole = octets[: spelling.length(octets)]
            if errorOf(PeerError, spelling.decode, whole) is None:
                self.assertEqual(spelling.encode(spelling.decode(whole)), whole)
