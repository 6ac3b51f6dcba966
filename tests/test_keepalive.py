"""
Tests of L{socks6.keepalive}.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from socks6.keepalive import keepAlive


class KeepAliveTests(SynchronousTestCase):
    """
    L{keepAlive}.
    """

    def test_keepAlive(self) -> None:
        """
        A silent peer is asked in time, and again so often that it is known within half
        as much again whether it is there; connections have it from the port that accepts
        them.
        """
        for idle, interval in ((120, 20), (60, 10), (7, 1), (1, 1), (32767, 5461)):
            with (
                socket.create_server(("127.0.0.1", 0)) as listener,
                socket.socket() as dialled,
            ):
                keepAlive(listener, idle)
                keepAlive(dialled, idle)
                dialled.connect(listener.getsockname())
                accepted, _ = listener.accept()
                with accepted:
                    for handle in (accepted, dialled):
                        self.assertTrue(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
                        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                        found = [
                            handle.getsockopt(socket.IPPROTO_TCP, option) for option in options
                        ]
                        self.assertEqual(found, [idle, interval, 3])

    def test_keepAliveElsewhere(self) -> None:
        """
        Where there is no TCP, nothing is done.
        """
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        keepAlive(one, 60)
        keepAlive(None, 60)
        self.assertFalse(one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
