"""
Tests of L{socks6.tap.sessions}.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel

from socks6.interfaces import SessionStoreFailed
from socks6.policy.sessions import DEFAULT_TIMEOUT, MAX_TOKEN_WINDOW
from socks6.policy.stores import strings
from socks6.policy.stores.memory import MemorySessionStore
from socks6.policy.stores.sqlite import SQLiteSessionStore
from socks6.server.protocol import SOCKS6ServerFactory
from socks6.tap import makeService
from tests.doubles import TLSPeer
from tests.server.harness import DONE, REFUSED, SESSION_INVALID, WELCOME
from tests.server.sessions import (
    SESSION_OK,
    SESSION_REQUEST,
    SESSION_UNTRUSTED,
    admitted,
    identifierIn,
    noop,
    sessionID,
    tokenRequest,
    window,
)
from tests.server.test_negotiation import ADA_DATA, EVE_DATA
from tests.tap.harness import OptionsTestCase, ServiceTestCase, parse

PASSWORDS = ("--auth", "memory:ada:s3cret:eve:gu3ss")


class OptionsTests(OptionsTestCase):
    """
    What can be said about sessions.
    """

    def test_defaults(self) -> None:
        """
        There are sessions without any options.
        """
        options = parse()
        self.assertIsNone(options["sessions"])
        self.assertEqual(options["session-timeout"], 600.0)
        self.assertEqual(options["session-trust"], "always")
        self.assertEqual(options["max-sessions"], 100_000)
        self.assertEqual(options["max-sessions-per-client"], 1024)
        self.assertEqual(options["max-token-window"], 65536)
        self.assertFalse(options["no-anonymous-sessions"])

    def test_extremes(self) -> None:
        """
        There may be none, and as many as anybody can count.
        """
        for option, least, most in (
            ("max-sessions", 0, 2**63 - 1),
            ("max-sessions-per-client", 0, 2**63 - 1),
            ("max-token-window", 1, 2**31 - 1),
        ):
            for value in (least, most):
                self.assertEqual(parse(f"--{option}={value}")[option], value)
            for value in (least - 1, most + 1):
                self.assertEqual(
                    self.complaint(f"--{option}={value}"),
                    f"--{option} '{value}' is not a number from {least} to {most}",
                )

    def test_mistakes(self) -> None:
        """
        Each mistake is one line that names the option and what is wrong with it.
        """
        count = "--{0} {1!r} is not a number from 0 to 9223372036854775807"
        for option, complaint, values in (
            (
                "sessions",
                (
                    "--sessions is none of memory:, sqlite:PATH, redis://HOST:PORT/DB,"
                    " rediss://HOST:PORT/DB and unix:PATH"
                ),
                ("", "memory:x", "sqlite", "sqlite:", "nope:x", "/var/lib/sessions"),
            ),
            (
                "session-trust",
                "--{0} {1!r} is not one of always, tls, never",
                ("", "Always", "sometimes", "TLS"),
            ),
            (
                "session-timeout",
                "--{0} {1!r} is not a number of seconds above 0",
                ("", "0", "-1", "nan", "inf", "soon"),
            ),
            ("max-sessions", count, ("", "-1", "1.5", "many")),
            ("max-sessions-per-client", count, ("", "-1", "1.5", "many")),
            (
                "max-token-window",
                "--{0} {1!r} is not a number from 1 to 2147483647",
                ("", "0", "-1", "1.5", "many"),
            ),
        ):
            for value in values:
                self.assertEqual(
                    self.complaint(f"--{option}={value}"),
                    complaint.format(option, value),
                )
        self.assertEqual(
            self.complaint("--no-anonymous-sessions=yes"),
            "option --no-anonymous-sessions must not have an argument",
        )

    def test_noFolder(self) -> None:
        """
        The folder that a file is to be in must be there.
        """
        folder = self.folder.absolute()
        for name in (f"{folder}/nowhere", self.pem):
            self.assertEqual(
                self.complaint(f"--sessions=sqlite:{name}/sessions"),
                f"--sessions: there is no folder {Path(name).absolute()}",
            )


class ServiceTests(ServiceTestCase):
    """
    The sessions that the options describe.
    """

    def hear(self, factory: SOCKS6ServerFactory, options: bytes) -> bytes:
        """
        Send NOOP with options.
        """
        return self.ask(factory, noop(options))

    def storeOf(self, *arguments: str) -> Any:
        """
        Find the store of a service that is not started.
        """
        service: Any = makeService(parse(*arguments))
        sessions, *_ = service
        return sessions._store

    def test_memory(self) -> None:
        """
        Sessions are in memory, by default and if that is wished.
        """
        for arguments in ((), ("--sessions=memory:",), ("--sessions", "memory:")):
            self.assertIsInstance(self.storeOf(*arguments), MemorySessionStore)

    def test_sqlite(self) -> None:
        """
        They may be in a file, which is where it was when the command was given,
        wherever the process goes.
        """
        path = self.folder / "sessions"
        store = self.storeOf("--sessions", f"sqlite:{path}")
        self.assertIsInstance(store, SQLiteSessionStore)
        self.assertEqual(store._path, path.absolute())
        self.assertFalse(path.exists(), "only the process that is who it will be may make it")

    def test_use(self) -> None:
        """
        A session is opened, used, and forgotten when it has not been used for the
        time that is the default.
        """
        factory = self.start().factory
        opened = self.hear(factory, SESSION_REQUEST)
        named = sessionID(identifierIn(opened))
        self.network.elapse(DEFAULT_TIMEOUT - 1)
        self.assertEqual(self.hear(factory, named), admitted(SESSION_OK) + DONE)
        self.network.elapse(DEFAULT_TIMEOUT)
        self.assertEqual(self.hear(factory, named), SESSION_INVALID)

    def test_onlyOneService(self) -> None:
        """
        All ports have the same sessions.
        """
        self.start("--port=1080", "--port=1081", "--tls-port=1443", f"--certificate={self.pem}")
        factories: list[Any] = [factory for _, factory, _, _ in self.network.tcpServers]
        factories[2] = factories[2].wrappedFactory
        named = sessionID(identifierIn(self.hear(factories[0], SESSION_REQUEST)))
        for factory in factories:
            self.assertEqual(self.hear(factory, named), admitted(SESSION_OK) + DONE)

    def test_timeout(self) -> None:
        """
        The time after which they are forgotten can be another one.
        """
        factory = self.start("--session-timeout=2.5").factory
        named = sessionID(identifierIn(self.hear(factory, SESSION_REQUEST)))
        for seconds, heard in (
            (2.25, admitted(SESSION_OK) + DONE),
            (2.25, admitted(SESSION_OK) + DONE),
            (2.5, SESSION_INVALID),
        ):
            self.network.elapse(seconds)
            self.assertEqual(self.hear(factory, named), heard)

    def test_trust(self) -> None:
        """
        Where the ID is enough is a matter of choice; here there is no TLS.
        """
        within = admitted(SESSION_OK) + DONE
        for arguments, untrusted, heard in (
            ((), b"", within),
            (("--session-trust=always",), b"", within),
            (("--session-trust=tls",), SESSION_UNTRUSTED, REFUSED),
            (("--session-trust=never",), SESSION_UNTRUSTED, REFUSED),
        ):
            factory = self.start(*PASSWORDS, *arguments).factory
            opened = self.hear(factory, SESSION_REQUEST + ADA_DATA)
            named = sessionID(identifierIn(opened))
            self.assertEqual(opened, admitted(named, untrusted, method=2) + DONE, repr(arguments))
            self.assertEqual(self.hear(factory, named), heard, repr(arguments))

    def test_trustOverTLS(self) -> None:
        """
        Between C{tls} and C{never} there is a difference where there is TLS.
        """
        for trust, untrusted in (("tls", b""), ("never", SESSION_UNTRUSTED)):
            self.network.tcpServers.clear()
            self.start(
                *PASSWORDS,
                "--tls-port=1443",
                f"--certificate={self.pem}",
                f"--session-trust={trust}",
            )
            ((_, factory, _, _),) = self.network.tcpServers
            client = TLSPeer(self.network.accept(factory), self.authority.clientContext())
            client.handshake()
            client.send(noop(SESSION_REQUEST + ADA_DATA))
            opened = client.received
            named = sessionID(identifierIn(opened))
            self.assertEqual(opened, admitted(named, untrusted, method=2) + DONE, trust)

    def test_most(self) -> None:
        """
        So many may there be in all.
        """
        factory = self.start(*PASSWORDS, "--max-sessions=2").factory
        for options in (ADA_DATA, EVE_DATA):
            identifierIn(self.hear(factory, SESSION_REQUEST + options))
        for options in (ADA_DATA, EVE_DATA):
            heard = self.hear(factory, SESSION_REQUEST + options)
            self.assertEqual(heard, admitted(method=2) + DONE)

    def test_mostPerClient(self) -> None:
        """
        So many may each client have.
        """
        factory = self.start(*PASSWORDS, "--max-sessions-per-client=1").factory
        for options in (ADA_DATA, EVE_DATA):
            identifierIn(self.hear(factory, SESSION_REQUEST + options))
            heard = self.hear(factory, SESSION_REQUEST + options)
            self.assertEqual(heard, admitted(method=2) + DONE)

    def test_noAnonymous(self) -> None:
        """
        Clients that need no password may get none.
        """
        factory = self.start("--no-anonymous-sessions").factory
        self.assertEqual(self.hear(factory, SESSION_REQUEST), WELCOME + DONE)
        factory = self.start("--no-anonymous-sessions", *PASSWORDS).factory
        identifierIn(self.hear(factory, SESSION_REQUEST + ADA_DATA))

    def test_windows(self) -> None:
        """
        A window has no more than so many tokens.
        """
        for arguments, most in (((), MAX_TOKEN_WINDOW), (("--max-token-window=7",), 7)):
            factory = self.start(*arguments).factory
            for size, granted in ((most - 1, most - 1), (most + 1, most)):
                heard = self.hear(factory, SESSION_REQUEST + tokenRequest(size))
                named = sessionID(identifierIn(heard))
                self.assertEqual(heard, admitted(named, window(0, granted)) + DONE)


class StartTests(ServiceTestCase):
    """
    A store that cannot work keeps the proxy from starting.
    """

    def unusable(self) -> list[tuple[str, str]]:
        """
        Find what is no file for sessions.

        @return: What to give for C{--sessions}, and why that is no good.
        """
        folder = self.folder.absolute()
        (folder / "folder").mkdir()
        (folder / "text").write_text("Dear diary, " * 100, "utf-8")
        with closing(sqlite3.connect(folder / "other")) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        return [
            (f"sqlite:{folder}/{name}", f"{folder}/{name}: {reason}")
            for name, reason in (
                ("folder", "unable to open database file"),
                ("text", "file is not a database"),
                ("other", "the file belongs to another program"),
            )
        ]

    def test_foreground(self) -> None:
        """
        That is one line, and the process ends with status 1, leaving no pidfile.
        """
        for description, reason in self.unusable():
            self.events.clear()
            service, pidfile = self.twistd("--sessions", description)
            service.privilegedStartService()
            self.addCleanup(self.stop, service)
            error = self.assertRaises(SystemExit, service.startService)
            self.assertEqual(error.code, 1)
            self.assertEqual(self.lines, [reason])
            self.assertEqual(self.events[-1]["log_level"], LogLevel.critical)
            self.assertFalse(pidfile.exists())

    def test_background(self) -> None:
        """
        A daemon's parent waits for word of it, which only C{twistd} can give.
        """
        for description, reason in self.unusable():
            self.events.clear()
            service, pidfile = self.twistd("--sessions", description, nodaemon=False)
            service.privilegedStartService()
            self.addCleanup(self.stop, service)
            error = self.assertRaises(SessionStoreFailed, service.startService)
            self.assertEqual(str(error), reason)
            self.assertEqual(self.lines, [reason])
            self.assertTrue(pidfile.exists(), "twistd removes it itself")

    def test_twist(self) -> None:
        """
        C{twist} does not log yet.
        """
        for description, reason in self.unusable():
            service: Any = makeService(parse("--sessions", description))
            self.addCleanup(self.stop, service)
            error = self.assertRaises(SystemExit, service.startService)
            self.assertEqual(error.code, f"twist socks6: {reason}")
            self.assertEqual(self.network.tcpServers, [], "it does not listen before")

    def test_stop(self) -> None:
        """
        When the proxy stops, its store is closed.
        """
        closed: list[MemorySessionStore] = []

        class Store(MemorySessionStore):
            def close(self) -> Any:
                closed.append(self)
                return super().close()

        self.patch(strings, "MemorySessionStore", Store)
        service: Any = makeService(parse("--sessions=memory:"))
        service.startService()
        self.assertEqual(closed, [])
        self.stop(service)
        self.assertEqual(len(closed), 1)
