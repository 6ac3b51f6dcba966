#!/usr/bin/env python3
"""
Write the tables and charts of the page on performance, from the results.

Nothing that was measured is typed by hand::

    python benchmarks/report.py            # writes docs/performance/
    python benchmarks/report.py --check    # complains if that would change something
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chart import Bar, Group, barChart
from firstbyte import CASES, FAR, LEGS, NEAR
from laboratory import CHECKOUT, results
from peers import PEERS

#: Where the page finds them.
PAGE_PARTS = CHECKOUT / "docs" / "performance"

OURS = "socks6"

#: What people call the tests, and in which tables they stand.
TESTS = {
    "bulk": {
        "down1": "1 stream to the client",
        "down8": "8 streams to the client",
        "up1": "1 stream from the client",
        "up8": "8 streams from the client",
    },
    "connections": {
        "connections16": "16 at a time",
        "connections64": "64 at a time",
    },
    "echo": {
        "echo1": "1 tunnel",
        "echo64": "64 tunnels",
    },
}

#: What rates and costs count, in each of these tables.
UNITS = {
    "bulk": ("MB/s", "CPU seconds a GB"),
    "connections": ("a second", "CPU µs each"),
    "echo": ("a second", "CPU µs each"),
}

#: What people call the legs that are with Fast Open.
LEG_TITLES = {"none": "no Fast Open", "remote": "proxy to server only", "both": "both legs"}

#: One round trip of the whole path, and of the client to the proxy, in milliseconds.
PATH = 2000 * (NEAR + FAR)
TO_PROXY = 2000 * NEAR

Rows = Sequence[Mapping[str, Any]]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """
    Write a table in reStructuredText.
    """
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        for index, cell in enumerate(row):
            lines.append(f"   {'* -' if index == 0 else '  -'} {cell}".rstrip())
    return "\n".join(lines) + "\n"


def shown(number: float) -> str:
    """
    Write a number with three digits that count, or more if it is large.
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


class Tunnels:
    """
    The results of L{tunnels}.
    """

    def __init__(self, rows: Rows) -> None:
        """
        @param rows: Those of the file.
        """
        self._rows = rows

    def peers(self, test: str) -> list[str]:
        """
        Tell who took part in a test, as L{PEERS} is ordered.
        """
        found = {row["peer"] for row in self._rows if row["test"] == test}
        return [name for name in PEERS if name in found]

    def _values(self, test: str, peer: str, what: str) -> list[float]:
        """
        Find what was measured, in the order of the rounds.
        """
        rows = (row for row in self._rows if (row["test"], row["peer"]) == (test, peer))
        return [row[what] for row in sorted(rows, key=lambda row: int(row["round"]))]

    def median(self, test: str, peer: str, what: str = "rate") -> float:
        """
        Find the median of all rounds.
        """
        return statistics.median(self._values(test, peer, what))

    def ratio(self, test: str, peer: str, other: str) -> float:
        """
        Find the median of how much faster one was than another in the same round.
        """
        pairs = zip(
            self._values(test, peer, "rate"), self._values(test, other, "rate"), strict=True
        )
        return statistics.median(left / right for left, right in pairs)

    def failures(self) -> int:
        """
        Count what went wrong.
        """
        return sum(int(row["failed"]) for row in self._rows)

    def foreign(self) -> float:
        """
        Find how much CPU others used in the middle, as a share of a core.
        """
        return statistics.median(float(row["foreign"]) for row in self._rows)

    def table(self, name: str) -> str:
        """
        Write one of the tables.
        """
        unit, cost = UNITS[name]
        rows = []
        for test, title in TESTS[name].items():
            for peer in self.peers(test):
                rate = self.median(test, peer)
                rows.append(
                    [
                        title,
                        PEERS[peer].title,
                        f"{rate:,.0f}",
                        "" if peer == OURS else f"{self.ratio(test, OURS, peer):.2f}",
                        shown(self.median(test, peer, "cost")) if PEERS[peer].words else "",
                    ]
                )
        return table(["", "", unit, "socks6 / it", cost], rows)

    def chart(self) -> str:
        """
        Draw how others compare with us.
        """
        groups = []
        for test, title in (
            ("down1", "bulk, 1 stream down"),
            ("up8", "bulk, 8 streams up"),
            ("connections16", "connections, 16 at a time"),
            ("echo64", "round trips, 64 tunnels"),
        ):
            bars = []
            for peer in (OURS, "haproxy", "dante", "microsocks"):
                if peer in self.peers(test):
                    share = 1 / self.ratio(test, OURS, peer)
                    bars.append(Bar(PEERS[peer].title, share, f"{share:.2f}"))
            groups.append(Group(title, bars))
        return barChart("Rates, socks6 = 1", groups)


class FirstBytes:
    """
    The results of L{firstbyte}.
    """

    def __init__(self, rows: Rows) -> None:
        """
        @param rows: Those of the file.
        """
        self.medians = {(row["case"], row["legs"]): float(row["median"]) for row in rows}

    def table(self) -> str:
        """
        Write the table.
        """
        rows = [
            [case.title, *(f"{self.medians[name, legs]:.0f}" for legs in LEGS)]
            for name, case in CASES.items()
            if (name, "none") in self.medians
        ]
        return table(["milliseconds", *(LEG_TITLES[legs] for legs in LEGS)], rows)

    def chart(self) -> str:
        """
        Draw the table.
        """
        groups = [
            Group(
                case.title.replace("with ", ""),
                [
                    Bar(
                        LEG_TITLES[legs],
                        self.medians[name, legs],
                        f"{self.medians[name, legs]:.0f}",
                    )
                    for legs in LEGS
                ],
            )
            for name, case in CASES.items()
            if (name, "none") in self.medians
        ]
        return barChart("First octet of the answer, milliseconds", groups)


