"""
Tests for the operator's page with a browser, and over real sockets.
"""

from __future__ import annotations

import json
import socket

from tests.integration import requireProgram
from tests.integration.browser import Browser
from tests.integration.chain import ChainTestCase, portOf
from tests.integration.peers import DEADLINE
from tests.integration.programs import curl
from tests.integration.test_chromium import FLAGS
from tests.integration.twistd import Twistd

#: A user whose name is to be text, and nothing but text.
USER = b"<img/src=x/onerror=alert(1)>"

#: What a browser's window is wide at least, and at a desk.
PHONE, DESK = 360, 1280


class AdminTestCase(ChainTestCase):
    """
    A test with a proxy and a tunnel.
    """

    def startProxy(self, *arguments: str) -> Twistd:
        """
        Start a proxy that has a page.
        """
        passwords = self.folder() / "passwords"
        passwords.write_bytes(USER + b":s3cret\n")
        proxy = Twistd(self, "--port=0", "--udp-port=no", f"--auth=file:{passwords}", *arguments)
        self.proxyPort = portOf(proxy, 0)
        return proxy

    def open(self) -> tuple[socket.socket, socket.socket]:
        """
        Connect through the proxy, in a session.

        @return: Both ends.
        """
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(DEADLINE)
            client = socket.create_connection(("127.0.0.1", self.proxyPort), DEADLINE)
            self.addCleanup(client.close)
            login = b"\1" + bytes([len(USER)]) + USER + b"\6s3cret"
            option = b"\3" + (4 + len(login)).to_bytes(2, "big") + b"\2" + login
            # A session is asked for, with a window of 16 tokens.
            options = option + bytes.fromhex("04000401 05000801 00000010")
            port = listening.getsockname()[1].to_bytes(2, "big")
            head = b"\6\0\1" + port + b"\1" + socket.inet_aton("127.0.0.1")
            client.sendall(head + len(options).to_bytes(2, "big") + options)
            remote, _ = listening.accept()
        self.addCleanup(remote.close)
        remote.settimeout(DEADLINE)
        return client, remote


class BrowserTests(AdminTestCase):
    """
    Chromium shows the page.
    """

    def setUp(self) -> None:
        super().setUp()
        program = requireProgram(self, "chromium")
        proxy = self.startProxy("--admin=0")
        self.url = f"http://127.0.0.1:{portOf(proxy, 1)}/"
        self.browser = Browser(self, program, FLAGS)

    def assertFits(self) -> None:
        """
        Check that nobody has to scroll sideways.
        """
        wide, window = self.browser.ask("[document.documentElement.scrollWidth, window.innerWidth]")
        self.assertLessEqual(wide, window)

    def test_page(self) -> None:
        """
        It shows a tunnel and its session, on a phone and at a desk; who it is cannot put
        anything into the page.  A click ends the one, after a question, and another click
        the other.
        """
        browser = self.browser
        client, remote = self.open()
        remote.sendall(b"x" * 5000)
        for width in (DESK, PHONE):
            browser.show(self.url, width)
            browser.waitUntil("document.querySelectorAll('#tunnels tr').length === 1")
            browser.waitUntil("document.querySelector('#tunnels').innerText.includes('4.9 KiB')")
            browser.waitUntil("document.querySelectorAll('#sessions tr').length === 1")
            self.assertFits()
        shown = browser.ask("document.querySelector('#tunnels').innerText")
        self.assertIn(USER.decode("ascii"), shown)
        self.assertEqual(browser.ask("document.querySelectorAll('img').length"), 0)
        # The plots move.
        browser.waitUntil("document.querySelector('.toClients[points]').points.length > 1")
        browser.click("#tunnels button")
        browser.waitUntil("document.querySelector('#question').open")
        self.assertFits()
        browser.click("#no")
        browser.waitUntil("!document.querySelector('#question').open")
        browser.click("#tunnels button")
        browser.waitUntil("document.querySelector('#question').open")
        browser.click("#yes")
        browser.waitUntil("document.querySelectorAll('#tunnels tr').length === 0")
        with self.assertRaises(ConnectionError):
            while remote.recv(65536):
                pass
            raise ConnectionError
        browser.click("#sessions button")
        browser.waitUntil("document.querySelector('#question').open")
        browser.click("#yes")
        browser.waitUntil("document.querySelectorAll('#sessions tr').length === 0")
        self.assertFits()
        client.close()
        self.assertEqual(browser.complaints, [])

    def test_filter(self) -> None:
        """
        Only what matches is listed.
        """
        self.open()
        browser = self.browser
        browser.show(self.url, DESK)
        browser.waitUntil("document.querySelectorAll('#tunnels tr').length === 1")
        for text, count in (("nobody", 0), ("IMG", 1)):
            browser.ask("filter = document.querySelector('#filter'); filter.select()")
            browser.ask("document.querySelector('#filter').focus()")
            browser.call("Input.insertText", text=text)
            browser.waitUntil(f"document.querySelectorAll('#tunnels tr').length === {count}")


class CurlTests(AdminTestCase):
    """
    curl asks.
    """

    def test_idle(self) -> None:
        """
        A tunnel's octets are counted while it lives, and how long it has been silent.
        """
        url = f"http://127.0.0.1:{portOf(self.startProxy('--admin=0'), 1)}/api/1/"
        client, remote = self.open()
        remote.sendall(b"x" * 700)
        received = b""
        while b"x" * 700 not in received:
            received += client.recv(65536)
        fetched = curl(self, f"{url}tunnels")
        (tunnel,) = json.loads(fetched.body)["tunnels"]
        self.assertEqual((tunnel["toRemote"], tunnel["toClient"]), (0, 700))
        self.assertLess(tunnel["idle"], DEADLINE)
        self.assertGreaterEqual(tunnel["idle"], 0)
        overview = json.loads(curl(self, f"{url}overview").body)
        self.assertEqual(overview["octets"], {"toRemote": 0, "toClients": 700})

    def test_unix(self) -> None:
        """
        On a UNIX socket, with a password.
        """
        folder = self.folder()
        path, file = folder / "admin", folder / "password"
        file.write_bytes(b"open sesame\n")
        self.startProxy(f"--admin=unix:{path}", f"--admin-password-file={file}").places()
        url = ("--unix-socket", str(path), "http://localhost/api/1/overview")
        self.assertEqual(curl(self, *url).code, 401)
        self.assertEqual(curl(self, "--user", "admin:open", *url).code, 401)
        fetched = curl(self, "--user", "admin:open sesame", *url)
        self.assertEqual(fetched.code, 200)
        self.assertEqual(json.loads(fetched.body)["connections"], {"open": 0, "total": 0})

    def test_taken(self) -> None:
        """
        A port that is taken keeps the proxy from starting, with one line.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            proxy = Twistd(self, "--port=0", f"--admin={taken.getsockname()[1]}")
            self.assertEqual(proxy.wait(), 1)
        self.assertIn("Couldn't listen on", proxy.lines()[-1])
        self.assertNotIn("Traceback", proxy.output())
