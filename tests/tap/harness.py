"""
Command lines of C{twistd socks6}, and what comes of them.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import twisted.internet
from twisted.application.service import IService
from twisted.internet import protocol
from zope.interface.verify import verifyObject

from socks6.server import datagramservice
from socks6.server.service import ProxyService
from socks6.tap import Options, makeService
from socks6.tap.common import CommonOptions
from tests.integration.certificates import Authority
from tests.server.harness import MemoryTestCase

CHECKOUT = Path(__file__).resolve().parents[2]


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

    @cvar kind: The command line.
    """

    kind: type[CommonOptions] = Options

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
        start = f"twistd {self.kind.command}: "
        with contextlib.redirect_stderr(io.StringIO()):
            error = self.assertRaises(SystemExit, self.kind().parseOptions, arguments)
        # Python writes it to standard error and exits with status 1.
        self.assertIsInstance(error.code, str, repr(arguments))
        self.assertTrue(error.code.startswith(start), error.code)
        self.assertNotIn("\n", error.code)
        complaint: str = error.code.removeprefix(start)
        return complaint


class ServiceTestCase(OptionsTestCase):
    """
    A test of the service that the options describe, on a network in memory.
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
        # There is no memory for datagrams: they come in where nothing else can be.
        bind = datagramservice._bound
        self.patch(datagramservice, "_bound", lambda place: bind(("127.0.0.1", 0)))

    def start(self, *arguments: str) -> ProxyService:
        """
        Start the service of a command line.
        """
        # Tests leave tunnels open.
        return self.startWith(parse("--drain-timeout=0", *arguments))

    def startWith(self, options: Options) -> ProxyService:
        """
        Start the service of options.
        """
        service: Any = makeService(options)
        self.assertTrue(verifyObject(IService, service))
        service.privilegedStartService()
        service.startService()
        self.addCleanup(self.stop, service)
        (proxy,) = (each for each in service if isinstance(each, ProxyService))
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

    def twistd(self, *arguments: str, nodaemon: bool = True) -> tuple[Any, Path]:
        """
        Make the service of a command line as C{twistd} does.

        @return: The service, and C{twistd}'s pidfile.
        """
        pidfile = Path(self.file("twistd.pid", b"1"))
        options: Any = parse("--udp-port=no", *arguments)
        options.parent = {"nodaemon": nodaemon, "pidfile": str(pidfile)}
        return makeService(options), pidfile
