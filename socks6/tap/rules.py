"""
The options of C{twistd socks6} that say who may go where, and C{--check}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.python import usage

from socks6.listening import listensLocally
from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import PRIVATE_TOO, SAFE, Ruleset
from socks6.values.address import addressFromText
from socks6.wire.errors import UsageError

if TYPE_CHECKING:
    from socks6.tap.options import Options

_SAFE_IN_WORDS = (
    "everything of the public internet is allowed",
    "clients on this machine may connect to every address",
    "others not to private addresses, cloud metadata and the proxy itself",
)

_PRIVATE_IN_WORDS = (
    "everything is allowed",
    "but to the proxy itself only clients on this machine may connect",
)


class RuleOptions(dict[str, Any]):
    """
    A part of a command line's options.

    @ivar ruleBook: The rules.
    """

    parameters: Sequence[Sequence[Any]] = [
        ["rules", None, None, "File that says who may go where [default: not to private hosts]."],
    ]
    flags: Sequence[Sequence[Any]] = [
        ["allow-private", None, "Let everybody connect to private addresses, too."],
        ["check", None, "Check everything, say what would be, and exit."],
    ]

    def __init__(self) -> None:
        """
        Begin with the default.
        """
        super().__init__()
        self.ruleBook = RuleBook()

    def checkRules(self) -> None:
        """
        Read the rules.

        @raise usage.UsageError: There is a mistake in them, or the options contradict each
            other.
        """
        if self["rules"] is None:
            if self["allow-private"]:
                self.ruleBook = RuleBook(PRIVATE_TOO)
            return
        if self["allow-private"]:
            raise usage.UsageError(
                "--allow-private and --rules contradict each other: a rule names the networks"
                " that it allows"
            )
        try:
            self.ruleBook = RuleBook.fromFile(Path(self["rules"]))
        except UsageError as error:
            raise usage.UsageError(f"--rules: {error}") from error


def report(options: Options) -> str:
    """
    Say what a command line makes of the proxy.
    """
    lines = ["The configuration is good.", "It would listen on:"]
    lines += [f"  {port}{_reach(port)}" for port in options.ports]
    lines += [f"  {port}, TLS{_reach(port)}" for port in options.tlsPorts]
    lines += [f"  {line}" for line in _datagramPorts(options)]
    for option, what in (("admin", "the operator's page"), ("metrics", "metrics")):
        port = options[option]
        if port is not None:
            lines.append(f"  {port}, {what}{_reach(port)}")
    lines += ["It would let in:"]
    lines += [f"  {line}" for line in _welcome(options)]
    lines += ["Rules, of which the first one that matches decides:"]
    lines += [f"  {line}" for line in inWords(options.ruleBook.ruleset)]
    lines += ["Requests would be logged:", f"  {_accessLog(options)}"]
    return "\n".join(lines)


def _reach(port: str) -> str:
    """
    Say who can reach a port.
    """
    return " (this machine only)" if listensLocally(port) else ""


def _datagramPorts(options: Options) -> Iterator[str]:
    """
    Say where datagrams would come in.
    """
    if options["outbound"] is not None:
        yield "no port for datagrams, and none of BIND: there is another proxy on the way out"
        return
    if options.areMany:
        yield "no port for datagrams: there are several workers"
        return
    if options.udpPorts is None:
        yield "UDP where the first TCP port is"
    for host, port in options.udpPorts or ():
        yield f"UDP {addressFromText(host, port)}"
    for host, port in options.dtlsPorts:
        yield f"UDP {addressFromText(host, port)}, DTLS"


def _accessLog(options: Options) -> str:
    """
    Say where requests would be logged.
    """
    where = options["access-log"]
    if where == "off":
        return "nowhere"
    places = {None: "in twistd's log", "-": "on standard output"}
    return f"{places.get(where, where)}, as {options['log-format']}"


def _welcome(options: Options) -> Iterator[str]:
    """
    Say who would be let in.
    """
    if options.checkers:
        yield "users with a name and a password"
    else:
        yield "everybody who can connect"
    if options["client-ca"] is not None:
        yield "with TLS, those with a certificate of the authorities in " + options["client-ca"]


def inWords(ruleset: Ruleset) -> Sequence[str]:
    """
    Say what rules do.
    """
    if ruleset is SAFE:
        return _SAFE_IN_WORDS
    if ruleset is PRIVATE_TOO:
        return _PRIVATE_IN_WORDS
    return [
        *(f"{rule.number}. {rule}" for rule in ruleset.rules),
        "else: deny",
        "Clients on other machines get private addresses only by a rule with their network.",
    ]
