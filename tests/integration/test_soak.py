"""
Tests of the proxy with peers that do anything at any moment.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.twistd import CHECKOUT, environment


class SoakTests(SynchronousTestCase):
    """
    C{benchmarks/soak.py}.
    """

    def test_short(self) -> None:
        """
        Honest peers among random ones get their octets, and when all have gone the proxy
        is as it was.  Longer runs are for people, see C{docs/testing.rst}.
        """
        words = ["benchmarks/soak.py", "--seconds", "8", "--seed", "1", "--peers", "12"]
        done = subprocess.run(
            [sys.executable, *words],
            cwd=CHECKOUT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-5000:] + done.stderr[-5000:])
