"""
Tests of L{socks6.serving.conversation}: what it does for all protocols.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from socks6.relay.farewell import STALL_TIMEOUT
from socks6.relay.legs import LegProtocol
from socks6.serving.conversation import EARLY_DATA_LIMIT, Conversation
from socks6.wire.errors import MalformedMessage, PeerError
from tests.doubles import Peer
from tests.raising import errorOf
from tests.serving.lines import CONNECT_LINE, LineConversation, LineTestCase

NO_OCTETS = ", 0 octets to the remote host, 0 to the client, "


class ReadingTests(LineTestCase):
    """
    What a client says before its octets are relayed.
    """

    def test_started(self) -> None:
        """
        A conversation is told that it has started once the factory knows of the
        connection.
        """
        self.assertTrue(self.conversation(self.dial()).isKnown)

    def test_octetByOctet(self) -> None:
        """
        A client may take its time to say what it wants, and more.
        """
        client = self.dial()
        for octet in b"please\nGET":
            client.send(bytes([octet]))
        remote = self.succeed()
        self.assertEqual(remote.received, b"GET")
        self.assertEqual(client.received, b"welcome\n")

    def test_malformed(self) -> None:
        """
        Who breaks the protocol gets an answer, and the end, and is a line.
        """
        client = self.dial()
        client.send(b"give me\nmore")
        self.assertEqual(client.received, b"MalformedMessage\n")
        self.assertTrue(client.ended)
        self.assertFalse(client.wasReset)
        client.end()
        self.assertOver()
        self.assertEqual(self.lines, ["192.0.2.2:40000: it does not say please"])
        self.assertEqual(self.waiting, [])
        self.assertEqual(self.factories[0].accessLog.malformed, {"MalformedMessage": 1})

    def test_malformedBehindRequest(self) -> None:
        """
        Behind its request, that is what the request's line says; what was being done
        about it is given up.
        """
        client = self.dial()
        client.send(b"please\n")
        client.send(b"hello!")
        self.assertEqual(client.received, b"MalformedMessage\n")
        self.assertEqual(self.givenUp, self.waiting)
        client.end()
        self.assertOver()
        self.assertEqual(self.lines, [f"{CONNECT_LINE}it shouts{NO_OCTETS}0.000 s"])
        self.assertEqual(self.factories[0].accessLog.malformed, {"MalformedMessage": 1})
        self.assertTrue(self.conversation(client).isOver)
        self.assertEqual(self.conversation(client).waitedNoMore, 1)

    def test_onlyOneAnswer(self) -> None:
        """
        What comes behind that is not read.
        """
        client = self.dial()
        client.send(b"give me\n")
        client.send(b"please\n")
        client.send(b"!")
        self.assertEqual(client.received, b"MalformedMessage\n")
        self.assertEqual(self.waiting, [])

    def test_endsTooEarly(self) -> None:
        """
        Who ends its direction without having asked gets an answer, too.
        """
        for said in (b"", b"pleas"):
            client = self.dial()
            client.send(said)
            client.end()
            self.assertEqual(client.received, b"UnexpectedEnd\n")
            self.assertFalse(client.wasReset)
            self.assertOver()
        self.assertEqual(self.lines, ["192.0.2.2:40000: it says nothing"] * 2)

    def test_endsBehindRequest(self) -> None:
        """
        Who has asked is served nevertheless, and the remote host learns of the end.
        """
        client = self.dial()
        client.socket.input += b"please\nGET"
        self.assertFalse(self.conversation(client).inputOver)
        client.end()
        self.assertTrue(self.conversation(client).inputOver)
        self.assertFalse(client.isClosed)
        remote = self.succeed()
        self.assertEqual(remote.received, b"GET")
        self.assertTrue(remote.ended)
        remote.send(b"200 OK")
        remote.end()
        self.assertEqual(client.received, b"welcome\n200 OK")
        self.assertOver()

    def test_outputEnded(self) -> None:
        """
        That our own direction has ended is nobody's business yet.
        """
        client = self.dial()
        client.protocol.writeConnectionLost()
        client.send(b"please\n")
        self.succeed()
        self.assertEqual(client.received, b"welcome\n")


class EarlyDataTests(LineTestCase):
    """
    What a client sends ahead.
    """

    def test_bounded(self) -> None:
        """
        It is kept up to a limit, and beyond that the client is not read; nothing gets
        lost.
        """
        for excess in (0, 1, 3 * EARLY_DATA_LIMIT):
            client = self.dial()
            data = b"0123456789abcdef" * (EARLY_DATA_LIMIT // 16) + b"x" * excess
            client.send(b"please\n")
            client.send(data)
            conversation = self.conversation(client)
            self.assertEqual(client.isRead, not excess)
            self.assertLessEqual(conversation.heldLength, 2 * EARLY_DATA_LIMIT)
            remote = self.succeed()
            self.assertTrue(client.isRead)
            self.assertEqual(conversation.heldLength, 0)
            self.assertEqual(remote.received, data)

    def test_readInTheEnd(self) -> None:
        """
        A client that was not read is read again when it is refused, so that it gets the
        answer.
        """

        async def refuse(conversation: LineConversation) -> None:
            await gate
            conversation.write(b"no\n")
            conversation.end("refused")

        gate: Deferred[None] = Deferred()
        client = self.dial(refuse)
        client.send(b"please\n" + b"x" * 3 * EARLY_DATA_LIMIT)
        self.assertFalse(client.isRead)
        gate.callback(None)
        self.network.spin()
        self.assertEqual(client.received, b"no\n")
        client.end()
        self.assertFalse(client.wasReset)
        self.assertOver()

    def test_noOneElsesPause(self) -> None:
        """
        If relaying begins at once, the relay decides what is read.
        """

        async def work(conversation: LineConversation) -> None:
            leg = LegProtocol()
            peers.append(self.network.attach(leg))
            conversation.forgetDeadline()
            conversation.relay(leg)

        peers: list[Peer] = []
        client = self.dial(work)
        client.socket.input += b"please\n" + b"x" * 2 * EARLY_DATA_LIMIT
        self.network.spin()
        self.assertTrue(client.isRead)
        self.assertEqual(len(peers[0].received), 2 * EARLY_DATA_LIMIT)


class TimeLimitTests(LineTestCase):
    """
    How long a client may take.
    """

    def test_tooLate(self) -> None:
        """
        Who has not asked in time gets no answer, and is a line.
        """
        for said in (b"", b"pleas"):
            client = self.dial(requestTimeout=2.5)
            client.send(said)
            self.network.elapse(2.25)
            self.assertFalse(client.ended)
            self.network.elapse(0.25)
            self.assertTrue(client.ended)
            self.assertEqual(client.received, b"")
            client.end()
            self.assertOver()
        self.assertEqual(self.lines, ["192.0.2.2:40000: no authenticated request within 2.5 s"] * 2)

    def test_tooLateBehindRequest(self) -> None:
        """
        As long as the protocol does not say that it is enough, the limit holds; what is
        being done is given up.
        """
        client = self.dial()
        client.send(b"please\n")
        self.network.elapse(10)
        self.assertTrue(client.ended)
        client.end()
        self.assertEqual(self.givenUp, self.waiting)
        self.assertOver()
        self.assertEqual(
            self.lines,
            [f"{CONNECT_LINE}no authenticated request within 10 s{NO_OCTETS}10.000 s"],
        )

    def test_forgotten(self) -> None:
        """
        When it is enough, the rest may take as long as it takes; to forget the limit
        twice changes nothing.
        """
        client = self.dial()
        client.send(b"please\n")
        for _ in range(2):
            self.conversation(client).forgetDeadline()
        self.network.elapse(1000)
        self.succeed()
        self.assertEqual(client.received, b"welcome\n")

    def test_busy(self) -> None:
        """
        As long as we are busy, the client is not to blame; it is soon found out that we
        no longer are.
        """
        client = self.dial()
        client.send(b"please\n")
        conversation = self.conversation(client)
        conversation.isBusy = True
        self.network.elapse(100)
        self.assertFalse(client.ended)
        conversation.isBusy = False
        self.network.elapse(1)
        self.assertTrue(client.ended)
        self.assertEqual(self.givenUp, self.waiting)

    def test_goneWhileBusy(self) -> None:
        """
        A client that goes away meanwhile leaves nothing behind.
        """
        client = self.dial()
        client.send(b"please\n")
        self.conversation(client).isBusy = True
        self.network.elapse(11)
        client.reset()
        self.assertOver()
        self.assertEqual(self.givenUp, self.waiting)


class GoneTests(LineTestCase):
    """
    The client goes away.
    """

    def lose(self, client: Peer, error: Exception) -> None:
        """
        Lose its connection.
        """
        client.connection.connectionLost(Failure(error))
        self.network.spin()

    def test_beforeRequest(self) -> None:
        """
        Before it has asked, that is a line, with the reason as far as we know it.
        """
        for error, words in (
            (ConnectionDone(), "Connection was closed cleanly"),
            (ConnectionLost(), "Connection to the other side was lost in a non-clean fashion"),
            (ConnectionAborted(), "Connection was aborted locally using ITCPTransport.abortConnec"),
            (SSL.Error([("SSL routines", "", "no cipher")]), "TLS: no cipher"),
            (ValueError("what the client said"), "ValueError"),
        ):
            self.events.clear()
            client = self.dial()
            client.send(b"pl")
            self.lose(client, error)
            self.assertOver()
            (line,) = self.lines
            expected = f"192.0.2.2:40000: the client went away: {words}"
            self.assertTrue(line.startswith(expected), line)
            self.assertNotIn("what the client said", line)

    def test_behindRequest(self) -> None:
        """
        When it has asked, that is its line, and what was being done is given up.
        """
        client = self.dial()
        client.send(b"please\n")
        client.reset()
        self.assertEqual(self.givenUp, self.waiting)
        self.assertOver()
        self.assertEqual(self.lines, [f"{CONNECT_LINE}client lost{NO_OCTETS}0.000 s"])
        self.assertEqual(self.conversation(client).waitedNoMore, 1)

    def test_connectedNevertheless(self) -> None:
        """
        A remote host that is connected nevertheless is left at once, and nobody hears
        of that.
        """

        async def stubborn(conversation: LineConversation) -> None:
            try:
                await Deferred()
            except CancelledError:
                leg = LegProtocol()
                peers.append(self.network.attach(leg))
                conversation.relay(leg)

        peers: list[Peer] = []
        client = self.dial(stubborn)
        client.send(b"please\n")
        client.reset()
        self.assertTrue(peers[0].wasReset)
        self.assertOver()
        self.assertEqual(len(self.lines), 1)

    def test_write(self) -> None:
        """
        Nobody is there to hear what is written then.
        """

        async def stubborn(conversation: LineConversation) -> None:
            try:
                await Deferred()
            except CancelledError:
                raised.append(errorOf(CancelledError, conversation.write, b"anybody?"))
                conversation.write(b"hello?")

        raised: list[CancelledError | None] = []
        client = self.dial(stubborn)
        client.send(b"please\n")
        client.reset()
        self.assertNotIn(None, raised)
        self.assertEqual(len(raised), 1)
        self.assertOver()
        self.assertEqual(len(self.lines), 1)

    def test_whileRelaying(self) -> None:
        """
        Then it is the relay's business, and is reported once.
        """
        client, remote = self.tunnel()
        client.send(b"abc")
        client.reset()
        remote.end()
        self.assertOver()
        self.assertEqual(
            self.lines,
            [f"{CONNECT_LINE}client lost, 3 octets to the remote host, 0 to the client, 0.000 s"],
        )


class WorkTests(LineTestCase):
    """
    What is done about a request.
    """

    def test_fails(self) -> None:
        """
        When we fail, at once or later, that is logged once, with a traceback, and the
        client hears of it.
        """

        async def atOnce(conversation: LineConversation) -> None:
            raise ZeroDivisionError

        async def later(conversation: LineConversation) -> None:
            await gate
            raise ZeroDivisionError

        for work in (atOnce, later):
            gate: Deferred[None] = Deferred()
            self.events.clear()
            client = self.dial(work)
            client.send(b"please\n")
            gate.callback(None)
            self.network.spin()
            self.assertEqual(client.received, b"sorry\n")
            client.end()
            self.assertOver()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            self.assertEqual(self.lines, [f"{CONNECT_LINE}failed{NO_OCTETS}0.000 s"])

    def test_failsAfterwards(self) -> None:
        """
        When we fail when the client is gone, only the log says so.
        """

        async def stubborn(conversation: LineConversation) -> None:
            try:
                await Deferred()
            except CancelledError:
                raise ZeroDivisionError from None

        client = self.dial(stubborn)
        client.send(b"please\n")
        client.reset()
        self.assertEqual(client.received, b"")
        self.assertOver()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.lines[-1], f"{CONNECT_LINE}client lost{NO_OCTETS}0.000 s")

    def test_cancelsItself(self) -> None:
        """
        That something was cancelled although the client is there is a failure like
        others.
        """

        async def impatient(conversation: LineConversation) -> None:
            raise CancelledError

        client = self.dial(impatient)
        client.send(b"please\n")
        self.assertEqual(client.received, b"sorry\n")
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_end(self) -> None:
        """
        The end of a request is a line and, for the client, a good end.
        """

        async def work(conversation: LineConversation) -> None:
            conversation.write(b"done\n")
            conversation.end("well done")

        client = self.dial(work)
        client.send(b"please\n")
        self.assertEqual(client.received, b"done\n")
        self.assertTrue(client.ended)
        self.assertEqual(self.lines, [f"{CONNECT_LINE}well done{NO_OCTETS}0.000 s"])
        client.end()
        self.assertFalse(client.wasReset)
        self.assertOver()

    def test_write(self) -> None:
        """
        What is said first leaves together with what is said in the same turn of the
        reactor; later, nothing waits for a turn.
        """

        async def work(conversation: LineConversation) -> None:
            conversation.write(b"one ")
            conversation.write(b"two")
            sent.append(client.received)
            await later
            conversation.write(b" three")
            sent.append(client.received)
            conversation.end("well done")

        sent: list[bytes] = []
        later: Deferred[None] = Deferred()
        client = self.dial(work)
        client.send(b"please\n")
        later.callback(None)
        self.assertEqual(sent, [b"", b"one two three"])
        client.end()
        self.assertOver()

    def test_endAtOnce(self) -> None:
        """
        Or it is broken off; the connection is remembered as long as it is there.
        """

        async def work(conversation: LineConversation) -> None:
            conversation.endAtOnce("enough")
            cuts.append(conversation.factory.cutAll())

        cuts: list[Any] = []
        for prepare in (lambda client: None, Peer.stopReading):
            self.events.clear()
            client = self.dial(work)
            prepare(client)
            client.socket.input += b"please\nmore"
            client.connection.doRead()
            self.assertNoResult(cuts[-1])
            self.network.spin()
            self.successResultOf(cuts[-1])
            self.assertTrue(client.wasReset)
            self.assertFalse(client.ended)
            self.assertOver()
            self.assertEqual(self.lines, [f"{CONNECT_LINE}enough{NO_OCTETS}0.000 s"])

    def test_endAtOnceFromTheStart(self) -> None:
        """
        That can be right when the connection has come.
        """

        async def work(conversation: LineConversation) -> None:
            conversation.endAtOnce("enough")

        def started(conversation: LineConversation) -> None:
            conversation.feed(b"please\n")

        self.patch(LineConversation, "started", started)
        client = self.dial(work)
        self.network.spin()
        self.assertTrue(client.wasReset)
        self.assertOver()

    def test_stall(self) -> None:
        """
        A client that does not read its answer is cut in the end.
        """
        client = self.dial()
        client.stopReading()
        client.send(b"give me\n")
        self.network.elapse(STALL_TIMEOUT + 1)
        self.assertTrue(client.wasReset)
        self.assertOver()


class RelayTests(LineTestCase):
    """
    Octets are relayed.
    """

    def test_counted(self) -> None:
        """
        The line says how many, and how it ended.
        """
        client, remote = self.tunnel()
        client.send(b"abc")
        remote.send(b"defgh")
        client.end()
        self.network.elapse(2)
        self.assertEqual(self.lines, [])
        remote.end()
        self.assertOver()
        self.assertEqual(
            self.lines,
            [f"{CONNECT_LINE}closed, 3 octets to the remote host, 5 to the client, 2.000 s"],
        )

    def test_idle(self) -> None:
        """
        If tunnels may not be idle for ever, this one is cut in time.
        """
        client, remote = self.tunnel(idleTimeout=30.0)
        self.network.elapse(29.75)
        self.assertFalse(client.isClosed)
        self.network.elapse(0.25)
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertOver()
        self.assertIn(": idle, ", self.lines[0])

    def test_noLastWords(self) -> None:
        """
        If nobody says otherwise, there are no last words when the remote host is lost.
        """
        client, remote = self.tunnel()
        remote.reset()
        self.assertEqual(client.received, b"")
        self.assertTrue(client.ended)

    def test_lastWords(self) -> None:
        """
        Otherwise the client gets to hear them.
        """

        def lastWords(conversation: LineConversation, reason: Failure) -> bytes:
            return type(reason.value).__name__.encode()

        self.patch(LineConversation, "lastWords", lastWords)
        client, remote = self.tunnel()
        remote.reset()
        self.assertEqual(client.received, b"ConnectionLost")

    def test_abort(self) -> None:
        """
        To abort the connection closes both, and without a remote host just the one.
        """
        client, remote = self.tunnel()
        self.conversation(client).abort()
        self.network.spin()
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertOver()
        self.assertIn(": aborted, ", self.lines[0])
        client = self.dial()
        client.send(b"please\n")
        self.conversation(client).abort("ended by somebody")
        self.network.spin()
        self.assertTrue(client.wasReset)
        self.assertOver()
        self.assertIn(": ended by somebody, ", self.lines[-1])
        self.assertEqual(self.givenUp, self.waiting[-1:])


class SubclassTests(LineTestCase):
    """
    What a protocol has to bring along.
    """

    def bare(self) -> Conversation:
        """
        Make a conversation that knows no protocol.
        """
        leg = self.dial().protocol
        conversation = Conversation(leg.factory, leg)
        self.addCleanup(conversation.stop)
        return conversation

    def test_abstract(self) -> None:
        """
        It knows what is said, and what to say.
        """
        conversation = self.bare()
        for call in (
            lambda: conversation.heldLength,
            partial(conversation.feed, b"x"),
            conversation.endOfInput,
            partial(conversation.answer, PeerError("x")),
            conversation.takeData,
            conversation.workFailed,
        ):
            self.assertIsNotNone(errorOf(NotImplementedError, call))

    def test_optional(self) -> None:
        """
        The rest it may leave as it is.
        """
        conversation = self.bare()
        conversation.started()
        conversation.waitNoMore()
        self.assertEqual(conversation.lastWords(Failure(MalformedMessage("x"))), b"")
        self.assertFalse(conversation.isOver)
