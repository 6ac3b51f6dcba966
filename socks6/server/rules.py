"""
What the rules have to know of connections.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from cryptography import x509
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IListeningPort

from socks6.policy.ruleset import Subject
from socks6.relay.legs import LegProtocol
from socks6.server.admission import clientOf
from socks6.server.bindpolicy import isThisMachine
from socks6.sockets import localAddress
from socks6.values.address import IPAddress, ipAddress, unmapped
from socks6.values.codes import AuthenticationMethod

if TYPE_CHECKING:
    from socks6.server.negotiation import Negotiation


def subjectOf(negotiation: Negotiation) -> Subject:
    """
    See who asks for something, as rules see it.
    """
    transport: Any = negotiation.transport
    client, identity = clientOf(negotiation.leg), negotiation.identity
    address = None if client.address is None else unmapped(client.address)
    if address is None:
        # A PROXY header may claim anything, that as well.
        isLocal = isinstance(localAddress(transport), UNIXAddress)
    else:
        isLocal = address.is_loopback
    isNobody = identity.method is AuthenticationMethod.NONE_REQUIRED
    return Subject(
        None if isNobody else identity.name,
        address,
        isLocal,
        client.encrypted,
        partial(certificateNames, transport),
    )


def certificateNames(transport: Any) -> Collection[str]:
    """
    Tell the names in the certificate that a client has shown.

    TLS has verified it, or there would be no connection: we ask for one only with
    authorities to verify it by.

    @return: The common names and the DNS names among the alternative ones, in lower case.
    """
    get = getattr(transport, "getPeerCertificate", None)
    shown = None if get is None else get()
    if shown is None:
        return ()
    try:
        certificate = shown.to_cryptography()
        names = [
            str(each.value)
            for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        ]
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += found.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        # An authority has signed what nobody can read.
        return ()
    return {name.lower() for name in names}


def connectedHost(leg: LegProtocol) -> IPAddress | None:
    """
    Tell which host a connection leads to.

    @return: L{None}: it is none of IP.
    """
    transport: Any = leg.transport
    peer = transport.getPeer()
    if isinstance(peer, IPv4Address | IPv6Address):
        return ipAddress(peer.host)
    return None


class OwnPorts:
    """
    Where a proxy listens itself.
    """

    def __init__(
        self,
        ports: Sequence[IListeningPort],
        advertised: Collection[IPAddress] = (),
        places: Sequence[IAddress] = (),
    ) -> None:
        """
        @param ports: What is listened on at the moment; this may change.
        @param advertised: What remote hosts call this machine.
        @param places: Where else we listen; this may change, too.
        """
        self._ports = ports
        self._places = places
        self._advertised = frozenset(advertised)

    def holds(self, host: IPAddress, port: int) -> bool:
        """
        Tell whether we listen at an address.
        """
        for own in chain((each.getHost() for each in self._ports), self._places):
            if not isinstance(own, IPv4Address | IPv6Address) or own.port != port:
                continue
            bound = unmapped(ipAddress(own.host))
            if host == bound or host in self._advertised:
                return True
            if bound.is_unspecified and isThisMachine(host):
                return True
        return False
