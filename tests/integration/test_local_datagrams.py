"""
Tests for programs' datagrams by way of the local proxifier: UDP ASSOCIATE.
"""

from __future__ import annotations

import re
import select
import socket
import subprocess
import sys
import time
from threading import Event, Thread

import socks

from tests.integration import requireProgram
from tests.integration.certificates import Authority
from tests.integration.chain import ChainTestCase, portOf
from tests.integration.dnsmasq import ADDRESSES, LONG_NAME, LONG_TEXT, Dnsmasq
from tests.integration.peers import DEADLINE, listen, receiveAll, reset
from tests.integration.programs import run, running
from tests.integration.socks5client import UDP_ASSOCIATE, Datagrams, askSOCKS5, receiveSOCKS5
from tests.integration.twistd import CHECKOUT, Local, Twistd

#: Datagrams of a burst, and how many may be on their way at once: sockets have room for
#: so many, whatever the system's limits are.
BURST = 10_000
WINDOW = 64

#: Octets of each.
SIZE = 1200

#: A program that sends a datagram, reads the answer, and waits until it is killed.
SENDS = """
import sys, time
from tests.integration.socks5client import Datagrams
datagrams = Datagrams(("127.0.0.1", int(sys.argv[1])))
datagrams.send(b"hello", ("127.0.0.1", int(sys.argv[2])))
datagrams.receive()
print("there", flush=True)
time.sleep(1000)
"""


