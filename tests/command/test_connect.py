"""
Tests for L{socks6.command.connect}.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from socks6.command import connect as module
from socks6.command.connect import connect
from socks6.values.address import addressFromText
from socks6.values.codes import Command, ReplyCode
from socks6.values.messages import Request
from socks6.values.options import OptionList, UsernamePassword
from tests.client.doubles import SUCCESS, authenticationReply, operationReply, refusal
from tests.command.harness import PROXY, CommandTestCase, parse, written
from tests.doubles import Peer
from tests.integration.peers import pattern

MEGA = 2**20


class Terminal:
    """
    Pipes in the place of standard input and output.

    @ivar ended: How often standard output was ended.
    """

    def __init__(self, test: ConnectTestCase) -> None:
        self.ended = 0
        self._test = test
        self._input, self._feed = os.pipe()
        self._sink, self._output = os.pipe()
        self._open = {self._input, self._feed, self._sink, self._output}
        for descriptor in (self._feed, self._sink):
            os.set_blocking(descriptor, False)
        test.addCleanup(self._closeAll)

    def make(self, standard: Callable[..., Any], protocol: Any, reactor: Any) -> Any:
        """
        Make the transport.
        """
        return standard(protocol, stdin=self._input, stdout=self._output, reactor=reactor)

    def writeTo(self, descriptor: int) -> None:
        """
        Let standard output be something else.
        """
        os.dup2(descriptor, self._output)

    def _close(self, descriptor: int) -> None:
        """
        Close one.
        """
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)

    def _closeAll(self) -> None:
        """
        Close all.
        """
        for descriptor in set(self._open):
            self._close(descriptor)

    def endOutput(self) -> None:
        """
        Let the reader know that this was all.
        """
        self.ended += 1
        self._close(self._output)

    def type(self, octets: bytes) -> int:
        """
        Write to standard input.

        @return: How many octets were taken.
        """
        try:
            taken = os.write(self._feed, octets)
        except BlockingIOError:
            taken = 0
        self._test.spin()
        return taken

    def typeEnd(self) -> None:
        """
        End standard input.
        """
        self._close(self._feed)
        self._test.spin()

    def read(self) -> bytes:
        """
        Read what there is on standard output, and what follows.
        """
        found = b""
        while True:
            try:
                octets = os.read(self._sink, MEGA)
            except BlockingIOError:
                return found
            if not octets:
                return found
            found += octets
            self._test.spin()

    def refuse(self) -> None:
        """
        Read standard output no more.
        """
        self._close(self._sink)
        self._test.spin()


class ConnectTestCase(CommandTestCase):
    """
    A test of the command.
    """

    def setUp(self) -> None:
        super().setUp()
        self.terminal = Terminal(self)
        standard = module._Standard
        self.patch(
            module,
            "_Standard",
            lambda protocol, reactor: self.terminal.make(standard, protocol, reactor),
        )
        self.patch(module, "endOutput", self.terminal.endOutput)

    def spin(self) -> None:
        """
        Let everything happen that takes no time, at the pipes as well, as Twisted's
        reactors do.
        """
        happened = True
        while happened:
            self.network.spin()
            happened = any(
                self._perform(each, isRead)
                for isRead, descriptors in (
                    (True, self.network.readers),
                    (False, self.network.writers),
                )
                for each in list(descriptors)
                if each not in self.network.connections and each in descriptors
            )

    def _perform(self, descriptor: Any, isRead: bool) -> bool:
        """
        Read from a pipe or write to it, if that would not block.
        """
        poll = select.poll()
        poll.register(descriptor.fileno(), select.POLLIN if isRead else select.POLLOUT)
        if not poll.poll(0):
            return False
        ending = descriptor.doRead() if isRead else descriptor.doWrite()
        if ending is not None:
            self.network.removeReader(descriptor)
            self.network.removeWriter(descriptor)
            descriptor.connectionLost(Failure(ending))
        return True

    def begin(self, *arguments: str, proxy: str = PROXY) -> Deferred[int]:
        """
        Run the command.
        """
        options = parse("connect", "host.example", "443", "--proxy", proxy, *arguments)
        return self.start(connect(self.network, options))

    def connected(self, *arguments: str) -> tuple[Deferred[int], Peer]:
        """
        Run the command until it is connected.
        """
        connecting = self.begin(*arguments)
        peer, _ = self.accept()
        peer.send(SUCCESS)
        self.spin()
        return connecting, peer

    def assertEnded(self, connecting: Deferred[int], status: int) -> None:
        """
        Check how the command has ended, and that nothing is left.
        """
        self.spin()
        self.assertEqual(self.successResultOf(connecting), status)
        self.assertNothingLeft()


class RequestTests(ConnectTestCase):
    """
    What the proxy is asked, and what it may answer.
    """

    def test_request(self) -> None:
        """
        It hears where to connect to, and who we are, if it is to know.
        """
        where = addressFromText("host.example", 443)
        for proxy, options in [
            (PROXY, []),
            ("socks6://ada:s3cret@127.0.0.1", [UsernamePassword(b"ada", b"s3cret")]),
        ]:
            connecting = self.begin(proxy=proxy)
            peer, request = self.accept()
            self.assertEqual(request, Request(Command.CONNECT, where, OptionList(options)))
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.assertNothingLeft()
            self.assertTrue(peer.wasReset)

    def test_refused(self) -> None:
        """
        The proxy says no, which ends the command before anything is read.
        """
        for replies, words in [
            (authenticationReply() + operationReply(ReplyCode.NOT_ALLOWED), "not allowed (2)"),
            (refusal(), "authentication failed"),
        ]:
            for optimistic in ([], ["--optimistic"]):
                self.terminal = Terminal(self)
                with written() as (output, errors):
                    connecting = self.begin(*optimistic)
                    peer, _ = self.accept()
                    peer.send(replies)
                    peer.end()
                    self.assertEnded(connecting, 2)
                self.assertEqual(output.getvalue(), "")
                self.assertEqual(errors.getvalue(), f"socks6: the proxy refused: {words}\n")

    def test_unreachable(self) -> None:
        """
        There is no proxy, or it is none.
        """
        with written() as (_, errors):
            connecting = self.begin()
            self.proxy.refuse()
            self.network.elapse(1)
            self.assertEnded(connecting, 3)
            connecting = self.begin()
            self.proxy.accept().send(b"HTTP/1.1 400 Bad Request\r\n")
            self.network.elapse(60)
            self.assertEnded(connecting, 3)
        first, second = errors.getvalue().splitlines()
        self.assertEqual(first, "socks6: Connection was refused by other side")
        self.assertIn("not a SOCKS 6 proxy", second)

    def test_cancelled(self) -> None:
        """
        It can be broken off before it is connected.
        """
        connecting = self.begin()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertNothingLeft()


class TransferTests(ConnectTestCase):
    """
    What passes both ways.
    """

    def test_octets(self) -> None:
        """
        Octets pass both ways as they are.
        """
        connecting, peer = self.connected()
        everything = bytes(range(256))
        self.terminal.type(everything)
        self.assertEqual(peer.take(), everything)
        peer.send(everything)
        self.spin()
        self.assertEqual(self.terminal.read(), everything)
        self.assertNoResult(connecting)
        peer.end()
        self.terminal.typeEnd()
        self.assertEnded(connecting, 0)

    def test_early(self) -> None:
        """
        If optimistic, what is typed goes out before the proxy has answered.
        """
        connecting = self.begin("--optimistic")
        peer, _ = self.accept()
        self.terminal.type(b"question")
        self.assertEqual(peer.take(), b"question")
        peer.send(SUCCESS + b"answer")
        self.spin()
        self.assertEqual(self.terminal.read(), b"answer")
        self.terminal.typeEnd()
        peer.end()
        self.assertEnded(connecting, 0)

    def test_ourEndFirst(self) -> None:
        """
        The end of standard input is passed on; what comes after it is written.
        """
        connecting, peer = self.connected()
        self.terminal.type(b"question")
        self.terminal.typeEnd()
        self.assertEqual((peer.take(), peer.ended), (b"question", True))
        self.assertNoResult(connecting)
        peer.send(b"answer")
        self.spin()
        self.assertEqual(self.terminal.read(), b"answer")
        peer.end()
        self.assertEnded(connecting, 0)
        self.assertEqual(self.terminal.ended, 1)

    def test_theirEndFirst(self) -> None:
        """
        When the host has ended its direction, standard output ends, and what is typed
        is still sent.
        """
        connecting, peer = self.connected()
        peer.send(b"greeting")
        peer.end()
        self.spin()
        self.assertEqual(self.terminal.ended, 1)
        self.assertEqual(self.terminal.read(), b"greeting")
        self.assertNoResult(connecting)
        self.terminal.type(b"reply")
        self.assertEqual((peer.take(), peer.ended), (b"reply", False))
        self.terminal.typeEnd()
        self.assertEnded(connecting, 0)
        self.assertEqual(self.terminal.ended, 1)

    def test_wholeConnections(self) -> None:
        """
        Where one direction cannot end alone, the end of standard input is none, and the
        end of the connection is the end of both.
        """
        self.patch(module, "canHalfClose", lambda transport: False)
        connecting, peer = self.connected()
        self.terminal.typeEnd()
        self.assertFalse(peer.ended)
        peer.send(b"answer")
        self.spin()
        self.assertEqual(self.terminal.read(), b"answer")
        peer.end()
        self.assertEnded(connecting, 0)

    def test_slowReader(self) -> None:
        """
        As long as standard output takes no more, the host is not read.
        """
        connecting, peer = self.connected()
        data = bytes(MEGA)
        peer.send(data)
        self.spin()
        self.assertFalse(peer.isRead)
        self.assertEqual(len(self.terminal.read()), MEGA)
        self.assertTrue(peer.isRead)
        self.terminal.typeEnd()
        peer.end()
        self.assertEnded(connecting, 0)

    def test_slowHost(self) -> None:
        """
        As long as the host takes no more, standard input is not read.
        """
        connecting, peer = self.connected()
        peer.stopReading()
        data = pattern(MEGA)
        taken = 0
        while octets := self.terminal.type(data[taken : taken + 4096]):
            taken += octets
        self.assertLess(taken, len(data))
        peer.startReading()
        self.spin()
        self.assertTrue(peer.take() == data[:taken])
        self.terminal.typeEnd()
        peer.end()
        self.assertEnded(connecting, 0)

    def test_rest(self) -> None:
        """
        It does not end before all is written that came before the end.
        """
        connecting, peer = self.connected()
        self.terminal.typeEnd()
        peer.send(bytes(100_000))
        peer.end()
        self.spin()
        self.assertNoResult(connecting)
        self.assertEqual(len(self.terminal.read()), 100_000)
        self.assertEnded(connecting, 0)


class EndingTests(ConnectTestCase):
    """
    What ends it too early.
    """

    def test_broken(self) -> None:
        """
        The connection breaks; what came before is written.
        """
        connecting, peer = self.connected()
        peer.send(b"last words")
        with written() as (_, errors):
            peer.reset()
            self.spin()
            self.assertEqual(self.terminal.read(), b"last words")
            self.assertEnded(connecting, 3)
        self.assertIn("socks6: Connection to the other side was lost", errors.getvalue())

    def test_nobodyReads(self) -> None:
        """
        Nobody reads standard output any more: the connection is broken off without a
        word, whether standard input has ended or not.
        """
        for hasEnded in (False, True):
            self.terminal = Terminal(self)
            connecting, peer = self.connected()
            if hasEnded:
                self.terminal.typeEnd()
            with written() as (_, errors):
                self.terminal.refuse()
                peer.send(bytes(MEGA))
                self.assertEnded(connecting, 3)
            self.assertTrue(peer.wasReset)
            self.assertEqual(errors.getvalue(), "")

    def test_nobodyReadsTheRest(self) -> None:
        """
        The same if all has come, and not all was written.
        """
        connecting, peer = self.connected()
        self.terminal.typeEnd()
        peer.send(bytes(MEGA))
        peer.end()
        self.spin()
        with written() as (_, errors):
            self.terminal.refuse()
            self.assertEnded(connecting, 3)
        self.assertEqual(errors.getvalue(), "")

    def test_full(self) -> None:
        """
        Standard output that cannot be written, but has no reader who is gone, is an
        error.
        """
        with open("/dev/full", "wb") as full:
            self.terminal.writeTo(full.fileno())
            connecting, peer = self.connected()
            with written() as (_, errors):
                peer.send(b"answer")
                self.assertEnded(connecting, 3)
        self.assertTrue(peer.wasReset)
        self.assertEqual(errors.getvalue(), "socks6: standard output takes no more\n")

    def test_cancelled(self) -> None:
        """
        It can be broken off at any time.
        """
        connecting, peer = self.connected()
        peer.send(bytes(MEGA))
        self.spin()
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertNothingLeft()
        self.assertTrue(peer.wasReset)

    def test_writeConnectionLost(self) -> None:
        """
        That all has been sent means nothing for what is still to come.
        """
        connecting, peer = self.connected()
        peer.protocol.writeConnectionLost()
        peer.send(b"answer")
        self.spin()
        self.assertEqual(self.terminal.read(), b"answer")
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        self.spin()
        self.assertEqual(self.successResultOf(connecting), 0)
