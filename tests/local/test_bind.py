"""
Tests of what L{socks6.local.conversation} makes of BIND.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from zope.interface.verify import verifyObject

from socks6.interfaces import IAssociatingOutbound, IBindingOutbound, OutboundFailed
from socks6.local.dialects import Wish
from socks6.local.isolation import Isolation, sessionKey
from socks6.text import words
from socks6.values.address import Address
from socks6.values.codes import Command, ReplyCode
from tests.doubles import MemoryOutbound, Peer
from tests.local.harness import NO_OCTETS
from tests.local.incoming import IncomingTestCase, Wait, WelcomingOutbound
from tests.local.programs import (
    ADA,
    FOUR_REFUSED,
    HELLO,
    IPV4,
    NO_NEED,
    PASSWORD_HELLO,
    login,
    socks4,
    socks4Reply,
    socks5,
    socks5Reply,
)

FIVE = HELLO + socks5(Command.BIND)
FOUR = socks4(Command.BIND)

#: Where the proxy listens, and who comes.
BOUND = Address(IPv4Address("198.51.100.1"), 50000)
HOST = Address(IPv4Address("203.0.113.9"), 20)
BOUND_SIX = Address(IPv6Address("2001:db8::1"), 50000)
HOST_SIX = Address(IPv6Address("2001:db8::9"), 20)

#: The two replies.
FIVE_BOUND = socks5Reply(0, "01 c6336401 c350")
FIVE_CAME = socks5Reply(0, "01 cb007109 0014")
FOUR_BOUND = socks4Reply(90, "c350 c6336401")
FOUR_CAME = socks4Reply(90, "0014 cb007109")

#: What a program says, and hears: before anything, when it is listened, and when a
#: host has come.
DIALECTS = ((FIVE, NO_NEED, FIVE_BOUND, FIVE_CAME), (FOUR, b"", FOUR_BOUND, FOUR_CAME))

#: How log lines begin.
LINE = "192.0.2.2:40000 - bind 203.0.113.1:443: "


class BindTests(IncomingTestCase):
    """
    BIND.
    """

    @property
    def wait(self) -> Wait:
        """
        The last request to wait for a host.
        """
        return self.outbound.waits[-1]

    def listen(self, sent: bytes) -> Peer:
        """
        Have a program wait for a host.
        """
        program = self.ask(sent)
        program.take()
        self.wait.listening(BOUND)
        self.network.spin()
        self.assertTrue(program.take())
        return program

    def test_double(self) -> None:
        """
        The outbound of our tests is what it says.
        """
        outbound = WelcomingOutbound(self.network)
        self.assertTrue(verifyObject(IBindingOutbound, outbound))
        self.assertTrue(verifyObject(IAssociatingOutbound, outbound))

    def test_twoReplies(self) -> None:
        """
        A program hears where the proxy listens, and later who has come; then octets
        pass both ways, what it has sent before included.  It does not matter whether
        programs are told early of connections.
        """
        for optimistic in (False, True):
            for sent, heard, bound, came in DIALECTS:
                program = self.ask(sent, optimistic=optimistic)
                self.assertEqual(program.take(), heard)
                self.wait.listening(BOUND)
                self.network.spin()
                self.assertEqual(program.take().hex(), bound.hex())
                program.send(b"early ")
                self.assertEqual(program.received, b"")
                remote = self.wait.come(HOST)
                self.assertEqual(program.take().hex(), came.hex())
                program.send(b"question")
                remote.send(b"answer")
                self.assertEqual(remote.received, b"early question")
                self.assertEqual(program.received, b"answer")
                program.end()
                self.assertTrue(remote.ended)
                remote.end()
                self.assertOver()
                self.assertEqual(self.outbound.attempts, [])

    def test_IPv6(self) -> None:
        """
        SOCKS 5 has room for addresses of IPv6; SOCKS 4 says that it is the proxy's.
        """
        for sent, heard, bound, came in (
            (
                FIVE,
                NO_NEED,
                socks5Reply(0, "04 20010db8000000000000000000000001 c350"),
                socks5Reply(0, "04 20010db8000000000000000000000009 0014"),
            ),
            (FOUR, b"", socks4Reply(90, "c350 00000000"), socks4Reply(90, "0014 00000000")),
        ):
            program = self.ask(sent)
            self.wait.listening(BOUND_SIX)
            self.wait.come(HOST_SIX)
            self.assertEqual(program.received.hex(), (heard + bound + came).hex())

    def test_request(self) -> None:
        """
        The outbound hears whom the program expects, and in which session it is; nothing
        about it is optimistic.
        """
        self.ask(PASSWORD_HELLO + login() + socks5(Command.BIND), optimistic=True)
        request = self.wait.request
        self.assertEqual(request.address, IPV4)
        expected = sessionKey(
            frozenset([Isolation.AUTH]), Wish(Command.BIND, IPV4, ADA), "192.0.2.2"
        )
        self.assertEqual(request.session, expected)
        self.assertFalse(request.optimistic)

    def test_refused(self) -> None:
        """
        A program hears why there is no port, and why no host comes any more.
        """
        for code in (ReplyCode.NOT_ALLOWED, ReplyCode.GENERAL_FAILURE, ReplyCode.TIMED_OUT):
            for sent, _, _, _ in DIALECTS:
                for isBound in (False, True):
                    self.events.clear()
                    program = self.listen(sent) if isBound else self.ask(sent)
                    program.take()
                    self.wait.fail(OutboundFailed(code, "as the test wants it"))
                    five = socks5Reply({ReplyCode.TIMED_OUT: 6}.get(code, int(code)))
                    self.assertEqual(program.received, five if sent == FIVE else FOUR_REFUSED)
                    self.leave(program)
                    self.assertNobodyWaits(program)
                    self.assertEqual(
                        self.lines, [f"{LINE}{words(code)} (as the test wants it){NO_OCTETS}"]
                    )

    def test_programGone(self) -> None:
        """
        When the program is gone, nobody listens any more: whether it has closed its
        connection, which one that has been killed does, or broken it off.
        """
        for sent, _, _, _ in DIALECTS:
            for isBound in (False, True):
                for leave, result in ((Peer.end, "closed"), (Peer.reset, "client lost")):
                    self.events.clear()
                    program = self.listen(sent) if isBound else self.ask(sent)
                    leave(program)
                    self.assertTrue(self.wait.cancelled)
                    self.assertNobodyWaits(program)
                    self.assertOver()
                    self.assertEqual(self.lines, [f"{LINE}{result}{NO_OCTETS}"])

    def test_goneWithTheRequest(self) -> None:
        """
        That is so also if the end comes together with the request.
        """
        for sent, _, _, _ in DIALECTS:
            program = self.dial()
            program.socket.input += sent
            program.end()
            self.assertTrue(self.wait.cancelled)
            self.assertOver()

    def test_halfClosedLater(self) -> None:
        """
        When a host has come, the end of the program's direction is passed on, and the
        other one stays open.
        """
        program = self.listen(FIVE)
        remote = self.wait.come(HOST)
        program.end()
        remote.send(b"the file")
        remote.end()
        self.assertEqual(program.take(), FIVE_CAME + b"the file")
        self.assertOver()

    def test_lostMeanwhile(self) -> None:
        """
        A host that is gone by the time that we hear of it is a failure.
        """
        program = self.listen(FIVE)
        remote = self.network.attach(self.wait.protocol)
        remote.reset()
        self.wait.arrived.callback(HOST)
        self.network.spin()
        self.assertEqual(program.received, socks5Reply(1))
        self.leave(program)

    def test_cut(self) -> None:
        """
        When the proxifier stops, nobody listens any more.
        """
        self.listen(FIVE)
        cut = self.factories[-1].cutAll()
        self.network.spin()
        self.successResultOf(cut)
        self.assertTrue(self.wait.cancelled)
        self.assertOver()

    def test_noTimeLimit(self) -> None:
        """
        How long a host may take is the proxy's to say.
        """
        program = self.listen(FIVE)
        self.network.elapse(100_000)
        self.wait.come(HOST)
        self.assertEqual(program.received, FIVE_CAME)

    def test_notOffered(self) -> None:
        """
        Where the way out lets nobody in, a program hears that BIND is not supported.
        """
        for sent, heard, refused in ((FIVE, NO_NEED, socks5Reply(7)), (FOUR, b"", FOUR_REFUSED)):
            self.events.clear()
            program = self.ask(sent, outbound=MemoryOutbound(self.network))
            self.assertEqual(program.received, heard + refused)
            self.leave(program)
            self.assertEqual(self.lines, [f"{LINE}command not supported{NO_OCTETS}"])
