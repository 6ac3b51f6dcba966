#!/usr/bin/env python3
"""
What a tunnel costs that says nothing, beside those of other proxies.

Thousands of tunnels are opened, each says one octet, and then we look at the proxy's
memory and CPU.  Needs what L{laboratory} needs::

    python benchmarks/idle.py --tunnels 1000 5000
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from laboratory import about, prepare, save
from peers import PEERS
from tunnels import TESTS, Place

#: Seconds until a proxy has calmed down, and during which its CPU is looked at.
CALM = 1.0
WATCHED = 2.0

#: Seconds that opening all tunnels may take.
PATIENCE = 60.0

#: The ones that are compared.
IDLERS = ("haproxy", "dante", "microsocks", "socks6")


def stay(place: Place, tunnels: int, before: int) -> dict[str, Any]:
    """
    Open tunnels, look at the proxy, and close them.

    @param before: Octets of memory that the proxy had without them.
    """
    program = place.program
    load = place.load("idle", "echo", "--clients", str(tunnels), "--seconds", str(PATIENCE))
    assert load.stdout is not None
    found = json.loads(load.stdout.readline())
    time.sleep(CALM)
    memory, cpu = program.memory(), program.cpuSeconds()
    time.sleep(WATCHED)
    cpu = program.cpuSeconds() - cpu
    # Its input ends, and so do the tunnels.
    load.communicate()
    time.sleep(CALM)
    return {
        "tunnels": found["done"],
        "failed": found["failed"],
        "each": round((memory - before) / max(1, found["done"])),
        "cpu": round(cpu / WATCHED, 4),
        "before": before,
        "after": program.memory(),
    }


def measure(peers: Sequence[str], numbers: Sequence[int]) -> None:
    """
    Measure everything, and write C{results/idle.json}.
    """
    prepare()
    rows = []
    for name in peers:
        if not PEERS[name].isInstalled():
            continue
        for tunnels in numbers:
            # Each number gets a fresh proxy, whose memory nobody has used before.
            with closing(Place(name, PEERS[name])) as place:
                # What is done once and for all is done with the first connections.
                place.measure(TESTS["connections16"], 0.2)
                time.sleep(CALM)
                row = stay(place, tunnels, place.program.memory())
            rows.append({"peer": name, "asked": tunnels, **row})
            print(name, row, flush=True)
    save("idle", about(), rows)


def main() -> None:
    """
    Read the command line, and measure.
    """
    parser = ArgumentParser(description="Measure idle tunnels.")
    parser.add_argument("--peers", nargs="+", default=IDLERS, choices=IDLERS)
    parser.add_argument("--tunnels", nargs="+", type=int, default=[1000, 5000])
    arguments = parser.parse_args()
    measure(arguments.peers, arguments.tunnels)


if __name__ == "__main__":
    main()
