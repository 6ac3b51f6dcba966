"""
How fast the datagrams of an association may pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from socks6.datagramreader import SocketAddress
from socks6.policy.ruleset import Rule, Ruleset
from socks6.relay.throttle import Bucket, Buckets, admitDatagram
from socks6.server.rulerates import RuleRates

#: Hosts that are remembered; the oldest one makes room.
MAX_HOSTS = 1024


class DatagramRates:
    """
    What the payload of one association's datagrams is taken from.

    That is what its client has in common with others, and the rate of the rule that allows
    datagrams to a host, for those that come from there as well.  Any host may send
    something: what comes from others has to do with all rates that the association has
    used, or rules could be got around by an answer from another port.

    @ivar fromOthers: These; empty: nothing limits what comes.
    """

    __slots__ = ("_common", "_fromHosts", "_hasRates", "_ruleRates", "_ruleset", "fromOthers")

    def __init__(self, common: Sequence[Buckets], ruleRates: RuleRates) -> None:
        """
        @param common: What all its datagrams are taken from.
        """
        self._common = common
        self._ruleRates = ruleRates
        self._ruleset: Ruleset | None = None
        self._hasRates = False
        self._fromHosts: dict[SocketAddress, tuple[Bucket, ...]] = {}
        self.fromOthers: tuple[Bucket, ...] = ()
        self._begin()

    def allow(self, rule: Rule | None, host: SocketAddress) -> Sequence[Bucket]:
        """
        Take note that datagrams to a host are allowed.

        @param rule: What allows them.
        @param host: Its address and its port.
        @return: What those are taken from.
        """
        if self._ruleset is not self._ruleRates.ruleset:
            self._begin()
        both = (*self._common, *self._ruleRates.of(rule))
        if self._hasRates:
            if len(self._fromHosts) >= MAX_HOSTS:
                del self._fromHosts[next(iter(self._fromHosts))]
            buckets = tuple(each.toClient for each in both)
            self._fromHosts[host] = buckets
            self.fromOthers = tuple(dict.fromkeys((*self.fromOthers, *buckets)))
        return tuple(each.toRemote for each in both)

    def mayCome(self, source: SocketAddress, count: int) -> bool:
        """
        Take the payload of a datagram of a host out of what it has to be taken from.

        @param count: Its octets.
        @return: Whether there was enough, or else it has to be dropped.
        """
        return admitDatagram(self._fromHosts.get(source[:2], self.fromOthers), count)

    def _begin(self) -> None:
        """
        Forget what other rules have allowed.
        """
        self._ruleset = self._ruleRates.ruleset
        self._hasRates = any(rule.rate is not None for rule in self._ruleset.rules)
        self._fromHosts.clear()
        self.fromOthers = tuple(each.toClient for each in self._common)
