"""
Tests for the reference of all options, C{docs/options.rst}, and for what the options say of
themselves.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from socks6.command import options as command
from socks6.tap import local
from socks6.tap.options import Options

DOCS = Path(__file__).resolve().parent.parent / "docs"

KINDS: tuple[type[usage.Options], ...] = (
    Options,
    local.Options,
    command.CommandOptions,
    command.ConnectOptions,
    command.ProbeOptions,
)


def nameOf(kind: type[usage.Options]) -> str:
    """
    Give the full name of a class.
    """
    return f"{kind.__module__}.{kind.__qualname__}"


class ReferenceTests(SynchronousTestCase):
    """
    The reference is made of the options.
    """

    def setUp(self) -> None:
        self.patch(sys, "path", [str(DOCS), *sys.path])
        import optionsreference

        self.made: Any = optionsreference

    def test_help(self) -> None:
        """
        Every option says in a sentence what it does.
        """
        for kind in KINDS:
            reference = self.made.Reference(kind())
            self.assertTrue(reference.names)
            for name in reference.names:
                self.assertRegex(reference.help(name), r"^[A-Z].*\w.*[.\]]$", f"--{name}")

    def test_complete(self) -> None:
        """
        Every option is in the reference of its command, with its help and its value.
        """
        for kind in KINDS:
            options = kind()
            written = self.made.reference(nameOf(kind))
            plain = written.replace("\\", "")
            self.assertEqual(len(re.findall("^``", written, re.M)), len(set(options.longOpt)))
            for long in options.longOpt:
                name, hasValue, _ = long.partition("=")
                (line,) = re.findall(rf"^.*``--{re.escape(name)}(?:``| [A-Z_-]+``)$", written, re.M)
                self.assertEqual(" " in line.split(", ")[-1], bool(hasValue), line)
                self.assertIn(" ".join(str(options.docs[name]).split()), plain)

    def test_lines(self) -> None:
        """
        It has other spellings, kinds of values and defaults, and nothing in it has a
        meaning for docutils.
        """
        written = self.made.reference(nameOf(Options))
        for lines in (
            "``-p PORT``, ``--port PORT``\n    Listen on",
            "``--idle-timeout SECONDS``\n    Seconds after which a silent tunnel is cut \\[",
            "host may take to answer\\.  By default, it is ``30``.\n",
            "``--workers NUMBER``\n    Processes that serve\\.  By default, it is ``1``.\n",
            "``--mptcp``\n    Speak Multipath TCP",
            "``--sessions VALUE``\n    Where sessions are kept\\: memory\\:\\, ",
        ):
            self.assertIn(lines, written)

    def test_page(self) -> None:
        """
        The page has the references of all commands in the places for them, and of nothing
        else.
        """
        page = (DOCS / "options.rst").read_text("utf-8")
        named = re.findall(r"^\.\. options: (.*)$", page, re.M)
        self.assertEqual(named, [nameOf(kind) for kind in KINDS])
        source = [page]
        self.made._read(None, "options", source)
        self.assertNotIn(".. options:", source[0])
        for kind in KINDS:
            self.assertIn(self.made.reference(nameOf(kind)), source[0])

    def test_described(self) -> None:
        """
        The other pages leave no option out but what all programs have.
        """
        common = {"help", "version", "help-auth", "help-auth-type"}
        pages = [page for page in DOCS.glob("*.rst") if page.name != "options.rst"]
        text = "".join(page.read_text("utf-8") for page in pages)
        for kind in (Options, local.Options):
            names = {name.rstrip("=") for name in kind().longOpt} - common
            missing = sorted(name for name in names if f"--{name}" not in text)
            self.assertEqual(missing, [], kind)
