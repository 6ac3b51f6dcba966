"""
Tests of L{socks6.server.datagramports}.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from socks6.dtls import DTLSConversation, DTLSDoor, DTLSFailed, clientConversation
from socks6.server import datagramports
from socks6.server.datagramports import (
    MAX_EARLY_RECORDS,
    MAX_HANDSHAKE,
    NEWCOMER_TIMEOUT,
    DTLSPort,
    PlainPort,
)
from tests.dtls import clientContext, makeDoor
from tests.server.datagrams import (
    CLIENT,
    NOBODY,
    REMOTE_PLACE,
    STRANGER,
    AssociationsTestCase,
    MemoryDatagramSocket,
    deliver,
    read,
)


class PlainPortTests(AssociationsTestCase):
    """
    A UDP port.
    """

    def setUp(self) -> None:
        super().setUp()
        self.handle = MemoryDatagramSocket()
        self.addCleanup(self.handle.close)
        self.plain = PlainPort(self.associations, self.handle)

    def test_flow(self) -> None:
        """
        Datagrams pass both ways.
        """
        opened, relay = self.open()
        deliver(self.network, self.handle, self.header(opened) + b"question", CLIENT)
        self.assertEqual(relay.take(), [(b"question", REMOTE_PLACE)])
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertEqual(self.handle.take(), [(self.header(opened) + b"answer", CLIENT)])

    def test_strangers(self) -> None:
        """
        Strangers are not answered, whatever they send.
        """
        opened, relay = self.open()
        deliver(self.network, self.handle, self.header(opened, NOBODY), CLIENT)
        for datagram in (self.header(opened) + b"x", self.header(opened)[:9], b"", b"rubbish"):
            deliver(self.network, self.handle, datagram, STRANGER)
        self.assertEqual(relay.take(), [])
        self.assertEqual(self.handle.take(), [])
        self.assertDropped(another_client=1, MalformedMessage=2, VersionMismatch=1)

    def test_tooLarge(self) -> None:
        """
        What becomes too large with its header is dropped; what just fits is not.
        """
        opened, relay = self.open()
        deliver(self.network, self.handle, self.header(opened, NOBODY), CLIENT)
        head = len(self.header(opened))
        deliver(self.network, relay, bytes(65507 - head), REMOTE_PLACE)
        self.assertEqual(len(self.handle.take()), 1)
        self.assertDropped()
        deliver(self.network, relay, bytes(65508 - head), REMOTE_PLACE)
        self.assertEqual(self.handle.take(), [])
        self.assertDropped(not_sent=1)
        self.assertEqual(opened.toClient, 65507 - head)

    def test_close(self) -> None:
        """
        A closed port is none of ours any more, and nothing is sent from it.
        """
        opened, relay = self.open()
        deliver(self.network, self.handle, self.header(opened, NOBODY), CLIENT)
        self.assertEqual(self.associations.ports[1080], 1)
        self.assertTrue(self.associations.canBeReached)
        self.plain.close()
        self.assertEqual(self.handle.fileno(), -1)
        self.assertEqual(self.associations.ports[1080], 0)
        self.assertFalse(self.associations.canBeReached)
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertDropped(not_sent=1)

    def test_batches(self) -> None:
        """
        Many datagrams are read in one turn, but not so many that nobody else has one.
        """
        opened, relay = self.open()
        for _ in range(100):
            self.handle.put(self.header(opened) + b"question", CLIENT)
        read(self.network, self.handle)
        self.assertEqual(len(relay.take()), 64)
        read(self.network, self.handle)
        self.assertEqual(len(relay.take()), 36)


class DTLSClient:
    """
    A client that speaks DTLS.
    """

    def __init__(self, case: DTLSTestCase, place: Any) -> None:
        """
        @param place: Where it is.
        """
        self._case = case
        self.place = place
        self.conversation = clientConversation(clientContext())

    def put(self, datagram: bytes) -> list[bytes]:
        """
        Send a datagram as it is.

        @return: What comes back, as it is.
        """
        handle = self._case.handle
        deliver(self._case.network, handle, datagram, self.place)
        back = [each for each, to in handle.sent if to == self.place]
        handle.sent = [(each, to) for each, to in handle.sent if to != self.place]
        return back

    def flush(self) -> list[bytes]:
        """
        Send what there is to send, and go on until all is said.

        @return: The application data that has come back.
        """
        data: list[bytes] = []
        while datagrams := list(self.conversation.outgoing()):
            for datagram in datagrams:
                for answer in self.put(datagram):
                    data += self.conversation.receive(answer)
        return data

    def connect(self) -> DTLSClient:
        """
        Shake hands.
        """
        self.conversation.start()
        self.flush()
        self._case.assertTrue(self.conversation.isEstablished)
        return self

    def begin(self) -> DTLSClient:
        """
        Show the cookie, and go no further.
        """
        self.conversation.start()
        (hello,) = self.conversation.outgoing()
        for answer in self.put(hello):
            list(self.conversation.receive(answer))
        (self.greeting,) = self.conversation.outgoing()
        self.put(self.greeting)
        return self

    def send(self, data: bytes) -> list[bytes]:
        """
        Send application data.

        @return: What has come back.
        """
        self.conversation.send(data)
        return self.flush()

    def received(self) -> list[bytes]:
        """
        Take the application data that has come.
        """
        return [data for each in self.put(b"") for data in self.conversation.receive(each)]


class DTLSTestCase(AssociationsTestCase):
    """
    A test of a DTLS port.
    """

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.door = makeDoor(folder)
        self.handle = MemoryDatagramSocket(place=("192.0.2.1", 1443))
        self.addCleanup(self.handle.close)
        self.listen(self.door)

    def listen(self, door: DTLSDoor) -> None:
        """
        Open the port.
        """
        self.dtls = DTLSPort(self.associations, self.handle, door)

    def connect(self, place: Any = CLIENT) -> DTLSClient:
        """
        Let a client in.
        """
        return DTLSClient(self, place).connect()

    def assertNobody(self) -> None:
        """
        Check that nothing is kept.
        """
        for places in (self.dtls._clients, self.dtls._newcomers):
            self.assertEqual((places.taken, dict(places._counts)), ({}, {}))
        self.assertEqual(self.network.getDelayedCalls(), [])


class DTLSPortTests(DTLSTestCase):
    """
    A DTLS port.
    """

    def test_flow(self) -> None:
        """
        Datagrams pass both ways.
        """
        opened, relay = self.open()
        client = self.connect()
        client.send(self.header(opened) + b"question")
        self.assertEqual(relay.take(), [(b"question", REMOTE_PLACE)])
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertEqual(client.received(), [self.header(opened) + b"answer"])
        self.assertEqual(opened.toClient, 6)

    def test_pinned(self) -> None:
        """
        An association belongs to a conversation: another one of the same client does not
        count, and neither does another client.
        """
        opened, relay = self.open()
        client = self.connect()
        client.send(self.header(opened, NOBODY))
        self.connect(STRANGER).send(self.header(opened) + b"x")
        self.assertDropped(another_client=1)
        self.connect().send(self.header(opened) + b"x")
        self.assertDropped(another_client=2)
        self.assertEqual(relay.take(), [])

    def test_notEncrypted(self) -> None:
        """
        A datagram that is not encrypted is nobody's.
        """
        opened, relay = self.open()
        client = self.connect()
        client.put(self.header(opened) + b"x")
        DTLSClient(self, STRANGER).put(self.header(opened) + b"x")
        self.assertNoResult(opened.confirmed)
        self.assertEqual(relay.take(), [])
        self.assertDropped(no_DTLS_greeting=1)

    def test_tooLarge(self) -> None:
        """
        What does not fit into a record with its header is dropped, and what comes next is
        not.
        """
        opened, relay = self.open()
        client = self.connect()
        client.send(self.header(opened, NOBODY))
        most = 2**14 - len(self.header(opened))
        deliver(self.network, relay, bytes(most + 1), REMOTE_PLACE)
        self.assertDropped(not_sent=1)
        deliver(self.network, relay, bytes(most), REMOTE_PLACE)
        (received,) = client.received()
        self.assertEqual(received, self.header(opened) + bytes(most))
        self.assertEqual(opened.toClient, most)

    def test_notSent(self) -> None:
        """
        What the system does not send is dropped.
        """
        opened, relay = self.open()
        client = self.connect()
        client.send(self.header(opened, NOBODY))
        self.handle.failure = OSError(errno.EMSGSIZE, "")
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertDropped(not_sent=1)
        self.assertEqual(opened.toClient, 0)

    def test_beforeCookie(self) -> None:
        """
        Nothing is kept of who has shown no cookie.
        """
        client = DTLSClient(self, CLIENT)
        client.conversation.start()
        (hello,) = client.conversation.outgoing()
        for _ in range(10):
            self.assertEqual(len(client.put(hello)), 1)
        self.assertNobody()

    def test_rubbish(self) -> None:
        """
        Rubbish is dropped, from strangers and from clients.
        """
        stranger, client = DTLSClient(self, STRANGER), self.connect()
        opened, relay = self.open()
        for junk in (b"", b"\x16", b"\x16\xfe\xfd" + bytes(60), bytes(60000)):
            self.assertEqual(stranger.put(junk), [])
            self.assertEqual(client.put(junk), [])
        self.assertDropped(no_DTLS_greeting=4)
        client.send(self.header(opened) + b"question")
        self.assertEqual(len(relay.take()), 1)

    def test_goodBye(self) -> None:
        """
        Whose client says good-bye is forgotten; what comes for it then is dropped.
        """
        opened, relay = self.open()
        client = self.connect()
        client.send(self.header(opened, NOBODY))
        client.conversation.close()
        client.flush()
        self.assertEqual(self.dtls._clients.taken, {})
        deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertDropped(not_sent=1)
        self.associations.close(opened)
        self.assertNobody()

    def test_close(self) -> None:
        """
        A port that is closed says good-bye to all.
        """
        clients = [self.connect(), self.connect(STRANGER)]
        half = DTLSClient(self, ("192.0.2.4", 1)).begin()
        self.assertTrue(self.associations.canBeReached)
        sent = self.handle.sent
        self.dtls.close()
        self.assertEqual([to for _, to in sent], [CLIENT, STRANGER])
        for client, (datagram, _) in zip(clients, sent, strict=True):
            self.assertEqual(list(client.conversation.receive(datagram)), [])
            self.assertTrue(client.conversation.isOver)
        self.assertFalse(half.conversation.isEstablished)
        self.assertEqual(self.handle.fileno(), -1)
        self.assertFalse(self.associations.canBeReached)
        self.assertEqual(dict(self.associations.ports), {})
        self.assertNobody()

    def test_newHandshake(self) -> None:
        """
        A client that begins anew from the same address is let in, if it shows the cookie;
        the old conversation goes on until then.
        """
        opened, relay = self.open()
        old = self.connect()
        old.send(self.header(opened, NOBODY))
        new = DTLSClient(self, CLIENT)
        new.conversation.start()
        (hello,) = new.conversation.outgoing()
        (answer,) = new.put(hello)
        old.send(self.header(opened) + b"still here")
        self.assertEqual(len(relay.take()), 1)
        list(new.conversation.receive(answer))
        new.flush()
        self.assertTrue(new.conversation.isEstablished)
        self.assertEqual(len(self.dtls._clients.taken), 1)
        deliver(self.network, relay, b"to the old one", REMOTE_PLACE)
        self.assertDropped(not_sent=1)
        self.assertEqual(new.received(), [])
        another, relay = self.open()
        new.send(self.header(another) + b"x")
        self.assertEqual(len(relay.take()), 1)

    def test_newHandshakeEarly(self) -> None:
        """
        So is one that begins anew in the middle of a handshake.
        """
        DTLSClient(self, CLIENT).begin()
        self.connect()
        self.assertEqual(len(self.dtls._clients.taken), 1)

    def test_repeatedGreeting(self) -> None:
        """
        A greeting that comes twice, as it was sent again, does not begin anew.
        """
        client = DTLSClient(self, CLIENT).begin()
        (before,) = self.dtls._clients.taken.values()
        client.put(client.greeting)
        (after,) = self.dtls._clients.taken.values()
        self.assertIs(before, after)

    def test_silentNewcomer(self) -> None:
        """
        Who has not sent anything for an association has only so much time, whether the
        handshake is complete or not.
        """
        opened, _ = self.open()
        used = self.connect(("192.0.2.4", 1))
        used.send(self.header(opened, NOBODY))
        DTLSClient(self, STRANGER).begin()
        client = self.connect()
        client.send(b"rubbish")
        self.network.pump([NEWCOMER_TIMEOUT / 4] * 3)
        client.send(b"rubbish")
        self.assertEqual(len(self.dtls._clients.taken), 3)
        self.network.pump([NEWCOMER_TIMEOUT / 4] * 2)
        self.assertEqual(list(self.dtls._clients.taken), [used.place])
        self.assertEqual(client.received(), [])
        self.assertTrue(client.conversation.isOver)

    def test_idle(self) -> None:
        """
        A conversation is not idle as long as datagrams of its association pass, whatever
        their direction.
        """
        sender, receiver = self.connect(STRANGER), self.connect()
        sending, _ = self.open()
        receiving, relay = self.open()
        sender.send(self.header(sending, NOBODY))
        receiver.send(self.header(receiving, NOBODY))
        for _ in range(10):
            self.network.pump([60.0])
            sender.send(self.header(sending, NOBODY))
            deliver(self.network, relay, b"answer", REMOTE_PLACE)
        self.assertEqual(len(self.dtls._clients.taken), 2)
        self.network.pump([15.0] * 20)
        self.assertEqual(len(self.dtls._clients.taken), 0)
        self.associations.close(sending)
        self.associations.close(receiving)
        self.assertNobody()

    def test_earlyRecords(self) -> None:
        """
        Who sends much that is encrypted before there are keys is not heard any more.
        """
        client = DTLSClient(self, CLIENT).begin()
        early = bytes.fromhex("17 fefd 0001 000000000001 0003") + b"abc"
        for _ in range(MAX_EARLY_RECORDS // 4):
            client.put(early * 4)
        self.assertDropped()
        client.put(early)
        self.assertDropped(too_early=1)

    def test_longHandshake(self) -> None:
        """
        Neither is who sends much in plain, as pieces of messages that are never whole.
        """
        client = DTLSClient(self, CLIENT).begin()
        # A Certificate of 100,000 octets, of which the first 4,000 are here.
        piece = bytes.fromhex("16 fefd 0000 000000000064 0fac 0b 0186a0 0005 000000 000fa0")
        piece += bytes(4000)
        for _ in range(MAX_HANDSHAKE // len(piece)):
            client.put(piece)
        self.assertDropped()
        client.put(piece)
        self.assertDropped(too_early=1)

    def test_manyNewcomers(self) -> None:
        """
        There are only so many newcomers: the oldest one makes room.
        """
        self.patch(datagramports, "MAX_NEWCOMERS", 3)
        opened, _ = self.open()
        used = self.connect()
        used.send(self.header(opened, NOBODY))
        places = [("192.0.2.4", port) for port in range(1, 6)]
        for place in places:
            DTLSClient(self, place).begin()
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, *places[-3:]])
        self.assertDropped(too_many_DTLS_newcomers=2)

    def test_newcomersOfNetwork(self) -> None:
        """
        One network has only a part of these places: its own oldest one makes room, and nobody
        else does, not even somebody who was there before.
        """
        self.patch(datagramports, "MAX_NEWCOMERS_PER_NETWORK", 2)
        DTLSClient(self, CLIENT).begin()
        places = [("192.0.2.4", port) for port in range(1, 5)]
        for place in places:
            DTLSClient(self, place).begin()
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, *places[-2:]])
        self.assertDropped(too_many_DTLS_newcomers=2)
        # Who is in has a place among others.
        opened, _ = self.open()
        self.connect(places[0]).send(self.header(opened, NOBODY))
        DTLSClient(self, places[1]).begin()
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, *places[3:], *places[:2]])
        self.assertDropped(too_many_DTLS_newcomers=3)
        self.associations.close(opened)
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, *places[:2]])

    def test_networks(self) -> None:
        """
        A network is 64 bits of IPv6, wherever in it a client is, and at a port of all addresses
        as well.
        """
        self.patch(datagramports, "MAX_NEWCOMERS_PER_NETWORK", 1)
        self.dtls.close()
        self.handle = MemoryDatagramSocket(socket.AF_INET6, ("::", 1443))
        self.addCleanup(self.handle.close)
        self.listen(self.door)
        for place in (
            ("2001:db8::1", 1, 0, 0),
            ("2001:db8:0:1::1", 1, 0, 0),
            ("2001:db8::2", 2, 0, 0),
            ("::ffff:192.0.2.4", 1, 0, 0),
            ("::ffff:192.0.2.5", 1, 0, 0),
        ):
            DTLSClient(self, place).begin()
        hosts = [address[0] for address, _ in self.dtls._clients.taken]
        self.assertEqual(
            hosts, ["2001:db8:0:1::1", "2001:db8::2", "::ffff:192.0.2.4", "::ffff:192.0.2.5"]
        )

    def test_associationOver(self) -> None:
        """
        Who has no association any more makes room like a newcomer, after those who have
        come before.
        """
        self.patch(datagramports, "MAX_NEWCOMERS", 2)
        opened, _ = self.open()
        other, _ = self.open()
        used = self.connect()
        used.send(self.header(opened, NOBODY))
        used.send(self.header(other, NOBODY))
        places = [("192.0.2.4", port) for port in range(1, 4)]
        DTLSClient(self, places[0]).begin()
        self.associations.close(opened)
        DTLSClient(self, places[1]).begin()
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, *places[:2]])
        self.associations.close(other)
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, places[1]])
        DTLSClient(self, places[2]).begin()
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, places[2]])
        DTLSClient(self, places[0]).begin()
        self.assertEqual(list(self.dtls._clients.taken), [places[2], places[0]])
        self.assertDropped(too_many_DTLS_newcomers=3)

    def test_idleAfterAssociation(self) -> None:
        """
        Without an association, a conversation is over as soon as a newcomer's.
        """
        opened, _ = self.open()
        self.connect().send(self.header(opened, NOBODY))
        self.network.advance(NEWCOMER_TIMEOUT + 1)
        self.associations.close(opened)
        self.network.pump([1.0] * 59)
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT])
        self.network.pump([1.0] * 16)
        self.assertNobody()

    def test_overWithClientGone(self) -> None:
        """
        An association can end after its conversation.
        """
        opened, _ = self.open()
        self.connect().send(self.header(opened, NOBODY))
        self.dtls._clients.taken[CLIENT].close()
        self.associations.close(opened)
        self.assertNobody()

    def test_manyClients(self) -> None:
        """
        There are only so many clients: more are turned away.
        """
        self.patch(datagramports, "MAX_CLIENTS", 2)
        for place in (CLIENT, STRANGER):
            opened, _ = self.open()
            self.connect(place).send(self.header(opened, NOBODY))
        late = DTLSClient(self, ("192.0.2.4", 1))
        late.conversation.start()
        late.flush()
        self.assertFalse(late.conversation.isEstablished)
        self.assertDropped(too_many_DTLS_clients=1)
        self.assertEqual(list(self.dtls._clients.taken), [CLIENT, STRANGER])

    def test_clientsOfNetwork(self) -> None:
        """
        One network has only a part of these places, too: others have room.
        """
        self.patch(datagramports, "MAX_CLIENTS_PER_NETWORK", 1)
        first, _ = self.open()
        self.connect().send(self.header(first, NOBODY))
        neighbour = (CLIENT[0], 1)
        late = DTLSClient(self, neighbour)
        late.conversation.start()
        late.flush()
        self.assertFalse(late.conversation.isEstablished)
        self.assertDropped(too_many_DTLS_clients=1)
        self.connect(STRANGER)
        self.dtls._clients.taken[CLIENT].close()
        self.connect(neighbour)
        self.assertEqual(list(self.dtls._clients.taken), [STRANGER, neighbour])


class ScriptedConversation:
    """
    A conversation that goes as the test says.

    @ivar isEstablished: As in L{DTLSConversation}, like the others.
    @ivar pending: What is to be sent.
    @ivar repeats: How often L{timedOut} was called.
    @ivar fails: Whether the next call fails.
    """

    def __init__(self) -> None:
        self.isEstablished = False
        self.isOver = False
        self.timeout: float | None = 1.0
        self.pending: list[bytes] = [b"flight"]
        self.repeats = 0
        self.fails = False

    def start(self) -> None:
        """
        Fail, if it is to.
        """
        if self.fails:
            raise DTLSFailed("as the test wants it")

    def receive(self, datagram: bytes) -> Iterator[bytes]:
        """
        Take nothing.
        """
        self.start()
        return iter(())

    def outgoing(self) -> Iterator[bytes]:
        """
        Give what is to be sent.
        """
        pending, self.pending = self.pending, []
        return iter(pending)

    def timedOut(self) -> None:
        """
        Send it again, after twice the time.
        """
        self.start()
        assert self.timeout is not None
        self.timeout *= 2
        self.repeats += 1
        self.pending = [b"flight"]

    def close(self) -> None:
        """
        Say nothing.
        """


class ScriptedDoor:
    """
    A door that lets everybody in.

    @ivar conversation: Who is let in next.
    """

    def __init__(self) -> None:
        self.conversation = ScriptedConversation()

    def knock(self, address: object, datagram: bytes) -> tuple[DTLSConversation | None, bytes]:
        """
        Open.
        """
        return cast("DTLSConversation", self.conversation), b""


class TimerTests(DTLSTestCase):
    """
    Flights that nobody answers.
    """

    def listen(self, door: DTLSDoor) -> None:
        """
        Open the port.
        """
        self.scripted = ScriptedDoor()
        super().listen(cast("DTLSDoor", self.scripted))

    def test_repeats(self) -> None:
        """
        They are sent again when the conversation says so, by the reactor's clock, until
        there is an answer.
        """
        deliver(self.network, self.handle, b"hello", CLIENT)
        conversation = self.scripted.conversation
        self.assertEqual(len(self.handle.take()), 1)
        for seconds in (1.0, 2.0, 4.0):
            self.network.advance(seconds - 0.01)
            self.assertEqual(self.handle.take(), [])
            self.network.advance(0.01)
            self.assertEqual(self.handle.take(), [(b"flight", CLIENT)])
        conversation.timeout = None
        deliver(self.network, self.handle, b"answer", CLIENT)
        self.network.advance(30.0)
        self.assertEqual(conversation.repeats, 3)

    def test_givesUp(self) -> None:
        """
        In the end the conversation gives up, and is forgotten.
        """
        deliver(self.network, self.handle, b"hello", CLIENT)
        self.scripted.conversation.fails = True
        self.network.advance(1.0)
        self.assertDropped(DTLS_failed=1)
        self.assertNobody()

    def test_failsAtOnce(self) -> None:
        """
        So is one that fails at once, and what it says of that is sent.
        """
        self.scripted.conversation.fails = True
        self.scripted.conversation.pending = [b"alert"]
        deliver(self.network, self.handle, b"hello", CLIENT)
        self.assertEqual(self.handle.take(), [(b"alert", CLIENT)])
        self.assertDropped(DTLS_failed=1)
        self.assertNobody()

    def test_failsLater(self) -> None:
        """
        So is one that fails later.
        """
        deliver(self.network, self.handle, b"hello", CLIENT)
        self.scripted.conversation.fails = True
        deliver(self.network, self.handle, b"answer", CLIENT)
        self.assertDropped(DTLS_failed=1)
        self.assertNobody()

    def test_close(self) -> None:
        """
        A port that is closed sends nothing again.
        """
        deliver(self.network, self.handle, b"hello", CLIENT)
        self.dtls.close()
        self.assertNobody()