class Echo:
    """
    A remote host that sends every datagram back, and ends with the test.

    @ivar place: Where it is.
    @ivar sources: Where datagrams have come from.
    """

    def __init__(self, testCase: ChainTestCase, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._sock.bind((host, 0))
        self.place: tuple[str, int] = self._sock.getsockname()[:2]
        self.sources: set[tuple[str, int]] = set()
        thread = Thread(target=self._serve, daemon=True)
        thread.start()
        testCase.addCleanup(thread.join, DEADLINE)
        testCase.addCleanup(self._stop)

    def _serve(self) -> None:
        """
        Answer, until an empty datagram of its own comes.
        """
        with self._sock as sock:
            while True:
                datagram, source = sock.recvfrom(65535)
                if source[:2] == self.place:
                    return
                self.sources.add(source[:2])
                sock.sendto(datagram, source)

    def _stop(self) -> None:
        """
        End the thread.
        """
        self._sock.sendto(b"", self.place)


class Bridge:
    """
    A UDP port for programs that do not speak SOCKS, such as dig; what comes there goes
    to one host by way of the proxifier.  It ends with the test.

    @ivar port: The port of the loopback address.
    """

    def __init__(
        self, testCase: ChainTestCase, datagrams: Datagrams, remote: tuple[str, int]
    ) -> None:
        self._datagrams = datagrams
        self._remote = remote
        self._over = Event()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        thread = Thread(target=self._serve, daemon=True)
        thread.start()
        testCase.addCleanup(thread.join, DEADLINE)
        testCase.addCleanup(self._over.set)

    def _serve(self) -> None:
        """
        Pass datagrams to and fro.
        """
        program: tuple[str, int] | None = None
        with self._sock as sock:
            while not self._over.is_set():
                ready, _, _ = select.select([sock, self._datagrams.sock], [], [], 0.05)
                if sock in ready:
                    datagram, program = sock.recvfrom(65535)
                    self._datagrams.send(datagram, self._remote)
                if self._datagrams.sock in ready:
                    datagram, _ = self._datagrams.receive()
                    assert program is not None
                    sock.sendto(datagram, program)


class DatagramTestCase(ChainTestCase):
    """
    A test with datagrams.
    """

    def associate(self, local: Local, tellsPort: bool = False) -> Datagrams:
        """
        Be a program that sends datagrams.
        """
        datagrams = Datagrams(("127.0.0.1", portOf(local)), tellsPort)
        self.addCleanup(datagrams.close)
        return datagrams

    def startEncrypted(self) -> tuple[Twistd, Local]:
        """
        Start a proxy with TLS and DTLS, and a local proxifier.
        """
        authority = Authority(self.folder())
        certificate = f"--certificate={authority.server().path}"
        proxy = Twistd(self, "--tls-port=0", "--dtls-port=0", "--udp-port=no", certificate)
        line = proxy.waitForLine("Datagrams of clients: DTLS port")
        found = re.search(r"DTLS port 127\.0\.0\.1:(\d+)", line)
        assert found is not None, line
        url = f"socks6s://127.0.0.1:{portOf(proxy)}?ca={authority.path}&dtls={found[1]}"
        return proxy, Local(self, "--port=0", f"--proxy={url}")

    def assertEchoes(self, datagrams: Datagrams, place: tuple[str, int], payload: bytes) -> None:
        """
        Send a datagram, which is to come back.
        """
        datagrams.send(payload, place)
        self.assertEqual(datagrams.receive(), (payload, place))


class PassingTests(DatagramTestCase):
    """
    Datagrams pass, both ways.
    """

    def test_echo(self) -> None:
        """
        Whatever the size, to several hosts, with and without telling the port; the
        remote host sees the proxy's port.
        """
        proxy = Twistd(self, "--port=0")
        local = self.startChain(proxy=proxy)
        first, second = Echo(self), Echo(self)
        for tellsPort in (False, True):
            datagrams = self.associate(local, tellsPort)
            for size in (0, 1, SIZE, 30_000, 65_000):
                for echo in (first, second):
                    self.assertEchoes(datagrams, echo.place, bytes(size))
            datagrams.close()
        self.assertEqual(len(first.sources), 2)
        self.assertEqual(first.sources, second.sources)
        passed = "192402 octets to the remote host, 192402 to the client"
        proxy.waitFor(lambda: proxy.output().count(passed) == 2, "no line")
        local.waitFor(lambda: local.output().count(passed) == 2, "no line")
        self.assertNotIn("Traceback", proxy.output() + local.output())

    def test_names(self) -> None:
        """
        Names are the proxy's to look up.
        """
        datagrams = self.associate(self.startChain())
        echo = Echo(self)
        datagrams.send(b"hello", ("localhost", echo.place[1]))
        self.assertEqual(datagrams.receive(), (b"hello", echo.place))

    def test_IPv6(self) -> None:
        """
        IPv6, to the remote host and from the program.
        """
        try:
            listen("::1").close()
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")
        echo, other = Echo(self, "::1"), Echo(self)
        proxy = Twistd(self, "--port=0")
        url = f"--proxy=socks6://127.0.0.1:{portOf(proxy)}"
        local = Local(self, r"--port=tcp:0:interface=\:\:1", url)
        datagrams = Datagrams(("::1", portOf(local)))
        self.addCleanup(datagrams.close)
        self.assertEqual(datagrams.relay[0], "::1")
        for place in (echo.place, other.place):
            self.assertEchoes(datagrams, place, b"hello")

    def test_unasked(self) -> None:
        """
        A program hears of what hosts send that it has never sent anything to.
        """
        echo = Echo(self)
        datagrams = self.associate(self.startChain())
        self.assertEchoes(datagrams, echo.place, b"hello")
        (seen,) = echo.sources
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
            host.bind(("127.0.0.1", 0))
            host.sendto(b"unasked", seen)
            self.assertEqual(datagrams.receive(), (b"unasked", host.getsockname()))

    def test_strangers(self) -> None:
        """
        Neither what others send is passed on, nor a fragment.
        """
        local = self.startChain()
        echo = Echo(self)
        datagrams = self.associate(local)
        datagrams.send(b"part", echo.place, fragment=1)
        self.assertEchoes(datagrams, echo.place, b"first")
        stranger = Datagrams(("127.0.0.1", portOf(local)))
        self.addCleanup(stranger.close)
        own, stranger.relay = stranger.relay, datagrams.relay
        stranger.send(b"for somebody else", echo.place)
        stranger.relay = own
        self.assertEchoes(stranger, echo.place, b"mine")
        self.assertEchoes(datagrams, echo.place, b"last")
        local.stop()
        local.waitForLine("Datagrams that were dropped: ")
        self.assertIn("fragment: 1", local.output())
        self.assertIn("another program: 1", local.output())

    def test_burst(self) -> None:
        """
        All of many datagrams pass, as many at once as sockets have room for.
        """
        for local, count in ((self.startChain(), BURST), (self.startEncrypted()[1], BURST // 4)):
            datagrams = self.associate(local)
            echo = Echo(self)
            self.assertEchoes(datagrams, echo.place, b"first")
            missing = set(range(count))
            for start in range(0, count, WINDOW):
                numbers = range(start, min(start + WINDOW, count))
                for number in numbers:
                    datagrams.send(number.to_bytes(4, "big") + bytes(SIZE - 4), echo.place)
                for _ in numbers:
                    payload, _ = datagrams.receive()
                    missing.remove(int.from_bytes(payload[:4], "big"))
            self.assertEqual(missing, set())

    def test_DTLS(self) -> None:
        """
        With DTLS to the proxy, names and sizes are as before; nothing is sent to it as
        it is.
        """
        proxy, local = self.startEncrypted()
        echo = Echo(self)
        datagrams = self.associate(local)
        for size in (0, 1, SIZE, 16_000):
            self.assertEchoes(datagrams, echo.place, bytes(size))
        datagrams.send(b"hello", ("localhost", echo.place[1]))
        self.assertEqual(datagrams.receive(), (b"hello", echo.place))
        for each in (proxy, local):
            self.assertNotIn("Traceback", each.output())

    def test_notEncrypted(self) -> None:
        """
        Where TLS is spoken with the proxy, and nobody has said where datagrams go, they
        do not go at all.
        """
        authority = Authority(self.folder())
        proxy = Twistd(self, "--tls-port=0", f"--certificate={authority.server().path}")
        url = f"--proxy=socks6s://127.0.0.1:{portOf(proxy)}?ca={authority.path}"
        local = Local(self, "--port=0", url)
        sock = askSOCKS5(("127.0.0.1", portOf(local)), UDP_ASSOCIATE)
        self.addCleanup(sock.close)
        self.assertEqual(receiveSOCKS5(sock).code, 7)
        local.waitForLine("its URL has neither dtls= nor udp=")


class EndTests(DatagramTestCase):
    """
    An association ends with the connections that it hangs on.
    """

    def assertClosed(self, port: int) -> None:
        """
        Wait until a UDP port of the loopback address is free.
        """
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                try:
                    sock.bind(("127.0.0.1", port))
                except OSError:
                    time.sleep(0.01)
                else:
                    return
        self.fail(f"port {port} is not closed")

    def test_programGone(self) -> None:
        """
        When the program is gone, its port is closed, and the one at the proxy: after an
        end, a reset, and when it has been killed.
        """
        local = self.startChain()
        echo = Echo(self)
        for leave in (socket.socket.close, reset):
            echo.sources.clear()
            datagrams = self.associate(local)
            self.assertEchoes(datagrams, echo.place, b"hello")
            ((_, port),) = echo.sources
            leave(datagrams.control)
            for each in (datagrams.relay[1], port):
                self.assertClosed(each)
        echo.sources.clear()
        command = [sys.executable, "-c", SENDS, str(portOf(local)), str(echo.place[1])]
        with running(*command, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"there\n")
            ((_, port),) = echo.sources
            process.kill()
            self.assertClosed(port)

    def test_proxyGone(self) -> None:
        """
        When the proxy is gone, the program's connection is ended.
        """
        proxy = Twistd(self, "--port=0")
        local = self.startChain(proxy=proxy)
        echo = Echo(self)
        datagrams = self.associate(local)
        self.assertEchoes(datagrams, echo.place, b"hello")
        proxy.kill()
        self.assertEqual(receiveAll(datagrams.control), b"")
        self.assertClosed(datagrams.relay[1])
        local.waitForLine("association lost")
        self.assertNotIn("Traceback", local.output())

    def test_idle(self) -> None:
        """
        So it is when nothing has passed for as long as a tunnel may be idle.
        """
        datagrams = self.associate(self.startChain("--idle-timeout=0.2"))
        self.assertEqual(receiveAll(datagrams.control), b"")

    def test_nothingIsLeft(self) -> None:
        """
        After many associations, no descriptor is left.
        """
        proxy = Twistd(self, "--port=0")
        local = self.startChain(proxy=proxy)
        echo = Echo(self)
        place = "127.0.0.1", portOf(local)
        counts = []
        for _ in range(2):
            for _ in range(50):
                datagrams = Datagrams(place)
                self.assertEchoes(datagrams, echo.place, b"hello")
                datagrams.close()
                self.assertClosed(datagrams.relay[1])
            counts.append(local.descriptors())
        self.assertLess(counts[1] - counts[0], 10)


class ProgramTests(DatagramTestCase):
    """
    Programs that others have written.
    """

    def test_PySocks(self) -> None:
        """
        Sockets of PySocks, with names and without, with credentials and without.
        """
        local = self.startChain()
        echo = Echo(self)
        for who in ((), ("ada", "s3cret")):
            with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(DEADLINE)
                sock.set_proxy(socks.SOCKS5, "127.0.0.1", portOf(local), True, *who)
                for host in ("127.0.0.1", "localhost"):
                    sock.sendto(b"hello", (host, echo.place[1]))
                    self.assertEqual(sock.recvfrom(100), (b"hello", echo.place))
        local.waitForLine(" ada udp associate ")

    def test_dig(self) -> None:
        """
        dig has its answers from a name server, also a long one, with and without DTLS.
        """
        dig = requireProgram(self, "dig")
        server = Dnsmasq(self)
        for local in (self.startChain(), self.startEncrypted()[1]):
            datagrams = self.associate(local)
            bridge = Bridge(self, datagrams, ("127.0.0.1", server.port))
            where = ("@127.0.0.1", "-p", str(bridge.port), "+short", "+notcp", "+tries=1")
            for name, address in ADDRESSES.items():
                kind = "AAAA" if ":" in address else "A"
                answer = run(dig, *where, name, kind)
                self.assertEqual((answer.returncode, answer.stdout), (0, f"{address}\n".encode()))
            answer = run(dig, *where, "+bufsize=4096", LONG_NAME, "TXT")
            self.assertEqual(
                sorted(answer.stdout.decode().split()),
                [f'"{LONG_TEXT}{number}"' for number in range(5)],
            )
