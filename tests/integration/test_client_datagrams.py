"""
The client's datagrams with our own proxy.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
from typing import Any

from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.names import dns
from twisted.protocols.portforward import ProxyFactory

from socks6.client.datagramport import DatagramPort
from socks6.client.errors import NoAnswer
from socks6.client.session import SOCKS6Session
from tests.integration.clientdatagrams import (
    LOOPBACK,
    Client,
    DatagramTestCase,
    Echo,
    Forwarder,
    losing,
    reactor,
    within,
)
from tests.integration.dnsmasq import ADDRESSES, Dnsmasq
from tests.integration.peers import DEADLINE
from tests.integration.programs import run
from tests.integration.proxies import CHECKOUT, inThread

BOTH = (False, True)

#: Of networks that lose one datagram in ten, some that lose one or two of a handshake's
#: first ones, so that it takes a few seconds.
LOSSY_SEEDS = (2, 3, 4, 6, 8, 15)


class EchoTests(DatagramTestCase):
    """
    Datagrams go to remote hosts and come back, plain and with DTLS.
    """

    async def test_echo(self) -> None:
        """
        They arrive as they were, from where the proxy says, and answers name who has
        sent them.
        """
        self.start()
        for encrypted in BOTH:
            host = Echo()
            there = (LOOPBACK, self.hosts(host))
            client = Client()
            port = await self.listen(client, encrypted)
            payloads = [b"", b"x", bytes(range(256)), b"y" * 1100, b"z" * 9000]
            for number, payload in enumerate(payloads):
                port.write(payload, there)
                await self.untilReceived(client, number + 1)
            self.assertEqual(client.received, [(payload, there) for payload in payloads])
            self.assertEqual(host.sources, {(LOOPBACK, port.getHost().port)})
            self.assertTrue(await within(port.confirmed, DEADLINE))
            self.assertEqual(port.dropped, {})
            await within(port.stopListening(), DEADLINE)
            self.assertIsNone(await port.lost)
            self.assertEqual(client.stops, 1)

    async def test_names(self) -> None:
        """
        A destination may be a name, which the proxy resolves; answers come from its
        address.
        """
        self.start()
        number = self.hosts(Echo())
        for encrypted in BOTH:
            client = Client()
            port = await self.listen(client, encrypted)
            port.write(b"by name", ("localhost", number))
            await self.untilReceived(client, 1)
            self.assertEqual(client.received, [(b"by name", (LOOPBACK, number))])

    async def test_IPv6(self) -> None:
        """
        So may an IPv6 address.
        """
        self.requireIPv6()
        self.start()
        number = self.hosts(Echo(), "::1")
        client = Client()
        port = await self.listen(client)
        port.write(b"six", ("::1", number))
        await self.untilReceived(client, 1)
        self.assertEqual(client.received, [(b"six", ("::1", number))])

    async def test_session(self) -> None:
        """
        In a session, several associations live side by side.
        """
        self.start()
        number = self.hosts(Echo())
        session = SOCKS6Session(reactor, self.proxyEndpoint)
        self.addCleanup(session.close)
        clients = [Client() for _ in range(5)]
        ports = await gatherResults(
            [self.endpoint(proxy=session).listen(client) for client in clients]
        )
        for which, port in enumerate(ports):
            self.addCleanup(port.stopListening)
            port.write(b"%d" % which, (LOOPBACK, number))
        for which, client in enumerate(clients):
            await self.untilReceived(client, 1)
            self.assertEqual(client.received, [(b"%d" % which, (LOOPBACK, number))])
        self.assertTrue(session.isOpen)

    async def test_onlyListening(self) -> None:
        """
        A protocol that writes nothing gets what others send to its port.
        """
        self.start()
        for encrypted in BOTH:
            client = Client()
            port = await self.listen(client, encrypted)
            self.assertTrue(await within(port.confirmed, DEADLINE))
            here = port.getHost()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind((LOOPBACK, 0))
                other.sendto(b"unasked", (here.host, here.port))
                await self.untilReceived(client, 1)
                self.assertEqual(client.received, [(b"unasked", other.getsockname())])

    async def test_bursts(self) -> None:
        """
        5,000 datagrams in bursts, each of which fits into the kernel's buffers, pass
        without loss and in their order, and nothing of them is kept.
        """
        self.start()
        number = self.hosts(Echo())
        for encrypted in BOTH:
            client = Client()
            port = await self.listen(client, encrypted)
            for burst in range(50):
                expected = [(b"%d " % (100 * burst + each)) * 20 for each in range(100)]
                client.received.clear()
                for payload in expected:
                    port.write(payload, (LOOPBACK, number))
                await self.untilReceived(client, 100)
                self.assertEqual([payload for payload, _ in client.received], expected)
                if burst == 1:
                    client.received.clear()
                    gc.collect()
                    before = len(gc.get_objects())
            client.received.clear()
            gc.collect()
            self.assertLess(len(gc.get_objects()) - before, 1000)
            self.assertEqual(port.dropped, {})


class LossTests(DatagramTestCase):
    """
    Networks lose datagrams.
    """

    timeout = 120.0

    async def test_handshakes(self) -> None:
        """
        DTLS is established over a network that loses one datagram in ten, and carries
        what is not lost.
        """
        self.start()
        number = self.hosts(Echo())
        networks = [Forwarder(self.dtls, losing(0.1, seed)) for seed in LOSSY_SEEDS]
        clients = [Client() for _ in networks]

        ports = await within(
            gatherResults(
                [
                    self.endpoint(True, datagrams=(LOOPBACK, self.hosts(network))).listen(client)
                    for network, client in zip(networks, clients, strict=True)
                ]
            ),
            DEADLINE,
        )
        for network in networks:
            self.assertGreater(network.lost, 0)
        for port in ports:
            self.addCleanup(port.stopListening)
        for each in range(100):
            for port in ports:
                port.write(b"%d" % each, (LOOPBACK, number))
            await self.spend(0.001)
        for client in clients:
            # Nine tenths of nine tenths, on average.
            await self.untilReceived(client, 60)
            self.assertLessEqual(
                {payload for payload, _ in client.received}, {b"%d" % each for each in range(100)}
            )

    async def test_trigger(self) -> None:
        """
        If what should tell the proxy where we are is lost, it is told again.
        """
        self.start()
        fates = iter([True, True])
        network = Forwarder(self.udp, lambda: next(fates, False))
        client = Client()
        port = await self.listen(client, datagrams=(LOOPBACK, self.hosts(network)))
        self.assertTrue(await within(port.confirmed, DEADLINE))
        self.assertEqual((network.lost, network.carried), (2, 1))

    async def test_nothingPasses(self) -> None:
        """
        If nothing gets through, that is told: for DTLS at once, else when the proxy has
        not confirmed.
        """
        self.start()
        network = Forwarder(self.udp, lambda: True)
        where = (LOOPBACK, self.hosts(network))
        client = Client()
        port = await self.listen(client, datagrams=where, timeout=1.0)
        self.assertIsInstance(await within(port.lost, DEADLINE), NoAnswer)
        self.assertFalse(await port.confirmed)
        self.assertEqual(client.stops, 1)
        listening = self.endpoint(True, datagrams=where, timeout=1.0).listen(client)
        await self.assertFailure(within(listening, DEADLINE), NoAnswer)

    async def test_strangers(self) -> None:
        """
        What others send to our socket is dropped and counted.
        """
        self.start()
        client = Client()
        port = await self.listen(client)
        await within(port.confirmed, DEADLINE)
        way: Any = port._way
        _, number = way._handle.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"rubbish", (LOOPBACK, number))
            await self.until(lambda: bool(port.dropped), "it is counted")
        self.assertEqual(port.dropped, {"not from the proxy": 1})
        self.assertEqual(client.received, [])


class DTLSTests(DatagramTestCase):
    """
    DTLS is spoken with the right proxy only.
    """

    async def test_names(self) -> None:
        """
        The proxy's certificate must be for whom we want to talk with.
        """
        self.start()
        for hostname in ("localhost", LOOPBACK):
            port = await self.listen(Client(), True, hostname)
            self.assertTrue(await within(port.confirmed, DEADLINE))
        for hostname in ("proxy.example", "127.0.0.2"):
            listening = self.endpoint(True, hostname).listen(Client())
            error = await self.assertFailure(within(listening, DEADLINE), ConnectError)
            self.assertIn("certificate verify failed", str(error))

    async def test_anotherProtocol(self) -> None:
        """
        A port that speaks something else is no proxy.
        """
        self.start()
        where = (LOOPBACK, self.hosts(Echo()))
        listening = self.endpoint(True, datagrams=where).listen(Client())
        error = await self.assertFailure(within(listening, DEADLINE), ConnectError)
        self.assertIn("DTLS with the proxy failed", str(error))


class EndTests(DatagramTestCase):
    """
    Associations end, and leave nothing.
    """

    async def test_connectionKilled(self) -> None:
        """
        When the TCP connection is lost the user hears of it, and the proxy lets nothing
        pass any more.
        """
        self.start()
        forwarder = ProxyFactory(LOOPBACK, self.tcp)
        forwarder.noisy = False
        built: list[Any] = []
        buildProtocol = forwarder.buildProtocol

        def build(addr: Any) -> Any:
            built.append(buildProtocol(addr))
            return built[-1]

        forwarder.buildProtocol = build  # type: ignore[method-assign]
        listening = await TCP4ServerEndpoint(reactor, 0, interface=LOOPBACK).listen(forwarder)
        self.addCleanup(listening.stopListening)
        for encrypted in BOTH:
            before = self.proxy.descriptors()
            client = Client()
            proxy = TCP4ClientEndpoint(reactor, LOOPBACK, listening.getHost().port)
            port = await self.listen(client, encrypted, proxy=proxy)
            self.assertTrue(await within(port.confirmed, DEADLINE))
            built[-1].transport.abortConnection()
            self.assertIsInstance(await within(port.lost, DEADLINE), Exception)
            self.assertEqual(client.stops, 1)
            await self.untilClosed(before)

    async def test_proxyKilled(self) -> None:
        """
        When the proxy dies, so do all associations.
        """
        self.start()
        clients = [Client() for _ in BOTH]
        ports = [
            await self.listen(client, encrypted)
            for client, encrypted in zip(clients, BOTH, strict=True)
        ]
        for port in ports:
            await within(port.confirmed, DEADLINE)
        self.proxy.kill()
        for port in ports:
            self.assertIsInstance(await within(port.lost, DEADLINE), Exception)
        self.assertEqual([client.stops for client in clients], [1, 1])
        listening = self.endpoint().listen(Client())
        await self.assertFailure(within(listening, DEADLINE), ConnectError)

    async def untilClosed(self, number: int) -> None:
        """
        Wait until the proxy has no more descriptors than it had.
        """
        await self.until(lambda: self.proxy.descriptors() <= number, "the proxy forgets all")

    async def test_cancelled(self) -> None:
        """
        What is cancelled at any time leaves nothing.
        """
        self.start()
        before = self.proxy.descriptors()
        own = sockets()
        for encrypted in BOTH:
            for delay in (0.0, 0.0005, 0.001, 0.002, 0.004):
                listening = self.endpoint(encrypted).listen(Client())
                await self.spend(delay)
                if listening.called:
                    await (await listening).stopListening()
                else:
                    listening.cancel()
                    await self.assertFailure(listening, CancelledError)
        await self.untilClosed(before)
        await self.until(lambda: sockets() <= own, "sockets are closed")

    async def test_many(self) -> None:
        """
        200 associations leave nothing, here nor there.
        """
        self.start()
        number = self.hosts(Echo())

        async def one(encrypted: bool) -> None:
            client = Client()
            port = await self.endpoint(encrypted).listen(client)
            port.write(b"x", (LOOPBACK, number))
            await self.untilReceived(client, 1)
            await within(port.stopListening(), DEADLINE)

        for encrypted in BOTH:
            await one(encrypted)
        before = self.proxy.descriptors()
        own = sockets()
        portsBefore = ports()
        for each in range(200):
            await one(bool(each % 2))
        await self.untilClosed(before)
        self.assertLessEqual(sockets(), own)
        self.assertLessEqual(ports(), portsBefore)


#: What is looked up.
NAME = "one.example"


class ResolverTests(DatagramTestCase):
    """
    Twisted's own protocol for DNS looks names up through the proxy, at a real name
    server.
    """

    async def test_lookUp(self) -> None:
        """
        Plain and with DTLS.
        """
        self.start()
        resolver = (LOOPBACK, Dnsmasq(self).port)
        for encrypted in BOTH:
            protocol = dns.DNSDatagramProtocol(None, reactor)
            protocol.noisy = False
            await self.listen(protocol, encrypted)
            message: Any
            message = await protocol.query(resolver, [dns.Query(NAME)], timeout=DEADLINE)
            self.assertEqual(
                [str(each.payload.dottedQuad()) for each in message.answers], [ADDRESSES[NAME]]
            )

    async def test_example(self) -> None:
        """
        So does examples/resolve.py, which says in one line what goes wrong.
        """
        self.start()
        number = Dnsmasq(self).port
        program = [sys.executable, str(CHECKOUT / "examples" / "resolve.py")]
        program += ["--proxy", f"tcp:{LOOPBACK}:{self.tcp}", "--server", LOOPBACK]
        program += ["--port", str(number), "--datagrams"]
        private = ["--dtls", "localhost", "--ca", str(self.authority.path)]
        for arguments in ([str(self.udp)], [str(self.dtls), *private]):
            done = await inThread(run, *program, *arguments, NAME)
            self.assertEqual(done.stdout.decode("ascii"), f"{ADDRESSES[NAME]}\n")
            self.assertEqual(done.stderr, b"")
        done = await inThread(run, *program, str(self.dtls), "--dtls", "other", NAME)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"certificate verify failed", done.stderr)
        self.assertEqual(done.stderr.count(b"\n"), 1)


def sockets() -> int:
    """
    Count our own open sockets.
    """
    found = 0
    for number in os.listdir("/proc/self/fd"):
        # That of the listing itself is closed by now.
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return found


def ports() -> int:
    """
    Count our own ports that somebody still knows.
    """
    gc.collect()
    return sum(isinstance(each, DatagramPort) for each in gc.get_objects())
