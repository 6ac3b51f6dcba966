"""
Tests of L{socks6.client.dtls}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.trial.unittest import SynchronousTestCase

from socks6.client import dtls
from socks6.client.dtls import optionsForClientDTLS
from socks6.dtls import DTLSConversation, DTLSFailed
from tests.client.certificates import certificateFor
from tests.client.datagrams import DTLSServer, exchange
from tests.raising import errorOf

NAME = "proxy.example"


def publicPart(certificate: Any) -> Certificate:
    """
    Take a certificate without its key.
    """
    return Certificate(certificate.original)


class ClientDTLSTests(SynchronousTestCase):
    """
    L{optionsForClientDTLS} says with whom DTLS is spoken.
    """

    def talk(self, hostname: str, server: DTLSServer, *arguments: Any) -> DTLSConversation:
        """
        Shake hands with a proxy.
        """
        conversation = optionsForClientDTLS(hostname, *arguments).conversation()
        conversation.start()
        exchange(conversation, server)
        return conversation

    def assertRefused(self, hostname: str, server: DTLSServer, *arguments: Any) -> None:
        """
        Check that no hands are shaken, and that the proxy hears why.
        """
        conversation = optionsForClientDTLS(hostname, *arguments).conversation()
        conversation.start()
        error = errorOf(DTLSFailed, exchange, conversation, server)
        self.assertEqual(str(error), "certificate verify failed")
        self.assertFalse(conversation.isEstablished)
        for alert in conversation.outgoing():
            server.receive(alert)
        self.assertIn("alert", str(server.error))

    def test_rightName(self) -> None:
        """
        A proxy with the right certificate is talked with, and is told which one is
        wanted.
        """
        server = DTLSServer(certificateFor(NAME))
        conversation = self.talk(NAME, server, publicPart(certificateFor(NAME)))
        self.assertTrue(conversation.isEstablished)
        assert server.conversation is not None
        self.assertEqual(server.conversation.connection.get_servername(), NAME.encode("ascii"))
        conversation.send(b"secret")
        exchange(conversation, server)
        self.assertEqual(server.received, [b"secret"])

    def test_trustRoots(self) -> None:
        """
        Several authorities may be trusted.
        """
        roots = trustRootFromCertificates(
            [publicPart(certificateFor(name)) for name in ("other.example", NAME)]
        )
        conversation = self.talk(NAME, DTLSServer(certificateFor(NAME)), roots)
        self.assertTrue(conversation.isEstablished)

    def test_internationalName(self) -> None:
        """
        A name may have letters that certificates spell otherwise.
        """
        certificate = certificateFor("xn--bcher-kva.example")
        server = DTLSServer(certificate)
        conversation = self.talk("bücher.example", server, publicPart(certificate))
        self.assertTrue(conversation.isEstablished)

    def test_wrongName(self) -> None:
        """
        A certificate for somebody else does not do, nor does one for a name where an
        address is wanted.
        """
        trust = publicPart(certificateFor(NAME))
        for hostname in ("other.example", "192.0.2.1", "2001:db8::1"):
            self.assertRefused(hostname, DTLSServer(certificateFor(NAME)), trust)

    def test_untrusted(self) -> None:
        """
        A certificate that nobody vouches for does not do.
        """
        self.assertRefused(NAME, DTLSServer(certificateFor(NAME)))
        other = publicPart(certificateFor("other.example"))
        self.assertRefused(NAME, DTLSServer(certificateFor(NAME)), other)

    def test_broken(self) -> None:
        """
        If the name cannot be checked, that is logged, and the certificate does not do.
        """

        def fail(certificate: object) -> None:
            raise RuntimeError("as the test wants it")

        self.patch(dtls, "extract_patterns", fail)
        trust = publicPart(certificateFor(NAME))
        self.assertRefused(NAME, DTLSServer(certificateFor(NAME)), trust)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_ownCertificate(self) -> None:
        """
        A proxy that asks who we are gets our certificate.
        """
        own = certificateFor("client.example")
        trust = publicPart(certificateFor(NAME))
        server = DTLSServer(certificateFor(NAME), publicPart(own))
        self.assertTrue(self.talk(NAME, server, trust, own).isEstablished)
        server = DTLSServer(certificateFor(NAME), publicPart(own))
        self.assertIsNotNone(errorOf(DTLSFailed, self.talk, NAME, server, trust))
        self.assertIsNotNone(server.error)

    def test_impossibleName(self) -> None:
        """
        What nobody can be called is a mistake at once.
        """
        for hostname in ("", "a" * 256, "fe80::1%eth0"):
            self.assertIsNotNone(errorOf(ValueError, optionsForClientDTLS, hostname), hostname)
