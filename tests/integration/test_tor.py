"""
Tests for Tor as the way out of C{twistd socks6}: what its control port says of streams.

There is no network here, so that no stream ever gets a circuit; but each says which
ones it would share a circuit with.
"""

from __future__ import annotations

from contextlib import ExitStack

from tests.integration import requireProgram
from tests.integration.chain import portOf
from tests.integration.outbounds import OutboundTestCase
from tests.integration.peers import SESSION_TEARDOWN, Place, dial, encodeRequest
from tests.integration.programs import running
from tests.integration.torprocess import Stream, TorProcess

#: What tells circuits apart.
CREDENTIALS = {"SOCKS_USERNAME", "SOCKS_PASSWORD"}


class TorTests(OutboundTestCase):
    """
    One identity for each session.
    """

    def setUp(self) -> None:
        super().setUp()
        self.tor = TorProcess(self)
        self.proxy = self.startProxy(f"socks5:unix:{self.tor.socks}")

    def stream(self, place: Place, host: str, options: bytes = b"") -> Stream:
        """
        Ask for a host, which nobody ever gets to.

        @return: What Tor says of it.
        """
        with dial(place) as client:
            client.sendall(encodeRequest(host, 80, options))
            stream = self.tor.nextStream()
        self.assertEqual(stream.target, f"{host}:80")
        self.assertLessEqual(CREDENTIALS, stream.isolatedBy)
        return stream

    def test_sessions(self) -> None:
        """
        Streams of one session have the same credentials, those of different ones have
        different ones, and so have those that are in no session, and those of whoever
        comes after the end of a session.
        """
        (place,) = self.proxy.places()
        ada, eve = self.openSession(place), self.openSession(place)
        found = [
            self.stream(place, host, options).who
            for host, options in [
                ("one.example", ada),
                ("two.example", ada),
                ("one.example", eve),
                ("one.example", b""),
                ("one.example", b""),
                ("three.example", ada + SESSION_TEARDOWN),
            ]
        ]
        self.assertNotIn(None, found)
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[5])
        self.assertEqual(len(set(found)), 4)
        again = self.stream(place, "one.example", self.openSession(place)).who
        self.assertNotIn(again, found)

    def test_users(self) -> None:
        """
        A program's user names become such credentials, by way of the local proxifier:
        one for each site, if the program has one for each.
        """
        local = self.startChain(proxy=self.proxy)
        curl = requireProgram(self, "curl")
        way = [curl, "--disable", "--socks5-hostname", f"127.0.0.1:{portOf(local)}"]
        found: dict[str, set[object]] = {}
        with ExitStack() as stack:
            for page in ("one", "two"):
                for site in ("a.example", "b.example"):
                    url = f"http://{page}.{site}/"
                    stack.enter_context(running(*way, "--proxy-user", f"{site}:nonce", url))
                    stream = self.tor.nextStream()
                    self.assertEqual(stream.target, f"{page}.{site}:80")
                    found.setdefault(site, set()).add(stream.who)
        self.assertEqual([len(each) for each in found.values()], [1, 1])
        self.assertNotEqual(found["a.example"], found["b.example"])
