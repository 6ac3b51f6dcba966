"""
Rules: who may go where.

The first rule that matches decides.  What no rule matches is denied.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

from socks6.policy.addresses import Network, innermost, isGuardedName, kindOf
from socks6.text import escaped, printable
from socks6.values.address import Address, DomainName, IPAddress, unmapped
from socks6.values.codes import Command

#: What the commands are called in rules.
COMMAND_WORDS = {
    "connect": Command.CONNECT,
    "bind": Command.BIND,
    "udp": Command.UDP_ASSOCIATE,
}
_WORD_OF = {command: word for word, command in COMMAND_WORDS.items()}


def _noNames() -> Collection[str]:
    """
    Give the names of a certificate that is not there.
    """
    return ()


@dataclass(frozen=True, slots=True)
class Subject:
    """
    Who wants something, as rules see it.

    @ivar user: The user's name; L{None}: nobody in particular.
    @ivar address: The client's IP address; L{None}: it has none.
    @ivar isLocal: Whether the client is on this machine.
    @ivar tls: Whether it speaks TLS with us.
    @ivar certificateNames: Gives the names, in lower case, in its certificate, if it has
        shown one that was verified.
    """

    user: bytes | None = None
    address: IPAddress | None = None
    isLocal: bool = False
    tls: bool = False
    certificateNames: Callable[[], Collection[str]] = field(default=_noNames, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where somebody wants to go, as rules see it.

    @ivar name: The host's name, in lower case and without a dot at the end; L{None}: it
        has been named by its address.
    @ivar port: The port.
    @ivar literal: That address.
    """

    name: str | None
    port: int
    literal: IPAddress | None = None


def targetOf(address: Address) -> Target:
    """
    See where somebody wants to go.

    A name like C{127.1} is an address, as it is for those who look names up.
    """
    host = address.host
    if not isinstance(host, DomainName):
        return Target(None, address.port, host)
    name = host.octets.decode("latin-1").lower().removesuffix(".")
    with suppress(ValueError):
        return Target(None, address.port, ip_address(name.partition("%")[0]))
    # inet_aton would also take what has something behind a blank.
    if name[:1].isdigit() and name.replace(".", "").isalnum() and name.isascii():
        with suppress(OSError):
            return Target(None, address.port, IPv4Address(socket.inet_aton(name)))
    return Target(name, address.port)


def nameMatches(pattern: str, name: str) -> bool:
    """
    Tell whether a name is what a rule says.

    @param pattern: A name, or C{*.} and what the name ends with; C{*} is any name.
    @param name: In lower case.
    """
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) >= len(pattern)
    return name == pattern


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One rule.  What is empty, or L{None}, matches whatever it may be.

    @ivar number: Its place in the file, from 1 on; 0: nobody has written it.  A rule that has
        moved is the same, and what is counted for it goes on.
    @ivar allows: Whether it allows what it matches.
    @ivar commands: What the client wants.
    @ivar users: Names of users.
    @ivar anonymous: Whether the client is nobody in particular.
    @ivar clients: Where the client is.
    @ivar tls: Whether it speaks TLS with us.
    @ivar certificates: Patterns for a name in its certificate.
    @ivar names: Patterns for the destination, as the client names it.
    @ivar networks: Where the destination is.
    @ivar ports: The lowest and the highest of each range of its ports; for BIND, the port
        that is opened.
    @ivar connections: How many connections it allows at the same time; L{None}: any number.
    @ivar rate: Octets per second, both ways together, of all of these; L{None}: any number.
    """

    number: int = field(default=0, compare=False)
    allows: bool = True
    commands: tuple[Command, ...] = ()
    users: tuple[bytes, ...] = ()
    anonymous: bool | None = None
    clients: tuple[Network, ...] = ()
    tls: bool | None = None
    certificates: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    connections: int | None = None
    rate: int | None = None

    def concernsClient(self, subject: Subject, command: Command) -> bool:
        """
        Tell whether it speaks of a client, and of what it wants.
        """
        if self.commands and command not in self.commands:
            return False
        if self.users and subject.user not in self.users:
            return False
        if self.anonymous is not None and self.anonymous is not (subject.user is None):
            return False
        if self.tls is not None and self.tls is not subject.tls:
            return False
        if self.clients:
            address = subject.address
            if address is None or not _within(unmapped(address), self.clients):
                return False
        return not self.certificates or any(
            nameMatches(pattern, name)
            for name in subject.certificateNames()
            for pattern in self.certificates
        )

    def concerns(self, subject: Subject, command: Command, target: Target) -> bool:
        """
        Tell whether it speaks of a request, wherever its destination is.
        """
        if self.ports and not any(low <= target.port <= high for low, high in self.ports):
            return False
        if self.names:
            name = target.name
            if name is None or not any(nameMatches(each, name) for each in self.names):
                return False
        return self.concernsClient(subject, command)

    def covers(self, host: IPAddress) -> bool:
        """
        Tell whether it speaks of an address.

        An IPv6 address with an IPv4 address in it counts as that one.  Who denies means
        both.
        """
        if not self.networks or _within(innermost(host), self.networks):
            return True
        return not self.allows and _within(host, self.networks)

    @property
    def title(self) -> str:
        """
        What the log calls it.
        """
        return f"rule {self.number}" if self.number else "the default"

    def __str__(self) -> str:
        """
        Say in words what it does.
        """
        words = ["allow" if self.allows else "deny"]
        words.append(", ".join(_WORD_OF[each] for each in self.commands) or "everything")
        if self.users:
            words.append("of " + ", ".join(printable(user) for user in self.users))
        if self.anonymous is not None:
            words.append("of the anonymous" if self.anonymous else "of any user")
        if self.clients:
            words.append("from " + ", ".join(map(str, self.clients)))
        if self.tls is not None:
            words.append("with TLS" if self.tls else "without TLS")
        if self.certificates:
            words.append("with a certificate for " + " or ".join(self.certificates))
        if self.names:
            words.append("to " + ", ".join(self.names))
        if self.networks:
            words.append("at " if self.names else "to ")
            words[-1] += ", ".join(map(str, self.networks))
        if self.ports:
            words.append(
                "port "
                + ", ".join(
                    f"{low}-{high}" if low != high else str(low) for low, high in self.ports
                )
            )
        text = " ".join(words)
        if self.connections is not None:
            text += f"; at most {self.connections} at a time"
        if self.rate is not None:
            text += f"; {self.rate} octets per second"
        return text


def _within(host: IPAddress, networks: Collection[Network]) -> bool:
    """
    Tell whether an address is in one of several networks.
    """
    return any(host in network for network in networks)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What rules say about a request.

    @ivar allowed: Whether it may be done.
    @ivar rule: The rule that says so; L{None}: none matches.
    @ivar reason: Why not, for the log.
    """

    allowed: bool
    rule: Rule | None = None
    reason: str = ""

    @property
    def isFull(self) -> bool:
        """
        Whether it is denied only because C{rule} allows no more at the moment.
        """
        return not self.allowed and self.rule is not None and self.rule.allows

    @property
    def rate(self) -> int | None:
        """
        Octets per second, both ways together, of all that C{rule} allows; L{None}: any
        number.
        """
        return None if self.rule is None else self.rule.rate


