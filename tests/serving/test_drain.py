"""
Tests of L{socks6.serving.drain}.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from socks6.serving.limits import Limits
from socks6.serving.service import ListeningService
from tests.doubles import FakeEndpoint, FakePort, Peer
from tests.serving.lines import LineFactory, LineTestCase


class DrainTests(LineTestCase):
    """
    A service that stops while there are tunnels.
    """

    def setUp(self) -> None:
        super().setUp()
        self.port = FakePort()

    def serve(self, drainTimeout: float) -> tuple[ListeningService, LineFactory]:
        """
        Start a service.
        """
        factory = self.makeFactory(limits=Limits(drainTimeout=drainTimeout))
        service = ListeningService(factory, [FakeEndpoint(lambda: succeed(self.port))])
        service.startService()
        return service, factory

    def open(self, factory: LineFactory) -> tuple[Peer, Peer]:
        """
        Open a tunnel.

        @return: The client and the remote host.
        """
        client = self.network.accept(factory)
        client.send(b"please\n")
        remote = self.succeed()
        client.take()
        return client, remote

    def stop(self, service: ListeningService) -> Deferred[object]:
        """
        Stop it, with its port.
        """
        self.events.clear()
        stopped = service.stopService()
        assert self.port.closing is not None
        self.port.closing.callback(None)
        self.network.spin()
        return stopped

    def test_tunnelsEnd(self) -> None:
        """
        Tunnels still pass octets, and when the last one has ended all is over.
        """
        service, factory = self.serve(30.0)
        tunnels = [self.open(factory) for _ in range(2)]
        stopped = self.stop(service)
        self.assertEqual(self.lines, ["waiting up to 30 s for 2 tunnels to end"])
        self.network.advance(29)
        for client, remote in tunnels:
            self.assertNoResult(stopped)
            client.send(b"question")
            self.assertEqual(remote.received, b"question")
            client.end()
            remote.end()
        self.successResultOf(stopped)
        self.assertEqual(self.lines[-1], "all tunnels have ended")
        self.assertEqual([": closed, " in line for line in self.lines[1:3]], [True, True])
        self.assertOver()

    def test_tooLate(self) -> None:
        """
        Those that have not ended in time are cut.
        """
        service, factory = self.serve(30.0)
        client, remote = self.open(factory)
        other, otherRemote = self.open(factory)
        stopped = self.stop(service)
        other.reset()
        otherRemote.end()
        self.network.advance(29.5)
        self.assertNoResult(stopped)
        self.network.advance(0.5)
        self.network.spin()
        self.successResultOf(stopped)
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertIn("1 tunnel cut", self.lines)
        self.assertNotIn("all tunnels have ended", self.lines)
        self.assertOver()

    def test_others(self) -> None:
        """
        Whoever has no tunnel yet is cut at once, whether or not there are tunnels.
        """
        for withTunnel in (True, False):
            service, factory = self.serve(30.0)
            silent = self.network.accept(factory)
            connecting = self.network.accept(factory)
            connecting.send(b"please\n")
            pending = self.waiting[-1]
            tunnel = self.open(factory) if withTunnel else ()
            stopped = self.stop(service)
            self.assertTrue(silent.wasReset and connecting.wasReset)
            self.assertEqual(self.givenUp, [pending])
            self.givenUp.clear()
            for peer in tunnel:
                self.assertNoResult(stopped)
                peer.end()
            self.successResultOf(stopped)
            self.assertOver()

    def test_noTime(self) -> None:
        """
        If they may take no time, tunnels are cut at once.
        """
        service, factory = self.serve(0.0)
        client, remote = self.open(factory)
        self.successResultOf(self.stop(service))
        self.assertTrue(client.wasReset and remote.wasReset)
        self.assertNotIn("waiting", " ".join(self.lines))
        self.assertOver()

    def test_hurry(self) -> None:
        """
        Who loses patience cuts them; more than once, or too late, does nothing.
        """
        service, factory = self.serve(30.0)
        service.hurry()
        client, _ = self.open(factory)
        stopped = self.stop(service)
        service.hurry()
        service.hurry()
        self.network.spin()
        self.successResultOf(stopped)
        self.assertTrue(client.wasReset)
        self.assertEqual(self.lines.count("1 tunnel cut"), 1)
        service.hurry()
        self.assertEqual(self.lines.count("1 tunnel cut"), 1)
        self.assertOver()
