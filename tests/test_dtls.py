"""
Tests of L{socks6.dtls}.

What is lost on its way is sent again by the time that OpenSSL reads from the system, so
that is tested in L{tests.integration.test_dtls}.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from socks6.dtls import (
    MAX_DATAGRAM,
    MAX_RECORD,
    DTLSConversation,
    DTLSDoor,
    DTLSFailed,
    clientConversation,
    encryptedRecords,
    helloIn,
    isApplicationData,
    newContext,
)
from socks6.server.tls import datagramContext
from tests.dtls import ADDRESS, Pair, clientContext, makeDoor
from tests.integration.certificates import Authority


def received(conversation: DTLSConversation, *datagrams: bytes) -> list[bytes]:
    """
    Let a side take datagrams.

    @return: The application data in them.
    """
    return [data for datagram in datagrams for data in conversation.receive(datagram)]


class DTLSTestCase(SynchronousTestCase):
    """
    A test with a door.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.door = makeDoor(self.folder)

    def establish(self) -> tuple[DTLSConversation, DTLSConversation]:
        """
        Let a client in.

        @return: Its side, and the proxy's.
        """
        pair = Pair(self.door)
        pair.handshake()
        assert pair.server is not None
        self.assertTrue(pair.isEstablished)
        return pair.client, pair.server


class HandshakeTests(DTLSTestCase):
    """
    How a conversation begins.
    """

    def test_handshake(self) -> None:
        """
        Both sides agree on DTLS 1.2 or later, after one cookie.
        """
        pair = Pair(self.door)
        pair.handshake()
        self.assertTrue(pair.isEstablished)
        self.assertEqual(pair.client.connection.get_protocol_version_name(), "DTLSv1.2")
        # HelloVerifyRequest, ServerHello and so on, Finished.
        self.assertEqual(len(pair.toClient), 3)
        self.assertEqual(len(pair.toServer), 3)
        self.assertIsNone(pair.client.timeout)
        assert pair.server is not None
        self.assertIsNone(pair.server.timeout)

    def test_oldVersion(self) -> None:
        """
        DTLS 1.0 is not spoken.
        """
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_max_proto_version(0xFEFF)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        pair = Pair(self.door, context)
        self.assertRaises(DTLSFailed, pair.handshake)
        self.assertFalse(pair.isEstablished)

    def test_largeFlight(self) -> None:
        """
        Handshake messages are cut so that datagrams fit any path, however long the chain of
        certificates is.
        """
        authority = Authority(self.folder)
        server = authority.server().path
        chain = self.folder / "chain.pem"
        chain.write_bytes(server.read_bytes() + authority.path.read_bytes() * 12)
        pair = Pair(DTLSDoor(datagramContext(chain, server)))
        pair.handshake()
        self.assertTrue(pair.isEstablished)
        self.assertGreater(sum(map(len, pair.toClient)), 3 * MAX_DATAGRAM)
        for datagram in (*pair.toClient, *pair.toServer):
            self.assertLessEqual(len(datagram), MAX_DATAGRAM)

    def test_timeout(self) -> None:
        """
        Until a flight is answered there is a time at which to send it again, and nothing
        is sent before.
        """
        client = clientConversation(newContext())
        self.assertIsNone(client.timeout)
        client.start()
        self.assertEqual(len(list(client.outgoing())), 1)
        assert client.timeout is not None
        self.assertTrue(0 < client.timeout <= 1.0)
        client.timedOut()
        self.assertEqual(list(client.outgoing()), [])

    def test_duplicates(self) -> None:
        """
        Datagrams that come twice do no harm.
        """
        pair = Pair(self.door)
        pair.handshake(lambda datagram: [datagram] * 2, lambda datagram: [datagram] * 2)
        self.assertTrue(pair.isEstablished)

    def test_rubbish(self) -> None:
        """
        Rubbish between the datagrams does no harm either, whoever gets it.
        """
        chance = Random(6)

        def spoilt(datagram: bytes) -> list[bytes]:
            junk = bytearray(datagram)
            junk[chance.randrange(11)] ^= 1 + chance.randrange(255)
            return [chance.randbytes(40), b"", datagram, bytes(junk[: chance.randrange(20)])]

        for _ in range(10):
            pair = Pair(self.door)
            pair.handshake(spoilt, spoilt)
            self.assertTrue(pair.isEstablished)

    def test_clientCertificate(self) -> None:
        """
        If there is an authority for clients, one without a certificate of it is not let in.
        """
        authority = Authority(self.folder, "clients")
        door = makeDoor(self.folder, authority.path)
        pair = Pair(door, clientContext(authority.client()))
        pair.handshake()
        self.assertTrue(pair.isEstablished)
        stranger = Authority(self.folder, "strangers").client()
        for context in (clientContext(), clientContext(stranger)):
            pair = Pair(door, context)
            self.assertRaises(DTLSFailed, pair.handshake)
            assert pair.server is not None
            self.assertFalse(pair.server.isEstablished)
            # It is told why.
            list(self.alert(pair))
            self.assertFalse(pair.server.isEstablished)

    def alert(self, pair: Pair) -> list[bytes]:
        """
        Let the client hear that it is not let in.
        """
        assert pair.server is not None
        alerts = list(pair.server.outgoing())
        self.assertEqual([each[0] for each in alerts], [21])
        self.assertRaises(DTLSFailed, received, pair.client, *alerts)
        return alerts


