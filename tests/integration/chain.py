"""
The local proxifier and a proxy, each in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.programs import Fetched, curl
from tests.integration.twistd import Local, Twistd


def portOf(twistd: Twistd, index: int = 0) -> int:
    """
    Tell on which port of the loopback address something listens.

    @param index: Which one, if there are several.
    """
    place = twistd.places()[index]
    assert isinstance(place, tuple)
    return place[1]


class ChainTestCase(SynchronousTestCase):
    """
    A test with a local proxifier.
    """

    def folder(self) -> Path:
        """
        Make a folder that ends with the test.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def startChain(self, *arguments: str, proxy: Twistd | None = None) -> Local:
        """
        Start a local proxifier.

        @param arguments: What follows C{twistd socks6-local}, beside the first proxy.
        @param proxy: That proxy; by default, one without options.
        """
        if proxy is None:
            proxy = Twistd(self, "--port=0")
        url = f"--proxy=socks6://127.0.0.1:{portOf(proxy)}"
        return Local(self, "--port=0", url, *arguments)

    def fetch(self, *arguments: str, input: bytes = b"") -> Fetched:  # noqa: A002
        """
        Run curl, to which all that is well.
        """
        fetched = curl(self, *arguments, input=input)
        self.assertEqual((fetched.status, fetched.errors), (0, ""), arguments)
        return fetched
