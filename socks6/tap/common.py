"""
What all command lines of C{twistd} have in common here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from twisted.python import usage

from socks6 import __version__
from socks6.listening import listensLocally
from socks6.tap.configfile import OPTION, withConfiguration

#: What Twisted puts before the words of what reads a parameter.
_TWISTED_SAYS = "Parameter type enforcement failed: "


class CommonOptions(usage.Options):
    """
    Options that listen on ports.

    @cvar command: The name behind C{twistd}.
    @ivar ports: Endpoint strings to listen on.
    @ivar arguments: The command line, as it was read; what stands in a file that it names
        is in the place of that name.
    @ivar folder: Where we were then.
    """

    synopsis = "[options]"
    command: str

    optParameters: list[Sequence[Any]] = [
        [OPTION, None, None, "TOML file with options; those of the command line come first."],
    ]

    def __init__(self) -> None:
        """
        Begin with no ports.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.ports: list[str] = []
        self.arguments: Sequence[str] = ()
        self.folder = ""

    def checkAgain(self) -> None:
        """
        Check once more what may have changed, now that the process is who it will be
        and where it will be.

        @raise usage.UsageError: Something is wrong.
        """

    def opt_version(self) -> NoReturn:
        """
        Print the version and exit.
        """
        print(f"twistd {self.command} {__version__}")  # noqa: T201
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the command line; a mistake is one line on standard error and exit
        status 1.
        """
        self.folder = os.getcwd()
        try:
            self[OPTION], self.arguments = withConfiguration(
                self, tuple(sys.argv[1:] if options is None else options)
            )
            super().parseOptions(self.arguments)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            words = " ".join(str(error).removeprefix(_TWISTED_SAYS).split())
            raise SystemExit(f"twistd {self.command}: {words}") from error

    def checkOpenness(self, port: str, closed: bool, remedy: str) -> None:
        """
        Check that the proxy is not open to the world by accident.

        @param port: An endpoint string.
        @param closed: Whether its clients must show who they are.
        @param remedy: The options that help.
        @raise usage.UsageError: It is, or the endpoint string is none.
        """
        local = listensLocally(port)
        if not (local or closed or self["anonymous"]):
            raise usage.UsageError(
                f"{port} can be reached from other machines, and everybody there"
                f" could use the proxy: add {remedy}"
            )
