"""
Tests for UDP ASSOCIATE over raw sockets, as every client could use it.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from socks6.outbound.names import lookUp
from socks6.outbound.resolver import ThreadedResolver
from socks6.server.association import Association
from socks6.server.associations import Associations
from socks6.server.bindpolicy import BindPolicy
from socks6.server.datagramports import DTLSPort, _Client
from socks6.server.datagramservice import DatagramService
from socks6.server.negotiation import Negotiation
from socks6.server.route import Route
from socks6.server.tls import datagramContext
from socks6.wire import DEFAULT_CODEC
from tests.integration.certificates import Authority
from tests.integration.datagrams import (
    ANY,
    ASSOCIATE,
    DTLSSocket,
    RawAssociation,
    clientPorts,
    connected,
    encodeHeader,
    freePort,
    nothingComes,
    openUDP,
    requireIPv6,
)
from tests.integration.dnsmasq import ADDRESSES, Dnsmasq
from tests.integration.peers import (
    DEADLINE,
    Place,
    ask,
    dial,
    encodePassword,
    encodeRequest,
    encodeTypeOfService,
    placeOf,
    receive,
    receiveAll,
    receiveUntilBroken,
    reset,
)
from tests.integration.proxies import ProxyTestCase, RunningProxy, inThread, reactor
from tests.integration.twistd import Twistd


class AssociateTestCase(SynchronousTestCase):
    """
    A test with a proxy in a process of its own.
    """

    def start(self, *arguments: str, ports: int = 1) -> Twistd:
        """
        Start it.

        @param ports: How many ports there are for datagrams.
        """
        twistd = Twistd(self, "--port=0", *(arguments or ("--udp-port=0",)))
        self.ports = clientPorts(twistd, ports)
        self.place: Place
        (self.place,) = twistd.places()
        return twistd

    def certificate(self) -> str:
        """
        Make a certificate, and the option for it.
        """
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        return f"--certificate={Authority(Path(folder.name)).server().path}"

    def associate(self, wish: tuple[str, int] = ANY, options: bytes = b"") -> RawAssociation:
        """
        Begin an association, with plain UDP.
        """
        way = connected(self, self.ports[0])
        return RawAssociation(self, self.place, way, wish, options)

    def remote(self, host: str = "127.0.0.1") -> tuple[socket.socket, tuple[str, int]]:
        """
        Make a remote host.
        """
        handle = openUDP(self, host)
        return handle, placeOf(handle)

    def dropped(self, twistd: Twistd) -> dict[str, int]:
        """
        Stop the proxy, and read what it has dropped.
        """
        twistd.stop()
        lines = [line for line in twistd.lines() if "Datagrams that were dropped: " in line]
        found: dict[str, int] = {}
        for line in lines:
            for each in line.partition("dropped: ")[2].split(", "):
                reason, _, count = each.rpartition(": ")
                found[reason] = int(count)
        return found


class FlowTests(AssociateTestCase):
    """
    An association from its beginning to its end.
    """

    def test_bothWays(self) -> None:
        """
        Datagrams pass both ways, with the association's address as the proxy's own.
        """
        twistd = self.start()
        association = self.associate()
        self.assertEqual(association.reply.host, "127.0.0.1")
        remote, place = self.remote()
        for payload in (b"question", b"", os.urandom(1400), os.urandom(65000)):
            association.send(payload, *place)
            received, source = remote.recvfrom(65536)
            self.assertEqual(received, payload)
            self.assertEqual(source, ("127.0.0.1", association.reply.port))
            remote.sendto(payload[::-1], source)
            self.assertEqual(association.receive(), (payload[::-1], place))
        association.confirm()
        association.end()
        twistd.waitForLine(
            f"udp associate 127.0.0.1:{association.reply.port}: closed,"
            " 66408 octets to the remote host, 66408 to the client"
        )
        self.assertEqual(self.dropped(twistd), {})

    def test_trigger(self) -> None:
        """
        An empty datagram to nobody fixes the association, so that any host can be the first
        to speak; the confirmation comes once.
        """
        self.start()
        association = self.associate()
        association.trigger()
        association.send(b"", *ANY)
        for _ in range(2):
            remote, place = self.remote()
            remote.sendto(b"hello", ("127.0.0.1", association.reply.port))
            self.assertEqual(association.receive(), (b"hello", place))
        association.end()

    def test_beforeTrigger(self) -> None:
        """
        What comes before the client's first datagram goes nowhere.
        """
        twistd = self.start()
        association = self.associate()
        remote, place = self.remote()
        remote.sendto(b"early", ("127.0.0.1", association.reply.port))
        # Both wait for the proxy on one socket or the other: give it its turn.
        ask(dial(self.place), encodeRequest("0.0.0.0", 0, command=0))
        association.trigger()
        remote.sendto(b"hello", ("127.0.0.1", association.reply.port))
        self.assertEqual(association.receive(), (b"hello", place))
        self.assertEqual(self.dropped(twistd), {"no client yet": 1})

    def test_strangers(self) -> None:
        """
        Datagrams that do not belong are dropped without a word.
        """
        twistd = self.start()
        association = self.associate()
        association.trigger()
        remote, place = self.remote()
        header = encodeHeader(association.identifier, *place)
        unknown = bytes([association.identifier[0] ^ 1]) + association.identifier[1:]
        stranger = connected(self, self.ports[0])
        stranger.send(header + b"stranger")
        neighbour = connected(self, self.ports[0], "127.0.0.9")
        neighbour.send(header + b"neighbour")
        for datagram in (
            encodeHeader(unknown, *place) + b"unknown",
            b"\5\0" + header[2:] + b"version",
            b"\6\1" + header[2:] + b"version",
            header[:8],
            header[:12],
            header[:8] + b"\2" + header[9:] + b"type",
            b"\6",
            b"",
        ):
            association.way.send(datagram)
        association.send(b"mine", *place)
        self.assertEqual(remote.recv(65536), b"mine")
        for handle in (stranger, neighbour, remote):
            self.assertTrue(nothingComes(handle))
        self.assertEqual(
            self.dropped(twistd),
            {
                "another client": 2,
                "unknown association": 1,
                "VersionMismatch": 2,
                "MalformedMessage": 4,
                "UnknownAddressType": 1,
            },
        )

    def test_end(self) -> None:
        """
        An association ends with its connection, whether that is closed or reset, and its
        socket with it.
        """
        twistd = self.start()
        before = twistd.descriptors()
        for end in (socket.socket.close, reset):
            association = self.associate()
            association.trigger()
            end(association.connection)
            twistd.waitFor(lambda: twistd.descriptors() == before, "it does not end")
            association.send(b"late", *self.remote()[1])
        self.assertEqual(self.dropped(twistd), {"unknown association": 2})

    def test_idle(self) -> None:
        """
        It ends after a silence, and with it the connection.
        """
        twistd = self.start("--udp-port=0", "--udp-idle-timeout=0.4")
        association = self.associate()
        self.assertEqual(association.connection.recv(1), b"")
        twistd.waitForLine("udp associate 127.0.0.1:")
        self.assertIn(": idle, 0 octets", twistd.output())

    def test_stop(self) -> None:
        """
        It ends with the proxy.
        """
        twistd = self.start()
        association = self.associate()
        association.trigger()
        twistd.stop()
        self.assertEqual(receiveUntilBroken(association.connection), b"")
        self.assertNotIn("Traceback", twistd.output())

    def test_unreachable(self) -> None:
        """
        A remote host that is not there harms neither what else is sent nor what comes.
        """
        twistd = self.start()
        association = self.associate()
        remote, place = self.remote()
        gone = openUDP(self)
        nobody = placeOf(gone)
        gone.close()
        for _ in range(5):
            association.send(b"x", *nobody)
            association.send(b"x", *place)
            received, source = remote.recvfrom(65536)
            remote.sendto(received, source)
            self.assertEqual(association.receive(), (b"x", place))
        self.assertNotIn("Traceback", twistd.output())

    def test_burst(self) -> None:
        """
        A burst passes whole, in its order.
        """
        self.start()
        association = self.associate()
        remote, place = self.remote()
        remote.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        association.way.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        for number in range(500):
            association.send(struct.pack("!I", number) + bytes(1000), *place)
        for number in range(500):
            self.assertEqual(struct.unpack_from("!I", remote.recv(65536)), (number,))
        source = ("127.0.0.1", association.reply.port)
        for number in range(500):
            remote.sendto(struct.pack("!I", number) + bytes(1000), source)
        for number in range(500):
            self.assertEqual(struct.unpack_from("!I", association.receive()[0]), (number,))


class RequestTests(AssociateTestCase):
    """
    What a request may ask for.
    """

    def refusal(self, wish: tuple[str, int] = ANY) -> int:
        """
        Send a request.

        @return: The reply's code.
        """
        with dial(self.place) as client:
            reply = ask(client, encodeRequest(*wish, command=ASSOCIATE))
            self.assertEqual((reply.port, reply.options), (0, b""))
            self.assertEqual(receiveAll(client), b"")
        return reply.code

    def test_bindPort(self) -> None:
        """
        The port that a client wishes is bound, if it is free.
        """
        twistd = self.start()
        wish = freePort("0.0.0.0")
        with openUDP(self, "0.0.0.0", wish), dial(self.place) as client:
            reply = ask(client, encodeRequest("0.0.0.0", wish, command=ASSOCIATE))
            self.assertEqual(reply.code, 1)
        association = self.associate(("127.0.0.1", wish))
        self.assertEqual(association.reply[:3], (0, "127.0.0.1", wish))
        remote, place = self.remote()
        association.send(b"x", *place)
        self.assertEqual(remote.recvfrom(9), (b"x", ("127.0.0.1", wish)))
        twistd.waitForLine("Address already in use")

    def test_refusals(self) -> None:
        """
        Wishes that cannot be granted have the code that fits.
        """
        self.start("--udp-port=0", "--max-associations=0")
        self.assertEqual(self.refusal(), 2)
        self.start()
        self.assertEqual(self.refusal(("127.0.0.1", 53)), 2)
        self.assertEqual(self.refusal(("192.0.2.1", 0)), 2)
        self.assertEqual(self.refusal(("localhost", 0)), 8)

    def test_off(self) -> None:
        """
        There may be no ports for datagrams: then the command is not supported.
        """
        twistd = Twistd(self, "--port=0", "--udp-port=no")
        (self.place,) = twistd.places()
        self.assertEqual(self.refusal(), 7)

    def test_maxAssociations(self) -> None:
        """
        Each user has so many, or each address.
        """
        users = "--auth=memory:ada:s3cret:eve:gu3ss"
        self.start("--udp-port=0", "--max-associations=1", users)
        ada, eve = encodePassword(b"ada", b"s3cret"), encodePassword(b"eve", b"gu3ss")

        def reply(options: bytes) -> tuple[socket.socket, int]:
            client = dial(self.place)
            self.addCleanup(client.close)
            client.sendall(encodeRequest(*ANY, options, ASSOCIATE))
            self.assertEqual(receive(client, 6), bytes.fromhex("0600 00 02 0000"))
            return client, receive(client, 1)[0]

        first, code = reply(ada)
        self.assertEqual(code, 0)
        self.assertEqual(reply(ada)[1], 2)
        self.assertEqual(reply(eve)[1], 0)
        first.shutdown(socket.SHUT_WR)
        receiveAll(first)
        self.assertEqual(reply(ada)[1], 0)

    def test_typeOfService(self) -> None:
        """
        Datagrams to remote hosts have the type of service that the request names, whatever
        their version of IP.
        """
        requireIPv6(self)
        self.start()
        option = encodeTypeOfService(2, 0xB8)
        association = self.associate(options=option)
        self.assertEqual(association.reply.options, option)
        for host, level, want, kind in (
            ("127.0.0.1", socket.IPPROTO_IP, socket.IP_RECVTOS, socket.IP_TOS),
            ("::1", socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, socket.IPV6_TCLASS),
        ):
            remote, place = self.remote(host)
            remote.setsockopt(level, want, 1)
            association.send(b"x", *place)
            _, ancillary, _, _ = remote.recvmsg(9, 64)
            ((_, found, value),) = ancillary
            self.assertEqual((found, value[0]), (kind, 0xB8))


class DestinationTests(AssociateTestCase):
    """
    Where datagrams can go.
    """

    def exchange(self, association: RawAssociation, host: str, name: str) -> None:
        """
        Send something by a name, and get an answer by the address.
        """
        remote, place = self.remote(host)
        association.send(b"question", name, place[1])
        payload, source = remote.recvfrom(9)
        self.assertEqual(payload, b"question")
        remote.sendto(b"answer", source[:2])
        self.assertEqual(association.receive(), (b"answer", place))

    def test_families(self) -> None:
        """
        One association reaches IPv4 addresses, IPv6 addresses and names.
        """
        requireIPv6(self)
        self.start()
        association = self.associate()
        self.exchange(association, "127.0.0.1", "127.0.0.1")
        self.exchange(association, "::1", "::1")
        self.exchange(association, "127.0.0.1", "localhost")
        self.exchange(association, "127.0.0.1", "localhost")

    def test_IPv6Client(self) -> None:
        """
        Clients may use IPv6, with an association of either version.
        """
        requireIPv6(self)
        twistd = Twistd(self, "--port=tcp6:0:interface=\\:\\:1", "--udp-port=[::1]:0")
        self.ports = clientPorts(twistd)
        (place,) = twistd.places()
        assert isinstance(place, tuple)
        self.place = ("::1", place[1])
        association = self.associate(("::", 0))
        self.assertEqual(association.reply.host, "::1")
        self.exchange(association, "::1", "::1")
        self.exchange(association, "127.0.0.1", "127.0.0.1")

    def test_anyAddress(self) -> None:
        """
        Where the proxy takes datagrams at all addresses, it answers from the one that the
        client uses, by IPv4 and IPv6 on one port.
        """
        requireIPv6(self)
        for port in ("0.0.0.0:0", "[::]:0"):
            self.start(f"--udp-port={port}")
            ((_, number),) = self.ports
            for place in ("127.0.0.1", "127.0.0.5", *(["::1"] if "::" in port else [])):
                way = connected(self, (place, number))
                association = RawAssociation(self, self.place, way)
                self.exchange(association, "127.0.0.1", "127.0.0.1")
                if place == "127.0.0.1":
                    # The same client by another address of the proxy is another one.
                    other = openUDP(self, "127.0.0.1")
                    remote, (host, to) = self.remote()
                    other.sendto(
                        encodeHeader(association.identifier, host, to) + b"x",
                        ("127.0.0.1", number),
                    )
                    self.assertTrue(nothingComes(remote))

    def test_badNames(self) -> None:
        """
        A name that leads nowhere harms nothing.
        """
        twistd = self.start()
        association = self.associate()
        for name in ("no.such.name.invalid", "-", "a..b", "x" * 64, "0.0.0.0"):
            association.send(b"x", name, 53)
        self.exchange(association, "127.0.0.1", "localhost")
        association.send(b"x", "127.0.0.1", 0)
        association.send(b"x", "0.0.0.0", 53)
        association.send(b"x", "::ffff:127.0.0.1", 53)
        self.exchange(association, "127.0.0.1", "127.0.0.1")
        self.assertNotIn("Traceback", twistd.output())

    def test_loops(self) -> None:
        """
        Nothing is relayed to the proxy's own ports, by whatever name they are called.
        """
        requireIPv6(self)
        certificate = self.certificate()
        twistd = self.start("--udp-port=[::]:0", "--dtls-port=[::]:0", certificate, ports=2)
        self.ports = [("127.0.0.1", self.ports[0][1]), *self.ports[1:]]
        victim = self.associate()
        self.ports.append(("", victim.reply.port))
        association = self.associate()
        association.trigger()
        self.ports.append(("", association.reply.port))
        # Were it relayed, the victim's association would belong to the proxy itself.
        datagram = encodeHeader(victim.identifier, *ANY)
        names = ("127.0.0.1", "127.0.0.8", "localhost", "0.0.0.0", "::1", "::")
        mapped = ("::ffff:127.0.0.1", "::ffff:0.0.0.0")
        own = {"127.0.0.1", *addressesOfThisMachine()}
        for _, port in self.ports:
            for name in {*names, *mapped, *own}:
                association.send(datagram, name, port)
        remote, place = self.remote()
        # It waits for the look-up of that name as those before it do.
        association.send(b"last", "localhost", place[1])
        remote.recv(9)
        victim.trigger()
        dropped = self.dropped(twistd)
        # The rules know that it is no host, however it is written.
        everywhere = {*names, *mapped, *own} - {"0.0.0.0", "::", "::ffff:0.0.0.0"}
        self.assertEqual(
            dropped, {"loop": 4 * len(everywhere), "nowhere to go": 8, "not allowed": 4}
        )


def addressesOfThisMachine() -> set[str]:
    """
    Find the address from which this machine reaches others, if it does.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            handle.connect(("192.0.2.1", 9))
        except OSError:
            return set()
        return {str(handle.getsockname()[0])}


