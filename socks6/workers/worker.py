"""
What a worker does besides serving.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.application.app import startApplication
from twisted.application.service import Application, IService
from twisted.internet.error import ReactorNotRunning
from twisted.internet.fdesc import setNonBlocking
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

#: What a worker reads that is to reload.
RELOAD = b"\n"


def readLine(descriptor: int) -> bytes:
    """
    Read a line, and nothing behind it.

    @return: It, without its end; what there was, if nothing else comes.
    """
    line = bytearray()
    while (octet := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += octet
    return bytes(line)


@implementer(IReadDescriptor)
class Lifeline:
    """
    A pipe whose other end nobody has but the process that looks after us: it is gone
    when the pipe ends.
    """

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        gone: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        """
        Begin to watch.

        @param gone: Is called, once, if the process is gone.
        @param reload: Is called whenever the process has told us to reload.
        """
        self._reload = reload
        self._reactor = reactor
        self._descriptor = descriptor
        self._gone = gone
        setNonBlocking(descriptor)
        reactor.addReader(self)

    def fileno(self) -> int:
        """
        Name the descriptor to the reactor.
        """
        return self._descriptor

    def logPrefix(self) -> str:
        """
        Name the pipe in the log.
        """
        return type(self).__name__

    def doRead(self) -> Failure | None:
        """
        Read what we are told, or the end.

        @return: What the reactor takes for the end.
        """
        try:
            octets = os.read(self._descriptor, 1024)
        except BlockingIOError:
            return None
        if not octets:
            return Failure(CONNECTION_DONE)
        # Told several times, we need to do it once.
        self._reload()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """
        Notice that the process is gone, or that we are stopping.
        """
        self._reactor.removeReader(self)
        self._gone()


def serve(
    reactor: Any,
    service: IService,
    lifeline: int,
    serving: Callable[[], None],
    reload: Callable[[], None],
) -> None:
    """
    Run a service, until a signal comes or nobody looks after us any more.

    @param lifeline: The descriptor of L{Lifeline}.
    @param serving: Is called when the service has started.
    @param reload: Is called when the service is to reload.
    """
    application: Any = Application(type(service).__name__)
    service.setServiceParent(application)
    IService(application).privilegedStartService()
    startApplication(application, False)

    def stop() -> None:
        # We may be told twice, and the reactor takes leave of all pipes when it stops.
        with suppress(ReactorNotRunning):
            reactor.stop()

    # Later, so that nothing that goes wrong there is the end of the pipe.
    Lifeline(reactor, lifeline, stop, lambda: reactor.callLater(0, reload))
    # A terminal, and systemd, tell all processes at once.  Twisted's own handlers would
    # not like that we are stopping already.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(stop))
    serving()
    reactor.run(installSignalHandlers=False)
