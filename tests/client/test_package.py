"""
Tests for the package as such.
"""

import subprocess
import sys
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
