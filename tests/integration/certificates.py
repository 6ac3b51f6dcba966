"""
A certification authority for tests, and certificates of it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass
class Party:
    """
    A certificate and its key, both in one PEM file.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path


def _write(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> Party:
    """
    Write a party's file.
    """
    path = folder / f"{name}.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Party(certificate, key, path)


class Authority:
    """
    A certification authority.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        """
        @param folder: Where files go.
        """
        self._folder = folder
        self._party: Party | None = None
        self._party = self._issue(name, None)

    @property
    def path(self) -> Path:
        """
        The file of the authority's own certificate.
        """
        assert self._party is not None
        return self._party.path

    def server(self) -> Party:
        """
        Issue a certificate for this machine as a server.
        """
        return self._issue("server", ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, name: str = "client") -> Party:
        """
        Issue a certificate for a client.
        """
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)

    def clientContext(self, party: Party | None = None) -> ssl.SSLContext:
        """
        Make the context of a client that trusts this authority.

        @param party: Who the client is.
        """
        context = ssl.create_default_context(cafile=str(self.path))
        if party is not None:
            context.load_cert_chain(party.path)
        return context

    def _issue(self, name: str, usage: x509.ObjectIdentifier | None) -> Party:
        """
        Make a key and its certificate.

        @param usage: What it is good for; L{None}: it is the authority's own.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = self._party
        signer = key if issuer is None else issuer.key
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
            )
        )
        if usage is None:
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                True,
            )
        else:
            names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        return _write(self._folder, name, key, builder.sign(signer, hashes.SHA256()))