def idleTable(rows: Rows) -> str:
    """
    Write the table of idle tunnels.
    """
    cells = [
        [
            PEERS[row["peer"]].title,
            f"{row['tunnels']:,}",
            f"{row['each'] / 1024:.1f}",
            f"{row['before'] / 2**20:.1f}",
            f"{row['cpu'] * 100:.1f}",
        ]
        for row in rows
    ]
    header = ["", "tunnels", "KiB each", "MiB without any", "% of a core while idle"]
    return table(header, cells)


def wireTable(rows: Rows) -> str:
    """
    Write the table of the pure stages.
    """
    cells = [
        [
            row["what"],
            f"{row['octets']:,}" if "octets" in row else "",
            f"{row['micros']:,.2f}",
            f"{row['octets'] / row['micros']:,.1f}" if "octets" in row else "",
        ]
        for row in rows
    ]
    return table(["", "octets", "µs", "MB/s"], cells)


def goals(tunnels: Tunnels, first: FirstBytes, idle: Rows, wire: Rows) -> Iterator[list[str]]:
    """
    Compare with what was to be reached.
    """

    def atLeast(what: str, goal: float, found: float, unit: str = "") -> list[str]:
        word = "met" if found >= goal else "missed"
        return [what, f"at least {goal:g}{unit}", f"{found:.2f}{unit}", word]

    def atMost(what: str, goal: float, found: float, unit: str) -> list[str]:
        word = "met" if found <= goal else "missed"
        return [what, f"at most {goal:,.1f} {unit}", f"{found:,.1f} {unit}", word]

    against = [
        *((test, f"bulk, {title}", "haproxy", 1.3) for test, title in TESTS["bulk"].items()),
        *(
            (test, f"connections, {title}", peer, goal)
            for peer, goal in (("dante", 1.5), ("microsocks", 0.6), ("microsocks", 1.0))
            for test, title in TESTS["connections"].items()
        ),
        *((test, f"round trips, {title}", "dante", 1.0) for test, title in TESTS["echo"].items()),
    ]
    for test, what, peer, goal in against:
        if peer in tunnels.peers(test):
            found = tunnels.ratio(test, OURS, peer)
            yield atLeast(f"{what}: {PEERS[peer].title}", goal, found, " times")
    for case in ("socks6-password", "socks6-session"):
        for legs, path in (("both", PATH), ("remote", PATH + TO_PROXY)):
            what = f"first octet, {CASES[case].title}, Fast Open: {LEG_TITLES[legs]}"
            yield atMost(what, 1.05 * path, first.medians[case, legs], "ms")
    [row] = [row for row in idle if (row["peer"], row["asked"]) == (OURS, 5000)]
    yield atMost("idle tunnel, of 5,000", 6, row["each"] / 1024, "KiB")
    yield atMost("CPU of 5,000 idle tunnels", 0, row["cpu"] * 100, "% of a core")
    plain = wire[0]
    yield atMost(plain["what"], 10, plain["micros"], "µs")
    for row in wire:
        if row["what"].startswith("decode: 16 KB"):
            what = f"{row['what']}, an octet"
            yield atMost(what, plain["nanosPerOctet"], row["nanosPerOctet"], "ns")


def aboutPart(tunnels: Tunnels, about: Mapping[str, Any]) -> str:
    """
    Say where and with what all that was measured.
    """
    where = f"Linux {about['kernel']}, {about['processor']}, {about['cores']} cores"
    lines = [
        f"Measured on {about['date']}: {where}; Python {about['python']},",
        f"Twisted {about['twisted']}; {about['rounds']} rounds of {about['seconds']:g} s each.",
        f"Others used {tunnels.foreign():.2f} of a core meanwhile (median).",
        f"{tunnels.failures()} connections failed.",
        "",
    ]
    lines += [
        f"- {title}: {' '.join(words.split())}"
        for title, words in about["versions"].items()
        if words
    ]
    return "\n".join(lines) + "\n"


def parts() -> dict[str, str]:
    """
    Write everything.

    @return: What is in each file.
    """
    found = results("tunnels")
    tunnels = Tunnels(found["rows"])
    first = FirstBytes(results("firstbyte")["rows"])
    idle, wire = results("idle")["rows"], results("wire")["rows"]
    header = ["", "goal", "measured", ""]
    return {
        "goals.inc": table(header, list(goals(tunnels, first, idle, wire))),
        "about.inc": aboutPart(tunnels, found["about"]),
        **{f"{name}.inc": tunnels.table(name) for name in TESTS},
        "firstbyte.inc": first.table(),
        "idle.inc": idleTable(idle),
        "wire.inc": wireTable(wire),
        "rates.svg": tunnels.chart(),
        "firstbyte.svg": first.chart(),
    }


def stale() -> list[Path]:
    """
    Tell which files would change.
    """
    files = {PAGE_PARTS / name: text for name, text in parts().items()}
    return [path for path, text in files.items() if not path.exists() or path.read_text() != text]


def write() -> None:
    """
    Write all files.
    """
    PAGE_PARTS.mkdir(exist_ok=True)
    for name, text in parts().items():
        (PAGE_PARTS / name).write_text(text)


def main() -> None:
    """
    Read the command line, and write or check.

    @raise SystemExit: A file is not what it should be.
    """
    parser = ArgumentParser(description="Write the tables and charts on performance.")
    parser.add_argument("--check", action="store_true", help="change nothing")
    if not parser.parse_args().check:
        write()
    elif found := stale():
        raise SystemExit(f"not made from the results: {', '.join(map(str, found))}")


if __name__ == "__main__":
    main()
