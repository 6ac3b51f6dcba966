"""
Tests for L{socks6.command.options}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.python.usage import UsageError

from socks6 import __version__
from socks6.command.options import ConnectOptions, Options, ProbeOptions
from socks6.values.options import UsernamePassword
from tests.command.harness import PROXY, CommandTestCase, parse, written

ADA = UsernamePassword(b"ada", b"s3cret")

CONNECT = ("connect", "host.example", "443")


class OptionsTests(CommandTestCase):
    """
    What can be said on the command line, and in the environment.
    """

    def file(self, octets: bytes) -> str:
        """
        Write a file.
        """
        path = Path(self.mktemp())
        path.write_bytes(octets)
        return str(path)

    def complaint(self, *arguments: str) -> str:
        """
        Read a command line with a mistake.
        """
        return str(self.assertRaises(UsageError, parse, *arguments))

    def test_connect(self) -> None:
        """
        C{connect} takes a host and a port, and options before, between and behind them.
        """
        for arguments in (
            ["--proxy", PROXY, "--optimistic", "host.example", "443"],
            ["host.example", f"--proxy={PROXY}", "443", "--optimistic"],
            ["host.example", "443", "--optimistic", "--proxy", PROXY],
            ["--opt", "--pro", PROXY, "--", "host.example", "443"],
        ):
            options = parse("connect", *arguments)
            self.assertIsInstance(options, ConnectOptions)
            self.assertEqual((options.host, options.port), ("host.example", 443))
            self.assertEqual(str(options.url), PROXY)
            self.assertEqual(options["optimistic"], 1)
        self.assertEqual(parse(*CONNECT, "--proxy", PROXY)["optimistic"], 0)

    def test_probe(self) -> None:
        """
        C{probe} takes both or none.
        """
        options = parse("probe", "--proxy", PROXY)
        self.assertIsInstance(options, ProbeOptions)
        self.assertIsNone(options.destination)
        self.assertEqual(options["json"], 0)
        options = parse("probe", "host.example", "443", "--json", "--proxy", PROXY)
        self.assertEqual(options.destination, ("host.example", 443))
        self.assertEqual(options["json"], 1)

    def test_environment(self) -> None:
        """
        The proxy may be in the environment; the command line counts more.
        """
        self.variables(SOCKS6_PROXY="socks6://ada:s3cret@other.example")
        options = parse(*CONNECT)
        self.assertEqual(str(options.url), "socks6://other.example:1080")
        self.assertEqual(options.url.credentials, ADA)
        self.assertEqual(str(parse(*CONNECT, "--proxy", PROXY).url), PROXY)

    def test_password(self) -> None:
        """
        The password may be in the URL, in a file or in the environment, and in that
        order it counts.
        """
        url = "socks6://ada@127.0.0.1"
        file = self.file(b"s3cret\nand more\n")
        self.assertEqual(
            parse(*CONNECT, "--proxy", url, "--password-file", file).url.credentials, ADA
        )
        self.variables(SOCKS6_PASSWORD="fr\xfchling")
        self.assertEqual(
            parse(*CONNECT, "--proxy", url).url.credentials,
            UsernamePassword(b"ada", "fr\xfchling".encode()),
        )
        for arguments in (
            [url, "--password-file", file],
            ["socks6://ada:s3cret@127.0.0.1"],
            [f"{url}?passwordfile={file}"],
        ):
            self.assertEqual(parse(*CONNECT, "--proxy", *arguments).url.credentials, ADA)

    def test_noUser(self) -> None:
        """
        A password that is there for other proxies is of no importance.
        """
        self.variables(SOCKS6_PASSWORD="s3cret")
        self.assertIsNone(parse(*CONNECT, "--proxy", PROXY).url.credentials)

    def test_mistakes(self) -> None:
        """
        What makes no sense is said in a sentence.
        """
        proxy = ("--proxy", PROXY)
        for arguments, words in [
            ((), "a command is needed"),
            (("disconnect",), "disconnect"),
            (("connect", *proxy), "arguments"),
            (("connect", "host.example", *proxy), "arguments"),
            ((*CONNECT, "80", *proxy), "arguments"),
            (("connect", "host.example", "https", *proxy), "'https' is not a port"),
            (("connect", "host.example", "0", *proxy), "'0' is not a port"),
            (("connect", "host.example", "65536", *proxy), "not a port"),
            (("connect", "host.example", "9" * 5000, *proxy), "not a port"),
            (("connect", "host.example", "\xb2", *proxy), "not a port"),
            (CONNECT, "SOCKS6_PROXY"),
            ((*CONNECT, "--proxy", ""), "SOCKS6_PROXY"),
            ((*CONNECT, "--proxy"), "requires argument"),
            ((*CONNECT, "--what", *proxy), "--what"),
            ((*CONNECT, "--optimistic=yes", *proxy), "must not have an argument"),
            ((*CONNECT, "--p", PROXY), "not a unique prefix"),
            ((*CONNECT, "--proxy", "http://127.0.0.1"), "socks6://"),
            ((*CONNECT, "--proxy", "socks6://ada@127.0.0.1"), "passwordfile="),
            ((*CONNECT, *proxy, "--password-file", "/nowhere/pass"), "/nowhere/pass: No such"),
            ((*CONNECT, "--proxy", "socks6s://h?ca=/nowhere/ca"), "/nowhere/ca: No such"),
            (("probe", "host.example", *proxy), "HOST needs a PORT"),
            (("probe", "host.example", "https", *proxy), "'https' is not a port"),
            (("probe", "host.example", "1", "2", *proxy), "arguments"),
        ]:
            self.assertIn(words, self.complaint(*arguments), repr(arguments))

    def test_secrets(self) -> None:
        """
        No complaint repeats a password.
        """
        self.assertNotIn("s3cret", self.complaint(*CONNECT, "--proxy", "socks6://a:s3cret@h@h"))

    def test_version(self) -> None:
        """
        The program and each command tell the version.
        """
        for arguments in (["--version"], ["connect", "--version"], ["probe", "--version"]):
            with written() as (output, _):
                self.assertEqual(self.assertRaises(SystemExit, parse, *arguments).code, 0)
            self.assertEqual(output.getvalue(), f"socks6 {__version__}\n")

    def test_help(self) -> None:
        """
        The program and each command explain themselves.
        """
        for arguments, expected in [
            ([], ["Usage: socks6 COMMAND [options]\n", "connect ", "probe "]),
            (["connect"], ["Usage: socks6 connect HOST PORT [options]\n", "--optimistic"]),
            (["probe"], ["Usage: socks6 probe [HOST PORT] [options]\n", "--json"]),
        ]:
            with written() as (output, _):
                self.assertEqual(self.assertRaises(SystemExit, parse, *arguments, "--help").code, 0)
            for words in expected:
                self.assertIn(words, output.getvalue())

    def test_nothing(self) -> None:
        """
        A command can be read without arguments, which is a mistake in both.
        """
        for options in (ConnectOptions(), ProbeOptions(), Options()):
            self.assertRaises(UsageError, options.parseOptions, [])
