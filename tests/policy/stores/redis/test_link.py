"""
Tests of L{socks6.policy.stores.redis.link}, with a store on top of it.
"""

from __future__ import annotations

import socket

from socks6.interfaces import SessionRecord, SessionStoreFailed, SessionTrust, SessionUse
from socks6.policy.stores.redis.link import MAX_ANSWER, RedisLinkFactory
from tests.policy.stores.redis.resp import RedisTestCase


class RedisLinkTests(RedisTestCase):
    """
    One connection, whatever comes over it.
    """

    def test_answersCutAnywhere(self) -> None:
        """
        Answers may arrive in pieces, and as strings with a length.
        """
        line = b"0 0 0 0 0 o 1 n a"
        octets = b"$%d\r\n%b\r\n:1\r\n" % (len(line), line)
        use = SessionUse(SessionRecord(1, b"n", "a", SessionTrust.NOWHERE, b"o"), False)
        self.assertServed()
        for cut in range(len(octets)):
            used, opened = self.use(), self.open()
            self.network.spin()
            self.server.peer.take()
            self.server.peer.send(octets[:cut])
            self.server.peer.send(octets[cut:])
            self.assertEqual(self.successResultOf(used), use, f"cut at {cut}")
            self.assertIsNone(self.successResultOf(opened), f"cut at {cut}")

    def test_nonsense(self) -> None:
        """
        A server in whose answers there is no sense is left, as nobody knows which
        answer belongs to what.
        """
        for nonsense in (
            b"+1 2 3\r\n",
            b":7\r\n",
            b"*2\r\n:1\r\n:1\r\n",
            b"+\xff\xfe\r\n",
            b":1\r\n" * 2,
            b"*x\r\n",
            b"$x\r\n",
            b"$3\r\nabc\r\n\xff\r\n",
            b"$%d\r\n" % 10**12 + bytes(MAX_ANSWER),
            bytes(MAX_ANSWER),
        ):
            self.assertServed()
            peer, call = self.server.peer, self.open()
            self.network.spin()
            peer.send(nonsense)
            self.network.elapse(0.05)
            self.assertTrue(peer.isClosed, repr(nonsense[:40]))
            if call.called and nonsense == b":1\r\n" * 2:
                self.successResultOf(call)
            else:
                self.failureResultOf(call, SessionStoreFailed)
            self.server.serve(1)
        self.assertServed()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_promptness(self) -> None:
        """
        Requests do not wait in the kernel for each other's acknowledgement.
        """
        self.assertServed()
        handle = self.server.peer.socket
        self.assertTrue(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        self.assertTrue(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def test_lost(self) -> None:
        """
        Whoever waits for the loss of a connection hears of it, before it or after.
        """
        import txredisapi

        link = RedisLinkFactory(self.network, txredisapi).buildProtocol(None)
        peer = self.network.attach(link)
        waiting = [link.whenLost(), link.whenLost()]
        for each in waiting:
            self.assertNoResult(each)
        peer.end()
        waiting.append(link.whenLost())
        for each in waiting:
            self.successResultOf(each)
        self.assertEqual(link.fault, "it has closed the connection")
