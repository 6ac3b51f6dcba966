"""
Tests of L{socks6.policy.rulebook}.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socks6.policy.rulebook import RuleBook, RuleCheck
from socks6.policy.ruleset import PRIVATE_TOO, Rule, Ruleset, Subject
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command
from socks6.wire.errors import UsageError
from tests.raising import errorOf

STRANGER = Subject(None, ip_address("192.0.2.7"))
ROOT = ip_address("198.41.0.4")
OTHER = ip_address("199.9.14.201")
DESTINATION = Address(ROOT, 80)
NAME = Address(DomainName(b"example.org"), 80)

ALLOW = b"[[rule]]\naction = 'allow'\n"
DENY = b"[[rule]]\naction = 'deny'\n"


class RuleBookTests(SynchronousTestCase):
    """
    L{RuleBook} and L{RuleCheck}.
    """

    def check(self, book: RuleBook, command: Command = Command.CONNECT) -> RuleCheck:
        """
        Begin to ask.
        """
        return RuleCheck(book, STRANGER, command)

    def test_reload(self) -> None:
        """
        New rules hold once they are put in force, also for a request that is under way; a
        mistake leaves the old ones.
        """
        path = Path(self.mktemp())
        path.write_bytes(ALLOW)
        book = RuleBook.fromFile(path)
        check = self.check(book)
        self.assertTrue(check.destination(DESTINATION).allowed)
        path.write_bytes(b"[[rule]]")
        errorOf(UsageError, book.prepare)
        self.assertTrue(check.destination(DESTINATION).allowed)
        path.write_bytes(DENY)
        commit = book.prepare()
        self.assertTrue(check.destination(DESTINATION).allowed)
        commit()
        self.assertFalse(check.destination(DESTINATION).allowed)
        self.assertFalse(check.client().allowed)

    def test_again(self) -> None:
        """
        What was allowed last says nothing about another port, nor another host.
        """
        networks = (ip_network(f"{ROOT}/32"),)
        check = self.check(RuleBook(Ruleset([Rule(1, ports=((80, 80),), networks=networks)])))
        web, other = Address(ROOT, 80), Address(ROOT, 81)
        for address, host, isAllowed in (
            (web, ROOT, True),
            (other, ROOT, False),
            (web, ip_address("198.41.0.5"), False),
            (web, ROOT, True),
        ):
            self.assertIs(check.objection(address, host) is None, isAllowed)

    def test_noFile(self) -> None:
        """
        Without a file, nothing changes.
        """
        book = RuleBook(PRIVATE_TOO)
        book.prepare()()
        self.assertIs(book.ruleset, PRIVATE_TOO)

    def test_connections(self) -> None:
        """
        A rule allows as many connections as it says; one that is over makes room, and
        another name for the same one counts once.
        """
        rule = Rule(1, connections=2)
        book = RuleBook(Ruleset([rule]))
        first, second, third = (self.check(book) for _ in range(3))
        for check in (first, first, second):
            self.assertIsNone(check.objection(DESTINATION, ROOT))
        reason = "rule 1 allows no more than 2 at a time"
        self.assertEqual(third.objection(DESTINATION, ROOT), reason)
        self.assertEqual(book.inUse[rule], 2)
        first.close()
        first.close()
        self.assertIsNone(third.objection(DESTINATION, ROOT))
        second.close()
        third.close()
        self.assertEqual(dict(book.inUse), {})

    def test_share(self) -> None:
        """
        Of several processes, each allows its part, and one at least.
        """
        for most, processes, expected in ((7, 1, 7), (7, 3, 3), (1, 4, 1)):
            book = RuleBook(Ruleset([Rule(1, connections=most)]))
            book.processes = processes
            for _ in range(expected):
                self.assertIsNone(self.check(book).objection(DESTINATION, ROOT))
            reason = f"rule 1 allows no more than {expected} at a time"
            self.assertEqual(self.check(book).objection(DESTINATION, ROOT), reason)

    def test_overMeansOver(self) -> None:
        """
        What is asked for a request that is over takes nothing.
        """
        book = RuleBook(Ruleset([Rule(1, connections=1)]))
        check = self.check(book)
        check.close()
        self.assertIsNone(check.objection(DESTINATION, ROOT))
        self.assertEqual(dict(book.inUse), {})

    def test_settled(self) -> None:
        """
        Of the rules that have allowed addresses of a name, only that one is held whose
        address was connected to; its limits count.
        """
        rules = [
            Rule(number, networks=(ip_network(str(host)),), connections=1, rate=number * 100)
            for number, host in enumerate((ROOT, OTHER), 1)
        ]
        book = RuleBook(Ruleset(rules))
        check = self.check(book)
        verdict = check.host(NAME, ROOT)
        check.host(NAME, OTHER)
        self.assertEqual(len(book.inUse), 2)
        check.settle(verdict)
        self.assertEqual(dict(book.inUse), {rules[0]: 1})
        self.assertIs(check.verdict, verdict)
        self.assertEqual(verdict.rate, 100)
        self.assertIsNone(check.destination(NAME, False).rate)

    def test_name(self) -> None:
        """
        A name takes a connection only when nobody is going to be asked about its
        addresses.
        """
        book = RuleBook(Ruleset([Rule(1, connections=1)]))
        check = self.check(book)
        self.assertTrue(check.destination(NAME).allowed)
        self.assertEqual(dict(book.inUse), {})
        self.assertTrue(check.destination(NAME, resolves=False).allowed)
        self.assertFalse(self.check(book).destination(NAME, resolves=False).allowed)

    def test_keptCount(self) -> None:
        """
        A rule that says the same after a reload goes on counting, though it has moved.
        """
        path = Path(self.mktemp())
        path.write_bytes(ALLOW + b"connections = 1\n")
        book = RuleBook.fromFile(path)
        check = self.check(book)
        self.assertTrue(check.destination(DESTINATION).allowed)
        path.write_bytes(DENY + b"port = 25\n" + ALLOW + b"connections = 1\n")
        book.prepare()()
        reason = "rule 2 allows no more than 1 at a time"
        self.assertEqual(self.check(book).destination(DESTINATION).reason, reason)
        check.close()
        self.assertTrue(self.check(book).destination(DESTINATION).allowed)

    def test_own(self) -> None:
        """
        The proxy's own ports are no destination for clients on other machines, whatever the
        rules say and however they are written.
        """
        book = RuleBook(PRIVATE_TOO)
        book.isOwn = lambda host, port: (host, port) == (ROOT, 80)
        for host in (ROOT, ip_address(f"::ffff:{ROOT}")):
            verdict = self.check(book).host(NAME, host)
            self.assertFalse(verdict.allowed)
            self.assertEqual(verdict.reason, f"{Address(host, 80)} is the proxy itself")
        self.assertTrue(self.check(book).host(NAME, OTHER).allowed)
        local = Subject(None, ip_address("127.0.0.1"), isLocal=True)
        self.assertTrue(RuleCheck(book, local, Command.CONNECT).host(NAME, ROOT).allowed)

    def test_comers(self) -> None:
        """
        Of a host that comes, the address counts, and the port is ours.
        """
        rule = Rule(1, networks=(ip_network(str(ROOT)),), ports=((5000, 5009),), connections=1)
        book = RuleBook(Ruleset([rule]))
        check = self.check(book, Command.BIND)
        self.assertTrue(check.opened(5000).allowed)
        self.assertEqual(check.opened(5010).reason, "no rule allows it")
        self.assertIsNone(check.objectionToComer(Address(ROOT, 1), 5000))
        self.assertEqual(check.objectionToComer(Address(OTHER, 1), 5000), "no rule allows it")
        self.assertEqual(dict(book.inUse), {})
        self.assertTrue(check.comer(Address(ROOT, 1), 5000).allowed)
        self.assertEqual(dict(book.inUse), {rule: 1})
