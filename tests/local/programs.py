"""
What programs say to proxies, and what they hear.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from socks6.local.dialects import Wish
from socks6.values.address import Address, DomainName
from socks6.values.codes import Command
from socks6.wire.http import CONNECTION_ESTABLISHED
from socks6.wire.password import ProgramCredentials

NAME = Address(DomainName(b"example.com"), 443)
IPV4 = Address(IPv4Address("203.0.113.1"), 443)
IPV6 = Address(IPv6Address("2001:db8::2"), 443)

ADA = ProgramCredentials(b"ada", b"s3cret")

# --- SOCKS 5 ---

#: The methods that a program offers, and what we choose.
HELLO = bytes.fromhex("05 01 00")
PASSWORD_HELLO = bytes.fromhex("05 02 00 02")
NO_NEED = bytes.fromhex("05 00")
ASKED = bytes.fromhex("05 02")
NOTHING_ACCEPTABLE = bytes.fromhex("05 ff")
RIGHT = bytes.fromhex("01 00")


def login(name: bytes = b"ada", password: bytes = b"s3cret") -> bytes:
    """
    Write a user name and password as RFC 1929 does.
    """
    return b"\1" + bytes([len(name)]) + name + bytes([len(password)]) + password


def socks5(command: int = 1, address: str = "01 cb007101") -> bytes:
    """
    Write a request for port 443.
    """
    return b"\5" + bytes([command]) + b"\0" + bytes.fromhex(address + "01bb")


def socks5Reply(code: int, bound: str = "01 00000000 0000") -> bytes:
    """
    Write a reply.
    """
    return b"\5" + bytes([code]) + b"\0" + bytes.fromhex(bound)


FIVE = HELLO + socks5()
FIVE_GRANTED = socks5Reply(0)

# --- SOCKS 4 ---


def socks4(command: int = 1, host: str = "cb007101", rest: bytes = b"\0") -> bytes:
    """
    Write a request for port 443.

    @param rest: What follows the fixed fields.
    """
    return b"\4" + bytes([command]) + bytes.fromhex("01bb" + host) + rest


def socks4Reply(code: int, bound: str = "0000 00000000") -> bytes:
    """
    Write a reply.

    @param bound: Port and host.
    """
    return b"\0" + bytes([code]) + bytes.fromhex(bound)


FOUR = socks4()
FOUR_GRANTED = socks4Reply(90)
FOUR_REFUSED = socks4Reply(91)

# --- HTTP ---

#: Ada's name and password.
BASIC = b"Basic " + b64encode(b"ada:s3cret")
PROXY_AUTHORIZATION = b"Proxy-Authorization: " + BASIC + b"\r\n"

TUNNEL = b"CONNECT 203.0.113.1:443 HTTP/1.1\r\nHost: 203.0.113.1:443\r\n\r\n"
TUNNEL_GRANTED = CONNECTION_ESTABLISHED

GET = b"GET http://203.0.113.1:443/a?b HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\r\n"

#: What the web server gets of that.
FORWARDED = (
    b"GET /a?b HTTP/1.1\r\nHost: 203.0.113.1:443\r\nAccept: */*\r\nConnection: close\r\n\r\n"
)


def response(status: str, text: str) -> bytes:
    """
    Write an answer of ours.
    """
    body = f"{text}.\n"
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode("ascii")


def refusedResponse(status: str, reason: str) -> bytes:
    """
    Write that there is no connection.
    """
    return response(status, f"The proxy could not connect: {reason}")


# --- all of them ---


@dataclass(frozen=True)
class Conversation:
    """
    What a program says until it has asked.

    @ivar name: What is special about it.
    @ivar sent: What it says.
    @ivar heard: What it gets to hear before it is known whether it gets what it wants.
    @ivar wish: What it wants.
    @ivar forwarded: What the remote host gets of what it has said.
    @ivar granted: What it gets to hear when there is a connection.
    """

    name: str
    sent: bytes
    wish: Wish
    granted: bytes
    heard: bytes = b""
    forwarded: bytes = field(default=b"")


def _wish(address: Address = IPV4, command: int = 1, who: ProgramCredentials | None = None) -> Wish:
    """
    Make a wish.
    """
    return Wish(command, address, who)


CONVERSATIONS = (
    Conversation("SOCKS 5", FIVE, _wish(), FIVE_GRANTED, NO_NEED),
    Conversation(
        "SOCKS 5, IPv6",
        HELLO + socks5(address="04 20010db8 00000000 00000000 00000002"),
        _wish(IPV6),
        FIVE_GRANTED,
        NO_NEED,
    ),
    Conversation(
        "SOCKS 5, name",
        HELLO + socks5(address="03 0b" + b"example.com".hex()),
        _wish(NAME),
        FIVE_GRANTED,
        NO_NEED,
    ),
    Conversation(
        "SOCKS 5, password",
        PASSWORD_HELLO + login() + socks5(),
        _wish(who=ADA),
        FIVE_GRANTED,
        ASKED + RIGHT,
    ),
    Conversation(
        "SOCKS 5, many methods",
        bytes.fromhex("05 ff") + b"\x80" * 254 + b"\2" + login(b"", b"") + socks5(),
        _wish(who=ProgramCredentials(b"", b"")),
        FIVE_GRANTED,
        ASKED + RIGHT,
    ),
    Conversation("SOCKS 4", FOUR, _wish(), FOUR_GRANTED),
    Conversation(
        "SOCKS 4, user ID",
        socks4(rest=b"ada\0"),
        _wish(who=ProgramCredentials(b"ada", b"")),
        FOUR_GRANTED,
    ),
    Conversation(
        "SOCKS 4a", socks4(host="00000001", rest=b"\0example.com\0"), _wish(NAME), FOUR_GRANTED
    ),
    Conversation(
        "SOCKS 4a, user ID",
        socks4(host="000000ff", rest=b"ada\0example.com\0"),
        _wish(NAME, who=ProgramCredentials(b"ada", b"")),
        FOUR_GRANTED,
    ),
    Conversation("HTTP CONNECT", TUNNEL, _wish(), TUNNEL_GRANTED),
    Conversation(
        "HTTP CONNECT, name, password, HTTP/1.0",
        b"CONNECT example.com:443 HTTP/1.0\r\n" + PROXY_AUTHORIZATION + b"\r\n",
        _wish(NAME, who=ADA),
        TUNNEL_GRANTED,
    ),
    Conversation(
        "HTTP CONNECT, IPv6",
        b"CONNECT [2001:db8::2]:443 HTTP/1.1\r\n\r\n",
        _wish(IPV6),
        TUNNEL_GRANTED,
    ),
    Conversation("HTTP GET", GET, _wish(), b"", forwarded=FORWARDED),
    Conversation(
        "HTTP POST, password",
        b"POST http://eve@example.com:443 HTTP/1.1\r\nContent-Length: 4\r\n"
        + PROXY_AUTHORIZATION
        + b"\r\n",
        _wish(NAME, who=ADA),
        b"",
        forwarded=(
            b"POST / HTTP/1.1\r\nHost: example.com:443\r\nContent-Length: 4\r\n"
            b"Connection: close\r\n\r\n"
        ),
    ),
)

#: What programs may ask for that we do not do, and how they hear of that.
UNSUPPORTED = (
    *(
        Conversation(
            f"SOCKS 5, command {command}",
            HELLO + socks5(command),
            _wish(command=command),
            socks5Reply(7),
            NO_NEED,
        )
        for command in (0, Command.BIND, Command.UDP_ASSOCIATE, 4, 0xF0, 255)
    ),
    *(
        Conversation(
            f"SOCKS 4, command {command}", socks4(command), _wish(command=command), FOUR_REFUSED
        )
        for command in (0, Command.BIND, 3, 255)
    ),
)
