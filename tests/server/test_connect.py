"""
Tests of L{socks6.server.connect}.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed

from socks6.server import stack
from socks6.values.codes import ReplyCode
from tests.doubles import Peer
from tests.server.harness import (
    ADA,
    CONNECT,
    CONNECTED,
    DONE,
    NOOP,
    WELCOME,
    ProxyTestCase,
    authenticationData,
    failure,
    passwords,
    request,
)

#: Bound to [2001:db8::1], port 50000.
CONNECTED_IPV6 = bytes.fromhex("00 c350 04 20010db8 00000000 00000000 00000001 0000")

#: The option that reports Multipath TCP.
MULTIPATH = bytes.fromhex("01 0005 84 02")

NOOP_ANYWHERE = request(command=0, address=bytes.fromhex("01bb 03 07") + b"example")


def typeOfService(leg: int, value: int) -> bytes:
    """
    Write an IP TOS option.

    @param leg: 1 client-proxy, 2 proxy-remote, 3 both.
    """
    return bytes([1, 0, 6, leg << 6 | 1, 1, value])


def fastOpen(size: int) -> bytes:
    """
    Write a TFO option.
    """
    return bytes.fromhex("01 0007 84 01") + size.to_bytes(2, "big")


class NOOPTests(ProxyTestCase):
    """
    The command that does nothing.
    """

    def test_success(self) -> None:
        """
        It succeeds, with nothing bound, whatever its address says, and the
        connection ends.
        """
        for sent in (NOOP, NOOP_ANYWHERE, NOOP + b"more"):
            client = self.dial()
            client.send(sent)
            self.assertEqual(client.received.hex(), (WELCOME + DONE).hex())
            self.leave(client)
            self.assertOver(repr(sent))
            self.assertEqual(self.outbound.attempts, [])

    def test_logged(self) -> None:
        """
        It is one line.
        """
        client = self.dial()
        client.send(NOOP)
        client.end()
        self.assertEqual(
            self.lines,
            [
                (
                    "192.0.2.2:40000 - noop 0.0.0.0:0: success,"
                    " 0 octets to the remote host, 0 to the client, 0.000 s"
                )
            ],
        )

    def test_noCommand(self) -> None:
        """
        Commands that do not exist, or not yet, are not supported.
        """
        for command in (2, 3, 4, 128, 255):
            client = self.dial()
            client.send(request(command=command))
            self.assertEqual(client.received.hex(), (WELCOME + failure(7)).hex(), str(command))
            self.leave(client)
            self.assertOver(str(command))
            self.assertEqual(self.outbound.attempts, [], str(command))
        self.assertIn(" bind 203.0.113.1:443: command not supported, ", self.lines[0])
        self.assertIn(" 255 203.0.113.1:443: command not supported, ", self.lines[-1])


class DestinationTests(ProxyTestCase):
    """
    Where CONNECT goes.
    """

    def test_addresses(self) -> None:
        """
        IP addresses and names reach the outbound as the client wrote them; the
        reply tells the proxy's own address.
        """
        for address, destination in (
            (bytes.fromhex("01bb 01 cb007101"), "203.0.113.1:443"),
            (bytes.fromhex("0001 04 20010db8 00000000 00000000 00000002"), "[2001:db8::2]:1"),
            (bytes.fromhex("ffff 03 0b") + b"Example.COM", "Example.COM:65535"),
            (bytes.fromhex("01bb 03 02 c3a4"), r"\xc3\xa4:443"),
        ):
            self.outbound.attempts.clear()
            client = self.dial()
            client.send(request(address=address))
            self.assertEqual(str(self.attempt.destination), destination)
            self.assertEqual(client.take(), WELCOME)
            remote = self.attempt.succeed()
            self.assertEqual(client.received.hex(), CONNECTED.hex(), destination)
            self.assertEqual(remote.received, b"")

    def test_owner(self) -> None:
        """
        A name is looked up for the user or, if there is none, for the client's address;
        nobody looks an address up.
        """
        name = bytes.fromhex("01bb 03 07") + b"example"
        here = b"ipv4 \xc0\0\2\2"
        for checkers, options, address, owner in (
            ([], b"", name, here),
            ([passwords()], authenticationData(ADA), name, b"user ada"),
            ([], b"", bytes.fromhex("01bb 01 cb007101"), None),
        ):
            self.outbound.attempts.clear()
            self.dial(*checkers).send(request(options, address=address))
            self.assertEqual(self.attempt.request.owner, owner)

    def test_boundIPv6(self) -> None:
        """
        The proxy's own address may be an IPv6 address; what belongs to no
        packet is left out of it.
        """
        for host in ("2001:db8::1", "2001:db8::1%eth0"):
            self.outbound.attempts.clear()
            client = self.dial()
            client.send(CONNECT)
            self.attempt.succeed(IPv6Address("TCP", host, 50000), socket.AF_INET6)
            self.assertEqual(client.received.hex(), (WELCOME + CONNECTED_IPV6).hex(), host)

    def test_boundElsewhere(self) -> None:
        """
        An outbound whose connections have no IP address of ours is as good.
        """
        client = self.dial()
        client.send(CONNECT + b"GET")
        remote = self.attempt.succeed(UNIXAddress("/run/elsewhere"), socket.AF_UNIX)
        self.assertEqual(client.received, WELCOME + DONE)
        self.assertEqual(remote.received, b"GET")

    def test_portZero(self) -> None:
        """
        There is no port 0 to connect to.
        """
        client = self.dial()
        client.send(request(address=bytes.fromhex("0000 01 cb007101")))
        self.assertEqual(client.received.hex(), (WELCOME + failure(1)).hex())
        self.leave(client)
        self.assertOver()
        self.assertEqual(self.outbound.attempts, [])
        self.assertIn(": general failure (port 0 is no destination), ", self.lines[0])

    def test_failures(self) -> None:
        """
        The outbound's reply code goes to the client, with an address that says
        nothing, and the connection ends.
        """
        for code in ReplyCode:
            if code is ReplyCode.SUCCESS:
                continue
            self.events.clear()
            self.outbound.attempts.clear()
            client = self.dial()
            client.send(CONNECT + b"in vain")
            self.attempt.refuse(code)
            self.assertEqual(client.received.hex(), (WELCOME + failure(code)).hex(), code.name)
            self.leave(client)
            self.assertOver(code.name)
            self.assertEqual(len(self.lines), 1, code.name)
            result = f"{code.name.lower().replace('_', ' ')} (as the test wants it)"
            self.assertIn(f": {result}, 0 octets", self.lines[0])

    def test_failureOfIPv6(self) -> None:
        """
        The address that says nothing is of the request's kind.
        """
        client = self.dial()
        client.send(request(address=bytes.fromhex("01bb 04 20010db8 00000000 00000000 00000002")))
        self.attempt.refuse(ReplyCode.HOST_UNREACHABLE)
        self.assertEqual(
            client.received.hex(), (WELCOME + bytes.fromhex("04 0000 04") + bytes(18)).hex()
        )

    def test_halfClosedClientHearsFailure(self) -> None:
        """
        A client that has ended its direction hears of a failure, too.
        """
        client = self.dial()
        client.send(CONNECT)
        client.end()
        self.attempt.refuse(ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(client.received, WELCOME + failure(5))
        self.assertOver()


class ClientWhileConnectingTests(ProxyTestCase):
    """
    What the client may do meanwhile.
    """

    def test_earlyData(self) -> None:
        """
        What it sends behind its request is delivered, in order, once.
        """
        client = self.dial()
        client.send(CONNECT + b"GET")
        client.send(b" / ")
        remote = self.attempt.succeed()
        client.send(b"HTTP")
        self.assertEqual(remote.received, b"GET / HTTP")

    def test_gone(self) -> None:
        """
        When it goes away, the outbound is told to give up, and a line is
        written.
        """
        client = self.dial()
        client.send(CONNECT)
        client.reset()
        self.assertTrue(self.attempt.cancelled)
        self.assertOver()
        self.assertEqual(len(self.lines), 1)
        self.assertIn(" connect 203.0.113.1:443: client lost, ", self.lines[0])

    def test_goneButConnected(self) -> None:
        """
        If the outbound connects nevertheless, the connection is closed.
        """
        client = self.dial()
        client.send(CONNECT)
        self.attempt.whenCancelled = self.attempt.succeed
        client.reset()
        _, remote = self.network.connections
        self.assertTrue(remote.everSocket.resets)
        self.assertOver()
        self.assertEqual(len(self.lines), 1)

    def test_goneAndFailed(self) -> None:
        """
        If the outbound reports a failure then, nobody hears of it.
        """
        client = self.dial()
        client.send(CONNECT)
        self.attempt.whenCancelled = lambda: self.attempt.refuse(ReplyCode.TIMED_OUT)
        client.reset()
        self.assertOver()
        self.assertEqual(client.received, WELCOME)
        self.assertEqual(len(self.lines), 1)

    def test_halfClose(self) -> None:
        """
        When it ends its direction, before or after its request was read, the
        remote host learns that once it is connected, and can still answer.
        """
        for separately in (False, True):
            self.outbound.attempts.clear()
            client = self.dial()
            if separately:
                client.send(CONNECT + b"GET")
            else:
                client.socket.input += CONNECT + b"GET"
            client.end()
            self.assertFalse(client.isClosed)
            remote = self.attempt.succeed()
            self.assertEqual(remote.received, b"GET")
            self.assertTrue(remote.ended)
            remote.send(b"200 OK")
            self.assertEqual(client.received, WELCOME + CONNECTED + b"200 OK")
            remote.end()
            self.assertOver(str(separately))


class BrokenOutboundTests(ProxyTestCase):
    """
    Outbounds that do what they should not.
    """

    def assertGeneralFailure(self, client: Peer) -> None:
        """
        The client hears "general failure", and the connection ends.
        """
        self.assertEqual(client.received.hex(), (WELCOME + failure(1)).hex())
        self.leave(client)
        self.assertOver()

    def test_raises(self) -> None:
        """
        What an outbound raises is logged once.
        """

        def connect(*arguments: Any) -> Deferred[None]:
            raise ZeroDivisionError

        self.patch(self.outbound, "connect", connect)
        client = self.dial()
        client.send(CONNECT)
        self.assertGeneralFailure(client)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_fails(self) -> None:
        """
        What an outbound's Deferred fails with, too.
        """
        client = self.dial()
        client.send(CONNECT)
        self.attempt.fail(ZeroDivisionError())
        self.assertGeneralFailure(client)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_noTransport(self) -> None:
        """
        An outbound that has connected nothing is found out.
        """
        self.patch(self.outbound, "connect", lambda *arguments: succeed(None))
        client = self.dial()
        client.send(CONNECT)
        self.assertGeneralFailure(client)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_lostMeanwhile(self) -> None:
        """
        A connection that was lost before the outbound said that it is made is
        a failure.
        """
        client = self.dial()
        client.send(CONNECT)
        self.network.attach(self.attempt.protocol).reset()
        self.attempt.done.callback(None)
        self.network.spin()
        self.assertGeneralFailure(client)
        self.assertIn(": general failure (the remote host is gone already), ", self.lines[0])

    def test_strangeAddress(self) -> None:
        """
        A connection whose address makes no sense does not stay behind.
        """
        client = self.dial()
        client.send(CONNECT)
        remote = self.network.attach(self.attempt.protocol)
        nonsense: Any = "somewhere"
        self.attempt.done.callback(nonsense)
        self.network.spin()
        self.assertTrue(remote.wasReset)
        self.assertGeneralFailure(client)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class TypeOfServiceTests(ProxyTestCase):
    """
    IP TOS options in CONNECT.
    """

    def connect(self, *options: bytes) -> tuple[Peer, Peer]:
        """
        Connect with options.
        """
        self.outbound.attempts.clear()
        client = self.dial()
        client.send(request(b"".join(options)))
        self.assertEqual(client.take(), WELCOME)
        return client, self.attempt.succeed()

    def inForce(self, peer: Peer) -> int:
        """
        Ask the socket that leads to a peer.
        """
        return peer.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)

    def test_legs(self) -> None:
        """
        The legs that the options name get the values, the remote leg already
        when it is connected; the reply says so in as few options as will do.
        Of two options for one leg the first counts.
        """
        for name, options, onClient, onRemote, replied in (
            ("none", (), 0, None, b""),
            ("client leg", [typeOfService(1, 0x28)], 0x28, None, typeOfService(1, 0x28)),
            ("remote leg", [typeOfService(2, 0x28)], 0, 0x28, typeOfService(2, 0x28)),
            ("both", [typeOfService(3, 0x28)], 0x28, 0x28, typeOfService(3, 0x28)),
            (
                "one each",
                [typeOfService(2, 0x10), typeOfService(1, 0x28)],
                0x28,
                0x10,
                typeOfService(2, 0x10) + typeOfService(1, 0x28),
            ),
            (
                "one each, the same",
                [typeOfService(1, 0x28), typeOfService(2, 0x28)],
                0x28,
                0x28,
                typeOfService(3, 0x28),
            ),
            (
                "two for a leg",
                [typeOfService(2, 0x10), typeOfService(3, 0x28)],
                0,
                0x10,
                typeOfService(2, 0x10),
            ),
            ("zero", [typeOfService(3, 0)], 0, 0, typeOfService(3, 0)),
            ("wrong size", [bytes.fromhex("01 0005 c1 01")], 0, None, b""),
            ("no leg", [typeOfService(0, 0x28)], 0, None, b""),
        ):
            client, remote = self.connect(*options)
            self.assertEqual(self.attempt.typeOfService, onRemote, name)
            self.assertEqual(self.inForce(client), onClient, name)
            self.assertEqual(self.inForce(remote), onRemote or 0, name)
            expected = CONNECTED[:-2] + len(replied).to_bytes(2, "big") + replied
            self.assertEqual(client.take().hex(), expected.hex(), name)

    def test_kernelKnowsBetter(self) -> None:
        """
        The reply says what is in force, which differs where the kernel keeps
        bits to itself.
        """
        client, remote = self.connect(typeOfService(3, 0x2B))
        self.assertEqual(self.inForce(remote), 0x28)
        self.assertEqual(client.take()[-6:].hex(), typeOfService(3, 0x28).hex())

    def test_noPackets(self) -> None:
        """
        A leg that has no packets, as its socket is a UNIX one, is left out of
        the reply.
        """
        client = self.network.accept(self.makeFactory(), family=socket.AF_UNIX)
        client.send(request(typeOfService(3, 0x28)))
        self.attempt.succeed()
        self.assertEqual(client.take()[-6:].hex(), typeOfService(2, 0x28).hex())

    def test_elsewhere(self) -> None:
        """
        A leg that another proxy connects is left out of the reply, and the way to that
        proxy is as it was; the outbound hears of the wish.
        """
        self.outbound.isDirect = False
        for leg, confirmed in ((2, b""), (3, typeOfService(1, 0x28))):
            client, remote = self.connect(typeOfService(leg, 0x28))
            self.assertEqual(self.attempt.typeOfService, 0x28)
            self.assertEqual(self.inForce(remote), 0)
            expected = CONNECTED[:-2] + len(confirmed).to_bytes(2, "big") + confirmed
            self.assertEqual(client.take().hex(), expected.hex())

    def test_otherStackOptions(self) -> None:
        """
        Stack options that we do not support, or that do not belong here, are
        ignored.
        """
        for name, option in (
            ("MPTCP", "01 0005 84 02"),
            ("scheduler", "01 0006 c4 03 01"),
            ("backlog", "01 0007 84 04 0010"),
            ("unknown", "01 0006 ff ff 00"),
        ):
            client, _ = self.connect(bytes.fromhex(option))
            self.assertEqual(client.take(), CONNECTED, name)


class FastOpenTests(ProxyTestCase):
    """
    TFO options in CONNECT.
    """

    def connect(self, size: int, *sent: bytes) -> Peer:
        """
        Ask for Fast Open.

        @param size: The most octets for the SYN.
        @param sent: What the client sends behind its request, piece by piece.
        """
        self.outbound.attempts.clear()
        client = self.dial()
        first, *rest = sent
        client.send(request(fastOpen(size)) + first)
        for octets in rest:
            client.send(octets)
        return client

    def test_noWish(self) -> None:
        """
        Without the option, nothing may leave in the SYN.
        """
        client = self.dial()
        client.send(CONNECT + b"hello")
        self.assertIsNone(self.attempt.request.first)
        self.assertEqual(self.attempt.succeed().received, b"hello")

    def test_size(self) -> None:
        """
        The option says how much may; 0: all that is there.
        """
        for size, offered in ((0, b"hello"), (1, b"h"), (5, b"hello"), (9, b"hello")):
            self.connect(size, b"hello")
            first = self.attempt.request.first
            assert first is not None
            self.assertEqual(first.octets, offered, str(size))
            # What is not secret is not shown either.
            self.assertNotIn("hello", repr(self.attempt.request))
            self.attempt.succeed()
        self.connect(0, b"")
        first = self.attempt.request.first
        assert first is not None
        self.assertEqual(first.octets, b"")

    def test_taken(self) -> None:
        """
        What the outbound has sent is not sent again, but counted; all else is sent, in
        order.
        """
        for taken, rest in ((0, b"hello, you"), (3, b"lo, you"), (5, b", you")):
            self.events.clear()
            client = self.connect(0, b"hello", b", you")
            first = self.attempt.request.first
            assert first is not None
            first.taken = taken
            remote = self.attempt.succeed()
            self.assertEqual(client.take(), WELCOME + CONNECTED)
            self.assertEqual(remote.take(), rest)
            remote.end()
            client.end()
            self.assertOver(str(taken))
            (line,) = self.lines
            self.assertIn(" 10 octets to the remote host, ", line)

    def test_everythingTaken(self) -> None:
        """
        If all has been sent, nothing is; what comes later is.
        """
        client = self.connect(0, b"hello")
        first = self.attempt.request.first
        assert first is not None
        first.taken = 5
        remote = self.attempt.succeed()
        self.assertEqual(remote.take(), b"")
        client.send(b", you")
        self.assertEqual(remote.take(), b", you")

    def test_failure(self) -> None:
        """
        A failure is one, whatever was sent.
        """
        client = self.connect(0, b"hello")
        self.attempt.refuse(ReplyCode.CONNECTION_REFUSED)
        self.assertEqual(client.received, WELCOME + failure(5))


class MultipathTests(ProxyTestCase):
    """
    The news that a leg is a Multipath TCP connection.
    """

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[object] = []
        self.answer = True

        def isMultipath(handle: object) -> bool:
            self.asked.append(handle)
            return self.answer

        self.patch(stack, "isMultipath", isMultipath)

    def connect(self, multipath: bool, options: bytes = b"") -> tuple[str, Peer]:
        """
        Connect through a proxy.

        @return: The options of the reply, and the remote host.
        """
        self.outbound.attempts.clear()
        factory = self.makeFactory()
        factory.multipath = multipath
        client = self.network.accept(factory)
        client.send(request(options))
        remote = self.attempt.succeed()
        return client.take()[len(WELCOME + CONNECTED) :].hex(), remote

    def test_reported(self) -> None:
        """
        The reply reports it beside other options, of the leg to the remote host.
        """
        options, remote = self.connect(True)
        self.assertEqual(options, MULTIPATH.hex())
        self.assertEqual(self.asked, [remote.connection.socket])
        wish = typeOfService(2, 0x28)
        self.assertEqual(self.connect(True, wish)[0], (wish + MULTIPATH).hex())

    def test_notSo(self) -> None:
        """
        It does not where the host does not speak it.
        """
        self.answer = False
        self.assertEqual(self.connect(True)[0], "")

    def test_notSpoken(self) -> None:
        """
        Nobody asks where the proxy does not speak it, or where another one connects.
        """
        self.assertEqual(self.connect(False)[0], "")
        self.outbound.isDirect = False
        self.assertEqual(self.connect(True)[0], "")
        self.assertEqual(self.asked, [])

    def test_noSocket(self) -> None:
        """
        What has no socket is no Multipath TCP.
        """
        self.patch(stack, "socketOf", lambda transport: None)
        self.assertEqual(self.connect(True)[0], "")
