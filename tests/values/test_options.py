"""
Tests of L{socks6.values.options}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields
from functools import partial
from typing import Any, get_args

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.codes import Leg, MultipathScheduler, TokenOutcome
from socks6.values.options import (
    AuthenticationData,
    AuthenticationMethods,
    IPTypeOfService,
    ListenBacklog,
    MultipathSchedulerChoice,
    MultipathTCP,
    Option,
    OptionList,
    SessionID,
    SessionInvalid,
    SessionOK,
    SessionRequest,
    SessionTeardown,
    SessionUntrusted,
    TCPFastOpen,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UnknownOption,
    UsernamePassword,
)
from tests.raising import errorOf
from tests.strategies import OPTION_LISTS

#: One option of each class.
SAMPLES: tuple[Option, ...] = (
    IPTypeOfService(Leg.BOTH, 16),
    TCPFastOpen(0),
    MultipathTCP(),
    MultipathSchedulerChoice(Leg.CLIENT_PROXY, MultipathScheduler.REDUNDANT),
    ListenBacklog(5),
    AuthenticationMethods(0, (2,)),
    UsernamePassword(b"alice", b"secret"),
    AuthenticationData(1, b"data"),
    SessionRequest(),
    SessionID(b"0123456789abcdef"),
    SessionTeardown(),
    SessionOK(),
    SessionInvalid(),
    SessionUntrusted(),
    TokenRequest(64),
    TokenWindowAdvertisement(5, 64),
    TokenExpenditure(5),
    TokenExpenditureReply(TokenOutcome.SUCCESS),
    UnknownOption(0xE0, b"vendor"),
)

#: What a field is called -> how to make an option with a number there, the
#: least number that fits, the greatest.
NUMBERS: Mapping[str, tuple[Callable[[int], Option], int, int]] = {
    "type of service": (lambda number: IPTypeOfService(Leg.BOTH, number), 0, 255),
    "payload size": (TCPFastOpen, 0, 65535),
    "backlog": (ListenBacklog, 2, 65535),
    "initial data length": (lambda number: AuthenticationMethods(number, ()), 0, 16384),
    "first method": (lambda number: AuthenticationMethods(0, (number, 2)), 0, 255),
    "last method": (lambda number: AuthenticationMethods(0, (2, number)), 0, 255),
    "method of the data": (lambda number: AuthenticationData(number, b""), 0, 255),
    "asked window size": (TokenRequest, 1, 2**31 - 1),
    "window base": (lambda number: TokenWindowAdvertisement(number, 1), 0, 2**32 - 1),
    "window size": (lambda number: TokenWindowAdvertisement(0, number), 1, 2**31 - 1),
    "token": (TokenExpenditure, 0, 2**32 - 1),
    "kind": (lambda number: UnknownOption(number, b""), 0, 255),
}

#: What a field is called -> how to make an option with octets there, the
#: fewest octets that fit, the most.  An option's head takes 3 of 16384 octets.
SIZES: Mapping[str, tuple[Callable[[bytes], Option], int, int]] = {
    "methods": (lambda octets: AuthenticationMethods(0, tuple(octets)), 0, 16384 - 3 - 2),
    "user name": (lambda octets: UsernamePassword(octets, b"secret"), 1, 255),
    "password": (lambda octets: UsernamePassword(b"alice", octets), 1, 255),
    "authentication data": (lambda octets: AuthenticationData(1, octets), 0, 16384 - 3 - 1),
    "session ID": (SessionID, 0, 16384 - 3 - 1),
    "unknown data": (lambda octets: UnknownOption(0xE0, octets), 0, 16384 - 3),
}


class OptionTests(SynchronousTestCase):
    """
    Options check themselves when they are made.
    """

    def test_samples(self) -> None:
        """
        The samples leave no class out.
        """
        self.assertEqual({type(option) for option in SAMPLES}, set(get_args(Option)))

    def test_numbersThatFit(self) -> None:
        """
        The least and the greatest number of each field can be had.
        """
        for what, (make, least, most) in NUMBERS.items():
            self.assertNotEqual(make(least), make(most), what)

    def test_numbersThatDoNotFit(self) -> None:
        """
        A number right below or above cannot.
        """
        for what, (make, least, most) in NUMBERS.items():
            for number in (least - 1, most + 1):
                self.assertIsNotNone(errorOf(ValueError, make, number), f"{what} {number}")

    def test_dataOfUsernamePassword(self) -> None:
        """
        A user name and password cannot hide in opaque data.
        """
        self.assertIsNotNone(errorOf(ValueError, AuthenticationData, 2, b"data"))

    def test_sizesThatFit(self) -> None:
        """
        The shortest and the longest content of each field can be had.
        """
        for what, (make, least, most) in SIZES.items():
            self.assertNotEqual(make(bytes(least)), make(bytes(most)), what)

    def test_sizesThatDoNotFit(self) -> None:
        """
        A content too long by one octet cannot, nor one too short.  The error
        does not quote it.
        """
        for what, (make, least, most) in SIZES.items():
            for size in {most + 1, least - 1} - {-1}:
                error = errorOf(ValueError, make, b"q" * size)
                self.assertIsNotNone(error, f"{what} {size}")
                self.assertNotIn("qq", str(error), what)

    def test_remoteLegOnly(self) -> None:
        """
        TCP Fast Open, Multipath TCP and the backlog speak of the proxy-remote
        leg, and cannot be told to speak of another.
        """
        for option in (TCPFastOpen(0), MultipathTCP(), ListenBacklog(2)):
            self.assertIs(option.leg, Leg.PROXY_REMOTE)
        for make in (partial(TCPFastOpen, 0), MultipathTCP, partial(ListenBacklog, 2)):
            self.assertIsNotNone(errorOf(TypeError, make, Leg.BOTH), f"{make}")

    def test_immutable(self) -> None:
        """
        No field of an option can be changed, nor one added.
        """
        for option in SAMPLES:
            for name in [field.name for field in fields(option)]:
                error = errorOf(FrozenInstanceError, setattr, option, name, None)
                self.assertIsNotNone(error, f"{option!r} {name}")
            self.assertFalse(hasattr(option, "__dict__"), option)

    def test_equality(self) -> None:
        """
        Options of the same class and content are equal, others are not.
        """
        for option in SAMPLES:
            content = {
                field.name: getattr(option, field.name) for field in fields(option) if field.init
            }
            make: Callable[..., Any] = type(option)
            self.assertEqual([one for one in SAMPLES if one == make(**content)], [option])
        self.assertEqual(len(set(SAMPLES)), len(SAMPLES))


class SecrecyTests(SynchronousTestCase):
    """
    What may be a secret is never shown.
    """

    def test_secrets(self) -> None:
        """
        No password, session ID, authentication data nor data of an unknown
        option stands in a C{repr}, alone or in a list.
        """
        for option, text in (
            (UsernamePassword(b"alice", b"s3cret"), "UsernamePassword(username=b'alice')"),
            (AuthenticationData(7, b"s3cret"), "AuthenticationData(method=7)"),
            (SessionID(b"s3cret"), "SessionID()"),
            (UnknownOption(3, b"s3cret"), "UnknownOption(kind=3)"),
        ):
            self.assertEqual(repr(option), text)
            self.assertEqual(f"{OptionList([option])}", f"({text},)")


class FirstTests(SynchronousTestCase):
    """
    L{OptionList.first} finds the option of a class that counts.
    """

    def test_none(self) -> None:
        """
        There is none in an empty list, nor among options of other classes.
        """
        for options in (OptionList(), OptionList([SessionOK(), SessionID(b"1")])):
            self.assertIsNone(options.first(SessionRequest), f"{options}")

    def test_first(self) -> None:
        """
        Of several the first counts, wherever it stands.
        """
        options = OptionList([SessionOK(), TokenExpenditure(1), SessionOK(), TokenExpenditure(2)])
        self.assertIs(options.first(TokenExpenditure), options[1])

    def test_everyClass(self) -> None:
        """
        Each option is found by its own class among all others.
        """
        options = OptionList(SAMPLES)
        for option in SAMPLES:
            self.assertIs(options.first(type(option)), option)


class StackTests(SynchronousTestCase):
    """
    L{OptionList.stack} finds the stack options that count.
    """

    def test_overlaps(self) -> None:
        """
        An option counts if no option that counts spoke of one of its legs
        before.  One that does not is ignored on all its legs.
        """
        client, remote, both = Leg.CLIENT_PROXY, Leg.PROXY_REMOTE, Leg.BOTH
        for legs, counting in (
            ([], []),
            ([both], [0]),
            ([client, remote], [0, 1]),
            ([remote, client], [0, 1]),
            ([client, both], [0]),
            ([both, client, remote], [0]),
            ([client, client, remote], [0, 2]),
            ([client, both, remote], [0, 2]),
        ):
            options = OptionList(IPTypeOfService(leg, tos) for tos, leg in enumerate(legs))
            found = [option.tos for option in options.stack(IPTypeOfService)]
            self.assertEqual(found, counting, f"{legs}")

    def test_otherClasses(self) -> None:
        """
        Options of other classes neither count nor stand in the way.
        """
        tos = IPTypeOfService(Leg.PROXY_REMOTE, 1)
        scheduler = MultipathSchedulerChoice(Leg.BOTH, MultipathScheduler.REDUNDANT)
        options = OptionList([MultipathTCP(), scheduler, SessionOK(), tos])
        self.assertEqual(list(options.stack(IPTypeOfService)), [tos])
        self.assertEqual(list(options.stack(MultipathSchedulerChoice)), [scheduler])
        self.assertEqual(list(options.stack(ListenBacklog)), [])

    @given(OPTION_LISTS)
    def test_anyList(self, options: OptionList) -> None:
        """
        What counts never overlaps; the first of a class always counts.
        """
        counting = list(options.stack(IPTypeOfService))
        self.assertEqual(counting[:1], [one for one in [options.first(IPTypeOfService)] if one])
        for index, option in enumerate(counting):
            for other in counting[:index]:
                self.assertFalse(option.leg.overlaps(other.leg))
