#!/usr/bin/env python3
"""
What a datagram costs the proxy, plain and with DTLS.

A proxy runs in a process of its own; client and remote host are this one.  First as many
datagrams as it takes, never more than some on their way: how many pass in a second, and
how much of a processor's time each takes in the proxy.  Then as many as a sender makes of
100 Mbit/s who does not care: how many are lost.  Run it on a machine that does nothing
else and has two processors::

    python benchmarks/datagrams.py
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from socks6.dtls import clientConversation, newContext
from socks6.values.address import UNSPECIFIED_IPV4, addressFromText
from socks6.values.codes import Command
from socks6.values.messages import DatagramHeader, Request
from socks6.wire import DRAFT_06

#: Datagrams on their way, so that none is lost.
WINDOW = 128

#: Bits of payload in a second, of a sender who does not care.
RATE = 100e6

_LOOPBACK = "127.0.0.1"
_BUFFER = 4 * 2**20
_TICKS = os.sysconf("SC_CLK_TCK")
_TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
_PORT = re.compile(r"(UDP|DTLS) port 127\.0\.0\.1:([0-9]+)|starting on ([0-9]+)")


class Way(Protocol):
    """
    How the client talks to the proxy.
    """

    def send(self, datagram: bytes) -> None:
        """
        Send a datagram.
        """

    def receive(self) -> int:
        """
        Take what has come.

        @return: How many datagrams that were.
        """


def openUDP() -> socket.socket:
    """
    Open a socket of the loopback address.
    """
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    handle.bind((_LOOPBACK, 0))
    handle.setblocking(False)
    return handle


def take(handle: socket.socket) -> Iterator[bytes]:
    """
    Take what has come.
    """
    while True:
        try:
            yield handle.recv(65536)
        except BlockingIOError:
            return


class Plain:
    """
    By UDP.
    """

    def __init__(self, port: int) -> None:
        """
        @param port: Where the proxy takes datagrams.
        """
        self.handle = openUDP()
        self.handle.connect((_LOOPBACK, port))

    def send(self, datagram: bytes) -> None:
        """
        Send a datagram.
        """
        self.handle.send(datagram)

    def receive(self) -> int:
        """
        Take what has come.
        """
        return sum(1 for _ in take(self.handle))


class Encrypted:
    """
    With DTLS.
    """

    def __init__(self, port: int) -> None:
        """
        Shake hands.

        @param port: Where the proxy speaks DTLS.
        """
        self.handle = openUDP()
        self.handle.connect((_LOOPBACK, port))
        self._conversation = clientConversation(newContext())
        self._conversation.start()
        while not self._conversation.isEstablished:
            self._flush()
            select.select([self.handle], [], [], 1.0)
            self.receive()

    def _flush(self) -> None:
        """
        Send what there is to send.
        """
        for datagram in self._conversation.outgoing():
            self.handle.send(datagram)

    def send(self, datagram: bytes) -> None:
        """
        Send a datagram.
        """
        self._conversation.send(datagram)
        self._flush()

    def receive(self) -> int:
        """
        Take what has come.
        """
        return sum(1 for each in take(self.handle) for _ in self._conversation.receive(each))


class Association:
    """
    An association, and the remote host at its other end.
    """

    def __init__(self, tcpPort: int, way: Way) -> None:
        """
        Begin it.
        """
        self._way = way
        self._remote = openUDP()
        self._connection = socket.create_connection((_LOOPBACK, tcpPort))
        request = Request(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4)
        self._connection.sendall(DRAFT_06.encodeRequest(request))
        octets = b""
        while len(octets) < 20:
            octets += self._connection.recv(20 - len(octets))
        self._relay = (_LOOPBACK, int.from_bytes(octets[7:9], "big"))
        remote = addressFromText(*self._remote.getsockname())
        identifier = int.from_bytes(octets[16:20], "big")
        self._header = DRAFT_06.encodeDatagramHeader(DatagramHeader(identifier, remote))
        self.sendUp(b"first")
        self._connection.recv(1)
        while not self.receiveUp():
            select.select([self._remote], [], [])

    def close(self) -> None:
        """
        End it.
        """
        self._connection.close()
        self._remote.close()

    def sendUp(self, payload: bytes) -> None:
        """
        Send from the client to the remote host.
        """
        self._way.send(self._header + payload)

    def receiveUp(self) -> int:
        """
        Take what has come to the remote host.
        """
        return sum(1 for _ in take(self._remote))

    def sendDown(self, payload: bytes) -> None:
        """
        Send from the remote host to the client.
        """
        self._remote.sendto(payload, self._relay)

    def receiveDown(self) -> int:
        """
        Take what has come to the client.
        """
        return self._way.receive()


def certificate(folder: Path) -> Path:
    """
    Make a certificate, and its key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextmanager
