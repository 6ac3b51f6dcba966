"""
Tests of L{socks6.server.rulerates}, and of tunnels that a rule allows at a rate.
"""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import Rule, Ruleset
from socks6.server.rulerates import RuleRates
from tests.server.harness import CONNECT, ProxyTestCase


class RuleRatesTests(SynchronousTestCase):
    """
    L{RuleRates}.
    """

    def test_of(self) -> None:
        """
        Each rule with a rate has a bucket for both directions, always the same; others
        have none.
        """
        slow, slower = Rule(1, rate=2000), Rule(2, rate=1000)
        rates = RuleRates(Clock(), RuleBook(Ruleset([slow, slower])))
        self.assertEqual(rates.of(None), ())
        self.assertEqual(rates.of(Rule(3)), ())
        (first,) = rates.of(slow)
        (second,) = rates.of(slower)
        self.assertIs(first.toRemote, first.toClient)
        self.assertEqual((first.toRemote.rate, second.toRemote.rate), (2000, 1000))
        self.assertIs(rates.of(slow)[0], first)

    def test_share(self) -> None:
        """
        Of several processes, each has its part of a rate.
        """
        book = RuleBook(Ruleset([Rule(1, rate=2000)]))
        book.processes = 3
        ((both,),) = [RuleRates(Clock(), book).of(rule) for rule in book.ruleset.rules]
        self.assertEqual(both.toRemote.rate, 667)

    def test_changedRules(self) -> None:
        """
        A rule that is still there, wherever that is, keeps its bucket when others change; one
        that is gone has a new one if it comes back.
        """
        kept, gone, new = Rule(1, rate=1), Rule(2, rate=2), Rule(3, rate=3)
        book = RuleBook(Ruleset([kept, gone]))
        rates = RuleRates(Clock(), book)
        before = [rates.of(rule)[0] for rule in (kept, gone)]
        moved = Rule(7, rate=1)
        book.ruleset = Ruleset([new, moved])
        rates.of(new)
        self.assertIs(rates.of(moved)[0], before[0])
        self.assertIsNot(rates.of(gone)[0], before[1])


class TunnelTests(ProxyTestCase):
    """
    Tunnels.
    """

    def test_shared(self) -> None:
        """
        All tunnels that a rule allows share its rate, both ways; those of others have
        nothing to do with it.
        """
        slow = Rule(1, networks=(ip_network("203.0.113.0/24"),), rate=4000)
        factory = self.makeFactory(rules=RuleBook(Ruleset([slow])))
        other, _ = self.tunnel()
        client, another = (self.network.accept(factory) for _ in range(2))
        client.send(CONNECT)
        remote = self.outbound.attempts[-1].succeed()
        another.send(CONNECT)
        self.outbound.attempts[-1].succeed()
        client.send(bytes(5000))
        self.assertLess(len(remote.received), 2000)
        remote.send(b"x")
        another.send(b"x")
        other.send(b"x")
        self.assertEqual([each.isRead for each in (client, other)], [False, True])
        for each in (remote, another):
            each.send(b"y")
            self.assertFalse(each.isRead)
        self.network.elapse(2.0)
        self.assertEqual(len(remote.received), 5000)
        for each in (client, remote, another):
            self.assertTrue(each.isRead)
