"""
Tests of L{socks6.tap.workers}; what workers do is tested in
L{tests.integration.test_workers}.
"""

from __future__ import annotations

import json
import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from socks6.outbound.socks5 import SOCKS5Outbound
from socks6.server.service import ProxyService
from socks6.tap import makeService
from socks6.tap import workers as workersModule
from socks6.tap.workers import Briefing, WorkersService
from tests.doubles import FakeEndpoint, FakePort
from tests.tap.harness import CHECKOUT, OptionsTestCase, ServiceTestCase, parse
from tests.workers.processes import Child
from tests.workers.test_ports import KeptPort


class OptionsTests(OptionsTestCase):
    """
    What can be said about workers.
    """

    def test_default(self) -> None:
        """
        One process serves.
        """
        options = parse()
        self.assertEqual(options["workers"], 1)
        self.assertFalse(options.areMany)
        self.assertFalse(parse("--workers=1", "--sessions=memory:", "--udp-port=53").areMany)

    def test_several(self) -> None:
        """
        There may be several, if they can share their sessions.
        """
        for store in (f"sqlite:{self.folder / 'sessions'}", "redis://localhost/0"):
            options = parse("--workers=2", f"--sessions={store}", "--udp-port=no")
            self.assertTrue(options.areMany)
            self.assertEqual(options["workers"], 2)

    def test_memory(self) -> None:
        """
        They share no memory.
        """
        for store in ([], ["--sessions=memory:"]):
            self.assertEqual(
                self.complaint("--workers=3", *store),
                "--workers 3 needs --sessions sqlite:PATH or redis://...: they share no memory",
            )

    def test_datagrams(self) -> None:
        """
        They share no port for datagrams.
        """
        sessions = "--sessions=redis://localhost/0"
        for ports in (
            ["--udp-port=1080"],
            ["--dtls-port=1443", f"--certificate={self.pem}"],
        ):
            self.assertEqual(
                self.complaint("--workers=2", sessions, *ports),
                "--workers 2 is for neither --udp-port nor --dtls-port:"
                " a datagram would come to any of them",
            )

    def test_mistakes(self) -> None:
        """
        Their number is one.
        """
        for text in ("0", "1025", "-1", "two", ""):
            self.assertEqual(
                self.complaint(f"--workers={text}"),
                f"--workers {text!r} is not a number from 1 to 1024",
            )

    def test_commandLine(self) -> None:
        """
        The command line is remembered, and where it was read.
        """
        options = parse("--port=1081", "--anonymous")
        self.assertEqual(list(options.arguments), ["--port=1081", "--anonymous"])
        self.assertEqual(options.folder, os.getcwd())


class WorkersTestCase(ServiceTestCase):
    """
    A test of several processes, which the test plays.
    """

    def setUp(self) -> None:
        super().setUp()
        self.children: list[Child] = []
        self.kept: list[KeptPort] = []
        for name in ("listenTCP", "listenUNIX", "adoptStreamPort"):
            self.patch(self.network, name, self.listen)
        # Network has no processes.
        names: dict[str, Any] = vars(self.network)
        names["spawnProcess"] = self.spawn
        self.store = f"--sessions=sqlite:{self.folder / 'sessions'}"

    def listen(self, *arguments: Any, **named: Any) -> Any:
        """
        Listen.
        """
        self.kept.append(ClosingPort(200 + len(self.kept)))
        return self.kept[-1]

    def spawn(self, protocol: Any, *arguments: Any, **named: Any) -> None:
        """
        Start a process.
        """
        self.children.append(Child(protocol, (*arguments, named)))

    def make(self, *arguments: str) -> Any:
        """
        Make the service of a command line with two workers.
        """
        service, _ = self.twistd("--workers=2", self.store, *arguments)
        self.assertIsInstance(service, WorkersService)
        return service

    def stopAll(self, service: Any) -> None:
        """
        Stop a service, and its processes.
        """
        stopped = service.stopService()
        for child in self.children:
            child.end()
        self.successResultOf(stopped)


class ClosingPort(KeptPort):
    """
    A port that closes, and whose number is that of its descriptor.
    """

    def getHost(self) -> IPv4Address:
        """
        Tell where it is.
        """
        return IPv4Address("TCP", "127.0.0.1", self.fileno())

    def stopListening(self) -> None:
        """
        Close.
        """