class ContextTests(DTLSTestCase):
    """
    Files that a server's context is made of.
    """

    def test_mistakes(self) -> None:
        """
        Files that do not serve are told from those that cannot be read.
        """
        authority = Authority(self.folder)
        certificate = authority.server().path
        rubbish = self.folder / "rubbish"
        rubbish.write_bytes(b"rubbish")
        missing = self.folder / "missing"
        error = self.assertRaises(ValueError, datagramContext, certificate, authority.path)
        self.assertEqual(str(error), f"{authority.path}: not the private key of {certificate}")
        for arguments in ((rubbish,), (certificate, rubbish), (certificate, None, rubbish)):
            self.assertRaises(ValueError, datagramContext, *arguments)
        for arguments in ((missing,), (certificate, missing), (certificate, None, missing)):
            self.assertRaises(OSError, datagramContext, *arguments)


class DoorTests(DTLSTestCase):
    """
    What happens before a client has shown its cookie.
    """

    def hello(self) -> tuple[DTLSConversation, bytes]:
        """
        Make a client, and what it says first.
        """
        client = clientConversation(newContext())
        client.start()
        (hello,) = client.outgoing()
        return client, hello

    def withCookie(self, address: object = ADDRESS) -> bytes:
        """
        Make what a client says second.
        """
        client, hello = self.hello()
        _, answer = self.door.knock(address, hello)
        list(client.receive(answer))
        (second,) = client.outgoing()
        return second

    def test_cookie(self) -> None:
        """
        A greeting is answered with a cookie, which takes no more octets, and nothing is kept.
        """
        _, hello = self.hello()
        for _ in range(3):
            conversation, answer = self.door.knock(ADDRESS, hello)
            self.assertIsNone(conversation)
            # A HelloVerifyRequest.
            self.assertEqual((answer[0], answer[13]), (22, 3))
            self.assertLessEqual(len(answer), len(hello))

    def test_secondGreeting(self) -> None:
        """
        Who shows the cookie is let in, whatever others have said meanwhile.
        """
        second = self.withCookie()
        _, another = self.hello()
        self.door.knock(("192.0.2.3", 1), another)
        self.door.knock(("192.0.2.3", 1), os.urandom(100))
        conversation, answer = self.door.knock(ADDRESS, second)
        self.assertIsNotNone(conversation)
        self.assertEqual(answer, b"")

    def test_anotherAddress(self) -> None:
        """
        The cookie of another address or port, or of another proxy, is none.
        """
        second = self.withCookie()
        for address in ((ADDRESS[0], ADDRESS[1] + 1), ("192.0.2.3", ADDRESS[1])):
            conversation, answer = self.door.knock(address, second)
            self.assertIsNone(conversation)
            self.assertEqual(answer[13], 3)
        conversation, _ = makeDoor(self.folder).knock(ADDRESS, second)
        self.assertIsNone(conversation)

    def test_tooLarge(self) -> None:
        """
        What comes behind a greeting, in a datagram that is too large for one, does not get
        into the next one's way.
        """
        _, hello = self.hello()
        for _ in range(3):
            self.assertEqual(self.door.knock(ADDRESS, hello + bytes(40000)), (None, b""))
            _, answer = self.door.knock(ADDRESS, hello)
            self.assertEqual(answer[13], 3)

    def test_rubbish(self) -> None:
        """
        Rubbish opens no door, and keeps nobody else out, neither those who are in nor those
        who come.
        """
        chance = Random(9)
        client, server = self.establish()
        _, hello = self.hello()
        second = self.withCookie()
        for number in range(300):
            junk = bytearray(chance.choice((hello, second, bytes(100))))
            for _ in range(chance.randrange(1, 4)):
                junk[chance.randrange(len(junk))] = chance.randrange(256)
            del junk[chance.randrange(len(junk)) :]
            if number % 10 == 0:
                junk[:] = chance.randbytes(chance.choice((0, 1, 13, 60000)))
            conversation, _ = self.door.knock(("192.0.2.3", number), bytes(junk))
            self.assertIsNone(conversation)
            self.assertEqual(received(server, chance.randbytes(20)), [])
            client.send(b"still here")
            self.assertEqual(received(server, *client.outgoing()), [b"still here"])
        self.establish()


