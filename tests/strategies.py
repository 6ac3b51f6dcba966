"""
Hypothesis strategies for every value, and how hypothesis is set up here.

What these strategies make can be encoded, and reads back as the same value.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from socks6.values.address import Address, DomainName, Host
from socks6.values.codes import (
    AuthenticationMethod,
    AuthenticationResult,
    Command,
    Leg,
    MultipathScheduler,
    ReplyCode,
    TokenOutcome,
)
from socks6.values.messages import (
    AssociationInitialization,
    AuthenticationReply,
    DatagramHeader,
    OperationReply,
    Request,
    UsernamePasswordReply,
)
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
    StackOption,
    TCPFastOpen,
    TokenExpenditure,
    TokenExpenditureReply,
    TokenRequest,
    TokenWindowAdvertisement,
    UnknownOption,
    UsernamePassword,
)
from socks6.wire.password import ProgramCredentials
from socks6.wire.replycodes import SOCKS4ReplyCode, SOCKS5ReplyCode
from socks6.wire.socks4 import SOCKS4Reply, SOCKS4Request
from socks6.wire.socks5 import SOCKS5DatagramHeader, SOCKS5Reply, SOCKS5Request

# Slow machines are no reason to fail; what failed must be possible to repeat.
settings.register_profile(
    "socks6",
    deadline=None,
    max_examples=100,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("socks6")

OCTETS = st.integers(0, 255)
PORTS = st.integers(0, 65535)
FOUR_OCTET_NUMBERS = st.integers(0, 2**32 - 1)

# --- addresses ---

DOMAIN_NAMES = st.builds(
    DomainName, st.binary(min_size=1, max_size=255).map(lambda name: name.replace(b"\0", b"0"))
)
HOSTS: SearchStrategy[Host] = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), DOMAIN_NAMES)
ADDRESSES = st.builds(Address, HOSTS, PORTS)

# --- stack options ---

LEGS = st.sampled_from(Leg)
TYPES_OF_SERVICE = st.builds(IPTypeOfService, LEGS, OCTETS)
FAST_OPENS = st.builds(TCPFastOpen, st.integers(0, 65535))
SCHEDULER_CHOICES = st.builds(MultipathSchedulerChoice, LEGS, st.sampled_from(MultipathScheduler))
BACKLOGS = st.builds(ListenBacklog, st.integers(2, 65535))
STACK_OPTIONS: SearchStrategy[StackOption] = st.one_of(
    TYPES_OF_SERVICE, FAST_OPENS, st.just(MultipathTCP()), SCHEDULER_CHOICES, BACKLOGS
)

# --- authentication options ---

#: What an option holds that only others understand: short, or long and dull.
OPAQUE_DATA = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda data, times: data * times, st.binary(max_size=10), st.integers(0, 100)),
)
METHODS: SearchStrategy[AuthenticationMethod | int] = st.one_of(
    st.sampled_from(AuthenticationMethod), OCTETS
)
METHOD_LISTS = st.builds(
    AuthenticationMethods, st.integers(0, 16384), st.lists(METHODS, max_size=20).map(tuple)
)
CREDENTIALS = st.builds(
    UsernamePassword, st.binary(min_size=1, max_size=255), st.binary(min_size=1, max_size=255)
)
#: Method 2 is missing: its data are those of L{CREDENTIALS}.
AUTHENTICATION_DATA = st.builds(
    AuthenticationData,
    METHODS.filter(lambda method: method != AuthenticationMethod.USERNAME_PASSWORD),
    OPAQUE_DATA,
)

# --- session and idempotence options ---

SESSION_IDS = st.builds(SessionID, OPAQUE_DATA)
SESSION_OPTIONS: SearchStrategy[Option] = st.one_of(
    SESSION_IDS,
    st.sampled_from(
        [
            SessionRequest(),
            SessionTeardown(),
            SessionOK(),
            SessionInvalid(),
            SessionUntrusted(),
        ]
    ),
)
WINDOW_SIZES = st.integers(1, 2**31 - 1)
IDEMPOTENCE_OPTIONS: SearchStrategy[Option] = st.one_of(
    st.builds(TokenRequest, WINDOW_SIZES),
    st.builds(TokenWindowAdvertisement, FOUR_OCTET_NUMBERS, WINDOW_SIZES),
    st.builds(TokenExpenditure, FOUR_OCTET_NUMBERS),
    st.builds(TokenExpenditureReply, st.sampled_from(TokenOutcome)),
)

# --- any option ---


def _unknownOfKind(kind: int, firstOctets: SearchStrategy[int]) -> SearchStrategy[Option]:
    """
    Make unknown options of a kind, whose data begin with some octet.
    """
    data = st.builds(lambda first, more: bytes([first]) + more, firstOctets, OPAQUE_DATA)
    return st.builds(UnknownOption, st.just(kind), data)


#: Of kinds that are not assigned, and of assigned kinds with what is not.
UNKNOWN_OPTIONS: SearchStrategy[Option] = st.one_of(
    st.builds(UnknownOption, OCTETS.filter(lambda kind: not 1 <= kind <= 5), OPAQUE_DATA),
    st.builds(UnknownOption, st.integers(1, 5), st.just(b"")),
    # The level in the low 6 bits: none from 6 on is assigned.
    _unknownOfKind(1, OCTETS.filter(lambda octet: octet & 0x3F > 5)),
    _unknownOfKind(4, st.integers(7, 255)),
    _unknownOfKind(5, st.integers(5, 255)),
)
OPTIONS: SearchStrategy[Option] = st.one_of(
    [
        STACK_OPTIONS,
        METHOD_LISTS,
        CREDENTIALS,
        AUTHENTICATION_DATA,
        SESSION_OPTIONS,
        IDEMPOTENCE_OPTIONS,
        UNKNOWN_OPTIONS,
    ]
)

#: None of the options takes more than 1004 octets, so ten stay below the limit.
OPTION_LISTS = st.lists(OPTIONS, max_size=10).map(OptionList)

# --- messages ---

COMMANDS: SearchStrategy[Command | int] = st.one_of(st.sampled_from(Command), OCTETS)
REPLY_CODES: SearchStrategy[ReplyCode | int] = st.one_of(st.sampled_from(ReplyCode), OCTETS)
REQUESTS = st.builds(Request, COMMANDS, ADDRESSES, OPTION_LISTS)
AUTHENTICATION_REPLIES = st.builds(
    AuthenticationReply, st.sampled_from(AuthenticationResult), METHODS, OPTION_LISTS
)
OPERATION_REPLIES = st.builds(OperationReply, REPLY_CODES, ADDRESSES, OPTION_LISTS)
CREDENTIALS_REPLIES = st.builds(UsernamePasswordReply, OCTETS)
ASSOCIATION_INITIALIZATIONS = st.builds(AssociationInitialization, FOUR_OCTET_NUMBERS)
DATAGRAM_HEADERS = st.builds(DatagramHeader, FOUR_OCTET_NUMBERS, ADDRESSES)

# --- SOCKS 4 and 5 ---

PROGRAM_CREDENTIALS = st.builds(
    ProgramCredentials, st.binary(max_size=255), st.binary(max_size=255)
)
METHOD_OFFERS = st.lists(METHODS, min_size=1, max_size=255).map(tuple)
SOCKS5_REQUESTS = st.builds(SOCKS5Request, COMMANDS, ADDRESSES)
SOCKS5_REPLIES = st.builds(
    SOCKS5Reply, st.one_of(st.sampled_from(SOCKS5ReplyCode), OCTETS), ADDRESSES
)
SOCKS5_DATAGRAM_HEADERS = st.builds(SOCKS5DatagramHeader, OCTETS, ADDRESSES)

#: Without those that tell of a name.
_SOCKS4_HOSTS: SearchStrategy[Host] = st.one_of(
    st.ip_addresses(v=4).filter(lambda ip: not 0 < int(ip) < 256), DOMAIN_NAMES
)
SOCKS4_REQUESTS = st.builds(
    SOCKS4Request,
    COMMANDS,
    st.builds(Address, _SOCKS4_HOSTS, PORTS),
    st.binary(max_size=255).map(lambda userID: userID.replace(b"\0", b"0")),
)
SOCKS4_REPLIES = st.builds(
    SOCKS4Reply,
    st.one_of(st.sampled_from(SOCKS4ReplyCode), OCTETS),
    st.ip_addresses(v=4),
    PORTS,
)

# --- octets ---


def pieces(octets: bytes) -> SearchStrategy[list[bytes]]:
    """
    Make all the ways in which octets may arrive: cut anywhere, in order.
    """
    cuts = st.lists(st.integers(0, len(octets)), max_size=8).map(sorted)
    return cuts.map(
        lambda ends: [
            octets[start:end] for start, end in zip([0, *ends], [*ends, len(octets)], strict=True)
        ]
    )


def _edit(octets: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """
    Leave some octets out and put others in.

    @param edits: Where (modulo the size), how many go, what comes.
    """
    for place, gone, come in edits:
        start = place % (len(octets) + 1)
        octets = octets[:start] + come + octets[start + gone :]
    return octets


def damaged(messages: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """
    Make octets that are almost a message: up to four places are changed.
    """
    edit = st.tuples(st.integers(0, 1000), st.integers(0, 2), st.binary(max_size=2))
    return st.builds(_edit, messages, st.lists(edit, min_size=1, max_size=4))
