"""
Tests of L{socks6.wire.http}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.wire import http
from socks6.wire.errors import AnotherProtocol, MalformedMessage, PeerError, VersionMismatch
from socks6.wire.http import RequestHead
from tests.raising import errorOf
from tests.strategies import damaged, pieces
from tests.wire.spelling import Golden, Rule, Spelling, received
from tests.wire.suite import GoldenSuite, LengthSuite, RulesSuite

HEAD = Spelling("head", http.headLength, http.decodeHead, http.encodeHead)

#: The first line of a request, and one field.
FIRST = b"GET / HTTP/1.1\r\n"
FIELD = b"Host: example.com\r\n"

#: All that a token may consist of.
TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def head(octets: bytes, value: RequestHead) -> Golden:
    """
    Make a head whose end can only be seen when it is there.
    """
    return Golden(f"{value}", HEAD, octets, range(1, len(octets) + 1), value)


GOLDENS = (
    head(
        b"GET http://example.com/ HTTP/1.0\r\n\r\n",
        RequestHead(b"GET", b"http://example.com/", b"HTTP/1.0"),
    ),
    head(
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
        RequestHead(b"CONNECT", b"example.com:443", b"HTTP/1.1", ((b"Host", b"example.com:443"),)),
    ),
    head(
        b"%b ! HTTP/1.1\r\n%b: a:b \t c\r\nx: \r\nx: \x01\x7f\xff\r\n\r\n" % (TOKEN, TOKEN),
        RequestHead(
            TOKEN,
            b"!",
            b"HTTP/1.1",
            ((TOKEN, b"a:b \t c"), (b"x", b""), (b"x", b"\x01\x7f\xff")),
        ),
    ),
)


def rule(what: str, octets: bytes, error: type[PeerError] = MalformedMessage) -> Rule:
    """
    Make a rule from octets that end with the first wrong one.
    """
    return what, http.headLength, octets.hex(), error


RULES: Sequence[Rule] = (
    rule("SOCKS 4", b"\x04", AnotherProtocol),
    rule("SOCKS 5", b"\x05", AnotherProtocol),
    rule("SOCKS 6", b"\x06", AnotherProtocol),
    rule("TLS", b"\x16", AnotherProtocol),
    rule("an empty line before the first", b"\r", AnotherProtocol),
    rule("a space before the method", b" ", AnotherProtocol),
    rule("no method", b":", AnotherProtocol),
    rule("an octet of no encoding", b"\xff", AnotherProtocol),
    rule("a colon in the method", b"GET:"),
    rule("an octet above ASCII in the method", b"G\xc3"),
    rule("NUL in the method", b"GE\0"),
    rule("a tab behind the method", b"GET\t"),
    rule("no target", b"GET\r"),
    rule("two spaces", b"GET  "),
    rule("no target behind the space", b"GET \r"),
    rule("a tab in the target", b"GET /\t"),
    rule("an octet above ASCII in the target", b"GET /\xc3"),
    rule("DEL in the target", b"GET /\x7f"),
    rule("HTTP/0.9", b"GET /\r"),
    rule("HTTP/0.9 with LF", b"GET /\n"),
    rule("two spaces before the version", b"GET /  "),
    rule("a space in the target", b"GET /a b"),
    rule("lower case", b"GET / h"),
    rule("another protocol", b"GET / HTTPS"),
    rule("version 0", b"GET / HTTP/0", VersionMismatch),
    rule("version 2", b"PRI * HTTP/2", VersionMismatch),
    rule("version 1.2", b"GET / HTTP/1.2", VersionMismatch),
    rule("version 1.9", b"GET / HTTP/1.9", VersionMismatch),
    rule("version 10", b"GET / HTTP/10"),
    rule("version 1x", b"GET / HTTP/1x"),
    rule("version 1.x", b"GET / HTTP/1.x"),
    rule("version 1.10", b"GET / HTTP/1.10"),
    rule("a space behind the version", b"GET / HTTP/1.1 "),
    rule("LF alone", b"GET / HTTP/1.1\n"),
    rule("CR alone", b"GET / HTTP/1.1\rH"),
    rule("CR twice", b"GET / HTTP/1.1\r\r"),
    *(
        rule(f"{what}, behind {len(start)} octets", start + wrong)
        for start in (FIRST, FIRST + FIELD, FIRST + FIELD * 2)
        for what, wrong in (
            ("a space, as in a continued line", b" "),
            ("a tab, as in a continued line", b"\t"),
            ("no name", b":"),
            ("NUL for a name", b"\0"),
            ("an octet above ASCII in a name", b"x\xc3"),
            ("a space before the colon", b"Host "),
            ("a tab before the colon", b"Host\t"),
            ("no colon", b"Host\r"),
            ("a name in brackets", b"x["),
            ("NUL in a value", b"x: y\0"),
            ("NUL as a value", b"x:\0"),
            ("LF in a value", b"x: y\n"),
            ("CR in a value", b"x: y\rz"),
            ("CR twice behind a value", b"x: y\r\r"),
            ("LF as the empty line", b"\n"),
            ("CR as the empty line", b"\rx"),
        )
    ),
)


class LengthTests(LengthSuite, SynchronousTestCase):
    """
    The end of a head is found.
    """

    GOLDENS = GOLDENS

    @given(st.data(), st.sampled_from(GOLDENS))
    def test_anyPieces(self, data: st.DataObject, golden: Golden) -> None:
        """
        Heads cut anywhere are received, and what is left is left.
        """
        parts = data.draw(pieces(golden.octets * 2 + golden.octets[:-1]))
        self.assertEqual(
            received(golden.spelling, parts), [golden.value, golden.value, golden.octets[:-1]]
        )

    def test_longest(self) -> None:
        """
        A head may have 16384 octets, whatever follows it.
        """
        for start, end in (
            (b"GET /", b" HTTP/1.1\r\n\r\n"),
            (FIRST + b"Cookie: ", b"\r\n\r\n"),
            (FIRST + b"x: y\r\n" * 2000 + b"Cookie: ", b"\r\n\r\n"),
        ):
            octets = start.ljust(16384 - len(end), b"x") + end
            for more in (b"", b"body", bytes(70000)):
                self.assertEqual(http.headLength(octets + more), 16384, start[:30])
            self.assertEqual(http.encodeHead(http.decodeHead(octets)), octets)

    def test_tooLong(self) -> None:
        """
        One of more is refused with its 16384th octet, wherever that stands.
        """
        for start, end in (
            (b"", b""),
            (b"GET ", b""),
            (b"GET /", b""),
            (FIRST, b""),
            (FIRST, b":"),
            (FIRST + b"Cookie: ", b""),
            (FIRST + b"Cookie: ", b"\r"),
            (FIRST + b"Cookie: ", b"\r\n"),
            (FIRST + b"Cookie: ", b"\r\n\r"),
        ):
            octets = start.ljust(16384 - len(end), b"x") + end
            case = f"{start!r} {end!r}"
            self.assertEqual(http.headLength(octets[:-1]), 16384, case)
            for more in (b"", b"\r\n\r\n", b"\n", b"\n\r\n", bytes(70000)):
                error = errorOf(PeerError, http.headLength, octets + more)
                self.assertIs(type(error), MalformedMessage, case)
                self.assertIn("16384", f"{error}", case)


class GoldenTests(GoldenSuite, SynchronousTestCase):
    """
    Heads are spelled as RFC 9112 says.
    """

    GOLDENS = GOLDENS

    def test_whiteSpace(self) -> None:
        """
        White space around a value does not belong to it.
        """
        for field, value in (
            (b"x:", b""),
            (b"x: ", b""),
            (b"x: \t ", b""),
            (b"x:y", b"y"),
            (b"x:  y", b"y"),
            (b"x:\ty\t", b"y"),
            (b"x: y z ", b"y z"),
            (b"x: \x0by\x0c ", b"\x0by\x0c"),
        ):
            found = http.decodeHead(FIRST + field + b"\r\n\r\n")
            self.assertEqual(found, RequestHead(b"GET", b"/", headers=((b"x", value),)), field)


class RulesTests(RulesSuite, SynchronousTestCase):
    """
    What is wrong is found as soon as it is there.
    """

    RULES = RULES

    def test_decoder(self) -> None:
        """
        The decoder finds it itself.
        """
        for what, _, digits, expected in RULES:
            error = errorOf(PeerError, http.decodeHead, bytes.fromhex(digits) + b"\r\n\r\n")
            self.assertIs(type(error), expected, what)

    def test_everyToken(self) -> None:
        """
        Methods and names consist of the octets of tokens and of no others.
        """
        for start, alsoFine in ((b"A", b" "), (FIRST, b"\r"), (FIRST + b"a", b":")):
            for octet in range(256):
                octets = start + bytes([octet])
                right = errorOf(PeerError, http.headLength, octets) is None
                self.assertEqual(right, octet in TOKEN + alsoFine, f"{octets!r}")

    def test_everyValue(self) -> None:
        """
        Values consist of all octets but NUL, CR and LF.
        """
        for octet in range(256):
            octets = b"%bx: y%cz" % (FIRST, octet)
            wrong = errorOf(PeerError, http.headLength, octets) is not None
            self.assertEqual(wrong, octet in b"\0\r\n", f"{octet}")

    def test_nothingIsQuoted(self) -> None:
        """
        What is wrong is told without the octets that came.
        """
        for octets in (
            b"s3cret(",
            b"GET s3cret\0",
            b"GET / s3cret",
            FIRST + b"s3cret\r",
            FIRST + b"x: s3cret\0",
            FIRST + b"x: s3cret\r\n\r\ns3cret",
        ):
            error = errorOf(PeerError, http.decodeHead, octets)
            self.assertIsNotNone(error, f"{octets!r}")
            self.assertNotIn("s3cret", f"{error!r}")


class RequestHeadTests(SynchronousTestCase):
    """
    A L{RequestHead} that exists can be written.
    """

    def test_checks(self) -> None:
        """
        What would be read as something else is refused when it is built.
        """
        cases: Sequence[tuple[str, tuple[bytes, bytes, bytes, tuple[http.Field, ...]]]] = (
            ("empty method", (b"", b"/", b"HTTP/1.1", ())),
            ("space in the method", (b"G T", b"/", b"HTTP/1.1", ())),
            ("empty target", (b"GET", b"", b"HTTP/1.1", ())),
            ("space in the target", (b"GET", b"/ ", b"HTTP/1.1", ())),
            ("line end in the target", (b"GET", b"/\r\n", b"HTTP/1.1", ())),
            ("version 1.2", (b"GET", b"/", b"HTTP/1.2", ())),
            ("long version", (b"GET", b"/", b"HTTP/1.1\r\n", ())),
            ("empty name", (b"GET", b"/", b"HTTP/1.1", ((b"", b"x"),))),
            ("colon in a name", (b"GET", b"/", b"HTTP/1.1", ((b"x:", b"x"),))),
            ("space before a value", (b"GET", b"/", b"HTTP/1.1", ((b"x", b" x"),))),
            ("space behind a value", (b"GET", b"/", b"HTTP/1.1", ((b"x", b"x "),))),
            ("space as a value", (b"GET", b"/", b"HTTP/1.1", ((b"x", b"\t"),))),
            ("line end in a value", (b"GET", b"/", b"HTTP/1.1", ((b"x", b"x\r\ny: z"),))),
            ("NUL in a later value", (b"GET", b"/", b"HTTP/1.1", ((b"x", b"x"), (b"y", b"\0")))),
        )
        for what, values in cases:
            self.assertIsNotNone(errorOf(ValueError, RequestHead, *values), what)

    def test_frozen(self) -> None:
        """
        A head cannot be changed.
        """
        value = RequestHead(b"GET", b"/")
        self.assertIsNotNone(errorOf(FrozenInstanceError, setattr, value, "target", b""))

    def test_secrets(self) -> None:
        """
        What may hold a password or a name is not shown.
        """
        field = (b"Proxy-Authorization", b"s3cret")
        value = RequestHead(b"GET", b"http://ada:s3cret@example.com/", headers=(field,))
        self.assertNotIn("s3cret", f"{value!r}")

    def test_values(self) -> None:
        """
        All fields of a name are found, whatever its case, in their order.
        """
        value = RequestHead(
            b"GET", b"/", headers=((b"Via", b"a, B"), (b"vIA", b""), (b"Vi", b"c"), (b"via", b"d"))
        )
        self.assertEqual(value.values(b"via"), [b"a, B", b"", b"d"])
        self.assertEqual(value.values(b"x"), [])

    def test_elements(self) -> None:
        """
        The elements of a list are found, be it in one field or several; empty ones
        do not count.
        """
        value = RequestHead(
            b"GET",
            b"/",
            headers=((b"Via", b"a, xBx\t,, ,c"), (b"VIA", b""), (b"x", b"y"), (b"via", b",D e")),
        )
        self.assertEqual(value.elements(b"via"), [b"a", b"xbx", b"c", b"d e"])
        self.assertEqual(value.elements(b"date"), [])


#: Answers, and their octets.
RESPONSES: Mapping[bytes, bytes] = {
    http.encodeResponse(
        502, "Bad Gateway"
    ): b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    http.encodeResponse(
        407,
        "Proxy Authentication Required",
        [(b"Proxy-Authenticate", b'Basic realm="x"')],
        b"who are you?\n",
    ): b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="x"\r\n'
    b"Content-Length: 13\r\nConnection: close\r\n\r\nwho are you?\n",
    http.encodeResponse(
        599, ""
    ): b"HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    http.encodeResponse(
        200, "OK", body=b"\0\r\n"
    ): b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n\0\r\n",
    # "A server MUST NOT send any Transfer-Encoding or Content-Length header fields".
    http.CONNECTION_ESTABLISHED: b"HTTP/1.1 200 Connection established\r\n\r\n",
}


class ResponseTests(SynchronousTestCase):
    """
    Small answers of our own.
    """

    def test_octets(self) -> None:
        """
        They are spelled as RFC 9112 says, and have their length.
        """
        for found, expected in RESPONSES.items():
            self.assertEqual(found, expected)

    def test_checks(self) -> None:
        """
        What would be read as something else is refused.
        """
        for what, arguments in (
            ("status below", (199, "OK")),
            ("status above", (600, "OK")),
            ("line end in the reason", (200, "OK\r\nx: y")),
            ("NUL in the reason", (200, "O\0K")),
            ("reason above ASCII", (200, "\xdc")),
            ("empty name", (200, "OK", [(b"", b"")])),
            ("space in a name", (200, "OK", [(b"a b", b"")])),
            ("line end in a value", (200, "OK", [(b"x", b"y\r\nz: a")])),
        ):
            self.assertIsNotNone(errorOf(ValueError, http.encodeResponse, *arguments), what)


TOKENS = st.lists(st.sampled_from(TOKEN), min_size=1, max_size=10).map(bytes)
TARGETS = st.lists(st.integers(0x21, 0x7E), min_size=1, max_size=20).map(bytes)
VALUES = st.binary(max_size=20).map(
    lambda value: bytes(octet for octet in value if octet not in b"\0\r\n").strip(b" \t")
)
HEADS = st.builds(
    RequestHead,
    TOKENS,
    TARGETS,
    st.sampled_from([b"HTTP/1.0", b"HTTP/1.1"]),
    st.lists(st.tuples(TOKENS, VALUES), max_size=5).map(tuple),
)

#: Octets that are, or almost are, or are not at all, a head.
ANY_OCTETS = st.one_of(
    damaged(HEADS.map(http.encodeHead)),
    HEADS.map(http.encodeHead),
    st.lists(
        st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"x", b"x:", b"GET / HTTP/1.1\r\n", b"\0"])
    ).map(b"".join),
)


class AnyHeadTests(SynchronousTestCase):
    """
    What holds for heads and octets that nobody thought of.
    """

    @given(HEADS, st.binary(max_size=20))
    def test_roundTrip(self, value: RequestHead, body: bytes) -> None:
        """
        Any head that is written has its end found, and reads back.
        """
        octets = http.encodeHead(value)
        self.assertEqual(http.headLength(octets + body), len(octets))
        self.assertEqual(http.decodeHead(octets), value)

    @settings(max_examples=300)
    @given(ANY_OCTETS)
    def test_anyOctets(self, octets: bytes) -> None:
        """
        Any octets raise a L{PeerError} or are a head: one that is written with the
        same octets, but for white space.
        """
        if errorOf(PeerError, http.decodeHead, octets) is None:
            value = http.decodeHead(octets)
            written = http.encodeHead(value)
            self.assertEqual(http.decodeHead(written), value)
            self.assertEqual(
                written.translate(None, b" \t"), octets.translate(None, b" \t"), f"{octets!r}"
            )

    @settings(max_examples=300)
    @given(ANY_OCTETS, st.integers(0, 60))
    def test_anyStart(self, octets: bytes, cut: int) -> None:
        """
        What is said of the beginning of any octets still holds of the whole.
        """
        error = errorOf(PeerError, http.headLength, octets)
        start = octets[:cut]
        startError = errorOf(PeerError, http.headLength, start)
        if startError is not None:
            self.assertIs(type(error), type(startError))
        elif http.headLength(start) <= len(start):
            self.assertEqual(http.headLength(octets), http.headLength(start))
        elif error is None:
            self.assertGreaterEqual(http.headLength(octets), http.headLength(start))