class DataTests(DTLSTestCase):
    """
    Application data.
    """

    def test_bothWays(self) -> None:
        """
        Each piece is one datagram, up to the size of a record.
        """
        client, server = self.establish()
        for size in (1, 13, 1200, 9000, MAX_RECORD):
            data = os.urandom(size)
            for sender, receiver in ((client, server), (server, client)):
                sender.send(data)
                (datagram,) = sender.outgoing()
                self.assertTrue(isApplicationData(datagram))
                self.assertEqual(received(receiver, datagram), [data])

    def test_tooLarge(self) -> None:
        """
        What does not fit into a record is not sent, and what comes next is.
        """
        client, server = self.establish()
        self.assertRaises(DTLSFailed, server.send, bytes(MAX_RECORD + 1))
        self.assertEqual(list(server.outgoing()), [])
        server.send(b"small")
        self.assertEqual(received(client, *server.outgoing()), [b"small"])

    def test_disorder(self) -> None:
        """
        What overtakes other data comes first; what is repeated comes once.
        """
        client, server = self.establish()
        datagrams: list[bytes] = []
        for number in range(4):
            client.send(b"%d" % number)
            datagrams += client.outgoing()
        first, second, third, fourth = datagrams
        self.assertEqual(
            received(server, fourth, second, second, first, third, fourth),
            [b"3", b"1", b"0", b"2"],
        )

    def test_several(self) -> None:
        """
        Several records may share a datagram.
        """
        client, server = self.establish()
        for number in range(3):
            client.send(b"%d" % number)
        (datagram,) = client.outgoing()
        self.assertFalse(isApplicationData(datagram))
        self.assertEqual(received(server, datagram), [b"0", b"1", b"2"])

    def test_early(self) -> None:
        """
        Data that overtakes the end of the handshake is there when that is.
        """
        pair = Pair(self.door)
        # Our last flight.
        late: list[bytes] = []

        def hold(datagram: bytes) -> list[bytes]:
            if not pair.isHalfEstablished:
                return [datagram]
            late.append(datagram)
            return []

        pair.handshake(down=hold)
        assert pair.server is not None
        self.assertFalse(pair.client.isEstablished)
        pair.server.send(b"early")
        (early,) = pair.server.outgoing()
        self.assertEqual(received(pair.client, early), [])
        self.assertEqual(received(pair.client, *late), [b"early"])

    def test_spoilt(self) -> None:
        """
        A record that was changed on its way is dropped, and nothing else.
        """
        client, server = self.establish()
        client.send(b"spoilt")
        (datagram,) = client.outgoing()
        for place in range(len(datagram)):
            changed = bytearray(datagram)
            changed[place] ^= 1
            self.assertEqual(received(server, bytes(changed)), [], f"at {place}")
        self.assertEqual(received(server, datagram), [b"spoilt"])

    def test_close(self) -> None:
        """
        A good-bye ends the conversation, once it is heard.
        """
        client, server = self.establish()
        client.close()
        self.assertEqual(received(server, *client.outgoing()), [])
        self.assertTrue(server.isOver)
        self.assertRaises(DTLSFailed, client.send, b"more")
        client.close()

    def test_closeBefore(self) -> None:
        """
        Who has not begun has nobody to say good-bye to.
        """
        client = clientConversation(newContext())
        client.close()
        self.assertEqual(list(client.outgoing()), [])
        self.assertFalse(client.isOver)


class RecordTests(SynchronousTestCase):
    """
    What datagrams look like from outside.
    """

    def test_data(self) -> None:
        """
        One whole record of application data is one.
        """
        record = bytes.fromhex("17 fefd 0001 000000000001 0003") + b"abc"
        self.assertTrue(isApplicationData(record))
        for other in (record + record, record[:-1], record + b"x", b"", b"\x16" + record[1:]):
            self.assertFalse(isApplicationData(other))

    def test_encrypted(self) -> None:
        """
        Records of all epochs but the first are encrypted, whatever they are.
        """
        plain = bytes.fromhex("16 fefd 0000 000000000001 0003") + b"abc"
        record = bytes.fromhex("16 fefd 0001 000000000001 0003") + b"abc"
        for datagram, count in (
            (b"", 0),
            (plain, 0),
            (record, 1),
            (plain + record + plain, 1),
            (record * 9, 9),
            # It claims more than is there.
            (record[:-1], 1),
            (record[:12], 0),
        ):
            self.assertEqual(encryptedRecords(datagram), count, datagram.hex())

    def test_hello(self) -> None:
        """
        A ClientHello that is not encrypted has a random number, and nothing else has one.
        """
        client = clientConversation(newContext())
        client.start()
        (hello,) = client.outgoing()
        random = helloIn(hello)
        assert random is not None
        self.assertEqual(random, hello[27:59])
        for other in (
            b"",
            hello[:13],
            b"\x17" + hello[1:],
            hello[:4] + b"\1" + hello[5:],
            hello[:13] + b"\2" + hello[14:],
        ):
            self.assertIsNone(helloIn(other))
