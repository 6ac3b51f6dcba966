"""
Tests of L{socks6.machine} with what nobody would think of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.client import ClientState
from socks6.machine.events import (
    Authenticated,
    CredentialsDemanded,
    CredentialsReceived,
    OperationReplied,
    RequestReceived,
)
from socks6.machine.server import ServerState
from socks6.values.address import Address
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.messages import AuthenticationReply, OperationReply, Request
from socks6.values.options import AuthenticationMethods, Option, OptionList, UsernamePassword
from socks6.wire import DRAFT_06
from tests.machine.drivers import EXCHANGE, POLICIES, Answers, consume, octetwise, serve
from tests.machine.samples import DEMAND, OCTETS, OFFERING, PLAIN, RIGHT, offering
from tests.machine.watch import WatchedCodec
from tests.strategies import (
    ADDRESSES,
    AUTHENTICATION_REPLIES,
    COMMANDS,
    CREDENTIALS,
    CREDENTIALS_REPLIES,
    METHODS,
    OPERATION_REPLIES,
    OPTIONS,
    damaged,
    pieces,
)

DATA = st.binary(max_size=60)
FEW_OPTIONS = st.lists(OPTIONS, max_size=3)

#: Octets, whole and in pieces.
Stream = tuple[bytes, list[bytes]]


def streams(intact: SearchStrategy[bytes]) -> SearchStrategy[Stream]:
    """
    Make what a peer may send: anything at all, what begins well, what is almost
    right, and what is right.
    """
    anything = st.binary(max_size=300)
    octets = st.one_of(
        anything, anything.map(lambda rest: b"\x06\x00" + rest), damaged(intact), intact
    )
    return octets.flatmap(lambda whole: st.tuples(st.just(whole), pieces(whole)))


# --- what a client sends ---


@dataclass(frozen=True)
class Client:
    """
    What a client says that knows a user name and a password.

    @ivar early: Application data right behind the request.
    @ivar late: Application data behind the credentials.
    """

    request: Request
    early: bytes
    credentials: UsernamePassword
    late: bytes

    @property
    def octets(self) -> bytes:
        """
        All that it sends.
        """
        return b"".join(
            (
                DRAFT_06.encodeRequest(self.request),
                self.early,
                DRAFT_06.encodeUsernamePassword(self.credentials),
                self.late,
            )
        )


@st.composite
def clients(draw: st.DrawFn) -> Client:
    """
    Make a client that keeps to the protocol, whatever its command.
    """
    command = draw(COMMANDS)
    early = draw(DATA) if command == Command.CONNECT else b""
    offer = AuthenticationMethods(len(early), (AuthenticationMethod.USERNAME_PASSWORD,))
    options = OptionList([offer, *draw(FEW_OPTIONS)])
    request = Request(command, draw(ADDRESSES), options)
    return Client(request, early, draw(CREDENTIALS), draw(DATA))


CLIENT_STREAMS = streams(clients().map(lambda client: client.octets))
ANSWERS = st.sampled_from(list(POLICIES.values()))


# --- what a proxy sends ---


@st.composite
def proxyOctets(draw: st.DrawFn) -> bytes:
    """
    Make the replies of a proxy, most often in their order and good news.
    """
    verdict, outcome = draw(AUTHENTICATION_REPLIES), draw(OPERATION_REPLIES)
    if draw(st.integers(0, 3)):
        verdict = replace(verdict, result=AuthenticationResult.SUCCESS)
        outcome = replace(outcome, code=ReplyCode.SUCCESS)
    replies = [
        DRAFT_06.encodeAuthenticationReply(verdict),
        DRAFT_06.encodeOperationReply(outcome),
        draw(DATA),
    ]
    if draw(st.booleans()):
        status = DRAFT_06.encodeUsernamePasswordReply(draw(CREDENTIALS_REPLIES))
        replies[:0] = [OCTETS[DEMAND], status]
    if not draw(st.integers(0, 3)):
        replies = draw(st.permutations(replies))
    return b"".join(replies)


PROXY_STREAMS = streams(proxyOctets())
ASKED = st.sampled_from(
    [PLAIN, OFFERING, offering(command=Command.BIND), offering(command=Command.UDP_ASSOCIATE)]
)


# --- what takes long ---

#: State -> octets that can wait in a proxy's machine which waits for more: a
#: request but its last octet; the initial data, and credentials but their last.
SERVER_LIMITS = {ServerState.REQUEST: 16648 - 1, ServerState.CREDENTIALS: 16384 + 513 - 1}

#: Length function -> octets of the longest message that it finds the end of.
MESSAGE_LIMITS = {
    "requestLength": 16648,
    "usernamePasswordLength": 513,
    "authenticationReplyLength": 16390,
    "usernamePasswordReplyLength": 2,
    "operationReplyLength": 16646,
}

LONG_ADDRESS = b"\x03\xff" + b"a" * 255

#: How options of 16384 octets, and of more, begin.
LONG_OPTIONS = st.sampled_from(
    [b"\x40\x00\xe0\x40\x00", b"\x40\x01\xe0\x40\x01", b"\xff\xff\xe0\xff\xff"]
)

LONG_REQUESTS = st.one_of(
    LONG_OPTIONS.map(lambda options: b"\x06\x00\x01\x01\xbb" + LONG_ADDRESS + options),
    st.just(
        DRAFT_06.encodeRequest(offering(16384)) + bytes(16384) + b"\x01\xff" + b"a" * 255 + b"\xff"
    ),
)

LONG_REPLIES = st.one_of(
    LONG_OPTIONS.map(lambda options: b"\x06\x00\x00\x00" + options),
    LONG_OPTIONS.map(
        lambda options: b"\x06\x00\x00\x00\x00\x00" + b"\x00\x01\xbb" + LONG_ADDRESS + options
    ),
)


def endless(start: bytes, size: int) -> list[bytes]:
    """
    Make a stream that goes on and on, in equal pieces.
    """
    stream = start.ljust(40_000, b"\x01")
    return [stream[place : place + size] for place in range(0, len(stream), size)]


SIZES = st.integers(1, 4000)


class ServerTests(SynchronousTestCase):
    """
    Nothing that a client sends upsets the proxy's machine.
    """

    @given(CLIENT_STREAMS, ANSWERS)
    def test_anyCut(self, stream: Stream, answers: Answers) -> None:
        """
        Whatever comes, there are events or a L{PeerError}; and they, the
        replies and the data are the same however the octets are cut and
        whenever the events are answered.
        """
        whole, cut = stream
        expected = serve([whole], answers)
        for name, transcript in {
            "in pieces": serve(cut, answers),
            "by octets": serve(octetwise(whole), answers),
            "later": serve([whole], answers, later=True),
            "in pieces, later": serve(cut, answers, later=True),
        }.items():
            self.assertEqual(transcript, expected, name)

    @given(clients())
    def test_nothingLost(self, client: Client) -> None:
        """
        What a client does right is understood, and its data kept.
        """
        transcript = serve([client.octets], EXCHANGE)
        self.assertEqual(
            transcript.events,
            [RequestReceived(client.request), CredentialsReceived(client.credentials)],
        )
        self.assertEqual(transcript.data, client.early + client.late)
        self.assertIsNone(transcript.error)

    @given(CLIENT_STREAMS, ANSWERS)
    def test_held(self, stream: Stream, answers: Answers) -> None:
        """
        No more octets wait than came.
        """
        for held in serve(stream[1], answers).held:
            self.assertLessEqual(held.octets, held.fed)

    @given(LONG_REQUESTS, SIZES, ANSWERS)
    def test_limits(self, start: bytes, size: int, answers: Answers) -> None:
        """
        While a message is waited for, no more octets wait than the protocol
        lets it have.
        """
        codec = WatchedCodec()
        transcript = serve(endless(start, size), answers, codec=codec)
        for held in transcript.held:
            self.assertLessEqual(held.octets, SERVER_LIMITS.get(held.state, held.fed))
        self.assertNotEqual(codec.looks, [])
        for look in codec.looks:
            self.assertLessEqual(look.needed, MESSAGE_LIMITS[look.function])


class ClientTests(SynchronousTestCase):
    """
    Nothing that a proxy sends upsets the client's machine.
    """

    @given(PROXY_STREAMS, ASKED)
    def test_anyCut(self, stream: Stream, request: Request) -> None:
        """
        Whatever comes, there are events or a L{PeerError}; and they, what we
        send and the data are the same however the octets are cut and whenever
        the events are answered.
        """
        whole, cut = stream
        expected = consume(request, [whole])
        for name, transcript in {
            "in pieces": consume(request, cut),
            "by octets": consume(request, octetwise(whole)),
            "later": consume(request, [whole], later=True),
            "in pieces, later": consume(request, cut, later=True),
        }.items():
            self.assertEqual(transcript, expected, name)

    @given(METHODS, FEW_OPTIONS, ADDRESSES, DATA, st.booleans())
    def test_nothingLost(
        self,
        method: int,
        options: list[Option],
        address: Address,
        data: bytes,
        demand: bool,
    ) -> None:
        """
        What a proxy does right is understood, and its data kept.
        """
        verdict = AuthenticationReply(AuthenticationResult.SUCCESS, method, OptionList(options))
        outcome = OperationReply(ReplyCode.SUCCESS, address, OptionList(options))
        octets = b"".join(
            (
                OCTETS[DEMAND] + OCTETS[RIGHT] if demand else b"",
                DRAFT_06.encodeAuthenticationReply(verdict),
                DRAFT_06.encodeOperationReply(outcome),
                data,
            )
        )
        transcript = consume(OFFERING, [octets])
        self.assertEqual(
            transcript.events,
            [*[CredentialsDemanded()] * demand, Authenticated(verdict), OperationReplied(outcome)],
        )
        self.assertEqual(transcript.data, data)
        self.assertIs(transcript.state, ClientState.OPEN)

    @given(LONG_REPLIES, SIZES)
    def test_limits(self, start: bytes, size: int) -> None:
        """
        No message is waited for that is longer than the protocol lets it be.
        """
        codec = WatchedCodec()
        consume(PLAIN, endless(start, size), codec=codec)
        self.assertNotEqual(codec.looks, [])
        for look in codec.looks:
            self.assertLessEqual(look.needed, MESSAGE_LIMITS[look.function])
