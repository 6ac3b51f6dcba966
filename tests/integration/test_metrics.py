"""
Tests for C{twistd socks6 --metrics}, which is read over HTTP.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.peers import (
    REFUSED,
    accept,
    ask,
    dial,
    encodePassword,
    encodeRequest,
    listen,
    placeOf,
    receive,
    receiveAll,
    refusingPlace,
)
from tests.integration.sharing import openSession, use
from tests.integration.test_twistd import NOOP_REQUEST, TwistdTestCase
from tests.integration.twistd import TWISTD, Local, Twistd
from tests.integration.workers import Crew, CrewCase

#: Makes a module look as if it were not installed.
_WITHOUT = (
    "import sys; sys.modules['prometheus_client'] = None;"
    " from twisted.scripts.twistd import run; run()"
)


class Metered(Twistd):
    """
    A proxy with metrics.
    """

    def metrics(self) -> dict[tuple[str, ...], float]:
        """
        Read them.

        @return: Values by names and labels.
        """
        place = self.places()[-1]
        with urlopen(f"http://{place[0]}:{place[1]}/metrics", timeout=30) as page:
            text = page.read().decode("utf-8")
        return {
            (sample.name, *sample.labels.values()): sample.value
            for metric in text_string_to_metric_families(text)
            for sample in metric.samples
        }


class MeteredLocal(Metered, Local):
    """
    The local proxifier with metrics.
    """


class MetricsTests(TwistdTestCase):
    """
    What is told while it works.
    """

    def test_counts(self) -> None:
        """
        Requests, sessions and the octets of a tunnel that is still open are told.
        """
        twistd = Metered(self, "--port=0", "--metrics=0")
        place, _ = twistd.places()
        use(place, openSession(place))
        use(place, b"nothing of ours")
        holder, refusing = refusingPlace()
        self.addCleanup(holder.close)
        with dial(place) as client:
            self.assertEqual(ask(client, encodeRequest(*refusing)).code, 5)
        client, server = self.tunnel(twistd)
        client.sendall(bytes(100_000))
        receive(server, 100_000)
        server.sendall(b"answer")
        receive(client, 6)
        found = twistd.metrics()
        for expected, name in (
            (100_000, ("socks6_octets_total", "to_remote")),
            (6, ("socks6_octets_total", "to_client")),
            (1, ("socks6_tunnels_open",)),
            (5, ("socks6_connections_total",)),
            (2, ("socks6_requests_total", "noop", "success")),
            (1, ("socks6_requests_total", "noop", "unanswered")),
            (1, ("socks6_requests_total", "connect", "connection refused")),
            (1, ("socks6_sessions_total", "opened")),
            (1, ("socks6_sessions_total", "resumed")),
            (1, ("socks6_sessions_total", "invalid")),
            (1, ("socks6_connect_seconds_count",)),
            (4, ("socks6_handshake_seconds_count",)),
        ):
            self.assertEqual(found[name], expected, name)
        self.assertGreater(found["process_open_fds",], 3)
        client.close()
        server.close()
        twistd.waitForLine(": closed, 100000 octets")
        after = twistd.metrics()
        self.assertEqual(after["socks6_octets_total", "to_remote"], 100_000)
        self.assertEqual(after["socks6_requests_total", "connect", "success"], 1)

    def test_passwords(self) -> None:
        """
        Wrong passwords are counted.
        """
        twistd = Metered(self, "--port=0", "--auth=memory:alice:opensesame", "--metrics=0")
        option = encodePassword(b"alice", b"letmein")
        with dial(twistd.places()[0]) as client:
            client.sendall(encodeRequest("0.0.0.0", 0, option, 0))
            self.assertEqual(receiveAll(client), REFUSED)
        self.assertEqual(twistd.metrics()["socks6_authentication_failures_total",], 1)

    def test_local(self) -> None:
        """
        The local proxifier tells the same.
        """
        proxy = Twistd(self, "--port=0")
        url = f"--proxy=socks6://127.0.0.1:{proxy.places()[0][1]}"
        local = MeteredLocal(self, "--port=0", url, "--metrics=0")
        with listen() as listener, socket.socket() as program:
            host, port = placeOf(listener)
            program.connect(local.places()[0])
            program.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode("ascii"))
            self.assertIn(b" 200 ", program.recv(1000))
            accept(listener).close()
            self.assertEqual(receiveAll(program), b"")
        local.waitForLine(" connect ")
        self.assertEqual(
            local.metrics()["socks6_requests_total", "connect", "success"], 1, local.output()
        )

    def test_portInUse(self) -> None:
        """
        Somebody else listens there: then the proxy does not start, and says so in one
        line.
        """
        with listen() as listener:
            port = str(placeOf(listener)[1])
            twistd = Twistd(self, "--port=0", f"--metrics={port}")
            self.assertEqual(twistd.wait(), 1)
        self.assertIn(f":{port}: ", twistd.output())
        self.assertNotIn("Traceback", twistd.output())

    def test_missing(self) -> None:
        """
        Without C{prometheus_client} the proxy works, but has no metrics.
        """
        runner = [sys.executable, "-c", _WITHOUT, *TWISTD[3:]]
        twistd = Twistd(self, "--port=0", "--metrics=0", runner=runner)
        self.assertEqual(twistd.wait(), 1)
        self.assertEqual(
            twistd.output(),
            "twistd socks6: --metrics needs prometheus_client: pip install 'socks6[metrics]'\n",
        )
        twistd = Twistd(self, "--port=0", runner=runner)
        with dial(twistd.places()[0]) as client:
            self.assertEqual(ask(client, NOOP_REQUEST).code, 0)


class MeteredCrew(Metered, Crew):
    """
    A proxy of several processes with metrics.
    """


class WorkersTests(CrewCase):
    """
    The metrics of several processes.
    """

    def test_summed(self) -> None:
        """
        They are added, and what one has counted stays when it has ended.
        """
        store = f"--sessions=sqlite:../{self.folder().name}/sessions"
        crew = MeteredCrew(self, "--workers=2", store, "--metrics=0", "--port=0")
        pids = crew.waitUntilServing()
        place, _ = crew.places()
        for number in (1, 2):
            with crew.only(number), dial(place) as client:
                self.assertEqual(ask(client, NOOP_REQUEST).code, 0)
        name = ("socks6_requests_total", "noop", "success")
        crew.waitFor(lambda: crew.metrics().get(name) == 2, "not all is reported")
        os.kill(pids[1], signal.SIGKILL)
        crew.waitUntilServing((2, 1))
        self.assertEqual(crew.metrics()[name], 2)
