"""
The options of C{twistd socks6} that are about several processes, and these.

A worker reads the same command line as the process that looks after it, and makes the
same service of it.  Only the ports are open already.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger, globalLogBeginner
from twisted.python.usage import UsageError

from socks6.policy.sessions import SessionService
from socks6.policy.stores.memory import MemorySessionStore
from socks6.serving.factory import ServingFactory
from socks6.serving.service import ListeningService
from socks6.tap.copies import Copies
from socks6.tap.readings import count
from socks6.tap.reloading import ReloadingService
from socks6.tap.runner import CommandLineService, exitWithFailure
from socks6.workers.ports import PortKeeper
from socks6.workers.records import RecordWriter
from socks6.workers.supervisor import Program, Supervisor
from socks6.workers.worker import readLine, serve

if TYPE_CHECKING:
    from socks6.tap.options import Options

#: The most workers that there are.
_MANY = 1024

#: Options that name files which only the user may be able to read who starts twistd.
_FILES = ("certificate", "private-key", "client-ca")

#: What workers run.  Twisted looks for systemd's sockets when it is imported, and takes
#: them only if they are for this very process.
_SCRIPT = (
    "import os; os.environ['LISTEN_PID'] = str(os.getpid());"
    " from socks6.tap.workers import main; main()"
)


@dataclass(frozen=True)
class Briefing:
    """
    What a worker has to know.

    @ivar reactor: The module that has its reactor.
    @ivar folder: Where the command line was read.
    @ivar arguments: The command line.
    @ivar ports: The descriptors of the ports, in the order of the command line.
    @ivar secret: What all workers make names from.
    @ivar places: The IP addresses and ports where the process listens that looks after
        them.
    """

    reactor: str
    folder: str
    arguments: Sequence[str]
    ports: Sequence[int]
    secret: str
    places: Sequence[tuple[str, int]] = ()

    @property
    def ownPlaces(self) -> Sequence[IAddress]:
        """
        What reactors call C{places}.
        """
        return [
            (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)
            for host, port in self.places
        ]


class WorkerOptions(dict[str, Any]):
    """
    A part of a command line's options.

    @ivar briefing: What a worker knows; L{None}: this is none.
    """

    parameters: Sequence[Sequence[Any]] = [
        count("workers", 1, _MANY, 1, "Processes that serve."),
    ]

    def __init__(self) -> None:
        """
        Begin with no briefing.
        """
        super().__init__()
        self.briefing: Briefing | None = None

    @property
    def areMany(self) -> bool:
        """
        Whether several processes serve.
        """
        several: bool = self["workers"] > 1
        return several

    def checkWorkers(self, datagramPorts: bool) -> None:
        """
        Check that several processes can do what they are to do.

        @param datagramPorts: Whether the command line names any.
        @raise UsageError: They cannot.
        """
        if not self.areMany:
            return
        if self["sessions"] in (None, MemorySessionStore):
            raise UsageError(
                f"--workers {self['workers']} needs --sessions sqlite:PATH or redis://...:"
                " they share no memory"
            )
        if datagramPorts:
            raise UsageError(
                f"--workers {self['workers']} is for neither --udp-port nor --dtls-port:"
                " a datagram would come to any of them"
            )


class StoreCheck(Service):
    """
    Makes sure that the workers' store can work, before there are any.
    """

    def __init__(self, sessions: SessionService) -> None:
        """
        @param sessions: Has the store.
        """
        self._sessions = sessions

    def startService(self) -> None:
        """
        Check it.

        @raise SessionStoreFailed: It cannot.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._sessions.startService()
        self._sessions.stopService()


class SharedPorts(ListeningService):
    """
    Binds the workers' ports.
    """

    def __init__(self, reactor: Any, ports: Sequence[str], fastOpen: bool) -> None:
        """
        @param reactor: Opens them.
        @param ports: Endpoint strings.
        @param fastOpen: See L{ListeningService}.
        """
        self.keeper = PortKeeper(reactor)
        self._count = len(ports)
        super().__init__(
            # Never makes a protocol, as nobody accepts a connection here.
            ServingFactory(reactor, 1.0, None),
            [serverFromString(self.keeper, port) for port in ports],
            fastOpen,
        )

    def _listen(self) -> None:
        """
        Bind the ports.

        @raise UsageError: One of them is not bound by the reactor, or not at once.
        """
        super()._listen()
        if self.keeper.count != self._count:
            raise UsageError("--workers: not all of these ports can be shared")


