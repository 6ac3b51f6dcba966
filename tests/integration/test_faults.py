"""
Tests for networks and servers that fail: the tunnels of others do not notice.

The proxy runs in a network namespace.  Good peers come over a UNIX socket, and go to a
server in that same namespace.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from threading import Thread

from tests.integration.badcable import BadCable
from tests.integration.namespaces import Namespace
from tests.integration.peers import (
    DEADLINE,
    Place,
    accept,
    dial,
    echo,
    encodeRequest,
    exchange,
    listen,
    openTunnel,
    pattern,
    placeOf,
    receiveAll,
    receiveUntilBroken,
)
from tests.integration.test_namespaces import NamespaceTestCase
from tests.integration.twistd import CHECKOUT, Twistd, environment

#: Octets that pass through a tunnel at a time.
PAYLOAD = pattern(300_000)


class FaultTestCase(NamespaceTestCase):
    """
    A test with tunnels that must not suffer.
    """

    def startProxy(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Twistd:
        """
        Start the proxy, at a UNIX socket and at port 1080 of all addresses.
        """
        proxy = Twistd(
            self,
            f"--port=unix:{self._path}",
            "--port=tcp:1080",
            "--anonymous",
            "--allow-private",
            *arguments,
            prefix=[*self.here.prefix, *prefix],
        )
        self.place: Place = proxy.places()[0]
        return proxy

    def serve(self, where: Namespace, host: str, connections: int = 1) -> tuple[str, int]:
        """
        Send back what comes, in a namespace.

        @return: Where.
        """
        listener = where.inside(lambda: listen(host))
        self.addCleanup(listener.close)
        thread = Thread(target=echo, args=(listener, connections), daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        return placeOf(listener)

    def openGood(self) -> socket.socket:
        """
        Open the tunnel of somebody who has nothing to do with what fails.
        """
        client = dial(self.place)
        self.addCleanup(client.close)
        return openTunnel(client, self.serve(self.here, "127.0.0.1"))

    def checkTunnel(self, tunnel: socket.socket) -> None:
        """
        See that a tunnel passes octets both ways, unchanged.
        """
        self.assertTrue(exchange(tunnel, PAYLOAD, len(PAYLOAD)) == PAYLOAD)

    def endTunnel(self, tunnel: socket.socket) -> None:
        """
        See that it ends as its peers want it to.
        """
        tunnel.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(tunnel), b"")


class CableTests(FaultTestCase):
    """
    Cables that lose packets, and that are cut.
    """

    def test_lossDelayReorder(self) -> None:
        """
        Where packets get lost, take long and overtake one another, on both sides of the
        proxy, all octets arrive, in order.  Others have their octets meanwhile.
        """
        left, right = Namespace(self), Namespace(self)
        bad = {"loss": 0.02, "delay": 0.002, "jitter": 0.01}
        cables = (
            BadCable(self, (left, self.here), "198.51.100.", **bad),
            BadCable(self, (self.here, right), "203.0.113.", **bad),
        )
        self.startProxy()
        good = self.openGood()
        target = self.serve(right, "203.0.113.2")
        client = left.inside(lambda: dial(("198.51.100.2", 1080)))
        self.addCleanup(client.close)
        openTunnel(client, target)
        found: list[bytes] = []

        def pass_() -> None:
            found.append(exchange(client, PAYLOAD, len(PAYLOAD)))

        passing = Thread(target=pass_)
        passing.start()
        rounds = 0
        while passing.is_alive() or not rounds:
            self.checkTunnel(good)
            rounds += 1
        passing.join()
        self.assertTrue(found == [PAYLOAD])
        self.endTunnel(client)
        self.endTunnel(good)
        for cable in cables:
            self.assertGreater(cable.lost, 0)
            self.assertGreater(cable.overtaken, 0)

    def test_cut(self) -> None:
        """
        A tunnel whose cable is cut ends by the idle time-out; one that is busy does not
        notice.
        """
        far = Namespace(self)
        cable = BadCable(self, (self.here, far))
        proxy = self.startProxy("--idle-timeout=4")
        good = self.openGood()
        listener = far.inside(lambda: listen("198.51.100.2"))
        self.addCleanup(listener.close)
        client = openTunnel(dial(self.place), placeOf(listener))
        self.addCleanup(client.close)
        host = accept(listener)
        self.addCleanup(host.close)
        client.sendall(b"before")
        self.assertEqual(host.recv(100), b"before")
        cable.cut()
        client.sendall(b"behind")
        ended: list[bytes] = []
        waiting = Thread(target=lambda: ended.append(receiveUntilBroken(client)))
        waiting.start()
        while waiting.is_alive():
            self.checkTunnel(good)
            waiting.join(0.2)
        self.assertEqual(ended, [b""])
        self.checkTunnel(good)
        self.endTunnel(good)
        self.assertIn("198.51.100.2", proxy.waitForLine("idle"))

    def test_dead(self) -> None:
        """
        So does a request for a host behind the cut: it fails in time.
        """
        far = Namespace(self)
        BadCable(self, (self.here, far)).cut()
        self.startProxy("--connect-timeout=2")
        good = self.openGood()
        client = dial(self.place)
        self.addCleanup(client.close)
        client.sendall(encodeRequest("198.51.100.2", 80))
        self.checkTunnel(good)
        # Admitted, and then: timed out.
        self.assertEqual(receiveAll(client)[6], 9)
        self.checkTunnel(good)
        self.endTunnel(good)


class LyingNameServerTests(FaultTestCase):
    """
    A name server that answers with anything.
    """

    def test_lies(self) -> None:
        """
        What it says fails the requests that ask for names, in time, and no others.
        """
        server = subprocess.Popen(
            [*self.here.prefix, sys.executable, "-m", "tests.integration.lyingserver"],
            cwd=CHECKOUT,
            env=environment(),
            stdout=subprocess.PIPE,
        )
        self.addCleanup(server.wait, DEADLINE)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.addCleanup(server.stdout.close)
        self.assertEqual(server.stdout.readline(), b"listening\n")
        configuration = self._path.with_name("resolv.conf")
        configuration.write_text(
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", encoding="ascii"
        )
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        proxy = self.startProxy(
            "--connect-timeout=5", prefix=("sh", "-c", script, str(configuration))
        )
        good = self.openGood()
        clients = [dial(self.place) for _ in range(12)]
        for number, client in enumerate(clients):
            self.addCleanup(client.close)
            client.sendall(encodeRequest(f"host{number}.example.org", 9))
        self.checkTunnel(good)
        for client in clients:
            # Whatever it is, it is a failure: nobody listens anywhere.
            self.assertGreater(receiveAll(client)[6], 0)
        self.checkTunnel(good)
        self.endTunnel(good)
        self.assertNotIn("Traceback", proxy.output())
