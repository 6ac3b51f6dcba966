"""
Tests of L{socks6.serving.totals}.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from socks6.serving.accesslog import RequestRecord
from socks6.serving.totals import MAX_KINDS, OTHERS, Totals
from socks6.values.address import Address
from socks6.values.codes import Command


def record(result: str, command: Command | int = Command.CONNECT) -> RequestRecord:
    """
    Make the record of a request.
    """
    destination = Address(IPv4Address("203.0.113.1"), 443)
    return RequestRecord("192.0.2.2:1", 0.0, command, destination, "-", result, 5, 3)


class TotalsTests(SynchronousTestCase):
    """
    What is over is counted.
    """

    def test_sums(self) -> None:
        """
        Octets add up.
        """
        totals = Totals()
        for _ in range(2):
            totals.requestFinished(record("closed"))
        self.assertEqual((totals.toRemote, totals.toClients), (10, 6))

    def test_kinds(self) -> None:
        """
        Requests are told apart by command and result, but not by what is about one alone.
        """
        totals = Totals()
        for each in (
            record("closed"),
            record("host unreachable (no route to 203.0.113.1)"),
            record("host unreachable (no route to 203.0.113.2)"),
            record("command not supported", 77),
        ):
            totals.requestFinished(each)
        self.assertEqual(
            totals.requests,
            {
                ("connect", "closed"): 1,
                ("connect", "host unreachable"): 2,
                ("77", "command not supported"): 1,
            },
        )

    def test_bound(self) -> None:
        """
        Clients cannot make up more kinds than there may be.
        """
        totals = Totals()
        for number in range(2 * MAX_KINDS):
            totals.requestFinished(record("refused", number))
        self.assertEqual(len(totals.requests), MAX_KINDS + 1)
        self.assertEqual(totals.requests[OTHERS], MAX_KINDS)
        totals.requestFinished(record("refused", 0))
        self.assertEqual(totals.requests["noop", "refused"] + totals.requests["0", "refused"], 2)
