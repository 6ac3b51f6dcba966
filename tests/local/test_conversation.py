"""
Tests of L{socks6.local.conversation}.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed

from socks6.interfaces import OutboundFailed
from socks6.local import conversation
from socks6.local.dialects import Wish
from socks6.local.factory import TransparentFactory
from socks6.local.isolation import Isolation, sessionKey
from socks6.serving.conversation import EARLY_DATA_LIMIT
from socks6.serving.gate import Gate
from socks6.serving.limits import Limits
from socks6.text import words
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command, ReplyCode
from tests.doubles import BOUND_ADDRESS, CLIENT_ADDRESS, Peer
from tests.local.harness import NO_OCTETS, LocalTestCase
from tests.local.programs import (
    ADA,
    CONVERSATIONS,
    FIVE,
    FIVE_GRANTED,
    FORWARDED,
    FOUR,
    FOUR_REFUSED,
    GET,
    HELLO,
    IPV4,
    NO_NEED,
    NOTHING_ACCEPTABLE,
    PASSWORD_HELLO,
    TUNNEL,
    TUNNEL_GRANTED,
    UNSUPPORTED,
    login,
    refusedResponse,
    response,
    socks4,
    socks4Reply,
    socks5,
    socks5Reply,
)
from tests.server.harness import TLSServer

#: The answers that name L{BOUND_ADDRESS}.
FIVE_BOUND = socks5Reply(0, "01 c6336401 c350")
FOUR_BOUND = socks4Reply(90, "c350 c6336401")

#: How log lines begin.
LINE = "192.0.2.2:40000 - connect 203.0.113.1:443: "

#: What each dialect hears that is not told anything until it is known.
REQUESTS = ((FIVE, NO_NEED), (FOUR, b""), (TUNNEL, b""), (GET, b""))


class WishTests(LocalTestCase):
    """
    What programs want, in whichever dialect.
    """

    def test_waiting(self) -> None:
        """
        Without optimism, a program is told when there is a connection; the outbound
        gets to hear what it wants, and in which session.
        """
        for case in CONVERSATIONS:
            program = self.ask(case.sent, optimistic=False)
            self.assertEqual(program.take().hex(), case.heard.hex(), case.name)
            asked = self.attempt.request
            self.assertEqual(asked.address, case.wish.address, case.name)
            expected = sessionKey(frozenset([Isolation.AUTH]), case.wish, "192.0.2.2")
            self.assertEqual(asked.session, expected, case.name)
            self.assertFalse(asked.optimistic, case.name)
            self.assertIsNone(asked.typeOfService, case.name)
            remote = self.attempt.succeed()
            granted = case.granted
            if granted == FIVE_GRANTED:
                granted = FIVE_BOUND
            elif granted[:2] == FOUR_BOUND[:2]:
                granted = FOUR_BOUND
            self.assertEqual(program.take().hex(), granted.hex(), case.name)
            self.assertEqual(remote.take(), case.forwarded, case.name)
            self.passOctets(program, remote, case.name)

    def passOctets(self, program: Peer, remote: Peer, case: str) -> None:
        """
        Check that octets pass both ways, until both have ended.
        """
        program.send(b"\5question")
        remote.send(b"\0answer")
        self.assertEqual(remote.received, b"\5question", case)
        self.assertEqual(program.received, b"\0answer", case)
        program.end()
        self.assertTrue(remote.ended, case)
        remote.end()
        self.assertOver(case)

    def test_optimistic(self) -> None:
        """
        With optimism, a program is told at once, and its first data go out with the
        request; a GET has to wait for the web server.
        """
        for case in CONVERSATIONS:
            program = self.ask(case.sent + b"first ", optimistic=True)
            self.assertEqual(program.take().hex(), (case.heard + case.granted).hex(), case.name)
            self.assertTrue(self.attempt.request.optimistic, case.name)
            program.send(b"second")
            remote = self.attempt.succeed()
            self.assertEqual(remote.take(), case.forwarded + b"first second", case.name)
            self.assertEqual(program.received, b"", case.name)
            self.passOctets(program, remote, case.name)

    def test_optimisticByDefault(self) -> None:
        """
        If nobody says otherwise, it depends on what the program speaks.
        """
        for sent, heard, optimistic in (
            (FIVE, NO_NEED + FIVE_GRANTED, True),
            (FOUR, b"", False),
            (TUNNEL, TUNNEL_GRANTED, True),
            (GET, b"", True),
        ):
            program = self.ask(sent)
            self.assertEqual(program.received, heard)
            self.assertEqual(self.attempt.request.optimistic, optimistic)

    def test_octetByOctet(self) -> None:
        """
        A program may send one octet at a time.
        """
        for optimistic in (False, True):
            for case in CONVERSATIONS:
                self.outbound.attempts.clear()
                program = self.dial(optimistic=optimistic)
                for octet in case.sent + b"data":
                    program.send(bytes([octet]))
                remote = self.attempt.succeed()
                self.assertEqual(remote.received, case.forwarded + b"data", case.name)
                self.assertTrue(program.received.startswith(case.heard), case.name)

    def test_unsupported(self) -> None:
        """
        What we do not do is refused, in the program's words, and nobody is asked.
        """
        for case in UNSUPPORTED:
            for optimistic in (False, True):
                self.events.clear()
                program = self.ask(case.sent, optimistic=optimistic)
                self.assertEqual(program.received.hex(), (case.heard + case.granted).hex())
                self.leave(program, case.name)
                self.assertEqual(self.outbound.attempts, [], case.name)
                line = LINE.replace("connect", words(case.wish.command))
                self.assertEqual(self.lines, [f"{line}command not supported{NO_OCTETS}"])

    def test_halfClose(self) -> None:
        """
        A program that has ended its direction is served, whether it has done so before
        its wish was read or later.
        """
        for optimistic in (False, True):
            for sent, heard in REQUESTS:
                for separately in (False, True):
                    self.outbound.attempts.clear()
                    program = self.dial(optimistic=optimistic)
                    if separately:
                        program.send(sent)
                    else:
                        program.socket.input += sent
                    program.end()
                    self.assertFalse(program.isClosed)
                    remote = self.attempt.succeed()
                    self.assertTrue(remote.ended)
                    remote.send(b"answer")
                    remote.end()
                    self.assertTrue(program.received.startswith(heard))
                    self.assertTrue(program.received.endswith(b"answer"))
                    self.assertOver()

    def test_TLS(self) -> None:
        """
        Programs may speak to us through TLS.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        program = TLSServer(folder, self.network).accept(self.makeFactory())
        program.send(FIVE + b"GET")
        remote = self.attempt.succeed()
        self.assertEqual(remote.received, b"GET")
        remote.send(b"200 OK")
        remote.end()
        self.assertEqual(program.received, NO_NEED + FIVE_GRANTED + b"200 OK")
        program.end()
        self.assertOver()


