"""
DTLS with a proxy, which has to show who it is.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.ssl import Certificate, PrivateCertificate, platformTrust
from twisted.logger import Logger

from socks6.client.destination import destinationAddress
from socks6.dtls import DTLSConversation, clientConversation, newContext
from socks6.values.address import DomainName

_log = Logger()


class ClientDTLSOptions:
    """
    How to speak DTLS with one proxy.

    L{optionsForClientDTLS} makes them.
    """

    def __init__(self, context: SSL.Context, hostname: str) -> None:
        """
        @param context: The client's side: whom it trusts, and who it is.
        @param hostname: Whose certificate the proxy has to show.
        @raise ValueError: Nobody can be called so.
        """
        self._context = context
        host = destinationAddress(hostname, 1).host
        self._serverName: bytes | None = None
        self._identity: ServiceID
        if isinstance(host, DomainName):
            self._serverName = host.octets
            self._identity = DNS_ID(host.octets.decode("ascii"))
        else:
            self._identity = IPAddress_ID(str(host))

    def conversation(self) -> DTLSConversation:
        """
        Make the client's side of one conversation.
        """
        conversation = clientConversation(self._context)
        connection = conversation.connection
        # "Literal IPv4 and IPv6 addresses are not permitted" (RFC 6066, section 3).
        if self._serverName is not None:
            connection.set_tlsext_host_name(self._serverName)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        return conversation

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        """
        Say whether a certificate of the chain will do.

        @param depth: 0: it is the proxy's own.
        @param ok: What OpenSSL thinks of it.
        """
        if depth or not ok:
            return bool(ok)
        try:
            verify_service_identity(extract_patterns(certificate), [self._identity], [])
        except VerificationError:
            return False
        except Exception:  # noqa: BLE001  OpenSSL passes none on
            _log.failure("while verifying a certificate")
            return False
        return True


def optionsForClientDTLS(
    hostname: str,
    trustRoot: IOpenSSLTrustRoot | Certificate | None = None,
    clientCertificate: PrivateCertificate | None = None,
) -> ClientDTLSOptions:
    """
    Say how to speak DTLS with a proxy, as Twisted's C{optionsForClientTLS} does for TLS.

    @param hostname: The name or IP address that the proxy's certificate must be for.
    @param trustRoot: Who may have issued that: an authority's certificate, what
        L{trustRootFromCertificates<twisted.internet.ssl.trustRootFromCertificates>}
        gives; by default, whom the system trusts.
    @param clientCertificate: Who we are, for a proxy that asks.
    @raise ValueError: Nobody can be called C{hostname}.
    """
    context = newContext()
    roots: Any = IOpenSSLTrustRoot(platformTrust() if trustRoot is None else trustRoot)
    roots._addCACertsToContext(context)
    if clientCertificate is not None:
        context.use_certificate(clientCertificate.original)
        context.use_privatekey(clientCertificate.privateKey.original)
    return ClientDTLSOptions(context, hostname)
