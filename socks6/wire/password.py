"""
Username/password authentication: the messages of RFC 1929, which SOCKS 5 and
SOCKS 6 have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from socks6.values.messages import UsernamePasswordReply
from socks6.values.options import UsernamePassword
from socks6.wire.codec import Octets
from socks6.wire.errors import MalformedMessage
from socks6.wire.framing import checkWhole

#: Version of the messages.
PASSWORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class ProgramCredentials:
    """
    The name and the password that a program gives to a proxy which takes any: they
    only tell programs from one another.

    RFC 1929 wants an octet at least of each.  Programs leave the password out all
    the same, and some the name, so that other proxies had to allow it, too.

    @ivar username: Any octets; there may be none.
    @ivar password: Any octets; there may be none.  Never shown.
    """

    username: bytes
    password: bytes = field(repr=False)


def _checkVersion(octets: Octets) -> None:
    """
    Check the version of a message, as far as it is there.

    @raise MalformedMessage: It is another one.
    """
    if octets and octets[0] != PASSWORD_VERSION:
        raise MalformedMessage(f"version {octets[0]} of username/password authentication")


def usernamePasswordLength(octets: Octets) -> int:
    """
    Find the end of a user name and password message::

        version:1=0x01 length:1 name:length length:1 password:length

    @raise MalformedMessage: It has another version, or one length is 0.
    @see: RFC 1929, section 2.
    """
    _checkVersion(octets)
    end = 1
    for what in ("user name", "password"):
        if len(octets) <= end:
            return end + 1
        if not octets[end]:
            raise MalformedMessage(f"empty {what}")
        end += 1 + octets[end]
    return end


def programCredentialsLength(octets: Octets) -> int:
    """
    Find the end of such a message of a program, whose name and password may be
    empty::

        version:1=0x01 length:1 name:length length:1 password:length

    @raise MalformedMessage: It has another version.
    @see: L{ProgramCredentials}
    """
    _checkVersion(octets)
    end = 1
    for _ in ("user name", "password"):
        if len(octets) <= end:
            return end + 1
        end += 1 + octets[end]
    return end


def usernamePasswordReplyLength(octets: Octets) -> int:
    """
    Find the end of the answer to a user name and password::

        version:1=0x01 status:1

    @raise MalformedMessage: It has another version.
    @see: RFC 1929, section 2.
    """
    _checkVersion(octets)
    return 2


def encodeUsernamePassword(credentials: UsernamePassword) -> bytes:
    """
    Write a user name and password message.

    @return: 5 to 513 octets::

        version:1=0x01 length:1 name:length length:1 password:length

    @see: RFC 1929, section 2.
    """
    username, password = credentials.username, credentials.password
    return b"".join(
        (
            bytes([PASSWORD_VERSION, len(username)]),
            username,
            bytes([len(password)]),
            password,
        )
    )


def decodeUsernamePassword(octets: bytes) -> UsernamePassword:
    """
    Read a whole user name and password message.

    @raise MalformedMessage: It is not exactly one such message.
    @see: L{encodeUsernamePassword}
    """
    checkWhole(octets, usernamePasswordLength(octets))
    split = 2 + octets[1]
    return UsernamePassword(octets[2:split], octets[split + 1 :])


def decodeProgramCredentials(octets: bytes) -> ProgramCredentials:
    """
    Read a whole user name and password message of a program.

    @raise MalformedMessage: It is not exactly one such message.
    @see: L{programCredentialsLength}
    """
    checkWhole(octets, programCredentialsLength(octets))
    split = 2 + octets[1]
    return ProgramCredentials(octets[2:split], octets[split + 1 :])


def encodeUsernamePasswordReply(reply: UsernamePasswordReply) -> bytes:
    """
    Write the answer to a user name and password.

    @return: 2 octets::

        version:1=0x01 status:1

    @see: RFC 1929, section 2.
    """
    return bytes([PASSWORD_VERSION, reply.status])


def decodeUsernamePasswordReply(octets: bytes) -> UsernamePasswordReply:
    """
    Read a whole answer to a user name and password.

    @raise MalformedMessage: It is not exactly one such message.
    @see: L{encodeUsernamePasswordReply}
    """
    checkWhole(octets, usernamePasswordReplyLength(octets))
    return UsernamePasswordReply(octets[1])
