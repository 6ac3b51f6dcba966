"""
Tests for hosts that connect to programs by way of the local proxifier: BIND.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from tests.integration.chain import ChainTestCase, portOf
from tests.integration.peers import (
    DEADLINE,
    dial,
    exchange,
    pattern,
    receive,
    receiveAll,
    reset,
)
from tests.integration.programs import running
from tests.integration.socks5client import (
    BIND,
    askSOCKS4,
    askSOCKS5,
    receiveSOCKS4,
    receiveSOCKS5,
)
from tests.integration.twistd import CHECKOUT, Local, Twistd

SIZE = 3_000_000

#: What each version of SOCKS asks with and reads with, and its code of success.
WAYS = ((askSOCKS5, receiveSOCKS5, 0), (askSOCKS4, receiveSOCKS4, 90))

#: A program that waits for a host, until it is killed.
WAITS = """
import sys, time
from tests.integration.socks5client import BIND, askSOCKS5, receiveSOCKS5
sock = askSOCKS5(("127.0.0.1", int(sys.argv[1])), BIND)
print(receiveSOCKS5(sock).place[1], flush=True)
time.sleep(1000)
"""


class BindTests(ChainTestCase):
    """
    BIND through a real proxy.
    """

    def assertRefuses(self, place: tuple[str, int]) -> None:
        """
        Wait until nobody listens somewhere.
        """
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                dial(place).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.01)
        self.fail(f"{place} is still listened on")

    def keep(self, sock: socket.socket) -> socket.socket:
        """
        Close a socket with the test.
        """
        self.addCleanup(sock.close)
        return sock

    def test_tunnel(self) -> None:
        """
        A host connects to where the first reply says, the second says who it is, and
        octets pass both ways until both have ended, whoever the program has expected.
        """
        proxy = Twistd(self, "--port=0")
        local = ("127.0.0.1", portOf(self.startChain(proxy=proxy)))
        data = pattern(SIZE)
        for ask, read, success in WAYS:
            for expected in (("0.0.0.0", 0), ("203.0.113.1", 21)):
                program = self.keep(ask(local, BIND, expected))
                code, bound = read(program)
                self.assertEqual((code, bound[0]), (success, "127.0.0.1"))
                host = self.keep(dial(bound))
                self.assertEqual(read(program), (success, host.getsockname()))
                host.sendall(b"220 hello")
                self.assertEqual(receive(program, 9), b"220 hello")
                program.sendall(b"ready")
                self.assertEqual(receive(host, 5), b"ready")
                host.sendall(data)
                host.shutdown(socket.SHUT_WR)
                self.assertTrue(receiveAll(program) == data)
                self.assertEqual(exchange(program, b"thanks", 0), b"")
                program.shutdown(socket.SHUT_WR)
                self.assertEqual(receiveAll(host), b"thanks")
                # It was for one host only.
                self.assertRefuses(bound)
        passed = f": closed, 11 octets to the remote host, {SIZE + 9} to the client"
        proxy.waitFor(lambda: proxy.output().count(passed) == 4, "not all in the log")
        self.assertNotIn("Traceback", proxy.output())

    def test_programGone(self) -> None:
        """
        When the program is gone, the port at the proxy is closed: after an end, a
        reset, and when it has been killed.
        """
        local = ("127.0.0.1", portOf(self.startChain()))
        for leave in (socket.socket.close, reset):
            program = askSOCKS5(local, BIND)
            _, bound = receiveSOCKS5(program)
            leave(program)
            self.assertRefuses(bound)
        command = [sys.executable, "-c", WAITS, str(local[1])]
        with running(*command, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            bound = ("127.0.0.1", int(process.stdout.readline()))
            process.kill()
            self.assertRefuses(bound)

    def test_proxyGone(self) -> None:
        """
        When the proxy is gone, a program that waits hears of a failure.
        """
        proxy = Twistd(self, "--port=0")
        local = self.startChain(proxy=proxy)
        place = ("127.0.0.1", portOf(local))
        waiting = []
        for ask, read, _ in WAYS:
            program = self.keep(ask(place, BIND))
            read(program)
            waiting.append(program)
        proxy.kill()
        self.assertEqual(receiveSOCKS5(waiting[0]).code, 1)
        self.assertEqual(receiveSOCKS4(waiting[1]).code, 91)
        for program in waiting:
            self.assertEqual(receiveAll(program), b"")
        self.assertNotIn("Traceback", local.output())

    def test_timeout(self) -> None:
        """
        How long a host may take is the proxy's to say.
        """
        local = self.startChain(proxy=Twistd(self, "--port=0", "--bind-timeout=0.2"))
        place = ("127.0.0.1", portOf(local))
        for ask, read, success in WAYS:
            program = self.keep(ask(place, BIND))
            self.assertEqual(read(program).code, success)
            self.assertEqual(read(program).code, {0: 6, 90: 91}[success])
        self.assertIn("timed out", local.waitForLine("bind 0.0.0.0:0: "))

    def test_refused(self) -> None:
        """
        A proxy whose way out is another proxy lets no hosts in.
        """
        behind = Twistd(self, "--port=0", "--outbound=socks5:127.0.0.1:9")
        local = self.startChain(proxy=behind)
        program = self.keep(askSOCKS5(("127.0.0.1", portOf(local)), BIND))
        self.assertEqual(receiveSOCKS5(program).code, 7)
        behind.waitForLine("BIND and UDP ASSOCIATE are refused")

    def test_failOver(self) -> None:
        """
        Where the first proxy cannot be reached, it is the second one.
        """
        dead = Twistd(self, "--port=0")
        port = portOf(dead)
        dead.kill()
        alive = Twistd(self, "--port=0")
        urls = [f"--proxy=socks6://127.0.0.1:{each}" for each in (port, portOf(alive))]
        local = Local(self, "--port=0", *urls)
        program = self.keep(askSOCKS5(("127.0.0.1", portOf(local)), BIND))
        _, bound = receiveSOCKS5(program)
        host = self.keep(dial(bound))
        self.assertEqual(receiveSOCKS5(program).place, host.getsockname())
