"""
What clients have done since the proxy began.
"""

from __future__ import annotations

from collections import Counter

from socks6.serving.accesslog import RequestRecord
from socks6.text import words

#: Kinds of requests that are told apart; clients can make up as many as they like.
MAX_KINDS = 128

#: The command and the result of all others.
OTHERS = ("other", "other")


class Totals:
    """
    Counts what is over.

    @ivar connections: How many clients have connected, those that are there included.
    @ivar requests: How many requests there were of each command and result, in words.
    @ivar toRemote: Octets that went to remote hosts.
    @ivar toClients: Octets that went to clients.
    """

    def __init__(self) -> None:
        """
        Begin with nothing.
        """
        self.connections = 0
        self.requests: Counter[tuple[str, str]] = Counter()
        self.toRemote = 0
        self.toClients = 0

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Count a request, of which all is known.
        """
        self.toRemote += record.toRemote
        self.toClients += record.toClient
        # What stands in parentheses is about this one request.
        kind = (words(record.command), record.result.partition(" (")[0])
        if kind not in self.requests and len(self.requests) >= MAX_KINDS:
            kind = OTHERS
        self.requests[kind] += 1
