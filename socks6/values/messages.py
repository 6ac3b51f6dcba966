"""
The messages of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from socks6.values.address import Address
from socks6.values.codes import AuthenticationMethod, AuthenticationResult, Command, ReplyCode
from socks6.values.options import OptionList


@dataclass(frozen=True, slots=True)
class Request:
    """
    What the client says first.

    @ivar command: What it wants; a plain C{int} (0 to 255) if we do not know it.
    @ivar address: CONNECT: where to connect to.  BIND, UDP ASSOCIATE: the
        address to bind.  NOOP: no meaning.
    @see: draft 06, "Requests".
    """

    command: Command | int
    address: Address
    options: OptionList = field(default_factory=OptionList)

    def __post_init__(self) -> None:
        """
        Check the command.

        @raise ValueError: It is not an octet.
        """
        if not 0 <= self.command <= 255:
            raise ValueError(f"command out of range: {self.command}")


@dataclass(frozen=True, slots=True)
class VersionMismatchReply:
    """
    The proxy's word that it does not speak the client's version.
    """


@dataclass(frozen=True, slots=True)
class AuthenticationReply:
    """
    How authentication stands.

    @ivar result: Done, or more is needed; with L{AuthenticationMethod.NONE_ACCEPTABLE},
        "more is needed" means that it failed.
    @ivar method: The method that the proxy chose.
    @see: draft 06, "Version Mismatch and Authentication Replies".
    """

    result: AuthenticationResult
    method: AuthenticationMethod | int
    options: OptionList = field(default_factory=OptionList)

    def __post_init__(self) -> None:
        """
        Check the method.

        @raise ValueError: It is not an octet.
        """
        if not 0 <= self.method <= 255:
            raise ValueError(f"authentication method out of range: {self.method}")


@dataclass(frozen=True, slots=True)
class OperationReply:
    """
    How the operation went.

    @ivar code: A plain C{int} (0 to 255) if we do not know it.
    @ivar address: The address that the proxy has bound, where it has.
    @see: draft 06, "Operation Replies".
    """

    code: ReplyCode | int
    address: Address
    options: OptionList = field(default_factory=OptionList)

    def __post_init__(self) -> None:
        """
        Check the code.

        @raise ValueError: It is not an octet.
        """
        if not 0 <= self.code <= 255:
            raise ValueError(f"reply code out of range: {self.code}")


@dataclass(frozen=True, slots=True)
class UsernamePasswordReply:
    """
    The proxy's word on a user name and password (RFC 1929).

    @ivar status: 0 is success, all else failure.
    """

    status: int

    def __post_init__(self) -> None:
        """
        Check the status.

        @raise ValueError: It is not an octet.
        """
        if not 0 <= self.status <= 255:
            raise ValueError(f"status out of range: {self.status}")


@dataclass(frozen=True, slots=True)
class AssociationInitialization:
    """
    The name of a new UDP association, told on the TCP connection.

    @ivar associationID: 0 to 2**32 - 1.
    """

    associationID: int

    def __post_init__(self) -> None:
        """
        Check the ID.

        @raise ValueError: It does not fit into four octets.
        """
        if not 0 <= self.associationID < 2**32:
            raise ValueError(f"association ID out of range: {self.associationID}")


@dataclass(frozen=True, slots=True)
class AssociationConfirmation:
    """
    The news, on the TCP connection, that the association's first datagram came.
    """


@dataclass(frozen=True, slots=True)
class DatagramHeader:
    """
    What stands in front of each datagram between client and proxy.

    @ivar associationID: 0 to 2**32 - 1.
    @ivar address: The remote host that the datagram goes to or comes from.
    """

    associationID: int
    address: Address

    def __post_init__(self) -> None:
        """
        Check the ID.

        @raise ValueError: It does not fit into four octets.
        """
        if not 0 <= self.associationID < 2**32:
            raise ValueError(f"association ID out of range: {self.associationID}")
