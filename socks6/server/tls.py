"""
TLS on top of any listening endpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLContextFactory,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.ssl import (
    CertificateOptions,
    TLSVersion,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from socks6.certificates import certificatesIn, privateKeyIn
from socks6.dtls import newContext


def serverContext(
    certificate: Path, privateKey: Path | None = None, clientCA: Path | None = None
) -> CertificateOptions:
    """
    Make the context of a TLS server: TLS 1.2 and up, no ALPN.

    @param certificate: A PEM file with the server's certificate, and behind it
        those that lead to its root.
    @param privateKey: A PEM file with the certificate's key, not encrypted; by
        default it stands in the same file.
    @param clientCA: A PEM file with the authorities of which clients must show
        a certificate; by default they need none.
    @raise OSError: A file cannot be read.
    @raise ValueError: What a file holds does not serve.
    """
    keyFile = privateKey or certificate
    chain = certificatesIn(certificate)
    key = privateKeyIn(keyFile)
    trust = {}
    if clientCA is not None:
        trust["trustRoot"] = trustRootFromCertificates(certificatesIn(clientCA))
    options = CertificateOptions(
        privateKey=key,
        certificate=chain[0].original,
        extraCertChain=[each.original for each in chain[1:]],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        **trust,
    )
    try:
        # This checks that certificate and key belong together.
        context = options.getContext()
    except SSL.Error as error:
        raise ValueError(f"{keyFile}: not the private key of {certificate}") from error
    # Twisted would end the handshake with a client that offers any.
    context.set_alpn_select_callback(lambda connection, offered: SSL.NO_OVERLAPPING_PROTOCOLS)
    return options


def datagramContext(
    certificate: Path, privateKey: Path | None = None, clientCA: Path | None = None
) -> SSL.Context:
    """
    Make the context of a DTLS server: the same for datagrams.

    @raise OSError: See L{serverContext}, of which the arguments are.
    @raise ValueError: The same.
    """
    keyFile = privateKey or certificate
    first, *rest = certificatesIn(certificate)
    context = newContext()
    context.use_certificate(first.original)
    for each in rest:
        context.add_extra_chain_cert(each.original)
    key = privateKeyIn(keyFile)
    try:
        # This checks that certificate and key belong together.
        context.use_privatekey(key)
    except SSL.Error as error:
        raise ValueError(f"{keyFile}: not the private key of {certificate}") from error
    if clientCA is not None:
        store: Any = context.get_cert_store()
        for each in certificatesIn(clientCA):
            store.add_cert(each.original)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    return context


@implementer(IStreamServerEndpoint)
class TLSServerEndpoint:
    """
    An endpoint that speaks TLS on the connections that another one accepts.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamServerEndpoint,
        context: IOpenSSLContextFactory,
    ) -> None:
        """
        @param reactor: Lets small writes wait for one another.
        @param endpoint: Who accepts connections.
        @param context: The server's certificate and what it asks of clients.
        """
        self._reactor = reactor
        self._endpoint = endpoint
        self._context = context

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        Begin to accept connections.

        @see: L{IStreamServerEndpoint.listen}
        """
        listening: Deferred[IListeningPort] = self._endpoint.listen(
            TLSMemoryBIOFactory(self._context, False, protocolFactory, self._reactor)
        )
        return listening
