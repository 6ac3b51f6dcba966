"""
The addresses of a name.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address

from twisted.internet import address as addresses
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from zope.interface import implementer

from socks6.interfaces import OutboundFailed
from socks6.outbound.resolver import ThreadedResolver
from socks6.values.address import DomainName, IPAddress, ipAddress
from socks6.values.codes import ReplyCode

#: A name that a host can have: labels of up to 63 letters, digits, hyphens and
#: (as found in the wild) underscores.
_HOST_NAME = re.compile(rb"(?=.{1,254}\Z)([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")


def lookUp(
    resolver: IHostnameResolver, name: DomainName, owner: bytes | None = None
) -> Deferred[list[IPAddress]]:
    """
    Find the addresses of a name, which may be an IP address in text form.

    @param owner: Whom it counts against, if the resolver has a share for each.
    @return: Fires with all of them, in the resolver's order, maybe none.  Fails with
        L{OutboundFailed} if no host can have that name, or if it cannot be looked up.
        Cancelling waits no more.
    """
    if not _HOST_NAME.fullmatch(name.octets):
        return fail(OutboundFailed(ReplyCode.HOST_UNREACHABLE, "no host can have that name"))
    text = name.octets.decode("ascii")
    with suppress(ValueError):
        return succeed([ip_address(text)])
    if isinstance(resolver, ThreadedResolver):
        return resolver.lookUp(text, owner)
    receiver = _Receiver()
    try:
        resolver.resolveHostName(receiver, text)
    except OutboundFailed as failure:
        return fail(failure)
    return receiver.done


@implementer(IResolutionReceiver)
class _Receiver:
    """
    Collects the addresses of a name.
    """

    def __init__(self) -> None:
        self.done: Deferred[list[IPAddress]] = Deferred(lambda done: self._cancel())
        self._hosts: list[IPAddress] = []
        self._resolution: IHostResolution | None = None

    def _cancel(self) -> None:
        """
        Wait no more.
        """
        if self._resolution is not None:
            # Twisted's own look-ups cannot be cancelled; nobody listens to them.
            with suppress(NotImplementedError):
                self._resolution.cancel()

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """
        Resolution has begun.
        """
        self._resolution = resolution

    def addressResolved(self, address: IAddress) -> None:
        """
        One more address.
        """
        if isinstance(address, addresses.IPv4Address | addresses.IPv6Address):
            self._hosts.append(ipAddress(address.host))

    def resolutionComplete(self) -> None:
        """
        That was all.
        """
        if not self.done.called:
            self.done.callback(self._hosts)
