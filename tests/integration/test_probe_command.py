"""
Tests for C{socks6 probe}.
"""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.integration.certificates import Authority
from tests.integration.chain import ChainTestCase, portOf
from tests.integration.peers import accept, listen, placeOf, refusingPlace
from tests.integration.programs import SOCKS6, run
from tests.integration.socks5server import SOCKS5Server
from tests.integration.threads import ThreadedServer
from tests.integration.twistd import Twistd

#: Exit statuses.
REFUSED, BROKEN = 2, 3

#: What our proxy offers whoever is let in.
OFFERS = {
    "sessions": {"offered": True, "trusted": True, "usable": True},
    "tokens": {"offered": True, "window": 64, "usable": True},
    "commands": {"bind": "yes", "udpAssociate": "yes"},
}

PHASES = ["connect", "authentication", "operation"]


class ProbeTests(ChainTestCase):
    """
    It tells what is there.
    """

    def probe(self, url: str, *arguments: str, status: int = 0) -> dict[str, Any]:
        """
        Run it, with C{--json} and without.

        @return: What it has found.
        """
        shown = run(*SOCKS6, "probe", *arguments, "--proxy", url)
        self.assertEqual((shown.returncode, shown.stderr), (status, b""))
        done = run(*SOCKS6, "probe", *arguments, "--proxy", url, "--json")
        self.assertEqual((done.returncode, done.stderr), (status, b""))
        report: dict[str, Any] = json.loads(done.stdout)
        # Both say the same.
        text = shown.stdout.decode("ascii")
        names = [line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()]
        named = [name for name in names if "," not in name]
        spaced = {"stackOptions": "stack options"}
        self.assertEqual(named, [spaced.get(name, name) for name in report if name != "timing"])
        for name, phases in report.get("timing", {}).items():
            self.assertIn(f"\n{name},", text)
            for phase in phases:
                self.assertIn(f"\n  {phase['phase']} ", text)
                self.assertGreaterEqual(phase["milliseconds"], 0)
                self.assertGreaterEqual(phase["roundTrips"], 0)
        return report

    def phases(self, report: dict[str, Any], request: str) -> list[str]:
        """
        Name the phases of a request.
        """
        return [phase["phase"] for phase in report["timing"][request]]

    def startProxy(self, *arguments: str, who: str = "") -> str:
        """
        Start a proxy.

        @return: Its URL.
        """
        return f"socks6://{who}127.0.0.1:{portOf(Twistd(self, '--port=0', *arguments))}"

    def users(self) -> str:
        """
        Write a password file.

        @return: The option that names it.
        """
        users = self.folder() / "users"
        users.write_text("ada:s3cret\n", "ascii")
        return f"--auth=file:{users}"

    def test_open(self) -> None:
        """
        A proxy for everybody.
        """
        url = self.startProxy()
        report = self.probe(url)
        self.assertEqual(self.phases(report, "noop"), PHASES)
        del report["timing"]
        self.assertEqual(
            report,
            {
                "proxy": url,
                "tls": None,
                "authentication": {"required": False, "methods": [], "accepted": True},
                **OFFERS,
            },
        )

    def test_destination(self) -> None:
        """
        With a destination, that is connected to as well.
        """
        url = self.startProxy()
        with listen() as listener:
            host, port = placeOf(listener)
            report = self.probe(url, host, str(port))
            # Once with and once without JSON.
            for _ in range(2):
                accept(listener).close()
        self.assertEqual(self.phases(report, "connect"), PHASES)
        self.assertEqual(report["commands"]["connect"], "yes")
        self.assertTrue(report["bound"].startswith("127.0.0.1:"), report["bound"])
        self.assertEqual(
            report["stackOptions"], {"ipTypeOfService": {"both": 0xB8}, "multipathTCP": False}
        )

    def test_refusedDestination(self) -> None:
        """
        What is refused is told.
        """
        url = self.startProxy()
        sock, (host, port) = refusingPlace()
        with sock:
            report = self.probe(url, host, str(port), status=REFUSED)
        self.assertEqual(report["commands"]["connect"], "connection refused")
        self.assertEqual(self.phases(report, "connect"), PHASES)
        self.assertNotIn("bound", report)

    def test_users(self) -> None:
        """
        A proxy for some: those it lets in, others hear how to authenticate.
        """
        url = self.startProxy(self.users(), who="ada:s3cret@")
        report = self.probe(url)
        methods = {"required": True, "methods": ["username password"]}
        self.assertEqual(report["authentication"], methods | {"accepted": True})
        self.assertEqual({name: report[name] for name in OFFERS}, OFFERS)
        self.assertNotIn("s3cret", json.dumps(report))
        for who in ("", "ada:guess@"):
            report = self.probe(url.replace("ada:s3cret@", who), status=REFUSED)
            self.assertEqual(report["authentication"], methods | {"accepted": False})
            self.assertIn("does not let us in", report["fault"])

    def test_untrusted(self) -> None:
        """
        Sessions that do without trust.
        """
        url = self.startProxy(self.users(), "--session-trust=never", who="ada:s3cret@")
        report = self.probe(url)
        self.assertEqual(report["sessions"], {"offered": True, "trusted": False, "usable": True})
        self.assertEqual(report["tokens"], OFFERS["tokens"])

    def test_noSessions(self) -> None:
        """
        No sessions, and so no tokens.
        """
        report = self.probe(self.startProxy("--max-sessions=0"))
        self.assertEqual(report["sessions"], {"offered": False})
        self.assertEqual(report["tokens"], {"offered": False})
        self.assertEqual(report["commands"], OFFERS["commands"])

    def test_tls(self) -> None:
        """
        With TLS, there is one phase more.
        """
        authority = Authority(self.folder())
        certificate = f"--certificate={authority.server().path}"
        port = portOf(Twistd(self, "--tls-port=0", certificate))
        report = self.probe(f"socks6s://localhost:{port}?ca={authority.path}")
        self.assertEqual(report["tls"]["version"], "TLSv1.3")
        self.assertIn("_", report["tls"]["cipher"])
        self.assertEqual(self.phases(report, "noop"), ["connect", "tls", *PHASES[1:]])
        self.assertEqual({name: report[name] for name in OFFERS}, OFFERS)
        other = Authority(self.folder(), "other")
        report = self.probe(f"socks6s://localhost:{port}?ca={other.path}", status=BROKEN)
        self.assertEqual(report["fault"], "TLS: certificate verify failed")

    def test_others(self) -> None:
        """
        Others than SOCKS 6 proxies are told from them.
        """

        class WebServer(ThreadedServer):
            """
            One that minds, as nginx does; others wait for the end of a line.
            """

            def serve(self, sock: socket.socket) -> None:
                """
                Mind.
                """
                sock.recv(100)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        web = listen()
        WebServer(self, web)
        for port, name in [
            (SOCKS5Server(self).place[1], "SOCKS 5"),
            (placeOf(web)[1], "HTTP"),
            # It speaks SOCKS 5 as well.
            (portOf(self.startChain()), "HTTP"),
        ]:
            url = f"socks6://127.0.0.1:{port}"
            report = self.probe(url, "localhost", "80", status=BROKEN)
            self.assertEqual(report["proxy"], url)
            self.assertTrue(report["fault"].endswith(f"; it speaks {name}"), report["fault"])

    def test_nobody(self) -> None:
        """
        So is nobody at all.
        """
        sock, (host, port) = refusingPlace()
        with sock:
            report = self.probe(f"socks6://{host}:{port}", status=BROKEN)
        self.assertIn("refused", report["fault"])
        self.assertNotIn("speaks", report["fault"])

    def test_unread(self) -> None:
        """
        What cannot be written is an error, in one line.
        """
        command = [*SOCKS6, "probe", "--proxy", self.startProxy()]
        done = run("sh", "-c", 'exec "$@" >/dev/full', "sh", *command)
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (BROKEN, 1), done.stderr)
