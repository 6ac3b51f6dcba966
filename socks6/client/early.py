"""
What the user's protocol writes before the proxy has let us in.
"""

from __future__ import annotations

#: Octets that are kept, so that they can be written once more if the proxy wants
#: the request once more.
EARLY_DATA_LIMIT = 65536


class EarlyData:
    """
    All that has been written behind a request, for as long as the request may have
    to be made again.

    At first, nothing is kept.
    """

    def __init__(self) -> None:
        self._octets: bytearray | None = None

    @property
    def octets(self) -> bytes:
        """
        What is to be written behind the request when it is made again.
        """
        return bytes(self._octets or b"")

    @property
    def isKept(self) -> bool:
        """
        Whether that is all that has been written.
        """
        return self._octets is not None

    def keep(self) -> None:
        """
        Keep what is written from now on.
        """
        self._octets = bytearray()

    def forget(self) -> None:
        """
        Keep nothing: it will not be written again.
        """
        self._octets = None

    def add(self, data: bytes) -> None:
        """
        Keep this as well, if anything is kept.
        """
        if self._octets is not None:
            self._octets += data

    def limit(self) -> None:
        """
        Keep nothing if it is too much.
        """
        if self._octets is not None and len(self._octets) > EARLY_DATA_LIMIT:
            self._octets = None