class ServiceTests(WorkersTestCase):
    """
    The service of the process that looks after the others.
    """

    def started(self, *arguments: str) -> Any:
        """
        Start a service with two workers.
        """
        service = self.make(*arguments)
        service.privilegedStartService()
        self.assertEqual(self.children, [], "privileges are not for workers")
        service.startService()
        return service

    def briefing(self) -> dict[str, Any]:
        """
        Get what the first worker was told.
        """
        number, _, line = self.children[0].written.partition(b" ")
        self.assertEqual(number, b"1")
        told: dict[str, Any] = json.loads(line)
        return told

    def test_ports(self) -> None:
        """
        It binds the ports, accepts nothing, and gives them to its workers with what they
        have to know.
        """
        arguments = ("--port=1080", "--port=unix:/run/socks6")
        service = self.started(*arguments)
        self.assertEqual([port.reads for port in self.kept], [False, False])
        self.assertEqual(len(self.children), 2)
        for child, number in zip(self.children, ("1", "2"), strict=True):
            executable, command, environment, named = child.arguments
            self.assertEqual(executable, sys.executable)
            self.assertEqual((command[0], command[1], command[-1]), (executable, "-c", number))
            self.assertIn(str(CHECKOUT), environment["PYTHONPATH"].split(os.pathsep))
            self.assertEqual(environment["PYTHONSAFEPATH"], "1")
            self.assertEqual(named["childFDs"], {0: "w", 1: "r", 2: "r", 3: 200, 4: 201})
        told = self.briefing()
        given = ["--udp-port=no", "--workers=2", self.store, *arguments]
        self.assertEqual(told["arguments"], given)
        self.assertEqual(told["ports"], [3, 4])
        self.assertEqual(told["folder"], os.getcwd())
        self.assertEqual(told["reactor"], "tests.doubles")
        self.assertEqual(len(told["secret"]), 64)
        self.stopAll(service)

    def test_metrics(self) -> None:
        """
        They are told where it lets the metrics be read.
        """
        service = self.started("--metrics=9106")
        self.assertEqual(self.briefing()["places"], [["127.0.0.1", 201]])
        self.stopAll(service)

    def test_said(self) -> None:
        """
        What several processes cannot do is said once.
        """
        service = self.started()
        self.assertEqual(
            self.lines, ["2 workers; they have no UDP ASSOCIATE, and BIND has no backlog"]
        )
        self.stopAll(service)

    def test_secret(self) -> None:
        """
        All workers have the same secret, and no other proxy has it.
        """
        service = self.started()
        secrets = {json.loads(each.written.partition(b" ")[2])["secret"] for each in self.children}
        self.assertEqual(len(secrets), 1)
        self.stopAll(service)
        self.children.clear()
        service = self.started()
        self.assertNotIn(self.briefing()["secret"], secrets)
        self.stopAll(service)

    def test_files(self) -> None:
        """
        Workers can read the TLS files though nobody can any more, until it stops.
        """
        path = Path(self.file("copy.pem", Path(self.pem).read_bytes()))
        service = self.started("--tls-port=1443", f"--certificate={path}")
        path.unlink()
        told = self.briefing()
        self.assertEqual(told["arguments"][-1], "--certificate=/dev/fd/4")
        descriptor = self.children[0].arguments[-1]["childFDs"][4]
        copy = Path(f"/dev/fd/{descriptor}")
        self.assertEqual(copy.read_bytes(), Path(self.pem).read_bytes())
        self.stopAll(service)
        self.assertFalse(copy.exists())

    def test_reload(self) -> None:
        """
        When it reloads, the copies become what the files are, and the workers are told.  If
        a file does not serve, nothing happens to them.
        """
        path = Path(self.file("copy.pem", Path(self.pem).read_bytes()))
        service = self.started("--tls-port=1443", f"--certificate={path}")
        copy = Path(f"/dev/fd/{self.children[0].arguments[-1]['childFDs'][4]}")
        before, told = copy.read_bytes(), self.children[0].written
        reloading = service.getServiceNamed("reloading")
        path.write_bytes(b"nothing")
        reloading.reload()
        self.assertEqual((copy.read_bytes(), self.children[0].written), (before, told))
        self.assertIn("Nothing was reloaded", self.lines[-1])
        path.write_bytes(self.authority.server().path.read_bytes())
        reloading.reload()
        self.assertEqual(self.lines[-1], "Reloaded: certificates, workers")
        self.assertNotEqual(copy.read_bytes(), before)
        self.assertEqual(copy.read_bytes(), path.read_bytes())
        self.assertEqual([child.written[-2:] for child in self.children], [b"\nr"] * 2)
        self.stopAll(service)

    def test_nothingToReload(self) -> None:
        """
        Without files there is nothing to reload, and workers are not told to.
        """
        service = self.started()
        told = self.children[0].written
        service.getServiceNamed("reloading").reload()
        self.assertEqual(self.lines[-1], "There is nothing to reload")
        self.assertEqual(self.children[0].written, told)
        self.stopAll(service)

    def test_systemd(self) -> None:
        """
        Workers know how many sockets systemd has opened.
        """
        self.patch(os, "environ", {**os.environ, "LISTEN_FDNAMES": "one:two"})
        service = self.started()
        self.assertEqual(self.children[0].arguments[2]["LISTEN_FDS"], "2")
        self.stopAll(service)

    def test_store(self) -> None:
        """
        A store that cannot work keeps everything from starting.
        """
        (self.folder / "sessions").write_bytes(b"not a database at all" * 100)
        service = self.make()
        service.privilegedStartService()
        self.assertEqual(self.assertRaises(SystemExit, service.startService).code, 1)
        self.assertEqual(self.children, [])
        (line,) = self.lines
        self.assertIn(str(self.folder / "sessions"), line)
        self.successResultOf(service.stopService())

    def test_noProcess(self) -> None:
        """
        So does a system that has no more processes.
        """

        def spawn(*arguments: Any, **named: Any) -> None:
            raise OSError(11, "Resource temporarily unavailable")

        names: dict[str, Any] = vars(self.network)
        names["spawnProcess"] = spawn
        service = self.make()
        service.privilegedStartService()
        self.assertEqual(self.assertRaises(SystemExit, service.startService).code, 1)
        self.assertIn("Resource temporarily unavailable", self.lines[-1])
        self.successResultOf(service.stopService())

    def test_notShared(self) -> None:
        """
        A port of another kind, which the reactor has not opened, cannot be shared.
        """
        answers: tuple[Any, ...] = (Deferred, FakePort)
        for answer in answers:
            endpoint = FakeEndpoint(answer)
            self.patch(workersModule, "serverFromString", lambda *_, it=endpoint: it)
            service = self.make()
            self.events.clear()
            error = self.assertRaises(SystemExit, service.privilegedStartService)
            self.assertEqual(error.code, 1)
            self.assertEqual(self.lines, ["--workers: not all of these ports can be shared"])

    def test_workerCannotStart(self) -> None:
        """
        If a worker cannot start, everything stops, and the process fails.
        """
        failures: list[None] = []
        self.patch(workersModule, "exitWithFailure", lambda: failures.append(None))
        service = self.started()
        self.assertFalse(self.network.hasStopped)
        for child in self.children:
            child.end(1)
        self.assertTrue(self.network.hasStopped)
        self.assertEqual(len(failures), 1)
        self.assertEqual(self.events[-1]["log_level"], LogLevel.critical)
        self.successResultOf(service.stopService())


