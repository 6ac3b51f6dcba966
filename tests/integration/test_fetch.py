"""
examples/fetch.py, run as its own text says.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from socks6.values.codes import ReplyCode
from socks6.values.options import (
    NO_OPTIONS,
    OptionList,
    SessionID,
    SessionRequest,
    SessionTeardown,
    TokenRequest,
    UsernamePassword,
)
from socks6.wire import DRAFT_06
from tests.client.certificates import certificateFor
from tests.client.doubles import SUCCESS, authenticationReply, operationReply
from tests.integration.scripted import Echo, ScriptedProxy

reactor: Any = _reactor

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "example.org"
BODY = bytes(range(256)) * 40000


class FetchTests(TestCase):
    """
    The example fetches from a web server at the other end of a scripted proxy.
    """

    timeout = 90.0

    def setUp(self) -> None:
        """
        Have a web server, without and with TLS.
        """
        page = Resource()
        page.putChild(b"page", Data(BODY, "application/octet-stream"))
        self.site = Site(page, reactor=reactor)
        self.site.noisy = False
        self.site.doStart()
        self.addCleanup(self.site.doStop)
        self.certificate = certificateFor(NAME)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "ca.pem").write_bytes(self.certificate.dumpPEM())
        (self.folder / "password").write_bytes(b"s3cret\n")

    async def fetch(
        self, proxy: ScriptedProxy, url: str, *arguments: str
    ) -> subprocess.CompletedProcess[bytes]:
        """
        Run the example.
        """
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(proxy)
        command = [sys.executable, str(CHECKOUT / "examples" / "fetch.py")]
        command += ["--proxy", f"tcp:127.0.0.1:{port.getHost().port}", *arguments, url]
        try:
            done = await deferToThread(
                subprocess.run,
                command,
                cwd=self.folder,
                env={"PYTHONPATH": str(CHECKOUT)},
                capture_output=True,
                check=False,
                timeout=60,
            )
        finally:
            await port.stopListening()
        return done

    def plain(self) -> Any:
        """
        Make a connection to the web server.
        """
        return self.site.buildProtocol(None)

    def tls(self) -> Any:
        """
        Make one with TLS.
        """
        options = self.certificate.options()
        return TLSMemoryBIOFactory(options, False, self.site, reactor).buildProtocol(None)

    async def test_body(self) -> None:
        """
        The body arrives whole, with TLS and without, whether the request waits for
        the proxy or not.
        """
        for url, server, arguments in [
            (f"http://{NAME}/page", self.plain, []),
            (f"https://{NAME}/page", self.tls, ["--ca", "ca.pem"]),
        ]:
            for optimistic in ([], ["--optimistic"]):
                proxy = ScriptedProxy(SUCCESS, server)
                done = await self.fetch(proxy, url, *arguments, *optimistic)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertTrue(done.stdout == BODY, "the body is another one")

    async def test_credentials(self) -> None:
        """
        The password is read from a file.
        """
        proxy = ScriptedProxy(SUCCESS, self.plain)
        done = await self.fetch(
            proxy,
            f"http://{NAME}/page",
            *("--username", "ada", "--password-file", "password"),
        )
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"\x03ada\x06s3cret", proxy.chunks[0])

    async def test_session(self) -> None:
        """
        The page can be asked for in a session, which is ended afterwards; whether the
        proxy opens one or not.
        """
        session = SessionID(b"a session")
        for options in (OptionList([session]), NO_OPTIONS):
            replies = authenticationReply(options=options) + operationReply()
            proxy = ScriptedProxy(replies, self.plain)
            done = await self.fetch(
                proxy,
                f"http://{NAME}/page",
                "--session",
                *("--username", "ada", "--password-file", "password"),
            )
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertTrue(done.stdout == BODY, "the body is another one")
            requests = [
                DRAFT_06.decodeRequest(chunk)
                for chunk in proxy.chunks
                if chunk.startswith(b"\x06\x00")
            ]
            ada = UsernamePassword(b"ada", b"s3cret")
            first, *others = (list(request.options) for request in requests)
            self.assertEqual(first, [SessionRequest(), ada, TokenRequest(64)])
            self.assertEqual(others, [[session, SessionTeardown()]] * len(options))

    async def test_errors(self) -> None:
        """
        What goes wrong is said in one line, and is the exit status.
        """
        refused = authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED)
        http, https = f"http://{NAME}/page", f"https://{NAME}/page"
        for replies, server, url, arguments, said in [
            (refused, Echo, http, [], "not allowed (2)"),
            (refused, Echo, http, ["--optimistic"], "not allowed (2)"),
            (refused, Echo, https, ["--optimistic"], "not allowed (2)"),
            (b"\x05\x00", Echo, http, [], "not a SOCKS 6 proxy"),
            (SUCCESS, self.tls, https, [], "certificate verify failed"),
            (SUCCESS, self.plain, f"http://{NAME}/nothing", [], "404 Not Found"),
            (SUCCESS, self.plain, "gopher://example.org/", [], "scheme"),
            (SUCCESS, self.plain, http, ["--username", "ada"], "password"),
            (SUCCESS, self.plain, http, ["--ca", "absent.pem"], "absent.pem"),
            (refused, Echo, http, ["--session"], "not allowed (2)"),
            (b"\x05\x00", Echo, http, ["--session"], "not a SOCKS 6 proxy"),
            (SUCCESS, self.plain, http, ["--session", "--username", "ada"], "password"),
        ]:
            proxy = ScriptedProxy(replies, server)
            done = await self.fetch(proxy, url, *arguments)
            self.assertEqual(done.returncode, 1, said)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
            self.assertIn(said.encode(), done.stderr)

    async def test_cutShort(self) -> None:
        """
        A body that ends too early is an error.
        """

        class Cutting(Echo):
            """
            Promises more than it sends.
            """

            def dataReceived(self, data: bytes) -> None:
                """
                Break the promise.
                """
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
                self.transport.loseConnection()

        done = await self.fetch(ScriptedProxy(SUCCESS, Cutting), f"http://{NAME}/page")
        self.assertEqual((done.returncode, done.stdout), (1, b"hel"))
        self.assertIn(b"before the body did", done.stderr)
