"""
What all side-by-side measurements need: a place for each proxy, and an eye on it.

Each proxy runs in a network namespace of its own, on one core; the load, which is
C{load.c}, has the other one to itself.  Linux, C{root}, C{iproute2} and, for C{load.c},
C{gcc} are needed.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
RESULTS = HERE / "results"

#: The cores of the proxy and of the load.
PROXY_CORE, LOAD_CORE = 1, 0

#: What is written while measuring.
WORK = Path(tempfile.gettempdir()) / f"socks6-benchmarks-{os.getuid()}"

#: The clock of C{/proc}, in ticks a second.
_TICKS = os.sysconf("SC_CLK_TCK")

#: Seconds that a proxy may take until it listens, and for each of two ways to end it.
_START_TIMEOUT = 15.0
_STOP_TIMEOUT = 1.0

#: What each port of a namespace accepts, so that connections do not run out of ports.
_SETTINGS = ("net.ipv4.tcp_max_tw_buckets=8192", "net.ipv4.ip_local_port_range=10000 65535")


def command(*words: str) -> str:
    """
    Run a command.

    @return: What it prints.
    @raise RuntimeError: It fails.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def prepare() -> None:
    """
    Get ready to measure; to be called first.

    This process, and those that it starts, may have as many descriptors as they can.

    @raise SystemExit: Nothing can be measured here.
    """
    if sys.platform != "linux" or os.getuid():
        raise SystemExit("network namespaces need Linux, and root")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    WORK.mkdir(exist_ok=True)
    # So that whoever is ended gives up its namespaces.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))


def loadProgram() -> str:
    """
    Build C{load.c}, if that has not been done.

    @return: The path of the program.
    """
    source, program = HERE / "load.c", WORK / "load"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        command("gcc", "-O2", "-o", str(program), str(source))
    return str(program)


class Namespace:
    """
    A network namespace.
    """

    def __init__(self, name: str) -> None:
        """
        Make it, with nothing in it but the loopback device.
        """
        self.name = f"s6b{os.getpid()}{name}"
        command("ip", "netns", "add", self.name)
        command("ip", "-n", self.name, "link", "set", "lo", "up")
        self.set(*_SETTINGS)

    def inside(self, *words: str) -> list[str]:
        """
        Give the command line that runs a command in it.
        """
        return ["ip", "netns", "exec", self.name, *words]

    def set(self, *settings: str) -> None:
        """
        Change settings of the kernel, as C{sysctl} does.
        """
        command(*self.inside("sysctl", "-q", "-w", *settings))

    def close(self) -> None:
        """
        Give it up.
        """
        command("ip", "netns", "del", self.name)


class Program:
    """
    A program that runs in a namespace on one core: all processes of its session.
    """

    def __init__(
        self,
        namespace: Namespace,
        words: Sequence[str],
        ports: Sequence[int],
        output: Path,
    ) -> None:
        """
        Start it, and wait until it listens.

        @param ports: Where it is going to.
        @param output: The file that it writes to.
        @raise RuntimeError: It does not.
        """
        self._namespace = namespace
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        with open(output, "w") as log:
            self._process = subprocess.Popen(
                namespace.inside("taskset", "-c", str(PROXY_CORE), *words),
                cwd=WORK,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._untilItListens(ports)
        except BaseException:
            self.close()
            raise

    def _untilItListens(self, ports: Sequence[int]) -> None:
        """
        Wait.

        @raise RuntimeError: It takes too long.
        """
        until = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < until and self._process.poll() is None:
            listening = command(*self._namespace.inside("ss", "-Hltn"))
            if all(f":{port} " in listening for port in ports):
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self._process.args!r} does not listen; see {WORK}")

    def _statistics(self) -> Iterator[tuple[int, list[str]]]:
        """
        Read C{/proc/PID/stat}, from the state on, of all of its processes.
        """
        for entry in Path("/proc").glob("[0-9]*/stat"):
            # Processes come and go.
            with suppress(OSError):
                words = entry.read_text().rpartition(")")[2].split()
                if int(words[3]) == self._process.pid:
                    yield int(entry.parent.name), words

    def cpuSeconds(self) -> float:
        """
        Tell how much CPU it has used so far.
        """
        ticks = (sum(map(int, words[11:15])) for _, words in self._statistics())
        return sum(ticks) / _TICKS

    def memory(self) -> int:
        """
        Tell how many octets of memory it has: each shared page is divided among those
        who share it.
        """
        kilobytes = 0
        for process, _ in self._statistics():
            with suppress(OSError):
                for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kilobytes += int(line.split()[1])
        return kilobytes * 1024

    def close(self) -> None:
        """
        End it.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process, _ in self._statistics():
                with suppress(ProcessLookupError):
                    os.kill(process, number)
            until = time.monotonic() + _STOP_TIMEOUT
            while time.monotonic() < until and any(self._statistics()):
                self._process.poll()
                time.sleep(0.02)
        self._process.wait()


def busySeconds() -> float:
    """
    Tell how much CPU all programs have used on the two cores so far.
    """
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *words = line.split()
        if name in (f"cpu{PROXY_CORE}", f"cpu{LOAD_CORE}"):
            # All but "idle" and "iowait", of the first eight.
            ticks += sum(map(int, words[:3])) + sum(map(int, words[5:8]))
    return ticks / _TICKS


def results(name: str) -> dict[str, Any]:
    """
    Read what L{save} has written.
    """
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def about(**more: Any) -> dict[str, Any]:
    """
    Say where and with what something is measured.

    @param more: What else is to be known of it.
    """
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "kernel": platform.release(),
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "twisted": version("twisted"),
        **more,
    }


def save(name: str, about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Write results, one row a line, so that their changes can be read.
    """
    RESULTS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    text = f'{{"about": {json.dumps(about)},\n"rows": [\n{lines}\n]}}\n'
    (RESULTS / f"{name}.json").write_text(text)
