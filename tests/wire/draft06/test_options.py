"""
Tests of L{socks6.wire.draft06.options}; of the stack options they are in
L{tests.wire.draft06.test_stack}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.codes import AuthenticationMethod, TokenOutcome
from socks6.values.options import (
    AuthenticationData,
    AuthenticationMethods,
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    StackOption,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UnknownOption,
    UsernamePassword,
)
from socks6.wire.draft06.options import decodeOption, decodeOptions, encodeOption, encodeOptions
from socks6.wire.errors import MalformedMessage, PeerError
from tests.raising import errorOf
from tests.strategies import OPTION_LISTS, OPTIONS
from tests.wire.draft06.golden import BROKEN_OPTIONS

#: Options that have one size only.
FIXED: Mapping[str, Option] = {
    "04 0004 01": SessionRequest(),
    "04 0004 03": SessionTeardown(),
    "04 0004 04": SessionOK(),
    "04 0004 05": SessionInvalid(),
    "04 0004 06": SessionUntrusted(),
    "05 0008 01 00000001": TokenRequest(1),
    "05 0008 01 7fffffff": TokenRequest(2**31 - 1),
    "05 000c 02 00000000 00000001": TokenWindowAdvertisement(0, 1),
    "05 000c 02 ffffffff 7fffffff": TokenWindowAdvertisement(2**32 - 1, 2**31 - 1),
    "05 0008 03 00000000": TokenExpenditure(0),
    "05 0008 03 fffffffe": TokenExpenditure(2**32 - 2),
    "05 0005 04 01": TokenExpenditureReply(TokenOutcome.SUCCESS),
    "05 0005 04 02": TokenExpenditureReply(TokenOutcome.NO_WINDOW),
    "05 0005 04 03": TokenExpenditureReply(TokenOutcome.OUT_OF_WINDOW),
    "05 0005 04 04": TokenExpenditureReply(TokenOutcome.DUPLICATE),
}

#: Options that say their own size inside once more.
SELF_DELIMITED: Mapping[str, Option] = {
    "03 0009 02 01 01 75 01 70": UsernamePassword(b"u", b"p"),
    "03 000c 02 01 03 626f62 02 7077": UsernamePassword(b"bob", b"pw"),
}

#: Options that may have any size.
OPEN: Mapping[str, Option] = {
    "02 0005 0000": AuthenticationMethods(0, ()),
    "02 0006 0005 02": AuthenticationMethods(5, (2,)),
    "02 0009 4000 01 02 80 ff": AuthenticationMethods(16384, (1, 2, 0x80, 255)),
    "03 0004 01": AuthenticationData(1, b""),
    "03 0006 80 0102": AuthenticationData(0x80, b"\1\2"),
    "04 0005 02 00": SessionID(b"\0"),
    "04 0008 02 01020304": SessionID(b"\1\2\3\4"),
    "ff 0003": UnknownOption(0xFF, b""),
    "e5 0005 00ff": UnknownOption(0xE5, b"\0\xff"),
    "00 0004 2a": UnknownOption(0, b"*"),
}

GOLDENS: Mapping[str, Option] = {**FIXED, **SELF_DELIMITED, **OPEN}

#: Options that mean nothing to us.
UNKNOWN: Mapping[str, str] = {
    "kind 0": "00 0003",
    "kind 6": "06 0004 01",
    "kind 127": "7f 0004 00",
    "the first vendor's": "e0 0004 01",
    "the last vendor's": "ff 0004 01",
    "methods without an initial data length": "02 0003",
    "methods with half an initial data length": "02 0004 00",
    "authentication data of no method": "03 0003",
    "password of version 2": "03 0009 02 02 01 75 01 70",
    "empty user name": "03 0008 02 01 00 01 70",
    "empty password": "03 0008 02 01 01 75 00",
    "session option of no type": "04 0003",
    "session option of type 0": "04 0004 00",
    "session option of type 7": "04 0004 07",
    "session option of type 255": "04 0008 ff 01020304",
    "idempotence option of no type": "05 0003",
    "idempotence option of type 0": "05 0008 00 00000001",
    "idempotence option of type 5": "05 0008 05 00000001",
    "request of no token": "05 0008 01 00000000",
    "request of 2**31 tokens": "05 0008 01 80000000",
    "window of no token": "05 000c 02 00000005 00000000",
    "window of 2**31 tokens": "05 000c 02 00000005 80000000",
    "outcome 0": "05 0005 04 00",
    "outcome 5": "05 0005 04 05",
}


def decoded(octets: bytes) -> Option:
    """
    Read what is one option, by its kind and what stands behind its head.
    """
    return decodeOption(octets[0], octets[3:])


class GoldenTests(SynchronousTestCase):
    """
    Options are spelled as the draft's tables say.
    """

    def test_everyClass(self) -> None:
        """
        The tables leave no class out but those of stack options.
        """
        classes = {type(option) for option in GOLDENS.values()}
        self.assertEqual(classes, set(get_args(Option)) - set(get_args(StackOption)))

    def test_encode(self) -> None:
        """
        Each option becomes its octets.
        """
        for digits, option in GOLDENS.items():
            self.assertEqual(encodeOption(option), bytes.fromhex(digits), f"{option}")

    def test_decode(self) -> None:
        """
        The octets become the option.
        """
        for digits, option in GOLDENS.items():
            self.assertEqual(decoded(bytes.fromhex(digits)), option, digits)

    def test_methodNames(self) -> None:
        """
        Methods that we know have a name when they come out, others are numbers.
        """
        option = decoded(bytes.fromhex("02 0007 0000 02 80"))
        assert isinstance(option, AuthenticationMethods)
        self.assertIs(option.methods[0], AuthenticationMethod.USERNAME_PASSWORD)
        self.assertIs(type(option.methods[1]), int)
        data = decoded(bytes.fromhex("03 0004 01"))
        assert isinstance(data, AuthenticationData)
        self.assertIs(data.method, AuthenticationMethod.GSSAPI)

    def test_emptySessionID(self) -> None:
        """
        An empty session ID is told from none, so that it can be refused.
        """
        self.assertEqual(decoded(bytes.fromhex("04 0004 02")), SessionID(b""))
        self.assertEqual(encodeOption(SessionID(b"")), bytes.fromhex("04 0004 02"))


class UnknownTests(SynchronousTestCase):
    """
    An option that means nothing to us is as if absent: an L{UnknownOption}
    with all that was in it.
    """

    def assertUnknown(self, octets: bytes, what: str) -> None:
        """
        Check that an option is unknown, and written again is the same.
        """
        option = decoded(octets)
        self.assertEqual(option, UnknownOption(octets[0], octets[3:]), what)
        self.assertEqual(encodeOption(option), octets, what)

    def test_content(self) -> None:
        """
        Kinds and types that we do not know, and values out of range.
        """
        for what, digits in UNKNOWN.items():
            self.assertUnknown(bytes.fromhex(digits), what)

    def test_sizes(self) -> None:
        """
        Every wrong size of what has one size.
        """
        for digits in {**FIXED, **SELF_DELIMITED}:
            whole = bytes.fromhex(digits)
            for size in {*range(len(whole) + 3)} - {0, 1, 2, len(whole)}:
                octets = whole[:1] + size.to_bytes(2, "big") + (whole + b"\0\0")[3:size]
                self.assertUnknown(octets, f"{digits} with size {size}")


class OptionsTests(SynchronousTestCase):
    """
    Options stand one behind the other, with the length of them all in front.
    """

    def test_golden(self) -> None:
        """
        Options are written and read in order, none of them left out.
        """
        options = OptionList([SessionOK(), UnknownOption(0xE0, b"x"), SessionOK()])
        octets = bytes.fromhex("000c 04000404 e0000478 04000404")
        self.assertEqual(encodeOptions(options), octets)
        self.assertEqual(decodeOptions(octets, 2), options)
        self.assertIs(type(decodeOptions(octets, 2)), OptionList)

    def test_none(self) -> None:
        """
        No options have length 0.
        """
        self.assertEqual(encodeOptions(OptionList()), b"\0\0")
        self.assertEqual(decodeOptions(b"\0\0", 2), OptionList())

    def test_largest(self) -> None:
        """
        16384 octets of options can be written and read: one large option, or
        very many small ones.
        """
        for options in (
            OptionList([UnknownOption(0xE0, b"x" * (16384 - 3))]),
            OptionList([SessionID(b"x" * (16384 - 4))]),
            OptionList([AuthenticationMethods(0, (2,) * (16384 - 5))]),
            OptionList([AuthenticationData(1, b"x" * (16384 - 4))]),
            OptionList([SessionRequest()] * 4096),
        ):
            octets = encodeOptions(options)
            self.assertEqual(octets[:2], b"\x40\0")
            self.assertEqual(len(octets), 2 + 16384)
            self.assertEqual(decodeOptions(octets, 2), options)

    def test_tooLarge(self) -> None:
        """
        One octet more cannot be written.
        """
        options = OptionList([*[SessionRequest()] * 4095, SessionID(b"x")])
        self.assertIsNotNone(errorOf(ValueError, encodeOptions, options))

    def test_broken(self) -> None:
        """
        What is no row of options is malformed, and so is too much initial
        data.
        """
        for what, octets in BROKEN_OPTIONS.items():
            error = errorOf(PeerError, decodeOptions, b"head" + octets, 4)
            self.assertIs(type(error), MalformedMessage, what)

    def test_everyTruncation(self) -> None:
        """
        An option that is cut anywhere is malformed.
        """
        for digits in GOLDENS:
            octets = bytes.fromhex(digits)
            for cut in range(1, len(octets)):
                error = errorOf(PeerError, decodeOptions, octets[:cut], 0)
                self.assertIs(type(error), MalformedMessage, f"{digits}, cut at {cut}")

    @given(OPTION_LISTS)
    def test_roundTrip(self, options: OptionList) -> None:
        """
        Any options that are written read back.
        """
        octets = encodeOptions(options)
        self.assertEqual(int.from_bytes(octets[:2], "big"), len(octets) - 2)
        self.assertEqual(decodeOptions(octets, 2), options)

    @given(OPTIONS)
    def test_length(self, option: Option) -> None:
        """
        Any option tells its own size, the head included.
        """
        octets = encodeOption(option)
        self.assertEqual(int.from_bytes(octets[1:3], "big"), len(octets))

    @given(st.integers(0, 6), st.binary(max_size=20))
    def test_anyContent(self, kind: int, data: bytes) -> None:
        """
        Any content raises a L{PeerError} or is an option: one that is written
        with the same octets.
        """
        if errorOf(PeerError, decodeOption, kind, data) is None:
            octets = encodeOption(decodeOption(kind, data))
            self.assertEqual(octets, bytes([kind, 0, len(data) + 3]) + data)
