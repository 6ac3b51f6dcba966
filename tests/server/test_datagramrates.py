"""
Tests of L{socks6.server.datagramrates}, and of datagrams that have a rate.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from twisted.internet.address import IPv4Address

from socks6.policy.rulebook import RuleBook, RuleCheck
from socks6.policy.ruleset import Rule, Ruleset, Subject
from socks6.relay.throttle import Buckets, bucketsOf
from socks6.server import datagramrates
from socks6.server.association import Association
from socks6.server.datagramrates import DatagramRates
from socks6.server.rulerates import RuleRates
from socks6.serving.limits import Limits
from socks6.values.codes import Command
from tests.server.datagrams import (
    REMOTE,
    REMOTE_IPV6,
    REMOTE_IPV6_PLACE,
    REMOTE_PLACE,
    AssociationsTestCase,
    MemoryDatagramSocket,
    deliver,
    named,
)
from tests.server.harness import CONNECT
from tests.server.test_associate import AssociateTestCase

#: Where another rule allows to go.
OTHER = bytes.fromhex("0035 01 c6290004")
OTHER_PLACE = ("198.41.0.4", 53)

#: Nobody has sent anything there.
THIRD_PLACE = ("198.51.100.1", 53)

SLOW = Rule(1, networks=(ip_network("203.0.113.0/24"),), rate=4000)
FREE = Rule(2, networks=(ip_network("198.41.0.0/24"),))


class DatagramRatesTests(AssociationsTestCase):
    """
    Datagrams of an association.
    """

    def begin(self, *rules: Rule, common: Buckets | None = None) -> Any:
        """
        Begin an association.

        @param common: What others have a part in.
        @return: It, and its socket for remote hosts.
        """
        if not hasattr(self, "book"):
            self.book = RuleBook(Ruleset(rules))
            self.ruleRates = RuleRates(self.network, self.book)
        subject = Subject(None, ip_address("192.0.2.2"))
        return self.open(
            check=RuleCheck(self.book, subject, Command.UDP_ASSOCIATE),
            rates=DatagramRates(() if common is None else (common,), self.ruleRates),
        )

    def up(
        self, opened: Association, relay: MemoryDatagramSocket, count: int, remote: bytes = REMOTE
    ) -> int:
        """
        Send many datagrams of 100 octets at once.

        @return: How many have got to the remote host.
        """
        for _ in range(count):
            self.send(opened, bytes(100), remote)
        return len(relay.take())

    def down(self, relay: MemoryDatagramSocket, count: int, place: Any = REMOTE_PLACE) -> int:
        """
        Send many of them the other way.

        @return: How many have got to the client.
        """
        for _ in range(count):
            deliver(self.network, relay, bytes(100), place)
        return len(self.port.take())

    def test_unlimited(self) -> None:
        """
        Without rates, as much passes as comes, and nothing is kept for it.
        """
        opened, relay = self.begin(FREE)
        self.assertEqual(self.up(opened, relay, 500, OTHER), 500)
        self.assertEqual(self.down(relay, 500, OTHER_PLACE), 500)
        self.assertEqual(opened._rates._fromHosts, {})
        self.assertEqual(opened._rates.fromOthers, ())
        self.assertDropped()

    def test_common(self) -> None:
        """
        What is too much of what all have together is dropped and counted, each way by itself;
        nothing waits.
        """
        common = bucketsOf(self.network, 4000)
        opened, relay = self.begin(FREE, common=common)
        calls = len(self.network.getDelayedCalls())
        # A quarter of a second's octets, and one more.
        self.assertEqual(self.up(opened, relay, 20, OTHER), 11)
        self.assertDropped(too_fast=9)
        self.assertEqual(self.down(relay, 20, OTHER_PLACE), 11)
        self.assertDropped(too_fast=18)
        self.assertEqual((opened.toRemote, opened.toClient), (1100, 1100))
        self.assertEqual(dict(self.associations.passed), {"to_remote": 11, "to_client": 11})
        self.assertEqual(len(self.network.getDelayedCalls()), calls)
        self.network.advance(0.1)
        self.assertEqual(self.up(opened, relay, 20, OTHER), 4)
        self.assertEqual(self.down(relay, 20, OTHER_PLACE), 4)

    def test_shared(self) -> None:
        """
        Several associations share a rate.
        """
        common = bucketsOf(self.network, 4000)
        one, relay = self.begin(FREE, common=common)
        another, otherRelay = self.begin(common=common)
        self.assertEqual(self.up(one, relay, 20, OTHER), 11)
        self.assertEqual(self.up(another, otherRelay, 20, OTHER), 0)

    def test_rule(self) -> None:
        """
        A rule's rate is for what it allows, both ways together, of all associations; what
        another rule allows has nothing to do with it.
        """
        opened, relay = self.begin(SLOW, FREE)
        self.assertEqual(self.up(opened, relay, 100, OTHER), 100)
        self.assertEqual(self.up(opened, relay, 6), 6)
        self.assertEqual(self.down(relay, 20), 5)
        self.assertEqual(self.up(opened, relay, 20), 0)
        self.assertEqual(self.down(relay, 100, OTHER_PLACE), 100)
        another, otherRelay = self.begin()
        self.assertEqual(self.up(another, otherRelay, 20), 0)

    def test_otherHosts(self) -> None:
        """
        What comes from hosts that the client has sent nothing to has to do with all rates that
        the association has used; before, with none.
        """
        opened, relay = self.begin(SLOW, FREE)
        self.up(opened, relay, 1, OTHER)
        self.assertEqual(self.down(relay, 100, THIRD_PLACE), 100)
        self.up(opened, relay, 1)
        self.assertEqual(self.down(relay, 20, THIRD_PLACE), 10)
        # The same host, another port.
        self.assertEqual(self.down(relay, 20, (REMOTE_PLACE[0], 54)), 0)
        self.assertEqual(self.down(relay, 100, OTHER_PLACE), 100)

    def test_IPv6(self) -> None:
        """
        Hosts of IPv6 are known as well, though sockets say more of them.
        """
        free = Rule(2, networks=(ip_network("2001:db8::/32"),))
        opened, relay = self.begin(SLOW, free)
        self.up(opened, relay, 20)
        self.send(opened, remote=REMOTE_IPV6)
        place = (*REMOTE_IPV6_PLACE, 0, 0)
        self.assertEqual(self.down(self.relays.opened[-1], 20, place), 20)

    def test_name(self) -> None:
        """
        Names lead to addresses, whose datagrams count in either direction, and those that have
        waited for a name.
        """
        rule = Rule(1, names=("example.org",), rate=4000)
        opened, relay = self.begin(rule, FREE)
        name = named(b"example.org")
        self.assertEqual(self.up(opened, relay, 8, name), 0)
        self.associations.answer("8.8.8.8")
        self.assertEqual(len(relay.take()), 8)
        self.up(opened, relay, 1, OTHER)
        self.assertEqual(self.down(relay, 20, ("8.8.8.8", 53)), 3)
        self.assertEqual(self.up(opened, relay, 20, name), 0)

    def test_reload(self) -> None:
        """
        New rules bring new rates, to associations that are there as well.
        """
        network = SLOW.networks
        opened, relay = self.begin(Rule(1, networks=network))
        self.assertEqual(self.up(opened, relay, 100), 100)
        self.book.ruleset = Ruleset([SLOW, FREE])
        self.assertEqual(self.up(opened, relay, 100), 11)
        self.assertEqual(self.down(relay, 100), 0)
        self.book.ruleset = Ruleset([Rule(1, networks=network)])
        self.assertEqual(self.up(opened, relay, 100), 100)
        self.assertEqual(self.down(relay, 100), 100)

    def test_manyHosts(self) -> None:
        """
        Only so many hosts are remembered; the oldest one counts like those that were never
        heard of.
        """
        self.patch(datagramrates, "MAX_HOSTS", 2)
        opened, relay = self.begin(SLOW, FREE)
        for remote in (OTHER, REMOTE, bytes.fromhex("0036 01 c6290004")):
            self.up(opened, relay, 1, remote)
        self.assertEqual(len(opened._rates._fromHosts), 2)
        self.assertEqual(self.down(relay, 20, OTHER_PLACE), 10)

    def test_denied(self) -> None:
        """
        What is dropped for another reason is taken from nothing.
        """
        opened, relay = self.begin(SLOW, common=bucketsOf(self.network, 4000))
        self.up(opened, relay, 100, OTHER)
        self.assertDropped(not_allowed=100)
        self.assertEqual(self.up(opened, relay, 20), 11)


class ProxyTests(AssociateTestCase):
    """
    A proxy whose operator has set limits.
    """

    def begin(self, **options: Any) -> Any:
        """
        Make one.
        """
        return self.makeFactory(associations=self.associations, **options)

    def passes(self, head: bytes, client: Any) -> int:
        """
        Send 20 datagrams of 100 octets.

        @return: How many have got to the remote host.
        """
        for _ in range(20):
            self.send(head + REMOTE + bytes(100), client)
        return sum(len(each.take()) for each in self.relays.opened)

    def ask_(self, factory: Any, host: str) -> tuple[Any, bytes]:
        """
        Begin an association.

        @return: The client, and what begins its datagrams.
        """
        peer = self.network.accept(factory, IPv4Address("TCP", host, 40000))
        peer.send(bytes.fromhex("0600 03 0000 01 00000000 0000"))
        return peer, b"\6\0" + peer.take()[-4:]

    def test_together(self) -> None:
        """
        Tunnels and datagrams share what may pass.
        """
        factory = self.begin(limits=Limits(bandwidth=4000))
        tunnel = self.network.accept(factory)
        tunnel.send(CONNECT)
        self.outbound.attempts[-1].succeed()
        association, head = self.ask_(factory, "192.0.2.2")
        self.assertEqual(self.passes(head, 1), 11)
        tunnel.send(b"x")
        self.assertFalse(tunnel.isRead)
        for peer in tunnel, association:
            peer.reset()

    def test_perClient(self) -> None:
        """
        The associations of one client share a rate, which is forgotten with the last of them.
        """
        factory = self.begin(limits=Limits(bandwidthPerClient=4000))
        one, head = self.ask_(factory, "192.0.2.2")
        same, sameHead = self.ask_(factory, "192.0.2.2")
        other, otherHead = self.ask_(factory, "192.0.2.3")
        self.assertEqual(self.passes(head, 1), 11)
        self.assertEqual(self.passes(sameHead, 2), 0)
        self.assertEqual(self.passes(otherHead, 3), 11)
        for peer in one, same, other:
            peer.reset()
        self.assertEqual((factory.bandwidth._shares, factory.bandwidth._clients), ({}, {}))

    def test_rule(self) -> None:
        """
        A rule's rate holds for its tunnels and its datagrams.
        """
        factory = self.begin(rules=RuleBook(Ruleset([SLOW])))
        tunnel = self.network.accept(factory)
        tunnel.send(CONNECT)
        remote = self.outbound.attempts[-1].succeed()
        association, head = self.ask_(factory, "192.0.2.2")
        remote.send(bytes(600))
        self.assertEqual(self.passes(head, 1), 5)
        for peer in tunnel, association:
            peer.reset()

    def test_connections(self) -> None:
        """
        A rule's limit of connections holds for associations that have used it, until they end.
        """
        rule = Rule(1, networks=SLOW.networks, connections=1)
        factory = self.begin(rules=RuleBook(Ruleset([rule])))
        one, head = self.ask_(factory, "192.0.2.2")
        other, otherHead = self.ask_(factory, "192.0.2.3")
        self.assertEqual(self.passes(head, 1), 20)
        self.assertEqual(self.passes(otherHead, 2), 0)
        self.assertEqual(dict(self.associations.dropped), {"not allowed": 20})
        one.reset()
        self.assertEqual(self.passes(otherHead, 2), 20)
        other.reset()
        self.assertEqual(dict(factory.rules.inUse), {})
