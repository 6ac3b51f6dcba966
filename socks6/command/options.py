"""
The options of the program C{socks6}.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import Any, NoReturn

from twisted.python import usage

from socks6 import __version__
from socks6.client.urls import (
    PASSWORD_VARIABLE,
    PROXY_VARIABLE,
    ProxyURL,
    passwordIn,
    passwordInEnvironment,
    proxyURL,
)
from socks6.values.codes import MAX_PORT


class CommandOptions(usage.Options):
    """
    What all have in common.
    """

    def opt_version(self) -> NoReturn:
        """
        Print the version and exit.
        """
        print(f"socks6 {__version__}")  # noqa: T201
        raise SystemExit(0)


class ProxyOptions(CommandOptions):
    """
    The options of what goes through a proxy; what is not on the command line may be in
    the environment.

    @ivar url: The proxy.
    """

    optParameters: list[Sequence[Any]] = [
        [
            "proxy",
            None,
            None,
            f"The proxy, socks6://[USER[:PASSWORD]@]HOST[:PORT] [default: {PROXY_VARIABLE}].",
        ],
        [
            "password-file",
            None,
            None,
            f"File with the user's password [default: {PASSWORD_VARIABLE}].",
        ],
    ]

    url: ProxyURL

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the command line; options may stand behind HOST and PORT as well.

        @raise usage.UsageError: It makes no sense.
        """
        try:
            found, arguments = gnu_getopt(list(options or ()), self.shortOpt, self.longOpt)
        except GetoptError as error:
            raise usage.UsageError(str(error)) from error
        ordered = [
            f"{name}={value}" if f"{name[2:]}=" in self.longOpt else name for name, value in found
        ]
        super().parseOptions([*ordered, "--", *arguments])  # type: ignore[no-untyped-call]

    def postOptions(self) -> None:
        """
        Find out which proxy it is.

        @raise usage.UsageError: It is none.
        """
        text = self["proxy"] or os.environ.get(PROXY_VARIABLE)
        if not text:
            raise usage.UsageError(f"a --proxy is needed, or {PROXY_VARIABLE} in the environment")
        password: bytes | None
        try:
            if self["password-file"] is not None:
                password = passwordIn(Path(self["password-file"]))
            else:
                password = passwordInEnvironment()
            self.url = proxyURL(text, password)
            self.url.encryption()
        except OSError as error:
            raise usage.UsageError(f"{error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise usage.UsageError(str(error)) from error


def destination(host: str, port: str) -> tuple[str, int]:
    """
    Check where somebody wants to go.

    @raise usage.UsageError: Nobody can go there.
    """
    if not (port.isascii() and port.isdigit() and 0 < int(port[:9]) <= MAX_PORT):
        raise usage.UsageError(f"{port!r} is not a port from 1 to {MAX_PORT}")
    return host, int(port)


class ConnectOptions(ProxyOptions):
    """
    The options of C{socks6 connect}.

    @ivar host: Where to connect to.
    @ivar port: Its port.
    """

    synopsis = "HOST PORT [options]"
    longdesc = (
        "Connect standard input and output with a port of a host, through a SOCKS 6 proxy."
        "  It ends when both sides have ended."
    )
    optFlags: list[Sequence[Any]] = [
        ["optimistic", None, "Send what there is to send without waiting for the proxy."],
    ]

    def parseArgs(self, host: str, port: str) -> None:  # type: ignore[override]
        """
        Read where to connect to.
        """
        self.host, self.port = destination(host, port)


class ProbeOptions(ProxyOptions):
    """
    The options of C{socks6 probe}.

    @ivar destination: A host and a port to connect to, if there are any.
    """

    synopsis = "[HOST PORT] [options]"
    longdesc = (
        "Tell what a SOCKS 6 proxy offers, and how long it takes; with HOST and PORT, to"
        " connect there, too."
    )
    optFlags: list[Sequence[Any]] = [["json", None, "Write JSON."]]

    def parseArgs(self, host: str | None = None, port: str | None = None) -> None:
        """
        Read where to connect to.
        """
        self.destination: tuple[str, int] | None = None
        if host is not None:
            if port is None:
                raise usage.UsageError("HOST needs a PORT")
            self.destination = destination(host, port)


class Options(CommandOptions):
    """
    The options of C{socks6}.
    """

    longdesc = "SOCKS 6 (draft-olteanu-intarea-socks-6-06) on the command line."
    subCommands: list[Sequence[Any]] = [
        ["connect", None, ConnectOptions, "Connect standard input and output with a host."],
        ["probe", None, ProbeOptions, "Tell what a proxy offers."],
    ]

    def getSynopsis(self) -> str:
        """
        Write the first line of the help; that of a command follows it.
        """
        return "Usage: socks6" if self.subCommand else "Usage: socks6 COMMAND [options]"

    def postOptions(self) -> None:
        """
        Check that there is a command.

        @raise usage.UsageError: There is none.
        """
        if self.subCommand is None:
            raise usage.UsageError("a command is needed: connect or probe; see --help")
