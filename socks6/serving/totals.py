"""
What clients have done since the proxy began.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from socks6.serving.accesslog import RequestRecord
from socks6.text import words
from socks6.values.codes import Command, ReplyCode


class Passing(Protocol):
    """
    What passes octets of a request.
    """

    @property
    def passed(self) -> tuple[int, int]:
        """
        Count the octets so far: for the remote host, and for the client.
        """


class Totals:
    """
    Counts what is over.

    @ivar connections: How many clients have connected, those that are there included.
    @ivar requests: How many requests there were of each command, an octet, and with each
        reply code; L{None}: none was sent.
    @ivar toRemote: Octets that went to remote hosts.
    @ivar toClient: Octets that went to clients.
    """

    def __init__(self) -> None:
        """
        Begin with nothing.
        """
        self.connections = 0
        self.requests: Counter[tuple[int, int | None]] = Counter()
        self.toRemote = 0
        self.toClient = 0

    def requestFinished(self, record: RequestRecord) -> None:
        """
        Count a request, of which all is known.
        """
        self.toRemote += record.toRemote
        self.toClient += record.toClient
        self.requests[record.command, record.code] += 1

    def inWords(self) -> Counter[tuple[str, ...]]:
        """
        Write commands and reply codes in words.  There are few: clients can make up numbers
        of commands.
        """
        counted: Counter[tuple[str, ...]] = Counter()
        for (command, code), count in self.requests.items():
            commandWords = words(Command(command)) if command in list(Command) else "other"
            result = "unanswered" if code is None else "other"
            if code is not None and code in list(ReplyCode):
                result = words(ReplyCode(code))
            counted[commandWords, result] += count
        return counted