def runningProxy() -> Iterator[tuple[int, dict[str, int]]]:
    """
    Run a proxy.

    @return: Its process, and its ports.
    """
    with tempfile.TemporaryDirectory() as name, (Path(name) / "log").open("w+b") as log:
        arguments = ["-n", "--pidfile=", "socks6", "--port=0", "--udp-port=0", "--dtls-port=0"]
        process = subprocess.Popen(
            [*_TWISTD, *arguments, f"--certificate={certificate(Path(name))}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        )
        try:
            ports: dict[str, int] = {}
            while len(ports) < 3:
                time.sleep(0.1)
                found = _PORT.findall(Path(log.name).read_text("utf-8"))
                ports = {kind or "TCP": int(port or tcp) for kind, port, tcp in found}
                if process.poll() is not None:
                    raise SystemExit(Path(log.name).read_text("utf-8"))
            yield process.pid, ports
        finally:
            process.kill()
            process.wait()


def processorSeconds(pid: int) -> float:
    """
    Tell how much of a processor's time a process has taken.
    """
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def flood(
    send: Callable[[bytes], None], receive: Callable[[], int], payload: bytes, count: int
) -> int:
    """
    Send as many datagrams as pass.

    @return: How many have passed.
    """
    sent = received = 0
    last = time.perf_counter()
    while received < count:
        while sent < count and sent - received < WINDOW:
            send(payload)
            sent += 1
        came = receive()
        received += came
        now = time.perf_counter()
        if came:
            last = now
        elif now - last > 1.0:
            # The rest is lost.
            break
    return received


def stream(
    send: Callable[[bytes], None], receive: Callable[[], int], payload: bytes, count: int
) -> int:
    """
    Send datagrams at a rate, whatever becomes of them.

    @return: How many have passed.
    """
    sent = received = 0
    perSecond = RATE / 8 / len(payload)
    began = time.perf_counter()
    while sent < count:
        due = min(count, int((time.perf_counter() - began) * perSecond))
        while sent < due:
            send(payload)
            sent += 1
        received += receive()
    end = time.perf_counter() + 1.0
    while received < count and time.perf_counter() < end:
        received += receive()
    return received


def measure(count: int, streamed: int, size: int) -> None:
    """
    Measure everything.
    """
    payload = os.urandom(size)
    print(f"datagrams of {size} octets of payload")
    print(f"{'':>14} {'per second':>12} {'us of CPU':>10} {'lost':>8} {'at 100 Mbit/s, lost':>20}")
    with runningProxy() as (pid, ports):
        ways: list[tuple[str, Way]] = [
            ("plain", Plain(ports["UDP"])),
            ("DTLS", Encrypted(ports["DTLS"])),
        ]
        for kind, way in ways:
            association = Association(ports["TCP"], way)
            for direction, send, receive in (
                ("up", association.sendUp, association.receiveUp),
                ("down", association.sendDown, association.receiveDown),
            ):
                flood(send, receive, payload, count // 10)
                cpu, began = processorSeconds(pid), time.perf_counter()
                passed = flood(send, receive, payload, count)
                seconds = time.perf_counter() - began
                cpu = processorSeconds(pid) - cpu
                through = stream(send, receive, payload, streamed)
                print(
                    f"{kind + ', ' + direction:>14} {passed / seconds:12,.0f}"
                    f" {cpu / passed * 1e6:10.1f} {1 - passed / count:8.2%}"
                    f" {1 - through / streamed:20.3%}"
                )
            association.close()


def main() -> None:
    """
    Read the command line, and measure.
    """
    parser = ArgumentParser(description="Measure what datagrams cost the proxy.")
    parser.add_argument("--count", type=int, default=100_000, help="datagrams as fast as they pass")
    parser.add_argument("--streamed", type=int, default=50_000, help="datagrams at 100 Mbit/s")
    parser.add_argument("--size", type=int, default=1200, help="octets of payload")
    arguments = parser.parse_args()
    measure(arguments.count, arguments.streamed, arguments.size)


if __name__ == "__main__":
    main()
