"""
Username/password authentication: the messages of RFC 1929.
"""

from __future__ import annotations

from socks6.values.messages import UsernamePasswordReply
from socks6.values.options import UsernamePassword
from socks6.wire.draft06.framing import usernamePasswordLength, usernamePasswordReplyLength
from socks6.wire.draft06.numbers import PASSWORD_VERSION
from socks6.wire.errors import MalformedMessage


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
    if usernamePasswordLength(octets) != len(octets):
        raise MalformedMessage("wrong size of a username/password message")
    split = 2 + octets[1]
    return UsernamePassword(octets[2:split], octets[split + 1 :])


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
    if usernamePasswordReplyLength(octets) != len(octets):
        raise MalformedMessage("wrong size of a username/password answer")
    return UsernamePasswordReply(octets[1])
