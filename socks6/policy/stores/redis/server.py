"""
Where a Redis server is, and as whom we log in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import (
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

from socks6.certificates import certificatesIn

#: Where Redis listens if nobody says otherwise.
PORT = 6379

#: Octets of the longest path of a UNIX socket; the system wants one more.
MAX_SOCKET_PATH = 107

#: What stands behind C{redis:}.  An unescaped delimiter in a password fits nowhere.
_LOCATION = re.compile(
    r"//(?:(?P<username>(?:[^:@/?#%]|%[0-9A-Fa-f]{2})*):(?P<password>(?:[^:@/?#%]|%[0-9A-Fa-f]{2})*)@)?"
    r"(?P<host>\[[^\[\]@/?#]*\]|[^:@/?#\[\]]*)"
    r"(?::(?P<port>[^:@/?#]*))?"
    r"(?:/(?P<database>[^:@/?#]*))?"
    r"(?:\?(?P<query>[^@?#]*))?"
)

_LABEL = "[A-Za-z0-9_-]{1,63}"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")


@dataclass(frozen=True)
class RedisServer:
    """
    A database of a Redis server, for one of its users.

    @ivar name: What it is called in logs.
    @ivar endpoint: Makes the way to it, with a reactor.
    @ivar database: The number of the database.
    @ivar username: As whom we log in, if not as the default user.
    @ivar password: With what, if we do.
    """

    name: str
    endpoint: Callable[[Any], IStreamClientEndpoint]
    database: int = 0
    username: bytes | None = None
    password: bytes | None = field(default=None, repr=False)


def redisServer(description: str) -> RedisServer:
    """
    Read C{redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]}, C{rediss://...}, which may end
    in C{?ca=FILE}, or C{unix:PATH}, which may end in C{?db=N&username=U&password=P}.

    @raise ValueError: It is none of these, cannot be, or txredisapi is missing.  As
        the mistake may be in a password, the message quotes nothing that could be of
        one.
    """
    # It is not imported, as it imports the reactor.
    if find_spec("txredisapi") is None:
        raise ValueError("--sessions: Redis needs more software: pip install 'socks6[redis]'")
    kind, _, rest = description.partition(":")
    if kind == "unix":
        return _unixServer(rest)
    match = _LOCATION.fullmatch(rest)
    if kind not in ("redis", "rediss") or match is None:
        raise ValueError(
            "--sessions is not of the form redis://[[USER]:PASSWORD@]HOST[:PORT][/DB];"
            " special characters in user and password are written as % and two digits"
        )
    host, shownHost = _host(match["host"])
    port = PORT if match["port"] is None else _number(match["port"], 1, 65535, "port")
    database = _database(match["database"] or "0")
    query = _query(match["query"] or "", ("ca",) if kind == "rediss" else ())
    username, password = _credentials(match["username"], match["password"])
    name = f"{kind}://{shownHost}:{port}/{database}"
    encryption = _encryption(host, query.get("ca")) if kind == "rediss" else None

    def endpoint(reactor: Any) -> IStreamClientEndpoint:
        plain = HostnameEndpoint(reactor, host, port)
        return plain if encryption is None else wrapClientTLS(encryption, plain)

    return RedisServer(name, endpoint, database, username, password)


def _unixServer(description: str) -> RedisServer:
    """
    Read what follows C{unix:}.

    @raise ValueError: It cannot be.
    """
    text, _, rest = description.partition("?")
    # twistd may go elsewhere before we connect.
    path = str(Path(text).absolute())
    if not text or len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ValueError(f"--sessions unix: needs a path of at most {MAX_SOCKET_PATH} octets")
    query = _query(rest, ("db", "username", "password"))
    database = _database(query.get("db", "0"))
    username, password = _credentials(query.get("username"), query.get("password"))
    return RedisServer(
        f"unix:{path}",
        lambda reactor: UNIXClientEndpoint(reactor, path),
        database,
        username,
        password,
    )


def _encryption(host: str, authority: str | None) -> Any:
    """
    Make our side of TLS with a server that must show a certificate for its name.

    @param authority: The file with those who may have issued the server's
        certificate, percent-encoded; L{None}: those that the system trusts.
    @raise ValueError: The file is of no use, or nobody can have such a name.
    """
    trust: Any = platformTrust()
    if authority is not None:
        path = Path(os.fsdecode(unquote_to_bytes(authority)))
        try:
            trust = trustRootFromCertificates(certificatesIn(path))
        except OSError as error:
            raise ValueError(f"--sessions: {path}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"--sessions: {error}") from error
    try:
        return optionsForClientTLS(host, trust)
    except ValueError as error:
        raise ValueError("--sessions: no certificate can be for that host") from error


def _host(text: str) -> tuple[str, str]:
    """
    Read a host.

    @return: It, and as it stands in an URL.
    @raise ValueError: It can be none.
    """
    if text.startswith("["):
        try:
            address = str(IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError("--sessions: no IPv6 address between the brackets") from None
        return address, f"[{address}]"
    if len(text) > 253 or _NAME.fullmatch(text) is None:
        raise ValueError("--sessions: the host is no name or address in ASCII")
    return text, text


def _number(text: str, least: int, most: int, what: str) -> int:
    """
    Read a number.

    @raise ValueError: It is none, or out of range.
    """
    if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
        raise ValueError(f"--sessions: the {what} is not a number from {least} to {most}")
    return int(text)


def _database(text: str) -> int:
    """
    Read the number of a database; how many there are is up to the server.

    @raise ValueError: It can be none.
    """
    return _number(text, 0, 2**31 - 1, "database")


def _query(text: str, known: tuple[str, ...]) -> Mapping[str, str]:
    """
    Read what stands behind a question mark.

    @param known: What may be there.
    @return: By name, still percent-encoded.
    @raise ValueError: Something else is there, or something twice.
    """
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        if name not in known or name in found or not value:
            allowed = " and ".join(f"{each}=..." for each in known)
            allowed = f"{allowed}, once each" if allowed else "nothing"
            raise ValueError(f"--sessions: behind the ? there may be {allowed}")
        found[name] = value
    return found


def _credentials(username: str | None, password: str | None) -> tuple[bytes | None, bytes | None]:
    """
    Read as whom we log in.

    @raise ValueError: There is a user name or an empty password, and no password.
    """
    if not password:
        if username is not None or password is not None:
            raise ValueError("--sessions: there is no password")
        return None, None
    return unquote_to_bytes(username) if username else None, unquote_to_bytes(password)
