"""
Tests of L{socks6.server.tls}.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import warnings
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import succeed
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface.verify import verifyObject

from socks6.server.tls import TLSServerEndpoint, serverContext
from tests.doubles import FakeEndpoint, FakePort, TLSPeer
from tests.integration.certificates import Authority, Party
from tests.server.harness import MemoryTestCase

_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8


class Greeter(Protocol):
    """
    Greets.
    """

    def connectionMade(self) -> None:
        """
        Greet.
        """
        assert self.transport is not None
        self.transport.write(b"hello")


class TLSTestCase(MemoryTestCase):
    """
    A test with certificates.
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.party = self.authority.server()

    def write(self, name: str, octets: bytes) -> Path:
        """
        Write a file.
        """
        path = self.folder / name
        path.write_bytes(octets)
        return path

    def certificate(self, party: Party) -> bytes:
        """
        Give a party's certificate without its key.
        """
        return party.certificate.public_bytes(_PEM)

    def key(self, party: Party, passphrase: bytes | None = None) -> bytes:
        """
        Give a party's key without its certificate.
        """
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            encryption = serialization.BestAvailableEncryption(passphrase)
        return party.key.private_bytes(_PEM, _PKCS8, encryption)

    def connect(
        self, context: CertificateOptions, clientContext: ssl.SSLContext | None = None
    ) -> TLSPeer:
        """
        Connect to a server.
        """
        factory = TLSMemoryBIOFactory(context, False, Factory.forProtocol(Greeter), self.network)
        client = TLSPeer(
            self.network.accept(factory), clientContext or self.authority.clientContext()
        )
        client.handshake()
        return client

    def assertServes(self, context: CertificateOptions) -> None:
        """
        A client that trusts the authority is greeted.
        """
        self.assertEqual(self.connect(context).received, b"hello")


