"""
The command BIND.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import TimeoutError

from socks6.adoption import adopt
from socks6.fastopen import acceptFastOpen
from socks6.policy.rulebook import RuleCheck
from socks6.policy.sessions import ownerOf
from socks6.relay.legs import LegProtocol
from socks6.server.admission import clientOf
from socks6.server.bindpolicy import BindPolicy, BindRefused, openSocket
from socks6.server.connect import openTunnel
from socks6.server.listener import Listener, ListenerClosed, noObjection, peerOf
from socks6.server.negotiation import Negotiation
from socks6.server.stack import typeOfServiceWishes
from socks6.sockets import localAddress
from socks6.values.address import Address, IPAddress, addressFromText, ipAddress, unmapped
from socks6.values.codes import Command, ReplyCode
from socks6.values.messages import Request
from socks6.values.options import ListenBacklog, OptionList, TCPFastOpen


class Binder:
    """
    Opens ports for clients, and knows those from which connections can be claimed.

    @ivar policy: Which ports, and for how long.
    """

    def __init__(self, reactor: Any, policy: BindPolicy) -> None:
        """
        @param reactor: A real one.
        """
        self.policy = policy
        self._reactor = reactor
        #: By address, as remote hosts reach them.
        self._claimable: dict[Address, Listener] = {}
        #: Hosts that wait, by whom they count against.
        self._hosts: Counter[bytes] = Counter()

    def claimable(self, address: Address) -> Listener | None:
        """
        Find a port from which connections can be claimed.
        """
        return self._claimable.get(address)

    def open(
        self,
        wish: Address,
        own: IPAddress | None,
        backlog: int,
        session: bytes | None,
        owner: bytes,
        fastOpen: bool = False,
        objection: Callable[[Address, int], str | None] = noObjection,
    ) -> Listener:
        """
        Open a port.

        @param own: Where the client has connected to the proxy.
        @param backlog: Connections that may wait to be claimed; 0: none.
        @param session: Whose session may claim them.
        @param owner: Whom they count against while they wait.
        @param fastOpen: Whether data in the first packet is accepted.
        @param objection: See L{Listener}.
        @raise BindRefused: It cannot be, or may not be.
        """
        handle = openSocket(self.policy, wish, own, socket.SOCK_STREAM)
        if fastOpen:
            acceptFastOpen(handle)
        bound = addressFromText(*handle.getsockname()[:2])
        address = self.policy.reported(bound, own)
        if address in self._claimable:
            # Several addresses of ours may have the same name for remote hosts.
            handle.close()
            raise BindRefused(ReplyCode.GENERAL_FAILURE, f"{address} is another port already")
        listener = Listener(
            self._reactor, handle, address, backlog, session, owner, self._hosts, objection
        )
        if backlog:
            self._claimable[address] = listener
        return listener

    def close(self, listener: Listener) -> None:
        """
        Close a port.
        """
        if self._claimable.get(listener.address) is listener:
            del self._claimable[listener.address]
        listener.close()

    def adopt(self, handle: socket.socket) -> LegProtocol:
        """
        Make a leg of a connection.

        @raise OSError: It has gone already.
        """
        remote = LegProtocol()
        adopt(self._reactor, handle, remote)
        return remote


async def bind(negotiation: Negotiation, request: Request) -> None:
    """
    Wait for hosts at a port.

    @see: draft 06, "Handling BIND".
    """
    binder = negotiation.factory.binder
    if binder is None:
        negotiation.fail(ReplyCode.COMMAND_NOT_SUPPORTED)
        return
    check = negotiation.check(Command.BIND)
    verdict = check.client()
    if not verdict.allowed:
        negotiation.fail(ReplyCode.NOT_ALLOWED, verdict.reason)
        return
    listener = binder.claimable(request.address)
    if listener is None:
        await _open(negotiation, request, binder, check)
    elif listener.session != negotiation.session:
        negotiation.fail(ReplyCode.NOT_ALLOWED, "the port belongs to another session")
    else:
        negotiation.reply(ReplyCode.SUCCESS, listener.address)
        await _takeHost(negotiation, request, binder, listener, check)


async def _open(
    negotiation: Negotiation, request: Request, binder: Binder, check: RuleCheck
) -> None:
    """
    Open a port.
    """
    wanted = next(request.options.stack(ListenBacklog), None)
    backlog = 0
    # "Outside a session the option is ignored."
    if wanted is not None and negotiation.session is not None:
        backlog = min(wanted.backlog, binder.policy.maxBacklog)
    own = ownAddress(negotiation)
    owner = ownerOf(negotiation.identity, clientOf(negotiation.leg))
    try:
        listener = binder.open(
            request.address,
            own,
            backlog,
            negotiation.session,
            owner,
            any(request.options.stack(TCPFastOpen)),
            check.objectionToComer,
        )
    except BindRefused as refused:
        negotiation.fail(refused.replyCode, str(refused))
        return
    assert negotiation.record is not None
    # What the operator's log should name, as the wish may name nothing.
    negotiation.record.destination = listener.address
    try:
        verdict = check.opened(listener.address.port)
        if not verdict.allowed:
            negotiation.fail(ReplyCode.NOT_ALLOWED, verdict.reason)
        elif backlog:
            options = OptionList([ListenBacklog(backlog)])
            negotiation.reply(ReplyCode.SUCCESS, listener.address, options)
            await negotiation.untilInputEnds()
            negotiation.end("closed")
        else:
            negotiation.reply(ReplyCode.SUCCESS, listener.address)
            await _takeHost(negotiation, request, binder, listener, check)
    finally:
        binder.close(listener)


async def _takeHost(
    negotiation: Negotiation,
    request: Request,
    binder: Binder,
    listener: Listener,
    check: RuleCheck,
) -> None:
    """
    Wait for a host, and pass octets.
    """
    timeout = binder.policy.timeout
    try:
        handle = await listener.accept().addTimeout(timeout, negotiation.factory.clock)
    except TimeoutError:
        # Before the client hears of it, who may want to have the port again.
        listener.giveUp()
        refused = f"; of {listener.refused} hosts, none is allowed" if listener.refused else ""
        negotiation.fail(ReplyCode.TIMED_OUT, f"nobody connected within {timeout:g} s{refused}")
        return
    except ListenerClosed as closed:
        negotiation.fail(ReplyCode.GENERAL_FAILURE, str(closed))
        return
    try:
        host = peerOf(handle)
        verdict = check.comer(host, listener.address.port)
        if not verdict.allowed:
            handle.close()
            negotiation.fail(ReplyCode.NOT_ALLOWED, verdict.reason)
            return
        remote = binder.adopt(handle)
    except OSError as error:
        handle.close()
        negotiation.fail(ReplyCode.GENERAL_FAILURE, error.strerror or "")
        return
    check.settle(verdict)
    openTunnel(negotiation, remote, host, typeOfServiceWishes(request.options))


def ownAddress(negotiation: Negotiation) -> IPAddress | None:
    """
    Tell where the client has connected to the proxy.

    @return: L{None}: not by IP.
    """
    # A PROXY header may claim anything.
    host = getattr(localAddress(negotiation.transport), "host", "")
    try:
        # An IPv6 socket may carry IPv4.
        return unmapped(ipAddress(host))
    except ValueError:
        return None
