"""
Tests of L{socks6.policy.failures}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.failures import LINES, LINES_PERIOD, FailedLogins

HERE = IPv4Address("192.0.2.1")
THERE = IPv6Network("2001:db8::/64")


class FailedLoginsTests(SynchronousTestCase):
    """
    Failed logins are counted.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.events: list[Any] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    @property
    def lines(self) -> list[str]:
        """
        What we have logged.
        """
        return [
            formatEvent(event)
            for event in self.events
            if event["log_namespace"] == "socks6.policy.failures.FailedLogins"
        ]

    def test_barred(self) -> None:
        """
        After so many within the period a network is barred for so long, and others are
        not.
        """
        failures = FailedLogins(self.clock, 3, 60.0)
        for network in (HERE, THERE):
            for _ in range(2):
                failures.count(network)
                self.assertFalse(failures.isBarred(network))
            failures.count(network)
            self.assertTrue(failures.isBarred(network))
            self.assertFalse(failures.isBarred(IPv4Address("192.0.2.2")))
        self.clock.advance(59.9)
        self.assertTrue(failures.isBarred(HERE))
        self.clock.advance(0.1)
        self.assertFalse(failures.isBarred(HERE))
        failures.count(HERE)
        self.assertFalse(failures.isBarred(HERE), "it begins anew")

    def test_fromTheLast(self) -> None:
        """
        The bar lasts from the failure on that was too many; later ones do not
        lengthen it.
        """
        failures = FailedLogins(self.clock, 2, 60.0)
        failures.count(HERE)
        self.clock.advance(59)
        failures.count(HERE)
        self.clock.advance(59)
        self.assertTrue(failures.isBarred(HERE))
        failures.count(HERE)
        self.clock.advance(1)
        self.assertFalse(failures.isBarred(HERE))

    def test_slowGuesses(self) -> None:
        """
        Failures count for the period after the first of them.
        """
        failures = FailedLogins(self.clock, 3, 60.0)
        for _ in range(4):
            failures.count(HERE)
            failures.count(HERE)
            self.assertFalse(failures.isBarred(HERE))
            self.clock.advance(60)

    def test_delays(self) -> None:
        """
        The answers come later and later, but not later than the longest delay.
        """
        failures = FailedLogins(self.clock, 10_000, 60.0)
        delays = [failures.count(HERE) for _ in range(2000)]
        self.assertEqual(delays[:6], [0.25, 0.5, 1.0, 2.0, 4.0, 4.0])
        self.assertEqual(set(delays[6:]), {4.0})
        self.assertEqual(failures.count(THERE), 0.25)
        self.clock.advance(60)
        self.assertEqual(failures.count(HERE), 0.25)

    def test_turns(self) -> None:
        """
        Of a network no more logins are checked at a time than may fail; nothing is kept
        in mind afterwards.
        """
        failures = FailedLogins(self.clock, 2, 60.0)
        turns = [Deferred.fromCoroutine(failures.turn(HERE)) for _ in range(5)]
        releases = [self.successResultOf(turn) for turn in turns[:2]]
        self.successResultOf(Deferred.fromCoroutine(failures.turn(THERE)))()
        turns[2].cancel()
        self.failureResultOf(turns[2], CancelledError)
        self.assertNoResult(turns[3])
        releases[0]()
        self.clock.advance(0)
        releases.append(self.successResultOf(turns[3]))
        self.assertNoResult(turns[4])
        for release in releases[1:]:
            release()
        self.clock.advance(0)
        self.successResultOf(turns[4])()
        self.assertEqual(failures._turns, {})

    def test_bounded(self) -> None:
        """
        No more networks are kept in mind than may be: those are forgotten that have
        failed least recently.
        """
        failures = FailedLogins(self.clock, 2, 60.0, maxNetworks=3)
        networks = [IPv4Address(f"192.0.2.{number}") for number in range(4)]
        for network in networks[:3]:
            failures.count(network)
        failures.count(networks[0])
        failures.count(networks[3])
        self.assertTrue(failures.isBarred(networks[0]))
        failures.count(networks[1])
        self.assertFalse(failures.isBarred(networks[1]), "it was forgotten")
        self.assertTrue(failures.isBarred(networks[0]))
        self.assertEqual(len(failures._records), 3)

    def test_line(self) -> None:
        """
        One line says that a network is barred, for how long and why.
        """
        failures = FailedLogins(self.clock, 2, 60.0)
        for network in (HERE, THERE):
            for _ in range(4):
                failures.count(network)
        self.assertEqual(
            self.lines,
            [
                "192.0.2.1 is barred for 60 s: 2 failed logins",
                "2001:db8::/64 is barred for 60 s: 2 failed logins",
            ],
        )

    def test_quota(self) -> None:
        """
        Many addresses cannot fill a disk with such lines.
        """
        failures = FailedLogins(self.clock, 1, 1.0)
        for number in range(LINES + 5):
            failures.count(IPv4Address(number))
        self.assertEqual(len(self.lines), LINES)
        self.clock.advance(LINES_PERIOD)
        failures.count(HERE)
        self.assertEqual(self.lines[LINES], "5 more addresses were barred")
        self.assertEqual(len(self.lines), LINES + 2)

    def test_ranges(self) -> None:
        """
        Numbers out of range are mistakes.
        """
        for limit, period, networks in (
            (0, 60.0, 1),
            (1, 0.0, 1),
            (1, float("inf"), 1),
            (1, float("nan"), 1),
            (1, 60.0, 0),
        ):
            self.assertRaises(ValueError, FailedLogins, self.clock, limit, period, networks)
