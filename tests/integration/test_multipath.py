"""
Tests of Multipath TCP, where the kernel has it.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from socks6.multipath import multipathSocket, whyNoMultipath
from tests.integration.peers import (
    DEADLINE,
    NOOP,
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
from tests.integration.twistd import Twistd

_TCP_IS_MPTCP = 43

#: The command BIND.
_BIND = 2

#: The option that reports Multipath TCP on the leg to the remote host.
REPORT = bytes.fromhex("01 0005 84 02")


class MultipathTests(SynchronousTestCase):
    """
    C{twistd socks6 --mptcp}.
    """

    def setUp(self) -> None:
        reason = whyNoMultipath()
        if reason is not None:
            self.skipTest(f"no Multipath TCP: {reason}")

    def start(self, *arguments: str) -> Twistd:
        """
        Start a proxy.
        """
        return Twistd(self, "--port", "tcp:0:interface=127.0.0.1", *arguments)

    def dial(self, place: tuple[str, int]) -> socket.socket:
        """
        Connect with Multipath TCP, if the other side speaks it.
        """
        sock = multipathSocket(socket.AF_INET)
        self.addCleanup(sock.close)
        sock.settimeout(DEADLINE)
        sock.connect(place)
        return sock

    def listen(self) -> socket.socket:
        """
        Listen with Multipath TCP.
        """
        listener = multipathSocket(socket.AF_INET)
        self.addCleanup(listener.close)
        listener.settimeout(DEADLINE)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener

    def assertMultipath(self, sock: socket.socket, expected: bool) -> None:
        """
        Check whether a connection is Multipath TCP.
        """
        self.assertEqual(sock.getsockopt(socket.IPPROTO_TCP, _TCP_IS_MPTCP), expected)

    def test_clients(self) -> None:
        """
        Clients speak it with the proxy if both do; others are served, too, also at a UNIX
        socket.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        path = str(Path(folder.name) / "proxy")
        noop = encodeRequest("0.0.0.0", 0, command=NOOP)
        for arguments, expected in (((), False), (("--mptcp", "--port", f"unix:{path}"), True)):
            place = self.start(*arguments).places()[0]
            assert not isinstance(place, str)
            client = self.dial(place)
            self.assertEqual(ask(client, noop).code, 0)
            self.assertMultipath(client, expected)
            with dial(place) as plain:
                self.assertEqual(ask(plain, noop).code, 0)
        with dial(path) as client:
            self.assertEqual(ask(client, noop).code, 0)

    def test_remoteHost(self) -> None:
        """
        The proxy speaks it with remote hosts that do, and says so, but only if it really
        is so.
        """
        spoken, plain = self.listen(), listen()
        self.addCleanup(plain.close)
        for arguments, listener, report in (
            (("--mptcp",), spoken, REPORT),
            (("--mptcp",), plain, b""),
            ((), spoken, b""),
        ):
            (place,) = self.start(*arguments).places()
            with dial(place) as client:
                reply = ask(client, encodeRequest(*placeOf(listener)))
                self.assertEqual((reply.code, reply.options), (0, report))
                with accept(listener) as server:
                    self.assertMultipath(server, bool(report))

    def test_octets(self) -> None:
        """
        Octets pass, many of them both ways, until each direction has ended.
        """
        (place,) = self.start("--mptcp").places()
        assert not isinstance(place, str)
        octets = pattern(3_000_000)
        listener = self.listen()
        client = self.dial(place)
        ask(client, encodeRequest(*placeOf(listener)))
        with accept(listener) as server:
            client.sendall(octets[:1000])
            self.assertEqual(receive(server, 1000), octets[:1000])
            server.sendall(octets[:1000])
            self.assertEqual(receive(client, 1000), octets[:1000])
            for sender, receiver in ((client, server), (server, client)):
                done = self._send(sender, octets)
                self.assertEqual(receiveAll(receiver), octets)
                done.join(DEADLINE)

    def _send(self, sock: socket.socket, octets: bytes) -> threading.Thread:
        """
        Send octets and end the direction, in a thread.
        """

        def send() -> None:
            sock.sendall(octets)
            sock.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        return thread

    def test_refused(self) -> None:
        """
        A refusal has its reply code.
        """
        (place,) = self.start("--mptcp").places()
        with listen() as listener:
            closed = placeOf(listener)
        with dial(place) as client:
            self.assertEqual(ask(client, encodeRequest(*closed)).code, 5)

    def test_bind(self) -> None:
        """
        So do ports that clients bind, and the second reply says so.
        """
        (place,) = self.start("--mptcp").places()
        with dial(place) as client:
            reply = ask(client, encodeRequest("127.0.0.1", 0, command=_BIND))
            self.assertEqual((reply.code, reply.options), (0, b""))
            host = self.dial(("127.0.0.1", reply.port))
            self.assertEqual(receive(client, 10)[8:], len(REPORT).to_bytes(2, "big"))
            self.assertEqual(receive(client, len(REPORT)), REPORT)
            self.assertMultipath(host, True)
            host.sendall(b"hello")
            self.assertEqual(receive(client, 5), b"hello")
