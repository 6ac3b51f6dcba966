"""
Tests for the local proxifier that take a network: programs whose connections the packet
filter redirects, and name servers that nobody asks.

Programs and the proxifier run in one network namespace; the proxy and the web servers
in another one, at 192.0.2.2 and 2001:db8:1::2.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tests.integration import requireProgram
from tests.integration.chain import ChainTestCase
from tests.integration.namespaces import Namespace
from tests.integration.peers import DEADLINE
from tests.integration.programs import CUT, Fetched, curl, run
from tests.integration.twistd import CHECKOUT, Local, Twistd, environment, listeningOf

#: Where the proxy listens, for those who do not know of it.
PROXY = "socks6://192.0.2.2:1080"

#: Where the web servers are.
SERVERS = ("192.0.2.2", "2001:db8:1::2")

WEB_PORT = 8000

#: For a machine's own programs.  In the documentation, the user is called "socks6".
OUTPUT_RULES = """
table inet socks6 {
    chain output {
        type nat hook output priority -100; policy accept;
        meta skuid "root" accept
        fib daddr type local accept
        meta l4proto tcp redirect to :1082
    }
}
"""

#: For those of other machines, on a router.
ROUTER_RULES = """
table inet socks6 {
    chain prerouting {
        type nat hook prerouting priority -100; policy accept;
        iifname "lan0" fib daddr type != local meta l4proto tcp redirect to :1082
    }
}
"""

#: Gives a program another view of a file.
_BIND = ["sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"']


class NetworkTestCase(ChainTestCase):
    """
    A test with two networks.
    """

    def setUp(self) -> None:
        super().setUp()
        self.here, self.there = Namespace(self), Namespace(self)
        self.here.connect(self.there)
        self.files = self.folder()

    def startProxy(self, *prefix: str) -> Twistd:
        """
        Start the proxy.

        @param prefix: A program that runs it, and that program's arguments.
        """
        port = "--port=tcp:1080:interface=192.0.2.2"
        arguments = (port, "--anonymous", "--allow-private")
        proxy = Twistd(self, *arguments, prefix=[*self.there.prefix, *prefix])
        proxy.places()
        return proxy

    def startLocal(self, *arguments: str, prefix: list[str] | None = None) -> Local:
        """
        Start the local proxifier.
        """
        command = [*self.here.prefix, *(prefix or [])]
        local = Local(self, f"--proxy={PROXY}", *arguments, prefix=command)
        local.places()
        return local

    def startServers(self) -> Path:
        """
        Start a web server for each family of addresses.

        @return: What they log: who has come.
        """
        site = self.files / "site"
        site.mkdir()
        (site / "page").write_text("from afar", "ascii")
        log = self.files / "visits"
        with log.open("wb") as output:
            for host in SERVERS:
                command = ["-u", "-m", "http.server", str(WEB_PORT), "--bind", host]
                self.start(self.there, output, *command, folder=site)
        return log

    def start(
        self, where: Namespace, output: IO[bytes], *arguments: str, folder: Path = CHECKOUT
    ) -> subprocess.Popen[bytes]:
        """
        Start a Python program that listens, and ends with the test.
        """
        process = subprocess.Popen(
            [*where.prefix, sys.executable, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        return process

    def untilListening(self, where: Twistd, port: int) -> None:
        """
        Wait until somebody listens in a program's namespace.
        """
        where.waitFor(lambda: port in listeningOf(where.process.pid), f"nobody at port {port}")


class TransparentTests(NetworkTestCase):
    """
    Programs that know of no proxy go through it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.nft = requireProgram(self, "nft")
        # Whom the rules do not leave alone.
        self.somebody = [requireProgram(self, "setpriv"), "--reuid=65534", "--clear-groups"]
        self.visits = self.startServers()
        self.proxy = self.startProxy()

    def redirect(self, rules: str) -> None:
        """
        Load rules of the packet filter.
        """
        loaded = run(self.nft, "-f", "-", input=rules.encode("ascii"), prefix=self.here.prefix)
        self.assertEqual((loaded.returncode, loaded.stderr), (0, b""))

    def visit(self, host: str, prefix: list[str], path: str = "page") -> Fetched:
        """
        Fetch a page, without a word of any proxy.
        """
        host = f"[{host}]" if ":" in host else host
        return curl(self, f"http://{host}:{WEB_PORT}/{path}", prefix=prefix)

    def checkVisits(self, clients: list[str]) -> None:
        """
        Check where the web servers believe that their clients are.
        """
        lines = [line for line in self.visits.read_text("ascii").splitlines() if "GET" in line]
        self.assertEqual([line.split()[0] for line in lines], clients)

    def test_own(self) -> None:
        """
        Those of the same machine, by IPv4 and IPv6; who runs as the proxifier does is
        left alone.
        """
        local = self.startLocal("--transparent=1082", r"--transparent=tcp6:1082:interface=\:\:1")
        for port in (1080, WEB_PORT):
            self.untilListening(self.proxy, port)
        self.redirect(OUTPUT_RULES)
        for prefix in (self.somebody, []):
            for host in SERVERS:
                fetched = self.visit(host, [*self.here.prefix, *prefix])
                self.assertEqual((fetched.status, fetched.body), (0, b"from afar"), host)
        self.checkVisits([*SERVERS, "192.0.2.1", "2001:db8:1::1"])
        for host in SERVERS:
            shown = f"[{host}]" if ":" in host else host
            for each in (local, self.proxy):
                each.waitForLine(f" connect {shown}:{WEB_PORT}: closed, ")

    def test_router(self) -> None:
        """
        Those of other machines, on their way through a router; one port serves both
        families.
        """
        lan = Namespace(self)
        self.here.connect(lan, "lan0", ("198.51.100.", "2001:db8:2::"))
        lan.ip("route add default via 198.51.100.1")
        lan.ip("-6 route add default via 2001:db8:2::1")
        self.startLocal("--transparent=tcp6:1082", "--anonymous")
        self.untilListening(self.proxy, WEB_PORT)
        self.redirect(ROUTER_RULES)
        for host in SERVERS:
            fetched = self.visit(host, lan.prefix)
            self.assertEqual((fetched.status, fetched.body), (0, b"from afar"), host)
        self.checkVisits([*SERVERS])

    def test_refused(self) -> None:
        """
        Where nobody listens, the connection is cut.
        """
        self.startLocal("--transparent=1082")
        self.redirect(OUTPUT_RULES)
        fetched = curl(self, "http://192.0.2.2:1/", prefix=[*self.here.prefix, *self.somebody])
        self.assertIn(fetched.status, CUT)

    def test_notRedirected(self) -> None:
        """
        Who comes on purpose is turned away, and does not make the proxifier connect to
        itself.
        """
        local = self.startLocal("--transparent=1082")
        # With rules, the kernel keeps in mind where connections were to go.
        self.redirect(OUTPUT_RULES)
        for prefix in (self.somebody, []):
            fetched = curl(self, "http://127.0.0.1:1082/", prefix=[*self.here.prefix, *prefix])
            self.assertIn(fetched.status, CUT)
        local.waitFor(lambda: local.output().count(": not redirected, ") == 2, "not turned away")
        self.assertEqual(local.output().count(" connect "), 2)


