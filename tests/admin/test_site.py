"""
Tests of L{socks6.admin.site}, L{socks6.admin.guard} and L{socks6.quietsite}.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.address import IPv4Address
from zope.interface.verify import verifyObject

from socks6.admin.guard import WRONG_PASSWORD_DELAY, AdminPassword, passwordIn
from socks6.admin.service import adminSite
from socks6.admin.site import HEADERS
from socks6.quietsite import MAX_BODY, MAX_CONNECTIONS, FewConnections, mayBeNamed
from tests.admin.pages import PageTestCase
from tests.doubles import CLIENT_ADDRESS
from tests.raising import errorOf


class HostTests(PageTestCase):
    """
    Names that lead to us, but are not ours.
    """

    def test_names(self) -> None:
        """
        An address is all right, and so is a name that is ours, in whatever case; a
        stranger's is not, nor is none.
        """
        names = ("proxy.example",)
        for host in (
            b"127.0.0.1",
            b"127.0.0.1:80",
            b"[::1]",
            b"[::1]:80",
            b"192.0.2.1:1",
            b"localhost",
            b"LocalHost:8080",
            b"localhost.:8080",
            b"Proxy.Example:80",
        ):
            self.assertTrue(mayBeNamed(host, names), repr(host))
        stranger: bytes | None
        for stranger in (
            None,
            b"",
            b":80",
            b"evil.example",
            b"evil.example:8080",
            b"127.0.0.1.evil.example",
            b"localhost.evil.example",
            b"evil.example:127.0.0.1",
            b"xlocalhost",
            b"\xff",
        ):
            self.assertFalse(mayBeNamed(stranger, names), repr(stranger))

    def test_refused(self) -> None:
        """
        Who asks a stranger for something gets nothing, whatever it is.
        """
        for host in (b"evil.example", None):
            for target in ("/", "/api/1/overview", "/page.js"):
                answer = self.ask(target, host=host)
                self.assertIn(answer.status, (400, 403))
                self.assertNotIn(b"version", answer.body)

    def test_two(self) -> None:
        """
        Two names are none.
        """
        answer = self.ask("/api/1/overview", HOST="evil.example")
        self.assertIn(answer.status, (400, 403))
        self.assertNotIn(b"version", answer.body)


class HeaderTests(PageTestCase):
    """
    What browsers are told.
    """

    def test_all(self) -> None:
        """
        Every answer forbids them the same, and allows no other site anything.
        """
        for target, host, status in (
            ("/", b"localhost", 200),
            ("/page.js", b"localhost", 200),
            ("/api/1/overview", b"proxy.example", 200),
            ("/api/1/nothing", b"localhost", 404),
            ("/nothing", b"localhost", 404),
            ("/", b"evil.example", 403),
        ):
            answer = self.ask(target, host=host, Origin="http://evil.example")
            if target.startswith("/api"):
                self.assertEqual(answer.status, 403)
                answer = self.ask(target, host=host)
            self.assertEqual(answer.status, status, target)
            for name, value in HEADERS.items():
                self.assertEqual(
                    answer.headers[name.decode().lower()], value.decode().lower(), target
                )
            self.assertEqual([n for n in answer.headers if n.startswith("access-control")], [])

    def test_policy(self) -> None:
        """
        There are no scripts but those in our files, and nobody frames us.
        """
        policy = HEADERS[b"Content-Security-Policy"]
        self.assertIn(b"default-src 'none'", policy)
        self.assertIn(b"frame-ancestors 'none'", policy)
        self.assertNotIn(b"unsafe", policy)
        page = self.ask("/").body
        self.assertNotIn(b"<script>", page)
        self.assertNotIn(b"style=", page)
        self.assertNotIn(b"http", page)

    def test_script(self) -> None:
        """
        The script makes no HTML of text.
        """
        script = self.ask("/page.js").body
        for word in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval"):
            self.assertNotIn(word, script)


class LimitTests(PageTestCase):
    """
    What clients may do.
    """

    def test_longBody(self) -> None:
        """
        A request with a long body breaks off; with a short one it does not.
        """
        for length, isAborted in ((MAX_BODY, False), (MAX_BODY + 1, True)):
            client = self.begin("/api/1/overview", "POST", Content_Length=str(length))
            client.send(b"x" * length)
            self.network.spin()
            self.assertEqual(client.wasReset, isAborted)
            client.end()

    def test_silence(self) -> None:
        """
        Who asks nothing is not waited for.
        """
        client = self.network.accept(self.site)
        self.network.elapse(60.0)
        self.assertTrue(client.ended or client.wasReset)
        client.end()

    def test_connections(self) -> None:
        """
        There are only so many at a time.
        """
        factory = FewConnections(self.site)
        peers = [self.network.accept(factory) for _ in range(MAX_CONNECTIONS)]
        self.assertIsNone(factory.buildProtocol(CLIENT_ADDRESS))
        peers[0].end()
        self.network.spin()
        self.assertIsNotNone(factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)))

    def test_quiet(self) -> None:
        """
        Nothing is logged of a request.
        """
        self.events.clear()
        self.ask("/")
        self.assertEqual(self.events, [])


class PasswordTests(PageTestCase):
    """
    A page with a password.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"open sesame\r\nand more\n")
        self.password = AdminPassword(self.network, self.path, passwordIn(self.path))
        self.site = adminSite(self.network, self.factory, self.sessions, password=self.password)

    def login(self, user: str = "admin", password: str = "open sesame") -> dict[str, Any]:
        """
        Write the header of a login.
        """
        words = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        return {"Authorization": f"Basic {words}"}

    def test_interface(self) -> None:
        """
        The checker is one.
        """
        self.assertTrue(verifyObject(ICredentialsChecker, self.password))

    def test_none(self) -> None:
        """
        Without a password there is nothing but a question for it.
        """
        for target in ("/", "/page.js", "/api/1/overview"):
            answer = self.ask(target)
            self.assertEqual((answer.status, answer.body), (401, b"Unauthorized"))
            self.assertEqual(answer.headers["www-authenticate"], 'basic realm="socks6"')
            self.assertIn("content-security-policy", answer.headers)

    def test_right(self) -> None:
        """
        With it there is everything, but not under a stranger's name.
        """
        for target in ("/", "/page.js", "/api/1/overview"):
            self.assertEqual(self.ask(target, **self.login()).status, 200)
        self.assertEqual(self.ask("/", host=b"evil.example", **self.login()).status, 403)

    def test_wrong(self) -> None:
        """
        A wrong one, or a wrong user, is refused after a while.
        """
        for words in (self.login("eve"), self.login(password="x"), self.login(password="")):
            client = self.begin("/api/1/overview", **words)
            self.network.elapse(WRONG_PASSWORD_DELAY / 2)
            self.assertEqual(client.received, b"")
            self.network.elapse(WRONG_PASSWORD_DELAY)
            self.assertEqual(self.finish(client).status, 401)

    def test_gone(self) -> None:
        """
        Who does not wait for the answer does no harm.
        """
        client = self.begin("/api/1/overview", **self.login("eve"))
        client.reset()
        self.network.elapse(2 * WRONG_PASSWORD_DELAY)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_prepare(self) -> None:
        """
        The file can be read again; a bad one leaves the old password in force.
        """
        for content in (b"", b"\nsecond line\n"):
            self.path.write_bytes(content)
            self.assertIsNotNone(errorOf(ValueError, self.password.prepare))
        self.assertEqual(self.ask("/", **self.login()).status, 200)
        self.path.write_bytes(b"new")
        putInForce = self.password.prepare()
        self.assertEqual(self.ask("/", **self.login()).status, 200)
        putInForce()
        self.assertEqual(self.ask("/", **self.login(password="new")).status, 200)
        client = self.begin("/", **self.login())
        self.network.elapse(WRONG_PASSWORD_DELAY)
        self.assertEqual(self.finish(client).status, 401)
