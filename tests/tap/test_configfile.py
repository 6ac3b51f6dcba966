"""
Tests of L{socks6.tap.configfile}.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from socks6.listening import endpointDescription
from socks6.tap import local
from socks6.tap.common import CommonOptions
from socks6.tap.options import Options
from tests.tap.harness import OptionsTestCase


class ConfigurationTestCase(OptionsTestCase):
    """
    A test with a file of options.
    """

    def write(self, text: str) -> str:
        """
        Write the file.
        """
        return self.file("socks6.toml", text.encode("utf-8"))

    def read(self, text: str, *arguments: str) -> Options:
        """
        Read a command line and a file.
        """
        options = Options()
        options.parseOptions([f"--config={self.write(text)}", *arguments])
        return options

    def mistake(self, text: str, *arguments: str) -> str:
        """
        Read a file with a mistake.

        @return: What is said of it, without the name of the file.
        """
        path = self.write(text)
        complaint = self.complaint(f"--config={path}", *arguments)
        start = f"--config {path}: "
        self.assertTrue(complaint.startswith(start), complaint)
        return complaint.removeprefix(start)


class FileTests(ConfigurationTestCase):
    """
    What stands in the file is in force.
    """

    def test_kinds(self) -> None:
        """
        Options of all kinds have the names that they have on the command line.
        """
        options = self.read(
            f"""
            port = ["1081", "tcp:1082:interface=127.0.0.1"]
            tls-port = 1443
            certificate = '{self.pem}'
            bind-address = ["192.0.2.1", "2001:db8::1"]
            bind-ports = "2000-2999"
            max-sessions = 7
            connect-timeout = 2.5
            request-timeout = 3
            idle-timeout = 4
            sessions = "memory:"
            auth = "memory:alice:secret"
            no-splice = true
            mptcp = false
            """
        )
        self.assertEqual(
            options.ports, [endpointDescription("1081"), "tcp:1082:interface=127.0.0.1"]
        )
        self.assertEqual(options.tlsPorts, [endpointDescription("1443")])
        self.assertEqual(options["certificate"], self.pem)
        self.assertEqual(options["bind-ports"], (2000, 2999))
        self.assertEqual(options["max-sessions"], 7)
        self.assertEqual(
            [options[f"{name}-timeout"] for name in ("connect", "request", "idle")], [2.5, 3, 4]
        )
        self.assertEqual(len(options.checkers), 1)
        self.assertEqual((options["no-splice"], options["mptcp"]), (1, 0))

    def test_empty(self) -> None:
        """
        A file may say nothing, and an option may have an empty list.
        """
        for text in ("", "# nothing", "port = []"):
            self.assertEqual(self.read(text).ports, [endpointDescription("1080")])

    def test_remembered(self) -> None:
        """
        What is remembered of the command line has what the file says, and not the file:
        whoever reads it again need not read that.
        """
        options = self.read("port = ['1', '2']\nno-splice = true", "-p3", "--anonymous")
        self.assertEqual(options.arguments, ["--no-splice", "--port=3", "--anonymous"])
        path = options["config"]
        Path(path).unlink()
        again = Options()
        again.parseOptions(options.arguments)
        self.assertEqual(again, {**options, "config": None})
        self.assertEqual(again.ports, options.ports)

    def test_folder(self) -> None:
        """
        Names of files in it are meant from where we are, as those on the command line.
        """
        self.addCleanup(os.chdir, os.getcwd())
        path = Path(self.write("tls-port = 1443\ncertificate = 'here.pem'")).absolute()
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "here.pem").write_bytes(Path(self.pem).read_bytes())
        os.chdir(elsewhere)
        options = Options()
        options.parseOptions([f"--config={path}"])
        self.assertIsNotNone(options.tlsContext)

    def test_local(self) -> None:
        """
        The local proxifier reads such a file, too.
        """
        path = self.write("proxy = 'socks6://proxy.example'\nisolate = ['auth', 'client']")
        options = local.Options()
        options.parseOptions(["--config", path, "--port", "1082"])
        self.assertEqual([str(proxy) for proxy in options.proxies], ["socks6://proxy.example:1080"])
        self.assertEqual(len(options.isolations or ()), 2)
        self.assertEqual(options.ports, [endpointDescription("1082")])


class CommandLineTests(ConfigurationTestCase):
    """
    The command line comes first.
    """

    def test_replaces(self) -> None:
        """
        A value there replaces that of the file, and those of an option that has several
        replace them all, whatever the option is called there.
        """
        text = "port = ['1', '2', '3']\nconnect-timeout = 2\nrequest-timeout = 3"
        for port in (["-p", "4"], ["--port=4"], ["--por", "4"]):
            options = self.read(text, *port, "--connect-timeout=5")
            self.assertEqual(options.ports, [endpointDescription("4")])
            self.assertEqual((options["connect-timeout"], options["request-timeout"]), (5, 3))

    def test_opposites(self) -> None:
        """
        A flag there replaces its opposite.
        """
        way = "--outbound=socks5:localhost:9050"
        for name, opposite in (
            ("isolate-sessions", "no-isolate-sessions"),
            ("no-isolate-sessions", "isolate-sessions"),
        ):
            options = self.read(f"{name} = true", f"--{opposite}", way)
            self.assertEqual((options[name], options[opposite]), (0, 1))

    def test_wrongAnyway(self) -> None:
        """
        What is replaced must make sense all the same.
        """
        self.assertIn("mptcp is to be", self.mistake("mptcp = 1", "--mptcp"))

    def test_later(self) -> None:
        """
        Of two files, the later one counts.
        """
        first = self.file("first.toml", b"port = 1081")
        options = Options()
        options.parseOptions([f"--config={first}", f"--config={self.write('port = 1082')}"])
        self.assertEqual(options.ports, [endpointDescription("1082")])

    def test_mistakes(self) -> None:
        """
        Mistakes of the command line are told as ever.
        """
        path = self.write("port = 1081")
        self.assertEqual(
            self.complaint(f"--config={path}", "--nope"), "option --nope not recognized"
        )
        self.assertEqual(
            self.complaint(f"--config={path}", "more", "--port=1"), "Wrong number of arguments."
        )

    def test_help(self) -> None:
        """
        So is all that there is to know.
        """
        options = Options()
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertRaises(SystemExit, options.parseOptions, ["--help"])
        self.assertIn("--config=", output.getvalue())


class MistakeTests(ConfigurationTestCase):
    """
    A mistake in the file is one line, which names it.
    """

    def test_unknown(self) -> None:
        """
        A name that means nothing is told with the nearest one that does.
        """
        for name, nearest in (
            ("prot", "port"),
            ("tls_port", "tls-port"),
            ("conect-timeout", "connect-timeout"),
            ("Anonymous", "anonymous"),
            ("p", "port"),
        ):
            self.assertEqual(
                self.mistake(f"{name} = 1"),
                f"there is no option {name!r}; the nearest one is {nearest!r}",
            )
        self.assertIn("there is no option 'config'", self.mistake("config = 1"))

    def test_noSettings(self) -> None:
        """
        What only tells something is no option there; nor is a table.
        """
        for line in ("help = true", "version = true", "help-auth = true", "[tls]"):
            name = line.strip("[]").split()[0]
            self.assertIn(f"there is no option {name!r}; ", self.mistake(line))

    def test_types(self) -> None:
        """
        A value of another type is told with the name.
        """
        for line, expected, actual in (
            ("mptcp = 1", "true or false", "a number"),
            ("mptcp = 'yes'", "true or false", "a string"),
            ("port = true", "a string or a number or a list", "true or false"),
            ("port = {}", "a string or a number or a list", "a table"),
            ("[port]", "a string or a number or a list", "a table"),
            ("port = 2026-01-01", "a string or a number or a list", "a date or time"),
            ("certificate = 5", "a string", "a number"),
            ("certificate = ['a', 'b']", "a string", "a list"),
            ("max-sessions = '5'", "a number", "a string"),
            ("idle-timeout = '5'", "a number", "a string"),
            ("workers = [5]", "a number", "a list"),
            ("session-trust = false", "a string or a number", "true or false"),
        ):
            name = line.strip("[]").split()[0]
            self.assertEqual(self.mistake(line), f"{name} is to be {expected}, and is {actual}")
        for value, actual in (("true", "true or false"), ("['1']", "a list"), ("{}", "a table")):
            self.assertEqual(
                self.mistake(f"port = ['1', {value}]"),
                f"what is in the list port is to be a string or a number, and is {actual}",
            )

    def test_values(self) -> None:
        """
        What an option may not be is told as on the command line.
        """
        for line, complaint in (
            ("max-sessions = 1.5", "--max-sessions '1.5' is not a number from 0 to"),
            ("idle-timeout = inf", "--idle-timeout 'inf' is not a number of seconds above 0"),
            ("session-trust = 'some'", "--session-trust 'some' is not one of always"),
            ("workers = 0", "--workers '0' is not a number from 1"),
        ):
            told = self.complaint(f"--config={self.write(line)}")
            self.assertTrue(told.startswith(complaint), told)

    def test_broken(self) -> None:
        """
        A file that is not TOML is told with the line.
        """
        self.assertIn("(at line 2, column", self.mistake("port = 1\nport 2"))
        path = self.file("broken.toml", b"port = 1\n\n# \xff")
        self.assertEqual(
            self.complaint(f"--config={path}"), f"--config {path}: not UTF-8 (at line 3)"
        )

    def test_unreadable(self) -> None:
        """
        So is one that cannot be read.
        """
        for path, words in (
            (str(self.folder / "absent"), "No such file or directory"),
            (str(self.folder), "Is a directory"),
            ("", "Is a directory"),
            ("a\0b", "embedded null byte"),
        ):
            self.assertEqual(self.complaint(f"--config={path}"), f"--config {path}: {words}")


class LocalMistakeTests(OptionsTestCase):
    """
    The same for the local proxifier.
    """

    kind: type[CommonOptions] = local.Options

    def test_unknown(self) -> None:
        """
        It has names of its own.
        """
        path = self.file("local.toml", b"tls-port = 1443")
        self.assertIn(
            "there is no option 'tls-port'; the nearest one is 'port'",
            self.complaint(f"--config={path}"),
        )
