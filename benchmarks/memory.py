#!/usr/bin/env python3
"""
What clients can make the proxy keep for them, at worst.

Many clients do the same: say nothing, send as much as is taken for a host that never
answers, or never read what their host sends while it does not read either.  Then we look
at the memory of the proxy's process, without and with TLS::

    python benchmarks/memory.py --clients 500

C{docs/limits.rst} has what it should be at most.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from tests.integration.certificates import Authority  # noqa: E402
from tests.integration.peers import (  # noqa: E402
    DEADLINE,
    accept,
    encodeRequest,
    listen,
    openTunnel,
    placeOf,
)
from tests.integration.twistd import TWISTD, environment, listeningOf  # noqa: E402

#: Seconds until a proxy has taken what it takes.
CALM = 2.0

#: Octets that a peer's kernel holds, so that little is on its way outside of the proxy.
SMALL = 4096

#: Octets that a client tries to get rid of.
MUCH = bytes(2**20)

Dial = Callable[[], socket.socket]


@contextmanager
def proxy(folder: Path, ports: tuple[int, int], certificate: Path) -> Iterator[int]:
    """
    Run a proxy.

    @param ports: A port without TLS, and one with it.
    @return: Its process's number.
    """
    arguments = [f"--port={ports[0]}", f"--tls-port={ports[1]}", f"--certificate={certificate}"]
    arguments += ["--request-timeout=600", "--connect-timeout=600", "--udp-port=no"]
    with (folder / "log").open("wb") as log:
        program = subprocess.Popen(
            [*TWISTD, "socks6", *arguments, "--drain-timeout=0"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=environment(),
        )
    try:
        deadline = time.monotonic() + DEADLINE
        while not set(ports) <= listeningOf(program.pid):
            if time.monotonic() > deadline:
                raise TimeoutError((folder / "log").read_text("utf-8"))
            time.sleep(0.05)
        yield program.pid
    finally:
        program.kill()
        program.wait()


def memoryOf(pid: int) -> int:
    """
    Tell how much memory a process has, in octets.
    """
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def fill(sock: socket.socket) -> None:
    """
    Send as much as is taken at the moment.
    """
    sock.setblocking(False)
    try:
        while sock.send(MUCH):
            time.sleep(0)
    except (BlockingIOError, ssl.SSLWantWriteError):
        return


def deafPlace(stack: ExitStack) -> tuple[str, int]:
    """
    Make a port at which connecting never ends: its queue is full.
    """
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    host, port = listener.getsockname()
    for _ in range(3):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex((host, port))
    time.sleep(0.2)
    return host, port


def silent(stack: ExitStack, dial: Dial, count: int) -> None:
    """
    Connect, and say nothing.
    """
    for _ in range(count):
        stack.enter_context(dial())


def early(stack: ExitStack, dial: Dial, count: int) -> None:
    """
    Ask for a host that never answers, and send to it as much as is taken.
    """
    request = encodeRequest(*deafPlace(stack))
    clients = [stack.enter_context(dial()) for _ in range(count)]
    for client in clients:
        client.sendall(request)
    for _ in range(3):
        for client in clients:
            fill(client)
        time.sleep(0.3)


def stuck(stack: ExitStack, dial: Dial, count: int) -> None:
    """
    Open tunnels whose both ends send and do not read.
    """
    listener = stack.enter_context(listen(bufferSize=SMALL))
    ends = []
    for _ in range(count):
        client = stack.enter_context(openTunnel(dial(), placeOf(listener)))
        ends += [client, stack.enter_context(accept(listener))]
    for _ in range(5):
        for end in ends:
            fill(end)
        time.sleep(0.3)


def measure(count: int) -> None:
    """
    Print what one client costs, whatever it does.
    """
    with tempfile.TemporaryDirectory(prefix="socks6-") as name, ExitStack() as outer:
        folder = Path(name)
        authority = Authority(folder)
        certificate = authority.server().path
        context = authority.clientContext()
        holders = [outer.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        plain, encrypted = (holder.getsockname()[1] for holder in holders)
        for holder in holders:
            holder.close()

        def dial() -> socket.socket:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            sock.settimeout(DEADLINE)
            sock.connect(("127.0.0.1", plain))
            return sock

        def dialTLS() -> socket.socket:
            sock = socket.create_connection(("127.0.0.1", encrypted), DEADLINE)
            return context.wrap_socket(sock, server_hostname="localhost")

        for kind, way in (("plain", dial), ("TLS", dialTLS)):
            for task in (silent, early, stuck):
                with proxy(folder, (plain, encrypted), certificate) as pid, ExitStack() as stack:
                    # What is loaded with the first client.
                    openAndClose(way)
                    before = memoryOf(pid)
                    task(stack, way, count)
                    time.sleep(CALM)
                    each = (memoryOf(pid) - before) / count / 1024
                    print(f"{kind:6} {task.__name__:7} {each:8.1f} KiB each")


def openAndClose(dial: Dial) -> None:
    """
    Open a tunnel, and close it.
    """
    with listen() as listener, openTunnel(dial(), placeOf(listener)), accept(listener):
        time.sleep(0.1)


def main() -> None:
    """
    Read the command line.
    """
    parser = ArgumentParser(description="Measure what clients can make the proxy keep.")
    parser.add_argument("--clients", type=int, default=300)
    measure(parser.parse_args().clients)


if __name__ == "__main__":
    main()
