#!/usr/bin/env python3
"""
Random peers against a live proxy, with honest ones among them::

    python benchmarks/soak.py --seconds 600 --seed 7

The honest ones check every octet; the others do anything at any moment.  The proxy is
asked now and then what there is in it, and when all have gone everything must be as it
was: descriptors, delayed calls, objects, and, but for a little, memory.  Its log must tell
of no fault of ours, and of each honest tunnel what the peer has counted.

What goes wrong is printed, and the exit status is 1.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import traceback
from argparse import ArgumentParser
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from soakends import Ends
from soakpeers import HONEST, Field, anybody

from tests.integration.certificates import Authority

HERE = Path(__file__).resolve().parent

#: Seconds that the proxy may take to answer, and to forget all clients.
PATIENCE = 90.0

#: Seconds between two looks at the proxy.
INTERVAL = 10.0

#: Octets that it may grow by between the first quiet moment and the last.
GROWTH = 24 * 2**20

#: The part of the time in which it makes what is made once.
WARM_UP = 0.2

#: The part of the peers that are honest.
HONESTY = 0.35

#: Who limits what takes time: so that nothing that was left behind lasts long.
OPTIONS = (
    *("--port=0", "--tls-port=0", "--auth=memory:soak:secret"),
    # Honest peers and others share an address.
    "--auth-failures=0",
    *("--request-timeout=10", "--connect-timeout=10", "--idle-timeout=20"),
    *("--session-timeout=15", "--bind-timeout=20", "--udp-idle-timeout=10"),
)

#: How much more there may be at last: one call looks after sessions that nobody has ended.
ALLOWED = {"descriptors": 0, "delayed": 1, "connections": 0}

#: What the store keeps of sessions until it looks for those that are over.
SESSIONS = (
    "socks6.interfaces.SessionRecord",
    "socks6.machine.tokens.TokenWindow",
    "socks6.policy.stores.memory._Kept",
)

_LISTENING = re.compile(r"(?:starting on |port 127\.0\.0\.1:)(\d+)")
_TUNNEL = re.compile(
    r"\S*?:(\d+) \S+ connect \S+: [^,]*, (\d+) octets to the remote host, (\d+) to the client"
)
_FAULT = re.compile(r"Traceback|Unhandled|CRITICAL|Error: .*\(most recent")


class Proxy:
    """
    The proxy, in a process of its own.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        """
        Start it.

        @param folder: Where its log goes.
        """
        self._log = folder / "log"
        self._log.touch()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "soakproxy.py"), str(self._log), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ports(self, count: int) -> list[int]:
        """
        Wait until it listens on so many ports, in the order of the options.
        """
        until = time.monotonic() + PATIENCE
        while True:
            found = [int(port) for port in _LISTENING.findall(self.log())]
            if len(found) >= count:
                return found
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the proxy does not listen:\n{self.log()}")
            time.sleep(0.05)

    def log(self) -> str:
        """
        Read all that it has logged.
        """
        return self._log.read_text("utf-8")

    def inventory(self) -> dict[str, Any]:
        """
        Ask it what there is in it.

        @raise RuntimeError: It does not answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the proxy has ended:\n{self.log()[-5000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """
        Let it end.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


