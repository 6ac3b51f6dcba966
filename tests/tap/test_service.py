"""
Tests of L{socks6.tap.service}.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel
from twisted.protocols.tls import TLSMemoryBIOFactory

from socks6.relay.pipes import CAN_SPLICE
from socks6.server import service as serviceModule
from socks6.tap import makeService
from tests.doubles import TLSPeer
from tests.server.harness import (
    ADA,
    AUTHENTICATED,
    DONE,
    NOOP,
    REFUSED,
    WELCOME,
    authenticationData,
    failure,
    request,
)
from tests.server.test_service import SilentResolver
from tests.tap.harness import ServiceTestCase, parse

LOGIN = request(authenticationData(ADA), command=0)


class ServiceTests(ServiceTestCase):
    """
    The service that the options describe.
    """

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

    def test_noSplice(self) -> None:
        """
        It lets octets pass inside the kernel, unless it is told not to.
        """
        self.assertEqual(self.start().factory.pipes is not None, CAN_SPLICE)
        self.assertIsNone(self.start("--no-splice").factory.pipes)

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