class NameServerTests(AssociateTestCase):
    """
    Questions to a name server.
    """

    #: id:2 flags:2 counts:8, one.example, type A, class IN
    QUESTION = bytes.fromhex("0b5c 0100 0001 0000 0000 0000 03") + b"one\7example\0\0\1\0\1"

    def check(self, association: RawAssociation) -> None:
        """
        Ask for a name, until there is an answer.
        """
        port = Dnsmasq(self).port
        association.send(self.QUESTION, "127.0.0.1", port)
        answer, source = association.receive()
        self.assertEqual(source, ("127.0.0.1", port))
        self.assertEqual(answer[:2], self.QUESTION[:2])
        self.assertEqual(answer[-4:], ip_address(ADDRESSES["one.example"]).packed)

    def test_plain(self) -> None:
        """
        They are answered.
        """
        self.start()
        self.check(self.associate())

    def test_DTLS(self) -> None:
        """
        They are answered through DTLS as well.
        """
        certificate = self.certificate()
        self.start("--udp-port=no", "--dtls-port=0", certificate)
        way = DTLSSocket(openUDP(self), self.ports[0])
        self.check(RawAssociation(self, self.place, way))


#: How many associations leave nothing behind, and how many the client's side makes at a
#: time.
ASSOCIATIONS = 1000
CROWD = 100


