#!/usr/bin/env python3
"""
How fast tunnels are, beside those of other proxies.

Bulk with 1 and 8 streams either way, connections a second, and round trips of 64
octets.  The proxies take turns, so that the machine's moods hit all of them; what is
to be compared are the ratios within a round.  Needs what L{laboratory} needs::

    python benchmarks/tunnels.py --rounds 5 --seconds 1
"""

from __future__ import annotations

import json
import random
import subprocess
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from laboratory import (
    LOAD_CORE,
    Namespace,
    Program,
    about,
    busySeconds,
    loadProgram,
    prepare,
    save,
)
from peers import PEERS, TARGET_PORTS, Peer

#: Seconds before each measurement that do not count.
WARMUP = 0.3

#: CPU that others may use while we measure, as a share of a core; beyond it, the
#: measurement is done again, at most so often, and the quietest counts.
FOREIGN = 0.12


@dataclass(frozen=True)
class Test:
    """
    What is measured.

    @ivar mode: What the clients do; see C{load.c}.
    @ivar role: What they reach.
    @ivar clients: How many there are.
    @ivar size: Octets of a message.
    """

    mode: str
    role: str
    clients: int
    size: int = 1


TESTS: Mapping[str, Test] = {
    "down1": Test("down", "source", 1),
    "down8": Test("down", "source", 8),
    "up1": Test("up", "sink", 1),
    "up8": Test("up", "sink", 8),
    "connections16": Test("connections", "echo", 16),
    "connections64": Test("connections", "echo", 64),
    "echo1": Test("echo", "echo", 1, 64),
    "echo64": Test("echo", "echo", 64, 64),
}


class Place:
    """
    A proxy in a namespace, or a namespace without one.
    """

    def __init__(self, name: str, peer: Peer) -> None:
        """
        Start the proxy.

        @raise RuntimeError: It does not start.
        """
        self._peer = peer
        self._program: Program | None = None
        self._namespace = Namespace(name)
        if peer.words:
            try:
                self._program = Program(
                    self._namespace, peer.commandLine(name), peer.ports, peer.output(name)
                )
            except BaseException:
                self._namespace.close()
                raise

    def close(self) -> None:
        """
        End the proxy.
        """
        if self._program is not None:
            self._program.close()
        self._namespace.close()

    def cpuSeconds(self) -> float:
        """
        Tell how much CPU the proxy has used so far.
        """
        return 0.0 if self._program is None else self._program.cpuSeconds()

    @property
    def program(self) -> Program:
        """
        The proxy.
        """
        assert self._program is not None
        return self._program

    def load(self, mode: str, role: str, *options: str) -> subprocess.Popen[str]:
        """
        Let clients loose.

        @param options: Further ones of C{load.c}.
        """
        words = [loadProgram(), mode, "--target", f"{role}:0.0.0.0:{TARGET_PORTS[role]}"]
        for route in self._peer.routes(role):
            words += ["--route", route]
        return subprocess.Popen(
            self._namespace.inside("taskset", "-c", str(LOAD_CORE), *words, *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def measure(self, test: Test, seconds: float) -> dict[str, Any]:
        """
        Measure once.

        @return: A row of the results.
        """
        load = self.load(
            test.mode,
            test.role,
            *("--clients", str(test.clients), "--size", str(test.size)),
            *("--seconds", str(seconds), "--warmup", str(WARMUP)),
        )
        assert load.stderr is not None
        # When it begins, and when it ends.
        readings = [(self.cpuSeconds(), busySeconds()) for _ in load.stderr]
        output, _ = load.communicate()
        if load.returncode or len(readings) != 2:
            raise RuntimeError(f"the load failed: {load.args!r}")
        found = json.loads(output)
        cpu, busy = (after - before for before, after in zip(*readings, strict=True))
        elapsed = found["seconds"]
        work = found["octets"] / 1e9 if test.role != "echo" else found["done"]
        return {
            # MB/s, or how often a second.
            "rate": round(work / elapsed * (1000 if test.role != "echo" else 1), 1),
            # Seconds for a GB, or microseconds for each.
            "cost": round(cpu / work * (1 if test.role != "echo" else 1e6), 3) if work else None,
            "median": found["median"],
            "slowest": found["slowest"],
            "failed": found["failed"],
            "proxy": round(cpu / elapsed, 3),
            "load": round(found["cpu"] / elapsed, 3),
            "foreign": round((busy - cpu - found["cpu"]) / elapsed, 3),
        }


def quietest(place: Place, test: Test, seconds: float, repeats: int) -> dict[str, Any]:
    """
    Measure, and again if others used the machine meanwhile.
    """
    best = place.measure(test, seconds)
    for _ in range(repeats):
        if best["foreign"] <= FOREIGN:
            break
        row = place.measure(test, seconds)
        best = min(best, row, key=lambda row: float(row["foreign"]))
    return best


def measure(
    peers: Sequence[str], tests: Sequence[str], rounds: int, seconds: float, repeats: int
) -> None:
    """
    Measure everything, and write C{results/tunnels.json}.
    """
    prepare()
    names = [name for name in peers if PEERS[name].isInstalled()]
    rows = []
    with ExitStack() as stack:
        places = {}
        for name in names:
            places[name] = Place(name, PEERS[name])
            stack.callback(places[name].close)
        for test in tests:
            for number in range(rounds):
                turns = [name for name in names if PEERS[name].takesPart(test)]
                random.Random(number).shuffle(turns)
                for name in turns:
                    row = quietest(places[name], TESTS[test], seconds, repeats)
                    rows.append({"test": test, "peer": name, "round": number, **row})
                    print(test, number, name, row, flush=True)
    versions = {PEERS[name].title: PEERS[name].version() for name in names}
    save("tunnels", about(rounds=rounds, seconds=seconds, versions=versions), rows)


def main() -> None:
    """
    Read the command line, and measure.
    """
    parser = ArgumentParser(description="Measure tunnels.")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--tests", nargs="+", default=list(TESTS), choices=list(TESTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=1, help="where others disturb")
    arguments = parser.parse_args()
    measure(
        arguments.peers,
        arguments.tests,
        arguments.rounds,
        arguments.seconds,
        arguments.repeats,
    )


if __name__ == "__main__":
    main()
