"""
Tests for what surrounds the code: metadata, plugins, documentation.
"""

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.cred.strcred import ICheckerFactory
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

import socks6
from socks6 import tap
from socks6.tap import local

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """
    Run another Python from the checkout, with its output as text.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class MetadataTests(SynchronousTestCase):
    """
    C{setup.cfg} says what makes the plugin survive every way to install it.
    """

    def setUp(self) -> None:
        """
        Read the file.
        """
        self.metadata = ConfigParser()
        self.metadata.read(CHECKOUT / "setup.cfg", "utf-8")

    def lines(self, section: str, option: str) -> list[str]:
        """
        Get a value of several lines.
        """
        return self.metadata[section][option].split()

    def test_packages(self) -> None:
        """
        Our package and Twisted's folder of plugins are installed, from the
        top of the checkout.
        """
        self.assertEqual(self.metadata["options"]["packages"], "find_namespace:")
        self.assertEqual(
            self.lines("options.packages.find", "include"), ["socks6*", "twisted.plugins"]
        )
        self.assertEqual(self.lines("options", "package_dir"), ["=", "."])
        self.assertEqual(
            self.lines("options.package_data", "socks6"), ["py.typed", "admin/static/*"]
        )
        self.assertTrue((CHECKOUT / "socks6" / "py.typed").exists())

    def test_pluginFoldersAreNoPackages(self) -> None:
        """
        An C{__init__.py} in either folder would hide all of Twisted.
        """
        self.assertEqual(list((CHECKOUT / "twisted").rglob("__init__.py")), [])

    def test_version(self) -> None:
        """
        The version is written down once, in the package.
        """
        self.assertEqual(self.metadata["metadata"]["version"], "attr: socks6.__version__")
        self.assertTrue(re.fullmatch(r"\d+\.\d+\.\d+", socks6.__version__))

    def test_extras(self) -> None:
        """
        The extra C{dev} contains the others that developers need.
        """
        extras = self.metadata["options.extras_require"]
        development = extras["dev"].split()
        for extra in ("test", "lint", "docs"):
            self.assertIn(extra, extras)
            self.assertIn(f"socks6[{extra}]", development)

    def test_redis(self) -> None:
        """
        What the Redis store needs is optional, but not for its tests.
        """
        extras = self.metadata["options.extras_require"]
        self.assertEqual(extras["redis"].split(), ["txredisapi", ">=", "1.6"])
        self.assertIn("socks6[redis]", extras["test"].split())
        self.assertNotIn("txredisapi", self.metadata["options"]["install_requires"])

    def test_htpasswd(self) -> None:
        """
        So is what C{--auth htpasswd:} needs.
        """
        extras = self.metadata["options.extras_require"]
        self.assertEqual(
            extras["htpasswd"].split(), ["argon2-cffi", ">=", "23.1", "bcrypt", ">=", "4.0"]
        )
        self.assertIn("socks6[htpasswd]", extras["test"].split())
        for library in ("argon2-cffi", "bcrypt"):
            self.assertNotIn(library, self.metadata["options"]["install_requires"])


class PluginTests(SynchronousTestCase):
    """
    Twisted finds what we plug into it.
    """

    def test_serviceMakers(self) -> None:
        """
        C{twistd socks6} and C{twistd socks6-local} exist, once each, and are what they
        should be.
        """
        for name, options in (("socks6", tap.Options), ("socks6-local", local.Options)):
            [maker] = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == name]
            verifyObject(IServiceMaker, maker)
            self.assertTrue(maker.description)
            self.assertIs(maker.options, options)
            self.assertEqual(options.command, name)

    def test_clientEndpointParser(self) -> None:
        """
        The prefix C{socks6:} of client endpoint strings exists, once.
        """
        interface = IStreamClientEndpointStringParserWithReactor
        [parser] = [plugin for plugin in getPlugins(interface) if plugin.prefix == "socks6"]
        verifyObject(interface, parser)

    def test_checkerFactory(self) -> None:
        """
        C{--auth htpasswd:} exists, once; without a file it is a mistake.
        """
        [factory] = [each for each in getPlugins(ICheckerFactory) if each.authType == "htpasswd"]
        verifyObject(ICheckerFactory, factory)
        self.assertRaises(ValueError, factory.generateChecker, "")
        path = Path(self.mktemp())
        path.write_bytes(b"")
        checker = factory.generateChecker(str(path))
        self.assertEqual(checker.path, path.absolute())
        self.assertEqual(checker.credentialInterfaces, factory.credentialInterfaces)

    def test_importsNoReactor(self) -> None:
        """
        Importing the plugins leaves the choice of the reactor open.
        """
        result = run(
            "-c",
            "import sys; from twisted.plugins import socks6_dropin;"
            " sys.exit('twisted.internet.reactor' in sys.modules)",
        )
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_otherReactor(self) -> None:
        """
        C{twistd --reactor} can be given, and the options explain themselves.
        """
        script = "from twisted.scripts.twistd import run; run()"
        for name, options in (
            ("socks6", ("--port", "--tls-port", "--auth", "--anonymous", "--outbound")),
            ("socks6-local", ("--port", "--proxy", "--transparent", "--isolate")),
        ):
            result = run("-c", script, "--reactor=poll", name, "--help")
            self.assertEqual(result.returncode, 0, result.stderr)
            for option in options:
                self.assertIn(option, result.stdout)


class DocumentationTests(SynchronousTestCase):
    """
    The pages speak of what there is.
    """

    PAGES = (*sorted((CHECKOUT / "docs").glob("*.rst")), *sorted(CHECKOUT.glob("*.rst")))

    def test_files(self) -> None:
        """
        Every file of ours that a page names exists.
        """
        named = re.compile(r"``((?:socks6|twisted|tests|docs|examples|newsfragments)/[\w./]*)``")
        gone = [
            f"{page.name}: {name}"
            for page in self.PAGES
            for name in named.findall(page.read_text("utf-8"))
            if not (CHECKOUT / name).exists()
        ]
        self.assertEqual(gone, [], "\n".join(gone))

    def test_folders(self) -> None:
        """
        The page on the architecture names every folder of the package, and
        every module beside them.
        """
        page = (CHECKOUT / "docs" / "architecture.rst").read_text("utf-8")
        package = CHECKOUT / "socks6"
        parts = [path.parent for path in package.rglob("*/__init__.py")]
        parts += [path for path in package.glob("*.py") if path.name != "__init__.py"]
        names = [path.relative_to(CHECKOUT).as_posix() for path in parts]
        silent = [name for name in names if f"``{name}" not in page]
        self.assertEqual(silent, [], "\n".join(silent))

    def test_commands(self) -> None:
        """
        The README begins with a paragraph and the two commands, which the
        Makefile knows.
        """
        readme = (CHECKOUT / "README.rst").read_text("utf-8")
        makefile = (CHECKOUT / "Makefile").read_text("utf-8")
        commands = re.findall(r"^ +(\S.*)$", readme, re.MULTILINE)[:2]
        self.assertEqual(commands, ["make serve", "make test"])
        for command in commands:
            self.assertIn(f"\n{command.removeprefix('make ')}:", makefile)
