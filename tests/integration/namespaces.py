"""
Networks for one test: Linux network namespaces.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from unittest import TestCase

from tests.integration import requireProgram
from tests.integration.peers import DEADLINE

_numbers = itertools.count()

_Result = TypeVar("_Result")

#: Names a kind of namespace to the kernel; Python knows it from 3.12 on.
_CLONE_NEWNET = 0x40000000


class Namespace:
    """
    A network namespace that ends with the test.

    @ivar prefix: The program, and its arguments, that runs another one in it.
    """

    def __init__(self, testCase: TestCase) -> None:
        """
        Make it, or end the test: skip it where that is not possible, but fail
        where C{CI} is C{true}.
        """
        self._program = requireProgram(testCase, "ip")
        self.name = f"socks6-{os.getpid()}-{next(_numbers)}"
        made = subprocess.run(
            [self._program, "netns", "add", self.name],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        if made.returncode:
            reason = f"no network namespaces for us: {made.stderr.strip()}"
            if os.environ.get("CI") == "true":
                testCase.fail(reason)
            testCase.skipTest(reason)
        testCase.addCleanup(self._ip, "netns", "del", self.name)
        self.prefix = [self._program, "netns", "exec", self.name]
        self.ip("link set lo up")

    def _ip(self, *arguments: str) -> None:
        """
        Run C{ip}.
        """
        subprocess.run([self._program, *arguments], check=True, timeout=DEADLINE)

    def ip(self, command: str) -> None:
        """
        Run C{ip} in here.

        @param command: Its arguments, with blanks between them.
        """
        self._ip("-n", self.name, *command.split())

    def set(self, name: str, value: object) -> None:
        """
        Set a kernel parameter in here.

        @param name: Its path below C{/proc/sys/net}.
        """
        path = f"/proc/sys/net/{name}"
        subprocess.run(
            [*self.prefix, "tee", path],
            input=f"{value}\n",
            text=True,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=DEADLINE,
        )

    def inside(self, function: Callable[[], _Result]) -> _Result:
        """
        Call a function in here, in a thread of its own; sockets that it makes stay in
        here.
        """

        def enter() -> _Result:
            with Path(f"/run/netns/{self.name}").open("rb") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            return function()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(enter).result(DEADLINE)

    def connect(
        self,
        other: Namespace,
        interface: str = "cable",
        networks: tuple[str, str] = ("192.0.2.", "2001:db8:1::"),
    ) -> None:
        """
        Lay a cable to another one.

        @param interface: What it is called on both sides.
        @param networks: How addresses begin, of IPv4 with 24 bits and of IPv6 with 64;
            this one has number 1 and the other number 2.
        """
        self.ip(f"link add {interface} type veth peer name {interface} netns {other.name}")
        ipv4, ipv6 = networks
        for number, end in (1, self), (2, other):
            end.ip(f"addr add {ipv4}{number}/24 dev {interface}")
            end.ip(f"addr add {ipv6}{number}/64 dev {interface} nodad")
            end.ip(f"link set {interface} up")
