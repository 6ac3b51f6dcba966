"""
Tests of L{socks6.server.clientsocket}.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.server.clientsocket import ClientSocket
from tests.doubles import Network
from tests.server.datagrams import CLIENT, MemoryDatagramSocket, deliver, read

IP_PKTINFO = 8


class ClientSocketTests(SynchronousTestCase):
    """
    A socket for the datagrams of clients.
    """

    def setUp(self) -> None:
        self.network = Network()
        self.received: list[tuple[bytes, Any]] = []

    def make(self, host: str) -> tuple[ClientSocket, MemoryDatagramSocket]:
        """
        Make one that is bound to an address.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        handle = MemoryDatagramSocket(family, (host, 1080))
        self.addCleanup(handle.close)
        made = ClientSocket(self.network, handle, lambda *each: self.received.append(each))
        return made, handle

    def test_address(self) -> None:
        """
        One that is bound to an address answers from there.
        """
        made, handle = self.make("192.0.2.1")
        deliver(self.network, handle, b"question", CLIENT)
        self.assertEqual(self.received, [(b"question", CLIENT)])
        self.assertTrue(made.send((b"ans", b"wer"), CLIENT))
        self.assertEqual(handle.sent, [(b"answer", CLIENT)])
        self.assertEqual(handle.ways, [()])

    def test_anyAddress(self) -> None:
        """
        One that is bound to all addresses answers from the one that was used, and knows the
        client by it too.
        """
        made, handle = self.make("0.0.0.0")
        self.assertTrue(handle.getsockopt(socket.IPPROTO_IP, IP_PKTINFO))
        for own in ("192.0.2.1", "198.51.100.1"):
            local = ip_address(own).packed
            information = bytes.fromhex("02000000") + local + ip_address("192.0.2.255").packed
            handle.put(b"question", CLIENT, (socket.IPPROTO_IP, IP_PKTINFO, information))
            read(self.network, handle)
            _, source = self.received[-1]
            self.assertTrue(made.send((b"answer",), source))
            way = (socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + local + bytes(4))
            self.assertEqual(handle.ways[-1], (way,))
        self.assertEqual(handle.sent, [(b"answer", CLIENT)] * 2)
        (_, first), (_, second) = self.received
        self.assertNotEqual(first, second)
        self.assertEqual(len({first, second}), 2)

    def test_anyIPv6Address(self) -> None:
        """
        The same with IPv6.
        """
        made, handle = self.make("::")
        self.assertTrue(handle.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO))
        client = ("2001:db8::2", 40000, 0, 0)
        local = ip_address("2001:db8::1").packed
        kind = socket.IPV6_PKTINFO
        handle.put(b"question", client, (socket.IPPROTO_IPV6, kind, local + b"\2\0\0\0"))
        read(self.network, handle)
        ((_, source),) = self.received
        self.assertTrue(made.send((b"answer",), source))
        self.assertEqual(handle.sent, [(b"answer", client)])
        self.assertEqual(handle.ways, [((socket.IPPROTO_IPV6, kind, local + bytes(4)),)])

    def test_failure(self) -> None:
        """
        What is not sent is dropped, on a socket that is closed as well.
        """
        made, handle = self.make("192.0.2.1")
        handle.failure = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        self.assertFalse(made.send((b"answer",), CLIENT))
        handle.failure = None
        made.close()
        self.assertFalse(made.send((b"answer",), CLIENT))
