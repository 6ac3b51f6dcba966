"""
Tests of L{socks6.serving.totals}.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from socks6.serving.accesslog import RequestRecord
from socks6.serving.totals import Totals
from socks6.values.address import Address
from socks6.values.codes import Command, ReplyCode


def record(command: int, code: int | None) -> RequestRecord:
    """
    Make the record of a request.
    """
    destination = Address(IPv4Address("203.0.113.1"), 443)
    return RequestRecord("192.0.2.2:1", 0.0, command, destination, "-", "closed", 5, 3, code=code)


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
            totals.requestFinished(record(Command.CONNECT, ReplyCode.SUCCESS))
        self.assertEqual((totals.toRemote, totals.toClient), (10, 6))

    def test_kinds(self) -> None:
        """
        Requests are told apart by command and reply code, in words; what nobody knows is
        told together.
        """
        totals = Totals()
        for command, code in (
            (Command.CONNECT, ReplyCode.SUCCESS),
            (1, 0),
            (Command.CONNECT, ReplyCode.HOST_UNREACHABLE),
            (Command.BIND, None),
            (77, ReplyCode.COMMAND_NOT_SUPPORTED),
            (78, ReplyCode.COMMAND_NOT_SUPPORTED),
            (Command.NOOP, 200),
        ):
            totals.requestFinished(record(command, code))
        self.assertEqual(
            totals.inWords(),
            {
                ("connect", "success"): 2,
                ("connect", "host unreachable"): 1,
                ("bind", "unanswered"): 1,
                ("other", "command not supported"): 2,
                ("noop", "other"): 1,
            },
        )
