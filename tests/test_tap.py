"""
Tests of L{socks6.tap}.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import twisted.internet
from twisted.application.service import IService
from twisted.cred.checkers import FilePasswordDB
from twisted.internet import protocol
from twisted.internet.error import CannotListenError
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import LogLevel
from twisted.plugins.cred_unix import UNIXChecker
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6 import __version__
from socks6.server import service as serviceModule
from socks6.server.service import ProxyService
from socks6.tap import Options, makeService, raiseDescriptorLimit
from tests.doubles import TLSPeer
from tests.integration.certificates import Authority
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    DONE,
    NOOP,
    REFUSED,
    WELCOME,
    MemoryTestCase,
    authenticationData,
    failure,
    request,
)
from tests.server.test_service import SilentResolver

CHECKOUT = Path(__file__).resolve().parent.parent

LOGIN = request(authenticationData(ADA), command=0)


def parse(*arguments: str) -> Options:
    """
    Read a command line.
    """
    options = Options()
    options.parseOptions(arguments)
    return options


class OptionsTestCase(MemoryTestCase):
    """
    A test with files.
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.pem = str(self.authority.server().path)

    def file(self, name: str, octets: bytes) -> str:
        """
        Write a file.
        """
        path = self.folder / name
        path.write_bytes(octets)
        return str(path)

    def complaint(self, *arguments: str) -> str:
        """
        Read a command line with a mistake.

        @return: What is written, without what begins it each time.
        """
        with contextlib.redirect_stderr(io.StringIO()):
            error = self.assertRaises(SystemExit, parse, *arguments)
        # Python writes it to standard error and exits with status 1.
        self.assertIsInstance(error.code, str, repr(arguments))
        self.assertTrue(error.code.startswith("twistd socks6: "), error.code)
        self.assertNotIn("\n", error.code)
        complaint: str = error.code.removeprefix("twistd socks6: ")
        return complaint


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
        self.assertTrue(options.tlsContext.requireCertificate)

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
            "--anonymous",
            "--connect-timeout=",
            "--request-timeout=",
            "--idle-timeout=",
            "--version",
            "--help",
        ):
            self.assertIn(option, words)
        text = " ".join(words)
        for default in ("[default: 1080]", "[default: 30.0]", "[default: 10.0]"):
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
        for kind in ("file", "memory", "unix"):
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
            (("--certificate", self.pem), "--certificate needs a --tls-port"),
            (("--private-key", self.pem), "--private-key needs a --tls-port"),
            (("--client-ca", self.pem), "--client-ca needs a --tls-port"),
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
        for option in ("--connect-timeout", "--request-timeout", "--idle-timeout"):
            for value in ("0", "-1", "nan", "inf", "-inf", "soon", ""):
                self.assertEqual(
                    self.complaint(f"{option}={value}"),
                    f"Parameter type enforcement failed: {option} {value!r}"
                    " is not a number of seconds above 0",
                )

    def test_passwordsAreNotRepeated(self) -> None:
        """
        A complaint does not show passwords.
        """
        self.assertNotIn("s3cret", self.complaint("--auth", "memory:ada:s3cret:eve"))
        self.assertNotIn("s3cret", self.complaint("--anonymous", "--auth", "memory:ada:s3cret"))