class NameTests(NetworkTestCase):
    """
    Names are for the proxy to resolve.
    """

    def test_neverAsked(self) -> None:
        """
        Whatever programs speak, no question leaves the proxifier's machine; there,
        there is a name server that would have noticed.
        """
        resolver = self.files / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1\n", "ascii")
        hosts = self.files / "hosts"
        hosts.write_text("192.0.2.2 origin.example\n", "ascii")
        questions = self.files / "questions"
        with questions.open("wb") as output:
            self.start(self.here, output, "-m", "tests.integration.nameserver")
        self.startServers()
        proxy = self.startProxy(*_BIND, str(hosts), "/etc/hosts")
        view = [*_BIND, str(resolver), "/etc/resolv.conf"]
        local = self.startLocal("--port=1081", prefix=view)
        self.untilListening(proxy, WEB_PORT)
        local.waitFor(lambda: bool(questions.read_text("ascii")), "no name server")
        for way in (
            ["--socks5-hostname", "127.0.0.1:1081"],
            ["--socks4a", "127.0.0.1:1081"],
            ["--proxy", "http://127.0.0.1:1081"],
            ["--proxytunnel", "--proxy", "http://127.0.0.1:1081"],
        ):
            url = f"http://origin.example:{WEB_PORT}/page"
            fetched = curl(self, *way, url, prefix=[*self.here.prefix, *view])
            self.assertEqual((fetched.status, fetched.body), (0, b"from afar"), way)
            # Nor is it, if the proxy knows the name as little.
            fetched = curl(self, *way, "http://-.example/", prefix=[*self.here.prefix, *view])
            self.assertNotEqual(fetched.code, 200)
        self.assertEqual(questions.read_text("ascii"), "listening\n")
        # It would have noticed.
        found = run("getent", "hosts", "control.example", prefix=[*self.here.prefix, *view])
        self.assertNotEqual(found.returncode, 0)
        deadline = time.monotonic() + DEADLINE
        while "control" not in questions.read_text("ascii") and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertIn("control", questions.read_text("ascii"))
