"""
How fast octets may pass that a rule has allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import Rule, Ruleset
from socks6.relay.throttle import Bucket, Buckets


class RuleRates:
    """
    One bucket for each rule that has a rate: all its tunnels and datagrams share it, and
    both their directions.
    """

    def __init__(self, clock: IReactorTime, book: RuleBook) -> None:
        """
        @param clock: Tells the time.
        @param book: The rules in force.
        """
        self._clock = clock
        self._book = book
        self._buckets: dict[Rule, Buckets] = {}

    @property
    def ruleset(self) -> Ruleset:
        """
        The rules in force.
        """
        return self._book.ruleset

    def of(self, rule: Rule | None) -> Sequence[Buckets]:
        """
        Find what the octets of a tunnel, or of datagrams, are taken from.

        @param rule: What has allowed them.
        @return: Nothing, if as many may pass as come.
        """
        if rule is None or rule.rate is None:
            return ()
        found = self._buckets.get(rule)
        if found is None:
            # Since the rules have changed, some may be there no more.
            rules = set(self._book.ruleset.rules)
            self._buckets = {
                each: buckets for each, buckets in self._buckets.items() if each in rules
            }
            bucket = Bucket(self._clock, self._book.share(rule.rate))
            found = self._buckets[rule] = Buckets(bucket, bucket)
        return (found,)
