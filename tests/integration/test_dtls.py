"""
Tests for UDP ASSOCIATE with DTLS, over raw sockets and with C{openssl}.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from socks6.dtls import DTLSDoor
from socks6.interfaces import OutboundFailed
from socks6.server.associations import Associations
from socks6.server.bindpolicy import BindPolicy
from socks6.server.datagramports import DTLSPort
from socks6.server.tls import datagramContext
from socks6.values.codes import ReplyCode
from socks6.wire import DEFAULT_CODEC
from tests.integration import requireProgram
from tests.integration.certificates import Authority, Party
from tests.integration.datagrams import (
    DTLSSocket,
    RawAssociation,
    clientPorts,
    dtlsContext,
    encodeHeader,
    nothingComes,
    openUDP,
)
from tests.integration.peers import DEADLINE, placeOf, receive
from tests.integration.proxies import ProxyTestCase, inThread, reactor, together
from tests.integration.twistd import Twistd

#: Seconds that a handshake may take at worst, if much is lost.
PATIENCE = 100.0


class DTLSTestCase(SynchronousTestCase):
    """
    A test with a proxy in a process of its own.
    """

    def setUp(self) -> None:
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        self.authority = Authority(Path(folder.name))
        self.server = self.authority.server()

    def start(self, *arguments: str) -> Twistd:
        """
        Start it, with DTLS and no other port for datagrams.
        """
        twistd = Twistd(
            self,
            *("--port=0", "--udp-port=no", "--dtls-port=0", f"--certificate={self.server.path}"),
            *arguments,
        )
        ((self.host, self.port),) = clientPorts(twistd)
        (self.place,) = twistd.places()
        return twistd

    def connect(self, handle: socket.socket | None = None, **options: Any) -> DTLSSocket:
        """
        Shake hands with the proxy.
        """
        return DTLSSocket(handle or openUDP(self), (self.host, self.port), **options)

    def remote(self) -> tuple[socket.socket, tuple[str, int]]:
        """
        Make a remote host.
        """
        handle = openUDP(self)
        return handle, placeOf(handle)


class FlowTests(DTLSTestCase):
    """
    Associations with DTLS.
    """

    def test_bothWays(self) -> None:
        """
        Datagrams pass both ways, up to the size of a record; larger ones are dropped.
        """
        twistd = self.start()
        association = RawAssociation(self, self.place, self.connect())
        remote, place = self.remote()
        most = 2**14 - len(encodeHeader(association.identifier, *place))
        for size in (8, 0, 1200, 1400, most):
            payload = os.urandom(size)
            association.send(payload, *place)
            received, source = remote.recvfrom(65536)
            self.assertEqual(received, payload)
            remote.sendto(payload[::-1], source)
            self.assertEqual(association.receive(), (payload[::-1], place))
        association.confirm()
        remote.sendto(bytes(most + 1), source)
        remote.sendto(b"last", source)
        self.assertEqual(association.receive(), (b"last", place))
        association.end()
        twistd.stop()
        self.assertIn("Datagrams that were dropped: not sent: 1", twistd.output())

    def test_pinned(self) -> None:
        """
        An association belongs to one conversation.
        """
        self.start()
        way = self.connect()
        association = RawAssociation(self, self.place, way)
        association.trigger()
        remote, place = self.remote()
        datagram = encodeHeader(association.identifier, *place) + b"x"
        self.connect().send(datagram)
        # Nor to whoever sends it as it is, from the same address.
        way._handle.send(datagram)
        self.assertTrue(nothingComes(remote))
        association.send(b"mine", *place)
        self.assertEqual(remote.recv(9), b"mine")

    def test_several(self) -> None:
        """
        Several associations may share a conversation.
        """
        self.start()
        way = self.connect()
        first, second = (RawAssociation(self, self.place, way) for _ in range(2))
        remote, place = self.remote()
        for association in (first, second, first):
            association.send(b"x", *place)
            received, source = remote.recvfrom(9)
            self.assertEqual(source[1], association.reply.port)
            remote.sendto(received, source)
            self.assertEqual(association.receive(), (b"x", place))

    def test_newHandshake(self) -> None:
        """
        A client that has forgotten everything begins anew from the same address.
        """
        self.start()
        handle = openUDP(self)
        old = RawAssociation(self, self.place, self.connect(handle))
        old.trigger()
        new = RawAssociation(self, self.place, self.connect(handle))
        new.trigger()
        remote, place = self.remote()
        new.send(b"x", *place)
        self.assertEqual(remote.recv(9), b"x")

    def test_rubbish(self) -> None:
        """
        Rubbish harms nobody, wherever it comes from, and is not answered.
        """
        twistd = self.start()
        way = self.connect()
        association = RawAssociation(self, self.place, way)
        chance = Random(6)
        stranger = openUDP(self)
        stranger.connect((self.host, self.port))
        for number in range(200):
            junk = chance.randbytes(chance.choice((0, 1, 13, 100, 1400)))
            if number % 2:
                junk = b"\x16\xfe\xfd" + junk
            way._handle.send(junk)
            stranger.send(junk)
        association.trigger()
        self.assertTrue(nothingComes(stranger))
        self.connect()
        self.assertNotIn("Traceback", twistd.output())

    def test_goodBye(self) -> None:
        """
        Each side says good-bye.
        """
        twistd = self.start()
        client = self.connect()
        client.close()
        self.assertRaises(SSL.ZeroReturnError, client.recv, 9)
        client = self.connect()
        twistd.stop()
        self.assertRaises(SSL.ZeroReturnError, client.recv, 9)


class CertificateTests(DTLSTestCase):
    """
    Who shows which certificate.
    """

    def context(self, party: Party | None) -> SSL.Context:
        """
        Make the context of a client that trusts only the authority.
        """
        context = dtlsContext()
        context.load_verify_locations(str(self.authority.path))
        context.set_verify(SSL.VERIFY_PEER)
        if party is not None:
            context.use_certificate_file(str(party.path))
            context.use_privatekey_file(str(party.path))
        return context

    def test_server(self) -> None:
        """
        The proxy shows its own.
        """
        self.start()
        client = self.connect(context=self.context(None))
        shown = client.connection.get_peer_certificate(as_cryptography=True)
        self.assertEqual(shown, self.server.certificate)

    def test_client(self) -> None:
        """
        Where clients need one, a client without it does not get in, nor one with another
        authority's.
        """
        self.start(f"--client-ca={self.authority.path}")
        client = self.connect(context=self.context(self.authority.client()))
        RawAssociation(self, self.place, client).trigger()
        with TemporaryDirectory(prefix="socks6-") as folder:
            stranger = Authority(Path(folder)).client()
            for party in (None, stranger):
                with self.assertRaises(SSL.Error):
                    # Who is not let in hears that after its own last flight.
                    self.connect(context=self.context(party)).recv(9)


class OpenSSLTests(DTLSTestCase):
    """
    OpenSSL's own client.
    """

    def sClient(self, *arguments: str) -> subprocess.Popen[bytes]:
        """
        Run it.
        """
        program = requireProgram(self, "openssl")
        process = subprocess.Popen(
            [
                program,
                *("s_client", "-dtls", "-connect", f"{self.host}:{self.port}"),
                *("-CAfile", str(self.authority.path), "-verify_return_error"),
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        return process

    def test_handshake(self) -> None:
        """
        It completes the handshake, and believes who we are.
        """
        self.start()
        output, _ = self.sClient().communicate(b"Q\n", DEADLINE)
        text = output.decode("utf-8", "replace")
        self.assertIn("New, TLSv1.2, Cipher is ", text)
        self.assertIn("Verification: OK", text)
        self.assertIn("Protocol  : DTLSv1.2", text)

    def test_clientCertificate(self) -> None:
        """
        It shows its certificate where it must.
        """
        self.start(f"--client-ca={self.authority.path}")
        party = self.authority.client()
        output, _ = self.sClient("-cert", str(party.path)).communicate(b"Q\n", DEADLINE)
        self.assertIn(b"New, TLSv1.2, Cipher is ", output)
        process = self.sClient()
        output, _ = process.communicate(b"", DEADLINE)
        self.assertIn(b"alert handshake failure", output)
        self.assertNotEqual(process.returncode, 0)

    def test_association(self) -> None:
        """
        What it sends for an association arrives.
        """
        self.start()
        remote, place = self.remote()
        process = self.sClient("-quiet")
        association = RawAssociation(self, self.place, None)
        assert process.stdin is not None
        process.stdin.write(encodeHeader(association.identifier, *place) + b"question")
        process.stdin.flush()
        payload, source = remote.recvfrom(65536)
        self.assertEqual(payload, b"question")
        self.assertEqual(receive(association.connection, 1), b"\0")
        remote.sendto(b"answer", source)
        assert process.stdout is not None
        expected = encodeHeader(association.identifier, *place) + b"answer"
        octets = b""
        while not octets.endswith(expected):
            piece = os.read(process.stdout.fileno(), 65536)
            self.assertNotEqual(piece, b"")
            octets += piece


class LossTests(ProxyTestCase):
    """
    Handshakes some datagrams of which are lost.

    What nobody has answered is sent again after a second, two, four, and so on, by clocks
    that cannot be turned: so all clients shake hands at the same time.
    """

    timeout = 120.0

    def setUp(self) -> None:
        """
        Open a port, whose certificate takes several datagrams.
        """
        super().setUp()
        authority = Authority(self.folder())
        server = authority.server().path
        chain = server.with_name("chain.pem")
        chain.write_bytes(server.read_bytes() + authority.path.read_bytes() * 4)
        nobody = OutboundFailed(ReplyCode.HOST_UNREACHABLE, "there are no names here")
        associations = Associations(
            reactor, BindPolicy(), DEFAULT_CODEC, lambda name, owner: fail(nobody)
        )
        handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        handle.bind(("127.0.0.1", 0))
        self.place = handle.getsockname()
        port = DTLSPort(associations, handle, DTLSDoor(datagramContext(chain, server)))
        self.addCleanup(port.close)

    def shake(self, seed: int, loss: float) -> int:
        """
        Shake hands.

        @return: How many datagrams were lost.
        """
        lost = 0

        def losses(direction: int) -> Callable[[], bool]:
            # One for each, as nobody knows which of two datagrams comes first.
            chance = Random(2 * seed + direction)

            def isLost() -> bool:
                nonlocal lost
                isLost = chance.random() < loss
                lost += isLost
                return isLost

            return isLost

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            handle.bind(("127.0.0.1", 0))
            DTLSSocket(handle, self.place, losses=(losses(0), losses(1)), patience=PATIENCE).close()
        return lost

    async def check(self, loss: float, seeds: Iterable[int]) -> None:
        """
        Let many clients shake hands at once.
        """
        lost = await together(*(inThread(self.shake, seed, loss) for seed in seeds))
        self.assertGreater(sum(lost), len(lost) * loss)

    async def test_tenPercent(self) -> None:
        """
        With a loss of 10 %, all handshakes complete.
        """
        await self.check(0.1, range(10))

    async def test_thirtyPercent(self) -> None:
        """
        With a loss of 30 %, too.
        """
        # Those that are done within some seconds; of 40, four take more than a minute.
        await self.check(0.3, (0, 1, 8, 10, 11, 13, 18, 19, 27, 28))
