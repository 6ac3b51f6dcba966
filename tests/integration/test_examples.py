"""
The examples, run as their own text says.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.chain import portOf
from tests.integration.programs import curl, run, running
from tests.integration.socks5server import SOCKS5Server
from tests.integration.twistd import Twistd
from tests.integration.webserver import WebServer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def freePort() -> int:
    """
    Find a port of 127.0.0.1 that nobody listens on.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connectWhenUp(port: int, server: subprocess.Popen[bytes]) -> socket.socket:
    """
    Connect to a server that is starting.

    @raise AssertionError: It ends, or does not listen for too long.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("the example does not listen")


class ProxyTacTests(SynchronousTestCase):
    """
    examples/proxy.tac.
    """

    def test_webServerThroughProxy(self) -> None:
        """
        The application's web server can be read through its proxy, the HTTP
        request riding along with the SOCKS request.
        """
        web, proxy = freePort(), freePort()
        folder = Path(tempfile.mkdtemp(dir=Path(self.mktemp()).parent))
        text = (EXAMPLES / "proxy.tac").read_text()
        (folder / "proxy.tac").write_text(
            text.replace("8080", str(web)).replace("1080", str(proxy))
        )
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-noy", "proxy.tac", "--pidfile="]
        server = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        request = b"\x06\x00\x01" + web.to_bytes(2, "big") + b"\x01\x7f\x00\x00\x01\x00\x00"
        received = b""
        with connectWhenUp(proxy, server) as client:
            client.sendall(request + b"GET / HTTP/1.0\r\n\r\n")
            while octets := client.recv(65536):
                received += octets
        # Authentication Reply and Operation Reply (IPv4) take 6 and 10 octets.
        self.assertEqual(received[:7], bytes.fromhex("06000000000000"))
        self.assertIn(b"You came through", received[16:])


class IsolatedTests(SynchronousTestCase):
    """
    examples/isolated.py.
    """

    def test_oneSessionForEachPurpose(self) -> None:
        """
        What is fetched for one purpose is in one session, and nothing else is; the
        sessions are ended.
        """
        web = WebServer(self)
        names = ("news.example", "more.example", "bank.example")
        upstream = SOCKS5Server(self, dict.fromkeys(names, web.place))
        outbound = f"--outbound=socks5:127.0.0.1:{upstream.place[1]}"
        proxy = Twistd(self, "--port=0", outbound)
        news, more, bank = (web.url(host=name) for name in names)
        done = run(
            sys.executable,
            str(EXAMPLES / "isolated.py"),
            *("--proxy", f"tcp:127.0.0.1:{portOf(proxy)}"),
            *(f"news={news}", f"news={more}", f"bank={bank}", f"bank={news}"),
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        length = len(web.pages["/"][0])
        fetched = [("news", news), ("news", more), ("bank", bank), ("bank", news)]
        self.assertEqual(
            done.stdout.decode().splitlines(),
            [f"{purpose}: {url}: {length} octets" for purpose, url in fetched],
        )
        first, second, third, fourth = upstream.who
        self.assertEqual((first, third), (second, fourth))
        self.assertNotEqual(first, third)
        self.assertNotIn(None, upstream.who)
        proxy.waitFor(lambda: proxy.output().count(" - noop ") == 2, "they are not ended")


class PublishedTests(SynchronousTestCase):
    """
    examples/published.py.
    """

    def test_folderAtTheProxy(self) -> None:
        """
        The folder's files can be fetched from the proxy, by whoever does not know
        SOCKS, until the program is told to end.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "page").write_bytes(b"published\n")
        proxy = Twistd(self, "--port=0")
        example = str(EXAMPLES / "published.py")
        way = ("--proxy", f"tcp:127.0.0.1:{portOf(proxy)}")
        with running(sys.executable, example, *way, str(folder)) as process:
            assert process.stdout is not None
            url = process.stdout.readline().decode().strip()
            for _ in range(5):
                self.assertEqual(curl(self, f"{url}page").body, b"published\n")
            process.terminate()
            process.wait(30)
        proxy.waitFor(lambda: " - noop " in proxy.output(), "its session is not ended")
