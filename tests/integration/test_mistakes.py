"""
Tests for command lines that make no sense.
"""

from __future__ import annotations

from tests.integration.chain import ChainTestCase, portOf
from tests.integration.programs import curl
from tests.integration.twistd import Local, Twistd


class MistakeTests(ChainTestCase):
    """
    What cannot be is said in one line when it starts.
    """

    def test_outbound(self) -> None:
        """
        The command line makes no sense.
        """
        for arguments in (
            ["--outbound=socks4:localhost:1080"],
            ["--outbound=socks5:localhost"],
            ["--outbound=socks6://"],
            ["--outbound=socks6s://localhost?ca=/nowhere"],
            ["--isolate-sessions"],
            ["--outbound=socks5:localhost:1", "--isolate-sessions", "--no-isolate-sessions"],
        ):
            twistd = Twistd(self, "--port=0", *arguments)
            self.assertEqual(twistd.wait(), 1)
            output = twistd.output()
            self.assertEqual(output.count("\n"), 1, output)
            self.assertTrue(output.startswith("twistd socks6: "), output)

    def test_bind(self) -> None:
        """
        So it is with the ports that clients may open.
        """
        for argument in (
            "--bind-address=localhost",
            "--bind-ports=80",
            "--bind-timeout=never",
            "--max-backlog=1",
            "--advertise=0.0.0.0",
        ):
            twistd = Twistd(self, "--port=0", argument)
            self.assertEqual(twistd.wait(), 1)
            output = twistd.output()
            self.assertEqual(output.count("\n"), 1, output)
            self.assertTrue(output.startswith("twistd socks6: "), output)

    def test_local(self) -> None:
        """
        The same for the local proxifier, which is not open to the world by accident.
        """
        proxy = "--proxy=socks6://localhost"
        for arguments in (
            ["--port=0"],
            ["--port=0", "--proxy=socks5://localhost"],
            ["--port=0", "--proxy=socks6://ada@localhost"],
            ["--port=0", "--proxy=socks6s://localhost?ca=/nowhere"],
            ["--port=tcp:0", proxy],
            ["--port=0", "--transparent=tcp:0", proxy],
            ["--port=0", "--isolate=circuits", proxy],
            ["--port=0", "--optimistic", "--no-optimistic", proxy],
        ):
            local = Local(self, *arguments)
            self.assertEqual(local.wait(), 1)
            output = local.output()
            self.assertEqual(output.count("\n"), 1, output)
            self.assertTrue(output.startswith("twistd socks6-local: "), output)
        local = Local(self, "--port=tcp:0", "--anonymous", proxy)
        self.assertEqual(len(local.places()), 1)
        fetched = curl(self, "--socks5-hostname", f"127.0.0.1:{portOf(local)}", "http://a.example/")
        self.assertNotEqual(fetched.status, 0)
