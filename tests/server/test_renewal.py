"""
Tests of L{socks6.server.renewal}.
"""

from __future__ import annotations

import os

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface.verify import verifyObject

from socks6.dtls import DTLSDoor
from socks6.server.renewal import RenewableContext
from tests.doubles import TLSPeer
from tests.dtls import Pair
from tests.server.test_tls import Greeter, TLSTestCase


class RenewableContextTests(TLSTestCase):
    """
    L{RenewableContext}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.context = RenewableContext(self.party.path)
        self.factory = TLSMemoryBIOFactory(
            self.context, False, Factory.forProtocol(Greeter), self.network
        )

    def client(self) -> TLSPeer:
        """
        Connect.
        """
        client = TLSPeer(self.network.accept(self.factory), self.authority.clientContext())
        client.handshake()
        return client

    def serial(self, client: TLSPeer) -> int:
        """
        Tell which certificate a client was shown.
        """
        shown = client.tls.getpeercert()
        assert shown is not None
        serial: object = shown["serialNumber"]
        return int(str(serial), 16)

    def test_interface(self) -> None:
        """
        It is what makes contexts.
        """
        self.assertTrue(verifyObject(IOpenSSLContextFactory, self.context))

    def test_renewed(self) -> None:
        """
        Who connects later is shown the new certificate; a connection that is there goes on.
        """
        old = self.party.certificate.serial_number
        before = self.client()
        new = self.authority.server().certificate.serial_number
        putInForce = self.context.prepare()
        self.assertEqual(self.serial(self.client()), old, "it is only prepared")
        putInForce()
        self.assertEqual(self.serial(self.client()), new)
        self.assertEqual(self.serial(before), old)
        self.assertEqual(before.received, b"hello")

    def test_broken(self) -> None:
        """
        What does not serve is told, and changes nothing.
        """
        old = self.party.certificate.serial_number
        self.party.path.write_bytes(b"nothing")
        error = self.assertRaises(ValueError, self.context.prepare)
        self.assertIn("no certificate in PEM form", str(error))
        self.party.path.unlink()
        self.assertRaises(OSError, self.context.prepare)
        self.assertEqual(self.serial(self.client()), old)

    def test_elsewhere(self) -> None:
        """
        The files are the same wherever the process goes.
        """
        self.addCleanup(os.chdir, os.getcwd())
        context = RenewableContext(self.party.path, self.party.path, self.authority.path)
        os.chdir("/")
        context.prepare()()

    def test_clientCA(self) -> None:
        """
        Clients must show a certificate of the authority that is in force.
        """
        both = self.write("clients.pem", self.authority.path.read_bytes())
        self.context = RenewableContext(self.party.path, None, both)
        authorities = self.context.getContext().get_cert_store()
        self.assertTrue(self.context.getContext().get_verify_mode() & SSL.VERIFY_PEER)
        self.context.prepare()()
        self.assertIsNot(self.context.getContext().get_cert_store(), authorities)
        self.assertTrue(self.context.getContext().get_verify_mode() & SSL.VERIFY_PEER)

    def test_datagrams(self) -> None:
        """
        Who speaks DTLS is told, and lets later clients in with the new certificate, even
        one that has its cookie already.
        """
        door = DTLSDoor(self.context.datagramContext())
        self.context.followers.append(door.use)
        old = self.party.certificate.serial_number
        before, between = Pair(door), Pair(door)
        before.handshake()
        between.client.start()
        (hello,) = between.client.outgoing()
        (cookie,) = between.ask(hello)
        list(between.client.receive(cookie))
        new = self.authority.server().certificate.serial_number
        putInForce = self.context.prepare()
        later = Pair(door)
        later.handshake()
        self.assertEqual(self.serialOf(later), old, "it is only prepared")
        putInForce()
        between.exchange()
        after = Pair(door)
        after.handshake()
        self.assertEqual([self.serialOf(pair) for pair in (between, after)], [new, new])
        before.client.send(b"something")
        (datagram,) = before.client.outgoing()
        assert before.server is not None
        self.assertEqual(list(before.server.receive(datagram)), [b"something"])

    def serialOf(self, pair: Pair) -> int:
        """
        Tell which certificate a client was shown.
        """
        certificate = pair.client.connection.get_peer_certificate()
        assert certificate is not None
        return certificate.get_serial_number()
