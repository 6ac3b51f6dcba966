"""
SOCKS 5, as both sides spell it.

A client offers authentication methods and the server chooses one; what the
method needs follows, for user names and passwords L{socks6.wire.password}.
Then the client makes its request, and the server replies.  All numbers are in
network byte order.

@see: RFC 1928; L{socks6.wire.codec} for what the C{...Length} functions return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct

from socks6.values.address import Address
from socks6.values.codes import AuthenticationMethod, Command
from socks6.wire.address import addressEnd, decodeHost, encodeHost
from socks6.wire.codec import Octets
from socks6.wire.errors import AnotherProtocol, MalformedMessage
from socks6.wire.framing import checkWhole
from socks6.wire.replycodes import SOCKS5ReplyCode

VERSION = 5

_PORT = Struct("!H")

#: Octets before the address of a request, a reply and a datagram.
_HEAD_LENGTH = 3

# The numbers that have names.  Those of Command but for NOOP, which is not of
# SOCKS 5.
_COMMANDS: Mapping[int, Command] = {
    each: each for each in (Command.CONNECT, Command.BIND, Command.UDP_ASSOCIATE)
}
_METHODS: Mapping[int, AuthenticationMethod] = {each: each for each in AuthenticationMethod}
_REPLY_CODES: Mapping[int, SOCKS5ReplyCode] = {each: each for each in SOCKS5ReplyCode}


def _isOctet(what: str, number: int) -> None:
    """
    Check that a field's number fits.

    @raise ValueError: It does not.
    """
    if not 0 <= number <= 255:
        raise ValueError(f"{what} out of range: {number}")


@dataclass(frozen=True, slots=True)
class SOCKS5Request:
    """
    What the client asks for.

    @ivar command: A plain C{int} (0 to 255) if we do not know it.
    @ivar address: CONNECT: where to connect to.  BIND: who will connect.  UDP
        ASSOCIATE: where the client will send from.
    @see: RFC 1928, section 4.
    """

    command: Command | int
    address: Address

    def __post_init__(self) -> None:
        """
        Check the command.

        @raise ValueError: It is not an octet.
        """
        _isOctet("command", self.command)


@dataclass(frozen=True, slots=True)
class SOCKS5Reply:
    """
    How the operation went.

    @ivar code: A plain C{int} (0 to 255) if we do not know it.
    @ivar address: The address that the server has bound, where it has.
    @see: RFC 1928, section 6.
    """

    code: SOCKS5ReplyCode | int
    address: Address

    def __post_init__(self) -> None:
        """
        Check the code.

        @raise ValueError: It is not an octet.
        """
        _isOctet("reply code", self.code)


@dataclass(frozen=True, slots=True)
class SOCKS5DatagramHeader:
    """
    What stands in front of each datagram between client and server.

    @ivar fragment: 0: the datagram is whole.  Who puts no fragments together
        "MUST drop any datagram" with another number.
    @ivar address: The remote host that the datagram goes to or comes from.
    @see: RFC 1928, section 7.
    """

    fragment: int
    address: Address

    def __post_init__(self) -> None:
        """
        Check the fragment.

        @raise ValueError: It is not an octet.
        """
        _isOctet("fragment", self.fragment)


def _checkFirst(octets: Octets, who: str) -> None:
    """
    Check the first octet of a connection, if it is there.

    @param who: Whose it is.
    @raise AnotherProtocol: It is not SOCKS 5's version.
    """
    if octets and octets[0] != VERSION:
        raise AnotherProtocol(f"not a SOCKS 5 {who}: its first octet is {octets[0]}")


# --- authentication methods ---


def methodOfferLength(octets: Octets) -> int:
    """
    Find the end of the methods that a client offers::

        version:1=0x05 count:1 methods:count

    @raise AnotherProtocol: The first octet is not 5.
    @raise MalformedMessage: There are none.
    @see: RFC 1928, section 3.
    """
    _checkFirst(octets, "client")
    if len(octets) < 2:
        return 2
    if not octets[1]:
        raise MalformedMessage("no authentication method")
    return 2 + octets[1]


def decodeMethodOffer(octets: bytes) -> tuple[AuthenticationMethod | int, ...]:
    """
    Read the methods that a client offers, in its order.

    @raise AnotherProtocol: The first octet is not 5.
    @raise MalformedMessage: They are not exactly one such message.
    @see: L{encodeMethodOffer}
    """
    checkWhole(octets, methodOfferLength(octets))
    return tuple(_METHODS.get(method, method) for method in octets[2:])


def encodeMethodOffer(methods: Sequence[int]) -> bytes:
    """
    Write the methods that a client offers.

    @param methods: Their numbers, each 0 to 255.
    @return: 3 to 257 octets::

        version:1=0x05 count:1 methods:count

    @raise ValueError: There are none, too many, or one is not an octet.
    @see: RFC 1928, section 3.
    """
    if not 1 <= len(methods) <= 255:
        raise ValueError(f"1 to 255 authentication methods, not {len(methods)}")
    return bytes([VERSION, len(methods), *methods])


def methodChoiceLength(octets: Octets) -> int:
    """
    Find the end of the server's choice of a method::

        version:1=0x05 method:1

    @raise AnotherProtocol: The first octet is not 5.
    @see: RFC 1928, section 3.
    """
    _checkFirst(octets, "server")
    return 2


def decodeMethodChoice(octets: bytes) -> AuthenticationMethod | int:
    """
    Read the server's choice of a method.

    @raise AnotherProtocol: The first octet is not 5.
    @raise MalformedMessage: It is not exactly one such message.
    @see: L{encodeMethodChoice}
    """
    checkWhole(octets, methodChoiceLength(octets))
    return _METHODS.get(octets[1], octets[1])


def encodeMethodChoice(method: int) -> bytes:
    """
    Write the server's choice of a method.

    @param method: Its number; L{AuthenticationMethod.NONE_ACCEPTABLE} ends the
        conversation.
    @return: 2 octets::

        version:1=0x05 method:1

    @raise ValueError: The number is not an octet.
    @see: RFC 1928, section 3.
    """
    return bytes([VERSION, method])


# --- requests and replies ---


def _messageLength(octets: Octets) -> int:
    """
    Find the end of a request or a reply::

        version:1=0x05 number:1 reserved:1 address port:2

    The reserved octet "must be set to X'00'"; whatever it is means nothing, so
    it is not looked at.

    @raise MalformedMessage: It has another version, or its address cannot be
        read.
    """
    if octets and octets[0] != VERSION:
        raise MalformedMessage(f"version {octets[0]} in a conversation in SOCKS 5")
    if len(octets) <= _HEAD_LENGTH:
        return _HEAD_LENGTH + 1
    return addressEnd(octets, _HEAD_LENGTH) + _PORT.size


def _encodeAddress(address: Address) -> bytes:
    """
    Write an address and its port::

        address port:2
    """
    return encodeHost(address.host) + _PORT.pack(address.port)


def _decodeAddress(octets: bytes, end: int) -> Address:
    """
    Read the address behind a head.

    @param end: The offset behind its port.
    @raise MalformedMessage: It is a name with a NUL.
    """
    portOffset = end - _PORT.size
    (port,) = _PORT.unpack_from(octets, portOffset)
    return Address(decodeHost(octets, _HEAD_LENGTH, portOffset), port)


def requestLength(octets: Octets) -> int:
    """
    Find the end of a request::

        version:1=0x05 command:1 reserved:1=0x00 address port:2

    @raise MalformedMessage: It cannot be a request.
    @see: RFC 1928, section 4.
    """
    return _messageLength(octets)


def decodeRequest(octets: bytes) -> SOCKS5Request:
    """
    Read a whole request.

    @raise MalformedMessage: It is not exactly one well-formed request.
    @see: L{encodeRequest}
    """
    checkWhole(octets, requestLength(octets))
    return SOCKS5Request(_COMMANDS.get(octets[1], octets[1]), _decodeAddress(octets, len(octets)))


def encodeRequest(request: SOCKS5Request) -> bytes:
    """
    Write a request.

    @return: 8 to 262 octets::

        version:1=0x05 command:1 reserved:1=0x00 address port:2

    @see: RFC 1928, section 4.
    """
    return bytes([VERSION, request.command, 0]) + _encodeAddress(request.address)


def replyLength(octets: Octets) -> int:
    """
    Find the end of a reply::

        version:1=0x05 code:1 reserved:1=0x00 address port:2

    @raise MalformedMessage: It cannot be a reply.
    @see: RFC 1928, section 6.
    """
    return _messageLength(octets)


def decodeReply(octets: bytes) -> SOCKS5Reply:
    """
    Read a whole reply.

    @raise MalformedMessage: It is not exactly one well-formed reply.
    @see: L{encodeReply}
    """
    checkWhole(octets, replyLength(octets))
    return SOCKS5Reply(_REPLY_CODES.get(octets[1], octets[1]), _decodeAddress(octets, len(octets)))


def encodeReply(reply: SOCKS5Reply) -> bytes:
    """
    Write a reply.

    @return: 8 to 262 octets::

        version:1=0x05 code:1 reserved:1=0x00 address port:2

    @see: RFC 1928, section 6.
    """
    return bytes([VERSION, reply.code, 0]) + _encodeAddress(reply.address)


# --- datagrams ---


def datagramHeaderLength(datagram: Octets) -> int:
    """
    Find the end of a datagram's header, which the payload follows.

    @raise MalformedMessage: The datagram ends within its header, or the address
        cannot be read.
    @see: L{encodeDatagramHeader}
    """
    if len(datagram) <= _HEAD_LENGTH:
        raise MalformedMessage("a datagram ends within its header")
    end = addressEnd(datagram, _HEAD_LENGTH) + _PORT.size
    if len(datagram) < end:
        raise MalformedMessage("a datagram ends within its address")
    return end


def decodeDatagramHeader(datagram: bytes) -> tuple[SOCKS5DatagramHeader, int]:
    """
    Read the header of a datagram.

    @return: The header, and how many octets it takes: the payload follows.
    @raise MalformedMessage: The datagram ends within its header, or the address
        cannot be read.
    @see: L{encodeDatagramHeader}
    """
    end = datagramHeaderLength(datagram)
    return SOCKS5DatagramHeader(datagram[2], _decodeAddress(datagram, end)), end


def encodeDatagramHeader(header: SOCKS5DatagramHeader) -> bytes:
    """
    Write the header of a datagram; the payload follows it.

    @return: 8 to 262 octets::

        reserved:2=0x0000 fragment:1 address port:2

    @see: RFC 1928, section 7.
    """
    return bytes([0, 0, header.fragment]) + _encodeAddress(header.address)
