"""
Tests for the order of the stages: who may import whom.

C{docs/architecture.rst} draws the order; this module enforces it.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).resolve().parent.parent

#: Stage -> the stages that it may import beside itself.  A stage is what
#: follows C{socks6} in a module's name.
STAGES = {
    "values": set[str](),
    "wire": {"values"},
    "machine": {"values", "wire"},
    "interfaces": {"values"},
    "relay": set[str](),
    "client": {"values", "wire", "machine", "interfaces"},
    "policy": {"values", "wire", "machine", "interfaces"},
    "outbound": {"values", "wire", "machine", "interfaces", "client"},
    "serving": {"values", "wire", "interfaces", "relay"},
    "server": {"values", "wire", "machine", "interfaces", "relay", "policy", "serving"},
    "admin": {"values", "interfaces", "relay", "policy", "serving"},
    "local": {
        "values",
        "wire",
        "machine",
        "interfaces",
        "relay",
        "client",
        "outbound",
        "serving",
    },
    "command": {"values", "wire", "machine", "client"},
    "workers": set[str](),
    "metrics": {
        "values",
        "wire",
        "machine",
        "interfaces",
        "relay",
        "client",
        "policy",
        "outbound",
        "serving",
        "server",
        "local",
    },
    "tap": {
        "values",
        "wire",
        "machine",
        "interfaces",
        "relay",
        "client",
        "policy",
        "outbound",
        "serving",
        "server",
        "local",
        "workers",
        "admin",
        "metrics",
    },
}

#: A module beside the stages, such as C{socks6.sockets}, serves all that have
#: sockets, so it may know the values and no stage.
LEAF_MAY_IMPORT = {"values", "interfaces"}

#: Those that may import leaves.
MAY_IMPORT_LEAVES = {
    "relay",
    "client",
    "policy",
    "outbound",
    "serving",
    "server",
    "local",
    "command",
    "admin",
    "metrics",
    "tap",
}

#: Module -> what it may import although its stage may not.
EXCEPTIONS = {
    # The default way out, for those who hand in no IOutbound.
    "socks6.server.service": "socks6.outbound",
    # What all our exceptions are, those of users' implementations included.
    "socks6.interfaces": "socks6.wire.errors",
}

#: Stages that import the standard library only, and of it nothing that reads a
#: clock, rolls dice, does I/O or writes logs.
PURE = {"values", "wire", "machine"}
IMPURE_MODULES = {
    "asyncio",
    "datetime",
    "logging",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uuid",
}

#: Modules that import the reactor when they are imported.
REACTOR_IMPORTERS = {"txredisapi"}

#: What interfaces may be written in terms of.
INTERFACE_VOCABULARY = (
    *sys.stdlib_module_names,
    "twisted.application.service",
    "twisted.cred",
    "twisted.internet.defer",
    "twisted.internet.error",
    "twisted.internet.interfaces",
    "twisted.internet.protocol",
    "zope.interface",
)


@dataclass(frozen=True)
class Import:
    """
    One name that a module imports.

    @ivar name: The full name, as in C{socks6.values.codes.Command}.
    @ivar line: Where.
    @ivar atOnce: Whether it happens when the module is imported, and not only
        when a function is called.
    """

    name: str
    line: int
    atOnce: bool


def importsOf(source: str, module: str, isPackage: bool = False) -> Iterator[Import]:
    """
    Find what a module imports, wherever in it.

    @param source: The module's text.
    @param module: Its full name, which relative imports start from.
    @param isPackage: Whether it is the C{__init__} of a package.
    """

    def visit(node: ast.AST, atOnce: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, atOnce)
        elif isinstance(node, ast.ImportFrom):
            parts = [node.module] if node.module else []
            if node.level:
                ancestors = module.split(".")
                parts[:0] = ancestors[: len(ancestors) - node.level + isPackage]
            for alias in node.names:
                yield Import(".".join([*parts, alias.name]), node.lineno, atOnce)
        inFunction = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, atOnce and not inFunction)

    return visit(ast.parse(source), True)


def within(name: str, package: str) -> bool:
    """
    Tell whether a name is a package, or something in it.
    """
    return name == package or name.startswith(package + ".")


def stageOf(name: str) -> str:
    """
    Get the stage that a full name in our package belongs to.

    @return: The stage; the empty string for C{socks6} itself.
    """
    stage = (name + ".").split(".")[1]
    return "" if stage.startswith("__") else stage


def complaint(module: str, imported: Import) -> str | None:
    """
    Judge one import.

    @param module: The importing module's full name.
    @return: What is wrong with it; L{None} if it is fine.
    """
    name, stage = imported.name, stageOf(module)

    if within(name, "twisted.internet.reactor"):
        if imported.atOnce:
            return "importing it imports the reactor"
        if not stage.startswith("tap"):
            return "the reactor is an argument here"
        return None
    if name.partition(".")[0] in REACTOR_IMPORTERS and imported.atOnce:
        return "importing it imports the reactor"

    if module == "socks6":
        return "whoever names socks6 pays for nothing, so it imports nothing"
    if within(name, "socks6"):
        target = stageOf(name)
        # The SOCKS 4, SOCKS 5 and HTTP of the wire stage are no drafts' business.
        if within(name, "socks6.wire.draft06") and not (
            module == "socks6.wire" or within(module, "socks6.wire.draft06")
        ):
            return "only the wire stage names a draft, where it offers them"
        if target in ("", stage) or not within(module, "socks6"):
            return None
        if module in EXCEPTIONS and within(name, EXCEPTIONS[module]):
            return None
        if target in STAGES:
            allowed = STAGES.get(stage, LEAF_MAY_IMPORT)
        else:
            allowed = {target} if stage in MAY_IMPORT_LEAVES else set()
        return None if target in allowed else f"{stage} may not import {target}"

    root = name.partition(".")[0]
    if stage in PURE:
        if root not in sys.stdlib_module_names:
            return f"{stage} imports the standard library only"
        if root in IMPURE_MODULES:
            return f"{stage} has no clock, no chance, no I/O and no log"
    if stage == "interfaces" and not any(within(name, known) for known in INTERFACE_VOCABULARY):
        return "interfaces speak of other interfaces"
    return None


def complaints(source: str, module: str, isPackage: bool = False) -> list[str]:
    """
    Judge all imports of a module.

    @return: One line for each that is wrong, with the module and the line.
    """
    return [
        f"{module}:{imported.line}: imports {imported.name}: {wrong}"
        for imported in importsOf(source, module, isPackage)
        if (wrong := complaint(module, imported))
    ]


def complaintsIn(folder: Path) -> list[str]:
    """
    Judge all modules below a folder that stands in the checkout.
    """
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(CHECKOUT).with_suffix("").parts
        isPackage = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if isPackage else parts)
        found += complaints(path.read_text("utf-8"), module, isPackage)
    return found


class LayersTests(SynchronousTestCase):
    """
    The code that we ship keeps to the order.
    """

    def test_package(self) -> None:
        """
        No module of C{socks6} imports what its stage may not.
        """
        found = complaintsIn(CHECKOUT / "socks6")
        self.assertEqual(found, [], "\n".join(found))

    def test_plugins(self) -> None:
        """
        No plugin imports the reactor: C{twistd --reactor} would be too late.
        """
        found = complaintsIn(CHECKOUT / "twisted")
        self.assertEqual(found, [], "\n".join(found))

    def test_everyStageExists(self) -> None:
        """
        The table above has no stage that the code has not.
        """
        package = CHECKOUT / "socks6"
        gone = {
            stage
            for stage in STAGES
            if not (package / stage / "__init__.py").exists()
            and not (package / f"{stage}.py").exists()
        }
        self.assertEqual(gone, set())


class ComplaintsTests(SynchronousTestCase):
    """
    L{complaints} sees what it is there to see.
    """

    def assertWrong(self, module: str, source: str, reason: str) -> None:
        """
        Check that a module's only import is wrong for the given reason.
        """
        found = complaints(source, module)
        self.assertEqual(len(found), 1, f"{module}: {source}: {found}")
        self.assertTrue(found[0].startswith(f"{module}:"), found[0])
        self.assertIn(reason, found[0])

    def test_upstream(self) -> None:
        """
        A stage that imports one further down is told so.
        """
        for module, source in [
            ("socks6.values.codes", "import socks6.wire"),
            ("socks6.values.codes", "from socks6.wire.errors import PeerError"),
            ("socks6.values.codes", "from socks6 import wire"),
            ("socks6.values.codes", "from .. import wire"),
            ("socks6.values.codes", "from ..wire.errors import PeerError"),
            ("socks6.wire.reader", "from socks6.machine import server"),
            ("socks6.machine.server", "from socks6.interfaces import IOutbound"),
            ("socks6.interfaces", "from socks6.wire import codec"),
            ("socks6.policy.ruleset", "from socks6.server import protocol"),
            ("socks6.outbound.direct", "from socks6.server import protocol"),
            ("socks6.outbound.direct", "from socks6.policy import authentication"),
            ("socks6.relay.relay", "from socks6.interfaces import IOutbound"),
            ("socks6.server.protocol", "from socks6.outbound import direct"),
            ("socks6.server.service", "from socks6.client import endpoints"),
            ("socks6.client.endpoints", "from socks6.policy import ruleset"),
            ("socks6.client.endpoints", "from socks6.server import relay"),
            ("socks6.client.endpoints", "from socks6.outbound import direct"),
            ("socks6.client.endpoints", "def late():\n import socks6.server"),
            ("socks6.client.endpoints", "from socks6 import tap"),
            ("socks6.workers.ports", "from socks6.serving import service"),
            ("socks6.server.service", "from socks6.workers import supervisor"),
            ("socks6.sockets", "from socks6.server import relay"),
            ("socks6.machine.server", "from socks6 import sockets"),
            ("socks6.machine.server", "from socks6.sockets import timeOut"),
        ]:
            self.assertWrong(module, source, "may not import")

    def test_impure(self) -> None:
        """
        The first three stages have nothing but the quiet part of the standard
        library.
        """
        for stage in ("values", "wire", "machine"):
            module = f"socks6.{stage}.something"
            self.assertWrong(module, "import twisted", "standard library only")
            self.assertWrong(
                module, "from zope.interface import Interface", "standard library only"
            )
            self.assertWrong(module, "from time import monotonic", "no clock")
            self.assertWrong(module, "def f():\n import random", "no clock")
        self.assertWrong("socks6.interfaces", "from twisted.web import client", "interfaces")
        self.assertWrong("socks6", "import struct", "imports nothing")
        self.assertWrong("socks6", "from socks6.values import codes", "imports nothing")

    def test_draft(self) -> None:
        """
        Nothing outside of the wire stage names a draft, nor do the other protocols in
        it.
        """
        for source in [
            "import socks6.wire.draft06",
            "from socks6.wire import draft06",
            "from socks6.wire.draft06.messages import decodeRequest",
        ]:
            self.assertWrong("socks6.machine.server", source, "names a draft")
            self.assertWrong("socks6.wire.socks5", source, "names a draft")
            self.assertEqual(complaints(source, "socks6.wire"), [])
            self.assertEqual(complaints(source, "socks6.wire.draft06.datagram"), [])

    def test_reactor(self) -> None:
        """
        Nothing imports the reactor at module level, and only tap modules do so
        at all.
        """
        for source in [
            "from twisted.internet import reactor",
            "import twisted.internet.reactor",
            "if True:\n from twisted.internet import reactor",
            "class C:\n from twisted.internet import reactor",
        ]:
            self.assertWrong("socks6.tap", source, "imports the reactor")
            self.assertWrong("twisted.plugins.socks6_dropin", source, "imports the reactor")
        for source in ["import txredisapi", "from txredisapi import RedisProtocol"]:
            self.assertWrong("socks6.policy.stores.redis", source, "imports the reactor")
        late = "def connect():\n import txredisapi"
        self.assertEqual(complaints(late, "socks6.policy.stores.redis"), [])
        late = "def makeService(options):\n from twisted.internet import reactor"
        self.assertWrong("socks6.server.service", late, "an argument")
        self.assertEqual(complaints(late, "socks6.tap"), [])
        self.assertEqual(complaints(late, "socks6.tap_local"), [])

    def test_fine(self) -> None:
        """
        What the order allows is not complained about.
        """
        for module, source in [
            ("socks6.values.options", "import struct\nfrom socks6.values.codes import Leg"),
            ("socks6.wire.reader", "from ..values import codes"),
            ("socks6.tap.workers", "from socks6.workers.supervisor import Supervisor"),
            ("socks6.machine.server", "from socks6.wire import errors"),
            ("socks6.machine.socks5server", "from socks6.wire import socks5"),
            ("socks6.wire.draft06.messages", "from socks6.wire.address import decodeHost"),
            ("socks6.interfaces", "from zope.interface import Interface"),
            ("socks6.interfaces", "from twisted.internet.interfaces import IProtocol"),
            ("socks6.interfaces", "from socks6.wire.errors import SOCKS6Error"),
            ("socks6.policy.ruleset", "from socks6.interfaces import IRuleset"),
            ("socks6.outbound.direct", "from socks6 import sockets\nimport socket"),
            ("socks6.server.protocol", "from socks6.policy import ruleset"),
            ("socks6.server.service", "from socks6.outbound import direct"),
            ("socks6.client.endpoints", "from socks6.machine.client import ClientConnection"),
            ("socks6.tap", "from socks6 import __version__\nfrom socks6.server import service"),
            ("socks6.sockets", "import socket\nfrom socks6.values import codes"),
            ("twisted.plugins.socks6_dropin", "from socks6.client import parsers"),
        ]:
            self.assertEqual(complaints(source, module), [])

    def test_relative(self) -> None:
        """
        A relative import in a package starts from the package itself.
        """
        self.assertEqual(
            [i.name for i in importsOf("from .codes import Leg", "socks6.values", True)],
            ["socks6.values.codes.Leg"],
        )
        self.assertEqual(
            [i.name for i in importsOf("from .codes import Leg", "socks6.values.options")],
            ["socks6.values.codes.Leg"],
        )
