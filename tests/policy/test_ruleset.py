"""
Tests of L{socks6.policy.ruleset}.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.addresses import kindOf
from socks6.policy.ruleset import (
    PRIVATE_TOO,
    SAFE,
    Rule,
    Ruleset,
    Subject,
    nameMatches,
    targetOf,
)
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command

STRANGER = Subject(None, ip_address("192.0.2.7"))
LOCAL = Subject(None, ip_address("127.0.0.1"), isLocal=True)
ALICE = Subject(
    b"alice", ip_address("2001:db8::7"), tls=True, certificateNames=lambda: {"a.example.org"}
)

PUBLIC = "198.41.0.4"


def named(name: bytes, port: int = 443) -> Any:
    """
    Make the destination of a name.
    """
    return targetOf(Address(DomainName(name), port))


def at(host: str, port: int = 443) -> Any:
    """
    Make the destination of an address.
    """
    return targetOf(Address(ip_address(host), port))


def networks(*texts: str) -> Any:
    """
    Read networks.
    """
    return tuple(map(ip_network, texts))


def deny(number: int = 1, **what: Any) -> Rule:
    """
    Make a rule that denies.
    """
    return Rule(number, False, **what)


class MatchTests(SynchronousTestCase):
    """
    What a rule matches.
    """

    def assertMatches(self, expected: bool, subject: Subject, **what: Any) -> None:
        """
        Check whether a rule matches somebody who connects to www.example.org, port 443.
        """
        target = named(b"www.example.org")
        matches = Rule(1, **what).concerns(subject, Command.CONNECT, target)
        self.assertIs(matches, expected, repr(what))

    def test_what(self) -> None:
        """
        Each of its conditions has to be met, and what it does not say is no condition.
        """
        self.assertMatches(True, STRANGER)
        for met, what in (
            (True, {"commands": (Command.CONNECT, Command.BIND)}),
            (False, {"commands": (Command.BIND,)}),
            (True, {"users": (b"bob", b"alice")}),
            (False, {"users": (b"Alice",)}),
            (True, {"anonymous": False}),
            (False, {"anonymous": True}),
            (True, {"clients": networks("2001:db8::/32")}),
            (False, {"clients": networks("192.0.2.0/24")}),
            (True, {"tls": True}),
            (False, {"tls": False}),
            (True, {"certificates": ("*.example.org",)}),
            (False, {"certificates": ("b.example.org",)}),
            (True, {"names": ("example.com", "*.example.org")}),
            (False, {"names": ("example.org",)}),
            (True, {"ports": ((80, 80), (440, 443))}),
            (False, {"ports": ((444, 500), (1, 442))}),
            (False, {"tls": True, "users": (b"bob",)}),
        ):
            assert isinstance(what, dict)
            self.assertMatches(met, ALICE, **what)

    def test_stranger(self) -> None:
        """
        Who has no name, no TLS, no certificate and no address does not match what asks
        for them.
        """
        self.assertMatches(True, STRANGER, anonymous=True, tls=False)
        self.assertMatches(False, STRANGER, users=(b"",))
        self.assertMatches(False, STRANGER, certificates=("*",))
        self.assertMatches(False, Subject(), clients=networks("0.0.0.0/0", "::/0"))

    def test_mappedClient(self) -> None:
        """
        A client of IPv4 at a port of IPv6 is one of IPv4.
        """
        mapped = Subject(None, ip_address("::ffff:192.0.2.7"))
        self.assertMatches(True, mapped, clients=networks("192.0.2.0/24"))

    def test_names(self) -> None:
        """
        A star stands for one label or more, and nobody is fooled by what a name ends with.
        """
        for pattern, name, matches in (
            ("example.org", "example.org", True),
            ("example.org", "www.example.org", False),
            ("*.example.org", "www.example.org", True),
            ("*.example.org", "a.b.example.org", True),
            ("*.example.org", "example.org", False),
            ("*.example.org", ".example.org", False),
            ("*.example.org", "badexample.org", False),
            ("*", "anything", True),
        ):
            self.assertIs(nameMatches(pattern, name), matches, f"{pattern} {name}")

    def test_spelling(self) -> None:
        """
        Neither capitals nor a dot at the end make another name.
        """
        self.assertEqual(named(b"WWW.Example.ORG.").name, "www.example.org")

    def test_addressesAsNames(self) -> None:
        """
        A name that is an address in any form that systems know counts as that.
        """
        for name in (b"127.0.0.1", b"127.1", b"2130706433", b"0x7f.1", b"0177.0.0.1"):
            target = named(name)
            self.assertEqual((target.name, target.literal), (None, ip_address("127.0.0.1")), name)
        self.assertEqual(named(b"::1").literal, ip_address("::1"))
        for name in (b"1.example.org", b"a", b"127.0.0.1 x", b"999.1.1.1", b"\xff"):
            self.assertIsNone(named(name).literal, name)

    @given(some.integers(0, 2**32 - 1), some.integers(0, 32), some.integers(0, 2**32 - 1))
    def test_networks(self, base: int, length: int, number: int) -> None:
        """
        An address is in a network if it begins with the network's bits.
        """
        network = ip_network((base, length), strict=False)
        host = IPv4Address(number)
        isWithin = base >> (32 - length) == number >> (32 - length)
        for rule in (Rule(1, networks=(network,)), deny(networks=(network,))):
            self.assertIs(rule.covers(host), isWithin)
            mapped = IPv6Address(0xFFFF << 32 | number)
            self.assertIs(rule.covers(mapped), isWithin)

    def test_embedded(self) -> None:
        """
        Who allows an IPv6 network does not allow IPv4 addresses in it; who denies one does
        deny all of it.
        """
        everything, host = networks("::/0"), ip_address("2002:a01:203::1")
        self.assertFalse(Rule(1, networks=everything).covers(host))
        self.assertTrue(deny(networks=everything).covers(host))
        self.assertTrue(deny(networks=networks("10.0.0.0/8")).covers(host))


class RulesetTests(SynchronousTestCase):
    """
    What several rules say together.
    """

    def outcome(
        self, rules: Any, target: Any, host: str, subject: Subject = STRANGER
    ) -> tuple[bool, int | None, str]:
        """
        Judge an address.
        """
        ruleset = rules if isinstance(rules, Ruleset) else Ruleset(rules)
        verdict = ruleset.judge(subject, Command.CONNECT, target, ip_address(host))
        number = None if verdict.rule is None else verdict.rule.number
        return verdict.allowed, number, verdict.reason

    def test_firstDecides(self) -> None:
        """
        The first rule that matches decides, and what none matches is denied.
        """
        rules = [deny(1, ports=((25, 25),)), Rule(2, ports=((1, 1000),)), deny(3)]
        self.assertEqual(self.outcome(rules, at(PUBLIC, 25), PUBLIC), (False, 1, "rule 1"))
        self.assertEqual(self.outcome(rules, at(PUBLIC, 80), PUBLIC), (True, 2, ""))
        self.assertEqual(self.outcome(rules, at(PUBLIC, 8000), PUBLIC), (False, 3, "rule 3"))
        self.assertEqual(
            self.outcome(rules[:2], at(PUBLIC, 8000), PUBLIC), (False, None, "no rule allows it")
        )

    def test_safe(self) -> None:
        """
        By default, everybody reaches the public internet, and who is on this machine
        reaches everything that is an address.
        """
        for host in (PUBLIC, "10.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1"):
            for subject in (STRANGER, LOCAL):
                allowed, _, reason = self.outcome(SAFE, at(host), host, subject)
                kind = kindOf(ip_address(host))
                self.assertIs(allowed, subject is LOCAL or not kind)
                if not allowed:
                    shown = ip_address(host)
                    self.assertEqual(reason, f"{shown} is {kind}, and no rule allows that")
            self.assertTrue(self.outcome(PRIVATE_TOO, at(host), host)[0])

    def test_unspecified(self) -> None:
        """
        What is no host is denied to everybody.
        """
        for host in ("0.0.0.0", "::", "::ffff:0.0.0.0"):
            for ruleset in (SAFE, PRIVATE_TOO):
                expected = (False, None, "the unspecified address is no host")
                self.assertEqual(self.outcome(ruleset, at(host), host, LOCAL), expected)

    def test_rebinding(self) -> None:
        """
        A rule that allows a name does not allow it to lead to a private address, unless a
        rule allows that address; its owner may have it lead anywhere.
        """
        rules = [Rule(1, names=("*.example.org",))]
        target = named(b"www.example.org")
        self.assertEqual(self.outcome(rules, target, PUBLIC), (True, 1, ""))
        self.assertEqual(
            self.outcome(rules, target, "10.0.0.1"),
            (False, None, "10.0.0.1 is private, and no rule allows that"),
        )
        rules.append(Rule(2, networks=networks("10.0.0.0/24")))
        self.assertEqual(self.outcome(rules, target, "10.0.0.1"), (True, 2, ""))
        self.assertFalse(self.outcome(rules, target, "10.0.1.1")[0])

    def test_nameAndNetwork(self) -> None:
        """
        A rule with both matches only what has that name and is there.
        """
        rules = [Rule(1, names=("db.example.org",), networks=networks("10.0.0.0/8"))]
        self.assertTrue(self.outcome(rules, named(b"db.example.org"), "10.0.0.1")[0])
        self.assertFalse(self.outcome(rules, named(b"db.example.org"), PUBLIC)[0])
        self.assertFalse(self.outcome(rules, named(b"example.org"), "10.0.0.1")[0])
        self.assertFalse(self.outcome(rules, at("10.0.0.1"), "10.0.0.1")[0])

    def test_guardedNames(self) -> None:
        """
        Where nobody knows the address, names of this machine and of metadata services are
        denied unless a rule names them.
        """
        name = named(b"metadata.google.internal")
        for ruleset, subject, allowed in (
            (SAFE, STRANGER, False),
            (SAFE, LOCAL, True),
            (PRIVATE_TOO, STRANGER, True),
            (Ruleset([Rule(1, names=("*.internal",))]), STRANGER, True),
        ):
            verdict = ruleset.judgeName(subject, Command.CONNECT, name, False)
            self.assertIs(verdict.allowed, allowed)
            self.assertIs(self.outcome(ruleset, name, PUBLIC, subject)[0], allowed)

    def test_strangeName(self) -> None:
        """
        Whatever the client has put into a name, what the log says of it is one line.
        """
        name = named(b"a: closed\n\x1b[2J\xff.localhost")
        verdict = SAFE.judgeName(STRANGER, Command.CONNECT, name, False)
        self.assertEqual(
            verdict.reason,
            r"a: closed\n\x1b[2j\xff.localhost is guarded, and no rule names it",
        )

    def test_beforeLookUp(self) -> None:
        """
        A name is looked up only if an address of it could be allowed.
        """
        network = networks("10.0.0.0/8")
        for rules, looked, unresolved in (
            ([Rule(1)], True, True),
            ([deny(1, names=("www.example.org",)), Rule(2)], False, False),
            ([deny(1, networks=network), Rule(2)], True, True),
            ([deny(1, networks=network)], False, False),
            ([Rule(1, networks=network), deny(2)], True, False),
            ([], False, False),
        ):
            for resolves, expected in ((True, looked), (False, unresolved)):
                verdict = Ruleset(rules).judgeName(
                    STRANGER, Command.CONNECT, named(b"www.example.org"), resolves
                )
                self.assertIs(verdict.allowed, expected, f"{rules} {resolves}")

    def test_client(self) -> None:
        """
        Before anything is known of a destination, it is denied what is denied everywhere.
        """
        for rules, allowed in (
            ([deny(1, ports=((25, 25),)), Rule(2)], True),
            ([deny(1, commands=(Command.CONNECT,)), Rule(2)], False),
            ([Rule(1, commands=(Command.BIND,))], False),
        ):
            verdict = Ruleset(rules).judgeClient(STRANGER, Command.CONNECT)
            self.assertIs(verdict.allowed, allowed, repr(rules))

    def test_words(self) -> None:
        """
        A rule can be read.
        """
        rule = Rule(
            3,
            True,
            (Command.CONNECT, Command.UDP_ASSOCIATE),
            (b"alice", "b\xf6b".encode()),
            None,
            networks("192.0.2.0/24"),
            True,
            ("a.example.org",),
            ("*.example.org",),
            networks("10.0.0.0/8"),
            ((443, 443), (8000, 8100)),
            5,
            1000,
        )
        self.assertEqual(
            str(rule),
            "allow connect, udp of alice, b\\xf6b from 192.0.2.0/24 with TLS with a certificate"
            " for a.example.org to *.example.org at 10.0.0.0/8 port 443, 8000-8100; at most 5 at"
            " a time; 1000 octets per second",
        )
        self.assertEqual(str(deny(anonymous=True)), "deny everything of the anonymous")
        self.assertEqual(
            str(deny(anonymous=False, tls=False)), "deny everything of any user without TLS"
        )
        self.assertEqual(str(deny(networks=networks("::/0"))), "deny everything to ::/0")
        self.assertEqual((rule.title, Rule().title), ("rule 3", "the default"))
