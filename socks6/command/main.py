"""
The entry point of the program C{socks6}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python import usage

from socks6.command.connect import connect
from socks6.command.options import Options
from socks6.command.probe import probe
from socks6.command.standard import letBlock, openDescriptors

#: What each command does: with the reactor and its options, it gives the exit status.
_COMMANDS: dict[str, Callable[[Any, Any], Coroutine[Any, Any, int]]] = {
    "connect": connect,
    "probe": probe,
}


#: The exit status of who was told to stop, as shells have it for Ctrl-C.
STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the program.

    @raise SystemExit: Always: 0 if all went well; 1 after a mistake on the command line,
        which is told in one line; L{STOPPED} after a signal; for others, see the
        commands.
    """
    openDescriptors()
    options = Options()  # type: ignore[no-untyped-call]
    try:
        options.parseOptions(sys.argv[1:] if arguments is None else arguments)  # type: ignore[no-untyped-call]
    except usage.UsageError as error:
        raise SystemExit(f"socks6: {' '.join(str(error).split())}") from error
    from twisted.internet.task import react

    command = _COMMANDS[str(options.subCommand)]

    async def run(reactor: Any) -> None:
        work = Deferred.fromCoroutine(command(reactor, options.subOptions))
        # It is not told of signals otherwise, and to Twisted they are no failure.
        reactor.addSystemEventTrigger("before", "shutdown", work.cancel)
        try:
            status = await work
        except CancelledError:
            status = STOPPED
        if status:
            raise SystemExit(status)

    try:
        react(run)
    finally:
        letBlock()
