"""
Tests for C{twistd socks6 --workers}.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections import Counter

from tests.integration import requireProgram
from tests.integration.certificates import Authority
from tests.integration.peers import (
    DUPLICATE,
    NOOP,
    SESSION_REQUEST,
    SPENT,
    ask,
    dial,
    encodeRequest,
    encodeSessionID,
    encodeTokenExpenditure,
    encodeTokenRequest,
    listen,
    placeOf,
    receiveReplies,
    receiveReply,
    receiveUntilBroken,
    receiveVerdict,
)
from tests.integration.sharing import (
    WITHIN,
    hear,
    ineligible,
    openSession,
    send,
    spend,
    spent,
    use,
)
from tests.integration.tunnels import TunnelMixin
from tests.integration.twistd import TWIST, TWISTD, Twistd
from tests.integration.workers import Crew, CrewCase, isRunning

BIND, UDP_ASSOCIATE = 2, 3

NOOP_REQUEST = encodeRequest("0.0.0.0", 0, command=NOOP)

#: A socket that somebody else opens, as systemd does, and the program that is given it.
_LIKE_SYSTEMD = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="socks6")
os.execvp(sys.argv[1], sys.argv[1:])
"""

#: A file that a program has open at a descriptor, which its own children do not get.
_WITH_FILE = """
import os, sys
os.dup2(os.open(sys.argv[1], os.O_RDONLY), 99)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class TunnelCase(TunnelMixin, CrewCase):
    """
    A test with tunnels through one worker or the other.
    """

    def tunnel(self, crew: Crew, number: int) -> tuple[socket.socket, socket.socket]:
        """
        Open a tunnel through one of the workers.

        @return: The client's socket and the remote host's.
        """
        with crew.only(number):
            return self.tunnelThrough(crew.places()[0])


class ServingTests(TunnelCase):
    """
    Workers share ports and sessions.
    """

    def test_bothServe(self) -> None:
        """
        Both serve the same port.  A session opened with one is used with the other, and
        a token that is spent with one is spent.
        """
        crew = self.crew("--port=0")
        (place,) = crew.places()
        crew.waitUntilServing()
        with crew.only(1):
            identifier = openSession(place, encodeTokenRequest(8))
        with crew.only(2):
            self.assertEqual(use(place, identifier), WITHIN)
            self.assertEqual(spend(place, identifier, 3), spent())
        with crew.only(1):
            self.assertEqual(spend(place, identifier, 3), ineligible(DUPLICATE))
        self.assertEqual(crew.stop(), -signal.SIGTERM)
        lines = [line for line in crew.lines() if " noop " in line]
        self.assertEqual([line[:10] for line in lines], [f"[worker {n}]" for n in (1, 2, 2, 1)])
        self.assertIn("[worker 2] [socks6.serving.accesslog", lines[1])
        self.assertNotIn("Traceback", crew.output())

    def test_tokens(self) -> None:
        """
        Where many try to spend each token at the same time, one does.
        """
        crew = self.crew("--port=0")
        (place,) = crew.places()
        crew.waitUntilServing()
        identifier = openSession(place, encodeTokenRequest(100))
        options = [
            encodeSessionID(identifier) + encodeTokenExpenditure(token)
            for token in range(25)
            for _ in range(4)
        ]
        sockets = [send(place, each) for each in options]
        outcomes = [hear(each).verdict.outcome for each in sockets]
        for token in range(25):
            self.assertEqual(Counter(outcomes[4 * token : 4 * token + 4])[SPENT], 1, token)

    def test_kindsOfPorts(self) -> None:
        """
        They share ports of all kinds; a UNIX socket keeps its permissions, and stays
        where it is until the whole proxy stops.
        """
        authority = Authority(self.folder())
        path = self.folder() / "proxy"
        certificate = f"--certificate={authority.server().path}"
        crew = self.crew(
            *("--port=0", f"--port=unix:{path}:mode=600", "--tls-port=0", certificate),
            "--port=haproxy:tcp:0:interface=127.0.0.1",
        )
        plain, unix, balanced, encrypted = crew.places()
        self.assertEqual(unix, str(path))
        pids = crew.waitUntilServing()
        context = authority.clientContext()
        for number in (1, 2):
            with crew.only(number):
                for place in plain, unix:
                    with dial(place) as client:
                        self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
                with dial(balanced) as client:
                    client.sendall(b"PROXY TCP4 192.0.2.%d 192.0.2.9 40123 1080\r\n" % number)
                    self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
                line = crew.waitForLine(f"192.0.2.{number}:40123")
                self.assertIn(f"[worker {number}] ", line)
                with context.wrap_socket(dial(encrypted), server_hostname="localhost") as client:
                    self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
            os.kill(pids[number], signal.SIGTERM)
            crew.waitUntilServing([2, number])
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        crew.stop()
        self.assertFalse(path.exists())
        self.assertNotIn("Traceback", crew.output())

    def test_systemd(self) -> None:
        """
        They share sockets that somebody else has opened.
        """
        port = "--port=systemd:domain=INET:name=socks6"
        crew = self.crew(
            port,
            f"--port=unix:{self.folder() / 'proxy'}",
            prefix=[sys.executable, "-c", _LIKE_SYSTEMD],
        )
        places = crew.places()
        crew.waitUntilServing()
        for number in (1, 2):
            with crew.only(number):
                for place in places:
                    with dial(place) as client:
                        self.assertEqual(ask(client, NOOP_REQUEST).code, 0)

    def test_elsewhere(self) -> None:
        """
        Files are where they were when the command was given, wherever the process goes,
        and a worker that comes later needs those of TLS no more.
        """
        authority = Authority(self.folder())
        path = authority.server().path
        # twistd begins in a folder beside this one.
        certificate = f"--certificate=../{path.parent.name}/{path.name}"
        elsewhere = self.folder() / "deeper"
        elsewhere.mkdir()
        runner = [*TWISTD, "--rundir", str(elsewhere)]
        crew = self.crew("--tls-port=0", certificate, runner=runner)
        (place,) = crew.places()
        pids = crew.waitUntilServing()
        path.unlink()
        os.kill(pids[2], signal.SIGKILL)
        crew.waitUntilServing([1, 2])
        with crew.only(2):
            context = authority.clientContext()
            with context.wrap_socket(dial(place), server_hostname="localhost") as client:
                self.assertEqual(ask(client, NOOP_REQUEST).code, 0)

    def test_twist(self) -> None:
        """
        The younger runner, C{twist}, runs them as well.
        """
        crew = self.crew("--port=0", runner=[*TWIST, "--log-format=text"])
        pids = crew.waitUntilServing()
        self.assertPasses(*self.tunnel(crew, 2))
        self.assertEqual(crew.stop(), -signal.SIGTERM)
        self.assertEnds(crew, pids)
        self.assertNotIn("Traceback", crew.output())

    def test_commands(self) -> None:
        """
        There is no UDP ASSOCIATE, and a backlog for BIND is not granted.
        """
        crew = self.crew("--port=0")
        (place,) = crew.places()
        with dial(place) as client:
            client.sendall(encodeRequest("0.0.0.0", 0, command=UDP_ASSOCIATE))
            self.assertEqual(receiveReplies(client).code, 7)
        # kind:1 length:2 leg and level:1 code:1 backlog:2
        backlog = bytes.fromhex("01 0007 84 04 0004")
        with dial(place) as client:
            client.sendall(encodeRequest("0.0.0.0", 0, SESSION_REQUEST + backlog, BIND))
            self.assertIsNotNone(receiveVerdict(client).identifier)
            reply = receiveReply(client)
            self.assertEqual((reply.code, reply.options), (0, b""))
            with dial((reply.host, reply.port)) as host:
                self.assertEqual(receiveReply(client).code, 0)
                self.assertPasses(client, host)


class SupervisionTests(TunnelCase):
    """
    Workers end, and are there again, and stop together.
    """

    def test_killed(self) -> None:
        """
        If one is killed, there is another one; the tunnels of others are not harmed,
        and nobody is turned away meanwhile.
        """
        crew = self.crew("--port=0")
        (place,) = crew.places()
        pids = crew.waitUntilServing()
        tunnel = self.tunnel(crew, 1)
        lost = self.tunnel(crew, 2)
        os.kill(pids[1], signal.SIGSTOP)
        os.kill(pids[2], signal.SIGKILL)
        with dial(place) as client:
            client.sendall(NOOP_REQUEST)
            crew.waitForLine("worker 2 is gone (killed by signal 9), and starts again in ")
            for each in lost:
                self.assertEqual(receiveUntilBroken(each), b"")
            now = crew.waitUntilServing([1, 2])
            self.assertEqual(receiveReplies(client).code, 0)
        os.kill(pids[1], signal.SIGCONT)
        self.assertPasses(*tunnel)
        self.assertEqual(now[1], pids[1])
        self.assertNotEqual(now[2], pids[2])

    def test_stops(self) -> None:
        """
        All stop within seconds, though there are tunnels.
        """
        crew = self.crew("--port=0")
        pids = crew.waitUntilServing()
        tunnels = [self.tunnel(crew, number) for number in (1, 2)]
        began = time.monotonic()
        self.assertEqual(crew.stop(), -signal.SIGTERM)
        self.assertLess(time.monotonic() - began, 5)
        for tunnel in tunnels:
            for each in tunnel:
                self.assertEqual(receiveUntilBroken(each), b"")
        self.assertEqual(len(pids), 2)
        self.assertEnds(crew, pids)
        self.assertEqual(crew.output().count(": aborted, "), 2)
        self.assertNotIn("Traceback", crew.output())

    def test_toldTwiceAtOnce(self) -> None:
        """
        Two signals that come before they have begun to stop cut their tunnels at once.
        """
        crew = self.crew("--port=0", "--drain-timeout=600")
        pids = crew.waitUntilServing()
        tunnel = self.tunnel(crew, 1)
        # The worker finds both that it is to stop, and that it is to hurry.
        os.kill(pids[1], signal.SIGSTOP)
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            crew.process.send_signal(number)
        crew.waitFor(lambda: not isRunning(pids[2]), "the other worker does not end")
        os.kill(pids[1], signal.SIGCONT)
        for each in tunnel:
            self.assertEqual(receiveUntilBroken(each), b"")
        self.assertIn(crew.wait(), (-signal.SIGTERM, -signal.SIGINT))
        self.assertEnds(crew, pids)
        self.assertIn("1 tunnel cut", crew.output())
        self.assertNotIn("is killed", crew.output())
        self.assertNotIn("Traceback", crew.output())

    def test_allAreTold(self) -> None:
        """
        A terminal and systemd tell all processes at once.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            crew = self.crew("--port=0", prefix=[requireProgram(self, "setsid")])
            pids = crew.waitUntilServing()
            os.killpg(crew.process.pid, number)
            self.assertEqual(crew.wait(), -number)
            self.assertEnds(crew, pids)
            self.assertNotIn("Traceback", crew.output())

    def test_orphans(self) -> None:
        """
        If the process that looks after them is killed, the workers end.
        """
        crew = self.crew("--port=0")
        pids = crew.waitUntilServing()
        client, _ = self.tunnel(crew, 1)
        crew.kill()
        self.assertEqual(receiveUntilBroken(client), b"")
        deadline = time.monotonic() + 10
        while any(map(isRunning, pids.values())) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(len(pids), 2)
        self.assertEnds(crew, pids)