def residentOctets() -> int:
    """
    Tell how much memory this process has.
    """
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class LeftoverTests(ProxyTestCase):
    """
    After many associations, all is as before.
    """

    timeout = 180.0

    def setUp(self) -> None:
        """
        Start a proxy.
        """
        super().setUp()
        ask = partial(lookUp, ThreadedResolver(reactor))
        self.associations = Associations(reactor, BindPolicy(), DEFAULT_CODEC, ask)
        context = datagramContext(Authority(self.folder()).server().path)
        local = ("127.0.0.1", 0)
        service = DatagramService(self.associations, lambda: [local], [local], context)
        service.startService()
        self.addCleanup(service.stopService)
        plain, dtls = service.ports
        assert isinstance(dtls, DTLSPort)
        self.dtls = dtls
        self.plainPlace = ("127.0.0.1", plain._number)
        self.dtlsPlace = ("127.0.0.1", dtls._number)
        self.proxy: RunningProxy = self.startProxy(associations=self.associations)

    def crowd(self, count: int) -> None:
        """
        Open associations, use them, and end them in all the ways there are.
        """
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as remote,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain,
        ):
            for each in (remote, plain):
                each.settimeout(DEADLINE)
                each.bind(("127.0.0.1", 0))
            plain.connect(self.plainPlace)
            # What is to be closed in the end is closed before.
            peer = TestCase()
            for number in range(count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
                    way = plain
                    if number % 10 == 0:
                        handle.settimeout(DEADLINE)
                        way = DTLSSocket(handle, self.dtlsPlace)  # type: ignore[assignment]
                    association = RawAssociation(peer, self.proxy.place, way)
                    host = ("127.0.0.1", "localhost")[number % 2]
                    if number % 7:
                        association.send(b"x", host, placeOf(remote)[1])
                        _, source = remote.recvfrom(9)
                        remote.sendto(b"y", source)
                        self.assertEqual(association.receive()[0], b"y")
                    if number % 3 == 0:
                        reset(association.connection)
                    elif number % 3 == 1:
                        association.end()
                    association.connection.close()
                    if number % 20 == 0:
                        way.close()

    async def test_associations(self) -> None:
        """
        1,000 associations, plain and with DTLS.
        """
        # What is made once, and the interpreter's own memory.
        await self.come(2 * CROWD)
        before, memory = self.inventory(), residentOctets()
        await self.come(ASSOCIATIONS)
        self.assertEqual(self.inventory(), before)
        self.assertLess(residentOctets() - memory, 8 * 2**20)

    async def come(self, count: int) -> None:
        """
        Let crowds come and go; conversations of DTLS that have some time left, too.
        """
        for _ in range(0, count, CROWD):
            await inThread(self.crowd, CROWD)
            await self.untilForgotten(self.proxy)
            for client in list(self.dtls._clients.taken.values()):
                client.close()
            self.lines.clear()

    def inventory(self) -> dict[str, object]:
        """
        Look at what there is.
        """
        gc.collect()
        kinds = (Association, Route, _Client, Negotiation, SSL.Connection)
        found = [type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds)]
        return {
            "descriptors": len(os.listdir("/proc/self/fd")),
            "delayed calls": len(reactor.getDelayedCalls()),
            "ports": dict(self.associations.ports),
            "routes": dict(self.associations._routes),
            **{kind.__name__: found.count(kind.__name__) for kind in kinds},
        }
