#!/usr/bin/env python3
"""
Measure all that stands on the page on performance, and write it anew.

Takes about ten minutes, on a machine that has nothing else to do, as C{root}; see
L{laboratory} for what else is needed, and C{peers.py} for the proxies to compare with,
which Debian has::

    apt-get install gcc iproute2 haproxy dante-server microsocks
    python benchmarks/run.py --rounds 5 --seconds 1
"""

from __future__ import annotations

from argparse import ArgumentParser

import firstbyte
import idle
import report
import tunnels
import wire
from peers import PEERS


def main() -> None:
    """
    Read the command line, and do everything.
    """
    parser = ArgumentParser(description="Measure everything.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=1, help="where others disturb")
    arguments = parser.parse_args()
    wire.measure()
    firstbyte.measure(8)
    idle.measure(idle.IDLERS, (1000, 5000))
    tunnels.measure(
        list(PEERS),
        list(tunnels.TESTS),
        arguments.rounds,
        arguments.seconds,
        arguments.repeats,
    )
    report.write()


if __name__ == "__main__":
    main()
