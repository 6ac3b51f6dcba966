"""
Tests of L{socks6.certificates}.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from socks6.certificates import certificatesIn, privateKeyIn
from tests.integration.certificates import Authority
from tests.raising import errorOf

PEM = serialization.Encoding.PEM


class CertificatesTests(SynchronousTestCase):
    """
    What is in PEM files.
    """

    def setUp(self) -> None:
        """
        Have a certificate and its key.
        """
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.party = Authority(self.folder).server()

    def write(self, *contents: bytes) -> Path:
        """
        Write a file.
        """
        path = self.folder / "file.pem"
        path.write_bytes(b"".join(contents))
        return path

    def test_certificates(self) -> None:
        """
        All certificates are found in their order, whatever else is there.
        """
        first = self.party.certificate.public_bytes(PEM)
        second = Authority(self.folder, "other").client().certificate.public_bytes(PEM)
        found = certificatesIn(
            self.write(b"a comment\n", first, self.party.path.read_bytes(), second)
        )
        self.assertEqual([each.dumpPEM() for each in found], [first, first, second])

    def test_key(self) -> None:
        """
        A key is found behind a certificate.
        """
        found = privateKeyIn(self.party.path).to_cryptography_key()
        self.assertEqual(
            found.public_key().public_numbers(),  # type: ignore[union-attr]
            self.party.key.public_key().public_numbers(),
        )

    def test_useless(self) -> None:
        """
        A file that holds nothing of use is named, with what is wrong.
        """
        nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        for contents, read, words in (
            (b"", certificatesIn, "no certificate in PEM form"),
            (nonsense, certificatesIn, "a certificate cannot be understood"),
            (b"", privateKeyIn, "no private key in PEM form without passphrase"),
        ):
            path = self.write(contents)
            self.assertEqual(str(errorOf(ValueError, read, path)), f"{path}: {words}")

    def test_missing(self) -> None:
        """
        A file that is not there is the system's to complain about.
        """
        for read in (certificatesIn, privateKeyIn):
            self.assertRaises(FileNotFoundError, read, self.folder / "nowhere")
