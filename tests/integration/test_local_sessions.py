"""
Tests for the sessions that programs get: what the proxy sees of C{--isolate}.
"""

from __future__ import annotations

import signal

from tests.integration.chain import ChainTestCase, portOf
from tests.integration.fakeproxy import FakeProxy
from tests.integration.peers import NOOP
from tests.integration.programs import curl
from tests.integration.twistd import Local

#: Who asks, from where, and for what: all that sessions can be told apart by.
ERRANDS = [
    (user, client, destination)
    for user in ("", "ada:s3cret", "ada:other", "eve:s3cret")
    for client in ("127.0.0.1", "127.0.0.2")
    for destination in ("one.example:80", "one.example:81", "two.example:80")
]

#: Positions in an errand.
USER, CLIENT, DESTINATION = range(3)


class IsolationTests(ChainTestCase):
    """
    Two requests share a session if, and only if, they should.
    """

    def setUp(self) -> None:
        super().setUp()
        self.proxy = FakeProxy(self)

    def startLocal(self, *arguments: str) -> Local:
        """
        Start a local proxifier.
        """
        return Local(self, "--port=0", f"--proxy={self.proxy.url}", *arguments)

    def fetch_(self, local: Local, way: str, user: str, client: str, destination: str) -> None:
        """
        Fetch something.
        """
        scheme = "http://" if way == "--proxy" else ""
        arguments = [way, f"{scheme}127.0.0.1:{portOf(local)}", "--interface", client]
        if user:
            arguments += ["--proxy-user", user]
        self.assertEqual(self.fetch(*arguments, f"http://{destination}/").body, b"yes")

    def check(self, local: Local, way: str, *kinds: int) -> None:
        """
        Run all errands twice.

        @param kinds: What sessions are told apart by.
        """
        del self.proxy.requests[:]
        for _ in range(2):
            for errand in ERRANDS:
                self.fetch_(local, way, *errand)
        asked = self.proxy.connections
        self.assertEqual(
            [f"{each.host}:{each.port}" for each in asked],
            [errand[DESTINATION] for errand in ERRANDS] * 2,
        )
        self.assertEqual(self.proxy.requests, asked)
        sessions = [each.session for each in asked]
        self.assertNotIn(None, sessions)
        keys = [tuple(errand[kind] for kind in kinds) for errand in ERRANDS * 2]
        pairs = set(zip(keys, sessions, strict=True))
        self.assertEqual(len(pairs), len(set(keys)), "one of them has several sessions")
        self.assertEqual(len(set(sessions)), len(set(keys)), "different ones share a session")
        self.assertEqual(sum(each.opens for each in asked), len(set(keys)))
        self.assertEqual(self.proxy.failures, [])

    def test_default(self) -> None:
        """
        By default there is one for each user name and password.
        """
        self.check(self.startLocal(), "--socks5-hostname", USER)

    def test_HTTP(self) -> None:
        """
        The same for those of HTTP.
        """
        self.check(self.startLocal("--isolate=auth"), "--proxy", USER)

    def test_none(self) -> None:
        """
        All can share one.
        """
        self.check(self.startLocal("--isolate=none"), "--socks5-hostname")

    def test_destination(self) -> None:
        """
        One for each host and port.
        """
        self.check(self.startLocal("--isolate=destination"), "--socks5-hostname", DESTINATION)

    def test_client(self) -> None:
        """
        One for each host on which programs run.
        """
        self.check(self.startLocal("--isolate=client"), "--socks5-hostname", CLIENT)

    def test_combined(self) -> None:
        """
        All that together, in one option or several.
        """
        local = self.startLocal("--isolate=auth,client", "--isolate=destination")
        self.check(local, "--socks5-hostname", USER, CLIENT, DESTINATION)

    def test_userIDs(self) -> None:
        """
        In SOCKS 4, it is the user ID; the same name with a password, as it is written
        in SOCKS 5, is somebody else.
        """
        local = self.startLocal()
        for way, user in [
            ("--socks4a", "ada:"),
            ("--socks4a", "eve:"),
            ("--socks4a", ""),
            ("--socks4a", "ada:"),
            ("--socks5-hostname", "ada:s3cret"),
            ("--socks5-hostname", ""),
        ]:
            self.fetch_(local, way, user, "127.0.0.1", "one.example:80")
        ada, eve, nobody, adaAgain, other, nobody5 = [each.session for each in self.proxy.requests]
        self.assertEqual((ada, nobody), (adaAgain, nobody5))
        self.assertEqual(len({ada, eve, nobody, other}), 4)

    def test_end(self) -> None:
        """
        Each session ends when the proxifier does.
        """
        local = self.startLocal()
        for user in ("ada:s3cret", "eve:s3cret", ""):
            self.fetch_(local, "--socks5-hostname", user, "127.0.0.1", "one.example:80")
        opened = {each.session or b"" for each in self.proxy.connections}
        self.assertEqual(local.stop(), -signal.SIGTERM)
        farewells = [each for each in self.proxy.requests if each.command == NOOP]
        self.assertTrue(all(each.ends for each in farewells))
        self.assertEqual(sorted(each.session or b"" for each in farewells), sorted(opened))

    def test_parallel(self) -> None:
        """
        Many requests at the same time open but one session.
        """
        local = self.startLocal()
        urls = [f"http://host{number}.example/" for number in range(20)]
        way = ["--socks5-hostname", f"127.0.0.1:{portOf(local)}"]
        fetched = curl(self, *way, "--parallel", "--no-progress-meter", *urls)
        self.assertEqual((fetched.status, fetched.body), (0, b"yes" * 20))
        self.assertEqual(len({each.session for each in self.proxy.connections}), 1)
        self.assertEqual(sum(each.opens for each in self.proxy.requests), 1)
