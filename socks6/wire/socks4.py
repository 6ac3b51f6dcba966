"""
SOCKS 4 and 4a: a request, and a reply.

What follows a request's fixed fields ends with NUL and tells no length, so the
functions here look for that, within limits.  All numbers are in network byte
order.

@see: "SOCKS: A protocol for TCP proxy across firewalls", and "SOCKS 4A: A
    Simple Extension to SOCKS 4 Protocol", two memos of Ying-Da Lee;
    L{socks6.wire.codec} for what the C{...Length} functions return.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from struct import Struct

from socks6.values.address import Address, DomainName
from socks6.values.codes import MAX_DOMAIN_NAME_LENGTH, MAX_PORT, Command
from socks6.wire.codec import Octets
from socks6.wire.errors import AnotherProtocol, MalformedMessage
from socks6.wire.framing import checkWhole
from socks6.wire.replycodes import SOCKS4ReplyCode

VERSION = 4

#: "VN is the version of the reply code and should be 0."
REPLY_VERSION = 0

#: Octets of a user ID; the memo sets no limit.
MAX_USER_ID_LENGTH = 255

#: version:1 number:1 port:2 host:4
_HEAD = Struct("!BBH4s")

_ANY = IPv4Address(0)

#: The host of a request whose name follows the user ID: 0.0.0.x, x not 0, and
#: this is what we write.
_NAME_FOLLOWS = IPv4Address("0.0.0.1")

# The numbers that have names.
_COMMANDS: Mapping[int, Command] = {each: each for each in (Command.CONNECT, Command.BIND)}
_REPLY_CODES: Mapping[int, SOCKS4ReplyCode] = {each: each for each in SOCKS4ReplyCode}


def _tellsOfName(host: Octets) -> bool:
    """
    Tell whether four octets are no address, but say that a name follows.
    """
    return host[:3] == bytes(3) and host[3] != 0


@dataclass(frozen=True, slots=True)
class SOCKS4Request:
    """
    What the client asks for.

    @ivar command: A plain C{int} (0 to 255) if we do not know it.
    @ivar address: CONNECT: where to connect to.  BIND: who will connect.  An
        IPv4 address or, in SOCKS 4a, a domain name.
    @ivar userID: Who the client says it is; up to 255 octets, none of them NUL.
    """

    command: Command | int
    address: Address
    userID: bytes = b""

    def __post_init__(self) -> None:
        """
        Check the values.

        @raise ValueError: The command is not an octet, the address cannot be
            told, or the user ID is too long or contains NUL.
        """
        if not 0 <= self.command <= 255:
            raise ValueError(f"command out of range: {self.command}")
        host = self.address.host
        if not isinstance(host, DomainName | IPv4Address):
            raise ValueError("SOCKS 4 has no IPv6")
        if isinstance(host, IPv4Address) and _tellsOfName(host.packed):
            raise ValueError("SOCKS 4a takes 0.0.0.x for another thing")
        if len(self.userID) > MAX_USER_ID_LENGTH or b"\0" in self.userID:
            raise ValueError("a user ID has up to 255 octets, none of them NUL")


@dataclass(frozen=True, slots=True)
class SOCKS4Reply:
    """
    How the operation went.

    @ivar code: A plain C{int} (0 to 255) if we do not know it.
    @ivar host: BIND: the address that the server has bound, all zeroes if it is
        the one that the client knows the server by; then of who has connected.
        CONNECT: of no meaning.
    @ivar port: Its port.
    """

    code: SOCKS4ReplyCode | int
    host: IPv4Address = _ANY
    port: int = 0

    def __post_init__(self) -> None:
        """
        Check the numbers.

        @raise ValueError: The code is not an octet, or the port is out of range.
        """
        if not 0 <= self.code <= 255:
            raise ValueError(f"reply code out of range: {self.code}")
        if not 0 <= self.port <= MAX_PORT:
            raise ValueError(f"port out of range: {self.port}")


def _stringEnd(octets: Octets, start: int, limit: int, what: str) -> int:
    """
    Find the end of a string.

    @param limit: How many octets it may have.
    @return: The offset behind its NUL; C{len(octets) + 1} if that is not there.
    @raise MalformedMessage: It has more than C{limit} octets.
    """
    end = octets.find(0, start, start + limit + 1)
    if end >= 0:
        return end + 1
    if len(octets) - start > limit:
        raise MalformedMessage(f"{what} of more than {limit} octets")
    return len(octets) + 1


def requestLength(octets: Octets) -> int:
    """
    Find the end of a request::

        version:1=0x04 command:1 port:2 host:4 userID:n 0x00
        version:1=0x04 command:1 port:2 0x000000 other:1 userID:n 0x00 name:n 0x00

    @raise AnotherProtocol: The first octet is not 4.
    @raise MalformedMessage: The user ID is too long; the name is too long or
        empty.
    """
    if octets and octets[0] != VERSION:
        raise AnotherProtocol(f"not a SOCKS 4 client: its first octet is {octets[0]}")
    if len(octets) <= _HEAD.size:
        return _HEAD.size + 1
    end = _stringEnd(octets, _HEAD.size, MAX_USER_ID_LENGTH, "a user ID")
    if end > len(octets) or not _tellsOfName(octets[4:8]):
        return end
    nameEnd = _stringEnd(octets, end, MAX_DOMAIN_NAME_LENGTH, "a domain name")
    if nameEnd == end + 1 <= len(octets):
        raise MalformedMessage("empty domain name")
    return nameEnd


def decodeRequest(octets: bytes) -> SOCKS4Request:
    """
    Read a whole request.

    @raise AnotherProtocol: The first octet is not 4.
    @raise MalformedMessage: It is not exactly one well-formed request.
    @see: L{encodeRequest}
    """
    checkWhole(octets, requestLength(octets))
    _, command, port, packed = _HEAD.unpack_from(octets)
    userID, _, rest = octets[_HEAD.size :].partition(b"\0")
    host = DomainName(rest[:-1]) if _tellsOfName(packed) else IPv4Address(packed)
    return SOCKS4Request(_COMMANDS.get(command, command), Address(host, port), userID)


def encodeRequest(request: SOCKS4Request) -> bytes:
    """
    Write a request.

    @return: 9 to 520 octets::

        version:1=0x04 command:1 port:2 host:4 userID:n 0x00
        version:1=0x04 command:1 port:2 0x00000001 userID:n 0x00 name:n 0x00
    """
    host, port = request.address.host, request.address.port
    name = host.octets + b"\0" if isinstance(host, DomainName) else b""
    packed = host.packed if isinstance(host, IPv4Address) else _NAME_FOLLOWS.packed
    return _HEAD.pack(VERSION, request.command, port, packed) + request.userID + b"\0" + name


def replyLength(octets: Octets) -> int:
    """
    Find the end of a reply::

        version:1=0x00 code:1 port:2 host:4

    @raise AnotherProtocol: The first octet is not 0.
    """
    if octets and octets[0] != REPLY_VERSION:
        raise AnotherProtocol(f"not a SOCKS 4 server: its first octet is {octets[0]}")
    return _HEAD.size


def decodeReply(octets: bytes) -> SOCKS4Reply:
    """
    Read a whole reply.

    @raise AnotherProtocol: The first octet is not 0.
    @raise MalformedMessage: It is not exactly one reply.
    @see: L{encodeReply}
    """
    checkWhole(octets, replyLength(octets))
    _, code, port, packed = _HEAD.unpack(octets)
    return SOCKS4Reply(_REPLY_CODES.get(code, code), IPv4Address(packed), port)


def encodeReply(reply: SOCKS4Reply) -> bytes:
    """
    Write a reply.

    @return: 8 octets::

        version:1=0x00 code:1 port:2 host:4
    """
    return _HEAD.pack(REPLY_VERSION, reply.code, reply.port, reply.host.packed)
