"""
Tests for what does not fail but hang: stores, name servers, remote hosts and clients.

Those who need it hear so in time.  Others do not notice.
"""

from __future__ import annotations

import hashlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

from tests.integration.bystanders import PROMPT, Bystander
from tests.integration.peers import (
    DEADLINE,
    SESSION_REQUEST,
    Place,
    Verdict,
    accept,
    dial,
    encodeRequest,
    encodeSessionID,
    listen,
    pattern,
    placeOf,
    receiveAll,
    receiveReply,
    receiveVerdict,
    stuff,
)
from tests.integration.redisserver import RedisProcess
from tests.integration.sharing import (
    INVALID,
    OUT_OF_ORDER,
    WITHIN,
    Answer,
    SessionCase,
    hear,
    openSession,
    send,
    use,
)
from tests.integration.test_faults import FaultTestCase
from tests.integration.tunnels import TunnelMixin
from tests.integration.twistd import Twistd

#: Seconds after which a store is given up.
STORE_TIMEOUT = 5.0

#: What those hear who ask for a session and get none.
NO_SESSION = Answer(Verdict(0, 0), 0)

#: Reads from its standard input, a connection, up to the end; then tells what it was.
DIGEST = """
import hashlib, socket
with socket.socket(fileno=0) as sock:
    sock.setblocking(True)
    digest = hashlib.sha256()
    while octets := sock.recv(65536):
        digest.update(octets)
    sock.sendall(digest.digest())
"""


class HangingTestCase(TunnelMixin, SessionCase):
    """
    A test with bystanders.
    """

    def bystander(self, place: Place) -> Bystander:
        """
        Let somebody have nothing to do with all this.
        """
        listener = listen()
        self.addCleanup(listener.close)
        return Bystander(self, place, listener)


class StoreTests(HangingTestCase):
    """
    A store that hangs.
    """

    def check(self, store: str, freeze: Callable[[], object], thaw: Callable[[], object]) -> None:
        """
        Let a store hang and go on.

        @param store: What to give for C{--sessions}.
        """
        twistd = Twistd(self, "--port=0", f"--sessions={store}")
        (place,) = twistd.places()
        identifier = openSession(place)
        named = encodeSessionID(identifier)
        with listen() as listener:
            client = send(place, named, placeOf(listener))
            self.addCleanup(client.close)
            self.assertEqual(Answer(receiveVerdict(client), receiveReply(client).code), WITHIN)
            host = accept(listener)
            self.addCleanup(host.close)
            with self.bystander(place) as bystander:
                freeze()
                began = time.monotonic()
                using = [send(place, named, placeOf(listener)) for _ in range(5)]
                using.append(send(place, encodeSessionID(bytes(16))))
                opening = [send(place, SESSION_REQUEST) for _ in range(5)]
                self.assertPasses(client, host)
                self.assertEqual([hear(sock) for sock in using], [OUT_OF_ORDER] * len(using))
                self.assertEqual([hear(sock) for sock in opening], [NO_SESSION] * len(opening))
                self.assertLess(time.monotonic() - began, STORE_TIMEOUT + PROMPT)
                self.assertPasses(client, host)
                bystander.goesOn()
                thaw()
                twistd.waitFor(lambda: use(place, identifier) == WITHIN, "no session")
                self.assertEqual(use(place, openSession(place)), WITHIN)
                self.assertEqual(use(place, bytes(16)), INVALID)
                self.assertPasses(client, host)
            listener.settimeout(0)
            self.assertRaises(BlockingIOError, listener.accept)
        self.assertNotIn("Traceback", twistd.output())

    def test_SQLite(self) -> None:
        """
        While another process keeps the file for itself, who needs a session is told in time
        that nothing was done, and who wants a new one gets none.  All tunnels, of sessions
        too, go on, and those without sessions get new ones.  Behind that, all is as before.
        """
        path = self.folder() / "sessions"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            self.check(f"sqlite:{path}", partial(other.execute, "BEGIN EXCLUSIVE"), other.rollback)

    def test_Redis(self) -> None:
        """
        The same while a server stands still.
        """
        server = RedisProcess(self)
        self.check(server.url, server.freeze, server.thaw)

    def test_neverAnswers(self) -> None:
        """
        The same for something that takes connections and never says anything; nor does it
        keep the proxy from stopping.
        """
        silent = listen()
        self.addCleanup(silent.close)
        host, port = placeOf(silent)
        twistd = Twistd(self, "--port=0", f"--sessions=redis://{host}:{port}")
        (place,) = twistd.places()
        with self.bystander(place) as bystander:
            began = time.monotonic()
            using, opening = send(place, encodeSessionID(bytes(16))), send(place, SESSION_REQUEST)
            self.assertEqual(hear(using), OUT_OF_ORDER)
            self.assertEqual(hear(opening), NO_SESSION)
            self.assertLess(time.monotonic() - began, STORE_TIMEOUT + PROMPT)
            bystander.goesOn()
        began = time.monotonic()
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        self.assertLess(time.monotonic() - began, STORE_TIMEOUT + PROMPT)
        self.assertNotIn("Traceback", twistd.output())


