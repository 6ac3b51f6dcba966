"""
Tests for the access log of C{twistd socks6} and C{twistd socks6-local}.
"""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

from tests.integration.peers import (
    NOOP,
    ask,
    dial,
    encodeRequest,
    placeOf,
    refusingPlace,
)
from tests.integration.sharing import openSession
from tests.integration.test_twistd import TwistdTestCase
from tests.integration.twistd import Local, Twistd
from tests.integration.workers import CrewCase

NOOP_REQUEST = encodeRequest("0.0.0.0", 0, command=NOOP)


def ended(twistd: Twistd, path: Path, count: int) -> list[str]:
    """
    Wait until a file has so many lines, and read them.
    """

    def happened() -> bool:
        return path.exists() and path.read_text("ascii").count("\n") >= count

    twistd.waitFor(happened, f"{path} has not got its lines")
    return path.read_text("ascii").splitlines()


class FileTests(TwistdTestCase):
    """
    The log in a file of its own.
    """

    def test_text(self) -> None:
        """
        Each request is a line, which does not wait for others; Twisted's log has none.
        """
        path = self.folder() / "access"
        twistd = Twistd(self, "--port=0", f"--access-log={path}")
        client, server = self.tunnel(twistd)
        client.sendall(b"question")
        client.close()
        server.close()
        (line,) = ended(twistd, path, 1)
        time, words = line.split(" ", 1)
        self.assertRegex(time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertIn(" - connect 127.0.0.1:", words)
        self.assertNotIn(" connect ", twistd.output())

    def test_json(self) -> None:
        """
        So it is as JSON, whether the request went well or not; a tunnel that is open when
        the proxy stops has its line as well.
        """
        path = self.folder() / "access"
        twistd = Twistd(self, "--port=0", f"--access-log={path}", "--log-format=json")
        (place,) = twistd.places()
        openSession(place)
        holder, (host, port) = refusingPlace()
        self.addCleanup(holder.close)
        with dial(place) as client:
            ask(client, encodeRequest(host, port))
        ended(twistd, path, 2)
        self.tunnel(twistd)
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        found: list[dict[str, Any]] = [json.loads(each) for each in ended(twistd, path, 3)]
        self.assertEqual(
            [(each["command"], each["result"], each["session"], each["tls"]) for each in found],
            [
                ("noop", "success", True, False),
                ("connect", found[1]["result"], False, False),
                ("connect", "aborted", False, False),
            ],
        )
        self.assertIn("refused", found[1]["result"])

    def test_renamed(self) -> None:
        """
        After the file has been renamed, new lines go to a new one; none is lost.
        """
        path = self.folder() / "access"
        twistd = Twistd(self, "--port=0", f"--access-log={path}")
        (place,) = twistd.places()
        with dial(place) as client:
            ask(client, NOOP_REQUEST)
        ended(twistd, path, 1)
        old = path.with_suffix(".1")
        path.rename(old)
        asked = 1

        def goesOn() -> bool:
            nonlocal asked
            with dial(place) as client:
                ask(client, NOOP_REQUEST)
            asked += 1
            return path.exists() and path.stat().st_size > 0

        twistd.waitFor(goesOn, "there is no new file")
        twistd.stop()
        lines = [each.read_text("ascii").splitlines() for each in (old, path)]
        self.assertEqual(len(lines[0]) + len(lines[1]), asked)

    def test_standardOutput(self) -> None:
        """
        The lines may go to standard output.
        """
        twistd = Twistd(self, "--port=0", "--access-log=-", "--log-format=json")
        with dial(twistd.places()[0]) as client:
            ask(client, NOOP_REQUEST)
        twistd.waitForLine('"command": "noop"')
        (line,) = [each for each in twistd.output().splitlines() if '"noop"' in each]
        self.assertEqual(json.loads(line)["result"], "success")

    def test_local(self) -> None:
        """
        The local proxifier has such a log, too.
        """
        path = self.folder() / "access"
        twistd = Twistd(self, "--port=0")
        arguments = [f"--proxy=socks6://127.0.0.1:{twistd.places()[0][1]}"]
        arguments += [f"--access-log={path}", "--log-format=json"]
        local = Local(self, "--port=0", *arguments)
        with socket.create_server(("127.0.0.1", 0)) as server:
            host, port = placeOf(server)
            with dial(local.places()[0]) as client:
                client.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode("ascii"))
                self.assertIn(b" 200 ", client.recv(1000))
        (line,) = ended(local, path, 1)
        self.assertEqual(json.loads(line)["destination"], f"{host}:{port}")


class WorkersTests(CrewCase):
    """
    The log of several processes.
    """

    def test_shared(self) -> None:
        """
        All write whole lines into one file.
        """
        path = self.folder() / "access"
        crew = self.crew("--port=0", f"--access-log={path}", "--log-format=json")
        (place,) = crew.places()
        crew.waitUntilServing()
        for number in (1, 2):
            with crew.only(number), dial(place) as client:
                ask(client, NOOP_REQUEST)
        found = [json.loads(each) for each in ended(crew, path, 2)]
        self.assertEqual([each["command"] for each in found], ["noop", "noop"])