class RefusingTests(CrewCase):
    """
    It does not start, and says why.
    """

    def refusal(self, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
        """
        Start it, and see it end with status 1.

        @return: All that it wrote.
        """
        twistd = Twistd(self, "--workers=2", *arguments, prefix=prefix)
        self.assertEqual(twistd.wait(), 1, twistd.output())
        self.assertNotIn("Traceback", twistd.output())
        return twistd.output()

    def test_memory(self) -> None:
        """
        Sessions must be where all workers can find them.
        """
        for arguments in ([], ["--sessions=memory:"]):
            self.assertEqual(
                self.refusal(*arguments),
                "twistd socks6: --workers 2 needs --sessions sqlite:PATH or redis://...:"
                " they share no memory\n",
            )

    def test_store(self) -> None:
        """
        A store that cannot be used is one line, before there are workers.
        """
        path = self.folder() / "sessions"
        path.write_bytes(b"not a database, whatever it may be" * 100)
        output = self.refusal("--port=0", f"--sessions=sqlite:{path}")
        self.assertEqual(sum(str(path) in line for line in output.splitlines()), 1, output)
        self.assertNotIn("worker 1", output)

    def test_portInUse(self) -> None:
        """
        So is a port that others have.
        """
        with listen() as listener:
            port = str(placeOf(listener)[1])
            output = self.refusal(f"--port={port}", f"--sessions=sqlite:{self.folder() / 's'}")
        self.assertEqual(output.count("Address already in use"), 1, output)

    def test_workerCannotStart(self) -> None:
        """
        A worker that cannot start ends the whole, and says why.
        """
        authority = Authority(self.folder())
        store = f"--sessions=sqlite:{self.folder() / 's'}"
        output = self.refusal(
            *("--port=0", store, "--outbound=socks6s://localhost:1?ca=/dev/fd/99"),
            prefix=(sys.executable, "-c", _WITH_FILE, str(authority.path)),
        )
        self.assertIn("] twistd socks6: ", output)
        self.assertIn("/dev/fd/99: No such file or directory", output)
        self.assertIn("cannot start: ended with status 1", output)
        self.assertEqual(output.count("cannot start: "), 1, output)
