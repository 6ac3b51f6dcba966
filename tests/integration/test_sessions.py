"""
Tests for sessions and tokens, with proxies in processes of their own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from functools import partial
from pathlib import Path

from tests.integration import sharing
from tests.integration.certificates import Authority
from tests.integration.peers import (
    DUPLICATE,
    NO_WINDOW,
    OUT_OF_WINDOW,
    SESSION_REQUEST,
    SESSION_TEARDOWN,
    Place,
    Verdict,
    accept,
    dial,
    encodeCredentials,
    encodeMethods,
    encodePassword,
    encodeRequest,
    encodeSessionID,
    encodeTokenExpenditure,
    encodeTokenRequest,
    listen,
    placeOf,
    receive,
    receiveReply,
    receiveVerdict,
)
from tests.integration.redisserver import RedisProcess
from tests.integration.sharing import (
    INVALID,
    NOT_ADMITTED,
    OUT_OF_ORDER,
    WITHIN,
    WITHIN_BY_PASSWORD,
    Answer,
    ask,
    hear,
    ineligible,
    openSession,
    send,
    spend,
    spent,
    use,
)
from tests.integration.twistd import TWIST, TWISTD, Twistd

PASSWORDS = "--auth=memory:ada:s3cret:eve:gu3ss"
ADA = encodePassword(b"ada", b"s3cret")
EVE = encodePassword(b"eve", b"gu3ss")

#: Seconds after which sessions end where that is waited for: long enough to use one
#: on a busy machine.
SHORT = 1.0

#: Runs C{twistd} as a daemon; wants to know where to write its number.
DAEMON = [*TWISTD[:3], "--logfile=log"]


def killDaemon(pidfile: Path) -> None:
    """
    End a daemon if it runs, which it should not.
    """
    with contextlib.suppress(FileNotFoundError):
        os.kill(int(pidfile.read_text("ascii")), signal.SIGKILL)


class SessionTests(sharing.SessionCase):
    """
    Sessions.
    """

    def test_password(self) -> None:
        """
        With a password a session is opened, and used without it from then on, on
        connections of their own; whoever has neither is refused.
        """
        place = self.start(PASSWORDS)
        self.assertEqual(ask(place, SESSION_REQUEST), NOT_ADMITTED)
        opened = ask(place, SESSION_REQUEST + ADA)
        identifier = opened.verdict.identifier
        assert identifier is not None
        self.assertEqual(opened, Answer(Verdict(0, 2, identifier), 0))
        self.assertGreaterEqual(len(identifier), 16)
        for options in (b"", EVE, encodePassword(b"ada", b"wrong"), SESSION_REQUEST):
            self.assertEqual(use(place, identifier, options), WITHIN)
        self.assertEqual(ask(place), NOT_ADMITTED)

    def test_exchange(self) -> None:
        """
        The session is opened by the second Authentication Reply if the password
        is asked for.
        """
        place = self.start(PASSWORDS)
        options = SESSION_REQUEST + encodeTokenRequest(5) + encodeMethods(2)
        sock = send(place, options)
        self.assertEqual(receiveVerdict(sock), Verdict(1, 2))
        sock.sendall(encodeCredentials(b"ada", b"s3cret"))
        self.assertEqual(receive(sock, 2), bytes.fromhex("01 00"))
        verdict, code = hear(sock)
        assert verdict.identifier is not None
        self.assertEqual(verdict, Verdict(0, 2, verdict.identifier, window=(0, 5)))
        self.assertEqual(code, 0)
        self.assertEqual(use(place, verdict.identifier), WITHIN)

    def test_tunnel(self) -> None:
        """
        A tunnel in a session passes octets, and outlives the session; its line
        names the user, and no line the session's ID.
        """
        twistd = Twistd(self, "--port=0", PASSWORDS)
        (place,) = twistd.places()
        identifier = openSession(place, ADA)
        with listen() as listener:
            client = send(place, encodeSessionID(identifier), placeOf(listener))
            server = accept(listener)
        with client, server:
            client.sendall(b"question")
            self.assertEqual(receiveVerdict(client), WITHIN.verdict)
            reply = receiveReply(client)
            self.assertEqual((reply.code, reply.options), (0, b""))
            self.assertEqual(receive(server, 8), b"question")
            self.assertEqual(use(place, identifier, SESSION_TEARDOWN), WITHIN)
            self.assertEqual(use(place, identifier), INVALID)
            server.sendall(b"answer")
            self.assertEqual(receive(client, 6), b"answer")
        line = twistd.waitForLine(" connect ")
        self.assertIn(" ada connect ", line)
        twistd.stop()
        self.assertNotIn(identifier.hex(), twistd.output())
        self.assertNotIn(repr(identifier)[2:-1], twistd.output())
        self.assertNotIn("s3cret", twistd.output())
        self.assertNotIn("Traceback", twistd.output())

    def test_invalid(self) -> None:
        """
        An ID that is wrong or torn down is refused, even where nobody needs a
        password; credentials do not help.
        """
        proxies = [(Twistd(self, "--port=0"), b""), (Twistd(self, "--port=0", PASSWORDS), ADA)]
        for twistd, options in proxies:
            (place,) = twistd.places()
            identifier = openSession(place, options)
            wrong = bytes([identifier[0] ^ 1]) + identifier[1:]
            for each in (b"", b"\0", wrong, identifier[:-1], identifier + b"\0"):
                self.assertEqual(use(place, each, options), INVALID)
            self.assertEqual(use(place, identifier), WITHIN)
            self.assertEqual(use(place, identifier, SESSION_TEARDOWN), WITHIN)
            for more in (b"", options, SESSION_TEARDOWN, SESSION_REQUEST):
                self.assertEqual(use(place, identifier, more), INVALID)
            self.assertEqual(ask(place, options).code, 0)

    def test_expired(self) -> None:
        """
        So is the ID of a session that was not used for too long.
        """
        place = self.start(f"--session-timeout={SHORT}")
        identifier = openSession(place)
        self.assertEqual(use(place, identifier), WITHIN)
        time.sleep(SHORT)
        self.assertEqual(use(place, identifier), INVALID)
        self.assertEqual(use(place, openSession(place)), WITHIN)

    def test_trust(self) -> None:
        """
        Where the ID is enough depends on C{--session-trust}, and on whether the
        session was opened over TLS and is used over TLS.
        """
        authority = Authority(self.folder())
        context = authority.clientContext()
        certificate = f"--certificate={authority.server().path}"
        proxies = {
            trust: Twistd(
                self, "--port=0", "--tls-port=0", certificate, PASSWORDS, f"--session-trust={trust}"
            )
            for trust in ("always", "tls", "never")
        }
        for trust, twistd in proxies.items():
            plain, encrypted = twistd.places()
            ways = ((plain, None), (encrypted, context))
            for opening in ways:
                verdict, _ = ask(opening[0], SESSION_REQUEST + ADA, opening[1])
                assert verdict.identifier is not None
                named = encodeSessionID(verdict.identifier)
                trusted = trust == "always" or (trust == "tls" and opening == ways[1])
                self.assertEqual(verdict.news, () if trusted else (6,), trust)
                for using in ways:
                    enough = trusted and (trust == "always" or using == ways[1])
                    for options, heard in (
                        (b"", NOT_ADMITTED),
                        (EVE, NOT_ADMITTED),
                        (ADA, WITHIN_BY_PASSWORD),
                    ):
                        self.assertEqual(
                            ask(using[0], named + options, using[1]),
                            WITHIN if enough else heard,
                            f"{trust}: {opening[0]}, {using[0]}",
                        )

    def test_limits(self) -> None:
        """
        Who hits a limit gets no session, and is served without one.
        """
        place = self.start(PASSWORDS, "--max-sessions=2", "--max-sessions-per-client=1")
        openSession(place, ADA)
        declined = Answer(Verdict(0, 2), 0)
        self.assertEqual(ask(place, SESSION_REQUEST + encodeTokenRequest(5) + ADA), declined)
        openSession(place, EVE)
        self.assertEqual(ask(place, SESSION_REQUEST + EVE), declined)


class TokenTests(sharing.SessionCase):
    """
    Tokens.
    """

    def test_outcomes(self) -> None:
        """
        Of all that can become of a token, only one lets the proxy connect.
        """
        place = self.start()
        sessionWithout = openSession(place)
        identifier = openSession(place, encodeTokenRequest(8))
        with listen() as listener:
            destination = placeOf(listener)

            def connect(session: bytes, token: int) -> Answer:
                options = encodeSessionID(session) + encodeTokenExpenditure(token)
                client = send(place, options, destination)
                verdict = receiveVerdict(client)
                reply = receiveReply(client)
                if reply.code == 0:
                    with accept(listener) as server:
                        client.sendall(bytes([token]))
                        self.assertEqual(receive(server, 1), bytes([token]))
                client.close()
                return Answer(verdict, reply.code)

            for session, token, answer in (
                (sessionWithout, 0, ineligible(NO_WINDOW)),
                (identifier, 1, spent()),
                (identifier, 1, ineligible(DUPLICATE)),
                (identifier, 8, ineligible(OUT_OF_WINDOW, 0, 8)),
                (identifier, 0, spent(2, 8)),
                (identifier, 0, ineligible(OUT_OF_WINDOW, 2, 8)),
                (identifier, 9, spent(3, 8)),
            ):
                self.assertEqual(connect(session, token), answer, token)
            listener.settimeout(0)
            self.assertRaises(BlockingIOError, listener.accept)
        self.assertEqual(
            use(place, identifier, encodeTokenRequest(2**31 - 1)).verdict.window, (11, 65536)
        )

    def test_outside(self) -> None:
        """
        Outside of a session tokens mean nothing.
        """
        place = self.start()
        options = encodeTokenExpenditure(0) + encodeTokenRequest(8)
        for _ in range(2):
            self.assertEqual(ask(place, options), Answer(Verdict(0, 0), 0))

    def test_repeated(self) -> None:
        """
        Of a request that arrives many times at once the proxy makes one
        connection.
        """
        place = self.start()
        identifier = openSession(place, encodeTokenRequest(8))
        options = encodeSessionID(identifier) + encodeTokenExpenditure(3)
        with listen() as listener:
            octets = encodeRequest(*placeOf(listener), options) + b"order"
            clients = [dial(place) for _ in range(20)]
            for client in clients:
                client.sendall(octets[:-6])
            for client in clients:
                client.sendall(octets[-6:])
            with accept(listener) as server:
                self.assertEqual(receive(server, 5), b"order")
                verdicts = [receiveVerdict(client) for client in clients]
                codes = [receiveReply(client).code for client in clients]
            listener.settimeout(0)
            self.assertRaises(BlockingIOError, listener.accept)
        for client in clients:
            client.close()
        self.assertEqual(sorted(codes), [0] + [1] * 19)
        self.assertEqual(sorted(each.outcome or 0 for each in verdicts), [1] + [DUPLICATE] * 19)

    def test_noLivelock(self) -> None:
        """
        Two programs with the same password, a session each, spend their tokens in
        turns, and ask for fresh windows: neither is ever refused, nor loses a
        window to the other.
        """
        place = self.start(PASSWORDS)
        size = 10
        sessions = [openSession(place, ADA + encodeTokenRequest(size)) for _ in range(2)]
        windows = [(0, size), (0, size)]
        for turn in range(60):
            for number, identifier in enumerate(sessions):
                base, _ = windows[number]
                options = encodeTokenExpenditure(base)
                # At different times.
                if turn % (7 + number) == 0:
                    options += encodeTokenRequest(size)
                    following = (base + 1 + size, size)
                else:
                    following = (base + 1, size)
                self.assertEqual(use(place, identifier, options), spent(*following), turn)
                windows[number] = following
        self.assertNotEqual(*windows)
        # With one session for both, they would be in one another's way.
        base, _ = windows[0]
        self.assertEqual(spend(place, sessions[0], base), spent(base + 1, size))
        refused = ineligible(OUT_OF_WINDOW, base + 1, size)
        self.assertEqual(spend(place, sessions[0], base), refused)

    def test_noLivelockAtOnce(self) -> None:
        """
        The same at the same time, as fast as they can.
        """
        place = self.start(PASSWORDS)

        def program() -> list[Answer]:
            identifier = openSession(place, ADA + encodeTokenRequest(100))
            return [spend(place, identifier, token) for token in range(60)]

        expected = [spent(token + 1, 100) for token in range(60)]
        self.assertEqual(self.together(program, [()] * 2), [expected] * 2)


class MemoryTests(sharing.SessionCase):
    """
    Sessions in memory.
    """

    def test_restart(self) -> None:
        """
        They are gone with the process.
        """
        first = Twistd(self, "--port=0")
        identifier = openSession(first.places()[0])
        first.stop()
        self.assertEqual(use(self.start(), identifier), INVALID)


class SQLiteTests(sharing.SharingCases):
    """
    Sessions in a file.
    """

    def store(self) -> str:
        return f"sqlite:{self.folder()}/sessions"

    def test_expired(self) -> None:
        """
        A session that was not used for too long, while no proxy ran, is none.
        """
        arguments = (f"--sessions={self.store()}", f"--session-timeout={SHORT}")
        first = Twistd(self, "--port=0", *arguments)
        identifier = openSession(first.places()[0])
        first.stop()
        time.sleep(SHORT)
        self.assertEqual(use(self.start(*arguments), identifier), INVALID)

    def test_passwords(self) -> None:
        """
        Whoever starts to ask for passwords starts with no sessions.
        """
        store = f"--sessions={self.store()}"
        identifier = openSession(self.start(store))
        place = self.start(store, PASSWORDS)
        self.assertEqual(use(place, identifier, ADA), INVALID)

    def test_secrecy(self) -> None:
        """
        The file is its owner's, and has neither IDs nor passwords.
        """
        store = self.store()
        identifier = openSession(self.start(f"--sessions={store}", PASSWORDS), ADA)
        path = Path(store.removeprefix("sqlite:"))
        for file in path.parent.iterdir():
            self.assertEqual(file.stat().st_mode & 0o777, 0o600, file.name)
            self.assertNotIn(identifier, file.read_bytes(), file.name)
            self.assertNotIn(b"s3cret", file.read_bytes(), file.name)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            ((name,),) = connection.execute("SELECT name FROM sessions").fetchall()
        self.assertEqual(name, b"ada")

    def test_unusable(self) -> None:
        """
        A file that cannot be used is one line and exit status 1, whatever runs the
        proxy.
        """
        folder = self.folder()
        (folder / "folder").mkdir()
        (folder / "text").write_text("Dear diary, " * 100, "utf-8")
        with contextlib.closing(sqlite3.connect(folder / "other")) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        pidfile = folder / "pid"
        self.addCleanup(killDaemon, pidfile)
        cases = (
            (TWISTD, "folder", "unable to open database file"),
            (TWISTD, "text", "file is not a database"),
            (TWISTD, "other", "the file belongs to another program"),
            (TWIST, "text", "file is not a database"),
            ([*DAEMON, f"--pidfile={pidfile}"], "text", "file is not a database"),
        )
        started = [
            Twistd(self, "--port=0", f"--sessions=sqlite:{folder}/{name}", runner=runner)
            for runner, name, _ in cases
        ]
        for (runner, name, reason), twistd in zip(cases, started, strict=True):
            self.assertEqual(twistd.wait(), 1, f"{runner} {name}")
            output = twistd.output()
            self.assertNotIn("Traceback", output)
            self.assertIn(f"{folder}/{name}: {reason}", output)
            self.assertEqual(output.count(reason), 1, output)

    def test_noFolder(self) -> None:
        """
        A folder that is not there is a mistake on the command line.
        """
        twistd = Twistd(self, "--port=0", "--sessions=sqlite:/nowhere/sessions")
        self.assertEqual(twistd.wait(), 1)
        self.assertEqual(twistd.output().count("\n"), 1)
        self.assertTrue(twistd.output().startswith("twistd socks6: "))
        self.assertIn("/nowhere", twistd.output())


class RedisTests(sharing.SessionCase):
    """
    Sessions in a Redis server; what proxies share there is in
    L{tests.integration.test_redis}.
    """

    def test_killed(self) -> None:
        """
        When the server is killed, requests in a session are told that nothing was
        done, and others are served.  When it is back, so are the sessions, and no
        token is honoured twice.
        """
        server = RedisProcess(self, "--appendonly", "yes", "--appendfsync", "always")
        proxies = [Twistd(self, "--port=0", f"--sessions={server.url}/0") for _ in range(2)]
        places = [twistd.places()[0] for twistd in proxies]
        identifier = openSession(places[0], encodeTokenRequest(8))
        self.assertEqual(spend(places[1], identifier, 3), spent())

        def isBack(place: Place) -> bool:
            return use(place, identifier) == WITHIN

        server.kill()
        with listen() as listener:
            destination = placeOf(listener)
            for place in places:
                for options in (b"", encodeTokenExpenditure(4), SESSION_TEARDOWN):
                    self.assertEqual(use(place, identifier, options), OUT_OF_ORDER)
                for options in (b"", encodeTokenExpenditure(4)):
                    sock = send(place, encodeSessionID(identifier) + options, destination)
                    self.assertEqual(hear(sock), OUT_OF_ORDER)
                # Whether there is such a session cannot be told either.
                self.assertEqual(use(place, bytes(16)), OUT_OF_ORDER)
                self.assertEqual(ask(place, SESSION_REQUEST), Answer(Verdict(0, 0), 0))
                self.assertEqual(ask(place), Answer(Verdict(0, 0), 0))
            listener.settimeout(0)
            self.assertRaises(BlockingIOError, listener.accept)
        self.assertTrue(server.start())
        for twistd, place in zip(proxies, places, strict=True):
            twistd.waitFor(partial(isBack, place), "the session is not back")
            self.assertEqual(spend(place, identifier, 3), ineligible(DUPLICATE))
            self.assertEqual(use(place, bytes(16)), INVALID)
        self.assertEqual(spend(places[0], identifier, 4), spent())
        self.assertEqual(use(places[1], openSession(places[0])), WITHIN)
        for twistd in proxies:
            self.assertIsNone(twistd.process.poll())
            self.assertNotIn("Traceback", twistd.output())
