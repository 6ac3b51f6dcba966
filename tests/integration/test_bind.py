"""
Tests for BIND, over sockets.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address
from itertools import count
from typing import Any

from socks6.server.bind import Binder
from socks6.server.bindpolicy import BindPolicy
from tests.integration.certificates import Authority
from tests.integration.peers import (
    ADMITTED,
    DEADLINE,
    SESSION_REQUEST,
    Place,
    Reply,
    ask,
    dial,
    encodePassword,
    encodeRequest,
    encodeSessionID,
    encodeTypeOfService,
    exchange,
    finish,
    listen,
    pattern,
    placeOf,
    receive,
    receiveAll,
    receiveReply,
    receiveUntilBroken,
    receiveVerdict,
    reset,
)
from tests.integration.proxies import ProxyTestCase, RunningProxy, inThread, reactor, together
from tests.integration.sharing import openSession
from tests.integration.twistd import Twistd

BIND = 2

#: Any port of any address.
ANYWHERE = ("0.0.0.0", 0)


def encodeBacklog(backlog: int) -> bytes:
    """
    Write a Listen Backlog option.
    """
    return struct.pack("!BHBBH", 1, 7, 2 << 6 | 4, 4, backlog)


def bindAt(
    place: Place, wish: tuple[str, int] = ANYWHERE, options: bytes = b""
) -> tuple[socket.socket, Reply]:
    """
    Send a BIND request, and read the first reply.

    @return: The connection, and the reply.
    """
    sock = dial(place)
    return sock, ask(sock, encodeRequest(*wish, options, BIND))


def claim(
    place: Place, session: bytes, address: tuple[str, int], options: bytes = b""
) -> tuple[socket.socket, Reply]:
    """
    The same in a session.
    """
    sock = dial(place)
    sock.sendall(encodeRequest(*address, encodeSessionID(session) + options, BIND))
    assert receiveVerdict(sock).news == (4,)
    return sock, receiveReply(sock)


def addressOf(reply: Reply) -> tuple[str, int]:
    """
    Tell where the proxy listens.
    """
    return reply.host, reply.port


def isRefused(address: tuple[str, int]) -> bool:
    """
    Tell whether a connection is reset, be it while it is made.
    """
    try:
        with dial(address) as sock:
            sock.recv(1)
    except ConnectionResetError:
        return True
    return False


class BindCase(ProxyTestCase):
    """
    A test of a proxy in this process that opens ports.
    """

    def start(
        self,
        *endpoints: str,
        authority: Authority | None = None,
        idleTimeout: float | None = None,
        **policy: Any,
    ) -> RunningProxy:
        """
        Start it.

        @param policy: That of L{BindPolicy}.
        """
        binder = Binder(reactor, BindPolicy(**policy))
        return self.startProxy(
            *endpoints, authority=authority, binder=binder, idleTimeout=idleTimeout
        )

    def isClosed(self, address: tuple[str, int]) -> bool:
        """
        Tell whether nobody listens at an address.
        """
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family) as sock:
            sock.settimeout(DEADLINE)
            return sock.connect_ex(address) == errno.ECONNREFUSED

    def assertClosed(self, address: tuple[str, int]) -> None:
        """
        Check, in a thread, that a port is closed, if not at once then soon.
        """
        deadline = time.monotonic() + DEADLINE
        while not self.isClosed(address):
            self.assertLess(time.monotonic(), deadline, "it still listens")
            time.sleep(0.01)


class OneHostTests(BindCase):
    """
    One host is waited for.
    """

    async def _check(
        self, talk: Callable[[Place], None], *endpoints: str, **policy: Any
    ) -> RunningProxy:
        """
        Talk to a proxy, which has forgotten all of it in the end.
        """
        proxy = self.start(*endpoints, **policy)
        await inThread(talk, proxy.place)
        await self.untilForgotten(proxy)
        return proxy

    def _pass(self, place: Place, wish: tuple[str, int], host: str) -> None:
        """
        Wait for a host, and pass much both ways.
        """
        client, reply = bindAt(place, wish)
        self.assertEqual((reply.code, reply.host, reply.options), (0, host, b""))
        with client, dial(addressOf(reply)) as remote:
            second = receiveReply(client)
            self.assertEqual((second.code, second.options), (0, b""))
            self.assertEqual(addressOf(second), remote.getsockname()[:2])
            self.assertClosed(addressOf(reply))
            data = pattern(300_000)
            remote.sendall(data[:1000])
            self.assertEqual(receive(client, 1000), data[:1000])
            client.sendall(data[:1000])
            self.assertEqual(receive(remote, 1000), data[:1000])
            # One direction ends, the other one goes on.
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(remote), b"")
            remote.sendall(data)
            remote.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(client), data)

    async def test_IPv4(self) -> None:
        """
        By IPv4.
        """
        await self._check(lambda place: self._pass(place, ANYWHERE, "127.0.0.1"))
        (line,) = self.lines
        self.assertRegex(
            line,
            r" - bind 127\.0\.0\.1:[0-9]+: closed,"
            r" 1000 octets to the remote host, 301000 to the client, ",
        )

    async def test_IPv6(self) -> None:
        """
        By IPv6, and by either if the operator allows both.
        """
        self.requireIPv6()
        endpoint = "tcp6:0:interface=\\:\\:1"
        await self._check(lambda place: self._pass(place, ("::", 0), "::1"), endpoint)
        both = [ip_address("127.0.0.1"), ip_address("::1")]
        await self._check(lambda place: self._pass(place, ("::", 0), "::1"), addresses=both)
        await self._check(lambda place: self._pass(place, ANYWHERE, "127.0.0.1"), addresses=both)

    async def test_mapped(self) -> None:
        """
        IPv4 over an endpoint that takes IPv6 as well is IPv4.
        """
        self.requireIPv6()
        proxy = self.start("tcp6:0:interface=\\:\\:")
        assert isinstance(proxy.place, tuple)
        place = ("127.0.0.1", proxy.place[1])
        await inThread(self._pass, place, ANYWHERE, "127.0.0.1")
        await self.untilForgotten(proxy)

    async def test_wildcard(self) -> None:
        """
        A wildcard is bound if the client wishes one and the operator allows it; the
        reply then has an address that can be reached.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place)
            self.assertEqual((reply.code, reply.host), (0, "127.0.0.1"))
            with client, dial(("127.0.0.2", reply.port)) as remote:
                self.assertEqual(addressOf(receiveReply(client)), remote.getsockname())

        await self._check(talk, addresses=[ip_address("0.0.0.0")])

    async def test_noWildcard(self) -> None:
        """
        Without the operator's word it is not.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place)
            with client:
                self.assertTrue(self.isClosed(("127.0.0.2", reply.port)))
                reset(client)

        await self._check(talk)

    async def test_advertised(self) -> None:
        """
        The reply has the address by which a NAT is reached.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place)
            self.assertEqual((reply.code, reply.host), (0, "198.51.100.1"))
            with client, dial(("127.0.0.1", reply.port)) as remote:
                self.assertEqual(addressOf(receiveReply(client)), remote.getsockname())

        await self._check(talk, advertised={4: ip_address("198.51.100.1")})

    async def test_early(self) -> None:
        """
        Octets that either side sends before the other one is there are kept.
        """

        def talk(place: Place) -> None:
            data = pattern(200_000)
            with dial(place) as client:
                client.sendall(encodeRequest(*ANYWHERE, command=BIND) + b"early")
                self.assertEqual(receive(client, 6), ADMITTED)
                address = addressOf(receiveReply(client))
                with dial(address) as remote:
                    got = exchange(remote, data, 5)
                    self.assertEqual(got, b"early")
                    self.assertEqual(receiveReply(client).code, 0)
                    self.assertEqual(receive(client, len(data)), data)

        await self._check(talk)

    async def test_muchEarly(self) -> None:
        """
        However much a client sends while nobody has come, it all arrives.
        """

        def talk(place: Place) -> None:
            data = pattern(8_000_000)
            client, reply = bindAt(place)
            with client:
                client.setblocking(False)
                sent = client.send(data)
                client.settimeout(DEADLINE)
                with dial(addressOf(reply)) as remote:
                    self.assertEqual(receiveReply(client).code, 0)
                    self.assertEqual(receive(remote, sent), data[:sent])

        await self._check(talk)

    async def test_TLS(self) -> None:
        """
        The client's leg may have TLS.
        """
        authority = Authority(self.folder())
        proxy = self.start(authority=authority)

        def talk() -> None:
            context = authority.clientContext()
            client = context.wrap_socket(dial(proxy.place), server_hostname="localhost")
            reply = ask(client, encodeRequest(*ANYWHERE, command=BIND))
            with client, dial(addressOf(reply)) as remote:
                self.assertEqual(receiveReply(client).code, 0)
                remote.sendall(b"hello")
                self.assertEqual(receive(client, 5), b"hello")
                client.sendall(b"you")
                self.assertEqual(receive(remote, 3), b"you")
                finish(client)
                self.assertEqual(receiveAll(remote), b"")

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_timeout(self) -> None:
        """
        Nobody connects.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place)
            with client:
                self.assertEqual(receiveReply(client), Reply(9, "0.0.0.0", 0, b""))
                self.assertEqual(receiveAll(client), b"")
                self.assertTrue(self.isClosed(addressOf(reply)))

        await self._check(talk, timeout=0.1)

    async def test_clientVanishes(self) -> None:
        """
        When the client is gone, nobody is waited for.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place)
            reset(client)
            self.assertClosed(addressOf(reply))

        await self._check(talk)
        self.assertIn(": client lost, ", self.lines[0])

    async def test_hostGone(self) -> None:
        """
        A host that breaks off at once does not keep the next one away.
        """
        proxy = self.start()

        client, reply = await inThread(bindAt, proxy.place)
        # The proxy shares this thread, so it cannot look between the two.
        reset(dial(addressOf(reply)))
        with client, dial(addressOf(reply)) as remote:
            second = await inThread(receiveReply, client)
            self.assertEqual(addressOf(second), remote.getsockname())
        await self.untilForgotten(proxy)

    async def test_idle(self) -> None:
        """
        When a host has come, the time limit of tunnels holds.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place)
            time.sleep(0.3)
            with client, dial(addressOf(reply)) as remote:
                self.assertEqual(receiveReply(client).code, 0)
                self.assertEqual(receiveUntilBroken(client), b"")
                self.assertEqual(receiveUntilBroken(remote), b"")

        await self._check(talk, idleTimeout=0.2)

    async def test_stopped(self) -> None:
        """
        With the proxy, its ports are closed.
        """
        proxy = self.start()
        client, reply = await inThread(bindAt, proxy.place)
        await proxy.service.stopService()
        with client:
            self.assertTrue(self.isClosed(addressOf(reply)))

    async def test_typeOfService(self) -> None:
        """
        What the request names is set on both legs, and the second reply says so.
        """

        def talk(place: Place) -> None:
            option = encodeTypeOfService(3, 0x28)
            client, reply = bindAt(place, options=option)
            self.assertEqual(reply.options, b"")
            with client, dial(addressOf(reply)):
                self.assertEqual(receiveReply(client).options, option)

        await self._check(talk)


class RefusalTests(BindCase):
    """
    What cannot be bound.
    """

    async def _check(self, wish: tuple[str, int], code: int, **policy: Any) -> None:
        """
        Ask for it.
        """
        proxy = self.start(**policy)

        def talk() -> None:
            client, reply = bindAt(proxy.place, wish)
            with client:
                unspecified = "::" if ":" in wish[0] else "0.0.0.0"
                self.assertEqual(reply, Reply(code, unspecified, 0, b""))
                self.assertEqual(receiveAll(client), b"")

        await inThread(talk)
        await self.untilForgotten(proxy)

    async def test_codes(self) -> None:
        """
        Each reason has its code.
        """
        taken = placeOf(self.keep(listen()))
        foreign = ip_address("192.0.2.1")
        cases: list[tuple[tuple[str, int], int, dict[str, Any]]] = [
            (("127.0.0.2", 0), 2, {}),
            (("127.0.0.1", 1023), 2, {}),
            (("127.0.0.1", 5000), 2, {"ports": (6000, 7000)}),
            (("192.0.2.1", 5000), 4, {"addresses": [foreign]}),
            (ANYWHERE, 4, {"addresses": [foreign]}),
            (taken, 1, {}),
            (("0.0.0.0", taken[1]), 1, {}),
            (ANYWHERE, 1, {"ports": (taken[1], taken[1])}),
            (("localhost", 0), 8, {}),
            (("::", 0), 8, {}),
        ]
        for wish, code, policy in cases:
            await self._check(wish, code, **policy)

    async def test_UNIXSocket(self) -> None:
        """
        Who comes over a UNIX socket gets what the operator has named, or nothing.
        """
        endpoint = f"unix:{self.folder()}/proxy"
        for addresses, code in (((), 8), ([ip_address("127.0.0.1")], 0)):
            proxy = self.start(endpoint, addresses=addresses)
            client, reply = await inThread(bindAt, proxy.place)
            with client:
                self.assertEqual(reply.code, code)
            await proxy.service.stopService()

    async def test_unsupported(self) -> None:
        """
        A proxy that opens no ports says so.
        """
        proxy = self.startProxy()
        client, reply = await inThread(bindAt, proxy.place)
        client.close()
        self.assertEqual(reply.code, 7)
        await self.untilForgotten(proxy)


class BacklogTests(BindCase):
    """
    Several hosts, in a session.
    """

    def _open(self, place: Place, backlog: int = 4) -> tuple[socket.socket, Reply, bytes]:
        """
        Open a port.

        @return: The initial connection, its reply, and the session's ID.
        """
        initial = dial(place)
        options = SESSION_REQUEST + encodeBacklog(backlog)
        initial.sendall(encodeRequest(*ANYWHERE, options, BIND))
        session = receiveVerdict(initial).identifier
        assert session is not None
        reply = receiveReply(initial)
        self.assertEqual(reply.code, 0)
        return initial, reply, session

    async def _check(self, talk: Callable[[Place], None], **policy: Any) -> None:
        """
        Talk to a proxy, which has forgotten all of it in the end.
        """
        proxy = self.start(**policy)
        await inThread(talk, proxy.place)
        await self.untilForgotten(proxy)

    async def test_order(self) -> None:
        """
        Hosts are claimed in the order of their arrival, with what they have sent.
        """

        def talk(place: Place) -> None:
            initial, reply, session = self._open(place)
            self.assertEqual(reply.options, encodeBacklog(4))
            hosts = []
            for number in range(4):
                hosts.append(dial(addressOf(reply)))
                hosts[-1].sendall(b"host %d" % number)
            for number, host in enumerate(hosts):
                client, first = claim(place, session, addressOf(reply))
                with client, host:
                    self.assertEqual(first, reply._replace(options=b""))
                    second = receiveReply(client)
                    self.assertEqual(addressOf(second), host.getsockname())
                    self.assertEqual(receive(client, 6), b"host %d" % number)
                    client.sendall(b"for %d" % number)
                    self.assertEqual(receive(host, 5), b"for %d" % number)
            initial.close()
            self.assertClosed(addressOf(reply))

        await self._check(talk)

    async def test_atOnce(self) -> None:
        """
        Requests may wait for hosts, and all the tunnels be open at the same time.
        """

        def talk(place: Place) -> None:
            initial, reply, session = self._open(place)
            claims = [claim(place, session, addressOf(reply))[0] for _ in range(20)]
            hosts = [dial(addressOf(reply)) for _ in claims]
            for client, host in zip(claims, hosts, strict=True):
                self.assertEqual(addressOf(receiveReply(client)), host.getsockname())
            for client, host in zip(claims, hosts, strict=True):
                host.sendall(b"question")
                self.assertEqual(receive(client, 8), b"question")
                client.sendall(b"answer")
                self.assertEqual(receive(host, 6), b"answer")
            # The tunnels outlive the port.
            initial.close()
            self.assertClosed(addressOf(reply))
            for client, host in zip(claims, hosts, strict=True):
                host.sendall(b"more")
                self.assertEqual(receive(client, 4), b"more")
                host.close()
                self.assertEqual(receiveAll(client), b"")
                client.close()

        await self._check(talk)

    async def test_full(self) -> None:
        """
        Hosts beyond the backlog are refused; the proxy's own limit counts as well.
        """

        def talk(place: Place) -> None:
            initial, reply, session = self._open(place, 1000)
            self.assertEqual(reply.options, encodeBacklog(3))
            hosts = [dial(addressOf(reply)) for _ in range(3)]
            self.assertTrue(isRefused(addressOf(reply)))
            client, _ = claim(place, session, addressOf(reply))
            self.assertEqual(addressOf(receiveReply(client)), hosts[0].getsockname())
            with dial(addressOf(reply)) as another:
                for host in hosts[1:]:
                    with claim(place, session, addressOf(reply))[0] as other:
                        self.assertEqual(addressOf(receiveReply(other)), host.getsockname())
                last, _ = claim(place, session, addressOf(reply))
                self.assertEqual(addressOf(receiveReply(last)), another.getsockname())
            for each in (initial, client, last, *hosts):
                each.close()

        await self._check(talk, maxBacklog=3)

    async def test_others(self) -> None:
        """
        Another session is refused, and so is none.
        """

        def talk(place: Place) -> None:
            initial, reply, _ = self._open(place)
            with dial(addressOf(reply)):
                client, answer = claim(place, openSession(place), addressOf(reply))
                client.close()
                self.assertEqual(answer.code, 2)
                client, answer = bindAt(place, addressOf(reply))
                client.close()
                self.assertEqual(answer.code, 2)
            initial.close()

        await self._check(talk)

    async def test_outsideSession(self) -> None:
        """
        Outside of a session, there is no backlog.
        """

        def talk(place: Place) -> None:
            client, reply = bindAt(place, options=encodeBacklog(5))
            self.assertEqual((reply.code, reply.options), (0, b""))
            with client, dial(addressOf(reply)) as remote:
                self.assertEqual(addressOf(receiveReply(client)), remote.getsockname())
                self.assertClosed(addressOf(reply))

        await self._check(talk)

    async def test_initialEnds(self) -> None:
        """
        When the initial connection ends, be it by half, hosts that wait are refused and
        requests that wait hear of a failure.
        """

        def talk(place: Place) -> None:
            for end in (
                lambda sock: sock.shutdown(socket.SHUT_WR),
                lambda sock: sock.close(),
                reset,
            ):
                initial, reply, session = self._open(place)
                with initial, dial(addressOf(reply)) as host:
                    end(initial)
                    self.assertRaises(ConnectionResetError, host.recv, 1)
                    self.assertTrue(self.isClosed(addressOf(reply)))
                initial, reply, session = self._open(place)
                client, _ = claim(place, session, addressOf(reply))
                with initial, client:
                    end(initial)
                    self.assertEqual(receiveReply(client).code, 1)
                    self.assertEqual(receiveAll(client), b"")

        await self._check(talk)

    async def test_timeout(self) -> None:
        """
        A request that waits for too long fails alone.
        """

        def talk(place: Place) -> None:
            initial, reply, session = self._open(place)
            client, _ = claim(place, session, addressOf(reply))
            self.assertEqual(receiveReply(client).code, 9)
            client.close()
            with initial, dial(addressOf(reply)) as host:
                client, _ = claim(place, session, addressOf(reply))
                with client:
                    self.assertEqual(addressOf(receiveReply(client)), host.getsockname())

        await self._check(talk, timeout=0.3)

    async def test_claimantVanishes(self) -> None:
        """
        A host goes to the next request if the one that waited is gone.
        """
        proxy = self.start()

        def prepare() -> tuple[socket.socket, Reply, socket.socket]:
            initial, reply, session = self._open(proxy.place)
            gone, _ = claim(proxy.place, session, addressOf(reply))
            client, _ = claim(proxy.place, session, addressOf(reply))
            reset(gone)
            return initial, reply, client

        initial, reply, client = await inThread(prepare)
        await self.until(lambda: len(proxy.clients) == 2, "it notices")

        def talk() -> None:
            with initial, client, dial(addressOf(reply)) as host:
                self.assertEqual(addressOf(receiveReply(client)), host.getsockname())

        await inThread(talk)
        await self.untilForgotten(proxy)


class LimitTests(BindCase):
    """
    What there is too much or too little of.
    """

    timeout = 180.0

    async def test_manyBinds(self) -> None:
        """
        1,000 binds, which end in all the ways there are, leave nothing behind.
        """
        proxy = self.start(timeout=0.5)

        def talk(number: int) -> None:
            client, reply = bindAt(proxy.place)
            kind = number % 5
            if kind == 0:
                reset(client)
            elif kind == 1:
                client.close()
            else:
                with client, dial(addressOf(reply)) as remote:
                    self.assertEqual(receiveReply(client).code, 0)
                    remote.sendall(b"x")
                    self.assertEqual(receive(client, 1), b"x")
                    if kind == 3:
                        reset(remote)
                        receiveUntilBroken(client)
                    elif kind == 4:
                        remote.close()
                        self.assertEqual(receiveAll(client), b"")

        def crowd(times: int) -> None:
            for number in range(times):
                talk(number)

        await inThread(crowd, 20)
        await self.untilForgotten(proxy)
        before = len(os.listdir("/proc/self/fd")), len(reactor.getDelayedCalls())
        await together(inThread(crowd, 500), inThread(crowd, 500))
        await self.untilForgotten(proxy)
        after = len(os.listdir("/proc/self/fd")), len(reactor.getDelayedCalls())
        self.assertEqual(after, before)
        self.assertEqual(proxy.service.factory.binder._claimable, {})  # type: ignore[union-attr]

    async def test_manyClaims(self) -> None:
        """
        Neither do ports with a backlog.
        """
        proxy = self.start()

        def crowd(times: int) -> None:
            for _ in range(times):
                initial = dial(proxy.place)
                options = SESSION_REQUEST + encodeBacklog(4)
                initial.sendall(encodeRequest(*ANYWHERE, options, BIND))
                session = receiveVerdict(initial).identifier
                assert session is not None
                reply = receiveReply(initial)
                hosts = [dial(addressOf(reply)) for _ in range(3)]
                with initial, claim(proxy.place, session, addressOf(reply))[0] as client:
                    self.assertEqual(receiveReply(client).code, 0)
                for host in hosts:
                    receiveUntilBroken(host)
                    host.close()

        await inThread(crowd, 5)
        await self.untilForgotten(proxy)
        before = len(os.listdir("/proc/self/fd")), len(reactor.getDelayedCalls())
        await inThread(crowd, 100)
        await self.untilForgotten(proxy)
        after = len(os.listdir("/proc/self/fd")), len(reactor.getDelayedCalls())
        self.assertEqual(after, before)
        self.assertEqual(proxy.service.factory.binder._claimable, {})  # type: ignore[union-attr]

    async def test_tooFewDescriptors(self) -> None:
        """
        Where there is no descriptor for a host, the proxy does not run wild, and
        accepts the host when there is one again.
        """
        twistd = Twistd(self, "--port=0", "--bind-timeout=60")
        (place,) = await inThread(twistd.places)
        _, limit = resource.prlimit(twistd.process.pid, resource.RLIMIT_NOFILE)

        def allow(descriptors: int) -> None:
            resource.prlimit(twistd.process.pid, resource.RLIMIT_NOFILE, (descriptors, limit))

        def talk() -> None:
            client, reply = bindAt(place)
            allow(freeDescriptor(twistd.process.pid))
            with client, dial(addressOf(reply)) as remote:
                spent = processorTime(twistd.process.pid)
                time.sleep(1.5)
                spent = processorTime(twistd.process.pid) - spent
                self.assertLess(spent, 0.2)
                client.setblocking(False)
                self.assertRaises(BlockingIOError, client.recv, 1)
                client.settimeout(DEADLINE)
                allow(limit)
                self.assertEqual(addressOf(receiveReply(client)), remote.getsockname())

        await inThread(talk)


def freeDescriptor(pid: int) -> int:
    """
    Find the lowest descriptor that a process does not have.
    """
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in count() if number not in used)


def processorTime(pid: int) -> float:
    """
    Tell how many seconds of a processor a process has taken.
    """
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class CommandLineTests(BindCase):
    """
    The options of C{twistd socks6}.
    """

    async def _start(self, *arguments: str) -> tuple[Twistd, Place]:
        """
        Start it.
        """
        twistd = Twistd(self, "--port=0", *arguments)
        (place,) = await inThread(twistd.places)
        return twistd, place

    async def test_defaults(self) -> None:
        """
        Without options a client gets a port of the address to which it has connected;
        when the proxy stops it is closed.
        """
        twistd, place = await self._start()

        def talk() -> None:
            client, reply = bindAt(place)
            with client, dial(addressOf(reply)) as remote:
                self.assertEqual(reply.host, "127.0.0.1")
                self.assertEqual(addressOf(receiveReply(client)), remote.getsockname())
            client, reply = bindAt(place)
            with client:
                self.assertEqual(twistd.stop(), -signal.SIGTERM)
                self.assertTrue(self.isClosed(addressOf(reply)))

        await inThread(talk)
        self.assertIn(" bind 127.0.0.1:", twistd.output())
        self.assertNotIn("Traceback", twistd.output())

    async def test_options(self) -> None:
        """
        Addresses, ports, the name for remote hosts, the time and the backlog.
        """
        low = placeOf(self.keep(listen("127.0.0.2")))[1]
        _, place = await self._start(
            "--bind-address=127.0.0.2",
            "--bind-address=127.0.0.3",
            f"--bind-ports={low - 10}-{low}",
            "--advertise=198.51.100.7",
            "--bind-timeout=0.2",
            "--max-backlog=5",
            "--auth=memory:ada:s3cret",
        )
        password = encodePassword(b"ada", b"s3cret")

        def bindAs(wish: tuple[str, int], options: bytes = b"") -> tuple[socket.socket, Reply]:
            sock = self.keep(dial(place))
            sock.sendall(encodeRequest(*wish, password + options, BIND))
            self.assertEqual(receiveVerdict(sock).kind, 0)
            return sock, receiveReply(sock)

        def talk() -> None:
            client, reply = bindAs(ANYWHERE)
            self.assertEqual((reply.code, reply.host), (0, "198.51.100.7"))
            self.assertIn(reply.port, range(low - 10, low))
            dial(("127.0.0.2", reply.port)).close()
            self.assertEqual(receiveReply(client).code, 0)
            self.assertEqual(bindAs(("127.0.0.1", 0))[1].code, 2)
            self.assertEqual(bindAs(("127.0.0.3", low - 11))[1].code, 2)
            client, reply = bindAs(("127.0.0.3", 0))
            self.assertEqual((reply.code, reply.host), (0, "198.51.100.7"))
            self.assertEqual(receiveReply(client).code, 9)
            _, reply = bindAs(ANYWHERE, SESSION_REQUEST + encodeBacklog(50))
            self.assertEqual(reply.options, encodeBacklog(5))

        await inThread(talk)

    async def test_otherWayOut(self) -> None:
        """
        A proxy whose way out is another proxy opens no ports.
        """
        _, place = await self._start("--outbound=socks5:localhost:1")
        client, reply = await inThread(bindAt, place)
        client.close()
        self.assertEqual(reply.code, 7)
