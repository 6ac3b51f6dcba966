"""
Tests of L{socks6.server.associations} and L{socks6.server.association}.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import succeed
from twisted.python.failure import Failure

from socks6.interfaces import OutboundFailed
from socks6.server.association import LOOKUP_TIMEOUT, MAX_PENDING, MAX_ROUTES
from socks6.server.associations import MAX_LOOKUPS, AssociationLimits, Associations
from socks6.server.bindpolicy import BindPolicy
from socks6.values.codes import ReplyCode
from tests.server.datagrams import (
    CLIENT,
    NOBODY,
    REMOTE,
    REMOTE_IPV6,
    REMOTE_IPV6_PLACE,
    REMOTE_PLACE,
    STRANGER,
    AssociationsTestCase,
    MemoryAssociations,
    MemoryPort,
    deliver,
    named,
    read,
)


def remote(number: int, port: int = 53) -> bytes:
    """
    Write the address of one of many remote hosts.
    """
    return port.to_bytes(2, "big") + b"\1\x0a" + number.to_bytes(3, "big")


class ClientTests(AssociationsTestCase):
    """
    What clients send.
    """

    def test_payload(self) -> None:
        """
        A payload goes to the address in its header, the first one and later ones.
        """
        opened, relay = self.open()
        for payload in (b"question", b"", b"another", b"x" * 65000):
            self.assertTrue(self.send(opened, payload))
            self.assertEqual(relay.take(), [(payload, REMOTE_PLACE)])
        self.assertEqual(opened.toRemote, 65015)
        self.assertDropped()

    def test_unknown(self) -> None:
        """
        A datagram with an unknown ID is dropped, whatever it is.
        """
        opened, relay = self.open()
        datagram = b"\6\0" + (opened.identifier ^ 1).to_bytes(4, "big") + REMOTE
        self.assertFalse(self.associations.received(datagram, self.port, CLIENT))
        self.assertDropped(unknown_association=1)
        self.assertNoResult(opened.confirmed)
        self.assertEqual(relay.take(), [])

    def test_malformed(self) -> None:
        """
        What is no datagram of ours is dropped, and does not fix the association.
        """
        opened, relay = self.open()
        whole = self.header(opened, named(b"example.org"))
        for datagram, reason in (
            *((whole[:end], "MalformedMessage") for end in range(2, len(whole))),
            (b"", "MalformedMessage"),
            (b"\5\0" + whole[2:], "VersionMismatch"),
            (b"\6\1" + whole[2:], "VersionMismatch"),
            (self.header(opened, b"\0\x35\2" + bytes(16)), "UnknownAddressType"),
            (self.header(opened, named(b"")), "MalformedMessage"),
            (self.header(opened, named(b"a\0b")), "MalformedMessage"),
        ):
            self.associations.dropped.clear()
            self.assertFalse(self.associations.received(datagram, self.port, CLIENT))
            self.assertEqual(dict(self.associations.dropped), {reason: 1}, datagram.hex())
        self.assertNoResult(opened.confirmed)
        self.assertEqual(relay.take(), [])

    def test_confirmation(self) -> None:
        """
        The first datagram fixes the association, once.
        """
        opened, _ = self.open()
        self.assertNoResult(opened.confirmed)
        self.send(opened)
        self.assertIsNone(self.successResultOf(opened.confirmed))
        self.send(opened)

    def test_strangers(self) -> None:
        """
        What others send with the same ID is dropped, and leaves no traces.
        """
        opened, relay = self.open()
        self.send(opened)
        relay.take()
        for client in (STRANGER, (CLIENT[0], CLIENT[1] + 1)):
            self.assertFalse(self.send(opened, client=client))
            self.assertFalse(self.send(opened, remote=remote(1), client=client))
            self.assertFalse(self.send(opened, remote=named(b"example.org"), client=client))
        otherPort = MemoryPort()
        datagram = self.header(opened) + b"question"
        self.assertFalse(self.associations.received(datagram, otherPort, CLIENT))
        self.assertDropped(another_client=7)
        self.assertEqual(relay.take(), [])
        self.assertEqual(len(opened.headers), 1)
        self.assertEqual(self.associations.questions, [])
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertEqual([address for address, _ in self.port.take()], [CLIENT])
        self.assertEqual(otherPort.take(), [])

    def test_trigger(self) -> None:
        """
        A datagram to nobody, with nothing in it, only fixes the association.
        """
        for nobody in (NOBODY, b"\0\0\4" + bytes(16)):
            opened, relay = self.open()
            self.assertTrue(self.send(opened, b"", nobody))
            self.assertIsNone(self.successResultOf(opened.confirmed))
            self.assertFalse(self.send(opened, b"", REMOTE, STRANGER))
            self.assertEqual(relay.take(), [])
            self.assertEqual(len(opened.headers), 0)
        self.assertDropped(another_client=2)

    def test_nowhere(self) -> None:
        """
        Nothing goes to port 0 or to no address in particular.
        """
        opened, relay = self.open()
        for nobody in (NOBODY, remote(1, 0), b"\0\x35\1" + bytes(4), b"\0\x35\4" + bytes(16)):
            self.assertTrue(self.send(opened, b"question", nobody))
        self.assertDropped(nowhere_to_go=4)
        self.assertEqual(relay.take(), [])

    def test_IPv6(self) -> None:
        """
        Another version of IP has a socket of its own, with the type of service of the first
        one; it is opened when it is needed.
        """
        opened, relay = self.open(typeOfService=0xB8)
        self.assertEqual(len(self.relays.opened), 1)
        for _ in range(2):
            self.send(opened, remote=REMOTE_IPV6)
        second = self.relays.opened[-1]
        self.assertEqual(second.take(), [(b"question", REMOTE_IPV6_PLACE)] * 2)
        self.assertEqual(second.family, socket.AF_INET6)
        self.assertEqual(second.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS), 0xB8)
        self.assertEqual(relay.take(), [])
        deliver(self.network, second, b"answer", (*REMOTE_IPV6_PLACE, 0, 0))
        self.assertEqual(self.port.take(), [(CLIENT, self.header(opened, REMOTE_IPV6) + b"answer")])

    def test_familyAbsent(self) -> None:
        """
        What cannot be reached is dropped, until it can be.
        """
        opened, _ = self.open()
        self.relays.refused = {6}
        for _ in range(2):
            self.assertTrue(self.send(opened, remote=REMOTE_IPV6))
        self.assertDropped(nowhere_to_go=2)
        self.relays.refused = set()
        self.send(opened, remote=REMOTE_IPV6)
        self.assertEqual(len(self.relays.opened[-1].take()), 1)

    def test_notSent(self) -> None:
        """
        What the system does not send is dropped; the next one may be sent.
        """
        opened, relay = self.open()
        relay.failure = ConnectionRefusedError(errno.ECONNREFUSED, "")
        self.send(opened)
        self.assertDropped(not_sent=1)
        self.assertEqual(opened.toRemote, 0)
        relay.failure = None
        self.send(opened)
        self.assertEqual(len(relay.take()), 1)

    def test_manyDestinations(self) -> None:
        """
        An association remembers only so many destinations, and reaches all of them.
        """
        opened, relay = self.open()
        for number in range(3000):
            self.send(opened, remote=remote(number))
        self.assertEqual(len(relay.take()), 3000)
        self.assertEqual(len(opened.headers), MAX_ROUTES)
        self.assertEqual(set(self.associations._routes), set(opened.headers))
        self.send(opened, remote=remote(0))
        self.assertEqual(relay.take(), [(b"question", ("10.0.0.0", 53))])


class LoopTests(AssociationsTestCase):
    """
    Nothing is relayed to the proxy itself.
    """

    def test_relayPorts(self) -> None:
        """
        Not to ports of associations, the own one and others, whether they were there before
        the first datagram went that way or not.
        """
        opened, relay = self.open()
        self.associations.localHosts = {ip_address("198.51.100.1"), ip_address("127.0.0.1")}
        for host in (b"\xc6\x33\x64\x01", b"\x7f\0\0\1"):
            self.send(opened, remote=(50001).to_bytes(2, "big") + b"\1" + host)
            self.assertEqual(len(relay.take()), 1)
        other, _ = self.open()
        for host in (b"\xc6\x33\x64\x01", b"\x7f\0\0\1"):
            for port in (50000, 50001):
                self.send(opened, remote=port.to_bytes(2, "big") + b"\1" + host)
        self.assertEqual(relay.take(), [])
        self.assertDropped(loop=4)
        self.associations.close(other)
        self.send(opened, remote=(50001).to_bytes(2, "big") + b"\1\x7f\0\0\1")
        self.assertEqual(len(relay.take()), 1)

    def test_clientPorts(self) -> None:
        """
        Not to ports for clients, by whatever name.
        """
        opened, relay = self.open()
        self.associations.localHosts = {ip_address("127.0.0.1")}
        self.associations.addClientPort(1080)
        self.send(opened, remote=(1080).to_bytes(2, "big") + b"\1\x7f\0\0\1")
        self.send(opened, remote=named(b"localhost", 1080))
        self.associations.answer("127.0.0.1")
        self.assertDropped(loop=2)
        self.assertEqual(relay.take(), [])

    def test_elsewhere(self) -> None:
        """
        The same ports of other hosts are theirs.
        """
        opened, relay = self.open()
        self.associations.localHosts = {ip_address("127.0.0.1")}
        self.associations.addClientPort(53)
        self.send(opened)
        self.assertEqual(len(relay.take()), 1)

    def test_unspecifiedByName(self) -> None:
        """
        A name whose address is none leads nowhere, where the system would take it for this
        machine.
        """
        opened, relay = self.open()
        for number, host in enumerate(("0.0.0.0", "::")):
            self.send(opened, remote=named(b"nobody%d" % number))
            self.associations.answer(host)
        self.assertDropped(nowhere_to_go=2)
        self.assertEqual(relay.take(), [])

    def test_advertised(self) -> None:
        """
        What a NAT calls this machine is this machine.
        """
        policy = BindPolicy(advertised={4: ip_address("203.0.113.7")})
        associations = MemoryAssociations(self.network, policy=policy)
        self.assertTrue(Associations.isLocal(associations, ip_address("203.0.113.7")))


class RemoteTests(AssociationsTestCase):
    """
    What remote hosts send.
    """

    def test_answer(self) -> None:
        """
        It goes to the client, with a header that names the remote host.
        """
        opened, relay = self.open()
        self.send(opened)
        for payload in (b"answer", b"", b"x" * 1000):
            deliver(self.network, relay, payload, REMOTE_PLACE)
            self.assertEqual(self.port.take(), [(CLIENT, self.header(opened) + payload)])
        self.assertEqual(opened.toClient, 1006)

    def test_anyHost(self) -> None:
        """
        It may come from any host.
        """
        opened, relay = self.open()
        self.send(opened, b"", NOBODY)
        for number in range(2000):
            deliver(self.network, relay, b"hi", (f"10.1.{number // 256}.{number % 256}", 99))
        self.assertEqual(len(self.port.sent), 2000)
        last = self.header(opened, bytes.fromhex("0063 01 0a0107cf"))
        self.assertEqual(self.port.sent[-1], (CLIENT, last + b"hi"))
        self.assertEqual(len(opened._sources), MAX_ROUTES)

    def test_noClient(self) -> None:
        """
        Nothing goes to a client before its first datagram has come.
        """
        opened, relay = self.open()
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertDropped(no_client_yet=1)
        self.assertEqual(self.port.take(), [])
        self.send(opened, b"", NOBODY)
        self.assertEqual(self.port.take(), [])

    def test_notSent(self) -> None:
        """
        What could not be sent to the client does not count.
        """
        opened, relay = self.open()
        self.send(opened)
        self.port.works = False
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertEqual(opened.toClient, 0)

    def test_errors(self) -> None:
        """
        An ICMP error that comes up where we read does no harm.
        """
        opened, relay = self.open()
        self.send(opened)
        relay.fail(ConnectionRefusedError(errno.ECONNREFUSED, ""))
        relay.put(b"answer", REMOTE_PLACE)
        read(self.network, relay)
        read(self.network, relay)
        self.assertEqual(len(self.port.take()), 1)


class NameTests(AssociationsTestCase):
    """
    Destinations that are names.
    """

    def test_once(self) -> None:
        """
        A name is looked up once for an association, whatever the port.
        """
        opened, relay = self.open()
        self.send(opened, b"1", named(b"example.org"))
        self.send(opened, b"2", named(b"example.org", 54))
        self.assertEqual([name for name, _ in self.associations.questions], [b"example.org"])
        self.associations.answer("203.0.113.1", "203.0.113.2")
        self.assertEqual(relay.take(), [(b"1", REMOTE_PLACE), (b"2", ("203.0.113.1", 54))])
        for port in (53, 55):
            self.send(opened, b"3", named(b"example.org", port))
        self.assertEqual(relay.take(), [(b"3", REMOTE_PLACE), (b"3", ("203.0.113.1", 55))])
        self.assertEqual(self.associations.questions, [])
        another, _ = self.open()
        self.send(another, b"4", named(b"example.org"))
        self.assertEqual(len(self.associations.questions), 1)

    def test_order(self) -> None:
        """
        What waits for a name is sent in its order; other destinations do not wait.
        """
        opened, relay = self.open()
        for number in range(5):
            self.send(opened, b"%d" % number, named(b"example.org"))
        self.send(opened, b"at once")
        self.assertEqual(relay.take(), [(b"at once", REMOTE_PLACE)])
        self.associations.answer("203.0.113.1")
        self.send(opened, b"5", named(b"example.org"))
        self.assertEqual([payload for payload, _ in relay.take()], [b"%d" % n for n in range(6)])

    def test_ownFamily(self) -> None:
        """
        Of several addresses, one is taken that can be reached from the association's port.
        """
        opened, relay = self.open()
        self.send(opened, remote=named(b"example.org"))
        self.associations.answer("2001:db8::35", "203.0.113.1")
        self.assertEqual(relay.take(), [(b"question", REMOTE_PLACE)])
        self.send(opened, remote=named(b"example.net"))
        self.associations.answer("2001:db8::35")
        self.assertEqual(self.relays.opened[-1].take(), [(b"question", REMOTE_IPV6_PLACE)])

    def test_failure(self) -> None:
        """
        What was sent to a name that cannot be looked up is dropped; the next datagram asks
        again.
        """
        opened, relay = self.open()
        answers: list[Any] = [
            Failure(OutboundFailed(ReplyCode.HOST_UNREACHABLE, "in this test")),
            [],
        ]
        for answer in answers:
            self.send(opened, remote=named(b"example.org"))
            self.send(opened, remote=named(b"example.org"))
            ((_, waiting),) = self.associations.questions
            self.associations.questions.clear()
            waiting.callback(answer)
            self.assertEqual(len(opened.headers), 0)
        self.assertDropped(nowhere_to_go=4)
        self.send(opened, remote=named(b"example.org"))
        self.associations.answer("203.0.113.1")
        self.assertEqual(len(relay.take()), 1)

    def test_timeout(self) -> None:
        """
        A look-up takes only so long.
        """
        opened, _ = self.open()
        self.send(opened, remote=named(b"example.org"))
        self.network.advance(LOOKUP_TIMEOUT)
        self.assertDropped(nowhere_to_go=1)
        self.assertEqual(self.associations.cancelled, [b"example.org"])
        self.send(opened, remote=named(b"example.org"))
        self.assertEqual(len(self.associations.questions), 2)

    def test_end(self) -> None:
        """
        An association that ends waits for no name.
        """
        opened, relay = self.open()
        self.send(opened, remote=named(b"example.org"))
        self.associations.close(opened)
        self.assertEqual(self.associations.cancelled, [b"example.org"])
        self.assertEqual(relay.take(), [])
        self.assertDropped()
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_waiting(self) -> None:
        """
        Only so much waits for names.
        """
        opened, relay = self.open()
        for number in range(8):
            for _ in range(10):
                self.send(opened, b"x" * 2000, named(b"example%d.org" % number))
        self.assertEqual(self.associations.dropped["waiting for a name"], 80 - MAX_PENDING // 2064)
        for _ in range(8):
            self.associations.answer("203.0.113.1")
        self.assertEqual(len(relay.take()), MAX_PENDING // 2064)
        # Those that have waited have made room.
        self.send(opened, b"x" * 60000, named(b"example.net"))
        self.associations.answer("203.0.113.1")
        self.assertEqual(len(relay.take()), 1)

    def test_lookups(self) -> None:
        """
        Only so many names are looked up at a time, for so many ports of all of them.
        """
        opened, _ = self.open()
        for number in range(MAX_LOOKUPS + 4):
            self.send(opened, b"x", named(b"example%d.org" % number))
        self.assertEqual(len(self.associations.questions), MAX_LOOKUPS)
        self.assertDropped(nowhere_to_go=4)
        for port in range(1000, 1000 + MAX_ROUTES + 10):
            self.send(opened, b"", named(b"example0.org", port))
            self.send(opened, b"", named(b"example1.org", port))
        waiting = [route for each in opened._lookups.values() for route in each.waiting]
        self.assertEqual(len(waiting), MAX_ROUTES)

    def test_fairLookups(self) -> None:
        """
        They count against all associations of the same owner, but against no other's, and
        only as long as somebody waits.
        """
        opened, _ = self.open()
        second, _ = self.open()
        other, _ = self.open(b"eve")
        for number in range(MAX_LOOKUPS):
            self.send(opened, remote=named(b"example%d.org" % number))
        self.send(second, remote=named(b"example.net"))
        self.assertEqual(len(self.associations.questions), MAX_LOOKUPS)
        self.send(other, remote=named(b"example.net"))
        self.assertEqual(len(self.associations.questions), MAX_LOOKUPS + 1)
        self.associations.answer("203.0.113.1")
        self.send(second, remote=named(b"example.net"))
        self.assertEqual(len(self.associations.questions), MAX_LOOKUPS + 1)
        self.associations.close(opened)
        for number in range(MAX_LOOKUPS):
            self.send(second, remote=named(b"example%d.com" % number))
        self.assertEqual(len(self.associations.questions), 2 * MAX_LOOKUPS)
        self.assertEqual(self.associations.askers.count(b"eve"), 1)

    def test_manyNames(self) -> None:
        """
        Only so many are remembered.
        """
        opened, _ = self.open()
        for number in range(MAX_ROUTES + 10):
            self.send(opened, b"x", named(b"example%d.org" % number))
            self.associations.answer("203.0.113.1")
        self.assertEqual(len(opened._hosts), MAX_ROUTES)
        self.assertDropped()

    def test_textForm(self) -> None:
        """
        An answer that is there at once is taken at once.
        """
        opened, relay = self.open()
        self.associations._lookUp = lambda name, owner: succeed([ip_address("203.0.113.1")])
        for _ in range(2):
            self.send(opened, remote=named(b"203.0.113.1"))
        self.assertEqual(relay.take(), [(b"question", REMOTE_PLACE)] * 2)


class LifeTests(AssociationsTestCase):
    """
    How associations begin and end.
    """

    def test_close(self) -> None:
        """
        Nothing about an association survives.
        """
        opened, _ = self.open()
        self.send(opened)
        self.send(opened, remote=REMOTE_IPV6)
        self.associations.close(opened)
        self.associations.close(opened)
        self.assertEqual([each.fileno() for each in self.relays.opened], [-1, -1])
        self.assertEqual(self.network.readers, set())
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual(dict(self.associations.ports), {})
        self.assertEqual(self.associations._routes, {})
        self.assertFalse(self.send(opened))
        self.assertDropped(unknown_association=1)

    def test_identifiers(self) -> None:
        """
        No two associations have the same ID.
        """
        numbers = iter([b"\0\0\0\1", b"\0\0\0\1", b"\0\0\0\2"])
        self.patch(os, "urandom", lambda size: next(numbers))
        self.assertEqual([self.open()[0].identifier for _ in range(2)], [1, 2])

    def test_owners(self) -> None:
        """
        Each has its own number of associations.
        """
        self.associations = MemoryAssociations(self.network, AssociationLimits(2))
        first, _ = self.open(b"ada")
        self.assertTrue(self.associations.mayOpen(b"ada"))
        self.open(b"ada")
        self.assertFalse(self.associations.mayOpen(b"ada"))
        self.assertTrue(self.associations.mayOpen(b"eve"))
        self.associations.close(first)
        self.assertTrue(self.associations.mayOpen(b"ada"))

    def test_idle(self) -> None:
        """
        An association without datagrams ends, but not one with them, whatever their
        direction.
        """
        silent, _ = self.open()
        sending, _ = self.open()
        receiving, relay = self.open()
        self.send(receiving)
        for _ in range(10):
            self.network.pump([60.0])
            self.send(sending)
            deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertEqual(self.successResultOf(silent.ended), "idle")
        self.assertNoResult(sending.ended)
        self.assertNoResult(receiving.ended)
        self.network.pump([75.0] * 5)
        self.assertEqual(self.successResultOf(sending.ended), "idle")

    def test_endTwice(self) -> None:
        """
        What ends has one reason.
        """
        opened, _ = self.open()
        opened.end("closed")
        opened.end("idle")
        self.assertEqual(self.successResultOf(opened.ended), "closed")

    def test_reach(self) -> None:
        """
        There is a way in as long as there is a port.
        """
        self.assertFalse(self.associations.canBeReached)
        self.associations.addClientPort(1080)
        self.associations.addClientPort(1081)
        self.assertTrue(self.associations.canBeReached)
        self.associations.removeClientPort(1080)
        self.assertTrue(self.associations.canBeReached)
        self.associations.removeClientPort(1081)
        self.assertFalse(self.associations.canBeReached)
