"""
Tests of L{socks6.wire.httpproxy}.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socks6.values.address import Address, DomainName
from socks6.wire import http, httpproxy
from socks6.wire.errors import (
    AnotherProtocol,
    MalformedMessage,
    PeerError,
    UnexpectedEnd,
    VersionMismatch,
)
from socks6.wire.http import Field, RequestHead
from socks6.wire.httpproxy import Authority, UnsupportedScheme
from socks6.wire.password import ProgramCredentials
from tests.raising import errorOf
from tests.strategies import PROGRAM_CREDENTIALS


def requestFor(
    target: bytes, *headers: Field, method: bytes = b"GET", version: bytes = b"HTTP/1.1"
) -> RequestHead:
    """
    Make the head of a request.
    """
    return RequestHead(method, target, version, headers)


def lines(*lines: bytes) -> bytes:
    """
    Make the octets of a head.
    """
    return b"".join(b"%b\r\n" % line for line in (*lines, b""))


#: The host and port that a target may begin with -> what it means.
AUTHORITIES: Mapping[bytes, tuple[Authority, Address]] = {
    b"example.com:443": (
        Authority(b"example.com", 443),
        Address(DomainName(b"example.com"), 443),
    ),
    b"EXAMPLE.com.:1": (Authority(b"EXAMPLE.com.", 1), Address(DomainName(b"EXAMPLE.com."), 1)),
    b"a_b-c~!$&'()*+,;=:00080": (
        Authority(b"a_b-c~!$&'()*+,;=", 80),
        Address(DomainName(b"a_b-c~!$&'()*+,;="), 80),
    ),
    b"192.0.2.1:65535": (
        Authority(b"192.0.2.1", 65535),
        Address(IPv4Address("192.0.2.1"), 65535),
    ),
    b"[2001:db8::1]:80": (
        Authority(b"[2001:db8::1]", 80),
        Address(IPv6Address("2001:db8::1"), 80),
    ),
    b"[::FFFF:192.0.2.1]:80": (
        Authority(b"[::FFFF:192.0.2.1]", 80),
        Address(IPv6Address("::ffff:192.0.2.1"), 80),
    ),
    # No addresses in text form, whatever some resolvers make of them.
    b"127.1:80": (Authority(b"127.1", 80), Address(DomainName(b"127.1"), 80)),
    b"010.0.0.1:80": (Authority(b"010.0.0.1", 80), Address(DomainName(b"010.0.0.1"), 80)),
    b"x" * 255 + b":80": (Authority(b"x" * 255, 80), Address(DomainName(b"x" * 255), 80)),
}

#: What no target may begin with.
BROKEN_AUTHORITIES = (
    b":80",
    b"example.com:0",
    b"example.com:65536",
    b"example.com:99999",
    b"example.com:000080",
    b"example.com:-1",
    b"example.com:+80",
    b"example.com:8a",
    b"example.com:80:80",
    b"2001:db8::1:80",
    b"::1",
    b"[::1",
    b"::1]:80",
    b"[]:80",
    b"[::1]80",
    b"[192.0.2.1]:80",
    b"[example.com]:80",
    b"[:::]:80",
    b"[fe80::1%25eth0]:80",
    b"[v1.x]:80",
    b"ex%61mple.com:80",
    b"example.com\\:80",
    b'"example.com":80',
    b"<example.com>:80",
    b"x" * 256 + b":80",
)


class AuthorityTests(SynchronousTestCase):
    """
    Hosts and ports as URIs spell them.
    """

    def test_address(self) -> None:
        """
        IP addresses in text form are addresses, all else is a name.
        """
        for octets, (authority, address) in AUTHORITIES.items():
            self.assertEqual(httpproxy.authorityAddress(authority), address, octets)

    def test_octets(self) -> None:
        """
        The port stands there unless it is the one that http has.
        """
        self.assertEqual(Authority(b"example.com", 80).octets, b"example.com")
        self.assertEqual(Authority(b"example.com", 443).octets, b"example.com:443")
        self.assertEqual(Authority(b"[::1]", 80).octets, b"[::1]")
        self.assertEqual(Authority(b"[::1]", 8080).octets, b"[::1]:8080")

    def test_checks(self) -> None:
        """
        What nothing can be called is refused when it is built.
        """
        for host, port in (
            (b"", 80),
            (b"a b", 80),
            (b"a:b", 80),
            (b"a@b", 80),
            (b"a/b", 80),
            (b"\xff", 80),
            (b"a\r\n", 80),
            (b"x" * 256, 80),
            (b"[::1", 80),
            (b"::1", 80),
            (b"[1:2]", 80),
            (b"x", 0),
            (b"x", 65536),
        ):
            self.assertIsNotNone(errorOf(ValueError, Authority, host, port), f"{host!r}:{port}")

    def test_frozen(self) -> None:
        """
        An authority cannot be changed.
        """
        authority = Authority(b"example.com", 80)
        self.assertIsNotNone(errorOf(FrozenInstanceError, setattr, authority, "port", 0))


class ConnectTargetTests(SynchronousTestCase):
    """
    A CONNECT request names a host and a port, and nothing else.
    """

    def test_right(self) -> None:
        """
        They are found.
        """
        for octets, (authority, _) in AUTHORITIES.items():
            head = requestFor(octets, method=b"CONNECT")
            self.assertEqual(httpproxy.connectTarget(head), authority, octets)

    def test_wrong(self) -> None:
        """
        Other forms, and a host without a port, are malformed; the error quotes no
        octets.
        """
        for target in (
            *BROKEN_AUTHORITIES,
            b"s3cret",
            b"s3cret:",
            b"s3cret:80/",
            b"s3cret@example.com:80",
            b"http://s3cret:80",
            b"http://s3cret:80/",
            b"//s3cret:80",
            b"/s3cret",
            b"*",
        ):
            head = requestFor(target, method=b"CONNECT")
            error = errorOf(PeerError, httpproxy.connectTarget, head)
            self.assertIs(type(error), MalformedMessage, f"{target!r}")
            self.assertNotIn("s3cret", f"{error!r}")


#: Target -> the authority, and what the origin server gets to see.
ABSOLUTE: Mapping[bytes, tuple[Authority, bytes]] = {
    b"http://example.com/": (Authority(b"example.com", 80), b"/"),
    b"http://example.com": (Authority(b"example.com", 80), b"/"),
    b"HTTP://example.com": (Authority(b"example.com", 80), b"/"),
    b"http://example.com:": (Authority(b"example.com", 80), b"/"),
    b"http://example.com:/": (Authority(b"example.com", 80), b"/"),
    b"http://example.com:8080": (Authority(b"example.com", 8080), b"/"),
    b"http://example.com:8080/a/b?c=d&e": (Authority(b"example.com", 8080), b"/a/b?c=d&e"),
    b"http://example.com?c": (Authority(b"example.com", 80), b"/?c"),
    b"http://example.com?": (Authority(b"example.com", 80), b"/?"),
    b"http://example.com//a//?/?": (Authority(b"example.com", 80), b"//a//?/?"),
    b"http://example.com/http://other.example/@:80": (
        Authority(b"example.com", 80),
        b"/http://other.example/@:80",
    ),
    b'http://example.com/%2F|"<>{}^`\\': (Authority(b"example.com", 80), b'/%2F|"<>{}^`\\'),
    b"http://ada@example.com/": (Authority(b"example.com", 80), b"/"),
    b"http://ada:s3cret@example.com:81/x": (Authority(b"example.com", 81), b"/x"),
    b"http://:@example.com?x@y": (Authority(b"example.com", 80), b"/?x@y"),
    b"http://@example.com": (Authority(b"example.com", 80), b"/"),
    b"http://other.example:80@example.com/": (Authority(b"example.com", 80), b"/"),
    b"http://[::1]:80@example.com/": (Authority(b"example.com", 80), b"/"),
    b"http://192.0.2.1/": (Authority(b"192.0.2.1", 80), b"/"),
    b"http://[2001:db8::1]/": (Authority(b"[2001:db8::1]", 80), b"/"),
    b"http://[2001:db8::1]:8080?x": (Authority(b"[2001:db8::1]", 8080), b"/?x"),
}


class AbsoluteTargetTests(SynchronousTestCase):
    """
    All other requests name a whole URI.
    """

    def test_right(self) -> None:
        """
        The origin server and what it gets are found.
        """
        for target, expected in ABSOLUTE.items():
            found = httpproxy.absoluteTarget(requestFor(target))
            self.assertEqual(found, expected, f"{target!r}")
        for octets, (authority, _) in AUTHORITIES.items():
            found = httpproxy.absoluteTarget(requestFor(b"http://" + octets))
            self.assertEqual(found, (authority, b"/"), f"{octets!r}")

    def test_asterisk(self) -> None:
        """
        OPTIONS without a path speaks of the whole server; with one, or with a
        query, it does not, nor does any other method.
        """
        for method, target, expected in (
            (b"OPTIONS", b"http://example.com", b"*"),
            (b"OPTIONS", b"http://example.com:8080", b"*"),
            (b"OPTIONS", b"http://example.com/", b"/"),
            (b"OPTIONS", b"http://example.com?", b"/?"),
            (b"OPTIONS", b"http://example.com?x", b"/?x"),
            (b"options", b"http://example.com", b"/"),
            (b"HEAD", b"http://example.com", b"/"),
        ):
            _, found = httpproxy.absoluteTarget(requestFor(target, method=method))
            self.assertEqual(found, expected, f"{method!r} {target!r}")

    def test_scheme(self) -> None:
        """
        Another scheme is no mistake, but we cannot serve it.
        """
        for target in (
            b"https://example.com/",
            b"HTTPS://example.com/",
            b"ftp://example.com/",
            b"ws://example.com/",
            b"httpx://",
            b"http+unix://%2Frun/",
            b"x://[",
        ):
            error = errorOf(PeerError, httpproxy.absoluteTarget, requestFor(target))
            self.assertIs(type(error), UnsupportedScheme, f"{target!r}")

    def test_wrong(self) -> None:
        """
        What names no origin server is malformed; the error quotes no octets.
        """
        for target in (
            *(b"http://" + octets for octets in BROKEN_AUTHORITIES),
            b"/",
            b"/s3cret",
            b"*",
            b"s3cret:443",
            b"//s3cret/",
            b"http:/s3cret/",
            b"http:s3cret",
            b"http//s3cret",
            b"1http://s3cret/",
            b"://s3cret/",
            b"http://",
            b"http:///s3cret",
            b"http://?s3cret",
            b"http://ada@",
            b"http://ada@/s3cret",
            b"http://a@b@s3cret/",
            b"http://s3cret/#x",
            b"http://s3cret#x",
            b"http://s3cret?x#y",
            b"http://s3cret#@example.com/",
            b"http://s3cret\\@example.com:80x/",
        ):
            error = errorOf(PeerError, httpproxy.absoluteTarget, requestFor(target))
            self.assertIs(type(error), MalformedMessage, f"{target!r}")
            self.assertNotIn("s3cret", f"{error!r}")


#: What it is -> the request, and what the origin server gets.
FORWARDED: Mapping[str, tuple[RequestHead, bytes]] = {
    "nothing to remove": (
        requestFor(b"http://example.com/a?b", (b"accept", b"*/*"), (b"Accept", b"x")),
        lines(
            b"GET /a?b HTTP/1.1",
            b"Host: example.com",
            b"accept: */*",
            b"Accept: x",
            b"Connection: close",
        ),
    ),
    "other Host fields": (
        requestFor(
            b"http://example.com:81",
            (b"Host", b"other.example"),
            (b"X", b"y"),
            (b"HOST", b""),
            method=b"PUT",
        ),
        lines(b"PUT / HTTP/1.1", b"Host: example.com:81", b"X: y", b"Connection: close"),
    ),
    "HTTP/1.0": (
        requestFor(b"http://ada:s3cret@example.com:80/", version=b"HTTP/1.0"),
        lines(b"GET / HTTP/1.0", b"Host: example.com", b"Connection: close"),
    ),
    "fields that end here": (
        requestFor(
            b"http://[::1]:8080/",
            (b"Proxy-Connection", b"keep-alive"),
            (b"Proxy-Authorization", b"Basic YTpi"),
            (b"Keep-Alive", b"300"),
            (b"TE", b"trailers"),
            (b"Trailer", b"Expires"),
            (b"Upgrade", b"websocket"),
            (b"Authorization", b"Basic Yzpk"),
            (b"connection", b"close"),
        ),
        lines(
            b"GET / HTTP/1.1",
            b"Host: [::1]:8080",
            b"Authorization: Basic Yzpk",
            b"Connection: close",
        ),
    ),
    "fields that Connection names": (
        requestFor(
            b"http://example.com/",
            (b"X-One", b"1"),
            (b"Connection", b"x-one,close"),
            (b"x-two", b"2"),
            (b"X-TWO", b"2"),
            (b"X-Three", b"3"),
            (b"X-One-", b"stays"),
            (b"CONNECTION", b",X-Two ,, X-THREE"),
        ),
        lines(b"GET / HTTP/1.1", b"Host: example.com", b"X-One-: stays", b"Connection: close"),
    ),
    "what tells the body's end": (
        requestFor(
            b"http://example.com/",
            (b"Transfer-Encoding", b"chunked"),
            (b"Content-Length", b"5"),
            (b"Connection", b"transfer-encoding, Content-Length, host"),
            method=b"POST",
        ),
        lines(
            b"POST / HTTP/1.1",
            b"Host: example.com",
            b"Transfer-Encoding: chunked",
            b"Content-Length: 5",
            b"Connection: close",
        ),
    ),
    "WebSocket": (
        requestFor(
            b"http://example.com/chat",
            (b"Upgrade", b"websocket"),
            (b"Connection", b"keep-alive, Upgrade, x-one"),
            (b"X-One", b"1"),
            (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ),
        lines(
            b"GET /chat HTTP/1.1",
            b"Host: example.com",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Connection: upgrade",
        ),
    ),
    "two offers": (
        requestFor(
            b"http://example.com/",
            (b"upgrade", b"foo/2, bar"),
            (b"UPGRADE", b"baz"),
            (b"connection", b"upgrade"),
        ),
        lines(
            b"GET / HTTP/1.1",
            b"Host: example.com",
            b"upgrade: foo/2, bar",
            b"UPGRADE: baz",
            b"Connection: upgrade",
        ),
    ),
}

#: Requests that seem to offer to change the protocol, and do not.
NO_UPGRADES: Mapping[str, RequestHead] = {
    "Upgrade without Connection": requestFor(b"http://x/", (b"Upgrade", b"websocket")),
    "Connection that means another": requestFor(
        b"http://x/", (b"Upgrade", b"websocket"), (b"Connection", b"keep-alive, upgrade-x")
    ),
    "Connection without Upgrade": requestFor(b"http://x/", (b"Connection", b"upgrade")),
    "empty Upgrade": requestFor(b"http://x/", (b"Upgrade", b","), (b"Connection", b"upgrade")),
    "HTTP/1.0": requestFor(
        b"http://x/",
        (b"Upgrade", b"websocket"),
        (b"Connection", b"upgrade"),
        version=b"HTTP/1.0",
    ),
    **{
        f"offer of {protocol!r}": requestFor(
            b"http://x/",
            (b"Upgrade", protocol),
            (b"Connection", b"Upgrade, HTTP2-Settings"),
            (b"HTTP2-Settings", b"AAMAAABkAAQAAP__"),
        )
        for protocol in (b"h2c", b"H2C", b"HTTP/2.0", b"TLS/1.0", b"websocket, h2c")
    },
}


class ForwardedHeadTests(SynchronousTestCase):
    """
    What the origin server gets.
    """

    def test_octets(self) -> None:
        """
        Host is the target's, what was meant for us is gone, and the rest is as it
        was, in its order.
        """
        for what, (head, octets) in FORWARDED.items():
            self.assertEqual(httpproxy.forwardedHead(head), octets, what)

    def test_noUpgrade(self) -> None:
        """
        The connection is to be closed unless there is a whole offer to change the
        protocol, of one that is spoken with the origin server.
        """
        for what, head in NO_UPGRADES.items():
            version = head.version
            expected = lines(b"GET / " + version, b"Host: x", b"Connection: close")
            self.assertEqual(httpproxy.forwardedHead(head), expected, what)

    def test_wrong(self) -> None:
        """
        What goes to no origin server cannot be forwarded.
        """
        for target, expected in (
            (b"https://example.com/", UnsupportedScheme),
            (b"/", MalformedMessage),
            (b"example.com:443", MalformedMessage),
        ):
            error = errorOf(PeerError, httpproxy.forwardedHead, requestFor(target))
            self.assertIs(type(error), expected, f"{target!r}")

    @given(
        st.sampled_from(list(ABSOLUTE)),
        st.lists(
            st.tuples(
                st.sampled_from(
                    [b"Connection", b"Upgrade", b"Host", b"TE", b"X", b"Content-Length"]
                ),
                st.sampled_from([b"", b"upgrade", b"x, close", b"content-length", b"h2c", b"5"]),
            ),
            max_size=8,
        ).map(tuple),
    )
    def test_anyHead(self, target: bytes, headers: tuple[Field, ...]) -> None:
        """
        Whatever is forwarded is a well-formed head, with one Host and one Connection,
        which names no field that is there but Upgrade.
        """
        octets = httpproxy.forwardedHead(requestFor(target, *headers))
        self.assertEqual(http.headLength(octets), len(octets))
        head = http.decodeHead(octets)
        self.assertEqual(head.values(b"host"), [ABSOLUTE[target][0].octets])
        self.assertEqual(len(head.values(b"connection")), 1)
        names = {name.lower() for name, _ in head.headers}
        self.assertEqual(
            names & {*head.elements(b"connection")},
            {b"upgrade"} if b"upgrade" in names else set(),
        )
        self.assertEqual(
            head.values(b"content-length"), requestFor(target, *headers).values(b"content-length")
        )


class BasicCredentialsTests(SynchronousTestCase):
    """
    The name and password that a client gives to the proxy.
    """

    def found(self, *values: bytes) -> ProgramCredentials | None:
        """
        Read those of a request with some Proxy-Authorization fields.
        """
        fields = [(b"proxy-AUTHORIZATION", value) for value in values]
        other = (b"Authorization", b"Basic YTpi")
        return httpproxy.basicCredentials(requestFor(b"http://example.com/", other, *fields))

    def test_right(self) -> None:
        """
        They are read, whatever they hold; the password may contain colons.
        """
        for decoded, name, password in (
            (b"ada:s3cret", b"ada", b"s3cret"),
            (b"ada:", b"ada", b""),
            (b":s3cret", b"", b"s3cret"),
            (b":", b"", b""),
            (b"a:b:c", b"a", b"b:c"),
            (b"\0\xff:\r\n", b"\0\xff", b"\r\n"),
        ):
            for scheme in (b"Basic ", b"basic ", b"BASIC   "):
                self.assertEqual(
                    self.found(scheme + b64encode(decoded)),
                    ProgramCredentials(name, password),
                    f"{scheme!r} {decoded!r}",
                )

    def test_example(self) -> None:
        """
        The example of RFC 7617.
        """
        self.assertEqual(
            self.found(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ProgramCredentials(b"Aladdin", b"open sesame"),
        )

    def test_none(self) -> None:
        """
        What is not there, of another kind, or broken, tells nothing.
        """
        cases: Sequence[Sequence[bytes]] = (
            (),
            (b"",),
            (b"Basic",),
            (b"Basic!",),
            (b"Basic YWRh",),
            (b"Basic YTp",),
            (b"Basic YT pi",),
            (b"Basic YTpi\xff",),
            (b"Basic\tYTpi",),
            (b"Bearer YTpi",),
            (b"Basic2 YTpi",),
            (b"Digest username=ada",),
        )
        for values in cases:
            self.assertIsNone(self.found(*values), f"{values}")

    def test_two(self) -> None:
        """
        Of two fields the first counts.
        """
        self.assertEqual(self.found(b"Basic YTpi", b"Basic Yzpk"), ProgramCredentials(b"a", b"b"))
        self.assertIsNone(self.found(b"Bearer YTpi", b"Basic Yzpk"))

    @given(PROGRAM_CREDENTIALS)
    def test_roundTrip(self, credentials: ProgramCredentials) -> None:
        """
        Any name without a colon and any password are read.
        """
        name = credentials.username.replace(b":", b"")
        token = b64encode(b"%b:%b" % (name, credentials.password))
        self.assertEqual(
            self.found(b"Basic " + token), ProgramCredentials(name, credentials.password)
        )


class ErrorStatusTests(SynchronousTestCase):
    """
    Requests that we cannot serve are refused with a status.
    """

    def test_everyError(self) -> None:
        """
        The status tells what was wrong.
        """
        for error, status in (
            (UnsupportedScheme(), 501),
            (VersionMismatch(), 505),
            (MalformedMessage(), 400),
            (AnotherProtocol(), 400),
            (UnexpectedEnd(), 400),
        ):
            self.assertEqual(httpproxy.errorStatus(error), status, repr(error))
