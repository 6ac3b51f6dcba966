"""
Tests of TCP Fast Open, in network namespaces whose kernel allows it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.namespaces import Namespace
from tests.integration.peers import (
    ADMITTED,
    DEADLINE,
    Reply,
    accept,
    ask,
    dial,
    encodeRequest,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
)
from tests.integration.test_tos import Capture
from tests.integration.twistd import Twistd

_MSG_FASTOPEN = 0x20000000

#: A bit that C{TCP_INFO} has for data that came, or was acknowledged, with the SYN.
_SYN_DATA = 0x20

#: The command BIND.
_BIND = 2


def wish(size: int = 0) -> bytes:
    """
    Write a TFO option.
    """
    return bytes.fromhex("01 0007 84 01") + size.to_bytes(2, "big")


def hadSYNData(sock: socket.socket) -> bool:
    """
    Tell whether a connection began with data in its SYN.
    """
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & _SYN_DATA)


class FastOpenTestCase(SynchronousTestCase):
    """
    A test in a network whose kernel allows Fast Open to clients and servers.
    """

    def setUp(self) -> None:
        self.network = Namespace(self)
        self.network.set("ipv4/tcp_fastopen", 3)
        # Older kernels give it up for an hour after a reset at a bad moment.
        self.network.set("ipv4/tcp_fastopen_blackhole_timeout_sec", 0)
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "proxy")

    def start(self, *arguments: str) -> Twistd:
        """
        Start a proxy in the network, and wait until it listens.
        """
        proxy = Twistd(self, *arguments, prefix=self.network.prefix)
        proxy.places()
        return proxy

    def listen(self) -> socket.socket:
        """
        Listen in the network, with Fast Open.
        """
        listener = self.network.inside(listen)
        self.addCleanup(listener.close)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        return listener

    def open(self, place: tuple[str, int], octets: bytes) -> socket.socket:
        """
        Connect in the network, with data in the SYN as soon as the kernel knows the
        cookie.
        """
        sock = self.network.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        self.addCleanup(sock.close)
        sent = sock.sendto(octets, _MSG_FASTOPEN, place)
        sock.settimeout(DEADLINE)
        sock.sendall(octets[sent:])
        return sock


class ListenerTests(FastOpenTestCase):
    """
    The proxy's own ports.
    """

    def _second(self, *arguments: str, port: int = 1080) -> bool:
        """
        Connect twice, so that there can be a cookie the second time.

        @return: Whether the second request came in the SYN.
        """
        self.start("--port", str(port), *arguments)
        for _ in range(2):
            client = self.open(("127.0.0.1", port), encodeRequest("127.0.0.1", 9, command=0))
            self.assertEqual(receive(client, len(ADMITTED)), ADMITTED)
        return hadSYNData(client)

    def test_accepted(self) -> None:
        """
        A request in the SYN is answered.
        """
        self.assertTrue(self._second())
        self.assertTrue(self._second("--fast-open", port=1081))

    def test_off(self) -> None:
        """
        It can be turned off; such a client is served in the ordinary way.
        """
        self.assertFalse(self._second("--no-fast-open"))

    def test_notAllowed(self) -> None:
        """
        Where the kernel does not allow it, there is none, and no complaint, except to
        those who insist.
        """
        self.network.set("ipv4/tcp_fastopen", 1)
        self.assertFalse(self._second())
        insisting = Twistd(self, "--port=1081", "--fast-open", prefix=self.network.prefix)
        self.assertEqual(insisting.wait(), 1)
        (line,) = insisting.output().splitlines()
        self.assertIn("--fast-open: the kernel does not allow it", line)


class ConnectTests(FastOpenTestCase):
    """
    The leg to the remote host.
    """

    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.start("--port", f"unix:{self.path}")
        self.listener = self.listen()

    def ask(self, options: bytes, data: bytes) -> tuple[Reply, socket.socket, socket.socket]:
        """
        Ask for the listener, with data behind the request.

        @return: The reply, the client's connection and the remote host's.
        """
        client = dial(self.path)
        self.addCleanup(client.close)
        reply = ask(client, encodeRequest(*placeOf(self.listener), options) + data)
        server = accept(self.listener)
        self.addCleanup(server.close)
        return reply, client, server

    def check(self, options: bytes, data: bytes) -> bool:
        """
        Check that data arrive, once, and the answer, too.

        @return: Whether they began in the SYN.
        """
        reply, client, server = self.ask(options, data)
        self.assertEqual((reply.code, reply.options), (0, b""))
        client.sendall(b" more")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(server), data + b" more")
        server.sendall(b"answer")
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(client), b"answer")
        line = self.proxy.waitForLine(f" {len(data) + 5} octets to the remote host, ")
        self.assertIn(" 6 to the client", line)
        return hadSYNData(server)

    def test_wish(self) -> None:
        """
        Data leave in the SYN when the request has the option, as soon as the kernel
        knows the cookie; they arrive in order, once, whether there is a cookie or not.
        """
        self.assertFalse(self.check(wish(), b"hello"))
        self.assertTrue(self.check(wish(), b"hello"))

    def test_noWish(self) -> None:
        """
        They do not if it does not have it, even if the kernel knows the cookie.
        """
        self.check(wish(), b"hello")
        self.assertFalse(self.check(b"", b"hello"))
        self.assertTrue(self.check(wish(), b"hello"))

    def test_noData(self) -> None:
        """
        A request without data gets a cookie for the next.
        """
        self.assertFalse(self.check(wish(), b""))
        self.assertTrue(self.check(wish(), b"hello"))

    def test_muchData(self) -> None:
        """
        What does not fit follows.
        """
        self.check(wish(), b"hello")
        self.assertTrue(self.check(wish(), pattern(50_000)))

    def test_size(self) -> None:
        """
        No more leaves in the SYN than the option says.
        """
        self.check(wish(3), b"hello")
        capture = self.network.inside(lambda: Capture(self))
        self.assertTrue(self.check(wish(3), b"hello"))
        port = self.listener.getsockname()[1]
        first = [each for each in capture.packets() if each.syn and each.destination == port]
        self.assertEqual([each.length for each in first], [3])

    def test_forgotten(self) -> None:
        """
        A server that does not know its cookie any more gets the data all the same.
        """
        self.check(wish(), b"hello")
        self.network.set("ipv4/tcp_fastopen_key", "-".join(["01234567"] * 4))
        self.listener.close()
        self.listener = self.listen()
        self.assertFalse(self.check(wish(), b"hello"))

    def test_notAllowed(self) -> None:
        """
        Where the kernel does not let clients do it, all is as ever.
        """
        self.network.set("ipv4/tcp_fastopen", 2)
        self.assertFalse(self.check(wish(), b"hello"))
        self.assertFalse(self.check(wish(), b"hello"))

    def test_refused(self) -> None:
        """
        Success is reported only when the connection stands: a refusal is one, though
        data have left in the SYN.
        """
        self.check(wish(), b"hello")
        self.check(wish(), b"hello")
        place = placeOf(self.listener)
        self.listener.close()
        with dial(self.path) as client:
            reply = ask(client, encodeRequest(*place, wish()) + b"hello")
            self.assertEqual(reply.code, 5)
            self.assertEqual(receiveAll(client), b"")

    def test_otherAddress(self) -> None:
        """
        Where the first address of a name refuses, the next gets all data.
        """
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        hosts = Path(self.path).with_name("hosts")
        hosts.write_text("127.0.0.2 several.example\n127.0.0.1 several.example\n", "ascii")
        path = str(Path(self.path).with_name("other"))
        prefix = [*self.network.prefix, "sh", "-c", script, str(hosts)]
        Twistd(self, "--port", f"unix:{path}", prefix=prefix).places()
        port = self.listener.getsockname()[1]
        for _ in range(2):
            with dial(path) as client:
                reply = ask(client, encodeRequest("several.example", port, wish()) + b"hello")
                self.assertEqual(reply.code, 0)
                with accept(self.listener) as server:
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual(receiveAll(server), b"hello")


class BindTests(FastOpenTestCase):
    """
    Ports that the proxy opens for clients.
    """

    def _second(self, options: bytes) -> bool:
        """
        Have two ports opened, and connect to them with data in the SYN if the kernel
        lets it in.

        @return: Whether the second connection had it there.
        """
        for _ in range(2):
            client = dial(self.path)
            self.addCleanup(client.close)
            reply = ask(client, encodeRequest("127.0.0.1", 0, options, _BIND))
            self.assertEqual(reply.code, 0)
            host = self.open(("127.0.0.1", reply.port), b"hello")
            self.assertEqual(self._operationReply(client), 0)
            self.assertEqual(receive(client, 5), b"hello")
        return hadSYNData(host)

    @staticmethod
    def _operationReply(client: socket.socket) -> int:
        """
        Read the second Operation Reply.

        @return: Its code.
        """
        code, *_, high, low = receive(client, 10)
        receive(client, high << 8 | low)
        return code

    def test_wish(self) -> None:
        """
        They accept data in the SYN if the request has the option, and only then.
        """
        self.start("--port", f"unix:{self.path}", "--bind-address", "127.0.0.1")
        self.assertTrue(self._second(wish()))
        self.assertFalse(self._second(b""))
