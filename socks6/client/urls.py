"""
Proxies as people write them: C{socks6://ada:s3cret@proxy.example:1080}.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.internet.ssl import (
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

from socks6.certificates import certificatesIn, privateKeyIn
from socks6.client.dtls import ClientDTLSOptions, optionsForClientDTLS
from socks6.client.fastopen import FastOpenClientEndpoint
from socks6.values.codes import MAX_PORT
from socks6.values.options import UsernamePassword

#: The port of SOCKS.
DEFAULT_PORT = 1080

#: Seconds that it may take to connect to the proxy, without TLS.
CONNECT_TIMEOUT = 10.0

#: What the environment may say of the proxy, and of the user's password.
PROXY_VARIABLE = "SOCKS6_PROXY"
PASSWORD_VARIABLE = "SOCKS6_PASSWORD"

_FORM = "socks6://[USER[:PASSWORD]@]HOST[:PORT], or socks6s://... with TLS"

# An unescaped delimiter in a password fits nowhere.
_PART = "(?:[^:@/?#%]|%[0-9A-Fa-f]{2})*"
_PATTERN = re.compile(
    rf"(?P<scheme>socks6s?)://(?:(?P<username>{_PART})(?::(?P<password>{_PART}))?@)?"
    r"(?P<host>\[[^\[\]@/?#]*\]|[^:@/?#\[\]\s]+)(?::(?P<port>[0-9]{1,5}))?/?"
    r"(?:\?(?P<query>[^#@]*))?"
)

#: What the files are for that TLS needs, and the one that it does not need.
_TLS_FILES = ("ca", "certificate", "key")
_PASSWORD_FILE = "passwordfile"

#: What names the port of the proxy that takes datagrams: as they are, and with DTLS.
_DATAGRAM_PORTS = ("udp", "dtls")

#: What else may be said, and how.
_FAST_OPEN = "fastopen"
_ANSWERS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class DatagramRoute:
    """
    How datagrams get to a proxy.

    @ivar port: Its port for them, 1 to 65535, at the address that TCP has led to.
    @ivar dtls: How to speak DTLS there; L{None}: they go as they are.
    """

    port: int
    dtls: ClientDTLSOptions | None = None


@dataclass(frozen=True, slots=True)
class ProxyURL:
    """
    A proxy, and how to reach it.

    @ivar host: A name or an IP address.
    @ivar port: 1 to 65535.
    @ivar encrypted: Whether TLS is spoken with it.
    @ivar credentials: Who we are, if that is to be told.
    @ivar files: PEM files of TLS by what they are for: C{ca}: the authorities that we
        trust, by default the system's; C{certificate}: our certificate and those that
        lead to its root, if the proxy wants one; C{key}: its key, by default in the
        same file.
    @ivar udp: The proxy's port for datagrams, if the URL names one.
    @ivar dtls: Its port for datagrams with DTLS, if the URL names one.
    @ivar fastOpen: Whether the request may leave in the first packet (TCP Fast Open).
    """

    host: str
    port: int
    encrypted: bool
    credentials: UsernamePassword | None = None
    files: dict[str, Path] = field(default_factory=dict)
    udp: int | None = None
    dtls: int | None = None
    fastOpen: bool = True

    def __str__(self) -> str:
        """
        Write it for people, without credentials.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'socks6s' if self.encrypted else 'socks6'}://{host}:{self.port}"

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """
        Make the way to the proxy.

        @raise OSError: See L{encryption}.
        @raise ValueError: The same.
        """
        kind = FastOpenClientEndpoint if self.fastOpen else HostnameEndpoint
        way: IStreamClientEndpoint
        way = kind(reactor, self.host, self.port, timeout=CONNECT_TIMEOUT)
        creator = self.encryption()
        return way if creator is None else wrapClientTLS(creator, way, reactor)

    def encryption(self) -> IOpenSSLClientConnectionCreator | None:
        """
        Make our side of TLS, if it is spoken.

        @raise OSError: A file cannot be read.
        @raise ValueError: What a file holds does not serve, or no certificate can be
            for that host.
        """
        if not self.encrypted:
            return None
        own, chain = self._ownCertificate()
        # Without a certificate of ours, not even an empty chain may be given.
        more = {} if own is None else {"extraCertChain": chain}
        creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(
            self.host, self._trust(), own, extraCertificateOptions=more
        )
        return creator

    def datagramRoute(self) -> DatagramRoute | None:
        """
        Tell how datagrams get to the proxy.

        @return: L{None}: not at all.
        @raise OSError: See L{encryption}.
        @raise ValueError: The same.
        """
        if self.dtls is not None:
            own, _ = self._ownCertificate()
            return DatagramRoute(self.dtls, optionsForClientDTLS(self.host, self._trust(), own))
        port = self.udp
        if port is None and not self.encrypted:
            port = self.port
        return None if port is None else DatagramRoute(port)

    def _trust(self) -> Any:
        """
        Say who may vouch for the proxy.

        @raise OSError: A file cannot be read.
        @raise ValueError: It does not serve.
        """
        ca = self.files.get("ca")
        return platformTrust() if ca is None else trustRootFromCertificates(certificatesIn(ca))

    def _ownCertificate(self) -> tuple[PrivateCertificate | None, list[Any]]:
        """
        Read our certificate, and those that lead to its root.

        @raise OSError: A file cannot be read.
        @raise ValueError: What a file holds does not serve.
        """
        certificate = self.files.get("certificate")
        if certificate is None:
            return None, []
        keyFile = self.files.get("key", certificate)
        first, *rest = certificatesIn(certificate)
        key = KeyPair(privateKeyIn(keyFile))
        try:
            own = PrivateCertificate.fromCertificateAndKeyPair(first, key)
        except VerifyError as error:
            raise ValueError(f"{keyFile}: not the private key of {certificate}") from error
        return own, [each.original for each in rest]


