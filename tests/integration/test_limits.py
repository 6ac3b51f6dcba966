"""
Tests for the limits of C{twistd socks6}, and for its end.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.certificates import Authority
from tests.integration.namespaces import Namespace
from tests.integration.peers import (
    DEADLINE,
    NOOP,
    accept,
    ask,
    dial,
    encodeRequest,
    listen,
    openTunnel,
    pattern,
    placeOf,
    receive,
    receiveReplies,
    receiveUntilBroken,
)
from tests.integration.tunnels import TunnelMixin
from tests.integration.twistd import Twistd
from tests.integration.workers import Crew, CrewCase

#: Longer than any test takes.
LONG = "--drain-timeout=600"


def clientHello() -> bytes:
    """
    Make what a TLS client says first.
    """
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(received, sent, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake with nobody")


def isEnded(sock: socket.socket) -> bool:
    """
    Tell whether the peer of a connection, which has sent nothing, has closed it.
    """
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def answerOf(sock: socket.socket) -> int | None:
    """
    Read what a request is answered with.

    @return: The reply's code; L{None}: the connection was closed.
    """
    try:
        return receiveReplies(sock).code
    except (ConnectionError, EOFError):
        return None


class DrainTestCase(TunnelMixin, CrewCase):
    """
    A test with tunnels through a proxy that stops.
    """

    def tunnel(self, twistd: Twistd) -> tuple[socket.socket, socket.socket]:
        """
        Open a tunnel.

        @return: The client's socket and the remote host's.
        """
        return self.tunnelThrough(twistd.places()[0])

    def assertEnded(self, twistd: Twistd) -> None:
        """
        Check that it ends as it should.
        """
        self.assertEqual(twistd.wait(), -signal.SIGTERM, twistd.output())
        self.assertNotIn("Traceback", twistd.output())


class DrainTests(DrainTestCase):
    """
    One process.
    """

    def test_tunnelEnds(self) -> None:
        """
        It listens no more, cuts who has no tunnel, and ends when the last tunnel has.
        """
        twistd = Twistd(self, "--port=0", LONG)
        client, server = self.tunnel(twistd)
        (place,) = twistd.places()
        with dial(place) as asking:
            asking.sendall(encodeRequest("127.0.0.1", 1)[:-1])
            twistd.process.send_signal(signal.SIGTERM)
            twistd.waitForLine("waiting up to 600 s for 1 tunnel to end")
            self.assertEqual(receiveUntilBroken(asking), b"")
        self.assertRaises(ConnectionRefusedError, dial, place)
        self.assertPasses(client, server)
        self.assertIsNone(twistd.process.poll())
        client.close()
        server.close()
        self.assertEnded(twistd)
        self.assertIn("all tunnels have ended", twistd.output())

    def test_hangUp(self) -> None:
        """
        Who tells it to reload meanwhile changes nothing.
        """
        twistd = Twistd(self, "--port=0", LONG)
        client, server = self.tunnel(twistd)
        twistd.process.send_signal(signal.SIGTERM)
        twistd.waitForLine("waiting up to 600 s for 1 tunnel to end")
        twistd.process.send_signal(signal.SIGHUP)
        self.assertPasses(client, server)
        client.close()
        server.close()
        self.assertEnded(twistd)

    def test_tooLate(self) -> None:
        """
        A tunnel that does not end in time is cut.
        """
        twistd = Twistd(self, "--port=0", "--drain-timeout=0.5")
        client, server = self.tunnel(twistd)
        began = time.monotonic()
        self.assertEqual(twistd.stop(), -signal.SIGTERM)
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        for sock in client, server:
            self.assertEqual(receiveUntilBroken(sock), b"")
        self.assertIn("1 tunnel cut", twistd.output())
        self.assertEnded(twistd)

    def test_secondSignal(self) -> None:
        """
        A second signal, of either kind, cuts the tunnels at once.
        """
        for second in signal.SIGTERM, signal.SIGINT:
            twistd = Twistd(self, "--port=0", LONG)
            client, server = self.tunnel(twistd)
            twistd.process.send_signal(signal.SIGTERM)
            twistd.waitForLine("waiting up to")
            twistd.process.send_signal(second)
            for sock in client, server:
                self.assertEqual(receiveUntilBroken(sock), b"")
            self.assertEnded(twistd)
            self.assertIn("1 tunnel cut", twistd.output())


class CrewDrainTests(DrainTestCase):
    """
    Several processes.
    """

    def crewWithTunnel(self) -> tuple[Crew, dict[int, int], socket.socket, socket.socket]:
        """
        Start a proxy, open a tunnel, and begin to stop.

        @return: It, its workers, and the tunnel's ends.
        """
        crew = self.crew("--port=0", LONG)
        pids = crew.waitUntilServing()
        client, server = self.tunnel(crew)
        # As systemd and terminals do: all of them at the same time.
        for pid in (*pids.values(), crew.process.pid):
            os.kill(pid, signal.SIGTERM)
        crew.waitForLine("waiting up to 600 s for 1 tunnel to end")
        return crew, pids, client, server

    def test_tunnelEnds(self) -> None:
        """
        All stop when the last tunnel has ended.
        """
        crew, pids, client, server = self.crewWithTunnel()
        self.assertPasses(client, server)
        client.close()
        server.close()
        self.assertEnded(crew)
        self.assertEnds(crew, pids)
        self.assertIn("all tunnels have ended", crew.output())

    def test_secondSignal(self) -> None:
        """
        A second signal to the process that looks after them cuts the tunnels at once.
        """
        crew, pids, client, server = self.crewWithTunnel()
        crew.process.send_signal(signal.SIGTERM)
        for sock in client, server:
            self.assertEqual(receiveUntilBroken(sock), b"")
        self.assertEnded(crew)
        self.assertEnds(crew, pids)

    def test_secondSignalToWorker(self) -> None:
        """
        A second signal to a worker cuts its tunnels at once.
        """
        crew, pids, client, server = self.crewWithTunnel()
        for pid in pids.values():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                # It had no tunnel, and has ended already.
                continue
        for sock in client, server:
            self.assertEqual(receiveUntilBroken(sock), b"")
        self.assertEnded(crew)
        self.assertEnds(crew, pids)


class KeepAliveTests(DrainTestCase):
    """
    Peers that vanish.
    """

    def test_cable(self) -> None:
        """
        When a cable is cut, silent tunnels end soon, whichever end was at the other side.
        """
        here, there = Namespace(self), Namespace(self)
        here.connect(there)
        path = str(self.folder() / "proxy")
        arguments = [f"--port=unix:{path}", "--port=tcp:1080:interface=192.0.2.1"]
        arguments += ["--anonymous", "--allow-private", "--keepalive=1"]
        twistd = Twistd(self, *arguments, prefix=here.prefix)
        twistd.places()

        with there.inside(lambda: socket.create_server(("192.0.2.2", 0))) as listener:
            listener.settimeout(DEADLINE)
            near = openTunnel(dial(path), listener.getsockname())
            self.addCleanup(near.close)
            self.addCleanup(accept(listener).close)
        with here.inside(listen) as listener:
            far = there.inside(lambda: dial(("192.0.2.1", 1080)))
            self.addCleanup(openTunnel(far, placeOf(listener)).close)
            server = accept(listener)
            self.addCleanup(server.close)

        there.ip("link set cable down")
        for sock in near, server:
            self.assertEqual(receiveUntilBroken(sock), b"")
        twistd.waitFor(lambda: twistd.output().count(" lost, ") == 2, "the tunnels do not end")


class BandwidthTests(DrainTestCase):
    """
    Octets that take their time.
    """

    def test_rate(self) -> None:
        """
        Each way takes as long as it should, with and without pipes and TLS, and all
        octets arrive.
        """
        authority = Authority(self.folder())
        twistd = Twistd(
            self,
            "--port=0",
            "--tls-port=0",
            f"--certificate={authority.server().path}",
            "--bandwidth-per-client=1M",
        )
        plain, encrypted = twistd.places()
        sent = pattern(2_000_000)
        context = authority.clientContext()
        for client in (
            dial(plain),
            context.wrap_socket(dial(encrypted), server_hostname="localhost"),
        ):
            with client, listen() as listener:
                openTunnel(client, placeOf(listener))
                with accept(listener) as server:
                    for source, destination in ((client, server), (server, client)):
                        began = time.monotonic()
                        with ThreadPoolExecutor(1) as pool:
                            sending = pool.submit(source.sendall, sent)
                            self.assertEqual(receive(destination, len(sent)), sent)
                            sending.result(DEADLINE)
                        # A quarter of a second may have been saved up; the rest is for
                        # what a read takes beyond that.
                        self.assertGreater(time.monotonic() - began, 1.5)


class ConnectionTests(DrainTestCase):
    """
    Connections that are too many, or say nothing.
    """

    def test_tooMany(self) -> None:
        """
        One connection more than there may be is closed at once; when another has gone,
        there is room again.
        """
        twistd = Twistd(self, "--port=0", "--max-connections=1")
        client, server = self.tunnel(twistd)
        (place,) = twistd.places()
        with dial(place) as other:
            self.assertEqual(receiveUntilBroken(other), b"")
        twistd.waitForLine("127.0.0.1 is refused: there are 1 connections")
        self.assertPasses(client, server)
        client.close()
        server.close()
        twistd.waitForLine(" closed, ")
        self.assertPasses(*self.tunnel(twistd))

    def test_handshakes(self) -> None:
        """
        Of handshakes, those of TLS included, the oldest goes when there are too many.
        """
        authority = Authority(self.folder())
        certificate = f"--certificate={authority.server().path}"
        twistd = Twistd(self, "--tls-port=0", certificate, "--max-handshakes=2")
        (place,) = twistd.places()
        with dial(place) as first, dial(place) as second, dial(place) as third:
            self.assertEqual(receiveUntilBroken(first), b"")
            context = authority.clientContext()
            for raw in second, third:
                with context.wrap_socket(raw, server_hostname="localhost") as client:
                    request = encodeRequest("0.0.0.0", 0, command=NOOP)
                    self.assertEqual(ask(client, request).code, 0)
        twistd.waitForLine("the oldest of 2 handshakes is dropped for a new one")
        self.assertNotIn("Traceback", twistd.output())

    def test_slowTLS(self) -> None:
        """
        Who takes too long for the handshake is cut off, wherever in it.
        """
        certificate = f"--certificate={Authority(self.folder()).server().path}"
        twistd = Twistd(self, "--tls-port=0", certificate, "--request-timeout=0.5")
        (place,) = twistd.places()
        hello = clientHello()
        for count in (0, 1, 5, 6, len(hello) - 1, len(hello)):
            with dial(place) as client:
                client.sendall(hello[:count])
                answer = receiveUntilBroken(client)
                self.assertEqual(bool(answer), count == len(hello))
        self.assertNotIn("Traceback", twistd.output())


class DescriptorTests(DrainTestCase):
    """
    A proxy that runs out of descriptors.
    """

    def startSmall(self, *arguments: str) -> Twistd:
        """
        Start a proxy that may have 64 of them.
        """
        prefix = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"]
        return Twistd(self, "--port=0", *arguments, prefix=prefix)

    def cpuTime(self, twistd: Twistd) -> float:
        """
        Tell how many seconds of a processor's time it has had.
        """
        stat = Path(f"/proc/{twistd.process.pid}/stat").read_text("ascii").rpartition(")")[2]
        user, system = stat.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def test_manyClients(self) -> None:
        """
        Clients that it has no descriptors for are refused, with few lines; then it waits
        for better times, and serves again.
        """
        twistd = self.startSmall("--request-timeout=600")
        (place,) = twistd.places()
        clients = []
        for _ in range(200):
            client = dial(place)
            self.addCleanup(client.close)
            clients.append(client)
        twistd.waitForLine("no connection can be accepted: Too many open files")
        twistd.waitFor(lambda: sum(map(isEnded, clients)) > 100, "they are not refused")
        before = self.cpuTime(twistd)
        time.sleep(1)
        self.assertLess(self.cpuTime(twistd) - before, 0.5)
        self.assertLess(sum(map(isEnded, clients)), 200)
        self.assertLess(twistd.output().count("can be accepted"), 50)
        for client in clients:
            client.close()
        twistd.waitFor(lambda: twistd.descriptors() < 40, "connections are not closed")
        self.assertPasses(*self.tunnel(twistd))
        self.assertNotIn("Traceback", twistd.output())

    def test_manyTunnels(self) -> None:
        """
        A request for which there is no descriptor is answered; tunnels do not suffer.
        """
        twistd = self.startSmall()
        client, server = self.tunnel(twistd)
        (place,) = twistd.places()
        codes = set()
        with listen() as listener:
            others = []
            for _ in range(60):
                other = dial(place)
                self.addCleanup(other.close)
                others.append(other)
                other.sendall(encodeRequest(*placeOf(listener)))
            for other in others:
                codes.add(answerOf(other))
        # Served; and no descriptor for the remote host, or none for the client.
        self.assertIn(codes, ({0, 1}, {0, None}, {0, 1, None}))
        self.assertPasses(client, server)
        for other in others:
            other.close()
        twistd.waitFor(lambda: twistd.descriptors() < 40, "connections are not closed")
        self.assertPasses(*self.tunnel(twistd))
        self.assertNotIn("Traceback", twistd.output())
