"""
Tests for L{socks6.outbound.attempt}: one connection attempt sets its socket up
before the SYN leaves, and tells why it failed.

The sockets are real, on the loopback interface; the reactor is not.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from ipaddress import IPv4Address, ip_address
from struct import pack
from types import SimpleNamespace
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socks6.interfaces import OutboundFailed
from socks6.multipath import whyNoMultipath
from socks6.outbound import attempt as module
from socks6.outbound.attempt import ConnectAttempt, failureOf
from socks6.values.codes import ReplyCode
from tests.outbound.loopback import listen, refusingPort, requireIPv6

IP_RECVERR, IPV6_RECVERR = 11, 25
IPPROTO_MPTCP = 262
LOCAL = IPv4Address("127.0.0.1")

#: Asks whether a peer has answered, in earnest.
ANSWERED = module._isConnected


def waitUntilWritable(attempt: ConnectAttempt) -> None:
    """
    Wait until a reactor would call an attempt.
    """
    poll = select.poll()
    poll.register(attempt.fileno(), select.POLLOUT)
    assert poll.poll(10_000)


class AttemptTests(SynchronousTestCase):
    """
    L{ConnectAttempt}.
    """

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.results: list[OutboundFailed | None] = []
        self.attempt = ConnectAttempt(self.reactor, self._finished)
        self.addCleanup(self.attempt.cancel)
        # As if there were a network in between.
        self.patch(module, "_isConnected", lambda handle: False)

    def _finished(self, attempt: ConnectAttempt, failure: OutboundFailed | None) -> None:
        self.assertIs(attempt, self.attempt)
        self.results.append(failure)

    def _connect(self, host: str, port: int, typeOfService: int | None = None) -> None:
        """
        Let the attempt run to its end.
        """
        self.assertFalse(self.attempt.start(ip_address(host), port, typeOfService))
        self.assertEqual(self.results, [])
        self.assertEqual(self.reactor.getWriters(), [self.attempt])
        waitUntilWritable(self.attempt)
        self.attempt.doWrite()
        self.assertEqual(self.reactor.getWriters(), [])

    def _take(self) -> socket.socket:
        """
        Take the socket of an attempt that has succeeded.
        """
        self.assertEqual(self.results, [None])
        handle = self.attempt.take()
        self.addCleanup(handle.close)
        self.assertEqual(self.attempt.fileno(), -1)
        return handle

    def _failure(self) -> OutboundFailed:
        """
        Give the failure of an attempt that has failed.
        """
        (failure,) = self.results
        assert failure is not None
        self.assertEqual(self.attempt.fileno(), -1)
        return failure

    def test_interface(self) -> None:
        """
        It is what a reactor expects of a descriptor.
        """
        self.assertTrue(verifyObject(IReadWriteDescriptor, self.attempt))
        self.assertEqual(self.attempt.logPrefix(), "ConnectAttempt")

    def test_connects(self) -> None:
        """
        A connected socket can be taken; it does not block.
        """
        listener = listen(self)
        self._connect(*listener.getsockname())
        handle = self._take()
        self.assertEqual(handle.getpeername(), listener.getsockname())
        self.assertFalse(handle.getblocking())
        self.attempt.cancel()
        handle.getpeername()

    def test_atOnce(self) -> None:
        """
        Where the peer has answered already, the reactor has nothing to do.
        """
        self.patch(module, "_isConnected", ANSWERED)
        listener = listen(self)

        def connectWith(handle: socket.socket, where: tuple[str, int], octets: bytes) -> int:
            # However long it takes the kernel.
            handle.setblocking(True)
            handle.connect(where)
            return 2

        self.patch(module, "connectWith", connectWith)
        port = listener.getsockname()[1]
        self.assertTrue(self.attempt.start(LOCAL, port, None, b"hello"))
        self.assertEqual(self.attempt.taken, 2)
        self.assertEqual((self.results, self.reactor.getWriters()), ([], []))
        with self.attempt.take() as handle:
            self.assertEqual(handle.getpeername(), listener.getsockname())
            self.assertEqual(handle.getsockopt(socket.IPPROTO_IP, IP_RECVERR), 0)

    def test_notAtOnce(self) -> None:
        """
        A peer that has not answered is waited for.
        """
        with socket.socket() as handle:
            self.assertFalse(ANSWERED(handle))

    def test_connectsIPv6(self) -> None:
        """
        To an IPv6 address, too.
        """
        requireIPv6(self)
        listener = listen(self, "::1")
        self._connect(*listener.getsockname()[:2])
        self.assertEqual(self._take().getpeername(), listener.getsockname())

    def test_connectedSocketIgnoresICMP(self) -> None:
        """
        The queue of ICMP errors is in use while the attempt lasts, and no
        longer.
        """
        for host, option in (
            ("127.0.0.1", (socket.IPPROTO_IP, IP_RECVERR)),
            ("::1", (socket.IPPROTO_IPV6, IPV6_RECVERR)),
        ):
            if host == "::1":
                requireIPv6(self)
            self.setUp()
            self.attempt.start(ip_address(host), listen(self, host).getsockname()[1], None)
            with socket.socket(fileno=os.dup(self.attempt.fileno())) as handle:
                self.assertEqual(handle.getsockopt(*option), 1)
            waitUntilWritable(self.attempt)
            self.attempt.doWrite()
            self.assertEqual(self._take().getsockopt(*option), 0)

    def test_typeOfService(self) -> None:
        """
        The IP type of service is set; by default, it is left alone.
        """
        for given, expected in ((0xB8, 0xB8), (None, 0)):
            self.setUp()
            self._connect("127.0.0.1", listen(self).getsockname()[1], given)
            value = self._take().getsockopt(socket.IPPROTO_IP, socket.IP_TOS)
            self.assertEqual(value, expected)

    def test_firstOctets(self) -> None:
        """
        The SYN takes data with it, as much as the kernel says; without the wish, it is
        an ordinary one.
        """
        given = []

        def connectWith(handle: socket.socket, where: tuple[str, int], octets: bytes) -> int:
            given.append(octets)
            handle.connect_ex(where)
            return 3

        self.patch(module, "connectWith", connectWith)
        for octets, taken in ((b"hello", 3), (b"", 3), (None, 0)):
            self.setUp()
            self.attempt.start(LOCAL, listen(self).getsockname()[1], None, octets)
            waitUntilWritable(self.attempt)
            self.attempt.doWrite()
            self._take()
            self.assertEqual(self.attempt.taken, taken)
        self.assertEqual(given, [b"hello", b""])

    def test_firstOctetsUnderWay(self) -> None:
        """
        Where the kernel takes no data, the connection is under way all the same.
        """
        listener = listen(self)
        self.attempt.start(LOCAL, listener.getsockname()[1], None, b"hello")
        waitUntilWritable(self.attempt)
        self.attempt.doWrite()
        handle = self._take()
        handle.send(b"hello"[self.attempt.taken :])
        server, _ = listener.accept()
        with server:
            self.assertEqual(server.recv(5, socket.MSG_WAITALL), b"hello")

    def test_multipath(self) -> None:
        """
        The socket is of Multipath TCP if that is wanted, and an ordinary one where the
        system has none.
        """

        def refuse(family: int) -> socket.socket:
            raise OSError(errno.EPROTONOSUPPORT, "")

        self.attempt = ConnectAttempt(self.reactor, self._finished, multipath=True)
        self._connect(*listen(self).getsockname())
        protocol = self._take().getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
        hasMultipath = whyNoMultipath() is None
        self.assertEqual(protocol, IPPROTO_MPTCP if hasMultipath else socket.IPPROTO_TCP)
        self.patch(module, "multipathSocket", refuse)
        self.setUp()
        self.attempt = ConnectAttempt(self.reactor, self._finished, multipath=True)
        self._connect(*listen(self).getsockname())
        protocol = self._take().getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
        self.assertEqual(protocol, socket.IPPROTO_TCP)

    def test_multipathRefused(self) -> None:
        """
        A refusal is one with Multipath TCP, too.
        """
        self.attempt = ConnectAttempt(self.reactor, self._finished, multipath=True)
        self._connect("127.0.0.1", refusingPort(self))
        self.assertEqual(self._failure().replyCode, ReplyCode.CONNECTION_REFUSED)

    def test_refused(self) -> None:
        """
        A failure has the kernel's reason, and the socket is closed.
        """
        self._connect("127.0.0.1", refusingPort(self))
        failure = self._failure()
        self.assertEqual(failure.replyCode, ReplyCode.CONNECTION_REFUSED)
        self.assertIn(os.strerror(errno.ECONNREFUSED), str(failure))

    def test_cancel(self) -> None:
        """
        A cancelled attempt says nothing, and leaves nothing behind.
        """
        self.attempt.start(LOCAL, refusingPort(self), None)
        descriptor = self.attempt.fileno()
        self.attempt.cancel()
        self.assertEqual(self.reactor.getWriters(), [])
        self.assertRaises(OSError, os.fstat, descriptor)
        # The reactor may have had a call under way.
        self.attempt.doWrite()
        self.attempt.doRead()
        self.attempt.connectionLost(Failure(ConnectionDone()))
        self.attempt.cancel()
        self.assertEqual(self.results, [])

    def test_connectionLost(self) -> None:
        """
        The reactor may report a failure as a lost connection; the reason is the
        kernel's.
        """
        self.attempt.start(LOCAL, refusingPort(self), None)
        waitUntilWritable(self.attempt)
        self.attempt.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self._failure().replyCode, ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(self.reactor.getWriters(), [])

    def test_reactorGoesDown(self) -> None:
        """
        A reactor that goes down takes the attempt with it.
        """
        self.attempt.start(LOCAL, listen(self).getsockname()[1], None)
        waitUntilWritable(self.attempt)
        self.attempt.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self._failure().replyCode, ReplyCode.GENERAL_FAILURE)

    def test_noSocket(self) -> None:
        """
        The system may have no socket for us.
        """

        def refuse(*arguments: Any) -> None:
            raise OSError(errno.EAFNOSUPPORT, "")

        self.patch(socket, "socket", refuse)
        failure = self.assertRaises(OutboundFailed, self.attempt.start, LOCAL, 80, None)
        self.assertEqual(failure.replyCode, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)

    def test_refusedAtOnce(self) -> None:
        """
        The system may refuse to send the SYN: the socket is closed.
        """
        made: list[socket.socket] = []

        class Unwilling(socket.socket):
            def connect(self, address: Any) -> None:
                made.append(self)
                raise OSError(errno.ENETUNREACH, "")

        self.patch(socket, "socket", Unwilling)
        failure = self.assertRaises(OutboundFailed, self.attempt.start, LOCAL, 80, None)
        self.assertEqual(failure.replyCode, ReplyCode.NETWORK_UNREACHABLE)
        self.assertEqual([each.fileno() for each in made], [-1])
        self.assertEqual(self.attempt.fileno(), -1)
        self.assertEqual(self.reactor.getWriters(), [])


class Unreachable(socket.socket):
    """
    A socket whose attempt has ended with "no route to host".

    @ivar ancillary: What is in its queue of ICMP errors; L{None}: nothing.
    """

    ancillary: list[tuple[int, int, bytes]] | None = None

    def connect(self, address: Any) -> None:
        raise BlockingIOError(errno.EINPROGRESS, "")

    def getsockopt(self, level: int, name: int, *size: int) -> Any:
        if (level, name) == (socket.SOL_SOCKET, socket.SO_ERROR):
            return errno.EHOSTUNREACH
        return super().getsockopt(level, name, *size)

    def recvmsg(self, *arguments: int) -> Any:
        if self.ancillary is None:
            raise BlockingIOError(errno.EAGAIN, "")
        return b"", self.ancillary, 0, None


class TimeToLiveTests(SynchronousTestCase):
    """
    A packet that has passed too many routers is told from a host that cannot
    be reached.  See also L{tests.integration.test_namespaces}.
    """

    def _code(
        self, ancillary: list[tuple[int, int, bytes]] | None, host: str = "192.0.2.1"
    ) -> ReplyCode:
        """
        Give the reply code that a queue of ICMP errors leads to.
        """
        self.patch(socket, "socket", Unreachable)
        self.patch(Unreachable, "ancillary", ancillary)
        results: list[OutboundFailed | None] = []
        attempt = ConnectAttempt(
            MemoryReactorClock(), lambda attempt, failure: results.append(failure)
        )
        attempt.start(ip_address(host), 80, None)
        attempt.doWrite()
        self.assertEqual(attempt.fileno(), -1)
        (failure,) = results
        assert failure is not None
        return failure.replyCode

    def test_timeExceeded(self) -> None:
        """
        ICMP "time exceeded", and ICMPv6 "time exceeded".
        """
        # errno:4 origin:1 type:1 code:1 pad:1 info:4 data:4, the sender's address
        error = pack("=IBBBxII", errno.EHOSTUNREACH, 2, 11, 0, 0, 0) + bytes(16)
        code = self._code([(socket.IPPROTO_IP, IP_RECVERR, error)])
        self.assertEqual(code, ReplyCode.TTL_EXPIRED)
        error = pack("=IBBBxII", errno.EHOSTUNREACH, 3, 3, 0, 0, 0) + bytes(28)
        code = self._code([(socket.IPPROTO_IPV6, IPV6_RECVERR, error)], "2001:db8::1")
        self.assertEqual(code, ReplyCode.TTL_EXPIRED)

    def test_hostUnreachable(self) -> None:
        """
        ICMP "host unreachable".
        """
        error = pack("=IBBBxII", errno.EHOSTUNREACH, 2, 3, 1, 0, 0) + bytes(16)
        code = self._code([(socket.IPPROTO_IP, IP_RECVERR, error)])
        self.assertEqual(code, ReplyCode.HOST_UNREACHABLE)

    def test_noMessage(self) -> None:
        """
        No ICMP message: it was this machine that knew no route.
        """
        self.assertEqual(self._code(None), ReplyCode.HOST_UNREACHABLE)
        self.assertEqual(self._code([]), ReplyCode.HOST_UNREACHABLE)

    def test_otherMessages(self) -> None:
        """
        What is not the error, or is too short to be, is passed over.
        """
        error = pack("=IBBBxII", errno.EHOSTUNREACH, 2, 11, 0, 0, 0)
        code = self._code(
            [
                (socket.IPPROTO_IP, IP_RECVERR, error[:-1]),
                (socket.IPPROTO_IP, socket.IP_TTL, error),
                (socket.IPPROTO_IPV6, IPV6_RECVERR, error),
            ]
        )
        self.assertEqual(code, ReplyCode.HOST_UNREACHABLE)

    def test_otherSystems(self) -> None:
        """
        Where the kernel keeps no ICMP errors, there is no telling.
        """
        self.patch(module, "sys", SimpleNamespace(platform="another"))
        error = pack("=IBBBxII", errno.EHOSTUNREACH, 2, 11, 0, 0, 0)
        code = self._code([(socket.IPPROTO_IP, IP_RECVERR, error)])
        self.assertEqual(code, ReplyCode.HOST_UNREACHABLE)


class FailureTests(SynchronousTestCase):
    """
    L{failureOf}.
    """

    def test_replyCodes(self) -> None:
        """
        Each of the kernel's reasons has its reply code, "everything else 1".
        """
        for code, replyCode in (
            (errno.ECONNREFUSED, ReplyCode.CONNECTION_REFUSED),
            (errno.ETIMEDOUT, ReplyCode.TIMED_OUT),
            (errno.EHOSTUNREACH, ReplyCode.HOST_UNREACHABLE),
            (errno.EHOSTDOWN, ReplyCode.HOST_UNREACHABLE),
            (errno.ENETUNREACH, ReplyCode.NETWORK_UNREACHABLE),
            (errno.ENETDOWN, ReplyCode.NETWORK_UNREACHABLE),
            (errno.EAFNOSUPPORT, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED),
            (errno.EMFILE, ReplyCode.GENERAL_FAILURE),
            (errno.EPERM, ReplyCode.GENERAL_FAILURE),
        ):
            failure = failureOf(OSError(code, "unused"), socket.AF_INET)
            self.assertEqual(failure.replyCode, replyCode, os.strerror(code))
            self.assertIn(os.strerror(code), str(failure))

    def test_addressNotAvailable(self) -> None:
        """
        Without an IPv6 address, this machine has no IPv6; without a free IPv4
        port, it has IPv4 nevertheless.
        """
        error = OSError(errno.EADDRNOTAVAIL, "")
        self.assertEqual(
            failureOf(error, socket.AF_INET6).replyCode, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
        )
        self.assertEqual(failureOf(error, socket.AF_INET).replyCode, ReplyCode.GENERAL_FAILURE)

    def test_noNumber(self) -> None:
        """
        An error without a number is a failure like others.
        """
        failure = failureOf(OSError("no number"), socket.AF_INET)
        self.assertEqual(failure.replyCode, ReplyCode.GENERAL_FAILURE)


class OtherSystemsTests(AttemptTests):
    """
    Systems whose kernels do not tell of ICMP messages.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(module, "sys", SimpleNamespace(platform="another"))

    def test_connectedSocketIgnoresICMP(self) -> None:
        """
        The queue of ICMP errors is not used.
        """
        self.attempt.start(LOCAL, listen(self).getsockname()[1], None)
        with socket.socket(fileno=os.dup(self.attempt.fileno())) as handle:
            self.assertEqual(handle.getsockopt(socket.IPPROTO_IP, IP_RECVERR), 0)
