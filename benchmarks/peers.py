"""
What is compared: how each proxy is started, and how its clients ask for a tunnel.

One that is not installed is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from laboratory import WORK

from socks6.values.address import Address
from socks6.values.codes import Command
from socks6.values.messages import Request
from socks6.wire import DEFAULT_CODEC

#: Where proxies listen; those that lead to one target only, a port for each.
PORT = 2000
TARGET_PORTS = {"echo": 7001, "sink": 7002, "source": 7003}
RELAY_PORTS = {"echo": 2000, "sink": 2001, "source": 2002}

#: The targets have several addresses, so that local ports do not run out.
TARGETS = [f"127.0.2.{number}" for number in range(1, 9)]

#: The octet that is said along with the request; see C{load.c}.
MESSAGE = b"x"

_TWISTD = str(Path(sys.executable).with_name("twistd"))
_SOCKS6 = (
    *(_TWISTD, "-n", "--pidfile=", "socks6", "--anonymous", "--allow-private"),
    "--udp-port=no",
    f"--port=tcp:{PORT}:interface=127.0.0.1",
)

_HAPROXY = """
global
  maxconn 6000
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option splice-request
  option splice-response
""" + "".join(
    f"listen {role}\n  bind 127.0.0.1:{port}\n  server s {TARGETS[0]}:{TARGET_PORTS[role]}\n"
    for role, port in RELAY_PORTS.items()
)

_DANTE = f"""
internal: 127.0.0.1 port = {PORT}
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 }}
"""


def socks5Steps(host: str, port: int) -> str:
    """
    Ask for a tunnel as SOCKS 5 does, in the words of C{load.c}.
    """
    where = IPv4Address(host).packed + port.to_bytes(2)
    return f"s:050100,x:0500,s:05010001{where.hex()},x:05000001{'..' * 6}"


def requestTo(host: str, port: int) -> bytes:
    """
    Write the shortest SOCKS 6 request for a tunnel.
    """
    request = Request(Command.CONNECT, Address(IPv4Address(host), port))
    return DEFAULT_CODEC.encodeRequest(request)


#: What follows a SOCKS 6 request: the Authentication Reply, and the Operation Reply.
_SOCKS6_REPLIES = "x:060000......:4,x:00....01............:8"


def socks6Steps(host: str, port: int) -> str:
    """
    Ask for a tunnel as SOCKS 6 does, and wait until it stands.
    """
    return f"s:{requestTo(host, port).hex()},{_SOCKS6_REPLIES}"


def earlySteps(host: str, port: int) -> str:
    """
    Ask for a tunnel as SOCKS 6 does, with the first message behind the request.
    """
    return f"s:{(requestTo(host, port) + MESSAGE).hex()},p,{_SOCKS6_REPLIES}"


@dataclass(frozen=True)
class Peer:
    """
    A proxy, or a way to use it.

    @ivar title: What people call it.
    @ivar words: How it is started; empty: clients and targets meet directly.
    @ivar steps: How its clients ask for a tunnel; L{None}: they need not.
    @ivar tests: Which tests it takes part in, by how their names begin.
    @ivar configuration: The file whose name is the last of C{words}.
    @ivar versionWords: What prints its version.
    @ivar isTalkative: Whether it writes a line for each connection, and cannot do without.
    """

    title: str
    words: tuple[str, ...] = ()
    steps: Callable[[str, int], str] | None = None
    tests: tuple[str, ...] = ("",)
    configuration: str = ""
    versionWords: tuple[str, ...] = ()
    isTalkative: bool = False

    @property
    def ports(self) -> list[int]:
        """
        Where it listens.
        """
        if self.steps is not None:
            return [PORT]
        return list(RELAY_PORTS.values()) if self.words else []

    def isInstalled(self) -> bool:
        """
        Tell whether it can be measured here.
        """
        return not self.words or shutil.which(self.words[0]) is not None

    def takesPart(self, test: str) -> bool:
        """
        Tell whether a test is for it.
        """
        return test.startswith(self.tests)

    def commandLine(self, name: str) -> list[str]:
        """
        Tell how to start it, once its configuration is written.

        @param name: Its own, among the files.
        """
        if not self.configuration:
            return list(self.words)
        file = WORK / f"{name}.conf"
        file.write_text(self.configuration)
        return [*self.words, str(file)]

    def output(self, name: str) -> Path:
        """
        Tell where it writes to.

        @param name: Its own, among the files.
        """
        return Path(os.devnull) if self.isTalkative else WORK / f"{name}.log"

    def routes(self, role: str) -> list[str]:
        """
        Tell clients how to get to a target, in the words of C{load.c}.
        """
        port = TARGET_PORTS[role]
        if self.steps is not None:
            return [f"127.0.0.1:{PORT}={self.steps(host, port)}" for host in TARGETS]
        if self.words:
            return [f"127.0.0.1:{RELAY_PORTS[role]}"]
        return [f"{host}:{port}" for host in TARGETS]

    def version(self) -> str:
        """
        Ask for its version.

        @return: The first line that it prints, or nothing.
        """
        if not self.versionWords:
            return ""
        done = subprocess.run(self.versionWords, capture_output=True, text=True, check=False)
        return (done.stdout.strip() or done.stderr.strip()).partition("\n")[0]


BULK, CONNECTIONS = ("down", "up"), ("connections",)

PEERS: Mapping[str, Peer] = {
    "direct": Peer("no proxy"),
    "haproxy": Peer(
        "haproxy, splicing",
        ("haproxy", "-db", "-f"),
        configuration=_HAPROXY,
        versionWords=("haproxy", "-v"),
    ),
    "dante": Peer(
        "dante",
        ("danted", "-f"),
        socks5Steps,
        configuration=_DANTE,
        versionWords=("danted", "-v"),
    ),
    "microsocks": Peer(
        "microsocks",
        ("microsocks", "-i", "127.0.0.1", "-p", str(PORT)),
        socks5Steps,
        versionWords=("dpkg-query", "-W", "microsocks"),
        isTalkative=True,
    ),
    "socks6": Peer("socks6", _SOCKS6, socks6Steps),
    "socks6-copying": Peer(
        "socks6 --no-splice", (*_SOCKS6, "--no-splice"), socks6Steps, tests=BULK
    ),
    "socks6-silent": Peer(
        "socks6, no log",
        (*_SOCKS6, "--access-log=off"),
        socks6Steps,
        tests=CONNECTIONS,
    ),
    "socks6-early": Peer("socks6, early data", _SOCKS6, earlySteps, tests=CONNECTIONS),
}
