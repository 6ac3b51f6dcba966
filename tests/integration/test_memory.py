"""
Tests of C{twistd socks6} where there is too little memory for all that its clients do.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from pathlib import Path
from unittest import skipUnless

from twisted.python.runtime import platform

from socks6.memory import RESERVE_SIZE
from tests.integration.crowd import raiseDescriptorLimit
from tests.integration.peers import (
    Place,
    accept,
    dial,
    encodeRequest,
    listen,
    openTunnel,
    placeOf,
    receiveUntilBroken,
)
from tests.integration.tunnels import TunnelMixin
from tests.integration.twistd import Twistd
from tests.integration.workers import CrewCase

KIBI = 1024
MEGA = 1024 * KIBI

#: What a host sends: more than is taken.
MUCH = bytes(MEGA)

#: At least so much of that is kept in the proxy's process.
KEPT = 64 * KIBI


def addressed(pid: int) -> int:
    """
    Tell how much memory a process can address, in octets.
    """
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cpuTime(pid: int) -> float:
    """
    Tell how many seconds of a processor's time a process has had.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2]
    user, system = stat.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def fill(sock: socket.socket) -> None:
    """
    Send as much as is taken at the moment.
    """
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while sock.send(MUCH):
            pass


@skipUnless(platform.isLinux(), "this system does not limit memory as Linux does")
class MemoryTests(TunnelMixin, CrewCase):
    """
    A proxy that may have little more memory than it has when nobody is there.
    """

    def setUp(self) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        raiseDescriptorLimit()

    def startSmall(self) -> tuple[Twistd, int]:
        """
        Start a proxy.

        @return: It, and how many octets it has left.
        """
        model = Twistd(self, "--port=0")
        model.places()
        needed = addressed(model.process.pid) + RESERVE_SIZE
        model.kill()
        # What is left free is in there.
        most = needed * 5 // 4 + 24 * MEGA
        command = f'ulimit -v {most // KIBI} && exec "$@"'
        path = self.folder() / "proxy"
        # Sockets of this kind keep little in the kernel.
        options = ["--port=0", f"--port=unix:{path}", "--no-splice", "--anonymous"]
        twistd = Twistd(self, *options, prefix=["sh", "-c", command, "sh"])
        return twistd, most - needed

    def test_full(self) -> None:
        """
        Clients who make it keep more than it may are refused, or cut, with few lines; it does
        not spin, another one's tunnel goes on, and when they have gone it serves again.
        """
        twistd, rest = self.startSmall()
        places = twistd.places()
        client, server = self.tunnelThrough(places[0])
        with listen(backlog=8) as listener:
            tunnels = []

            def come() -> socket.socket:
                """
                Open a tunnel.

                @return: The end that sends what the other one does not read.
                """
                near = dial(places[1])
                self.addCleanup(near.close)
                openTunnel(near, placeOf(listener))
                far = accept(listener)
                self.addCleanup(far.close)
                tunnels.append((near, far))
                return far

            # All are there before anybody sends much.
            for far in [come() for _ in range(rest // KEPT)]:
                fill(far)

            def isCut() -> bool:
                for _, far in tunnels:
                    fill(far)
                return " are kept for it and there is little memory" in twistd.output()

            twistd.waitFor(isCut, "nobody is cut")

            def isFull() -> bool:
                # It may be closed while it speaks.
                with contextlib.suppress(OSError, EOFError):
                    fill(come())
                return " is refused: " in twistd.output()

            twistd.waitFor(isFull, "nobody is refused")
        self.assertPasses(client, server)
        before = cpuTime(twistd.process.pid)
        time.sleep(1)
        self.assertLess(cpuTime(twistd.process.pid) - before, 0.5)
        self.assertPasses(client, server)

        for near, far in tunnels:
            near.close()
            far.close()
        for place in places:

            def isServed(place: Place = place) -> bool:
                with dial(place) as other:
                    other.sendall(encodeRequest("127.0.0.1", 1))
                    return bool(receiveUntilBroken(other))

            twistd.waitFor(isServed, "it does not recover")
            self.assertPasses(*self.tunnelThrough(place))
        self.assertPasses(client, server)
        self.assertNotIn("Traceback", twistd.output())
        self.assertLess(twistd.output().count("#warn]"), 40)
