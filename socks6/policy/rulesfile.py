"""
Rules as a person writes them: TOML.

Each C{[[rule]]} has an action and what it is about; see L{KEYS}.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from ipaddress import IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from socks6.policy.addresses import Network
from socks6.policy.ruleset import COMMAND_WORDS, Rule, Ruleset
from socks6.text import octets
from socks6.values.codes import MAX_PORT, Command
from socks6.wire.errors import UsageError

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PATTERN = re.compile(r"(?:\*|(?:\*\.)?(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?)")

_MAPPED = IPv6Network("::ffff:0:0/96")

#: The most that a number in a rule can be.
_MANY = 2**53


def _text(value: object) -> str:
    """
    Take a word.

    @raise ValueError: It is something else.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text")
    return value


def _command(value: object) -> Command:
    """
    Read a command.

    @raise ValueError: There is none of that name.
    """
    found = COMMAND_WORDS.get(_text(value))
    if found is None:
        raise ValueError(f"{value!r} is none of {', '.join(COMMAND_WORDS)}")
    return found


def _user(value: object) -> bytes:
    """
    Read a user's name.

    @raise ValueError: It is none.
    """
    return octets(_text(value))


def _network(value: object) -> Network:
    """
    Read a network, or an address.

    @raise ValueError: It is neither.
    """
    text = _text(value)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network, like 192.0.2.0/24 or 2001:db8::/32") from None
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"{text!r} has bits behind its prefix; the network is {network}")
    if network.version == 6 and network.subnet_of(_MAPPED):
        raise ValueError(f"{text!r} is IPv4, and has to be written like that")
    return network


def _pattern(value: object) -> str:
    """
    Read a name, which may begin with C{*.}.

    @raise ValueError: It is none.
    """
    text = _text(value)
    if not _PATTERN.fullmatch(text):
        words = "is no name, like example.org or *.example.org"
        if not text.isascii():
            words += " (of other letters, write the form that begins with xn--)"
        raise ValueError(f"{text!r} {words}")
    return text.lower().removesuffix(".")


def _portRange(value: object) -> tuple[int, int]:
    """
    Read a port or a range of ports.

    @raise ValueError: It is neither.
    """
    # In Python, a truth value is a number, too.
    isNumber = isinstance(value, int) and not isinstance(value, bool)
    match = _PORTS.fullmatch(str(value) if isNumber else value if isinstance(value, str) else "")
    if match is not None:
        low, high = int(match[1]), int(match[2] or match[1])
        if 0 < low <= high <= MAX_PORT:
            return low, high
    raise ValueError(f"{value!r} is neither a port nor a range, like 443 or '8000-8100'")


def _truth(value: object) -> bool:
    """
    Take a truth value.

    @raise ValueError: It is something else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _count(value: object) -> int:
    """
    Take a number above zero.

    @raise ValueError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MANY:
        raise ValueError(f"{value!r} is no number from 1 to {_MANY}")
    return value


def _action(value: object) -> bool:
    """
    Read what a rule does.

    @return: Whether it allows.
    @raise ValueError: It does something else.
    """
    if value not in ("allow", "deny"):
        raise ValueError(f"{value!r} is neither 'allow' nor 'deny'")
    return value == "allow"


def _several(read: Callable[[object], Any], value: object) -> tuple[Any, ...]:
    """
    Read one value or a list of them.

    @raise ValueError: There is none, or one cannot be.
    """
    if value == []:
        raise ValueError("the list is empty, so that the rule would never match")
    return tuple(read(each) for each in (value if isinstance(value, list) else [value]))


#: What may stand in a rule: what L{Rule} calls it, and how it is read.
KEYS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "action": ("allows", _action),
    "command": ("commands", partial(_several, _command)),
    "user": ("users", partial(_several, _user)),
    "anonymous": ("anonymous", _truth),
    "client": ("clients", partial(_several, _network)),
    "tls": ("tls", _truth),
    "certificate": ("certificates", partial(_several, _pattern)),
    "name": ("names", partial(_several, _pattern)),
    "network": ("networks", partial(_several, _network)),
    "port": ("ports", partial(_several, _portRange)),
    "connections": ("connections", _count),
    "rate": ("rate", _count),
}


def readRules(path: Path) -> Ruleset:
    """
    Read a file of rules.

    @raise UsageError: It cannot be read, or there is a mistake in it.
    """
    try:
        return rulesFromText(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: it is no text in UTF-8") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def rulesFromText(text: str) -> Ruleset:
    """
    Read rules.

    @raise ValueError: There is a mistake; what is wrong, in one line.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    for key in tables:
        if key != "rule":
            raise ValueError(f"there is {key!r}, but all that may stand here is [[rule]]")
    rules = tables.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(each, dict) for each in rules):
        raise ValueError("a rule begins with [[rule]]")
    if not rules:
        raise ValueError("there is no [[rule]], and nothing would be allowed")
    return Ruleset([_rule(number, table) for number, table in enumerate(rules, 1)])


def _rule(number: int, table: Mapping[str, object]) -> Rule:
    """
    Read one rule.

    @raise ValueError: There is a mistake.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in KEYS:
            nearest = get_close_matches(key, KEYS, 1, 0) or [""]
            raise ValueError(f"rule {number}: nothing is called {key!r}; {nearest[0]!r}, perhaps?")
        name, read = KEYS[key]
        try:
            values[name] = read(value)
        except ValueError as error:
            raise ValueError(f"rule {number}: {key}: {error}") from error
    if "allows" not in values:
        raise ValueError(f"rule {number}: there is no action, which is 'allow' or 'deny'")
    if "users" in values and "anonymous" in values:
        raise ValueError(f"rule {number}: user and anonymous exclude each other")
    for limit in ("connections", "rate"):
        if limit in values and not values["allows"]:
            raise ValueError(f"rule {number}: {limit} is for rules that allow something")
    return Rule(number, **values)
