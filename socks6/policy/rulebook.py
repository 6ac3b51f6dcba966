"""
The rules in force, and what is held against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from socks6.policy.addresses import innermost
from socks6.policy.ruleset import SAFE, Rule, Ruleset, Subject, Target, Verdict, targetOf
from socks6.policy.rulesfile import readRules
from socks6.values.address import Address, DomainName, IPAddress
from socks6.values.codes import Command


def _ownsNothing(host: IPAddress, port: int) -> bool:
    """
    Tell that no address is the proxy's own.
    """
    return False


class RuleBook:
    """
    The rules of a proxy, which may change while it runs.

    @ivar ruleset: Those in force.
    @ivar inUse: How many connections each rule allows at the moment, of those that limit
        them.  A rule that says the same after a change goes on counting, wherever it is.
    @ivar processes: How many processes share what a rule allows: each has an equal part, and no
        less than one.
    @ivar isOwn: Tells whether something is where the proxy itself listens.
    """

    def __init__(self, ruleset: Ruleset = SAFE, path: Path | None = None) -> None:
        """
        @param path: The file that holds them.
        """
        self.ruleset = ruleset
        self.inUse: Counter[Rule] = Counter()
        self.processes = 1
        self.isOwn: Callable[[IPAddress, int], bool] = _ownsNothing
        self._path = path

    @classmethod
    def fromFile(cls, path: Path) -> RuleBook:
        """
        Read rules.

        @raise UsageError: The file cannot be read, or there is a mistake in it.
        """
        # Whoever is a daemon later goes elsewhere.
        path = path.absolute()
        return cls(readRules(path), path)

    def share(self, whole: int) -> int:
        """
        Tell how much of what a rule allows is this process's.
        """
        return -(-whole // self.processes)

    def prepare(self) -> Callable[[], None]:
        """
        Read the file anew, if there is one.

        @return: Puts its rules in force, for what is asked from then on.
        @raise UsageError: See L{fromFile}.
        """
        ruleset = self.ruleset if self._path is None else readRules(self._path)

        def commit() -> None:
            self.ruleset = ruleset

        return commit


class RuleCheck:
    """
    One request, and what rules say about it.

    Of each rule with a limit on connections it takes one, as soon as that rule allows it
    something, and until it is over.

    @ivar verdict: What has allowed the connection that was made; L{None}: there is none
        yet.
    """

    def __init__(self, book: RuleBook, subject: Subject, command: Command) -> None:
        """
        @param book: The rules.
        @param subject: Who asks.
        @param command: For what.
        """
        self.verdict: Verdict | None = None
        self._book = book
        self._subject = subject
        self._command = command
        self._held: set[Rule] = set()
        #: What was allowed last, and by which rules.
        self._allowed: tuple[Address, IPAddress, Ruleset, Verdict] | None = None
        self._isOver = False

    @property
    def ruleset(self) -> Ruleset:
        """
        The rules in force.
        """
        return self._book.ruleset

    def client(self) -> Verdict:
        """
        Judge the client, before anybody knows where it wants to go.
        """
        return self._book.ruleset.judgeClient(self._subject, self._command)

    def destination(self, address: Address, resolves: bool = True) -> Verdict:
        """
        Judge a destination as the client names it.

        @param resolves: Whether L{host} is asked about each of its addresses, too.
        """
        target = targetOf(address)
        if target.literal is not None:
            return self.host(address, target.literal)
        ruleset = self._book.ruleset
        verdict = ruleset.judgeName(self._subject, self._command, target, resolves)
        return verdict if resolves else self._hold(verdict)

    def host(self, address: Address, host: IPAddress) -> Verdict:
        """
        Judge one address of a destination, for which a connection is held then.
        """
        last, ruleset = self._allowed, self._book.ruleset
        if last is not None and last[0] is address and last[1] == host and last[2] is ruleset:
            # Who connects asks again.
            return last[3]
        verdict = self._judge(address, host)
        if verdict.allowed:
            self._allowed = (address, host, ruleset, verdict)
        return verdict

    def _judge(self, address: Address, host: IPAddress) -> Verdict:
        """
        Do that.
        """
        book, subject = self._book, self._subject
        # A client on this machine can connect there by itself.
        if not subject.isLocal and book.isOwn(innermost(host), address.port):
            return Verdict(False, None, f"{Address(host, address.port)} is the proxy itself")
        target = targetOf(address)
        return self._hold(book.ruleset.judge(subject, self._command, target, host))

    def objection(self, address: Address, host: IPAddress) -> str | None:
        """
        Say what speaks against one address of a destination.

        @return: L{None}: nothing.
        """
        verdict = self.host(address, host)
        return None if verdict.allowed else verdict.reason

    def opened(self, port: int) -> Verdict:
        """
        Judge a port of ours that is open for whoever comes.
        """
        target = Target(None, port)
        return self._book.ruleset.judgeName(self._subject, self._command, target, True)

    def comer(self, host: Address, port: int) -> Verdict:
        """
        Judge a host that has come to a port of ours, for which a connection is held then.
        """
        return self._hold(self._judgeComer(host, port))

    def objectionToComer(self, host: Address, port: int) -> str | None:
        """
        Say what speaks against a host that has come to a port of ours; nothing is held.

        @return: L{None}: nothing.
        """
        verdict = self._judgeComer(host, port)
        return None if verdict.allowed else verdict.reason

    def _judgeComer(self, host: Address, port: int) -> Verdict:
        """
        Judge a host that has come; the port that rules speak of is ours.
        """
        assert not isinstance(host.host, DomainName)
        ruleset, target = self._book.ruleset, Target(None, port, host.host)
        return ruleset.judge(self._subject, self._command, target, host.host)

    @property
    def holdsAny(self) -> bool:
        """
        Whether it counts against the limit of any rule.
        """
        return bool(self._held)

    def settle(self, verdict: Verdict) -> None:
        """
        Take note of what has allowed the connection; nothing else is held any more.
        """
        self.verdict = verdict
        self._allowed = None
        self._release(self._held - {verdict.rule})

    def close(self) -> None:
        """
        It is over.
        """
        self._isOver = True
        self._release(set(self._held))

    def _hold(self, verdict: Verdict) -> Verdict:
        """
        Take a connection of the rule that allows something, if it limits them.
        """
        rule = verdict.rule
        if not verdict.allowed or rule is None or rule.connections is None or rule in self._held:
            return verdict
        inUse, most = self._book.inUse, self._book.share(rule.connections)
        if inUse[rule] >= most:
            reason = f"{rule.title} allows no more than {most} at a time"
            return Verdict(False, rule, reason)
        if not self._isOver:
            inUse[rule] += 1
            self._held.add(rule)
        return verdict

    def _release(self, rules: set[Rule]) -> None:
        """
        Give connections of rules back.
        """
        inUse = self._book.inUse
        for rule in rules:
            inUse[rule] -= 1
            if not inUse[rule]:
                del inUse[rule]
        self._held -= rules