class Ruleset:
    """
    Rules in their order.

    @ivar rules: These.
    @ivar isGuarded: Whether clients on other machines reach what is not of the public
        internet only by rules that say where it is.
    """

    def __init__(self, rules: Sequence[Rule], isGuarded: bool = True) -> None:
        """
        @see: The class's own description.
        """
        self.rules = tuple(rules)
        self.isGuarded = isGuarded

    def judgeClient(self, subject: Subject, command: Command) -> Verdict:
        """
        Judge who wants something, before anybody knows where.

        @return: It is allowed if it is for some destination, perhaps.
        """
        for rule in self.rules:
            if rule.concernsClient(subject, command):
                if rule.allows:
                    return Verdict(True, rule)
                if not (rule.names or rule.networks or rule.ports):
                    return Verdict(False, rule, rule.title)
        return _NONE

    def judgeName(
        self, subject: Subject, command: Command, target: Target, resolves: bool
    ) -> Verdict:
        """
        Judge a request before anybody knows the address of its destination.

        @param resolves: Whether each address is going to be judged, too.  Then what is
            allowed depends on these; else nobody will ever know them, and rules about
            networks match none.
        """
        guarded = self._guardsName(subject, target)
        for rule in self.rules:
            if rule.networks and not (resolves and rule.allows):
                continue
            if not rule.concerns(subject, command, target):
                continue
            if guarded and rule.allows and not (rule.names or rule.networks):
                continue
            return Verdict(rule.allows, rule, "" if rule.allows else rule.title)
        if guarded:
            name = escaped(target.name or "")
            return Verdict(False, None, f"{name} is guarded, and no rule names it")
        return _NONE

    def judge(self, subject: Subject, command: Command, target: Target, host: IPAddress) -> Verdict:
        """
        Judge a request for one address.

        @param target: The destination as the client names it.
        @param host: Its address.
        """
        kind = "" if subject.isLocal or not self.isGuarded else kindOf(host)
        guardsName = self._guardsName(subject, target)
        if innermost(host).is_unspecified:
            return Verdict(False, None, "the unspecified address is no host")
        for rule in self.rules:
            if not (rule.covers(host) and rule.concerns(subject, command, target)):
                continue
            if rule.allows and not rule.networks and (kind or (guardsName and not rule.names)):
                # The owner of a name decides where it leads.
                continue
            return Verdict(rule.allows, rule, "" if rule.allows else rule.title)
        if kind:
            return Verdict(False, None, f"{host} is {kind}, and no rule allows that")
        return _NONE

    def _guardsName(self, subject: Subject, target: Target) -> bool:
        """
        Tell whether only a rule that says so allows a name.
        """
        if subject.isLocal or not self.isGuarded or target.name is None:
            return False
        return isGuardedName(target.name)


_NONE = Verdict(False, None, "no rule allows it")

_EVERYTHING = (Rule(),)

#: What holds if nobody has written rules.
SAFE = Ruleset(_EVERYTHING)

#: The same, with private destinations for everybody.
PRIVATE_TOO = Ruleset(_EVERYTHING, isGuarded=False)
