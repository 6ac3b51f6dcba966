"""
Write the reference of all options, of what the options say of themselves.

In a page, a comment ``.. options: MODULE.CLASS`` stands for the options of that class.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from twisted.python import reflect, usage

from socks6.tap.readings import number, seconds

_PLACE = re.compile(r"^\.\. options: (?P<name>[\w.]+)$", re.MULTILINE)

#: What has a meaning in reStructuredText.
_SPECIAL = re.compile(r"[^0-9A-Za-z\s]")

#: What readers of values read.
_KINDS: dict[object, str] = {seconds: "SECONDS", number: "NUMBER"}


def _escaped(text: str) -> str:
    """
    Write text so that nothing in it has a meaning.
    """
    return _SPECIAL.sub(r"\\\g<0>", text)


class Reference:
    """
    The reference of one command.
    """

    def __init__(self, options: usage.Options) -> None:
        """
        @param options: The command's, before they have read anything.
        """
        self._options = options
        parameters: list[list[Any]] = []
        reflect.accumulateClassList(type(options), "optParameters", parameters)
        self._readers = {each[0]: each[4] for each in parameters if len(each) > 4}
        #: In the order of C{--help}, as one may say "the same" of the one before.
        self.names = [name.rstrip("=") for name in dict.fromkeys(options.longOpt)]

    def help(self, name: str) -> str:
        """
        Say in a line what an option does.
        """
        return " ".join((self._options.docs[name] or "").split())

    def value(self, name: str) -> str | None:
        """
        Say what stands behind an option.

        @return: L{None}: nothing.
        """
        if f"{name}=" not in self._options.longOpt:
            return None
        reader = self._readers.get(name)
        if isinstance(reader, partial) and reader.func in _KINDS:
            return _KINDS[reader.func]
        method = getattr(self._options, f"opt_{name.replace('-', '_')}", None)
        return (
            "VALUE" if method is None else next(iter(inspect.signature(method).parameters)).upper()
        )

    def default(self, name: str) -> str | None:
        """
        Say what is in force without an option, unless its help does.
        """
        default = self._options.defaults.get(name)
        if self.value(name) is None or default is None:
            return None
        return f"{default:g}" if isinstance(default, float) else str(default)

    def lines(self) -> Iterator[str]:
        """
        Write the reference.
        """
        for name in self.names:
            value, default = self.value(name), self.default(name)
            shorts = sorted(
                short
                for short, long in self._options.synonyms.items()
                if long == name and len(short) == 1
            )
            spellings = [f"-{short}" for short in shorts] + [f"--{name}"]
            behind = "" if value is None else f" {value}"
            yield ", ".join(f"``{spelling}{behind}``" for spelling in spellings)
            yield f"    {_escaped(self.help(name))}" + (
                "" if default is None else f"  By default, it is ``{default}``."
            )
            yield ""


def reference(name: str) -> str:
    """
    Write the reference of a class of options.

    @param name: The full name of the class.
    """
    module, _, kind = name.rpartition(".")
    return "\n".join(Reference(getattr(import_module(module), kind)()).lines())


def filled(page: str) -> str:
    """
    Put references into a page.
    """
    return _PLACE.sub(lambda match: reference(match["name"]), page)


def _read(_: object, name: str, source: list[str]) -> None:
    """
    Fill in a page that Sphinx has read.
    """
    source[0] = filled(source[0])


def setup(app: Any) -> dict[str, bool]:
    """
    Take part in what Sphinx does.
    """
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
