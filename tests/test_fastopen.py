"""
Tests of L{socks6.fastopen}.

What the kernel makes of it is tested in C{tests/integration/test_fastopen.py}.
"""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from socks6 import fastopen
from socks6.fastopen import acceptFastOpen, connectWith, deferConnecting, kernelAccepts

PLACE = ("192.0.2.1", 80)


class Handle:
    """
    A socket that takes notes.

    @ivar refusal: The kernel's answer to all that has to do with Fast Open, if it is an
        error.
    @ivar connected: Where it was connected to in the ordinary way.
    """

    family = socket.AF_INET

    def __init__(self, refusal: int = 0) -> None:
        self.refusal = refusal
        self.options: list[tuple[int, int, int]] = []
        self.sent: list[tuple[bytes, int, object]] = []
        self.connected: list[object] = []

    def _refuse(self) -> None:
        if self.refusal:
            raise OSError(self.refusal, "")

    def setsockopt(self, level: int, name: int, value: int) -> None:
        """
        Note an option.
        """
        self._refuse()
        self.options.append((level, name, value))

    def sendto(self, octets: bytes, flags: int, address: object) -> int:
        """
        Take all but one octet.
        """
        self._refuse()
        self.sent.append((octets, flags, address))
        return len(octets) - 1

    def connect(self, address: object) -> None:
        """
        Note the address.
        """
        self.connected.append(address)
        raise BlockingIOError(errno.EINPROGRESS, "")


def handle(refusal: int = 0) -> Any:
    """
    Make a socket.
    """
    return cast(Any, Handle(refusal))


class KernelTests(SynchronousTestCase):
    """
    L{kernelAccepts}.
    """

    def test_setting(self) -> None:
        """
        The second bit of the kernel's setting is for servers; where there is no setting,
        nothing is allowed.
        """
        path = Path(self.mktemp())
        self.patch(fastopen, "_SETTING", path)
        self.assertFalse(kernelAccepts())
        for text, accepts in (
            ("0", False),
            ("1", False),
            ("2", True),
            ("3", True),
            ("1027", True),
            ("0x602", True),
            ("1025", False),
            ("?", False),
        ):
            path.write_text(text + "\n", "ascii")
            self.assertEqual(kernelAccepts(), accepts, text)


class AcceptTests(SynchronousTestCase):
    """
    L{acceptFastOpen}.
    """

    def test_accept(self) -> None:
        """
        The kernel is told how many connections may wait; that it does not know what this
        means is no failure.
        """
        listener = handle()
        acceptFastOpen(listener)
        self.assertEqual(listener.options, [(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 1024)])
        acceptFastOpen(handle(errno.ENOPROTOOPT))

    def test_others(self) -> None:
        """
        UNIX sockets have nothing to do with it, nor have other systems.
        """
        listener = handle()
        listener.family = socket.AF_UNIX
        acceptFastOpen(listener)
        self.assertEqual(listener.options, [])
        listener.family = socket.AF_INET6
        acceptFastOpen(listener)
        self.patch(sys, "platform", "darwin")
        acceptFastOpen(listener)
        self.assertEqual(len(listener.options), 1)


class ConnectTests(SynchronousTestCase):
    """
    L{connectWith} and L{deferConnecting}.
    """

    def test_taken(self) -> None:
        """
        The kernel says how much it has taken.
        """
        client = handle()
        self.assertEqual(connectWith(client, PLACE, b"hello"), 4)
        self.assertEqual(client.sent, [(b"hello", 0x20000000, PLACE)])
        self.assertEqual(client.connected, [])

    def test_unknown(self) -> None:
        """
        Where the kernel does not know Fast Open, or does not allow it, the connection is
        an ordinary one.
        """
        for code in (errno.EOPNOTSUPP, errno.ENOTCONN, errno.EPIPE):
            client = handle(code)
            self.assertRaises(BlockingIOError, connectWith, client, PLACE, b"hello")
            self.assertEqual(client.connected, [PLACE])
        self.patch(sys, "platform", "darwin")
        client = handle()
        self.assertRaises(BlockingIOError, connectWith, client, PLACE, b"hello")
        self.assertEqual((client.sent, client.connected), ([], [PLACE]))

    def test_connectedAtOnce(self) -> None:
        """
        An ordinary connection that stands at once has taken nothing.
        """
        client = handle(errno.EOPNOTSUPP)
        client.connect = client.connected.append
        self.assertEqual(connectWith(client, PLACE, b"hello"), 0)

    def test_failure(self) -> None:
        """
        A failure is one, and so is the news that the connection is under way; it is not
        tried again in another way.
        """
        for code in (errno.ECONNREFUSED, errno.EINPROGRESS, errno.ENETUNREACH):
            client = handle(code)
            error = self.assertRaises(OSError, connectWith, client, PLACE, b"hello")
            self.assertEqual((error.errno, client.connected), (code, []))

    def test_deferred(self) -> None:
        """
        A socket can be told to wait for its first data, where the kernel lets us.
        """
        client = handle()
        self.assertTrue(deferConnecting(client))
        self.assertEqual(client.options, [(socket.IPPROTO_TCP, 30, 1)])
        self.assertFalse(deferConnecting(handle(errno.EOPNOTSUPP)))
        self.patch(sys, "platform", "darwin")
        self.assertFalse(deferConnecting(handle()))
