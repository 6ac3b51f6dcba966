"""
Tests of what L{socks6.local.conversation} makes of UDP ASSOCIATE.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from socks6.interfaces import OutboundFailed
from socks6.local import conversation, programport
from socks6.local.dialects import Wish
from socks6.local.isolation import Isolation, sessionKey
from socks6.local.programport import ProgramPort, openSocket
from socks6.serving.conversation import EARLY_DATA_LIMIT
from socks6.text import words
from socks6.values.address import UNSPECIFIED_IPV4
from socks6.values.codes import Command, ReplyCode
from tests.doubles import MemoryOutbound, Peer
from tests.local.harness import NO_OCTETS
from tests.local.incoming import IncomingTestCase, MemoryAssociation, MemoryDatagramSocket
from tests.local.programs import (
    ADA,
    FOUR_REFUSED,
    HELLO,
    NO_NEED,
    PASSWORD_HELLO,
    login,
    socks4,
    socks5Reply,
)

#: What a program says that does not tell where it sends from.
NOWHERE = b"\5\3\0" + bytes.fromhex("01 00000000 0000")
ASKED = HELLO + NOWHERE
WISH = Wish(Command.UDP_ASSOCIATE, UNSPECIFIED_IPV4, ADA)

#: And one that tells the port.
FROM_7000 = HELLO + b"\5\3\0" + bytes.fromhex("01 00000000 1b58")

#: Where it is to send datagrams.
GRANTED = socks5Reply(0, "01 c0000201 1388")

#: Where the program sends from, and other places.
PROGRAM = ("192.0.2.2", 7000)
OTHER_PORT = ("192.0.2.2", 7001)
OTHER_HOST = ("192.0.2.3", 7000)

#: A datagram for 203.0.113.1, port 53.
HEADER = bytes.fromhex("0000 00 01 cb007101 0035")
PLACE = ("203.0.113.1", 53)

LINE = "192.0.2.2:40000 - udp associate 0.0.0.0:0: "


class AssociateTests(IncomingTestCase):
    """
    UDP ASSOCIATE.
    """

    @property
    def way(self) -> MemoryAssociation:
        """
        The last request for a way for datagrams.
        """
        return self.outbound.associations[-1]

    @property
    def socket(self) -> MemoryDatagramSocket:
        """
        The last socket for datagrams.
        """
        return self.sockets[-1]

    @property
    def dropped(self) -> dict[str, int]:
        """
        What the last proxifier has dropped.
        """
        return dict(self.factories[-1].dropped)

    def associate(self, sent: bytes = ASKED, **options: Any) -> Peer:
        """
        Have a program send datagrams.
        """
        program = self.ask(sent, **options)
        self.way.succeed()
        self.assertTrue(program.take().endswith(GRANTED))
        return program

    def test_request(self) -> None:
        """
        The outbound hears in which session it is, and nothing is optimistic; a program
        is told nothing until there is a way.
        """
        program = self.ask(PASSWORD_HELLO + login() + NOWHERE, optimistic=True)
        self.assertFalse(program.received.endswith(GRANTED))
        request = self.way.request
        self.assertFalse(request.optimistic)
        self.assertEqual(
            request.session,
            sessionKey(frozenset([Isolation.AUTH]), WISH, "192.0.2.2"),
        )

    def test_bothWays(self) -> None:
        """
        What the program sends goes to where its header says; what comes back has a
        header that says where from.
        """
        self.associate()
        self.assertEqual(self.opened, [("192.0.2.1", 1080)])
        for header, place, back in (
            (HEADER, PLACE, HEADER),
            ("0000 00 03 0b 6578616d706c652e636f6d 0050", ("example.com", 80), None),
            (
                "0000 00 04 20010db8000000000000000000000001 ffff",
                ("2001:db8::1", 65535),
                "0000 00 04 20010db8000000000000000000000001 ffff",
            ),
            # What is reserved means nothing.
            ("ffff 00 01 cb007101 0035", PLACE, HEADER),
        ):
            for payload in (b"question", b"", bytes(60_000)):
                octets = header if isinstance(header, bytes) else bytes.fromhex(header)
                self.socket.bring(octets + payload, PROGRAM)
                self.assertEqual(self.way.sent.pop(), (payload, place))
                if back is not None:
                    self.way.received(payload + b"!", place)
                    expected = back if isinstance(back, bytes) else bytes.fromhex(back)
                    self.assertEqual(self.socket.sent.pop(), (expected + payload + b"!", PROGRAM))
        self.assertEqual(self.dropped, {})

    def test_pinned(self) -> None:
        """
        If the program has not told its port, it is that of its first datagram; from its
        host only, and others are dropped.
        """
        self.associate()
        self.socket.bring(HEADER + b"1", OTHER_HOST)
        self.socket.bring(HEADER + b"2", PROGRAM)
        self.socket.bring(HEADER + b"3", OTHER_PORT)
        self.socket.bring(HEADER + b"4", OTHER_HOST)
        self.socket.bring(HEADER + b"5", PROGRAM)
        self.assertEqual(self.way.sent, [(b"2", PLACE), (b"5", PLACE)])
        self.assertEqual(self.dropped, {"another program": 3})

    def test_malformedPinsNobody(self) -> None:
        """
        What is no datagram of SOCKS 5 does not tell where the program is.
        """
        self.associate()
        for datagram in (b"", b"\0\0\0", HEADER[:-1], b"\0\0\0\2" + bytes(9)):
            self.socket.bring(datagram, OTHER_PORT)
        self.socket.bring(HEADER + b"mine", PROGRAM)
        self.assertEqual(self.way.sent, [(b"mine", PLACE)])
        self.assertEqual(self.dropped, {"MalformedMessage": 3, "UnknownAddressType": 1})

    def test_toldPort(self) -> None:
        """
        If the program has told its port, nothing is taken from others, and it is sent
        what comes before it has sent anything.
        """
        self.associate(FROM_7000)
        self.way.received(b"first", PLACE)
        self.assertEqual(self.socket.sent, [(HEADER + b"first", PROGRAM)])
        self.socket.bring(HEADER + b"1", OTHER_PORT)
        self.socket.bring(HEADER + b"2", OTHER_HOST)
        self.socket.bring(HEADER + b"3", PROGRAM)
        self.assertEqual(self.way.sent, [(b"3", PLACE)])
        self.assertEqual(self.dropped, {"another program": 2})

    def test_toNobody(self) -> None:
        """
        If nobody knows yet where the program is, what comes is dropped.
        """
        self.associate()
        self.way.received(b"early", PLACE)
        self.assertEqual(self.socket.sent, [])
        self.assertEqual(self.dropped, {"no program yet": 1})

    def test_dropped(self) -> None:
        """
        Fragments are dropped, and so is what can go nowhere: to port 0, to no host, to
        a name that nobody can have; every time.
        """
        self.associate()
        self.way.impossible.add("impossible")
        nowhere = (
            "0000 00 01 cb007101 0000",
            "0000 00 01 00000000 0035",
            "0000 00 04 00000000000000000000000000000000 0035",
            "0000 00 03 01 ff 0035",
            "0000 00 03 0a 696d706f737369626c65 0035",
        )
        for _ in range(2):
            for fragment in ("01", "80", "ff"):
                header = bytes.fromhex(f"0000 {fragment} 01 cb007101 0035")
                self.socket.bring(header + b"part", PROGRAM)
            for digits in nowhere:
                self.socket.bring(bytes.fromhex(digits) + b"lost", PROGRAM)
        self.assertEqual(self.way.sent, [])
        self.assertEqual(self.dropped, {"fragment": 6, "nowhere to go": 10})

    def test_notSent(self) -> None:
        """
        What the program's system does not take is dropped.
        """
        self.associate(FROM_7000)
        self.socket.broken = True
        self.way.received(b"too large", PLACE)
        self.assertEqual(self.dropped, {"not sent": 1})

    def test_sources(self) -> None:
        """
        A proxy may name hosts that have sent something; what nobody can be called is
        dropped.
        """
        self.associate(FROM_7000)
        self.way.received(b"hello", ("example.com", 80))
        header = bytes.fromhex("0000 00 03 0b 6578616d706c652e636f6d 0050")
        self.assertEqual(self.socket.sent.pop(), (header + b"hello", PROGRAM))
        for host in ("x" * 256, "", "\xe9"):
            self.way.received(b"hello", (host, 80))
        self.assertEqual(self.socket.sent, [])
        self.assertEqual(self.dropped, {"impossible source": 3})

    def test_manyPlaces(self) -> None:
        """
        More places than can be remembered are reached, and heard of, nevertheless.
        """
        made: list[ProgramPort] = []

        def makePort(*arguments: Any) -> ProgramPort:
            made.append(ProgramPort(*arguments))
            return made[0]

        self.patch(programport, "MAX_ROUTES", 2)
        self.patch(conversation, "ProgramPort", makePort)
        self.associate()
        for _ in range(2):
            for port in range(1, 5):
                header = HEADER[:-1] + bytes([port])
                self.socket.bring(header + b"?", PROGRAM)
                self.assertEqual(self.way.sent.pop(), (b"?", ("203.0.113.1", port)))
                self.way.received(b"!", ("203.0.113.1", port))
                self.assertEqual(self.socket.sent.pop(), (header + b"!", PROGRAM))
        self.assertEqual((len(made[0]._places), len(made[0]._headers)), (2, 2))

    def test_programGone(self) -> None:
        """
        When the program ends its connection, or breaks it off, all is closed, and the
        log has what has passed.
        """
        for leave, result in ((Peer.end, "closed"), (Peer.reset, "client lost")):
            self.events.clear()
            program = self.associate()
            self.socket.bring(HEADER + b"four", PROGRAM)
            self.way.received(b"sixsix", PLACE)
            leave(program)
            self.assertTrue(self.way.isClosed)
            self.assertNobodyWaits(program)
            self.assertOver()
            line = f"{LINE}{result}, 4 octets to the remote host, 6 to the client, 0.000 s"
            self.assertEqual(self.lines, [line])

    def test_goneBefore(self) -> None:
        """
        When that happens before there is a way, it is given up.
        """
        for leave in (Peer.end, Peer.reset):
            program = self.ask(ASKED)
            leave(program)
            self.assertTrue(self.way.cancelled)
            self.assertOver()

    def test_wayLost(self) -> None:
        """
        When the way is lost, the program's connection is ended.
        """
        program = self.associate()
        self.way.lost("association lost: as the test wants it")
        self.network.spin()
        self.assertTrue(self.way.isClosed)
        self.leave(program)
        self.assertEqual(self.lines, [f"{LINE}association lost: as the test wants it{NO_OCTETS}"])
        # Nobody minds if that is told twice.
        self.way.lost("once more")

    def test_refused(self) -> None:
        """
        A program hears why there is no way.
        """
        for code in (ReplyCode.GENERAL_FAILURE, ReplyCode.NOT_ALLOWED, ReplyCode.TIMED_OUT):
            self.events.clear()
            program = self.ask(ASKED)
            self.way.fail(OutboundFailed(code, "as the test wants it"))
            five = {ReplyCode.TIMED_OUT: 6}.get(code, int(code))
            self.assertEqual(program.received, NO_NEED + socks5Reply(five))
            self.leave(program)
            self.assertEqual(self.lines, [f"{LINE}{words(code)} (as the test wants it){NO_OCTETS}"])

    def test_noPort(self) -> None:
        """
        If no port can be opened here, that is a failure, and nobody is asked.
        """

        def openSocket(where: object) -> None:
            raise OSError(24, "Too many open files")

        self.patch(conversation, "openSocket", openSocket)
        program = self.ask(ASKED)
        self.assertEqual(program.received, NO_NEED + socks5Reply(1))
        self.leave(program)
        self.assertEqual(self.outbound.associations, [])
        line = f"{LINE}no port for datagrams: Too many open files{NO_OCTETS}"
        self.assertEqual(self.lines, [line])

    def test_whatIsSaidMeansNothing(self) -> None:
        """
        What the program sends on its connection is thrown away, however much it is, and
        its end is still seen.
        """
        program = self.ask(ASKED + b"x" * 2 * EARLY_DATA_LIMIT)
        self.way.succeed()
        for _ in range(4):
            program.send(b"x" * EARLY_DATA_LIMIT)
            self.assertEqual(program.protocol._conversation.heldLength, 0)
        program.end()
        self.assertTrue(self.way.isClosed)
        self.assertOver()

    def test_idle(self) -> None:
        """
        It ends when no datagram has passed either way for as long as a tunnel may be
        idle.
        """
        program = self.associate(idleTimeout=10.0)
        self.network.elapse(9)
        self.socket.bring(HEADER, PROGRAM)
        self.network.elapse(9)
        self.way.received(b"", PLACE)
        self.network.elapse(9.5)
        self.assertFalse(program.ended)
        self.network.elapse(0.5)
        self.assertTrue(self.way.isClosed)
        self.leave(program)
        self.assertEqual(self.lines, [f"{LINE}idle{NO_OCTETS[:-7]}28.000 s"])

    def test_notIdleAnyMore(self) -> None:
        """
        When it has ended, nobody looks any more whether it is idle.
        """
        program = self.associate(idleTimeout=10.0)
        program.end()
        self.assertOver()

    def test_neverIdle(self) -> None:
        """
        By default it lasts as long as the program's connection.
        """
        program = self.associate()
        self.network.elapse(1_000_000)
        self.assertFalse(program.ended)

    def test_cut(self) -> None:
        """
        When the proxifier stops, all is closed.
        """
        self.associate()
        cut = self.factories[-1].cutAll()
        self.network.spin()
        self.successResultOf(cut)
        self.assertTrue(self.way.isClosed)
        self.assertOver()

    def test_droppedIsTold(self) -> None:
        """
        And the log has what was dropped, once.
        """
        self.associate()
        self.way.received(b"early", PLACE)
        self.way.received(b"early", PLACE)
        self.socket.bring(HEADER, OTHER_HOST)
        for _ in range(2):
            self.factories[-1].cutAll()
            self.network.spin()
        self.assertEqual(
            [line for line in self.lines if line.startswith("Datagrams")],
            ["Datagrams that were dropped: no program yet: 2, another program: 1"],
        )

    def test_notOffered(self) -> None:
        """
        Where the way out takes no datagrams, and in SOCKS 4, a program hears that the
        command is not supported.
        """
        for sent, heard, outbound in (
            (ASKED, NO_NEED + socks5Reply(7), MemoryOutbound(self.network)),
            (socks4(Command.UDP_ASSOCIATE), FOUR_REFUSED, self.outbound),
        ):
            program = self.ask(sent, outbound=outbound)
            self.assertEqual(program.received, heard)
            self.leave(program)
        self.assertEqual((self.sockets, self.outbound.associations), ([], []))


class WhereTests(IncomingTestCase):
    """
    Where the program's connection has come, and so where its datagrams are to.
    """

    def dialAt(self, host: IAddress, peer: IAddress) -> Peer:
        """
        Connect from somewhere to somewhere.
        """
        protocol: Any = self.makeFactory().buildProtocol(peer)
        return self.network.attach(protocol, host, peer)

    def test_addresses(self) -> None:
        """
        It is the address that the program has connected to; IPv4 is IPv4, even at a
        socket for IPv6, and a link's address is of that link.
        """
        for host, peer, where, source, other, reply in (
            (
                IPv6Address("TCP", "::1", 1081),
                IPv6Address("TCP", "::1", 40000),
                ("::1", 1081, 0, 0),
                ("::1", 7000, 0, 0),
                ("::2", 7000, 0, 0),
                "04 00000000000000000000000000000001 1388",
            ),
            (
                IPv6Address("TCP", "::ffff:127.0.0.1", 1081),
                IPv6Address("TCP", "::ffff:127.0.0.1", 40000),
                ("127.0.0.1", 1081),
                ("127.0.0.1", 7000),
                ("127.0.0.2", 7000),
                "01 7f000001 1388",
            ),
            (
                IPv6Address("TCP", "fe80::1", 1081, 0, 3),
                IPv6Address("TCP", "fe80::2", 40000, 0, 3),
                ("fe80::1", 1081, 0, 3),
                ("fe80::2", 7000, 0, 3),
                ("fe80::2", 7000, 0, 4),
                "04 fe800000000000000000000000000001 1388",
            ),
        ):
            for asked in (ASKED, FROM_7000):
                program = self.dialAt(host, peer)
                program.send(asked)
                way = self.outbound.associations[-1]
                way.succeed()
                self.assertEqual(program.received, NO_NEED + socks5Reply(0, reply))
                self.assertEqual(self.opened[-1], where)
                self.sockets[-1].bring(HEADER + b"other", other)
                self.sockets[-1].bring(HEADER + b"mine", source)
                self.assertEqual(way.sent, [(b"mine", PLACE)])

    def test_UNIXSocket(self) -> None:
        """
        Whoever can reach a port is not who can reach a UNIX socket: there is none.
        """
        program = self.dialAt(UNIXAddress("/run/socks"), UNIXAddress(None))
        program.send(ASKED)
        self.assertEqual(program.received, NO_NEED + socks5Reply(7))
        self.leave(program)
        self.assertEqual((self.sockets, self.outbound.associations), ([], []))


class OpenSocketTests(SynchronousTestCase):
    """
    L{openSocket}.
    """

    def test_bound(self) -> None:
        """
        It is bound to the address, and to a port of the system's choice.
        """
        with openSocket(("127.0.0.1", 1)) as handle:
            host, port = handle.getsockname()
            self.assertEqual(host, "127.0.0.1")
            self.assertGreater(port, 1)
            self.assertFalse(handle.getblocking())

    def test_impossible(self) -> None:
        """
        Where it cannot be bound, nothing stays open.
        """
        made: list[socket.socket] = []

        class Noted(socket.socket):
            """
            A socket that the test knows of.
            """

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                made.append(self)

        self.patch(socket, "socket", Noted)
        for where in (("192.0.2.1", 0), ("2001:db8::1", 0, 0, 0)):
            self.assertRaises(OSError, openSocket, where)
        self.assertEqual([each.fileno() for each in made], [-1, -1])
