"""
Tests of L{socks6.admin.resources} and L{socks6.admin.snapshot}.
"""

from __future__ import annotations

from typing import Any

from socks6 import __version__
from socks6.admin import snapshot
from socks6.admin.snapshot import AT_ONCE, MOST, _owner
from socks6.interfaces import SessionLimits, SessionRecord, SessionTrust
from tests.admin.pages import PageTestCase
from tests.serving.lines import CONNECT_LINE

LIMITS = SessionLimits(600.0, 10_000, 10_000)

#: Whom a session belongs to who wants to be more than a name.
NAME = b"<b>\xff\n"


class OverviewTests(PageTestCase):
    """
    Numbers.
    """

    def test_nothing(self) -> None:
        """
        At first there are none.
        """
        self.network.elapse(5.0)
        answer = self.ask("/api/1/overview")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        self.assertEqual(
            answer.json,
            {
                "version": __version__,
                "uptime": 5.0,
                "connections": {"open": 0, "total": 0},
                "tunnels": 0,
                "sessions": 0,
                "octets": {"toRemote": 0, "toClients": 0},
                "requests": [],
                "malformed": {},
            },
        )

    def test_octets(self) -> None:
        """
        Octets are counted once, of tunnels that are there and of those that were.
        """
        client, remote = self.open()
        client.send(b"12345")
        remote.send(b"123")
        counted = self.ask("/api/1/overview").json
        self.assertEqual(counted["octets"], {"toRemote": 5, "toClients": 3})
        self.assertEqual((counted["tunnels"], counted["requests"]), (1, []))
        other, _ = self.open()
        other.send(b"12")
        client.end()
        remote.end()
        self.network.spin()
        counted = self.ask("/api/1/overview").json
        self.assertEqual(counted["octets"], {"toRemote": 7, "toClients": 3})
        self.assertEqual(counted["connections"], {"open": 1, "total": 2})
        self.assertEqual(
            counted["requests"], [{"command": "connect", "result": "unanswered", "count": 1}]
        )

    def test_malformed(self) -> None:
        """
        Clients that break the protocol are counted.
        """
        self.network.accept(self.factory).send(b"give me\n")
        self.assertEqual(self.ask("/api/1/overview").json["malformed"], {"MalformedMessage": 1})