class WorkersService(CommandLineService):
    """
    Binds the ports, and looks after the workers.
    """

    _log = Logger()

    def __init__(self, reactor: Any, options: Options) -> None:
        """
        @param options: Those of the command line.
        """
        super().__init__(options)
        self._reactor = reactor
        #: Files as they were when we could read them, by the options that name them.
        self._copies = Copies({name: options[name] for name in _FILES})
        # As it is before we go elsewhere.
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        # Nothing is to be imported from where we go, which others may write to.
        self._environment = {**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}
        names = os.environ.get("LISTEN_FDNAMES")
        if names:
            # Twisted takes the number of systemd's sockets out when it reads it.
            self._environment["LISTEN_FDS"] = str(names.count(":") + 1)
        self._briefed = options
        self._secret = os.urandom(32).hex()
        StoreCheck(options.sessionService(reactor)).setServiceParent(self)  # type: ignore[no-untyped-call]
        self._ports = SharedPorts(
            options.listener(reactor),
            [*options.ports, *options.tlsPorts],
            not options["no-fast-open"],
        )
        self._ports.setServiceParent(self)  # type: ignore[no-untyped-call]
        self._supervisor = Supervisor(
            reactor,
            options["workers"],
            self._program,
            self._cannotStart,
            options["drain-timeout"],
        )
        #: Where we listen ourselves; known before there is a worker.
        self._places: list[IAddress] = []
        self._supervisor.reported = options.addCrewMetrics(reactor, self, self._places)
        self._supervisor.setServiceParent(self)  # type: ignore[no-untyped-call]
        # Ours are read to see whether they serve: each worker has its own.
        contents = options.reloadables
        if contents:
            contents["workers"] = self
        ReloadingService(reactor, contents).setServiceParent(self)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """
        Start the workers.
        """
        super().startService()
        self._log.info(
            "{count} workers; they have no UDP ASSOCIATE, and BIND has no backlog",
            count=self._briefed["workers"],
        )

    def stopService(self) -> Deferred[Any]:
        """
        Stop the workers, and close the ports.
        """
        stopped: Deferred[Any] = super().stopService()
        self._copies.close()
        return stopped

    def hurry(self) -> None:
        """
        Let the workers wait for tunnels no more, now or as soon as they stop.
        """
        super().hurry()
        self._supervisor.hurry()

    def prepare(self) -> Callable[[], None]:
        """
        Read the files anew that workers have copies of.

        @return: Renews the copies, and has all workers reload.
        @raise OSError: One cannot be read.
        """
        renew = self._copies.prepare()

        def putInForce() -> None:
            renew()
            self._supervisor.reload()

        return putInForce

    def _program(self) -> Program:
        """
        Tell what workers run.
        """
        keeper, options = self._ports.keeper, self._briefed
        descriptors = dict(keeper.descriptors)
        first = max(descriptors) + 1
        files = self._copies.descriptors
        copies = dict(enumerate(files, first))
        descriptors |= {number: files[name] for number, name in copies.items()}
        briefing = Briefing(
            type(self._reactor).__module__,
            options.folder,
            [*options.arguments, *(f"--{name}=/dev/fd/{at}" for at, name in copies.items())],
            list(keeper.ours),
            self._secret,
            [
                (place.host, place.port)
                for place in self._places
                if isinstance(place, IPv4Address | IPv6Address)
            ],
        )
        line = json.dumps(asdict(briefing)).encode("ascii")
        return Program([sys.executable, "-c", _SCRIPT], self._environment, descriptors, line)

    def _cannotStart(self) -> None:
        """
        Stop, and say that something was wrong.
        """
        # Unless we stop already.
        with suppress(ReactorNotRunning):
            self._reactor.stop()
            exitWithFailure()


def main() -> None:
    """
    Be a worker.
    """
    records = RecordWriter(os.dup(1))
    # What is not logged is an accident.
    os.dup2(2, 1)
    _, _, line = readLine(0).partition(b" ")
    briefing = Briefing(**json.loads(line))
    importlib.import_module(briefing.reactor).install()
    from twisted.internet import reactor

    from socks6.tap.options import Options
    from socks6.tap.service import makeService

    globalLogBeginner.beginLoggingTo([records])
    folder = os.getcwd()
    # Names of files are meant from there, unless nobody lets us go.
    with suppress(OSError):
        os.chdir(briefing.folder)
    options: Any = Options()
    options.parseOptions(briefing.arguments)
    with suppress(OSError):
        os.chdir(folder)
    options.briefing = briefing
    options.report = records.report
    options.parent = {"nodaemon": True, "pidfile": ""}
    service: Any = makeService(options)
    # The process that looks after us, and all others, may be told at the same time.
    service.hearsSignals = False
    reload = service.getServiceNamed(ReloadingService.name).reload
    serve(reactor, service, 0, records.serving, service.hurry, reload)
