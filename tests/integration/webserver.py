"""
A web server in threads of this process.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from unittest import TestCase

from tests.integration.peers import DEADLINE


@dataclass(frozen=True)
class Visit:
    """
    A request that has been answered.

    @ivar fields: The header, with names in lower case.
    @ivar digest: SHA-256 of the body.
    """

    method: str
    target: str
    fields: Mapping[str, str]
    digest: str


class WebServer:
    """
    The server, which ends with the test.

    It gives what is in C{pages}; whoever sends a body gets its hash in return.

    @ivar pages: Bodies and their types, by target.
    @ivar visits: All requests, in the order in which they were answered.
    @ivar place: Where it listens.
    """

    def __init__(
        self,
        testCase: TestCase,
        host: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
    ) -> None:
        """
        @param context: How TLS is spoken, if it is.
        """
        self.pages: dict[str, tuple[bytes, str]] = {"/": (b"here I am\n", "text/plain")}
        self.visits: list[Visit] = []
        site = self

        class Handler(_Handler):
            """
            Knows the site.
            """

            webServer = site

        class Server(ThreadingHTTPServer):
            """
            Does not ask who it is.
            """

            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """
                Browsers leave as they like.
                """

        server = Server((host, 0), Handler)
        if context is not None:
            # The handshake is done when the first octet is read, in a thread.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.place: tuple[str, int] = (host, server.server_address[1])
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        testCase.addCleanup(thread.join, DEADLINE)
        testCase.addCleanup(server.server_close)
        testCase.addCleanup(server.shutdown)

    def url(self, target: str = "/", host: str | None = None, scheme: str = "http") -> str:
        """
        Write the URL of a page.

        @param host: What the server is called.
        """
        host = self.place[0] if host is None else host
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self.place[1]}{target}"


class _Handler(BaseHTTPRequestHandler):
    """
    Answers requests.
    """

    protocol_version = "HTTP/1.1"
    timeout = DEADLINE
    webServer: WebServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as its base
        """
        Say nothing.
        """

    def do_GET(self) -> None:
        """
        Give a page.
        """
        self._visited(b"")
        body, kind = self.webServer.pages.get(self.path, (b"", ""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """
        Take a body.
        """
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = self._visited(body).encode("ascii")
        self.send_response(200)
        self.send_header("Content-Length", str(len(digest)))
        self.end_headers()
        self.wfile.write(digest)

    do_POST = do_PUT

    def _chunk(self) -> bytes:
        """
        Read a chunk; the last one is empty.
        """
        chunk = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return chunk

    def _visited(self, body: bytes) -> str:
        """
        Take note of a request.

        @return: The hash of its body.
        """
        digest = hashlib.sha256(body).hexdigest()
        fields = {name.lower(): value for name, value in self.headers.items()}
        assert self.command is not None
        self.webServer.visits.append(Visit(self.command, self.path, fields, digest))
        return digest