class TunnelTests(PageTestCase):
    """
    Tunnels.
    """

    def setUp(self) -> None:
        super().setUp()
        self.silences: dict[object, float] = {}

    def tunnels(self, query: str = "") -> Any:
        """
        List them.
        """
        return self.ask(f"/api/1/tunnels{query}").json

    def test_one(self) -> None:
        """
        All is there that is known of one.
        """
        self.patch(snapshot, "silence", self.silences.get)
        client, remote = self.open()
        self.network.elapse(2.0)
        for peer, seconds in ((client, 1.5), (remote, 0.5)):
            self.silences[peer.connection] = seconds
        client.send(b"12345")
        remote.send(b"123")
        self.assertEqual(
            self.tunnels(),
            {
                "total": 1,
                "start": 0,
                "tunnels": [
                    {
                        "id": 1,
                        "peer": "192.0.2.2:40000",
                        "user": "-",
                        "command": "connect",
                        "destination": "203.0.113.1:443",
                        "age": 2.0,
                        "relaying": True,
                        "toRemote": 5,
                        "toClient": 3,
                        "idle": 0.5,
                        "spliced": False,
                    }
                ],
            },
        )

    def test_silence(self) -> None:
        """
        Where the system does not tell of one side how long it has been silent, nobody
        knows.
        """
        self.patch(snapshot, "silence", self.silences.get)
        client, _ = self.open()
        self.silences[client.connection] = 1.5
        (listed,) = self.tunnels()["tunnels"]
        self.assertIsNone(listed["idle"])

    def test_states(self) -> None:
        """
        Who waits for a remote host is listed, too; who has asked for nothing is not, nor
        who is served no more.
        """
        silent, waiting = (self.network.accept(self.factory) for _ in range(2))
        waiting.send(b"please\n")
        (listed,) = self.tunnels()["tunnels"]
        self.assertEqual((listed["id"], listed["relaying"]), (2, False))
        self.conversation(waiting).end("enough")
        self.assertEqual(self.tunnels()["total"], 0)
        self.assertFalse(silent.ended)

    def test_pages(self) -> None:
        """
        The latest come first, so many at a time.
        """
        for _ in range(5):
            self.network.accept(self.factory).send(b"please\n")
        for query, ids in (
            ("", [5, 4, 3, 2, 1]),
            ("?limit=2", [5, 4]),
            ("?start=3&limit=9", [2, 1]),
            ("?start=9", []),
            ("?limit=0", []),
            ("?filter=192.0.2.2", [5, 4, 3, 2, 1]),
            ("?filter=:443&limit=1", [5]),
            ("?filter=elsewhere", []),
        ):
            found = self.tunnels(query)
            self.assertEqual([each["id"] for each in found["tunnels"]], ids, query)
            self.assertEqual(found["total"], 0 if "elsewhere" in query else 5)

    def test_bound(self) -> None:
        """
        Nobody gets more than so many.
        """
        for _ in range(MOST + 1):
            self.network.accept(self.factory).send(b"please\n")
        found = self.tunnels(f"?limit={MOST + 1}")
        self.assertEqual((found["total"], len(found["tunnels"])), (MOST + 1, MOST))

    def test_turns(self) -> None:
        """
        Others have their turn in between, where there are many; who is gone by then gets
        no answer, which is no harm.
        """
        for _ in range(AT_ONCE):
            self.network.accept(self.factory).send(b"please\n")
        connection = self.network.accept(self.site)
        sent = b"GET /api/1/tunnels HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.protocol.dataReceived(sent)
        self.assertEqual(connection.received, b"")
        connection.connection.abortConnection()
        self.network.spin()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.tunnels()["total"], AT_ONCE)

    def test_badQuery(self) -> None:
        """
        What is no number is refused.
        """
        for query in ("?start=x", "?start=-1", "?limit=1e3", "?limit=" + "9" * 99):
            self.assertEqual(self.ask(f"/api/1/tunnels{query}").status, 400, query)

    def test_end(self) -> None:
        """
        One is ended, and no other.
        """
        client, remote = self.open()
        other, _ = self.open()
        answer = self.post("/api/1/tunnels/1/end")
        self.assertEqual((answer.status, answer.json), (200, {"ended": True}))
        self.network.spin()
        self.assertTrue(client.wasReset)
        self.assertTrue(remote.wasReset)
        self.assertFalse(other.wasReset)
        self.assertEqual(
            self.lines[:1],
            ["The operator ends 192.0.2.2:40000 - connect 203.0.113.1:443"],
        )
        self.assertIn(f"{CONNECT_LINE}ended by the operator, 0 octets", self.lines[1])
        self.assertEqual(self.post("/api/1/tunnels/1/end").status, 404)

    def test_endWaiting(self) -> None:
        """
        One that waits for a remote host is ended as well.
        """
        client = self.network.accept(self.factory)
        client.send(b"please\n")
        self.assertEqual(self.post("/api/1/tunnels/1/end").status, 200)
        self.network.spin()
        self.assertTrue(client.wasReset)
        self.assertEqual(self.givenUp, self.waiting)


class ForgeryTests(PageTestCase):
    """
    Other pages in the operator's browser.
    """

    def test_change(self) -> None:
        """
        Only JSON changes something, and only from our own page or from none.
        """
        client, _ = self.open()
        target = "/api/1/tunnels/1/end"
        json = {"Content_Type": "application/json"}
        for headers in (
            {},
            {"Content_Type": "text/plain"},
            {"Content_Type": "application/x-www-form-urlencoded"},
            {**json, "Origin": "http://evil.example"},
            {**json, "Origin": "null"},
            {**json, "Origin": "http://127.0.0.1:9999"},
            {**json, "Sec_Fetch_Site": "cross-site"},
            {**json, "Sec_Fetch_Site": "same-site"},
        ):
            answer = self.ask(target, "POST", **headers)
            self.assertEqual(answer.status, 403, repr(headers))
        self.assertFalse(client.wasReset)
        answer = self.post(target, Origin="http://127.0.0.1:8080", Sec_Fetch_Site="same-origin")
        self.assertEqual(answer.status, 200)

    def test_look(self) -> None:
        """
        Other sites may not even look.
        """
        for site, status in (("cross-site", 403), ("same-site", 403), ("none", 200)):
            answer = self.ask("/api/1/overview", Sec_Fetch_Site=site)
            self.assertEqual(answer.status, status)

    def test_methods(self) -> None:
        """
        Nothing is changed by looking, and nothing is looked at by changing.
        """
        for method, target, allowed in (
            ("GET", "/api/1/tunnels/1/end", "post"),
            ("HEAD", "/api/1/sessions/1/end", "post"),
            ("POST", "/api/1/tunnels", "get, head"),
            ("DELETE", "/api/1/tunnels", "get, head"),
            ("OPTIONS", "/api/1/tunnels/1/end", "post"),
        ):
            answer = self.ask(target, method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, allowed), target)

    def test_nothing(self) -> None:
        """
        What is not there is not there.
        """
        for target in (
            "/api/1",
            "/api/1/",
            "/api/2/overview",
            "/api/1/overview/",
            "/api/1/overview/1/end",
            "/api/1/tunnels/1",
            "/api/1/tunnels/1/end/2",
            "/../setup.cfg",
            "/static/page.js",
        ):
            self.assertEqual(self.ask(target).status, 404, target)
        self.assertEqual(self.post("/api/1/tunnels/x/end").status, 400)


