"""
Tests of L{socks6.policy.rulesfile}.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.ruleset import Rule
from socks6.policy.rulesfile import readRules, rulesFromText
from socks6.values.codes import Command
from socks6.wire.errors import UsageError
from tests.raising import errorOf

ALLOW = "[[rule]]\naction = 'allow'\n"


class RulesFileTests(SynchronousTestCase):
    """
    What people write.
    """

    def test_everything(self) -> None:
        """
        Each key is read, as one value or as a list, and rules keep their order.
        """
        ruleset = rulesFromText(
            """
            # A comment.
            [[rule]]
            action = "deny"
            command = "bind"
            anonymous = true

            [[rule]]
            action = "allow"
            command = ["connect", "udp"]
            user = ["alice", "b\xf6b"]
            client = "192.0.2.0/24"
            tls = true
            certificate = "A.example.org"
            name = ["*.Example.org.", "*"]
            network = ["10.0.0.0/8", "2001:DB8::1"]
            port = [443, "80", "8000-8100"]
            connections = 5
            rate = 1000
            """
        )
        self.assertTrue(ruleset.isGuarded)
        self.assertEqual([rule.number for rule in ruleset.rules], [1, 2])
        self.assertEqual(
            ruleset.rules,
            (
                Rule(1, False, (Command.BIND,), anonymous=True),
                Rule(
                    2,
                    True,
                    (Command.CONNECT, Command.UDP_ASSOCIATE),
                    (b"alice", "b\xf6b".encode()),
                    None,
                    (ip_network("192.0.2.0/24"),),
                    True,
                    ("a.example.org",),
                    ("*.example.org", "*"),
                    (ip_network("10.0.0.0/8"), ip_network("2001:db8::1")),
                    ((443, 443), (80, 80), (8000, 8100)),
                    5,
                    1000,
                ),
            ),
        )

    def test_mistakes(self) -> None:
        """
        Whatever is wrong is named in one line, with the number of the rule.
        """
        for line, complaint in (
            ("clint = '192.0.2.1'", "nothing is called 'clint'; 'client', perhaps?"),
            ("ports = 1", "nothing is called 'ports'; 'port', perhaps?"),
            ("command = 'conect'", "command: 'conect' is none of connect, bind, udp"),
            ("command = 1", "command: 1 is no text"),
            ("command = []", "command: the list is empty, so that the rule would never match"),
            ("user = ''", "user: '' is no text"),
            (
                "client = 'here'",
                "client: 'here' is no network, like 192.0.2.0/24 or 2001:db8::/32",
            ),
            (
                "network = '10.0.0.1/8'",
                "network: '10.0.0.1/8' has bits behind its prefix; the network is 10.0.0.0/8",
            ),
            (
                "network = '::ffff:10.0.0.0/104'",
                "network: '::ffff:10.0.0.0/104' is IPv4, and has to be written like that",
            ),
            ("name = 'a b'", "name: 'a b' is no name, like example.org or *.example.org"),
            ("name = 'a.*'", "name: 'a.*' is no name, like example.org or *.example.org"),
            (
                "name = '\xf6.example'",
                (
                    "name: '\xf6.example' is no name, like example.org or *.example.org (of other"
                    " letters, write the form that begins with xn--)"
                ),
            ),
            ("tls = 'yes'", "tls: 'yes' is neither true nor false"),
            *(
                (
                    f"port = {port}",
                    f"port: {port} is neither a port nor a range, like 443 or '8000-8100'",
                )
                for port in ("0", "65536", "'9-8'", "''", "'1-'", "-1")
            ),
            ("port = true", "port: True is neither a port nor a range, like 443 or '8000-8100'"),
            ("rate = 0", "rate: 0 is no number from 1 to 9007199254740992"),
            ("rate = 1.5", "rate: 1.5 is no number from 1 to 9007199254740992"),
            ("connections = true", "connections: True is no number from 1 to 9007199254740992"),
            ("user = 'a'\nanonymous = false", "user and anonymous exclude each other"),
        ):
            error = errorOf(ValueError, rulesFromText, f"{ALLOW}{ALLOW}{line}")
            self.assertEqual(str(error), f"rule 2: {complaint}")

    def test_wholeFile(self) -> None:
        """
        So is what concerns no single rule, or the whole of one.
        """
        for text, complaint in (
            ("", "there is no [[rule]], and nothing would be allowed"),
            ("rule = []", "there is no [[rule]], and nothing would be allowed"),
            ("rule = 1", "a rule begins with [[rule]]"),
            ("[rule]\naction = 'allow'", "a rule begins with [[rule]]"),
            ("rules = 1", "there is 'rules', but all that may stand here is [[rule]]"),
            ("[[rule]]\ntls = true", "rule 1: there is no action, which is 'allow' or 'deny'"),
            ("[[rule]]\naction = 1", "rule 1: action: 1 is neither 'allow' nor 'deny'"),
            (
                "[[rule]]\naction = 'deny'\nrate = 5",
                "rule 1: rate is for rules that allow something",
            ),
        ):
            self.assertEqual(str(errorOf(ValueError, rulesFromText, text)), complaint)
        for text in ("[[rule]", "a = " + "[" * 10000):
            self.assertNotIn("\n", str(errorOf(ValueError, rulesFromText, text)))

    def test_file(self) -> None:
        """
        A mistake in a file, or a file that cannot be read, is our user's mistake, and the
        file is named.
        """
        path = Path(self.mktemp())
        for octets, complaint in (
            (None, "No such file or directory"),
            (b"\xff", "it is no text in UTF-8"),
            (b"", "there is no [[rule]], and nothing would be allowed"),
        ):
            if octets is not None:
                path.write_bytes(octets)
            self.assertEqual(str(errorOf(UsageError, readRules, path)), f"{path}: {complaint}")
        path.write_bytes(ALLOW.encode())
        self.assertEqual(readRules(path).rules, (Rule(1),))
