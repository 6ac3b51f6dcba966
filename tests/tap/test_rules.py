"""
Tests of L{socks6.tap.rules}, and of what C{twistd socks6} makes of it.
"""

from __future__ import annotations

import contextlib
import io
import re

from twisted.internet.address import IPv4Address

from socks6.policy.ruleset import PRIVATE_TOO, SAFE, Rule
from socks6.policy.rulesfile import KEYS, rulesFromText
from socks6.tap import Options
from tests.server.harness import WELCOME, failure, request
from tests.tap.harness import CHECKOUT, OptionsTestCase, ServiceTestCase, parse

ALLOW = b"[[rule]]\naction = 'allow'\n"


class RuleOptionsTests(OptionsTestCase):
    """
    Rules on the command line.
    """

    def test_default(self) -> None:
        """
        Without options the safe default holds, which one lifts.
        """
        self.assertIs(parse().ruleBook.ruleset, SAFE)
        self.assertIs(parse("--allow-private").ruleBook.ruleset, PRIVATE_TOO)

    def test_file(self) -> None:
        """
        A file is read, and can be read again from wherever the process goes.
        """
        path = self.file("rules", ALLOW)
        book = parse(f"--rules={path}").ruleBook
        self.assertEqual(book.ruleset.rules, (Rule(1),))
        self.file("rules", ALLOW * 2)
        with contextlib.chdir("/"):
            book.prepare()()
        self.assertEqual(len(book.ruleset.rules), 2)

    def test_mistakes(self) -> None:
        """
        A mistake is one line, and so are two options of which one is enough.
        """
        path = self.file("rules", ALLOW + b"prot = 1\n")
        self.assertEqual(
            self.complaint("--rules", path),
            f"--rules: {self.folder.absolute()}/rules: rule 1: nothing is called 'prot'; 'port',"
            " perhaps?",
        )
        self.assertEqual(
            self.complaint("--rules", path, "--allow-private"),
            "--allow-private and --rules contradict each other: a rule names the networks that"
            " it allows",
        )


class CheckTests(OptionsTestCase):
    """
    C{--check}.
    """

    def check(self, *arguments: str) -> list[str]:
        """
        Check a command line.

        @return: What is written.
        """
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            error = self.assertRaises(SystemExit, Options().parseOptions, ["--check", *arguments])
        self.assertEqual(error.code, 0)
        return output.getvalue().splitlines()

    def test_default(self) -> None:
        """
        It says what the defaults are.
        """
        self.assertEqual(
            self.check(),
            [
                "The configuration is good.",
                "It would listen on:",
                "  tcp:1080:interface=127.0.0.1:backlog=1024 (this machine only)",
                "  UDP where the first TCP port is",
                "It would let in:",
                "  everybody who can connect",
                "Rules, of which the first one that matches decides:",
                "  everything of the public internet is allowed",
                "  clients on this machine may connect to every address",
                "  others not to private addresses, cloud metadata and the proxy itself",
                "Requests would be logged:",
                "  in twistd's log, as text",
            ],
        )

    def test_everything(self) -> None:
        """
        It says what the options are, but no password.
        """
        path = self.file("rules", ALLOW + b"user = 'ada'\nport = 443\n")
        lines = self.check(
            "--port=unix:/run/socks6",
            "--tls-port=tcp:1443",
            f"--certificate={self.pem}",
            f"--client-ca={self.pem}",
            "--auth=memory:ada:s3cret",
            "--udp-port=0.0.0.0:1080",
            "--dtls-port=[::]:1443",
            "--admin=8080",
            "--metrics=tcp:9106",
            "--open-metrics",
            "--access-log=requests",
            "--log-format=json",
            f"--rules={path}",
        )
        self.assertEqual(
            lines[2:],
            [
                "  unix:/run/socks6 (this machine only)",
                "  tcp:1443, TLS",
                "  UDP 0.0.0.0:1080",
                "  UDP [::]:1443, DTLS",
                (
                    "  tcp:8080:interface=127.0.0.1:backlog=1024, the operator's page"
                    " (this machine only)"
                ),
                "  tcp:9106, metrics",
                "It would let in:",
                "  users with a name and a password",
                f"  with TLS, those with a certificate of the authorities in {self.pem}",
                "Rules, of which the first one that matches decides:",
                "  1. allow everything of ada port 443",
                "  else: deny",
                (
                    "  Clients on other machines get private addresses only by a rule with their"
                    " network."
                ),
                "Requests would be logged:",
                "  requests, as json",
            ],
        )
        self.assertNotIn("s3cret", "\n".join(lines))

    def test_otherWays(self) -> None:
        """
        It says why there are no datagrams, and that private addresses are allowed.
        """
        lines = self.check("--outbound=socks5:localhost:9050", "--allow-private")
        self.assertIn(
            "  no port for datagrams, and none of BIND: there is another proxy on the way out",
            lines,
        )
        self.assertEqual(lines[-4], "  everything is allowed")
        store = f"--sessions=sqlite:{self.folder}/sessions"
        self.assertIn(
            "  no port for datagrams: there are several workers",
            self.check("--workers=2", store),
        )
        for where, said in (("off", "  nowhere"), ("-", "  on standard output, as text")):
            self.assertEqual(self.check(f"--access-log={where}")[-1], said)

    def test_mistake(self) -> None:
        """
        A mistake is one, as without it.
        """
        self.assertIn("needs a --certificate", self.complaint("--check", "--tls-port=1"))


class ServiceTests(ServiceTestCase):
    """
    What becomes of rules.
    """

    def test_rules(self) -> None:
        """
        They hold, and the proxy knows where it listens itself.
        """
        path = self.file("rules", ALLOW + b"network = ['0.0.0.0/0']\n")
        proxy = self.start(f"--rules={path}")
        book = proxy.factory.rules
        self.assertEqual(book.ruleset.rules[0].number, 1)
        own = IPv4Address("TCP", "0.0.0.0", 1080)

        class Port:
            """
            A port.
            """

            def getHost(self) -> IPv4Address:
                """
                Tell where it is.
                """
                return own

            def stopListening(self) -> None:
                """
                Be closed.
                """

        proxy.ports.append(Port())  # type: ignore[arg-type]
        destination = bytes.fromhex("0438 01 7f000001")
        self.assertEqual(
            self.ask(proxy.factory, request(address=destination)), WELCOME + failure(2)
        )
        self.assertIn("(127.0.0.1:1080 is the proxy itself)", self.lines[-1])


class DocumentationTests(OptionsTestCase):
    """
    The example in C{docs/rules.rst}.
    """

    def test_example(self) -> None:
        """
        It is right.
        """
        text = (CHECKOUT / "docs" / "rules.toml").read_text("utf-8")
        rules = rulesFromText(text).rules
        self.assertGreater(len(rules), 4)
        self.assertTrue(rules[-1].allows)
        self.assertIn("rules.toml", (CHECKOUT / "docs" / "rules.rst").read_text("utf-8"))

    def test_keys(self) -> None:
        """
        Each key is explained.
        """
        text = (CHECKOUT / "docs" / "rules.rst").read_text("utf-8")
        self.assertEqual(set(re.findall(r"^``(\w+)``$", text, re.MULTILINE)), set(KEYS))
