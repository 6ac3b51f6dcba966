"""
Tests for a web server's file through the proxy.

C{SOCKS6_FILE_SIZE=200000000 trial tests.integration.test_nginx} fetches a large
one.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.integration import requireProgram
from tests.integration.certificates import Authority
from tests.integration.peers import (
    DEADLINE,
    dial,
    encodePassword,
    encodeRequest,
    listen,
    placeOf,
    receive,
    receiveReply,
)
from tests.integration.twistd import Twistd

#: Octets of the file.
SIZE = int(os.environ.get("SOCKS6_FILE_SIZE", "20000000"))

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    proxy_temp_path {folder}/proxy;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    sendfile on;
    server {{
        listen 127.0.0.1:{port};
        root {folder};
    }}
}}
"""


class FetchTests(SynchronousTestCase):
    """
    A file arrives intact.
    """

    def setUp(self) -> None:
        self._program = requireProgram(self, "nginx")
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        digest = hashlib.sha256()
        with (self.folder / "file").open("wb") as file:
            left = SIZE
            while left:
                octets = os.urandom(min(left, 1_000_000))
                digest.update(octets)
                left -= file.write(octets)
        self.digest = digest.hexdigest()
        self.place = self._startNginx()

    def _startNginx(self) -> tuple[str, int]:
        """
        Start the web server.

        @return: Where it listens.
        """
        for _ in range(5):
            with listen() as listener:
                place = placeOf(listener)
            if self._listensAt(place):
                return place
        raise AssertionError("nginx does not start")

    def _listensAt(self, place: tuple[str, int]) -> bool:
        """
        Start the web server on a port that was free a moment ago.

        @return: Whether it still was.
        """
        configuration = self.folder / "configuration"
        text = CONFIGURATION.format(folder=self.folder, port=place[1])
        configuration.write_text(text, "ascii")
        server = subprocess.Popen(
            [self._program, "-c", str(configuration), "-e", "stderr"], stderr=subprocess.DEVNULL
        )
        self.addCleanup(server.wait, DEADLINE)
        self.addCleanup(server.kill)
        deadline = time.monotonic() + DEADLINE
        while server.poll() is None and time.monotonic() < deadline:
            try:
                dial(place).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return server.poll() is None
        return False

    def _fetch(self, client: socket.socket, admitted: bytes, options: bytes = b"") -> None:
        """
        Fetch the file, and check it.

        @param client: A connection to the proxy.
        @param admitted: The Authentication Reply to be expected.
        """
        query = b"GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        client.sendall(encodeRequest(*self.place, options) + query)
        self.assertEqual(receive(client, len(admitted)), admitted)
        self.assertEqual(receiveReply(client).code, 0)
        with client, client.makefile("rb") as answer:
            self.assertEqual(answer.readline(), b"HTTP/1.1 200 OK\r\n")
            while answer.readline() != b"\r\n":
                pass
            digest = hashlib.sha256()
            length = 0
            while octets := answer.read(1_000_000):
                digest.update(octets)
                length += len(octets)
        self.assertEqual(length, SIZE)
        self.assertEqual(digest.hexdigest(), self.digest)

    def test_fetch(self) -> None:
        """
        Over TCP and over TLS.
        """
        authority = Authority(self.folder)
        certificate = f"--certificate={authority.server().path}"
        plain, encrypted = Twistd(self, "--port=0", "--tls-port=0", certificate).places()
        admitted = bytes.fromhex("0600 00 00 0000")
        self._fetch(dial(plain), admitted)
        context = authority.clientContext()
        client = context.wrap_socket(dial(encrypted), server_hostname="localhost")
        self._fetch(client, admitted)

    def test_fetchWithPassword(self) -> None:
        """
        The same, where every client must show who it is.
        """
        authority = Authority(self.folder)
        users = self.folder / "users"
        users.write_text("alice:opensesame\n", "ascii")
        arguments = ["--port=0", "--tls-port=0", f"--auth=file:{users}"]
        arguments += [f"--certificate={authority.server().path}"]
        plain, encrypted = Twistd(self, *arguments).places()
        admitted = bytes.fromhex("0600 00 02 0000")
        option = encodePassword(b"alice", b"opensesame")
        self._fetch(dial(plain), admitted, option)
        context = authority.clientContext()
        client = context.wrap_socket(dial(encrypted), server_hostname="localhost")
        self._fetch(client, admitted, option)