def proxyURL(text: str, password: bytes | None = None) -> ProxyURL:
    """
    Read the URL of a proxy::

        socks6://[USER[:PASSWORD]@]HOST[:PORT]
        socks6s://[USER[:PASSWORD]@]HOST[:PORT][?ca=FILE&certificate=FILE&key=FILE]

    With C{?passwordfile=FILE}, the password is the first line of that file.  C{?udp=PORT}
    and, of C{socks6s}, C{?dtls=PORT} name the proxy's port for datagrams; without
    either, C{socks6} has it where it has TCP, and C{socks6s} has none: what is
    encrypted otherwise is never sent as it is unless somebody says so.  With
    C{?fastopen=no}, the request does not leave in the first packet.  Special
    characters in user name, password and files are written as C{%} and two digits.
    The files are found from the folder in which this is called.

    @param password: The user's, if there is a user and the URL has no password.
    @raise ValueError: It is none, or the file with the password cannot be read.  What
        was written is not repeated: it may hold a password.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(
            f"the proxy is not of the form {_FORM};"
            " special characters in user and password are written as % and two digits"
        )
    encrypted = match["scheme"] == "socks6s"
    port = DEFAULT_PORT if match["port"] is None else int(match["port"])
    if not 0 < port <= MAX_PORT:
        raise ValueError(f"the proxy's port is not within 1 to {MAX_PORT}")
    parameters = _parametersIn(match["query"] or "")
    udp, dtls = (_portIn(name, parameters.pop(name, None)) for name in _DATAGRAM_PORTS)
    fastOpen = _ANSWERS.get(parameters.pop(_FAST_OPEN, "yes"))
    if fastOpen is None:
        raise ValueError("fastopen= is neither yes nor no")
    files = {
        name: Path(os.fsdecode(unquote_to_bytes(value))).absolute()
        for name, value in parameters.items()
    }
    passwordFile = files.pop(_PASSWORD_FILE, None)
    forTLS = [*files, *([] if dtls is None else ["dtls"])]
    if forTLS and not encrypted:
        raise ValueError(f"{forTLS[0]}= is for socks6s://, which has TLS")
    if "key" in files and "certificate" not in files:
        raise ValueError("key= is of no use without certificate=")
    if match["password"] is not None:
        password = unquote_to_bytes(match["password"])
    elif passwordFile is not None:
        password = passwordIn(passwordFile)
    credentials = _credentials(match["username"], password)
    return ProxyURL(_host(match["host"]), port, encrypted, credentials, files, udp, dtls, fastOpen)


def passwordIn(path: Path) -> bytes:
    """
    Read a password, which is the first line of a file.

    @raise ValueError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.readline(4096).rstrip(b"\r\n")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error


def passwordInEnvironment() -> bytes | None:
    """
    Read the password that the environment has.

    @return: L{None}: it has none.
    """
    password = os.environ.get(PASSWORD_VARIABLE)
    return None if password is None else os.fsencode(password)


def _credentials(username: str | None, password: bytes | None) -> UsernamePassword | None:
    """
    Tell who we are.

    @raise ValueError: We cannot be: there is no password, or one of the two is empty or
        too long.
    """
    if username is None:
        return None
    if password is None:
        raise ValueError("the proxy's URL has a user, and neither a password nor a passwordfile=")
    try:
        return UsernamePassword(unquote_to_bytes(username), password)
    except ValueError:
        raise ValueError("the proxy's user and password have 1 to 255 octets each") from None


def _host(text: str) -> str:
    """
    Read a host.

    @raise ValueError: It can be none.
    """
    if not text.startswith("["):
        return text
    try:
        return str(IPv6Address(text[1:-1]))
    except ValueError:
        raise ValueError("no IPv6 address between the brackets of the proxy's URL") from None


def _portIn(name: str, text: str | None) -> int | None:
    """
    Read a port behind the question mark, if there is one.

    @raise ValueError: It is none.
    """
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) <= MAX_PORT:
        raise ValueError(f"{name}= of the proxy's URL is not within 1 to {MAX_PORT}")
    return int(text)


def _parametersIn(query: str) -> dict[str, str]:
    """
    Read what stands behind the question mark.

    @raise ValueError: It makes no sense.
    """
    known = (*_TLS_FILES, _PASSWORD_FILE, *_DATAGRAM_PORTS, _FAST_OPEN)
    parameters: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known or name in parameters or not value:
            raise ValueError(
                "behind the ? of the proxy's URL there may be ca=, certificate=, key=,"
                " passwordfile=, udp=, dtls= and fastopen=, once each"
            )
        parameters[name] = value
    if parameters.keys() >= set(_DATAGRAM_PORTS):
        raise ValueError("udp= and dtls= of the proxy's URL contradict each other")
    return parameters
