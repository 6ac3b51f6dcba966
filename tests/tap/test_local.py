"""
Tests of L{socks6.tap.local}.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import twisted.internet
from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from socks6 import __version__
from socks6.client.urls import PASSWORD_VARIABLE, PROXY_VARIABLE, DatagramRoute
from socks6.local import conversation
from socks6.local.factory import LocalFactory, TransparentFactory
from socks6.local.isolation import Isolation
from socks6.tap import local
from socks6.tap.local import Options, makeService
from socks6.values.codes import Command
from socks6.values.options import UsernamePassword
from tests.local.incoming import MemoryDatagramSocket
from tests.local.programs import (
    FIVE,
    FIVE_GRANTED,
    FOUR,
    GET,
    HELLO,
    IPV4,
    NO_NEED,
    TUNNEL,
    TUNNEL_GRANTED,
    socks5,
    socks5Reply,
)
from tests.outbound.upstreams import Upstream
from tests.server.harness import CONNECTED, DONE, WELCOME, request
from tests.server.sessions import SESSION_OK, SESSION_REQUEST, admitted, sessionID, tokenRequest
from tests.tap.harness import CHECKOUT, OptionsTestCase

PROXY = "--proxy=socks6://localhost:9050"

FORM = (
    "the proxy is not of the form socks6://[USER[:PASSWORD]@]HOST[:PORT], or socks6s://..."
    " with TLS; special characters in user and password are written as % and two digits"
)


def parse(*arguments: str) -> Options:
    """
    Read a command line.
    """
    options = Options()
    options.parseOptions(arguments)
    return options


class LocalTestCase(OptionsTestCase):
    """
    A test of C{twistd socks6-local}, with nothing of ours in the environment.
    """

    kind = Options

    def setUp(self) -> None:
        super().setUp()
        ours = PROXY_VARIABLE, PASSWORD_VARIABLE
        environment = {name: os.environ[name] for name in os.environ if name not in ours}
        self.patch(os, "environ", environment)


class OptionsTests(LocalTestCase):
    """
    What can be said on the command line.
    """

    def test_defaults(self) -> None:
        """
        With a proxy and nothing else, port 1081 of the loopback address is listened
        on.
        """
        options = parse(PROXY)
        self.assertEqual(options.ports, ["tcp:1081:interface=127.0.0.1:backlog=1024"])
        self.assertEqual(options.transparentPorts, [])
        self.assertEqual([str(url) for url in options.proxies], ["socks6://localhost:9050"])
        self.assertIsNone(options.isolations)
        self.assertIsNone(options.optimism)
        self.assertEqual(options["connect-timeout"], 60.0)
        self.assertEqual(options["request-timeout"], 10.0)
        self.assertIsNone(options["idle-timeout"])

    def test_ports(self) -> None:
        """
        Ports are numbers or endpoint strings, as many as one likes, of either kind.
        """
        options = parse(PROXY, "--port", "1", "-p", "unix:/run/s", "--transparent=2")
        self.assertEqual(options.ports, ["tcp:1:interface=127.0.0.1:backlog=1024", "unix:/run/s"])
        self.assertEqual(options.transparentPorts, ["tcp:2:interface=127.0.0.1:backlog=1024"])

    def test_onlyTransparent(self) -> None:
        """
        If connections are redirected, there is no default for the others.
        """
        options = parse(PROXY, "--transparent=2", "--transparent=tcp:3:interface=127.0.0.1")
        self.assertEqual(options.ports, [])
        self.assertEqual(len(options.transparentPorts), 2)

    def test_proxies(self) -> None:
        """
        There may be several proxies, in their order.
        """
        options = parse("--proxy", "socks6://b", "--proxy=socks6s://ada:s3cret@a:5")
        self.assertEqual(
            [str(url) for url in options.proxies], ["socks6://b:1080", "socks6s://a:5"]
        )

    def test_proxyInEnvironment(self) -> None:
        """
        If the command line has none, the environment may.
        """
        os.environ[PROXY_VARIABLE] = "socks6://ada:s3cret@there:1"
        self.assertEqual([str(url) for url in parse().proxies], ["socks6://there:1"])
        self.assertEqual([str(url) for url in parse(PROXY).proxies], ["socks6://localhost:9050"])

    def test_passwordInEnvironment(self) -> None:
        """
        The environment may have the password of users who have none in their URL.
        """
        os.environ[PASSWORD_VARIABLE] = "s3cret"
        passwords = [
            None if url.credentials is None else url.credentials.password
            for url in parse(
                "--proxy=socks6://a", "--proxy=socks6://ada@b", "--proxy=socks6://ada:own@c"
            ).proxies
        ]
        self.assertEqual(passwords, [None, b"s3cret", b"own"])
        os.environ[PROXY_VARIABLE] = "socks6://ada@there"
        (url,) = parse().proxies
        self.assertEqual(url.credentials, UsernamePassword(b"ada", b"s3cret"))

    def test_isolate(self) -> None:
        """
        What tells sessions apart can be combined, in one word or in several.
        """
        auth, destination, client = Isolation
        for words, isolations in (
            (["auth"], {auth}),
            (["destination"], {destination}),
            (["client"], {client}),
            (["auth,client"], {auth, client}),
            (["client,auth,destination,auth"], {auth, destination, client}),
            (["client", "destination"], {client, destination}),
            (["none"], set()),
            (["none", "client"], {client}),
            (["client", "none"], {client}),
        ):
            options = parse(PROXY, *(f"--isolate={word}" for word in words))
            self.assertEqual(options.isolations, isolations, repr(words))

    def test_optimism(self) -> None:
        """
        Optimism can be had, or not, or left to the programs.
        """
        for arguments, optimism in (
            ((), None),
            (("--optimistic",), True),
            (("--no-optimistic",), False),
        ):
            self.assertIs(parse(PROXY, *arguments).optimism, optimism)

    def test_timeouts(self) -> None:
        """
        Times are seconds, with fractions.
        """
        options = parse(
            PROXY, "--connect-timeout=5", "--request-timeout", "0.5", "--idle-timeout=1e3"
        )
        self.assertEqual(options["connect-timeout"], 5.0)
        self.assertEqual(options["request-timeout"], 0.5)
        self.assertEqual(options["idle-timeout"], 1000.0)

    def test_version(self) -> None:
        """
        The version is ours.
        """
        with contextlib.redirect_stdout(io.StringIO()) as output:
            error = self.assertRaises(SystemExit, parse, "--version")
        self.assertEqual(error.code, 0)
        self.assertEqual(output.getvalue(), f"twistd socks6-local {__version__}\n")

    def test_help(self) -> None:
        """
        The help names all options, and what happens without them.
        """
        with contextlib.redirect_stdout(io.StringIO()) as output:
            error = self.assertRaises(SystemExit, parse, "--help")
        self.assertEqual(error.code, 0)
        words = output.getvalue().split()
        for line in output.getvalue().splitlines():
            text = re.sub("^ *(-., )?--[^ ]+", "", line).strip()
            self.assertNotIn("  ", text)
        for option in (
            "--port=",
            "-p,",
            "--transparent=",
            "--proxy=",
            "--isolate=",
            "--optimistic",
            "--no-optimistic",
            "--anonymous",
            "--connect-timeout=",
            "--request-timeout=",
            "--idle-timeout=",
            "--version",
            "--help",
        ):
            self.assertIn(option, words)
        text = " ".join(words)
        for default in ("[default: 1081]", "[default: auth]", "[default: 60.0]", PROXY_VARIABLE):
            self.assertIn(default, text)


class MistakeTests(LocalTestCase):
    """
    Mistakes are one line and exit status 1.
    """

    def test_mistakes(self) -> None:
        """
        Each line says what is wrong, and with what, but for what may be a password.
        """
        folder = self.folder.absolute()
        empty = self.file("empty", b"")
        for arguments, complaint in (
            ((), f"a --proxy is needed, or {PROXY_VARIABLE} in the environment"),
            (("--port=1",), f"a --proxy is needed, or {PROXY_VARIABLE} in the environment"),
            (("--proxy",), "option --proxy requires argument"),
            (("--proxy=",), f"--proxy: {FORM}"),
            (("--proxy=s3cret",), f"--proxy: {FORM}"),
            (("--proxy=socks5://ada:s3cret@proxy",), f"--proxy: {FORM}"),
            (("--proxy=socks6://ada:s3@cret@proxy",), f"--proxy: {FORM}"),
            ((PROXY, "--proxy=socks6://ada:s3/cret@proxy"), f"--proxy: {FORM}"),
            (
                ("--proxy=socks6://ada@proxy",),
                "--proxy: the proxy's URL has a user, and neither a password nor a passwordfile=",
            ),
            (
                (f"--proxy=socks6s://ada:s3cret@proxy?ca={folder}/missing",),
                f"--proxy: {folder}/missing: No such file or directory",
            ),
            (
                (f"--proxy=socks6s://ada:s3cret@proxy?certificate={folder}",),
                f"--proxy: {folder}: Is a directory",
            ),
            (
                (f"--proxy=socks6s://ada:s3cret@proxy?ca={Path(empty).absolute()}",),
                f"--proxy: {Path(empty).absolute()}: no certificate in PEM form",
            ),
            (
                (f"--proxy=socks6://ada@proxy?passwordfile={folder}/missing",),
                f"--proxy: {folder}/missing: No such file or directory",
            ),
            (
                (PROXY, "--optimistic", "--no-optimistic"),
                "--optimistic and --no-optimistic contradict each other",
            ),
            *(
                (
                    (PROXY, f"--isolate={kinds}"),
                    f"--isolate {kinds!r} is not made of auth, destination, client, nor none",
                )
                for kinds in ("", "nope", "auth,", "auth,nope", "auth,none", "none,none", "AUTH")
            ),
            ((PROXY, "--port=65536"), "no port has the number 65536"),
            ((PROXY, "--transparent=65536"), "no port has the number 65536"),
            (
                (PROXY, "--port=nope:1"),
                "'nope:1' is no port: ValueError: Unknown endpoint type: 'nope'",
            ),
            (
                (PROXY, "--transparent=nope:1", "--anonymous"),
                "'nope:1' is no port: ValueError: Unknown endpoint type: 'nope'",
            ),
            ((PROXY, "s3cret"), "Wrong number of arguments."),
            ((PROXY, "--nope=s3cret"), "option --nope not recognized"),
        ):
            found = self.complaint(*arguments)
            self.assertEqual(found, complaint, repr(arguments))
            self.assertNotIn("s3cret", found)

    def test_environment(self) -> None:
        """
        What is wrong with the environment is said of the environment.
        """
        for value, complaint in (
            ("socks6://ada:s3@cret@proxy", f"{PROXY_VARIABLE}: {FORM}"),
            ("", f"a --proxy is needed, or {PROXY_VARIABLE} in the environment"),
        ):
            os.environ[PROXY_VARIABLE] = value
            self.assertEqual(self.complaint(), complaint)

    def test_times(self) -> None:
        """
        Times must be numbers above zero, and finite.
        """
        for option in ("--connect-timeout", "--request-timeout", "--idle-timeout"):
            for value in ("0", "-1", "nan", "inf", "soon", ""):
                self.assertEqual(
                    self.complaint(PROXY, f"{option}={value}"),
                    f"{option} {value!r} is not a number of seconds above 0",
                )

    def test_openness(self) -> None:
        """
        It is not open to the world by accident, on ports of neither kind.
        """
        for option in ("--port", "--transparent"):
            for port in ("tcp:1081", "tcp6:1081", "tcp:1081:interface=192.0.2.1"):
                for more in ((), ("--port=1",), ("--transparent=1",)):
                    self.assertEqual(
                        self.complaint(PROXY, f"{option}={port}", *more),
                        f"{port} can be reached from other machines, and everybody there"
                        " could use the proxy: add --anonymous",
                    )
                parse(PROXY, f"{option}={port}", "--anonymous")


class ServiceTests(LocalTestCase):
    """
    The service that the options describe.
    """

    def setUp(self) -> None:
        super().setUp()
        # What "from twisted.internet import reactor" finds, which trial need not have
        # installed yet.
        names: dict[str, Any] = vars(twisted.internet)
        if "reactor" in names:
            self.addCleanup(names.__setitem__, "reactor", names["reactor"])
        else:
            self.addCleanup(names.pop, "reactor")
        names["reactor"] = self.network
        # That is where the network's resolver finds everybody.
        self.upstream = Upstream(self.network, "127.0.0.1", 9050)
        self.other = Upstream(self.network, "127.0.0.1", 9051)

    def start(self, *arguments: str) -> list[Any]:
        """
        Start the service of a command line.

        @return: What it listens with.
        """
        self.network.tcpServers.clear()
        service: Any = makeService(parse(*arguments))
        self.assertTrue(verifyObject(IService, service))
        service.privilegedStartService()
        service.startService()
        self.service = service
        return [factory for _, factory, _, _ in self.network.tcpServers]

    def test_listens(self) -> None:
        """
        It listens where it is told to, for each kind of program.
        """
        factories = self.start(PROXY, "--port=1", "--transparent=2", "--transparent=3")
        self.assertEqual(
            [(port, interface) for port, _, _, interface in self.network.tcpServers],
            [(1, "127.0.0.1"), (2, "127.0.0.1"), (3, "127.0.0.1")],
        )
        self.assertEqual(
            [type(factory) for factory in factories],
            [LocalFactory, TransparentFactory, TransparentFactory],
        )

    def test_descriptors(self) -> None:
        """
        It gets as many descriptors as it may have.
        """
        asked: list[Any] = []
        self.patch(local, "raiseDescriptorLimit", asked.append)
        self.start(PROXY)
        self.assertEqual(asked, [self.network])

    def test_options(self) -> None:
        """
        What is said on the command line holds.
        """
        for arguments, isolations, optimistic, times in (
            ((), {Isolation.AUTH}, None, (60.0, 10.0, None)),
            (
                (
                    *("--isolate=client,destination", "--optimistic", "--connect-timeout=1"),
                    *("--request-timeout=2", "--idle-timeout=3"),
                ),
                {Isolation.CLIENT, Isolation.DESTINATION},
                True,
                (1.0, 2.0, 3.0),
            ),
            (("--isolate=none", "--no-optimistic"), set(), False, (60.0, 10.0, None)),
        ):
            for factory in self.start(PROXY, "--port=1", "--transparent=2", *arguments):
                self.assertEqual(factory.isolations, isolations)
                self.assertIs(factory._optimistic, optimistic)
                found = factory.outbound._timeout, factory.requestTimeout, factory.idleTimeout
                self.assertEqual(found, times)

    def test_programs(self) -> None:
        """
        Programs reach their hosts through the proxy, whatever they speak.
        """
        (factory,) = self.start(PROXY)
        for sent, heard in (
            (FIVE, NO_NEED + FIVE_GRANTED),
            (TUNNEL, TUNNEL_GRANTED),
            (GET, b""),
            (FOUR, b""),
        ):
            program = self.network.accept(factory)
            program.send(sent)
            self.assertEqual(program.take(), heard)
            proxy = self.upstream.accept()
            opening = request(SESSION_REQUEST + tokenRequest(64))
            self.assertTrue(proxy.received.startswith(opening))
            proxy.send(WELCOME + CONNECTED + b"answer")
            self.assertTrue(program.received.endswith(b"answer"))
            # By then it is asked for a session again.
            self.network.elapse(60)

    def test_transparent(self) -> None:
        """
        So do those that do not know of us.
        """
        self.patch(conversation, "originalDestination", lambda transport: IPV4)
        (factory,) = self.start(PROXY, "--transparent=2")
        program = self.network.accept(factory)
        proxy = self.upstream.accept()
        proxy.send(WELCOME + CONNECTED + b"answer")
        self.assertEqual(program.received, b"answer")

    def test_failOver(self) -> None:
        """
        If the first proxy cannot be reached, the second one is.
        """
        (factory,) = self.start(PROXY, "--proxy=socks6://ada:s3cret@localhost:9051")
        program = self.network.accept(factory)
        program.send(FIVE)
        self.upstream.refuse()
        # The endpoint waits for more addresses of that name.
        self.network.elapse(1)
        proxy = self.other.accept()
        self.assertIn(b"ada", proxy.received)
        proxy.send(WELCOME + CONNECTED + b"answer")
        self.assertTrue(program.received.endswith(b"answer"))
        self.assertEqual(
            self.lines,
            ["socks6://localhost:9050 cannot be reached: Connection was refused by other side"],
        )

    def test_bind(self) -> None:
        """
        Programs can wait for hosts at the proxy.
        """
        (factory,) = self.start(PROXY)
        program = self.network.accept(factory)
        program.send(HELLO + socks5(Command.BIND))
        proxy = self.upstream.accept()
        opening = request(SESSION_REQUEST + tokenRequest(64), 2, bytes.fromhex("0000 01 00000000"))
        self.assertEqual(proxy.received, opening)
        proxy.send(WELCOME + CONNECTED + CONNECTED + b"220 ")
        bound = socks5Reply(0, "01 c6336401 c350")
        self.assertEqual(program.received, NO_NEED + bound + bound + b"220 ")

    def test_datagrams(self) -> None:
        """
        Datagrams go to where the URLs say.  Where they say nothing, they do not go, and
        that is a line for each such proxy.
        """
        ca = f"ca={self.authority.path}"
        (factory,) = self.start(
            PROXY,
            "--proxy=socks6://localhost?udp=5",
            f"--proxy=socks6s://localhost?{ca}&dtls=6",
            f"--proxy=socks6s://localhost?{ca}",
        )
        plain, other, encrypted, none = [each.datagrams for each in factory.outbound._proxies]
        self.assertEqual((plain, other, none), (DatagramRoute(9050), DatagramRoute(5), None))
        self.assertEqual(encrypted.port, 6)
        self.assertIsNotNone(encrypted.dtls)
        line = (
            "No UDP ASSOCIATE through socks6s://localhost:1080: its URL has neither dtls= nor udp="
        )
        self.assertEqual(self.lines, [line])

    def test_noDatagrams(self) -> None:
        """
        Programs that would send some are told so.
        """
        (factory,) = self.start(f"--proxy=socks6s://localhost:9050?ca={self.authority.path}")
        network = self.network
        self.patch(
            conversation, "openSocket", lambda where: MemoryDatagramSocket(network, (where[0], 5))
        )
        program = self.network.accept(factory)
        program.send(HELLO + socks5(Command.UDP_ASSOCIATE))
        self.assertEqual(program.received, NO_NEED + socks5Reply(7))
        self.assertEqual(self.upstream.asked, 0)
        self.assertIn(
            "command not supported (socks6s://localhost:9050: where to send datagrams is not"
            " known, see dtls= and udp=)",
            self.lines[-1],
        )

    def test_stop(self) -> None:
        """
        When it stops, its sessions end.
        """
        (factory,) = self.start(PROXY)
        program = self.network.accept(factory)
        program.send(FIVE)
        proxy = self.upstream.accept()
        proxy.send(admitted(sessionID(b"sixteen octets..")) + CONNECTED)
        stopped = self.service.stopService()
        self.network.spin()
        self.assertTrue(program.wasReset)
        self.assertNoResult(stopped)
        farewell = self.upstream.accept()
        self.assertIn(b"sixteen octets..", farewell.received)
        farewell.send(admitted(SESSION_OK) + DONE)
        self.successResultOf(stopped)

    def test_cannotListen(self) -> None:
        """
        Where it cannot listen, that is one line, and the process ends with status 1.
        """

        def listenTCP(port: int, factory: object, backlog: int, interface: str) -> None:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))

        self.patch(self.network, "listenTCP", listenTCP)
        line = "Couldn't listen on 127.0.0.1:1081: [Errno 98] Address already in use."
        options: Any = parse(PROXY)
        options.parent = {"nodaemon": True, "pidfile": ""}
        service: Any = makeService(options)
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual(error.code, 1)
        self.assertEqual(self.lines, [line])
        self.assertEqual(self.events[-1]["log_level"], LogLevel.critical)
        service = makeService(parse(PROXY))
        error = self.assertRaises(SystemExit, service.startService)
        self.assertEqual(error.code, f"twist socks6-local: {line}")


class ImportTests(LocalTestCase):
    """
    C{twistd --reactor} must have its say first.
    """

    def test_noReactor(self) -> None:
        """
        Neither importing the command line nor reading it imports the reactor.
        """
        script = (
            "import sys, socks6.tap.local\n"
            "options = socks6.tap.local.Options()\n"
            "options.parseOptions(sys.argv[1:])\n"
            "sys.exit('twisted.internet.reactor' in sys.modules)\n"
        )
        authority = self.authority.path.absolute()
        arguments = [f"--proxy=socks6s://ada:s3cret@localhost?ca={authority}", "--transparent=1"]
        finished = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((finished.returncode, finished.stderr), (0, ""))
