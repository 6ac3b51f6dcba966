"""
Options in a TOML file, with the names that they have on the command line.

What the file says is put in front of what the command line says, as if somebody had
written it there.  So whatever an option is, and whoever reads it, it is the same in both
places.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from getopt import GetoptError, getopt
from pathlib import Path
from typing import Any

from twisted.python import reflect, usage

from socks6.tap.readings import number, seconds

#: What names the file.
OPTION = "config"

#: The types of TOML that have a use here, by the words for them.
_TYPES: Mapping[str, tuple[type, ...]] = {
    "true or false": (bool,),
    "a number": (int, float),
    "a string": (str,),
    "a list": (list,),
    "a table": (dict,),
}


def withConfiguration(
    options: usage.Options, arguments: Sequence[str]
) -> tuple[str | None, Sequence[str]]:
    """
    Add what stands in the file that C{--config} names to a command line.

    An option of the command line replaces what the file says of it, and of its opposite:
    C{--x} that of C{no-x}.

    @param options: What reads the command line.
    @return: The file, if there is one; and a command line without C{--config}.
    @raise usage.UsageError: The file cannot be read, or says something wrong.
    """
    try:
        found, others = getopt(list(arguments), options.shortOpt, options.longOpt)
    except GetoptError:
        # Whoever reads it next says what is wrong.
        return None, arguments
    given = [(options.synonyms[name.lstrip("-")], value) for name, value in found]
    path = dict(given).get(OPTION)
    if path is None:
        return None, arguments
    given = [(name, value) for name, value in given if name != OPTION]
    settled = {name for name, _ in given}
    settled |= {f"no-{name}" for name in settled} | {
        name.removeprefix("no-") for name in settled if name.startswith("no-")
    }
    keys = _Keys(options)
    line: list[str] = []
    try:
        for name, value in _settings(Path(path)).items():
            words = list(keys.arguments(name, value))
            line += [] if name in settled else words
    except ValueError as error:
        raise usage.UsageError(f"--{OPTION} {path}: {error}") from error
    line += [f"--{name}={value}" if keys.hasValue(name) else f"--{name}" for name, value in given]
    return path, [*line, "--", *others] if others else line


def _settings(path: Path) -> Mapping[str, object]:
    """
    Read a file.

    @raise ValueError: It cannot be read, or is not TOML.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror) from error
    try:
        return tomllib.loads(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ValueError(f"not UTF-8 (at line {line})") from error


class _Keys:
    """
    What may stand in a file: all that has a value on the command line, and all flags.
    """

    def __init__(self, options: usage.Options) -> None:
        self._longOptions = frozenset(options.longOpt)
        flags: list[Sequence[Any]] = []
        reflect.accumulateClassList(type(options), "optFlags", flags)
        parameters: list[Sequence[Any]] = []
        reflect.accumulateClassList(type(options), "optParameters", parameters)
        self._flags = {flag[0] for flag in flags}
        self._parameters = {parameter[0]: parameter for parameter in parameters}
        values = {name[:-1] for name in options.longOpt if name.endswith("=")}
        # Others, such as --help, do something else than to set an option.
        self._all = sorted((values | self._flags) - {OPTION})

    def hasValue(self, name: str) -> bool:
        """
        Tell whether an option has a value on the command line.
        """
        return f"{name}=" in self._longOptions

    def arguments(self, name: str, value: object) -> Iterator[str]:
        """
        Write an option of a file as arguments.

        @raise ValueError: There is none of that name, or it has no such value.
        """
        if name not in self._all:
            (nearest,) = get_close_matches(name, self._all, 1, 0.0)
            raise ValueError(f"there is no option {name!r}; the nearest one is {nearest!r}")
        self._check(name, value, self._kinds(name))
        if value is True:
            yield f"--{name}"
        elif value is not False:
            for each in value if isinstance(value, list) else [value]:
                yield f"--{name}={each}"

    def _kinds(self, name: str) -> list[str]:
        """
        Tell what the value of an option may be, in words.
        """
        if name in self._flags:
            return ["true or false"]
        if name not in self._parameters:
            return ["a string", "a number", "a list"]
        _, _, default, _, reader = [*self._parameters[name], None][:5]
        isNumber = isinstance(reader, partial) and reader.func in (seconds, number)
        if isNumber or isinstance(default, int | float):
            return ["a number"]
        return ["a string"] if reader in (None, str) else ["a string", "a number"]

    def _check(self, name: str, value: object, kinds: Sequence[str]) -> None:
        """
        Check the type of a value, and of what is in it.

        @raise ValueError: It is another one.
        """
        # To Python, True is a number.
        kind = next((each for each in _TYPES if isinstance(value, _TYPES[each])), "a date or time")
        if kind not in kinds:
            raise ValueError(f"{name} is to be {' or '.join(kinds)}, and is {kind}")
        if isinstance(value, list):
            for each in value:
                self._check(f"what is in the list {name}", each, kinds[:2])
