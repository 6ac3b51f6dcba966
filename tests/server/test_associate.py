"""
Tests of L{socks6.server.associate}.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from socks6.server import associate, association
from socks6.server.associations import AssociationLimits
from socks6.server.bindpolicy import BindPolicy
from tests.doubles import Peer
from tests.server.datagrams import (
    CLIENT,
    NOBODY,
    REMOTE,
    REMOTE_PLACE,
    STRANGER,
    MemoryAssociations,
    MemoryDatagramSocket,
    MemoryPort,
    Relays,
    deliver,
    named,
)
from tests.server.harness import WELCOME, ProxyTestCase, failure, passwords, request

ANY = NOBODY
ANY_IPV6 = b"\0\0\4" + bytes(16)

#: Bound to 192.0.2.1, where the client has connected, port 50000.
BOUND = bytes.fromhex("00 c350 01 c0000201 0000")


class AssociateTestCase(ProxyTestCase):
    """
    A test of UDP ASSOCIATE, from all sides.
    """

    def setUp(self) -> None:
        self.relays = Relays()
        self.addCleanup(self.relays.close)
        super().setUp()
        self.patch(associate, "openSocket", self.relays.open)
        self.patch(association, "openSocket", self.relays.open)
        self.port = MemoryPort()
        self.use()

    def use(self, **options: Any) -> None:
        """
        Make the proxy's associations.
        """
        self.associations = MemoryAssociations(self.network, **options)
        self.associations.addClientPort(1080)

    def ask(self, address: bytes = ANY, options: bytes = b"", *checkers: Any) -> Peer:
        """
        Send a request.
        """
        client = self.dial(*checkers, associations=self.associations)
        client.send(request(options, 3, address))
        return client

    def associate(self, options: bytes = b"") -> tuple[Peer, bytes]:
        """
        Begin an association.

        @return: The client, and what begins its datagrams.
        """
        client = self.ask(options=options)
        octets = client.take()
        head = WELCOME + BOUND[:8]
        self.assertEqual(octets[: len(head)], head)
        return client, b"\6\0" + octets[-4:]

    def send(self, datagram: bytes, client: Any = CLIENT) -> None:
        """
        Send a datagram as a client does.
        """
        self.associations.received(datagram, self.port, client)
        self.network.spin()

    @property
    def relay(self) -> MemoryDatagramSocket:
        """
        The only socket for remote hosts so far.
        """
        (relay,) = self.relays.opened
        return relay

    def assertEnded(self, client: Peer, ending: str) -> None:
        """
        Check that nothing is left, and what was logged.
        """
        self.assertEqual([each.fileno() for each in self.relays.opened], [-1])
        self.leave(client)
        self.assertOver()
        (line,) = self.lines
        self.assertIn(f"udp associate 192.0.2.1:50000: {ending}, ", line)


class AssociateTests(AssociateTestCase):
    """
    An association, from its request to its end.
    """

    def test_flow(self) -> None:
        """
        Reply, initialization, first datagram, confirmation, datagrams both ways, end.
        """
        client = self.ask()
        octets = client.take()
        self.assertEqual(octets[:-4], WELCOME + BOUND)
        header = b"\6\0" + octets[-4:] + REMOTE
        self.send(header + b"question")
        self.assertEqual(client.take(), b"\0")
        self.send(header + b"more")
        self.assertEqual(client.take(), b"")
        self.assertEqual(self.relay.take(), [(b"question", REMOTE_PLACE), (b"more", REMOTE_PLACE)])
        deliver(self.network, self.relay, b"answer", REMOTE_PLACE)
        self.assertEqual(self.port.take(), [(CLIENT, header + b"answer")])
        client.end()
        self.assertEnded(client, "closed, 12 octets to the remote host, 6 to the client")

    def test_trigger(self) -> None:
        """
        The datagram that only fixes the association is confirmed like any other.
        """
        client, head = self.associate()
        self.send(head + NOBODY)
        self.assertEqual(client.take(), b"\0")
        self.send(head + REMOTE + b"x", STRANGER)
        self.assertEqual(client.take(), b"")
        self.assertEqual(self.relay.take(), [])

    def test_reset(self) -> None:
        """
        An association ends with its connection, however that ends.
        """
        client, head = self.associate()
        self.send(head + REMOTE + b"question")
        client.reset()
        self.assertEqual(self.relay.fileno(), -1)
        self.assertOver()
        (line,) = self.lines
        self.assertIn("client lost, 8 octets to the remote host, 0 to the client", line)

    def test_resetWhileLookingUp(self) -> None:
        """
        The same while a name is being looked up.
        """
        client, head = self.associate()
        self.send(head + named(b"example.org") + b"x")
        client.reset()
        self.assertEqual(self.associations.cancelled, [b"example.org"])
        self.assertOver()

    def test_idle(self) -> None:
        """
        Silence ends an association, and with it the connection.
        """
        client, _ = self.associate()
        self.network.elapse(400.0)
        self.assertEnded(client, "idle, 0 octets to the remote host, 0 to the client")

    def test_input(self) -> None:
        """
        What the client sends on the connection means nothing, and is not kept.
        """
        client, _ = self.associate()
        for _ in range(20):
            client.send(bytes(10_000))
        self.assertTrue(client.isRead)
        self.assertEqual(client.protocol._conversation.heldLength, 0)
        client.end()
        self.assertEnded(client, "closed, 0 octets to the remote host, 0 to the client")

    def test_inputWithRequest(self) -> None:
        """
        So does what comes with the request.
        """
        client = self.dial(associations=self.associations)
        client.send(request(b"", 3, ANY) + bytes(100_000))
        self.assertEqual(client.take()[:-4], WELCOME + BOUND)
        self.assertTrue(client.isRead)
        client.end()
        self.assertEnded(client, "closed, 0 octets to the remote host, 0 to the client")

    def test_goneAtOnce(self) -> None:
        """
        A client that has ended its direction with the request has no association for long.
        """
        client = self.dial(associations=self.associations)
        client.socket.input += request(b"", 3, ANY)
        client.end()
        self.assertEqual(client.take()[:-4], WELCOME + BOUND)
        self.assertEnded(client, "closed, 0 octets to the remote host, 0 to the client")

    def test_requestTimeout(self) -> None:
        """
        The time that a request may take does not limit what comes of it.
        """
        client, _ = self.associate()
        self.network.elapse(60.0)
        self.assertFalse(client.ended)
        client.end()

    def test_cut(self) -> None:
        """
        The proxy can end all associations.
        """
        self.associate()
        for factory in self.factories:
            factory.cutAll()
        self.network.spin()
        self.assertEqual(self.relay.fileno(), -1)
        self.assertOver()


class TypeOfServiceTests(AssociateTestCase):
    """
    The IP TOS option.
    """

    def test_remoteLeg(self) -> None:
        """
        It counts for what goes to remote hosts, and the reply says so.
        """
        for leg in (2, 3):
            client, _ = self.associate(bytes.fromhex("01 0006") + bytes([leg << 6 | 1, 1, 0xB8]))
            relay = self.relays.opened.pop()
            self.assertEqual(relay.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), 0xB8)
            client.end()

    def test_reply(self) -> None:
        """
        The reply says what is in force, for that leg; the two bits of ECN are included, as
        they are nobody else's here.
        """
        client = self.ask(options=bytes.fromhex("01 0006 c1 01 bb"))
        self.assertEqual(client.take()[6:-4], BOUND[:-2] + bytes.fromhex("0006 01 0006 81 01 bb"))
        client.end()

    def test_clientLeg(self) -> None:
        """
        It says nothing of datagrams if it names the other leg.
        """
        client = self.ask(options=bytes.fromhex("01 0006 41 01 b8"))
        self.assertEqual(client.take()[6:-4], BOUND)
        self.assertEqual(self.relay.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), 0)
        client.end()


class RefusalTests(AssociateTestCase):
    """
    Requests that come to nothing.
    """

    def assertRefused(self, client: Peer, code: int, reason: str) -> None:
        """
        Check what the client hears, and what is logged.
        """
        self.assertEqual(client.take(), WELCOME + failure(code))
        self.leave(client)
        self.assertOver()
        self.assertIn(f": {reason}, ", self.lines[-1])

    def test_off(self) -> None:
        """
        A proxy without associations does not know the command.
        """
        client = self.dial()
        client.send(request(b"", 3, ANY))
        self.assertRefused(client, 7, "command not supported")

    def test_noPort(self) -> None:
        """
        Neither does one that clients' datagrams cannot reach.
        """
        self.associations.removeClientPort(1080)
        self.assertRefused(self.ask(), 7, "command not supported")
        self.associations.addClientPort(1080)

    def test_tooMany(self) -> None:
        """
        There is a limit for each client.
        """
        self.use(limits=AssociationLimits(1))
        first, _ = self.associate()
        second = self.ask()
        self.assertEqual(second.take(), WELCOME + failure(2))
        self.assertIn(": not allowed (too many associations), ", self.lines[-1])
        self.leave(second)
        first.end()
        self.leave(first)
        third = self.ask()
        self.assertEqual(third.take()[6:7], b"\0")

    def test_none(self) -> None:
        """
        It may be 0.
        """
        self.use(limits=AssociationLimits(0))
        self.assertRefused(self.ask(), 2, "not allowed (too many associations)")

    def test_name(self) -> None:
        """
        No name can be bound.
        """
        client = self.ask(named(b"localhost", 0))
        self.assertRefused(client, 8, "address type not supported (a name is no bind address)")

    def test_anotherAddress(self) -> None:
        """
        Nor can an address that is not allowed.
        """
        self.assertRefused(
            self.ask(bytes.fromhex("0000 01 cb007101")),
            2,
            "not allowed (203.0.113.1 may not be bound)",
        )

    def test_familyAbsent(self) -> None:
        """
        Nor one of a version of IP that is not there.
        """
        self.relays.refused = {4}
        self.assertRefused(self.ask(), 8, "address type not supported (not in this test)")

    def test_credentials(self) -> None:
        """
        Nobody gets an association who is not let in.
        """
        client = self.ask(ANY, b"", passwords())
        self.assertEqual(client.take(), bytes.fromhex("0600 01 ff 0000"))
        self.leave(client)
        self.assertEqual(self.relays.opened, [])


class AddressTests(AssociateTestCase):
    """
    The address that the reply names.
    """

    def reply(self, wish: bytes, host: Any) -> bytes:
        """
        Ask at one of the proxy's addresses.

        @return: Port, type and address of the reply.
        """
        factory = self.makeFactory(associations=self.associations)
        protocol = factory.buildProtocol(host)
        assert protocol is not None
        client = self.network.attach(protocol, host)
        client.send(request(b"", 3, wish))
        octets = client.take()
        client.end()
        return octets[7:-6]

    def test_own(self) -> None:
        """
        Where any address would do, it is the one where the client has connected.
        """
        host = IPv6Address("TCP", "2001:db8::1", 1080)
        self.assertEqual(
            self.reply(ANY_IPV6, host), bytes.fromhex("c350 04 20010db8000000000000000000000001")
        )
        host4 = IPv4Address("TCP", "127.0.0.1", 1080)
        self.assertEqual(self.reply(ANY, host4), bytes.fromhex("c351 01 7f000001"))

    def test_other(self) -> None:
        """
        If that is of the other version of IP, or none, it is what was bound.
        """
        for host in (IPv6Address("TCP", "2001:db8::1", 1080), UNIXAddress("/run/socks6")):
            self.assertEqual(self.reply(ANY, host)[2:], bytes.fromhex("01 00000000"))

    def test_advertised(self) -> None:
        """
        If a NAT is between, it is what hosts beyond it see.
        """
        self.use(policy=BindPolicy(advertised={4: ip_address("203.0.113.9")}))
        host = IPv4Address("TCP", "192.0.2.1", 1080)
        self.assertEqual(self.reply(ANY, host), bytes.fromhex("c350 01 cb007109"))
