"""
Tests for what C{docs/} says of metrics.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.measurements import Measurements
from socks6.metrics.exposition import makeRegistry
from socks6.metrics.families import FAMILIES
from socks6.metrics.sample import sample
from socks6.serving.accesslog import RequestRecord
from socks6.serving.requestlines import jsonLine
from socks6.values.address import UNSPECIFIED_IPV4

DOCS = Path(__file__).resolve().parents[2] / "docs"

#: What follows the name of a histogram.
_SERIES = ("_bucket", "_count", "_sum")


def queriesIn(thing: Any) -> Iterator[str]:
    """
    Find all queries in a dashboard.
    """
    if isinstance(thing, dict):
        for key, value in thing.items():
            if key in ("expr", "query") and isinstance(value, str) and value != "prometheus":
                yield value
            else:
                yield from queriesIn(value)
    elif isinstance(thing, list):
        for each in thing:
            yield from queriesIn(each)


def nameIn(text: str) -> str:
    """
    Take off what follows the name of a histogram.
    """
    for series in _SERIES:
        text = text.removesuffix(series)
    return text


class DocsTests(SynchronousTestCase):
    """
    The page and the dashboard.
    """

    def test_page(self) -> None:
        """
        It names all metrics with their types and labels, and no others.
        """
        page = (DOCS / "metrics.rst").read_text("utf-8")
        rows = re.findall(
            r"\* - ``(socks6_\w+)``\n +- (\w+)\n +- (.*?)(?=\n   \*|\n\n)", page, re.S
        )
        self.assertEqual(
            {name: kind for name, kind, _ in rows},
            {name: family.kind.value for name, family in FAMILIES.items()},
        )
        for name, _, words in rows:
            for label in FAMILIES[name].labels:
                self.assertIn(f"``{label}``", words, name)

    def test_keys(self) -> None:
        """
        It names all keys of the access log, and shows them in order.
        """
        page = (DOCS / "metrics.rst").read_text("utf-8")
        table = page.partition("* - Key")[2].partition("There may be more")[0]
        documented = [
            key
            for row in re.findall(r"\* - (``.*)", table)
            for key in re.findall(r"``(\w+)``", row)
        ]
        line = jsonLine(RequestRecord("unix", 0.0, 1, UNSPECIFIED_IPV4), 0.0, 0.0)
        self.assertEqual(documented, list(json.loads(line)))
        (example,) = re.findall(r'^    (\{"time".*\})$', page, re.M)
        self.assertEqual(list(json.loads(example)), documented)

    def test_dashboard(self) -> None:
        """
        It is JSON whose panels do not overlap, and asks for metrics and labels that there
        are, and for all of these.
        """
        dashboard = json.loads((DOCS / "grafana" / "socks6.json").read_text("utf-8"))
        places = [
            (x, y)
            for panel in dashboard["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        self.assertEqual(len(places), len(set(places)))
        self.assertTrue(all(0 <= x < 24 for x, _ in places))
        registry = makeRegistry(lambda: sample([], Measurements()))
        known = {
            each.name
            for family in registry.collect()
            for each in family.samples
            if each.name.startswith("process_")
        }
        asked: set[str] = set()
        for query in queriesIn(dashboard):
            self.assertEqual(query.count("("), query.count(")"), query)
            names = {nameIn(each) for each in re.findall(r"\b(?:socks6|process)_\w+", query)}
            self.assertEqual(names - FAMILIES.keys() - known, set(), query)
            self.assertEqual(len(names), 1, query)
            asked |= names
            (family,) = (FAMILIES.get(name) for name in names)
            for labels in re.findall(r"by \(([^)]*)\)", query):
                allowed = (*(family.labels if family else ()), "le")
                self.assertIn(labels, allowed, query)
        self.assertEqual(FAMILIES.keys() - asked, set())
