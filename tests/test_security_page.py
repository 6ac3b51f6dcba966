"""
Tests for what C{docs/security.rst} says of tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent

PAGE = CHECKOUT / "docs" / "security.rst"

#: Where promises begin, and where they end.
PROMISES = "\nWhat is promised\n"
NO_PROMISES = "\nWhat is not promised\n"

#: The two cells of a row.
ROW = re.compile(r"^   \* - (.*(?:\n       .*)*)\n     - (.*(?:\n       .*)*)$", re.MULTILINE)

#: What tests are called.
NAME = re.compile(r"``(tests\.[\w.]*)``")


def rowsOf(text: str) -> Sequence[tuple[str, str]]:
    """
    Find the rows of all tables of promises, without the first ones, which say what is in
    the others.
    """
    rows = [(row[1], row[2]) for row in ROW.finditer(text)]
    return [row for row in rows if row != ("Promise", "Tests")]


def casesIn(module: str) -> Sequence[str]:
    """
    Find the tests of a module.

    @return: There are none if there is no such module, either.
    """
    path = CHECKOUT.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        return []
    return [
        method.name
        for case in ast.parse(path.read_bytes()).body
        if isinstance(case, ast.ClassDef)
        for method in case.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        and method.name.startswith("test_")
    ]


class SecurityPageTests(SynchronousTestCase):
    """
    The page.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        self.page = PAGE.read_text("utf-8")
        self.promises = self.page.partition(PROMISES)[2].partition(NO_PROMISES)[0]
        self.rows = rowsOf(self.promises)

    def test_modules(self) -> None:
        """
        Each module that it names is there and has tests.
        """
        named = NAME.findall(self.page)
        self.assertTrue(named)
        without = sorted({module for module in named if not casesIn(module)})
        self.assertEqual(without, [])

    def test_everyPromise(self) -> None:
        """
        Each promise names a module at least, and what it names are modules only.
        """
        self.assertTrue(self.rows)
        for promise, tests in self.rows:
            rest = NAME.sub("", tests)
            self.assertNotEqual(rest, tests, promise)
            self.assertEqual(rest.replace(",", "").split(), [], promise)

    def test_everyRow(self) -> None:
        """
        Nothing in the tables of promises is overlooked here.
        """
        tables = self.promises.count(".. list-table::")
        self.assertTrue(tables)
        self.assertEqual(self.promises.count("* - "), len(self.rows) + tables)

    def test_sections(self) -> None:
        """
        It says who attacks, what is promised and what is not, and how to report a hole, and
        the pages have it behind the limits.
        """
        titles = re.findall(r"^(\S.*)\n-{5,}$", self.page, re.MULTILINE)
        self.assertEqual(
            titles,
            ["Who attacks", "What is promised", "What is not promised", "How to report a hole"],
        )
        index = (CHECKOUT / "docs" / "index.rst").read_text("utf-8")
        self.assertIn("\n   limits\n   security\n", index)

    def test_noModule(self) -> None:
        """
        What is missing would be seen.
        """
        self.assertEqual(casesIn("tests.test_nothing"), [])
        self.assertEqual(casesIn("tests.server.harness"), [])
        self.assertIn("test_noModule", casesIn("tests.test_security_page"))
        self.assertEqual(
            rowsOf("   * - One\n       more\n     - two\n"), [("One\n       more", "two")]
        )
