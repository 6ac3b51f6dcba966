"""
Tests for tunnels over the kinds of connections that a client can have.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from socks6.policy.rulebook import RuleBook
from socks6.policy.ruleset import PRIVATE_TOO
from socks6.relay import relay
from tests.integration import relaying
from tests.integration.certificates import Authority
from tests.integration.peers import receiveAll, reset
from tests.integration.proxies import RunningProxy, inThread


class TCPTests(relaying.HalfCloseCases):
    """
    Over TCP.
    """

    async def test_killedBehindEnd(self) -> None:
        """
        A client ends its direction, waits for an answer, and is killed: the
        tunnel ends, though the remote host never says anything.
        """
        self.patch(relay, "_WATCH_INTERVAL", 0.1)
        proxy = self.start()
        client, server = await self.tunnel(proxy)

        def talk() -> None:
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(server), b"")
            reset(client)

        await inThread(talk)
        await self.untilForgotten(proxy, 5)
        self.assertIn(": client lost, ", self.lines[-1])


class BufferedTests(relaying.HalfCloseCases):
    """
    Over TCP, with no octet passing inside the kernel.
    """

    def start(self, **options: Any) -> RunningProxy:
        return self.startProxy(splice=False, **options)


class UNIXTests(relaying.HalfCloseCases):
    """
    Over UNIX sockets.
    """

    def start(self, **options: Any) -> RunningProxy:
        return self.startProxy(f"unix:{self.folder()}/proxy", **options)


class PROXYProtocolTests(relaying.HalfCloseCases):
    """
    Over TCP, behind a load balancer that speaks the PROXY protocol.
    """

    def start(self, **options: Any) -> RunningProxy:
        # Its clients are elsewhere, as they say.
        rules = RuleBook(PRIVATE_TOO)
        return self.startProxy("haproxy:tcp:0:interface=127.0.0.1", rules=rules, **options)

    def dial(self, proxy: RunningProxy, bufferSize: int = 0) -> socket.socket:
        sock = super().dial(proxy, bufferSize)
        sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.9 40123 1080\r\n")
        return sock


class TLSTests(relaying.RelayCases):
    """
    Over TLS.
    """

    held = 110_000

    def start(self, **options: Any) -> RunningProxy:
        authority = Authority(self.folder())
        self.context = authority.clientContext()
        return self.startProxy(authority=authority, **options)

    def dial(self, proxy: RunningProxy, bufferSize: int = 0) -> socket.socket:
        return self.context.wrap_socket(
            super().dial(proxy, bufferSize), server_hostname="localhost"
        )


class TLS12Tests(TLSTests):
    """
    Over TLS 1.2, whose shutdown and tickets differ from those of TLS 1.3.
    """

    def dial(self, proxy: RunningProxy, bufferSize: int = 0) -> socket.socket:
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        return super().dial(proxy, bufferSize)
