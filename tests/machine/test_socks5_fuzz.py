"""
Tests of L{socks6.machine.socks5server} and L{socks6.machine.socks5client} with what
nobody would think of, and of the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from twisted.trial.unittest import SynchronousTestCase

from socks6.machine.events import (
    SOCKS5Answered,
    SOCKS5Replied,
    SOCKS5RequestReceived,
)
from socks6.machine.socks5client import SOCKS5ClientConnection, SOCKS5ClientState
from socks6.machine.socks5server import SOCKS5ServerConnection, SOCKS5ServerState
from socks6.values.codes import Command
from socks6.values.options import UsernamePassword
from socks6.wire import password, socks5
from socks6.wire.errors import PeerError
from socks6.wire.password import ProgramCredentials
from socks6.wire.socks5 import SOCKS5Reply, SOCKS5Request
from tests.machine.drivers import octetwise
from tests.machine.socks5drivers import (
    ADA,
    ARRIVED,
    ASSOCIATE,
    BIND,
    CHOOSE_NONE,
    CHOOSE_NOTHING,
    CHOOSE_PASSWORD,
    CONNECT,
    FAILED,
    OFFER_BOTH,
    OFFER_NOTHING,
    RIGHT,
    SUCCEEDED,
    consume,
    serve,
)
from tests.raising import errorOf
from tests.strategies import (
    CREDENTIALS,
    CREDENTIALS_REPLIES,
    METHOD_OFFERS,
    METHODS,
    SOCKS5_REPLIES,
    SOCKS5_REQUESTS,
    damaged,
    pieces,
)

DATA = st.binary(max_size=60)

#: Octets, whole and in pieces.
Stream = tuple[bytes, list[bytes]]


def streams(intact: SearchStrategy[bytes]) -> SearchStrategy[Stream]:
    """
    Make what a peer may send: anything at all, what begins well, what is almost
    right, and what is right.
    """
    anything = st.binary(max_size=300)
    octets = st.one_of(anything, anything.map(lambda rest: b"\5" + rest), damaged(intact), intact)
    return octets.flatmap(lambda whole: st.tuples(st.just(whole), pieces(whole)))


@st.composite
def clientOctets(draw: st.DrawFn) -> bytes:
    """
    Make what a client sends that does not wait for answers.
    """
    start = draw(
        st.one_of(
            st.just(OFFER_NOTHING),
            CREDENTIALS.map(lambda each: OFFER_BOTH + password.encodeUsernamePassword(each)),
            METHOD_OFFERS.map(socks5.encodeMethodOffer),
        )
    )
    return start + socks5.encodeRequest(draw(SOCKS5_REQUESTS)) + draw(DATA)


@st.composite
def serverOctets(draw: st.DrawFn) -> bytes:
    """
    Make the messages of a server, most often good news.
    """
    start = draw(
        st.one_of(
            st.just(CHOOSE_NOTHING),
            st.just(CHOOSE_PASSWORD + RIGHT),
            CREDENTIALS_REPLIES.map(
                lambda each: CHOOSE_PASSWORD + password.encodeUsernamePasswordReply(each)
            ),
            METHODS.map(socks5.encodeMethodChoice),
        )
    )
    reply = st.one_of(st.sampled_from((SUCCEEDED, ARRIVED)), SOCKS5_REPLIES)
    replies = draw(st.lists(reply, min_size=1, max_size=2))
    return start + b"".join(map(socks5.encodeReply, replies)) + draw(DATA)


#: States in which no message of the client is waited for.
SATISFIED = (SOCKS5ServerState.BINDING, SOCKS5ServerState.RESULT, SOCKS5ServerState.CLOSED)

REPLIES: SearchStrategy[Sequence[SOCKS5Reply]] = st.sampled_from(
    [(), (SUCCEEDED,), (SUCCEEDED, ARRIVED), (FAILED,), (SUCCEEDED, FAILED)]
)
IDENTITIES = st.one_of(st.none(), CREDENTIALS)
ASKED = st.sampled_from([CONNECT, BIND, ASSOCIATE])


class ServerTests(SynchronousTestCase):
    """
    Nothing that a client sends upsets the server's machine.
    """

    @given(streams(clientOctets()), REPLIES)
    def test_anyCut(self, stream: Stream, replies: Sequence[SOCKS5Reply]) -> None:
        """
        Whatever comes, there are events or a L{PeerError}; and they, the answers and
        the data are the same however the octets are cut and whenever the request is
        replied to.
        """
        whole, cut = stream
        expected = serve([whole], replies)
        for name, transcript in {
            "in pieces": serve(cut, replies),
            "by octets": serve(octetwise(whole), replies),
            "later": serve([whole], replies, later=True),
            "in pieces, later": serve(cut, replies, later=True),
        }.items():
            self.assertEqual(transcript, expected, name)

    @given(streams(clientOctets()))
    def test_held(self, stream: Stream) -> None:
        """
        No more octets wait than the longest message has, until application data may
        come.
        """
        machine = SOCKS5ServerConnection()
        for octet in octetwise(stream[0]):
            if errorOf(PeerError, list, machine.receive(octet)) or machine.state in SATISFIED:
                break
            self.assertLess(machine.heldLength, 513)


class ClientTests(SynchronousTestCase):
    """
    Nothing that a server sends upsets the client's machine.
    """

    @given(streams(serverOctets()), ASKED, IDENTITIES, st.booleans())
    def test_anyCut(
        self,
        stream: Stream,
        request: SOCKS5Request,
        credentials: UsernamePassword | None,
        anonymousToo: bool,
    ) -> None:
        """
        Whatever comes, there are events or a L{PeerError}; and they, what we send and
        the data are the same however the octets are cut.
        """
        whole, cut = stream

        def machine() -> SOCKS5ClientConnection:
            return SOCKS5ClientConnection(request, credentials, anonymousToo=anonymousToo)

        expected = consume(machine(), [whole])
        self.assertEqual(consume(machine(), cut), expected)
        self.assertEqual(consume(machine(), octetwise(whole)), expected)


class Pair:
    """
    A client's machine and a server's, and what they have learned.

    @ivar request: The event of the server's that tells of the request.
    @ivar replies: What the client was told.
    """

    def __init__(self, client: SOCKS5ClientConnection, size: int) -> None:
        """
        @param size: How many octets are handed over at a time.
        """
        self.client = client
        self.server = SOCKS5ServerConnection()
        self.request: SOCKS5RequestReceived | None = None
        self.replies: list[SOCKS5Reply] = []
        self._size = size

    def converse(self, replies: Sequence[SOCKS5Reply], early: bytes, banner: bytes) -> None:
        """
        Let them talk until nobody has anything to say.

        @param replies: What the server says to the request, as far as it can.
        @param early: What the client sends behind its request.
        @param banner: What the server sends behind its replies.
        """
        toServer, toClient = self.client.open(), b""
        while toServer or toClient:
            piece, toServer = toServer[: self._size], toServer[self._size :]
            for event in self.server.receive(piece):
                if isinstance(event, SOCKS5Answered):
                    toClient += event.octets
                elif isinstance(event, SOCKS5RequestReceived):
                    self.request = event
                    for reply in replies:
                        if self.server.state is not SOCKS5ServerState.CLOSED:
                            toClient += self.server.send(reply)
                    toClient += banner
            piece, toClient = toClient[: self._size], toClient[self._size :]
            for answer in self.client.receive(piece):
                if isinstance(answer, SOCKS5Answered):
                    toServer += answer.octets
                    if self.client.state in (SOCKS5ClientState.RESULT, SOCKS5ClientState.BINDING):
                        toServer += early
                elif isinstance(answer, SOCKS5Replied):
                    self.replies.append(answer.reply)


def learned(request: SOCKS5Request, credentials: UsernamePassword | None) -> SOCKS5RequestReceived:
    """
    Tell what the server learns of a client.
    """
    if credentials is None:
        return SOCKS5RequestReceived(request, None)
    return SOCKS5RequestReceived(
        request, ProgramCredentials(credentials.username, credentials.password)
    )


class ConversationTests(SynchronousTestCase):
    """
    Each machine understands what the other one says.
    """

    def test_everyWay(self) -> None:
        """
        The server learns what is wanted and by whom, the client what came of it, and
        all data arrives, in order.
        """
        for request, credentials, anonymousToo, fails, size in product(
            (CONNECT, BIND, ASSOCIATE), (None, ADA), (False, True), (False, True), (1, 7, 1000)
        ):
            case = f"{request}, {credentials}, {anonymousToo}, {fails}, {size}"
            pair = Pair(
                SOCKS5ClientConnection(request, credentials, anonymousToo=anonymousToo), size
            )
            good = (SUCCEEDED, ARRIVED) if request is BIND else (SUCCEEDED,)
            replies = (*good[:-1], FAILED) if fails else good
            pair.converse(replies, b"early", b"banner")
            self.assertEqual(pair.request, learned(request, credentials), case)
            self.assertEqual(pair.replies, list(replies), case)
            if fails:
                self.assertIs(pair.server.state, SOCKS5ServerState.CLOSED, case)
                self.assertIs(pair.client.state, SOCKS5ClientState.CLOSED, case)
            else:
                self.assertEqual(pair.server.takeData(), b"early", case)
                self.assertEqual(pair.client.takeData(), b"banner", case)

    @given(SOCKS5_REQUESTS, IDENTITIES, SOCKS5_REPLIES, DATA, DATA, st.integers(1, 100))
    def test_anyRequest(
        self,
        request: SOCKS5Request,
        credentials: UsernamePassword | None,
        reply: SOCKS5Reply,
        early: bytes,
        banner: bytes,
        size: int,
    ) -> None:
        """
        The same holds for anything that can be wanted and said.
        """
        pair = Pair(SOCKS5ClientConnection(request, credentials), size)
        replies = (SUCCEEDED, reply) if request.command == Command.BIND else (reply,)
        pair.converse(replies, early, banner)
        self.assertEqual(pair.request, learned(request, credentials))
        self.assertEqual(pair.replies, list(replies))
        isOpen = reply.code == 0
        self.assertEqual(pair.server.state is SOCKS5ServerState.OPEN, isOpen)
        self.assertEqual(pair.client.state is SOCKS5ClientState.OPEN, isOpen)
        if isOpen:
            self.assertEqual(pair.server.takeData(), early)
            self.assertEqual(pair.client.takeData(), banner)

    def test_refused(self) -> None:
        """
        A client that offers nothing that we take learns it.
        """
        self.assertEqual(serve([b"\5\1\1"]).sent, CHOOSE_NONE)
        transcript = consume(SOCKS5ClientConnection(CONNECT), [serve([b"\5\1\1"]).sent])
        self.assertIs(transcript.state, SOCKS5ClientState.CLOSED)
        self.assertIsNone(transcript.error)