class Soak:
    """
    The peers and what was found.

    @ivar faults: What went wrong, in words.
    """

    def __init__(self, field: Field, proxy: Proxy, seed: int, atOnce: int) -> None:
        """
        @param atOnce: How many peers there are at a time.
        """
        self.field = field
        self.faults: list[str] = []
        self._proxy = proxy
        self._seed = seed
        self._atOnce = atOnce
        self._peers = 0

    def _work(self, over: Event) -> None:
        """
        Be one peer after the other.
        """
        while not over.is_set():
            with self.field.lock:
                self._peers += 1
                number = self._peers
            dice = Random(f"{self._seed}, {number}")
            honest = dice.random() < HONESTY
            try:
                if honest:
                    dice.choice(HONEST)(self.field, dice)
                else:
                    anybody(self.field, dice)
            except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
                kind = "honest" if honest else "other"
                self.faults.append(f"{kind} peer {number}:\n{traceback.format_exc()}")

    def run(self, seconds: float) -> None:
        """
        Let peers come and go.
        """
        over = Event()
        threads = [Thread(target=self._work, args=(over,)) for _ in range(self._atOnce)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        try:
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(INTERVAL, left))
                self._look()
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _look(self) -> None:
        """
        See how the proxy is while it works.
        """
        found = self._proxy.inventory()
        print(
            f"{self.field.counts['connections']} connections so far; now"
            f" {found['connections']}, {found['descriptors']} descriptors,"
            f" {found['delayed']} delayed calls, {found['memory'] / 2**20:.0f} MiB",
            flush=True,
        )

    def quiet(self, before: dict[str, Any] | None) -> dict[str, Any]:
        """
        Wait until the proxy has forgotten all peers.

        @param before: What there was in it once before.
        @return: What there is in it.
        """
        until = time.monotonic() + PATIENCE
        while True:
            found = self._proxy.inventory()
            excess = self._excess(before, found)
            if not excess or time.monotonic() > until:
                self.faults += excess
                return found
            time.sleep(0.5)

    def _excess(self, before: dict[str, Any] | None, found: dict[str, Any]) -> list[str]:
        """
        Say what there is more of than there was.
        """
        if before is None:
            return [f"{found['connections']} connections"] if found["connections"] else []
        faults = [
            f"{what}: {found[what]}, were {before[what]}"
            for what, more in ALLOWED.items()
            if found[what] > before[what] + more
        ]
        grown = Counter(found["objects"]) - Counter(before["objects"])
        for kind in SESSIONS:
            del grown[kind]
        return [*faults, *(f"{count} more of {kind}" for kind, count in grown.items())]

    def checkLog(self) -> None:
        """
        Compare the proxy's log with what the peers know.
        """
        log = self._proxy.log()
        fault = _FAULT.search(log)
        if fault is not None:
            self.faults.append(f"in the log: {log[max(0, fault.start() - 500) :][:5000]}")
        logged = Counter(
            (int(port), int(sent), int(back)) for port, sent, back in _TUNNEL.findall(log)
        )
        missing = self.field.tunnels - logged
        if missing:
            self.faults.append(f"not so in the log: {missing.most_common(5)}")
        if not self.field.tunnels:
            self.faults.append("no honest tunnel at all")
        self.field.count("tunnels found in the log", (self.field.tunnels & logged).total())


def soak(seconds: float, seed: int, atOnce: int, log: Path | None = None) -> list[str]:
    """
    Do it all.

    @param log: Where a copy of the proxy's log goes.

    @return: What went wrong.
    """
    with TemporaryDirectory(prefix="socks6-soak-") as name:
        folder = Path(name)
        authority = Authority(folder)
        certificate = f"--certificate={authority.server().path}"
        more = ("--udp-port=127.0.0.1:0", "--dtls-port=127.0.0.1:0", certificate)
        proxy = Proxy(folder, *OPTIONS, *more)
        with closing(proxy):
            plain, tls, udp, dtls = (("127.0.0.1", port) for port in proxy.ports(4))
            field = Field(plain, tls, udp, dtls, authority.clientContext(), Ends())
            peers = Soak(field, proxy, seed, atOnce)
            first = proxy.inventory()
            peers.run(seconds * WARM_UP)
            warm = peers.quiet(None)
            # Sessions that were left behind are among what is to be forgotten.
            peers.run(seconds * (1 - WARM_UP))
            last = peers.quiet(first)
            peers.checkLog()
            if log is not None:
                log.write_text(proxy.log(), "utf-8")
            grown = last["memory"] - warm["memory"]
            if grown > GROWTH:
                peers.faults.append(f"memory grew by {grown / 2**20:.1f} MiB")
        _report(field, first, warm, last)
        return peers.faults


def _report(field: Field, *inventories: dict[str, Any]) -> None:
    """
    Print the figures.
    """
    for what, count in sorted(field.counts.items()):
        print(f"{what}: {count}")
    for when, found in zip(("at first", "warmed up", "at last"), inventories, strict=True):
        kept = {what: found[what] for what in ("descriptors", "delayed", "connections")}
        print(f"{when}: {kept}, {found['memory'] / 2**20:.1f} MiB")


def main() -> None:
    """
    Read the command line, and do it.
    """
    parser = ArgumentParser(description="Random peers against a live proxy.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", type=int, default=24, help="how many at a time")
    parser.add_argument("--log", type=Path, help="where a copy of the proxy's log goes")
    arguments = parser.parse_args()
    faults = soak(arguments.seconds, arguments.seed, arguments.peers, arguments.log)
    for fault in faults[:20]:
        print(f"WRONG: {fault}")
    print(f"{len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