class PeerTests(HangingTestCase):
    """
    A process at one end of a tunnel stands still.
    """

    def check(self, ours: socket.socket, theirs: socket.socket, place: Place) -> None:
        """
        Let a process have one end of a tunnel, and stop it while it reads.

        @param theirs: Its end.
        @param place: Where the proxy is.
        """
        source = pattern(1 << 20)
        with theirs:
            process = subprocess.Popen([sys.executable, "-c", DIGEST], stdin=theirs.fileno())
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        with self.bystander(place) as bystander:
            ours.sendall(source)
            process.send_signal(signal.SIGSTOP)
            count = stuff(ours, source)
            bystander.goesOn()
            process.send_signal(signal.SIGCONT)
            ours.shutdown(socket.SHUT_WR)
            answer = receiveAll(ours)
            bystander.goesOn()
        sent = source * (count // len(source) + 2)
        self.assertEqual(answer, hashlib.sha256(sent[: len(source) + count]).digest())

    def test_remoteHost(self) -> None:
        """
        While a remote host stands still, the tunnels of others do not; when it goes on, it
        gets all octets.
        """
        for arguments in ((), ("--no-splice",)):
            (place,) = Twistd(self, "--port=0", *arguments).places()
            client, host = self.tunnelThrough(place)
            self.check(client, host, place)

    def test_client(self) -> None:
        """
        So it is with a client.
        """
        for arguments in ((), ("--no-splice",)):
            (place,) = Twistd(self, "--port=0", *arguments).places()
            client, host = self.tunnelThrough(place)
            self.check(host, client, place)


class NameServerTests(FaultTestCase):
    """
    A name server that takes questions and never answers.
    """

    def startWith(self, options: str, *arguments: str) -> Twistd:
        """
        Start the proxy.

        @param options: Of the system's resolver.
        """

        def bind() -> socket.socket:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("127.0.0.1", 53))
            return sock

        self.addCleanup(self.here.inside(bind).close)
        configuration = self._path.with_name("resolv.conf")
        configuration.write_text(f"nameserver 127.0.0.1\noptions {options}\n", "ascii")
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return self.startProxy(*arguments, prefix=("sh", "-c", script, str(configuration)))

    def check(self, proxy: Twistd, names: int, code: int, seconds: float) -> None:
        """
        Ask for names, and see what becomes of that and of others.

        @param code: The code of the reply.
        @param seconds: When it comes.
        """
        listener = self.here.inside(listen)
        self.addCleanup(listener.close)
        with Bystander(self, self.place, listener) as bystander:
            began = time.monotonic()
            clients = [dial(self.place) for _ in range(names)]
            for number, client in enumerate(clients):
                self.addCleanup(client.close)
                client.sendall(encodeRequest(f"host{number}.example.org", 9))
            bystander.goesOn()
            codes = [receiveAll(client)[6] for client in clients]
            self.assertLess(time.monotonic() - began, seconds + PROMPT)
            self.assertEqual(codes, [code] * names)
            bystander.goesOn()
        self.assertNotIn("Traceback", proxy.output())

    def test_timedOut(self) -> None:
        """
        Many names, more than are looked up at a time, fail when there is no more time for
        the request, as timed out.  Those who name addresses do not wait for them.
        """
        proxy = self.startWith("timeout:30 attempts:1", "--connect-timeout=5")
        self.check(proxy, 40, 9, 5)

    def test_givenUp(self) -> None:
        """
        Names that the system gives up before that do not exist: host unreachable.
        """
        proxy = self.startWith("timeout:1 attempts:1", "--connect-timeout=60")
        self.check(proxy, 10, 4, 1)