class EarlyDataTests(LocalTestCase):
    """
    What a program sends ahead.
    """

    def test_inOrder(self) -> None:
        """
        It arrives in order, once, whenever it was sent.
        """
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                program = self.ask(sent + b"one ", optimistic=optimistic)
                program.send(b"two ")
                remote = self.attempt.succeed()
                program.send(b"three")
                expected = (FORWARDED if sent == GET else b"") + b"one two three"
                self.assertEqual(remote.received, expected)

    def test_bounded(self) -> None:
        """
        When it is too much, the program is not read until there is a connection.
        """
        data = bytes(range(256)) * (4 * EARLY_DATA_LIMIT // 256)
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                program = self.ask(sent + data, optimistic=optimistic)
                self.assertFalse(program.isRead)
                held = program.protocol._conversation.heldLength
                self.assertLess(held, 2 * EARLY_DATA_LIMIT + len(FORWARDED))
                remote = self.attempt.succeed()
                self.assertTrue(program.isRead)
                self.assertTrue(remote.received.endswith(data))

    def test_boundedAndRefused(self) -> None:
        """
        If there is none, the program gets to read that nevertheless.
        """
        for sent, heard in REQUESTS:
            program = self.ask(sent + b"x" * 4 * EARLY_DATA_LIMIT, optimistic=False)
            program.take()
            self.attempt.refuse(ReplyCode.HOST_UNREACHABLE)
            self.assertTrue(program.received.removeprefix(heard))
            self.leave(program)

    def test_boundedTransparent(self) -> None:
        """
        Also where nothing needs to be said.
        """
        where = Address(DomainName(b"x"), 1)
        self.patch(conversation, "originalDestination", lambda transport: where)
        program = self.ask(b"x" * 4 * EARLY_DATA_LIMIT, kind=TransparentFactory)
        self.assertFalse(program.isRead)
        remote = self.attempt.succeed()
        self.assertEqual(len(remote.received), 4 * EARLY_DATA_LIMIT)

    def test_noRequestIsThatLong(self) -> None:
        """
        Without a request, a program cannot make us keep much.
        """
        for start in (b"\4\1\1\xbb\0\0\0\1", b"GET http://a/ HTTP/1.1\r\nA:", b"A", b"GET "):
            program = self.dial()
            program.send(start)
            for _ in range(20):
                program.send(b"x" * 1024)
            self.assertTrue(program.ended)
            self.assertEqual(self.outbound.attempts, [])


class GateTests(LocalTestCase):
    """
    Programs that come while there are many.
    """

    def test_asked(self) -> None:
        """
        Who has said what it wants is not dropped for a newcomer; who has not is.
        """
        factory = self.makeFactory()
        factory.gate = Gate(self.network, Limits(handshakes=2))
        silent, program = (self.network.accept(factory) for _ in range(2))
        program.send(TUNNEL)
        for admitted in (True, False):
            self.assertIs(factory.gate.admits(("198.51.100.7", 4711)), admitted)
            self.network.spin()
            self.assertEqual((silent.wasReset, program.wasReset), (True, False))
            self.network.accept(factory).send(TUNNEL)


class RefusalTests(LocalTestCase):
    """
    There is no connection.
    """

    def test_everyCode(self) -> None:
        """
        A program that was told nothing yet hears why, in its own words; that is a line.
        """
        for code in ReplyCode:
            if code is ReplyCode.SUCCESS:
                continue
            five = {ReplyCode.TIMED_OUT: 6}.get(code, int(code))
            status = {
                ReplyCode.NOT_ALLOWED: "403 Forbidden",
                ReplyCode.TTL_EXPIRED: "504 Gateway Timeout",
                ReplyCode.TIMED_OUT: "504 Gateway Timeout",
                ReplyCode.COMMAND_NOT_SUPPORTED: "501 Not Implemented",
            }.get(code, "502 Bad Gateway")
            told = refusedResponse(status, words(code))
            for sent, refused in (
                (FIVE, NO_NEED + socks5Reply(five)),
                (FOUR, FOUR_REFUSED),
                (TUNNEL, told),
                (GET, told),
            ):
                self.events.clear()
                program = self.ask(sent + b"in vain", optimistic=False)
                self.attempt.refuse(code)
                self.assertEqual(program.received, refused, code.name)
                self.leave(program, code.name)
                self.assertNobodyWaits(program)
                self.assertEqual(
                    self.lines, [f"{LINE}{words(code)} (as the test wants it){NO_OCTETS}"]
                )

    def test_brokenOff(self) -> None:
        """
        A program that was told otherwise is broken off, so that it does not take that
        for a good end.
        """
        for sent, granted in (
            (FIVE, NO_NEED + FIVE_GRANTED),
            (FOUR, socks4Reply(90)),
            (TUNNEL, TUNNEL_GRANTED),
        ):
            self.events.clear()
            program = self.ask(sent, optimistic=True)
            self.attempt.refuse(ReplyCode.HOST_UNREACHABLE)
            self.assertEqual(program.received, granted)
            self.assertTrue(program.wasReset)
            self.assertOver()
            self.assertNobodyWaits(program)
            self.assertEqual(
                self.lines, [f"{LINE}host unreachable (as the test wants it){NO_OCTETS}"]
            )

    def test_forwarded(self) -> None:
        """
        A GET has been told nothing, so it gets its answer even then.
        """
        for code, status in (
            (ReplyCode.HOST_UNREACHABLE, "502 Bad Gateway"),
            (ReplyCode.NOT_ALLOWED, "403 Forbidden"),
            (ReplyCode.TIMED_OUT, "504 Gateway Timeout"),
        ):
            for optimistic in (True, None):
                program = self.ask(GET, optimistic=optimistic)
                self.attempt.refuse(code)
                self.assertEqual(program.received, refusedResponse(status, words(code)))
                self.leave(program)

    def test_halfClosed(self) -> None:
        """
        A program that has ended its direction hears of it, too.
        """
        for sent, heard in REQUESTS:
            program = self.ask(sent, optimistic=False)
            program.end()
            program.take()
            self.attempt.refuse(ReplyCode.HOST_UNREACHABLE)
            self.assertTrue(program.received, heard)
            self.assertFalse(program.wasReset)
            self.assertOver()


class MisunderstandingTests(LocalTestCase):
    """
    Programs that speak nothing that we know, or not well.
    """

    def test_rubbish(self) -> None:
        """
        What is none of our dialects gets no answer, and is a line.
        """
        for octet in (0, 1, 3, 6, 0x16, 0x20, 0x80, 0xFF):
            self.events.clear()
            program = self.dial()
            program.send(bytes([octet]) + b"rubbish")
            self.assertEqual(program.received, b"")
            self.leave(program)
            self.assertEqual(
                self.lines,
                [f"192.0.2.2:40000: neither SOCKS 4, SOCKS 5 nor HTTP: the first octet is {octet}"],
            )

    def test_malformed(self) -> None:
        """
        What is one, but makes no sense, is answered in the program's own words.
        """
        for sent, answer, line in (
            (b"\5\0", NOTHING_ACCEPTABLE, "no authentication method"),
            (
                b"\5\1\1" + FIVE,
                NOTHING_ACCEPTABLE,
                "no authentication method that we know",
            ),
            (
                HELLO + b"\4\1\0",
                NO_NEED + socks5Reply(1),
                "version 4 in a conversation in SOCKS 5",
            ),
            (socks4(rest=b"a" * 256), FOUR_REFUSED, "a user ID of more than 255 octets"),
            (
                b"GET / HTTP/1.1\r\n\r\n",
                response("400 Bad Request", "the target is no absolute URI"),
                "the target is no absolute URI",
            ),
            (
                b"GET ftp://a/ HTTP/1.1\r\n\r\n",
                response("501 Not Implemented", "the scheme of the target is not http"),
                "the scheme of the target is not http",
            ),
        ):
            self.events.clear()
            program = self.dial()
            program.send(sent)
            self.assertEqual(program.received, answer)
            self.leave(program)
            self.assertEqual(self.lines, [f"192.0.2.2:40000: {line}"])
            self.assertEqual(self.outbound.attempts, [])

    def test_earlyEnd(self) -> None:
        """
        A program that ends its direction before it has asked gets no answer.
        """
        for sent, heard, line in (
            (b"", b"", "the connection ended before a request"),
            (HELLO, NO_NEED, "the connection ended before the client's message did"),
            (FOUR[:-1], b"", "the connection ended before the program's request did"),
            (GET[:-1], b"", "the connection ended before the program's request did"),
        ):
            self.events.clear()
            program = self.dial()
            program.send(sent)
            program.end()
            self.assertEqual(program.received, heard)
            self.assertFalse(program.wasReset)
            self.assertOver()
            self.assertEqual(self.lines, [f"192.0.2.2:40000: {line}"])

    def test_tooLate(self) -> None:
        """
        So does one that takes too long; once it has asked, the outbound has its own
        limit.
        """
        for sent in (b"", b"\5", HELLO, PASSWORD_HELLO + login(), FOUR[:-1], GET[:-1]):
            program = self.dial(requestTimeout=5.0)
            program.send(sent)
            program.take()
            self.network.elapse(4.75)
            self.assertFalse(program.ended)
            self.network.elapse(0.25)
            self.assertEqual(program.received, b"")
            self.leave(program)
        self.assertEqual(set(self.lines), {"192.0.2.2:40000: no authenticated request within 5 s"})
        for sent, _ in REQUESTS:
            program = self.ask(sent, requestTimeout=5.0)
            self.network.elapse(1000)
            self.assertFalse(program.ended)
            self.assertFalse(self.attempt.cancelled)


class GoneTests(LocalTestCase):
    """
    The program goes away.
    """

    def test_beforeItHasAsked(self) -> None:
        """
        That is a line, whenever it happens.
        """
        for sent in (b"", b"\5", HELLO, PASSWORD_HELLO + login(), FOUR[:-1], GET[:-1]):
            self.events.clear()
            program = self.dial()
            program.send(sent)
            program.reset()
            self.assertOver()
            self.assertEqual(len(self.lines), 1)
            self.assertIn(": the client went away: ", self.lines[0])

    def test_connecting(self) -> None:
        """
        The outbound is told to give up, and that is a line.
        """
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                self.events.clear()
                program = self.ask(sent + b"data", optimistic=optimistic)
                program.reset()
                self.assertTrue(self.attempt.cancelled)
                self.assertOver()
                self.assertNobodyWaits(program)
                self.assertEqual(self.lines, [f"{LINE}client lost{NO_OCTETS}"])

    def test_connectedNevertheless(self) -> None:
        """
        If the outbound connects nevertheless, the connection is closed.
        """
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                self.events.clear()
                program = self.ask(sent, optimistic=optimistic)
                self.attempt.whenCancelled = self.attempt.succeed
                program.reset()
                self.assertTrue(self.network.connections[-1].everSocket.resets)
                self.assertOver()
                self.assertEqual(self.lines, [f"{LINE}client lost{NO_OCTETS}"])

    def test_failedNevertheless(self) -> None:
        """
        If it reports a failure then, nobody hears of it.
        """
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                self.events.clear()
                program = self.ask(sent, optimistic=optimistic)
                program.take()
                attempt = self.attempt
                attempt.whenCancelled = lambda attempt=attempt: attempt.refuse(  # type: ignore[misc]
                    ReplyCode.TIMED_OUT
                )
                program.reset()
                self.assertOver()
                self.assertEqual(program.received, b"")
                self.assertEqual(self.lines, [f"{LINE}client lost{NO_OCTETS}"])

    def test_connected(self) -> None:
        """
        When there is a connection, its other end learns of that.
        """
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                self.events.clear()
                program = self.ask(sent, optimistic=optimistic)
                remote = self.attempt.succeed()
                program.reset()
                self.assertTrue(remote.ended)
                remote.end()
                self.assertOver()
                self.assertEqual(len(self.lines), 1)
                self.assertIn(f"{LINE}client lost, ", self.lines[0])

    def test_cut(self) -> None:
        """
        Cutting all connections ends programs in every state.
        """
        factory = self.makeFactory()
        programs = []
        for sent in (b"", HELLO, FIVE, FOUR, GET):
            programs.append(self.network.accept(factory))
            programs[-1].send(sent)
        remote = self.outbound.attempts[-1].succeed()
        cut = factory.cutAll()
        self.network.spin()
        self.successResultOf(cut)
        for peer in (*programs, remote):
            self.assertTrue(peer.wasReset)
        self.assertOver()


class BrokenOutboundTests(LocalTestCase):
    """
    Outbounds that do what they should not.
    """

    def assertGeneralFailure(self, program: Peer, sent: bytes, isGreeted: bool) -> None:
        """
        Check that the program hears of a general failure, or is broken off if it was
        told that all is well.
        """
        if isGreeted and sent != GET:
            self.assertTrue(program.wasReset, sent)
            self.assertOver(repr(sent))
            return
        told = refusedResponse("502 Bad Gateway", "general failure")
        answers = {FIVE: NO_NEED + socks5Reply(1), FOUR: FOUR_REFUSED, TUNNEL: told, GET: told}
        self.assertEqual(program.received, answers[sent])
        self.leave(program, repr(sent))

    def test_raises(self) -> None:
        """
        What an outbound raises, or fails with, is logged once, with a traceback.
        """

        def connect(*arguments: Any) -> Deferred[None]:
            raise ZeroDivisionError

        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                self.events.clear()
                outbound: Any = type("Outbound", (), {"connect": staticmethod(connect)})
                program = self.ask(sent, optimistic=optimistic, outbound=outbound)
                self.assertGeneralFailure(program, sent, optimistic)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                program = self.ask(sent, optimistic=optimistic)
                self.attempt.fail(ZeroDivisionError())
                self.assertGeneralFailure(program, sent, optimistic)
                self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
                self.assertEqual(self.lines.count(f"{LINE}failed{NO_OCTETS}"), 2)

    def test_noTransport(self) -> None:
        """
        An outbound that has connected nothing is found out.
        """
        outbound: Any = type("Outbound", (), {"connect": lambda *arguments: succeed(None)})
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                program = self.ask(sent, optimistic=optimistic, outbound=outbound())
                self.assertGeneralFailure(program, sent, optimistic)
                (failure,) = self.flushLoggedErrors()
                self.assertEqual(str(failure.value), "the outbound has connected nothing")

    def test_lostMeanwhile(self) -> None:
        """
        A connection that was lost before the outbound said that it is made is a
        failure.
        """
        for optimistic in (False, True):
            for sent, _ in REQUESTS:
                self.events.clear()
                program = self.ask(sent, optimistic=optimistic)
                self.network.attach(self.attempt.protocol).reset()
                self.attempt.done.callback(None)
                self.network.spin()
                self.assertGeneralFailure(program, sent, optimistic)
                self.assertEqual(self.lines, [f"{LINE}the remote host is gone already{NO_OCTETS}"])

    def test_strangeAddress(self) -> None:
        """
        A connection whose address makes no sense does not stay behind.
        """
        for sent in (FIVE, FOUR):
            program = self.ask(sent, optimistic=False)
            remote = self.network.attach(self.attempt.protocol)
            nonsense: Any = "somewhere"
            self.attempt.done.callback(nonsense)
            self.network.spin()
            self.assertTrue(remote.wasReset)
            self.assertGeneralFailure(program, sent, False)
            self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_noAddress(self) -> None:
        """
        One of which no address is known is as good as others.
        """
        for sent, granted in ((FIVE, NO_NEED + FIVE_GRANTED), (FOUR, socks4Reply(90))):
            program = self.ask(sent, optimistic=False)
            remote = self.attempt.succeed(UNIXAddress("/run/elsewhere"), socket.AF_UNIX)
            self.assertEqual(program.received, granted)
            program.send(b"GET")
            self.assertEqual(remote.received, b"GET")


class SessionTests(LocalTestCase):
    """
    In which session a request is.
    """

    def test_parts(self) -> None:
        """
        It depends on what was chosen: who the program says it is, where it wants to go,
        where it is.
        """
        v6 = IPv6Address("TCP", "::1", 4711)
        for isolations in ([], [Isolation.AUTH], list(Isolation)):
            for sent, wish in (
                (FIVE, Wish(Command.CONNECT, IPV4, None)),
                (PASSWORD_HELLO + login() + socks5(), Wish(Command.CONNECT, IPV4, ADA)),
            ):
                for peer, client in (
                    (CLIENT_ADDRESS, "192.0.2.2"),
                    (v6, "::1"),
                    (UNIXAddress(None), ""),
                ):
                    self.ask(sent, isolations=isolations, peer=peer)
                    self.assertEqual(
                        self.attempt.request.session,
                        sessionKey(frozenset(isolations), wish, client),
                    )


class LogTests(LocalTestCase):
    """
    What the operator reads.
    """

    def test_tunnel(self) -> None:
        """
        A tunnel is one line, written when it is over, with the name that the program
        has given.
        """
        for case in CONVERSATIONS:
            self.events.clear()
            program = self.ask(case.sent + b"abc")
            remote = self.attempt.succeed()
            remote.send(b"defgh")
            program.end()
            self.assertEqual(self.lines, [])
            remote.end()
            user = "-"
            if case.wish.credentials is not None:
                user = case.wish.credentials.username.decode() or "-"
            line = f"192.0.2.2:40000 {user} connect {case.wish.address}: closed, "
            octets = f"{len(case.forwarded) + 3} octets to the remote host, 5 to the client"
            self.assertEqual(self.lines, [f"{line}{octets}, 0.000 s"])

    def test_names(self) -> None:
        """
        A name cannot break the line, nor fill the log.
        """
        for name, shown in (
            (b"a\nb\x1b[2J", r"a\nb\x1b[2J"),
            ("zo\u00eb".encode(), r"zo\xeb"),
            (b"\xff", r"\\xff"),
            (b"x" * 255, "x" * 255),
        ):
            self.events.clear()
            program = self.ask(PASSWORD_HELLO + login(name) + socks5())
            program.reset()
            self.assertIn(f" {shown} connect ", self.lines[0])
        self.events.clear()
        basic = b64encode(b"x" * 8000 + b":s3cret")
        program = self.ask(
            b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic " + basic + b"\r\n\r\n"
        )
        program.reset()
        self.assertIn(f" {'x' * 255} connect ", self.lines[0])

    def test_noPasswords(self) -> None:
        """
        Whatever happens, no password is in the log.
        """
        for case in CONVERSATIONS:
            if case.wish.credentials is None:
                continue
            for optimistic in (False, True):
                for end in (
                    lambda attempt: attempt.succeed().reset(),
                    lambda attempt: attempt.refuse(ReplyCode.HOST_UNREACHABLE),
                    lambda attempt: attempt.fail(ZeroDivisionError()),
                ):
                    program = self.ask(case.sent, optimistic=optimistic)
                    end(self.attempt)
                    program.reset()
                for cut in range(len(case.sent)):
                    program = self.dial()
                    program.send(case.sent[:cut])
                    program.reset()
                    program = self.dial()
                    program.send(case.sent[:cut] + b"\0" * 20000)
                    program.reset()
        logged = self.flushLoggedErrors(ZeroDivisionError)
        text = "".join([*self.lines, *(failure.getTraceback() for failure in logged)])
        self.assertIn("192.0.2.2", text)
        self.assertNotIn("s3cret", text)
        self.assertNotIn("YWRhOnMzY3JldA", text, "nor in base64")


class TransparentTests(LocalTestCase):
    """
    Programs that do not know of us.
    """

    def redirect(self, where: Address | None = IPV4) -> None:
        """
        Let connections have been redirected.

        @param where: Where they were to go.
        """
        self.patch(conversation, "originalDestination", lambda transport: where)

    def test_connect(self) -> None:
        """
        They are connected to where they want to go, and hear nothing of us.
        """
        for optimistic in (None, False, True):
            for where in (IPV4, Address(DomainName(b"\xff"), 1)):
                self.redirect(where)
                program = self.ask(b"", kind=TransparentFactory, optimistic=optimistic)
                asked = self.attempt.request
                self.assertEqual(asked.address, where)
                self.assertEqual(asked.optimistic, optimistic is True)
                wish = Wish(Command.CONNECT, where, None)
                expected = sessionKey(frozenset([Isolation.AUTH]), wish, "192.0.2.2")
                self.assertEqual(asked.session, expected)
                program.send(FIVE)
                remote = self.attempt.succeed()
                remote.send(b"answer")
                self.assertEqual(remote.received, FIVE)
                self.assertEqual(program.received, b"answer")
                program.end()
                remote.end()
                self.assertOver()

    def test_transport(self) -> None:
        """
        It is the program's connection that is asked for that.
        """
        asked: list[Any] = []
        self.patch(conversation, "originalDestination", asked.append)
        program = self.ask(b"", kind=TransparentFactory)
        self.assertEqual(asked, [program.connection])

    def test_refused(self) -> None:
        """
        If there is no connection, theirs is broken off.
        """
        for optimistic in (False, True):
            self.redirect()
            self.events.clear()
            program = self.ask(b"GET", kind=TransparentFactory, optimistic=optimistic)
            self.attempt.refuse(ReplyCode.CONNECTION_REFUSED)
            self.assertEqual(program.received, b"")
            self.assertTrue(program.wasReset)
            self.assertOver()
            self.assertEqual(
                self.lines, [f"{LINE}connection refused (as the test wants it){NO_OCTETS}"]
            )

    def test_refusedAtOnce(self) -> None:
        """
        That can be known as soon as they have come.
        """

        def connect(*arguments: Any) -> Deferred[None]:
            raise OutboundFailed(ReplyCode.NOT_ALLOWED, "no")

        self.redirect()
        outbound: Any = type("Outbound", (), {"connect": staticmethod(connect)})
        program = self.ask(b"", kind=TransparentFactory, outbound=outbound)
        self.network.spin()
        self.assertTrue(program.wasReset)
        self.assertOver()

    def test_loop(self) -> None:
        """
        Who has come to us on purpose is not connected to ourselves.
        """
        self.redirect(None)
        program = self.ask(b"GET", kind=TransparentFactory)
        self.assertEqual(self.outbound.attempts, [])
        self.assertEqual(program.received, b"")
        self.assertTrue(program.wasReset)
        self.assertOver()
        self.assertEqual(
            self.lines, [f"192.0.2.2:40000 - connect 0.0.0.0:0: not redirected{NO_OCTETS}"]
        )

    def test_noTimeLimit(self) -> None:
        """
        They need not say anything.
        """
        self.redirect()
        program = self.ask(b"", kind=TransparentFactory)
        self.network.elapse(1000)
        remote = self.attempt.succeed()
        remote.send(b"banner")
        self.assertEqual(program.received, b"banner")

    def test_halfClose(self) -> None:
        """
        They may end their direction before there is a connection.
        """
        self.redirect()
        program = self.ask(b"GET", kind=TransparentFactory)
        program.end()
        remote = self.attempt.succeed()
        self.assertEqual(remote.received, b"GET")
        self.assertTrue(remote.ended)
        remote.send(b"answer")
        remote.end()
        self.assertEqual(program.received, b"answer")
        self.assertOver()

    def test_gone(self) -> None:
        """
        They may go away meanwhile.
        """
        self.redirect()
        program = self.ask(b"", kind=TransparentFactory)
        program.reset()
        self.assertTrue(self.attempt.cancelled)
        self.assertOver()
        self.assertEqual(self.lines, [f"{LINE}client lost{NO_OCTETS}"])

    def test_remoteLost(self) -> None:
        """
        Nothing is said if the remote host is lost, either.
        """
        self.redirect()
        program = self.ask(b"", kind=TransparentFactory)
        remote = self.attempt.succeed(IPv4Address("TCP", "198.51.100.1", BOUND_ADDRESS.port))
        remote.reset()
        self.assertEqual(program.received, b"")
        self.leave(program)
