"""
The page, and the JSON under it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from socks6.admin.guard import isOfOurOwn, mayChange
from socks6.admin.snapshot import MOST, Object, Snapshots

#: Our files, by the path they have, and what they are.
FILES = {
    b"": ("page.html", b"text/html; charset=utf-8"),
    b"page.css": ("page.css", b"text/css; charset=utf-8"),
    b"page.js": ("page.js", b"text/javascript; charset=utf-8"),
}

#: The most digits of a number in a request.
_DIGITS = 15

_log = Logger()


class Problem(Exception):
    """
    A request cannot be served.

    @ivar status: The HTTP status that says so.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class FileResource(Resource):
    """
    One of our files.
    """

    isLeaf = True

    def __init__(self, name: str, kind: bytes) -> None:
        """
        @param name: The file's.
        @param kind: What it is, as HTTP says it.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._kind = kind
        self._content = (files("socks6.admin") / "static" / name).read_bytes()

    def render_GET(self, request: Any) -> bytes:
        """
        Give it.
        """
        request.setHeader(b"content-type", self._kind)
        return self._content


class APIResource(Resource):
    """
    Answers in JSON.
    """

    isLeaf = True

    def __init__(self, snapshots: Snapshots) -> None:
        """
        @param snapshots: Looks at the proxy.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._snapshots = snapshots

    def render(self, request: Any) -> int:
        """
        Do what a request asks for.
        """
        Deferred.fromCoroutine(self._serve(request)).addErrback(request.processingFailed)
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        """
        Do it, and answer.
        """
        try:
            status, answer = http.OK, await self._answer(request)
        except Problem as problem:
            status, answer = problem.status, {"error": str(problem)}
        body = json.dumps(answer).encode("ascii")
        request.setResponseCode(status)
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"content-length", b"%d" % len(body))
        request.write(body)
        request.finish()

    async def _answer(self, request: Any) -> Object:
        """
        Find out what is asked for, and do it.

        @raise Problem: That cannot be done.
        """
        if not isOfOurOwn(request):
            raise Problem(http.FORBIDDEN, "other sites may not ask")
        path = [part.decode("utf-8", "replace") for part in request.postpath]
        isEnd = len(path) == 3 and path[0] in ("tunnels", "sessions") and path[2] == "end"
        if not isEnd and (len(path) != 1 or path[0] not in ("overview", "tunnels", "sessions")):
            raise Problem(http.NOT_FOUND, "there is no such thing")
        allowed: Sequence[bytes] = (b"POST",) if isEnd else (b"GET", b"HEAD")
        if request.method not in allowed:
            request.setHeader(b"allow", b", ".join(allowed))
            raise Problem(http.NOT_ALLOWED, "the method is not allowed here")
        if not isEnd:
            return await self._show(path[0], request)
        if not mayChange(request):
            raise Problem(http.FORBIDDEN, "a change needs Content-Type: application/json")
        end: Callable[[int], None] = self._endTunnel if path[0] == "tunnels" else self._endSession
        end(_number(path[1]))
        return {"ended": True}

    async def _show(self, what: str, request: Any) -> Object:
        """
        Look at something.

        @raise Problem: The query makes no sense.
        """
        if what == "overview":
            return self._snapshots.overview()
        start, most = _asked(request, b"start", 0), _asked(request, b"limit", MOST)
        if what == "sessions":
            return self._snapshots.sessions(start, most)
        wanted = request.args.get(b"filter", [b""])[0].decode("utf-8", "replace")
        return await self._snapshots.tunnels(start, most, wanted)

    def _endTunnel(self, number: int) -> None:
        """
        End a tunnel.

        @raise Problem: There is none of that number.
        """
        found = self._snapshots.tunnel(number)
        if found is None:
            raise Problem(http.NOT_FOUND, "there is no such tunnel")
        protocol, description = found
        _log.info("The operator ends {tunnel}", tunnel=description)
        protocol.cut("ended by the operator")

    def _endSession(self, number: int) -> None:
        """
        End a session.

        @raise Problem: There is none of that number, or nobody knows.
        """
        store = self._snapshots.store
        if store is None:
            raise Problem(http.NOT_FOUND, "not listed by this store")
        if not store.end(number):
            raise Problem(http.NOT_FOUND, "there is no such session")
        _log.info("The operator has ended session {number}", number=number)


def _number(text: str) -> int:
    """
    Read a number.

    @raise Problem: It is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise Problem(http.BAD_REQUEST, "that is no number")
    return int(text)


def _asked(request: Any, name: bytes, default: int) -> int:
    """
    Read a number in the query.

    @raise Problem: It is none.
    """
    values = request.args.get(name)
    return default if not values else _number(values[0].decode("latin-1"))


def makeRoot(snapshots: Snapshots) -> Resource:
    """
    Make the tree of all that there is.
    """
    root = Resource()
    for path, (name, kind) in FILES.items():
        root.putChild(path, FileResource(name, kind))
    api = Resource()
    api.putChild(b"1", APIResource(snapshots))
    root.putChild(b"api", api)
    return root
