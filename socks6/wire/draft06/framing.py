"""
Where a message ends.

Each function looks at a few fixed places only, so that it costs constant time,
and complains as soon as the first wrong octet is there.

@see: L{socks6.wire.codec} for what the functions return.
"""

from __future__ import annotations

from socks6.values.codes import MAX_OPTIONS_LENGTH
from socks6.wire.address import addressEnd
from socks6.wire.codec import Octets
from socks6.wire.draft06.numbers import MAJOR_VERSION, MINOR_VERSION, VERSION
from socks6.wire.errors import MalformedMessage, NotSOCKS6, VersionMismatch


def _optionsEnd(octets: Octets, offset: int) -> int:
    """
    Find the end of the options of a message.

    @param offset: Where the field with their length (2 octets) stands.
    @raise MalformedMessage: They are longer than allowed; found at once, the
        options need not be there.
    """
    if len(octets) < offset + 2:
        return offset + 2
    length = octets[offset] << 8 | octets[offset + 1]
    if length > MAX_OPTIONS_LENGTH:
        raise MalformedMessage(f"{length} octets of options")
    return offset + 2 + length


def _addressAndOptionsEnd(octets: Octets, typeOffset: int) -> int:
    """
    Find the end of an address that is followed by options.
    """
    if len(octets) <= typeOffset:
        return typeOffset + 1
    end = addressEnd(octets, typeOffset)
    return _optionsEnd(octets, end) if len(octets) >= end else end


def checkVersion(octets: Octets) -> None:
    """
    Check the version, as far as it is there.

    @raise VersionMismatch: It is another one.
    """
    if octets[:2] != VERSION[: len(octets)]:
        raise VersionMismatch("version is not 6.0")


def requestLength(octets: Octets) -> int:
    """
    Find the end of a request::

        version:2=0x0600 command:1 port:2 address length:2 options:length

    @raise VersionMismatch: It begins with another version.
    @raise MalformedMessage: It cannot be a request.
    @see: draft 06, "Requests".
    """
    checkVersion(octets)
    return _addressAndOptionsEnd(octets, 5)


def authenticationReplyLength(octets: Octets) -> int:
    """
    Find the end of an Authentication Reply::

        version:2=0x0600 type:1 method:1 length:2 options:length

    @raise NotSOCKS6: The first octet is not 6, so a proxy of another kind answers.
    @raise VersionMismatch: The second octet is not 0.
    @raise MalformedMessage: The type is unknown, or the options are too long.
    @see: draft 06, "Version Mismatch and Authentication Replies".
    """
    if octets and octets[0] != MAJOR_VERSION:
        raise NotSOCKS6(f"not a SOCKS 6 proxy: its first octet is {octets[0]}")
    if len(octets) > 1 and octets[1] != MINOR_VERSION:
        raise VersionMismatch(f"the proxy speaks SOCKS 6.{octets[1]}")
    if len(octets) > 2 and octets[2] > 1:
        raise MalformedMessage(f"unknown type {octets[2]} of Authentication Reply")
    return _optionsEnd(octets, 4)


def isVersionMismatchReply(octets: Octets) -> bool:
    """
    Tell whether octets, the last ones of their connection, are a Version
    Mismatch Reply::

        version:2=0x0600

    It begins as an Authentication Reply does; only the end tells them apart.
    """
    return octets == VERSION


def operationReplyLength(octets: Octets) -> int:
    """
    Find the end of an Operation Reply::

        code:1 port:2 address length:2 options:length

    @raise MalformedMessage: It cannot be an Operation Reply.
    @see: draft 06, "Operation Replies".
    """
    return _addressAndOptionsEnd(octets, 3)


def associationInitializationLength(octets: Octets) -> int:
    """
    Find the end of an Association Initialization::

        associationID:4

    @see: draft 06, "Handling UDP ASSOCIATE".
    """
    return 4


def associationConfirmationLength(octets: Octets) -> int:
    """
    Find the end of an Association Confirmation::

        status:1=0x00

    @raise MalformedMessage: It is another octet.
    @see: draft 06, "Handling UDP ASSOCIATE".
    """
    if octets and octets[0]:
        raise MalformedMessage(f"association confirmed with {octets[0]}")
    return 1
