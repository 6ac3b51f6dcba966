"""
Tests of L{socks6.server.bind}.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from socks6.server import connect
from socks6.server import listener as listeners
from socks6.server.bind import Binder
from socks6.server.bindpolicy import BindPolicy, BindRefused
from socks6.values.address import Address
from socks6.values.codes import ReplyCode
from tests.doubles import PatientChecker, Peer
from tests.server.harness import (
    ADA,
    WELCOME,
    MemoryTestCase,
    TLSServer,
    authenticationData,
    failure,
    passwords,
)
from tests.server.ports import (
    CHOSEN,
    HOST_CAME,
    BacklogTestCase,
    BindTestCase,
    Visitor,
    backlogOption,
    bindRequest,
    succeeded,
)
from tests.server.sessions import SESSION_REQUEST, WITHIN, sessionID
from tests.server.test_connect import typeOfService

BOUND = succeeded(CHOSEN)


class OneHostTests(BindTestCase):
    """
    Without a backlog, one host is waited for.
    """

    def test_replies(self) -> None:
        """
        The first reply tells where the proxy listens, and the second one, when a host
        has connected, who that is.
        """
        client = self.ask()
        self.assertEqual(client.take().hex(), BOUND.hex())
        self.network.elapse(119)
        self.assertEqual(client.received, b"")
        self.visit()
        self.assertEqual(client.received.hex(), HOST_CAME.hex())

    def test_IPv6(self) -> None:
        """
        So with IPv6.
        """
        client = self.ask(
            bindRequest(address=b"\4" + bytes(16)), addresses=[ip_address("2001:db8::1")]
        )
        bound = bytes.fromhex("00 c350 04 20010db8 00000000 00000000 00000001 0000")
        self.assertEqual(client.take().hex(), bound.hex())
        self.visit(visitor=Visitor(("fe80::2%eth0", 443, 0, 3)))
        host = bytes.fromhex("00 01bb 04 fe800000 00000000 00000000 00000002 0000")
        self.assertEqual(client.received.hex(), host.hex())

    def test_data(self) -> None:
        """
        Octets pass both ways, those included that came before the other side was there.
        """
        client = self.ask(bindRequest() + b"early ")
        client.send(b"bird")
        visitor = Visitor()
        visitor.input += b"220 "
        self.visit(visitor=visitor)
        host = self.hostOf(visitor)
        self.assertEqual(host.take(), b"early bird")
        self.assertEqual(client.take(), BOUND + HOST_CAME + b"220 ")
        host.send(b"ready")
        client.send(b"USER")
        self.assertEqual((client.take(), host.take()), (b"ready", b"USER"))

    def test_clientEnds(self) -> None:
        """
        A client that sends no more, be it before the host has come, still hears it.
        """
        for early in (True, False):
            client = self.ask()
            if early:
                client.end()
            visitor = self.visit(len(self.ports) - 1)
            if not early:
                client.end()
            host = self.hostOf(visitor)
            self.assertTrue(host.ended)
            host.send(b"answer")
            host.end()
            self.assertTrue(client.received.endswith(b"answer"))
            self.assertOver()

    def test_hostEnds(self) -> None:
        """
        A host that sends no more still hears the client.
        """
        client = self.ask()
        host = self.hostOf(self.visit())
        host.end()
        self.assertTrue(client.ended)
        client.send(b"answer")
        client.end()
        self.assertEqual(host.received, b"answer")
        self.assertOver()

    def test_onlyOne(self) -> None:
        """
        With the first host listening ends.
        """
        self.ask()
        self.visit()
        self.assertTrue(self.ports[0].isClosed)

    def test_onlyOneOfMany(self) -> None:
        """
        Of several that have come at the same time one is accepted; the kernel refuses
        the others when the port is closed.
        """
        self.ask()
        self.ports[0].arrivals.append(Visitor())
        self.visit()
        (rest,) = self.ports[0].arrivals
        self.assertIsInstance(rest, Visitor)

    def test_timeout(self) -> None:
        """
        If nobody connects in time, that is said, and listening ends.
        """
        client = self.ask(timeout=7.0)
        client.take()
        self.network.elapse(6.9)
        self.assertEqual(client.received, b"")
        self.network.elapse(0.1)
        self.assertEqual(client.received.hex(), failure(9).hex())
        self.assertTrue(self.ports[0].isClosed)
        self.leave(client)
        self.assertOver()
        self.assertIn(
            " bind 192.0.2.1:50000: timed out (nobody connected within 7 s), ", self.lines[0]
        )

    def test_hostGone(self) -> None:
        """
        A host that has broken off before it was accepted does not count.
        """
        client = self.ask()
        client.take()
        gone = Visitor()
        gone.gone = True
        self.visit(visitor=gone)
        self.assertTrue(gone.isClosed)
        self.assertEqual(client.received, b"")
        self.visit()
        self.assertEqual(client.received.hex(), HOST_CAME.hex())

    def test_notAdopted(self) -> None:
        """
        A connection for which there is no descriptor is closed, and the client told.
        """
        self.adoptionFailure = OSError(errno.EMFILE, "Too many open files")
        client = self.ask()
        visitor = self.visit()
        self.assertEqual(client.received.hex(), (BOUND + failure(1)).hex())
        self.assertTrue(visitor.isClosed)
        self.leave(client)
        self.assertOver()
        self.assertIn(": general failure (Too many open files), ", self.lines[0])

    def test_clientVanishes(self) -> None:
        """
        When the client is gone listening ends.
        """
        client = self.ask()
        client.reset()
        self.assertTrue(self.ports[0].isClosed)
        self.assertOver()
        self.assertIn(" bind 192.0.2.1:50000: client lost, ", self.lines[0])

    def test_cut(self) -> None:
        """
        When the proxy stops listening ends.
        """
        factory = self.bindingFactory()
        self.ask(factory=factory)
        stopped = factory.cutAll()
        self.network.spin()
        self.successResultOf(stopped)
        self.assertOver()

    def test_idle(self) -> None:
        """
        The time limit of tunnels is for what passes when a host has come.
        """
        factory = self.makeFactory(binder=Binder(self.network, BindPolicy()), idleTimeout=5.0)
        client = self.ask(factory=factory)
        self.network.elapse(60)
        self.assertFalse(client.isClosed)
        self.visit()
        self.network.elapse(5)
        self.assertTrue(client.isClosed)
        self.assertOver()

    def test_logged(self) -> None:
        """
        The request's line names the port that was opened, and counts octets.
        """
        client = self.ask()
        host = self.hostOf(self.visit())
        host.send(b"answer")
        client.send(b"ok")
        client.end()
        host.end()
        self.assertEqual(
            self.lines,
            [
                (
                    "192.0.2.2:40000 - bind 192.0.2.1:50000: closed,"
                    " 2 octets to the remote host, 6 to the client, 0.000 s"
                )
            ],
        )

    def test_typeOfService(self) -> None:
        """
        The second reply tells what is in force.
        """
        option = typeOfService(3, 0x28)
        client = self.ask(bindRequest(option))
        self.assertEqual(client.take().hex(), BOUND.hex())
        visitor = self.visit()
        expected = succeeded(443, "203.0.113.1", option)
        self.assertEqual(client.received.hex(), expected.hex())
        self.assertEqual(visitor.getsockopt(socket.IPPROTO_IP, socket.IP_TOS), 0x28)

    def test_backlogOutsideSession(self) -> None:
        """
        Outside of a session, a backlog is ignored.
        """
        client = self.ask(bindRequest(backlogOption(5)))
        self.assertEqual(client.take().hex(), BOUND.hex())
        self.visit()
        self.assertEqual(client.received.hex(), HOST_CAME.hex())


class RefusalTests(BindTestCase):
    """
    What cannot be bound, or may not be.
    """

    def _refused(self, code: int, reason: str, sent: bytes | None = None, **policy: Any) -> None:
        """
        Send a request that is refused.

        @param reason: What stands in the log.
        """
        self.lines.clear()
        self.events.clear()
        client = self.ask(sent, **policy)
        self.assertEqual((client.received[0], client.received[1:3]), (code, b"\0\0"), reason)
        self.leave(client)
        self.assertOver(reason)
        (line,) = self.lines
        self.assertIn(f"({reason})", line)

    def test_wishes(self) -> None:
        """
        Each wish that is not granted has its code.
        """
        mine, other = bytes.fromhex("01 c0000201"), bytes.fromhex("01 c0000209")
        for code, reason, sent in (
            (8, "a name is no bind address", bindRequest(address=b"\3\1a")),
            (2, "192.0.2.9 may not be bound", bindRequest(address=other)),
            (2, "port 80 may not be bound", bindRequest(address=mine, port=80)),
            (8, "no address of IP version 6", bindRequest(address=b"\4" + bytes(16))),
        ):
            self._refused(code, reason, sent)
        self.assertEqual(self.ports, [])

    def test_system(self) -> None:
        """
        What the system refuses has a code, too.
        """
        self.refusal = BindRefused(ReplyCode.HOST_UNREACHABLE, "not here")
        self._refused(4, "not here")

    def test_notListening(self) -> None:
        """
        The port is taken by the time that we listen.
        """
        self.listenRefusal = OSError(errno.EADDRINUSE, "")
        self._refused(1, os.strerror(errno.EADDRINUSE))

    def test_failed(self) -> None:
        """
        A bug of ours is a general failure, before the first reply and after it.
        """
        self.refusal = RuntimeError("a bug")
        client = self.ask()
        self.assertEqual(client.received.hex(), failure(1).hex())
        self.leave(client)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.refusal = None
        client = self.ask()
        self.patch(Binder, "adopt", lambda binder, handle: handle.bug)
        self.visit().close()
        self.assertEqual(client.received[10:].hex(), failure(1).hex())
        self.leave(client)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_failedWithHost(self) -> None:
        """
        If the bug shows when a host has come, it is cut off.
        """

        def fail(*arguments: object) -> None:
            raise RuntimeError("a bug")

        self.patch(connect, "inForce", fail)
        client = self.ask()
        visitor = self.visit()
        self.assertEqual(client.received.hex(), (BOUND + failure(1)).hex())
        self.assertTrue(visitor.isClosed)
        self.leave(client)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class BacklogTests(BacklogTestCase):
    """
    With a backlog, in a session, further requests claim connections.
    """

    def test_order(self) -> None:
        """
        Hosts that wait are claimed in the order of their arrival, each with its data.
        """
        self.openPort()
        visitors = [Visitor(("203.0.113.1", 1000 + number)) for number in range(3)]
        for number, visitor in enumerate(visitors):
            visitor.input += b"%d" % number
            self.visit(visitor=visitor)
        for number, visitor in enumerate(visitors):
            client = self.claim()
            expected = BOUND + succeeded(1000 + number, "203.0.113.1") + b"%d" % number
            self.assertEqual(client.received.hex(), expected.hex())
            client.send(b"for %d" % number)
            self.assertEqual(self.hostOf(visitor).received, b"for %d" % number)

    def test_claimsFirst(self) -> None:
        """
        Requests that wait get hosts in the order in which they came, and both their
        replies as soon as these are true.
        """
        self.openPort()
        clients = [self.claim() for _ in range(3)]
        for client in clients:
            self.assertEqual(client.take().hex(), BOUND.hex())
        for number, client in enumerate(clients):
            self.visit(visitor=Visitor(("203.0.113.1", 1000 + number)))
            expected = succeeded(1000 + number, "203.0.113.1")
            self.assertEqual(client.received.hex(), expected.hex())

    def test_full(self) -> None:
        """
        Beyond the backlog hosts are refused, and there is room again when one was
        claimed.
        """
        self.openPort(2)
        waiting, refused = [self.visit(), self.visit()], self.visit()
        self.assertEqual([each.isClosed for each in waiting], [False, False])
        self.assertTrue(refused.isClosed)
        self.assertTrue(refused.resets)
        self.claim()
        self.assertFalse(self.visit().isClosed)

    def test_fullElsewhere(self) -> None:
        """
        Who has many hosts wait at one port may have fewer at another one.
        """
        self.patch(listeners, "MAX_WAITING", 5)
        self.openPort()
        self.openPort()
        visitors = [self.visit(number) for number in (0, 0, 0, 0, 1, 1)]
        self.assertEqual([each.isClosed for each in visitors], [False] * 5 + [True])

    def test_most(self) -> None:
        """
        The reply tells the backlog that is used.
        """
        client = self.ask(bindRequest(self.session + backlogOption(1000)), self.factory, WITHIN)
        expected = succeeded(CHOSEN, options=backlogOption(128))
        self.assertEqual(client.received.hex(), expected.hex())
        self.assertEqual(self.ports[0].backlog, 128)

    def test_least(self) -> None:
        """
        A backlog of 1 is none, as the protocol has it.
        """
        client = self.ask(bindRequest(self.session + backlogOption(1)), self.factory, WITHIN)
        self.assertEqual(client.take().hex(), BOUND.hex())
        self.visit()
        self.assertEqual(client.received.hex(), HOST_CAME.hex())

    def test_others(self) -> None:
        """
        Another session, and none, is refused.
        """
        self.openPort()
        other = sessionID(self.open(self.factory))
        for options, heard in ((other, WITHIN), (b"", WELCOME)):
            client = self.claim(options, heard)
            self.assertEqual(client.received.hex(), failure(2).hex())
            self.leave(client)
        self.assertIn(": not allowed (the port belongs to another session), ", self.lines[-1])

    def test_initialEnds(self) -> None:
        """
        With the initial connection listening ends: hosts that wait are refused,
        requests that wait hear of a failure, and what was claimed goes on.
        """
        for ending in (Peer.end, Peer.reset):
            self.ports.clear()
            initial = self.openPort()
            claimant = self.claim()
            visitor = self.visit()
            waiting = self.visit()
            ending(initial)
            self.assertTrue(self.ports[0].isClosed)
            self.assertTrue(waiting.resets)
            claimant.send(b"still here")
            self.assertEqual(self.hostOf(visitor).received, b"still here")
            claimant.reset()
            self.assertTrue(initial.isClosed)

    def test_initialEndsWhileWaiting(self) -> None:
        """
        A request for which no host has come hears that none will.
        """
        initial, claimant = self.openPort(), self.claim()
        initial.end()
        self.assertEqual(claimant.received.hex(), (BOUND + failure(1)).hex())
        self.leave(claimant)
        self.assertIn(": general failure (the port is closed), ", self.lines[-1])
        self.assertIn(" bind 192.0.2.1:50000: closed, 0 octets ", self.lines[-2])

    def test_again(self) -> None:
        """
        Then the address is one like any other: whoever asks for it opens a port.
        """
        self.openPort().end()
        client = self.claim(b"", WELCOME)
        self.assertEqual(client.take().hex(), BOUND.hex())
        self.assertEqual(len(self.ports), 2)
        self.visit(1)
        self.assertEqual(client.received.hex(), HOST_CAME.hex())

    def test_initialData(self) -> None:
        """
        What comes over the initial connection is thrown away, however much it is.
        """
        initial = self.openPort()
        for _ in range(3):
            initial.send(bytes(100000))
            self.assertEqual(initial.protocol._conversation.heldLength, 0)
        self.assertTrue(initial.isRead)
        self.visit()
        self.claim()
        self.assertEqual(initial.received, b"")

    def test_initialDataAtOnce(self) -> None:
        """
        So is what came right behind the request.
        """
        sent = bindRequest(self.session + backlogOption(2)) + bytes(200000)
        initial = self.ask(sent, self.factory, WITHIN)
        self.assertTrue(initial.isRead)
        self.assertEqual(initial.protocol._conversation.heldLength, 0)

    def test_initialDataBeforeVerdict(self) -> None:
        """
        So is what came while we still had to find out who the client is.
        """
        options = SESSION_REQUEST + authenticationData(ADA) + backlogOption(2)
        for length in (100, 200000):
            checker = PatientChecker(self.network)
            initial = self.network.accept(self.bindingFactory(checker))
            initial.send(bindRequest(options) + bytes(length))
            checker.accept(b"ada")
            self.assertTrue(initial.isRead)
            self.assertEqual(initial.protocol._conversation.heldLength, 0)

    def test_initialWaits(self) -> None:
        """
        The initial connection may last, whoever comes or does not.
        """
        initial = self.openPort()
        self.network.elapse(100000)
        self.assertFalse(initial.isClosed)
        self.assertFalse(self.ports[0].isClosed)

    def test_claimTimeout(self) -> None:
        """
        A request that has waited for too long makes room for the next one.
        """
        self.openPort()
        late = self.claim()
        self.network.elapse(120)
        self.assertEqual(late.received.hex(), (BOUND + failure(9)).hex())
        client = self.claim()
        self.visit()
        self.assertEqual(client.received.hex(), (BOUND + HOST_CAME).hex())

    def test_claimantVanishes(self) -> None:
        """
        A host is not lost on a client that has gone.
        """
        self.openPort()
        gone, client = self.claim(), self.claim()
        gone.reset()
        self.visit()
        self.assertEqual(client.received.hex(), (BOUND + HOST_CAME).hex())

    def test_waitingHostGone(self) -> None:
        """
        A host that has broken off while it waited is passed over.
        """
        self.openPort()
        gone, here = self.visit(), self.visit()
        gone.gone = True
        client = self.claim()
        self.assertEqual(client.received.hex(), (BOUND + HOST_CAME).hex())
        self.assertTrue(gone.isClosed)
        client.send(b"you")
        self.assertEqual(self.hostOf(here).received, b"you")

    def test_cut(self) -> None:
        """
        When the proxy stops, everything is closed.
        """
        self.openPort()
        self.visit()
        self.claim()
        self.visit()
        self.openPort()
        self.claim()
        self.claim()
        stopped = self.factory.cutAll()
        self.network.spin()
        self.successResultOf(stopped)
        self.assertOver()

    def test_sameName(self) -> None:
        """
        Two ports that remote hosts would call the same cannot be told apart: the
        second one is refused.
        """
        places = [ip_address("192.0.2.1"), ip_address("192.0.2.2")]
        name = {4: ip_address("198.51.100.1")}
        self.binder.policy = BindPolicy(places, advertised=name)
        options = self.session + backlogOption(2)
        replies = []
        for place in places:
            sent = bindRequest(options, b"\1" + place.packed, 5000)
            replies.append(self.ask(sent, self.factory, WITHIN).received)
        expected = succeeded(5000, "198.51.100.1", backlogOption(2))
        self.assertEqual(replies, [expected, failure(1)])


class OwnAddressTests(BindTestCase):
    """
    What is bound by default is where the client has connected.
    """

    def _attach(self, host: IAddress, sent: bytes) -> bytes:
        """
        Connect to the proxy by another address.
        """
        protocol: Any = self.bindingFactory().buildProtocol(host)
        client = self.network.attach(protocol, host)
        client.send(sent)
        return client.received

    def test_addresses(self) -> None:
        """
        IPv4 over an IPv6 socket is IPv4; the scope of an IPv6 address is left out.
        """
        for host, address, reply in (
            ("::ffff:192.0.2.7", bytes.fromhex("01 00000000"), succeeded(CHOSEN, "192.0.2.7")),
            (
                "fe80::7%eth0",
                bytes.fromhex("04 fe800000 00000000 00000000 00000007"),
                bytes.fromhex("00 c351 04 fe800000 00000000 00000000 00000007 0000"),
            ),
        ):
            heard = self._attach(IPv6Address("TCP", host, 1080), bindRequest(address=address))
            self.assertEqual(heard.hex(), (WELCOME + reply).hex())

    def test_UNIXSocket(self) -> None:
        """
        Over a UNIX socket there is none.
        """
        heard = self._attach(UNIXAddress("/run/socks6"), bindRequest())
        self.assertEqual(heard.hex(), (WELCOME + failure(8)).hex())

    def test_behindBalancer(self) -> None:
        """
        What a PROXY header says is no address of ours.
        """
        client = self.network.accept(HAProxyWrappingFactory(self.bindingFactory()))
        client.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 40123 1080\r\n" + bindRequest())
        self.assertEqual(client.received.hex(), (WELCOME + BOUND).hex())

    def test_TLS(self) -> None:
        """
        TLS changes nothing.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        client = TLSServer(folder, self.network).accept(self.bindingFactory())
        client.send(bindRequest())
        self.assertEqual(client.received.hex(), (WELCOME + BOUND).hex())
        visitor = self.visit()
        self.assertEqual(client.received.hex(), (WELCOME + BOUND + HOST_CAME).hex())
        client.end()
        self.assertTrue(self.hostOf(visitor).ended)

    def test_password(self) -> None:
        """
        A user whom nobody knows opens no port.
        """
        client = self.network.accept(self.bindingFactory(passwords()))
        client.send(bindRequest())
        self.assertEqual(client.received.hex(), "060001ff0000")
        self.assertEqual(self.ports, [])
        self.leave(client)


class BinderTests(MemoryTestCase):
    """
    L{Binder}, with ports of this machine.
    """

    def test_ports(self) -> None:
        """
        A port is listened on while it is open, and can be claimed from if it has a
        backlog.
        """
        own = ip_address("127.0.0.1")
        wish = Address(ip_address("0.0.0.0"), 0)
        binder = Binder(self.network, BindPolicy(advertised={4: ip_address("198.51.100.1")}))
        for backlog in (0, 3):
            listener = binder.open(wish, own, backlog, b"session", b"owner")
            handle: Any = listener._handle
            host, port = handle.getsockname()
            self.assertEqual(host, "127.0.0.1")
            self.assertEqual(listener.address, Address(ip_address("198.51.100.1"), port))
            found = binder.claimable(listener.address)
            self.assertIs(found, listener if backlog else None)
            self.assertEqual(self.network.readers, {listener})
            with socket.create_connection((host, port)):
                listener.doRead()
            binder.close(listener)
            self.assertIsNone(binder.claimable(listener.address))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, (host, port))
            self.assertEqual(self.network.readers, set())
            self.assertEqual(handle.fileno(), -1)
