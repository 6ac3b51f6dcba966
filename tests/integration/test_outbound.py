"""
Tests for C{twistd socks6} that goes through a SOCKS 5 proxy.
"""

from __future__ import annotations

import subprocess
import time

from tests.integration import requireProgram
from tests.integration.chain import portOf
from tests.integration.outbounds import SIZE, OutboundTestCase
from tests.integration.peers import (
    DEADLINE,
    SESSION_REQUEST,
    SESSION_TEARDOWN,
    accept,
    ask,
    dial,
    encodeRequest,
    encodeSessionID,
    listen,
    pattern,
    placeOf,
    receiveAll,
)
from tests.integration.socks5server import IPV4, IPV6, NAME, SOCKS5Server
from tests.integration.sshserver import SSHServer
from tests.integration.webserver import WebServer


class SOCKS5Tests(OutboundTestCase):
    """
    A SOCKS 5 proxy as the way out.
    """

    def test_tunnel(self) -> None:
        """
        Octets pass; the reply tells the address that the destination sees.
        """
        upstream = SOCKS5Server(self)
        host, port = upstream.place
        (place,) = self.startProxy(f"socks5:{host}:{port}").places()
        with listen() as server:
            self.checkTunnel(place, placeOf(server), server)
            with dial(place) as client:
                reply = ask(client, encodeRequest(*placeOf(server)))
                with accept(server) as remote:
                    self.assertEqual((reply.host, reply.port), remote.getpeername())
        self.assertEqual(upstream.failures, [])

    def test_UNIXSocket(self) -> None:
        """
        That proxy may listen on a UNIX socket.
        """
        path = self.folder() / "socks"
        upstream = SOCKS5Server(self, path=path)
        (place,) = self.startProxy(f"socks5:unix:{path}").places()
        with listen() as server:
            self.checkTunnel(place, placeOf(server), server)
        self.assertEqual(len(upstream.errands), 1)

    def test_names(self) -> None:
        """
        Names are passed on as they are, and so are addresses.
        """
        with listen() as server:
            destination = placeOf(server)
            upstream = SOCKS5Server(self, {"only.the.upstream.knows.example": destination})
            host, port = upstream.place
            (place,) = self.startProxy(f"socks5:{host}:{port}").places()
            self.request(place, ("only.the.upstream.knows.example", 4321))
            self.request(place, destination)
            with dial(place) as client:
                # Nobody listens there; it is asked for all the same.
                ask(client, encodeRequest("::1", 1))
        self.assertEqual(
            [(errand.kind, errand.host, errand.port) for errand in upstream.errands],
            [
                (NAME, "only.the.upstream.knows.example", 4321),
                (IPV4, *destination),
                (IPV6, "::1", 1),
            ],
        )

    def test_codes(self) -> None:
        """
        What the other proxy says is passed on; Tor has codes of its own for onion
        services.
        """
        expected = {code: code for code in range(1, 9)}
        expected |= {0xF0: 4, 0xF3: 4, 0xF4: 2, 0xF5: 2, 0xF6: 4, 0xF7: 9, 0x63: 1}
        codes = {f"code{code}.example": code for code in expected}
        host, port = SOCKS5Server(self, codes=codes).place
        (place,) = self.startProxy(f"socks5:{host}:{port}").places()
        found = {}
        for name, code in codes.items():
            with dial(place) as client:
                found[code] = ask(client, encodeRequest(name, 80)).code
                self.assertEqual(receiveAll(client), b"")
        self.assertEqual(found, expected)

    def test_away(self) -> None:
        """
        As long as the other proxy is away, that is a general failure; when it is back,
        all is well.
        """
        path = self.folder() / "socks"
        proxy = self.startProxy(f"socks5:unix:{path}")
        (place,) = proxy.places()
        with listen() as server:
            for _ in range(2):
                with dial(place) as client:
                    self.assertEqual(ask(client, encodeRequest(*placeOf(server))).code, 1)
                upstream = SOCKS5Server(self, path=path)
                self.request(place, placeOf(server))
                upstream.close()
                path.unlink()
        self.assertNotIn("Traceback", proxy.output())

    def test_ssh(self) -> None:
        """
        C{ssh -D} is such a proxy, if nobody wants to be somebody there.
        """
        ssh = requireProgram(self, "ssh")
        host, port = self.startForwarding(SSHServer(self), ssh)
        (place,) = self.startProxy(f"socks5:{host}:{port}", "--no-isolate-sessions").places()
        with listen() as server:
            self.checkTunnel(place, placeOf(server), server)
            self.request(place, ("localhost", placeOf(server)[1]))
            (strict,) = self.startProxy(f"socks5:{host}:{port}").places()
            with dial(strict) as client:
                self.assertEqual(ask(client, encodeRequest(*placeOf(server))).code, 1)

    def startForwarding(self, sshServer: SSHServer, ssh: str) -> tuple[str, int]:
        """
        Start C{ssh -D}.

        @return: Where it listens.
        """
        for _ in range(5):
            with listen() as listener:
                place = placeOf(listener)
            # On a port that was free a moment ago.
            where = ["-N", "-oExitOnForwardFailure=yes", "-D", f"{place[0]}:{place[1]}"]
            process = subprocess.Popen(
                [ssh, *where, *sshServer.options(), "127.0.0.1"], stdin=subprocess.DEVNULL
            )
            self.addCleanup(process.wait, DEADLINE)
            self.addCleanup(process.kill)
            deadline = time.monotonic() + DEADLINE
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    dial(place).close()
                except ConnectionRefusedError:
                    time.sleep(0.01)
                else:
                    return place
        raise AssertionError("ssh -D does not start")