class ServiceTests(OptionsTestCase):
    """
    The service that the options describe.
    """

    def setUp(self) -> None:
        super().setUp()
        # What "from twisted.internet import reactor" finds, which trial need
        # not have installed yet.
        names: dict[str, Any] = vars(twisted.internet)
        if "reactor" in names:
            self.addCleanup(names.__setitem__, "reactor", names["reactor"])
        else:
            self.addCleanup(names.pop, "reactor")
        names["reactor"] = self.network

    def start(self, *arguments: str) -> ProxyService:
        """
        Start the service of a command line.
        """
        service: Any = makeService(parse(*arguments))
        self.assertTrue(verifyObject(IService, service))
        service.privilegedStartService()
        service.startService()
        self.addCleanup(self.stop, service)
        (proxy,) = service
        assert isinstance(proxy, ProxyService)
        return proxy

    def stop(self, service: Any) -> None:
        """
        Stop a service.
        """
        stopped = service.stopService()
        self.network.spin()
        self.successResultOf(stopped)

    def ask(self, factory: protocol.Factory, sent: bytes) -> bytes:
        """
        Connect and say something.
        """
        client = self.network.accept(factory)
        client.send(sent)
        client.end()
        return client.received

    def test_ports(self) -> None:
        """
        It listens where it is told to.
        """
        proxy = self.start("--port", "1081", "--port", "unix:/run/socks6", "--port", "1082")
        self.assertEqual(
            [(port, factory, interface) for port, factory, _, interface in self.network.tcpServers],
            [(1081, proxy.factory, "127.0.0.1"), (1082, proxy.factory, "127.0.0.1")],
        )
        self.assertEqual(
            [(address, factory) for address, factory, *_ in self.network.unixServers],
            [("/run/socks6", proxy.factory)],
        )

    def test_tlsPorts(self) -> None:
        """
        On some of its ports it speaks TLS.
        """
        self.start("--tls-port", "1443", "--certificate", self.pem, "--port", "1080")
        (_, plain, _, _), (port, factory, _, interface) = self.network.tcpServers
        self.assertEqual((port, interface), (1443, "127.0.0.1"))
        self.assertIsInstance(factory, TLSMemoryBIOFactory)
        client = TLSPeer(self.network.accept(factory), self.authority.clientContext())
        client.handshake()
        client.send(NOOP)
        self.network.spin()
        self.assertEqual(client.received, WELCOME + DONE)
        self.assertEqual(self.ask(plain, NOOP), WELCOME + DONE)  # type: ignore[arg-type]

    def test_anonymous(self) -> None:
        """
        Without checkers, everybody is let in.
        """
        self.assertEqual(self.ask(self.start().factory, NOOP), WELCOME + DONE)

    def test_auth(self) -> None:
        """
        With a checker of either kind, only those whom it knows.
        """
        path = self.file("passwords", b"ada:s3cret\n")
        for checker in (f"file:{path}", "memory:ada:s3cret"):
            factory = self.start("--auth", checker).factory
            self.assertEqual(self.ask(factory, LOGIN), AUTHENTICATED + DONE, checker)
            self.assertEqual(self.ask(factory, NOOP), REFUSED, checker)

    def test_timeouts(self) -> None:
        """
        It keeps to the times.
        """
        self.patch(serviceModule, "ThreadedResolver", lambda reactor: SilentResolver())
        proxy = self.start(
            "--request-timeout", "2", "--connect-timeout", "4", "--idle-timeout", "6"
        )
        self.assertEqual(proxy.factory.idleTimeout, 6.0)
        client = self.network.accept(proxy.factory)
        self.network.elapse(1.75)
        self.assertFalse(client.ended)
        self.network.elapse(0.25)
        self.assertTrue(client.ended)
        client = self.network.accept(proxy.factory)
        client.send(request(address=bytes.fromhex("01bb 03 01 61")))
        self.network.elapse(3.75)
        self.assertEqual(client.received, WELCOME)
        self.network.elapse(0.25)
        self.assertEqual(client.received, WELCOME + failure(9))

    def occupy(self) -> str:
        """
        Let nobody listen.

        @return: What is to be said of it.
        """

        def listenTCP(port: int, factory: object, backlog: int, interface: str) -> None:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        self.patch(self.network, "listenTCP", listenTCP)
        return "Couldn't listen on 127.0.0.1:1080: [Errno 98] Address already in use."

    def twistd(self, *arguments: str, nodaemon: bool = True) -> tuple[Any, Path]:
        """
        Make the service of a command line as C{twistd} does.

        @return: The service, and C{twistd}'s pidfile.
        """
        pidfile = Path(self.file("twistd.pid", b"1"))
        options: Any = parse(*arguments)
        options.parent = {"nodaemon": nodaemon, "pidfile": str(pidfile)}
        return makeService(options), pidfile

    def test_cannotListen(self) -> None:
        """
        Where it cannot listen, that is one line, and the process ends with
        status 1, leaving no pidfile.
        """
        line = self.occupy()
        service, pidfile = self.twistd()
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual(error.code, 1)
        self.assertEqual(self.lines, [line])
        self.assertEqual(self.events[-1]["log_level"], LogLevel.critical)
        self.assertFalse(pidfile.exists())

    def test_cannotListenWithoutPidfile(self) -> None:
        """
        There need not be a pidfile, or it is gone already.
        """
        self.occupy()
        for named in (False, True):
            service, pidfile = self.twistd()
            pidfile.unlink()
            if not named:
                service._runner["pidfile"] = ""
            error = self.assertRaises(SystemExit, service.privilegedStartService)
            self.assertEqual(error.code, 1, str(named))

    def test_cannotListenInBackground(self) -> None:
        """
        A daemon's parent waits for word of it, which only C{twistd} can give.
        """
        line = self.occupy()
        service, pidfile = self.twistd(nodaemon=False)
        error = self.assertRaises(CannotListenError, service.privilegedStartService)
        self.assertEqual(str(error), line)
        self.assertEqual(self.lines, [line])
        self.assertTrue(pidfile.exists(), "twistd removes it itself")

    def test_cannotListenUnderTwist(self) -> None:
        """
        C{twist} knows no privileges and does not log yet.
        """
        line = self.occupy()
        service: Any = makeService(parse())
        error = self.assertRaises(SystemExit, service.startService)
        self.assertEqual(error.code, f"twist socks6: {line}")

    def test_noSuchPort(self) -> None:
        """
        Neither is a port number that the system does not know a traceback.
        """

        def listenTCP(port: int, factory: object, backlog: int, interface: str) -> None:
            raise OverflowError("bind(): port must be 0-65535.")

        self.patch(self.network, "listenTCP", listenTCP)
        service, _ = self.twistd("--port", "tcp:65536:interface=127.0.0.1")
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual(error.code, 1)
        self.assertEqual(self.lines, ["bind(): port must be 0-65535."])

    def test_passwordsOutOfReach(self) -> None:
        """
        A password file that cannot be read any more once the process is who it
        will be, stops the start.
        """
        passwords = Path(self.file("passwords", b"ada:s3cret\n")).absolute()
        service, _ = self.twistd("--auth", f"file:{passwords}")
        service.privilegedStartService()
        self.addCleanup(self.stop, service)
        passwords.unlink()
        error = self.assertRaises(SystemExit, service.startService)
        self.assertEqual(error.code, 1)
        self.assertEqual(
            self.lines,
            [f"--auth: the password file {passwords} cannot be read: No such file or directory"],
        )

    def test_passwordsElsewhere(self) -> None:
        """
        A password file is where it was when the command was given, wherever
        the process goes.
        """
        name = self.file("passwords", b"ada:s3cret\n")
        options = parse("--auth", f"file:{os.path.relpath(name)}")
        (checker,) = options.checkers
        self.assertEqual(checker.filename, str(Path(name).absolute()))  # type: ignore[attr-defined]


class DescriptorLimitTests(SynchronousTestCase):
    """
    How many descriptors the process may have.
    """

    def setUp(self) -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        self.hard = limits[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, self.hard))

    @property
    def soft(self) -> int:
        """
        The limit that holds.
        """
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def test_raised(self) -> None:
        """
        It gets as many as it may have.
        """
        raiseDescriptorLimit(object())
        self.assertEqual(self.soft, self.hard)

    def test_select(self) -> None:
        """
        C{select} cannot watch more than it always could.
        """
        raiseDescriptorLimit(SelectReactor())
        self.assertEqual(self.soft, 500)

    def test_refused(self) -> None:
        """
        If the system does not let it, the limit stays.
        """

        def setrlimit(which: int, limits: tuple[int, int]) -> None:
            raise ValueError("not allowed to raise maximum limit")

        original = resource.setrlimit
        self.patch(resource, "setrlimit", setrlimit)
        raiseDescriptorLimit(object())
        self.assertEqual(self.soft, 500)
        self.patch(resource, "setrlimit", original)


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
        arguments += ["--tls-port", "1443", "--certificate", str(Path(self.pem).resolve())]
        finished = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((finished.returncode, finished.stderr), (0, ""))
