"""
The options of C{twistd socks6} that are about the TCP under its connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python.usage import UsageError

from socks6.fastopen import kernelAccepts
from socks6.multipath import MultipathReactor, whyNoMultipath


class StackOptions(dict[str, Any]):
    """
    A part of a command line's options.
    """

    flags: Sequence[Sequence[Any]] = [
        ["fast-open", None, "Insist on TCP Fast Open [default: where the kernel allows it]."],
        ["no-fast-open", None, "Accept no data in the first packet of a connection."],
        ["mptcp", None, "Speak Multipath TCP with clients and hosts that do."],
    ]

    def checkStack(self) -> None:
        """
        Check that the kernel can do what it is to do.

        @raise UsageError: It cannot, or the options make no sense.
        """
        if self["fast-open"] and self["no-fast-open"]:
            raise UsageError("--fast-open and --no-fast-open contradict each other")
        if self["fast-open"] and not kernelAccepts():
            raise UsageError(
                "--fast-open: the kernel does not allow it; sysctl -w net.ipv4.tcp_fastopen=3"
                " changes that"
            )
        reason = whyNoMultipath() if self["mptcp"] else None
        if reason is not None:
            raise UsageError(f"--mptcp: the kernel has no Multipath TCP: {reason}")

    def listener(self, reactor: Any) -> Any:
        """
        Give the reactor that opens the ports.
        """
        return MultipathReactor(reactor) if self["mptcp"] else reactor
