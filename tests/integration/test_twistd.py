"""
Tests for C{twistd socks6} as a person runs it.
"""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.certificates import Authority
from tests.integration.peers import (
    NOOP,
    REFUSED,
    ask,
    dial,
    encodePassword,
    encodeRequest,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveUntilBroken,
    stuff,
)
from tests.integration.tunnels import TunnelMixin
from tests.integration.twistd import TWIST, TWISTD, Twistd

NOOP_REQUEST = encodeRequest("0.0.0.0", 0, command=NOOP)


class TwistdTestCase(TunnelMixin, SynchronousTestCase):
    """
    A test with proxies in processes of their own.
    """

    def folder(self) -> Path:
        """
        Make a folder that ends with the test.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def tunnel(self, twistd: Twistd) -> tuple[socket.socket, socket.socket]:
        """
        Open a tunnel.

        @return: The client's socket and the remote host's.
        """
        return self.tunnelThrough(twistd.places()[0])


class ServingTests(TwistdTestCase):
    """
    It starts, serves and stops.
    """

    def test_serves(self) -> None:
        """
        It listens on the loopback address, and passes octets.
        """
        twistd = Twistd(self, "--port", "0")
        client, server = self.tunnel(twistd)
        client.sendall(b"question")
        self.assertEqual(receive(server, 8), b"question")
        server.sendall(b"answer")
        self.assertEqual(receive(client, 6), b"answer")
        client.close()
        server.close()
        line = twistd.waitForLine(" connect ")
        self.assertIn(": closed, 8 octets to the remote host, 6 to the client, ", line)
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", twistd.output())

    def test_manyPorts(self) -> None:
        """
        It listens on several ports of all kinds at the same time.
        """
        authority = Authority(self.folder())
        path = self.folder() / "proxy"
        arguments = ["--port=0", f"--port=unix:{path}", "--tls-port=0"]
        arguments += [f"--certificate={authority.server().path}"]
        twistd = Twistd(self, *arguments)
        plain, unix, encrypted = twistd.places()
        self.assertEqual(unix, str(path))
        for place in plain, unix:
            with dial(place) as client:
                self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
        context = authority.clientContext()
        with context.wrap_socket(dial(encrypted), server_hostname="localhost") as client:
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)

    def test_twist(self) -> None:
        """
        The younger runner, C{twist}, runs it as well.
        """
        twistd = Twistd(self, "--port=0", runner=TWIST)
        client, server = self.tunnel(twistd)
        client.sendall(b"question")
        self.assertEqual(receive(server, 8), b"question")
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        self.assertNotIn("Traceback", twistd.output())

    def test_stopsWithTunnels(self) -> None:
        """
        It stops at once, if it is to, though tunnels are open, busy, stuck and not yet
        made.
        """
        twistd = Twistd(self, "--port=0")
        open_ = self.tunnel(twistd)
        stuck = self.tunnel(twistd)
        stuff(stuck[0], pattern(65536))
        stuff(stuck[1], pattern(65536))
        with dial(twistd.places()[0]) as asking:
            asking.sendall(NOOP_REQUEST[:-1])
            began = time.monotonic()
            self.assertEqual(twistd.stop(), -signal.SIGTERM)
            self.assertLess(time.monotonic() - began, 5)
            for sock in (*open_, asking):
                self.assertEqual(receiveUntilBroken(sock), b"")
        self.assertNotIn("Traceback", twistd.output())
        self.assertEqual(twistd.output().count(": aborted, "), 2)

    def test_toldTwiceAtOnce(self) -> None:
        """
        Two signals that come before it has begun to stop cut the tunnels at once, as a
        second one does later.
        """
        twistd = Twistd(self, "--port=0", "--drain-timeout=600")
        client, server = self.tunnel(twistd)
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            twistd.process.send_signal(number)
        for sock in client, server:
            self.assertEqual(receiveUntilBroken(sock), b"")
        self.assertIn(twistd.wait(), (-signal.SIGTERM, -signal.SIGINT))
        self.assertIn("1 tunnel cut", twistd.output())
        self.assertNotIn("Traceback", twistd.output())

    def test_passwords(self) -> None:
        """
        Users of a password file are let in and named in the log; passwords,
        right and wrong, are not.
        """
        users = self.folder() / "users"
        users.write_text("alice:opensesame\n", "utf-8")
        twistd = Twistd(self, "--port=0", f"--auth=file:{users}")
        (place,) = twistd.places()
        with dial(place) as client:
            option = encodePassword(b"alice", b"opensesame")
            client.sendall(encodeRequest("0.0.0.0", 0, option, NOOP))
            self.assertEqual(receive(client, 6), bytes.fromhex("0600 00 02 0000"))
        with dial(place) as client:
            option = encodePassword(b"alice", b"letmein")
            client.sendall(encodeRequest("0.0.0.0", 0, option, NOOP))
            self.assertEqual(receiveAll(client), REFUSED)
        self.assertIn(" alice noop ", twistd.waitForLine(" alice "))
        twistd.waitForLine(": authentication failed, ")
        twistd.stop()
        self.assertNotIn("opensesame", twistd.output())
        self.assertNotIn("letmein", twistd.output())
        self.assertNotIn("Traceback", twistd.output())

    def test_idle(self) -> None:
        """
        The idle timeout of the command line holds.
        """
        twistd = Twistd(self, "--port=0", "--idle-timeout=0.3")
        client, server = self.tunnel(twistd)
        self.assertEqual(receiveUntilBroken(client), b"")
        self.assertEqual(receiveUntilBroken(server), b"")
        twistd.waitForLine(": idle, ")


class RefusingTests(TwistdTestCase):
    """
    It does not start, and says why in one line.
    """

    def _refusal(self, *arguments: str, runner: list[str] = TWISTD) -> str:
        """
        Start it, and see it end.

        @return: All that it wrote.
        """
        twistd = Twistd(self, *arguments, runner=runner)
        self.assertEqual(twistd.wait(), 1, twistd.output())
        self.assertNotIn("Traceback", twistd.output())
        return twistd.output()

    def _mistake(self, *arguments: str) -> str:
        """
        Make a mistake on the command line.

        @return: The line that says so.
        """
        output = self._refusal(*arguments)
        self.assertEqual(output.count("\n"), 1, output)
        self.assertTrue(output.startswith("twistd socks6: "), output)
        return output

    def test_portInUse(self) -> None:
        """
        Somebody else listens there.
        """
        with listen() as listener:
            port = placeOf(listener)[1]
            output = self._refusal("--port", str(port))
            lines = [line for line in output.splitlines() if str(port) in line]
            self.assertEqual(len(lines), 1, output)
            self.assertIn("Address already in use", lines[0])

    def test_portInUseTwist(self) -> None:
        """
        The same for the younger runner.
        """
        with listen() as listener:
            port = placeOf(listener)[1]
            output = self._refusal("--port", str(port), runner=TWIST)
            lines = [line for line in output.splitlines() if str(port) in line]
            self.assertEqual(len(lines), 1, output)

    def test_noSuchFolder(self) -> None:
        """
        The UNIX socket cannot be made.
        """
        output = self._refusal("--port=unix:/nowhere/proxy")
        lines = [line for line in output.splitlines() if "No such file" in line]
        self.assertEqual(len(lines), 1, output)
        self.assertIn("/nowhere/proxy", lines[0])

    def test_secondPortInUse(self) -> None:
        """
        One of two ports is taken; the other one, a UNIX socket, is not taken
        when it is free.
        """
        path = self.folder() / "proxy"
        with listen() as listener:
            port = str(placeOf(listener)[1])
            self._refusal(f"--port=unix:{path}", "--port", port)
        twistd = Twistd(self, f"--port=unix:{path}", "--port", port)
        with dial(twistd.places()[0]) as client:
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)

    def test_open(self) -> None:
        """
        A proxy that would be open to the world is refused, with a hint.
        """
        for port in "tcp:0", "tcp:0:interface=192.0.2.1", "tcp6:0", "haproxy:tcp:0":
            self.assertIn("--anonymous", self._mistake("--port", port))

    def test_openOnPurpose(self) -> None:
        """
        It is not, if that is wished.
        """
        twistd = Twistd(self, "--port", "tcp:0", "--anonymous")
        with dial(twistd.places()[0]) as client:
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)

    def test_passwordFileMissing(self) -> None:
        """
        The password file is not there.
        """
        self.assertIn("/nowhere/users", self._mistake("--auth=file:/nowhere/users"))

    def test_mistakes(self) -> None:
        """
        The command line makes no sense.
        """
        for arguments in (
            ["--port=nonsense:1"],
            ["--port=65536"],
            ["--no-such-option"],
            ["--idle-timeout=soon"],
            ["--tls-port=0"],
            ["--tls-port=0", "--certificate=/nowhere"],
            ["--client-ca=/nowhere"],
        ):
            self._mistake(*arguments)
