"""
Tests of L{socks6.client.datagramways}.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectError, ConnectionLost, MessageLengthError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from socks6.client.datagramways import DTLSWay, PlainWay
from socks6.client.dtls import optionsForClientDTLS
from socks6.dtls import DTLSFailed
from tests.client.certificates import certificateFor
from tests.client.datagrams import PROXY, DTLSServer, MemoryHandle
from tests.client.test_dtls import NAME, publicPart
from tests.raising import errorOf

ELSEWHERE = ("192.0.2.1", 1081)


class WayTestCase(SynchronousTestCase):
    """
    A test of a way.

    @ivar received: What has come from the proxy.
    @ivar losses: What was told of the way's end.
    """

    def setUp(self) -> None:
        """
        Have a socket.
        """
        self.reactor = MemoryReactorClock()
        self.handle = MemoryHandle()
        self.received: list[bytes] = []
        self.losses: list[Exception] = []
        handle: Any = self.handle
        self.plain = PlainWay(self.reactor, handle, PROXY)

    def read(self, *datagrams: bytes, source: Any = PROXY) -> None:
        """
        Let the socket read some datagrams.
        """
        self.handle.incoming.extend((datagram, source) for datagram in datagrams)
        for reader in self.reactor.getReaders():
            reader.doRead()

    def takeSent(self) -> list[bytes]:
        """
        Tell what was sent to the proxy since the last time.
        """
        sent = list(self.handle.sent)
        self.handle.sent.clear()
        self.assertEqual([address for _, address in sent], [PROXY] * len(sent))
        return [datagram for datagram, _ in sent]


class PlainWayTests(WayTestCase):
    """
    L{PlainWay} passes datagrams as they are.
    """

    def start(self) -> None:
        """
        Begin.
        """
        started = self.plain.start(self.received.append, self.losses.append)
        self.assertIsNone(self.successResultOf(started))

    def test_bothWays(self) -> None:
        """
        What is sent goes to the proxy, and what it sends is passed on.
        """
        self.start()
        self.plain.send(b"header", b"payload")
        self.plain.send(b"header", b"")
        self.assertEqual(self.takeSent(), [b"headerpayload", b"header"])
        self.read(b"one", b"", b"two")
        self.assertEqual(self.received, [b"one", b"", b"two"])

    def test_strangers(self) -> None:
        """
        What others send is dropped and counted, even if it comes from the same host.
        """
        self.start()
        for source in (ELSEWHERE, ("192.0.2.9", PROXY[1])):
            self.read(b"x", source=source)
        self.assertEqual(self.received, [])
        self.assertEqual(self.plain.dropped, {"not from the proxy": 2})

    def test_notSent(self) -> None:
        """
        What cannot be sent at the moment is dropped and counted.
        """
        self.start()
        for number in (errno.EAGAIN, errno.ENOBUFS, errno.ENETUNREACH, errno.ECONNREFUSED):
            self.handle.sendError = OSError(number, os.strerror(number))
            self.plain.send(b"header", b"payload")
        self.assertEqual(self.plain.dropped, {"not sent": 4})
        self.handle.sendError = None
        self.plain.send(b"header", b"payload")
        self.assertEqual(self.takeSent(), [b"headerpayload"])

    def test_tooLarge(self) -> None:
        """
        What can never be sent is the user's mistake.
        """
        self.start()
        self.handle.sendError = OSError(errno.EMSGSIZE, "too long")
        self.assertIsNotNone(errorOf(MessageLengthError, self.plain.send, b"", bytes(70000)))
        self.assertEqual(self.plain.dropped, {})

    def test_tooEarly(self) -> None:
        """
        Nothing is passed on before the way is started.
        """
        self.read(b"x")
        self.start()
        self.assertEqual(self.received, [])

    def test_close(self) -> None:
        """
        A closed way passes nothing.  It may be closed twice.
        """
        self.start()
        self.plain.close()
        self.plain.close()
        self.assertTrue(self.handle.isClosed)
        self.assertEqual(self.reactor.getReaders(), [])
        self.plain.send(b"header", b"payload")
        self.assertEqual(self.plain.dropped, {"not sent": 1})
        self.assertEqual(self.losses, [])


class DTLSWayTests(WayTestCase):
    """
    L{DTLSWay} speaks DTLS.
    """

    def setUp(self) -> None:
        """
        Have a proxy.
        """
        super().setUp()
        self.server = DTLSServer(certificateFor(NAME))
        self.begin(NAME)

    def begin(self, hostname: str) -> None:
        """
        Begin to shake hands.
        """
        options = optionsForClientDTLS(hostname, publicPart(certificateFor(NAME)))
        self.way = DTLSWay(self.reactor, options, self.plain)
        self.started = self.way.start(self.received.append, self.losses.append)
        self.assertNoResult(self.started)

    def converse(self) -> None:
        """
        Let both sides say all that they have to say.
        """
        while flight := self.takeSent():
            for datagram in flight:
                self.read(*self.server.receive(datagram))

    def establish(self) -> None:
        """
        Shake hands.
        """
        self.converse()
        self.assertIsNone(self.successResultOf(self.started))

    def test_bothWays(self) -> None:
        """
        Datagrams pass in both directions, each as it was, and nobody else can read
        them.
        """
        self.establish()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.way.send(b"header", b"payload")
        self.way.send(b"", b"x" * 9000)
        sent = self.takeSent()
        self.assertEqual(len(sent), 2)
        self.assertNotIn(b"payload", sent[0])
        for datagram in sent:
            self.server.receive(datagram)
        self.assertEqual(self.server.received, [b"headerpayload", b"x" * 9000])
        for data in (b"one", b"y" * 9000, b"three"):
            self.read(*self.server.say(data))
        self.assertEqual(self.received, [b"one", b"y" * 9000, b"three"])

    def test_smallFlights(self) -> None:
        """
        The handshake takes datagrams that pass everywhere.
        """
        longest = 0
        while flight := self.takeSent():
            longest = max(longest, *map(len, flight))
            for datagram in flight:
                self.read(*self.server.receive(datagram))
        self.successResultOf(self.started)
        self.assertLessEqual(longest, 1200)

    def test_tooLarge(self) -> None:
        """
        A datagram that fits into no record is the user's mistake.
        """
        self.establish()
        self.way.send(b"h", bytes(2**14 - 1))
        self.assertIsNotNone(errorOf(MessageLengthError, self.way.send, b"h", bytes(2**14)))
        self.assertEqual(self.way.dropped, {})

    def test_wrongProxy(self) -> None:
        """
        If the proxy is not who it should be there is no way, and all is closed.
        """
        self.way.close()
        self.handle = MemoryHandle()
        handle: Any = self.handle
        self.plain = PlainWay(self.reactor, handle, PROXY)
        self.begin("other.example")
        self.converse()
        error = self.failureResultOf(self.started, ConnectError).value
        self.assertIn("DTLS with the proxy failed: certificate verify failed", str(error))
        self.assertIsInstance(error.__cause__, DTLSFailed)
        self.assertTrue(self.handle.isClosed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.losses, [])
        # The proxy has been told.
        self.assertIn("alert", str(self.server.error))

    def test_strangers(self) -> None:
        """
        What others send, and what is no DTLS, changes nothing.
        """
        self.read(b"rubbish", source=ELSEWHERE)
        self.read(b"rubbish", b"")
        self.establish()
        self.read(b"rubbish", b"")
        self.read(*self.server.say(b"data"), source=ELSEWHERE)
        self.assertEqual(self.received, [])
        self.assertEqual(self.way.dropped, {"not from the proxy": 2})
        self.read(*self.server.say(b"data"))
        self.assertEqual(self.received, [b"data"])

    def test_goodbye(self) -> None:
        """
        When the proxy says good-bye the way is lost.
        """
        self.establish()
        assert self.server.conversation is not None
        self.server.conversation.close()
        self.read(*self.server.conversation.outgoing())
        (error,) = self.losses
        self.assertIsInstance(error, ConnectionLost)
        self.assertIn("the proxy has ended it", str(error))
        self.assertTrue(self.handle.isClosed)

    def test_close(self) -> None:
        """
        A closed way has said good-bye, and passes nothing; it may be closed twice.
        """
        self.establish()
        self.way.close()
        for datagram in self.takeSent():
            self.server.receive(datagram)
        assert self.server.conversation is not None
        self.assertTrue(self.server.conversation.isOver)
        self.assertTrue(self.handle.isClosed)
        self.way.close()
        self.way.send(b"header", b"payload")
        self.assertEqual(self.takeSent(), [])
        self.assertEqual(self.way.dropped["not sent"], 1)
        self.assertEqual(self.losses, [])

    def test_closeEarly(self) -> None:
        """
        So does one that is closed while hands are being shaken.
        """
        self.way.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertTrue(self.handle.isClosed)
        self.assertNoResult(self.started)

    def test_closedMeanwhile(self) -> None:
        """
        It may be closed by who has got the first of several datagrams that came in one.
        """
        self.establish()
        way = self.way

        class Closer(list[bytes]):
            def append(self, data: bytes) -> None:
                super().append(data)
                way.close()

        closer = Closer()
        way._received = closer.append
        self.read(b"".join([*self.server.say(b"one"), *self.server.say(b"two")]))
        self.assertEqual(closer, [b"one"])
        self.assertEqual(self.losses, [])

    def test_tooEarly(self) -> None:
        """
        What comes in the same datagram as the end of the handshake is dropped: nobody
        can have been asked for it yet.
        """
        last: list[bytes] = []
        while flight := self.takeSent():
            last = [answer for datagram in flight for answer in self.server.receive(datagram)]
            assert self.server.conversation is None or not self.server.conversation.isEstablished
            self.read(*last)
            if self.server.conversation is not None:
                break
        answers = [
            answer for datagram in self.takeSent() for answer in self.server.receive(datagram)
        ]
        self.read(b"".join([*answers, *self.server.say(b"unasked")]))
        self.successResultOf(self.started)
        self.assertEqual(self.received, [])
        self.assertEqual(self.way.dropped, {"too early": 1})


class ScriptedConversation:
    """
    A conversation that the test plays.

    @ivar timeout: See L{DTLSConversation<socks6.dtls.DTLSConversation>}.
    @ivar error: What the next step fails with.
    @ivar expired: How often the time was over.
    """

    isEstablished = False
    isOver = False

    def __init__(self) -> None:
        self.timeout: float | None = 1.0
        self.error: DTLSFailed | None = None
        self.expired = 0
        self._outgoing = [b"hello"]

    def conversation(self) -> Any:
        """
        Give itself.
        """
        return self

    def start(self) -> None:
        """
        Begin.
        """

    def receive(self, datagram: bytes) -> Iterator[bytes]:
        """
        Succeed, or fail.
        """
        if self.error is not None:
            raise self.error
        self.isEstablished = True
        self.timeout = None
        return iter(())

    def send(self, data: bytes) -> None:
        """
        Fail, as nothing can be sent any more.
        """
        raise DTLSFailed("as the test wants it")

    def timedOut(self) -> None:
        """
        Say hello again, a longer time after.
        """
        if self.error is not None:
            raise self.error
        self.expired += 1
        assert self.timeout is not None
        self.timeout *= 2
        self._outgoing.append(b"hello again")

    def outgoing(self) -> Iterator[bytes]:
        """
        Give what is to be said.
        """
        outgoing, self._outgoing = self._outgoing, []
        return iter(outgoing)

    def close(self) -> None:
        """
        Say good-bye.
        """


class RepetitionTests(WayTestCase):
    """
    L{DTLSWay} sends again what nobody has answered.
    """

    def setUp(self) -> None:
        """
        Begin to shake hands.
        """
        super().setUp()
        self.conversation = ScriptedConversation()
        options: Any = self.conversation
        self.way = DTLSWay(self.reactor, options, self.plain)
        self.started = self.way.start(self.received.append, self.losses.append)

    def test_repeats(self) -> None:
        """
        That happens when the conversation says, by the reactor's clock, until there is
        an answer.
        """
        self.assertEqual(self.takeSent(), [b"hello"])
        self.reactor.advance(0.9)
        self.assertEqual(self.takeSent(), [])
        self.reactor.advance(0.1)
        self.assertEqual(self.takeSent(), [b"hello again"])
        self.reactor.advance(1.9)
        self.assertEqual(self.takeSent(), [])
        self.reactor.advance(0.1)
        self.assertEqual(self.takeSent(), [b"hello again"])
        self.read(b"answer")
        self.successResultOf(self.started)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_givesUp(self) -> None:
        """
        When the conversation has had enough of it, there is no way.
        """
        self.conversation.error = DTLSFailed("read timeout expired")
        self.reactor.advance(1.0)
        self.failureResultOf(self.started, ConnectError)
        self.assertTrue(self.handle.isClosed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """
        A closed way repeats nothing.
        """
        self.way.close()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_closedMeanwhile(self) -> None:
        """
        Nor does one that is closed by who has got a datagram.
        """

        def receive(datagram: bytes) -> Iterator[bytes]:
            self.way.close()
            return iter(())

        self.patch(self.conversation, "receive", receive)
        self.read(b"answer")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.way.dropped, {})

    def test_broken(self) -> None:
        """
        If the conversation fails after it has stood, the way is lost.
        """
        self.read(b"answer")
        self.conversation.error = DTLSFailed("as the test wants it")
        self.read(b"rubbish")
        (error,) = self.losses
        self.assertIsInstance(error, ConnectionLost)
        self.successResultOf(self.started)

    def test_notSent(self) -> None:
        """
        What the conversation does not take is dropped and counted.
        """
        self.read(b"answer")
        self.way.send(b"header", b"payload")
        self.assertEqual(self.way.dropped, {"not sent": 1})
