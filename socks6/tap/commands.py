"""
The options of C{twistd socks6} that are about BIND and UDP ASSOCIATE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import Any

from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.python.usage import UsageError

from socks6.outbound.names import lookUp
from socks6.outbound.resolver import ThreadedResolver
from socks6.server.associations import AssociationLimits, Associations
from socks6.server.bind import Binder
from socks6.server.bindpolicy import BindPolicy
from socks6.server.datagramservice import DatagramService, Place
from socks6.server.service import ProxyService
from socks6.tap.readings import count, duration
from socks6.values.address import IPAddress
from socks6.values.codes import MAX_PORT
from socks6.wire import DEFAULT_CODEC

_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_PLACE = re.compile(r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9.]+):)?(?P<port>[0-9]{1,5})")

#: Where datagrams come in if the user names a mere number.
_LOOPBACK = "127.0.0.1"


def _address(option: str, text: str) -> IPAddress:
    """
    Read an IP address.

    @raise UsageError: It is none.
    """
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(f"--{option} {text!r} is no IP address") from None


def _ports(text: str) -> tuple[int, int]:
    """
    Read a range of ports.

    @raise ValueError: It is none.
    """
    match = _RANGE.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= int(match[2]) <= MAX_PORT:
        raise ValueError(f"--bind-ports {text!r} is not of the form LOW-HIGH")
    return int(match[1]), int(match[2])


def _place(option: str, text: str) -> Place:
    """
    Read a port, or an address and a port.

    @raise UsageError: It is neither.
    """
    match = _PLACE.fullmatch(text)
    if match is not None and int(match["port"]) <= MAX_PORT:
        host = (match["host"] or _LOOPBACK).strip("[]")
        return str(_address(option, host)), int(match["port"])
    raise UsageError(f"--{option} {text!r} is neither a port nor ADDRESS:PORT")


class CommandOptions(dict[str, Any]):
    """
    A part of a command line's options.

    @ivar udpPorts: Where to take plain datagrams; L{None}: where the first TCP port is.
    @ivar dtlsPorts: Where to speak DTLS.
    """

    parameters: Sequence[Sequence[Any]] = [
        ["bind-ports", None, None, "Ports that clients may bind [default: above 1023].", _ports],
        duration("bind-timeout", 120.0, "Seconds that a host may take to come to a bound port."),
        count("max-backlog", 2, MAX_PORT, 128, "Connections that may wait at a bound port."),
        duration("udp-idle-timeout", 300.0, "Seconds after which a silent association ends."),
        count("max-associations", 0, 2**31 - 1, 256, "UDP associations of one user or address."),
    ]

    def __init__(self) -> None:
        """
        Begin with the defaults.
        """
        super().__init__()
        self.udpPorts: list[Place] | None = None
        self.dtlsPorts: list[Place] = []
        self._bindAddresses: list[IPAddress] = []
        self._advertised: dict[int, IPAddress] = {}

    def opt_bind_address(self, address: str) -> None:
        """
        An address that clients may bind; repeatable [default: where they have connected].
        """
        self._bindAddresses.append(_address("bind-address", address))

    def opt_advertise(self, address: str) -> None:
        """
        What remote hosts call this machine, if a NAT is between; once for each version of IP.
        """
        found = _address("advertise", address)
        # A zone would mean something on this machine only.
        if found.is_unspecified or "%" in address:
            raise UsageError(f"--advertise {address!r} is no address that a host can reach")
        if found.version in self._advertised:
            raise UsageError(f"--advertise has two addresses of IP version {found.version}")
        self._advertised[found.version] = found

    def opt_udp_port(self, port: str) -> None:
        """
        Take clients' datagrams at this port, or ADDRESS:PORT, or no; repeatable [default: as
        the first TCP port].
        """
        places = [] if port == "no" else [_place("udp-port", port)]
        if self.udpPorts is not None and not (places and self.udpPorts):
            raise UsageError("--udp-port no stands for itself")
        self.udpPorts = [*(self.udpPorts or []), *places]

    def opt_dtls_port(self, port: str) -> None:
        """
        The same with DTLS; repeatable.
        """
        self.dtlsPorts.append(_place("dtls-port", port))

    def checkCommands(self, isDirect: bool) -> None:
        """
        Check that there is a use for what the options say.

        @param isDirect: Whether the proxy itself reaches remote hosts.
        @raise UsageError: There is none.
        """
        if isDirect:
            return
        for option, value in (
            ("udp-port", self.udpPorts),
            ("dtls-port", self.dtlsPorts),
            ("bind-address", self._bindAddresses),
            ("bind-ports", self["bind-ports"]),
            ("advertise", self._advertised),
        ):
            if value:
                raise UsageError(
                    f"--{option} needs --outbound direct: BIND and UDP ASSOCIATE go through no"
                    " other proxy"
                )

    def binder(self, reactor: Any, backlog: bool = True) -> Binder:
        """
        Make what opens ports.

        @param backlog: Whether connections may wait there to be claimed.
        """
        policy = self._policy()
        return Binder(reactor, policy if backlog else replace(policy, maxBacklog=0))

    def associations(self, reactor: Any) -> Associations | None:
        """
        Make what passes datagrams.

        @return: L{None}: they can come in nowhere.
        """
        if self.udpPorts == [] and not self.dtlsPorts:
            return None
        return Associations(
            reactor,
            self._policy(),
            DEFAULT_CODEC,
            partial(lookUp, ThreadedResolver(reactor)),
            AssociationLimits(self["max-associations"], self["udp-idle-timeout"]),
        )

    def datagramService(
        self, proxy: ProxyService, associations: Associations, context: SSL.Context | None
    ) -> DatagramService:
        """
        Make the service that takes datagrams.

        @param proxy: Listens by the time that the service starts.
        @param context: The server's side of DTLS, if there is to be any.
        """

        def plain() -> Sequence[Place]:
            if self.udpPorts is not None:
                return self.udpPorts
            hosts = [port.getHost() for port in proxy.ports]
            return [
                (host.host, host.port)
                for host in hosts
                if isinstance(host, IPv4Address | IPv6Address)
            ][:1]

        # Nobody has asked for that port; and others may use it since before we did.
        isOptional = self.udpPorts is None
        return DatagramService(associations, plain, self.dtlsPorts, context, isOptional=isOptional)

    def _policy(self) -> BindPolicy:
        """
        Say which ports may be bound.
        """
        return BindPolicy(
            self._bindAddresses,
            self["bind-ports"],
            self["bind-timeout"],
            self["max-backlog"],
            self._advertised,
            bool(self["mptcp"]),
        )
