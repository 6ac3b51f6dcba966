"""
Tests for what takes a network to arise: the reply codes that routers cause, and
name servers that do not answer.

The proxy runs in a network namespace behind a router in another one, and
listens on a UNIX socket, which does not care about namespaces.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.namespaces import Namespace
from tests.integration.peers import ADMITTED, ask, dial, encodeRequest, receive, receiveAll
from tests.integration.twistd import Twistd


class NamespaceTestCase(SynchronousTestCase):
    """
    A test with a proxy in a network namespace.
    """

    def setUp(self) -> None:
        self.here = Namespace(self)
        folder = TemporaryDirectory(prefix="socks6-")
        self.addCleanup(folder.cleanup)
        self._path = Path(folder.name) / "proxy"

    def _cable(self) -> Namespace:
        """
        Connect the proxy's namespace to a router.
        """
        router = Namespace(self)
        self.here.connect(router)
        self.here.ip("route add default via 192.0.2.2")
        self.here.ip("-6 route add default via 2001:db8:1::2")
        router.set("ipv4/ip_forward", 1)
        router.set("ipv6/conf/all/forwarding", 1)
        router.set("ipv4/icmp_ratelimit", 0)
        router.set("ipv6/icmp/ratelimit", 0)
        return router

    def _start(self, *prefix: str) -> Twistd:
        """
        Start the proxy.

        @param prefix: A program that runs it, and that program's arguments.
        """
        arguments = ["--port", f"unix:{self._path}", "--connect-timeout=20"]
        return Twistd(self, *arguments, prefix=[*self.here.prefix, *prefix])

    def _code(self, proxy: Twistd, host: str) -> int:
        """
        Ask for a host.

        @return: The reply code.
        """
        (place,) = proxy.places()
        with dial(place) as client:
            code = ask(client, encodeRequest(host, 80)).code
            self.assertEqual(receiveAll(client), b"")
            return code


class ReplyCodeTests(NamespaceTestCase):
    """
    Each reply code has its cause.
    """

    def _check(self, code: int, *hosts: str) -> None:
        """
        Check that asking for hosts gives a reply code.
        """
        proxy = self._start()
        self.assertEqual([self._code(proxy, host) for host in hosts], [code] * len(hosts))

    def test_noRoute(self) -> None:
        """
        3: this machine knows no way.
        """
        self._check(3, "198.51.100.1", "2001:db8:2::1")

    def test_networkUnreachable(self) -> None:
        """
        3: a router knows no way.
        """
        self._cable()
        self._check(3, "198.51.100.1", "2001:db8:2::1")

    def test_hostUnreachable(self) -> None:
        """
        4: a router says that there is no such host.
        """
        router = self._cable()
        router.ip("route add unreachable 198.51.100.0/24")
        # Of such a route, Linux says by IPv6 that the network is unreachable;
        # so let the router look in vain for a neighbour.
        router.ip("-6 route add 2001:db8:2::/64 dev cable")
        router.set("ipv6/neigh/cable/retrans_time_ms", 100)
        self._check(4, "198.51.100.1", "2001:db8:2::1")

    def test_hostAbsent(self) -> None:
        """
        4: nobody on the same network has the address.
        """
        self._cable()
        for family in ("ipv4", "ipv6"):
            self.here.set(f"{family}/neigh/cable/retrans_time_ms", 100)
        self._check(4, "192.0.2.77", "2001:db8:1::77")

    def test_refused(self) -> None:
        """
        5: the host is there, and nobody listens.
        """
        self._cable()
        self._check(5, "192.0.2.2", "2001:db8:1::2")

    def test_timeToLiveExpired(self) -> None:
        """
        6: the packet has passed too many routers.
        """
        router = self._cable()
        for family, network in ("-4", "198.51.100.0/24"), ("-6", "2001:db8:2::/64"):
            gateway = "192.0.2.2" if family == "-4" else "2001:db8:1::2"
            back = "192.0.2.1" if family == "-4" else "2001:db8:1::1"
            self.here.ip(f"{family} route add {network} via {gateway} hoplimit 1")
            router.ip(f"{family} route add {network} via {back}")
        self._check(6, "198.51.100.1", "2001:db8:2::1")

    def test_noIPv6(self) -> None:
        """
        8: this machine has no IPv6.
        """
        self.here.set("ipv6/conf/all/disable_ipv6", 1)
        self._check(8, "::1", "2001:db8:2::1")

    def test_timedOut(self) -> None:
        """
        9: nothing comes back, and the kernel gives up.
        """
        router = self._cable()
        self.here.set("ipv4/tcp_syn_retries", 1)
        router.ip("route add blackhole 198.51.100.0/24")
        self._check(9, "198.51.100.1")


class SilentNameServerTests(NamespaceTestCase):
    """
    The server that is asked about names does not answer.
    """

    def setUp(self) -> None:
        super().setUp()
        self._cable().ip("route add blackhole 198.51.100.0/24")
        configuration = self._path.with_name("resolv.conf")
        configuration.write_text("nameserver 198.51.100.1\n", "ascii")
        # Each program that "ip netns" runs has a view of the files of its own.
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        self.proxy = self._start("sh", "-c", script, str(configuration))
        (self.place,) = self.proxy.places()
        for number in range(20):
            client = dial(self.place)
            self.addCleanup(client.close)
            client.sendall(encodeRequest(f"host{number}.example.org", 80))
            self.assertEqual(receive(client, len(ADMITTED)), ADMITTED)

    def test_otherNames(self) -> None:
        """
        Many names that are waited for do not hold up those that this machine
        knows itself.
        """
        began = time.monotonic()
        self.assertEqual(self._code(self.proxy, "localhost"), 5)
        self.assertLess(time.monotonic() - began, 3)

    def test_stop(self) -> None:
        """
        Nor does the proxy wait for them when it is told to stop.
        """
        began = time.monotonic()
        self.assertEqual(self.proxy.stop(), -signal.SIGTERM)
        self.assertLess(time.monotonic() - began, 3)