class WorkerTests(WorkersTestCase):
    """
    The service of a worker.
    """

    def worker(self, *arguments: str) -> ProxyService:
        """
        Make it.
        """
        options: Any = parse("--workers=2", self.store, *arguments)
        places = [("127.0.0.1", 9106), ("::1", 9107)]
        options.briefing = Briefing("", "", (), (), "5ec7e7" * 10, places)
        service: Any = makeService(options)
        (proxy,) = (each for each in service if isinstance(each, ProxyService))
        return proxy

    def test_commands(self) -> None:
        """
        It has no UDP ASSOCIATE, and for BIND no backlog.
        """
        factory: Any = self.worker().factory
        self.assertIsNone(factory.associations)
        self.assertEqual(factory.binder.policy.maxBacklog, 0)

    def test_secret(self) -> None:
        """
        Sessions are the same to a proxy on the way out, whichever worker they go
        through.
        """
        factory: Any = self.worker("--outbound=socks5:localhost:9050").factory
        assert isinstance(factory.outbound, SOCKS5Outbound)
        self.assertEqual(factory.outbound.secret, bytes.fromhex("5ec7e7" * 10))

    def test_rules(self) -> None:
        """
        It has its share of what a rule allows.
        """
        self.assertEqual(self.worker().factory.rules.processes, 2)

    def test_places(self) -> None:
        """
        For its clients, where the process listens that looks after it is the proxy itself.
        """
        isOwn = self.worker().factory.rules.isOwn
        for host, port, expected in (
            ("127.0.0.1", 9106, True),
            ("::1", 9107, True),
            ("::1", 9106, False),
        ):
            self.assertIs(isOwn(ip_address(host), port), expected)
