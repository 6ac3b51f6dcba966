"""
Tests for the page on performance.
"""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent


class ReportTests(SynchronousTestCase):
    """
    C{docs/performance/}.
    """

    def test_madeFromResults(self) -> None:
        """
        Its tables and charts are those that the results give: nothing in them was
        typed by hand.
        """
        done = subprocess.run(
            [sys.executable, "benchmarks/report.py", "--check"],
            cwd=CHECKOUT,
            env={"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
