"""
What the client's datagrams meet over real sockets: remote hosts, users' protocols, and
networks that lose what they carry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.ssl import Certificate

from socks6.client.datagramport import DatagramPort
from socks6.client.datagrams import SOCKS6DatagramEndpoint
from socks6.client.dtls import optionsForClientDTLS
from tests.integration.certificates import Authority
from tests.integration.proxies import ProxyTestCase
from tests.integration.twistd import Twistd

reactor: Any = _reactor

LOOPBACK = "127.0.0.1"

_PORTS = re.compile(r"Datagrams of clients: (UDP|DTLS) port .*:(\d+)")


class Client(DatagramProtocol):
    """
    A user's protocol that remembers.

    @ivar received: What came, with where it came from.
    @ivar stops: How often it was stopped.
    """

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.stops = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Remember.
        """
        self.received.append((datagram, addr))

    def stopProtocol(self) -> None:
        """
        Count.
        """
        self.stops += 1


class Echo(DatagramProtocol):
    """
    A remote host that sends back what it is sent.

    @ivar sources: Where that came from.
    """

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.sources: set[Any] = set()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Send it back.
        """
        self.sources.add(addr)
        self.transport.write(datagram, addr)


class Forwarder(DatagramProtocol):
    """
    A network between one client and the proxy that loses some datagrams.

    @ivar carried: How many it did not lose.
    @ivar lost: How many it lost.
    """

    noisy = False
    transport: Any

    def __init__(self, port: int, loses: Callable[[], bool]) -> None:
        """
        @param port: The proxy's.
        @param loses: Tells of each datagram whether it is lost.
        """
        self._proxy = (LOOPBACK, port)
        self._loses = loses
        self._client: Any = None
        self.carried = 0
        self.lost = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Carry it to the other side, or lose it.
        """
        if addr != self._proxy:
            self._client = addr
        if self._loses():
            self.lost += 1
            return
        self.carried += 1
        self.transport.write(datagram, self._client if addr == self._proxy else self._proxy)


def losing(share: float, seed: int) -> Callable[[], bool]:
    """
    Lose a share of all datagrams, always the same ones.
    """
    dice = Random(seed)
    return lambda: dice.random() < share


class DatagramTestCase(ProxyTestCase):
    """
    A test with C{twistd socks6} in a process of its own, and the client in this one.

    @ivar proxy: The proxy.
    @ivar udp: Its port for datagrams.
    @ivar dtls: Its port for DTLS.
    """

    def start(self) -> None:
        """
        Start the proxy.
        """
        self.authority = Authority(self.folder())
        self.proxy = Twistd(
            self,
            *("--port", f"tcp:0:interface={LOOPBACK}"),
            *("--udp-port", "0", "--dtls-port", "0"),
            *("--certificate", str(self.authority.server().path)),
        )
        (place,) = self.proxy.places()
        self.tcp = int(place[1])
        self.proxy.waitFor(lambda: len(self._ports()) == 2, "no ports for datagrams")
        self.udp, self.dtls = self._ports()["UDP"], self._ports()["DTLS"]
        self.proxyEndpoint = TCP4ClientEndpoint(reactor, LOOPBACK, self.tcp)

    def _ports(self) -> dict[str, int]:
        """
        Find in the log where the proxy takes datagrams.
        """
        return {kind: int(port) for kind, port in _PORTS.findall(self.proxy.output())}

    def hosts(self, protocol: DatagramProtocol, interface: str = LOOPBACK) -> int:
        """
        Start something that takes datagrams, and ends with the test.

        @return: Its port.
        """
        port = reactor.listenUDP(0, protocol, interface=interface, maxPacketSize=65536)
        self.addCleanup(port.stopListening)
        number: int = port.getHost().port
        return number

    def endpoint(
        self, encrypted: bool = False, hostname: str = LOOPBACK, **arguments: Any
    ) -> SOCKS6DatagramEndpoint:
        """
        Make an endpoint at the proxy.

        @param encrypted: Whether DTLS is to be spoken.
        @param hostname: Who the proxy has to be then.
        """
        if encrypted:
            authority = Certificate.loadPEM(self.authority.path.read_bytes())
            arguments["dtls"] = optionsForClientDTLS(hostname, authority)
        arguments.setdefault("datagrams", (None, self.dtls if encrypted else self.udp))
        proxy = arguments.pop("proxy", self.proxyEndpoint)
        return SOCKS6DatagramEndpoint(reactor, proxy, **arguments)

    async def listen(
        self, protocol: DatagramProtocol, *arguments: Any, **more: Any
    ) -> DatagramPort:
        """
        Have the proxy open a port, which is closed with the test.
        """
        port = await self.endpoint(*arguments, **more).listen(protocol)
        self.addCleanup(port.stopListening)
        return port

    async def untilReceived(self, client: Client, number: int) -> None:
        """
        Wait until so many datagrams have come.
        """
        await self.until(lambda: len(client.received) >= number, f"{number} datagrams")


def within(deferred: Deferred[Any], seconds: float) -> Deferred[Any]:
    """
    Wait for something, but not for ever.
    """
    return deferred.addTimeout(seconds, reactor)
