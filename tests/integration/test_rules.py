"""
Tests for rules, in processes of their own.
"""

from __future__ import annotations

import socket
from pathlib import Path

from tests.integration.certificates import Authority
from tests.integration.chain import ChainTestCase
from tests.integration.peers import accept, ask, dial, encodeRequest, listen, placeOf
from tests.integration.twistd import Twistd
from tests.integration.workers import Crew

#: A balancer, which names a client that is far away.
BEHIND_BALANCER = "--port=haproxy:tcp:0:interface=127.0.0.1"
HEADER = b"PROXY TCP4 198.41.0.9 127.0.0.1 40000 1080\r\n"

RULES = """
[[rule]]
action = "deny"
name = "*.localhost"

[[rule]]
action = "allow"
certificate = "client"
network = ["127.0.0.1", "::1"]
"""


class RulesTests(ChainTestCase):
    """
    What rules say is what happens.
    """

    def setUp(self) -> None:
        self.listener = listen()
        self.addCleanup(self.listener.close)
        self.port = placeOf(self.listener)[1]

    def dial(self, proxy: Twistd) -> socket.socket:
        """
        Connect as a client that is far away.
        """
        client = dial(proxy.places()[0])
        self.addCleanup(client.close)
        client.sendall(HEADER)
        return client

    def test_default(self) -> None:
        """
        A client on another machine does not reach services of the proxy's own, however it
        calls them; one on the same machine does.
        """
        for arguments, code in (((), 2), (("--allow-private",), 0)):
            proxy = Twistd(self, BEHIND_BALANCER, "--anonymous", "--udp-port=no", *arguments)
            for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "::ffff:127.0.0.1"):
                reply = ask(self.dial(proxy), encodeRequest(host, self.port))
                self.assertEqual(reply.code, code, f"{host} {arguments}")
            own = proxy.places()[0]
            assert isinstance(own, tuple)
            self.assertEqual(ask(self.dial(proxy), encodeRequest(*own)).code, 2)
        place = Twistd(self, "--port=0").places()[0]
        with dial(place) as client:
            self.assertEqual(ask(client, encodeRequest("127.0.0.1", self.port)).code, 0)

    def test_operator(self) -> None:
        """
        Nor does one reach the operator's page and the metrics, even if all else is allowed,
        and whichever process they are of.
        """
        metrics = ("--metrics=0", "--anonymous", "--udp-port=no", "--allow-private")
        store = f"--sessions=sqlite:{self.folder() / 'sessions'}"
        for arguments, count in ((("--admin=0",), 2), (("--workers=2", store), 1)):
            proxy = Crew(self, BEHIND_BALANCER, *metrics, *arguments)
            own = proxy.places()[1:]
            self.assertEqual(len(own), count)
            for place in own:
                assert isinstance(place, tuple)
                dial(place).close()
                reply = ask(self.dial(proxy), encodeRequest(*place))
                self.assertEqual(reply.code, 2, f"{place} {arguments}")

    def test_certificate(self) -> None:
        """
        A file says more: who has the right certificate gets through, by an address and by a
        name that leads there, but not by one that is denied.
        """
        folder = self.folder()
        authority = Authority(folder)
        (folder / "rules").write_text(RULES, "utf-8")
        proxy = Twistd(
            self,
            "--tls-port=0",
            f"--certificate={authority.server().path}",
            f"--client-ca={authority.path}",
            f"--rules={folder / 'rules'}",
        )
        friend = authority.client()
        for party, host, code in (
            (friend, "127.0.0.1", 0),
            (friend, "localhost", 0),
            (friend, "a.localhost", 2),
            (authority.client("stranger"), "127.0.0.1", 2),
        ):
            context = authority.clientContext(party)
            with context.wrap_socket(
                dial(proxy.places()[0]), server_hostname="localhost"
            ) as client:
                self.assertEqual(ask(client, encodeRequest(host, self.port)).code, code, host)
                if not code:
                    accept(self.listener).close()
        proxy.waitForLine("a.localhost:" + str(self.port) + ": not allowed (rule 1), ")

    def test_check(self) -> None:
        """
        A configuration is checked without listening, and a mistake is one line.
        """
        rules = Path(self.folder()) / "rules"
        rules.write_text(RULES, "utf-8")
        taken = f"--port={self.port}"
        twistd = Twistd(self, taken, f"--rules={rules}", "--check")
        self.assertEqual(twistd.wait(), 0)
        self.assertIn("1. deny everything to *.localhost\n", twistd.output())
        rules.write_text(RULES.replace("name", "nam"), "utf-8")
        twistd = Twistd(self, taken, f"--rules={rules}", "--check")
        self.assertEqual(twistd.wait(), 1)
        self.assertEqual(
            twistd.output(),
            f"twistd socks6: --rules: {rules}: rule 1: nothing is called 'nam'; 'name', perhaps?\n",
        )
