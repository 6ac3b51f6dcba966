"""
The entry point of the program C{socks6}.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.python import usage

from socks6.command.connect import connect
from socks6.command.options import Options
from socks6.command.probe import probe

#: What each command does: with the reactor and its options, it gives the exit status.
_COMMANDS: dict[str, Callable[[Any, Any], Coroutine[Any, Any, int]]] = {
    "connect": connect,
    "probe": probe,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the program.

    @raise SystemExit: Always: 0 if all went well; 1 after a mistake on the command line,
        which is told in one line; for others, see the commands.
    """
    options = Options()  # type: ignore[no-untyped-call]
    try:
        options.parseOptions(sys.argv[1:] if arguments is None else arguments)  # type: ignore[no-untyped-call]
    except usage.UsageError as error:
        raise SystemExit(f"socks6: {' '.join(str(error).split())}") from error
    from twisted.internet.task import react

    command = _COMMANDS[str(options.subCommand)]

    async def run(reactor: Any) -> None:
        status = await command(reactor, options.subOptions)
        if status:
            raise SystemExit(status)

    react(run)
