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

#: What the process that looks after us writes if we are to stop, to hurry with that, and to
#: reload.
STOP, HURRY, RELOAD = b"s", b"h", b"r"


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
    A pipe whose other end nobody has but the process that looks after us: it says there
    that we are to stop, and to hurry, and is gone when the pipe ends.
    """

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        stop: Callable[[], None],
        hurry: Callable[[], None],
        reload: Callable[[], None],
    ) -> None:
        """
        Begin to watch.

        @param stop: Is called if we are to stop, or the process is gone; maybe twice.
        @param hurry: Is called if we are to wait for nothing any more.
        @param reload: Is called if we are to reload what can be reloaded.
        """
        self._reactor = reactor
        self._descriptor = descriptor
        self._stop = stop
        self._orders = {STOP: stop, HURRY: hurry, RELOAD: reload}
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
        Read what we are to do, or the end.

        @return: What the reactor takes for the end.
        """
        try:
            octets = os.read(self._descriptor, 1024)
        except BlockingIOError:
            return None
        # Told something several times, we need to do it once.
        for word, obey in self._orders.items():
            if word in octets:
                obey()
        return None if octets else Failure(CONNECTION_DONE)

    def connectionLost(self, reason: Failure) -> None:
        """
        Notice that the process is gone, or that we are stopping.
        """
        self._reactor.removeReader(self)
        self._stop()


def serve(
    reactor: Any,
    service: IService,
    lifeline: int,
    serving: Callable[[], None],
    hurry: Callable[[], None],
    reload: Callable[[], None],
) -> None:
    """
    Run a service, until a signal comes or nobody looks after us any more.

    @param lifeline: The descriptor of L{Lifeline}.
    @param serving: Is called when the service has started.
    @param hurry: Is called if the service is to stop at once, though it is stopping: a
        second signal comes, or whoever looks after us says so.
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

    def hear(*_: object) -> None:
        # Again at the next time.
        signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(hurry))
        reactor.callFromThread(stop)

    # Later, so that nothing that goes wrong there is the end of the pipe.
    Lifeline(reactor, lifeline, stop, hurry, lambda: reactor.callLater(0, reload))
    # A terminal, and systemd, tell all processes at once.  Twisted's own handlers would
    # not like that we are stopping already.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, hear)
    serving()
    reactor.run(installSignalHandlers=False)
