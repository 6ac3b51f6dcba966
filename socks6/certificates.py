"""
Certificates and keys in PEM files.
"""

from __future__ import annotations

import re
from pathlib import Path

from OpenSSL import crypto
from twisted.internet.ssl import Certificate

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def certificatesIn(path: Path) -> list[Certificate]:
    """
    Read the certificates of a PEM file, in their order.

    @raise OSError: It cannot be read.
    @raise ValueError: There is none, or one cannot be understood.
    """
    try:
        found = [Certificate.loadPEM(pem) for pem in _CERTIFICATE.findall(path.read_bytes())]
    except crypto.Error as error:
        raise ValueError(f"{path}: a certificate cannot be understood") from error
    if not found:
        raise ValueError(f"{path}: no certificate in PEM form")
    return found


def privateKeyIn(path: Path) -> crypto.PKey:
    """
    Read the private key of a PEM file, which must not be encrypted.

    @raise OSError: It cannot be read.
    @raise ValueError: There is none, or it cannot be understood.
    """
    try:
        # An empty passphrase, so that OpenSSL does not ask the terminal for one.
        return crypto.load_privatekey(crypto.FILETYPE_PEM, path.read_bytes(), b"")
    except crypto.Error as error:
        raise ValueError(f"{path}: no private key in PEM form without passphrase") from error
