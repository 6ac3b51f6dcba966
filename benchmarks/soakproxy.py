"""
The proxy of L{soak}, in a process of its own: C{twistd socks6}, but that it answers each
line on its standard input with what there is in it.

An answer is a line of JSON: descriptors, delayed calls, connections, octets of memory, and
how many objects there are of each of our classes.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.logger import globalLogBeginner, textFileLogObserver

from socks6.server.service import ProxyService
from socks6.tap.options import Options
from socks6.tap.service import makeService

reactor: Any = _reactor


def proxyIn(service: Any) -> ProxyService:
    """
    Find the proxy among the services of the command line.
    """
    (proxy,) = (each for each in service if isinstance(each, ProxyService))
    return proxy


def inventory(proxy: ProxyService) -> dict[str, Any]:
    """
    Tell what there is.
    """
    gc.collect()
    # What is free, but lies between what is not, is no growth.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    kinds = (type(each) for each in gc.get_objects())
    objects = Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in kinds
        if str(kind.__module__).startswith("socks6.")
    )
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "delayed": len(reactor.getDelayedCalls()),
        "connections": len(proxy.factory._connections),
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "objects": objects,
    }


class Questions(Protocol):
    """
    Answers each line, and stops when there are no more.
    """

    def __init__(self, proxy: ProxyService) -> None:
        """
        @param proxy: What is asked about.
        """
        self._proxy = proxy

    def dataReceived(self, data: bytes) -> None:
        """
        Answer.
        """
        for _ in range(data.count(b"\n")):
            answer = json.dumps(inventory(self._proxy)).encode("ascii") + b"\n"
            assert self.transport is not None
            self.transport.write(answer)

    def connectionLost(self, reason: object = None) -> None:
        """
        Stop.
        """
        if reactor.running:
            reactor.stop()


def main() -> None:
    """
    Run the proxy: the log's file, and then the options of C{twistd socks6}.
    """
    log = Path(sys.argv[1]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
    globalLogBeginner.beginLoggingTo([textFileLogObserver(log)], redirectStandardIO=False)
    options = Options()
    options.parseOptions(sys.argv[2:])
    service: Any = makeService(options)
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    StandardIO(Questions(proxyIn(service)))
    reactor.run()


if __name__ == "__main__":
    main()
