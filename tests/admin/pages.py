"""
A proxy with a page, both in memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from socks6.admin.service import adminSite
from socks6.policy.sessions import SessionService
from tests.doubles import Peer
from tests.serving.lines import LineTestCase

HOST = b"127.0.0.1:8080"


@dataclass(frozen=True)
class Answer:
    """
    What the page's server says.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """
        Read the body.
        """
        return json.loads(self.body)


class PageTestCase(LineTestCase):
    """
    A test that asks for pages.

    @ivar store: Where the sessions are; L{None}: in memory.
    """

    store: Any = None

    def setUp(self) -> None:
        super().setUp()
        self.factory = self.makeFactory()
        self.sessions = SessionService(self.network, self.store)
        self.site = adminSite(self.network, self.factory, self.sessions, ["proxy.example"])

    def begin(
        self, target: str, method: str = "GET", host: bytes | None = HOST, **headers: str
    ) -> Peer:
        """
        Ask for something.

        @param headers: More headers; an underscore stands for a hyphen.
        """
        client = self.network.accept(self.site)
        lines = [f"{method} {target} HTTP/1.1".encode("ascii"), b"Connection: close"]
        if host is not None:
            lines.append(b"Host: " + host)
        for name, value in headers.items():
            lines.append(f"{name.replace('_', '-')}: {value}".encode("ascii"))
        client.send(b"\r\n".join(lines) + b"\r\n\r\n")
        return client

    def finish(self, client: Peer) -> Answer:
        """
        Read the answer.
        """
        self.network.spin()
        head, _, body = client.take().partition(b"\r\n\r\n")
        first, *rest = head.decode("ascii").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in rest)
        client.end()
        return Answer(int(first.split(" ")[1]), headers, body)

    def ask(self, target: str, method: str = "GET", **options: Any) -> Answer:
        """
        Ask for something, and read the answer.
        """
        return self.finish(self.begin(target, method, **options))

    def post(self, target: str, **headers: str) -> Answer:
        """
        Change something, as the page does.
        """
        return self.ask(target, "POST", Content_Type="application/json", **headers)

    def open(self) -> tuple[Peer, Peer]:
        """
        Connect a client of the proxy to a remote host.
        """
        client = self.network.accept(self.factory)
        client.send(b"please\n")
        remote = self.succeed()
        client.take()
        return client, remote
