"""
Tests of L{socks6.local.dialects}.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from socks6.local.dialects import (
    Dialect,
    HTTPDialect,
    NothingOffered,
    SilentDialect,
    SOCKS4Dialect,
    SOCKS5Dialect,
    Wish,
    _OneMessage,
    dialectFor,
)
from socks6.values.address import UNSPECIFIED_IPV4, Address, DomainName
from socks6.values.codes import Command, ReplyCode
from socks6.wire.errors import (
    AnotherProtocol,
    MalformedMessage,
    PeerError,
    UnexpectedEnd,
    UnknownAddressType,
    VersionMismatch,
)
from socks6.wire.httpproxy import UnsupportedScheme
from tests.local.programs import (
    ASKED,
    CONVERSATIONS,
    FIVE,
    FOUR,
    FOUR_GRANTED,
    FOUR_REFUSED,
    GET,
    HELLO,
    NO_NEED,
    NOTHING_ACCEPTABLE,
    PASSWORD_HELLO,
    RIGHT,
    TUNNEL,
    TUNNEL_GRANTED,
    UNSUPPORTED,
    Conversation,
    login,
    refusedResponse,
    response,
    socks4,
    socks4Reply,
    socks5,
    socks5Reply,
)
from tests.raising import errorOf


def pieces(octets: bytes) -> Iterator[list[bytes]]:
    """
    Cut octets in all ways in two, and each from the others.
    """
    for cut in range(1, len(octets) + 1):
        yield [octets[:cut], *([octets[cut:]] if octets[cut:] else [])]
    yield [octets[place : place + 1] for place in range(len(octets))]


def hear(sent: bytes) -> tuple[Dialect, list[bytes | Wish]]:
    """
    Feed a dialect.

    @return: It, and what it made of that.
    """
    dialect = dialectFor(sent[0])
    return dialect, list(dialect.receive(sent))


class DetectionTests(SynchronousTestCase):
    """
    L{dialectFor}.
    """

    def test_everyOctet(self) -> None:
        """
        The first octet tells the dialects from one another, and from anything else.
        """
        for octet in range(256):
            kind: type | None = None
            if octet in (4, 5):
                kind = {4: SOCKS4Dialect, 5: SOCKS5Dialect}[octet]
            elif chr(octet) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
                kind = HTTPDialect
            if kind is not None:
                self.assertIs(type(dialectFor(octet)), kind)
                continue
            error = errorOf(AnotherProtocol, dialectFor, octet)
            self.assertEqual(
                str(error), f"neither SOCKS 4, SOCKS 5 nor HTTP: the first octet is {octet}"
            )


class ReceivingTests(SynchronousTestCase):
    """
    What programs say, in all dialects.
    """

    def assertUnderstood(self, case: Conversation, sent: list[bytes], data: bytes) -> None:
        """
        Check that a program is understood.

        @param sent: What it says, and data behind it.
        @param data: Those data.
        """
        name = f"{case.name}: {sent}"
        dialect = dialectFor(sent[0][0])
        made = [each for octets in sent for each in dialect.receive(octets)]
        (wish,) = [each for each in made if isinstance(each, Wish)]
        self.assertEqual(wish, case.wish, name)
        self.assertIs(made[-1], wish, name)
        heard = b"".join(each for each in made if isinstance(each, bytes))
        self.assertEqual(heard.hex(), case.heard.hex(), name)
        dialect.endOfInput()
        self.assertEqual(dialect.heldLength, len(case.forwarded + data), name)
        self.assertEqual(dialect.takeData(), case.forwarded + data, name)
        self.assertEqual(dialect.heldLength, 0, name)
        self.assertEqual(dialect.takeData(), b"", name)

    def test_everySplit(self) -> None:
        """
        However it is cut, and with whatever behind it, a request is understood, and
        what is behind it is for the remote host.
        """
        for case in (*CONVERSATIONS, *UNSUPPORTED):
            for data in (b"", b"\5\1\0\r\n\r\n\0data"):
                for sent in pieces(case.sent + data):
                    self.assertUnderstood(case, sent, data)

    def test_later(self) -> None:
        """
        What comes later is as well, before the answer and behind it.
        """
        for case in CONVERSATIONS:
            dialect, _ = hear(case.sent)
            dialect.takeData()
            self.assertEqual(list(dialect.receive(FIVE)), [])
            self.assertEqual(dialect.takeData(), FIVE)
            dialect.granted(UNSPECIFIED_IPV4)
            self.assertEqual(list(dialect.receive(GET)), [])
            self.assertEqual(dialect.heldLength, len(GET))
            self.assertEqual(dialect.takeData(), GET)

    def test_earlyEnd(self) -> None:
        """
        A program that ends its direction before it has asked gets no answer.
        """
        for case in CONVERSATIONS:
            for cut in range(1, len(case.sent)):
                dialect, _ = hear(case.sent[:cut])
                error = errorOf(UnexpectedEnd, dialect.endOfInput)
                assert error is not None, f"{case.name}: {cut}"
                self.assertEqual(dialect.answer(error), b"")

    def test_malformed(self) -> None:
        """
        What is no request is one at no time, and is answered as the dialect can.
        """
        general = socks5Reply(1)
        for sent, kind, answer in (
            (b"\5\0", MalformedMessage, NOTHING_ACCEPTABLE),
            (PASSWORD_HELLO + b"\5", MalformedMessage, b"\1\1"),
            (HELLO + b"\4", MalformedMessage, general),
            (HELLO + b"\5\1\0\2", UnknownAddressType, socks5Reply(8)),
            (HELLO + b"\5\1\0\3\0", MalformedMessage, general),
            (PASSWORD_HELLO + login() + b"\1", MalformedMessage, general),
            (socks4(rest=b"a" * 256), MalformedMessage, FOUR_REFUSED),
            (socks4(host="00000001", rest=b"\0\0"), MalformedMessage, FOUR_REFUSED),
            (socks4(host="00000001", rest=b"\0" + b"a" * 256), MalformedMessage, FOUR_REFUSED),
            (
                b"GET /\r\n",
                MalformedMessage,
                response("400 Bad Request", "malformed first line of a request"),
            ),
            (
                b"GET / HTTP/1.1\r\n\r\n",
                MalformedMessage,
                response("400 Bad Request", "the target is no absolute URI"),
            ),
            (
                b"CONNECT example.com HTTP/1.1\r\n\r\n",
                MalformedMessage,
                response("400 Bad Request", "the target is no host and port"),
            ),
            (
                b"CONNECT example.com:0 HTTP/1.1\r\n\r\n",
                MalformedMessage,
                response("400 Bad Request", "impossible host or port in the target of a request"),
            ),
            (
                b"GET https://example.com/ HTTP/1.1\r\n\r\n",
                UnsupportedScheme,
                response("501 Not Implemented", "the scheme of the target is not http"),
            ),
            (
                b"PRI * HTTP/2.0\r\n\r\n",
                VersionMismatch,
                response("505 HTTP Version Not Supported", "neither HTTP/1.0 nor HTTP/1.1"),
            ),
            (
                b"GET http://a/ HTTP/1.1\r\nX: " + b"x" * 16384,
                MalformedMessage,
                response("400 Bad Request", "a head of more than 16384 octets"),
            ),
        ):
            dialect = dialectFor(sent[0])
            error = errorOf(PeerError, lambda dialect=dialect, sent=sent: [*dialect.receive(sent)])
            assert error is not None, sent
            self.assertIs(type(error), kind, sent)
            self.assertEqual(dialect.answer(error), answer, sent)


class AnsweringTests(SynchronousTestCase):
    """
    What programs hear.
    """

    def test_early(self) -> None:
        """
        Programs that speak SOCKS 5 or HTTP usually send their data when they have got
        their answer.
        """
        for kind, early in (
            (SOCKS5Dialect, True),
            (SOCKS4Dialect, False),
            (HTTPDialect, True),
            (SilentDialect, False),
        ):
            self.assertIs(kind.answersEarly, early)

    def test_granted(self) -> None:
        """
        Each dialect says that there is a connection, with the address that it is from as
        far as the dialect has that; a GET gets the answer of the web server.
        """
        for bound, five, four in (
            (UNSPECIFIED_IPV4, FIVE_BOUND["nowhere"], FOUR_GRANTED),
            (
                Address(IPv4Address("198.51.100.1"), 80),
                FIVE_BOUND["IPv4"],
                socks4Reply(90, "0050 c6336401"),
            ),
            (
                Address(IPv6Address("2001:db8::2"), 80),
                FIVE_BOUND["IPv6"],
                socks4Reply(90, "0050 00000000"),
            ),
            (
                Address(DomainName(b"foo"), 80),
                FIVE_BOUND["name"],
                socks4Reply(90, "0050 00000000"),
            ),
        ):
            for sent, granted in (
                (FIVE, five),
                (PASSWORD_HELLO + login() + socks5(), five),
                (FOUR, four),
                (TUNNEL, TUNNEL_GRANTED),
                (GET, b""),
            ):
                dialect, _ = hear(sent)
                self.assertEqual(dialect.granted(bound).hex(), granted.hex(), f"{bound}: {sent!r}")

    def test_refused(self) -> None:
        """
        Each dialect says why there is none, as far as it can.
        """
        for code, five, status, words in (
            (ReplyCode.GENERAL_FAILURE, 1, "502 Bad Gateway", "general failure"),
            (ReplyCode.NOT_ALLOWED, 2, "403 Forbidden", "not allowed"),
            (ReplyCode.NETWORK_UNREACHABLE, 3, "502 Bad Gateway", "network unreachable"),
            (ReplyCode.HOST_UNREACHABLE, 4, "502 Bad Gateway", "host unreachable"),
            (ReplyCode.CONNECTION_REFUSED, 5, "502 Bad Gateway", "connection refused"),
            (ReplyCode.TTL_EXPIRED, 6, "504 Gateway Timeout", "ttl expired"),
            (ReplyCode.COMMAND_NOT_SUPPORTED, 7, "501 Not Implemented", "command not supported"),
            (
                ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
                8,
                "502 Bad Gateway",
                "address type not supported",
            ),
            (ReplyCode.TIMED_OUT, 6, "504 Gateway Timeout", "timed out"),
            (77, 1, "502 Bad Gateway", "77"),
            # What is no ReplyCode may be the number of one.
            (5, 5, "502 Bad Gateway", "connection refused"),
        ):
            for sent, refused in (
                (FIVE, socks5Reply(five)),
                (FOUR, FOUR_REFUSED),
                (TUNNEL, refusedResponse(status, words)),
                (GET, refusedResponse(status, words)),
            ):
                dialect, _ = hear(sent)
                self.assertEqual(dialect.refused(code), refused, f"{code}: {sent!r}")
        self.assertEqual(len(ReplyCode), 10, "success and those above")

    def test_unsupported(self) -> None:
        """
        That includes what a program may ask for besides.
        """
        for case in UNSUPPORTED:
            dialect, _ = hear(case.sent)
            self.assertEqual(
                dialect.refused(ReplyCode.COMMAND_NOT_SUPPORTED), case.granted, case.name
            )

    def test_nothingOffered(self) -> None:
        """
        A program that has no method to authenticate which we know is told so, once.
        """
        for methods in (b"\1", b"\3", b"\x80\xff"):
            dialect = SOCKS5Dialect()
            said = dialect.receive(b"\5" + bytes([len(methods)]) + methods + socks5())
            self.assertEqual(next(said), NOTHING_ACCEPTABLE)
            error = errorOf(NothingOffered, next, said)
            assert error is not None
            self.assertEqual(str(error), "no authentication method that we know")
            self.assertEqual(dialect.answer(error), b"")

    def test_inOrder(self) -> None:
        """
        Each answer comes when it is due.
        """
        dialect = SOCKS5Dialect()
        for sent, answer in ((PASSWORD_HELLO, [ASKED]), (login(), [RIGHT])):
            self.assertEqual(list(dialect.receive(sent)), answer)
        dialect = SOCKS5Dialect()
        self.assertEqual(list(dialect.receive(HELLO)), [NO_NEED])


#: What SOCKS 5 says of where a connection is from.
FIVE_BOUND = {
    "nowhere": socks5Reply(0),
    "IPv4": socks5Reply(0, "01 c6336401 0050"),
    "IPv6": socks5Reply(0, "04 20010db8 00000000 00000000 00000002 0050"),
    "name": socks5Reply(0, "03 03 666f6f 0050"),
}


class SilentTests(SynchronousTestCase):
    """
    L{SilentDialect}.
    """

    def test_silence(self) -> None:
        """
        All that comes is for the remote host, and nothing is ever said.
        """
        dialect: Dialect = SilentDialect()
        for octets in (FIVE, GET, b"\0"):
            self.assertEqual(list(dialect.receive(octets)), [])
        self.assertEqual(dialect.heldLength, len(FIVE + GET) + 1)
        dialect.endOfInput()
        for said in (
            dialect.granted(UNSPECIFIED_IPV4),
            dialect.refused(ReplyCode.HOST_UNREACHABLE),
            dialect.answer(PeerError("whatever")),
        ):
            self.assertEqual(said, b"")
        self.assertEqual(dialect.takeData(), FIVE + GET + b"\0")
        self.assertEqual((dialect.takeData(), dialect.heldLength), (b"", 0))


class OneMessageTests(SynchronousTestCase):
    """
    What dialects have in common in which one message says it all.
    """

    def test_abstract(self) -> None:
        """
        Each knows that message itself.
        """
        error = errorOf(NotImplementedError, lambda: [*_OneMessage().receive(b"x")])
        self.assertIsNotNone(error)


class WishTests(SynchronousTestCase):
    """
    L{Wish}.
    """

    def test_shown(self) -> None:
        """
        It shows no password.
        """
        for case in CONVERSATIONS:
            self.assertNotIn("s3cret", repr(case.wish))

    def test_command(self) -> None:
        """
        Commands that have names are known by them.
        """
        _, made = hear(FIVE)
        assert isinstance(made[-1], Wish)
        self.assertIs(made[-1].command, Command.CONNECT)
