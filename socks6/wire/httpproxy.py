"""
HTTP requests that are addressed to a proxy: where they shall go, who sends them,
and what the origin server gets of them.

@see: RFC 9110, section 7.6; RFC 9112, section 3.2; RFC 3986, section 3.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, replace
from http import HTTPStatus
from ipaddress import IPv6Address

from socks6.values.address import Address, addressFromText
from socks6.values.codes import MAX_DOMAIN_NAME_LENGTH, MAX_PORT
from socks6.wire.errors import MalformedMessage, PeerError, VersionMismatch
from socks6.wire.http import Field, RequestHead, encodeHead
from socks6.wire.password import ProgramCredentials

#: The port of a URI that names none.
HTTP_PORT = 80

# Names as in URIs, but for percent-encoded octets: a host that is called so needs
# none, and a zone behind an IPv6 address means nothing to others.
_HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=]+)"
_HOST_PATTERN = re.compile(_HOST)
_AUTHORITY_FORM = re.compile(rb"(?P<host>%b):(?P<port>[0-9]{1,5})" % _HOST)
_SCHEME = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://")
_BEHIND_SCHEME = re.compile(
    rb"(?:[^/?#@]*@)?(?P<host>%b)(?::(?P<port>[0-9]{0,5}))?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
    % _HOST
)

#: Fields that end at the next hop, which we are.  Transfer-Encoding would be one,
#: but the body goes on as it came.
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
    )
)

#: Fields that tell where the body ends, which stay even if Connection names them.
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))

#: Protocols that a client offers for its connection to us and all requests on it,
#: not for one with the origin server.
_HOP_BY_HOP_UPGRADES = frozenset((b"h2c", b"http", b"tls"))


class UnsupportedScheme(PeerError):
    """
    The client asks for a URI whose scheme is not http.
    """


@dataclass(frozen=True, slots=True)
class Authority:
    """
    A host and a port, as a URI spells them.

    @ivar host: A domain name, an IPv4 address, or an IPv6 address in brackets: up
        to 255 octets, all of them ASCII.
    @ivar port: 1 to 65535.
    """

    host: bytes
    port: int

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: Nothing can be called so, or the port is out of range.
        """
        if not _HOST_PATTERN.fullmatch(self.host) or len(self.host) > MAX_DOMAIN_NAME_LENGTH:
            raise ValueError("no possible host name")
        if self.host.startswith(b"["):
            IPv6Address(self.host[1:-1].decode("ascii"))
        if not 0 < self.port <= MAX_PORT:
            raise ValueError(f"port out of range: {self.port}")

    @property
    def octets(self) -> bytes:
        """
        The value of a C{Host} field.
        """
        return self.host if self.port == HTTP_PORT else b"%b:%d" % (self.host, self.port)


def authorityAddress(authority: Authority) -> Address:
    """
    Make the address that a URI's authority names: one with an IP address, if it is
    one in text form.
    """
    return addressFromText(authority.host.decode("ascii").strip("[]"), authority.port)


def _authority(host: bytes, port: bytes) -> Authority:
    """
    Read an authority.

    @param port: Digits.
    @raise MalformedMessage: There can be no such host, or no such port.
    """
    try:
        return Authority(host, int(port))
    except ValueError:
        raise MalformedMessage("impossible host or port in the target of a request") from None


def connectTarget(head: RequestHead) -> Authority:
    """
    Read the target of a CONNECT request::

        host 0x3a port

    @raise MalformedMessage: It is of another form; the port has to be there.
    @see: RFC 9112, section 3.2.3.
    """
    target = _AUTHORITY_FORM.fullmatch(head.target)
    if target is None:
        raise MalformedMessage("the target is no host and port")
    return _authority(target["host"], target["port"])


def absoluteTarget(head: RequestHead) -> tuple[Authority, bytes]:
    """
    Read the target of any other request::

        "http://" host path
        "http://" userinfo "@" host ":" port path "?" query

    @return: The origin server, and the target that it gets: what stands behind the
        authority, with a path where there is none.  The user information goes to
        nobody.
    @raise UnsupportedScheme: The scheme is another one.
    @raise MalformedMessage: It is of another form.
    @see: RFC 9112, sections 3.2.1, 3.2.2 and 3.2.4.
    """
    scheme = _SCHEME.match(head.target)
    if scheme is None:
        raise MalformedMessage("the target is no absolute URI")
    if scheme[1].lower() != b"http":
        raise UnsupportedScheme("the scheme of the target is not http")
    target = _BEHIND_SCHEME.fullmatch(head.target, scheme.end())
    if target is None:
        raise MalformedMessage("the target is no http URI")
    authority = _authority(target["host"], target["port"] or b"%d" % HTTP_PORT)
    path, query = target["path"], target["query"]
    if not path:
        # "The last proxy on the request chain MUST send a request-target of '*'."
        path = b"*" if head.method == b"OPTIONS" and query is None else b"/"
    return authority, path + (query or b"")


def _upgrades(head: RequestHead) -> bool:
    """
    Tell whether a request offers the origin server to change the protocol.

    @see: RFC 9110, section 7.8: both fields must be there, and HTTP/1.0 has no such
        thing.
    """
    names = {protocol.partition(b"/")[0] for protocol in head.elements(b"upgrade")}
    return (
        head.version != b"HTTP/1.0"
        and b"upgrade" in head.elements(b"connection")
        and bool(names)
        and not names & _HOP_BY_HOP_UPGRADES
    )


def forwardedHead(head: RequestHead) -> bytes:
    """
    Write the head of a request as the origin server gets it.

    Its Host is the target's, whatever the client's was and whether it had one.  The
    version stays the client's, as the response will go to it as it is.  There
    is one request on a connection, so it is to be closed behind the response; only
    where the client offers to change the protocol, as for WebSocket, that offer
    stands in its place.  A server that declines it may then keep the connection
    open, and whatever else the client sends on it would go to that same server.

    @return: What L{encodeHead} gives.
    @raise UnsupportedScheme: The target is not of the scheme http.
    @raise MalformedMessage: The target is no absolute URI.
    @see: RFC 9110, section 7.6.1; RFC 9112, section 3.2.2, for Host.
    """
    authority, target = absoluteTarget(head)
    named = frozenset(head.elements(b"connection"))
    dropped = _HOP_BY_HOP | (named - _FRAMING) | {b"host"}
    connection = b"close"
    if _upgrades(head):
        dropped -= {b"upgrade"}
        connection = b"upgrade"
    kept: list[Field] = [each for each in head.headers if each[0].lower() not in dropped]
    fields = ((b"Host", authority.octets), *kept, (b"Connection", connection))
    return encodeHead(replace(head, target=target, headers=fields))


def basicCredentials(head: RequestHead) -> ProgramCredentials | None:
    """
    Read the name and password that a client gives to the proxy.

    @return: L{None} if there are none, or if they are of another kind or cannot be
        read: then they tell nothing.
    @see: RFC 9110, section 11.7.2; RFC 7617, section 2.
    """
    values = head.values(b"proxy-authorization")
    scheme, _, encoded = (values[0] if values else b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = b64decode(encoded.lstrip(b" "), validate=True)
    except ValueError:
        return None
    name, colon, password = decoded.partition(b":")
    return ProgramCredentials(name, password) if colon else None


def errorStatus(error: PeerError) -> HTTPStatus:
    """
    Tell with which status a request is refused that we cannot serve.
    """
    if isinstance(error, UnsupportedScheme):
        return HTTPStatus.NOT_IMPLEMENTED
    if isinstance(error, VersionMismatch):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    return HTTPStatus.BAD_REQUEST
