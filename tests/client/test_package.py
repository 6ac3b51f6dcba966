"""
Tests for the package as such.
"""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import socks6.client

CHECKOUT = Path(__file__).resolve().parents[2]


class PackageTests(SynchronousTestCase):
    """
    C{socks6.client}.
    """

    def test_names(self) -> None:
        """
        It has the names that it says it has.
        """
        for name in socks6.client.__all__:
            self.assertTrue(hasattr(socks6.client, name), name)

    def test_documented(self) -> None:
        """
        What C{docs/client.rst} imports can be imported.
        """
        page = (CHECKOUT / "docs" / "client.rst").read_text("utf-8")
        imported = re.findall(r"^ +from (socks6\S*) import (.+)$", page, re.MULTILINE)
        self.assertIn(("socks6.client", "SOCKS6ClientEndpoint, SOCKS6Session"), imported)
        for module, names in imported:
            for name in names.split(", "):
                self.assertTrue(hasattr(import_module(module), name), f"{module}: {name}")

    def test_imports(self) -> None:
        """
        None of its modules chooses a reactor, and most programs are spared the
        imports of the web.
        """
        for module, spared in [
            ("socks6.client.parsers", "twisted.web"),
            ("socks6.client.web", "twisted.internet.reactor"),
        ]:
            code = (
                f"import sys, {module};"
                f"sys.exit({spared!r} in sys.modules or 'twisted.internet.reactor' in sys.modules)"
            )
            status = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False)
            self.assertEqual(status.returncode, 0, module)
