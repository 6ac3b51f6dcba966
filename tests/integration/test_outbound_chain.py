"""
Tests for C{twistd socks6} that goes through another SOCKS 6 proxy.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence

from tests.integration.certificates import Authority
from tests.integration.chain import portOf
from tests.integration.fakeproxy import FakeProxy
from tests.integration.outbounds import SIZE, OutboundTestCase
from tests.integration.peers import (
    OperationFailed,
    accept,
    ask,
    dial,
    encodeRequest,
    listen,
    openTunnel,
    pattern,
    placeOf,
    refusingPlace,
)
from tests.integration.twistd import Twistd
from tests.integration.webserver import WebServer


class ChainTests(OutboundTestCase):
    """
    Another SOCKS 6 proxy as the way out.
    """

    def test_tunnel(self) -> None:
        """
        Octets pass through both; the reply tells the address that the destination sees,
        and errors are passed on.
        """
        last = Twistd(self, "--port=0")
        first = self.startProxy(f"socks6://127.0.0.1:{portOf(last)}")
        (place,) = first.places()
        with listen() as server:
            self.checkTunnel(place, placeOf(server), server)
            self.checkTunnel(place, ("localhost", placeOf(server)[1]), server)
            with dial(place) as client:
                reply = ask(client, encodeRequest(*placeOf(server)))
                with accept(server) as remote:
                    self.assertEqual((reply.host, reply.port), remote.getpeername())
        sock, destination = refusingPlace()
        with sock, dial(place) as client:
            refused = self.assertRaises(OperationFailed, openTunnel, client, destination)
            self.assertEqual(refused.reply.code, 5)
        # Names are for the last one to resolve.
        last.waitForLine(" connect localhost:")
        # The session that all shared ends.
        self.assertEqual(first.stop(), -signal.SIGTERM)
        last.waitForLine(" noop ")
        self.assertNotIn("Traceback", first.output() + last.output())

    def test_threeProxies(self) -> None:
        """
        A chain may be longer; files arrive unchanged.
        """
        data = pattern(SIZE)
        digest = hashlib.sha256(data).hexdigest().encode()
        server = WebServer(self)
        server.pages["/big"] = (data, "application/octet-stream")
        proxy = Twistd(self, "--port=0")
        for _ in range(2):
            proxy = self.startProxy(f"socks6://127.0.0.1:{portOf(proxy)}", "--isolate-sessions")
        way = ["--socks5-hostname", f"127.0.0.1:{portOf(self.startChain(proxy=proxy))}"]
        for _ in range(2):
            self.assertTrue(self.fetch(*way, server.url("/big")).body == data)
            fetched = self.fetch(*way, "--upload-file", "-", server.url("/up"), input=data)
            self.assertEqual(fetched.body, digest)

    def test_tls(self) -> None:
        """
        TLS is spoken between the two, with certificates and a password.
        """
        folder = self.folder()
        authority = Authority(folder)
        users = folder / "users"
        users.write_text("ada:s3cret\n", "ascii")
        last = Twistd(
            self,
            "--tls-port=0",
            f"--certificate={authority.server().path}",
            f"--client-ca={authority.path}",
            f"--auth=file:{users}",
        )
        where = f"socks6s://ada:s3cret@localhost:{portOf(last)}?ca={authority.path}"
        first = self.startProxy(f"{where}&certificate={authority.client().path}")
        (place,) = first.places()
        with listen() as server:
            for _ in range(2):
                self.request(place, placeOf(server))
            (stranger,) = self.startProxy(where).places()
            with dial(stranger) as client:
                self.assertEqual(ask(client, encodeRequest(*placeOf(server))).code, 1)
        last.waitForLine(" ada connect ")
        self.assertNotIn("s3cret", first.output())

    def test_away(self) -> None:
        """
        As long as the other proxy is away, that is a general failure; when it is back,
        and has forgotten all sessions, all is well.
        """
        # Outgoing connections take no ports of that address meanwhile.
        last = Twistd(self, "--port=tcp:0:interface=127.0.0.2")
        port = portOf(last)
        first = self.startProxy(f"socks6://127.0.0.2:{port}")
        (place,) = first.places()
        with listen() as server:
            for _ in range(2):
                self.request(place, placeOf(server))
                self.assertEqual(last.stop(), -signal.SIGTERM)
                with dial(place) as client:
                    self.assertEqual(ask(client, encodeRequest(*placeOf(server))).code, 1)
                last = Twistd(self, f"--port=tcp:{port}:interface=127.0.0.2")
                last.places()
                self.request(place, placeOf(server))
        self.assertNotIn("Traceback", first.output())


class ChainedSessionTests(OutboundTestCase):
    """
    What the other SOCKS 6 proxy sees of sessions.
    """

    def check(self, arguments: Sequence[str], expected: Sequence[str | None]) -> None:
        """
        Make requests of two sessions, and of none.

        @param expected: For each, the session that the other proxy sees, whatever it is
            called there.
        """
        last = FakeProxy(self)
        (place,) = self.startProxy(last.url, *arguments).places()
        ada, eve = self.openSession(place), self.openSession(place)
        for options in (ada, eve, b"", ada, eve, b""):
            self.request(place, ("host.example", 80), options)
        sessions = [each.session for each in last.connections]
        self.assertEqual([session is None for session in sessions], [not each for each in expected])
        pairs = set(zip(sessions, expected, strict=True))
        self.assertEqual(len(pairs), len(set(expected)))
        self.assertEqual(len(pairs), len(set(sessions)))
        self.assertEqual(last.failures, [])

    def test_shared(self) -> None:
        """
        Usually, all requests share one.
        """
        self.check([], ["one"] * 6)

    def test_isolated(self) -> None:
        """
        With C{--isolate-sessions}, each has one there as well, and who is in none here
        is in none there.
        """
        self.check(["--isolate-sessions"], ["ada", "eve", None] * 2)
