"""
Tests of L{socks6.tap.options}.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

from OpenSSL import SSL
from twisted.cred.checkers import FilePasswordDB
from twisted.plugins.cred_unix import UNIXChecker

from socks6 import __version__
from socks6.tap import Options
from tests.integration.certificates import Authority
from tests.tap.harness import CHECKOUT, OptionsTestCase, parse


class OptionsTests(OptionsTestCase):
    """
    What can be said on the command line.
    """

    def test_defaults(self) -> None:
        """
        Without options, port 1080 of the loopback address is listened on, and
        everybody there may use it.
        """
        options = parse()
        self.assertEqual(options.ports, ["tcp:1080:interface=127.0.0.1:backlog=1024"])
        self.assertEqual(options.tlsPorts, [])
        self.assertIsNone(options.tlsContext)
        self.assertEqual(options.checkers, [])
        self.assertEqual(options["connect-timeout"], 30.0)
        self.assertEqual(options["request-timeout"], 10.0)
        self.assertIsNone(options["idle-timeout"])

    def test_ports(self) -> None:
        """
        Ports are numbers or endpoint strings, as many as one likes.
        """
        options = parse(
            "--port", "1081", "--port=unix:/run/socks6", "-p", r"tcp6:1:interface=\:\:1"
        )
        self.assertEqual(
            options.ports,
            [
                "tcp:1081:interface=127.0.0.1:backlog=1024",
                "unix:/run/socks6",
                r"tcp6:1:interface=\:\:1",
            ],
        )

    def test_tlsPorts(self) -> None:
        """
        So are those with TLS; then there is no default for the others.
        """
        options = parse("--tls-port", "1443", "--tls-port=unix:/run/s", "--certificate", self.pem)
        self.assertEqual(options.ports, [])
        self.assertEqual(
            options.tlsPorts, ["tcp:1443:interface=127.0.0.1:backlog=1024", "unix:/run/s"]
        )
        self.assertIsNotNone(options.tlsContext)

    def test_tlsFiles(self) -> None:
        """
        Certificate, key and authority may be in files of their own.
        """
        certificate, key = Path(self.pem).read_bytes().split(b"-----BEGIN PRIVATE", 1)
        options = parse(
            "--tls-port",
            "1443",
            "--certificate",
            self.file("certificate", certificate),
            "--private-key",
            self.file("key", b"-----BEGIN PRIVATE" + key),
            "--client-ca",
            str(self.authority.path),
        )
        assert options.tlsContext is not None
        mode = options.tlsContext.getContext().get_verify_mode()
        self.assertTrue(mode & SSL.VERIFY_FAIL_IF_NO_PEER_CERT)

    def test_timeouts(self) -> None:
        """
        Times are seconds, with fractions.
        """
        options = parse("--connect-timeout=5", "--request-timeout", "0.5", "--idle-timeout=1e3")
        self.assertEqual(options["connect-timeout"], 5.0)
        self.assertEqual(options["request-timeout"], 0.5)
        self.assertEqual(options["idle-timeout"], 1000.0)

    def test_auth(self) -> None:
        """
        Checkers are named as with other plugins of Twisted, as many as one
        likes.
        """
        path = self.file("passwords", b"ada:s3cret\n")
        options = parse("--auth", f"file:{path}", "--auth=memory:eve:gu3ss", "--auth", "unix")
        file, memory, unix = options.checkers
        self.assertIsInstance(file, FilePasswordDB)
        self.assertEqual(memory.users, {b"eve": b"gu3ss"})  # type: ignore[attr-defined]
        self.assertIsInstance(unix, UNIXChecker)

    def test_textInMemory(self) -> None:
        """
        Names and passwords of a memory checker become octets, in UTF-8.
        """
        (checker,) = parse("--auth", "memory:zo\xeb:s\xe9cret:ada:x").checkers
        self.assertEqual(
            checker.users,  # type: ignore[attr-defined]
            {"zo\xeb".encode(): "s\xe9cret".encode(), b"ada": b"x"},
        )

    def test_emptyPasswordFile(self) -> None:
        """
        A password file may be empty: users may come later.
        """
        self.assertEqual(len(parse("--auth", f"file:{self.file('empty', b'')}").checkers), 1)

    def test_version(self) -> None:
        """
        The version is ours, not Twisted's.
        """
        with contextlib.redirect_stdout(io.StringIO()) as output:
            error = self.assertRaises(SystemExit, parse, "--version")
        self.assertEqual(error.code, 0)
        self.assertEqual(output.getvalue(), f"twistd socks6 {__version__}\n")

    def test_help(self) -> None:
        """
        The help names all options, and what happens without them.
        """
        with contextlib.redirect_stdout(io.StringIO()) as output:
            error = self.assertRaises(SystemExit, parse, "--help")
        self.assertEqual(error.code, 0)
        words = output.getvalue().split()
        for option in (
            "--port=",
            "-p,",
            "--tls-port=",
            "--certificate=",
            "--private-key=",
            "--client-ca=",
            "--auth=",
            "--help-auth",
            "--help-auth-type=",
            "--auth-failures=",
            "--anonymous",
            "--connect-timeout=",
            "--request-timeout=",
            "--idle-timeout=",
            "--sessions=",
            "--session-timeout=",
            "--session-trust=",
            "--max-sessions=",
            "--max-sessions-per-client=",
            "--max-token-window=",
            "--no-anonymous-sessions",
            "--version",
            "--help",
        ):
            self.assertIn(option, words)
        text = " ".join(words)
        for default in (
            "[default: 1080]",
            "[default: 30.0]",
            "[default: 10.0]",
            "[default: memory:]",
            "[default: 10/60]",
            "[default: 600.0]",
            "[default: always]",
            "[default: 100000]",
            "[default: 1024]",
            "[default: 65536]",
        ):
            self.assertIn(default, text)

    def test_helpOnCheckers(self) -> None:
        """
        The help on checkers names those that take user names and passwords.
        """
        options = Options()
        options.authOutput = io.StringIO()
        error = self.assertRaises(SystemExit, options.parseOptions, ["--help-auth"])
        self.assertEqual(error.code, 0)
        text = options.authOutput.getvalue()
        for kind in ("file", "memory", "unix", "htpasswd"):
            self.assertIn(f"\n  {kind}", text)
        self.assertNotIn("\n  anonymous", text)


class OpennessTests(OptionsTestCase):
    """
    An open proxy is never an accident.
    """

    def test_refused(self) -> None:
        """
        A port that others can reach needs somebody who checks who they are, or
        the word that everybody may.
        """
        certificate = ("--certificate", self.pem)
        authority = ("--client-ca", str(self.authority.path))
        plain, withTLS = "--auth or --anonymous", "--auth, --client-ca or --anonymous"
        for port, arguments, remedy in (
            ("tcp:1080", ("--port", "tcp:1080"), plain),
            ("tcp6:1080", ("--port", "tcp6:1080"), plain),
            ("haproxy:tcp:1080", ("--port", "haproxy:tcp:1080"), plain),
            ("tcp:1080", ("--port", "1080", "--port", "tcp:1080"), plain),
            ("tcp:1443", ("--tls-port", "tcp:1443", *certificate), withTLS),
            (
                "tcp:1080",
                ("--port", "tcp:1080", "--tls-port", "1443", *certificate, *authority),
                plain,
            ),
        ):
            self.assertEqual(
                self.complaint(*arguments),
                f"{port} can be reached from other machines, and everybody there could use"
                f" the proxy: add {remedy}",
            )

    def test_allowed(self) -> None:
        """
        Ports that only this machine can reach need nothing; the others, one of
        the options that the complaint names.
        """
        tls = ("--tls-port", "tcp:1443", "--certificate", self.pem)
        for arguments in (
            ("--port", "1080"),
            ("--port", "unix:/run/socks6"),
            ("--port", "tcp:1080:interface=127.0.0.2"),
            ("--port", r"tcp:1080:interface=\:\:1"),
            ("--port", "tcp:1080", "--anonymous"),
            ("--port", "tcp:1080", "--auth", "memory:ada:s3cret"),
            ("--port", "haproxy:tcp:1080", "--auth", "memory:ada:s3cret"),
            (*tls, "--anonymous"),
            (*tls, "--auth", "memory:ada:s3cret"),
            (*tls, "--client-ca", str(self.authority.path)),
            (*tls, "--client-ca", str(self.authority.path), "--port", "1080"),
        ):
            options = parse(*arguments)
            self.assertTrue(options.ports or options.tlsPorts, repr(arguments))


class MistakeTests(OptionsTestCase):
    """
    Mistakes are one line and exit status 1.
    """

    def test_mistakes(self) -> None:
        """
        Each line says what is wrong, and with what.
        """
        missing = str(self.folder / "missing")
        empty = self.file("empty", b"")
        stranger = self.folder / "stranger"
        stranger.mkdir()
        otherPEM = str(Authority(stranger).server().path)
        tls = ("--tls-port", "1443")
        for arguments, complaint in (
            (("--nope",), "option --nope not recognized"),
            (("--port",), "option --port requires argument"),
            (("extra",), "Wrong number of arguments."),
            (("--anonymous=yes",), "option --anonymous must not have an argument"),
            (("--port", "65536"), "no port has the number 65536"),
            (
                ("--port", "nope:1"),
                "'nope:1' is no port: ValueError: Unknown endpoint type: 'nope'",
            ),
            (("--port", ""), "'' is no port: ValueError: Unknown endpoint type: ''"),
            (
                ("--port", "nope:1", "--anonymous"),
                "'nope:1' is no port: ValueError: Unknown endpoint type: 'nope'",
            ),
            (
                ("--tls-port", "nope:1", "--certificate", self.pem),
                "'nope:1' is no port: ValueError: Unknown endpoint type: 'nope'",
            ),
            (
                ("--anonymous", "--auth", "memory:ada:s3cret"),
                "--anonymous and --auth contradict each other",
            ),
            (tls, "--tls-port needs a --certificate"),
            ((*tls, "--private-key", self.pem), "--tls-port needs a --certificate"),
            (("--certificate", self.pem), "--certificate needs a --tls-port or a --dtls-port"),
            (("--private-key", self.pem), "--private-key needs a --tls-port or a --dtls-port"),
            (("--client-ca", self.pem), "--client-ca needs a --tls-port or a --dtls-port"),
            ((*tls, "--certificate", missing), f"{missing}: No such file or directory"),
            ((*tls, "--certificate", str(self.folder)), f"{self.folder}: Is a directory"),
            ((*tls, "--certificate", empty), f"{empty}: no certificate in PEM form"),
            (
                (*tls, "--certificate", self.pem, "--private-key", otherPEM),
                f"{otherPEM}: not the private key of {self.pem}",
            ),
            (
                (*tls, "--certificate", self.pem, "--client-ca", missing),
                f"{missing}: No such file or directory",
            ),
            (
                ("--auth", f"file:{missing}"),
                f"--auth: the password file {missing} cannot be read: No such file or directory",
            ),
            (
                ("--auth", f"file:{self.folder}"),
                f"--auth: the password file {self.folder} cannot be read: Is a directory",
            ),
            (("--auth", "file"), "Unexpected error: 'file' requires a filename"),
            (("--auth", "file:"), "Unexpected error: 'file' requires a filename"),
            (("--auth", "nope:x"), "Auth plugin not recognized: nope"),
            (("--auth", "anonymous"), "Auth plugin not supported: "),
            (("--auth", "memory:ada"), "Unexpected error: "),
            (("--help-auth-type", "nope"), "Invalid auth type: nope"),
        ):
            found = self.complaint(*arguments)
            if complaint.endswith((": ", "argument")):
                self.assertTrue(found.startswith(complaint), found)
            else:
                self.assertEqual(found, complaint, repr(arguments))

    def test_times(self) -> None:
        """
        Times must be numbers above zero, and finite.
        """
        for option in (
            "--connect-timeout",
            "--request-timeout",
            "--idle-timeout",
            "--session-timeout",
        ):
            for value in ("0", "-1", "nan", "inf", "-inf", "soon", ""):
                self.assertEqual(
                    self.complaint(f"{option}={value}"),
                    f"{option} {value!r} is not a number of seconds above 0",
                )

    def test_passwordsAreNotRepeated(self) -> None:
        """
        A complaint does not show passwords.
        """
        self.assertNotIn("s3cret", self.complaint("--auth", "memory:ada:s3cret:eve"))
        self.assertNotIn("s3cret", self.complaint("--anonymous", "--auth", "memory:ada:s3cret"))


class ImportTests(OptionsTestCase):
    """
    C{twistd --reactor} must have its say first.
    """

    def test_noReactor(self) -> None:
        """
        Neither importing the command line nor reading it imports the reactor.
        """
        script = (
            "import sys, socks6.tap\n"
            "options = socks6.tap.Options()\n"
            "options.parseOptions(sys.argv[1:])\n"
            "sys.exit('twisted.internet.reactor' in sys.modules)\n"
        )
        arguments = ["--port", "tcp:1080", "--auth", "memory:ada:s3cret"]
        arguments += ["--auth", f"htpasswd:{Path(self.file('empty', b'')).resolve()}"]
        arguments += ["--tls-port", "1443", "--certificate", str(Path(self.pem).resolve())]
        for store in ("sqlite:sessions", "redis://127.0.0.1:6379/0"):
            finished = subprocess.run(
                [sys.executable, "-c", script, *arguments, "--sessions", store],
                cwd=CHECKOUT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual((finished.returncode, finished.stderr), (0, ""), store)
