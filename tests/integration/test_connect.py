"""
Tests for requests, from the first octet to the Operation Reply.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, cast

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from socks6.outbound.direct import DirectOutbound
from tests.integration.peers import (
    ADMITTED,
    NOOP,
    REFUSED,
    Reply,
    accept,
    ask,
    dial,
    echo,
    encodePassword,
    encodeRequest,
    listen,
    openTunnel,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveReplies,
    refusingPlace,
    reset,
    stuff,
)
from tests.integration.proxies import ProxyTestCase, RunningProxy, inThread, reactor, together

#: An address that no network carries, so that a SYN to it gets lost.
DOCUMENTATION = "192.0.2.1"


@implementer(IHostnameResolver)
class Hosts:
    """
    A resolver that knows what it is told.
    """

    def __init__(self, hosts: dict[str, Sequence[str]]) -> None:
        """
        @param hosts: Addresses, by name.
        """
        self._hosts = hosts

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = cast(IHostResolution, None)
        resolutionReceiver.resolutionBegan(resolution)
        for host in self._hosts.get(hostName, ()):
            resolutionReceiver.addressResolved(IPv4Address("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


class Full:
    """
    A listening port whose queue is full: the kernel drops every further SYN.
    """

    def __init__(self) -> None:
        self.listener = listen(backlog=0)
        self.place = placeOf(self.listener)
        #: The addresses of those who wait in the queue.
        self.names: set[object] = set()
        self._waiting: list[socket.socket] = []
        while True:
            sock = socket.socket()
            self._waiting.append(sock)
            sock.settimeout(0.3)
            try:
                sock.connect(self.place)
            except TimeoutError:
                sock.close()
                return
            self.names.add(sock.getsockname())

    def close(self) -> None:
        """
        Refuse all.
        """
        for sock in (self.listener, *self._waiting):
            sock.close()


class DestinationTests(ProxyTestCase):
    """
    Where CONNECT leads to.
    """

    def _echoThrough(self, proxy: RunningProxy, name: str, listener: socket.socket) -> Reply:
        """
        Send something through a tunnel, and check what comes back.

        @param name: The destination's host.
        @return: The proxy's reply.
        """
        data = pattern(1000)
        with dial(proxy.place) as client:
            reply = ask(client, encodeRequest(name, placeOf(listener)[1]))
            self.assertEqual(reply.code, 0)
            client.sendall(data)
            self.assertEqual(receive(client, len(data)), data)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(client), b"")
        return reply

    async def _reach(self, name: str, host: str = "127.0.0.1", **options: Any) -> Reply:
        """
        Reach an echo server.

        @param name: What the client calls its host.
        @param host: Where it listens.
        """
        proxy = self.startProxy(**options)
        listener = self.keep(listen(host))
        reply, _ = await together(
            inThread(self._echoThrough, proxy, name, listener), inThread(echo, listener)
        )
        await self.untilForgotten(proxy)
        assert isinstance(reply, Reply)
        return reply

    async def test_IPv4(self) -> None:
        """
        An IPv4 address is reached; the reply carries the address and port of
        the proxy's own end.
        """
        proxy = self.startProxy()
        listener = self.keep(listen())

        def talk() -> None:
            with dial(proxy.place) as client:
                reply = ask(client, encodeRequest(*placeOf(listener)))
                with accept(listener) as server:
                    self.assertEqual(reply, (0, *server.getpeername(), b""))

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_IPv6(self) -> None:
        """
        An IPv6 address is reached; the reply carries an IPv6 address.
        """
        self.requireIPv6()
        reply = await self._reach("::1", "::1")
        self.assertEqual(reply.host, "::1")

    async def test_IPv6Client(self) -> None:
        """
        The client's own connection may be IPv6.
        """
        self.requireIPv6()
        proxy = self.startProxy("tcp6:0:interface=\\:\\:1")
        listener = self.keep(listen())
        await together(
            inThread(self._echoThrough, proxy, "127.0.0.1", listener), inThread(echo, listener)
        )
        await self.untilForgotten(proxy)
        self.assertIn("[::1]:", self.lines[0])

    async def test_mappedAddress(self) -> None:
        """
        An IPv4 address that is written as an IPv6 one is reached.
        """
        self.requireIPv6()
        reply = await self._reach("::ffff:127.0.0.1")
        self.assertEqual(ip_address(reply.host), ip_address("::ffff:127.0.0.1"))

    async def test_localhost(self) -> None:
        """
        The system's resolver is asked for names; where C{localhost} has several
        addresses, the one that listens is found.
        """
        await self._reach("localhost")

    async def test_allAddresses(self) -> None:
        """
        Where the first addresses of a name refuse, the next is tried.
        """
        hosts = Hosts({"several.example": ["127.0.0.2", "127.0.0.3", "127.0.0.1"]})
        await self._reach("several.example", outbound=DirectOutbound(reactor, 5, hosts))

    async def test_silentAddress(self) -> None:
        """
        An address that does not answer does not hold up the next.
        """
        full = Full()
        self.addCleanup(full.close)
        proxy = self.startProxy(
            outbound=DirectOutbound(
                reactor, 20, Hosts({"several.example": [full.place[0], "127.0.0.2"]})
            )
        )
        listener = self.keep(socket.create_server(("127.0.0.2", full.place[1])))
        began = time.monotonic()
        await together(
            inThread(self._echoThrough, proxy, "several.example", listener),
            inThread(echo, listener),
        )
        self.assertLess(time.monotonic() - began, 5)
        await self.untilForgotten(proxy)

    async def test_noop(self) -> None:
        """
        NOOP is answered, and the connection closed.
        """
        proxy = self.startProxy()

        def talk() -> bytes:
            with dial(proxy.place) as client:
                client.sendall(encodeRequest("0.0.0.0", 0, command=NOOP))
                return receiveAll(client)

        self.assertEqual(await inThread(talk), ADMITTED + bytes.fromhex("00 0000 01 00000000 0000"))
        await self.untilForgotten(proxy)


class FailureTests(ProxyTestCase):
    """
    Each reply code has its cause.  See L{tests.integration.test_namespaces}
    for those that take a network to arise.
    """

    async def _failure(self, proxy: RunningProxy, request: bytes) -> int:
        """
        Ask for what fails, and see the proxy close.

        @return: The reply code.
        """

        def talk() -> int:
            with dial(proxy.place) as client:
                reply = ask(client, request)
                self.assertEqual(receiveAll(client), b"")
                return reply.code

        code: int = await inThread(talk)
        await self.untilForgotten(proxy)
        self.assertEqual(len(self.lines), 1)
        return code

    async def test_refused(self) -> None:
        """
        5: nobody listens.
        """
        sock, place = refusingPlace()
        self.keep(sock)
        self.assertEqual(await self._failure(self.startProxy(), encodeRequest(*place)), 5)
        self.assertIn(": connection refused", self.lines[0])

    async def test_refusedIPv6(self) -> None:
        """
        5, by IPv6.
        """
        self.requireIPv6()
        sock, place = refusingPlace("::1")
        self.keep(sock)
        self.assertEqual(await self._failure(self.startProxy(), encodeRequest(*place)), 5)

    async def test_noSuchName(self) -> None:
        """
        4: the name does not resolve.
        """
        request = encodeRequest("nowhere.invalid", 80)
        outbound = DirectOutbound(reactor, 20, Hosts({}))
        self.assertEqual(await self._failure(self.startProxy(outbound=outbound), request), 4)

    async def test_impossibleName(self) -> None:
        """
        4: no host can have that name.
        """
        request = encodeRequest("two words", 80)
        self.assertEqual(await self._failure(self.startProxy(), request), 4)

    async def test_timedOut(self) -> None:
        """
        9: the remote host does not answer.
        """
        full = Full()
        self.addCleanup(full.close)
        proxy = self.startProxy(connectTimeout=0.5)
        self.assertEqual(await self._failure(proxy, encodeRequest(*full.place)), 9)

    async def test_portZero(self) -> None:
        """
        1: no host listens on port 0.
        """
        self.assertEqual(await self._failure(self.startProxy(), encodeRequest("127.0.0.1", 0)), 1)

    async def test_unspecified(self) -> None:
        """
        1: the unspecified address is nobody's, though the kernel takes it for
        this machine's.
        """
        listener = self.keep(listen())
        request = encodeRequest("0.0.0.0", placeOf(listener)[1])
        self.assertEqual(await self._failure(self.startProxy(), request), 1)

    async def test_unspecifiedIPv6(self) -> None:
        """
        1, by IPv6.
        """
        listener = self.keep(listen())
        request = encodeRequest("::", placeOf(listener)[1])
        self.assertEqual(await self._failure(self.startProxy(), request), 1)

    async def test_unknownCommand(self) -> None:
        """
        7: a command that nobody has heard of.
        """
        request = encodeRequest("127.0.0.1", 80, command=0x7F)
        self.assertEqual(await self._failure(self.startProxy(), request), 7)

    async def test_unknownAddressType(self) -> None:
        """
        8: an address that cannot be read.
        """
        proxy = self.startProxy()

        def talk() -> bytes:
            with dial(proxy.place) as client:
                client.sendall(bytes.fromhex("0600 01 0050 02"))
                return receiveAll(client)

        self.assertEqual(await inThread(talk), ADMITTED + bytes.fromhex("08 0000 01 00000000 0000"))
        await self.untilForgotten(proxy)

    async def test_moreBehind(self) -> None:
        """
        A client that sends much behind a request that fails gets the reply
        nevertheless.
        """
        sock, place = refusingPlace()
        self.keep(sock)
        proxy = self.startProxy()

        def talk() -> int:
            with dial(proxy.place) as client:
                client.sendall(encodeRequest(*place) + pattern(1_000_000))
                return receiveReplies(client).code

        self.assertEqual(await inThread(talk), 5)
        await self.untilForgotten(proxy)


class EarlyDataTests(ProxyTestCase):
    """
    Octets that a client sends before it has the reply.
    """

    async def test_withRequest(self) -> None:
        """
        Data right behind the request, in one packet.
        """
        proxy = self.startProxy()
        listener = self.keep(listen())

        def talk() -> None:
            with dial(proxy.place) as client:
                client.sendall(encodeRequest(*placeOf(listener)) + b"early")
                with accept(listener) as server:
                    self.assertEqual(receive(server, 5), b"early")
                    server.sendall(b"late")
                self.assertEqual(receiveReplies(client).code, 0)
                self.assertEqual(receiveAll(client), b"late")

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_octetByOctet(self) -> None:
        """
        Request and data, each octet in a packet of its own.
        """
        proxy = self.startProxy()
        listener = self.keep(listen())
        data = pattern(500)

        def talk() -> None:
            with dial(proxy.place) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for octet in encodeRequest(*placeOf(listener)) + data:
                    client.sendall(bytes([octet]))
                with accept(listener) as server:
                    self.assertEqual(receive(server, len(data)), data)
                self.assertEqual(receiveReplies(client).code, 0)

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_muchBeforeConnected(self) -> None:
        """
        A client sends without end while the remote host has not answered: the
        proxy keeps little of it, and delivers all when it does.
        """
        full = Full()
        self.addCleanup(full.close)
        proxy = self.startProxy()
        data = pattern(65536)
        client = self.keep(dial(proxy.place))

        def send() -> int:
            client.sendall(encodeRequest(*full.place))
            return stuff(client, data)

        length = await inThread(send)
        (connection,) = proxy.clients
        self.assertGreater(length, 2 * 65536)
        self.assertLess(connection._conversation.heldLength, 2**18)

        def read() -> bytes:
            # The queue, of those who filled it, and the next SYN gets through.
            while True:
                with accept(full.listener) as server:
                    if server.getpeername() not in full.names:
                        self.assertEqual(receiveReplies(client).code, 0)
                        client.shutdown(socket.SHUT_WR)
                        return receiveAll(server)

        got = await inThread(read)
        self.assertEqual(len(got), length)
        self.assertTrue(got == data * (length // 65536) + data[: length % 65536])
        client.close()
        await self.untilForgotten(proxy)


class ClientTests(ProxyTestCase):
    """
    Clients that do not wait for the end.
    """

    async def _connecting(self, **options: Any) -> tuple[RunningProxy, socket.socket]:
        """
        Let a proxy try to connect to somebody who does not answer.
        """
        full = Full()
        self.addCleanup(full.close)
        proxy = self.startProxy(**options)
        client = self.keep(dial(proxy.place))

        def send() -> None:
            client.sendall(encodeRequest(*full.place))
            self.assertEqual(receive(client, len(ADMITTED)), ADMITTED)

        await inThread(send)
        return proxy, client

    async def test_resetWhileConnecting(self) -> None:
        """
        The client is killed while the proxy connects: that ends.
        """
        proxy, client = await self._connecting()
        reset(client)
        await self.untilForgotten(proxy, 5)
        self.assertIn(": client lost, ", self.lines[0])

    async def test_stopWhileConnecting(self) -> None:
        """
        The proxy stops while it connects.
        """
        proxy, _ = await self._connecting()
        await proxy.service.stopService()
        self.assertEqual(proxy.clients, set())

    async def test_silent(self) -> None:
        """
        A client that sends nothing is cut off in time.
        """
        proxy = self.startProxy(requestTimeout=0.3)

        def talk() -> bytes:
            with dial(proxy.place) as client:
                return receiveAll(client)

        self.assertEqual(await inThread(talk), b"")
        await self.untilForgotten(proxy)
        self.assertIn("within 0.3 s", self.lines[0])

    async def test_slow(self) -> None:
        """
        A client that sends an octet now and then is cut off in time.
        """
        proxy = self.startProxy(requestTimeout=0.5)

        def talk() -> float:
            began = time.monotonic()
            with dial(proxy.place) as client:
                try:
                    for octet in encodeRequest("a" * 200, 80):
                        client.sendall(bytes([octet]))
                        time.sleep(0.05)
                except ConnectionError:
                    pass
            return time.monotonic() - began

        self.assertLess(await inThread(talk), 5)
        await self.untilForgotten(proxy)

    async def test_requestTimeoutSparesTunnels(self) -> None:
        """
        A tunnel may be silent for longer than a client may take to ask.
        """
        proxy = self.startProxy(requestTimeout=0.3)
        listener = self.keep(listen())
        client = self.keep(await inThread(openTunnel, dial(proxy.place), placeOf(listener)))
        server = self.keep(await inThread(accept, listener))
        await self.spend(0.5)
        client.sendall(b"still here")
        self.assertEqual(await inThread(receive, server, 10), b"still here")

    async def test_rubbish(self) -> None:
        """
        Somebody who speaks another protocol is told so; the next client is
        served.
        """
        proxy = self.startProxy()

        def talk() -> bytes:
            with dial(proxy.place) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
                answer = receiveAll(client)
            with dial(proxy.place) as client:
                ask(client, encodeRequest("0.0.0.0", 0, command=NOOP))
            return answer

        self.assertEqual(await inThread(talk), bytes.fromhex("0600"))
        await self.untilForgotten(proxy)


class PasswordTests(ProxyTestCase):
    """
    Clients that must show who they are.
    """

    def _start(self) -> RunningProxy:
        """
        Start a proxy that knows one user.
        """
        return self.startProxy(
            checkers=[InMemoryUsernamePasswordDatabaseDontUse(alice=b"opensesame")]
        )

    async def test_right(self) -> None:
        """
        The right password, with the request: no round trip.
        """
        proxy = self._start()
        listener = self.keep(listen())

        def talk() -> None:
            option = encodePassword(b"alice", b"opensesame")
            with dial(proxy.place) as client:
                client.sendall(encodeRequest(*placeOf(listener), option) + b"early")
                self.assertEqual(receive(client, 6), bytes.fromhex("0600 00 02 0000"))
                with accept(listener) as server:
                    self.assertEqual(receive(server, 5), b"early")

        await inThread(talk)
        await self.untilForgotten(proxy)
        self.assertIn(" alice connect ", self.lines[0])
        self.assertNotIn("opensesame", "".join(self.lines))

    async def test_wrong(self) -> None:
        """
        A wrong password, and none: refused, and nothing is connected.
        """
        proxy = self._start()
        listener = self.keep(listen())

        def talk() -> None:
            for option in (encodePassword(b"alice", b"sesame"), b""):
                with dial(proxy.place) as client:
                    client.sendall(encodeRequest(*placeOf(listener), option) + b"early")
                    self.assertEqual(receiveAll(client), REFUSED)
            listener.settimeout(0.2)
            self.assertRaises(TimeoutError, listener.accept)

        await inThread(talk)
        await self.untilForgotten(proxy)
        self.assertNotIn("sesame", "".join(self.lines))

    async def test_negotiated(self) -> None:
        """
        The client waits to be asked, and sends initial data before that.
        """
        proxy = self._start()
        listener = self.keep(listen())
        methods = bytes.fromhex("02 0006 0005 02")

        def talk() -> None:
            with dial(proxy.place) as client:
                client.sendall(encodeRequest(*placeOf(listener), methods) + b"early")
                self.assertEqual(receive(client, 6), bytes.fromhex("0600 01 02 0000"))
                client.sendall(b"\x01\x05alice\x0aopensesame" + b"more")
                self.assertEqual(receive(client, 8), bytes.fromhex("0100 0600 00 02 0000"))
                with accept(listener) as server:
                    self.assertEqual(receive(server, 9), b"earlymore")

        await inThread(talk)
        await self.untilForgotten(proxy)