class ServerContextTests(TLSTestCase):
    """
    Contexts of files.
    """

    def test_oneFile(self) -> None:
        """
        Certificate and key may stand in one file, in any order.
        """
        self.assertServes(serverContext(self.party.path))
        reverse = self.write("reverse", self.key(self.party) + self.certificate(self.party))
        self.assertServes(serverContext(reverse))

    def test_twoFiles(self) -> None:
        """
        Or in two.
        """
        certificate = self.write("certificate", self.certificate(self.party))
        self.assertServes(serverContext(certificate, self.write("key", self.key(self.party))))

    def test_chain(self) -> None:
        """
        What stands behind the certificate is shown to clients, in its order.
        """
        authority = self.authority._party
        assert authority is not None
        chain = [self.party, self.authority.client(), authority]
        path = self.write("chain", b"words\n".join(map(self.certificate, chain)))
        client = self.connect(serverContext(path, self.party.path))
        shown = client.tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
        encoding = ssl._ssl.ENCODING_DER  # type: ignore[attr-defined]
        self.assertEqual(
            [each.public_bytes(encoding) for each in shown],
            [each.certificate.public_bytes(serialization.Encoding.DER) for each in chain],
        )

    def test_strangeLineEnds(self) -> None:
        """
        Files from elsewhere may end their lines otherwise.
        """
        both = self.certificate(self.party) + self.key(self.party)
        self.assertServes(serverContext(self.write("windows", both.replace(b"\n", b"\r\n"))))

    def test_missing(self) -> None:
        """
        A file that is not there is an error that names it.
        """
        missing = self.folder / "missing"
        for arguments in (
            (missing,),
            (self.party.path, missing),
            (self.party.path, None, missing),
        ):
            error = self.assertRaises(OSError, serverContext, *arguments)
            self.assertEqual(Path(str(error.filename)), missing)

    def test_useless(self) -> None:
        """
        A file that does not hold what it should is an error that names it and
        says what is wrong.
        """
        path = self.party.path
        key = self.write("key", self.key(self.party))
        certificate = self.write("certificate", self.certificate(self.party))
        broken = self.write(
            "broken",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            + self.key(self.party),
        )
        other = self.write("other", self.key(self.authority.client()))
        encrypted = self.write("encrypted", self.key(self.party, b"secret"))
        empty = self.write("empty", b"")
        for arguments, culprit, what in (
            ((key,), key, "no certificate in PEM form"),
            ((empty,), empty, "no certificate in PEM form"),
            ((broken,), broken, "a certificate cannot be understood"),
            ((certificate,), certificate, "no private key in PEM form without passphrase"),
            ((path, empty), empty, "no private key in PEM form without passphrase"),
            ((path, certificate), certificate, "no private key in PEM form without passphrase"),
            ((path, encrypted), encrypted, "no private key in PEM form without passphrase"),
            ((path, other), other, f"not the private key of {path}"),
            ((path, None, key), key, "no certificate in PEM form"),
        ):
            error = self.assertRaises(ValueError, serverContext, *arguments)
            self.assertEqual(str(error), f"{culprit}: {what}")

    def test_neverAsks(self) -> None:
        """
        A key with a passphrase is an error even where there is a terminal at
        which OpenSSL could ask for it.
        """
        encrypted = self.write("encrypted", self.key(self.party, b"secret"))
        # In processes of their own: a fork of this one could inherit locks that
        # other tests' threads hold.
        within = (
            "import os, pty, sys\n"
            "status = pty.spawn([sys.executable, '-c', *sys.argv[1:]])\n"
            "sys.exit(os.waitstatus_to_exitcode(status))\n"
        )
        script = (
            "import sys\n"
            "from pathlib import Path\n"
            "from socks6.server.tls import serverContext\n"
            "try:\n"
            "    serverContext(*map(Path, sys.argv[1:]))\n"
            "except ValueError:\n"
            "    sys.exit(7)\n"
        )
        paths = (str(self.party.path.absolute()), str(encrypted.absolute()))
        finished = subprocess.run(
            [sys.executable, "-c", within, script, *paths],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=Path(__file__).resolve().parents[2],
            timeout=60,
        )
        self.assertEqual((finished.stdout, finished.stderr), (b"", b""))
        self.assertEqual(finished.returncode, 7)

    def test_versions(self) -> None:
        """
        TLS 1.2 and 1.3 are spoken, older versions are not.
        """
        context = serverContext(self.party.path)
        for version, name in (
            (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
            (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        ):
            client = self.authority.clientContext()
            client.minimum_version = client.maximum_version = version
            self.assertEqual(self.connect(context, client).tls.version(), name)
        old = self.authority.clientContext()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # Python does not like it either.
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assertRaises(ssl.SSLError, self.connect, context, old)

    def test_noALPN(self) -> None:
        """
        No application protocol is agreed upon, whatever the client offers.
        """
        client = self.authority.clientContext()
        client.set_alpn_protocols(["h2", "http/1.1"])
        connection = self.connect(serverContext(self.party.path), client)
        self.assertIsNone(connection.tls.selected_alpn_protocol())

    def test_clientCA(self) -> None:
        """
        Where clients must show a certificate, one of that authority is needed.
        """
        context = serverContext(self.party.path, clientCA=self.authority.path)
        mine = self.authority.clientContext(self.authority.client())
        self.assertEqual(self.connect(context, mine).received, b"hello")
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir()
        stranger = Authority(elsewhere, "elsewhere").client()
        for name, party in (("none", None), ("another authority's", stranger)):
            client = self.connect(context, self.authority.clientContext(party))
            # With TLS 1.3 the client's handshake is over before the server has
            # looked at its certificate.
            self.assertRaises(ssl.SSLError, lambda client=client: client.received)
            self.assertTrue(client.peer.isClosed, name)

    def test_noClientCertificates(self) -> None:
        """
        Where they need not, none is asked for.
        """
        mine = self.authority.clientContext(self.authority.client())
        factory = TLSMemoryBIOFactory(
            serverContext(self.party.path), False, Factory.forProtocol(Greeter), self.network
        )
        client = TLSPeer(self.network.accept(factory), mine)
        client.handshake()
        wrapper: TLSMemoryBIOProtocol = client.peer.protocol
        self.assertIsNone(wrapper.getPeerCertificate())

    def test_keyTypes(self) -> None:
        """
        Keys may be of any type that OpenSSL knows, in its older form, too.
        """
        octets = self.party.key.private_bytes(
            _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self.assertIn(b"BEGIN EC PRIVATE KEY", octets)
        self.assertServes(serverContext(self.party.path, self.write("old", octets)))
        self.assertIsInstance(self.party.key, ec.EllipticCurvePrivateKey)


class TLSServerEndpointTests(TLSTestCase):
    """
    TLS on top of an endpoint.
    """

    def setUp(self) -> None:
        super().setUp()
        self.port = FakePort()
        self.below = FakeEndpoint(lambda: succeed(self.port))
        self.endpoint = TLSServerEndpoint(self.network, self.below, serverContext(self.party.path))

    def test_interface(self) -> None:
        """
        It is an endpoint.
        """
        self.assertTrue(verifyObject(IStreamServerEndpoint, self.endpoint))

    def test_listen(self) -> None:
        """
        The port is that of the endpoint below; the connections that it accepts
        speak TLS.
        """
        port = self.successResultOf(self.endpoint.listen(Factory.forProtocol(Greeter)))
        self.assertIs(port, self.port)
        (factory,) = self.below.factories
        client = TLSPeer(self.network.accept(factory), self.authority.clientContext())
        client.handshake()
        self.assertEqual(client.received, b"hello")