class IsolationTests(OutboundTestCase):
    """
    Every session is somebody else to the SOCKS 5 proxy.
    """

    def setUp(self) -> None:
        super().setUp()
        self.server = listen()
        self.addCleanup(self.server.close)
        self.destination = placeOf(self.server)
        self.upstream = SOCKS5Server(self)
        host, port = self.upstream.place
        self.outbound = f"socks5:{host}:{port}"

    def test_sessions(self) -> None:
        """
        Requests of one session are the same, those of others are others, and those
        outside of sessions have nothing in common with anybody.
        """
        (place,) = self.startProxy(self.outbound).places()
        ada, eve = self.openSession(place), self.openSession(place)
        for options in (ada, b"", eve, ada, b"", eve, ada):
            self.request(place, self.destination, options)
        one, nobody, two, oneAgain, nobodyAgain, twoAgain, oneAtLast = self.upstream.who
        self.assertEqual((one, two), (oneAgain, twoAgain))
        self.assertEqual(one, oneAtLast)
        self.assertEqual(len({one, two, nobody, nobodyAgain}), 4)
        for who in self.upstream.who:
            assert who is not None
            # Nobody guesses them, and they say nothing of the sessions' IDs.
            for part in who:
                self.assertGreaterEqual(len(part), 16)
                self.assertNotIn(part, ada + eve)
        # No two share a name or a password only.
        everybody = {one, two, nobody, nobodyAgain}
        self.assertEqual(len({who[0] for who in everybody if who}), 4)
        self.assertEqual(len({who[1] for who in everybody if who}), 4)

    def test_opening(self) -> None:
        """
        The request that opens a session is a part of it, and so is the one that ends
        it; who comes after that is somebody else.
        """
        (place,) = self.startProxy(self.outbound).places()
        found = []
        for _ in range(2):
            identifier = self.request(place, self.destination, SESSION_REQUEST)
            assert identifier is not None
            session = encodeSessionID(identifier)
            self.request(place, self.destination, session)
            self.request(place, self.destination, session + SESSION_TEARDOWN)
            found.append(set(self.upstream.who))
            self.upstream.errands.clear()
        first, second = found
        self.assertEqual((len(first), len(second)), (1, 1))
        self.assertNotEqual(first, second)

    def test_restart(self) -> None:
        """
        After a restart everybody is somebody else, though sessions live on.
        """
        sessions = f"--sessions=sqlite:{self.folder()}/sessions"
        proxy = self.startProxy(self.outbound, sessions)
        (place,) = proxy.places()
        ada = self.openSession(place)
        self.request(place, self.destination, ada)
        proxy.stop()
        (place,) = self.startProxy(self.outbound, sessions).places()
        self.request(place, self.destination, ada)
        before, after = self.upstream.who
        self.assertNotEqual(before, after)

    def test_none(self) -> None:
        """
        If that is not wanted, nobody says who he is.
        """
        (place,) = self.startProxy(self.outbound, "--no-isolate-sessions").places()
        for options in (self.openSession(place), b""):
            self.request(place, self.destination, options)
        self.assertEqual(self.upstream.who, [None, None])

    def test_users(self) -> None:
        """
        From a program's user name, by way of the local proxifier and a session, to the
        SOCKS 5 proxy: one identity for each.
        """
        server = WebServer(self)
        big = pattern(SIZE)
        server.pages["/big"] = (big, "application/octet-stream")
        self.upstream.names.update({f"site{number}.example": server.place for number in range(3)})
        local = self.startChain(proxy=self.startProxy(self.outbound))
        for _ in range(2):
            for number in range(3):
                way = ["--socks5-hostname", f"127.0.0.1:{portOf(local)}"]
                who = ["--proxy-user", f"site{number}.example:nonce"]
                fetched = self.fetch(*way, *who, f"http://site{number}.example/big")
                self.assertTrue(fetched.body == big)
        hosts = [errand.host for errand in self.upstream.errands]
        self.assertEqual(hosts, [f"site{number}.example" for number in range(3)] * 2)
        who = self.upstream.who  # type: ignore[assignment]
        self.assertEqual(who[:3], who[3:])
        self.assertEqual(len(set(who)), 3)
