"""
Tests of L{socks6.server.bindpolicy}.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socks6.server.bindpolicy import BindPolicy, BindRefused, openSocket
from socks6.values.address import Address, DomainName, IPAddress
from socks6.values.codes import ReplyCode
from tests.outbound.loopback import listen, requireIPv6
from tests.raising import errorOf

ANY = ip_address("0.0.0.0")
ANY_IPV6 = ip_address("::")
OWN = ip_address("192.0.2.1")
OTHER = ip_address("192.0.2.9")
OWN_LOOPBACK = ip_address("127.0.0.1")
OWN_IPV6 = ip_address("2001:db8::1")

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM

#: No answer but a refusal.
Answer = IPAddress | ReplyCode


class PolicyTests(SynchronousTestCase):
    """
    L{BindPolicy}.
    """

    def _addressFor(
        self, addresses: Sequence[IPAddress], wish: Address, own: IPAddress | None, kind: int
    ) -> Answer:
        """
        Ask which address is bound.
        """
        try:
            return BindPolicy(addresses).addressFor(wish, own, kind)
        except BindRefused as refused:
            return refused.replyCode

    def test_addresses(self) -> None:
        """
        By default that is bound to which the client has connected, else what the
        operator allows; and a wildcard only if both the client and the operator say so.
        """
        denied, unsupported = ReplyCode.NOT_ALLOWED, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
        cases: list[tuple[Sequence[IPAddress], IPAddress, IPAddress | None, Answer]] = [
            # What is allowed, what is wished, where the client has connected, the answer.
            ((), ANY, OWN, OWN),
            ((), OWN, OWN, OWN),
            ((), OTHER, OWN, denied),
            ((), ANY_IPV6, OWN, unsupported),
            ((), OWN_IPV6, OWN, denied),
            ((), ANY_IPV6, OWN_IPV6, OWN_IPV6),
            ((), ANY, OWN_IPV6, unsupported),
            ((), ANY, None, unsupported),
            ((), OWN, None, denied),
            ((OTHER,), ANY, OWN, OTHER),
            ((OTHER,), OTHER, OWN, OTHER),
            ((OTHER,), OWN, OWN, denied),
            ((OTHER,), ANY, None, OTHER),
            ((OTHER,), ANY_IPV6, OWN, unsupported),
            ((OWN_IPV6, OTHER, OWN), ANY, OWN, OTHER),
            ((OWN_IPV6, OTHER, OWN), ANY_IPV6, OWN, OWN_IPV6),
            ((OWN_IPV6, OTHER, OWN), OWN, OWN_IPV6, OWN),
            ((ANY,), ANY, OWN, ANY),
            ((ANY,), OTHER, OWN, OTHER),
            ((ANY,), OWN_IPV6, OWN_IPV6, denied),
            ((ANY_IPV6,), OWN_IPV6, None, OWN_IPV6),
            ((OWN, ANY), ANY, OTHER, OWN),
        ]
        for allowed, wish, own, expected in cases:
            for port in (0, 5000):
                found = self._addressFor(allowed, Address(wish, port), own, STREAM)
                self.assertEqual(found, expected, f"{allowed}, {wish}, {own}")

    def test_name(self) -> None:
        """
        A name is no bind address.
        """
        wish = Address(DomainName(b"localhost"), 5000)
        found = self._addressFor((OWN,), wish, OWN, STREAM)
        self.assertIs(found, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)

    def test_datagrams(self) -> None:
        """
        Datagrams go out of any address, if the operator does not mind.
        """
        for allowed, wish, expected in (
            ((), ANY, ANY),
            ((), ANY_IPV6, ANY_IPV6),
            ((), OWN, OWN),
            ((), OTHER, ReplyCode.NOT_ALLOWED),
            ((OTHER,), ANY, OTHER),
        ):
            found = self._addressFor(allowed, Address(wish, 0), OWN, DATAGRAM)
            self.assertEqual(found, expected, f"{allowed}, {wish}")

    def test_wishedPorts(self) -> None:
        """
        A port that a client names must be within the range.
        """
        for ports, allowed, denied in (
            (None, (1024, 65535), (1, 1023)),
            ((2000, 2002), (2000, 2001, 2002), (1999, 2003, 80)),
            ((80, 80), (80,), (79, 81)),
        ):
            policy = BindPolicy(ports=ports)
            for port in allowed:
                self.assertEqual(policy.portsFor(Address(OWN, port)), (port,))
            for port in denied:
                refused = errorOf(BindRefused, policy.portsFor, Address(OWN, port))
                assert isinstance(refused, BindRefused)
                self.assertIs(refused.replyCode, ReplyCode.NOT_ALLOWED)

    def test_anyPort(self) -> None:
        """
        Any port is the system's choice, unless there is a range: of that, many are
        tried, from anywhere on.
        """
        wish = Address(OWN, 0)
        self.assertEqual(BindPolicy().portsFor(wish), (0,))
        found = BindPolicy(ports=(2000, 2009)).portsFor(wish)
        self.assertEqual(sorted(found), list(range(2000, 2010)))
        policy = BindPolicy(ports=(1, 65535))
        found = policy.portsFor(wish)
        self.assertEqual(len(set(found) & set(range(1, 65536))), 1024)
        self.assertGreater(len({policy.portsFor(wish)[0] for _ in range(50)}), 1)

    def test_reported(self) -> None:
        """
        What is reported is what remote hosts call the address that is bound.
        """
        public, publicIPv6 = ip_address("198.51.100.1"), ip_address("2001:db8::99")
        both = {4: public, 6: publicIPv6}
        for advertised, bound, own, expected in (
            ({}, OWN, OTHER, OWN),
            ({}, ANY, OTHER, OTHER),
            ({}, ANY, OWN_IPV6, ANY),
            ({}, ANY, None, ANY),
            ({4: public}, OWN, OWN, public),
            ({4: public}, ANY, OWN, public),
            ({4: public}, OWN_IPV6, OWN_IPV6, OWN_IPV6),
            (both, OWN_IPV6, OWN, publicIPv6),
        ):
            found = BindPolicy(advertised=advertised).reported(Address(bound, 5000), own)
            self.assertEqual(found, Address(expected, 5000), f"{advertised}, {bound}, {own}")

    def test_defaults(self) -> None:
        """
        A host has two minutes, and 128 may wait.
        """
        self.assertEqual((BindPolicy().timeout, BindPolicy().maxBacklog), (120.0, 128))

    def test_impossible(self) -> None:
        """
        A policy that makes no sense cannot be made.
        """
        impossible: list[dict[str, Any]] = [
            {"ports": (0, 5)},
            {"ports": (6, 5)},
            {"ports": (5, 65536)},
            {"timeout": 0.0},
            {"timeout": float("inf")},
            {"timeout": float("nan")},
            {"maxBacklog": 1},
        ]
        for case in impossible:
            self.assertIsNotNone(errorOf(ValueError, lambda case=case: BindPolicy(**case)), case)


class SocketTests(SynchronousTestCase):
    """
    L{openSocket}, on the loopback interface.
    """

    def _open(
        self, wish: IPAddress, port: int = 0, kind: int = STREAM, **policy: Any
    ) -> socket.socket:
        """
        Open a socket, until the test ends.
        """
        own = ip_address("127.0.0.1" if wish.version == 4 else "::1")
        handle = openSocket(BindPolicy(**policy), Address(wish, port), own, kind)
        self.addCleanup(handle.close)
        return handle

    def _refused(self, wish: IPAddress, port: int, **policy: Any) -> ReplyCode:
        """
        Open a socket in vain.
        """
        refused = errorOf(BindRefused, lambda: self._open(wish, port, **policy))
        assert isinstance(refused, BindRefused)
        self.assertNotEqual(str(refused), "")
        return refused.replyCode

    def test_opened(self) -> None:
        """
        It is bound, of the right kind, and does not block.
        """
        for kind in (STREAM, DATAGRAM):
            handle = self._open(OWN_LOOPBACK, kind=kind)
            self.assertEqual(handle.getsockname()[0], "127.0.0.1")
            self.assertEqual((handle.type, handle.getblocking()), (kind, False))

    def test_IPv6(self) -> None:
        """
        An IPv6 port takes no IPv4.
        """
        requireIPv6(self)
        handle = self._open(ANY_IPV6, addresses=[ANY_IPV6])
        self.assertEqual(handle.getsockname()[0], "::")
        self.assertTrue(handle.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))

    def test_named(self) -> None:
        """
        The port that the client named is bound; it may have been used a moment ago.
        """
        listener = listen(self)
        port = listener.getsockname()[1]
        with socket.create_connection(listener.getsockname()) as client:
            # Who closes first leaves the port in TIME_WAIT.
            listener.accept()[0].close()
            client.recv(1)
        listener.close()
        self.assertEqual(self._open(OWN_LOOPBACK, port).getsockname()[1], port)

    def test_inUse(self) -> None:
        """
        A port that is in use is refused.
        """
        port = listen(self).getsockname()[1]
        self.assertIs(self._refused(OWN_LOOPBACK, port), ReplyCode.GENERAL_FAILURE)

    def test_range(self) -> None:
        """
        Of a range, a port that is free is found, as long as there is one.
        """
        port = listen(self).getsockname()[1]
        self.assertIs(self._refused(ANY, 0, ports=(port, port)), ReplyCode.GENERAL_FAILURE)
        taken = {self._open(ANY, ports=(port - 40, port)).getsockname()[1] for _ in range(3)}
        self.assertNotIn(port, taken)

    def test_notLocal(self) -> None:
        """
        An address that this machine does not have cannot be reached through it.
        """
        code = self._refused(OWN, 5000, addresses=[OWN])
        self.assertIs(code, ReplyCode.HOST_UNREACHABLE)

    def test_errors(self) -> None:
        """
        What the system says has a code.
        """
        for number, code in (
            (errno.EAFNOSUPPORT, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED),
            (errno.EACCES, ReplyCode.NOT_ALLOWED),
            (errno.EPERM, ReplyCode.NOT_ALLOWED),
            (errno.EMFILE, ReplyCode.GENERAL_FAILURE),
        ):

            def fail(*arguments: object, number: int = number) -> None:
                raise OSError(number, "as the test wants it")

            self.patch(socket, "socket", fail)
            self.assertIs(self._refused(OWN_LOOPBACK, 5000), code)

    def test_closed(self) -> None:
        """
        A socket that could not be bound is closed.
        """
        made: list[Unbindable] = []

        def make(*arguments: Any) -> Unbindable:
            made.append(Unbindable(*arguments))
            return made[-1]

        self.patch(socket, "socket", make)
        self.assertIs(self._refused(OWN_LOOPBACK, 5000), ReplyCode.NOT_ALLOWED)
        self.assertEqual([handle.fileno() for handle in made], [-1])


class Unbindable(socket.socket):
    """
    A socket that may not be bound.
    """

    def bind(self, address: object) -> None:
        """
        Refuse.
        """
        raise OSError(errno.EACCES, "as the test wants it")
