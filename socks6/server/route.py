"""
Where an association's datagrams go.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from socks6.datagramreader import SocketAddress
from socks6.policy.ruleset import Rule
from socks6.relay.throttle import Bucket
from socks6.values.address import Address

if TYPE_CHECKING:
    from socks6.server.association import Association


class Route:
    """
    Where datagrams with one particular header go.

    @ivar association: Whose they are.
    @ivar header: The header.
    @ivar port: The destination's port.
    @ivar target: The destination; L{None}: there is none, or it is not known yet.
    @ivar handle: The socket to send from, if there is a destination.
    @ivar isLocal: Whether the destination is this machine.
    @ivar isDenied: Whether the rules deny it.
    @ivar isFull: Whether that is only because one of them allows no more at the moment.
    @ivar ruleset: The rules that say so; L{None}: there are none.
    @ivar rule: The one of them that allows it; L{None}: there is none.
    @ivar buckets: What is sent is taken from these; none: as much passes as comes.
    @ivar address: The destination as the client names it.
    @ivar pending: What waits for a name to be looked up; L{None}: nothing has to wait.
    """

    __slots__ = (
        "address",
        "association",
        "buckets",
        "handle",
        "header",
        "isDenied",
        "isFull",
        "isLocal",
        "pending",
        "port",
        "rule",
        "ruleset",
        "target",
    )

    def __init__(self, association: Association, header: bytes, address: Address) -> None:
        self.association = association
        self.header = header
        self.address = address
        self.port = address.port
        self.target: SocketAddress = None
        self.handle: socket.socket | None = None
        self.isLocal = False
        self.isDenied = False
        self.isFull = False
        self.ruleset = association.ruleset
        self.rule: Rule | None = None
        self.buckets: Sequence[Bucket] = ()
        self.pending: list[bytes] | None = None

    @property
    def isKnown(self) -> bool:
        """
        Whether the next datagram goes, or does not go, the same way.
        """
        return self.handle is not None or (self.isDenied and not self.isFull)