class SessionTests(PageTestCase):
    """
    Sessions.
    """

    def open_(self, name: bytes, owner: bytes, windowSize: int | None = None) -> bytes:
        """
        Open a session.

        @return: Its key.
        """
        store: Any = self.sessions.listing
        key = bytes([len(store) + 1]) * 32
        record = SessionRecord(2, name, "192.0.2.2", SessionTrust.OVER_TLS, owner)
        self.successResultOf(store.open(key, record, windowSize, LIMITS))
        return key

    def test_list(self) -> None:
        """
        All is there that is known, but neither ID nor key.
        """
        key = self.open_(NAME, b"user " + NAME, 16)
        self.network.elapse(2.0)
        answer = self.ask("/api/1/sessions")
        self.assertEqual(
            answer.json,
            {
                "listed": True,
                "total": 1,
                "start": 0,
                "sessions": [
                    {
                        "id": 1,
                        "user": "<b>\\\\xff\\n",
                        "owner": "user <b>\\\\xff\\n",
                        "address": "192.0.2.2",
                        "trust": "over tls",
                        "window": 16,
                        "age": 2.0,
                        "left": 598.0,
                    }
                ],
            },
        )
        self.assertNotIn(key.hex().encode(), answer.body)
        self.assertEqual(self.ask("/api/1/overview").json["sessions"], 1)

    def test_owners(self) -> None:
        """
        Whom a session counts against is written for people.
        """
        for owner, words in (
            (b"ipv4 " + bytes([192, 0, 2, 2]), "192.0.2.2"),
            (b"ipv6 " + bytes.fromhex("20010db800000001"), "2001:db8:0:1::/64"),
            (b"ipv4 \n \t.", "10.32.9.46"),
            (b"elsewhere", "elsewhere"),
            (b"user ada", "user ada"),
        ):
            self.assertEqual(_owner(owner), words)

    def test_pages(self) -> None:
        """
        The one that was used last comes first, so many at a time.
        """
        for _ in range(3):
            self.open_(b"ada", b"user ada")
        for query, ids in (("", [3, 2, 1]), ("?limit=1", [3]), ("?start=1&limit=1", [2])):
            found = self.ask(f"/api/1/sessions{query}").json
            self.assertEqual([each["id"] for each in found["sessions"]], ids)
            self.assertEqual(found["total"], 3)

    def test_end(self) -> None:
        """
        One is ended, once, and no other.
        """
        self.open_(b"ada", b"user ada")
        self.open_(b"eve", b"user eve")
        self.assertEqual(self.post("/api/1/sessions/1/end").json, {"ended": True})
        self.assertEqual(self.post("/api/1/sessions/1/end").status, 404)
        (left,) = self.ask("/api/1/sessions").json["sessions"]
        self.assertEqual(left["user"], "eve")
        self.assertEqual(self.lines, ["The operator has ended session 1"])


class SilentStore:
    """
    A store that does not say that it tells what it has.
    """


class SilentTests(PageTestCase):
    """
    Sessions of which nobody knows.
    """

    store = SilentStore()

    def test_notListed(self) -> None:
        """
        That is what is said of them.
        """
        answer = self.ask("/api/1/sessions").json
        expected = {"listed": False, "reason": "not listed by this store", "sessions": []}
        self.assertEqual(answer, expected)
        self.assertIsNone(self.ask("/api/1/overview").json["sessions"])
        answer = self.post("/api/1/sessions/1/end")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.json, {"error": "not listed by this store"})
